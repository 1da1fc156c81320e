"""
Tests for :mod:`txhyper.testing.server`.

The one test module of its kind that opens ports, all of them on the loopback: a port is what the
module is about.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from typing import Any

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.testing.wire import Transport
from txhyper.testing.certs import CertificateAuthority, selfSigned
from txhyper.testing.responder import Responder
from txhyper.testing.server import DemoServer
from txhyper.testing.site import ServerRequest, Site


class Client(Protocol):
    """One GET over HTTP/2, in h2's own words."""

    transport: Any

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.h2 = h2.connection.H2Connection(H2Configuration(client_side=True))
        self.body = b""
        self.status: str | None = None
        self.wasToldGoodbye = False
        #: Fires at the response's end, or at the connection's.
        self.done: Deferred[None] = Deferred()
        self.begun: Deferred[None] = Deferred()
        #: Fires with the reason when the connection is gone.
        self.lost: Deferred[BaseException] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        self.h2.initiate_connection()
        self.h2.send_headers(
            1,
            [
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", "localhost"),
                (":path", self.path.decode("ascii")),
            ],
            end_stream=True,
        )
        self.transport.write(self.h2.data_to_send())

    def dataReceived(self, data: bytes) -> None:
        """Take what there is of the response."""
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = dict(event.headers)[b":status"].decode("ascii")
                self.begun.callback(None)
            elif isinstance(event, h2.events.DataReceived):
                self.body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.StreamEnded):
                self.done.callback(None)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.wasToldGoodbye = event.error_code == ErrorCodes.NO_ERROR
        self.transport.write(self.h2.data_to_send())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self.lost.callback(reason.value)


class LoopbackTests(TestCase):
    """A server on a real port."""

    timeout = 20

    @inlineCallbacks
    def started(self, **options: Any) -> Generator[Deferred[Any], Any, DemoServer]:
        """A server that listens, and that the test's end stops."""
        server = DemoServer(reactor, **options)
        yield server.start()
        self.addCleanup(server.stop)
        return server

    @inlineCallbacks
    def client(
        self,
        server: DemoServer,
        path: bytes,
        protocols: tuple[bytes, ...] = (b"h2",),
        secure: bool = True,
    ) -> Generator[Deferred[Any], Any, Client]:
        """A client that has connected and asked."""
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port)
        if secure:
            options = optionsForClientTLS(
                "localhost",
                trustRoot=Certificate.loadPEM(server.authority.pem),
                acceptableProtocols=list(protocols),
            )
            endpoint = wrapClientTLS(options, endpoint)
        client: Client = yield connectProtocol(endpoint, Client(path))
        return client

    @inlineCallbacks
    def test_tls(self) -> Generator[Deferred[Any], Any, None]:
        """A client that trusts the authority fetches a large body over TLS."""
        server = yield self.started()
        self.assertEqual(f"https://localhost:{server.port}/a?b", server.url("/a?b"))
        client = yield self.client(server, b"/bytes/1000000")
        yield client.done
        self.assertEqual(("200", 1_000_000), (client.status, len(client.body)))
        self.assertEqual((1, 1), (server.accepted, len(server.connections)))
        client.transport.loseConnection()
        yield client.lost

    @inlineCallbacks
    def test_plain(self) -> Generator[Deferred[Any], Any, None]:
        """Without TLS, HTTP/2 is spoken from the first octet on."""
        server = yield self.started(secure=False)
        self.assertEqual(f"http://localhost:{server.port}/", server.url())
        client = yield self.client(server, b"/ip", secure=False)
        yield client.done
        self.assertIn(b"127.0.0.1", client.body)
        client.transport.loseConnection()
        yield client.lost

    @inlineCallbacks
    def test_ownSite(self) -> Generator[Deferred[Any], Any, None]:
        """Users serve paths of their own."""
        site = Site()

        @site.route("/greet/{name}")
        def greet(request: ServerRequest, responder: Responder) -> None:
            responder.respond(200, [], f"hello {request.variables['name']}".encode())

        server = yield self.started(site=site)
        client = yield self.client(server, b"/greet/you")
        yield client.done
        self.assertEqual(b"hello you", client.body)
        client.transport.loseConnection()
        yield client.lost

    @inlineCallbacks
    def test_stop(self) -> Generator[Deferred[Any], Any, None]:
        """
        Stopping in the middle of a response says GOAWAY, closes connection and port, and leaves no
        timer (trial would complain of one).
        """
        server = yield self.started()
        client = yield self.client(server, b"/drip?duration=10&numbytes=100")
        yield client.begun
        yield server.stop()
        self.assertEqual(set(), server.connections)
        yield client.lost
        self.assertTrue(client.wasToldGoodbye)
        again = self.client(server, b"/get")
        yield self.assertFailure(again, ConnectError)

    @inlineCallbacks
    def test_stopTwice(self) -> Generator[Deferred[Any], Any, None]:
        """A server that has stopped, or never started, is stopped at once."""
        server = DemoServer(reactor)
        yield server.stop()
        yield server.start()
        yield server.stop()
        yield server.stop()

    @inlineCallbacks
    def test_startAgain(self) -> Generator[Deferred[Any], Any, None]:
        """A stopped server may be started again."""
        server = yield self.started()
        yield server.stop()
        yield server.start()
        client = yield self.client(server, b"/ip")
        yield client.done
        client.transport.loseConnection()
        yield client.lost

    @inlineCallbacks
    def test_certificate(self) -> Generator[Deferred[Any], Any, None]:
        """A certificate of the test's own is shown in place of a good one."""
        authority = CertificateAuthority()
        past = datetime.now(timezone.utc) - timedelta(days=2)
        for certificate, words in (
            (authority.issue("localhost", notAfter=past), "certificate verify failed"),
            (selfSigned("localhost"), "certificate verify failed"),
            (authority.issue("elsewhere.test"), "VerificationError"),
        ):
            server = yield self.started(authority=authority, certificate=certificate)
            client = yield self.client(server, b"/get")
            reason = yield client.lost
            self.assertIn(words, repr(reason))
            self.assertIsNone(client.status)

    @inlineCallbacks
    def test_onlyH2(self) -> Generator[Deferred[Any], Any, None]:
        """A client that cannot be talked to in h2 is let go, whether it offers ALPN or not."""
        for protocols in ((), (b"http/1.1",)):
            server = yield self.started()
            client = yield self.client(server, b"/get", protocols)
            yield client.lost
            self.assertIsNone(client.status)


class StoppingTests(SynchronousTestCase):
    """What the loopback is too polite for."""

    def test_stubbornClient(self) -> None:
        """A client that does not let go is cut off after half a second."""
        clock = Clock()
        server = DemoServer(clock, secure=False)
        transport = Transport()
        connection = server.buildProtocol(None)
        connection.makeConnection(transport)
        other = server.buildProtocol(None)
        other.makeConnection(Transport())
        stopped = server.stop()
        other.connectionLost()
        self.assertTrue(transport.disconnecting)
        self.assertNoResult(stopped)
        clock.advance(0.5)
        self.assertTrue(transport.isAborted)
        connection.connectionLost()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual([], clock.getDelayedCalls())

    def test_stopWhileStopping(self) -> None:
        """Everybody who stops the server hears when it is done."""
        clock = Clock()
        server = DemoServer(clock, secure=False)
        connection = server.buildProtocol(None)
        connection.makeConnection(Transport())
        stopped = [server.stop(), server.stop()]
        connection.connectionLost()
        for each in stopped:
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual([], clock.getDelayedCalls())

    def test_cannotListen(self) -> None:
        """A port that cannot be had is the Deferred's failure."""

        class Busy(Clock):
            def listenTCP(self, *arguments: object, **options: object) -> object:
                raise CannotListenError("127.0.0.1", 0, OSError())

        self.failureResultOf(DemoServer(Busy()).start(), CannotListenError)

    def test_loopbackOnly(self) -> None:
        """The port is on 127.0.0.1, where nobody else can reach it."""
        memory = MemoryReactorClock()
        DemoServer(memory).start()
        ((port, _, _, interface),) = memory.tcpServers
        self.assertEqual((0, "127.0.0.1"), (port, interface))
