"""
What the tests of hyper's API share: a connection of hyper's on a network in memory.

The network is :mod:`tests.client.network`'s, so that what is tested here runs on the real agent,
pool and protocols.
"""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.client.network import Connection, Network
from txhyper import HTTP20Connection, HTTPConnection
from txhyper.testing.peer import RequestSeen

__all__ = ["OK", "HyperTestCase"]

OK = [(b":status", b"200")]

C = TypeVar("C", bound=HTTPConnection)


class HyperTestCase(SynchronousTestCase):
    """
    A connection of hyper's; nothing is dialled yet.

    After each test it is closed: every connection goes, and no timer and no failure that nobody has
    heard of is left.
    """

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.made: list[HTTPConnection] = []
        self.conn = self.another(HTTP20Connection)
        self.addCleanup(self.leaveNothing)

    def another(self, kind: type[C], host: str = "a.test", *args: Any, **options: Any) -> C:
        """Another connection on the same network."""
        connection = kind(host, *args, reactor=self.clock, endpoint_factory=self.network, **options)
        self.made.append(connection)
        return connection

    def leaveNothing(self) -> None:
        """Close, let every connection go, and look for what is left."""
        closed = [connection.close() for connection in self.made]
        self.network.settle()
        for connection in self.network.connections:
            if connection.negotiator is not None:
                connection.lose()
        for each in closed:
            self.successResultOf(each)
        self.network.settle()
        self.assertEqual([], self.clock.getDelayedCalls())
        for connection in self.made:
            self.assertEqual([], connection._agent.pool.snapshot())
        # A failure that nobody has heard of is logged now, which fails the test.
        gc.collect()

    # -- the far end -----------------------------------------------------------------------------

    def server(self) -> Connection:
        """The last connection that was dialled, as an HTTP/2 server at work."""
        return self.network.connections[-1].h2()

    def server11(self) -> Connection:
        """Likewise, as an HTTP/1.1 server."""
        return self.network.connections[-1].tcp().tls(b"http/1.1")

    def seen(self, connection: Connection | None = None) -> RequestSeen:
        """The next request on the last connection."""
        return (connection or self.network.connections[-1]).peer.expectHeaders()

    def written(self) -> bytes:
        """What an HTTP/1.1 client has written on the last connection, and not been asked for."""
        transport = self.network.connections[-1].transport
        octets = b"".join(transport.writes)
        transport.writes.clear()
        return octets

    def upload(self, streamId: int = 1) -> tuple[bytes, bool]:
        """What has come of a request's body, and whether that was all."""
        frames = [
            frame
            for frame in self.network.connections[-1].peer.drain()
            if frame.kind == 0 and frame.streamId == streamId
        ]
        return b"".join(frame.payload for frame in frames), any(f.flags & 1 for f in frames)

    # -- coroutines ------------------------------------------------------------------------------

    def run_(self, coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """What a coroutine returns that has nothing to wait for."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))
