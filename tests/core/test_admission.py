"""Tests for :mod:`txhyper.core.admission`."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.admission import ASSUMED_LIMIT, Admission


class AdmissionTests(SynchronousTestCase):
    """Slots for streams (RFC 9113 section 5.1.2), first in, first out."""

    def setUp(self) -> None:
        """Two slots."""
        self.admission: Admission[str] = Admission()
        self.admission.limit = 2

    def test_before_the_peer_has_spoken(self) -> None:
        """A hundred streams are a fair guess."""
        self.assertEqual((100, 100), (Admission[str]().limit, ASSUMED_LIMIT))

    def test_never_two_for_the_last(self) -> None:
        """A slot that is reserved is nobody else's."""
        self.assertEqual([True, True, False, False], [self.admission.reserve() for _ in range(4)])
        self.assertEqual(2, self.admission.in_use)
        self.admission.release()
        self.assertEqual([True, False], [self.admission.reserve() for _ in range(2)])

    def test_nobody_overtakes(self) -> None:
        """A slot that comes free is for those who wait, not for one who just came."""
        self.admission.reserve()
        self.admission.reserve()
        self.admission.wait("first")
        self.admission.release()
        self.assertFalse(self.admission.reserve())
        self.assertEqual("first", self.admission.admit())
        self.assertEqual(2, self.admission.in_use)

    def test_first_in_first_out(self) -> None:
        """Those who wait are admitted in the order they came, while there are slots."""
        for waiter in "abc":
            self.admission.wait(waiter)
        self.assertEqual(3, self.admission.waiting)
        self.assertEqual(["a", "b", None], [self.admission.admit() for _ in range(3)])
        self.assertEqual(1, self.admission.waiting)

    def test_nobody_waits(self) -> None:
        """It is nobody's turn where nobody waits, before and after somebody did."""
        self.assertIsNone(self.admission.admit())
        self.assertEqual(0, self.admission.waiting)
        self.admission.wait("a")
        self.admission.admit()
        self.assertIsNone(self.admission.admit())
        self.assertEqual(0, self.admission.waiting)
        self.assertTrue(self.admission.reserve())

    def test_leave(self) -> None:
        """One who leaves is not admitted, and keeps nobody else's place."""
        self.assertFalse(self.admission.leave("a"))
        for waiter in "abc":
            self.admission.wait(waiter)
        self.assertTrue(self.admission.leave("a"))
        self.assertFalse(self.admission.leave("a"))
        self.assertFalse(self.admission.leave("stranger"))
        self.assertEqual(["b", "c"], [self.admission.admit(), self.admission.admit()])

    def test_the_limit_shrinks(self) -> None:
        """A limit below what is open closes nothing, and lets nobody in until it is met."""
        self.admission.reserve()
        self.admission.reserve()
        self.admission.wait("a")
        self.admission.limit = 1
        self.admission.release()
        self.assertIsNone(self.admission.admit())
        self.admission.release()
        self.assertEqual("a", self.admission.admit())

    def test_a_limit_of_nothing(self) -> None:
        """0 is a limit; raised, it admits."""
        self.admission.limit = 0
        self.assertFalse(self.admission.reserve())
        self.admission.wait("a")
        self.assertIsNone(self.admission.admit())
        self.admission.limit = 1
        self.assertEqual("a", self.admission.admit())

    def test_draining(self) -> None:
        """Nobody is let in any more; those who waited are told, in their order."""
        self.admission.wait("a")
        self.admission.wait("b")
        self.assertEqual(["a", "b"], self.admission.dismiss())
        self.assertEqual([], self.admission.dismiss())
        self.assertEqual(0, self.admission.waiting)
        self.assertFalse(self.admission.reserve())
        self.admission.wait("late")
        self.assertIsNone(self.admission.admit())


class AdmissionMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, compared with a list and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.admission: Admission[int] = Admission()
        self.queue: list[int] = []
        self.taken = 0
        self.number = 0

    @rule(limit=st.integers(0, 4))
    def limited(self, limit: int) -> None:
        """The peer has set a limit."""
        self.admission.limit = limit

    @rule()
    def came(self) -> None:
        """One wants a slot, or else a place in the queue."""
        free = self.taken < self.admission.limit and not self.queue
        assert self.admission.reserve() == free
        if free:
            self.taken += 1
        else:
            self.number += 1
            self.admission.wait(self.number)
            self.queue.append(self.number)

    @precondition(lambda self: self.taken)
    @rule()
    def released(self) -> None:
        """One is done."""
        self.admission.release()
        self.taken -= 1

    @rule()
    def asked(self) -> None:
        """Whose turn is it?"""
        expected = None
        if self.queue and self.taken < self.admission.limit:
            expected = self.queue.pop(0)
            self.taken += 1
        assert self.admission.admit() == expected

    @precondition(lambda self: self.queue)
    @rule(place=st.integers(0, 1 << 20))
    def left(self, place: int) -> None:
        """One has lost patience."""
        assert self.admission.leave(self.queue.pop(place % len(self.queue)))

    @invariant()
    def counted(self) -> None:
        """Both count the same."""
        assert self.admission.in_use == self.taken
        assert self.admission.waiting == len(self.queue)


AdmissionMachine.TestCase.settings = law
MachineTests = AdmissionMachine.TestCase
