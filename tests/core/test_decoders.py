"""Tests for :mod:`txhyper.core.decoders`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import brotli
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core import decoders
from txhyper.core.bounds import Bounds
from txhyper.core.decoders import (
    PIECE,
    Brotli,
    Coding,
    Decoding,
    Deflate,
    Gzip,
    Zstandard,
    chain_for,
    codings,
)
from txhyper.errors import BodyTooLarge, DecodingFailed


def raw_deflate(data: bytes) -> bytes:
    """deflate as some servers understand it: without zlib's header."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


#: Each coding: how it is done, and undone.
CODINGS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], Coding]]] = {
    "gzip": (gzip.compress, Gzip),
    "deflate": (zlib.compress, Deflate),
    "raw deflate": (raw_deflate, Deflate),
    "br": (brotli.compress, lambda: Brotli(brotli)),
    "zstd": (zstd.compress, lambda: Zstandard(zstd)),
}


def undone(coding: Coding, octets: bytes, sizes: list[int]) -> bytes:
    """The octets, decoded in feeds of these sizes and the rest; no piece is too large."""
    out = []
    position = 0
    for size in [*sizes, len(octets)]:
        for piece in coding.feed(octets[position : position + size]):
            # brotli's limit is not exact.
            assert 0 < len(piece) <= 2 * PIECE, len(piece)
            out.append(piece)
        position += size
    coding.finish()
    return b"".join(out)


class CodingTests(SynchronousTestCase):
    """Every coding."""

    @law
    @given(
        st.sampled_from(sorted(CODINGS)),
        st.binary(max_size=2000),
        st.sampled_from([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]),
        st.lists(st.integers(0, 50), max_size=8),
    )
    def test_anySplit(self, name: str, head: bytes, zeros: int, sizes: list[int]) -> None:
        """A body comes out as it was, whatever it is and however it comes."""
        do, undo = CODINGS[name]
        body = head + bytes(zeros)
        self.assertTrue(body == undone(undo(), do(body), sizes))

    def test_wholePieces(self) -> None:
        """A body that is a number of whole pieces ends with the last of them."""
        for name, (do, undo) in CODINGS.items():
            for pieces in (1, 2, 3, 4):
                body = bytes(pieces * PIECE)
                self.assertTrue(body == undone(undo(), do(body), []), f"{name} {pieces}")

    def test_nothing(self) -> None:
        """A body without an octet has no coding that could be cut off."""
        for _, undo in CODINGS.values():
            self.assertEqual(b"", undone(undo(), b"", []))

    def test_cutOff(self) -> None:
        """A body that ends before its coding is an error, wherever it ends."""
        for name, (do, undo) in CODINGS.items():
            octets = do(bytes(range(256)) * 20)
            for end in (1, 2, len(octets) // 2, len(octets) - 1):
                with self.assertRaises(DecodingFailed, msg=f"{name} {end}"):
                    undone(undo(), octets[:end], [])

    def test_corrupt(self) -> None:
        """Octets that are no such coding are an error, in one line."""
        for name, (_, undo) in CODINGS.items():
            with self.assertRaises(DecodingFailed) as caught:
                undone(undo(), b"\xff\xfe\xfd\xfc" * 20, [])
            self.assertNotIn("\n", str(caught.exception), name)

    def test_severalMembers(self) -> None:
        """gzip and zstd may be of several parts, also where one ends with a feed."""
        for name in ("gzip", "zstd"):
            do, undo = CODINGS[name]
            one, two = do(b"hello "), do(b"world")
            self.assertEqual(b"hello world", undone(undo(), one + two, []))
            self.assertEqual(b"hello world", undone(undo(), one + two, [len(one)]))

    def test_wholePiecesOfSeveral(self) -> None:
        """A part that fills its last piece and has another one behind it ends all the same."""
        for name in ("gzip", "zstd"):
            do, undo = CODINGS[name]
            body = bytes(2 * PIECE)
            self.assertTrue(body + b"x" == undone(undo(), do(body) + do(b"x"), []), name)
        for name in ("deflate", "raw deflate", "br"):
            do, undo = CODINGS[name]
            with self.assertRaises(DecodingFailed, msg=name):
                undone(undo(), do(bytes(2 * PIECE)) + b"x", [])

    def test_octetsBehind(self) -> None:
        """deflate and br have one end, and nothing may come after it."""
        for name in ("deflate", "raw deflate", "br"):
            do, undo = CODINGS[name]
            for octets, sizes in (
                (do(b"hello") + b"x", []),
                (do(b"hello") + b"x", [len(do(b"hello"))]),
            ):
                with self.assertRaises(DecodingFailed, msg=name):
                    undone(undo(), octets, sizes)

    def test_oneAtATime(self) -> None:
        """No piece is decoded before it is asked for: a bomb waits."""
        for name, (do, undo) in CODINGS.items():
            pieces = undo().feed(do(bytes(50 * 1024 * 1024)))
            for _ in range(3):
                self.assertLessEqual(len(next(pieces)), 2 * PIECE, name)


class ChainForTests(SynchronousTestCase):
    """The codings that a response names."""

    def undo(self, names: list[bytes], octets: bytes) -> bytes:
        """A body of these codings, undone."""
        decoding = Decoding(chain_for(names, Bounds()), Bounds())
        body = b"".join(decoding.feed(octets))
        decoding.finish()
        return body

    def test_order(self) -> None:
        """The one that was applied last is undone first."""
        octets = brotli.compress(gzip.compress(b"hello"))
        self.assertEqual(b"hello", self.undo([b"gzip", b"br"], octets))
        self.assertEqual(b"hello", self.undo([], b"hello"))

    def test_refused(self) -> None:
        """One that is not known fails with the first octet that reaches it, as do too many."""
        for names, octets, message in (
            ([b"com\xe9press"], b"x", "'com\xe9press' is not known"),
            ([b"foo", b"gzip"], gzip.compress(b"x"), "'foo' is not known"),
            ([b"gzip"] * 5, b"x", "5 codings"),
        ):
            with self.assertRaises(DecodingFailed) as caught:
                self.undo(names, octets)
            self.assertIn(message, str(caught.exception))

    def test_nothing(self) -> None:
        """A body without an octet is one without a coding."""
        for names in ([b"foo"], [b"foo", b"gzip"], [b"gzip"] * 5):
            self.assertEqual(b"", self.undo(names, b""))


class ChainTests(SynchronousTestCase):
    """Several codings, one in the other, and the limits."""

    def test_chain(self) -> None:
        """``gzip, br`` was applied in this order, and is undone in the other."""
        octets = brotli.compress(gzip.compress(b"hello" * 1000))
        decoding = Decoding([Brotli(brotli), Gzip()], Bounds())
        self.assertEqual(b"hello" * 1000, b"".join(decoding.feed(octets)))
        decoding.finish()
        self.assertEqual((len(octets), 5000), (decoding.received, decoding.decoded))

    def test_chainCutOff(self) -> None:
        """The inner coding may be the one that is not whole."""
        decoding = Decoding([Brotli(brotli), Gzip()], Bounds())
        list(decoding.feed(brotli.compress(gzip.compress(b"hello")[:-1])))
        with self.assertRaises(DecodingFailed):
            decoding.finish()

    def test_size(self) -> None:
        """The bound of the size is exact."""
        octets = gzip.compress(bytes(1000))
        self.assertEqual(
            1, len(list(Decoding([Gzip()], Bounds(decoded_body_size=1000)).feed(octets)))
        )
        with self.assertRaises(BodyTooLarge) as caught:
            list(Decoding([Gzip()], Bounds(decoded_body_size=999)).feed(octets))
        self.assertIn("decoded_body_size", str(caught.exception))

    def test_bombs(self) -> None:
        """A bomb of any coding is stopped soon after 16 MiB have come out of it."""
        for name, (do, undo) in CODINGS.items():
            decoding = Decoding([undo()], Bounds())
            with self.assertRaises(BodyTooLarge, msg=name) as caught:
                for _ in decoding.feed(do(bytes(40 * 1024 * 1024))):
                    pass
            self.assertIn("decoded_ratio", str(caught.exception))
            self.assertLess(decoding.decoded, 17 * 1024 * 1024)

    def test_chainOfBombs(self) -> None:
        """Likewise one in the other, where the outer one opens to the inner one."""
        inner = gzip.compress(bytes(40 * 1024 * 1024))
        decoding = Decoding([Brotli(brotli), Gzip()], Bounds())
        with self.assertRaises(BodyTooLarge):
            for _ in decoding.feed(brotli.compress(inner)):
                pass

    def test_ratioOfTheWhole(self) -> None:
        """It is the body that may grow so much, not each of its codings."""
        decoding = Decoding([Gzip(), Gzip()], Bounds(decoded_ratio=1100))
        with self.assertRaises(BodyTooLarge) as caught:
            for _ in decoding.feed(gzip.compress(gzip.compress(bytes(20 * 1024 * 1024)))):
                pass
        self.assertIn("decoded_ratio", str(caught.exception))

    def test_sizeInBetween(self) -> None:
        """What a coding opens to counts, even if the next one makes nothing of it."""
        nothing = gzip.compress(b"") * 100
        decoding = Decoding([Gzip(), Gzip()], Bounds(decoded_body_size=1000))
        with self.assertRaises(BodyTooLarge):
            list(decoding.feed(gzip.compress(nothing)))


class AvailableTests(SynchronousTestCase):
    """What can be decoded depends on what is installed."""

    def available(self, *modules: str) -> list[bytes]:
        """The codings if only these modules are installed."""

        def load(name: str) -> Any:
            if name not in modules:
                raise ImportError(name)
            return SimpleNamespace(error=ValueError, Decompressor=mock.Mock(), name=name)

        with mock.patch.object(decoders, "import_module", load):
            return list(codings())

    def test_always(self) -> None:
        """gzip and deflate need nothing."""
        self.assertEqual([b"gzip", b"x-gzip", b"deflate"], self.available())

    def test_extras(self) -> None:
        """Each of the packages, and the standard library's zstd, adds its coding, best first."""
        basic = [b"gzip", b"x-gzip", b"deflate"]
        for module in ("brotli", "brotlicffi"):
            self.assertEqual([b"br", *basic], self.available(module))
        for module in ("compression.zstd", "backports.zstd"):
            self.assertEqual([b"zstd", b"br", *basic], self.available(module, "brotli"))

    def test_all(self) -> None:
        """Those that are made work."""
        made: Iterator[tuple[bytes, Coding]] = ((name, make()) for name, make in codings().items())
        for name, coding in made:
            do = CODINGS[name.decode().removeprefix("x-")][0]
            self.assertEqual(b"hello", undone(coding, do(b"hello"), []))
