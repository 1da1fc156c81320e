"""Tests for :mod:`txhyper.protocol.claims`."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from zope.interface.verify import verifyObject

from txhyper.errors import InvalidRequest, StreamReset
from txhyper.interfaces import IClaim
from txhyper.protocol.claims import OwnClaim


class OwnClaimTests(SynchronousTestCase):
    """One request's Deferred."""

    def setUp(self) -> None:
        self.cancelled: list[IClaim] = []
        self.claim = OwnClaim(self.cancelled.append)

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
        self.assertEqual([self.claim], self.cancelled)
        self.failureResultOf(self.claim.deferred, CancelledError)

    def test_noCycleOnceTold(self) -> None:
        """A claim that was told is freed at once: no collection is needed."""
        gc.disable()
        self.addCleanup(gc.enable)
        claim = OwnClaim(self.cancelled.append)
        claim.responded(None)  # type: ignore[arg-type]
        deferred, reference = claim.deferred, weakref.ref(claim.deferred)
        self.successResultOf(deferred)
        del claim, deferred
        self.assertIsNone(reference())
