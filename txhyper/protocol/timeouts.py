"""
Time limits of a request, each with its own error.

Owns the limits that a user sets, who has begun which of them, and the one timer for all of them: a
request with limits costs entries in dictionaries, not timers of the reactor. A pool shares one
:class:`Timer` with its connections. What is late is told to whoever is in charge of the request at
that moment: the lease until there is a response, then the exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txhyper.core.deadlines import Deadlines
from txhyper.errors import (
    BodyTimedOut,
    ConnectTimedOut,
    HandshakeTimedOut,
    ResponseTimedOut,
    SlotTimedOut,
    TimedOut,
    TotalTimedOut,
)

__all__ = ["RequestLimits", "Timeouts", "Timer"]


@dataclass(frozen=True)
class Timeouts:
    """
    Seconds that the parts of a request may take; None for any time.

    A limit that passes fails its own request, over HTTP/2 by one RST_STREAM(CANCEL), and leaves the
    connection's other streams alone. Over HTTP/1.1 it costs the connection.

    :raises ValueError: a limit is not a positive number.
    """

    #: Waiting for TCP to connect, where a connection has to be dialled
    #: (:exc:`~txhyper.errors.ConnectTimedOut`).
    connect: float | None = None
    #: Waiting for TLS after that (:exc:`~txhyper.errors.HandshakeTimedOut`).
    handshake: float | None = None
    #: Waiting for a stream, while there are connections and none has one free
    #: (:exc:`~txhyper.errors.SlotTimedOut`). Who has to wait for another connection meanwhile has
    #: this time anew after it; ``total`` bounds them all.
    slot: float | None = None
    #: From the request's HEADERS to those of the final response
    #: (:exc:`~txhyper.errors.ResponseTimedOut`).
    headers: float | None = None
    #: Between two pieces of the response's body, while its reader wants more
    #: (:exc:`~txhyper.errors.BodyTimedOut`).
    bodyIdle: float | None = None
    #: All of it, from the call to the end of the body (:exc:`~txhyper.errors.TotalTimedOut`).
    total: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"the time limit {field.name} is {seconds!r}: no positive number")


#: What each limit is about, and what its passing raises.
_KINDS: dict[str, tuple[str, type[TimedOut]]] = {
    "connect": ("no connection", ConnectTimedOut),
    "handshake": ("no end of the TLS handshake", HandshakeTimedOut),
    "slot": ("no stream free", SlotTimedOut),
    "headers": ("no response headers", ResponseTimedOut),
    "bodyIdle": ("nothing of the response's body", BodyTimedOut),
    "total": ("no complete response", TotalTimedOut),
}


def _nobody(error: TimedOut) -> None:
    """Who is told when nobody is in charge."""


class Limit:
    """One limit of one request. It runs while it is among the deadlines of its length."""

    __slots__ = ("deadlines", "kind", "owner")

    def __init__(self, owner: RequestLimits, kind: str, deadlines: Deadlines[Limit]) -> None:
        self.owner = owner
        self.kind = kind
        self.deadlines = deadlines


class Timer:
    """
    Every limit that runs, and one timer of the reactor.

    The timer is left alone when a limit ends: it finds out by itself that nothing is late.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        # By their length: whoever began first is late first.
        self._lengths: dict[float, Deadlines[Limit]] = {}
        self._call: IDelayedCall | None = None

    def limit(self, owner: RequestLimits, kind: str, seconds: float) -> Limit:
        """A limit that does not run yet."""
        deadlines = self._lengths.get(seconds)
        if deadlines is None:
            deadlines = self._lengths[seconds] = Deadlines(seconds)
        return Limit(owner, kind, deadlines)

    def begin(self, limit: Limit) -> None:
        """Start a limit, or start it anew."""
        now = self._reactor.seconds()
        limit.deadlines.begin(limit, now)
        due = now + limit.deadlines.duration
        if self._call is None:
            self._call = self._reactor.callLater(limit.deadlines.duration, self._look)
        elif due < self._call.getTime():
            self._call.reset(limit.deadlines.duration)

    def _look(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        late = [limit for deadlines in self._lengths.values() for limit in deadlines.expire(now)]
        # Lengths that nobody uses any more go.
        self._lengths = {
            seconds: deadlines for seconds, deadlines in self._lengths.items() if len(deadlines)
        }
        for limit in late:
            limit.owner.late(limit)
        self._schedule()

    def _schedule(self) -> None:
        due = [when for each in self._lengths.values() if (when := each.next()) is not None]
        if due and self._call is None:
            seconds = max(0.0, min(due) - self._reactor.seconds())
            self._call = self._reactor.callLater(seconds, self._look)

    def quiet(self) -> None:
        """Leave no timer behind, if nothing runs."""
        if self._call is not None and not any(map(len, self._lengths.values())):
            self._call.cancel()
            self._call = None


class RequestLimits:
    """
    The limits of one request, from its call to the end of its response.

    :ivar name: the origin, and the stream once there is one, for messages.
    :ivar onLate: called with the error when a limit has passed; whoever is in charge of the request
        sets it.
    """

    __slots__ = ("_running", "_timeouts", "_timer", "name", "onLate")

    def __init__(
        self,
        timer: Timer,
        timeouts: Timeouts,
        name: str,
        onLate: Callable[[TimedOut], None],
    ) -> None:
        """The time for all of it begins now."""
        self._timer = timer
        self._timeouts = timeouts
        self.name = name
        self.onLate = onLate
        self._running: dict[str, Limit] = {}
        self.begin("total")

    def begin(self, kind: str) -> None:
        """
        Start a limit, if it is set; start it anew if it runs.

        :param kind: a field of :class:`Timeouts`.
        """
        limit = self._running.get(kind)
        if limit is None:
            seconds: float | None = getattr(self._timeouts, kind)
            if seconds is None:
                return
            limit = self._running[kind] = self._timer.limit(self, kind, seconds)
        self._timer.begin(limit)

    def end(self, kind: str) -> None:
        """Done in time."""
        limit = self._running.pop(kind, None)
        if limit is not None:
            limit.deadlines.end(limit)

    def dialling(self, isConnected: bool) -> None:
        """The request waits for a dial. :param isConnected: whether TCP has connected already."""
        self.end("slot")
        if "handshake" in self._running:
            return
        if isConnected:
            self.end("connect")
            self.begin("handshake")
        elif "connect" not in self._running:
            self.begin("connect")

    def queued(self) -> None:
        """The request waits for a stream. It may move on to another queue, in the same time."""
        self.end("connect")
        self.end("handshake")
        if "slot" not in self._running:
            self.begin("slot")

    def placed(self) -> None:
        """It waits for no dial and in no queue of the pool's any more."""
        for kind in ("connect", "handshake", "slot"):
            self.end(kind)

    def sent(self, name: str) -> None:
        """The request is on its way. :param name: of the origin and the stream."""
        self.name = name
        self.end("slot")
        self.begin("headers")

    def responded(self, onLate: Callable[[TimedOut], None]) -> None:
        """The final response's headers have come. :param onLate: who is in charge from now on."""
        self.end("headers")
        self.onLate = onLate

    def handOver(self, onLate: Callable[[TimedOut], None]) -> RequestLimits:
        """
        The limits for another attempt: what runs goes on there, and what still holds these here
        ends nothing any more.
        """
        heir = RequestLimits.__new__(RequestLimits)
        heir._timer, heir._timeouts, heir.name = self._timer, self._timeouts, self.name
        heir.onLate = onLate
        heir._running, self._running = self._running, {}
        for limit in heir._running.values():
            limit.owner = heir
        return heir

    def over(self) -> None:
        """The request is done with, one way or the other."""
        for kind in list(self._running):
            self.end(kind)
        # Nobody is in charge any more, so that nobody is kept alive either.
        self.onLate = _nobody

    def late(self, limit: Limit) -> None:
        """A limit has passed: nothing else of this request will."""
        kind = limit.kind
        if self._running.get(kind) is not limit:
            # What passed in the same moment has ended it.
            return
        onLate = self.onLate
        self.over()
        what, error = _KINDS[kind]
        seconds = getattr(self._timeouts, kind)
        onLate(error(f"{self.name}: {what} within {seconds} s (option {kind} of Timeouts)"))
