"""
The frame layer: nine octets of header, and what follows them (RFC 9113 section 4).

Owns the layout of frames on the wire. Keeps nothing between calls and knows no stream. The engine
reads the frame header with :data:`read_header` in its own loop, since a call for each frame is
what the hot path can least afford, and packs its frames with the functions below.

The rules kept here:

* a frame's payload never exceeds what the peer accepts: header blocks are split into
  CONTINUATION frames, DATA is cut by the caller;
* padding is taken off in one place, and a frame whose padding leaves no room is an error of the
  connection (RFC 9113 section 6.1);
* the reserved bit is ignored when read and zero when sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from h2.errors import ErrorCodes

from txhyper.errors import code_name

__all__ = [
    "ACK",
    "ALTSVC",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "HEADER_LENGTH",
    "MAX_WINDOW",
    "ORIGIN",
    "PADDED",
    "PING",
    "PRIORITY",
    "PRIORITY_FLAG",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "STREAM_MASK",
    "WINDOW_UPDATE",
    "FrameError",
    "cut",
    "describe",
    "origin_entries",
    "pack",
    "pack_data_header",
    "pack_goaway",
    "pack_headers",
    "pack_origin",
    "pack_reset",
    "pack_window_update",
    "read_header",
    "without_padding",
]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0x0, 0x1, 0x2, 0x3, 0x4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, ALTSVC = 0x5, 0x6, 0x7, 0x8, 0x9, 0xA
ORIGIN = 0xC

NAMES = {
    DATA: "DATA",
    HEADERS: "HEADERS",
    PRIORITY: "PRIORITY",
    RST_STREAM: "RST_STREAM",
    SETTINGS: "SETTINGS",
    PUSH_PROMISE: "PUSH_PROMISE",
    PING: "PING",
    GOAWAY: "GOAWAY",
    WINDOW_UPDATE: "WINDOW_UPDATE",
    CONTINUATION: "CONTINUATION",
    ALTSVC: "ALTSVC",
    ORIGIN: "ORIGIN",
    0x10: "PRIORITY_UPDATE",
}

END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 0x1, 0x1, 0x4, 0x8, 0x20

#: Which flags a frame type has, in the order they are shown.
FLAGS = {
    DATA: ((END_STREAM, "END_STREAM"), (PADDED, "PADDED")),
    HEADERS: (
        (END_STREAM, "END_STREAM"),
        (END_HEADERS, "END_HEADERS"),
        (PADDED, "PADDED"),
        (PRIORITY_FLAG, "PRIORITY"),
    ),
    SETTINGS: ((ACK, "ACK"),),
    PUSH_PROMISE: ((END_HEADERS, "END_HEADERS"), (PADDED, "PADDED")),
    PING: ((ACK, "ACK"),),
    CONTINUATION: ((END_HEADERS, "END_HEADERS"),),
}

SETTING_NAMES = {
    1: "HEADER_TABLE_SIZE",
    2: "ENABLE_PUSH",
    3: "MAX_CONCURRENT_STREAMS",
    4: "INITIAL_WINDOW_SIZE",
    5: "MAX_FRAME_SIZE",
    6: "MAX_HEADER_LIST_SIZE",
    8: "ENABLE_CONNECT_PROTOCOL",
    9: "NO_RFC7540_PRIORITIES",
}

HEADER_LENGTH = 9
STREAM_MASK = 0x7FFFFFFF
#: The largest flow-control window (RFC 9113 section 6.9.1).
MAX_WINDOW = 0x7FFFFFFF

_header = struct.Struct(">LBL")
_long = struct.Struct(">L")
_setting = struct.Struct(">HL")

#: ``(length << 8 | type, flags, stream id with the reserved bit)`` at an offset of a buffer.
read_header = _header.unpack_from


class FrameError(Exception):
    """A frame that breaks RFC 9113 sections 4 or 6, with the error code for it."""

    def __init__(self, code: ErrorCodes, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def without_padding(payload: bytes) -> bytes:
    """
    The payload of a PADDED frame without its padding and the octet that tells its length.

    :raises FrameError: the padding is as long as the payload or longer, or there is no octet
        that tells (RFC 9113 section 6.1).
    """
    if not payload:
        raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "PADDED frame without a padding length")
    end = len(payload) - payload[0]
    if end < 1:
        raise FrameError(ErrorCodes.PROTOCOL_ERROR, "padding as long as the payload or longer")
    return payload[1:end]


def pack(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return _header.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def pack_data_header(length: int, flags: int, stream_id: int) -> bytes:
    """A DATA frame's header alone: its payload is appended to the output without a copy."""
    return _header.pack(length << 8, flags, stream_id)


def pack_headers(stream_id: int, block: bytes, end_stream: bool, max_frame_size: int) -> bytes:
    """
    A header block as one HEADERS frame and as many CONTINUATION frames as it takes.

    They are one string: nothing may come between them (RFC 9113 section 4.3).
    """
    end = END_STREAM if end_stream else 0
    length = len(block)
    if length <= max_frame_size:
        return _header.pack(length << 8 | HEADERS, end | END_HEADERS, stream_id) + block
    parts = [pack(HEADERS, end, stream_id, block[:max_frame_size])]
    for start in range(max_frame_size, length, max_frame_size):
        stop = start + max_frame_size
        flags = END_HEADERS if stop >= length else 0
        parts.append(pack(CONTINUATION, flags, stream_id, block[start:stop]))
    return b"".join(parts)


def pack_reset(stream_id: int, code: int) -> bytes:
    """RST_STREAM (RFC 9113 section 6.4)."""
    return pack(RST_STREAM, 0, stream_id, _long.pack(code))


def pack_window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE for a stream, or for the connection with stream id 0 (section 6.9)."""
    return pack(WINDOW_UPDATE, 0, stream_id, _long.pack(increment))


def pack_goaway(last_stream_id: int, code: int, debug_data: bytes = b"") -> bytes:
    """GOAWAY (RFC 9113 section 6.8)."""
    return pack(GOAWAY, 0, 0, _long.pack(last_stream_id) + _long.pack(code) + debug_data)


def pack_origin(origins: Iterable[bytes]) -> bytes:
    """ORIGIN (RFC 8336 section 2.1)."""
    entries = [len(origin).to_bytes(2, "big") + origin for origin in origins]
    return pack(ORIGIN, 0, 0, b"".join(entries))


def origin_entries(payload: bytes) -> list[bytes] | None:
    """The entries of an ORIGIN frame, whatever they say; None if the last one is cut off."""
    entries = []
    position, size = 0, len(payload)
    while position < size:
        start = position + 2
        position = start + int.from_bytes(payload[position:start], "big")
        entries.append(payload[start:position])
    return entries if position == size else None


def cut(octets: bytes) -> list[tuple[int, int, int, bytes]]:
    """
    Whole frames as ``(type, flags, stream id, payload)``; what is left of an unfinished frame is
    dropped. For the frame log and for tests: the hot path has its own loop.
    """
    frames = []
    position = 0
    while len(octets) - position >= HEADER_LENGTH:
        length_and_kind, flags, stream_id = read_header(octets, position)
        start = position + HEADER_LENGTH
        position = start + (length_and_kind >> 8)
        if position <= len(octets):
            payload = octets[start:position]
            frames.append((length_and_kind & 0xFF, flags, stream_id & STREAM_MASK, payload))
    return frames


def describe(kind: int, flags: int, stream_id: int, payload: bytes) -> str:
    """One line about a frame, for people who debug a conversation."""
    words = [NAMES.get(kind, f"0x{kind:02x}"), f"stream={stream_id}", f"length={len(payload)}"]
    shown = [name for bit, name in FLAGS.get(kind, ()) if flags & bit]
    if shown:
        words.append("flags=" + "|".join(shown))
    words.extend(_details(kind, payload))
    return " ".join(words)


def _details(kind: int, payload: bytes) -> list[str]:
    """What the payload says, for the types whose payload is a few numbers."""
    if kind == SETTINGS and len(payload) % 6 == 0:
        return [
            f"{SETTING_NAMES.get(code, f'0x{code:x}')}={value}"
            for code, value in _setting.iter_unpack(payload)
        ]
    if kind == RST_STREAM and len(payload) == 4:
        return ["code=" + code_name(_long.unpack(payload)[0])]
    if kind == WINDOW_UPDATE and len(payload) == 4:
        return [f"increment={_long.unpack(payload)[0] & MAX_WINDOW}"]
    if kind == GOAWAY and len(payload) >= 8:
        last, code = _long.unpack_from(payload)[0], _long.unpack_from(payload, 4)[0]
        return [
            f"last_stream={last & STREAM_MASK}",
            f"code={code_name(code)}",
            f"debug={payload[8:]!r}",
        ]
    if kind == ORIGIN and (entries := origin_entries(payload)) is not None:
        return [f"origins={entries}"]
    if kind == PING:
        return ["data=" + payload.hex()]
    return []
