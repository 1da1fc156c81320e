"""
Twisted's HTTP/1.1 client protocol behind the interface that the pool sees.

Owns the one place where a private module of Twisted is used, and the translation of its failures.
Parses and writes nothing of HTTP/1.1 itself: Twisted does. A connection has one slot, which is in
use until the response's body has been read to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, TransportProxyProducer
from twisted.web._newclient import Request as WireRequest
from twisted.web.client import URI, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from zope.interface import implementer

from txhyper.core.bounds import Bounds
from txhyper.core.headers import MalformedHead, parse_trailers
from txhyper.errors import (
    BoundExceeded,
    ConnectionTerminated,
    ConnectionUnusable,
    HyperError,
    ProtocolViolation,
)
from txhyper.interfaces import IClaim, IHTTPConnection, IHyperResponse
from txhyper.protocol.claims import OwnClaim
from txhyper.protocol.closing import ClosingNotice
from txhyper.protocol.ending import COMPLETE, Ending
from txhyper.protocol.http11_messages import HTTP11Response, WrittenBody, trailerField
from txhyper.protocol.request import Request

__all__ = ["HTTP11ClientConnection"]


class _BodyTransport(TransportProxyProducer):
    """What Twisted gives the reader of a body, and what its own ``readBody`` looks for besides."""

    def __init__(
        self,
        proxy: TransportProxyProducer,
        abort: Callable[[], None],
        fromAnyThread: Callable[..., None],
    ) -> None:
        # Twisted's ends proxying on its own when the response is over, and so ends ours.
        self._producer = self._proxy = proxy
        self._abort = abort
        self._fromAnyThread = fromAnyThread

    def abortConnection(self) -> None:
        """Give the body up, which over HTTP/1.1 costs the connection; after its end, nothing."""
        if self._proxy._producer is not None:
            self._abort()

    def forget(self) -> None:
        """Give the body up, from whatever thread the garbage collector runs in."""
        self._fromAnyThread(self.abortConnection)


@implementer(IHTTPConnection)
class HTTP11ClientConnection(ClosingNotice, Protocol):
    """
    One HTTP/1.1 connection.

    :ivar onIdle: called with the connection each time it may take a request again.
    """

    #: One request at a time: there are no streams.
    capacity = 1
    multiplexed = False

    def __init__(
        self,
        reactor: IReactorTime,
        origin: str = "the server",
        persistent: bool = True,
        bounds: Bounds | None = None,
        onIdle: Callable[[HTTP11ClientConnection], None] | None = None,
    ) -> None:
        """
        :param reactor: for time.
        :param origin: the peer's name, for messages.
        :param bounds: the limits to keep.
        :param persistent: whether to keep the connection after a request.
        """
        super().__init__()
        self.origin = origin
        self.onIdle = onIdle
        self.openCount = 0
        self._reactor = reactor
        self._bounds = bounds or Bounds()
        self._persistent = persistent
        self._protocol = HTTP11ClientProtocol(self._quiescent)
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
        self._protocol.dataReceived(data)
        if self._protocol._parser is None:
            # The response is complete, or is none.
            self._stopUpload()
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
            self._tellClosed()

    def isUsable(self) -> bool:
        """Whether the connection may take a request, now or later."""
        # CONNECTION_LOST and the states on the way there are not to be waited for.
        return not self._closing and self._protocol.state in (
            "QUIESCENT",
            "TRANSMITTING",
            "WAITING",
        )

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

    def _rest(self) -> None:
        """There is nothing to do."""
        if self._closing:
            self._lose()
        elif self.onIdle is not None:
            self.onIdle(self)

    def issue(self, request: Request, claim: IClaim, reserved: bool = False) -> None:
        """Send a request; a connection that is busy, or closing, takes none."""
        try:
            if not (reserved or self.reserve()):
                raise ConnectionUnusable(f"{self.origin}: the HTTP/1.1 connection is busy")
            reserved = True
            if not self.isUsable():
                raise ConnectionUnusable(f"{self.origin}: the connection is closing")
            wireRequest = self._wireRequest(request)
        except HyperError as error:
            if reserved:
                self.release()
            claim.failed(error)
            return
        self._claim = claim
        sent = self._protocol.request(wireRequest)
        cast(Any, self._protocol._responseDeferred).addErrback(self._unparsed, claim)
        parser = cast(Any, self._protocol._parser)
        parser.allHeadersReceived = partial(self._headReceived, parser, request, claim)
        # A producer that gave the request up within its start has left nobody to be told.
        self._sent = sent if self._claim is claim else None
        sent.addErrback(self._failed, claim)

    def _wireRequest(self, request: Request) -> WireRequest:
        authority, fields = request.fields()
        headers = Headers()
        headers.addRawHeader(b"host", authority)
        # HTTP/2 may have them apart (RFC 9113 section 8.2.3).
        cookie = b"; ".join([value for name, value in fields if name == b"cookie"])
        if cookie:
            headers.addRawHeader(b"cookie", cookie)
        for name, value in fields:
            # Twisted writes the length of the body itself.
            if name not in (b"content-length", b"cookie"):
                headers.addRawHeader(name, value)
        self._body = WrittenBody.of(request, fields, self._reactor, self._bounds, self.origin)
        # The public constructor leaves out the URI, which response.request is to tell.
        wire: WireRequest = WireRequest._construct(
            request.method,
            request.path,
            headers,
            self._body,
            persistent=self._persistent,
            parsedURI=URI.fromBytes(request.absoluteURI),
        )
        return wire

    def _later(self, call: Callable[..., object]) -> None:
        self._reactor.callLater(0, call)

    def _fromAnyThread(self, call: Callable[..., object]) -> None:
        reactor = IReactorFromThreads(self._reactor, None)
        # A clock in somebody's test has no threads.
        (self._later if reactor is None else reactor.callFromThread)(call)

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
        self._ending = Ending()
        response._bodyDataFinished = partial(self._bodyEnded, response, parser, self._ending)
        type(parser).allHeadersReceived(parser)
        # Told as soon as it is here: Twisted waits until the request has been written.
        self._responded(response, claim)

    def _informed(self, response: Any, request: Request, claim: IClaim) -> None:
        self._informational += 1
        if self._informational > self._bounds.informational_responses:
            error = BoundExceeded(
                f"{self.origin}: more than {self._bounds.informational_responses} informational "
                "responses (bound informational_responses)",
                "informational_responses",
            )
            self.abort()
            if self._isTold(claim):
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
        del response._bodyDataFinished
        lost = self._lost
        isVague = reason is not None and reason.check(PotentialDataLoss)
        if isVague and lost is not None and not lost.check(ConnectionDone):
            isVague = False
            reason = Failure(ResponseFailed([Failure(self._translate(lost.value))], response))
        response._bodyDataFinished(reason)
        if reason is None or isVague:
            # Those that its decoder found, if it was chunked.
            lines = getattr(parser.bodyDecoder, "_trailerHeaders", ())
            try:
                ending.trailed(parse_trailers([trailerField(bytes(line)) for line in lines]))
            except MalformedHead as error:
                ending.over(ProtocolViolation(f"{self.origin}: trailers: {error}"))
            else:
                ending.over(None)
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
            response._transport = _BodyTransport(
                response._transport, self.abort, self._fromAnyThread
            )
            unread = partial(self._fromAnyThread, self.abort)
            if response.code >= 300:
                # A server that refuses does not want what this request carries.
                self._stopUpload()
            elif self._body is not None:
                self._body.proceed()
            claim.responded(HTTP11Response(response, self._bounds, self._ending, unread))

    def _failed(self, reason: Failure, claim: IClaim) -> None:
        if self._isTold(claim):
            claim.failed(self._translate(reason.value))

    def _unparsed(self, reason: Failure, claim: IClaim) -> Failure | None:
        """What has come is no response. Before the request was written, Twisted tells nobody."""
        if self._protocol.state != "TRANSMITTING":
            return reason
        # Nor would it survive the connection's end.
        self._protocol._state = "GENERATION_FAILED"
        self._failed(reason, claim)
        return None

    def _translate(self, error: BaseException | None) -> Exception:
        """The error of ours that says the same, if there is one."""
        reasons = [reason.value for reason in getattr(error, "reasons", [])]
        for inner in [error, *reasons]:
            if isinstance(inner, HyperError):
                return inner
            if isinstance(inner, (ConnectionDone, ConnectionLost, ConnectionAborted)):
                return ConnectionTerminated(
                    f"{self.origin}: the connection ended before the response: {inner}"
                )
        if isinstance(error, ResponseFailed):
            how = "; ".join(map(repr, reasons))
            return ProtocolViolation(f"{self.origin}: the response is not HTTP/1.1: {how}")
        return cast(Exception, error)

    def cancel(self, claim: IClaim) -> None:
        """Give a request up. Over HTTP/1.1 this costs the connection."""
        sent = self._sent
        if self._isTold(claim):
            if sent is not None:
                sent.cancel()
            self.abort()
            claim.failed(CancelledError())

    def request(self, request: Request) -> Deferred[IHyperResponse]:
        """
        Send a request.

        :return: fires with the response; cancelling it closes the connection.
        """
        claim = OwnClaim(self.cancel)
        self.issue(request, claim)
        return claim.deferred

    def ping(self) -> Deferred[float]:
        """:return: a failure: HTTP/1.1 has no PING."""
        return fail(ConnectionUnusable(f"{self.origin}: HTTP/1.1 has no PING"))

    def close(self) -> None:
        """Take no more requests, finish the one that is open, and disconnect."""
        self._closing = True
        if not self.openCount:
            self._lose()

    def _lose(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def abort(self) -> None:
        """Disconnect now."""
        self._closing = True
        cast(Any, self.transport).abortConnection()
