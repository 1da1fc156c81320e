"""
One who waits for a connection and sends nothing on it.

Owns the Deferred of :meth:`~txhyper.client.pool.ConnectionPool.connect`. To its origin it is like a
:class:`~txhyper.client.lease.Lease`: it stands in the same queue, and gives the slot that it is
given back at once. It never tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, succeed

from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.timeouts import RequestLimits, Timeouts

if TYPE_CHECKING:
    from txhyper.client.origin import Origin

__all__ = ["Visit"]


class Visit:
    """
    A wait for a connection.

    :ivar limits: its time limits, if it has some.
    """

    __slots__ = ("_deferred", "_origin", "limits")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._deferred: Deferred[IHTTPConnection] = Deferred(self._cancel)
        self.limits: RequestLimits | None = None

    def start(self, timeouts: Timeouts | None) -> Deferred[IHTTPConnection]:
        """
        Take a connection that is there, or wait for one.

        :return: fires with it. Cancelling it leaves the queue.
        """
        origin = self._origin
        connection = origin.usable()
        if connection is not None:
            return succeed(connection)
        if timeouts is not None:
            self.limits = RequestLimits(origin.timer, timeouts, origin.name, self._giveUp)
        origin.place(self)
        return self._deferred

    def use(self, connection: IHTTPConnection, reused: bool) -> None:
        """Here is a connection, with a slot reserved."""
        self._over()
        connection.release()
        self._deferred.callback(connection)

    def abandon(self, error: Exception) -> None:
        """There will be none."""
        self._over()
        self._deferred.errback(error)

    def undialled(self, error: Exception) -> None:
        """The dial that it waited for has failed."""
        self.abandon(error)

    def _over(self) -> None:
        if self.limits is not None:
            self.limits.over()

    def _cancel(self, deferred: Deferred[IHTTPConnection]) -> None:
        self._giveUp(CancelledError())

    def _giveUp(self, error: Exception) -> None:
        self._origin.leave(self)
        self.abandon(error)
