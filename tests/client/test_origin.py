"""Tests for :mod:`txhyper.client.origin`: which connection takes a request, and who gets none."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.web.http_headers import Headers

from tests.client.scene import (
    HTTP_1_1_REQUIRED,
    MAX_CONCURRENT_STREAMS,
    OK11,
    Connection,
    PoolTestCase,
    Producer,
    Tracked,
)
from txhyper.client.origin import Origin
from txhyper.client.route import Route
from txhyper.errors import (
    ConnectionTerminated,
    ConnectionUnusable,
    HTTP11Required,
    InvalidRequest,
    TotalTimedOut,
)
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.timeouts import Timeouts


class SharedDialTests(PoolTestCase):
    """An origin that nothing is known of yet."""

    def test_oneDialForAll(self) -> None:
        """Simultaneous first requests share one dial, then one connection, in their order."""
        deferreds = self.sendSome(20)
        connection = self.only().h2()
        for number in range(20):
            self.answer(connection, b"%d" % number, b"/%d" % number)
        self.assertEqual([b"%d" % n for n in range(20)], [self.bodyOf(d) for d in deferreds])
        self.assertEqual(1, len(self.dials))

    def test_retryInTheErrback(self) -> None:
        """A request that is sent when a dial has failed gets a dial of its own."""
        again: list[Any] = []
        first, second = self.sendSome(2)
        first.addErrback(lambda _: again.append(self.send()))
        self.only().connecting.errback(error.ConnectionRefusedError())
        self.failureResultOf(second, error.ConnectionRefusedError)
        self.assertNoResult(again[0])
        self.answer(self.dials[1].h2())
        self.bodyOf(again[0])

    def test_endpointCannotBeMade(self) -> None:
        """What the endpoint's factory raises is the request's failure; nothing is remembered."""

        def endpoint() -> Any:
            raise KeyError("no route")

        request = Tracked(b"GET", b"https://a.test/")
        self.failureResultOf(self.pool.send(Route("a", "a", endpoint), request), KeyError)
        self.assertEqual({}, self.pool._origins)

    def test_endpointsFactoryGivesUp(self) -> None:
        """
        Whoever makes an endpoint may cancel the request, or close the pool, whether or not an
        endpoint comes of it: nothing is dialled then, and the request is told why, once.
        """
        for isMade in (True, False):
            for expected in (CancelledError, ConnectionUnusable):
                self.network.connections.clear()
                calls: list[int] = []
                sent: list[Any] = []

                def endpoint(
                    isMade: bool = isMade,
                    expected: Any = expected,
                    calls: list[int] = calls,
                    sent: list[Any] = sent,
                ) -> Any:
                    calls.append(1)
                    if len(calls) == 2:
                        if expected is CancelledError:
                            sent[0].cancel()
                        else:
                            self.pool.closeCachedConnections()
                        if not isMade:
                            raise KeyError("no route")
                    return self.network

                request = Tracked(b"GET", b"https://a.test/")
                sent.append(self.counted(self.pool.send(Route("a", "a", endpoint), request)))
                # It dials once more.
                self.only().tcp().lose()
                self.reasonOf(sent[0], expected)
                self.assertEqual((1, 2), (len(self.dials), len(calls)))
                self.assertEqual({}, self.pool._origins)

    def test_closedByTheFirstThatFails(self) -> None:
        """A pool that is closed when the first request fails dials for none of the others."""
        closed: list[Any] = []
        first = self.send()
        self.only().tcp().lose()
        # It has a second dial, which is the first for this one.
        second = self.send(path=b"/2")
        first.addErrback(lambda _: closed.append(self.pool.closeCachedConnections()))
        self.dials[1].tcp().lose()
        self.successResultOf(closed[0])
        self.reasonOf(second, ConnectionUnusable)
        self.assertEqual(2, len(self.dials))

    def test_closedAndSentAnew(self) -> None:
        """
        Who closes the pool when a request fails, and sends it once more, is known to the pool as
        anybody else.
        """
        again: list[Any] = []
        first = self.send()
        first.addErrback(lambda _: self.pool.closeCachedConnections())
        first.addCallback(lambda _: again.append(self.send()))
        self.only().connecting.errback(error.ConnectionRefusedError())
        self.assertEqual([1], [origin.waiting for origin in self.pool.snapshot()])
        self.successResultOf(self.pool.closeCachedConnections())
        self.reasonOf(again[0], ConnectionUnusable)

    def test_sentAnewByTheFirstThatFails(self) -> None:
        """
        A request that is cancelled as another fails, and sent anew, keeps its time limit: whether
        that has failed for itself, or because the pool was closed.
        """
        route = Route("https://a.test", "https://a.test", lambda: self.network)

        def refuse() -> None:
            self.dials[-1].connecting.errback(error.ConnectionRefusedError())

        for fail in (refuse, self.pool.closeCachedConnections):
            request = Tracked(b"GET", b"https://a.test/2", timeouts=Timeouts(total=5))
            first, second = self.send(), self.counted(self.pool.send(route, request))
            first.addErrback(lambda _, second=second: second.cancel())
            again: list[Any] = []
            second.addErrback(
                lambda _, request=request, again=again: again.append(
                    self.counted(self.pool.send(route, request))
                )
            )
            fail()
            self.clock.advance(5)
            self.reasonOf(again[0], TotalTimedOut)

    def test_manyLeave(self) -> None:
        """What it costs that one gives up does not grow with those who wait behind."""
        with mock.patch.object(Origin, "_time", autospec=True, side_effect=Origin._time) as time:
            for deferred in self.sendSome(100):
                deferred.addErrback(lambda _: None)
                deferred.cancel()
        self.assertLess(time.call_count, 300)

    def test_connectedAndLostAtOnce(self) -> None:
        """
        An endpoint that connects, and whose connection is lost, before ``connect`` returns is tried
        as often as any other, and no more.
        """
        network = self.network

        class Hasty:
            def connect(self, factory: Any) -> Any:
                connecting = network.connect(factory)
                network.connections[-1].tcp().tls()
                network.connections[-1].lose()
                return connecting

        request = Tracked(b"GET", b"https://a.test/")
        deferred = self.counted(self.pool.send(Route("a", "a", Hasty), request))
        self.reasonOf(deferred, ConnectionTerminated)
        self.assertEqual(2, len(self.dials))

    def test_cancelAfterTheConnection(self) -> None:
        """A waiter that leaves when all were served on a first connection ends the second dial."""
        self.pool.maxConnectionsPerHost = 2
        first = self.send()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.send()
        second.cancel()
        self.reasonOf(second, CancelledError)
        self.assertTrue(self.dials[1].isCancelled)
        self.answer(connection)
        self.bodyOf(first)

    def test_closedAndCancelled(self) -> None:
        """Who hears that the pool was closed may cancel the others who wait; each is told once."""
        first, second = self.sendSome(2)
        first.addErrback(lambda _: second.cancel())
        self.successResultOf(self.pool.closeCachedConnections())
        self.reasonOf(second, CancelledError)

    def test_closedFromWithin(self) -> None:
        """A pool that is closed while its waiters are served fails the rest, and dials no more."""
        closed: list[Any] = []
        producer = Producer(onStart=lambda _: closed.append(self.pool.closeCachedConnections()))
        first = self.send(b"POST", body=producer)
        second = self.send()
        connection = self.only().h2()
        self.reasonOf(second, ConnectionUnusable)
        producer.finish()
        self.answer(connection)
        self.bodyOf(first)
        connection.lose()
        self.successResultOf(closed[0])
        self.assertEqual(1, len(self.dials))


class StreamTests(PoolTestCase):
    """Connections that take many requests."""

    def test_firstInFirstOut(self) -> None:
        """200 requests share a connection: beyond the server's limit they wait in their order."""
        deferreds = self.sendSome(200)
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 3})
        for number in range(200):
            self.answer(connection, b"%d" % number, b"/%d" % number)
        self.assertEqual([b"%d" % n for n in range(200)], [self.bodyOf(d) for d in deferreds])
        self.assertEqual(1, len(self.dials))

    def test_limitIsKept(self) -> None:
        """No more streams are open at a time than the server allows."""
        self.warm({MAX_CONCURRENT_STREAMS: 2})
        deferreds = self.sendSome(5)
        connection = self.only()
        one = connection.peer.expectHeaders().streamId
        connection.peer.expectHeaders()
        self.assertNoRequest(connection)
        connection.answer(one)
        connection.peer.expectHeaders()
        self.assertNoRequest(connection)
        self.bodyOf(deferreds.pop(0))
        while deferreds:
            deferred = deferreds.pop()
            deferred.cancel()
            self.reasonOf(deferred, CancelledError)
        self.assertNoRequest(connection)

    def full(self) -> tuple[Connection, Any]:
        """A connection with one slot, which is taken; another may be dialled."""
        self.pool.maxConnectionsPerHost = 2
        deferred = self.send()
        return self.only().h2({MAX_CONCURRENT_STREAMS: 1}), deferred

    def test_secondConnection(self) -> None:
        """With more connections allowed, a full one is a reason to dial, once."""
        one, first = self.full()
        second, third = self.send(path=b"/2"), self.send(path=b"/3")
        self.assertEqual(2, len(self.dials))
        two = self.dials[1].h2({MAX_CONCURRENT_STREAMS: 2})
        self.answer(two, path=b"/2")
        self.answer(two, path=b"/3")
        self.answer(one)
        for deferred in (first, second, third):
            self.bodyOf(deferred)

    def test_manyThatFailAtOnce(self) -> None:
        """However many cannot be sent at all, each is told."""
        headers = Headers({b"upgrade": [b"x"]})
        deferreds = [self.send(headers=headers) for _ in range(1000)]
        self.only().h2()
        for deferred in deferreds:
            self.failureResultOf(deferred, InvalidRequest)

    def test_manyThatFailOverHTTP11(self) -> None:
        """Likewise over HTTP/1.1."""
        deferreds = [self.send(b"CONNECT") for _ in range(1000)]
        self.only().tcp().tls(b"http/1.1")
        for deferred in deferreds:
            self.failureResultOf(deferred, InvalidRequest)

    def test_allFull(self) -> None:
        """When no more may be dialled, a request takes the first slot that is free on any."""
        one, first = self.full()
        second = self.send()
        two = self.dials[1].h2({MAX_CONCURRENT_STREAMS: 1})
        third = self.send(path=b"/3")
        self.assertEqual(2, len(self.dials))
        self.answer(two)
        self.answer(two, path=b"/3")
        self.answer(one)
        for deferred in (first, second, third):
            self.bodyOf(deferred)

    def test_freedDuringTheDial(self) -> None:
        """A slot that comes free is not left empty while a dial for its waiter is under way."""
        one, first = self.full()
        second = self.send(path=b"/2")
        third = self.send(path=b"/3")
        self.answer(one)
        self.answer(one, path=b"/2")
        self.answer(one, path=b"/3")
        for deferred in (first, second, third):
            self.bodyOf(deferred)
        self.assertFalse(self.dials[1].h2().transport.isClosing)

    def test_secondIsRefused(self) -> None:
        """A second connection that cannot be had is no reason to fail: there is the first."""
        one, first = self.full()
        second = self.send(path=b"/2")
        self.dials[1].connecting.errback(error.ConnectionRefusedError())
        self.assertNoResult(second)
        self.answer(one)
        self.answer(one, path=b"/2")
        self.bodyOf(first)
        self.bodyOf(second)

    def test_secondIsRefusedWhileTheFirstIsBusy(self) -> None:
        """Who waits then gets the first slot that comes free, and does not wait for all."""
        self.pool.maxConnectionsPerHost = 2
        first = self.send()
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 2})
        second, third = self.send(path=b"/2"), self.send(path=b"/3")
        self.dials[1].connecting.errback(error.ConnectionRefusedError())
        self.answer(one)
        one.peer.expectHeaders(3)
        self.answer(one, path=b"/3")
        one.answer(3)
        for deferred in (first, second, third):
            self.bodyOf(deferred)

    def test_secondIsRefusedWhileTheFirstCloses(self) -> None:
        """A connection that takes no more requests is none to queue on."""
        first = self.send()
        one = self.only().h2()
        one.peer.sendGoAway(1)
        second = self.send()
        self.dials[1].connecting.errback(error.ConnectionRefusedError())
        self.failureResultOf(second, error.ConnectionRefusedError)
        self.assertEqual(2, len(self.dials))
        one.answer(1)
        self.bodyOf(first)

    def test_noSlotsForNow(self) -> None:
        """
        Where the server allows no streams for now, a request waits, and the connection is not
        taken for an idle one; whether or not another has been tried.
        """
        for maximum in (1, 2):
            self.pool.maxConnectionsPerHost = maximum
            connection = self.warm({MAX_CONCURRENT_STREAMS: 0})
            dials = len(self.dials)
            deferred = self.send()
            for dial in self.dials[dials:]:
                dial.connecting.errback(error.ConnectionRefusedError())
            self.assertEqual(maximum, len(self.dials) - dials + 1)
            self.clock.advance(self.pool.cachedConnectionTimeout + 1)
            self.assertNoRequest(connection)
            self.assertFalse(connection.transport.isClosing)
            connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
            self.answer(connection)
            self.bodyOf(deferred)
            connection.lose()

    def test_secondIsRefusedAndTheFirstLost(self) -> None:
        """Who queued on the first after all may be sent again if it is lost: it was reused."""
        one, first = self.full()
        second = self.send(path=b"/2")
        self.dials[1].connecting.errback(error.ConnectionRefusedError())
        self.answer(one)
        self.bodyOf(first)
        one.peer.expectHeaders()
        one.lose()
        self.answer(self.dials[2].h2(), path=b"/2")
        self.bodyOf(second)

    def test_usedUp(self) -> None:
        """A connection that has no stream ids left is not kept."""
        deferred = self.send()
        connection = self.only().h2()
        with mock.patch.object(HTTP2ClientProtocol, "isUsable", lambda _: False):
            self.answer(connection)
        self.bodyOf(deferred)
        self.assertTrue(connection.transport.isClosing)

    def test_firstCannotBeSent(self) -> None:
        """A connection whose first request could not be sent is not idle while others are open."""
        bad = self.send(headers=Headers({b"upgrade": [b"websocket"]}))
        good = self.send()
        connection = self.only().h2()
        self.failureResultOf(bad, InvalidRequest)
        self.clock.advance(self.pool.cachedConnectionTimeout)
        again = self.send()
        self.assertEqual(1, len(self.dials))
        self.answer(connection)
        self.answer(connection)
        self.bodyOf(good)
        self.bodyOf(again)

    def test_notPersistent(self) -> None:
        """A pool that keeps nothing closes a connection as soon as it has nothing to do."""
        self.pool.persistent = False
        first, second = self.sendSome(2)
        connection = self.only().h2()
        connection.answer(1)
        self.assertFalse(connection.transport.isClosing)
        connection.answer(3)
        self.assertTrue(connection.transport.isClosing)
        self.bodyOf(first)
        self.bodyOf(second)


class QueueTests(PoolTestCase):
    """One queue for all connections of an origin, first in, first out."""

    def test_goneAway(self) -> None:
        """
        Whoever waits for a slot of a connection whose server goes away gets another connection,
        also with a body that could not be sent twice, and where nothing is sent again by itself.
        """
        self.pool.retryAutomatically = False
        first = self.send()
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        producer = Producer()
        second = self.send(b"POST", path=b"/2", body=producer)
        third = self.send(path=b"/3")
        one.peer.sendGoAway(1)
        two = self.dials[1].h2()
        self.assertEqual(b"/2", two.peer.expectHeaders(1)[b":path"])
        producer.finish()
        two.answer(1)
        self.answer(two, path=b"/3")
        one.answer(1)
        for deferred in (first, second, third):
            self.bodyOf(deferred)
        self.assertEqual(2, len(self.dials))

    def test_lost(self) -> None:
        """Likewise of one that breaks while it has no streams to give."""
        one = self.warm({MAX_CONCURRENT_STREAMS: 0})
        deferred = self.send(b"POST")
        one.lose()
        self.answer(self.dials[1].h2())
        self.bodyOf(deferred)

    def test_saturated(self) -> None:
        """A connection is added when those that there are take no more, up to the maximum."""
        self.pool.maxConnectionsPerHost = 3
        deferreds = []
        for number in range(3):
            deferreds += [self.send(path=b"/%d" % number) for _ in range(2)]
            self.assertEqual(number + 1, len(self.dials))
            self.dials[number].h2({MAX_CONCURRENT_STREAMS: 2})
        deferreds += [self.send(path=b"/3") for _ in range(2)]
        (state,) = self.pool.snapshot()
        self.assertEqual(([2, 2, 2], 2), ([s.open for s in state.connections], state.waiting))
        for number in (2, 2, 1, 1, 0, 0):
            self.answer(self.dials[number], path=b"/%d" % number)
        self.answer(self.dials[2], path=b"/3")
        self.answer(self.dials[2], path=b"/3")
        for deferred in deferreds:
            self.bodyOf(deferred)
        self.assertEqual(3, len(self.dials))

    def test_nobodyOvertakes(self) -> None:
        """One that is sent while those before it are being served stands behind them."""
        late: list[Any] = []
        producer = Producer(onStart=lambda _: late.append(self.send(path=b"/late")))
        deferreds = [self.send(b"POST", body=producer), self.send(path=b"/2")]
        connection = self.only().h2()
        producer.finish()
        connection.answer(connection.peer.expectHeaders(1).streamId)
        self.answer(connection, path=b"/2")
        self.answer(connection, path=b"/late")
        for deferred in deferreds + late:
            self.bodyOf(deferred)

    def test_cancelledWhileServed(self) -> None:
        """A connection that has nothing to do since then is kept no longer than others."""
        self.pool.maxConnectionsPerHost = 2
        one = self.warm({MAX_CONCURRENT_STREAMS: 1})
        first = self.send(path=b"/1")
        one.peer.expectHeaders()

        def cancel(_: Any) -> None:
            first.cancel()

        second = self.send(b"POST", path=b"/2", body=Producer(onStart=cancel))
        two = self.dials[1].h2()
        self.reasonOf(first, CancelledError)
        two.peer.expectHeaders()
        self.clock.advance(self.pool.cachedConnectionTimeout)
        self.assertTrue(one.transport.isClosing)
        second.cancel()
        self.reasonOf(second, CancelledError)

    def test_nobodyWaitsAnyMore(self) -> None:
        """A connection without streams to give is idle again when the last who waited leaves."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        first, second = self.send(path=b"/1"), self.send(path=b"/2")
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 0})
        self.answer(connection, path=b"/1")
        self.bodyOf(first)
        self.clock.advance(self.pool.cachedConnectionTimeout)
        self.assertFalse(connection.transport.isClosing)
        second.cancel()
        self.reasonOf(second, CancelledError)
        self.clock.advance(self.pool.cachedConnectionTimeout)
        self.assertTrue(connection.transport.isClosing)

    def test_settingsDoNotKeepAlive(self) -> None:
        """A server that changes its limit all the time keeps no idle connection open by that."""
        connection = self.warm()
        for number in range(10):
            self.clock.advance(self.pool.cachedConnectionTimeout / 10)
            if not connection.transport.isClosing:
                connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 200 + number})
        self.assertTrue(connection.transport.isClosing)


class HTTP11Tests(PoolTestCase):
    """Servers without HTTP/2."""

    def fanOut(self, number: int) -> list[Any]:
        """So many requests, each on a connection of its own."""
        deferreds = self.sendSome(number)
        self.only().tcp().tls(b"http/1.1")
        self.assertEqual(number, len(self.dials))
        for connection in self.dials[1:]:
            connection.tcp().tls(b"http/1.1")
        return deferreds

    def test_fanOut(self) -> None:
        """As soon as it is known, each request that waits gets a dial of its own."""
        deferreds = self.fanOut(3)
        for number, connection in enumerate(self.dials):
            self.assertTrue(connection.transport.writes[0].startswith(b"GET /%d " % number))
            connection.peer.send(OK11)
        for deferred in deferreds:
            self.assertEqual(b"hi", self.bodyOf(deferred))

    def test_reused(self) -> None:
        """An idle connection takes the next request."""
        connection = self.warm11()
        deferred = self.send()
        connection.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))
        self.assertEqual(1, len(self.dials))

    def test_trimmed(self) -> None:
        """Of those that are idle no more than maxPersistentPerHost are kept; the oldest goes."""
        deferreds = self.fanOut(3)
        for connection in self.dials:
            connection.peer.send(OK11)
        closing = [connection.transport.isClosing for connection in self.dials]
        self.assertEqual([True, False, False], closing)
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_busyOnesAreNotTrimmed(self) -> None:
        """Only idle ones count: one that is busy is neither closed for them, nor later."""
        deferreds = self.fanOut(3)
        one, two, three = self.dials
        two.peer.send(OK11)
        three.peer.send(OK11)
        deferreds.append(self.send())
        one.peer.send(OK11)
        self.assertEqual([False] * 3, [c.transport.isClosing for c in self.dials])
        two.peer.send(OK11)
        self.assertEqual([True, False, False], [c.transport.isClosing for c in self.dials])
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_usedAmongSeveral(self) -> None:
        """The time of one among several idle connections ends when it is used."""
        deferreds = self.fanOut(2)
        one, two = self.dials
        for deferred, connection in zip(deferreds, self.dials, strict=True):
            connection.peer.send(OK11)
            self.bodyOf(deferred)
        self.clock.advance(200)
        again = self.send()
        self.clock.advance(40)
        one.peer.send(OK11)
        self.bodyOf(again)
        self.assertEqual([False, True], [c.transport.isClosing for c in (one, two)])

    def test_keepNone(self) -> None:
        """maxPersistentPerHost 0 keeps none."""
        self.pool.maxPersistentPerHost = 0
        self.assertTrue(self.warm11().transport.isClosing)

    def test_closingDoesNotCount(self) -> None:
        """A connection on its way out takes no place of one that is kept."""
        self.pool.maxPersistentPerHost = 3
        deferreds = self.fanOut(3)
        one, two, three = self.dials
        three.peer.send(OK11)
        self.clock.advance(100)
        one.peer.send(OK11)
        two.peer.send(OK11)
        self.clock.advance(140)
        self.assertTrue(three.transport.isClosing)
        self.pool.maxPersistentPerHost = 2
        deferreds.append(self.send())
        one.peer.send(OK11)
        self.assertFalse(one.transport.isClosing)
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_notPersistent(self) -> None:
        """A pool that keeps nothing asks the server to close, and dials for each request."""
        self.pool.persistent = False
        for number in range(2):
            deferred = self.send()
            connection = self.dials[number].tcp().tls(None)
            self.assertIn(b"Connection: close\r\n", connection.transport.writes[0])
            connection.peer.send(OK11)
            self.assertTrue(connection.transport.isClosing)
            connection.lose()
            self.bodyOf(deferred)

    def test_servedMeanwhile(self) -> None:
        """A connection that comes free serves the oldest waiter; the one dialled is kept."""
        one = self.warm11()
        first, second = self.sendSome(2)
        one.peer.send(OK11)
        one.peer.send(OK11)
        self.bodyOf(first)
        self.bodyOf(second)
        two = self.dials[1].tcp().tls(b"http/1.1")
        self.assertFalse(two.transport.isClosing)
        self.assertEqual([], two.transport.writes)
        third, fourth = self.sendSome(2)
        one.peer.send(OK11)
        two.peer.send(OK11)
        self.bodyOf(third)
        self.bodyOf(fourth)

    def test_nobodyWaits(self) -> None:
        """
        A dial whose request was served elsewhere belongs to its origin although nothing else does,
        and what comes of it is idle from the start.
        """
        one = self.warm11()
        deferreds = self.sendSome(2)
        for deferred in deferreds:
            one.peer.send(OK11)
            self.bodyOf(deferred)
        one.lose()
        two = self.dials[1].tcp().tls(b"http/1.1")
        again = self.send()
        two.peer.send(OK11)
        self.bodyOf(again)
        deferreds = self.sendSome(2)
        for deferred in deferreds:
            two.peer.send(OK11)
            self.bodyOf(deferred)
        three = self.dials[2].tcp().tls(b"http/1.1")
        self.clock.advance(self.pool.cachedConnectionTimeout)
        self.assertTrue(three.transport.isClosing)
        self.assertEqual(3, len(self.dials))

    def test_failedDialsFailTheirOwn(self) -> None:
        """A dial that fails takes one waiter with it; one that leaves takes one dial."""
        self.warm11()
        first, second, third = self.sendSome(3)
        self.dials[1].connecting.errback(error.ConnectionRefusedError())
        self.failureResultOf(second, error.ConnectionRefusedError)
        self.assertNoResult(third)
        third.cancel()
        self.reasonOf(third, CancelledError)
        self.assertTrue(self.dials[2].isCancelled)
        self.dials[0].peer.send(OK11)
        self.bodyOf(first)

    def test_oneLeaves(self) -> None:
        """Of two who have a dial each, one that leaves ends one dial and not both."""
        self.warm11()
        first, second, third = self.sendSome(3)
        second.cancel()
        self.reasonOf(second, CancelledError)
        self.assertEqual([True], [True for dial in self.dials if dial.isCancelled])
        (left,) = [d for d in self.dials[1:] if not d.isCancelled]
        left.tcp().tls(b"http/1.1").peer.send(OK11)
        self.dials[0].peer.send(OK11)
        self.bodyOf(first)
        self.bodyOf(third)


class RequiredByGoAwayTests(PoolTestCase):
    """HTTP_1_1_REQUIRED, said of the whole connection."""

    def test_required(self) -> None:
        """The request goes on a new connection, which offers nothing else."""
        deferred = self.send(b"POST")
        self.only().h2().peer.sendGoAway(0, HTTP_1_1_REQUIRED)
        two = self.dials[1]
        self.assertEqual([b"http/1.1"], two.offers)
        two.tcp().tls(b"http/1.1")
        two.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))


class RequiredTests(PoolTestCase):
    """HTTP_1_1_REQUIRED (RFC 9113 section 7)."""

    def test_required(self) -> None:
        """The request goes on a new connection, which offers http/1.1 and nothing else."""
        deferred = self.send(b"POST")
        one = self.only().h2()
        self.assertEqual([b"h2", b"http/1.1"], one.offers)
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.assertNoResult(deferred)
        two = self.dials[1]
        self.assertEqual([b"http/1.1"], two.offers)
        two.tcp().tls(b"http/1.1")
        two.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))
        self.assertTrue(one.transport.isClosing)
        again = self.send()
        two.peer.send(OK11)
        self.bodyOf(again)

    def test_othersFinish(self) -> None:
        """Requests open over HTTP/2 finish there; those that queued move on."""
        deferreds = [self.send()]
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 2})
        deferreds += [self.send() for _ in range(3)]
        # The third gets the slot of the first, before its failure is told.
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.assertEqual(3, len(self.dials))
        for connection in self.dials[1:]:
            connection.tcp().tls(b"http/1.1")
        for connection in self.dials[1:]:
            connection.peer.send(OK11)
        one.answer(3, b"h2")
        self.assertFalse(one.transport.isClosing)
        one.answer(5, b"h2")
        self.assertTrue(one.transport.isClosing)
        self.assertEqual(
            [b"hi", b"h2", b"h2", b"hi"], [self.bodyOf(deferred) for deferred in deferreds]
        )

    def test_dialUnderWay(self) -> None:
        """A dial that has offered HTTP/2 ends; who waited for it has one that does not."""
        first = self.send()
        one = self.only().h2()
        one.peer.sendGoAway(1)
        others = self.sendSome(2)
        offered = self.dials[1]
        self.assertEqual([b"h2", b"http/1.1"], offered.offers)
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.assertTrue(offered.isCancelled)
        new = self.dials[2:]
        self.assertEqual([[b"http/1.1"]] * 3, [dial.offers for dial in new])
        for dial in new:
            dial.tcp().tls(b"http/1.1")
        for dial in new:
            dial.peer.send(OK11)
        for deferred in (first, *others):
            self.assertEqual(b"hi", self.bodyOf(deferred))

    def test_requiredTwice(self) -> None:
        """Hearing it again ends no dial that was made for it."""
        deferreds = self.sendSome(2)
        one = self.only().h2()
        for streamId in (1, 3):
            one.peer.sendReset(streamId, HTTP_1_1_REQUIRED)
        self.assertEqual([False] * 3, [dial.isCancelled for dial in self.dials])
        for dial in self.dials[1:]:
            dial.tcp().tls(b"http/1.1")
        for dial in self.dials[1:]:
            dial.peer.send(OK11)
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_requiredForever(self) -> None:
        """A server that chooses h2 unasked and wants HTTP/1.1 is not asked for ever."""
        deferred = self.send()
        for number in range(self.pool.bounds.attempts):
            self.assertNoResult(deferred)
            self.dials[number].h2().peer.sendReset(1, HTTP_1_1_REQUIRED)
            self.clock.advance(1)
        self.reasonOf(deferred, HTTP11Required)
        self.assertEqual(self.pool.bounds.attempts, len(self.dials))

    def test_mixed(self) -> None:
        """A connection over HTTP/1.1 that is open when it is required stays."""
        connection = self.warm11()
        first, second = self.sendSome(2)
        two = self.dials[1].h2()
        two.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.assertTrue(two.transport.isClosing)
        self.assertFalse(connection.transport.isClosing)
        connection.peer.send(OK11)
        self.bodyOf(first)
        # It is free for the second sooner than the new dial.
        connection.peer.send(OK11)
        self.bodyOf(second)
