"""
Users who do things from within what they are told: single pairs of what and when.

:mod:`tests.protocol.test_reentrancy_matrix` tries all of them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from tests.protocol.scene import (
    CANCEL,
    MAX_CONCURRENT_STREAMS,
    OK,
    Claim,
    ConnectionTestCase,
    Producer,
    Reader,
    Tracked,
)
from txhyper.core import frames
from txhyper.core.outbound import HIGH_MARK
from txhyper.errors import ConnectionUnusable


class ReaderTests(ConnectionTestCase):
    """Readers, closer."""

    def test_abortInTheLastPiece(self) -> None:
        """A body that was complete when its reader aborted the connection is told as complete."""
        reader = Reader(onData=lambda reader: self.client.abort())
        self.opened().deliverBody(reader)
        self.peer.sendData(1, b"whole", endStream=True)
        self.assertEqual((b"whole", True), (reader.body, reader.isDone))
        self.peer.loseConnection()
        self.assertEqual(1, len(reader.reasons))

    def test_abortInBetween(self) -> None:
        """What comes after the frame at hand is not read."""
        reader = Reader(onData=lambda reader: self.client.abort())
        self.opened().deliverBody(reader)
        self.peer.send(
            self.peer.frame(frames.DATA, 0, 1, b"a")
            + self.peer.frame(frames.DATA, frames.END_STREAM, 1, b"b")
        )
        self.assertEqual((b"a", []), (reader.body, reader.reasons))
        self.peer.loseConnection()
        self.assertEqual((b"a", False, 1), (reader.body, reader.isDone, len(reader.reasons)))

    def test_giveUpInTheLastPiece(self) -> None:
        """One that gives up in the last piece is told once, and nothing is reset."""
        reader = Reader(onData=lambda reader: reader.transport.loseConnection())
        self.opened().deliverBody(reader)
        self.peer.drain()
        self.peer.sendData(1, b"whole", endStream=True)
        self.assertEqual([], reader.reasons)
        self.peer.expectNothing()
        self.assertEqual(CANCEL, reader.error.code)
        self.assertEqual(0, self.client.openCount)

    def test_giveUpWhileSending(self) -> None:
        """Likewise if the upload is still under way, which is stopped."""
        producer = Producer()
        deferred = self.upload(producer)
        self.greet()
        self.peer.sendHeaders(1, OK)
        reader = Reader(onData=lambda reader: reader.transport.loseConnection())
        self.successResultOf(deferred).deliverBody(reader)
        self.peer.drain()
        self.peer.sendData(1, b"whole", endStream=True)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual((["start", "stop"], 1), (producer.calls, len(reader.reasons)))

    def test_giveUpBeforeItBegins(self) -> None:
        """A reader that wants nothing as soon as it sees its transport gets nothing."""
        for held in (False, True):
            self.meet()
            response = self.opened()
            if held:
                self.peer.sendData(1, b"x")
            reader = Reader(onMade=lambda reader: reader.transport.abortConnection())
            response.deliverBody(reader)
            self.assertEqual([], reader.reasons)
            self.assertEqual(CANCEL, self.peer.expectReset(1))
            self.assertEqual(([], 1), (reader.chunks, len(reader.reasons)))

    def test_resumeBeforeItBegins(self) -> None:
        """Nothing is delivered before ``makeConnection`` is over, even to one that resumes."""
        response = self.opened()
        self.peer.sendData(1, b"x", endStream=True)

        def made(reader: Reader) -> None:
            transport: Any = reader.transport
            transport.pauseProducing()
            transport.resumeProducing()
            self.assertEqual(([], []), (reader.chunks, reader.reasons))

        reader = Reader(onMade=made)
        response.deliverBody(reader)
        self.assertEqual((b"x", True), (reader.body, reader.isDone))

    def test_giveUpWhatWasHeldComplete(self) -> None:
        """One that gives up in the first of the pieces that were held is told later, once."""
        response = self.opened()
        self.peer.sendData(1, b"a")
        self.peer.sendData(1, b"b", endStream=True)
        reader = Reader(onData=lambda reader: reader.transport.loseConnection())
        response.deliverBody(reader)
        self.assertEqual(([b"a"], []), (reader.chunks, reader.reasons))
        self.peer.read()
        self.assertEqual(CANCEL, reader.error.code)

    def test_resumeWithinADelivery(self) -> None:
        """Resuming within a delivery starts no second one inside it."""
        depth: list[int] = []

        def data(reader: Reader) -> None:
            depth.append(reader._calls)
            transport: Any = reader.transport
            transport.pauseProducing()
            transport.resumeProducing()

        response = self.opened()
        for piece in (b"a", b"b", b"c"):
            self.peer.sendData(1, piece)
        reader = Reader(onData=data)
        response.deliverBody(reader)
        self.peer.sendData(1, b"d", endStream=True)
        self.assertEqual((b"abcd", True), (reader.body, reader.isDone))
        self.assertEqual([1] * 4, depth)

    def test_aThousandPiecesPausedAndResumed(self) -> None:
        """However many pieces there are, none is delivered inside another."""
        reader = Reader(onData=lambda reader: reader.transport.resumeProducing())
        response = self.opened()
        for _ in range(2000):
            self.peer.sendData(1, b"x")
        response.deliverBody(reader)
        self.assertEqual(b"x" * 2000, b"".join(reader.chunks))
        # Small ones are joined after the first few, or a peer could fill memory with them.
        self.assertGreaterEqual(len(reader.chunks), 64)

    def test_theUploadFailsWithinAReader(self) -> None:
        """A reader that makes its own request's producer fail is told when its call is over."""
        producer = Producer()
        deferred = self.upload(producer)
        self.greet()
        self.peer.sendHeaders(1, OK)
        reader = Reader(onData=lambda reader: producer.finished.errback(Failure(ValueError())))
        self.successResultOf(deferred).deliverBody(reader)
        self.peer.sendData(1, b"x")
        self.assertEqual([], reader.reasons)
        self.peer.read()
        self.assertIsInstance(reader.error, ValueError)

    def test_theUploadFailsWithinTheLastPiece(self) -> None:
        """If that was the last piece, the response is complete all the same."""
        producer = Producer()
        deferred = self.upload(producer)
        self.greet()
        self.peer.sendHeaders(1, OK)
        reader = Reader(onData=lambda reader: producer.finished.errback(Failure(ValueError())))
        self.successResultOf(deferred).deliverBody(reader)
        self.peer.sendData(1, b"x", endStream=True)
        self.peer.read()
        self.assertEqual((b"x", True), (reader.body, reader.isDone))

    def test_theSiblingIsGivenUp(self) -> None:
        """One reader may end another's stream within the same read."""
        other = Reader()
        reader = Reader(onData=lambda reader: other.transport.loseConnection())
        self.opened().deliverBody(reader)
        self.opened().deliverBody(other)
        self.peer.drain()
        self.peer.send(
            self.peer.frame(frames.DATA, 0, 1, b"a")
            + self.peer.frame(frames.DATA, frames.END_STREAM, 3, b"b")
        )
        self.assertEqual([], other.chunks)
        self.assertEqual(CANCEL, self.peer.expectReset(3))
        self.assertEqual(1, len(other.reasons))


class ClaimTests(ConnectionTestCase):
    """Requests that end others."""

    def test_cancelTheOthersWhenLost(self) -> None:
        """Whoever is told of the connection's end may cancel everybody else, each told once."""
        claims: list[Claim] = []

        def cancelAll() -> None:
            for claim in claims:
                self.client.cancel(claim)

        claims.extend(Claim(cancelAll) for _ in range(5))
        self.greet({MAX_CONCURRENT_STREAMS: 3})
        for claim in claims:
            self.client.issue(Tracked(b"GET", b"https://a.test/"), claim)
        self.peer.loseConnection()
        self.assertEqual([1] * 5, [len(claim.errors) for claim in claims])

    def test_abortWhenDismissed(self) -> None:
        """
        GOAWAY dismisses a waiting request, which aborts the connection: those whose streams the
        same frame has ended are told all the same.
        """
        self.greet({MAX_CONCURRENT_STREAMS: 2})
        open_ = [self.request(), self.request()]
        waiting = self.request()
        waiting.addErrback(lambda reason: self.client.abort())
        self.peer.sendGoAway(1)
        self.failureResultOf(open_[1], ResponseNeverReceived)
        self.assertNoResult(open_[0])
        self.peer.loseConnection()
        self.failureResultOf(open_[0], ResponseNeverReceived)

    def test_cancelWhatHasGoneAway(self) -> None:
        """A stream that GOAWAY has ended may be cancelled before it is told; it is told once."""
        self.greet({MAX_CONCURRENT_STREAMS: 2})
        claims = [Claim(), Claim()]
        for claim in claims:
            self.client.issue(Tracked(b"GET", b"https://a.test/"), claim)
        waiting = self.request()
        waiting.addErrback(lambda reason: self.client.cancel(claims[1]))
        self.peer.drain()
        self.peer.sendGoAway(1)
        self.assertEqual([0, 1], [len(claim.errors) for claim in claims])
        self.peer.expectNothing()

    def test_writeToWhatHasGoneAway(self) -> None:
        """Nor is anything sent that its producer writes, or ends, in that moment."""
        for finish in (False, True):
            self.meet()
            self.greet()
            self.request()
            producer = Producer()

            def feed(reason: Failure, producer: Producer = producer, end: bool = finish) -> None:
                producer.write(b"x")
                if end:
                    producer.finish()

            first = self.request()
            first.addErrback(feed)
            second = self.upload(producer)
            self.peer.drain()
            self.peer.sendGoAway(1)
            self.failureResultOf(second, ResponseNeverReceived)
            self.peer.expectNothing()

    def test_writeToWhatIsClosed(self) -> None:
        """
        Nor if the slot that comes free starts another upload, whose producer writes to the one
        that has lost it.
        """
        for finish in (False, True):
            self.meet()
            self.greet({MAX_CONCURRENT_STREAMS: 1})
            first = Producer()

            def feed(_: Producer, first: Producer = first, end: bool = finish) -> None:
                first.write(b"x")
                if end:
                    first.finish()

            deferred = self.upload(first)
            self.upload(Producer(onStart=feed))
            self.peer.drain()
            self.peer.sendReset(1, 2)
            self.failureResultOf(deferred, ResponseNeverReceived)
            self.peer.expect(frames.HEADERS, 3)
            self.peer.expectNothing()

    def test_closeAndAbortInTheLastPiece(self) -> None:
        """Whoever closes and then aborts says no farewell, and nobody waits for the peer."""

        def end(reader: Reader) -> None:
            self.client.close()
            self.client.abort()

        reader = Reader(onData=end)
        self.opened().deliverBody(reader)
        self.clock.advance(0)
        self.peer.sendData(1, b"whole", endStream=True)
        self.assertTrue(reader.isDone)
        self.assertFalse(self.peer.transport.isClosing)
        self.assertClockIsQuiet()

    def test_requestFromWithinAFailure(self) -> None:
        """Whoever asks again when the connection is gone is told at once."""
        again: list[Deferred[Any]] = []
        self.request().addErrback(lambda reason: again.append(self.request()))
        self.peer.loseConnection()
        self.assertIsInstance(self.neverReceived(again[0]), ConnectionUnusable)

    def test_closeFromWithinTheLastEnd(self) -> None:
        """Closing when the last response has ended says the farewell in that very read."""
        reader = Reader(onLost=lambda reader: self.client.close())
        self.opened().deliverBody(reader)
        self.peer.drain()
        self.peer.send(
            self.peer.frame(frames.DATA, frames.END_STREAM, 1, b"x")
            + self.peer.frame(frames.PING, 0, 0, b"12345678")
        )
        self.assertTrue(self.peer.transport.isClosing)
        self.assertEqual([frames.GOAWAY], [frame.kind for frame in self.peer.drain()])

    def test_closeWhenIdle(self) -> None:
        """So may whoever is told that the connection is idle."""
        self.meet(onCapacity=lambda client: client.close())
        response = self.opened()
        self.peer.sendData(1, b"x", endStream=True)
        reader = Reader()
        response.deliverBody(reader)
        self.assertTrue(reader.isDone)
        self.peer.expectGoAway()

    def test_cancelFromWithinItsProducer(self) -> None:
        """A producer may cancel its own request in each of its calls."""
        for name in ("start", "pause", "resume", "stop"):
            self.meet()
            self.greet()
            claim = Claim()
            producer = Producer(length=65535 + HIGH_MARK + 1)

            def give(claim: Claim = claim) -> None:
                self.client.cancel(claim)

            if name == "start":
                producer._onStart = lambda producer, give=give: give()
            else:
                setattr(producer, name + "Producing", give)
            self.client.issue(Tracked(b"PUT", b"https://a.test/", None, producer), claim)
            if name != "start":
                producer.write(b"x" * (65535 + HIGH_MARK + 1))
                self.peer.read()
                self.peer.sendWindowUpdate(0, 2**20)
                self.peer.sendWindowUpdate(1, HIGH_MARK)
                # One octet too many: the producer is stopped for it.
                producer.write(b"x")
            self.assertEqual([CancelledError], [type(error) for error in claim.errors])
            self.assertEqual(CANCEL, self.peer.expectReset(1))
            self.peer.expectNothing()
            self.assertEqual(0, self.client.openCount)

    def test_aProducerThatStartsAnother(self) -> None:
        """A producer that is resumed may start a request, which leaves in the same write."""
        producer = Producer()
        setattr(producer, "resumeProducing", lambda: self.request(path=b"/new"))  # noqa: B010
        self.greet()
        self.upload(producer)
        producer.write(b"x" * (HIGH_MARK + 1))
        self.mark()
        self.clock.advance(0)
        self.assertEqual(1, len(self.writes))
        self.peer.expectHeaders(1)
        self.assertEqual(b"/new", self.peer.expectHeaders(3)[b":path"])
