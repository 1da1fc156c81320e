"""Tests for :mod:`txhyper.client.pool`: what becomes of requests when the reactor stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from zope.interface import directlyProvides

from tests.client.scene import MAX_CONCURRENT_STREAMS, REFUSED_STREAM, Network, PoolTestCase
from txhyper import Agent
from txhyper.client.pool import ConnectionPool
from txhyper.errors import ConnectionTerminated, ConnectionUnusable


class StoppableClock(Clock):
    """A clock that can stop as a reactor does."""

    def __init__(self) -> None:
        super().__init__()
        directlyProvides(self, IReactorCore)
        self.triggers: dict[object, Callable[[], object]] = {}

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], object]) -> object:
        """Keep it."""
        assert (phase, event) == ("during", "shutdown")
        key = object()
        self.triggers[key] = call
        return key

    def removeSystemEventTrigger(self, key: object) -> None:
        """Forget it."""
        del self.triggers[key]

    def stop(self) -> None:
        """Stop."""
        while self.triggers:
            _, call = self.triggers.popitem()
            call()


class StoppingTests(PoolTestCase):
    """The reactor stops: no Deferred is left alone, and no timer."""

    clock: StoppableClock

    def setUp(self) -> None:
        super().setUp()
        self.clock = StoppableClock()
        self.network = Network(self.clock)
        self.pool = ConnectionPool(self.clock)

    def stop(self) -> None:
        """As the reactor does: every connection is cut, then who has asked for it is told."""
        for connection in self.dials:
            if connection.negotiator is not None:
                connection.lose()
        self.clock.stop()
        self.assertQuiet()

    def test_everyPhase(self) -> None:
        """Requests that are dialling, queued, sent, and resting before another attempt."""
        resting = self.send(path=b"/resting")
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 2})
        for _ in range(2):
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        sent = self.send(b"POST", path=b"/sent")
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        queued = self.send(path=b"/queued")
        dialling = self.send(origin="https://b.test")
        self.stop()
        self.reasonOf(sent, ConnectionTerminated)
        for deferred in (resting, queued, dialling):
            error = self.reasonOf(deferred, ConnectionUnusable)
            self.assertIn("the reactor has stopped", str(error))
        self.assertEqual([True, True], [dial.isCancelled for dial in self.dials[1:]])

    def test_notSentAgain(self) -> None:
        """What could be sent again on a new connection is not: there will be none."""
        connection = self.warm()
        deferred = self.send()
        connection.peer.expectHeaders()
        self.stop()
        self.reasonOf(deferred, ConnectionUnusable)

    def test_neverAgain(self) -> None:
        """Whoever sends a request when it hears of the end is told at once."""
        again: list[Any] = []
        first = self.send()
        first.addErrback(lambda _: again.append(self.send()))
        self.stop()
        self.reasonOf(again[0], ConnectionUnusable)
        self.reasonOf(self.send(origin="https://b.test"), ConnectionUnusable)

    def test_goneBefore(self) -> None:
        """A pool that has nothing asks for nothing of the reactor, and is not kept alive by it."""
        self.assertEqual({}, self.clock.triggers)
        self.warm().lose()
        self.assertEqual({}, self.clock.triggers)
        self.warm()
        self.assertEqual(1, len(self.clock.triggers))

    def test_connectionsOfAnotherKind(self) -> None:
        """A connection that the reactor knows nothing of is closed."""
        connection = self.warm()
        self.clock.stop()
        self.assertTrue(connection.transport.isClosing)

    def test_memoryReactor(self) -> None:
        """Twisted's own reactor for tests, which forgets no trigger, does."""
        reactor = MemoryReactorClock()
        deferred = Agent(reactor).request(b"GET", b"http://127.0.0.1/")
        deferred.cancel()
        self.failureResultOf(deferred)
