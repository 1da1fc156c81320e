"""
When connections are to go, whatever else happens.

Owns the time that each idle connection of a pool has left, and the age of each; one timer for all
of them. Origins say when one has something to do and when it has not.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txhyper.core.deadlines import Deadlines
from txhyper.interfaces import IHTTPConnection

__all__ = ["Retirement"]

#: Seconds that an idle connection is kept, as Twisted's own pool does.
IDLE_TIME = 240.0


class Retirement:
    """The idle and the old connections of one pool."""

    __slots__ = ("_ages", "_idle", "_reactor", "_timer")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._idle: Deadlines[IHTTPConnection] = Deadlines(IDLE_TIME)
        # Made with the first connection whose age is limited.
        self._ages: Deadlines[IHTTPConnection] | None = None
        self._timer: IDelayedCall | None = None

    @property
    def idleTime(self) -> float:
        """Seconds that an idle connection is kept."""
        return self._idle.duration

    @idleTime.setter
    def idleTime(self, seconds: float) -> None:
        self._idle.duration = seconds
        self.settle()

    def born(self, connection: IHTTPConnection, maximum: float | None) -> None:
        """A connection has been made. :param maximum: seconds after which it is old, if ever."""
        if maximum is not None:
            if self._ages is None:
                self._ages = Deadlines(maximum)
            self._ages.duration = maximum
            self._ages.begin(connection, self._reactor.seconds())
            self.settle()

    def gone(self, connection: IHTTPConnection) -> None:
        """A connection has ended."""
        self.busy(connection)
        if self._ages is not None:
            self._ages.end(connection)

    def idle(self, connection: IHTTPConnection) -> None:
        """
        A connection has nothing to do: its time begins, if it does not run. A peer does not prolong
        it by changing its mind about how much it would take.
        """
        if connection not in self._idle:
            self._idle.begin(connection, self._reactor.seconds())
            self._schedule()

    def busy(self, connection: IHTTPConnection) -> None:
        """A connection has something to do, or is gone. The timer finds out by itself."""
        self._idle.end(connection)

    def settle(self) -> None:
        """Have the timer at the right time; none, if there is nothing to wait for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            kinds = [self._idle] if self._ages is None else [self._idle, self._ages]
            due = [when for kind in kinds if (when := kind.next()) is not None]
            if due:
                self._timer = self._reactor.callLater(
                    max(0.0, min(due) - self._reactor.seconds()), self._expire
                )

    def _expire(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        late = self._idle.expire(now)
        if self._ages is not None:
            late += self._ages.expire(now)
        for connection in late:
            connection.close()
        self._schedule()
