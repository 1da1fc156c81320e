"""
Tests for the pool, its origins, leases and dials: what becomes of requests.

Each test drives :class:`txhyper.client.pool.ConnectionPool` through an agent, against scripted
peers in memory.
"""

from __future__ import annotations

import gc
from typing import Any
from unittest import mock

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent as StockAgent
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from tests.client.network import Connection, Network, read
from txhyper import Agent, Bounds, ConnectionPool
from txhyper.errors import (
    ConnectionTerminated,
    ConnectionUnusable,
    GoneAway,
    HandshakeTimedOut,
    HTTP11Required,
    InvalidRequest,
    NegotiationFailed,
    StreamRefused,
)

URI = b"https://example.com/"

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, HTTP_1_1_REQUIRED = 0, 2, 7, 8, 13
MAX_CONCURRENT_STREAMS = 3


@implementer(IBodyProducer)
class Body:
    """A body that is written at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)
        self.starts = 0

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Count, and write."""
        self.starts += 1
        consumer.write(self.data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left."""

    def resumeProducing(self) -> None:
        """Nothing is left."""

    def stopProducing(self) -> None:
        """Nothing is left."""


def cancelled(deferred: Deferred[Any]) -> Deferred[Any]:
    """The same, cancelled."""
    deferred.cancel()
    return deferred


class PoolCase(SynchronousTestCase):
    """An agent, its pool and a network."""

    attempts = 5

    def setUp(self) -> None:
        """Nothing is connected yet; at the end no timer is left."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.pool = ConnectionPool(self.clock, bounds=Bounds(attempts=self.attempts))
        self.agent = Agent.usingEndpointFactory(self.clock, self.network, self.pool)
        self.addCleanup(self.leaveNothing)

    def leaveNothing(self) -> None:
        """Close; every connection goes, every Deferred fires and no timer stays."""
        closed = self.agent.close()
        self.network.settle()
        for connection in self.network.connections:
            if connection.negotiator is not None:
                connection.lose()
        self.successResultOf(closed)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual({}, self.pool._origins)

    def get(self, uri: bytes = URI, method: bytes = b"GET", body: Any = None) -> Deferred[Any]:
        """A request."""
        return self.agent.request(method, uri, None, body)

    def only(self) -> Connection:
        """The only connection that was dialled."""
        (connection,) = self.network.connections
        return connection

    def reasonOf(self, deferred: Deferred[Any], expected: type[Exception]) -> Any:
        """The error of ours in a failed request."""
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        reason = failure.value.reasons[0].value
        self.assertIsInstance(reason, expected)
        return reason

    def body(self, deferred: Deferred[Any]) -> bytes:
        """The complete body of a response that is here."""
        reader = read(self.successResultOf(deferred))
        assert reader.reason is not None
        reader.reason.trap(ResponseDone)
        return reader.octets


class DialTests(PoolCase):
    """The first connection to an origin."""

    def test_oneDialForAll(self) -> None:
        """Simultaneous first requests share one dial, and then one connection."""
        deferreds = [self.get(URI + b"%d" % n) for n in range(20)]
        connection = self.only().h2()
        for n in range(20):
            request = connection.peer.expectHeaders()
            self.assertEqual(b"/%d" % n, request[b":path"])
            connection.answer(request.streamId, b"%d" % n)
        self.assertEqual([b"%d" % n for n in range(20)], [self.body(d) for d in deferreds])
        self.assertEqual(1, len(self.network.connections))

    def test_otherOriginsDialForThemselves(self) -> None:
        """Scheme, host and port make an origin."""
        for uri in (URI, b"https://example.com:8443/", b"https://example.org/"):
            self.get(uri).addErrback(lambda _: None)
        self.assertEqual(3, len(self.network.connections))

    def test_failureIsEverybodys(self) -> None:
        """A failed dial fails all who wait, with Twisted's own error; the next one dials anew."""
        deferreds = [self.get() for _ in range(3)]
        self.only().connecting.errback(error.ConnectionRefusedError())
        for deferred in deferreds:
            self.failureResultOf(deferred, error.ConnectError)
        self.get().addErrback(lambda _: None)
        self.assertEqual(2, len(self.network.connections))

    def test_endpointFactoryRaises(self) -> None:
        """An endpoint that cannot be made is the request's failure."""
        with mock.patch.object(self.network, "endpointForURI", side_effect=KeyError("no route")):
            self.failureResultOf(self.get(), KeyError)

    def test_refusedByTLS(self) -> None:
        """A handshake that fails is told as such, to all who wait."""
        deferreds = [self.get() for _ in range(2)]
        self.only().tcp().lose()
        for deferred in deferreds:
            self.assertIn("handshake", str(self.reasonOf(deferred, NegotiationFailed)))

    def test_handshakeTakesTooLong(self) -> None:
        """TCP alone is not enough: a peer that never completes TLS is given up."""
        deferred = self.get()
        connection = self.only().tcp()
        self.clock.advance(29)
        self.assertNoResult(deferred)
        self.clock.advance(1)
        late = self.reasonOf(deferred, HandshakeTimedOut)
        self.assertIn("handshakeTimeout", str(late))
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual([], connection.transport.writes)

    def test_cancelOneOfTwo(self) -> None:
        """A waiter that leaves takes the dial with it only if it is the last."""
        first, second = self.get(), self.get()
        first.cancel()
        self.reasonOf(first, CancelledError)
        self.assertFalse(self.only().isCancelled)
        second.cancel()
        self.reasonOf(second, CancelledError)
        self.assertTrue(self.only().isCancelled)

    def test_cancelInTheHandshake(self) -> None:
        """The last waiter that leaves during the handshake ends the connection."""
        deferred = self.get()
        connection = self.only().tcp()
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual([], connection.transport.writes)

    def test_preparedBeforeTheDial(self) -> None:
        """A request that cannot be sent dials nothing."""
        body = Body(b"abc")
        body.length = -1
        self.failureResultOf(self.get(method=b"POST", body=body), InvalidRequest)
        self.assertEqual([], self.network.connections)

    def test_notOverHTTP2(self) -> None:
        """A field of HTTP/1.1 is found out when HTTP/2 was chosen; the connection lives."""
        from twisted.web.http_headers import Headers

        bad = self.agent.request(b"GET", URI, Headers({b"upgrade": [b"websocket"]}))
        good = self.get()
        connection = self.only().h2()
        self.failureResultOf(bad, InvalidRequest)
        connection.answer(connection.peer.expectHeaders().streamId)
        self.assertEqual(b"", self.body(good))


class QueueTests(PoolCase):
    """More requests than streams."""

    def test_firstInFirstOut(self) -> None:
        """Beyond the peer's limit requests wait, and go in the order in which they came."""
        deferreds = [self.get(URI + b"%d" % n) for n in range(200)]
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 3})
        seen = []
        # Before the limit was known, a hundred had gone.
        for _ in range(200):
            request = connection.peer.expectHeaders()
            seen.append(request[b":path"])
            connection.answer(request.streamId)
        self.assertEqual([b"/%d" % n for n in range(200)], seen)
        for deferred in deferreds:
            self.body(deferred)
        self.assertEqual(1, len(self.network.connections))

    def test_cancelInTheQueue(self) -> None:
        """Nothing is sent for a request that left the queue, and the others go on."""
        first = self.get()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second, third = self.get(URI + b"2"), self.get(URI + b"3")
        second.cancel()
        self.reasonOf(second, CancelledError)
        connection.answer(connection.peer.expectHeaders().streamId)
        self.body(first)
        request = connection.peer.expectHeaders()
        self.assertEqual(b"/3", request[b":path"])
        connection.answer(request.streamId)
        self.body(third)

    def test_cancelOnTheWire(self) -> None:
        """One RST_STREAM, and the slot is the next one's at once."""
        first = self.get()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.get()
        connection.peer.expectHeaders(1)
        first.cancel()
        self.reasonOf(first, CancelledError)
        self.assertEqual(CANCEL, connection.peer.expectReset(1))
        connection.peer.expectHeaders(3)
        connection.answer(3)
        self.body(second)

    def test_secondConnection(self) -> None:
        """With more connections allowed, a full one is a reason to dial."""
        self.pool.maxConnectionsPerHost = 2
        first = self.get()
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.get()
        two = self.network.connections[1].h2({MAX_CONCURRENT_STREAMS: 1})
        # Both are full: it waits where it is shortest.
        third = self.get()
        self.assertEqual(2, len(self.network.connections))
        one.answer(1)
        two.answer(1)
        for connection in (one, two):
            connection.peer.drain()
        self.body(first)
        self.body(second)
        one.answer(3)
        self.body(third)


class IdleTests(PoolCase):
    """Connections with nothing to do."""

    def test_usedAgain(self) -> None:
        """A warm connection takes the next request."""
        deferred = self.get()
        connection = self.only().h2()
        connection.answer(1)
        self.body(deferred)
        again = self.get()
        connection.answer(3)
        self.body(again)
        self.assertEqual(1, len(self.network.connections))

    def test_closedInTime(self) -> None:
        """An idle connection is closed after cachedConnectionTimeout, with a farewell."""
        self.pool.cachedConnectionTimeout = 10
        self.assertEqual(10, self.pool.cachedConnectionTimeout)
        deferred = self.get()
        connection = self.only().h2()
        connection.answer(1)
        self.body(deferred)
        self.clock.advance(9)
        again = self.get()
        connection.answer(3)
        self.body(again)
        # The first time was up, but the connection had been busy since.
        self.clock.advance(1)
        self.assertFalse(connection.transport.isClosing)
        self.clock.advance(9)
        self.assertTrue(connection.transport.isClosing)
        connection.peer.expectGoAway()

    def test_notPersistent(self) -> None:
        """A pool that keeps nothing closes as soon as there is nothing to do."""
        self.pool.persistent = False
        deferred = self.get()
        connection = self.only().h2()
        connection.answer(1)
        self.body(deferred)
        self.assertTrue(connection.transport.isClosing)

    def test_forgotten(self) -> None:
        """Of an origin without connections nothing is kept."""
        deferred = self.get()
        connection = self.only().h2()
        connection.answer(1)
        self.body(deferred)
        self.assertEqual(1, len(self.pool._origins))
        connection.lose()
        self.assertEqual({}, self.pool._origins)

    def test_aDialThatNobodyWaitsFor(self) -> None:
        """A connection of HTTP/1.1 that was dialled for a request served meanwhile is kept."""
        first = self.get()
        one = self.only().tcp().tls(b"http/1.1")
        second = self.get()
        one.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.body(first)
        one.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.body(second)
        two = self.network.connections[1].tcp().tls(b"http/1.1")
        self.assertFalse(two.transport.isClosing)
        self.reasonOf(cancelled(self.get()), CancelledError)
        self.assertEqual(2, len(self.network.connections))


class HTTP11Tests(PoolCase):
    """Servers without HTTP/2."""

    RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

    def test_fanOut(self) -> None:
        """When it turns out to be HTTP/1.1, each waiting request gets a connection of its own."""
        deferreds = [self.get() for _ in range(3)]
        self.only().tcp().tls(None)
        self.assertEqual(3, len(self.network.connections))
        for connection in self.network.connections[1:]:
            connection.tcp().tls(b"http/1.1")
        for connection, deferred in zip(self.network.connections, deferreds, strict=True):
            self.assertTrue(connection.transport.writes[0].startswith(b"GET / HTTP/1.1\r\n"))
            connection.peer.send(self.RESPONSE)
            self.assertEqual(b"hi", self.body(deferred))
        # Of those that are idle now, no more are kept than maxPersistentPerHost.
        self.assertEqual(
            [True, False, False], [c.transport.isClosing for c in self.network.connections]
        )

    def test_keepNone(self) -> None:
        """maxPersistentPerHost 0 keeps none."""
        self.pool.maxPersistentPerHost = 0
        deferred = self.get()
        connection = self.only().tcp().tls(None)
        connection.peer.send(self.RESPONSE)
        self.body(deferred)
        self.assertTrue(connection.transport.isClosing)

    def test_failedDialsFailTheirOwn(self) -> None:
        """Each dial that fails takes one waiter with it: the others still have theirs."""
        first = self.get()
        one = self.only().tcp().tls(None)
        second, third = self.get(), self.get()
        self.network.connections[1].connecting.errback(error.ConnectionRefusedError())
        self.failureResultOf(second, error.ConnectError)
        self.assertNoResult(third)
        third.cancel()
        self.reasonOf(third, CancelledError)
        self.assertTrue(self.network.connections[2].isCancelled)
        one.peer.send(self.RESPONSE)
        self.body(first)

    def test_plainHTTP(self) -> None:
        """Without TLS there is nothing to negotiate."""
        deferred = self.get(b"http://example.com/x")
        connection = self.only().tcp(tls=False)
        self.assertIn(b"Host: example.com\r\n", connection.transport.writes[0])
        connection.peer.send(self.RESPONSE)
        response = self.successResultOf(deferred)
        self.assertEqual(((b"HTTP", 1, 1), None), (response.version, response.streamId))
        read(response)

    def test_required(self) -> None:
        """HTTP_1_1_REQUIRED: the request goes on a new connection that offers nothing else."""
        deferred = self.get()
        one = self.only().h2()
        self.assertEqual([b"h2", b"http/1.1"], one.offers)
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.assertNoResult(deferred)
        two = self.network.connections[1]
        self.assertEqual([b"http/1.1"], two.offers)
        two.tcp().tls(b"http/1.1")
        two.peer.send(self.RESPONSE)
        self.assertEqual(b"hi", self.body(deferred))
        # It is remembered: the HTTP/2 connection takes no more, and was closed when idle.
        self.assertTrue(one.transport.isClosing)

    def test_requiredForSeveral(self) -> None:
        """Each request that was refused over HTTP/2 gets its connection, the others finish."""
        deferreds = [self.get() for _ in range(3)]
        one = self.only().h2()
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.network.connections[1].tcp().tls(b"http/1.1")
        one.peer.sendReset(3, HTTP_1_1_REQUIRED)
        self.network.connections[2].tcp().tls(b"http/1.1")
        one.answer(5, b"h2")
        for connection in self.network.connections[1:]:
            connection.peer.send(self.RESPONSE)
        self.assertEqual([b"hi", b"hi", b"h2"], [self.body(d) for d in deferreds])

    def test_requiredForABodyThatHasGone(self) -> None:
        """A body cannot be produced twice: the caller is told."""
        deferred = self.get(method=b"POST", body=Body(b"x"))
        self.only().h2().peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.reasonOf(deferred, HTTP11Required)


class RetryTests(PoolCase):
    """What is sent again, and what is not (RFC 9113 section 8.7)."""

    def test_goAway(self) -> None:
        """Streams up to the last id finish, those above go to a new connection, once."""
        deferreds = [self.get(method=b"POST") for _ in range(3)]
        one = self.only().h2()
        one.peer.sendGoAway(3, INTERNAL_ERROR)
        two = self.network.connections[1].h2()
        request = two.peer.expectHeaders(1)
        self.assertEqual(b"POST", request[b":method"])
        two.answer(1, b"third")
        one.answer(1, b"first")
        one.answer(3, b"second")
        self.assertEqual([b"first", b"second", b"third"], [self.body(d) for d in deferreds])
        self.assertTrue(one.transport.isClosing)

    def test_goAwayForever(self) -> None:
        """A server that always says GOAWAY gets a bounded number of connections."""
        deferred = self.get()
        for n in range(5):
            self.network.connections[n].h2().peer.sendGoAway(0, NO_ERROR, b"not today")
        gone = self.reasonOf(deferred, GoneAway)
        self.assertEqual((0, b"not today"), (gone.code, gone.debug_data))
        self.assertEqual(5, len(self.network.connections))

    def test_queuedWhenItGoesAway(self) -> None:
        """Those that had waited for a slot move on, whatever they carry."""
        first = self.get()
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        body = Body(b"abc")
        second = self.get(method=b"POST", body=body)
        one.peer.sendGoAway(1)
        two = self.network.connections[1].h2()
        two.peer.expectHeaders(1)
        two.answer(1)
        one.answer(1)
        self.body(first)
        self.body(second)
        self.assertEqual(1, body.starts)

    def test_refused(self) -> None:
        """REFUSED_STREAM is tried again on the same connection, and not forever."""
        deferred = self.get(method=b"POST")
        connection = self.only().h2()
        for n in range(5):
            self.assertNoResult(deferred)
            connection.peer.expectHeaders(2 * n + 1)
            connection.peer.sendReset(2 * n + 1, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)
        connection.peer.expectNothing()

    def test_notAutomatically(self) -> None:
        """retryAutomatically False means never."""
        self.pool.retryAutomatically = False
        deferred = self.get()
        self.only().h2().peer.sendReset(1, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)

    def test_startedBody(self) -> None:
        """A body that has been started is not sent again, even if nothing was done with it."""
        body = Body(b"abc")
        deferred = self.get(method=b"PUT", body=body)
        self.only().h2().peer.sendReset(1, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)
        self.assertEqual(1, body.starts)

    def warm(self) -> Connection:
        """A connection that has served a request."""
        deferred = self.get()
        connection = self.only().h2()
        connection.peer.expectHeaders(1)
        connection.answer(1)
        self.body(deferred)
        return connection

    def test_idleConnectionCloses(self) -> None:
        """A GET that meets the end of an idle connection is sent again; nobody notices."""
        connection = self.warm()
        deferred = self.get()
        connection.peer.expectHeaders(3)
        connection.lose()
        two = self.network.connections[1].h2()
        two.answer(1, b"again")
        self.assertEqual(b"again", self.body(deferred))

    def test_postIsNeverSentTwice(self) -> None:
        """A POST that may have been processed fails instead."""
        connection = self.warm()
        deferred = self.get(method=b"POST")
        connection.peer.expectHeaders(3)
        connection.lose()
        self.reasonOf(deferred, ConnectionTerminated)
        self.assertEqual(1, len(self.network.connections))

    def test_freshConnectionCloses(self) -> None:
        """A connection that is lost in its first request was no idle one: the caller is told."""
        deferred = self.get()
        self.only().h2().lose()
        self.reasonOf(deferred, ConnectionTerminated)

    def test_neverAfterTheHead(self) -> None:
        """After the head the body fails, and nothing is sent again."""
        connection = self.warm()
        deferred = self.get()
        connection.peer.sendHeaders(3, [(b":status", b"200")])
        reader = read(self.successResultOf(deferred))
        connection.lose()
        assert reader.reason is not None
        reader.reason.trap(ResponseFailed)
        self.assertEqual(1, len(self.network.connections))


class BoundedRetryTests(PoolCase):
    """The bound of retries is configurable."""

    attempts = 1

    def test_once(self) -> None:
        """One attempt is no retry."""
        deferred = self.get()
        self.only().h2().peer.sendReset(1, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)


class CloseTests(PoolCase):
    """closeCachedConnections."""

    def test_nothingToClose(self) -> None:
        """A pool without connections is closed at once."""
        self.successResultOf(self.pool.closeCachedConnections())

    def test_finishes(self) -> None:
        """Open requests finish; then the connection says farewell; then it is told."""
        deferred = self.get()
        connection = self.only().h2()
        closed = self.pool.closeCachedConnections()
        self.assertNoResult(closed)
        connection.answer(1, b"done")
        self.assertEqual(b"done", self.body(deferred))
        connection.peer.expectGoAway()
        connection.lose()
        self.assertIsNone(self.successResultOf(closed))

    def test_bounded(self) -> None:
        """After closeTimeout seconds open requests are cut off."""
        deferred = self.get()
        connection = self.only().h2()
        closed = self.pool.closeCachedConnections()
        self.clock.advance(self.pool.closeTimeout)
        self.assertTrue(connection.transport.isAborted)
        connection.lose()
        self.reasonOf(deferred, ConnectionTerminated)
        self.successResultOf(closed)

    def test_dialsEnd(self) -> None:
        """Whoever waits for a dial is told, and the dial ends with it."""
        deferred = self.get()
        self.successResultOf(self.pool.closeCachedConnections())
        self.assertIn("closed", str(self.reasonOf(deferred, ConnectionUnusable)))
        self.assertTrue(self.only().isCancelled)

    def test_cancelledMeanwhile(self) -> None:
        """One that is told may cancel another that is about to be told: each is told once."""
        first, second = self.get(), self.get()
        first.addErrback(lambda _: second.cancel())
        self.successResultOf(self.pool.closeCachedConnections())
        self.successResultOf(first)
        self.reasonOf(second, CancelledError)

    def test_queuedDoNotDialAgain(self) -> None:
        """Whoever waits for a slot is told as well, instead of moving to a new connection."""
        first = self.get()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.get()
        closed = self.pool.closeCachedConnections()
        self.reasonOf(second, ConnectionUnusable)
        self.assertEqual(1, len(self.network.connections))
        connection.answer(1)
        self.body(first)
        connection.lose()
        self.successResultOf(closed)

    def test_usableAfterwards(self) -> None:
        """A pool that was closed may be used again; what is idle by then is looked after."""
        deferred = self.get()
        connection = self.only().h2()
        deferred.addCallback(lambda response: (read(response), self.get(b"https://b.test/"))[1])
        closed = self.pool.closeCachedConnections()
        connection.answer(1)
        connection.lose()
        self.successResultOf(closed)
        two = self.network.connections[1].h2()
        two.answer(1)
        self.body(deferred)
        third = self.get(b"https://c.test/")
        three = self.network.connections[2].h2()
        three.answer(1)
        self.body(third)
        self.clock.advance(240)
        self.assertTrue(two.transport.isClosing and three.transport.isClosing)


class StockAgentTests(PoolCase):
    """Twisted's own Agent, handed the pool."""

    def test_request(self) -> None:
        """It speaks HTTP/2, on one connection, and knows what it asked for."""
        agent = StockAgent.usingEndpointFactory(self.clock, self.network, self.pool)
        deferreds = [agent.request(b"GET", URI + b"a?b=c") for _ in range(2)]
        connection = self.only().h2()
        for deferred in deferreds:
            request = connection.peer.expectHeaders()
            self.assertEqual(
                (b"/a?b=c", b"example.com"), (request[b":path"], request[b":authority"])
            )
            connection.answer(request.streamId, b"hello")
            response = self.successResultOf(deferred)
            self.assertEqual(((b"HTTP", 2, 0), 200), (response.version, response.code))
            self.assertEqual(URI + b"a?b=c", response.request.absoluteURI)
            self.assertEqual(b"hello", read(response).octets)


class GarbageTests(PoolCase):
    """Nothing is kept alive by a circle once a response is out."""

    def test_noCircles(self) -> None:
        """Exchange, lease, response and stream go as soon as nobody holds the response."""

        def alive() -> dict[str, int]:
            names = ("Exchange", "Lease", "Response", "Stream", "Request")
            found = [type(o).__name__ for o in gc.get_objects() if "txhyper" in str(type(o))]
            return {name: found.count(name) for name in names}

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = alive()
        deferred = self.get()
        self.only().h2().answer(1, b"x")
        response = self.successResultOf(deferred)
        self.assertEqual(before["Exchange"] + 1, alive()["Exchange"])
        read(response)
        del response, deferred
        self.assertEqual(before, alive())


class LogTests(SynchronousTestCase):
    """What a pool tells."""

    def test_frames(self) -> None:
        """onFrame is told of each frame, in a line."""
        clock = Clock()
        network = Network(clock)
        lines: list[str] = []
        pool = ConnectionPool(clock, onFrame=lines.append)
        agent = Agent.usingEndpointFactory(clock, network, pool)
        agent.request(b"GET", URI).addErrback(lambda _: None)
        network.connections[0].h2()
        clock.advance(0)
        self.assertTrue(any(line.startswith("sent HEADERS stream=1") for line in lines))
        self.assertTrue(any(line.startswith("received SETTINGS ") for line in lines))
        agent.close()
        clock.advance(30)
        network.settle()
