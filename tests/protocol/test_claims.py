"""Tests for :mod:`txhyper.protocol.claims`."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from zope.interface.verify import verifyObject

from txhyper.errors import InvalidRequest, StreamReset, TotalTimedOut
from txhyper.interfaces import IClaim
from txhyper.protocol.claims import OwnClaim
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts, Timer


class OwnClaimTests(SynchronousTestCase):
    """One request's Deferred."""

    def setUp(self) -> None:
        self.cancelled: list[IClaim] = []
        self.errors: list[Exception | None] = []
        self.clock = Clock()
        self.claim = self.make()

    def cancel(self, claim: IClaim, error: Exception | None) -> None:
        """What a connection does, but for telling the claim."""
        self.cancelled.append(claim)
        self.errors.append(error)

    def make(self, **options: Any) -> OwnClaim:
        """A claim for a request with options of its own."""
        request = Request(b"GET", b"https://a.test/", **options)
        return OwnClaim(request, self.cancel, Timer(self.clock), "https://a.test")

    def test_interface(self) -> None:
        """It is what a connection takes."""
        verifyObject(IClaim, self.claim)

    def test_responded(self) -> None:
        """The response fires the Deferred."""
        response: Any = object()
        self.claim.responded(response)
        self.assertIs(response, self.successResultOf(self.claim.deferred))

    def test_failed(self) -> None:
        """An error is wrapped as Twisted's users expect it."""
        self.claim.failed(StreamReset("reset", 1, 2))
        failure = self.failureResultOf(self.claim.deferred, ResponseNeverReceived)
        self.assertIsInstance(failure.value.reasons[0].value, StreamReset)

    def test_theCallersMistake(self) -> None:
        """The caller's mistake is told as it is."""
        self.claim.failed(InvalidRequest("no"))
        self.failureResultOf(self.claim.deferred, InvalidRequest)

    def test_cancel(self) -> None:
        """Cancelling the Deferred gives the request up, with the claim as its name."""
        self.claim.deferred.cancel()
        self.assertEqual(([self.claim], [None]), (self.cancelled, self.errors))
        self.failureResultOf(self.claim.deferred, CancelledError)

    def test_late(self) -> None:
        """So does a time limit that has passed, with its error."""
        claim = self.make(timeouts=Timeouts(total=3))
        self.clock.advance(3)
        self.assertEqual([claim], self.cancelled)
        self.assertIsInstance(self.errors[0], TotalTimedOut)

    def test_onItsWay(self) -> None:
        """A request that is on its way is not sent beside itself."""
        request = Request(b"GET", b"https://a.test/")
        claim = OwnClaim(request, self.cancel, Timer(self.clock), "https://a.test")
        again = (request, self.cancel, Timer(self.clock), "https://a.test")
        self.assertRaises(InvalidRequest, OwnClaim, *again)
        claim.failed(StreamReset("reset", 1, 2))
        self.failureResultOf(claim.deferred)
        OwnClaim(*again)

    def test_noTimeOnceFailed(self) -> None:
        """After a failure no time runs."""
        claim = self.make(timeouts=Timeouts(total=3))
        claim.failed(StreamReset("reset", 1, 2))
        self.failureResultOf(claim.deferred)
        self.clock.advance(3)
        self.assertEqual([], self.cancelled)

    def test_noCycleOnceTold(self) -> None:
        """A claim that was told is freed at once: no collection is needed."""
        gc.disable()
        self.addCleanup(gc.enable)
        claim = self.make()
        claim.responded(None)  # type: ignore[arg-type]
        deferred, reference = claim.deferred, weakref.ref(claim.deferred)
        self.successResultOf(deferred)
        del claim, deferred
        self.assertIsNone(reference())
