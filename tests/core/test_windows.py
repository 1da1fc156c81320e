"""Tests for :mod:`txhyper.core.windows`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import MANAGERS, law
from txhyper.core.windows import (
    AutoTuningFlowControlManager,
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

    def test_round_trips(self) -> None:
        """A class that measures is measured for all the time, unless it says when."""
        manager = BaseFlowControlManager(1)
        self.assertFalse(manager.measures_round_trip)
        self.assertTrue(manager.wants_round_trip())
        manager.round_trip(0.1, 1)


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


class AutoTuningTests(SynchronousTestCase):
    """Windows that follow what the path can carry."""

    def setUp(self) -> None:
        """A connection's instance, and a stream's."""
        self.connection = AutoTuningFlowControlManager(65535)
        self.stream = AutoTuningFlowControlManager(65535, 10)
        self.stream.connection = self.connection

    def test_beginning(self) -> None:
        """Small windows, and a wish to measure."""
        plugged = AutoTuningFlowControlManager
        self.assertEqual(
            (65535, 65535, True),
            (
                plugged.initial_stream_window,
                plugged.initial_connection_window,
                plugged.measures_round_trip,
            ),
        )

    def test_quarter(self) -> None:
        """Credit by the quarter of a window, as long as nothing grows."""
        for ask in (self.connection.increase_window_size, self.stream.consumed):
            self.assertEqual([0, 16384, 0], list(map(ask, (16383, 1, 16383))))

    def test_a_sample_that_fills_the_window(self) -> None:
        """The window becomes twice the sample, with the next credit, which does not wait."""
        self.connection.round_trip(0.1, 50000)
        self.assertEqual(65535, self.connection.window)
        self.assertEqual(1 + 100000 - 65535, self.connection.increase_window_size(1))
        self.assertEqual(100000, self.connection.window)
        self.assertEqual(0, self.connection.increase_window_size(24999))
        self.assertEqual(25000, self.connection.increase_window_size(1))

    def test_two_thirds(self) -> None:
        """A sample that fills no more than two thirds says that the window was not in the way."""
        self.connection.round_trip(0.1, 43690)
        self.assertEqual(65535, self.connection.estimate)
        self.connection.round_trip(0.1, 43691)
        self.assertEqual(2 * 43691, self.connection.estimate)

    def test_more_than_the_window(self) -> None:
        """More than the window cannot come in a round trip, and is not believed."""
        self.connection.round_trip(0.1, 200000)
        self.assertEqual(131070, self.connection.estimate)
        self.connection.round_trip(0.1, 82000)
        self.assertEqual(131070, self.connection.estimate)
        self.connection.round_trip(0.1, 131070)
        self.assertEqual(262140, self.connection.estimate)

    def test_no_faster(self) -> None:
        """A window that is full and came no faster than before sat in a queue."""
        self.connection.round_trip(0.1, 65535)
        self.connection.round_trip(0.2, 131070)
        self.connection.round_trip(0.165, 131070)
        self.assertEqual(131070, self.connection.estimate)
        self.connection.round_trip(0.155, 131070)
        self.assertEqual(262140, self.connection.estimate)

    def test_a_path_that_changes(self) -> None:
        """What was fastest fades, or a longer round trip would keep the window small for ever."""
        self.connection.round_trip(0.1, 65535)
        for expected in [131070] * 12 + [262140]:
            self.connection.round_trip(0.2, 131070)
            self.assertEqual(expected, self.connection.estimate)

    def test_a_path_that_is_idle(self) -> None:
        """Samples that do not fill the window let nothing fade."""
        self.connection.round_trip(0.1, 65535)
        for _ in range(100):
            self.connection.round_trip(0.1, 1)
        self.connection.round_trip(0.2, 131070)
        self.assertEqual(131070, self.connection.estimate)

    def test_no_time(self) -> None:
        """A round trip of no time at all is a very short one."""
        self.connection.round_trip(0.0, 65535)
        self.assertEqual(131070, self.connection.estimate)

    def test_largest(self) -> None:
        """No window grows above the largest, nor is anything measured any more."""
        for exponent in range(9):
            self.connection.round_trip(1.0, 65535 << exponent)
            self.connection.increase_window_size(1)
        self.assertEqual(16 * MIB, self.connection.window)
        self.assertFalse(self.connection.wants_round_trip())

    def test_larger_than_the_largest(self) -> None:
        """One that began above it stays."""
        manager = AutoTuningFlowControlManager(32 * MIB)
        manager.round_trip(0.1, 32 * MIB)
        self.assertEqual(32 * MIB, manager.increase_window_size(32 * MIB))
        self.assertFalse(manager.wants_round_trip())

    def wanted(self) -> int:
        """How many octets come before a round trip is wanted, in thirds of the estimate."""
        step = self.connection.estimate // 3
        for thirds in range(1000):
            if self.connection.wants_round_trip():
                return thirds
            self.connection.increase_window_size(step)
        return -1

    def test_sparing(self) -> None:
        """A third of a window first, and twice as much after each sample that is too small."""
        spaces = []
        for _ in range(9):
            spaces.append(self.wanted())
            self.connection.round_trip(0.1, 100)
        self.assertEqual([1, 2, 4, 8, 16, 32, 64, 64, 64], spaces)
        self.connection.round_trip(0.1, 60000)
        self.assertEqual((120000, 1), (self.connection.estimate, self.wanted()))

    def test_a_reader_that_keeps_up(self) -> None:
        """Its stream follows the connection once it has taken a whole window."""
        self.connection.round_trip(0.1, 65535)
        self.assertEqual([32767, 32767], [self.stream.consumed(32767) for _ in range(2)])
        self.assertEqual((0, 65535), (self.stream.consumed(1), self.stream.window))
        self.assertEqual((2 + 65535, 131070), (self.stream.consumed(1), self.stream.window))

    def test_a_reader_that_pauses(self) -> None:
        """A pause starts the count anew, and takes no credit away."""
        self.connection.round_trip(0.1, 65535)
        self.stream.consumed(65534)
        self.stream.paused()
        self.assertEqual(0, self.stream.consumed(1))
        self.assertEqual((65535, 65535), (self.stream.consumed(65534), self.stream.window))
        self.assertEqual((1 + 65535, 131070), (self.stream.consumed(1), self.stream.window))

    def test_a_stream_that_is_larger(self) -> None:
        """A stream whose window began above the connection's estimate keeps it."""
        stream = AutoTuningFlowControlManager(MIB)
        stream.connection = self.connection
        self.assertEqual([MIB, MIB], [stream.consumed(MIB) for _ in range(2)])

    def test_alone(self) -> None:
        """An instance that knows no connection does not grow by consumption."""
        stream = AutoTuningFlowControlManager(1000)
        self.assertEqual([1000, 1000], [stream.consumed(1000) for _ in range(2)])


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
RECEIVE, READ, PAUSE, MEASURE = range(4)
events = st.lists(st.tuples(st.integers(RECEIVE, MEASURE), st.integers(0, 40000)), max_size=80)


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
        for what, size in happened * times:
            if what == MEASURE:
                books.manager.round_trip(1 / (size + 1), books.target)
            else:
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
        books, connection = Books(plugged(initial)), plugged(initial)
        manager, held = books.manager, 0
        manager.connection = connection
        for what, size in [*happened * times, (READ, 1 << 40)]:
            if what == RECEIVE:
                came = books.receive(size)
                held += came
                books.credit(manager.received(came))
            elif what == READ:
                taken = min(held, size)
                held -= taken
                books.credit(manager.consumed(taken))
            elif what == PAUSE:
                manager.paused()
            else:
                connection.round_trip(1 / (size + 1), connection.window)
                connection.increase_window_size(size)  # type: ignore[attr-defined]
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
        manager.connection = connection = plugged(64 * KIB)
        connection.round_trip(0.1, 16 * MIB)
        for _, size in happened * times:
            manager.paused()
            manager.received(size)
            manager.consumed(size)
        self.assertEqual(64 * KIB, manager.window)
