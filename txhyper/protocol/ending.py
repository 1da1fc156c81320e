"""
What comes behind a body: its trailers, or the reason why it is not complete.

Owns the trailer section of one response and those who wait for it. Made only where somebody asks,
or where trailers come: most responses have none, and nobody waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from txhyper.core.headers import Field
from txhyper.protocol.failures import asResponseFailure
from txhyper.protocol.request import asHeaders

__all__ = ["COMPLETE", "Ending"]


class Ending:
    """The end of one response, before it has come and after."""

    __slots__ = ("_error", "_fields", "_waiters", "isOver")

    def __init__(self) -> None:
        self._fields: Iterable[Field] = ()
        self._error: Exception | None = None
        #: Whether nothing more will come.
        self.isOver = False
        self._waiters: list[Deferred[Headers]] = []

    def trailed(self, fields: Iterable[Field]) -> None:
        """The trailer section has come."""
        self._fields = fields

    def over(self, error: Exception | None) -> None:
        """
        Nothing more will come. What was told first stays true.

        :param error: why the response is not complete; None if it is.
        """
        if not self.isOver:
            self.isOver = True
            self._error = error
            # Whoever is told may cancel the others.
            while self._waiters:
                self._tell(self._waiters.pop(0))

    def _tell(self, waiter: Deferred[Headers]) -> None:
        if self._error is None:
            waiter.callback(asHeaders(self._fields))
        else:
            waiter.errback(asResponseFailure(self._error, None))

    def whenTrailers(self) -> Deferred[Headers]:
        """As :meth:`txhyper.interfaces.IHyperResponse.whenTrailers`."""
        waiter: Deferred[Headers] = Deferred(self._forget)
        if self.isOver:
            self._tell(waiter)
        else:
            self._waiters.append(waiter)
        return waiter

    def _forget(self, waiter: Deferred[Headers]) -> None:
        """A waiter has been cancelled, which changes nothing for anybody else."""
        self._waiters.remove(waiter)


#: The ending of a response that is complete and has no trailers: one for all of them.
COMPLETE = Ending()
COMPLETE.over(None)
