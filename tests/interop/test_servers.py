"""The Agent against real servers: the same promises, one server after the other."""

from __future__ import annotations

import unittest
from io import BytesIO

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent as StockAgent
from twisted.web.client import FileBodyProducer, readBody
from twisted.web.iweb import IAgent

from txhyper import Agent, ConnectionPool
from txhyper.client.tls import policyTrusting, unverifiedPolicy

from . import bodies
from .fetching import Relay, digestOf
from .launchers import (
    Hypercorn,
    Launcher,
    Nghttpd,
    Nginx,
    Node,
    TwistedWeb,
    running,
)

HTTP2 = (b"HTTP", 2, 0)


class RealServerTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    #: Seconds for one test. The largest body takes a few, on a machine with nothing else to do.
    timeout = 90

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.policy = policyTrusting(self.server.authority.pem)
        self.agent = Agent(reactor, self.policy)
        self.addCleanup(self.agent.close)

    def url(self, path: object) -> bytes:
        """The URL of a path on the server itself."""
        return self.server.url(f"/{path}").encode()

    async def checkBody(self, size: int) -> None:
        """Get the body of this size over HTTP/2, and compare it with what it must be."""
        response = await self.agent.request(b"GET", self.url(size))
        self.assertEqual((response.version, response.code), (HTTP2, 200))
        self.assertEqual(await digestOf(response), (size, bodies.digest(size)))

    async def test_empty(self) -> None:
        """A body of no octets arrives as one, and as complete."""
        await self.checkBody(0)

    async def test_small(self) -> None:
        """A body that fits into one frame arrives octet for octet."""
        await self.checkBody(100)

    async def test_mebibyte(self) -> None:
        """A body of many frames, larger than the first windows, arrives octet for octet."""
        await self.checkBody(bodies.MEBIBYTE)

    async def test_hundredMebibytes(self) -> None:
        """A body that needs window after window arrives octet for octet."""
        await self.checkBody(100 * bodies.MEBIBYTE)

    async def checkConcurrent(self, agent: IAgent) -> None:
        """Send many requests at once: all are answered rightly, over one TCP connection."""
        relay = Relay(reactor, self.server.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.stop()))

        async def fetch(size: int) -> tuple[int, bytes]:
            response = await agent.request(b"GET", relay.url(f"/{size}"))
            self.assertEqual(response.version, HTTP2)
            return response.code, await readBody(response)

        sizes = range(1, bodies.CONCURRENT + 1)
        answers = await gatherResults([Deferred.fromCoroutine(fetch(size)) for size in sizes])
        self.assertEqual(answers, [(200, bodies.body(size)) for size in sizes])
        self.assertEqual(relay.accepted, 1)

    async def test_concurrent(self) -> None:
        """Two hundred requests at once share one TCP connection, each with its own answer."""
        agent = Agent(reactor, self.policy)
        await self.checkConcurrent(agent)
        await agent.close()

    async def test_concurrentStockAgent(self) -> None:
        """Twisted's own Agent does the same when it is handed our pool, and only that."""
        pool = ConnectionPool(reactor)
        await self.checkConcurrent(StockAgent(reactor, self.policy, pool=pool))
        await pool.closeCachedConnections()

    async def test_treq(self) -> None:
        """Stock treq speaks HTTP/2 when it is handed our Agent."""
        response = await HTTPClient(self.agent).get(self.url(100).decode())
        self.assertEqual((response.version, response.code), (HTTP2, 200))
        self.assertEqual(await response.content(), bodies.body(100))

    async def test_unverified(self) -> None:
        """Whoever checks no certificate still gets HTTP/2."""
        agent = Agent(reactor, unverifiedPolicy())
        self.addCleanup(agent.close)
        response = await agent.request(b"GET", self.url(100))
        self.assertEqual(response.version, HTTP2)
        self.assertEqual(await readBody(response), bodies.body(100))

    async def test_manyTransfersOneConnection(self) -> None:
        """Large bodies that arrive side by side do not mix and do not stall each other."""
        sizes = [bodies.MEBIBYTE, 100, bodies.MEBIBYTE, 0] * 4
        await gatherResults([Deferred.fromCoroutine(self.checkBody(size)) for size in sizes])

    async def post(self) -> tuple[int, bytes]:
        """Send a mebibyte to the server's upload path, and return its status and answer."""
        producer = FileBodyProducer(BytesIO(bodies.body(bodies.MEBIBYTE)))
        response = await self.agent.request(b"POST", self.url("upload"), None, producer)
        self.assertEqual(response.version, HTTP2)
        return response.code, await readBody(response)


class CountedUploadTests:
    """For the servers whose program is ours: they say what they got."""

    async def test_upload(self) -> None:
        """What the server reads of a request's body is what the producer wrote."""
        expected = f"{bodies.MEBIBYTE} {bodies.digest(bodies.MEBIBYTE)}".encode()
        self.assertEqual(await self.post(), (200, expected))


class TwistedWebTests(CountedUploadTests, RealServerTests, TestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class HypercornTests(CountedUploadTests, RealServerTests, TestCase):
    """hypercorn."""

    launcher = Hypercorn


class NodeTests(CountedUploadTests, RealServerTests, TestCase):
    """Node's http2 server."""

    launcher = Node


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdTests(RealServerTests, TestCase):
    """nghttp2's server."""

    launcher = Nghttpd

    async def test_upload(self) -> None:
        """The server sends an upload back while it comes in; both ways arrive octet for octet."""
        self.assertEqual(await self.post(), (200, bodies.body(bodies.MEBIBYTE)))


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class NginxTests(RealServerTests, TestCase):
    """nginx."""

    launcher = Nginx

    async def test_refusedUpload(self) -> None:
        """
        A server that answers before it has the body is heard.

        This nginx serves files, and files cannot be posted to: it says so at once. The answer
        arrives, and the connection goes on with the next request.
        """
        status, _ = await self.post()
        self.assertEqual(status, 404)
        await self.checkBody(100)
