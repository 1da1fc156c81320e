"""
Twisted's HTTP/1.1 client protocol behind the interface that the pool sees.

Owns the one place where a private module of Twisted is used, and the translation of its failures.
Parses and writes nothing of HTTP/1.1 itself: Twisted does. A connection has one slot, which is in
use until the response's body has been read to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, RequestNotSent
from twisted.web._newclient import Request as WireRequest
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from zope.interface import implementer

from txhyper.errors import ConnectionTerminated, ConnectionUnusable
from txhyper.interfaces import IClaim, IHTTPConnection, IHyperResponse
from txhyper.protocol.claims import OwnClaim
from txhyper.protocol.closing import ClosingNotice
from txhyper.protocol.request import Request

__all__ = ["HTTP11ClientConnection"]


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
        origin: str = "the server",
        persistent: bool = True,
        onIdle: Callable[[HTTP11ClientConnection], None] | None = None,
    ) -> None:
        """
        :param origin: the peer's name, for messages.
        :param persistent: whether to keep the connection after a request.
        """
        super().__init__()
        self.origin = origin
        self.onIdle = onIdle
        self.openCount = 0
        self._persistent = persistent
        self._protocol = HTTP11ClientProtocol(self._quiescent)
        self._closing = False

    def makeConnection(self, transport: ITransport) -> None:
        """Pass the transport on."""
        self.transport = transport
        self._protocol.makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """Pass octets on."""
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on, and tell those who wait for it."""
        self._closing = True
        self._protocol.connectionLost(reason)
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
        self._quiescent(self._protocol)

    def _quiescent(self, protocol: HTTP11ClientProtocol) -> None:
        self.openCount = 0
        if self._closing:
            self._lose()
        elif self.onIdle is not None:
            self.onIdle(self)

    def issue(self, request: Request, claim: IClaim, reserved: bool = False) -> None:
        """Send a request; a connection that is busy takes none."""
        if not reserved and not self.reserve():
            claim.failed(ConnectionUnusable(f"{self.origin}: the HTTP/1.1 connection is busy"))
            return
        request.bodyStarted = request.body is not None
        claim.token = deferred = self._protocol.request(self._wireRequest(request))
        deferred.addCallbacks(
            self._responded, self._failed, callbackArgs=(claim,), errbackArgs=(claim,)
        )

    def _wireRequest(self, request: Request) -> WireRequest:
        authority, fields = request.fields()
        headers = Headers()
        headers.addRawHeader(b"host", authority)
        for name, value in fields:
            # Twisted writes the length of the body itself.
            if name != b"content-length":
                headers.addRawHeader(name, value)
        # The public constructor leaves out the URI, which response.request is to tell.
        wire: WireRequest = WireRequest._construct(
            request.method,
            request.path,
            headers,
            request.body,
            persistent=self._persistent,
            parsedURI=URI.fromBytes(request.absoluteURI),
        )
        return wire

    def _responded(self, response: Any, claim: IClaim) -> None:
        response.streamId = None
        claim.responded(response)

    def _failed(self, reason: Failure, claim: IClaim) -> None:
        claim.failed(self._translate(reason.value))

    def _translate(self, error: BaseException | None) -> Exception:
        """The error of ours that says the same, if there is one."""
        for inner in [error, *(reason.value for reason in getattr(error, "reasons", []))]:
            if isinstance(inner, RequestNotSent):
                return ConnectionUnusable(f"{self.origin}: the connection is closing")
            if isinstance(inner, (ConnectionDone, ConnectionLost, ConnectionAborted)):
                return ConnectionTerminated(
                    f"{self.origin}: the connection ended before the response: {inner}"
                )
            if isinstance(inner, CancelledError):
                return inner
        return cast(Exception, error)

    def cancel(self, claim: IClaim) -> None:
        """Give a request up. Over HTTP/1.1 this costs the connection."""
        deferred: Deferred[IHyperResponse] | None = claim.token
        if deferred is None:
            # From within the body's producer, while the request is being written.
            self.abort()
        else:
            deferred.cancel()

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
