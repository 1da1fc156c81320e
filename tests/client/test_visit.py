"""Tests for :mod:`txhyper.client.visit`: connections without requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.error import SchemeNotSupported

from tests.client.network import Network
from tests.client.scene import MAX_CONCURRENT_STREAMS, PoolTestCase
from tests.client.test_stopping import StoppableClock
from txhyper import Agent
from txhyper.client.route import Route
from txhyper.errors import ConnectionUnusable, InvalidRequest, TotalTimedOut
from txhyper.protocol.timeouts import Timeouts


class ConnectTests(PoolTestCase):
    """``ConnectionPool.connect``."""

    def connect(self, timeouts: Timeouts | None = None) -> Deferred[Any]:
        """Ask for a connection."""
        origin = "https://a.test"
        route = Route(origin, origin, lambda: self.network)
        return self.counted(self.pool.connect(route, timeouts))

    def test_idle(self) -> None:
        """It fires with a connection that has no slot in use, and that idles out as others do."""
        connected = self.connect()
        self.only().h2()
        connection = self.successResultOf(connected)
        self.assertEqual((True, 0), (connection.isUsable(), connection.openCount))
        self.clock.advance(240)
        self.assertFalse(connection.isUsable())

    def test_busy(self) -> None:
        """One whose streams are all in use is a connection as well."""
        self.warm({MAX_CONCURRENT_STREAMS: 1})
        open_ = self.send()
        self.successResultOf(self.connect())
        open_.cancel()
        self.failureResultOf(open_)

    def test_behindOthers(self) -> None:
        """It waits its turn for the dial, and takes no stream of those who wait with it."""
        requests = self.sendSome(2)
        connected = self.connect()
        later = self.send(path=b"/later")
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 3})
        self.successResultOf(connected)
        for path in [b"/0", b"/1", b"/later"]:
            self.answer(connection, path=path)
        for each in [*requests, later]:
            self.bodyOf(each)

    def test_cancelled(self) -> None:
        """Cancelled, it leaves the queue, and what it had asked for is not dialled for nobody."""
        connected = self.connect()
        connected.cancel()
        self.failureResultOf(connected, CancelledError)
        self.assertTrue(self.only().isCancelled)

    def test_late(self) -> None:
        """The time limit for all of it is kept as well."""
        connected = self.connect(Timeouts(total=2))
        self.clock.advance(2)
        self.failureResultOf(connected, TotalTimedOut)


class AgentTests(SynchronousTestCase):
    """``Agent.connect``."""

    def test_refused(self) -> None:
        """What is no URI of an origin fails, and nothing is dialled."""
        network = Network(Clock())
        agent = Agent.usingEndpointFactory(network.clock, network)
        for uri, error in [
            (b"/a", InvalidRequest),
            (b"https://a test", InvalidRequest),
            (b"gopher://a.test", SchemeNotSupported),
        ]:
            self.failureResultOf(agent.connect(uri), error)
        self.assertEqual([], network.connections)

    def test_stopped(self) -> None:
        """When the reactor stops, who waits is told, and nobody may connect any more."""
        reactor = StoppableClock()
        network = Network(reactor)
        agent = Agent.usingEndpointFactory(reactor, network)
        connected = agent.connect(b"https://a.test/whatever")
        reactor.stop()
        self.failureResultOf(connected, ConnectionUnusable)
        self.assertTrue(network.connections[0].isCancelled)
        self.failureResultOf(agent.connect(b"https://a.test"), ConnectionUnusable)
