"""Tests for :mod:`txhyper.core.patience`, and for the frames that the engine counts by it."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import Conversation, data, frame, law, reset, settings_frame, window_update
from txhyper.core.bounds import Bounds
from txhyper.core.patience import Patience
from txhyper.errors import BoundExceeded


class PatienceTests(SynchronousTestCase):
    """The budget itself."""

    def test_burst(self) -> None:
        """So many at once, and no more."""
        patience = Patience(3, 1)
        self.assertEqual([False, False, False, True], [patience.lose(0, 0) for _ in range(4)])

    def test_time(self) -> None:
        """Time brings them back, up to the burst."""
        patience = Patience(3, 2)
        for _ in range(3):
            patience.lose(0, 0)
        self.assertEqual([False, False, True], [patience.lose(1, 0) for _ in range(3)])
        self.assertEqual([False] * 3 + [True], [patience.lose(100, 0) for _ in range(4)])

    def test_progress(self) -> None:
        """So does progress."""
        patience = Patience(3, 0)
        for _ in range(3):
            patience.lose(0, 0)
        self.assertEqual([False, False, True], [patience.lose(0, 2) for _ in range(3)])

    @law
    @given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 5)), max_size=200))
    def test_never_more(self, steps: list[tuple[float, int]]) -> None:
        """In no stretch of time are there more than the burst and what came back in it."""
        patience = Patience(10, 2)
        now, progress, passed = 0.0, 0, 0
        for seconds, achieved in steps:
            now, progress = now + seconds, progress + achieved
            passed += not patience.lose(now, progress)
            self.assertLessEqual(passed, 10 + 2 * now + progress + 1e-6)


class UselessFramesTests(SynchronousTestCase):
    """What the engine counts, and what it does not."""

    def setUp(self) -> None:
        """Five at once, none forgiven with time, and one open stream."""
        bounds = Bounds(useless_frames=5, useless_frames_per_second=0.0)
        # The greeting is one, and each stream is worth ten.
        self.conversation = Conversation(bounds=bounds)
        self.engine = self.conversation.engine

    def assertBounded(self, octets: bytes, worth: int = 0) -> None:
        """After so many of these frames, and what was worth some more, the connection ends."""
        error = self.assertRaises(BoundExceeded, self.conversation.hear, octets * (11 + worth))
        self.assertEqual("useless_frames", error.bound)
        self.assertEqual(
            "https://a.test: more than 5 frames without progress (bound useless_frames, "
            "ENHANCE_YOUR_CALM)",
            str(error),
        )
        kind, _, _, payload = self.conversation.said()[-1]
        code = struct.pack(">L", wire.ENHANCE_YOUR_CALM)
        self.assertEqual((wire.GOAWAY, code), (kind, payload[4:8]))

    def test_of_the_connection(self) -> None:
        """PING, its answer, SETTINGS, its answer, WINDOW_UPDATE, ORIGIN, and what nobody knows."""
        for octets in (
            frame(wire.PING, 0, 0, bytes(8)),
            frame(wire.PING, wire.ACK, 0, bytes(8)),
            settings_frame(),
            settings_frame([(wire.INITIAL_WINDOW_SIZE, 1)]),
            window_update(0, 1),
            wire.origin_frame(b"https://a.test"),
            frame(0xFA, 0, 0, b"x"),
            frame(wire.ALTSVC, 0, 0, b"x"),
        ):
            self.setUp()
            self.assertBounded(octets)

    def test_of_a_stream(self) -> None:
        """PRIORITY, WINDOW_UPDATE, empty DATA with or without padding, and what nobody knows."""
        for octets in (
            frame(wire.PRIORITY, 0, 1, bytes(5)),
            window_update(1, 1),
            data(1, b""),
            data(1, b"", padding=3),
            frame(0xFA, 0, 1, b"x"),
        ):
            self.setUp()
            self.conversation.open()
            self.conversation.hear(self.conversation.blocks.headers(1))
            self.assertBounded(octets, 10)

    def test_of_a_closed_stream(self) -> None:
        """Whatever comes for a stream that we have reset, and promises that nobody waits for."""
        for octets in (
            data(1, b""),
            reset(1, wire.CANCEL),
            window_update(1, 1),
            frame(wire.HEADERS, wire.END_HEADERS, 1, b"\x88"),
        ):
            self.setUp()
            self.engine.reset(self.conversation.open(), wire.CANCEL)
            self.assertBounded(octets, 10)

    def test_going_away_for_ever(self) -> None:
        """GOAWAY is said once, or twice; each one more is counted, as it tells nothing."""
        self.conversation.hear(wire.goaway(7))
        self.assertBounded(wire.goaway(7))

    def test_an_octet_at_a_time(self) -> None:
        """Reads of a few octets are counted, unless a frame is complete with them."""
        for octets in (frame(0xFA, 0, 0, bytes(100)), frame(0xFA, 0, 0, bytes(5))):
            self.setUp()
            with self.assertRaises(BoundExceeded) as caught:
                for octet in octets * 10:
                    self.conversation.hear(bytes([octet]))
            self.assertEqual("useless_frames", caught.exception.bound)
        self.setUp()
        self.conversation.open()
        self.conversation.hear(self.conversation.blocks.headers(1))
        for _ in range(100):
            # As a server does that writes the header by itself.
            whole = data(1, bytes(100))
            self.conversation.hear(whole[:9])
            self.conversation.hear(whole[9:])

    def test_crumbs(self) -> None:
        """DATA of a few octets is counted as long as nobody has read anything of it."""
        for size, isCounted in ((1, True), (15, True), (16, False)):
            self.setUp()
            stream = self.conversation.open()
            self.conversation.hear(self.conversation.blocks.headers(1))
            if isCounted:
                self.assertBounded(data(1, bytes(size)), 10)
                continue
            self.conversation.hear(data(1, bytes(size)) * 100)
            self.engine.consumed(stream, 1)
            self.conversation.hear(data(1, b"x") * 100)

    def test_many_in_one(self) -> None:
        """Entries of SETTINGS, of ORIGIN, and fields of 1xx cost what their work does."""
        entries = [(wire.INITIAL_WINDOW_SIZE, 1)] * 20
        head = [(b":status", b"103"), *[(b"a", b"b")] * 300]
        for octets in (
            settings_frame(entries),
            wire.origin_frame(*[b"https://a.test"] * 20),
            self.conversation.blocks.headers(1, head),
        ):
            self.setUp()
            self.conversation.open()
            # One frame is enough, where fifteen are.
            error = self.assertRaises(BoundExceeded, self.conversation.hear, octets)
            self.assertEqual("useless_frames", error.bound)

    def test_promises_that_come_to_nothing(self) -> None:
        """Each promise is counted, also one that only its user refuses."""
        bounds = Bounds(useless_frames=5, useless_frames_per_second=0.0)
        self.conversation = Conversation(bounds=bounds, enable_push=True)
        self.engine = self.conversation.engine
        self.conversation.open()
        head = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"a.test"),
            (b":path", b"/"),
        ]

        def flood() -> None:
            for promised in range(2, 100, 2):
                block = struct.pack(">L", promised) + self.conversation.blocks.block(head)
                octets = frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, block)
                for _, _, (stream, _), _ in self.conversation.hear(octets):
                    self.engine.reset(stream, wire.CANCEL)

        error = self.assertRaises(BoundExceeded, flood)
        self.assertEqual("useless_frames", error.bound)

    def test_what_is_of_use(self) -> None:
        """Responses and their bodies cost nothing, however small."""
        for stream in range(1, 200, 2):
            self.conversation.open()
            octets = self.conversation.blocks.headers(stream) + data(stream, b"x")
            self.conversation.hear(octets + data(stream, b"", True))

    def test_requests_are_worth_some(self) -> None:
        """A server that answers each request with a PING and credit lives."""
        for stream in range(1, 2000, 2):
            self.conversation.open()
            octets = frame(wire.PING, 0, 0, bytes(8)) + window_update(0, 1)
            self.conversation.hear(octets + self.conversation.blocks.headers(stream, end=True))

    def test_a_download_is_worth_some(self) -> None:
        """So does one that sends PINGs beside a body."""
        self.conversation.open()
        self.conversation.hear(self.conversation.blocks.headers(1))
        stream = self.engine.streams[0]
        for _ in range(500):
            self.conversation.hear(frame(wire.PING, 0, 0, bytes(8)) + data(1, bytes(4096)))
            self.engine.consumed(stream, 4096)

    def test_an_upload_is_worth_some(self) -> None:
        """And one that gives credit for each frame of an upload, for the stream and for all."""
        stream = self.conversation.open(b"POST", end=False)
        for _ in range(500):
            self.engine.send_data(stream, [memoryview(bytes(4096))], 4096, False)
            self.conversation.hear(window_update(0, 4096) + window_update(1, 4096))

    def test_time(self) -> None:
        """Time is worth what the bound says."""
        self.engine._patience = Patience(5, 2)
        for second in range(100):
            self.engine.now = float(second)
            self.conversation.hear(frame(wire.PING, 0, 0, bytes(8)) * 2)

    def test_settings_entries(self) -> None:
        """Entries of one SETTINGS frame are counted, known or not."""
        self.conversation = Conversation(bounds=Bounds(settings_entries=3))
        self.conversation.hear(
            settings_frame([(0xFA, 1), (0xFB, 1), (wire.INITIAL_WINDOW_SIZE, 1)])
        )
        octets = settings_frame([(0xFA, 1)] * 4)
        error = self.assertRaises(BoundExceeded, self.conversation.hear, octets)
        self.assertEqual("settings_entries", error.bound)
