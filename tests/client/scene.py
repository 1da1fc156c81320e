"""
What the tests of this folder share: a clock, a pool, and a network in memory behind its endpoints.

The network itself is :mod:`tests.client.network`'s; here are its users.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers

from tests.client.network import Connection, Network, Reader, read
from tests.protocol.scene import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    REFUSED_STREAM,
    Producer,
    Tracked,
    WholeBody,
)
from txhyper.client.pool import ConnectionPool
from txhyper.client.route import Route
from txhyper.core import frames

__all__ = [
    "CANCEL",
    "HTTP_1_1_REQUIRED",
    "MAX_CONCURRENT_STREAMS",
    "NO_ERROR",
    "OK11",
    "REFUSED_STREAM",
    "Connection",
    "Network",
    "PoolTestCase",
    "Producer",
    "Reader",
    "Tracked",
    "WholeBody",
    "read",
]

#: A whole response over HTTP/1.1, which leaves the connection open.
OK11 = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class PoolTestCase(SynchronousTestCase):
    """
    A pool and a network; nothing is connected yet.

    After each test the pool is closed: every connection goes, every Deferred that the pool gave
    has fired exactly once, no timer stays and no origin is remembered.
    """

    #: What the pool is made with.
    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.pool = ConnectionPool(self.clock, **self.options)
        self.fired: list[int] = []
        self.addCleanup(self.leaveNothing)

    def leaveNothing(self) -> None:
        """Close, let every connection go, and look for what is left."""
        closed = self.pool.closeCachedConnections()
        self.network.settle()
        for connection in self.network.connections:
            if connection.negotiator is not None:
                connection.lose()
        self.successResultOf(closed)
        self.network.settle()
        self.assertQuiet()
        self.assertEqual({}, self.pool._origins)
        # A Deferred that fires twice raises; one that never did is found here.
        self.assertEqual([1] * len(self.fired), self.fired)

    def assertQuiet(self) -> None:
        """Nothing has been left to be called later."""
        self.assertEqual([], self.clock.getDelayedCalls())

    # -- requests ------------------------------------------------------------------------------

    def send(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        body: Any = None,
        headers: Headers | None = None,
        origin: str = "https://a.test",
    ) -> Deferred[Any]:
        """Send a request, and count how often its Deferred fires."""
        request = Tracked(method, origin.encode() + path, headers, body)
        deferred = self.pool.send(Route(origin, origin, lambda: self.network), request)
        return self.counted(deferred)

    def counted(self, deferred: Deferred[Any]) -> Deferred[Any]:
        """Count how often it fires."""
        index = len(self.fired)
        self.fired.append(0)

        def count(result: Any) -> Any:
            self.fired[index] += 1
            return result

        return deferred.addBoth(count)

    def sendSome(self, number: int, **options: Any) -> list[Deferred[Any]]:
        """So many requests, for /0, /1 and so on."""
        return [self.send(path=b"/%d" % n, **options) for n in range(number)]

    # -- connections ---------------------------------------------------------------------------

    @property
    def dials(self) -> list[Connection]:
        """What was dialled, in order."""
        return self.network.connections

    def only(self) -> Connection:
        """The only connection that was dialled."""
        (connection,) = self.network.connections
        return connection

    def warm(self, settings: dict[int, int] | None = None) -> Connection:
        """An HTTP/2 connection that has served one request, and is idle."""
        deferred = self.send()
        connection = self.dials[-1].h2(settings)
        self.answer(connection)
        self.bodyOf(deferred)
        return connection

    def warm11(self) -> Connection:
        """An HTTP/1.1 connection that has served one request, and is idle."""
        deferred = self.send()
        connection = self.dials[-1].tcp().tls(b"http/1.1")
        connection.peer.send(OK11)
        self.bodyOf(deferred)
        connection.transport.writes.clear()
        return connection

    def answer(self, connection: Connection, body: bytes = b"", path: bytes = b"/") -> None:
        """Answer the next request on an HTTP/2 connection, which is for this path."""
        request = connection.peer.expectHeaders()
        self.assertEqual(path, request[b":path"])
        connection.answer(request.streamId, body)

    def assertNoRequest(self, connection: Connection) -> None:
        """Nothing has been sent on an HTTP/2 connection but frames of its own."""
        kinds = [frame.kind for frame in connection.peer.drain()]
        self.assertFalse({frames.HEADERS, frames.DATA} & {*kinds}, kinds)

    # -- outcomes ------------------------------------------------------------------------------

    def bodyOf(self, deferred: Deferred[Any]) -> bytes:
        """The complete body of a response that is here."""
        reader = read(self.successResultOf(deferred))
        assert reader.reason is not None, "the body has not ended"
        reader.reason.trap(ResponseDone)
        return reader.octets

    def reasonOf(self, deferred: Deferred[Any], expected: type[Exception]) -> Any:
        """The one error of ours in a request that failed before its response."""
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        (reason,) = failure.value.reasons
        self.assertIsInstance(reason.value, expected)
        return reason.value
