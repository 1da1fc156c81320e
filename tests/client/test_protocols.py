"""Tests for what an agent may speak: h2, http/1.1, and h2c by prior knowledge."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from tests.client.network import Network, read
from tests.client.scene import HTTP_1_1_REQUIRED, OK11
from txhyper.client.agent import Agent
from txhyper.errors import HTTP11Required, NegotiationFailed


class ProtocolsTests(SynchronousTestCase):
    """The argument ``protocols`` of an agent."""

    def setUp(self) -> None:
        self.network = Network(Clock())

    def request(self, uri: bytes, *protocols: bytes) -> Deferred[Any]:
        """Ask an agent that speaks these."""
        agent = Agent.usingEndpointFactory(
            self.network.clock, self.network, protocols=protocols or (b"h2", b"http/1.1")
        )
        return agent.request(b"GET", uri)

    def test_offers(self) -> None:
        """They are what is offered by ALPN, in this order; h2c has no place there."""
        for given, offered in (
            ((), [b"h2", b"http/1.1"]),
            ((b"http/1.1", b"h2"), [b"http/1.1", b"h2"]),
            ((b"h2",), [b"h2"]),
            ((b"h2c", b"http/1.1"), [b"http/1.1"]),
        ):
            self.request(b"https://a.test/", *given)
            self.assertEqual(offered, self.network.connections[-1].offers)

    def test_onlyHTTP2(self) -> None:
        """Who wants HTTP/2 alone gets an error from a server that has none, and sends nothing."""
        deferred = self.request(b"https://a.test/", b"h2")
        (connection,) = self.network.connections
        connection.tcp().tls(None)
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        error = failure.value.reasons[0].value
        self.assertIsInstance(error, NegotiationFailed)
        self.assertIn("https://a.test: the server does not speak HTTP/2", str(error))
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual([], connection.transport.writes)

    def test_onlyHTTP11(self) -> None:
        """Who wants HTTP/1.1 alone gets it."""
        deferred = self.request(b"https://a.test/", b"http/1.1")
        (connection,) = self.network.connections
        connection.tcp().tls(b"http/1.1").peer.send(OK11)
        self.assertEqual((b"HTTP", 1, 1), self.successResultOf(deferred).version)

    def test_priorKnowledge(self) -> None:
        """With h2c an http URI is spoken to in HTTP/2 at once, in one write with the preface."""
        deferred = self.request(b"http://a.test/p", b"h2", b"h2c")
        (connection,) = self.network.connections
        connection.tcp(tls=False)
        request = connection.peer.expectHeaders()
        self.assertEqual(1, len(connection.transport.writes))
        self.assertEqual(
            (b"http", b"a.test", b"/p"),
            (request[b":scheme"], request[b":authority"], request[b":path"]),
        )
        connection.peer.greet()
        connection.answer(request.streamId, b"hello")
        response = self.successResultOf(deferred)
        self.assertEqual((b"HTTP", 2, 0), response.version)
        self.assertEqual(b"hello", read(response).octets)

    def test_overTLSAsEver(self) -> None:
        """An https URI is negotiated all the same."""
        self.request(b"https://a.test/", b"h2", b"http/1.1", b"h2c")
        (connection,) = self.network.connections
        connection.tcp().tls(b"http/1.1")
        self.assertTrue(connection.transport.writes[0].startswith(b"GET / HTTP/1.1"))

    def test_notUnasked(self) -> None:
        """Without h2c an http URI means HTTP/1.1."""
        self.request(b"http://a.test/")
        (connection,) = self.network.connections
        connection.tcp(tls=False)
        self.assertTrue(connection.transport.writes[0].startswith(b"GET / HTTP/1.1"))

    def test_neverHTTP11(self) -> None:
        """Where only HTTP/2 is to be spoken, nothing else is, whatever the server asks for."""
        deferred = self.request(b"http://a.test/", b"h2")
        self.network.connections[0].tcp(tls=False)
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        failure.value.reasons[0].trap(NegotiationFailed)
        deferred = self.request(b"https://a.test/", b"h2")
        connection = self.network.connections[1].h2()
        stream = connection.peer.expectHeaders().streamId
        connection.peer.sendReset(stream, HTTP_1_1_REQUIRED)
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        failure.value.reasons[0].trap(HTTP11Required)
        self.assertEqual(2, len(self.network.connections))

    def test_notShared(self) -> None:
        """Agents that speak different protocols do not share connections in one pool."""
        pool = Agent(self.network.clock).pool
        for protocols in ((b"h2",), (b"http/1.1",)):
            agent = Agent.usingEndpointFactory(
                self.network.clock, self.network, pool, protocols=protocols
            )
            agent.request(b"GET", b"https://a.test/")
        self.assertEqual(2, len(self.network.connections))

    def test_unknown(self) -> None:
        """What is no protocol, or leaves none for TLS, is found at once."""
        for protocols in ((), (b"h3",), (b"h2c",), (b"spdy", b"h2")):
            for make in (
                lambda protocols=protocols: Agent(self.network.clock, protocols=protocols),
                lambda protocols=protocols: Agent.usingEndpointFactory(
                    self.network.clock, self.network, protocols=protocols
                ),
            ):
                self.assertRaises(ValueError, make)
