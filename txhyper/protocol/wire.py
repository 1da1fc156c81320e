"""
What leaves a connection, and when.

Owns the transport for writing and the cork: every octet goes through :meth:`Wire._write`, once for
each read and once for each turn of the reactor in which something was asked for. Exchanges ask it
for what is to be said on their streams. Takes bodies from their queue while the windows and the
transport let it. Decides nothing about streams and reads nothing;
:mod:`txhyper.protocol.connection` holds one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
)
from zope.interface import implementer

from txhyper.core.engine import Engine
from txhyper.core.headers import Field
from txhyper.core.outbound import Outbound
from txhyper.core.streams import Stream
from txhyper.errors import BoundExceeded
from txhyper.protocol.threads import callFromAnyThread

if TYPE_CHECKING:
    from txhyper.protocol.exchange import Exchange

__all__ = ["CLOSE_TIMEOUT", "PUMP_QUANTUM", "Wire", "WireTransport"]

#: Octets of bodies put into one write: enough for the transport to say that it has enough.
PUMP_QUANTUM = 256 * 1024

#: Seconds that a peer has to close its side, once we have closed ours.
CLOSE_TIMEOUT = 5.0


class WireTransport(Protocol):
    """What is asked of a transport, TCP or TLS."""

    def write(self, data: bytes) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


def _nothing() -> None:
    """Nobody is suspected."""


@implementer(IPushProducer)
class Wire:
    """
    One connection's way out.

    It is the transport's push producer: while the transport has enough, no DATA goes out. Control
    frames do, since they are what keeps the peer going, but what the peer makes us say stays within
    :attr:`~txhyper.core.bounds.Bounds.pending_control_octets`.
    """

    __slots__ = (
        "_aborted",
        "_closed",
        "_corked",
        "_engine",
        "_forced",
        "_outbound",
        "_paused",
        "_timer",
        "_transport",
        "bounds",
        "covers",
        "octetsSent",
        "origin",
        "over",
        "reactor",
        "suspect",
    )

    def __init__(
        self,
        reactor: IReactorTime,
        engine: Engine,
        outbound: Outbound,
        closed: Callable[[Stream], None],
        aborted: Callable[[BoundExceeded], None],
    ) -> None:
        """
        :param closed: told of a stream that the end of its upload has closed.
        :param aborted: told when the peer made us answer without reading the answers, and was cut
            off for it.
        """
        #: The peer's name, for messages.
        self.origin = engine.origin
        #: The connection's limits.
        self.bounds = engine.bounds
        self.reactor = reactor
        self._engine = engine
        self._outbound = outbound
        self._closed = closed
        self._aborted = aborted
        self._transport: WireTransport | None = None
        # Whether somebody up the stack will flush: then nobody else needs to.
        self._corked = False
        # The flush of this turn, or the end of the time in which the peer has to hang up.
        self._timer: IDelayedCall | None = None
        # Whether the transport takes no more for now, and the answers it was given all the same.
        self._paused = False
        self._forced = 0
        #: Called when something has not come in time; the connection sets it.
        self.suspect: Callable[[], None] = _nothing
        #: Whether the server may speak for another origin than the request's; likewise.
        self.covers: Callable[[bytes], bool]
        #: How many octets have been written.
        self.octetsSent = 0
        #: Whether nothing may be written any more.
        self.over = False

    def connect(self, transport: WireTransport) -> None:
        """The transport is there. What is queued leaves together with this turn's requests."""
        if self.over:
            # Closed before it began: nothing was said, so there is no farewell to say.
            transport.abortConnection()
            return
        self._transport = transport
        cast(IConsumer, transport).registerProducer(self, True)
        self.touch()

    # -- what exchanges ask for ----------------------------------------------------------------

    def open(
        self, exchange: Exchange, authority: bytes, fields: Sequence[Field], end: bool
    ) -> Stream:
        """Queue a request's HEADERS. :raises HyperError: it cannot be sent; nothing was."""
        request = exchange.request
        stream = self._engine.open(
            exchange, request.method, request.scheme, authority, request.path, fields, end
        )
        self.touch()
        return stream

    def queue(self, stream: Stream, data: bytes) -> bool:
        """Queue octets of an upload. :return: whether its producer has to pause."""
        if not stream.sending:
            return False
        mustPause = self._outbound.write(stream, data)
        # Where a window is closed, its opening is what sends them.
        if self._outbound.ready and self._engine.send_window > 0:
            self.touch()
        return mustPause

    def finishUpload(self, stream: Stream, trailers: Sequence[Field]) -> None:
        """
        END_STREAM goes out with the last octet, or with the trailers behind it, if there are some.

        :raises InvalidRequest: the trailers are larger than the peer accepts.
        """
        if stream.sending:
            if trailers:
                self._engine.trail(stream, trailers)
            self._outbound.finish(stream)
            self.touch()

    def consumed(self, stream: Stream, size: int) -> None:
        """A reader has taken octets: the stream's policy may give credit."""
        self._engine.consumed(stream, size)
        self.touch()

    def readerPaused(self, stream: Stream) -> None:
        """A reader has paused."""
        self._engine.paused(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """Queue one RST_STREAM, if the stream is open, and give its slot away."""
        if not stream.closed:
            self._engine.reset(stream, code)
            self.touch()
            self._closed(stream)

    def refuse(self, stream: Stream, code: int) -> None:
        """
        A promise that has just come is not believed.

        :raises BoundExceeded: there were too many of this kind.
        """
        self.reset(stream, code)
        self._engine.refused()

    def later(self, call: Callable[..., object], *args: object) -> None:
        """Call in the next turn of the reactor."""
        self.reactor.callLater(0, call, *args)

    def fromAnyThread(self, call: Callable[..., object], *args: object) -> None:
        """Call in the reactor's thread, from wherever the garbage collector happens to run."""
        callFromAnyThread(self.reactor, call, *args)

    # -- turns and writes ------------------------------------------------------------------------

    def touch(self) -> None:
        """Something is to be sent: see to it that it is, once in this turn."""
        if not self._corked and self._timer is None and not self.over:
            self._timer = self.reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self._flush(False)

    def cork(self) -> None:
        """Hold everything back until :meth:`uncork`, which the caller is going to call."""
        self._corked = True

    def uncork(self) -> None:
        """Write what a read has given rise to, if it has."""
        if self._engine.output or self._outbound.ready:
            self._flush(True)
        else:
            self._corked = False

    def _flush(self, answering: bool) -> None:
        """
        Write what there is: control frames always, bodies while the transport takes them.

        :param answering: whether it was the peer that gave rise to it, and not the user.
        """
        # Producers that are resumed in here write to the queue and ask for a flush.
        self._corked = True
        try:
            more = True
            while more and not self.over and self._transport is not None:
                more = self._pump()
                octets = self._engine.take()
                # A producer may have aborted the connection.
                if octets and not self.over:
                    if self._paused and answering and self._isTooMuch(len(octets)):
                        break
                    self._write(octets)
        finally:
            # Whatever went wrong, what comes later has to leave.
            self._corked = False

    def _write(self, octets: bytes) -> None:
        """The one place where anything leaves."""
        assert self._transport is not None
        self.octetsSent += len(octets)
        self._transport.write(octets)

    def _pump(self) -> bool:
        """
        Move bodies from the queue to the engine, up to a quantum.

        :return: whether there may be more to move, if the transport does not say no.
        """
        engine, outbound = self._engine, self._outbound
        moved = 0
        while moved < PUMP_QUANTUM and not self._paused:
            turn = outbound.next(engine.send_window, engine.initial_window, engine.max_frame_size)
            if turn is None:
                return False
            stream, slices, size, end = turn
            moved += size
            engine.send_data(stream, slices, size, end)
            if stream.closed:
                self._closed(stream)
            elif outbound.drained(stream):
                stream.owner.resumeUpload()
        return not self._paused

    def _isTooMuch(self, size: int) -> bool:
        """Count answers that nobody reads, and cut off a peer that wants more of them."""
        self._forced += size
        limit = self._engine.bounds.pending_control_octets
        if self._forced <= limit:
            return False
        self.abort()
        self._aborted(
            BoundExceeded(
                f"{self._engine.origin}: more than {limit} octets of control frames wait for the "
                "server to read (bound pending_control_octets)",
                "pending_control_octets",
            )
        )
        return True

    def pauseProducing(self) -> None:
        """The transport has enough: no more DATA."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._paused = False
        self._forced = 0
        self.touch()

    def stopProducing(self) -> None:
        """The transport is closing; its ``connectionLost`` tells the rest."""

    def hangUp(self) -> None:
        """Write what is left, and close. A peer that does not close its side is cut off."""
        self.over = True
        self._cancel()
        if self._transport is not None:
            self._timer = self.reactor.callLater(CLOSE_TIMEOUT, self._cutOff)
            cast(IConsumer, self._transport).unregisterProducer()
            self._write(self._engine.take())
            self._transport.loseConnection()

    def _cutOff(self) -> None:
        self._timer = None
        self.abort()

    def abort(self) -> None:
        """Disconnect without a farewell."""
        self.over = True
        if self._transport is not None:
            self._transport.abortConnection()

    def end(self) -> None:
        """The transport is gone: leave no timer behind."""
        self.over = True
        self._transport = None
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
