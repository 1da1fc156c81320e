"""
Tests for :mod:`txhyper.core.nghttp2` and its table of shapes.

They run against the real library where it is installed, and everywhere against a stand-in that
reads and writes the same memory.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any
from unittest import mock

import cffi
from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core import nghttp2, nghttp2_abi

DECLARATIONS = """
typedef struct {
    uint8_t *name; uint8_t *value; size_t namelen; size_t valuelen; uint8_t flags;
} nghttp2_nv;
typedef struct nghttp2_hd_deflater nghttp2_hd_deflater;
int nghttp2_hd_deflate_new(nghttp2_hd_deflater **deflater_ptr, size_t max_table_size);
void nghttp2_hd_deflate_del(nghttp2_hd_deflater *deflater);
int nghttp2_hd_deflate_change_table_size(nghttp2_hd_deflater *deflater, size_t max_table_size);
ssize_t nghttp2_hd_deflate_hd(nghttp2_hd_deflater *deflater, uint8_t *buf, size_t buflen,
                              const nghttp2_nv *nva, size_t nvlen);
typedef struct {
    int age; int version_num; const char *version_str; const char *proto_str;
} nghttp2_info;
nghttp2_info *nghttp2_version(int least_version);
"""


class StandIn:
    """The library's functions, in Python, on the same memory."""

    def __init__(self, ffi: Any, failure: int = 0) -> None:
        self.ffi = ffi
        self.failure = failure
        self.encoders: list[Encoder | None] = []
        self._version = ffi.new("char[]", b"0.0.0")
        self._info = ffi.new("nghttp2_info *", {"version_str": self._version})

    def nghttp2_version(self, least: int) -> Any:
        return self._info

    def nghttp2_hd_deflate_new(self, pointer: Any, size: int) -> int:
        self.encoders.append(Encoder())
        pointer[0] = self.ffi.cast("nghttp2_hd_deflater *", len(self.encoders))
        return self.failure

    def _place(self, deflater: Any) -> int:
        return int(self.ffi.cast("size_t", deflater)) - 1

    def nghttp2_hd_deflate_del(self, deflater: Any) -> None:
        self.encoders[self._place(deflater)] = None

    def nghttp2_hd_deflate_change_table_size(self, deflater: Any, size: int) -> int:
        encoder = self.encoders[self._place(deflater)]
        assert encoder is not None
        encoder.header_table_size = size
        return self.failure

    def nghttp2_hd_deflate_hd(
        self, deflater: Any, buffer: Any, room: int, array: Any, count: int
    ) -> int:
        encoder = self.encoders[self._place(deflater)]
        assert encoder is not None
        fields = []
        for item in array:
            name = bytes(self.ffi.buffer(item.name, item.namelen))
            value = bytes(self.ffi.buffer(item.value, item.valuelen))
            secret = item.flags & nghttp2.NO_INDEX
            fields.append((NeverIndexedHeaderTuple if secret else HeaderTuple)(name, value))
        # The library codes a string only where that makes it shorter; hpack would always.
        block = encoder.encode(fields, huffman=False)
        assert len(block) <= room
        self.ffi.buffer(buffer, room)[: len(block)] = block
        return self.failure or len(block)


def libraries() -> list[nghttp2.Library]:
    """The stand-in, and the real one where it is installed."""
    ffi = nghttp2_abi.make_ffi()
    real = nghttp2._find()
    found = [nghttp2.Library(ffi, StandIn(ffi))]
    return found if real is None else [*found, real]


class ShapeTests(SynchronousTestCase):
    """The table that was generated."""

    def test_generatedFromTheDeclarations(self) -> None:
        """cffi makes the same table of the declarations in C."""
        ffi = cffi.FFI()
        ffi.set_source("shapes", None)
        ffi.cdef(DECLARATIONS)
        ffi.emit_python_code("shapes.py")
        made: dict[str, Any] = {}
        source = Path("shapes.py").read_text("utf-8").replace("_cffi_backend.FFI(", "keep(")

        def keep(name: str, **table: object) -> None:
            made.update(table)

        exec(source, {"keep": keep})
        for key, value in {
            "_types": nghttp2_abi.TYPES,
            "_globals": nghttp2_abi.GLOBALS,
            "_struct_unions": nghttp2_abi.STRUCTS,
            "_typenames": nghttp2_abi.TYPENAMES,
        }.items():
            self.assertEqual(made[key], value, key)


class LoadTests(SynchronousTestCase):
    """Which library is taken."""

    def setUp(self) -> None:
        self.addCleanup(nghttp2._find.cache_clear)
        nghttp2._find.cache_clear()

    def test_refused(self) -> None:
        """TXHYPER_HPACK=python refuses the library, at any time."""
        with mock.patch.dict(os.environ, {"TXHYPER_HPACK": "python"}):
            self.assertIsNone(nghttp2.load())

    def test_taken(self) -> None:
        """Without it, what is found is taken, and looked for once."""
        found = object()
        with (
            mock.patch.dict(os.environ, clear=True),
            mock.patch.object(nghttp2, "_find", return_value=found),
        ):
            self.assertIs(found, nghttp2.load())

    def test_found(self) -> None:
        """The first name that opens is it."""
        ffi = nghttp2_abi.make_ffi()
        opener = mock.Mock(wraps=ffi)
        opener.dlopen.side_effect = [OSError("no such file"), StandIn(ffi)]
        with mock.patch.object(nghttp2, "make_ffi", return_value=opener):
            library = nghttp2._find()
        assert library is not None
        self.assertEqual("0.0.0", library.version)

    def test_notInstalled(self) -> None:
        """Without the library, or without cffi, there is none."""
        opener = mock.Mock()
        opener.dlopen.side_effect = OSError("no such file")
        for patched in (
            mock.patch.object(nghttp2, "make_ffi", return_value=opener),
            mock.patch.object(nghttp2, "make_ffi", side_effect=ImportError),
        ):
            nghttp2._find.cache_clear()
            with patched:
                self.assertIsNone(nghttp2._find())


class DeflaterTests(SynchronousTestCase):
    """One connection's compressor."""

    @law
    @given(
        st.lists(
            st.tuples(
                st.lists(
                    st.tuples(
                        st.sampled_from([b"a", b"accept", b"cookie", b"x" * 200]),
                        st.binary(max_size=300),
                    ),
                    max_size=6,
                ),
                st.sampled_from([None, 0, 100, 4096]),
            ),
            max_size=10,
        )
    )
    def test_sessions(self, blocks: list[tuple[list[tuple[bytes, bytes]], int | None]]) -> None:
        """A long session with table size changes is read by hpack as it was written."""
        for library in libraries():
            deflater, decoder = nghttp2.Deflater(library, 4096), Decoder(1 << 20)
            for fields, size in blocks:
                if size is not None:
                    deflater.header_table_size = size
                    self.assertEqual(size, deflater.header_table_size)
                read = decoder.decode(deflater.encode(fields), raw=True)
                self.assertEqual(fields, [(name, value) for name, value in read])

    def test_secretsAreNeverIndexed(self) -> None:
        """A secret comes out marked, and is in no table."""
        for library in libraries():
            decoder = Decoder()
            block = nghttp2.Deflater(library, 4096).encode([(b"authorization", b"secret")])
            (field,) = decoder.decode(block, raw=True)
            self.assertFalse(field.indexable)
            self.assertEqual(0, len(decoder.header_table.dynamic_entries))

    def test_memoryGoesWithTheConnection(self) -> None:
        """The compressor is freed when nobody holds it."""
        ffi = nghttp2_abi.make_ffi()
        functions = StandIn(ffi)
        deflater = nghttp2.Deflater(nghttp2.Library(ffi, functions), 4096)
        self.assertIsNotNone(functions.encoders[0])
        del deflater
        gc.collect()
        self.assertIsNone(functions.encoders[0])

    def test_noMemory(self) -> None:
        """The library's failures are errors of memory, which is all they can be."""
        ffi = nghttp2_abi.make_ffi()
        functions = StandIn(ffi)
        library = nghttp2.Library(ffi, functions)
        deflater = nghttp2.Deflater(library, 4096)
        functions.failure = -901
        with self.assertRaises(MemoryError):
            nghttp2.Deflater(library, 4096)
        with self.assertRaises(MemoryError):
            deflater.header_table_size = 5
        with self.assertRaises(MemoryError):
            deflater.encode([(b"a", b"b")])
