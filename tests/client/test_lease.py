"""Tests for :mod:`txhyper.client.lease`: what is sent again, what never, and what is left."""

from __future__ import annotations

import gc
import weakref
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from tests.client.scene import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    OK11,
    REFUSED_STREAM,
    PoolTestCase,
    Producer,
    Tracked,
    WholeBody,
    read,
)
from txhyper.client.lease import Lease
from txhyper.client.route import Route
from txhyper.core.bounds import Bounds
from txhyper.core.retries import FIRST_PAUSE
from txhyper.errors import (
    ConnectionTerminated,
    ConnectionUnusable,
    GoneAway,
    HTTP11Required,
    InvalidRequest,
    StreamRefused,
    StreamReset,
)

INTERNAL_ERROR = 2


class ReplayTests(PoolTestCase):
    """Failures after which the server has certainly done nothing (RFC 9113 section 8.7)."""

    options: ClassVar[dict[str, Any]] = {"bounds": Bounds(attempts=3)}

    def test_goAway(self) -> None:
        """Streams up to GOAWAY's last finish; those above go to a new connection, any method."""
        deferreds = self.sendSome(3, method=b"POST")
        one = self.only().h2()
        one.peer.sendGoAway(3, INTERNAL_ERROR)
        two = self.dials[1].h2()
        self.answer(two, b"third", b"/2")
        one.answer(1, b"first")
        self.assertFalse(one.transport.isClosing)
        one.answer(3, b"second")
        self.assertEqual(
            [b"first", b"second", b"third"], [self.bodyOf(deferred) for deferred in deferreds]
        )
        self.assertTrue(one.transport.isClosing)
        self.assertNoRequest(two)

    def test_queuedBodyMovesOn(self) -> None:
        """A request that waited for a slot moves on, its body not yet started."""
        first = self.send()
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        body = Producer(3)
        second = self.send(b"POST", body=body)
        one.peer.sendGoAway(1)
        self.assertEqual([], body.calls)
        two = self.dials[1].h2()
        self.assertEqual(["start"], body.calls)
        body.write(b"abc")
        body.finish()
        self.answer(two)
        one.answer(1)
        self.bodyOf(first)
        self.bodyOf(second)

    def test_goAwayForever(self) -> None:
        """After bounds.attempts connections the caller gets the last GOAWAY."""
        deferred = self.send()
        for number in range(3):
            self.assertNoResult(deferred)
            self.dials[number].h2().peer.sendGoAway(0, NO_ERROR, b"not today")
            self.clock.advance(1)
        gone = self.reasonOf(deferred, GoneAway)
        self.assertEqual((NO_ERROR, b"not today"), (gone.code, gone.debug_data))
        self.assertEqual(3, len(self.dials))

    def test_queueingIsNoAttempt(self) -> None:
        """
        However often a server goes away, those who only stood in the queue lose nothing.

        This one answers a hundred requests on each connection, as nginx may, and far more wait
        than bounds.attempts times that.
        """
        deferreds = self.sendSome(1000)
        for number in range(10):
            connection = self.dials[number].h2({MAX_CONCURRENT_STREAMS: 100})
            for streamId in range(1, 200, 2):
                connection.peer.expectHeaders(streamId)
                if streamId == 199:
                    connection.peer.sendGoAway(streamId)
                connection.answer(streamId)
            connection.lose()
        for deferred in deferreds:
            self.bodyOf(deferred)
        self.assertEqual(10, len(self.dials))

    def test_refused(self) -> None:
        """REFUSED_STREAM: again on the same connection, bounds.attempts times in all."""
        deferred = self.send(b"POST")
        connection = self.only().h2()
        for number in range(3):
            self.assertNoResult(deferred)
            streamId = connection.peer.expectHeaders().streamId
            self.assertEqual(2 * number + 1, streamId)
            connection.peer.sendReset(streamId, REFUSED_STREAM)
            self.clock.advance(1)
        self.reasonOf(deferred, StreamRefused)
        self.assertNoRequest(connection)

    def test_backOff(self) -> None:
        """Again at once, and then after a pause, in which it may be cancelled."""
        deferred = self.send(b"POST")
        connection = self.only().h2()
        for _ in range(2):
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        self.assertNoRequest(connection)
        self.assertEqual(1, self.pool.snapshot()[0].waiting)
        self.clock.advance(FIRST_PAUSE)
        connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)

    def test_cancelledInThePause(self) -> None:
        """Nothing is sent any more, and no timer is left."""
        deferred = self.send(b"POST")
        connection = self.only().h2()
        for _ in range(2):
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.clock.advance(FIRST_PAUSE)
        self.assertNoRequest(connection)

    def test_closedInThePause(self) -> None:
        """A pool that is closed fails those who rest as well."""
        deferred = self.send(b"POST")
        connection = self.only().h2()
        for _ in range(2):
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        closed = self.pool.closeCachedConnections()
        self.reasonOf(deferred, ConnectionUnusable)
        self.network.settle()
        self.successResultOf(closed)

    def test_refusedOnce(self) -> None:
        """Of a request that was refused once the caller sees the response only."""
        deferred = self.send(b"POST")
        connection = self.only().h2()
        connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        self.answer(connection, b"fine")
        self.assertEqual(b"fine", self.bodyOf(deferred))

    def test_startedBody(self) -> None:
        """A body that was started is never sent again: its producer cannot start twice."""
        for code, expected in (
            (REFUSED_STREAM, StreamRefused),
            (HTTP_1_1_REQUIRED, HTTP11Required),
        ):
            body = Producer()
            origin = f"https://{code}.test"
            deferred = self.send(b"PUT", body=body, origin=origin)
            self.dials[-1].h2().peer.sendReset(1, code)
            self.reasonOf(deferred, expected)
            self.assertEqual(["start", "stop"], body.calls)
        self.assertEqual(2, len(self.dials))

    def test_notAutomatically(self) -> None:
        """With retryAutomatically off nothing is sent again."""
        self.pool.retryAutomatically = False
        deferred = self.send()
        self.only().h2().peer.sendReset(1, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)


class LostTests(PoolTestCase):
    """Failures after which nobody knows what the server has done (RFC 9110 section 9.2.2)."""

    def test_idempotentOnReused(self) -> None:
        """A GET that meets the end of a connection that had served is sent again, unnoticed."""
        one = self.warm()
        deferred = self.send()
        one.peer.expectHeaders()
        one.lose()
        self.answer(self.dials[1].h2(), b"again")
        self.assertEqual(b"again", self.bodyOf(deferred))

    def test_idempotentOnReusedHTTP11(self) -> None:
        """Likewise over HTTP/1.1, where servers close idle connections all the time."""
        one = self.warm11()
        deferred = self.send()
        self.assertTrue(one.transport.writes)
        one.lose()
        self.dials[1].tcp().tls(None).peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))

    def test_idempotentOnOneOfTwo(self) -> None:
        """A connection is reused however it was found: among several, or as it came free."""
        self.warm11()
        self.send().addErrback(lambda _: None)
        found = self.send()
        one, two = self.dials
        two.tcp().tls(b"http/1.1")
        waited = self.send()
        two.peer.send(OK11)
        self.bodyOf(found)
        two.lose()
        self.assertNoResult(waited)
        # The dial that was made for it is still there.
        three = self.dials[2].tcp().tls(b"http/1.1")
        three.peer.send(OK11)
        self.bodyOf(waited)
        again = self.send()
        three.lose()
        self.assertNoResult(again)
        one.peer.send(OK11)
        one.peer.send(OK11)
        self.bodyOf(again)

    def test_idempotentOnNew(self) -> None:
        """A new connection may be lost, as by a server that stops as it is asked: once more."""
        deferreds = [self.send(path=path) for path in (b"/a", b"/b")]
        self.only().h2().lose()
        for deferred, path in zip(deferreds, (b"/a", b"/b"), strict=True):
            if path == b"/a":
                self.dials[1].h2()
            self.answer(self.dials[1], b"again", path)
            self.assertEqual(b"again", self.bodyOf(deferred))
        overHTTP11 = self.send(origin="https://b.test")
        self.dials[2].tcp().tls(b"http/1.1").lose()
        self.dials[3].tcp().tls(b"http/1.1").peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(overHTTP11))

    def test_idempotentOnTwoNewOnes(self) -> None:
        """If the next one is lost as well, then perhaps because of the request: it is told."""
        deferred = self.send()
        self.only().h2().lose()
        self.dials[1].h2().lose()
        self.reasonOf(deferred, ConnectionTerminated)
        overHTTP11 = self.send()
        self.dials[2].tcp().tls(b"http/1.1").lose()
        self.dials[3].tcp().tls(b"http/1.1").lose()
        self.reasonOf(overHTTP11, ConnectionTerminated)
        self.assertEqual(4, len(self.dials))

    def test_idempotentOnReusedAndNew(self) -> None:
        """That an idle connection was lost before counts for nothing; a cut handshake does."""
        one = self.warm()
        deferred = self.send()
        one.lose()
        self.dials[1].tcp().lose()
        self.dials[2].h2().lose()
        self.reasonOf(deferred, ConnectionTerminated)
        two = self.warm()
        deferred = self.send()
        two.lose()
        self.dials[4].h2().lose()
        self.clock.advance(1)
        self.answer(self.dials[5].h2(), b"again")
        self.assertEqual(b"again", self.bodyOf(deferred))

    def test_postOnNew(self) -> None:
        """A POST that was sent is never sent again, on a new connection as on any other."""
        deferred = self.send(b"POST")
        self.only().h2().lose()
        self.reasonOf(deferred, ConnectionTerminated)
        self.assertEqual(1, len(self.dials))

    def test_postIsNeverSentTwice(self) -> None:
        """A POST that may have been processed fails, over HTTP/2 and over HTTP/1.1."""
        for warm in (self.warm, self.warm11):
            connection = warm()
            dialled = len(self.dials)
            deferred = self.send(b"POST")
            self.clock.advance(0)
            connection.lose()
            self.reasonOf(deferred, ConnectionTerminated)
            self.assertEqual(dialled, len(self.dials))

    def test_resetIsAnAnswer(self) -> None:
        """A stream that the server reset for another reason is not sent again."""
        one = self.warm()
        deferred = self.send()
        one.peer.sendReset(one.peer.expectHeaders().streamId, INTERNAL_ERROR)
        self.reasonOf(deferred, StreamReset)
        self.assertNoRequest(one)

    def test_neverAfterTheHead(self) -> None:
        """Once the response is out, the body fails and nothing is sent again."""
        one = self.warm()
        deferred = self.send()
        one.peer.sendHeaders(one.peer.expectHeaders().streamId, [(b":status", b"200")])
        reader = read(self.successResultOf(deferred))
        one.lose()
        assert reader.reason is not None
        self.assertIsInstance(reader.reason.value, ResponseFailed)
        self.assertEqual(1, len(self.dials))


class CancelTests(PoolTestCase):
    """The three places in which a request may be given up."""

    def test_amongTheWaiters(self) -> None:
        """One of two who wait for a dial leaves: the dial goes on, nothing is sent for it."""
        first, second = self.sendSome(2)
        first.cancel()
        self.reasonOf(first, CancelledError)
        self.assertFalse(self.only().isCancelled)
        connection = self.only().h2()
        self.answer(connection, path=b"/1")
        self.bodyOf(second)
        self.assertNoRequest(connection)

    def test_onItsWayElsewhere(self) -> None:
        """A request that waits for its second connection leaves that dial, and it ends."""
        deferred = self.send()
        self.only().h2().peer.sendGoAway(0)
        self.assertNoResult(deferred)
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.assertTrue(self.dials[1].isCancelled)

    def test_inTheQueue(self) -> None:
        """Nothing is sent for a request that left a connection's queue; the others move up."""
        first = self.send()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second, third = self.send(path=b"/2"), self.send(path=b"/3")
        second.cancel()
        self.reasonOf(second, CancelledError)
        self.answer(connection)
        self.answer(connection, path=b"/3")
        self.bodyOf(first)
        self.bodyOf(third)

    def test_onTheWire(self) -> None:
        """One RST_STREAM; its slot is the next one's at once, and the connection lives."""
        first = self.send()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.send(path=b"/2")
        connection.peer.expectHeaders(1)
        first.cancel()
        self.reasonOf(first, CancelledError)
        self.assertEqual(CANCEL, connection.peer.expectReset(1))
        self.answer(connection, path=b"/2")
        self.bodyOf(second)

    def test_onTheWireHTTP11(self) -> None:
        """Over HTTP/1.1 it costs the connection, and it is not sent again."""
        self.warm11()
        deferred = self.send()
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.assertTrue(self.only().transport.isAborted)
        self.only().lose()
        self.assertEqual(1, len(self.dials))

    def test_anotherFailed(self) -> None:
        """A caller who cancels the rest when one request fails gets nothing of the rest sent."""
        bad = self.send(headers=Headers({b"upgrade": [b"websocket"]}))
        good = self.send()
        failures: list[Any] = []

        def giveUp(failure: Any) -> None:
            failures.append(failure.value)
            good.cancel()

        bad.addErrback(giveUp)
        connection = self.only().h2()
        self.assertIsInstance(failures[0], InvalidRequest)
        self.reasonOf(good, CancelledError)
        self.assertNoRequest(connection)
        (alive,) = self.pool._origins["https://a.test"].connections
        self.assertEqual(0, alive.openCount)

    def test_whenTheDialFailed(self) -> None:
        """Each is told once, although the first one told cancels the second."""
        first, second = self.sendSome(2)
        first.addErrback(lambda _: second.cancel())
        self.only().connecting.errback(OSError())
        self.successResultOf(first)
        self.reasonOf(second, CancelledError)


class MemoryTests(PoolTestCase):
    """Nothing is kept once a response is out, and nothing waits for the garbage collector."""

    def setUp(self) -> None:
        """Without a collector."""
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def tracked(self, body: Any = None) -> tuple[Any, weakref.ref[Any]]:
        """A request's Deferred, and a weak reference to the request."""
        request = Tracked(b"GET" if body is None else b"PUT", b"https://a.test/", None, body)
        deferred = self.pool.send(Route("a", "a", lambda: self.network), request)
        return deferred, weakref.ref(request)

    def test_response(self) -> None:
        """A request goes as soon as nobody holds its response, with a body as without."""
        for body in (None, WholeBody(b"x")):
            deferred, request = self.tracked(body)
            connection = self.only()
            if connection.negotiator is None:
                connection.h2()
            connection.answer(connection.peer.expectHeaders().streamId, b"x")
            response = self.successResultOf(deferred)
            self.assertIsNotNone(request())
            read(response)
            del response, deferred
            self.assertIsNone(request())

    def test_leaseGoesFirst(self) -> None:
        """The lease goes when the response is out, although its body is still to come."""

        def leases() -> int:
            return sum(type(found) is Lease for found in gc.get_objects())

        before = leases()
        deferred = self.send()
        self.assertEqual(before + 1, leases())
        connection = self.only().h2()
        connection.peer.sendHeaders(1, [(b":status", b"200")])
        response = self.successResultOf(deferred)
        self.assertEqual(before, leases())
        read(response)

    def test_failure(self) -> None:
        """A request that failed, or was cancelled, goes with its Deferred."""
        for end in (lambda d: d.cancel(), lambda d: self.dials[-1].connecting.errback(OSError())):
            deferred, request = self.tracked()
            end(deferred)
            self.failureResultOf(deferred)
            del deferred
            self.assertIsNone(request())
