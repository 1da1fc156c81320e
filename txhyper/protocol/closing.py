"""
The end of a connection, and who wants to know of it.

Owns that list, for connections of every protocol, and the time that a peer has to close its side,
for those that have nothing more to say.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txhyper.protocol.wire import CLOSE_TIMEOUT

__all__ = ["ClosingNotice"]


class ClosingNotice:
    """The part of :class:`~txhyper.interfaces.IHTTPConnection` that tells of the end."""

    transport: Any
    _reactor: IReactorTime

    def __init__(self) -> None:
        self._gone = False
        self._waiters: list[Deferred[None]] = []
        # The end of the peer's time.
        self._cutOff: IDelayedCall | None = None

    def whenClosed(self) -> Deferred[None]:
        """:return: a fresh Deferred, fired once the transport is gone; it never fails."""
        deferred: Deferred[None] = Deferred()
        if self._gone:
            deferred.callback(None)
        else:
            self._waiters.append(deferred)
        return deferred

    def _hangUp(self) -> None:
        """Close. A peer that does not close its side, as TLS waits for it to, is cut off."""
        self.transport.loseConnection()
        if self._cutOff is None and not self._gone:
            self._cutOff = self._reactor.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)

    def _tellClosed(self) -> None:
        self._gone = True
        if self._cutOff is not None and self._cutOff.active():
            self._cutOff.cancel()
        waiters, self._waiters = self._waiters, []
        for deferred in waiters:
            deferred.callback(None)
