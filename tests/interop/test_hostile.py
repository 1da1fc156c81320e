"""
The attacks of :mod:`tests.hostile`, over TLS.

Owns the way there: the same server, octet by octet, behind a port of this machine and ALPN.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from tests.hostile.attack import HostileTests
from tests.hostile.cases import BOUNDS, BROKEN, MALFORMED, meets
from tests.hostile.scenarios import ScenarioTests
from tests.hostile.server import RawServer
from txhyper import Agent, ConnectionPool
from txhyper.client.tls import policyTrusting

from .launchers import authority


class RawFactory(Factory):
    """
    Makes servers as it is told.

    :ivar servers: those that it has made.
    """

    noisy = False

    def __init__(self) -> None:
        self.servers: list[RawServer] = []
        self.build: Callable[[], RawServer]

    def buildProtocol(self, addr: object) -> RawServer:
        """The server of a connection."""
        server = self.build()
        self.servers.append(server)
        return server


class TLSTestCase(HostileTests, TestCase):
    """Attacks over TLS."""

    timeout = 30
    reactor = reactor

    def setUp(self) -> None:
        """Listen."""
        self.factory = RawFactory()
        options = authority().issue("localhost").serverOptions([b"h2"])
        factory = TLSMemoryBIOFactory(options, False, self.factory, reactor)
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.origin = f"https://localhost:{self.port.getHost().port}"

    async def visit(
        self,
        build: Callable[[], RawServer],
        conduct: Callable[[Agent, list[RawServer]], Coroutine[Deferred[Any], Any, Any]],
        **options: Any,
    ) -> None:
        """Have an agent conduct something with servers of this make; nothing is left of it."""
        self.factory.build = build
        pool = ConnectionPool(reactor, **options)
        agent = Agent(reactor, policyTrusting(authority().pem), pool=pool)
        try:
            await conduct(agent, self.factory.servers)
            self.assertEqual([], pool.snapshot())
        finally:
            await agent.close()
            await gatherResults([server.whenLost for server in self.factory.servers])


@meets(MALFORMED)
class MalformedTests(TLSTestCase):
    """Malformed messages fail their own stream."""


@meets(BROKEN)
class BrokenTests(TLSTestCase):
    """Errors of the connection stay such."""


@meets(BOUNDS)
class BoundsTests(TLSTestCase):
    """A server that passes a bound is stopped."""


class LongerTests(ScenarioTests, TLSTestCase):
    """Bounds that take more than a few octets to pass."""
