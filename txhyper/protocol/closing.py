"""
Who wants to know when a connection is gone.

Owns that list, for connections of every protocol.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

__all__ = ["ClosingNotice"]


class ClosingNotice:
    """The part of :class:`~txhyper.interfaces.IHTTPConnection` that tells of the end."""

    def __init__(self) -> None:
        self._gone = False
        self._waiters: list[Deferred[None]] = []

    def whenClosed(self) -> Deferred[None]:
        """:return: a fresh Deferred, fired once the transport is gone; it never fails."""
        deferred: Deferred[None] = Deferred()
        if self._gone:
            deferred.callback(None)
        else:
            self._waiters.append(deferred)
        return deferred

    def _tellClosed(self) -> None:
        self._gone = True
        waiters, self._waiters = self._waiters, []
        for deferred in waiters:
            deferred.callback(None)
