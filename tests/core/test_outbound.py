"""Tests for :mod:`txhyper.core.outbound`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.outbound import HIGH_MARK, LOW_MARK, Outbound
from txhyper.core.streams import Stream

#: Windows that are in nobody's way.
WIDE = 1 << 30


def stream(stream_id: int) -> Stream:
    """A stream that may send."""
    return Stream(stream_id, None, b"POST", 0, True)


class Watched(Stream):
    """A stream that counts how often its window was asked for."""

    looks = 0

    def __getattribute__(self, name: str) -> Any:
        """Count."""
        if name == "send_credit":
            self.looks += 1
        return super().__getattribute__(name)


class OutboundTests(SynchronousTestCase):
    """Bodies that wait to be sent."""

    def setUp(self) -> None:
        """Three streams with nothing to say."""
        self.outbound = Outbound()
        self.one, self.two, self.three = stream(1), stream(3), stream(5)

    def next(
        self, connection: int = WIDE, initial: int = WIDE, size: int = 16384
    ) -> tuple[int, bytes, bool] | None:
        """The next frame: stream id, octets, and whether the body ends."""
        turn = self.outbound.next(connection, initial, size)
        if turn is None:
            return None
        sender, slices, length, end = turn
        octets = b"".join(slices)
        self.assertEqual(length, len(octets))
        sender.send_credit -= length
        return sender.id, octets, end

    def test_nothing(self) -> None:
        """Where nothing waits nobody has a turn."""
        self.assertIsNone(self.next())
        self.assertEqual(0, self.outbound.queued)

    def test_empty_write(self) -> None:
        """To write nothing is no turn: an empty frame would be noise."""
        self.outbound.write(self.one, b"")
        self.assertIsNone(self.next())

    def test_one_body(self) -> None:
        """A body goes out in order, and END_STREAM with its last octets."""
        self.outbound.write(self.one, b"ab")
        self.outbound.write(self.one, b"cd")
        self.outbound.finish(self.one)
        self.assertEqual(4, self.outbound.queued)
        self.assertEqual((1, b"abc", False), self.next(size=3))
        self.assertEqual((1, b"d", True), self.next(size=3))
        self.assertIsNone(self.next())
        self.assertEqual((0, None), (self.outbound.queued, self.one.outbound))

    def test_end_alone(self) -> None:
        """Where the end comes after the last octets have left, it goes alone, as an empty frame."""
        self.outbound.write(self.one, b"ab")
        self.assertEqual((1, b"ab", False), self.next())
        self.outbound.finish(self.one)
        self.assertEqual((1, b"", True), self.next())
        self.assertIsNone(self.next())

    def test_no_body_at_all(self) -> None:
        """A body may be empty."""
        self.outbound.finish(self.one)
        self.assertEqual((1, b"", True), self.next())

    def test_end_needs_no_window(self) -> None:
        """
        An empty frame goes out with every window shut (RFC 9113 section 6.9.1), also past those
        that wait for one.
        """
        self.outbound.write(self.one, b"ab")
        self.outbound.finish(self.two)
        self.assertEqual((3, b"", True), self.next(connection=0))
        self.assertIsNone(self.next(connection=0))
        self.outbound.finish(self.three)
        self.assertEqual((5, b"", True), self.next(connection=0, initial=-5))
        self.assertEqual((1, b"ab", False), self.next())

    def test_round_robin(self) -> None:
        """A stream sends one frame, and waits until every other has had its turn."""
        for sender in (self.one, self.two, self.three):
            self.outbound.write(sender, b"abcd")
        self.assertEqual([1, 3, 5, 1, 3, 5], [(self.next(size=2) or (0,))[0] for _ in range(6)])

    def test_newcomer(self) -> None:
        """One who comes later stands behind those who are there."""
        self.outbound.write(self.one, b"abcd")
        self.outbound.write(self.two, b"abcd")
        self.assertEqual((1, b"ab", False), self.next(size=2))
        self.outbound.write(self.three, b"x")
        self.assertEqual([3, 1, 5], [(self.next(size=2) or (0,))[0] for _ in range(3)])

    def test_the_smallest_window(self) -> None:
        """A frame fits the stream's window, the connection's, and the peer's frame size."""
        self.outbound.write(self.one, b"x" * 100)
        self.assertEqual((1, b"x" * 3, False), self.next(connection=3))
        self.assertEqual((1, b"x" * 4, False), self.next(initial=7))
        self.assertEqual((1, b"x" * 5, False), self.next(size=5))

    def test_stream_without_window(self) -> None:
        """It leaves the round, holds up nobody, and is back once it is woken."""
        self.one.send_credit = -10
        self.outbound.write(self.one, b"ab")
        self.outbound.write(self.two, b"cd")
        self.assertEqual((3, b"cd", False), self.next(initial=10))
        self.assertIsNone(self.next(initial=10))
        # More octets and the end change nothing of it.
        self.outbound.write(self.one, b"ef")
        self.outbound.finish(self.one)
        self.assertIsNone(self.next(initial=10))
        self.one.send_credit = -9
        self.outbound.wake(self.one)
        self.assertEqual((1, b"a", False), self.next(initial=10))

    def test_woken_too_early(self) -> None:
        """A window that has opened to less than nothing is still shut."""
        self.outbound.write(self.one, b"ab")
        self.assertIsNone(self.next(initial=-10))
        self.outbound.wake(self.one)
        self.assertIsNone(self.next(initial=-5))
        self.outbound.wake(self.one)
        self.assertEqual((1, b"ab", False), self.next(initial=5))

    def test_wake_the_awake(self) -> None:
        """To wake one that has nothing to send, or its turn already, changes nothing."""
        self.outbound.wake(self.one)
        self.assertIsNone(self.next())
        self.outbound.write(self.one, b"ab")
        self.outbound.wake(self.one)
        self.assertEqual((1, b"ab", False), self.next())
        self.assertIsNone(self.next())

    def test_wake_all(self) -> None:
        """With a larger initial window each stream may have one."""
        for sender in (self.one, self.two):
            self.outbound.write(sender, b"ab")
        self.assertIsNone(self.next(initial=0))
        self.outbound.wake_all()
        self.assertEqual([(1, b"ab", False), (3, b"ab", False)], [self.next(), self.next()])
        # Nobody is thought to be blocked any more.
        self.outbound.write(self.one, b"cd")
        self.assertEqual((1, b"cd", False), self.next())

    def test_ready(self) -> None:
        """Whoever asks before a turn learns whether there may be one: without a walk, at once."""
        self.assertFalse(self.outbound.ready)
        self.outbound.write(self.one, b"")
        self.assertFalse(self.outbound.ready)
        self.outbound.write(self.one, b"ab")
        self.assertTrue(self.outbound.ready)
        self.assertIsNone(self.next(initial=0))
        self.assertFalse(self.outbound.ready)
        self.outbound.wake(self.one)
        self.assertTrue(self.outbound.ready)
        self.assertIsNone(self.next(connection=0))
        self.assertTrue(self.outbound.ready)
        self.assertEqual((1, b"ab", False), self.next())
        self.assertFalse(self.outbound.ready)
        self.outbound.finish(self.one)
        self.assertTrue(self.outbound.ready)

    def test_blocked_streams_are_not_looked_at(self) -> None:
        """Until it is woken, one without a window costs nothing, whatever it and others write."""
        blocked = Watched(7, None, b"POST", 0, True)
        self.outbound.write(blocked, b"ab")
        self.assertIsNone(self.next(initial=0))
        looks = blocked.looks
        self.one.send_credit = WIDE
        for _ in range(5):
            self.outbound.write(self.one, b"x")
            self.outbound.write(blocked, b"x")
            self.assertEqual((1, b"x", False), self.next(initial=0))
            self.assertIsNone(self.next(initial=0))
        self.outbound.finish(blocked)
        self.assertIsNone(self.next(initial=0))
        self.assertEqual(looks, blocked.looks)

    def test_connection_without_window(self) -> None:
        """Everybody waits in place; the order is the same afterwards."""
        for sender in (self.one, self.two):
            self.outbound.write(sender, b"ab")
        self.assertIsNone(self.next(connection=0))
        self.assertIsNone(self.next(connection=0))
        self.assertEqual([(1, b"ab", False), (3, b"ab", False)], [self.next(), self.next()])

    def test_discard(self) -> None:
        """What a reset stream has queued is forgotten, wherever it stood."""
        for sender in (self.one, self.two, self.three):
            self.outbound.write(sender, b"abc")
        self.three.send_credit = -WIDE
        self.assertEqual((1, b"a", False), self.next(size=1))
        self.assertEqual((3, b"a", False), self.next(size=1))
        self.assertEqual((1, b"b", False), self.next(size=1))
        self.outbound.discard(self.one)
        self.outbound.discard(self.three)
        self.assertEqual(2, self.outbound.queued)
        self.outbound.discard(self.one)
        self.outbound.wake_all()
        self.assertEqual((3, b"bc", False), self.next())
        self.assertIsNone(self.next())
        self.assertEqual(0, self.outbound.queued)

    def test_nothing_is_copied(self) -> None:
        """Octets are handed out as views of what was written."""
        chunk = b"abcd"
        self.outbound.write(self.one, chunk)
        turn = self.outbound.next(WIDE, WIDE, 3)
        assert turn is not None
        [part] = turn[1]
        self.assertIs(chunk, part.obj)


class MarksTests(SynchronousTestCase):
    """When producers pause and resume."""

    def setUp(self) -> None:
        """One stream."""
        self.outbound = Outbound()
        self.one, self.two = stream(1), stream(3)

    def test_pause(self) -> None:
        """A producer pauses above the high mark, and is told once."""
        self.assertFalse(self.outbound.write(self.one, bytes(HIGH_MARK)))
        self.assertTrue(self.outbound.write(self.one, b"x"))
        self.assertFalse(self.outbound.write(self.one, b"x"))

    def test_resume(self) -> None:
        """It resumes at the low mark, and is told once."""
        self.outbound.write(self.one, bytes(HIGH_MARK + 1))
        self.outbound.next(WIDE, WIDE, HIGH_MARK - LOW_MARK)
        self.assertFalse(self.outbound.drained(self.one))
        self.outbound.next(WIDE, WIDE, 1)
        self.assertTrue(self.outbound.drained(self.one))
        self.assertFalse(self.outbound.drained(self.one))
        self.assertTrue(self.outbound.write(self.one, bytes(HIGH_MARK)))

    def test_not_paused(self) -> None:
        """One that was not told to pause is not told to resume."""
        self.outbound.write(self.one, b"x")
        self.outbound.next(WIDE, WIDE, 1)
        self.assertFalse(self.outbound.drained(self.one))

    def test_no_body(self) -> None:
        """Nor is one that has ended."""
        self.assertFalse(self.outbound.drained(self.one))

    def test_each_for_itself(self) -> None:
        """What one stream has queued does not make another's producer pause."""
        self.outbound.write(self.one, bytes(HIGH_MARK))
        self.assertFalse(self.outbound.write(self.two, b"x"))


bodies = st.lists(st.lists(st.binary(max_size=12), max_size=4), min_size=1, max_size=4)


class OutboundLaws(SynchronousTestCase):
    """What holds for whatever is written and however the windows open."""

    @law
    @given(
        bodies,
        st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6), st.integers(0, 9)), max_size=40),
        st.integers(-3, 8),
        st.integers(1, 7),
    )
    def test_laws(
        self,
        bodies: list[list[bytes]],
        grants: list[tuple[int, int, int]],
        initial: int,
        size: int,
    ) -> None:
        """
        No window is ever exceeded, each body comes out whole and in order, the end comes once
        and last, and everything leaves once the windows allow it.
        """
        outbound = Outbound()
        streams = [stream(2 * index + 1) for index in range(len(bodies))]
        queues = {sender.id: list(body) for sender, body in zip(streams, bodies, strict=True)}
        sent = dict.fromkeys(queues, b"")
        ended: list[int] = []
        connection = 0

        def drain() -> None:
            nonlocal connection
            while (turn := outbound.next(connection, initial, size)) is not None:
                sender, slices, length, end = turn
                self.assertNotIn(sender.id, ended)
                self.assertLessEqual(length, size)
                self.assertLessEqual(length, max(0, connection))
                self.assertLessEqual(length, max(0, initial + sender.send_credit))
                self.assertEqual(length, sum(map(len, slices)))
                self.assertTrue(length or end, "an empty frame that says nothing")
                connection -= length
                sender.send_credit -= length
                sent[sender.id] += b"".join(slices)
                if end:
                    ended.append(sender.id)

        for which, stream_grant, connection_grant in grants:
            sender = streams[which % len(streams)]
            queue = queues[sender.id]
            if queue:
                outbound.write(sender, queue.pop(0))
                if not queue:
                    outbound.finish(sender)
            connection += connection_grant
            sender.send_credit += stream_grant
            outbound.wake(sender)
            drain()
        for sender in streams:
            for chunk in queues[sender.id]:
                outbound.write(sender, chunk)
            if sender.id not in ended:
                outbound.finish(sender)
        connection, initial = WIDE, WIDE
        outbound.wake_all()
        drain()
        self.assertEqual({s.id: b"".join(b) for s, b in zip(streams, bodies, strict=True)}, sent)
        self.assertEqual([sender.id for sender in streams], sorted(ended))
        self.assertEqual(0, outbound.queued)

    @law
    @given(
        st.lists(st.integers(1, 40), min_size=2, max_size=6),
        st.integers(1, 5),
        st.lists(st.integers(0, 9), max_size=20),
    )
    def test_nobody_starves(self, lengths: list[int], size: int, windows: list[int]) -> None:
        """Between two frames of one stream every other that is ready has had its turn."""
        outbound = Outbound()
        left = {}
        for index, length in enumerate(lengths):
            sender = stream(2 * index + 1)
            outbound.write(sender, bytes(length))
            left[sender.id] = length
        waited = dict.fromkeys(left, 0)
        windows = [*windows, WIDE]
        window = windows.pop(0)
        while any(left.values()):
            turn = outbound.next(window, WIDE, size)
            if turn is None:
                self.assertEqual(0, window)
                window = windows.pop(0)
                continue
            sender, _, length, _ = turn
            window -= length
            left[sender.id] -= length
            for other in left:
                if other != sender.id and left[other]:
                    waited[other] += 1
                    self.assertLess(waited[other], len(lengths))
            waited[sender.id] = 0
