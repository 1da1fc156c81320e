"""What the interop tests share on the client's side: reading a body, and counting connections."""

from __future__ import annotations

import hashlib

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.portforward import ProxyFactory
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse


class Digester(Protocol):
    """Reads a body and keeps only how long it was and its SHA-256."""

    def __init__(self) -> None:
        self.count = 0
        self.sha = hashlib.sha256()
        self.finished: Deferred[tuple[int, str]] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        self.sha.update(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone):
            self.finished.callback((self.count, self.sha.hexdigest()))
        else:
            self.finished.errback(reason)


def digestOf(response: IResponse) -> Deferred[tuple[int, str]]:
    """Read the response's body; fires with its length and SHA-256, or fails as the body did."""
    digester = Digester()
    response.deliverBody(digester)
    return digester.finished


class CountedConnection(ProtocolWrapper):
    """A connection that tells when it is over."""

    def __init__(self, factory: CountingFactory, wrappedProtocol: Protocol) -> None:
        super().__init__(factory, wrappedProtocol)
        #: The first octets that came, in which a client of TLS introduces itself.
        self.greeting = b""
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.greeting = self.greeting or data
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.over.callback(None)


class CountingFactory(WrappingFactory):
    """
    Counts the connections that are accepted.

    It wraps the transport's factory and nothing else, so what it counts are TCP connections,
    whatever is spoken on them.
    """

    protocol = CountedConnection

    def __init__(self, wrappedFactory: object) -> None:
        super().__init__(wrappedFactory)
        self.accepted: list[CountedConnection] = []

    def buildProtocol(self, addr: object) -> CountedConnection:
        connection: CountedConnection = super().buildProtocol(addr)
        self.accepted.append(connection)
        return connection

    def whenOver(self) -> Deferred[list[None]]:
        """Fires when every connection that was accepted has ended."""
        return gatherResults([connection.over for connection in self.accepted])


class Relay:
    """
    A port that passes every connection on to a server, and counts them.

    It knows nothing of TLS or HTTP: so it counts the same thing in front of every server, those
    included that could not be asked.
    """

    def __init__(self, reactor: IReactorTCP, serverPort: int, interface: str = "127.0.0.1") -> None:
        self.factory = CountingFactory(ProxyFactory("127.0.0.1", serverPort))
        self.listening = reactor.listenTCP(0, self.factory, interface=interface)

    def url(self, path: str, host: str = "localhost") -> bytes:
        """The https URL of a path, by way of this relay."""
        return f"https://{host}:{self.listening.getHost().port}{path}".encode()

    @property
    def accepted(self) -> int:
        """How many TCP connections came so far."""
        return len(self.factory.accepted)

    async def stop(self) -> None:
        """Stop listening, and wait until every connection has ended by itself."""
        await self.listening.stopListening()
        await self.factory.whenOver()
