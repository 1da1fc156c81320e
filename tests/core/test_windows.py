"""Tests for :mod:`txhyper.core.windows`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager

KIB, MIB = 1024, 1024 * 1024


class BaseTests(SynchronousTestCase):
    """What a plugged-in class is given."""

    def test_what_it_knows(self) -> None:
        """Its first window, and the content-length where there is one."""
        manager = BaseFlowControlManager(1000, 10)
        self.assertEqual((1000, 10), (manager.initial_window_size, manager.document_size))
        self.assertIsNone(BaseFlowControlManager(1000).document_size)

    def test_nothing_decided(self) -> None:
        """The base does not decide; a subclass has to."""
        self.assertRaises(NotImplementedError, BaseFlowControlManager(1).increase_window_size, 1)

    def test_pause(self) -> None:
        """A pause means nothing to a class that does not ask for it."""
        BaseFlowControlManager(1).paused()


class DefaultTests(SynchronousTestCase):
    """Credit at half a window, and a window that grows with its reader."""

    def test_half(self) -> None:
        """Nothing below half a window, and all of it from there on."""
        manager = FlowControlManager(1000)
        self.assertEqual([0, 500, 0], list(map(manager.increase_window_size, (499, 1, 499))))
        self.assertEqual(700, FlowControlManager(1000).increase_window_size(700))

    def test_odd(self) -> None:
        """Half of an odd window is not less than half."""
        manager = FlowControlManager(11)
        self.assertEqual([0, 6], [manager.increase_window_size(5), manager.increase_window_size(1)])

    def test_growth(self) -> None:
        """A whole window consumed without a pause doubles it; the growth comes with the credit."""
        manager = FlowControlManager(1000)
        self.assertEqual(500, manager.increase_window_size(500))
        self.assertEqual((500 + 1000, 2000), (manager.increase_window_size(500), manager.window))
        self.assertEqual((1000, 2000), (manager.increase_window_size(1000), manager.window))
        self.assertEqual((1000 + 2000, 4000), (manager.increase_window_size(1000), manager.window))

    def test_a_pause(self) -> None:
        """A pause starts the count anew, and takes no credit away."""
        manager = FlowControlManager(1000)
        self.assertEqual(0, manager.increase_window_size(499))
        manager.paused()
        self.assertEqual((999, 1000), (manager.increase_window_size(500), manager.window))

    def test_reader_that_pauses_always(self) -> None:
        """Its window never grows."""
        manager = FlowControlManager(256 * KIB)
        for _ in range(10000):
            manager.paused()
            manager.increase_window_size(16 * KIB)
        self.assertEqual(256 * KIB, manager.window)

    def test_largest(self) -> None:
        """No window grows above the largest, and one that began above it stays."""
        manager = FlowControlManager(9 * MIB)
        for _ in range(100):
            manager.increase_window_size(9 * MIB)
        self.assertEqual(16 * MIB, manager.window)
        larger = FlowControlManager(32 * MIB)
        self.assertEqual(32 * MIB, larger.increase_window_size(32 * MIB))
        self.assertEqual(32 * MIB, larger.window)

    @law
    @given(
        st.integers(1, 2 * MIB),
        st.lists(st.tuples(st.booleans(), st.integers(0, 16384)), max_size=80),
        st.integers(1, 64),
    )
    def test_the_law_of_windows(
        self, initial: int, frames: list[tuple[bool, int]], times: int
    ) -> None:
        """
        At every moment the window advertised plus the octets received and not credited is the
        target; and once everything has been read less than half the target is uncredited.
        """
        manager = FlowControlManager(initial)
        advertised, uncredited = initial, 0
        for pause, size in frames * times:
            if pause:
                manager.paused()
            size = min(size, advertised)
            advertised -= size
            uncredited += size
            before = manager.window
            credit = manager.increase_window_size(size)
            grown = manager.window - before
            self.assertGreaterEqual(grown, 0)
            if credit:
                uncredited -= credit - grown
                advertised += credit
            self.assertEqual(manager.window, advertised + uncredited)
            self.assertGreaterEqual(uncredited, 0)
            self.assertLess(uncredited * 2, manager.window)
            self.assertLessEqual(manager.window, max(initial, FlowControlManager.largest_window))
