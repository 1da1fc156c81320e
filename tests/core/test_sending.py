"""Tests for :mod:`txhyper.core.sending`: what this side of a connection says."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import (
    CONNECTION_WINDOW,
    STREAM_WINDOW,
    Conversation,
    data,
    goaway,
    reset,
    settings_frame,
    window_update,
)
from txhyper.core.engine import Engine
from txhyper.core.facts import FAILED, FINISHED, OPENED, RESPONDED, SETTLED
from txhyper.core.headers import list_size, pseudo_fields
from txhyper.core.streams import Stream
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager
from txhyper.errors import ConnectionUnusable, InvalidRequest

MAXIMUM = (1 << 31) - 1


class GreetingTests(SynchronousTestCase):
    """The first octets (RFC 9113 section 3.4)."""

    def test_greeting(self) -> None:
        """The preface, SETTINGS, and a window for the connection; nothing is waited for."""
        conversation = Conversation(greeted=False)
        [(kind, _, _, payload), update] = conversation.greeting
        self.assertEqual(wire.SETTINGS, kind)
        self.assertIn(struct.pack(">HL", wire.ENABLE_PUSH, 0), payload)
        self.assertIn(struct.pack(">HL", wire.INITIAL_WINDOW_SIZE, STREAM_WINDOW), payload)
        self.assertEqual(
            (wire.WINDOW_UPDATE, 0, 0, struct.pack(">L", CONNECTION_WINDOW - 65535)), update
        )
        self.assertEqual([], conversation.said())

    def test_windows_of_the_class(self) -> None:
        """The windows are what the plugged class says, on the wire and in the books."""

        class Small(FlowControlManager):
            initial_stream_window = 1000
            initial_connection_window = 70000

        conversation = Conversation(window_manager=Small)
        [(_, _, _, payload), update] = conversation.greeting
        self.assertIn(struct.pack(">HL", wire.INITIAL_WINDOW_SIZE, 1000), payload)
        self.assertEqual((wire.WINDOW_UPDATE, 0, 0, struct.pack(">L", 70000 - 65535)), update)
        stream = conversation.open()
        Small.initial_stream_window = 9
        conversation.engine.paused(stream)
        assert stream.manager is not None
        self.assertEqual(
            (1000, 1000, 70000, 70000),
            (
                stream.receive_window,
                stream.manager.initial_window_size,
                conversation.engine._receive_window,
                conversation.engine.manager.initial_window_size,
            ),
        )

    def test_the_smallest_windows(self) -> None:
        """65,535 octets for the connection need no WINDOW_UPDATE, and a stream may have one."""

        class Smallest(FlowControlManager):
            initial_stream_window = 1
            initial_connection_window = 65535

        conversation = Conversation(window_manager=Smallest)
        [(kind, _, _, payload)] = conversation.greeting
        self.assertEqual(wire.SETTINGS, kind)
        self.assertIn(struct.pack(">HL", wire.INITIAL_WINDOW_SIZE, 1), payload)
        self.assertEqual(65535, conversation.engine._receive_window)
        self.assertEqual(1, conversation.open().receive_window)

    def test_the_largest_windows(self) -> None:
        """2^31-1 octets, and not one more."""

        class Largest(FlowControlManager):
            initial_stream_window = MAXIMUM
            initial_connection_window = MAXIMUM

        conversation = Conversation(window_manager=Largest)
        self.assertEqual(MAXIMUM, conversation.engine._receive_window)
        self.assertEqual(MAXIMUM, conversation.open().receive_window)

    def test_windows_that_there_are_not(self) -> None:
        """A class with windows that the RFC does not allow is refused before anything is sent."""
        for name, window in (
            ("initial_stream_window", -1),
            ("initial_stream_window", MAXIMUM + 1),
            ("initial_connection_window", 65534),
            ("initial_connection_window", MAXIMUM + 1),
        ):
            plugged = type("Plugged", (FlowControlManager,), {name: window})
            with self.assertRaises(ValueError) as caught:
                Engine("https://a.test", window_manager=plugged)
            self.assertIn(f"Plugged.{name} is {window}:", str(caught.exception))

    def test_the_preface_comes_first(self) -> None:
        """A request of the same turn follows the preface in the same octets."""
        engine = Engine("https://a.test")
        engine.open(None, b"GET", b"https", b"a.test", b"/", [], True)
        octets = engine.take()
        self.assertTrue(octets.startswith(wire.PREFACE))
        self.assertEqual(
            [wire.SETTINGS, wire.WINDOW_UPDATE, wire.HEADERS],
            [kind for kind, _, _, _ in wire.split(octets)],
        )


class OpeningTests(SynchronousTestCase):
    """Requests."""

    def setUp(self) -> None:
        """A connection that has been greeted."""
        self.conversation = Conversation()
        self.engine = self.conversation.engine

    def test_open(self) -> None:
        """One HEADERS, with END_STREAM if there is no body; the owner is carried along."""
        owner = object()
        for end in (True, False):
            stream = self.engine.open(
                owner, b"PUT", b"https", b"a.test", b"/x", [(b"a", b"b")], end
            )
            [(kind, flags, stream_id, payload)] = self.conversation.said()
            self.assertEqual((wire.HEADERS, stream.id), (kind, stream_id))
            self.assertEqual(wire.END_HEADERS | (wire.END_STREAM if end else 0), flags)
            self.assertEqual(
                [*pseudo_fields(b"PUT", b"https", b"a.test", b"/x"), (b"a", b"b")],
                self.conversation.fields(payload),
            )
            self.assertIs(owner, stream.owner)
            self.assertEqual((b"PUT", not end), (stream.method, stream.sending))

    def test_ids(self) -> None:
        """Streams of a client are odd and grow (section 5.1.1)."""
        streams = [self.conversation.open() for _ in range(3)]
        self.assertEqual([1, 3, 5], [stream.id for stream in streams])
        self.assertEqual(streams, list(self.engine.streams))

    def test_no_id_left(self) -> None:
        """After the last id the connection takes no request any more, and says so before."""
        self.engine._next_id = MAXIMUM
        self.assertFalse(self.engine.exhausted)
        self.assertEqual(MAXIMUM, self.conversation.open().id)
        self.assertTrue(self.engine.exhausted)
        error = self.assertRaises(ConnectionUnusable, self.conversation.open)
        self.assertEqual("https://a.test: the connection has no stream id left", str(error))
        self.assertEqual([], self.conversation.said())

    def test_gone(self) -> None:
        """Nor does it after GOAWAY, and nothing of such a request is sent."""
        self.conversation.hear(goaway(0))
        error = self.assertRaises(ConnectionUnusable, self.conversation.open)
        self.assertEqual("https://a.test: the connection has gone away", str(error))
        self.assertEqual([], self.conversation.said())

    def test_large_header_lists(self) -> None:
        """They are continued at the peer's frame size, and nothing comes between (section 6.10)."""
        fields = [(b"x-%d" % number, b"\xff" * 3000) for number in range(10)]
        self.engine.open(None, b"GET", b"https", b"a.test", b"/", fields, False)
        self.engine.ping(b"12345678")
        said = self.conversation.said()
        self.assertEqual(wire.PING, said.pop()[0])
        self.assertEqual(
            [wire.HEADERS] + [wire.CONTINUATION] * (len(said) - 1), [kind for kind, *_ in said]
        )
        self.assertLess(1, len(said))
        self.assertLessEqual(max(len(payload) for *_, payload in said), 16384)
        block = b"".join(payload for *_, payload in said)
        self.assertEqual(fields, self.conversation.fields(block)[4:])

    def test_the_peers_frame_size(self) -> None:
        """A larger frame size of the peer's is used."""
        self.conversation.hear(settings_frame([(wire.MAX_FRAME_SIZE, 65536)]))
        self.assertEqual(65536, self.engine.max_frame_size)
        self.conversation.said()
        self.engine.open(None, b"GET", b"https", b"a.test", b"/", [(b"x", b"\xff" * 18000)], True)
        [(kind, _, _, payload)] = self.conversation.said()
        self.assertEqual(wire.HEADERS, kind)
        self.assertGreater(len(payload), 16384)

    def test_the_peers_limit(self) -> None:
        """A header list is held to the limit that the peer has announced, to the octet."""
        for method in (b"GET", b"CONNECT"):
            fields = [(b"a", b"b")]
            first = pseudo_fields(method, b"https", b"a.test", b"/path")
            size = list_size([*first, *fields])
            conversation = Conversation()
            conversation.hear(settings_frame([(wire.MAX_HEADER_LIST_SIZE, size)]))
            conversation.said()
            engine = conversation.engine
            engine.open(None, method, b"https", b"a.test", b"/path", fields, True)
            conversation.said()
            error = self.assertRaises(
                InvalidRequest,
                engine.open,
                None,
                method,
                b"https",
                b"a.test",
                b"/path",
                [(b"a", b"bc")],
                True,
            )
            self.assertIn(f"a header list of {size + 1} octets", str(error))
            self.assertIn(f"allows {size}", str(error))
            # Nothing was sent, no id was used up, and no stream is left behind.
            self.assertEqual([], conversation.said())
            self.assertEqual(1, len(engine.streams))
            self.assertEqual(3, engine.open(None, method, b"", b"", b"", [], True).id)


class BodyTests(SynchronousTestCase):
    """DATA that is sent."""

    def setUp(self) -> None:
        """A request with a body."""
        self.conversation = Conversation()
        self.engine = self.conversation.engine
        self.stream = self.conversation.open(b"POST", end=False)

    def window(self) -> int:
        """The stream's window for sending."""
        return self.engine.initial_window + self.stream.send_credit

    def test_data(self) -> None:
        """A frame's slices go out as one payload, and both windows pay for it."""
        self.engine.send_data(self.stream, [memoryview(b"ab"), memoryview(b"cde")[:2]], 4, False)
        self.assertEqual([(wire.DATA, 0, 1, b"abcd")], self.conversation.said())
        self.assertEqual((65531, 65531), (self.engine.send_window, self.window()))
        self.assertTrue(self.stream.sending)

    def test_end(self) -> None:
        """END_STREAM ends this half only: the response is still to come."""
        self.engine.send_data(self.stream, [], 0, True)
        self.assertEqual([(wire.DATA, wire.END_STREAM, 1, b"")], self.conversation.said())
        self.assertEqual((False, False), (self.stream.sending, self.stream.closed))
        facts = self.conversation.hear(self.conversation.blocks.headers(1, end=True))
        self.assertEqual([RESPONDED, FINISHED], [fact[0] for fact in facts])
        self.assertEqual((True, []), (self.stream.closed, list(self.engine.streams)))

    def test_end_after_the_response(self) -> None:
        """An upload may outlive its response; its end closes the stream."""
        facts = self.conversation.hear(self.conversation.blocks.headers(1, end=True))
        self.assertEqual([RESPONDED, FINISHED], [fact[0] for fact in facts])
        self.assertFalse(self.stream.closed)
        self.engine.send_data(self.stream, [memoryview(b"x")], 1, False)
        self.assertFalse(self.stream.closed)
        self.engine.send_data(self.stream, [], 0, True)
        self.assertTrue(self.stream.closed)
        self.assertEqual([], list(self.engine.streams))
        self.assertEqual(2, len(self.conversation.said()))

    def test_windows_open(self) -> None:
        """WINDOW_UPDATE opens the stream's window or the connection's, never both."""
        facts = self.conversation.hear(window_update(1, 10) + window_update(0, 20))
        self.assertEqual([(OPENED, self.stream, None, 0), (OPENED, None, None, 0)], facts)
        self.assertEqual((65535 + 10, 65535 + 20), (self.window(), self.engine.send_window))

    def test_initial_window(self) -> None:
        """
        INITIAL_WINDOW_SIZE changes the streams' windows, open ones by the difference and below
        zero if it has to, and not the connection's (section 6.9.2).
        """
        self.engine.send_data(self.stream, [memoryview(b"x" * 1000)], 1000, False)
        facts = self.conversation.hear(settings_frame([(wire.INITIAL_WINDOW_SIZE, 100)]))
        self.assertEqual([(SETTLED, None, None, 0)], facts)
        self.assertEqual((-900, 65535 - 1000), (self.window(), self.engine.send_window))
        self.conversation.hear(window_update(1, 901))
        self.assertEqual(1, self.window())
        self.conversation.hear(settings_frame([(wire.INITIAL_WINDOW_SIZE, 200)]))
        self.assertEqual(101, self.window())
        self.conversation.said()
        self.assertEqual(0, self.conversation.open(b"POST", end=False).send_credit)

    def test_trailing_reset(self) -> None:
        """A reset closes both halves at once."""
        self.engine.reset(self.stream, wire.CANCEL)
        self.assertEqual(
            [(wire.RST_STREAM, 0, 1, struct.pack(">L", wire.CANCEL))], self.conversation.said()
        )
        self.assertEqual((True, False), (self.stream.closed, self.stream.sending))
        self.assertEqual([], list(self.engine.streams))

    def test_reset_twice(self) -> None:
        """A stream is reset once, and one that has ended is not reset at all."""
        self.engine.reset(self.stream, wire.CANCEL)
        self.engine.reset(self.stream, wire.CANCEL)
        self.assertEqual(1, len(self.conversation.said()))
        other = self.conversation.open()
        self.conversation.hear(self.conversation.blocks.headers(3, end=True))
        self.engine.reset(other, wire.CANCEL)
        self.assertEqual([], self.conversation.said())


class Generous(BaseFlowControlManager):
    """A window manager that gives what it is told to."""

    gift = 0
    pauses = 0

    def increase_window_size(self, frame_size: int) -> int:
        """Give."""
        return self.gift

    def paused(self) -> None:
        """Count."""
        Generous.pauses += 1


class CreditTests(SynchronousTestCase):
    """Credit for what was received (section 6.9)."""

    def setUp(self) -> None:
        """A response whose head has come."""
        self.conversation = Conversation()
        self.engine = self.conversation.engine
        self.stream = self.conversation.open()
        self.conversation.hear(self.conversation.blocks.headers(1))

    def receive(self, octets: int) -> None:
        """Content comes, in frames."""
        while octets:
            size = min(octets, 16384)
            self.conversation.hear(data(1, bytes(size)))
            octets -= size

    def test_half_a_window(self) -> None:
        """A stream is credited at consumption, once half a window is due."""
        half = STREAM_WINDOW // 2
        self.receive(half)
        self.assertEqual([], self.conversation.said())
        self.engine.consumed(self.stream, half - 1)
        self.assertEqual([], self.conversation.said())
        self.engine.consumed(self.stream, 1)
        self.assertEqual(
            [(wire.WINDOW_UPDATE, 0, 1, struct.pack(">L", half))], self.conversation.said()
        )
        self.assertEqual(STREAM_WINDOW, self.stream.receive_window)

    def test_the_connection_is_paid_at_receipt(self) -> None:
        """Readers that read nothing hold back no credit of the connection's."""
        others = [self.conversation.open() for _ in range(65)]
        for stream in others:
            self.conversation.hear(self.conversation.blocks.headers(stream.id))
            for _ in range(16):
                self.conversation.hear(data(stream.id, bytes(16384)))
        updates = self.conversation.said()
        self.assertEqual(
            {(wire.WINDOW_UPDATE, 0)}, {(kind, stream) for kind, _, stream, _ in updates}
        )
        credited = sum(int.from_bytes(payload, "big") for *_, payload in updates)
        self.assertGreaterEqual(credited, 65 * STREAM_WINDOW - CONNECTION_WINDOW // 2)

    def test_growth(self) -> None:
        """A reader that keeps up gets a larger window, with the same WINDOW_UPDATE."""
        for _ in range(2):
            self.receive(STREAM_WINDOW // 2)
            self.engine.consumed(self.stream, STREAM_WINDOW // 2)
        self.conversation.said()
        self.assertEqual(2 * STREAM_WINDOW, self.stream.receive_window)

    def test_a_pause(self) -> None:
        """A reader that pauses does not."""
        for _ in range(2):
            self.receive(STREAM_WINDOW // 2)
            self.engine.paused(self.stream)
            self.engine.consumed(self.stream, STREAM_WINDOW // 2)
        self.assertEqual(STREAM_WINDOW, self.stream.receive_window)

    def test_after_the_end(self) -> None:
        """Nothing is credited on a stream that has ended or is closed: nobody would use it."""
        self.receive(STREAM_WINDOW // 2)
        self.conversation.hear(data(1, b"", True))
        self.engine.consumed(self.stream, STREAM_WINDOW // 2)
        self.assertEqual([], self.conversation.said())

    def test_after_the_end_of_one_half(self) -> None:
        """Nor while the upload goes on."""
        stream = self.conversation.open(b"POST", end=False)
        self.conversation.hear(self.conversation.blocks.headers(3))
        self.conversation.hear(b"".join(data(3, bytes(16384)) for _ in range(8)))
        self.conversation.hear(data(3, b"", True))
        self.assertFalse(stream.closed)
        self.engine.consumed(stream, STREAM_WINDOW // 2)
        self.assertEqual([], self.conversation.said())

    def test_after_a_reset(self) -> None:
        """Nor on one that was reset, from either side."""
        self.receive(STREAM_WINDOW // 2)
        self.conversation.hear(reset(1, wire.CANCEL))
        self.engine.consumed(self.stream, STREAM_WINDOW // 2)
        self.assertEqual([], self.conversation.said())

    def test_pluggable(self) -> None:
        """Another class decides, and is told of pauses and of the content-length."""
        conversation = Conversation(window_manager=Generous)
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1, [*wire.OK, (b"content-length", b"99")]))
        conversation.hear(data(1, b"x"))
        Generous.pauses = 0
        conversation.engine.paused(stream)
        self.assertEqual(1, Generous.pauses)
        assert stream.manager is not None
        self.assertEqual(
            (STREAM_WINDOW, 99), (stream.manager.initial_window_size, stream.manager.document_size)
        )
        stream.manager.gift = 7  # type: ignore[attr-defined]
        conversation.engine.consumed(stream, 1)
        self.assertEqual([(wire.WINDOW_UPDATE, 0, 1, struct.pack(">L", 7))], conversation.said())

    def test_consumption(self) -> None:
        """A class that tells consumption from the rest is told of it, for streams alone."""

        class Consuming(BaseFlowControlManager):
            def increase_window_size(self, frame_size: int) -> int:
                return 0

            def consumed(self, size: int) -> int:
                return size + 1

        conversation = Conversation(window_manager=Consuming)
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1) + data(1, b"1234567"))
        self.assertEqual([], conversation.said())
        conversation.engine.consumed(stream, 7)
        self.assertEqual([(wire.WINDOW_UPDATE, 0, 1, struct.pack(">L", 8))], conversation.said())
        self.assertEqual(STREAM_WINDOW + 1, stream.receive_window)

    def test_too_generous(self) -> None:
        """Credit that would lift a window above 2^31-1 is cut to it (section 6.9.1)."""
        conversation = Conversation(window_manager=Generous)
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1) + data(1, b"x"))
        conversation.engine.paused(stream)
        assert stream.manager is not None
        stream.manager.gift = 1 << 40  # type: ignore[attr-defined]
        for _ in range(3):
            conversation.engine.consumed(stream, 1)
        self.assertEqual(MAXIMUM, stream.receive_window)
        self.assertEqual(
            [(wire.WINDOW_UPDATE, 0, 1, struct.pack(">L", MAXIMUM - STREAM_WINDOW + 1))],
            conversation.said(),
        )

    def test_too_stingy(self) -> None:
        """What would take credit back is nothing."""
        conversation = Conversation(window_manager=Generous)
        stream = conversation.open()
        conversation.hear(conversation.blocks.headers(1) + data(1, b"x"))
        conversation.engine.paused(stream)
        assert stream.manager is not None
        stream.manager.gift = -5  # type: ignore[attr-defined]
        conversation.engine.consumed(stream, 1)
        self.assertEqual([], conversation.said())
        self.assertEqual(STREAM_WINDOW - 1, stream.receive_window)


class FarewellTests(SynchronousTestCase):
    """PING, GOAWAY, and what goes out in which order."""

    def test_ping(self) -> None:
        """Eight octets of the caller's."""
        conversation = Conversation()
        conversation.engine.ping(b"12345678")
        self.assertEqual([(wire.PING, 0, 0, b"12345678")], conversation.said())

    def test_close(self) -> None:
        """GOAWAY, NO_ERROR unless told otherwise; no stream of the peer's was processed."""
        conversation = Conversation()
        conversation.engine.close()
        self.assertEqual([(wire.GOAWAY, 0, 0, bytes(8))], conversation.said())
        conversation.engine.close(wire.INTERNAL_ERROR, b"why")
        self.assertEqual(
            [(wire.GOAWAY, 0, 0, struct.pack(">LL", 0, 2) + b"why")], conversation.said()
        )

    def test_order(self) -> None:
        """Octets go out in the order of the calls, once."""
        conversation = Conversation()
        engine = conversation.engine
        stream = engine.open(None, b"POST", b"https", b"a.test", b"/", [], False)
        engine.ping(b"12345678")
        engine.send_data(stream, [memoryview(b"x")], 1, False)
        engine.reset(stream, wire.CANCEL)
        engine.close()
        self.assertEqual(
            [wire.HEADERS, wire.PING, wire.DATA, wire.RST_STREAM, wire.GOAWAY],
            [kind for kind, *_ in conversation.said()],
        )
        self.assertEqual(b"", engine.take())


class SettingsTests(SynchronousTestCase):
    """What the peer's settings say."""

    def test_settings(self) -> None:
        """They can be read."""
        conversation = Conversation(greeted=False)
        engine = conversation.engine
        self.assertEqual((65535, 16384), (engine.initial_window, engine.max_frame_size))
        self.assertIsNone(engine.max_concurrent_streams)
        conversation.hear(
            settings_frame(
                [(wire.MAX_CONCURRENT_STREAMS, 0), (wire.INITIAL_WINDOW_SIZE, 0), (5, 1 << 20)]
            )
        )
        self.assertEqual((0, 1 << 20), (engine.initial_window, engine.max_frame_size))
        self.assertEqual(0, engine.max_concurrent_streams)


class WindowLimitTests(SynchronousTestCase):
    """No window for sending may pass 2^31-1 (section 6.9.1)."""

    def setUp(self) -> None:
        """Two uploads."""
        self.conversation = Conversation()
        self.streams: list[Stream] = [self.conversation.open(b"POST", end=False) for _ in range(2)]

    def test_up_to_it(self) -> None:
        """The largest window is a window."""
        facts = self.conversation.hear(
            window_update(1, MAXIMUM - 65535) + window_update(0, MAXIMUM - 65535)
        )
        self.assertEqual([OPENED, OPENED], [fact[0] for fact in facts])

    def test_a_streams(self) -> None:
        """A stream's window above it is an error of that stream."""
        facts = self.conversation.hear(window_update(1, MAXIMUM - 65534) + window_update(3, 1))
        self.assertEqual([FAILED, OPENED], [fact[0] for fact in facts])
        self.assertEqual(
            [(wire.RST_STREAM, 0, 1, struct.pack(">L", wire.FLOW_CONTROL_ERROR))],
            self.conversation.said(),
        )
        self.assertEqual([self.streams[1]], list(self.conversation.engine.streams))
