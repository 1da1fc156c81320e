"""Tests for :mod:`txhyper.protocol.timeouts`: the limits of one request on one connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from tests.protocol.scene import (
    CANCEL,
    MAX_CONCURRENT_STREAMS,
    OK,
    ConnectionTestCase,
    Producer,
    Reader,
)
from tests.protocol.test_http11 import HTTP11TestCase
from txhyper.errors import (
    BodyTimedOut,
    ConnectTimedOut,
    HandshakeTimedOut,
    ResponseTimedOut,
    SlotTimedOut,
    TimedOut,
    TotalTimedOut,
)
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import RequestLimits, Timeouts, Timer


class TimeoutsTests(SynchronousTestCase):
    """What a user may set."""

    def test_nothing(self) -> None:
        """By default nothing is limited."""
        self.assertEqual(Timeouts(None, None, None, None, None, None), Timeouts())

    def test_impossible(self) -> None:
        """A limit that is no positive number is found at once, and named."""
        for seconds in (0, -1, float("nan")):
            with self.assertRaises(ValueError) as caught:
                Timeouts(bodyIdle=seconds)
            self.assertIn("bodyIdle", str(caught.exception))


class TimerTests(SynchronousTestCase):
    """Many limits, one timer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.timer = Timer(self.clock)
        self.late: list[TimedOut] = []

    def limits(self, **given: float) -> RequestLimits:
        """The limits of a request."""
        return RequestLimits(self.timer, Timeouts(**given), "https://a.test", self.late.append)

    def test_oneTimer(self) -> None:
        """However many run, the reactor has one timer, for the one that is due first."""
        for seconds in (5, 3, 4, 3):
            self.limits(total=seconds)
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(3, call.getTime())
        told = []
        for _ in range(5):
            self.clock.advance(1)
            told.append(len(self.late))
        self.assertEqual([0, 0, 2, 3, 4], told)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_messages(self) -> None:
        """Each has its class, and one line that names the origin, the option and its value."""
        for kind, error in (
            ("connect", ConnectTimedOut),
            ("handshake", HandshakeTimedOut),
            ("slot", SlotTimedOut),
            ("headers", ResponseTimedOut),
            ("bodyIdle", BodyTimedOut),
            ("total", TotalTimedOut),
        ):
            limits = self.limits(**{kind: 1.5})
            limits.begin(kind)
            self.clock.advance(1.5)
            late = self.late.pop()
            self.assertIs(error, type(late))
            self.assertFalse(late.retriable)
            for part in ("https://a.test: ", "1.5 s", f"option {kind} of Timeouts"):
                self.assertIn(part, str(late))
            self.assertNotIn("\n", str(late))

    def test_unset(self) -> None:
        """What is not limited never runs."""
        self.limits().begin("headers")
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_anew(self) -> None:
        """One that begins anew has all its time again."""
        limits = self.limits(bodyIdle=2)
        limits.begin("bodyIdle")
        for _ in range(5):
            self.clock.advance(1)
            limits.begin("bodyIdle")
        self.assertEqual([], self.late)
        self.clock.advance(2)
        self.assertEqual([BodyTimedOut], [type(error) for error in self.late])

    def test_once(self) -> None:
        """Of two that pass in the same moment one is told, and nothing runs any more."""
        limits = self.limits(total=2, headers=2, slot=3)
        limits.begin("headers")
        limits.queued()
        self.clock.advance(2)
        self.assertEqual(1, len(self.late))
        self.clock.advance(5)
        self.assertEqual(1, len(self.late))

    def test_fromWithin(self) -> None:
        """Who is told may begin others, and end others that are late as well."""
        begun: list[RequestLimits] = []
        other: list[RequestLimits] = []

        def told(error: TimedOut) -> None:
            other[0].over()
            begun.append(self.limits(total=2))

        RequestLimits(self.timer, Timeouts(total=2), "", told)
        other.append(self.limits(total=2))
        self.clock.advance(2)
        self.assertEqual([], self.late)
        self.clock.advance(2)
        self.assertEqual(1, len(self.late))

    def test_quiet(self) -> None:
        """The timer goes when it is told to and nothing runs; else it stays."""
        limits = self.limits(total=2)
        self.timer.quiet()
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        limits.over()
        self.timer.quiet()
        self.timer.quiet()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.limits(total=1)
        self.clock.advance(1)
        self.assertEqual(1, len(self.late))

    def test_queueAfterQueue(self) -> None:
        """The time in queues is one time, whichever connection's they are."""
        limits = self.limits(slot=3)
        limits.queued()
        self.clock.advance(2)
        limits.queued()
        self.clock.advance(1)
        self.assertEqual([SlotTimedOut], [type(error) for error in self.late])


class ConnectionLimitTests(ConnectionTestCase):
    """Over HTTP/2: the stream alone is reset."""

    def setUp(self) -> None:
        super().setUp()
        self.greet()
        self.neighbour = self.request()
        self.neighbourId = self.peer.expectHeaders().streamId

    def tearDown(self) -> None:
        """The neighbour is alive, and no time runs once the connection is gone."""
        self.peer.sendHeaders(self.neighbourId, OK, True)
        self.successResultOf(self.neighbour)
        self.peer.loseConnection()
        self.clock.advance(0)
        self.assertClockIsQuiet()

    def limited(self, body: Any = None, **given: float) -> Any:
        """A request with limits."""
        method = b"GET" if body is None else b"POST"
        return self.client.request(
            Request(method, b"https://a.test/", None, body, timeouts=Timeouts(**given))
        )

    def responded(self, **given: float) -> tuple[int, Any]:
        """One that has its response's head."""
        deferred = self.limited(**given)
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, OK)
        return stream, self.successResultOf(deferred)

    def assertLate(self, reader: Reader, kind: type[TimedOut], stream: int) -> None:
        """The reader was told why its body ended, and the stream was reset."""
        self.assertIsInstance(reader.error, kind)
        self.assertIn(f"stream {stream}", str(reader.error))
        self.assertEqual(CANCEL, self.peer.expectReset(stream))

    def test_headers(self) -> None:
        """No response in time: RST_STREAM(CANCEL), and an error that names the stream."""
        deferred = self.limited(headers=3)
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, [(b":status", b"102")])
        self.clock.advance(2)
        self.assertNoResult(deferred)
        self.clock.advance(1)
        error = self.neverReceived(deferred)
        self.assertIsInstance(error, ResponseTimedOut)
        self.assertIn(f"stream {stream}", str(error))
        self.assertEqual(CANCEL, self.peer.expectReset(stream))

    def test_headersInTime(self) -> None:
        """A response in time may then take its time."""
        stream, response = self.responded(headers=3)
        self.clock.advance(10)
        reader = Reader()
        response.deliverBody(reader)
        self.peer.sendData(stream, b"x", True)
        self.assertTrue(reader.isDone)

    def test_uploadIsStopped(self) -> None:
        """Whoever still writes the request's body is stopped."""
        producer = Producer()
        deferred = self.limited(producer, headers=1)
        self.clock.advance(1)
        self.assertIsInstance(self.neverReceived(deferred), ResponseTimedOut)
        self.assertEqual(["start", "stop"], producer.calls)

    def test_slot(self) -> None:
        """No stream free in time: it leaves the queue, and nothing was sent."""
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.peer.drain()
        deferred = self.limited(slot=2, headers=1)
        self.clock.advance(2)
        self.assertIsInstance(self.neverReceived(deferred), SlotTimedOut)
        self.peer.expectNothing()

    def test_slotInTime(self) -> None:
        """One that is free in time ends this limit and begins the next."""
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.limited(slot=2, headers=5)
        self.clock.advance(1)
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 2})
        self.clock.advance(4)
        self.assertNoResult(deferred)
        self.clock.advance(1)
        self.assertIsInstance(self.neverReceived(deferred), ResponseTimedOut)

    def test_bodyIdle(self) -> None:
        """Each piece begins the time anew; silence ends the body."""
        stream, response = self.responded(bodyIdle=3)
        reader = Reader()
        response.deliverBody(reader)
        for _ in range(4):
            self.clock.advance(2)
            self.peer.sendData(stream, b"x")
        self.clock.advance(3)
        self.assertEqual(b"xxxx", reader.body)
        self.assertLate(reader, BodyTimedOut, stream)

    def test_bodyIdleWithoutAReader(self) -> None:
        """It is not the server's fault that nobody reads: the time begins with the reader."""
        stream, response = self.responded(bodyIdle=3)
        self.clock.advance(10)
        reader = Reader()
        response.deliverBody(reader)
        self.clock.advance(2)
        self.assertEqual([], reader.reasons)
        self.clock.advance(1)
        self.assertLate(reader, BodyTimedOut, stream)

    def test_bodyIdleInAPause(self) -> None:
        """Nor that the reader has paused: the time begins again when it resumes."""
        stream, response = self.responded(bodyIdle=3)
        reader = Reader()
        response.deliverBody(reader)
        reader.transport.pauseProducing()  # type: ignore[union-attr]
        self.clock.advance(10)
        self.peer.sendData(stream, b"x")
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.clock.advance(2)
        self.assertEqual([], reader.reasons)
        self.clock.advance(1)
        self.assertLate(reader, BodyTimedOut, stream)

    def test_bodyIdleAtTheEnd(self) -> None:
        """Once all is here, no time runs, however long the reader takes for it."""
        stream, response = self.responded(bodyIdle=3, total=20)
        self.peer.sendData(stream, b"x", True)
        reader = Reader(onMade=lambda reader: reader.transport.pauseProducing())
        response.deliverBody(reader)
        self.clock.advance(30)
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.assertEqual((b"x", True), (reader.body, reader.isDone))

    def test_totalBeforeTheResponse(self) -> None:
        """The time for all of it includes the wait for the response."""
        deferred = self.limited(total=3)
        stream = self.peer.expectHeaders().streamId
        self.clock.advance(3)
        self.assertIsInstance(self.neverReceived(deferred), TotalTimedOut)
        self.assertEqual(CANCEL, self.peer.expectReset(stream))

    def test_totalInTheBody(self) -> None:
        """And the body, however steadily it comes."""
        stream, response = self.responded(total=3, bodyIdle=2)
        reader = Reader()
        response.deliverBody(reader)
        for _ in range(3):
            self.peer.sendData(stream, b"x")
            self.clock.advance(1)
        self.assertEqual(b"xxx", reader.body)
        self.assertLate(reader, TotalTimedOut, stream)

    def test_totalWithoutAReader(self) -> None:
        """And the time in which nobody reads: whoever comes later is told."""
        stream, response = self.responded(total=3)
        self.peer.sendData(stream, b"x")
        self.clock.advance(3)
        self.assertEqual(CANCEL, self.peer.expectReset(stream))
        self.failureResultOf(response.whenTrailers(), ResponseFailed)
        reader = Reader()
        response.deliverBody(reader)
        self.assertIsInstance(reader.error, TotalTimedOut)

    def test_cancelled(self) -> None:
        """A request that is cancelled has no time left running."""
        deferred = self.limited(total=3, headers=3)
        deferred.cancel()
        self.neverReceived(deferred)
        self.clock.advance(5)
        self.assertClockIsQuiet()

    def test_givenUp(self) -> None:
        """Nor has a body that was given up."""
        _, response = self.responded(total=3, bodyIdle=3)
        reader = Reader()
        response.deliverBody(reader)
        reader.transport.loseConnection()  # type: ignore[union-attr]
        self.clock.advance(5)
        self.assertEqual(1, len(reader.reasons))
        self.assertClockIsQuiet()

    def test_connectionLost(self) -> None:
        """Nor when the connection goes."""
        deferred = self.limited(total=30, headers=30)
        self.peer.sendHeaders(self.neighbourId, OK, True)
        self.peer.loseConnection()
        self.neverReceived(deferred)
        self.clock.advance(0)
        self.assertClockIsQuiet()
        # A request for a connection that is gone fails at once, and its limits go with it.
        self.neverReceived(self.limited(total=30, headers=30))
        self.assertClockIsQuiet()
        self.neighbourId = 0
        self.tearDown = lambda: None  # type: ignore[method-assign]


class HTTP11LimitTests(HTTP11TestCase):
    """Over HTTP/1.1: the same limits, at the price of the connection."""

    def limited(self, **given: float) -> Any:
        """A request with limits."""
        return self.client.request(Request(b"GET", b"https://a.test/", timeouts=Timeouts(**given)))

    def responded(self, **given: float) -> Any:
        """One that has its response's head."""
        deferred = self.limited(**given)
        self.client.dataReceived(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        return self.successResultOf(deferred)

    def abort(self) -> None:
        """The transport does as it was told."""
        self.assertTrue(self.transport.isAborted)
        self.lose()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_headers(self) -> None:
        """No response in time."""
        deferred = self.limited(headers=3)
        self.clock.advance(3)
        self.assertIsInstance(self.neverReceived(deferred), ResponseTimedOut)
        self.abort()

    def test_bodyIdle(self) -> None:
        """Silence in the body, counted from the last piece."""
        response, reader = self.responded(bodyIdle=3), Reader()
        response.deliverBody(reader)
        for _ in range(2):
            self.clock.advance(2)
            self.client.dataReceived(b"x")
        self.clock.advance(3)
        self.abort()
        self.assertEqual(b"xx", reader.body)
        self.assertIsInstance(reader.error, BodyTimedOut)

    def test_bodyIdleInAPause(self) -> None:
        """Not while the reader pauses."""
        response, reader = self.responded(bodyIdle=3), Reader()
        response.deliverBody(reader)
        reader.transport.pauseProducing()  # type: ignore[union-attr]
        self.clock.advance(10)
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.clock.advance(2)
        self.assertFalse(self.transport.isAborted)
        self.clock.advance(1)
        self.abort()
        self.assertIsInstance(reader.error, BodyTimedOut)

    def test_total(self) -> None:
        """All of it."""
        response, reader = self.responded(total=3), Reader()
        response.deliverBody(reader)
        self.client.dataReceived(b"xx")
        self.clock.advance(3)
        self.abort()
        self.assertIsInstance(reader.error, TotalTimedOut)
        self.failureResultOf(response.whenTrailers(), ResponseFailed)

    def test_inTime(self) -> None:
        """A response that is complete in time leaves the connection to the next one."""
        response, reader = self.responded(total=3, bodyIdle=3, headers=3), Reader()
        response.deliverBody(reader)
        self.client.dataReceived(b"hello")
        self.clock.advance(10)
        self.assertEqual((b"hello", True), (reader.body, reader.isDone))
        self.assertFalse(self.transport.isAborted)
        # What comes too late to matter starts nothing.
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_readLate(self) -> None:
        """Nor does a reader that comes when everything is here."""
        deferred = self.limited(bodyIdle=3)
        self.client.dataReceived(b"HTTP/1.1 204 No Content\r\n\r\n")
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertTrue(reader.isDone)
        self.assertEqual([], self.clock.getDelayedCalls())
