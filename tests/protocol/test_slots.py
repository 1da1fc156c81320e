"""Tests for :mod:`txhyper.protocol.connection`: slots, who waits for them, and going away."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import RequestGenerationFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers

from tests.protocol.scene import (
    CANCEL,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    OK,
    Claim,
    ConnectionTestCase,
    Producer,
    Reader,
)
from txhyper.core import frames
from txhyper.core.admission import ASSUMED_LIMIT
from txhyper.errors import ConnectionUnusable, InvalidRequest
from txhyper.protocol.bodies import IterableBody
from txhyper.protocol.connection import UNLIMITED, HTTP2ClientProtocol
from txhyper.protocol.request import Request


class LimitTests(ConnectionTestCase):
    """MAX_CONCURRENT_STREAMS is obeyed."""

    def openIds(self) -> list[int]:
        """The streams whose HEADERS the client has sent since it was last asked."""
        return [frame.streamId for frame in self.peer.drain() if frame.kind == frames.HEADERS]

    def test_beforeThePeerHasSpoken(self) -> None:
        """A hundred streams are assumed until the peer says otherwise."""
        for _ in range(ASSUMED_LIMIT + 1):
            self.request()
        self.assertEqual(ASSUMED_LIMIT, self.client.capacity)
        self.assertEqual(ASSUMED_LIMIT, len(self.openIds()))

    def test_noLimit(self) -> None:
        """A peer that names no limit has none, and those who waited go at once."""
        for _ in range(ASSUMED_LIMIT + 5):
            self.request()
        self.openIds()
        self.greet()
        self.assertEqual(UNLIMITED, self.client.capacity)
        self.assertEqual(5, len(self.openIds()))

    def test_manyThatFailAtOnce(self) -> None:
        """However many in the queue give their slot up at once, each is told, and none is lost."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        first = self.request()

        def fails() -> Iterator[bytes]:
            raise ZeroDivisionError
            yield b""

        failing = [self.request(b"POST", body=IterableBody(fails())) for _ in range(2000)]
        last = self.request()
        self.peer.sendHeaders(1, OK, endStream=True)
        self.successResultOf(first)
        for deferred in failing:
            self.failureResultOf(deferred, RequestGenerationFailed)
        self.assertEqual(1, self.client.openCount)
        stream = [frame for frame in self.peer.drain() if frame.kind == frames.HEADERS][-1].streamId
        self.peer.sendHeaders(stream, OK, endStream=True)
        self.successResultOf(last)
        self.assertEqual(0, self.client.openCount)

    def test_one(self) -> None:
        """With a limit of one the requests go one after another, in the order they came."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        paths = []
        deferreds = [self.request(path=b"/%d" % number) for number in range(3)]
        for deferred in deferreds:
            request = self.peer.expectHeaders()
            self.peer.expectNothing()
            paths.append(request[b":path"])
            self.peer.sendHeaders(request.streamId, OK, endStream=True)
            self.successResultOf(deferred)
        self.assertEqual([b"/0", b"/1", b"/2"], paths)

    def test_none(self) -> None:
        """With a limit of 0 everybody waits until it is raised."""
        self.greet({MAX_CONCURRENT_STREAMS: 0})
        deferred = self.request()
        self.assertEqual([], self.openIds())
        self.assertTrue(self.client.isUsable())
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.assertEqual([1], self.openIds())
        self.assertNoResult(deferred)

    def test_shrinking(self) -> None:
        """A limit that shrinks closes nothing, and lets nobody in until there is room."""
        self.greet({MAX_CONCURRENT_STREAMS: 3})
        for _ in range(4):
            self.request()
        self.assertEqual([1, 3, 5], self.openIds())
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.peer.sendHeaders(1, OK, endStream=True)
        self.peer.sendHeaders(3, OK, endStream=True)
        self.assertEqual([], self.openIds())
        self.peer.sendHeaders(5, OK, endStream=True)
        self.assertEqual([7], self.openIds())

    def test_theSlotIsFreeBeforeTheBodyIsRead(self) -> None:
        """A stream that the peer has ended is closed, whether or not its body has been read."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        first, second = self.request(), self.request()
        self.peer.sendHeaders(1, OK)
        self.peer.sendData(1, b"x" * 1000, endStream=True)
        self.assertEqual([1, 3], self.openIds())
        reader = Reader()
        self.successResultOf(first).deliverBody(reader)
        self.assertEqual((1000, True), (len(reader.body), reader.isDone))
        self.assertNoResult(second)

    def test_anInvalidOneDoesNotHoldTheQueueUp(self) -> None:
        """A request that turns out to be invalid gives its slot to the next, however many do."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        self.request()
        bad = [self.request(headers=Headers({b"upgrade": [b"x"]})) for _ in range(2000)]
        good = self.request()
        self.assertEqual([1], self.openIds())
        self.peer.sendHeaders(1, OK, endStream=True)
        for deferred in bad:
            self.failureResultOf(deferred, InvalidRequest)
        self.assertEqual([3], self.openIds())
        self.assertNoResult(good)

    def test_noIdLeft(self) -> None:
        """A connection whose stream ids are used up sends those who wait elsewhere."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        self.client._engine._next_id = 2**31 - 1
        last, waiting = self.request(), self.request()
        self.assertFalse(self.client.isUsable())
        self.assertEqual([2**31 - 1], self.openIds())
        self.peer.sendHeaders(2**31 - 1, OK, endStream=True)
        self.successResultOf(last)
        self.assertTrue(self.neverReceived(waiting).retriable)


class ReservationTests(ConnectionTestCase):
    """Slots are reserved before they are given."""

    def issue(self, reserved: bool) -> Claim:
        """Issue a request as the pool does."""
        claim = Claim()
        self.client.issue(Request(b"GET", b"https://a.test/"), claim, reserved)
        return claim

    def test_theLastSlot(self) -> None:
        """Two callers in one turn never share the last slot."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        self.assertTrue(self.client.reserve())
        self.assertFalse(self.client.reserve())
        self.assertEqual(1, self.client.openCount)
        self.issue(True)
        self.assertEqual(1, self.client.openCount)
        self.assertEqual(1, self.peer.expectHeaders().streamId)

    def test_release(self) -> None:
        """A slot that is given back goes to who waits."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        self.client.reserve()
        self.issue(False)
        self.peer.expectNothing()
        self.client.release()
        self.peer.expectHeaders()

    def test_whoComesLaterWaitsBehind(self) -> None:
        """No slot is reserved past somebody who waits."""
        self.greet({MAX_CONCURRENT_STREAMS: 0})
        self.issue(False)
        self.assertFalse(self.client.reserve())

    def test_reservedAndThenClosed(self) -> None:
        """A reservation on a connection that closes meanwhile is given back, and GOAWAY said."""
        self.greet()
        self.client.reserve()
        self.client.close()
        self.peer.expectNothing()
        claim = self.issue(True)
        self.assertIsInstance(claim.errors[0], ConnectionUnusable)
        self.assertEqual(0, self.client.openCount)
        self.peer.expectGoAway()
        self.assertTrue(self.peer.transport.isClosing)

    def test_invalidInAReservedSlot(self) -> None:
        """The slot comes free again, and who waits for it is served."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        self.client.reserve()
        waiting = self.issue(False)
        bad = Claim()
        request = Request(b"GET", b"https://a.test/", Headers({b"upgrade": [b"x"]}))
        self.client.issue(request, bad, True)
        self.assertIsInstance(bad.errors[0], InvalidRequest)
        self.peer.expectHeaders()
        self.assertEqual([], waiting.errors)


class CapacityTests(ConnectionTestCase):
    """Whoever keeps the connection is told when it can take more, or nothing any more."""

    def setUp(self) -> None:
        super().setUp()
        # What it was told of: how many slots were open, and whether the connection was usable.
        self.told: list[tuple[int, bool]] = []
        self.meet(onCapacity=self.note)
        self.greet({MAX_CONCURRENT_STREAMS: 2})

    def note(self, client: HTTP2ClientProtocol) -> None:
        """Note what is told."""
        self.told.append((client.openCount, client.isUsable()))

    def test_eachSlot(self) -> None:
        """It is told when a slot comes free, once nobody waits on the connection itself."""
        for _ in range(4):
            self.request()
        self.peer.sendHeaders(1, OK, endStream=True)
        self.assertEqual([], self.told)
        for stream in (3, 5, 7):
            self.peer.sendHeaders(stream, OK, endStream=True)
        self.assertEqual([(1, True), (0, True)], self.told[-2:])

    def test_limitGrows(self) -> None:
        """And when the peer's limit grows; not for other settings, nor when it shrinks."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 1000})
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.assertEqual([], self.told)
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 5})
        self.assertEqual([(0, True)], self.told)

    def test_closing(self) -> None:
        """A connection that closes says so at once, so that nobody waits for it."""
        self.request()
        self.client.close()
        self.assertEqual([(1, False)], self.told)
        self.peer.sendHeaders(1, OK, endStream=True)
        self.assertNotIn(True, [isUsable for _, isUsable in self.told])

    def test_goneAway(self) -> None:
        """Likewise one whose peer goes away."""
        self.request()
        self.peer.sendGoAway(1)
        self.assertEqual([(1, False)], self.told)

    def test_broken(self) -> None:
        """Likewise one that has failed, before it is gone."""
        deferred = self.request()
        self.peer.sendPing(b"short")
        self.neverReceived(deferred)
        self.assertEqual((1, False), self.told[0])


class CancelTests(ConnectionTestCase):
    """Cancel means cancel."""

    def test_whileWaiting(self) -> None:
        """A request that waits leaves the queue: nothing of it is ever sent."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        first, cancelled, last = self.request(), self.request(path=b"/no"), self.request()
        self.peer.expectHeaders()
        cancelled.cancel()
        self.assertIsInstance(self.neverReceived(cancelled), CancelledError)
        self.peer.expectNothing()
        self.peer.sendHeaders(1, OK, endStream=True)
        self.assertEqual(b"/", self.peer.expectHeaders(3)[b":path"])
        self.peer.expectNothing()
        self.successResultOf(first)
        self.assertNoResult(last)

    def test_sent(self) -> None:
        """One RST_STREAM(CANCEL); the slot is free at once; late frames draw nothing more."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        deferred, waiting = self.request(), self.request()
        self.peer.expectHeaders(1)
        deferred.cancel()
        self.assertIsInstance(self.neverReceived(deferred), CancelledError)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.peer.expectHeaders(3)
        self.peer.sendHeaders(1, OK)
        for _ in range(10):
            self.peer.sendData(1, b"late")
        self.peer.sendData(1, b"late", endStream=True)
        self.peer.expectNothing()
        self.peer.sendHeaders(3, OK, endStream=True)
        self.successResultOf(waiting)

    def test_inTheSameTurn(self) -> None:
        """A request that is cancelled before it left is sent with its reset, in one write."""
        self.greet()
        deferred = self.request()
        deferred.cancel()
        self.failureResultOf(deferred, ResponseNeverReceived)
        self.peer.expectHeaders(1)
        self.assertEqual(CANCEL, self.peer.expectReset(1))

    def test_theUploadStops(self) -> None:
        """The producer of the body is stopped, and what it had written is not sent."""
        self.greet({INITIAL_WINDOW_SIZE: 0})
        producer = Producer()
        deferred = self.upload(producer)
        producer.write(b"x" * 10)
        deferred.cancel()
        self.failureResultOf(deferred, ResponseNeverReceived)
        self.assertEqual(["start", "stop"], producer.calls)
        self.peer.expectReset(1)
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 1000})
        self.assertNotIn(frames.DATA, [frame.kind for frame in self.peer.drain()])

    def test_afterTheResponse(self) -> None:
        """Cancelling what has fired changes nothing."""
        response, deferred = self.opened(), Deferred()  # type: ignore[var-annotated]
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        claim = Claim()
        self.client.issue(Request(b"GET", b"https://a.test/"), claim)
        self.peer.sendHeaders(3, OK)
        self.client.cancel(claim)
        self.assertEqual([], claim.errors)
        self.peer.expectHeaders(3)
        self.peer.expectNothing()
        self.assertEqual(200, response.code)

    def test_twice(self) -> None:
        """A claim is told once, however often it is cancelled."""
        claim = Claim()
        self.client.issue(Request(b"GET", b"https://a.test/"), claim)
        self.client.cancel(claim)
        self.client.cancel(claim)
        self.assertEqual([CancelledError], [type(error) for error in claim.errors])
