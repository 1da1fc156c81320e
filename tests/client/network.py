"""
A network in memory, for tests of the pool and of agents.

Owns an endpoint whose connections are made when the test says so, and scripted peers at the far
end of each. Nothing here knows the pool.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.crypto import X509
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, INegotiated, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from txhyper.testing.peer import MemoryTransport, ScriptedPeer

OK = [(b":status", b"200")]


class Handle:
    """What is asked of OpenSSL's connection."""

    def __init__(self, certificate: X509 | None = None, own: X509 | None = None) -> None:
        """
        :param certificate: what the server has shown.
        :param own: what the client has.
        """
        self.certificate = certificate
        self.own = own

    def get_certificate(self) -> X509 | None:
        """The client's."""
        return self.own

    def get_peer_certificate(self) -> X509 | None:
        """The server's."""
        return self.certificate

    def get_cipher_name(self) -> str:
        """A suite that HTTP/2 allows."""
        return "TLS_AES_128_GCM_SHA256"


class Transport(MemoryTransport):
    """A transport that HTTP/1.1 may pause; nothing is read from it anyway."""

    def pauseProducing(self) -> None:
        """Read nothing."""

    def resumeProducing(self) -> None:
        """Read again."""

    def stopProducing(self) -> None:
        """Read nothing any more."""
        self.loseConnection()


@implementer(INegotiated)
class TLSTransport(Transport):
    """A transport on which ALPN has chosen, or will have once the handshake is complete."""

    negotiatedProtocol: bytes | None = b"h2"
    handle = Handle()
    address: IAddress = IPv4Address("TCP", "192.0.2.1", 443)

    def getPeer(self) -> IAddress:
        """Where the connection goes to."""
        return self.address

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is no TCP here."""

    def getHandle(self) -> Handle:
        """As above."""
        return self.handle


class Connection:
    """
    One connection that a client has asked for.

    :ivar peer: the scripted server, once TCP is there.
    """

    def __init__(self, clock: Clock, factory: Any) -> None:
        self.clock = clock
        self.factory = factory
        self.isCancelled = False
        self.connecting: Deferred[Any] = Deferred(self._cancel)
        self.peer = ScriptedPeer(clock)
        self.negotiator: Any = None

    def _cancel(self, deferred: Deferred[Any]) -> None:
        self.isCancelled = True

    @property
    def offers(self) -> list[bytes]:
        """What the client offers by ALPN."""
        return list(self.factory.acceptableProtocols())

    @property
    def transport(self) -> MemoryTransport:
        """The client's end."""
        return self.peer.transport

    def tcp(self, tls: bool = True) -> Connection:
        """TCP is connected; with TLS, the handshake is still to come."""
        self.peer.transport = TLSTransport() if tls else Transport()
        self.negotiator = self.peer.connect(self.factory.buildProtocol(None))
        self.connecting.callback(self.negotiator)
        return self

    def tls(self, protocol: bytes | None = b"h2") -> Connection:
        """The handshake is complete."""
        assert isinstance(self.peer.transport, TLSTransport)
        self.peer.transport.negotiatedProtocol = protocol
        self.negotiator.handshakeCompleted()
        return self

    def h2(self, settings: dict[int, int] | None = None) -> Connection:
        """All of it, and the server's greeting."""
        self.tcp().tls()
        self.peer.greet(settings)
        return self

    def answer(self, streamId: int, body: bytes = b"", fields: Any = OK) -> None:
        """A whole response."""
        self.peer.sendHeaders(streamId, fields)
        self.peer.sendData(streamId, body, endStream=True)

    def lose(self) -> None:
        """The connection is gone."""
        self.peer.loseConnection()


@implementer(IStreamClientEndpoint, IAgentEndpointFactory)
class Network:
    """
    An endpoint, and a factory of itself.

    :ivar connections: what was dialled, in order.
    :ivar uris: what an agent has asked an endpoint for.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.connections: list[Connection] = []
        self.uris: list[Any] = []

    def endpointForURI(self, uri: Any) -> Network:
        """The endpoint."""
        self.uris.append(uri)
        return self

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Note a dial."""
        connection = Connection(self.clock, protocolFactory)
        self.connections.append(connection)
        return connection.connecting

    def settle(self) -> None:
        """Let turns end, and transports that were closed or aborted be gone."""
        for _ in range(4):
            self.clock.advance(0)
            for connection in self.connections:
                transport = connection.transport
                if transport.isClosing or transport.isAborted:
                    connection.lose()


class Reader(Protocol):
    """Keeps a body."""

    def __init__(self) -> None:
        self.octets = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep."""
        self.octets += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        self.reason = reason


def read(response: Any) -> Reader:
    """Read a response."""
    reader = Reader()
    response.deliverBody(reader)
    return reader
