"""
One request's claim on the pool.

Owns the Deferred that the user holds, and the decision to try again: it sits below the agent, so
that every agent gets the same retries. It is in one of three places: among the waiters of a dial,
on a connection (waiting for a slot there, or sent), or done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from txhyper.core.retries import LOST, backoff, is_safe
from txhyper.errors import ConnectionUnusable, GoneAway, HandshakeTerminated, HTTP11Required
from txhyper.interfaces import IClaim, IHTTPConnection, IHyperResponse
from txhyper.protocol.body import discard
from txhyper.protocol.failures import asRequestFailure

if TYPE_CHECKING:
    from txhyper.client.origin import Origin
    from txhyper.protocol.request import Request
    from txhyper.protocol.timeouts import RequestLimits, Timeouts

__all__ = ["Lease"]

#: The status of a server that does not do what it was told to expect (RFC 9110 section 15.5.18).
EXPECTATION_FAILED = 417
#: That of a server that is not the one to ask (RFC 9110 section 15.5.20).
MISDIRECTED = 421
NOT_ABOUT_THE_REQUEST = (EXPECTATION_FAILED, MISDIRECTED)


@implementer(IClaim)
class Lease:
    """
    One request, from the agent to its response.

    :ivar deferred: the user's; None once it has fired. Cancelling it gives the request up
        wherever it is: nothing was sent if it waited, else its stream alone is reset.
    """

    __slots__ = (
        "_attempts",
        "_connection",
        "_hasLostNew",
        "_isMisdirected",
        "_origin",
        "_reused",
        "deferred",
        "request",
        "token",
    )

    def __init__(self, origin: Origin, request: Request) -> None:
        self._origin = origin
        self.request = request
        self._attempts = 0
        self._connection: IHTTPConnection | None = None
        self.token: object = None
        self._reused = False
        # Whether a connection was lost that had served nobody, or was still being made.
        self._hasLostNew = False
        # Whether a server has said that it is not the one to ask.
        self._isMisdirected = False
        self.deferred: Deferred[IHyperResponse] | None = Deferred(self._cancel)

    def start(self, timeouts: Timeouts | None) -> Deferred[IHyperResponse]:
        """
        Look for a connection, or wait for one.

        :param timeouts: the time limits, where the request has none of its own.
        """
        deferred = self.deferred
        assert deferred is not None
        origin, request = self._origin, self.request
        if timeouts is None and request.timeouts is None and not request.isInFlight:
            # The usual case, without a call.
            request.isInFlight = True
            request.limits = None
        else:
            request.begin(origin.timer, origin.name, self._giveUp, timeouts)
        self._origin.place(self)
        return deferred

    @property
    def limits(self) -> RequestLimits | None:
        """The request's time limits, if it has some."""
        return self.request.limits

    def use(self, connection: IHTTPConnection, reused: bool) -> None:
        """
        Go on a connection, where a slot is reserved for it.

        :param reused: whether the connection has served others before.
        """
        if self.request.limits is not None:
            self.request.limits.placed()
        self._attempts += 1
        self._reused = reused
        self._connection = connection
        connection.issue(self.request, self, True)

    def responded(self, response: IHyperResponse) -> None:
        """The response is here; from now on it is between the stream and its reader."""
        connection = self._connection
        self._connection = self.token = None
        if response.code in NOT_ABOUT_THE_REQUEST and self._isRepeatable(connection, response.code):
            # The answer is about the expectation, or the connection.
            request = self.request
            if request.limits is not None:
                request.limits = request.limits.handOver(self._giveUp)
            discard(response)
            self._again(None)
            return
        self.request.isInFlight = False
        deferred, self.deferred = self.deferred, None
        assert deferred is not None
        deferred.callback(response)

    def _isRepeatable(self, connection: IHTTPConnection | None, status: int) -> bool:
        """
        Whether to repeat a request: without its expectation, which it then loses, or once on
        another connection, as this one takes no more.
        """
        request = self.request
        if not (self._origin.mayRetry(connection, self._attempts) and request.canBeSent):
            return False
        if status == EXPECTATION_FAILED:
            return request.withdrawExpectation()
        if self._isMisdirected or connection is None:
            return False
        self._isMisdirected = True
        self._origin.renounce(connection)
        return True

    def failed(self, error: Exception) -> None:
        """Try again where that is safe and allowed, else tell the user."""
        connection = self._connection
        self._connection = self.token = None
        request = self.request
        if request.limits is not None:
            request.limits.end("headers")
        if isinstance(error, ConnectionUnusable) or (
            isinstance(error, GoneAway) and error.last_stream_id
        ):
            # It only stood in a queue, or the server went away after others: with many behind a
            # server that does so after every hundred, that may happen any number of times. It
            # ends because each such connection took at least one request that is counted.
            self._attempts -= 1
        if isinstance(error, HTTP11Required) and not self._origin.requireHTTP11():
            # It would say so again.
            self.abandon(error)
            return
        # The next connection may be one that has yet to be made.
        reused, self._reused = self._reused, False
        excused = reused or not self._hasLostNew
        self._hasLostNew |= not reused and isinstance(error, LOST)
        if self._origin.mayRetry(connection, self._attempts) and is_safe(
            error, request.method, request.body is not None, request.canBeSent, excused
        ):
            self._again(error)
        else:
            self.abandon(error)

    def undialled(self, error: Exception) -> None:
        """The dial that it waited for has failed: the same, if the server has just hung up."""
        if isinstance(error, HandshakeTerminated):
            if self.request.limits is not None:
                self.request.limits.placed()
            self.failed(error)
        else:
            self.abandon(error)

    def _again(self, error: Exception | None) -> None:
        """Send the request once more. :param error: why, if it failed."""
        try:
            self.request.rewind()
        except Exception as failure:  # noqa: BLE001 - a user's code
            failure.__cause__ = error
            self.abandon(failure)
        else:
            # Whoever rewinds may have cancelled it.
            if self.deferred is not None:
                self._origin.placeLater(self, backoff(self._attempts))

    def abandon(self, error: Exception) -> None:
        """Fail the user's Deferred, unless it has fired: the request may be on its way anew."""
        deferred, self.deferred = self.deferred, None
        if deferred is not None:
            self.request.over()
            deferred.errback(asRequestFailure(error))

    def _cancel(self, deferred: Deferred[IHyperResponse]) -> None:
        self._giveUp(CancelledError())

    def _giveUp(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.cancel(self, error)
        else:
            self._origin.leave(self)
            self.abandon(error)
