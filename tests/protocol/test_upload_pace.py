"""Tests for :mod:`txhyper.protocol.upload`: windows, marks, and responses that come early."""

from __future__ import annotations

from twisted.python.failure import Failure

from tests.protocol.scene import (
    CANCEL,
    INITIAL_WINDOW_SIZE,
    OK,
    Producer,
    Reader,
    UploadTestCase,
    WholeBody,
)
from txhyper.core import frames
from txhyper.core.outbound import HIGH_MARK, LOW_MARK
from txhyper.errors import ProtocolViolation, StreamReset


class WindowTests(UploadTestCase):
    """Flow control (RFC 9113 section 5.2)."""

    def test_theStreamsWindow(self) -> None:
        """No octet more than the stream's window is sent; one octet of window lets one go."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 10})
        self.upload(WholeBody(b"x" * 10 + b"abc"))
        self.assertEqual((b"x" * 10, False), self.body())
        for octet, last in ((b"a", False), (b"b", False), (b"c", True)):
            self.assertEqual((b"", False), self.body())
            self.peer.sendWindowUpdate(1, 1)
            self.assertEqual((octet, last), self.body())

    def test_theConnectionsWindow(self) -> None:
        """Nor more than the connection's, whatever the streams'."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 2**20})
        self.upload(WholeBody(b"x" * 65535 + b"ab"))
        self.assertEqual((b"x" * 65535, False), self.body())
        self.peer.sendWindowUpdate(1, 1000)
        self.assertEqual((b"", False), self.body())
        self.peer.sendWindowUpdate(0, 1)
        self.assertEqual((b"a", False), self.body())
        self.peer.sendWindowUpdate(0, 1)
        self.assertEqual((b"b", True), self.body())

    def test_belowZero(self) -> None:
        """A window that SETTINGS shrink below zero has to be filled up first (section 6.9.2)."""
        self.upload(WholeBody(b"x" * 65536))
        self.peer.sendWindowUpdate(0, 2**20)
        self.assertEqual(65535, len(self.body()[0]))
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 5})
        self.peer.sendWindowUpdate(1, 65530)
        self.assertEqual((b"", False), self.body())
        self.peer.sendWindowUpdate(1, 1)
        self.assertEqual((b"x", True), self.body())

    def test_settingsOpenTheWindow(self) -> None:
        """A window that SETTINGS enlarge is used at once, by streams that were open before."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        self.upload(WholeBody(b"abc"))
        self.assertEqual((b"", False), self.body())
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 2})
        self.assertEqual((b"ab", False), self.body())
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 3})
        self.assertEqual((b"c", True), self.body())

    def test_frameSize(self) -> None:
        """No frame is larger than the peer takes."""
        self.upload(WholeBody(b"x" * 40000))
        self.assertEqual([16384, 16384, 7232], [len(frame.payload) for frame in self.data()])

    def test_roundRobin(self) -> None:
        """Uploads take turns, a frame each: a large one does not hold a small one up."""
        self.peer.sendWindowUpdate(0, 2**20)
        for size in (50000, 20000, 40000):
            self.upload(WholeBody(b"x" * size))
        self.assertEqual([1, 3, 5, 1, 3, 5, 1, 5, 1], [frame.streamId for frame in self.data()])

    def test_aBlockedOneHoldsNobodyUp(self) -> None:
        """A stream without a window is passed over."""
        self.upload(WholeBody(b"x" * 65535 + b"y" * 10))
        self.peer.sendWindowUpdate(0, 2**20)
        self.data()
        self.upload(WholeBody(b"z"))
        self.assertEqual([3], [frame.streamId for frame in self.data()])


class PaceTests(UploadTestCase):
    """Producers are paused and resumed as the octets drain."""

    def test_paused(self) -> None:
        """Above the high mark the producer pauses, below the low one it resumes, once each."""
        producer = Producer()
        self.upload(producer)
        producer.write(b"x" * 65535)
        self.data()
        producer.write(b"x" * HIGH_MARK)
        self.assertEqual(["start"], producer.calls)
        producer.write(b"x")
        producer.write(b"x")
        self.assertEqual(["start", "pause"], producer.calls)
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, HIGH_MARK - LOW_MARK)
        self.assertEqual(["start", "pause"], producer.calls)
        self.peer.sendWindowUpdate(1, 2)
        self.assertEqual(["start", "pause", "resume"], producer.calls)

    def test_notAfterItsEnd(self) -> None:
        """A producer that is done is not resumed, although what it wrote drains only then."""
        producer = Producer()
        self.upload(producer)
        producer.write(b"x" * (65535 + HIGH_MARK + 1))
        producer.finish()
        self.data()
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, 2**20)
        self.assertEqual((b"x" * (HIGH_MARK + 1), True), self.body())
        self.assertEqual(["start", "pause"], producer.calls)

    def test_notAfterAViolation(self) -> None:
        """A connection that has failed resumes nobody, although the window came first."""
        producer = Producer()
        deferred = self.upload(producer)
        producer.write(b"x" * (65535 + HIGH_MARK + 1))
        self.data()
        self.peer.send(
            frames.pack_window_update(0, 2**20)
            + frames.pack_window_update(1, 2**20)
            + self.peer.frame(frames.DATA, 0, 0)
        )
        self.assertIsInstance(self.neverReceived(deferred), ProtocolViolation)
        self.assertEqual(["start", "pause", "stop"], producer.calls)
        self.peer.expectGoAway()
        self.peer.expectNothing()

    def test_writesWhenResumed(self) -> None:
        """What a producer writes when it is resumed leaves in the same write."""
        producer = Producer()
        setattr(producer, "resumeProducing", lambda: producer.write(b"more"))  # noqa: B010
        self.upload(producer)
        producer.write(b"x" * (HIGH_MARK + 1))
        self.data()
        self.mark()
        self.peer.sendWindowUpdate(0, 2**20)
        self.assertEqual([], self.writes)
        self.peer.sendWindowUpdate(1, 2**20)
        self.assertEqual(1, len(self.writes))
        self.assertEqual((b"xxmore", False), self.body())

    def test_notWhileAnotherIsStuck(self) -> None:
        """The marks are each stream's own: one that is stuck pauses no other."""
        stuck, other = Producer(), Producer()
        self.upload(stuck)
        stuck.write(b"x" * (65535 + HIGH_MARK + 1))
        self.upload(other)
        other.write(b"y")
        self.assertEqual((["start", "pause"], ["start"]), (stuck.calls, other.calls))


class EarlyResponseTests(UploadTestCase):
    """Responses that come before the request is complete."""

    def test_refused(self) -> None:
        """A 413, and then RST_STREAM(NO_ERROR): the producer stops, the response is delivered."""
        producer = Producer()
        deferred = self.upload(producer)
        producer.write(b"x" * 100)
        self.data()
        self.peer.send(
            self.peer.headers(1, [(b":status", b"413")])
            + self.peer.frame(frames.DATA, frames.END_STREAM, 1, b"too large")
            + frames.pack_reset(1, 0)
        )
        self.assertEqual(["start", "stop"], producer.calls)
        response, reader = self.successResultOf(deferred), Reader()
        response.deliverBody(reader)
        self.assertEqual((413, b"too large", True), (response.code, reader.body, reader.isDone))
        # The peer has reset it already: nothing needs to be said, and nothing is left over.
        self.peer.expectNothing()
        self.assertEqual(0, self.client.openCount)
        self.assertClockIsQuiet()

    def test_notNeeded(self) -> None:
        """A 200 that needs no more of the request stops the producer as well."""
        producer = Producer()
        deferred = self.upload(producer)
        self.data()
        self.peer.send(self.peer.headers(1, OK, endStream=True) + frames.pack_reset(1, 0))
        self.assertEqual(["start", "stop"], producer.calls)
        self.assertEqual(200, self.successResultOf(deferred).code)
        self.peer.expectNothing()
        self.assertEqual(0, self.client.openCount)

    def test_writesAfterTheRefusal(self) -> None:
        """What a producer writes although it was stopped is not sent."""
        producer = Producer()
        deferred = self.upload(producer)
        self.data()
        self.peer.sendHeaders(1, [(b":status", b"413")])
        producer.write(b"late")
        producer.finish()
        self.assertEqual([], self.data())
        self.assertEqual(413, self.successResultOf(deferred).code)

    def test_refusedWithoutAReset(self) -> None:
        """If the server leaves the rest to us, the stream is reset without an error."""
        producer = Producer()
        deferred = self.upload(producer)
        self.data()
        self.peer.sendHeaders(1, [(b":status", b"413")], endStream=True)
        self.assertEqual(413, self.successResultOf(deferred).code)
        self.assertEqual(0, self.peer.expectReset(1))
        self.peer.expectNothing()
        self.assertEqual(0, self.client.openCount)

    def test_resetInAnotherRead(self) -> None:
        """A reset that comes a little later crosses ours, and is nobody's fault."""
        deferred = self.upload(Producer())
        self.data()
        self.peer.sendHeaders(1, [(b":status", b"413")], endStream=True)
        self.peer.expectReset(1)
        self.peer.sendReset(1, 0)
        self.peer.expectNothing()
        self.successResultOf(deferred)
        self.assertTrue(self.client.isUsable())

    def test_anErrorStopsTheUpload(self) -> None:
        """From a status of 300 on the server does not want what the request carries."""
        for status, stopped in ((b"200", False), (b"299", False), (b"300", True), (b"500", True)):
            producer = Producer()
            deferred = self.upload(producer)
            streamId = self.peer.expectHeaders().streamId
            self.peer.sendHeaders(streamId, [(b":status", status)])
            self.assertEqual(stopped, "stop" in producer.calls)
            self.assertEqual(int(status), self.successResultOf(deferred).code)

    def test_fullDuplex(self) -> None:
        """A 200 may come first: the upload goes on, and both bodies arrive."""
        producer, reader = Producer(), Reader()
        deferred = self.upload(producer)
        self.peer.sendHeaders(1, OK)
        self.successResultOf(deferred).deliverBody(reader)
        for number in range(3):
            producer.write(b"%d" % number)
            self.assertEqual((b"%d" % number, False), self.body())
            self.peer.sendData(1, b"%d" % number)
        producer.finish()
        self.assertEqual((b"", True), self.body())
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual((b"012", True), (reader.body, reader.isDone))
        self.assertEqual(["start"], producer.calls)
        self.peer.expectNothing()

    def test_completeInTheSameRead(self) -> None:
        """
        An upload that only waits for its window ends with END_STREAM, not with a reset, if the
        window comes with the response; its slot is free at once.
        """
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        deferred = self.upload(WholeBody(b"abc"))
        self.data()
        self.peer.send(self.peer.headers(1, OK, endStream=True) + frames.pack_window_update(1, 100))
        self.assertEqual(0, self.client.openCount)
        self.assertEqual((b"abc", True), self.body())
        self.peer.expectNothing()
        self.successResultOf(deferred)

    def test_theUploadFailsAfterTheHead(self) -> None:
        """The reader of the response is told of what became of the request, by its own reason."""
        producer, reader = Producer(), Reader()
        deferred = self.upload(producer)
        self.peer.sendHeaders(1, OK)
        self.successResultOf(deferred).deliverBody(reader)
        self.data()
        producer.finished.errback(Failure(ZeroDivisionError()))
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertIsInstance(reader.error, ZeroDivisionError)

    def test_theUploadFailsAfterTheWholeResponse(self) -> None:
        """A response that is complete stays complete, whatever becomes of the upload."""
        producer = Producer()
        deferred = self.upload(producer)
        self.data()
        self.peer.sendHeaders(1, OK, endStream=True)
        producer.finished.errback(Failure(ZeroDivisionError()))
        self.peer.loseConnection()
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertTrue(reader.isDone)
        self.peer.read()
        self.assertClockIsQuiet()

    def test_responseInTheMiddle(self) -> None:
        """A response that is reset in the middle stops the upload, and the reader is told."""
        producer, reader = Producer(), Reader()
        deferred = self.upload(producer)
        self.peer.sendHeaders(1, OK)
        self.successResultOf(deferred).deliverBody(reader)
        self.peer.sendReset(1, 2)
        self.assertIsInstance(reader.error, StreamReset)
        self.assertEqual(["start", "stop"], producer.calls)
