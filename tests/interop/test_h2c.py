"""HTTP/2 without TLS, by prior knowledge."""

from __future__ import annotations

import unittest

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from txhyper import Agent

from . import bodies
from .fetching import digestOf
from .launchers import PlainNghttpd, running


@unittest.skipIf(PlainNghttpd.missing(), PlainNghttpd.missing())
class PriorKnowledgeTests(TestCase):
    """nghttp2's server."""

    timeout = 60

    def setUp(self) -> None:
        self.server = running(PlainNghttpd)
        self.agent = Agent(reactor, protocols=[b"h2", b"http/1.1", b"h2c"])
        self.addCleanup(self.agent.close)

    async def fetch(self, size: int) -> None:
        """Get a body, and compare it with what it must be."""
        response = await self.agent.request(b"GET", self.server.url(f"/{size}").encode())
        self.assertEqual((response.version, response.code), ((b"HTTP", 2, 0), 200))
        self.assertEqual(await digestOf(response), (size, bodies.digest(size)))

    async def test_bodies(self) -> None:
        """Bodies of every size arrive octet for octet, side by side on one connection."""
        await gatherResults([Deferred.fromCoroutine(self.fetch(size)) for size in bodies.SIZES])
        (origin,) = self.agent.pool.snapshot()
        self.assertEqual([state.protocol for state in origin.connections], ["h2"])
