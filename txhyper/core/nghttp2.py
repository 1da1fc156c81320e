"""
libnghttp2's HPACK compressor, where the library is installed.

Owns the loading of the shared library and one compressor for each connection, whose memory goes
with it. Nothing is compiled and nothing configured: the library is used if it loads, unless the
environment says ``TXHYPER_HPACK=python``. Called by :mod:`txhyper.core.hpack`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from txhyper.core.headers import SENSITIVE, Field
from txhyper.core.nghttp2_abi import make_ffi

__all__ = ["Deflater", "Library", "load"]

#: What the library is called on Linux, on macOS and on Windows.
NAMES = ("libnghttp2.so.14", "libnghttp2.14.dylib", "nghttp2.dll")

#: NGHTTP2_NV_FLAG_NO_INDEX: a literal that is never indexed.
NO_INDEX = 1


class Library:
    """The shared library."""

    def __init__(self, ffi: Any, functions: Any) -> None:
        self.ffi = ffi
        self.functions = functions
        version = ffi.string(functions.nghttp2_version(0).version_str)
        self.version: str = version.decode("ascii")


@lru_cache(maxsize=1)
def _find() -> Library | None:
    """Look for the library, once in a process."""
    try:
        ffi = make_ffi()
    except ImportError:
        return None
    libraries = (_open(ffi, name) for name in NAMES)
    return next((library for library in libraries if library is not None), None)


def _open(ffi: Any, name: str) -> Library | None:
    try:
        return Library(ffi, ffi.dlopen(name))
    except OSError:
        return None


def load() -> Library | None:
    """:return: the library; None if there is none, or the environment refuses it."""
    return None if os.environ.get("TXHYPER_HPACK") == "python" else _find()


class Deflater:
    """One connection's compressor, with the methods of hpack's encoder that are used here."""

    __slots__ = ("_deflater", "_library", "_size")

    def __init__(self, library: Library, table_size: int) -> None:
        """:param table_size: the most that the dynamic table takes, whatever the peer allows."""
        self._library = library
        self._size = table_size
        ffi, functions = library.ffi, library.functions
        pointer = ffi.new("nghttp2_hd_deflater **")
        if functions.nghttp2_hd_deflate_new(pointer, table_size):
            raise MemoryError("libnghttp2 has no memory for a compressor")
        self._deflater = ffi.gc(pointer[0], functions.nghttp2_hd_deflate_del)

    @property
    def header_table_size(self) -> int:
        """The dynamic table's size in octets (RFC 7541 section 4.2)."""
        return self._size

    @header_table_size.setter
    def header_table_size(self, size: int) -> None:
        self._size = size
        if self._library.functions.nghttp2_hd_deflate_change_table_size(self._deflater, size):
            raise MemoryError("libnghttp2 has no memory for a table")

    def encode(self, fields: Sequence[Field]) -> bytes:
        """A part of a header block."""
        ffi = self._library.ffi
        count = len(fields)
        octets = b"".join([part for field in fields for part in field])
        # Kept in a local, as the pointers below do not keep it alive.
        memory = ffi.from_buffer("uint8_t[]", octets)
        array = ffi.new("nghttp2_nv[]", count)
        start = 0
        for item, (name, value) in zip(array, fields, strict=True):
            item.name = memory + start
            item.namelen = len(name)
            start += len(name)
            item.value = memory + start
            item.valuelen = len(value)
            start += len(value)
            if name in SENSITIVE:
                item.flags = NO_INDEX
        # The bound of nghttp2_hd_deflate_bound: integers of six octets, and two table sizes.
        room = 12 + 12 * count + len(octets)
        buffer = ffi.new("uint8_t[]", room)
        length = self._library.functions.nghttp2_hd_deflate_hd(
            self._deflater, buffer, room, array, count
        )
        if length < 0:
            raise MemoryError(f"libnghttp2 cannot compress a header block ({length})")
        return bytes(ffi.buffer(buffer, length))
