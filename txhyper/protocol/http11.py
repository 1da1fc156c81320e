"""
Twisted's HTTP/1.1 client protocol behind the interface that the pool sees.

Owns the one place where a private module of Twisted is used, and the translation of its failures.
Parses and writes nothing of HTTP/1.1 itself: Twisted does. A connection has one slot, which is in
use until the response's body has been read to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol
from twisted.web._newclient import Request as WireRequest
from twisted.web.client import URI, ResponseFailed
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from txhyper.core.bounds import Bounds
from txhyper.core.headers import Field
from txhyper.errors import (
    BoundExceeded,
    ConnectionUnusable,
    HyperError,
    InvalidRequest,
)
from txhyper.interfaces import IClaim, IHTTPConnection
from txhyper.protocol.claims import OwnRequests
from txhyper.protocol.closing import ClosingNotice
from txhyper.protocol.ending import COMPLETE, Ending
from txhyper.protocol.http11_body import BodyTransport
from txhyper.protocol.http11_messages import (
    HTTP11Response,
    WrittenBody,
    absoluteForm,
    addTo,
    headersOf,
    isLast,
    removeFrom,
    settle,
    translated,
    watchRest,
)
from txhyper.protocol.request import Request
from txhyper.protocol.states import ConnectionState
from txhyper.protocol.threads import callFromAnyThread
from txhyper.protocol.timeouts import RequestLimits, Timer

__all__ = ["HTTP11ClientConnection"]


@implementer(IHTTPConnection)
class HTTP11ClientConnection(OwnRequests, ClosingNotice, Protocol):
    """
    One HTTP/1.1 connection.

    :ivar onCapacity: called with the connection each time it may take a request again.
    """

    #: One request at a time: there are no streams.
    capacity = 1
    multiplexed = False
    #: There is no PING to ask with.
    isSuspect = False

    def __init__(
        self,
        reactor: IReactorTime,
        origin: str = "the server",
        persistent: bool = True,
        bounds: Bounds | None = None,
        onCapacity: Callable[[HTTP11ClientConnection], None] | None = None,
        timer: Timer | None = None,
        forwarding: Sequence[Field] | None = None,
    ) -> None:
        """
        :param reactor: for time.
        :param origin: the peer's name, for messages.
        :param bounds: the limits to keep.
        :param timer: for the time limits of requests; one of its own if None.
        :param persistent: whether to keep the connection after a request.
        :param forwarding: None, or that the peer is a proxy, which is sent whole URIs
            (RFC 9112 section 3.2.2), and the fields that it is told besides.
        """
        super().__init__()
        self.origin = self._peer = origin
        self.onCapacity = onCapacity
        self.openCount = self.issued = self._octetsReceived = 0
        self._reactor = reactor
        self._fromAnyThread = partial(callFromAnyThread, reactor)
        self._bounds = bounds or Bounds()
        self._timer = Timer(reactor) if timer is None else timer
        # The limits of the request at hand, and why the rest of its response is not to come.
        self._limits: RequestLimits | None = None
        self._cause: Exception | None = None
        self._persistent = persistent
        self._forwarding = forwarding
        self._protocol = cast(Any, HTTP11ClientProtocol(self._quiescent))
        self._protocol._giveUp = self._givenUp
        self._closing = False
        # Whether a response has just ended, and nobody has been told that the slot is free.
        self._isFreed = False
        # Whoever waits for a response, until it is told, and what Twisted gave us for it.
        self._claim: IClaim | None = None
        self._sent: Deferred[Any] | None = None
        # Informational responses to the request at hand.
        self._informational = 0
        # The body that is being sent, how the body that comes ends, and how the connection did.
        self._body: WrittenBody | None = None
        self._ending: Ending = COMPLETE
        self._lost: Failure | None = None

    def makeConnection(self, transport: ITransport) -> None:
        """Pass the transport on."""
        self.transport = transport
        self._protocol.makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """Pass octets on."""
        self._octetsReceived += len(data)
        protocol = self._protocol
        protocol.dataReceived(data)
        if protocol._parser is None and protocol.state.startswith("TRANSMITTING"):
            # The response is over, as it should be or not, and the request is not: nothing can
            # come of it any more. Twisted would wait for the body, and, if the response was
            # broken, fall over its own feet at the end of the connection.
            protocol._state = "TRANSMITTING_AFTER_RECEIVING_RESPONSE"
            self._stopUpload()
            self.abort()
        elif protocol._parser is None:
            self._body = None
        if self._isFreed:
            self._isFreed = False
            # The reader of the body may have sent a request at its end.
            if not self.openCount:
                self._rest()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on, and tell those who wait for it."""
        self._closing = True
        self._lost = reason
        try:
            self._protocol.connectionLost(reason)
            if not self._ending.isOver:
                # The head came before the request was written: then Twisted tells the reader
                # nothing.
                self._protocol._disconnectParser(reason)
        finally:
            self._timer.quiet()
            self._tellClosed()

    def isUsable(self) -> bool:
        """Whether the connection may take a request, now or later."""
        # CONNECTION_LOST and the states on the way there are not to be waited for.
        states = ("QUIESCENT", "TRANSMITTING", "WAITING")
        return not self._closing and self._protocol.state in states

    def state(self) -> ConnectionState:
        """A snapshot."""
        slots = (self.isUsable(), self.openCount, self.capacity, 0)
        return ConnectionState("http/1.1", *slots, self.issued, self._octetsReceived, None, None)

    def reserve(self) -> bool:
        """Take the one slot."""
        if self.openCount or not self.isUsable():
            return False
        self.openCount = 1
        return True

    def release(self) -> None:
        """Give the slot back unused."""
        self.openCount = 0
        self._rest()

    def _quiescent(self, protocol: HTTP11ClientProtocol) -> None:
        """
        A response has ended. Twisted puts the request away when this returns, and would take one
        that was sent in here for it: whoever waits for the slot is told a little later.
        """
        self.openCount = 0
        self._isFreed = True

    def _givenUp(self, reason: Failure) -> None:
        """Nothing more is to come, or it was not to: Twisted hangs up, and waits for the peer."""
        self._closing = True
        self._hangUp()
        self._protocol._disconnectParser(reason)

    def _rest(self) -> None:
        """There is nothing to do."""
        if self._closing:
            self._hangUp()
        elif self.onCapacity is not None:
            self.onCapacity(self)

    def issue(self, request: Request, claim: IClaim, reserved: bool = False) -> None:
        """Send a request; a connection that is busy, or closing, takes none."""
        self.issued += 1
        try:
            if not (reserved or self.reserve()):
                raise ConnectionUnusable(f"{self.origin}: the HTTP/1.1 connection is busy")
            reserved = True
            if not self.isUsable():
                raise ConnectionUnusable(f"{self.origin}: the connection is closing")
            if request.method == b"CONNECT":
                raise InvalidRequest(f"{self.origin}: CONNECT takes a server that speaks HTTP/2")
            wireRequest = self._wireRequest(request)
        except HyperError as error:
            if reserved:
                self.release()
            claim.failed(error)
            return
        self._claim = claim
        self._limits = request.limits
        if self._limits is not None:
            self._limits.sent(self.origin)
        sent = self._protocol.request(wireRequest)
        removeFrom(wireRequest.headers, self._forwarding or (), request)
        parser = self._protocol._parser
        parser.allHeadersReceived = partial(self._headReceived, parser, request, claim)
        watchRest(parser, self.close)
        # Told as soon as the response fails: Twisted waits until the request has been written.
        parser._responseDeferred.addErrback(self._failed, claim)
        # A producer that gave the request up within its start has left nobody to be told.
        self._sent = sent if self._claim is claim else None
        sent.addErrback(self._failed, claim)

    def _wireRequest(self, request: Request) -> WireRequest:
        authority, fields = request.fields()
        headers = headersOf(authority, fields)
        path = request.path
        if self._forwarding is not None:
            path = absoluteForm(request, authority)
            addTo(headers, self._forwarding)
            # It carries one request at a time, and has another origin for each.
            origin = f"{request.scheme.decode()}://{request.authority.decode('latin-1')}"
            self.origin = f"{origin} by way of {self._peer}"
        self._body = WrittenBody.of(request, fields, self._reactor, self._bounds, self.origin)
        # The public constructor leaves out the URI, which response.request is to tell.
        wire: WireRequest = WireRequest._construct(
            request.method,
            path,
            headers,
            self._body,
            persistent=self._persistent,
            parsedURI=URI.fromBytes(request.absoluteURI),
        )
        return wire

    # -- the response --------------------------------------------------------------------------

    def _headReceived(self, parser: Any, request: Request, claim: IClaim) -> None:
        """
        All the headers of a response have come. Twisted would throw an informational one away,
        and tells of a body's end nobody but its reader.
        """
        response = parser.response
        if 100 <= response.code < 200:
            # The parser begins anew, as Twisted's own does in this case.
            parser.connectionMade()
            del parser.response
            self._informed(response, request, claim)
            return
        del parser.allHeadersReceived
        if isLast(response.version, parser.connHeaders.getRawHeaders(b"connection", ())):
            # Twisted knows no other way to say so.
            parser.connHeaders.setRawHeaders(b"connection", [b"close"])
        self._ending = Ending()
        response._bodyDataFinished = partial(self._bodyEnded, response, parser, self._ending)
        if self._limits is not None:
            self._limits.responded(self._giveUp)
        parser.allHeadersReceived()
        # Told as soon as it is here: Twisted waits until the request has been written.
        self._responded(response, claim)

    def _informed(self, response: Any, request: Request, claim: IClaim) -> None:
        if self._claim is not claim:
            # Given up, and there is more in what had been read.
            return
        self._informational += 1
        if self._informational > self._bounds.informational_responses:
            error = BoundExceeded(
                f"{self.origin}: more than {self._bounds.informational_responses} informational "
                "responses (bound informational_responses)",
                "informational_responses",
            )
            self.abort()
            self._isTold(claim)
            claim.failed(error)
            return
        if response.code == 100 and self._body is not None:
            self._body.proceed()
        fields = response.headers.getAllRawHeaders()
        request.inform(response.code, [(name, one) for name, values in fields for one in values])

    def _bodyEnded(
        self, response: Any, parser: Any, ending: Ending, reason: Failure | None = None
    ) -> None:
        """
        A body has ended. One without a length may end with its connection, but not by accident.
        Twisted tells of both alike, as a potential loss; here it is certain.
        """
        # Without what was put before Twisted's own, response and connection are no circle.
        vars(response).pop("_bodyDataFinished")
        if self._limits is not None:
            self._limits.over()
        lost = self._lost
        isVague = reason is not None and reason.check(PotentialDataLoss)
        isCut = isVague and lost is not None and not lost.check(ConnectionDone)
        if isCut or (reason is not None and self._cause is not None):
            isVague = False
            cause = self._translate(None if lost is None else lost.value)
            reason = Failure(ResponseFailed([Failure(cause)], response))
        try:
            response._bodyDataFinished(reason)
        finally:
            # Those who wait for the trailers are told, whatever the reader of the body does.
            if reason is None or isVague:
                # Its decoder has found them, if it was chunked.
                found = getattr(parser.bodyDecoder, "_trailerHeaders", ())
                settle(ending, found, self.origin)
            else:
                ending.over(self._translate(reason.value))

    def _stopUpload(self) -> None:
        """Nobody wants the rest of the request, if there is one."""
        body, self._body = self._body, None
        if body is not None and body.stop():
            # A transport waits for its producer before it closes.
            cast(Any, self.transport).unregisterProducer()

    def _isTold(self, claim: IClaim) -> bool:
        """Whether this is the claim that waits; from now on it does no more."""
        if self._claim is not claim:
            return False
        self._claim = self._sent = None
        self._informational = 0
        return True

    def _responded(self, response: Any, claim: IClaim) -> None:
        if self._isTold(claim):
            transport = BodyTransport(
                response._transport, self._limits, self.origin, self._giveUp, self._fromAnyThread
            )
            unread = partial(self._fromAnyThread, partial(self._unread, self._ending))
            if response.code >= 300:
                # A server that refuses does not want what this request carries.
                self._stopUpload()
            elif self._body is not None:
                self._body.proceed()
            claim.responded(HTTP11Response(response, self._bounds, self._ending, transport, unread))

    def _unread(self, ending: Ending) -> None:
        """A response was garbage before its end; by now others may use the connection."""
        if not ending.isOver:
            self.abort()

    def _failed(self, reason: Failure, claim: IClaim) -> None:
        if self._isTold(claim):
            claim.failed(self._translate(reason.value))

    def _translate(self, error: BaseException | None) -> Exception:
        """Why there is no response, or not all of it."""
        return self._cause or translated(error, self.origin)

    def cancel(self, claim: IClaim, error: Exception | None = None) -> None:
        """Give a request up. Over HTTP/1.1 this costs the connection."""
        sent = self._sent
        if self._isTold(claim):
            if sent is not None:
                sent.cancel()
            self.abort()
            claim.failed(error or CancelledError())

    def _giveUp(self, error: Exception) -> None:
        """The time for the rest of a response is up, or its reader does not want it."""
        self._cause = self._cause or error
        self.abort()

    def ping(self) -> Deferred[float]:
        """:return: a failure: HTTP/1.1 has no PING."""
        return fail(ConnectionUnusable(f"{self.origin}: HTTP/1.1 has no PING"))

    def close(self) -> None:
        """Take no more requests, finish the one that is open, and disconnect."""
        self._closing = True
        if not self.openCount:
            self._hangUp()

    def abort(self) -> None:
        """Disconnect now."""
        self._closing = True
        cast(Any, self.transport).abortConnection()
