"""
The shapes of libnghttp2's HPACK compressor, as cffi's ABI mode wants them.

Owns a table that was generated, so that neither a compiler nor cffi's parser of C is needed at run
time; ``tests/core/test_nghttp2.py`` has the declarations in C, generates it again and compares.
Loads nothing: :mod:`txhyper.core.nghttp2` does.
"""

from __future__ import annotations

from typing import Any

__all__ = ["GLOBALS", "STRUCTS", "TYPENAMES", "TYPES", "VERSION", "make_ffi"]

#: cffi's version of this format.
VERSION = 0x2601

# fmt: off
TYPES = (
    b"\x00\x00\x09\x0d\x00\x00\x05\x03\x00\x00\x1c\x01\x00\x00\x00\x0f"
    b"\x00\x00\x09\x0d\x00\x00\x17\x03\x00\x00\x1c\x01\x00\x00\x00\x0f"
    b"\x00\x00\x18\x0d\x00\x00\x07\x01\x00\x00\x00\x0f\x00\x00\x1b\x0d"
    b"\x00\x00\x05\x11\x00\x00\x1c\x03\x00\x00\x1c\x01\x00\x00\x1a\x03"
    b"\x00\x00\x1c\x01\x00\x00\x00\x0f\x00\x00\x1d\x0d\x00\x00\x05\x11"
    b"\x00\x00\x00\x0f\x00\x00\x16\x03\x00\x00\x02\x01\x00\x00\x02\x09"
    b"\x00\x00\x19\x03\x00\x00\x00\x09\x00\x00\x01\x09\x00\x00\x1d\x01"
    b"\x00\x00\x12\x01\x00\x00\x00\x01"
)
GLOBALS = (
    b'\x00\x00\x04#nghttp2_hd_deflate_change_table_size', 0,
    b'\x00\x00\x12#nghttp2_hd_deflate_del', 0,
    b'\x00\x00\x0b#nghttp2_hd_deflate_hd', 0,
    b'\x00\x00\x00#nghttp2_hd_deflate_new', 0,
    b'\x00\x00\x08#nghttp2_version', 0,
)
STRUCTS = (
    (
        b'\x00\x00\x00\x19\x00\x00\x00\x02$nghttp2_info',
        b'\x00\x00\t\x11age',
        b'\x00\x00\t\x11version_num',
        b'\x00\x00\x15\x11version_str',
        b'\x00\x00\x15\x11proto_str',
    ),
    (
        b'\x00\x00\x00\x1a\x00\x00\x00\x02$nghttp2_nv',
        b'\x00\x00\r\x11name',
        b'\x00\x00\r\x11value',
        b'\x00\x00\x02\x11namelen',
        b'\x00\x00\x02\x11valuelen',
        b'\x00\x00\x1c\x11flags',
    ),
    (
        b'\x00\x00\x00\x17\x00\x00\x00\x10nghttp2_hd_deflater',
    ),
)
TYPENAMES = (
    b'\x00\x00\x00\x17nghttp2_hd_deflater',
    b'\x00\x00\x00\x19nghttp2_info',
    b'\x00\x00\x00\x1anghttp2_nv',
)
# fmt: on


def make_ffi() -> Any:
    """
    :return: cffi's interface to the library's functions and types.
    :raises ImportError: there is no cffi.
    """
    from _cffi_backend import FFI

    return FFI(
        "txhyper.core.nghttp2",
        _version=VERSION,
        _types=TYPES,
        _globals=GLOBALS,
        _struct_unions=STRUCTS,
        _typenames=TYPENAMES,
    )
