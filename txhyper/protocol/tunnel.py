"""
A stream as a tunnel: what CONNECT opens (RFC 9113 section 8.5).

Puts the two ends of it together: the body of the request, into which a protocol's octets go
(:mod:`txhyper.protocol.tunnel_body`), and the reader of the response, from which they come. To the
protocol both are a transport, and to whoever connects they are an endpoint. Nothing is written
before the proxy has answered with a 2xx.

END_STREAM means what FIN means to TCP. A stream that ends in any other way is a connection that was
lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from zope.interface import implementer

from txhyper.errors import TunnelRefused
from txhyper.interfaces import IHyperResponse
from txhyper.protocol.body import discard
from txhyper.protocol.request import Request
from txhyper.protocol.tunnel_body import TunnelBody

__all__ = ["TunnelAddress", "TunnelEndpoint"]

#: Seconds that the other end has to close its side of a tunnel, once ours has left, or to take some
#: of what has to leave before.
CLOSE_TIMEOUT = 5.0


@implementer(IAddress)
@dataclass(frozen=True)
class TunnelAddress:
    """Either end of a tunnel: where it leads, and by way of which proxy."""

    authority: str
    proxy: str


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """
    Connects to a host by way of a proxy that speaks HTTP/2, in one stream of a shared connection.

    :meth:`connect` fails with :exc:`~txhyper.errors.TunnelRefused` if the proxy does not answer
    with a 2xx, and as any request does if there is no answer. Cancelling it cancels the request.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        send: Callable[[Request], Deferred[Any]],
        proxyURI: bytes,
        host: bytes,
        port: int,
        headers: Headers | None = None,
    ) -> None:
        """
        :param reactor: for the time in which the other end has to close its side.
        :param send: sends a request: :meth:`txhyper.Agent.send`, or a connection's ``request``.
        :param proxyURI: the proxy's.
        :param host: the name of the host to connect to, or its address, IPv6 without brackets.
        :param port: its port.
        :param headers: for the proxy, such as Proxy-Authorization.
        """
        self._reactor = reactor
        self._send = send
        self._proxyURI = proxyURI
        self._authority = b"[%b]:%d" % (host, port) if b":" in host else b"%b:%d" % (host, port)
        self._headers = headers

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """:return: fires with the protocol once the tunnel is open."""
        headers = Headers() if self._headers is None else self._headers.copy()
        headers.setRawHeaders(b"host", [self._authority])
        body = TunnelBody()
        sent = self._send(Request(b"CONNECT", self._proxyURI, headers, body))
        return sent.addCallback(self._answered, body, protocolFactory)

    def _answered(
        self, response: IHyperResponse, body: TunnelBody, factory: IProtocolFactory
    ) -> IProtocol:
        try:
            tunnel = self._tunnel(response.code, body, factory)
        except BaseException:
            # The traceback holds the response, and whoever keeps that would keep the stream.
            discard(response)
            body.abort()
            raise
        cast(Any, response).deliverBody(tunnel.reader)
        return tunnel.protocol

    def _tunnel(self, status: int, body: TunnelBody, factory: IProtocolFactory) -> Tunnel:
        target, proxy = self._authority.decode("latin-1"), self._proxyURI.decode("latin-1")
        if not 200 <= status < 300:
            raise TunnelRefused(
                f"{proxy}: the proxy answers CONNECT {target} with {status}", status
            )
        address = TunnelAddress(target, proxy)
        protocol = factory.buildProtocol(address)
        if protocol is None:
            raise NoProtocol
        return Tunnel(self._reactor, address, body, protocol)


@implementer(ITransport, IConsumer, IPushProducer)
class Tunnel:
    """
    The transport of a protocol at this end of a tunnel.

    :ivar protocol: whose transport it is.
    :ivar reader: for the response's body.
    :ivar disconnecting: whether :meth:`loseConnection` has been called, or the end has come.
    """

    def __init__(
        self, reactor: IReactorTime, address: TunnelAddress, body: TunnelBody, protocol: IProtocol
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._body = body
        self.protocol = protocol
        self.disconnecting = False
        # Whether our side is to be closed, once the producer has written everything.
        self._isClosing = False
        # Whether the other end has closed its side, or the stream has failed.
        self._isReadOver = False
        # Whether the protocol has been told of the end.
        self._isLost = False
        # How the protocol is told of it, where that is not how the stream says.
        self._reason: Failure | None = None
        # Looks whether the other end still reads; and the end that is told in the next turn.
        self._timer: IDelayedCall | None = None
        self._ending: IDelayedCall | None = None
        self.reader = TunnelReader(self)
        body.onClosed = self._closed

    # -- what the protocol does ----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Octets to the other end. Once our side is to be closed, only a producer's are taken."""
        if not self._isClosing or self._body.producer is not None:
            self._body.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Octets to the other end."""
        self.write(b"".join(iovec))

    def loseWriteConnection(self) -> None:
        """END_STREAM follows what has been written; what comes is still read."""
        self._isClosing = True
        self._closeWhenWritten()

    def loseConnection(self) -> None:
        """
        END_STREAM follows what has been written, and what a producer has still to write. The
        protocol's ``connectionLost`` follows the other end's.

        If that does not come some seconds after ours has left, the stream is reset; likewise if the
        other end takes nothing for as long.
        """
        self.disconnecting = True
        self.loseWriteConnection()

    def _closeWhenWritten(self) -> None:
        if self._body.producer is None and not self._isLost:
            self._body.finish()
            if self._isReadOver and not self._body.unsent:
                # Never from within a call of the protocol's own.
                self._endSoon(connectionDone)
            elif self._isReadOver or self.disconnecting:
                self._watch()

    def _watch(self) -> None:
        """From now on the other end has to do something."""
        if self._timer is None:
            # What can leave at once leaves in this turn.
            self._timer = self._reactor.callLater(0, self._look, -1)

    def _look(self, before: int) -> None:
        self._timer = None
        unsent = self._body.unsent
        if unsent != before:
            self._timer = self._reactor.callLater(CLOSE_TIMEOUT, self._look, unsent)
        else:
            self._cut(Failure(ConnectionAborted()) if unsent else connectionDone)

    def abortConnection(self) -> None:
        """Reset the stream with CANCEL, if it is not closed both ways."""
        if not self._isLost:
            self._cut(Failure(ConnectionAborted()))

    def _cut(self, reason: Failure) -> None:
        self.disconnecting = self._isClosing = True
        self._reason = self._reason or reason
        if self._isReadOver:
            self._body.abort()
            self._endSoon(reason)
        else:
            self._bodyTransport().abortConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Have a producer paused while the stream's window is closed, and stopped at the end.

        :raises RuntimeError: there is one already.
        """
        self._body.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer has written everything."""
        self._body.unregisterProducer()
        if self._isClosing:
            self._closeWhenWritten()

    def pauseProducing(self) -> None:
        """Deliver nothing: the stream's window closes."""
        self._bodyTransport().pauseProducing()

    def resumeProducing(self) -> None:
        """Deliver what has come, and what comes."""
        self._bodyTransport().resumeProducing()

    def stopProducing(self) -> None:
        """As :meth:`loseConnection`."""
        self.loseConnection()

    def getPeer(self) -> TunnelAddress:
        """Where it leads."""
        return self._address

    def getHost(self) -> TunnelAddress:
        """Where it leads: this end has no address."""
        return self._address

    # TLS on top passes on what is asked of a socket. This one's is the proxy's, and shared.

    def getTcpNoDelay(self) -> bool:
        """Nothing is held back."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is nothing to set."""

    def getTcpKeepAlive(self) -> bool:
        """Nobody asks the other end whether it is there."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """There is nothing to set."""

    def _bodyTransport(self) -> Any:
        return cast(Any, self.reader.transport)

    # -- what the reader tells -----------------------------------------------------------------

    def opened(self) -> None:
        """The proxy has answered."""
        self.protocol.makeConnection(self)

    def received(self, data: bytes) -> None:
        """Octets from the other end; after the farewell they are of no interest."""
        if not self.disconnecting:
            self.protocol.dataReceived(data)

    def ended(self, reason: Failure) -> None:
        """Nothing more will come."""
        self._isReadOver = True
        if not reason.check(ResponseDone):
            self._lost(_inner(reason))
            return
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is None or not self._body.isOpen:
            self._endWhenSent()
        elif not self.disconnecting:
            try:
                half.readConnectionLost()
            except BaseException:
                # It does not know that it has to go on.
                self._cut(Failure())
                raise

    def _endWhenSent(self) -> None:
        """Both sides are closed, but octets of ours may have to wait."""
        self.disconnecting = self._isClosing = True
        self._body.stop()
        self._body.finish()
        if self._body.unsent:
            self._watch()
        else:
            self._lost(self._body.error or connectionDone)

    # -- what the body tells -------------------------------------------------------------------

    def _closed(self, reason: Failure | None) -> None:
        """
        There is no way in any more. Before the reader has been told of its end that is its affair.

        :param reason: what it was cut off by; None if all has left.
        """
        if self._isReadOver and not self._isLost:
            self._endSoon(reason or connectionDone)

    def _endSoon(self, reason: Failure) -> None:
        if self._ending is None:
            self._ending = self._reactor.callLater(0, self._lost, reason)

    def _lost(self, reason: Failure) -> None:
        """Tell the protocol, once."""
        self.disconnecting = self._isClosing = self._isLost = True
        for call in (self._timer, self._ending):
            if call is not None and call.active():
                call.cancel()
        self._body.stop()
        self.protocol.connectionLost(self._reason or reason)


def _inner(reason: Failure) -> Failure:
    """What a body's failure is about, without Twisted's wrapping."""
    return cast(Failure, cast(ResponseFailed, reason.value).reasons[0])


class TunnelReader(Protocol):
    """The way out of a tunnel: the reader of the response's body."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def connectionMade(self) -> None:
        """Pass it on."""
        self._tunnel.opened()

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._tunnel.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass it on."""
        self._tunnel.ended(reason)
