"""
The claim of somebody who holds one connection and no pool.

Owns a Deferred for one request. The pool has a claim of its own, :mod:`txhyper.client.lease`,
which may send a request again; this one never does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txhyper.interfaces import IClaim, IHyperResponse
from txhyper.protocol.failures import asRequestFailure
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timer

__all__ = ["OwnClaim", "OwnRequests"]


@implementer(IClaim)
class OwnClaim:
    """
    One request's Deferred. Cancelling it gives the request up.
    """

    __slots__ = ("_request", "deferred", "token")

    def __init__(
        self,
        request: Request,
        cancel: Callable[[IClaim, Exception | None], None],
        timer: Timer,
        name: str,
    ) -> None:
        """
        The request's time begins.

        :param cancel: the connection's.
        :param timer: for the request's time limits.
        :param name: the origin's, for messages.
        :raises InvalidRequest: the request is on its way already.
        """
        self._request = request
        self.token: object = None
        self.deferred: Deferred[IHyperResponse] = Deferred(lambda _: cancel(self, None))
        request.begin(timer, name, lambda error: cancel(self, error))

    def responded(self, response: IHyperResponse) -> None:
        """Fire the Deferred."""
        self._request.answered()
        self.deferred.callback(response)

    def failed(self, error: Exception) -> None:
        """Fail the Deferred."""
        self._request.over()
        self.deferred.errback(asRequestFailure(error))


class OwnRequests:
    """The part of :class:`~txhyper.interfaces.IHTTPConnection` for those who have no pool."""

    origin: str
    _timer: Timer

    if TYPE_CHECKING:

        def issue(self, request: Request, claim: IClaim, reserved: bool = False) -> None: ...

        def cancel(self, claim: IClaim, error: Exception | None = None) -> None: ...

    def request(self, request: Request) -> Deferred[IHyperResponse]:
        """
        Send a request; queued if no slot is free, where there is a queue.

        :return: fires with the response, or fails with
            :exc:`~twisted.web.client.ResponseNeverReceived`. Cancelling it gives the request up:
            over HTTP/2 its stream is reset and the others are left alone, over HTTP/1.1 the
            connection is aborted.
        :raises InvalidRequest: the request is on its way already.
        """
        claim = OwnClaim(request, self.cancel, self._timer, self.origin)
        self.issue(request, claim)
        if claim.deferred.called:
            # The connection may be gone, and with it whoever else would see to the timer.
            self._timer.quiet()
        return claim.deferred
