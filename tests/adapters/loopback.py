"""
Servers in memory behind hyper's API: the embedded one for HTTP/2, Twisted's for HTTP/1.1.

Owns the wires between them. Nothing here is scripted: what a test sees is what a server has made of
a request. TLS is pretended: ALPN has chosen before the first octet.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Site as WebSite
from zope.interface import implementer

from tests.client.network import TLSTransport
from txhyper.testing.endpoints import demoSite
from txhyper.testing.server import DemoServer

__all__ = ["Loopback", "LoopbackTestCase"]


class ServerTransport(StringTransport):
    """The server's end."""

    def abortConnection(self) -> None:
        """Close at once."""
        self.loseConnection()


class Wire:
    """One connection."""

    def __init__(self, client: Any, server: Any, protocol: bytes) -> None:
        self.client, self.server = client, server
        self.near, self.far = TLSTransport(), ServerTransport()
        self.near.negotiatedProtocol = protocol
        self.isOver = False
        server.makeConnection(self.far)
        client.makeConnection(self.near)
        client.handshakeCompleted()

    def carry(self) -> bool:
        """Carry what has been written. :return: whether there was anything to do."""
        if self.isOver:
            return False
        up, down = b"".join(self.near.writes), self.far.value()
        self.near.writes.clear()
        self.far.clear()
        if up:
            self.server.dataReceived(up)
        if down:
            self.client.dataReceived(down)
        isClosing = self.near.isClosing or self.near.isAborted or self.far.disconnecting
        if isClosing and not (up or down):
            self.isOver = True
            self.client.connectionLost(connectionDone)
            self.server.connectionLost(connectionDone)
        return bool(up or down or self.isOver)


@implementer(IStreamClientEndpoint, IAgentEndpointFactory)
class Loopback:
    """
    The way to both servers.

    :ivar clock: for everybody.
    :ivar site: what the HTTP/2 server has, to be added to.
    :ivar web: the root of what the HTTP/1.1 server has.
    :ivar wires: the connections, in order.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.site = demoSite(self.clock)
        self.server = DemoServer(self.clock, site=self.site, secure=False)
        self.web = Resource()
        self.wires: list[Wire] = []

    def endpointForURI(self, uri: Any) -> Loopback:
        """All lead here."""
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect, in the protocol that the client likes best."""
        protocol = factory.acceptableProtocols()[0]
        server: Any = self.server.buildProtocol(None)
        if protocol == b"http/1.1":
            site = WebSite(self.web, reactor=self.clock, timeout=None)
            server = site.buildProtocol(None)
        client = factory.buildProtocol(None)
        self.wires.append(Wire(client, server, protocol))
        connected: Deferred[Any] = Deferred()
        connected.callback(client)
        return connected

    def pump(self) -> None:
        """Carry everything, until there is nothing left to carry."""
        isBusy = True
        while isBusy:
            self.clock.advance(0)
            isBusy = any(wire.carry() for wire in self.wires)


class LoopbackTestCase(SynchronousTestCase):
    """Both servers; nothing is connected yet."""

    def setUp(self) -> None:
        """Make them."""
        self.loopback = Loopback()
        self.addCleanup(self.leaveNothing)

    def leaveNothing(self) -> None:
        """Whoever has closed its connection has left no wire, and nobody has left a timer."""
        self.loopback.pump()
        self.assertEqual([True] * len(self.loopback.wires), [w.isOver for w in self.loopback.wires])
        self.assertEqual([], self.loopback.clock.getDelayedCalls())

    def run_(self, coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """What a coroutine returns that waits for nothing but the servers."""
        result = Deferred.fromCoroutine(coroutine)
        self.loopback.pump()
        return self.successResultOf(result)

    def options(self) -> dict[str, Any]:
        """What a connection of hyper's is made with here."""
        return {"reactor": self.loopback.clock, "endpoint_factory": self.loopback}
