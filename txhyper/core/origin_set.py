"""
Which origins a server says that its connection is for: the ORIGIN frame (RFC 8336).

Owns the reading of that frame's payload and the bounds of what comes of it. Keeps nothing, and
decides nothing about where requests go: what the set is good for only those know who hold the
connection's certificate. Called by the engine.
"""

from __future__ import annotations

import re
from itertools import islice

from txhyper.core.bounds import Bounds
from txhyper.core.frames import origin_entries

__all__ = ["UNKNOWN_FLAGS", "grown", "normal_origin"]

#: Flags that stand for changes which are not compatible: a frame that has one of them is not for
#: clients that do not know it (RFC 8336 section 2.2). The other four change nothing.
UNKNOWN_FLAGS = 0x0F

#: The ports that an origin leaves out (RFC 6454 section 6.2).
DEFAULT_PORTS = {b"http": 80, b"https": 443}

#: A scheme, a host name, IPv4 or IPv6 address, and perhaps a port. No user, no path, no wildcard.
_origin = re.compile(
    rb"(https?)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
).fullmatch


def normal_origin(text: bytes) -> bytes | None:
    """
    An origin as it is compared: in lower case, without the default port.

    :param text: an ASCII serialization (RFC 6454 section 6.2), such as ``https://example.com``.
    :return: None if it is not one, ``null`` included, or is of another scheme than ours.
    """
    match = _origin(text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    number = DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 0 < number < 1 << 16:
        return None
    if number == DEFAULT_PORTS[scheme]:
        return bytes(scheme + b"://" + host)
    return b"%s://%s:%d" % (scheme, host, number)


def grown(
    known: frozenset[bytes] | None, payload: bytes, bounds: Bounds
) -> frozenset[bytes] | None:
    """
    What a set becomes with one more ORIGIN frame.

    :param known: the set so far; None before the first frame.
    :return: the same object if the frame adds nothing. What is no origin is left out; a frame
        whose entries do not add up to its length counts as none at all. Past the bounds nothing
        is taken any more: an origin that is not in the set gets a connection of its own, which
        costs the server more than us.
    """
    entries = origin_entries(payload)
    if entries is None:
        return known
    before = frozenset() if known is None else known
    # Each once, in the server's order: its first ones are those it wants most.
    fresh = dict.fromkeys(
        origin
        for origin in map(normal_origin, entries)
        if origin is not None and origin not in before
    )
    room = bounds.origin_set_entries - len(before)
    if known is not None and (not fresh or room <= 0):
        return known
    octets = bounds.origin_set_octets - sum(map(len, before))
    taken = []
    for origin in islice(fresh, max(room, 0)):
        octets -= len(origin)
        if octets < 0:
            break
        taken.append(origin)
    return before.union(taken) if taken or known is None else known
