"""
The claim of somebody who holds one connection and no pool.

Owns a Deferred for one request. The pool has a claim of its own, :mod:`txhyper.client.lease`,
which may send a request again; this one never does.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txhyper.interfaces import IClaim, IHyperResponse
from txhyper.protocol.failures import asRequestFailure
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timer

__all__ = ["OwnClaim"]


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
