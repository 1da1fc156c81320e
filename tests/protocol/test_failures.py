"""Tests for :mod:`txhyper.protocol.failures`."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    RequestGenerationFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)

from txhyper.errors import ConnectionTerminated, InvalidRequest, StreamReset
from txhyper.protocol.failures import RESPONSE_DONE, asRequestFailure, asResponseFailure


class RequestFailureTests(SynchronousTestCase):
    """What the Deferred of a request fails with."""

    def test_oursAndCancellation(self) -> None:
        """What happened on the way is in the reasons of the class that Twisted's users catch."""
        for given in (ConnectionTerminated("gone"), CancelledError()):
            failure = asRequestFailure(given)
            self.assertIs(ResponseNeverReceived, failure.type)
            self.assertEqual([given], [reason.value for reason in failure.value.reasons])

    def test_asTheyAre(self) -> None:
        """The caller's mistakes, a body's own failure and errors of connecting stay as they are."""
        for given in (
            InvalidRequest("no"),
            error.ConnectionRefusedError(),
            RequestGenerationFailed([Failure(ZeroDivisionError())]),
        ):
            self.assertIs(given, asRequestFailure(given).value)


class ResponseFailureTests(SynchronousTestCase):
    """What a body's protocol is told."""

    response: Any = object()

    def test_done(self) -> None:
        """A complete body ends with ResponseDone."""
        self.assertTrue(RESPONSE_DONE.check(ResponseDone))

    def test_ours(self) -> None:
        """An error of ours is the one reason of a ResponseFailed, which names the response."""
        given = StreamReset("reset", 1, 2)
        failure = asResponseFailure(given, self.response)
        self.assertTrue(failure.check(ResponseFailed))
        self.assertEqual([given], [reason.value for reason in failure.value.reasons])
        self.assertIs(self.response, failure.value.response)

    def test_theUploadFailed(self) -> None:
        """A request body's failure is told by its own reasons, not by a wrapper in a wrapper."""
        cause = ZeroDivisionError()
        failure = asResponseFailure(RequestGenerationFailed([Failure(cause)]), self.response)
        self.assertEqual([cause], [reason.value for reason in failure.value.reasons])
