"""Tests for :mod:`txhyper.client.pool`: what is kept, for how long, and how it is closed."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import CancelledError
from twisted.web.client import Agent as StockAgent
from twisted.web.client import HTTPConnectionPool, ProxyAgent, readBody
from twisted.web.http_headers import Headers

from tests.client.scene import (
    MAX_CONCURRENT_STREAMS,
    OK11,
    REFUSED_STREAM,
    PoolTestCase,
    Producer,
    Tracked,
    WholeBody,
    read,
)
from txhyper.client.pool import ConnectionPool
from txhyper.client.route import Route
from txhyper.core import frames
from txhyper.core.windows import AutoTuningFlowControlManager, FlowControlManager
from txhyper.errors import (
    ConnectionTerminated,
    ConnectionUnusable,
    GoneAway,
    InvalidRequest,
    StreamRefused,
)


class OriginsTests(PoolTestCase):
    """What is remembered."""

    def test_apart(self) -> None:
        """Requests under different keys share no connection."""
        for origin in ("https://a.test", "https://b.test"):
            self.send(origin=origin).addErrback(lambda _: None)
        self.assertEqual(2, len(self.dials))

    def test_forgotten(self) -> None:
        """Of an origin that has no connection, no dial and no waiter nothing is kept."""
        connection = self.warm()
        self.assertEqual(1, len(self.pool._origins))
        connection.lose()
        self.assertEqual({}, self.pool._origins)
        cancelled = self.send()
        cancelled.cancel()
        self.reasonOf(cancelled, CancelledError)
        self.assertEqual({}, self.pool._origins)
        failed = self.send()
        self.dials[-1].connecting.errback(OSError())
        self.failureResultOf(failed, OSError)
        self.assertEqual({}, self.pool._origins)

    def test_invalid(self) -> None:
        """A request that no connection could carry dials nothing and is raised at once."""
        self.assertRaises(InvalidRequest, self.send, b"POST", body=Producer(-1))
        self.assertEqual([], self.dials)
        self.assertEqual({}, self.pool._origins)

    def test_onItsWay(self) -> None:
        """A request that is on its way to one origin is sent to no other, which is forgotten."""
        request = Tracked(b"GET", b"https://a.test/")
        deferred = self.counted(self.pool.send(Route("a", "a", lambda: self.network), request))
        other = Route("b", "b", lambda: self.network)
        self.assertRaises(InvalidRequest, self.pool.send, other, request)
        self.assertEqual(["a"], [state.name for state in self.pool.snapshot()])
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)


class IdleTests(PoolTestCase):
    """Connections with nothing to do."""

    def test_closedInTime(self) -> None:
        """After cachedConnectionTimeout seconds, and not earlier, with a farewell."""
        self.pool.cachedConnectionTimeout = 10
        self.assertEqual(10, self.pool.cachedConnectionTimeout)
        connection = self.warm()
        self.clock.advance(9.5)
        self.assertFalse(connection.transport.isClosing)
        self.clock.advance(0.5)
        self.assertTrue(connection.transport.isClosing)
        connection.peer.expectGoAway()
        # One that is closing takes no more, although it is not gone.
        self.send().addErrback(lambda _: None)
        self.assertEqual(2, len(self.dials))

    def test_changedMeanwhile(self) -> None:
        """A cachedConnectionTimeout that is set anew holds for those that are idle already."""
        connection = self.warm()
        self.clock.advance(3)
        self.pool.cachedConnectionTimeout = 500
        self.clock.advance(300)
        self.assertFalse(connection.transport.isClosing)
        self.pool.cachedConnectionTimeout = 304
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.clock.advance(0.5)
        self.assertFalse(connection.transport.isClosing)
        self.clock.advance(0.5)
        self.assertTrue(connection.transport.isClosing)

    def test_changedToThePast(self) -> None:
        """One that has been idle for longer than a new limit allows goes in the next turn."""
        connection = self.warm()
        self.clock.advance(100)
        self.pool.cachedConnectionTimeout = 10
        self.assertFalse(connection.transport.isClosing)
        self.clock.advance(0)
        self.assertTrue(connection.transport.isClosing)

    def test_busyMeanwhile(self) -> None:
        """Each request starts the time anew, and one that is open is not cut off."""
        connection = self.warm()
        self.clock.advance(200)
        deferred = self.send()
        self.clock.advance(500)
        self.assertFalse(connection.transport.isClosing)
        self.answer(connection)
        self.bodyOf(deferred)
        self.clock.advance(239)
        self.assertFalse(connection.transport.isClosing)
        self.clock.advance(1)
        self.assertTrue(connection.transport.isClosing)

    def test_oneTimer(self) -> None:
        """However many connections are idle, there is one timer, and each has its own time."""
        closing = []
        for number in range(3):
            deferred = self.send(origin=f"https://{number}.test")
            connection = self.dials[-1].h2()
            self.answer(connection)
            self.bodyOf(deferred)
            closing.append(connection)
            self.assertEqual(1, len(self.clock.getDelayedCalls()))
            self.clock.advance(1)
        self.clock.advance(237)
        for number in range(3):
            self.assertEqual(
                [n <= number for n in range(3)], [c.transport.isClosing for c in closing]
            )
            self.clock.advance(1)
        self.network.settle()
        self.assertQuiet()

    def test_overHTTP11(self) -> None:
        """HTTP/1.1 connections are closed in the same way."""
        connection = self.warm11()
        self.clock.advance(240)
        self.assertTrue(connection.transport.isClosing)


class CloseTests(PoolTestCase):
    """closeCachedConnections."""

    def test_nothingToClose(self) -> None:
        """A pool without connections is closed at once, and leaves no timer."""
        self.successResultOf(self.pool.closeCachedConnections())
        self.assertQuiet()

    def test_idle(self) -> None:
        """Idle connections are closed at once; it fires when they are gone, with no timer left."""
        connection = self.warm()
        closed = self.pool.closeCachedConnections()
        self.assertTrue(connection.transport.isClosing)
        self.assertNoResult(closed)
        connection.lose()
        self.assertIsNone(self.successResultOf(closed))
        self.assertQuiet()

    def test_graceful(self) -> None:
        """Open requests finish, over HTTP/2 and HTTP/1.1; then the connection is closed."""
        one = self.warm11()
        first = self.send()
        second = self.send(origin="https://b.test")
        two = self.dials[1].h2()
        closed = self.pool.closeCachedConnections()
        self.clock.advance(self.pool.closeTimeout - 1)
        self.assertEqual(
            [False] * 4,
            [flag for c in (one, two) for flag in (c.transport.isClosing, c.transport.isAborted)],
        )
        one.peer.send(OK11)
        two.answer(1, b"done")
        self.assertEqual([b"hi", b"done"], [self.bodyOf(first), self.bodyOf(second)])
        two.peer.expectGoAway()
        for connection in (one, two):
            self.assertTrue(connection.transport.isClosing)
            self.assertNoResult(closed)
            connection.lose()
        self.successResultOf(closed)
        self.assertQuiet()

    def test_bounded(self) -> None:
        """After closeTimeout seconds the rest is cut off, and not sent again elsewhere."""
        connection = self.warm()
        deferred = self.send()
        closed = self.pool.closeCachedConnections()
        self.clock.advance(self.pool.closeTimeout)
        self.assertTrue(connection.transport.isAborted)
        connection.lose()
        self.reasonOf(deferred, ConnectionTerminated)
        self.successResultOf(closed)
        self.assertEqual(1, len(self.dials))

    def test_notElsewhere(self) -> None:
        """What the server gives back meanwhile is the caller's: nothing new is dialled."""
        connection = self.warm()
        first, second = self.sendSome(2)
        closed = self.pool.closeCachedConnections()
        connection.peer.sendReset(3, REFUSED_STREAM)
        self.reasonOf(first, StreamRefused)
        connection.peer.sendGoAway(3)
        self.reasonOf(second, GoneAway)
        connection.lose()
        self.successResultOf(closed)
        self.assertEqual(1, len(self.dials))

    def test_dials(self) -> None:
        """Dials end, in TCP and in the handshake; who waits is told, and dials no more."""
        first = self.send()
        second = self.send(origin="https://b.test")
        self.dials[1].tcp()
        self.successResultOf(self.pool.closeCachedConnections())
        for deferred in (first, second):
            self.assertIn("the pool was closed", str(self.reasonOf(deferred, ConnectionUnusable)))
        self.assertTrue(self.dials[0].isCancelled)
        self.assertTrue(self.dials[1].transport.isAborted)
        self.assertEqual(2, len(self.dials))
        self.assertQuiet()

    def test_dialThatNobodyWaitsFor(self) -> None:
        """A dial whose request was served elsewhere ends as well."""
        one = self.warm11()
        first, second = self.sendSome(2)
        one.peer.send(OK11)
        one.peer.send(OK11)
        self.bodyOf(first)
        self.bodyOf(second)
        self.assertFalse(self.dials[1].isCancelled)
        self.pool.closeCachedConnections()
        self.assertTrue(self.dials[1].isCancelled)

    def test_queued(self) -> None:
        """Who waits for a slot is told as well, and does not move to another connection."""
        first = self.send()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.send()
        closed = self.pool.closeCachedConnections()
        self.reasonOf(second, ConnectionUnusable)
        self.answer(connection)
        self.bodyOf(first)
        connection.lose()
        self.successResultOf(closed)
        self.assertEqual(1, len(self.dials))

    def test_cancelled(self) -> None:
        """Who does not want to know when it is closed cancels that, and not the closing."""
        connection = self.warm()
        deferred = self.send()
        closed = self.pool.closeCachedConnections()
        closed.cancel()
        self.failureResultOf(closed, CancelledError)
        self.clock.advance(self.pool.closeTimeout - 1)
        self.assertFalse(connection.transport.isAborted)
        self.clock.advance(1)
        self.assertTrue(connection.transport.isAborted)
        connection.lose()
        self.reasonOf(deferred, ConnectionTerminated)
        self.assertEqual(set(), self.pool.closing)
        self.assertQuiet()

    def test_twice(self) -> None:
        """Closing twice is closing once; both are told."""
        connection = self.warm()
        both = [self.pool.closeCachedConnections() for _ in range(2)]
        connection.lose()
        for closed in both:
            self.successResultOf(closed)
        self.assertQuiet()

    def test_usableAfterwards(self) -> None:
        """While it closes and afterwards, new requests get new connections, kept as ever."""
        one = self.warm()
        closed = self.pool.closeCachedConnections()
        two = self.warm()
        self.assertIsNot(one, two)
        one.lose()
        self.successResultOf(closed)
        deferred = self.send()
        self.answer(two)
        self.bodyOf(deferred)
        self.clock.advance(240)
        self.assertTrue(two.transport.isClosing)

    def test_retriesAfterwards(self) -> None:
        """Of a closing that is over nothing sticks: what is safe is sent again as before."""
        one = self.warm()
        closed = self.pool.closeCachedConnections()
        one.lose()
        self.successResultOf(closed)
        self.assertEqual(set(), self.pool.closing)
        deferred = self.send()
        two = self.dials[1].h2()
        two.peer.sendGoAway(0)
        self.answer(self.dials[2].h2())
        self.bodyOf(deferred)

    def test_idleOfAnotherOrigin(self) -> None:
        """A connection that became idle while the pool was closed is looked after."""
        one = self.warm()
        second = self.send(origin="https://b.test")
        two = self.dials[1].h2()
        first = self.send()
        first.addErrback(lambda _: None)
        late: list[Any] = []
        closed = self.pool.closeCachedConnections()
        closed.addCallback(lambda _: late.append(self.send(origin="https://c.test")))
        self.answer(one)
        one.lose()
        self.answer(two)
        self.bodyOf(second)
        two.lose()
        self.answer(self.dials[2].h2())
        self.bodyOf(late[0])
        self.bodyOf(first)


class StockAgentTests(PoolTestCase):
    """Twisted's own Agent, handed the pool in place of its HTTPConnectionPool."""

    def setUp(self) -> None:
        """Twisted's own agent."""
        super().setUp()
        self.agent = StockAgent.usingEndpointFactory(self.clock, self.network, self.pool)

    def test_http2(self) -> None:
        """It speaks HTTP/2, on one connection, and its responses know what was asked for."""
        headers = Headers({b"X-Name": [b"value"]})
        deferreds = [self.agent.request(b"GET", b"https://a.test/b?c=d", headers) for _ in range(2)]
        connection = self.only().h2()
        for deferred in deferreds:
            request = connection.peer.expectHeaders()
            self.assertEqual(
                [(b":method", b"GET"), (b":authority", b"a.test"), (b":path", b"/b?c=d")],
                [f for f in request.fields if f[0] in (b":method", b":authority", b":path")],
            )
            self.assertEqual(b"value", request[b"x-name"])
            self.assertNotIn(b"host", dict(request.fields))
            connection.answer(request.streamId, b"hello")
            response = self.successResultOf(deferred)
            self.assertEqual(((b"HTTP", 2, 0), 200), (response.version, response.code))
            self.assertEqual(b"https://a.test/b?c=d", response.request.absoluteURI)
            self.assertEqual(b"hello", self.successResultOf(readBody(response)))

    def test_http11(self) -> None:
        """A server without HTTP/2 is spoken to in HTTP/1.1, with one Host field."""
        deferred = self.agent.request(b"POST", b"http://a.test:8080/", None, WholeBody(b"abc"))
        connection = self.only().tcp(tls=False)
        sent = b"".join(connection.transport.writes)
        self.assertEqual(1, sent.lower().count(b"host: a.test:8080\r\n"))
        self.assertTrue(sent.endswith(b"\r\n\r\nabc"))
        connection.peer.send(OK11)
        response = self.successResultOf(deferred)
        self.assertEqual(b"hi", read(response).octets)

    def test_paths(self) -> None:
        """Every form of a URI becomes a path that HTTP/2 allows."""
        uris = [b"https://a.test", b"https://a.test?q", b"https://a.test/p;r?q#f"]
        deferreds = [self.agent.request(b"GET", uri) for uri in uris]
        connection = self.only().h2()
        for deferred, path in zip(deferreds, [b"/", b"/?q", b"/p;r?q"], strict=True):
            self.answer(connection, path=path)
            self.assertEqual(b"", self.successResultOf(readBody(self.successResultOf(deferred))))

    def test_proxyAgent(self) -> None:
        """Twisted's agent for a proxy sends it the whole URI."""
        agent = ProxyAgent(self.network, self.clock, self.pool)
        deferred = agent.request(b"GET", b"http://a.test/b")
        connection = self.only().tcp(tls=False)
        self.assertTrue(
            connection.transport.writes[0].startswith(b"GET http://a.test/b HTTP/1.1\r\n")
        )
        connection.peer.send(OK11)
        self.assertEqual(b"hi", read(self.successResultOf(deferred)).octets)

    def test_invalid(self) -> None:
        """A request that cannot be sent is a failed Deferred, as of any other."""
        deferred = self.agent.request(b"GET", b"https://a.test/", Headers({b"x": [b"a\x00"]}))
        self.failureResultOf(deferred, InvalidRequest)
        self.assertEqual([], self.dials)

    def test_cancelled(self) -> None:
        """Cancelling works through Twisted's agent too."""
        deferred = self.agent.request(b"GET", b"https://a.test/")
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.assertTrue(self.only().isCancelled)

    def test_sameAttributes(self) -> None:
        """What may be set on Twisted's pool may be set on this one, with the same defaults."""
        stock = HTTPConnectionPool(self.clock)
        names = (
            "persistent",
            "maxPersistentPerHost",
            "cachedConnectionTimeout",
            "retryAutomatically",
        )
        for name in names:
            self.assertEqual(getattr(stock, name), getattr(self.pool, name), name)


class WindowTests(PoolTestCase):
    """Whose windows the connections have."""

    options: ClassVar[dict[str, Any]] = {"window_manager": AutoTuningFlowControlManager}

    def test_plugged(self) -> None:
        """Each connection has the class that the pool was given."""
        self.send().addErrback(lambda _: None)
        peer = self.dials[0].h2().peer
        self.assertIn(b"\0\4\0\0\xff\xff", peer.expect(frames.SETTINGS).payload)
        self.assertNotIn(frames.WINDOW_UPDATE, [frame.kind for frame in peer.drain()])

    def test_refused(self) -> None:
        """One that no connection could have is found out at once."""

        class Wrong(FlowControlManager):
            initial_stream_window = -1

        self.assertRaises(ValueError, ConnectionPool, self.clock, window_manager=Wrong)


class FrameTests(PoolTestCase):
    """What a pool tells for debugging."""

    lines: ClassVar[list[str]] = []
    options: ClassVar[dict[str, Any]] = {"onFrame": lines.append}

    def test_frames(self) -> None:
        """onFrame is told of each frame, in one line, sent or received."""
        self.warm()
        self.assertTrue(any(line.startswith("sent HEADERS stream=1") for line in self.lines))
        self.assertTrue(any(line.startswith("received SETTINGS ") for line in self.lines))
        self.assertNotIn("\n", "".join(self.lines))
