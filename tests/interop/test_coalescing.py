"""Two hosts of one real server on one connection (RFC 9113 section 9.1.1)."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IHostnameResolver
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from txhyper import Agent, ConnectionPool
from txhyper.client.tls import policyTrusting

from . import bodies
from .fetching import digestOf
from .launchers import Hypercorn, Launcher, Nghttpd, Nginx, Node, TwistedWeb, running

SIZE = bodies.SIZES[1]


@implementer(IHostnameResolver)
class HostsHere:
    """Resolves names below localhost, which not every system does, and all else as before."""

    def __init__(self, others: Any) -> None:
        self._others = others

    def resolveHostName(self, receiver: Any, hostName: str, *rest: Any, **options: Any) -> Any:
        """As the system does."""
        host = "127.0.0.1" if hostName.endswith("localhost") else hostName
        return self._others.resolveHostName(receiver, host, *rest, **options)


class CoalescingTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    timeout = 60

    def setUp(self) -> None:
        self.server = running(self.launcher)
        before = reactor.nameResolver
        reactor.installNameResolver(HostsHere(before))
        self.addCleanup(reactor.installNameResolver, before)
        pool = ConnectionPool(reactor, coalesce=True)
        self.agent = Agent(reactor, policyTrusting(self.server.authority.pem), pool=pool)
        self.addCleanup(self.agent.close)

    async def fetch(self, host: str, path: object = SIZE) -> Any:
        """Ask the server for one of its hosts."""
        url = f"https://{host}:{self.server.port}/{path}"
        return await self.agent.request(b"GET", url.encode())

    def connections(self) -> list[int]:
        """How many requests each connection has had, for each origin."""
        return [
            state.issued for origin in self.agent.pool.snapshot() for state in origin.connections
        ]

    async def test_shared(self) -> None:
        """Its certificate covers both, so they share; it answers for both."""
        for host in ("localhost", "sibling.localhost", "localhost"):
            response = await self.fetch(host)
            self.assertEqual(response.code, 200)
            self.assertEqual(await digestOf(response), (SIZE, bodies.digest(SIZE)))
        # One connection, which is each origin's.
        self.assertEqual([3, 3], self.connections())


class TwistedWebTests(CoalescingTests, TestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class HypercornTests(CoalescingTests, TestCase):
    """Hypercorn."""

    launcher = Hypercorn


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class NginxTests(CoalescingTests, TestCase):
    """nginx."""

    launcher = Nginx


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdTests(CoalescingTests, TestCase):
    """nghttp2's server."""

    launcher = Nghttpd


class NodeTests(CoalescingTests, TestCase):
    """Node's http2 server, which can say what it does not want."""

    launcher = Node

    async def test_misdirected(self) -> None:
        """A 421 on the shared connection is not passed on: the request is sent on another."""
        await (await self.fetch("localhost")).read()
        response = await self.fetch("sibling.localhost", "misdirected")
        self.assertEqual(200, response.code)
        self.assertEqual(b"sibling.localhost", await response.read())
        self.assertEqual(2, len(self.connections()))
        self.assertEqual([2, 1], self.connections())

    async def test_originFrame(self) -> None:
        """A server that names its origins is asked for no others on that connection."""
        await (await self.fetch("localhost", "origins")).read()
        await (await self.fetch("sibling.localhost")).read()
        self.assertEqual([1, 1], self.connections())
