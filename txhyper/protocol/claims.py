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

__all__ = ["OwnClaim"]


@implementer(IClaim)
class OwnClaim:
    """
    One request's Deferred. Cancelling it gives the request up.
    """

    __slots__ = ("deferred", "token")

    def __init__(self, cancel: Callable[[IClaim], None]) -> None:
        """:param cancel: the connection's."""
        self.token: object = None
        self.deferred: Deferred[IHyperResponse] = Deferred(lambda _: cancel(self))

    def responded(self, response: IHyperResponse) -> None:
        """Fire the Deferred."""
        self.deferred.callback(response)

    def failed(self, error: Exception) -> None:
        """Fail the Deferred."""
        self.deferred.errback(asRequestFailure(error))
