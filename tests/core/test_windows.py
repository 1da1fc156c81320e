"""Tests for :mod:`txhyper.core.windows`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import MANAGERS, law
from txhyper.core.windows import (
    BaseFlowControlManager,
    ConsumptionFlowControlManager,
    FlowControlManager,
    ReceiptFlowControlManager,
)

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

    def test_receipt_and_consumption(self) -> None:
        """A class that decides nothing else is asked when a stream's octets have been consumed."""

        class Eager(BaseFlowControlManager):
            def increase_window_size(self, frame_size: int) -> int:
                return frame_size

        self.assertEqual((0, 7), (Eager(1).received(7), Eager(1).consumed(7)))


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


class FixedTests(SynchronousTestCase):
    """Windows that never grow."""

    def test_consumption(self) -> None:
        """Receipt gives nothing; consumption gives all that is due once that is half the window."""
        manager = ConsumptionFlowControlManager(1000)
        self.assertEqual(0, manager.received(1000))
        self.assertEqual([0, 500, 0, 700], list(map(manager.consumed, (499, 1, 499, 201))))
        self.assertEqual(1000, manager.window)

    def test_receipt(self) -> None:
        """Receipt gives all that is due once that is half the window; consumption nothing."""
        manager = ReceiptFlowControlManager(1000)
        self.assertEqual([0, 500, 0, 700], list(map(manager.received, (499, 1, 499, 201))))
        self.assertEqual(0, manager.consumed(1700))
        self.assertEqual(1000, manager.window)

    def test_connection(self) -> None:
        """The connection's instance is asked at receipt, in either class."""
        for plugged in (ConsumptionFlowControlManager, ReceiptFlowControlManager):
            manager = plugged(1000)
            self.assertEqual([0, 500], list(map(manager.increase_window_size, (499, 1))))


class Books:
    """One window as the peer sees it, and what has come through it."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.advertised = manager.initial_window_size
        # Received and not credited yet.
        self.uncredited = 0
        self.target = manager.window

    def receive(self, size: int) -> int:
        """Octets come, as many as the window lets through of these."""
        size = min(size, self.advertised)
        self.advertised -= size
        self.uncredited += size
        return size

    def credit(self, credit: int) -> None:
        """A WINDOW_UPDATE goes out: it gives back what came, and what the window has grown."""
        grown = self.manager.window - self.target
        assert credit >= grown >= 0, (credit, grown)
        self.advertised += credit
        self.uncredited -= credit - grown
        self.target = self.manager.window

    def check(self, is_all_read: bool) -> None:
        """The law of windows."""
        assert self.advertised + self.uncredited == self.manager.window == self.target
        assert self.uncredited >= 0 and self.advertised >= 0
        if is_all_read:
            assert self.uncredited * 2 < self.manager.window, "half the window is uncredited"


#: What happens to a window, and a number of octets to go with it.
RECEIVE, READ, PAUSE = range(3)
events = st.lists(st.tuples(st.integers(RECEIVE, PAUSE), st.integers(0, 40000)), max_size=80)


class LawTests(SynchronousTestCase):
    """
    The law of windows.

    At every moment the window advertised plus the octets received and not credited is the target;
    and once everything has been read less than half the target is uncredited.
    """

    @law
    @given(st.sampled_from(MANAGERS), st.integers(1, 2 * MIB), events, st.integers(1, 64))
    def test_connection(
        self,
        plugged: type[BaseFlowControlManager],
        initial: int,
        happened: list[tuple[int, int]],
        times: int,
    ) -> None:
        """The connection's window: what has come counts as read."""
        books = Books(plugged(initial))
        for _, size in happened * times:
            books.credit(books.manager.increase_window_size(books.receive(size)))
            books.check(True)

    @law
    @given(st.sampled_from(MANAGERS), st.integers(1, 2 * MIB), events, st.integers(1, 64))
    def test_stream(
        self,
        plugged: type[BaseFlowControlManager],
        initial: int,
        happened: list[tuple[int, int]],
        times: int,
    ) -> None:
        """A stream's window, whenever its reader takes how much of what is there."""
        books = Books(plugged(initial))
        manager, held = books.manager, 0
        for what, size in [*happened * times, (READ, 1 << 40)]:
            if what == RECEIVE:
                came = books.receive(size)
                held += came
                books.credit(manager.received(came))
            elif what == READ:
                taken = min(held, size)
                held -= taken
                books.credit(manager.consumed(taken))
            else:
                manager.paused()
            books.check(not held)

    @law
    @given(st.sampled_from(MANAGERS), events, st.integers(1, 64))
    def test_paused(
        self,
        plugged: type[BaseFlowControlManager],
        happened: list[tuple[int, int]],
        times: int,
    ) -> None:
        """The window of a reader that pauses within each window that it takes never grows."""
        manager: Any = plugged(64 * KIB)
        for _, size in happened * times:
            manager.paused()
            manager.received(size)
            manager.consumed(size)
        self.assertEqual(64 * KIB, manager.window)
