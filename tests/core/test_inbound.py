"""Tests for :mod:`txhyper.core.inbound`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.inbound import Inbound


class InboundTests(SynchronousTestCase):
    """A body that waits for its reader."""

    def setUp(self) -> None:
        """Two frames, the second padded."""
        self.inbound = Inbound()
        self.inbound.hold(b"one", 3)
        self.inbound.hold(b"two", 10)

    def test_beginning(self) -> None:
        """At first there is nothing, and nobody has asked for a pause."""
        new = Inbound()
        self.assertEqual(
            (False, False, False, True), (new.paused, new.delivering, new.ended, new.exhausted)
        )
        self.assertIsNone(new.take())

    def test_order(self) -> None:
        """Frames come out in order, with their flow-controlled lengths."""
        self.assertFalse(self.inbound.exhausted)
        self.assertEqual((b"one", 3), self.inbound.take())
        self.assertFalse(self.inbound.exhausted)
        self.assertEqual((b"two", 10), self.inbound.take())
        self.assertTrue(self.inbound.exhausted)
        self.assertIsNone(self.inbound.take())

    def test_pause(self) -> None:
        """Nothing comes out during a pause, and nothing is lost."""
        self.inbound.paused = True
        self.assertIsNone(self.inbound.take())
        self.inbound.hold(b"three", 5)
        self.inbound.paused = False
        self.assertEqual(
            [(b"one", 3), (b"two", 10), (b"three", 5), None],
            [self.inbound.take() for _ in range(4)],
        )

    def test_paused_and_empty(self) -> None:
        """A reader that has paused does not keep up, even if nothing waits."""
        new = Inbound()
        new.paused = True
        self.assertFalse(new.exhausted)

    def test_small_frames(self) -> None:
        """A window full of frames of one octet is held in few pieces, and nothing is lost."""
        inbound = Inbound()
        content = bytes(range(256)) * 400
        for octet in content:
            inbound.hold(bytes([octet]), 1)
        self.assertLess(len(inbound._frames), 128)
        taken = []
        while (frame := inbound.take()) is not None:
            self.assertIs(bytes, type(frame[0]))
            taken.append(frame)
        self.assertEqual(content, b"".join(data for data, _ in taken))
        self.assertEqual(len(content), sum(size for _, size in taken))

    def test_large_frames(self) -> None:
        """Frames of a useful size are never copied together, however many wait."""
        inbound = Inbound()
        frames = [bytes([number]) * 5000 for number in range(100)]
        for data in frames:
            inbound.hold(data, 5000)
        self.assertTrue(all(inbound.take() == (data, 5000) for data in frames))

    def test_emptyFrames(self) -> None:
        """Empty frames are kept as they came, up to a number: more of them cost nothing."""
        inbound = Inbound()
        for number in range(1000):
            inbound.hold(b"", number % 2)
        inbound.hold(b"end", 4)
        frames = []
        while (frame := inbound.take()) is not None:
            frames.append(frame)
        self.assertEqual(64, len(frames))
        self.assertEqual((b"end", 504), (frames[-1][0], sum(size for _, size in frames)))

    def test_discard(self) -> None:
        """What nobody will read is forgotten."""
        self.inbound.discard()
        self.assertIsNone(self.inbound.take())
        self.assertTrue(self.inbound.exhausted)

    @law
    @given(st.lists(st.sampled_from(["hold", "take", "pause", "resume"]) | st.binary(max_size=5)))
    def test_any_pattern(self, calls: list[str | bytes]) -> None:
        """For every pattern of pauses and chunks what comes out is what came, in order."""
        inbound, came, went = Inbound(), b"", b""
        held, credited = 0, 0
        for call in [*calls, "resume", *["take"] * len(calls)]:
            if isinstance(call, bytes):
                inbound.hold(call, len(call) + 1)
                came += call
                held += len(call) + 1
            elif call == "take":
                taken = inbound.take()
                if taken is not None:
                    self.assertFalse(inbound.paused)
                    went += taken[0]
                    credited += taken[1]
            else:
                inbound.paused = call == "pause"
        self.assertEqual((came, held), (went, credited))
        self.assertTrue(inbound.exhausted)
