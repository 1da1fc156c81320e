"""Tests for :mod:`txhyper.client.tunnels`: from a connection to a proxy to one through it."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, INegotiated, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.client.network import Connection, Network, Transport
from tests.client.scene import OK11, PoolTestCase
from txhyper import Proxy, Request, Timeouts
from txhyper.client.endpoints import DirectTLSEndpoint
from txhyper.client.route import Route
from txhyper.client.tls import unverifiedPolicy
from txhyper.client.tunnels import NamedEndpoint
from txhyper.errors import (
    ConnectTimedOut,
    HandshakeTimedOut,
    InvalidRequest,
    NegotiationFailed,
    TunnelRefused,
)

PLAIN, SECURE, SOCKS = (
    b"http://u:secret@p.test:3128",
    b"https://u:secret@p.test",
    b"socks5://p.test",
)
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
ASKED = (
    b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"
    b"Proxy-Authorization: Basic dTpzZWNyZXQ=\r\n\r\n"
)


class Inner(Protocol):
    """What is in the tunnel."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        """Note it."""
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.events.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.events.append(reason.type)


class TunnelTestCase(SynchronousTestCase):
    """An endpoint that leads to a.test, and the network below it."""

    def setUp(self) -> None:
        """Make them; when the test is over, no timer is left and no secret was told."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.addCleanup(lambda: self.assertEqual([], self.clock.getDelayedCalls()))

    def connect(
        self,
        uri: bytes = PLAIN,
        factory: Any = None,
        host: bytes = b"a.test",
        port: int = 443,
        **options: Any,
    ) -> Deferred[Any]:
        """Begin to connect."""
        endpoint = Proxy(uri).tunnel(
            self.clock, host, port, endpoint=NamedEndpoint(self.network, "p"), **options
        )
        self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))
        connecting: Deferred[Any] = endpoint.connect(factory or Factory.forProtocol(Inner))
        return connecting

    @property
    def connection(self) -> Connection:
        """The last connection to the proxy."""
        return self.network.connections[-1]

    def asked(self) -> bytes:
        """What the proxy has been told since it was last asked for."""
        writes = self.connection.transport.writes
        told = b"".join(writes)
        writes.clear()
        return told

    def assertFailed(self, deferred: Deferred[Any], expected: type[Exception], words: str) -> None:
        """It has failed, in one line that names the proxy, and the proxy's connection was cut."""
        message = str(self.failureResultOf(deferred, expected).value)
        self.assertIn(words, message)
        self.assertIn("p.test", message)
        self.assertNotIn("\n", message)
        self.assertNotIn("secret", message)
        self.assertEqual([], self.clock.getDelayedCalls())


class OpenTests(TunnelTestCase):
    """A tunnel that is opened."""

    def test_opens(self) -> None:
        """
        The protocol is made once the proxy has answered, and not before; what came behind the
        answer is its own, and so is everything after it, to the end.
        """
        connecting = self.connect()
        self.connection.tcp(tls=False)
        self.assertEqual(ASKED, self.asked())
        self.connection.peer.send(OPEN[:10])
        self.assertNoResult(connecting)
        self.connection.peer.send(OPEN[10:] + b"hello")
        inner = self.successResultOf(connecting)
        self.assertEqual(["made", b"hello"], inner.events)
        self.assertIs(self.connection.transport, inner.transport)
        inner.transport.write(b"to the host")
        self.assertEqual(b"to the host", self.asked())
        self.connection.peer.send(b"and back")
        self.connection.lose()
        self.assertEqual(["made", b"hello", b"and back", error.ConnectionDone], inner.events)

    def test_address(self) -> None:
        """Whoever makes the protocol is told where the tunnel leads, and through whom."""
        addresses: list[Any] = []

        class Noting(Factory):
            def buildProtocol(self, addr: Any) -> Protocol:
                addresses.append(addr)
                return Inner()

        self.connect(factory=Noting())
        self.connection.tcp(tls=False).peer.send(OPEN)
        (address,) = addresses
        self.assertEqual(("a.test:443", "http://p.test:3128"), (address.authority, address.proxy))

    def test_socks(self) -> None:
        """SOCKS5 takes turns."""
        connecting = self.connect(SOCKS)
        self.connection.tcp(tls=False)
        self.assertEqual(b"\x05\x01\x00", self.asked())
        self.connection.peer.send(b"\x05\x00")
        self.assertEqual(b"\x05\x01\x00\x03\x06a.test\x01\xbb", self.asked())
        self.connection.peer.send(b"\x05\x00\x00\x01" + bytes(6) + b"hello")
        self.assertEqual(["made", b"hello"], self.successResultOf(connecting).events)

    def test_behindTLS(self) -> None:
        """
        A proxy behind TLS is offered HTTP/1.1 alone, and hears nothing, least of all credentials,
        before its certificate has been verified. The tunnel does not pretend to be TLS itself.
        """
        connecting = self.connect(SECURE)
        self.connection.tcp()
        self.assertEqual([b"http/1.1"], self.connection.offers)
        self.assertEqual(b"", self.asked())
        self.connection.tls(b"http/1.1")
        self.assertEqual(ASKED, self.asked())
        self.connection.peer.send(OPEN)
        inner = self.successResultOf(connecting)
        self.assertFalse(INegotiated.providedBy(inner.transport))
        self.assertTrue(INegotiated.providedBy(self.connection.transport))
        inner.transport.write(b"x")
        self.assertEqual(b"x", self.asked())
        inner.transport.abortConnection()
        self.assertTrue(self.connection.transport.isAborted)

    def test_halfClosed(self) -> None:
        """A protocol that knows of connections that are half closed hears of it; no other does."""

        @implementer(IHalfCloseableProtocol)
        class Half(Inner):
            def readConnectionLost(self) -> None:
                self.events.append("read")

            def writeConnectionLost(self) -> None:
                self.events.append("write")

        for kind in (Half, Inner):
            connecting = self.connect(factory=Factory.forProtocol(kind))
            self.connection.tcp(tls=False).peer.send(OPEN)
            inner = self.successResultOf(connecting)
            outer = IHalfCloseableProtocol(self.connection.negotiator, None)
            self.assertEqual(kind is Half, outer is not None)
            if outer is not None:
                outer.readConnectionLost()
                outer.writeConnectionLost()
                self.assertEqual(["made", "read", "write"], inner.events)

    def test_factory(self) -> None:
        """The factory in the tunnel is started and stopped with the connection's, as any other."""
        events: list[str] = []
        factory = Factory.forProtocol(Inner)
        factory.startFactory = lambda: events.append("start")  # type: ignore[method-assign]
        factory.stopFactory = lambda: events.append("stop")  # type: ignore[method-assign]
        self.connect(factory=factory)
        self.connection.factory.doStart()
        self.assertEqual(["start"], events)
        self.connection.factory.doStop()
        self.assertEqual(["start", "stop"], events)

    def test_cancelledLater(self) -> None:
        """Once it is open, the Deferred has nothing to do with it any more."""
        connecting = self.connect()
        self.connection.tcp(tls=False).peer.send(OPEN)
        connecting.cancel()
        self.assertFalse(self.connection.transport.isAborted)
        self.clock.advance(100)
        self.assertEqual(["made"], self.successResultOf(connecting).events)


class FailureTests(TunnelTestCase):
    """A tunnel that is not."""

    def test_connect(self) -> None:
        """A proxy that cannot be connected to fails as Twisted says, and the error names it."""
        for failure, words in [
            (error.ConnectionRefusedError("errno"), "errno: (the proxy p)"),
            (error.DNSLookupError("no results"), "no results (the proxy p)"),
            (error.TimeoutError(), "(the proxy p)"),
        ]:
            connecting = self.connect()
            self.connection.connecting.errback(failure)
            self.assertIs(failure, self.failureResultOf(connecting).value)
            self.assertIn(words, str(failure))
        connecting = self.connect()
        self.connection.connecting.errback(KeyError("other"))
        self.assertEqual(("other",), self.failureResultOf(connecting, KeyError).value.args)

    def test_answers(self) -> None:
        """Each answer that opens no tunnel has its error, and the connection is cut."""
        for uri, octets, expected, words in [
            (PLAIN, b"HTTP/1.1 403 X\r\n\r\nbody", TunnelRefused, "CONNECT a.test:443 with 403"),
            (PLAIN, b"SSH-2.0-\r\n", NegotiationFailed, "is no HTTP/1.1"),
            (PLAIN, b"HTTP/1.1 200 " + b"x" * 70000, NegotiationFailed, "more than 65536 octets"),
            (SOCKS, b"HTTP/1.1 400 X\r\n\r\n", NegotiationFailed, "does not speak SOCKS5"),
            (SOCKS, b"\x05\xff", TunnelRefused, "wants a user name"),
        ]:
            connecting = self.connect(uri)
            self.connection.tcp(tls=False).peer.send(octets)
            self.assertFailed(connecting, expected, words)
            self.assertTrue(self.connection.transport.isAborted)
            # What comes now is of no interest, and nor is the end.
            self.connection.negotiator.dataReceived(OPEN)
            self.connection.lose()

    def test_hangsUp(self) -> None:
        """A proxy that hangs up is told by what it was asked for."""
        connecting = self.connect()
        self.connection.tcp(tls=False).peer.send(b"HTTP/1.1 2")
        self.connection.lose()
        words = "the proxy hung up before it opened a tunnel to a.test:443: Connection was closed"
        self.assertFailed(connecting, NegotiationFailed, words)
        connecting = self.connect(SECURE)
        self.connection.tcp().lose()
        self.assertFailed(connecting, NegotiationFailed, "the TLS handshake with the proxy failed")
        self.assertEqual([], self.connection.transport.writes)

    def test_timeLimit(self) -> None:
        """A proxy that hangs has connectTimeout seconds after TCP; Twisted's own 30 by default."""
        for options, seconds in (({}, 30), ({"connectTimeout": 5}, 5)):
            for uri, words in (
                (PLAIN, f"did not open a tunnel to a.test:443 within {seconds}"),
                (SECURE, f"did not complete the TLS handshake within {seconds}"),
            ):
                connecting = self.connect(uri, **options)
                self.clock.advance(100)
                self.connection.tcp(tls=uri is SECURE)
                self.clock.advance(seconds - 0.5)
                self.assertNoResult(connecting)
                self.clock.advance(0.5)
                self.assertFailed(connecting, ConnectTimedOut, words)
                self.assertTrue(self.connection.transport.isAborted)
                self.connection.lose()

    def test_cancelled(self) -> None:
        """Cancelling it cuts the connection in every phase."""
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(self.connection.isCancelled)
        for uri, octets in ((PLAIN, b""), (PLAIN, OPEN[:-1]), (SECURE, b""), (SOCKS, b"\x05\x00")):
            connecting = self.connect(uri)
            self.connection.tcp(tls=uri is SECURE).peer.send(octets)
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.assertTrue(self.connection.transport.isAborted)
            self.asked()
            self.connection.negotiator.handshakeCompleted()
            self.assertEqual(b"", self.asked())
            self.connection.lose()

    def test_connectsAllTheSame(self) -> None:
        """An endpoint that connects although it was cancelled: the connection is cut."""
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        connection = self.connection
        connection.peer.transport = Transport()
        connection.peer.connect(connection.factory.buildProtocol(None))
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual([], connection.transport.writes)

    def test_whatIsInTheTunnel(self) -> None:
        """A protocol that is not there, or raises, fails the attempt; the connection is cut."""

        class Raising(Factory):
            def buildProtocol(self, addr: Any) -> None:
                raise ZeroDivisionError

        class RaisingLater(Inner):
            def connectionMade(self) -> None:
                raise KeyError

        class Refusing(Factory):
            def buildProtocol(self, addr: Any) -> None:
                return None

        for factory, expected in [
            (Raising(), ZeroDivisionError),
            (Refusing(), error.NoProtocol),
            (Factory.forProtocol(RaisingLater), KeyError),
        ]:
            connecting = self.connect(factory=factory)
            self.connection.tcp(tls=False).peer.send(OPEN + b"rest")
            self.failureResultOf(connecting, expected)
            self.assertTrue(self.connection.transport.isAborted)
            self.connection.lose()

    def test_cancelledFromInside(self) -> None:
        """A protocol may have the attempt cancelled as it begins; it is told the end."""
        connecting: Any = None

        class Cancelling(Inner):
            def connectionMade(self) -> None:
                connecting.cancel()

        inner = Cancelling()
        connecting = self.connect(factory=Factory.forProtocol(lambda: inner))
        self.connection.tcp(tls=False).peer.send(OPEN)
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(self.connection.transport.isAborted)
        self.connection.lose()
        self.assertEqual([error.ConnectionAborted], inner.events)

    def test_impossiblePlace(self) -> None:
        """What is no host, or no port, fails before anything is dialled, and says no more to it."""
        for proxy in (PLAIN, SOCKS):
            for host in (b"a.test\r\nX: y", b"a.test HTTP/1.1", b"\xff.test", b"", b"a::\n1"):
                self.failureResultOf(self.connect(proxy, host=host), InvalidRequest)
            for port in (0, -1, 65536):
                self.failureResultOf(self.connect(proxy, port=port), InvalidRequest)
        self.assertEqual([], self.network.connections)

    def test_longName(self) -> None:
        """A name that SOCKS5 has no room for fails before anything is dialled."""
        self.failureResultOf(self.connect(SOCKS, host=b"a" * 256), InvalidRequest)
        self.assertEqual([], self.network.connections)


class PoolTests(PoolTestCase):
    """A pool whose way leads through a proxy."""

    def ask(
        self, uri: bytes = PLAIN, timeouts: Timeouts | None = None, tls: bool = False
    ) -> Deferred[Any]:
        """Send a request through a tunnel."""
        proxy = Proxy(uri)

        def endpoint() -> Any:
            tunnel = proxy.tunnel(self.clock, b"a.test", 443, 20, endpoint=self.network)
            creator = unverifiedPolicy().creatorForNetloc(b"a.test", 443)
            return DirectTLSEndpoint(self.clock, creator, tunnel) if tls else tunnel

        route = Route(
            "a",
            f"https://a.test by way of the proxy {proxy.name}",
            endpoint,
        )
        return self.counted(self.pool.send(route, Request(b"GET", b"https://a.test/"), timeouts))

    def test_hangs(self) -> None:
        """
        A proxy that hangs, after TCP, in its handshake or in its answer, runs into the limit for
        connecting, of the request or of the agent, which says so; the connection is cut.
        """
        for timeouts, words in (
            (Timeouts(connect=3), "no connection within 3 s (option connect of Timeouts)"),
            (None, "within 20 s (option connectTimeout)"),
        ):
            for uri, octets in ((PLAIN, b""), (PLAIN, OPEN[:-1]), (SECURE, b""), (SOCKS, b"")):
                deferred = self.ask(uri, timeouts)
                connection = self.dials[-1].tcp(tls=uri is SECURE)
                connection.peer.send(octets)
                self.clock.advance(2)
                self.assertNoResult(deferred)
                self.clock.advance(20)
                message = str(self.reasonOf(deferred, ConnectTimedOut))
                self.assertIn(words, message)
                self.assertIn("p.test", message)
                self.assertTrue(connection.transport.isAborted)
                connection.lose()

    def test_thenTheHandshake(self) -> None:
        """
        The time for connecting is over once the tunnel is open; then that for the handshake with
        the host begins.
        """
        deferred = self.ask(timeouts=Timeouts(connect=3, handshake=4), tls=True)
        connection = self.dials[-1].tcp(tls=False)
        self.clock.advance(2)
        connection.transport.writes.clear()
        connection.peer.send(OPEN)
        self.assertTrue(connection.transport.writes[0].startswith(b"\x16\x03"))
        self.clock.advance(3.9)
        self.assertNoResult(deferred)
        self.clock.advance(0.1)
        self.reasonOf(deferred, HandshakeTimedOut)
        self.assertTrue(connection.transport.isAborted)

    def test_answered(self) -> None:
        """A connection in a tunnel is as good as any."""
        deferred = self.ask()
        connection = self.dials[-1].tcp(tls=False)
        connection.peer.send(OPEN)
        self.assertTrue(connection.transport.writes[-1].startswith(b"GET / HTTP/1.1\r\n"))
        self.assertNotIn(b"Proxy", connection.transport.writes[-1])
        connection.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))

    def test_cancelled(self) -> None:
        """The last waiter who leaves cuts the connection to the proxy."""
        for isConnected in (False, True):
            deferred = self.ask()
            connection = self.dials[-1]
            if isConnected:
                connection.tcp(tls=False)
            deferred.cancel()
            self.reasonOf(deferred, CancelledError)
            self.assertTrue(
                connection.transport.isAborted if isConnected else connection.isCancelled
            )
            self.assertQuiet()

    def test_refused(self) -> None:
        """All who wait for a tunnel that is refused are told, once each, and nothing is retried."""
        deferreds = [self.ask() for _ in range(3)]
        self.only().tcp(tls=False).peer.send(b"HTTP/1.1 503 X\r\n\r\n")
        for deferred in deferreds:
            self.assertEqual(503, self.reasonOf(deferred, TunnelRefused).status)
        self.assertEqual(1, len(self.dials))
