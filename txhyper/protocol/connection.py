"""
One HTTP/2 connection over one transport.

Feeds the engine, passes each fact to the exchange that it concerns, and lets requests in as slots
come free; :mod:`txhyper.protocol.wire` writes. It knows no frame type, no origin but its name, and
no other connection.

The rules kept here:

* the transport is never paused for a slow reader: pausing is a stream's business;
* a fact is dealt with before the next is asked for, so a user who starts, cancels or pauses
  something from within a callback does so between two frames;
* after the connection has failed nothing is read and nothing is written any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txhyper.core.admission import Admission
from txhyper.core.bounds import Bounds
from txhyper.core.engine import Engine
from txhyper.core.outbound import Outbound
from txhyper.core.streams import Stream
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager
from txhyper.errors import (
    BoundExceeded,
    ConnectionFailed,
    ConnectionUnusable,
    HyperError,
    PeerUnresponsive,
    ProtocolViolation,
)
from txhyper.interfaces import IClaim, IHTTPConnection
from txhyper.protocol.claims import OwnRequests
from txhyper.protocol.closing import ClosingNotice
from txhyper.protocol.exchange import Exchange
from txhyper.protocol.failures import INTERNAL_ERROR, internalError, terminated
from txhyper.protocol.keepalive import KeepAlive, Liveness
from txhyper.protocol.origins import AnnouncedOrigins
from txhyper.protocol.pings import Pings
from txhyper.protocol.probes import Probes
from txhyper.protocol.request import Request
from txhyper.protocol.states import ConnectionState
from txhyper.protocol.timeouts import Timer
from txhyper.protocol.wire import Wire, WireTransport

__all__ = ["HTTP2ClientProtocol"]

#: Where the peer sets no limit to the number of streams.
UNLIMITED = 1 << 31


@implementer(IHTTPConnection)
class HTTP2ClientProtocol(OwnRequests, ClosingNotice, AnnouncedOrigins, Protocol):
    """
    An HTTP/2 client's end of a connection (RFC 9113).

    :ivar origin: the peer's name in messages, such as ``https://example.com``.
    :ivar onCapacity: called with the connection each time it can take more than before, or none
        any more.
    """

    multiplexed = True

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        origin: str = "the server",
        bounds: Bounds | None = None,
        window_manager: type[BaseFlowControlManager] = FlowControlManager,
        onFrame: Callable[[str], None] | None = None,
        onCapacity: Callable[[HTTP2ClientProtocol], None] | None = None,
        timer: Timer | None = None,
        liveness: Liveness | None = None,
        enablePush: bool = False,
    ) -> None:
        """
        :param reactor: for time, and for what has to wait until the next turn.
        :param bounds: the limits to keep.
        :param window_manager: the class that decides how much the peer may send.
        :param onFrame: called with one line of text for each frame sent or received.
        :param timer: for the time limits of requests; one of its own if None.
        :param liveness: how it finds out that the peer is gone.
        :param enablePush: whether the peer may promise responses (RFC 9113 section 8.4).
        :raises ValueError: the window manager begins with windows that HTTP/2 does not allow.
        """
        super().__init__()
        self.origin = origin
        self.onCapacity = onCapacity
        self._reactor = reactor
        self._engine = Engine(origin, bounds, window_manager, onFrame, enablePush)
        self._admission: Admission[Exchange] = Admission()
        self._outbound = Outbound()
        self._wire = Wire(reactor, self._engine, self._outbound, self._closed, self._failAll)
        self._pings = Pings()
        self._timer = Timer(reactor) if timer is None else timer
        measures = window_manager.measures_round_trip
        self._probes = Probes(reactor, self._engine, self.ping) if measures else None
        self._keepAlive = KeepAlive(
            reactor, liveness or Liveness(), self, self._recovered, self._unresponsive
        )
        self._wire.suspect, self._wire.covers = self._suspect, self._covers
        self._closing = self._isAdmitting = False
        self.issued = self._octetsReceived = 0

    # -- what the pool sees --------------------------------------------------------------------

    @property
    def openCount(self) -> int:
        """Slots in use: open streams, those that the peer has promised too, and slots reserved."""
        return self._admission.in_use + self._engine.promises

    @property
    def capacity(self) -> int:
        """How many streams the peer allows at a time; 100 until it has spoken."""
        return self._admission.limit

    def isUsable(self) -> bool:
        """
        Whether requests may be put here: not after GOAWAY, a failure, or :meth:`close`, nor while
        it is in doubt whether the peer is still there.
        """
        admission = self._admission
        return not (admission.draining or admission.held or self._engine.exhausted)

    @property
    def isSuspect(self) -> bool:
        """Whether the peer has been asked if it is still there."""
        return self._admission.held

    def state(self) -> ConnectionState:
        """A snapshot."""
        slots = (self.isUsable(), self.openCount, self.capacity, self._admission.waiting)
        octets = (self._octetsReceived, self._wire.octetsSent, self._outbound.queued)
        return ConnectionState("h2", *slots, self.issued, *octets)

    def reserve(self) -> bool:
        """Take a slot, if one is free and nobody waits for it."""
        return self._admission.reserve()

    def release(self) -> None:
        """Give a reserved slot back."""
        self._admission.release()
        self._freed()

    def issue(self, request: Request, claim: IClaim, reserved: bool = False) -> None:
        """
        Send a request, or queue it.

        The claim's ``failed`` may be called before this returns: with
        :exc:`~txhyper.errors.ConnectionUnusable` if the connection takes no requests, with
        :exc:`~txhyper.errors.InvalidRequest` if the request cannot be sent over HTTP/2.
        """
        exchange = Exchange(self._wire, request, claim)
        claim.token = exchange
        if self._admission.draining or self._engine.exhausted:
            exchange.failed(ConnectionUnusable(f"{self.origin}: the connection is closing"))
            if reserved:
                self.release()
        elif reserved or self._admission.reserve():
            if not self._start(exchange):
                self._freed()
        else:
            self._admission.wait(exchange)
            if request.limits is not None:
                request.limits.queued()

    def cancel(self, claim: IClaim, error: Exception | None = None) -> None:
        """Give a request up: it leaves the queue, or its stream is reset with CANCEL."""
        exchange = cast(Exchange, claim.token)
        self._admission.leave(exchange)
        exchange.cancel(error or CancelledError())

    def ping(self) -> Deferred[float]:
        """
        Measure the round trip (RFC 9113 section 6.7).

        :return: seconds; fails with the connection. Cancelling it forgets the answer.
        """
        if self._wire.over:
            return fail(ConnectionUnusable(f"{self.origin}: the connection is closed"))
        payload, deferred = self._pings.begin(self._reactor.seconds())
        self._engine.ping(payload)
        self._wire.touch()
        return deferred

    def close(self) -> None:
        """
        Take no more requests; those that wait fail as retriable, those that are open finish.
        Then GOAWAY is sent and the connection is closed.
        """
        if not self._closing:
            self._closing = True
            self._dismiss()

    def abort(self) -> None:
        """Disconnect now, without a farewell. Every request fails, those that wait at once."""
        self._wire.abort()
        self._dismiss()

    # -- slots ---------------------------------------------------------------------------------

    def _start(self, exchange: Exchange) -> bool:
        """
        Send a request in a slot that is reserved for it.

        :return: whether it was sent; else the slot is free again, and the caller's to give away.
        """
        self.issued += 1
        try:
            exchange.send()
        except Exception as error:  # noqa: BLE001 - whatever it is, the slot is not to be lost
            self._admission.release()
            exchange.failed(error)
            return False
        return True

    def _closed(self, stream: Stream) -> None:
        """A stream has ended: forget what it had queued, and give its slot to the next."""
        exchange, stream.owner = stream.owner, None
        # Before what is queued is forgotten: a tunnel has to know whether it has all left.
        exchange.closed()
        self._outbound.discard(stream)
        # A promised stream has no slot.
        if stream.id & 1:
            self._admission.release()
        self._freed()

    def _freed(self) -> None:
        """There may be room: for those who wait here, for others; or nothing is left to do."""
        if self._isAdmitting:
            # One that was let in has given its slot up at once. Whoever lets them in goes on: not
            # from in here, as many may do so one after the other.
            return
        self._isAdmitting = True
        try:
            while (exchange := self._admission.admit()) is not None:
                self._start(exchange)
        finally:
            self._isAdmitting = False
        if not self.openCount and (self._closing or self._engine.last_stream_id is not None):
            self._farewell()
        if self.onCapacity is not None and not self._admission.waiting:
            self.onCapacity(self)

    def _dismiss(self) -> None:
        """Nobody is let in any more: the waiting may try elsewhere, nothing of them was sent."""
        for exchange in self._admission.dismiss():
            exchange.failed(ConnectionUnusable(f"{self.origin}: the connection is closing"))
        self._freed()

    # -- facts ---------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Feed the engine, and deal with each fact before the next."""
        wire = self._wire
        if wire.over:
            return
        self._octetsReceived += len(data)
        self._keepAlive.lastHeard = self._engine.now = self._reactor.seconds()
        wire.cork()
        try:
            if self._probes is not None:
                self._probes.look()
            for fact, stream, value, size in self._engine.receive(data):
                FACTS[fact](self, stream, value, size)
                # A user has hung up: what this frame has ended is still told, as it is.
                if wire.over and not self._engine.pending:
                    break
        except (ProtocolViolation, BoundExceeded) as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - such as one of a window manager of the user's
            self._log.failure("{origin}: a frame could not be dealt with", origin=self.origin)
            self._engine.close(INTERNAL_ERROR)
            self._fail(internalError(self.origin, error))
        finally:
            wire.uncork()

    def _onFinished(self, stream: Stream, value: Any, size: int) -> None:
        exchange = stream.owner
        # A reader that gave up in this frame has closed the stream and left.
        if exchange is not None:
            if stream.closed:
                self._closed(stream)
            exchange.finished()

    def _onFailed(self, stream: Stream, value: Any, size: int) -> None:
        exchange = stream.owner
        self._closed(stream)
        exchange.failed(value)

    def _onStopped(self, stream: Stream, value: Any, size: int) -> None:
        """The response was complete, and now the peer itself has reset the rest of the upload."""
        self._closed(stream)

    def _onOpened(self, stream: Stream | None, value: Any, size: int) -> None:
        if stream is not None:
            self._outbound.wake(stream)

    def _onSettled(self, stream: None, value: Any, size: int) -> None:
        limit = self._engine.max_concurrent_streams
        before, self._admission.limit = self._admission.limit, UNLIMITED if limit is None else limit
        self._outbound.wake_all()
        if self._admission.limit > before:
            self._freed()

    def _onPonged(self, stream: None, value: bytes, size: int) -> None:
        self._pings.answered(value, self._reactor.seconds())

    def _onGone(self, stream: None, value: Any, size: int) -> None:
        self._dismiss()

    # -- beginning and end -----------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet. The preface leaves together with the first requests of this turn."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._wire.connect(cast(WireTransport, self.transport))
        self._keepAlive.start()

    def _suspect(self) -> None:
        """Something did not come in time: nobody is let in until the peer has answered."""
        self._keepAlive.ask()
        if not self._admission.held:
            self._admission.held = True
            self._freed()

    def _recovered(self) -> None:
        """The peer was only slow, if it was in doubt at all."""
        if self._admission.held:
            self._admission.held = False
            self._freed()

    def _unresponsive(self, error: PeerUnresponsive) -> None:
        """The peer is gone."""
        self._wire.abort()
        self._failAll(error)

    def _farewell(self) -> None:
        """The last request is done: GOAWAY, and hang up."""
        if not self._wire.over:
            self._engine.close()
            self._wire.hangUp()

    def _fail(self, error: ConnectionFailed | BoundExceeded) -> None:
        """The peer broke a rule of the connection: say so, hang up, and fail every request."""
        self._wire.hangUp()
        self._failAll(error)

    def _failAll(self, error: HyperError) -> None:
        """Fail every request that is open, and everybody who waits."""
        self._dismiss()
        for stream in self._engine.streams:
            exchange, stream.owner = stream.owner, None
            stream.closed = True
            # One that was told of may have cancelled others; and after a violation the transport's
            # end comes as well.
            if exchange is not None:
                exchange.failed(error)
        self._pings.fail(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone: everybody who still waits is told."""
        self._wire.end()
        self._keepAlive.stop()
        engine = self._engine
        self._failAll(terminated(self.origin, reason, engine.last_stream_id, *engine.goaway))
        self._timer.quiet()
        self._tellClosed()


#: What to do with each fact, by its number.
FACTS: list[Callable[[HTTP2ClientProtocol, Any, Any, int], None]] = [
    lambda self, stream, value, size: stream.owner.informed(value),
    lambda self, stream, value, size: stream.owner.responded(value),
    lambda self, stream, value, size: stream.owner.received(value, size),
    lambda self, stream, value, size: stream.owner.trailed(value),
    HTTP2ClientProtocol._onFinished,
    HTTP2ClientProtocol._onFailed,
    HTTP2ClientProtocol._onStopped,
    HTTP2ClientProtocol._onOpened,
    HTTP2ClientProtocol._onSettled,
    HTTP2ClientProtocol._onPonged,
    HTTP2ClientProtocol._onGone,
    HTTP2ClientProtocol._onAnnounced,
    lambda self, stream, value, size: stream.owner.promised(*value),
]
