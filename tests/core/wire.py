"""
What the tests of this folder share: frames made octet by octet, and a server to speak them.

Nothing of txhyper makes a frame here, so that the engine is judged by another reading of the RFC.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hpack import Decoder, Encoder
from hypothesis import settings
from hypothesis import strategies as st

from txhyper.core.bounds import Bounds
from txhyper.core.engine import Engine
from txhyper.core.facts import Fact
from txhyper.core.sending import Trace
from txhyper.core.streams import Stream
from txhyper.core.windows import (
    AutoTuningFlowControlManager,
    BaseFlowControlManager,
    ConsumptionFlowControlManager,
    FlowControlManager,
    ReceiptFlowControlManager,
)

#: The same examples in every run; they are many, and small.
law = settings(derandomize=True, deadline=None, max_examples=100, database=None)

#: Every window manager of ours.
MANAGERS: list[type[BaseFlowControlManager]] = [
    FlowControlManager,
    ConsumptionFlowControlManager,
    ReceiptFlowControlManager,
    AutoTuningFlowControlManager,
]

#: The windows that a connection and its streams begin with, in octets, unless told otherwise.
CONNECTION_WINDOW = FlowControlManager.initial_connection_window
STREAM_WINDOW = FlowControlManager.initial_stream_window

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, ALTSVC = range(5, 11)
ORIGIN = 12

#: Flags (RFC 9113 section 6).
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

#: Error codes (RFC 9113 section 7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0x0, 0x1, 0x2, 0x3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 0x5, 0x6, 0x7, 0x8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 0x9, 0xB, 0xD

#: Settings (RFC 9113 section 6.5.2).
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

Frame = tuple[int, int, int, bytes]
Fields = Sequence[tuple[bytes, bytes]]

OK: Fields = [(b":status", b"200")]


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113 section 4.1)."""
    length = struct.pack(">L", len(payload))[1:]
    return length + bytes([kind, flags]) + struct.pack(">L", stream_id) + payload


def split(octets: bytes) -> list[Frame]:
    """Octets that this side has sent, as frames; there is nothing but whole frames."""
    octets = octets.removeprefix(PREFACE)
    found = []
    while octets:
        length = int.from_bytes(octets[:3], "big")
        kind, flags, stream_id = struct.unpack_from(">BBL", octets, 3)
        payload, octets = octets[9 : 9 + length], octets[9 + length :]
        assert len(payload) == length
        found.append((kind, flags, stream_id, payload))
    return found


def settings_frame(values: Iterable[tuple[int, int]] = (), flags: int = 0) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, flags, 0, b"".join(struct.pack(">HL", *pair) for pair in values))


def data(stream_id: int, content: bytes, end: bool = False, padding: int | None = None) -> bytes:
    """DATA; padded if a number of octets is given, which may be 0."""
    flags = END_STREAM if end else 0
    if padding is None:
        return frame(DATA, flags, stream_id, content)
    return frame(DATA, flags | PADDED, stream_id, bytes([padding]) + content + bytes(padding))


def reset(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, struct.pack(">L", code))


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">L", increment))


def goaway(last: int, code: int = NO_ERROR, debug_data: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, 0, struct.pack(">LL", last, code) + debug_data)


def origin_frame(*origins: bytes, flags: int = 0, stream_id: int = 0) -> bytes:
    """ORIGIN (RFC 8336 section 2.1)."""
    entries = [struct.pack(">H", len(origin)) + origin for origin in origins]
    return frame(ORIGIN, flags, stream_id, b"".join(entries))


class Blocks:
    """Header blocks of a server, with the compression context that they share."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    def block(self, fields: Fields) -> bytes:
        """The octets of a header list."""
        return bytes(self._encoder.encode(list(fields)))

    def headers(self, stream_id: int, fields: Fields = OK, end: bool = False) -> bytes:
        """HEADERS, whole."""
        flags = END_HEADERS | (END_STREAM if end else 0)
        return frame(HEADERS, flags, stream_id, self.block(fields))


def seen(facts: Iterable[Fact]) -> list[tuple[Any, ...]]:
    """Facts as plain values that can be compared: the stream by its id, a head by its parts."""
    plain = []
    for what, stream, value, size in facts:
        if hasattr(value, "status"):
            value = (value.status, [tuple(field) for field in value.fields])
        elif isinstance(value, Exception):
            value = (type(value).__name__, str(value))
        elif isinstance(value, list):
            value = [tuple(field) for field in value]
        plain.append((what, None if stream is None else stream.id, value, size))
    return plain


class Conversation:
    """
    An engine whose peer is the test.

    :ivar engine: what is tested; it has greeted, and been greeted unless told otherwise.
    :ivar blocks: the server's header blocks.
    """

    def __init__(
        self,
        greeted: bool = True,
        bounds: Bounds | None = None,
        window_manager: type[BaseFlowControlManager] = FlowControlManager,
        trace: Trace | None = None,
        enable_push: bool = False,
    ) -> None:
        self.engine = Engine("https://a.test", bounds, window_manager, trace, enable_push)
        self.blocks = Blocks()
        self._decoder = Decoder()
        self.greeting = split(self.engine.take())
        if greeted:
            self.hear(settings_frame())
            self.said()

    def open(
        self, method: bytes = b"GET", end: bool = True, fields: Fields = (), owner: Any = None
    ) -> Stream:
        """Open a stream and forget its HEADERS."""
        stream = self.engine.open(owner, method, b"https", b"a.test", b"/", list(fields), end)
        for kind, _, _, payload in split(self.engine.take()):
            if kind == HEADERS:
                self._decoder.decode(payload, raw=True)
        return stream

    def hear(self, octets: bytes) -> list[Fact]:
        """The facts in what the server has sent."""
        return list(self.engine.receive(octets))

    def said(self) -> list[Frame]:
        """The frames that this side has to send, and nothing else."""
        return split(self.engine.take())

    def fields(self, payload: bytes) -> list[tuple[bytes, bytes]]:
        """A header block that this side has sent, opened."""
        return [(name, value) for name, value in self._decoder.decode(payload, raw=True)]


def chunked(octets: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The same octets, cut at these places."""
    borders = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    for start, end in itertools.pairwise(borders):
        yield octets[start:end]


#: Places to cut octets at.
cuts = st.lists(st.integers(0, 1 << 20), max_size=20)
