"""HTTP/2 through HTTP/2: every server, by way of a stream of Node's http2 server as the proxy."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from twisted.web.client import URI, ResponseNeverReceived
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from txhyper import Agent, ConnectionPool, StreamReset, TunnelEndpoint, TunnelRefused
from txhyper.client.tls import policyTrusting

from . import bodies
from .fetching import digestOf
from .launchers import Hypercorn, Launcher, Nghttpd, Nginx, Node, TwistedWeb, running

HTTP2 = (b"HTTP", 2, 0)


@implementer(IAgentEndpointFactory)
class ByProxy:
    """Endpoints that lead through the proxy, with TLS to the server inside."""

    def __init__(self, agent: Agent, policy: Any, proxy: bytes) -> None:
        self._agent = agent
        self._policy = policy
        self._proxy = proxy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The endpoint."""
        tunnel = TunnelEndpoint(reactor, self._agent.send, self._proxy, uri.host, uri.port)
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), tunnel)


class TunnelTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    timeout = 90

    def setUp(self) -> None:
        self.server, self.node = running(self.launcher), running(Node)
        self.policy = policyTrusting(self.server.authority.pem)
        self.proxy = self.node.url("/").encode()
        self.frames: list[str] = []
        pool = ConnectionPool(reactor, onFrame=self.frames.append)
        self.outer = Agent(reactor, self.policy, pool=pool)
        self.agent = Agent.usingEndpointFactory(
            reactor, ByProxy(self.outer, self.policy, self.proxy)
        )

    async def tearDown(self) -> None:
        await self.agent.close()
        await self.outer.close()

    async def fetch(self, size: int) -> None:
        """Get a body, and compare it with what it must be."""
        response = await self.agent.request(b"GET", self.server.url(f"/{size}").encode())
        self.assertEqual((response.version, response.code), (HTTP2, 200))
        self.assertEqual(await digestOf(response), (size, bodies.digest(size)))

    async def test_large(self) -> None:
        """A hundred mebibytes arrive octet for octet."""
        await self.fetch(100 * bodies.MEBIBYTE)

    async def test_manyInOneTunnel(self) -> None:
        """Requests share the connection in the tunnel, as they share any other."""
        sizes = [100, bodies.MEBIBYTE, 0, bodies.MEBIBYTE] * 4
        await gatherResults([Deferred.fromCoroutine(self.fetch(size)) for size in sizes])
        opened = [frame for frame in self.frames if frame.startswith("sent fields")]
        self.assertEqual(len(opened), 1, opened)


class TwistedWebTests(TunnelTests, TestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class HypercornTests(TunnelTests, TestCase):
    """hypercorn."""

    launcher = Hypercorn


class NodeTests(TunnelTests, TestCase):
    """Node's http2 server, by way of itself."""

    launcher = Node


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdTests(TunnelTests, TestCase):
    """nghttp2's server."""

    launcher = Nghttpd


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class NginxTests(TunnelTests, TestCase):
    """nginx."""

    launcher = Nginx


class RefusedTests(TestCase):
    """A proxy that does not let everybody through."""

    timeout = 30

    def setUp(self) -> None:
        node = running(Node)
        self.proxy = node.url("/").encode()
        self.agent = Agent(reactor, policyTrusting(node.authority.pem))
        self.addCleanup(self.agent.close)

    def connect(self, host: bytes, port: int) -> Deferred[Any]:
        """Ask for a tunnel."""
        endpoint = TunnelEndpoint(reactor, self.agent.send, self.proxy, host, port)
        return endpoint.connect(Factory.forProtocol(Protocol))

    async def test_refused(self) -> None:
        """Its status is told."""
        with self.assertRaises(TunnelRefused) as caught:
            await self.connect(b"example.com", 443)
        self.assertEqual(caught.exception.status, 403)

    async def test_nobodyThere(self) -> None:
        """A host that does not answer the proxy is a stream that was reset, and no more."""
        with self.assertRaises(ResponseNeverReceived) as caught:
            await self.connect(b"localhost", 1)
        error = caught.exception.reasons[0].value
        self.assertIsInstance(error, StreamReset)
        self.assertIn("CONNECT_ERROR", str(error))
