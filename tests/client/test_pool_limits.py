"""Tests for what a pool allows a connection, and for what it tells people of its connections."""

from __future__ import annotations

from twisted.logger import LogLevel, globalLogPublisher

from tests.client.scene import MAX_CONCURRENT_STREAMS, OK11, PoolTestCase
from txhyper.protocol.states import ConnectionState


class RequestCountTests(PoolTestCase):
    """``maxRequestsPerConnection``."""

    def test_enough(self) -> None:
        """After so many a connection takes no more, finishes what is open, and goes."""
        self.pool.maxRequestsPerConnection = 2
        deferreds = self.sendSome(3)
        one = self.dials[0].h2()
        self.answer(one, b"0", b"/0")
        self.assertFalse(one.transport.isClosing)
        self.answer(one, b"1", b"/1")
        self.assertTrue(one.transport.isClosing)
        self.answer(self.dials[1].h2(), b"2", b"/2")
        self.assertEqual([b"0", b"1", b"2"], [self.bodyOf(deferred) for deferred in deferreds])

    def test_inTheQueue(self) -> None:
        """Those that wait there for a stream move on, and do not count as tried."""
        self.pool.maxRequestsPerConnection = 1
        first = self.send(path=b"/0")
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        second = self.send(b"POST", path=b"/1")
        self.answer(self.dials[1].h2(), b"b", b"/1")
        self.answer(one, b"a", b"/0")
        self.assertEqual([b"a", b"b"], [self.bodyOf(first), self.bodyOf(second)])

    def test_overHTTP11(self) -> None:
        """Likewise over HTTP/1.1."""
        self.pool.maxRequestsPerConnection = 2
        connection = self.warm11()
        deferred = self.send()
        connection.peer.send(OK11)
        self.bodyOf(deferred)
        self.assertTrue(connection.transport.isClosing)


class AgeTests(PoolTestCase):
    """``maxConnectionAge``."""

    def test_idle(self) -> None:
        """An old connection goes when its time is up, however often it was used."""
        self.pool.maxConnectionAge = 100
        connection = self.warm()
        for _ in range(9):
            self.clock.advance(10)
            deferred = self.send()
            self.answer(connection)
            self.bodyOf(deferred)
        self.assertFalse(connection.transport.isClosing)
        self.clock.advance(10)
        self.assertTrue(connection.transport.isClosing)

    def test_busy(self) -> None:
        """What is open then is finished; what comes is for another connection."""
        self.pool.maxConnectionAge = 100
        connection = self.warm()
        deferred = self.send(path=b"/old")
        self.clock.advance(100)
        young = self.send(path=b"/young")
        self.answer(self.dials[1].h2(), b"b", b"/young")
        self.answer(connection, b"a", b"/old")
        self.assertEqual([b"a", b"b"], [self.bodyOf(deferred), self.bodyOf(young)])
        self.assertTrue(connection.transport.isClosing)

    def test_eachItsOwn(self) -> None:
        """The time of each connection begins with it, also when the limit is changed."""
        self.pool.maxConnectionAge = 100
        self.pool.maxConnectionsPerHost = 2
        one = self.warm({MAX_CONCURRENT_STREAMS: 1})
        self.clock.advance(50)
        deferreds = self.sendSome(2)
        two = self.dials[1].h2()
        self.answer(one, b"", b"/0")
        self.answer(two, b"", b"/1")
        for deferred in deferreds:
            self.bodyOf(deferred)
        self.clock.advance(50)
        self.assertEqual((True, False), (one.transport.isClosing, two.transport.isClosing))
        self.clock.advance(50)
        self.assertTrue(two.transport.isClosing)

    def test_goneBefore(self) -> None:
        """One that is gone before has no time left."""
        self.pool.maxConnectionAge = 100
        self.warm().lose()
        self.clock.advance(300)
        self.assertQuiet()


class SnapshotTests(PoolTestCase):
    """``snapshot``."""

    def test_nothing(self) -> None:
        """A pool that does nothing knows nobody."""
        self.assertEqual([], self.pool.snapshot())

    def test_dialling(self) -> None:
        """Dials, and those who wait for them."""
        deferreds = self.sendSome(3)
        (origin,) = self.pool.snapshot()
        self.assertEqual("https://a.test", origin.name)
        self.assertEqual((1, 3, []), (origin.dialling, origin.waiting, origin.connections))
        for deferred in deferreds:
            deferred.cancel()
            self.failureResultOf(deferred)

    def test_http2(self) -> None:
        """Streams, queue, octets: the numbers of a connection."""
        deferreds = self.sendSome(3)
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 2})
        sent = sum(map(len, connection.transport.writes))
        (origin,) = self.pool.snapshot()
        (state,) = origin.connections
        self.assertEqual((0, 0), (origin.dialling, origin.waiting))
        self.assertEqual(
            ("h2", True, 3, 2, 0, 3),
            (
                state.protocol,
                state.isUsable,
                state.open,
                state.capacity,
                state.waiting,
                state.issued,
            ),
        )
        self.assertEqual(sent, state.octetsSent)
        # SETTINGS of one entry, and an acknowledgement.
        self.assertEqual(9 + 6 + 9, state.octetsReceived)
        deferreds.append(self.send(path=b"/3"))
        self.assertEqual(1, self.pool.snapshot()[0].waiting)
        for number, deferred in enumerate(deferreds):
            self.answer(connection, b"", b"/%d" % number)
            self.bodyOf(deferred)

    def test_http11(self) -> None:
        """And those of HTTP/1.1."""
        self.warm11()
        (origin,) = self.pool.snapshot()
        expected = ConnectionState("http/1.1", True, 0, 1, 0, 1, len(OK11), None, None)
        self.assertEqual([expected], origin.connections)


class EventTests(PoolTestCase):
    """What the pool logs, at level debug."""

    def test_life(self) -> None:
        """A connection's beginning and end, and a dial that failed."""
        events: list[str] = []

        def keep(event: dict[str, object]) -> None:
            if event["log_level"] is LogLevel.debug and "origin" in event:
                assert isinstance(event["log_format"], str)
                events.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)
        self.pool.maxRequestsPerConnection = 1
        self.warm().lose()
        deferred = self.send()
        self.dials[1].connecting.errback(OSError("unplugged"))
        self.failureResultOf(deferred, OSError)
        self.assertEqual(
            [
                "https://a.test: connected, HTTP/2",
                "https://a.test: 1 requests are enough",
                "https://a.test: a connection has ended",
                "https://a.test: not connected: unplugged",
            ],
            events,
        )
