"""
Huffman-coded strings, read eight bits at a time (RFC 7541 section 5.2).

Owns the automaton of the code of RFC 7541 appendix B: a state is a place inside the code's tree, a
step takes one octet and says which octets it completed and where it ended. Steps are worked out
when they are first needed and shared by all connections; there are at most 256 for each of the
tree's 256 inner places, so what a peer can make us keep is bounded. The code itself is hpack's.
"""

from __future__ import annotations

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

__all__ = ["InvalidString", "decode"]

#: The last symbol of the code: it ends the string and is never sent whole.
END_OF_STRING = 256


class InvalidString(Exception):
    """A string that breaks RFC 7541 section 5.2."""


def _grow() -> list[list[int]]:
    """
    The code as a tree: for each inner place, where a 0 and where a 1 leads. Inner places are
    positive numbers, and symbols are -1 minus the symbol.
    """
    tree = [[0, 0]]
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        place = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not tree[place][bit]:
                tree.append([0, 0])
                tree[place][bit] = len(tree) - 1
            place = tree[place][bit]
        tree[place][code & 1] = -1 - symbol
    return tree


_tree = _grow()


def _padding_places() -> frozenset[int]:
    """The places where a string may end: up to seven bits into the end of string's code."""
    places = [0]
    for _ in range(7):
        places.append(_tree[places[-1]][1])
    return frozenset(place << 8 for place in places)


_may_end = _padding_places()


class _Steps(dict[int, tuple[bytes, int]]):
    """``place << 8 | octet`` to the octets completed and the next ``place << 8``."""

    def __missing__(self, key: int) -> tuple[bytes, int]:
        place, octet = key >> 8, key & 0xFF
        completed = bytearray()
        for shift in range(7, -1, -1):
            place = _tree[place][octet >> shift & 1]
            if place < 0:
                symbol = -1 - place
                if symbol == END_OF_STRING:
                    raise InvalidString("the end of string inside a Huffman-coded string")
                completed.append(symbol)
                place = 0
        step = self[key] = bytes(completed), place << 8
        return step


_steps = _Steps()


def decode(data: bytes) -> bytes:
    """
    The string that the octets code for.

    :raises InvalidString: they hold the end of string, or end in anything but less than an octet
        of its first bits.
    """
    steps = _steps
    parts = []
    state = 0
    for octet in data:
        completed, state = steps[state | octet]
        parts.append(completed)
    if state not in _may_end:
        raise InvalidString("a Huffman-coded string that ends within a symbol")
    return b"".join(parts)
