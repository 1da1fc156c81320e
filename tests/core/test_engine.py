"""Tests for :mod:`txhyper.core.engine`: the loop, and the frames of the connection."""

from __future__ import annotations

import struct
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import (
    CONNECTION_WINDOW,
    STREAM_WINDOW,
    Blocks,
    Conversation,
    chunked,
    cuts,
    data,
    frame,
    goaway,
    law,
    reset,
    seen,
    settings_frame,
    window_update,
)
from txhyper.core import frames
from txhyper.core.engine import Engine
from txhyper.core.facts import (
    FAILED,
    FINISHED,
    GONE,
    INFORMED,
    OPENED,
    PONGED,
    RECEIVED,
    RESPONDED,
    SETTLED,
    STOPPED,
    TRAILED,
)
from txhyper.core.outbound import Outbound
from txhyper.core.streams import Stream
from txhyper.core.windows import BaseFlowControlManager
from txhyper.errors import BoundExceeded, HyperError, ProtocolViolation

MAXIMUM = (1 << 31) - 1

PING = frame(wire.PING, 0, 0, b"12345678")


class EngineCase(SynchronousTestCase):
    """What all tests of the loop ask for."""

    def assertViolation(self, code: int, conversation: Conversation, octets: bytes) -> str:
        """These octets end the connection with this code. :return: the message."""
        error = self.assertRaises(ProtocolViolation, conversation.hear, octets)
        self.assertEqual(code, error.code)
        kind, flags, stream_id, payload = conversation.said()[-1]
        self.assertEqual((wire.GOAWAY, 0, 0), (kind, flags, stream_id))
        self.assertEqual(struct.pack(">LL", 0, code), payload)
        self.assertEqual(1, len(str(error).splitlines()))
        return str(error)


class GreetingTests(EngineCase):
    """The server's preface is SETTINGS (RFC 9113 section 3.4)."""

    def test_settings(self) -> None:
        """It is acknowledged and told."""
        conversation = Conversation(greeted=False)
        self.assertEqual([(SETTLED, None, None, 0)], conversation.hear(settings_frame()))
        self.assertEqual([(wire.SETTINGS, wire.ACK, 0, b"")], conversation.said())

    def test_something_else(self) -> None:
        """Any other frame first, an acknowledgement too, is not HTTP/2."""
        for octets in (
            settings_frame(flags=wire.ACK),
            PING,
            goaway(0),
            window_update(0, 1),
            frame(0xFA, 0, 0),
            frame(0xFA, 0, 1),
        ):
            text = self.assertViolation(
                wire.PROTOCOL_ERROR, Conversation(greeted=False), octets + settings_frame()
            )
            self.assertIn("this is not HTTP/2", text)

    def test_garbage(self) -> None:
        """
        A server that speaks something else is found out by its first octets, however few come at
        a time, and never waited for.
        """
        for garbage in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-2.0-OpenSSH",
            b"\x15\x03\x01\x00\x02\x02\x22",
            b"<",
            b"\r\n",
        ):
            for octets in (garbage, garbage[:1]):
                text = self.assertViolation(
                    wire.PROTOCOL_ERROR, Conversation(greeted=False), octets
                )
                self.assertEqual(
                    "https://a.test: the first frame is not SETTINGS: this is not HTTP/2 "
                    "(PROTOCOL_ERROR)",
                    text,
                )

    def test_garbage_that_begins_like_a_frame(self) -> None:
        """What begins with a small length is judged by its ninth octet at the latest."""
        conversation = Conversation(greeted=False)
        self.assertEqual([], conversation.hear(b"\0\0\x05nonsen"[:8]))
        self.assertViolation(wire.PROTOCOL_ERROR, conversation, b"s")

    def test_a_greeting_that_is_too_large(self) -> None:
        """SETTINGS above the frame size are refused by their header."""
        conversation = Conversation(greeted=False)
        header = struct.pack(">LBL", 16386 << 8 | wire.SETTINGS, 0, 0)
        self.assertViolation(wire.FRAME_SIZE_ERROR, conversation, header)

    def test_nothing(self) -> None:
        """No octets say nothing."""
        self.assertEqual([], Conversation(greeted=False).hear(b""))
        self.assertEqual([], Conversation().hear(b""))


class LoopTests(EngineCase):
    """Frames out of octets."""

    def test_frame_length(self) -> None:
        """A length above MAX_FRAME_SIZE is judged by the header, for every type and stream."""
        for kind in (wire.DATA, wire.HEADERS, wire.SETTINGS, 0xFA):
            for stream_id in (0, 1):
                conversation = Conversation()
                conversation.open()
                header = struct.pack(">LBL", 16385 << 8 | kind, 0, stream_id)
                text = self.assertViolation(wire.FRAME_SIZE_ERROR, conversation, header)
                self.assertIn("a frame of 16385 octets, above MAX_FRAME_SIZE 16384", text)

    def test_the_largest_frame(self) -> None:
        """A frame of MAX_FRAME_SIZE is a frame, whenever the rest of it comes."""
        conversation = Conversation()
        conversation.open()
        conversation.hear(conversation.blocks.headers(1))
        octets = data(1, bytes(16384))
        self.assertEqual([], conversation.hear(octets[:-1]))
        self.assertEqual([RECEIVED], [fact[0] for fact in conversation.hear(octets[-1:])])

    def test_unknown_types(self) -> None:
        """They are ignored on every stream (section 4.1), and so is ALTSVC."""
        conversation = Conversation()
        octets = b"".join(
            frame(kind, 0xFF, stream_id, b"anything")
            for kind in (wire.ALTSVC, 0xC, 0x10, 0xFF)
            for stream_id in (0, 1, 2, MAXIMUM)
        )
        self.assertEqual([], conversation.hear(octets))
        self.assertEqual([], conversation.said())

    def test_reserved_bit(self) -> None:
        """The reserved bit of a stream id is ignored (section 4.1)."""
        conversation = Conversation()
        conversation.open()
        head = conversation.blocks.block(wire.OK)
        facts = conversation.hear(frame(wire.HEADERS, wire.END_HEADERS, 0x80000001, head))
        self.assertEqual([(RESPONDED, 1, (200, []), 0)], seen(facts))
        self.assertEqual([], conversation.hear(frame(wire.PING, 0, 0x80000000, bytes(8))))

    def test_undefined_flags(self) -> None:
        """Flags that a type does not have are ignored (section 4.1)."""
        conversation = Conversation()
        conversation.open()
        head = conversation.blocks.block(wire.OK)
        facts = conversation.hear(
            frame(wire.HEADERS, wire.END_HEADERS | 0xD2, 1, head)
            + frame(wire.DATA, 0xF6, 1, b"x")
            + frame(wire.WINDOW_UPDATE, 0xFF, 1, struct.pack(">L", 1))
            + frame(wire.PING, 0xFE, 0, bytes(8))
        )
        self.assertEqual([RESPONDED, RECEIVED, OPENED], [fact[0] for fact in facts])

    def test_on_the_wrong_stream(self) -> None:
        """
        A frame of the connection on a stream, or the other way round, is a PROTOCOL_ERROR
        (sections 6.1 to 6.10).
        """
        for kind in (wire.SETTINGS, wire.PING, wire.GOAWAY):
            conversation = Conversation()
            conversation.open()
            text = self.assertViolation(
                wire.PROTOCOL_ERROR, conversation, frame(kind, 0, 1, bytes(8))
            )
            self.assertIn(f"{frames.NAMES[kind]} on stream 1", text)
        for kind in (0x0, 0x1, 0x2, 0x3, 0x5, 0x9):
            text = self.assertViolation(
                wire.PROTOCOL_ERROR, Conversation(), frame(kind, 0, 0, bytes(8))
            )
            self.assertIn(f"{frames.NAMES[kind]} on stream 0", text)

    def test_facts_before_an_error(self) -> None:
        """What came before a violation in the same read has been told when the error comes."""
        conversation = Conversation()
        for _ in range(2):
            conversation.open()
        octets = (
            conversation.blocks.headers(1)
            + data(1, b"whole", True)
            + conversation.blocks.headers(3)
            + data(2, b"broken")
            + data(3, b"never told", True)
        )
        told = []
        with self.assertRaises(ProtocolViolation):
            for fact in conversation.engine.receive(octets):
                told.extend(seen([fact]))
        self.assertEqual(
            [
                (RESPONDED, 1, (200, []), 0),
                (RECEIVED, 1, b"whole", 5),
                (FINISHED, 1, None, 0),
                (RESPONDED, 3, (200, []), 0),
            ],
            told,
        )

    def test_answers_before_an_error(self) -> None:
        """What had to be answered is still in the octets, before the GOAWAY."""
        conversation = Conversation()
        self.assertRaises(ProtocolViolation, conversation.hear, PING + data(2, b"x"))
        self.assertEqual(
            [(wire.PING, wire.ACK), (wire.GOAWAY, 0)],
            [(kind, flags) for kind, flags, _, _ in conversation.said()],
        )

    def test_between_two_facts(self) -> None:
        """The loop waits for each fact to be dealt with: what is said meanwhile counts."""
        conversation = Conversation()
        streams = [conversation.open() for _ in range(2)]
        octets = conversation.blocks.headers(1) + data(3, b"") + conversation.blocks.headers(3)
        told = []
        for fact in conversation.engine.receive(octets):
            told.append(fact)
            conversation.engine.reset(streams[1], wire.CANCEL)
        self.assertEqual([(RESPONDED, 1, (200, []), 0)], seen(told))
        self.assertEqual([wire.RST_STREAM], [kind for kind, *_ in conversation.said()])

    def test_abandoned(self) -> None:
        """Whoever stops reading loses nothing: the next call goes on behind the last fact."""
        conversation = Conversation()
        conversation.open()
        octets = conversation.blocks.headers(1) + data(1, b"one") + data(1, b"two")
        reading = iter(conversation.engine.receive(octets))
        self.assertEqual(RESPONDED, next(reading)[0])
        reading.close()  # type: ignore[attr-defined]
        self.assertEqual(
            [(RECEIVED, 1, b"one", 3), (RECEIVED, 1, b"two", 3), (RECEIVED, 1, b"", 0)],
            seen(conversation.hear(data(1, b""))),
        )


class ConnectionFramesTests(EngineCase):
    """SETTINGS, PING and WINDOW_UPDATE of the connection."""

    def test_ping(self) -> None:
        """A PING is answered and tells nothing."""
        conversation = Conversation()
        self.assertEqual([], conversation.hear(PING))
        self.assertEqual([(wire.PING, wire.ACK, 0, b"12345678")], conversation.said())

    def test_pong(self) -> None:
        """An answer to ours is told and not answered, one that nobody asked for as well."""
        conversation = Conversation()
        conversation.engine.ping(b"abcdefgh")
        conversation.said()
        pong = frame(wire.PING, wire.ACK, 0, b"abcdefgh")
        self.assertEqual([(PONGED, None, b"abcdefgh", 0)] * 2, conversation.hear(pong * 2))
        self.assertEqual([], conversation.said())

    def test_bad_ping(self) -> None:
        """A PING has eight octets (section 6.7)."""
        for length in (0, 7, 9):
            octets = frame(wire.PING, 0, 0, bytes(length))
            self.assertViolation(wire.FRAME_SIZE_ERROR, Conversation(), octets)

    def test_acknowledgement(self) -> None:
        """An acknowledgement of our SETTINGS tells nothing; with a payload it is no such thing."""
        conversation = Conversation()
        acknowledgement = settings_frame(flags=wire.ACK)
        self.assertEqual([], conversation.hear(acknowledgement * 2))
        self.assertEqual([], conversation.said())
        octets = frame(wire.SETTINGS, wire.ACK, 0, bytes(6))
        self.assertViolation(wire.FRAME_SIZE_ERROR, conversation, octets)

    def test_bad_settings(self) -> None:
        """Values that are not allowed end the connection, each with its code (section 6.5.2)."""
        for pair, code in (
            ((wire.ENABLE_PUSH, 1), wire.PROTOCOL_ERROR),
            ((wire.INITIAL_WINDOW_SIZE, 1 << 31), wire.FLOW_CONTROL_ERROR),
            ((wire.MAX_FRAME_SIZE, 0), wire.PROTOCOL_ERROR),
        ):
            self.assertViolation(code, Conversation(), settings_frame([pair]))
        octets = frame(wire.SETTINGS, 0, 0, b"12345")
        self.assertViolation(wire.FRAME_SIZE_ERROR, Conversation(), octets)

    def test_window(self) -> None:
        """The connection's window opens up to 2^31-1 and not above (section 6.9.1)."""
        conversation = Conversation()
        self.assertEqual(
            [(OPENED, None, None, 0)], conversation.hear(window_update(0, MAXIMUM - 65535))
        )
        self.assertEqual(MAXIMUM, conversation.engine.send_window)
        self.assertViolation(wire.FLOW_CONTROL_ERROR, conversation, window_update(0, 1))

    def test_window_by_nothing(self) -> None:
        """By 0 is an error of the connection here (section 6.9)."""
        for increment in (0, 0x80000000):
            self.assertViolation(wire.PROTOCOL_ERROR, Conversation(), window_update(0, increment))

    def test_initial_window_that_is_too_much(self) -> None:
        """SETTINGS that lift any stream's window above 2^31-1 are an error (section 6.9.2)."""
        conversation = Conversation()
        for _ in range(2):
            conversation.open(b"POST", end=False)
        conversation.hear(window_update(3, MAXIMUM - 65535))
        most = settings_frame([(wire.INITIAL_WINDOW_SIZE, 65535)])
        self.assertEqual([(SETTLED, None, None, 0)], conversation.hear(most))
        smaller = settings_frame([(wire.INITIAL_WINDOW_SIZE, 65534)])
        self.assertEqual([(SETTLED, None, None, 0)], conversation.hear(smaller))
        more = settings_frame([(wire.INITIAL_WINDOW_SIZE, 65536)])
        text = self.assertViolation(wire.FLOW_CONTROL_ERROR, conversation, more)
        self.assertIn("INITIAL_WINDOW_SIZE", text)

    def test_initial_window_that_is_just_right(self) -> None:
        """A larger one is fine while no window passes the limit."""
        conversation = Conversation()
        conversation.open(b"POST", end=False)
        octets = settings_frame([(wire.INITIAL_WINDOW_SIZE, MAXIMUM)])
        self.assertEqual([(SETTLED, None, None, 0)], conversation.hear(octets))
        self.assertEqual(MAXIMUM, conversation.engine.initial_window)


class TraceTests(SynchronousTestCase):
    """One line for each frame, sent or received."""

    def test_trace(self) -> None:
        """Both directions, in order, without the preface."""
        lines: list[str] = []
        conversation = Conversation(greeted=False, trace=lines.append)
        self.assertTrue(lines[0].startswith("sent SETTINGS stream=0 length=30 HEADER_TABLE_SIZE="))
        self.assertEqual(2, len(lines))
        del lines[:]
        conversation.hear(settings_frame() + PING)
        conversation.said()
        self.assertEqual(
            [
                "received SETTINGS stream=0 length=0",
                "received PING stream=0 length=8 data=3132333435363738",
                "sent SETTINGS stream=0 length=0 flags=ACK",
                "sent PING stream=0 length=8 flags=ACK data=3132333435363738",
            ],
            lines,
        )
        conversation.engine.take()
        self.assertEqual(4, len(lines))


def conversation_of_a_server() -> bytes:
    """A server's octets with every kind of fact in them; requests 1 to 15 are open."""
    blocks = Blocks()
    block = blocks.block([*wire.OK, (b"a", b"bcd")])
    return b"".join(
        [
            settings_frame([(wire.MAX_CONCURRENT_STREAMS, 10)]),
            settings_frame(flags=wire.ACK),
            frame(wire.HEADERS, 0, 1, block[:2]),
            frame(wire.CONTINUATION, 0, 1, b""),
            frame(wire.CONTINUATION, wire.END_HEADERS, 1, block[2:]),
            blocks.headers(3, [(b":status", b"103"), (b"link", b"x")]),
            data(1, b"content of one", padding=20),
            PING,
            blocks.headers(3, [*wire.OK, (b"content-length", b"3")]),
            data(3, b"123"),
            frame(wire.PRIORITY, 0, 3, bytes(5)),
            data(3, b"", True),
            window_update(0, 100),
            window_update(5, 100),
            blocks.headers(1, [(b"trailer", b"1")], end=True),
            reset(5, wire.REFUSED_STREAM),
            frame(0xFA, 7, 9, b"of no known type"),
            blocks.headers(7, [(b":status", b"2")]),
            data(7, b"late"),
            blocks.headers(9, end=True),
            reset(9, wire.NO_ERROR),
            frame(wire.PING, wire.ACK, 0, b"abcdefgh"),
            goaway(11, wire.NO_ERROR, b"bye"),
            data(13, b"late as well"),
            blocks.headers(11, end=True),
        ]
    )


ENDINGS = [
    b"",
    data(2, b"broken"),
    frame(wire.HEADERS, wire.END_HEADERS, 11, b"\xff\xff"),
    frame(wire.PING, 0, 0, b"short"),
    frame(wire.HEADERS, 0, 11) + frame(wire.CONTINUATION, 0, 11) * 65,
    struct.pack(">LBL", 1 << 24 | wire.DATA, 0, 11),
]


def reading(octets: bytes, places: list[int]) -> tuple[list[Any], list[Any]]:
    """The facts and the last error of a whole conversation, and what was answered."""
    conversation = Conversation(greeted=False)
    for number in range(8):
        conversation.open(b"POST" if number == 4 else b"GET", end=number != 4)
    told: list[Any] = []
    try:
        for chunk in chunked(octets, places):
            for fact in conversation.engine.receive(chunk):
                told.extend(seen([fact]))
    except HyperError as error:
        told.append((type(error), str(error)))
    return told, conversation.said()


class SplitTests(EngineCase):
    """How the network cuts the octets means nothing."""

    def test_every_fact(self) -> None:
        """The conversation that is cut below has every kind of fact in it."""
        told, said = reading(conversation_of_a_server(), [])
        self.assertEqual(
            [
                SETTLED,
                RESPONDED,
                INFORMED,
                RECEIVED,
                RESPONDED,
                RECEIVED,
                RECEIVED,
                FINISHED,
                OPENED,
                OPENED,
                TRAILED,
                FINISHED,
                FAILED,
                FAILED,
                RESPONDED,
                FINISHED,
                STOPPED,
                PONGED,
                GONE,
                FAILED,
                FAILED,
                RESPONDED,
                FINISHED,
            ],
            [fact[0] for fact in told],
        )
        self.assertEqual([wire.SETTINGS, wire.PING, wire.RST_STREAM], [kind for kind, *_ in said])

    def test_octet_by_octet(self) -> None:
        """One octet at a time tells the same facts, and the same errors."""
        for ending in ENDINGS:
            octets = conversation_of_a_server() + ending
            expected = reading(octets, [])
            self.assertEqual(ending != b"", isinstance(expected[0][-1][0], type))
            self.assertEqual(expected, reading(octets, list(range(len(octets)))))

    @law
    @given(st.sampled_from(ENDINGS), cuts)
    def test_any_split(self, ending: bytes, places: list[int]) -> None:
        """So does any other way to cut them, and what is answered is the same as well."""
        octets = conversation_of_a_server() + ending
        self.assertEqual(reading(octets, []), reading(octets, places))

    @law
    @example(b"\0", [])
    @example(struct.pack(">LBL", 1 << 24 | wire.SETTINGS, 0, 0), [1])
    @example(struct.pack(">LBL", 16385 << 8 | wire.SETTINGS, 0, 0), [1])
    @given(st.binary(max_size=40), cuts)
    def test_any_garbage(self, octets: bytes, places: list[int]) -> None:
        """Whatever a server greets with is told, refused or waited for, in the same way."""
        self.assertEqual(reading(octets, []), reading(octets, places))

    @law
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 11), st.integers(0, 255), st.integers(0, 6), st.binary(max_size=12)
            ),
            max_size=12,
        ),
        cuts,
    )
    def test_any_frames(self, given: list[tuple[int, int, int, bytes]], places: list[int]) -> None:
        """Whatever frames come in whatever order are facts or one of our errors, split or not."""
        octets = settings_frame() + b"".join(frame(*each) for each in given)
        self.assertEqual(reading(octets, []), reading(octets, places))


class Server:
    """Somebody else's server, h2 as it comes, at the other end of an engine."""

    def __init__(self) -> None:
        self.engine = Engine("https://a.test")
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.events: list[Any] = []

    def exchange(self) -> list[Any]:
        """Pass octets both ways until nobody has any. :return: the facts, as plain values."""
        facts = []
        while True:
            sent = self.engine.take()
            self.events.extend(self.h2.receive_data(sent))
            answer = self.h2.data_to_send()
            facts.extend(seen(self.engine.receive(answer)))
            if not sent and not answer:
                return facts


class ServerTests(SynchronousTestCase):
    """Conversations with a server that is none of ours."""

    def setUp(self) -> None:
        """They have greeted each other."""
        self.server = Server()
        self.engine = self.server.engine
        self.assertEqual([SETTLED], [fact[0] for fact in self.server.exchange()])

    def open(self, method: bytes = b"GET", end: bool = True) -> Stream:
        """Send a request."""
        fields = [(b"cookie", b"a=b"), (b"x", b"y")]
        return self.engine.open(None, method, b"https", b"a.test", b"/path?q", fields, end)

    def test_request(self) -> None:
        """The server reads what was asked for."""
        self.open()
        self.server.exchange()
        [request] = [each for each in self.server.events if isinstance(each, RequestReceived)]
        self.assertEqual(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a.test"),
                (b":path", b"/path?q"),
                # h2 puts cookies together, and last.
                (b"x", b"y"),
                (b"cookie", b"a=b"),
            ],
            [tuple(field) for field in request.headers],
        )
        self.assertTrue(any(isinstance(each, StreamEnded) for each in self.server.events))

    def test_response(self) -> None:
        """Informational, final, content, trailers."""
        self.open()
        self.server.exchange()
        server = self.server.h2
        server.send_headers(1, [(b":status", b"103"), (b"link", b"x")])
        server.send_headers(1, [*wire.OK, (b"content-length", b"5")])
        server.send_data(1, b"he", pad_length=9)
        server.send_data(1, b"llo")
        server.send_headers(1, [(b"sum", b"1")], end_stream=True)
        self.assertEqual(
            [
                (INFORMED, 1, (103, [(b"link", b"x")]), 0),
                (RESPONDED, 1, (200, [(b"content-length", b"5")]), 0),
                (RECEIVED, 1, b"he", 12),
                (RECEIVED, 1, b"llo", 3),
                (TRAILED, 1, [(b"sum", b"1")], 0),
                (FINISHED, 1, None, 0),
            ],
            self.server.exchange(),
        )

    def test_large_heads(self) -> None:
        """Header blocks that need CONTINUATION, both ways."""
        fields = [(b"x-%d" % number, b"\xff" * 1500) for number in range(20)]
        self.server.h2.decoder.max_header_list_size = 1 << 20
        self.engine.open(None, b"GET", b"https", b"a.test", b"/", fields, True)
        self.server.exchange()
        [request] = [each for each in self.server.events if isinstance(each, RequestReceived)]
        self.assertEqual(fields, [tuple(field) for field in request.headers[4:]])
        self.server.h2.send_headers(1, [*wire.OK, *fields], end_stream=True)
        facts = self.server.exchange()
        self.assertEqual([(RESPONDED, 1, (200, fields), 0), (FINISHED, 1, None, 0)], facts)

    def test_upload(self) -> None:
        """A body goes out as the windows allow it, and arrives whole."""
        stream = self.open(b"POST", end=False)
        outbound = Outbound()
        body = bytes(range(256)) * 2000
        outbound.write(stream, body)
        outbound.finish(stream)
        arrived = b""
        for _ in range(50):
            while turn := outbound.next(
                self.engine.send_window, self.engine.initial_window, self.engine.max_frame_size
            ):
                self.engine.send_data(*turn)
            for what, which, _, _ in self.server.exchange():
                self.assertEqual(OPENED, what)
                if which is not None:
                    outbound.wake(stream)
            for event in self.server.events:
                if isinstance(event, DataReceived):
                    arrived += event.data
                    size = event.flow_controlled_length
                    self.server.h2.increment_flow_control_window(size)
                    if event.stream_ended is None:
                        self.server.h2.increment_flow_control_window(size, 1)
            del self.server.events[:]
        self.assertEqual(body, arrived)
        self.assertFalse(stream.sending)

    def test_cancel(self) -> None:
        """The server sees one RST_STREAM with CANCEL, and the neighbour's response comes."""
        stream, _ = self.open(), self.open()
        self.server.exchange()
        self.engine.reset(stream, wire.CANCEL)
        self.server.exchange()
        [event] = [each for each in self.server.events if isinstance(each, StreamReset)]
        self.assertEqual((1, wire.CANCEL), (event.stream_id, event.error_code))
        self.server.h2.send_headers(3, wire.OK, end_stream=True)
        self.assertEqual(
            [(RESPONDED, 3, (200, []), 0), (FINISHED, 3, None, 0)], self.server.exchange()
        )

    def test_download(self) -> None:
        """A server that minds its windows never stalls against a reader that keeps up."""
        stream = self.open()
        self.server.exchange()
        self.server.h2.send_headers(1, wire.OK)
        left = 4 << 20
        while left:
            window = self.server.h2.local_flow_control_window(1)
            self.assertGreater(window, 0)
            size = min(left, window, 16384)
            self.server.h2.send_data(1, bytes(size), end_stream=left == size)
            left -= size
            for what, _, _, counted in self.server.exchange():
                if what == RECEIVED:
                    self.engine.consumed(stream, counted)
        self.assertTrue(stream.closed)

    def test_ping(self) -> None:
        """Both may ask."""
        self.engine.ping(b"12345678")
        self.server.h2.ping(b"abcdefgh")
        self.assertEqual([(PONGED, None, b"12345678", 0)], self.server.exchange())


class Frugal(BaseFlowControlManager):
    """Gives back what came, frame by frame."""

    def increase_window_size(self, frame_size: int) -> int:
        """All of it."""
        return frame_size


class GigabytesTests(SynchronousTestCase):
    """More than 2^31 octets through one connection: no counter only ever grows."""

    AMOUNT = 3 << 30

    def test_received(self) -> None:
        """3 GiB come, and every octet of them is paid back to the connection and the stream."""
        conversation = Conversation()
        engine = conversation.engine
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1))
        largest = data(1, bytes(16384))
        granted = {0: CONNECTION_WINDOW, 1: STREAM_WINDOW}
        for _ in range(self.AMOUNT // 16384):
            for _, _, _, size in engine.receive(largest):
                engine.consumed(stream, size)
            if engine.output:
                for _, _, stream_id, payload in conversation.said():
                    granted[stream_id] += int.from_bytes(payload, "big")
        self.assertEqual(granted[0], self.AMOUNT + engine._receive_window)
        self.assertEqual(granted[1], self.AMOUNT + stream.receive_window)
        self.assertLessEqual(engine._receive_window, CONNECTION_WINDOW)
        self.assertLessEqual(stream.receive_window, 16 << 20)
        self.assertGreater(engine._receive_window, CONNECTION_WINDOW // 2)

    def test_sent(self) -> None:
        """3 GiB go, as the peer grants them, and the windows end where they began."""
        conversation = Conversation()
        engine = conversation.engine
        conversation.hear(settings_frame([(wire.MAX_FRAME_SIZE, (1 << 24) - 1)]))
        stream = conversation.open(b"POST", end=False)
        step = 65535
        slices = [memoryview(bytes(step))]
        grants = window_update(0, step) + window_update(1, step)
        for _ in range(self.AMOUNT // step):
            engine.send_data(stream, slices, step, False)
            engine.output.clear()
            self.assertEqual([OPENED, OPENED], [fact[0] for fact in engine.receive(grants)])
        self.assertEqual((65535, 0), (engine.send_window, stream.send_credit))

    def test_per_frame(self) -> None:
        """A policy that pays for each frame keeps both windows where they were."""
        conversation = Conversation(window_manager=Frugal)
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1))
        for _ in range(100):
            for _, _, _, size in conversation.hear(data(1, bytes(1000))):
                conversation.engine.consumed(stream, size)
        self.assertEqual(CONNECTION_WINDOW, conversation.engine._receive_window)
        self.assertEqual(STREAM_WINDOW, stream.receive_window)
        self.assertEqual(200, len(conversation.said()))


class BoundsTests(SynchronousTestCase):
    """What happens after a bound of the connection was passed."""

    def test_after_it(self) -> None:
        """The GOAWAY is the last thing to be sent."""
        conversation = Conversation()
        conversation.open()
        octets = frame(wire.HEADERS, 0, 1) + frame(wire.CONTINUATION, 0, 1) * 65
        self.assertRaises(BoundExceeded, conversation.hear, PING + octets)
        self.assertEqual([wire.PING, wire.GOAWAY], [kind for kind, *_ in conversation.said()])


class UnfinishedFrameTests(SynchronousTestCase):
    """A frame that comes in many pieces."""

    def test_octetByOctet(self) -> None:
        """A full frame that comes octet by octet is whole at the end, and few pieces are kept."""
        conversation = wire.Conversation()
        stream = conversation.engine.open(None, b"GET", b"https", b"a.test", b"/", [], True)
        content = bytes(range(256)) * 64
        conversation.hear(conversation.blocks.headers(stream.id, wire.OK))
        octets = frame(wire.DATA, wire.END_STREAM, stream.id, content)
        told = []
        for position in range(len(octets)):
            told.extend(conversation.engine.receive(octets[position : position + 1]))
            self.assertLessEqual(len(conversation.engine._parts), 65)
        self.assertEqual([RECEIVED, FINISHED], [fact[0] for fact in told])
        self.assertEqual(content, told[0][2])
        self.assertEqual([], conversation.engine._parts)


class FieldsTraceTests(SynchronousTestCase):
    """What header blocks say, beside their frames."""

    def test_fields(self) -> None:
        """Fields are shown in both directions; of secrets only the length is."""
        lines: list[str] = []
        conversation = Conversation(trace=lines.append)
        del lines[:]
        stream = conversation.engine.open(
            None,
            b"GET",
            b"https",
            b"a.test",
            b"/",
            [(b"authorization", b"secret"), (b"x", b"b'")],
            True,
        )
        conversation.hear(
            conversation.blocks.headers(stream.id, [*wire.OK, (b"set-cookie", b"a=b")])
        )
        shown = "\n".join(lines)
        self.assertIn(
            "sent fields stream=1 ':method': 'GET' ':scheme': 'https' ':authority': 'a.test' "
            "':path': '/' 'authorization': <6 octets> 'x': \"b'\"",
            shown,
        )
        self.assertIn("received fields stream=1 ':status': '200' 'set-cookie': <3 octets>", shown)
        self.assertNotIn("secret", shown)
