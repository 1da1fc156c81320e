"""Tests for :mod:`txhyper.core.receiving`: what the peer says of streams."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import (
    CONNECTION_WINDOW,
    MANAGERS,
    STREAM_WINDOW,
    Conversation,
    Fields,
    data,
    frame,
    goaway,
    law,
    reset,
    seen,
    settings_frame,
    window_update,
)
from txhyper.core.bounds import Bounds
from txhyper.core.facts import (
    FAILED,
    FINISHED,
    GONE,
    INFORMED,
    OPENED,
    RECEIVED,
    RESPONDED,
    STOPPED,
    TRAILED,
)
from txhyper.core.streams import Stream
from txhyper.core.windows import BaseFlowControlManager, ReceiptFlowControlManager
from txhyper.errors import (
    BoundExceeded,
    HTTP11Required,
    MalformedResponse,
    ProtocolViolation,
    StreamRefused,
    StreamReset,
)

END = [(FINISHED, 1, None, 0)]


class ReceivingCase(SynchronousTestCase):
    """A connection with one open GET, stream 1."""

    def setUp(self) -> None:
        """Open it."""
        self.conversation = Conversation()
        self.engine = self.conversation.engine
        self.blocks = self.conversation.blocks
        self.stream = self.conversation.open()

    def hear(self, octets: bytes) -> list[tuple[Any, ...]]:
        """The facts, as plain values."""
        return seen(self.conversation.hear(octets))

    def assertViolation(self, code: int, octets: bytes, text: str = "") -> None:
        """These octets end the connection with this code, and a GOAWAY says it."""
        error = self.assertRaises(ProtocolViolation, self.conversation.hear, octets)
        self.assertEqual(code, error.code)
        self.assertIn(text, str(error))
        self.assertTrue(str(error).startswith("https://a.test: "))
        kind, _, _, payload = self.conversation.said()[-1]
        self.assertEqual((wire.GOAWAY, struct.pack(">LL", 0, code)), (kind, payload))

    def assertRefused(self, code: int, octets: bytes, text: str = "") -> None:
        """
        These octets fail stream 1 with this code and one RST_STREAM; its neighbour lives, and
        what comes late for stream 1 draws no second RST_STREAM (RFC 9113 section 8.1.1).
        """
        neighbour = self.conversation.open()
        facts = self.conversation.hear(octets)
        what, stream, error, size = facts[-1]
        self.assertEqual((FAILED, self.stream, 0), (what, stream, size))
        self.assertIsInstance(error, MalformedResponse)
        self.assertEqual((code, 1), (error.code, error.stream_id))
        self.assertTrue(str(error).startswith("https://a.test: stream 1: "))
        self.assertIn(text, str(error))
        self.assertTrue(self.stream.closed)
        late = data(1, b"late") + reset(1, wire.CANCEL) + window_update(1, 1)
        self.assertEqual([], self.hear(self.blocks.headers(1) + late))
        self.assertEqual(
            [(wire.RST_STREAM, 0, 1, struct.pack(">L", code))], self.conversation.said()
        )
        self.assertEqual(
            [(RESPONDED, 3, (200, []), 0), (FINISHED, 3, None, 0)],
            self.hear(self.blocks.headers(3, end=True)),
        )
        self.assertTrue(neighbour.closed)

    def assertBound(self, bound: str, octets: bytes) -> None:
        """These octets fail stream 1, with an error that names the bound; its neighbour lives."""
        self.conversation.open()
        ((what, stream, error, _),) = self.conversation.hear(octets)
        self.assertEqual((FAILED, self.stream), (what, stream))
        self.assertIsInstance(error, BoundExceeded)
        self.assertEqual(bound, error.bound)
        self.assertTrue(str(error).startswith("https://a.test: stream 1: more than "))
        self.assertIn(f"(bound {bound}, ENHANCE_YOUR_CALM)", str(error))
        code = struct.pack(">L", wire.ENHANCE_YOUR_CALM)
        self.assertEqual([(wire.RST_STREAM, 0, 1, code)], self.conversation.said())
        self.assertEqual(
            [(RESPONDED, 3, (200, []), 0), (FINISHED, 3, None, 0)],
            self.hear(self.blocks.headers(3, end=True)),
        )


class ResponseTests(ReceivingCase):
    """Responses, as facts."""

    def test_head_alone(self) -> None:
        """A response may end with its head."""
        fields = [*wire.OK, (b"a", b"b"), (b"a", b"c")]
        self.assertEqual(
            [(RESPONDED, 1, (200, [(b"a", b"b"), (b"a", b"c")]), 0), *END],
            self.hear(self.blocks.headers(1, fields, end=True)),
        )
        self.assertEqual((True, []), (self.stream.closed, list(self.engine.streams)))
        self.assertEqual([], self.conversation.said())

    def test_body(self) -> None:
        """Content comes frame by frame, with the length that has to be credited."""
        self.assertEqual(
            [
                (RESPONDED, 1, (200, []), 0),
                (RECEIVED, 1, b"one", 3),
                (RECEIVED, 1, b"", 0),
                (RECEIVED, 1, b"two", 3),
                *END,
            ],
            self.hear(
                self.blocks.headers(1) + data(1, b"one") + data(1, b"") + data(1, b"two", True)
            ),
        )

    def test_end_alone(self) -> None:
        """The end may come in an empty frame."""
        self.hear(self.blocks.headers(1))
        self.assertEqual([(RECEIVED, 1, b"", 0), *END], self.hear(data(1, b"", True)))

    def test_trailers(self) -> None:
        """Trailers come after the content, and end the response."""
        self.hear(self.blocks.headers(1) + data(1, b"x"))
        self.assertEqual(
            [(TRAILED, 1, [(b"sum", b"1")], 0), *END],
            self.hear(self.blocks.headers(1, [(b"sum", b"1")], end=True)),
        )
        self.assertTrue(self.stream.closed)

    def test_trailers_without_content(self) -> None:
        """There need be no content before them; nor need they have a field."""
        self.hear(self.blocks.headers(1))
        self.assertEqual(
            [(TRAILED, 1, [], 0), *END], self.hear(self.blocks.headers(1, [], end=True))
        )

    def test_informational(self) -> None:
        """1xx responses come before the final one, any number of them."""
        early = [(b":status", b"103"), (b"link", b"x")]
        self.assertEqual(
            [
                (INFORMED, 1, (100, []), 0),
                (INFORMED, 1, (103, [(b"link", b"x")]), 0),
                (RESPONDED, 1, (200, []), 0),
                *END,
            ],
            self.hear(
                self.blocks.headers(1, [(b":status", b"100")])
                + self.blocks.headers(1, early)
                + self.blocks.headers(1, end=True)
            ),
        )

    def test_interleaved(self) -> None:
        """Frames of many streams come in any order."""
        self.conversation.open()
        self.assertEqual(
            [
                (RESPONDED, 3, (200, []), 0),
                (RESPONDED, 1, (404, []), 0),
                (RECEIVED, 3, b"3", 1),
                (RECEIVED, 1, b"1", 1),
                *END,
                (RECEIVED, 3, b"", 0),
                (FINISHED, 3, None, 0),
            ],
            self.hear(
                self.blocks.headers(3)
                + self.blocks.headers(1, [(b":status", b"404")])
                + data(3, b"3")
                + data(1, b"1", True)
                + data(3, b"", True)
            ),
        )

    def test_content_length(self) -> None:
        """A matching content-length is nothing to speak of."""
        head = self.blocks.headers(1, [*wire.OK, (b"content-length", b"5")])
        facts = self.hear(head + data(1, b"123") + data(1, b"45", True))
        self.assertEqual(FINISHED, facts[-1][0])

    def test_no_content(self) -> None:
        """HEAD and 304 announce the length of what another response would have."""
        self.conversation.open(b"HEAD")
        length = (b"content-length", b"5")
        for octets in (
            self.blocks.headers(1, [(b":status", b"304"), length], end=True),
            self.blocks.headers(3, [*wire.OK, length]) + data(3, b"", True),
        ):
            self.assertEqual(FINISHED, self.hear(octets)[-1][0])

    def test_early_response(self) -> None:
        """A response may be over before the upload is; the stream then stays open."""
        upload = self.conversation.open(b"POST", end=False)
        facts = self.hear(self.blocks.headers(3, end=True))
        self.assertEqual([RESPONDED, FINISHED], [fact[0] for fact in facts])
        self.assertEqual((False, True), (upload.closed, upload.sending))

    def test_stop(self) -> None:
        """After it NO_ERROR says that the rest of the upload is not wanted (section 8.1)."""
        upload = self.conversation.open(b"POST", end=False)
        self.hear(self.blocks.headers(3, end=True))
        self.assertEqual([(STOPPED, 3, None, 0)], self.hear(reset(3, wire.NO_ERROR)))
        self.assertEqual((True, False), (upload.closed, upload.sending))
        self.assertEqual([], self.conversation.said())


class PaddingTests(ReceivingCase):
    """Padding counts for the windows and for nothing else (section 6.1)."""

    def test_data(self) -> None:
        """Content comes without it; the credit includes it and the octet that tells its length."""
        head = self.blocks.headers(1, [*wire.OK, (b"content-length", b"2")])
        self.assertEqual(
            [(RECEIVED, 1, b"hi", 2 + 1 + 100), *END],
            self.hear(head + data(1, b"hi", True, padding=100))[1:],
        )
        self.assertEqual(CONNECTION_WINDOW - 103, self.engine._receive_window)

    def test_all_padding(self) -> None:
        """A frame may be padding alone, of no octets even."""
        self.hear(self.blocks.headers(1))
        self.assertEqual(
            [(RECEIVED, 1, b"", 1), (RECEIVED, 1, b"", 256)],
            self.hear(data(1, b"", padding=0) + data(1, b"", padding=255)),
        )

    def test_headers(self) -> None:
        """HEADERS may be padded, carry a priority, or both."""
        for number, flags in enumerate((0, wire.PADDED, wire.WITH_PRIORITY, 0x28)):
            stream_id = 3 + 2 * number
            self.conversation.open()
            payload = self.blocks.block([*wire.OK, (b"a", b"b")])
            if flags & wire.WITH_PRIORITY:
                payload = b"\x80\0\0\0\x10" + payload
            if flags & wire.PADDED:
                payload = b"\x07" + payload + bytes(7)
            octets = frame(wire.HEADERS, flags | wire.END_HEADERS, stream_id, payload)
            self.assertEqual([(RESPONDED, stream_id, (200, [(b"a", b"b")]), 0)], self.hear(octets))

    def test_too_much(self) -> None:
        """Padding that leaves no room is an error of the connection."""
        for kind in (wire.DATA, wire.HEADERS):
            for payload in (b"\x01", b"\x03ab", b"\xff"):
                self.setUp()
                octets = frame(kind, wire.PADDED | wire.END_HEADERS, 1, payload)
                self.assertViolation(wire.PROTOCOL_ERROR, octets, "padding as long")

    def test_no_length(self) -> None:
        """A padded frame without a length has the wrong size."""
        for kind in (wire.DATA, wire.HEADERS):
            self.setUp()
            octets = frame(kind, wire.PADDED | wire.END_HEADERS, 1)
            self.assertViolation(wire.FRAME_SIZE_ERROR, octets)

    def test_no_priority(self) -> None:
        """So has a prioritised one without a priority."""
        octets = frame(wire.HEADERS, wire.WITH_PRIORITY | wire.END_HEADERS, 1, b"1234")
        self.assertViolation(wire.FRAME_SIZE_ERROR, octets, "priority")


class MalformedTests(ReceivingCase):
    """A malformed response fails its stream, and nobody else's (section 8.1.1)."""

    def head(
        self, *fields: tuple[bytes, bytes], status: bytes = b"200", end: bool = False
    ) -> bytes:
        """A head with these fields."""
        return self.blocks.headers(1, [(b":status", status), *fields], end)

    def test_bad_heads(self) -> None:
        """Every way to break a head; :mod:`tests.core.test_headers` has them all."""
        heads: list[Fields] = [
            [],
            [(b"a", b"b")],
            [(b":status", b"20")],
            [(b":status", b"101")],
            [*wire.OK, *wire.OK],
            [*wire.OK, (b":path", b"/")],
            [(b"a", b"b"), *wire.OK],
            [*wire.OK, (b"A", b"b")],
            [*wire.OK, (b"", b"b")],
            [*wire.OK, (b"a", b"b\r\nc: d")],
            [*wire.OK, (b"a", b" b")],
            [*wire.OK, (b"connection", b"close")],
            [*wire.OK, (b"transfer-encoding", b"chunked")],
            [*wire.OK, (b"content-length", b"+1")],
            [*wire.OK, (b"content-length", b"1"), (b"content-length", b"1")],
        ]
        for fields in heads:
            for end in (False, True):
                self.setUp()
                self.assertRefused(wire.PROTOCOL_ERROR, self.blocks.headers(1, fields, end))

    def test_bad_trailers(self) -> None:
        """Trailers are held to the same rules, and have no pseudo-header fields."""
        for field in (*wire.OK, (b"A", b"b"), (b"a", b"\0"), (b"te", b"gzip")):
            self.setUp()
            self.hear(self.head())
            self.assertRefused(wire.PROTOCOL_ERROR, self.blocks.headers(1, [field], end=True))

    def test_trailers_that_do_not_end(self) -> None:
        """Trailers without END_STREAM are malformed: nothing may follow them."""
        octets = self.head() + self.blocks.headers(1, [(b"a", b"b")])
        self.assertRefused(wire.PROTOCOL_ERROR, octets, "trailers without END_STREAM")

    def test_informational_after_the_final(self) -> None:
        """1xx comes before the final head, or not at all."""
        octets = self.head() + self.head(status=b"103")
        self.assertRefused(wire.PROTOCOL_ERROR, octets)

    def test_informational_end(self) -> None:
        """1xx does not end a stream."""
        self.assertRefused(wire.PROTOCOL_ERROR, self.head(status=b"103", end=True), "103")

    def test_too_many_informational(self) -> None:
        """They are counted, on each stream."""
        self.conversation = Conversation(bounds=Bounds(informational_responses=2))
        self.blocks = self.conversation.blocks
        self.stream = self.conversation.open()
        octets = self.head(status=b"103") * 2
        self.assertEqual([INFORMED, INFORMED], [fact[0] for fact in self.hear(octets)])
        self.assertBound("informational_responses", self.head(status=b"100"))

    def test_too_many_fields(self) -> None:
        """Fields are counted as well as their octets; the neighbours live."""
        self.conversation = Conversation(bounds=Bounds(header_fields=3))
        self.blocks = self.conversation.blocks
        self.stream = self.conversation.open()
        fields = [*wire.OK, (b"a", b"1"), (b"a", b"2"), (b"a", b"3")]
        self.assertBound("header_fields", self.blocks.headers(1, fields))

    def test_content_before_the_head(self) -> None:
        """Content needs a final head before it."""
        self.assertRefused(wire.PROTOCOL_ERROR, data(1, b"x"), "before the response's header list")
        self.setUp()
        self.assertRefused(wire.PROTOCOL_ERROR, self.head(status=b"100") + data(1, b"", True))

    def test_too_much_content(self) -> None:
        """More than content-length says; what was too much is not told."""
        head = self.head((b"content-length", b"3"))
        octets = head + data(1, b"12") + data(1, b"34")
        self.assertRefused(wire.PROTOCOL_ERROR, octets, "2 octets of content where 1")

    def test_too_little_content(self) -> None:
        """Less of it, by DATA, by trailers, or with the head."""
        length = (b"content-length", b"3")
        self.assertRefused(wire.PROTOCOL_ERROR, self.head(length, end=True), "3 octets before")
        self.setUp()
        octets = self.head(length) + data(1, b"12", True)
        self.assertRefused(wire.PROTOCOL_ERROR, octets, "1 octets before its content-length")
        self.setUp()
        octets = self.head(length) + data(1, b"12") + self.blocks.headers(1, [], end=True)
        self.assertRefused(wire.PROTOCOL_ERROR, octets)

    def test_content_where_there_is_none(self) -> None:
        """204 and 304 have no content."""
        for status in (b"204", b"304"):
            self.setUp()
            octets = self.head(status=status) + data(1, b"x", True)
            self.assertRefused(wire.PROTOCOL_ERROR, octets)

    def test_after_the_end(self) -> None:
        """DATA or HEADERS after END_STREAM, while the upload is open: STREAM_CLOSED (5.1)."""
        for octets in (data(3, b"x"), data(3, b"", True), self.blocks.headers(3, end=True)):
            self.setUp()
            upload = self.conversation.open(b"POST", end=False)
            self.hear(self.blocks.headers(3, end=True))
            [(what, stream_id, (name, text), _)] = self.hear(octets)
            self.assertEqual((FAILED, 3, "MalformedResponse"), (what, stream_id, name))
            self.assertIn("after END_STREAM (STREAM_CLOSED)", text)
            self.assertTrue(upload.closed)
            self.assertEqual(
                [(wire.RST_STREAM, 0, 3, struct.pack(">L", wire.STREAM_CLOSED))],
                self.conversation.said(),
            )

    def test_contexts_outlive_streams(self) -> None:
        """A refused block has been decoded: later ones are read against the same table."""
        self.hear(self.blocks.headers(1, [(b":status", b"1x1"), (b"indexed", b"value")]))
        self.conversation.open()
        late = self.blocks.headers(1, [*wire.OK, (b"another", b"one")])
        last = self.blocks.headers(3, [*wire.OK, (b"another", b"one"), (b"indexed", b"value")])
        self.assertLess(len(last), 15)
        self.assertEqual(
            [(RESPONDED, 3, (200, [(b"another", b"one"), (b"indexed", b"value")]), 0)],
            self.hear(late + last),
        )


class ResetTests(ReceivingCase):
    """RST_STREAM (section 6.4)."""

    def reset(self, code: int) -> Any:
        """The error that the fact of a reset carries."""
        [(what, stream, error, size)] = self.conversation.hear(reset(1, code))
        self.assertEqual((FAILED, self.stream, 0), (what, stream, size))
        self.assertTrue(self.stream.closed)
        self.assertEqual([], list(self.engine.streams))
        self.assertEqual([], self.conversation.said())
        return error

    def test_refused(self) -> None:
        """REFUSED_STREAM before the head: no work was done (section 8.7)."""
        error = self.reset(wire.REFUSED_STREAM)
        self.assertIsInstance(error, StreamRefused)
        self.assertEqual(1, error.stream_id)
        self.assertEqual(
            "https://a.test: stream 1 was reset by the server (REFUSED_STREAM)", str(error)
        )

    def test_refused_after_the_head(self) -> None:
        """After it the server contradicts itself, and nothing is safe."""
        self.hear(self.blocks.headers(1))
        self.assertIs(StreamReset, type(self.reset(wire.REFUSED_STREAM)))

    def test_http11_required(self) -> None:
        """HTTP_1_1_REQUIRED before the head asks for another protocol; later it is a reset."""
        self.assertIsInstance(self.reset(wire.HTTP_1_1_REQUIRED), HTTP11Required)
        self.setUp()
        self.hear(self.blocks.headers(1))
        self.assertIs(StreamReset, type(self.reset(wire.HTTP_1_1_REQUIRED)))

    def test_any_code(self) -> None:
        """Any other code is a failure, NO_ERROR too: what is not whole is not complete."""
        for code in (wire.NO_ERROR, wire.PROTOCOL_ERROR, wire.CANCEL, 0xDEADBEEF):
            self.setUp()
            self.hear(self.blocks.headers(1) + data(1, b"x"))
            error = self.reset(code)
            self.assertIs(StreamReset, type(error))
            self.assertEqual((1, code), (error.stream_id, error.code))
            self.assertFalse(error.retriable)

    def test_unknown_code(self) -> None:
        """A code that nobody knows is named by its number."""
        self.assertIn("(0xdeadbeef)", str(self.reset(0xDEADBEEF)))

    def test_late_frames(self) -> None:
        """What comes after the peer's own reset is forgiven too."""
        self.reset(wire.CANCEL)
        self.assertEqual([], self.hear(data(1, b"x") + self.blocks.headers(1) + reset(1, 0)))
        self.assertEqual([], self.conversation.said())

    def test_bad_length(self) -> None:
        """It has four octets."""
        for payload in (b"", b"123", b"12345"):
            self.setUp()
            self.assertViolation(wire.FRAME_SIZE_ERROR, frame(wire.RST_STREAM, 0, 1, payload))


class CancelledTests(ReceivingCase):
    """Late frames of a stream that this side has reset."""

    def test_credit(self) -> None:
        """
        They are credited to the connection, padding included, say nothing, and draw no second
        RST_STREAM.
        """
        self.hear(self.blocks.headers(1))
        self.engine.reset(self.stream, wire.CANCEL)
        self.assertEqual(1, len(self.conversation.said()))
        frames = CONNECTION_WINDOW // 2 // 16384
        for _ in range(frames - 1):
            self.assertEqual([], self.hear(data(1, bytes(16384))))
        self.assertEqual([], self.conversation.said())
        self.assertEqual([], self.hear(data(1, bytes(16384 - 101), True, padding=100)))
        self.assertEqual(
            [(wire.WINDOW_UPDATE, 0, 0, struct.pack(">L", CONNECTION_WINDOW // 2))],
            self.conversation.said(),
        )
        self.assertEqual([], self.hear(data(1, b"more")))

    def test_everything_late(self) -> None:
        """Whatever the peer had on its way is read over, a header block is still decoded."""
        self.engine.reset(self.stream, wire.CANCEL)
        self.conversation.said()
        octets = (
            self.blocks.headers(1, [*wire.OK, (b"indexed", b"value")])
            + data(1, b"x")
            + window_update(1, 5)
            + window_update(1, 0)
            + self.blocks.headers(1, [(b"a", b"b")], end=True)
            + reset(1, wire.CANCEL)
        )
        self.assertEqual([], self.hear(octets))
        self.assertEqual([], self.conversation.said())
        self.conversation.open()
        facts = self.hear(self.blocks.headers(3, [*wire.OK, (b"indexed", b"value")]))
        self.assertEqual([(RESPONDED, 3, (200, [(b"indexed", b"value")]), 0)], facts)

    def test_a_late_block_in_pieces(self) -> None:
        """A late header block may be continued."""
        self.engine.reset(self.stream, wire.CANCEL)
        block = self.blocks.block(wire.OK)
        octets = frame(wire.HEADERS, 0, 1, b"") + frame(
            wire.CONTINUATION, wire.END_HEADERS, 1, block
        )
        self.assertEqual([], self.hear(octets))


class ClosedTests(ReceivingCase):
    """Frames of streams that are idle or have ended (section 5.1)."""

    def test_after_the_end(self) -> None:
        """After both ends a frame of the peer's breaks the protocol: STREAM_CLOSED."""
        for again in (False, True):
            self.setUp()
            self.hear(self.blocks.headers(1, end=True))
            octets = self.blocks.headers(1, end=True) if again else data(1, b"x")
            self.assertViolation(wire.STREAM_CLOSED, octets, "after its END_STREAM")

    def test_crossing(self) -> None:
        """RST_STREAM, WINDOW_UPDATE and PRIORITY may have crossed our own end."""
        self.hear(self.blocks.headers(1, end=True))
        priority = frame(wire.PRIORITY, 0, 1, bytes(5))
        octets = reset(1, wire.NO_ERROR) + window_update(1, 1) + window_update(1, 0) + priority
        self.assertEqual([], self.hear(octets))
        self.assertEqual([], self.conversation.said())

    def test_idle(self) -> None:
        """A stream that nobody has opened has no frames, nor has one of the server's."""
        for stream_id in (2, 3, 4, 0x7FFFFFFF):
            for octets in (
                data(stream_id, b"x"),
                wire.Blocks().headers(stream_id),
                reset(stream_id, 0),
                window_update(stream_id, 1),
            ):
                self.setUp()
                text = f"a frame of stream {stream_id}, which is idle"
                self.assertViolation(wire.PROTOCOL_ERROR, octets, text)

    def test_priority(self) -> None:
        """PRIORITY is read over on any stream, but it has five octets (sections 5.3.2, 6.3)."""
        octets = b"".join(frame(wire.PRIORITY, 0, each, bytes(5)) for each in (1, 2, 99))
        self.assertEqual([], self.hear(octets))
        for payload in (b"", bytes(4), bytes(6)):
            self.setUp()
            self.assertViolation(wire.FRAME_SIZE_ERROR, frame(wire.PRIORITY, 0, 1, payload))

    def test_push(self) -> None:
        """Push was disabled in our first SETTINGS (section 6.6)."""
        octets = frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, struct.pack(">L", 2))
        self.assertViolation(wire.PROTOCOL_ERROR, octets, "push is disabled")


class WindowTests(ReceivingCase):
    """Flow control (section 6.9)."""

    def test_the_streams_window(self) -> None:
        """DATA beyond a stream's window is an error of that stream."""
        self.hear(self.blocks.headers(1))
        for _ in range(STREAM_WINDOW // 16384):
            self.assertEqual(1, len(self.hear(data(1, bytes(16384)))))
        self.assertRefused(wire.FLOW_CONTROL_ERROR, data(1, b"x"), "beyond the stream's window")

    def test_padding_fills_it_too(self) -> None:
        """Padding has to fit in as well."""
        self.hear(self.blocks.headers(1))
        for _ in range(STREAM_WINDOW // 16384 - 1):
            self.hear(data(1, bytes(16384)))
        self.assertEqual(1, len(self.hear(data(1, bytes(16383)))))
        self.assertRefused(wire.FLOW_CONTROL_ERROR, data(1, b"", padding=1))

    def test_the_connections_window(self) -> None:
        """DATA beyond the connection's is an error of the connection."""
        self.engine._receive_window = 5
        self.hear(self.blocks.headers(1))
        self.assertEqual([(RECEIVED, 1, b"12345", 5)], self.hear(data(1, b"12345")))
        self.assertViolation(
            wire.FLOW_CONTROL_ERROR, data(1, b"x"), "beyond the connection's window"
        )

    def test_by_nothing(self) -> None:
        """WINDOW_UPDATE by 0 is an error of its stream (section 6.9)."""
        self.assertRefused(wire.PROTOCOL_ERROR, window_update(1, 0), "WINDOW_UPDATE by 0")

    def test_reserved_bit(self) -> None:
        """The reserved bit of an increment is ignored."""
        self.assertEqual([(OPENED, 1, None, 0)], self.hear(window_update(1, 0x80000005)))
        self.assertEqual(5, self.stream.send_credit)

    def test_bad_length(self) -> None:
        """WINDOW_UPDATE has four octets."""
        for stream_id in (0, 1):
            for payload in (b"", b"123", b"12345"):
                self.setUp()
                octets = frame(wire.WINDOW_UPDATE, 0, stream_id, payload)
                self.assertViolation(wire.FRAME_SIZE_ERROR, octets)

    def test_overflow_after_settings(self) -> None:
        """The window is the credit and the peer's INITIAL_WINDOW_SIZE, whichever came first."""
        self.hear(settings_frame([(wire.INITIAL_WINDOW_SIZE, 0)]))
        self.conversation.said()
        self.assertEqual([(OPENED, 1, None, 0)], self.hear(window_update(1, (1 << 31) - 1)))
        self.assertRefused(wire.FLOW_CONTROL_ERROR, window_update(1, 1), "above 2^31-1")

    @law
    @given(
        st.sampled_from(MANAGERS),
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 16000),
                st.none() | st.integers(0, 255),
                st.booleans(),
            ),
            max_size=60,
        ),
        st.integers(1, 20),
    )
    def test_the_books_balance(
        self,
        plugged: type[BaseFlowControlManager],
        frames: list[tuple[int, int, int | None, bool]],
        times: int,
    ) -> None:
        """
        At every moment what the peer may send, and what has come and was not credited, is the
        target: of the connection at receipt, of each stream also while its reader pauses.
        """
        conversation = Conversation(window_manager=plugged)
        engine = conversation.engine
        streams = [conversation.open() for _ in range(3)]
        for stream in streams:
            conversation.hear(conversation.blocks.headers(stream.id))
        granted = {
            0: plugged.initial_connection_window,
            **{stream.id: plugged.initial_stream_window for stream in streams},
        }
        came = dict.fromkeys(granted, 0)
        held = dict.fromkeys(granted, 0)
        for which, length, padding, pauses in frames * times:
            stream = streams[which]
            octets = data(stream.id, bytes(length), padding=padding)
            size = len(octets) - 9
            if size > stream.receive_window:
                continue
            [(what, _, _, counted)] = conversation.hear(octets)
            self.assertEqual((RECEIVED, size), (what, counted))
            if engine.manager.wants_round_trip():
                engine.manager.round_trip(1 / (size + 1), plugged.initial_connection_window)
            held[stream.id] += size
            if pauses:
                engine.paused(stream)
            else:
                engine.consumed(stream, held[stream.id])
                held[stream.id] = 0
            came[0] += size
            came[stream.id] += size
            for kind, _, stream_id, payload in conversation.said():
                self.assertEqual(wire.WINDOW_UPDATE, kind)
                granted[stream_id] += int.from_bytes(payload, "big")
            # The engine's books are the peer's books.
            self.assertEqual(came[0], engine.octets_received)
            self.assertEqual(granted[0] - came[0], engine._receive_window)
            self.assertEqual(granted[stream.id] - came[stream.id], stream.receive_window)
            for manager, window, unread in (
                (engine.manager, engine._receive_window, 0),
                (stream.manager, stream.receive_window, held[stream.id]),
            ):
                uncredited = manager.window - window  # type: ignore[union-attr]
                self.assertGreaterEqual(uncredited, 0)
                if not unread:
                    self.assertLess(uncredited * 2, manager.window)  # type: ignore[union-attr]

    def test_the_connections_instance(self) -> None:
        """A stream's instance finds the connection's."""
        self.engine.paused(self.stream)
        assert self.stream.manager is not None
        self.assertIs(self.engine.manager, self.stream.manager.connection)
        self.assertIsNone(self.engine.manager.connection)

    def test_credit_at_receipt(self) -> None:
        """A class that wants it is asked for credit before the reader has had the octets."""
        conversation = Conversation(window_manager=ReceiptFlowControlManager)
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1))
        for _ in range(STREAM_WINDOW // 2 // 16384):
            self.assertEqual([], conversation.said())
            conversation.hear(data(1, bytes(16384 - 256), padding=255))
        self.assertEqual(
            [(wire.WINDOW_UPDATE, 0, 1, struct.pack(">L", STREAM_WINDOW // 2))],
            conversation.said(),
        )
        self.assertEqual(STREAM_WINDOW, stream.receive_window)

    def test_no_credit_at_receipt(self) -> None:
        """It is asked for nothing where there is nothing to be credited: no octets, or an end."""
        asked = []

        class Asked(ReceiptFlowControlManager):
            def received(self, size: int) -> int:
                asked.append(size)
                return 0

        conversation = Conversation(window_manager=Asked)
        conversation.open()
        conversation.hear(conversation.blocks.headers(1))
        conversation.hear(data(1, b"") + data(1, b"abc") + data(1, b"defg", True))
        self.assertEqual([3], asked)


class BlockTests(ReceivingCase):
    """Header blocks in pieces (sections 4.3 and 6.10)."""

    def pieces(self, block: bytes, *borders: int, stream_id: int = 1, end: bool = False) -> bytes:
        """A block, cut at these places."""
        places = [0, *borders, len(block)]
        octets = []
        for number in range(len(places) - 1):
            flags = wire.END_STREAM if end and not number else 0
            if number == len(places) - 2:
                flags |= wire.END_HEADERS
            kind = wire.CONTINUATION if number else wire.HEADERS
            octets.append(frame(kind, flags, stream_id, block[places[number] : places[number + 1]]))
        return b"".join(octets)

    def test_continuation(self) -> None:
        """A block may be cut anywhere, also into nothing; END_STREAM is on its HEADERS."""
        block = self.blocks.block([*wire.OK, (b"a", b"bcdef")])
        self.assertEqual(
            [(RESPONDED, 1, (200, [(b"a", b"bcdef")]), 0), *END],
            self.hear(self.pieces(block, 0, 1, 1, 3, len(block), end=True)),
        )

    def test_padded_and_continued(self) -> None:
        """Padding and priority are of the first frame only."""
        block = self.blocks.block([*wire.OK, (b"a", b"bcdef")])
        first = b"\x02" + bytes(5) + block[:3] + bytes(2)
        octets = frame(wire.HEADERS, wire.PADDED | wire.WITH_PRIORITY, 1, first)
        octets += frame(wire.CONTINUATION, wire.END_HEADERS, 1, block[3:])
        self.assertEqual([(RESPONDED, 1, (200, [(b"a", b"bcdef")]), 0)], self.hear(octets))

    def test_nothing_between(self) -> None:
        """No other frame may stand in a block, not even an unknown one, nor one of another's."""
        for octets in (
            data(1, b""),
            data(3, b""),
            frame(wire.PING, 0, 0, bytes(8)),
            settings_frame(),
            frame(0xFA, 0, 0),
            frame(wire.HEADERS, wire.END_HEADERS, 1),
            frame(wire.CONTINUATION, wire.END_HEADERS, 3),
            frame(wire.CONTINUATION, wire.END_HEADERS, 0),
        ):
            self.setUp()
            self.conversation.open()
            self.assertEqual([], self.hear(frame(wire.HEADERS, 0, 1)))
            self.assertViolation(wire.PROTOCOL_ERROR, octets, "in the middle of a header block")

    def test_out_of_nowhere(self) -> None:
        """CONTINUATION continues something."""
        octets = frame(wire.CONTINUATION, wire.END_HEADERS, 1)
        self.assertViolation(wire.PROTOCOL_ERROR, octets, "CONTINUATION without HEADERS")
        self.setUp()
        self.hear(self.blocks.headers(1))
        self.assertViolation(wire.PROTOCOL_ERROR, octets)

    def test_number(self) -> None:
        """CONTINUATION frames are counted; empty ones cost nothing else."""
        self.conversation = Conversation(bounds=Bounds(continuation_frames=3))
        self.engine = self.conversation.engine
        self.conversation.open()
        block = self.conversation.blocks.block(wire.OK)
        self.assertEqual(1, len(self.hear(self.pieces(block, 0, 0, 0))))
        self.conversation.open()
        octets = frame(wire.HEADERS, 0, 3) + frame(wire.CONTINUATION, 0, 3) * 4
        error = self.assertRaises(BoundExceeded, self.conversation.hear, octets)
        self.assertEqual("continuation_frames", error.bound)
        self.assertIn("more than 3 CONTINUATION frames", str(error))
        self.assertEqual(
            [(wire.GOAWAY, 0, 0, struct.pack(">LL", 0, wire.ENHANCE_YOUR_CALM))],
            self.conversation.said(),
        )

    def test_number_by_default(self) -> None:
        """64 of them are a block, 65 are not, whether they end it or not."""
        block = self.blocks.block(wire.OK)
        self.assertEqual(1, len(self.hear(self.pieces(block, *[0] * 64))))
        self.conversation.open()
        octets = self.pieces(block, *[0] * 65, stream_id=3)
        error = self.assertRaises(BoundExceeded, self.conversation.hear, octets)
        self.assertEqual("continuation_frames", error.bound)

    def test_octets(self) -> None:
        """The octets of a block are bounded before it is whole."""
        bounds = Bounds(header_list_size=20000)
        self.conversation = Conversation(bounds=bounds)
        self.engine = self.conversation.engine
        self.conversation.open()
        octets = frame(wire.HEADERS, 0, 1, bytes(16384))
        self.assertEqual([], self.hear(octets + frame(wire.CONTINUATION, 0, 1, bytes(3616))))
        error = self.assertRaises(
            BoundExceeded, self.conversation.hear, frame(wire.CONTINUATION, 0, 1, b"x")
        )
        self.assertEqual("header_list_size", error.bound)
        self.assertIn("20000 octets in a header block", str(error))
        self.assertEqual(wire.GOAWAY, self.conversation.said()[-1][0])

    def test_list_size(self) -> None:
        """A block that opens to more than was announced ends the connection, and is named."""
        self.conversation = Conversation(bounds=Bounds(header_list_size=1000))
        self.engine = self.conversation.engine
        self.conversation.open()
        blocks = self.conversation.blocks
        self.hear(blocks.headers(1, [*wire.OK, (b"a", b"x" * 800)]))
        bomb = frame(wire.HEADERS, wire.END_HEADERS, 1, b"\xbe" * 100)
        error = self.assertRaises(BoundExceeded, self.conversation.hear, bomb)
        self.assertEqual("header_list_size", error.bound)
        self.assertIn("(bound header_list_size, ENHANCE_YOUR_CALM)", str(error))
        self.assertEqual(
            [(wire.GOAWAY, 0, 0, struct.pack(">LL", 0, wire.ENHANCE_YOUR_CALM))],
            self.conversation.said(),
        )

    def test_compression(self) -> None:
        """A block that cannot be decoded ends the connection (section 4.3), wanted or not."""
        octets = frame(wire.HEADERS, wire.END_HEADERS, 1, b"\xff\xff")
        self.assertViolation(wire.COMPRESSION_ERROR, octets)
        self.setUp()
        self.engine.reset(self.stream, wire.CANCEL)
        self.assertViolation(wire.COMPRESSION_ERROR, octets)

    def test_an_open_block_and_its_stream(self) -> None:
        """A stream that is cancelled in the middle of its block takes nothing with it."""
        block = self.blocks.block([*wire.OK, (b"indexed", b"value")])
        self.hear(frame(wire.HEADERS, 0, 1, block[:2]))
        self.engine.reset(self.stream, wire.CANCEL)
        self.conversation.open()
        rest = frame(wire.CONTINUATION, wire.END_HEADERS, 1, block[2:])
        self.assertEqual(
            [(RESPONDED, 3, (200, [(b"indexed", b"value")]), 0)],
            self.hear(rest + self.blocks.headers(3, [*wire.OK, (b"indexed", b"value")])),
        )


class GoneTests(ReceivingCase):
    """GOAWAY (section 6.8)."""

    def test_drain(self) -> None:
        """
        Streams up to the last id finish, those above it fail as retriable, with what the peer
        has said; all from one read.
        """
        for _ in range(3):
            self.conversation.open()
        octets = (
            goaway(3, wire.ENHANCE_YOUR_CALM, b"too\nmany")
            + self.blocks.headers(1)
            + data(1, b"x", True)
            + self.blocks.headers(3, end=True)
        )
        facts = self.conversation.hear(octets)
        self.assertEqual(
            [GONE, FAILED, FAILED, RESPONDED, RECEIVED, FINISHED, RESPONDED, FINISHED],
            [fact[0] for fact in facts],
        )
        self.assertEqual([5, 7], [stream.id for _, stream, _, _ in facts[1:3]])
        for _, stream, error, _ in facts[1:3]:
            self.assertTrue(error.retriable)
            self.assertEqual(
                (wire.ENHANCE_YOUR_CALM, 3, b"too\nmany"),
                (error.code, error.last_stream_id, error.debug_data),
            )
            self.assertEqual(
                f"https://a.test: stream {stream.id} is above the last one, 3, that the server's "
                "GOAWAY promises to finish (ENHANCE_YOUR_CALM), saying b'too\\nmany'",
                str(error),
            )
            self.assertTrue(stream.closed)
        self.assertEqual(3, self.engine.last_stream_id)
        self.assertEqual((wire.ENHANCE_YOUR_CALM, b"too\nmany"), self.engine.goaway)
        self.assertEqual([], list(self.engine.streams))
        self.assertEqual([], self.conversation.said())

    def test_uploads_go_on(self) -> None:
        """A stream that was promised may still send, and be credited."""
        upload = self.conversation.open(b"POST", end=False)
        self.assertEqual([(GONE, None, None, 0)], self.hear(goaway(3)))
        self.engine.send_data(upload, [memoryview(b"x")], 1, True)
        self.assertEqual([(wire.DATA, wire.END_STREAM, 3, b"x")], self.conversation.said())
        self.assertEqual(FINISHED, self.hear(self.blocks.headers(3, end=True))[-1][0])

    def test_announced(self) -> None:
        """A server may announce its end with the largest id, and name the last one later."""
        self.conversation.open()
        self.assertEqual([GONE], [fact[0] for fact in self.hear(goaway(0x7FFFFFFF))])
        facts = self.hear(goaway(1, wire.NO_ERROR))
        self.assertEqual([GONE, FAILED], [fact[0] for fact in facts])
        self.assertNotIn("saying", facts[1][2][1])
        self.assertEqual(1, self.engine.last_stream_id)

    def test_never_raised(self) -> None:
        """A last id that grows again is not believed."""
        self.hear(goaway(1))
        self.conversation.hear(goaway(5))
        self.assertEqual(1, self.engine.last_stream_id)

    def test_nothing_was_processed(self) -> None:
        """With 0 every stream fails as retriable; the reserved bit is ignored."""
        facts = self.hear(goaway(0x80000000))
        self.assertEqual([GONE, FAILED], [fact[0] for fact in facts])
        self.assertEqual(0, self.engine.last_stream_id)

    def test_late_frames(self) -> None:
        """What still comes for a stream that is gone is forgiven."""
        self.hear(goaway(0))
        self.assertEqual([], self.hear(self.blocks.headers(1) + data(1, b"x")))
        self.assertEqual([], self.conversation.said())

    def test_long_explanations(self) -> None:
        """A message is a line, whatever the peer has to say; the whole of it is at hand."""
        [_, (_, _, error, _)] = self.conversation.hear(goaway(0, 0xABC, b"\xff" * 10000))
        self.assertLess(len(str(error)), 700)
        self.assertEqual(b"\xff" * 10000, error.debug_data)
        self.assertIn("(0xabc)", str(error))

    def test_bad_length(self) -> None:
        """GOAWAY has eight octets and more."""
        self.assertViolation(wire.FRAME_SIZE_ERROR, frame(wire.GOAWAY, 0, 0, bytes(7)))

    def test_violation_after_it(self) -> None:
        """An error that follows carries what GOAWAY had said."""
        self.hear(goaway(1, 0, b"bye"))
        error = self.assertRaises(ProtocolViolation, self.conversation.hear, data(2, b"x"))
        self.assertEqual((1, b"bye"), (error.last_stream_id, error.debug_data))


class PendingTests(ReceivingCase):
    """One frame may have more than one fact."""

    def test_pending(self) -> None:
        """Whoever stops between two facts can know that the frame has more to tell."""
        told = []
        for fact, _, _, _ in self.engine.receive(self.blocks.headers(1) + data(1, b"x", True)):
            told.append((fact, self.engine.pending))
        self.assertEqual([(RESPONDED, False), (RECEIVED, True), (FINISHED, False)], told)

    def test_cancelled_between(self) -> None:
        """A reader may give up between the last content and the end; both stay told."""
        upload = self.conversation.open(b"POST", end=False)
        told = []
        for fact, stream, _, _ in self.engine.receive(
            self.blocks.headers(3) + data(3, b"x", True) + data(3, b"late")
        ):
            told.append(fact)
            if fact == RECEIVED:
                self.engine.reset(stream, wire.CANCEL)
        self.assertEqual([RESPONDED, RECEIVED, FINISHED], told)
        self.assertTrue(upload.closed)
        self.assertEqual(1, len(self.conversation.said()))

    def test_opened_between(self) -> None:
        """A new request between two facts is one like any other."""
        opened: list[Stream] = []
        octets = self.blocks.headers(1, end=True)
        later = self.blocks.headers(3, end=True)
        told = []
        for fact, stream, _, _ in self.engine.receive(octets + later):
            told.append((fact, stream.id))
            if fact == FINISHED and not opened:
                opened.append(self.conversation.open())
        self.assertEqual([(RESPONDED, 1), (FINISHED, 1), (RESPONDED, 3), (FINISHED, 3)], told)
