"""Tests for :mod:`txhyper.core.deadlines`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """Time limits of one length."""

    def setUp(self) -> None:
        """Everybody has ten seconds."""
        self.deadlines: Deadlines[str] = Deadlines(10)

    def test_nobody(self) -> None:
        """Where nobody's time is running there is nothing to look for."""
        self.assertIsNone(self.deadlines.next())
        self.assertEqual([], self.deadlines.expire(1e9))
        self.assertEqual(0, len(self.deadlines))

    def test_the_moment(self) -> None:
        """One is late at its moment, not before; told once, it is forgotten."""
        self.deadlines.begin("a", 5)
        self.assertEqual(15, self.deadlines.next())
        self.assertIn("a", self.deadlines)
        self.assertEqual([], self.deadlines.expire(14.999))
        self.assertEqual(1, len(self.deadlines))
        self.assertEqual(["a"], self.deadlines.expire(15))
        self.assertEqual([], self.deadlines.expire(15))
        self.assertIsNone(self.deadlines.next())
        self.assertNotIn("a", self.deadlines)

    def test_in_time(self) -> None:
        """One who is done is never late."""
        self.deadlines.begin("a", 0)
        self.assertTrue(self.deadlines.end("a"))
        self.assertFalse(self.deadlines.end("a"))
        self.assertEqual([], self.deadlines.expire(100))

    def test_at_time_zero(self) -> None:
        """A clock may start at 0."""
        self.deadlines.begin("a", 0.0)
        self.assertTrue(self.deadlines.end("a"))

    def test_order(self) -> None:
        """Whoever began first is late first; the others are looked at later."""
        for key, now in (("a", 0), ("b", 1), ("c", 2)):
            self.deadlines.begin(key, now)
        self.assertEqual(["a", "b"], self.deadlines.expire(11))
        self.assertEqual(12, self.deadlines.next())

    def test_anew(self) -> None:
        """One who begins again has its whole time, behind those who began meanwhile."""
        self.deadlines.begin("a", 0)
        self.deadlines.begin("b", 1)
        self.deadlines.begin("a", 2)
        self.assertEqual((2, 11), (len(self.deadlines), self.deadlines.next()))
        self.assertEqual(["b"], self.deadlines.expire(11))
        self.assertEqual(["a"], self.deadlines.expire(12))

    @law
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12), st.booleans())))
    def test_a_timer_each_says_the_same(self, calls: list[tuple[int, int, bool]]) -> None:
        """One dictionary finds what a timer for each would."""
        deadlines: Deadlines[int] = Deadlines(10)
        timers: dict[int, int] = {}
        now = 0
        for key, passed, begins in calls:
            now += passed
            late = {one for one, due in timers.items() if due <= now}
            self.assertEqual(late, set(deadlines.expire(now)))
            timers = {one: due for one, due in timers.items() if due > now}
            if begins:
                deadlines.begin(key, now)
                timers[key] = now + 10
            else:
                self.assertEqual(key in timers, deadlines.end(key))
                timers.pop(key, None)
            self.assertEqual(min(timers.values(), default=None), deadlines.next())
            self.assertEqual(len(timers), len(deadlines))
