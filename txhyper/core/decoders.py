"""
Content codings, undone piece by piece (RFC 9110 section 8.4).

Owns gzip, deflate, br and zstd as objects that are fed and finished, the chain of several, and the
limits that stop a bomb. Never holds a decoded body: what comes out of a feed is a series of pieces
of bounded size, and no piece is made before the one before it has been taken. So a few octets
that open to gigabytes cost a piece at a time, and a reader that pauses costs nothing more.

A body that ends before its coding does is an error, never a short body.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from txhyper.core.bounds import Bounds
from txhyper.errors import BodyTooLarge, DecodingFailed

__all__ = ["PIECE", "Coding", "Decoding", "chain_for", "codings"]

#: Octets of the largest piece; brotli, whose limit is not exact, may come to half as many more.
PIECE = 64 * 1024

#: Octets that may come out before the ratio of expansion is looked at.
RATIO_FROM = 16 * 1024 * 1024


class Coding(Protocol):
    """One coding being undone."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Pieces of what the octets decode to, made one at a time.

        :raises DecodingFailed: the octets break the coding.
        """

    def finish(self) -> None:
        """
        The body has ended.

        :raises DecodingFailed: the coding has not.
        """


class Gzip:
    """gzip (RFC 1952), of one member or several."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """As :meth:`Coding.feed`."""
        while data:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
            self._began = True
            yield from _inflate(self._inflater, data, "gzip")
            data = self._inflater.unused_data

    def finish(self) -> None:
        """As :meth:`Coding.finish`. A body without an octet is one without a coding."""
        if self._began and not self._inflater.eof:
            raise DecodingFailed("the body ends within its gzip coding")


class Deflate:
    """
    deflate (RFC 9110 section 8.4.1.2): zlib's format, or, as some servers understand it, the bare
    stream inside. The first two octets tell (RFC 1950 section 2.2).
    """

    def __init__(self) -> None:
        self._inflater: Any = None
        self._first = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """As :meth:`Coding.feed`."""
        if self._inflater is None:
            data = self._first = self._first + data
            if len(data) < 2:
                return
            has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        yield from _inflate(self._inflater, data, "deflate")
        if self._inflater.unused_data:
            raise DecodingFailed("octets after the end of the deflate coding")

    def finish(self) -> None:
        """As :meth:`Coding.finish`."""
        if self._first and not (self._inflater is not None and self._inflater.eof):
            raise DecodingFailed("the body ends within its deflate coding")


def _inflate(inflater: Any, data: bytes, name: str) -> Iterator[bytes]:
    """Pieces out of zlib, which keeps what it was not given room for."""
    while True:
        try:
            piece = inflater.decompress(data, PIECE)
        except zlib.error as error:
            raise DecodingFailed(f"the {name} coding is corrupt: {error}") from error
        if piece:
            yield piece
        data = inflater.unconsumed_tail
        # At its end zlib leaves the tail as it was, and what is behind the end in unused_data.
        if inflater.eof or (not data and len(piece) < PIECE):
            return


class Brotli:
    """br (RFC 7932), by the package brotli, or brotlicffi."""

    def __init__(self, module: Any) -> None:
        self._error = module.error
        self._decompressor = module.Decompressor()
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """As :meth:`Coding.feed`."""
        self._began = self._began or bool(data)
        while True:
            if data and self._decompressor.is_finished():
                raise DecodingFailed("octets after the end of the br coding")
            try:
                piece = self._decompressor.process(data, output_buffer_limit=PIECE)
            except self._error as error:
                raise DecodingFailed(f"the br coding is corrupt: {error}") from error
            data = b""
            if piece:
                yield bytes(piece)
            # That it takes more does not say that it has given all: only nothing says so.
            if not piece or self._decompressor.is_finished():
                return

    def finish(self) -> None:
        """As :meth:`Coding.finish`."""
        if self._began and not self._decompressor.is_finished():
            raise DecodingFailed("the body ends within its br coding")


class Zstandard:
    """zstd (RFC 8878), of one frame or several, by the standard library or backports.zstd."""

    #: The window that a decoder has to support, as a power of 2 (RFC 9659).
    WINDOW_LOG = 23

    def __init__(self, module: Any) -> None:
        self._module = module
        self._decompressor = self._new()
        self._began = False

    def _new(self) -> Any:
        parameter = self._module.DecompressionParameter.window_log_max
        return self._module.ZstdDecompressor(options={parameter: self.WINDOW_LOG})

    def feed(self, data: bytes) -> Iterator[bytes]:
        """As :meth:`Coding.feed`."""
        while data:
            if self._decompressor.eof:
                self._decompressor = self._new()
            self._began = True
            while True:
                try:
                    piece = self._decompressor.decompress(data, PIECE)
                except self._module.ZstdError as error:
                    raise DecodingFailed(f"the zstd coding is corrupt: {error}") from error
                data = b""
                if piece:
                    yield piece
                if self._decompressor.eof or self._decompressor.needs_input:
                    break
            if self._decompressor.eof:
                data = self._decompressor.unused_data

    def finish(self) -> None:
        """As :meth:`Coding.finish`."""
        if self._began and not self._decompressor.eof:
            raise DecodingFailed("the body ends within its zstd coding")


def _first_of(names: Sequence[str]) -> Any:
    """The first of the modules that is installed, or None."""
    modules = (_module(name) for name in names)
    return next((module for module in modules if module is not None), None)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def codings() -> dict[bytes, Callable[[], Coding]]:
    """What can be decoded here, best first: gzip and deflate always, the others if installed."""
    found: dict[bytes, Callable[[], Coding]] = {}
    zstd = _first_of(["compression.zstd", "backports.zstd"])
    if zstd is not None:
        found[b"zstd"] = lambda: Zstandard(zstd)
    brotli = _first_of(["brotli", "brotlicffi"])
    if brotli is not None:
        found[b"br"] = lambda: Brotli(brotli)
    found[b"gzip"] = found[b"x-gzip"] = Gzip
    found[b"deflate"] = Deflate
    return found


class Refused:
    """A coding that cannot be undone here. A body without an octet is one without a coding."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def feed(self, data: bytes) -> Iterator[bytes]:
        """As :meth:`Coding.feed`; it raises."""
        if data:
            raise DecodingFailed(self._reason)
        return iter(())

    def finish(self) -> None:
        """As :meth:`Coding.finish`."""


_known = cache(codings)


def chain_for(names: Sequence[bytes], bounds: Bounds) -> list[Coding]:
    """
    What undoes the codings of a body.

    :param names: in lower case, the one that was applied first first, as content-encoding has
        them. One that is not known here, and too many of them, fail with the first octet.
    """
    if len(names) > bounds.content_codings:
        return [
            Refused(
                f"the body has {len(names)} codings, one in the other, of which no more than "
                f"{bounds.content_codings} are undone (bound content_codings)"
            )
        ]
    known = _known()
    return [
        known[name]()
        if name in known
        else Refused(f"the content coding {name.decode('latin-1')!r} is not known here")
        for name in reversed(names)
    ]


class Decoding:
    """A body with one coding or a chain of them, within limits."""

    def __init__(self, chain: Sequence[Coding], bounds: Bounds) -> None:
        """
        :param chain: the codings, the one that was applied last first.
        :param bounds: for the size and the ratio.
        """
        self._chain = list(chain)
        self._bounds = bounds
        # How many went into each coding, and, last, how many came out of all.
        self._octets = [0] * (len(chain) + 1)

    @property
    def received(self) -> int:
        """Octets that went in."""
        return self._octets[0]

    @property
    def decoded(self) -> int:
        """Octets that came out."""
        return self._octets[-1]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Pieces of what the octets decode to, made one at a time.

        :raises DecodingFailed: a coding is broken.
        :raises BodyTooLarge: a bound is passed: ``decoded_body_size`` or ``decoded_ratio``, after
            the whole chain or within it.
        """
        return self._through(data, 0)

    def _through(self, data: bytes, place: int) -> Iterator[bytes]:
        self._octets[place] += len(data)
        if place:
            self._check(self._octets[place])
        if place == len(self._chain):
            yield data
            return
        for piece in self._chain[place].feed(data):
            yield from self._through(piece, place + 1)

    def _check(self, decoded: int) -> None:
        bounds = self._bounds
        if decoded > bounds.decoded_body_size:
            raise BodyTooLarge(
                f"the body decodes to more than {bounds.decoded_body_size} octets "
                "(bound decoded_body_size)"
            )
        if decoded > RATIO_FROM and decoded > self.received * bounds.decoded_ratio:
            raise BodyTooLarge(
                f"the body decodes to more than {bounds.decoded_ratio} times its octets "
                "(bound decoded_ratio)"
            )

    def finish(self) -> None:
        """
        The body has ended.

        :raises DecodingFailed: a coding has not.
        """
        for coding in self._chain:
            coding.finish()
