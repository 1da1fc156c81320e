"""
A stream as a tunnel: what CONNECT opens (RFC 9113 section 8.5).

Owns the two ends of it: the body of the request, into which a protocol's octets go, and the reader
of the response, from which they come. To the protocol both together are a transport, and to whoever
connects they are an endpoint. Nothing is written before the proxy has answered with a 2xx.

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
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from txhyper.errors import TunnelRefused
from txhyper.interfaces import IHyperResponse, IReplayableBody
from txhyper.protocol.request import Request

__all__ = ["TunnelAddress", "TunnelEndpoint"]

#: Seconds that the other end has to close its side of a tunnel, once we have closed ours.
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
        target, proxy = self._authority.decode("latin-1"), self._proxyURI.decode("latin-1")
        if not 200 <= response.code < 300:
            raise TunnelRefused(
                f"{proxy}: the proxy answers CONNECT {target} with {response.code}", response.code
            )
        address = TunnelAddress(target, proxy)
        protocol = factory.buildProtocol(address)
        if protocol is None:
            raise NoProtocol
        tunnel = Tunnel(self._reactor, address, body, protocol)
        cast(Any, response).deliverBody(tunnel.reader)
        return protocol


@implementer(IReplayableBody)
class TunnelBody:
    """
    The way into a tunnel. It may be begun more than once, as nothing is written into it before
    there is an answer.
    """

    length = UNKNOWN_LENGTH

    def __init__(self) -> None:
        self._consumer: Any = None
        self._finished: Deferred[None] = Deferred()
        # Who writes for the protocol, and is to be paused.
        self.producer: Any = None
        self._isPaused = False

    @property
    def isOpen(self) -> bool:
        """Whether octets can be written into it."""
        return self._consumer is not None

    def rewind(self) -> None:
        """There is nothing to do."""

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Open it. :return: fires once :meth:`finish` has been called."""
        self._consumer = consumer
        self._finished = Deferred()
        return self._finished

    def write(self, data: bytes) -> None:
        """Octets on their way in; none after the end."""
        if self._consumer is not None:
            self._consumer.write(data)

    def finish(self) -> None:
        """END_STREAM follows what has been written."""
        if self._consumer is not None:
            self._consumer = None
            self._finished.callback(None)

    def abort(self) -> None:
        """Reset the stream, which is open."""
        self._consumer = None
        self._finished.errback(ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Somebody writes for the protocol, unless it is too late."""
        if self._consumer is None:
            producer.stopProducing()
        elif streaming:
            self.producer = producer
            if self._isPaused:
                producer.pauseProducing()
        else:
            self._consumer.registerProducer(producer, False)

    def unregisterProducer(self) -> None:
        """It has written everything."""
        self.producer = None
        if self._consumer is not None:
            self._consumer.unregisterProducer()

    def pauseProducing(self) -> None:
        """The stream's window, or the transport, takes no more."""
        self._isPaused = True
        if self.producer is not None:
            self.producer.pauseProducing()

    def resumeProducing(self) -> None:
        """They take more."""
        self._isPaused = False
        if self.producer is not None:
            self.producer.resumeProducing()

    def stopProducing(self) -> None:
        """The stream is gone."""
        self._consumer = None
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()


@implementer(ITransport, IConsumer, IPushProducer)
class Tunnel:
    """
    The transport of a protocol at this end of a tunnel.

    :ivar reader: for the response's body.
    :ivar disconnecting: whether :meth:`loseConnection` has been called.
    """

    def __init__(
        self, reactor: IReactorTime, address: TunnelAddress, body: TunnelBody, protocol: IProtocol
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._body = body
        self._protocol = protocol
        self.disconnecting = False
        # Whether the other end has closed its side, or the stream has failed.
        self._isReadOver = False
        # How the protocol is told of the end, where that is not how the stream says.
        self._reason: Failure | None = None
        self._timer: Any = None
        self.reader = TunnelReader(self)

    # -- what the protocol does ----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Octets to the other end."""
        if not self.disconnecting:
            self._body.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Octets to the other end."""
        self.write(b"".join(iovec))

    def loseWriteConnection(self) -> None:
        """END_STREAM follows what has been written; what comes is still read."""
        self._body.finish()
        self._endIfBothAreClosed()

    def loseConnection(self) -> None:
        """
        END_STREAM follows what has been written. The protocol's ``connectionLost`` follows the
        other end's, or comes after some seconds without one.
        """
        if not self.disconnecting:
            self.disconnecting = True
            if self._body.producer is None:
                self._close()

    def _close(self) -> None:
        self._body.finish()
        if not self._endIfBothAreClosed():
            self._timer = self._reactor.callLater(CLOSE_TIMEOUT, self._late)

    def _endIfBothAreClosed(self) -> bool:
        if self._isReadOver:
            # Never from within a call of the protocol's own.
            self._reactor.callLater(0, self._lost, connectionDone)
        return self._isReadOver

    def _late(self) -> None:
        self._timer = None
        self._reason = connectionDone
        self._bodyTransport().abortConnection()

    def abortConnection(self) -> None:
        """Reset the stream with CANCEL, if it is not closed both ways."""
        self.disconnecting = True
        self._reason = Failure(ConnectionAborted())
        if not self._isReadOver:
            self._bodyTransport().abortConnection()
        elif self._body.isOpen:
            self._body.abort()
            self._reactor.callLater(0, self._lost, self._reason)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have a producer paused while the stream's window is closed."""
        self._body.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer has written everything."""
        self._body.unregisterProducer()
        if self.disconnecting and self._timer is None and self._body.isOpen:
            self._close()

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
        self._protocol.makeConnection(self)

    def received(self, data: bytes) -> None:
        """Octets from the other end; after the farewell they are of no interest."""
        if not self.disconnecting:
            self._protocol.dataReceived(data)

    def ended(self, reason: Failure) -> None:
        """Nothing more will come."""
        self._isReadOver = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not reason.check(ResponseDone):
            self._lost(self._reason or _inner(reason))
            return
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None and self._body.isOpen and not self.disconnecting:
            half.readConnectionLost()
        else:
            self._body.finish()
            self._lost(connectionDone)

    def _lost(self, reason: Failure) -> None:
        self.disconnecting = True
        self._protocol.connectionLost(reason)


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
