"""Server push (RFC 9113 section 8.4) by real servers."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from txhyper import Agent, Bounds, ConnectionPool, IPushPromise, Request
from txhyper.client.tls import policyTrusting

from . import bodies
from .fetching import digestOf
from .launchers import Launcher, Nghttpd, Node, PushingApache, PushingNghttpd, running

SIZE = bodies.MEBIBYTE


class PushTestCase(TestCase):
    """An agent that takes promises."""

    launcher: type[Launcher] = Node
    timeout = 60

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.agent = self.agentWith(enablePush=True)

    def agentWith(self, **options: Any) -> Agent:
        """An agent whose pool has these options."""
        pool = ConnectionPool(reactor, **options)
        agent = Agent(reactor, policyTrusting(self.server.authority.pem), pool=pool)
        self.addCleanup(agent.close)
        return agent

    async def get(self, path: str, agent: Agent | None = None) -> Any:
        """A response."""
        return await (agent or self.agent).request(b"GET", self.server.url(path).encode())

    async def check(self, promise: IPushPromise, size: int) -> None:
        """A promise is kept, octet for octet."""
        self.assertEqual(self.server.url(f"/{size}").encode(), promise.uri)
        response = await promise.whenResponse()
        self.assertEqual((200, 0), (response.code, response.streamId % 2))
        self.assertEqual(await digestOf(response), (size, bodies.digest(size)))


class NodeTests(PushTestCase):
    """Node's http2 server, and its ``pushStream``."""

    async def test_promises(self) -> None:
        """Three promises, two before the response and one within it, and all four bodies."""
        response = await self.get("/push")
        sizes = [SIZE, 1000, 0]
        async for promise in response.pushes:
            await self.check(promise, sizes.pop(0))
        self.assertEqual([], sizes)
        self.assertEqual(b"a page", await response.read())

    async def test_callback(self) -> None:
        """The same by callback."""
        promises: list[IPushPromise] = []
        url = self.server.url("/push").encode()
        response = await self.agent.send(Request(b"GET", url, onPush=promises.append))
        self.assertEqual(b"a page", await response.read())
        for promise, size in zip(promises, [SIZE, 1000, 0], strict=True):
            await self.check(promise, size)

    async def test_notAskedFor(self) -> None:
        """A server that knows that nobody wants promises makes none."""
        response = await self.get("/push", self.agentWith())
        self.assertEqual(b"a page", await response.read())
        self.assertEqual([], [promise async for promise in response.pushes])

    async def test_cancelled(self) -> None:
        """A promise that is cancelled costs nobody else anything."""
        response = await self.get("/push")
        async for promise in response.pushes:
            promise.cancel()
        self.assertEqual(b"a page", await response.read())
        again = await self.get(f"/{SIZE}")
        self.assertEqual(await digestOf(again), (SIZE, bodies.digest(SIZE)))
        (origin,) = self.agent.pool.snapshot()
        self.assertEqual([0], [connection.open for connection in origin.connections])

    async def test_aThousand(self) -> None:
        """
        A thousand promises to a client that reads none: no more than the bound are open, and the
        connection lives.
        """
        agent = self.agentWith(enablePush=True, bounds=Bounds(promises=10))
        response = await self.get("/push/1000", agent)
        self.assertEqual(b"a page", await response.read())
        promised = len(response.pushes.taken())
        self.assertTrue(0 < promised <= 10, promised)
        again = await self.get("/1000", agent)
        self.assertEqual(await digestOf(again), (1000, bodies.digest(1000)))
        (origin,) = agent.pool.snapshot()
        self.assertEqual(1, len(origin.connections))


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdTests(PushTestCase):
    """nghttp2's server, which pushes what it is told to with a path."""

    launcher = PushingNghttpd

    async def test_promises(self) -> None:
        """Both are kept."""
        response = await self.get("/0")
        sizes = [SIZE, 100]
        async for promise in response.pushes:
            await self.check(promise, sizes.pop(0))
        self.assertEqual([], sizes)
        self.assertEqual(b"", await response.read())


@unittest.skipIf(PushingApache.missing(), PushingApache.missing())
class ApacheTests(PushTestCase):
    """Apache, which pushes what its H2PushResource says."""

    launcher = PushingApache

    async def test_promises(self) -> None:
        """All are kept."""
        response = await self.get("/0")
        sizes = list(PushingApache.promised)
        async for promise in response.pushes:
            await self.check(promise, sizes.pop(0))
        self.assertEqual([], sizes)
        self.assertEqual(b"", await response.read())
