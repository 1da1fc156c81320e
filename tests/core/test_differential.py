"""
The same conversation of a server, read by h2 and by us.

h2 is the oracle for everything where it keeps to the RFC. The conversations are valid ones, and
hold nothing of the known differences: no GOAWAY, no malformed response, nothing late on a stream
that was reset (:mod:`tests.core.test_h2_canaries` pins those).
"""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import (
    Blocks,
    Conversation,
    chunked,
    cuts,
    data,
    frame,
    law,
    origin_frame,
    reset,
    seen,
    settings_frame,
    window_update,
)
from txhyper.core import facts

STREAMS = 4

names = st.sampled_from([b"a", b"content-type", b"server", b"x-long-name", b"set-cookie", b"vary"])
values = st.sampled_from([b"", b"1", b"text/html", b"a b", b"\xff\xfe", b"x" * 200])
fields = st.lists(st.tuples(names, values), max_size=4)

#: What a server may do on a stream, or on the connection with stream 0.
steps = st.tuples(
    st.integers(0, STREAMS),
    st.sampled_from(["inform", "respond", "send", "send", "trail", "end", "reset", "window"]),
    fields,
    st.binary(max_size=40),
    st.none() | st.integers(0, 30),
    st.integers(1, 6),
)


class Script:
    """A server that says what it is asked to as long as it makes sense."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._phases = dict.fromkeys(range(1, 2 * STREAMS, 2), "head")
        self.octets = settings_frame([(wire.MAX_CONCURRENT_STREAMS, 50)])

    def head(self, stream_id: int, fields: wire.Fields, end: bool, pieces: int) -> bytes:
        """A header block in some pieces."""
        block = self._blocks.block(fields)
        size = len(block) // pieces + 1
        parts = [block[start : start + size] for start in range(0, len(block), size)] or [b""]
        octets = []
        for number, part in enumerate(parts):
            flags = wire.END_STREAM if end and not number else 0
            if number == len(parts) - 1:
                flags |= wire.END_HEADERS
            kind = wire.CONTINUATION if number else wire.HEADERS
            octets.append(frame(kind, flags, stream_id, part))
        return b"".join(octets)

    def step(
        self,
        which: int,
        what: str,
        fields: list[tuple[bytes, bytes]],
        content: bytes,
        padding: int | None,
        number: int,
    ) -> None:
        """One thing, if it may be said now."""
        if not which:
            self.octets += {
                "send": frame(wire.PING, 0, 0, b"12345678"),
                "reset": frame(wire.PING, wire.ACK, 0, b"abcdefgh"),
                "window": window_update(0, number),
                "respond": settings_frame([(wire.INITIAL_WINDOW_SIZE, 1000 * number)]),
                "end": frame(0xFA, number, 0, content),
                "trail": frame(0xFA, number, 1, content),
                "inform": frame(wire.PRIORITY, 0, 1, bytes(4) + b"\x01")
                + origin_frame(b"https://b.test", content),
            }[what]
            return
        stream_id = 2 * which - 1
        phase = self._phases[stream_id]
        if phase == "over":
            return
        if what == "window":
            self.octets += window_update(stream_id, number)
        elif what == "reset":
            self.octets += reset(stream_id, number + 1)
            self._phases[stream_id] = "over"
        elif phase == "head" and what == "inform":
            head = [(b":status", b"103"), *fields]
            self.octets += self.head(stream_id, head, False, number)
        elif phase == "head" and what in ("respond", "end"):
            end = what == "end"
            # Statuses that have content: 204 would not.
            head = [(b":status", b"%d" % (210 + number)), *fields]
            if number > 4 and not end:
                head.append((b"content-length", b"%d" % len(content)))
                self.octets += self.head(stream_id, head, False, number)
                self.octets += data(stream_id, content, True, padding)
                end = True
            else:
                self.octets += self.head(stream_id, head, end, number)
            self._phases[stream_id] = "over" if end else "body"
        elif phase == "body" and what in ("send", "end"):
            self.octets += data(stream_id, content, what == "end", padding)
            if what == "end":
                self._phases[stream_id] = "over"
        elif phase == "body" and what == "trail":
            self.octets += self.head(stream_id, fields, True, number)
            self._phases[stream_id] = "over"


def as_h2_reads(octets: bytes, places: list[int]) -> list[Any]:
    """What h2's own client makes of it."""
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    h2.initiate_connection()
    # As wide as ours, so that no window is in the way.
    h2.increment_flow_control_window((1 << 25) - 65535)
    for number in range(STREAMS):
        h2.send_headers(
            2 * number + 1,
            [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")],
            end_stream=True,
        )
    found: list[Any] = []
    for chunk in chunked(octets, places):
        for event in h2.receive_data(chunk):
            found.extend(as_plain(event))
    return found


def as_plain(event: Any) -> list[Any]:
    """An event of h2's in the words of our facts."""
    if isinstance(event, InformationalResponseReceived | ResponseReceived):
        what = facts.RESPONDED if isinstance(event, ResponseReceived) else facts.INFORMED
        (_, status), *rest = (tuple(field) for field in event.headers)
        return [(what, event.stream_id, (int(status), rest), 0)]
    if isinstance(event, DataReceived):
        size = event.flow_controlled_length
        return [(facts.RECEIVED, event.stream_id, event.data, size)]
    if isinstance(event, TrailersReceived):
        fields = [tuple(field) for field in event.headers]
        return [(facts.TRAILED, event.stream_id, fields, 0)]
    if isinstance(event, StreamEnded):
        return [(facts.FINISHED, event.stream_id, None, 0)]
    if isinstance(event, StreamReset):
        return [(facts.FAILED, event.stream_id, event.error_code, 0)]
    if isinstance(event, WindowUpdated):
        return [(facts.OPENED, event.stream_id or None, None, 0)]
    if isinstance(event, RemoteSettingsChanged):
        return [(facts.SETTLED, None, None, 0)]
    if isinstance(event, PingAckReceived):
        return [(facts.PONGED, None, event.ping_data, 0)]
    return []


def as_we_read(octets: bytes, places: list[int]) -> list[Any]:
    """What our engine makes of it."""
    conversation = Conversation(greeted=False)
    for _ in range(STREAMS):
        conversation.open()
    found: list[Any] = []
    for chunk in chunked(octets, places):
        for fact in conversation.engine.receive(chunk):
            what, stream, error, _ = fact
            if what == facts.FAILED:
                found.append((what, stream.id, error.code, 0))
            elif what != facts.ANNOUNCED:
                # h2 knows no ORIGIN frames: to it they are of an unknown type.
                found.extend(seen([fact]))
    return found


class DifferentialTests(SynchronousTestCase):
    """Heads, bodies, trailers, resets, ends, and everything of the connection."""

    @law
    @given(st.lists(steps, max_size=40), cuts, cuts)
    def test_same(self, said: list[Any], ours: list[int], theirs: list[int]) -> None:
        """Both tell the same, in the same order, however each of them was fed."""
        script = Script()
        for step in said:
            script.step(*step)
        self.assertEqual(as_h2_reads(script.octets, theirs), as_we_read(script.octets, ours))

    def test_something_of_everything(self) -> None:
        """The comparison is not of nothing: a script of all steps has all facts but the end's."""
        script = Script()
        plain: list[Any] = [[(b"a", b"b")], b"content", 5, 2]
        for which in range(STREAMS + 1):
            for what in ("inform", "respond", "window", "send"):
                script.step(which, what, *plain)
        for which, what in ((1, "trail"), (2, "end"), (3, "reset"), (0, "reset"), (0, "trail")):
            script.step(which, what, *plain)
        told = as_we_read(script.octets, [])
        self.assertEqual(as_h2_reads(script.octets, []), told)
        self.assertEqual(set(range(11)) - {facts.STOPPED, facts.GONE}, {what for what, *_ in told})
