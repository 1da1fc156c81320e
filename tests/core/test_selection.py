"""Tests for :mod:`txhyper.core.selection`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.selection import Choice, select

DIAL, WAIT = (Choice.DIAL, -1), (Choice.WAIT, -1)


def use(index: int) -> tuple[Choice, int]:
    """The answer that names a connection."""
    return Choice.USE, index


class SelectionTests(SynchronousTestCase):
    """Which connection takes the next request."""

    def test_the_first(self) -> None:
        """Where there is nothing, dial."""
        self.assertEqual(DIAL, select([], 1, 0, True))
        self.assertEqual(DIAL, select([], None, 0, False))

    def test_a_dial_is_under_way(self) -> None:
        """One dial is enough for all until its outcome is known."""
        self.assertEqual(WAIT, select([], 1, 1, True))
        self.assertEqual(WAIT, select([0], 2, 1, True))
        self.assertEqual(WAIT, select([0], None, 3, True))

    def test_a_free_slot(self) -> None:
        """The oldest connection with a free slot is used, whatever is being dialled."""
        self.assertEqual(use(0), select([1, 99], 1, 0, True))
        self.assertEqual(use(1), select([0, 5, 99], 1, 1, True))
        self.assertEqual(use(1), select([0, 1], None, 1, False))

    def test_more_connections(self) -> None:
        """A full connection is left alone while another may be dialled."""
        self.assertEqual(DIAL, select([0], 2, 0, True))
        self.assertEqual(DIAL, select([0, -3], None, 0, True))

    def test_queue(self) -> None:
        """At the limit a request queues where the fewest are ahead of it."""
        self.assertEqual(use(0), select([0], 1, 0, True))
        self.assertEqual(use(1), select([-2, 0, -1], 3, 0, True))
        self.assertEqual(use(0), select([-1, -1], 1, 0, True))

    def test_http11(self) -> None:
        """Over HTTP/1.1 each request that finds no idle connection dials its own."""
        self.assertEqual(DIAL, select([0, 0], 1, 7, False))

    @law
    @given(
        st.lists(st.integers(0, 3), max_size=4),
        st.integers(1, 4),
        st.integers(1, 30),
        st.integers(0, 3),
    )
    def test_never_reserves_too_much(
        self, free: list[int], maximum: int, requests: int, capacity: int
    ) -> None:
        """
        However many requests come, no slot is given twice, no connection is dialled above the
        maximum, at most one at a time, and nobody is sent away from a free slot.
        """
        free = free[:maximum]
        dials = 0
        for _ in range(requests):
            choice, index = select(free, maximum, dials, True)
            if choice is Choice.USE:
                self.assertTrue(free[index] > 0 or (max(free) <= 0 and len(free) == maximum))
                free[index] -= 1
            else:
                self.assertTrue(all(slots <= 0 for slots in free))
                if choice is Choice.DIAL:
                    dials += 1
                else:
                    free, dials = [*free, capacity], dials - 1
            self.assertIn(dials, (0, 1))
            self.assertLessEqual(len(free) + dials, maximum)
