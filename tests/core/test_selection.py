"""Tests for :mod:`txhyper.core.selection`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.selection import has_to_dial


class SelectionTests(SynchronousTestCase):
    """Whether those who have found no slot need another connection."""

    def test_the_first(self) -> None:
        """Where there is nothing, dial."""
        self.assertTrue(has_to_dial(0, 1, 0, 1, True))
        self.assertTrue(has_to_dial(0, None, 0, 1, False))

    def test_a_dial_is_under_way(self) -> None:
        """One dial is enough for all until its outcome is known."""
        self.assertFalse(has_to_dial(0, 1, 1, 9, True))
        self.assertFalse(has_to_dial(1, 2, 1, 9, True))
        self.assertFalse(has_to_dial(1, None, 3, 9, True))

    def test_more_connections(self) -> None:
        """Full connections are left alone while another may be dialled."""
        self.assertTrue(has_to_dial(1, 2, 0, 1, True))
        self.assertTrue(has_to_dial(2, None, 0, 1, True))

    def test_queue(self) -> None:
        """At the limit a request waits for a slot to come free."""
        self.assertFalse(has_to_dial(1, 1, 0, 1, True))
        self.assertFalse(has_to_dial(3, 3, 0, 9, True))
        self.assertFalse(has_to_dial(3, 2, 0, 9, True))

    def test_none_allowed(self) -> None:
        """A maximum of 0 is no reason to wait for ever."""
        self.assertTrue(has_to_dial(0, 0, 0, 1, True))

    def test_http11(self) -> None:
        """Over HTTP/1.1 each request that finds no idle connection dials its own."""
        self.assertTrue(has_to_dial(2, 1, 7, 8, False))
        self.assertFalse(has_to_dial(2, 1, 8, 8, False))

    @law
    @given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 3))
    def test_never_too_many(self, maximum: int, requests: int, capacity: int) -> None:
        """
        However many requests come, no more connections are made than there may be, one at a time,
        and as many as there may be before the last one has to wait.
        """
        usable = dials = free = waiting = 0
        for _ in range(requests):
            waiting += 1
            if free:
                free, waiting = free - 1, waiting - 1
            while waiting and has_to_dial(usable, maximum, dials, waiting, True):
                dials += 1
                self.assertLessEqual((dials, usable + dials), (1, maximum))
                # It is made.
                usable, dials = usable + 1, dials - 1
                served = min(waiting, capacity)
                free, waiting = capacity - served, waiting - served
            self.assertTrue(waiting == 0 or usable == maximum)
