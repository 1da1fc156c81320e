"""
The round trip, measured for a window manager that wants to know it.

Owns the one PING of this kind that may be on its way, and the octets that come in its time. It
decides neither when to measure nor what follows from it: the connection's window manager does,
see :mod:`txhyper.core.windows`. Sets no timer: it looks at the clock when there is something to
read. :mod:`txhyper.protocol.connection` makes one of these if the class asks for it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txhyper.core.engine import Engine

__all__ = ["Probes"]

#: How long a sample goes on after the answer, in round trips. The answer is a frame of the
#: connection's, which servers send before DATA that they have room for already: a sample that ended
#: with it would lack what the latest credit has brought.
SLACK = 0.25


class Probes:
    """The measurements of one connection, one at a time."""

    __slots__ = ("_begun", "_end", "_engine", "_ping", "_reactor", "_seconds")

    def __init__(
        self, reactor: IReactorTime, engine: Engine, ping: Callable[[], Deferred[float]]
    ) -> None:
        """:param ping: sends a PING, and fires with the seconds until it was answered."""
        self._reactor = reactor
        self._engine = engine
        self._ping = ping
        # How many octets had come before the measurement that is under way.
        self._begun: int | None = None
        # The round trip, once there is an answer, and when its sample ends.
        self._seconds = 0.0
        self._end: float | None = None

    def look(self) -> None:
        """A read begins: end the sample that is complete, and begin another if it is wanted."""
        engine = self._engine
        if self._begun is not None and self._end is not None:
            if self._reactor.seconds() < self._end:
                return
            octets = engine.octets_received - self._begun
            self._begun = self._end = None
            engine.manager.round_trip(self._seconds, octets)
        if self._begun is None and engine.manager.wants_round_trip():
            self._begun = engine.octets_received
            # Without an answer there is no connection any more.
            self._ping().addCallbacks(self._answered, lambda reason: None)

    def _answered(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = self._reactor.seconds() + seconds * SLACK
