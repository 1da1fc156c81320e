"""Tests for :mod:`txhyper.protocol.upload`: one body on its way out, and the windows it obeys."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, RequestGenerationFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface.verify import verifyObject

from tests.protocol.scene import (
    CANCEL,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    Producer,
    UploadTestCase,
    WholeBody,
)
from txhyper.core.outbound import HIGH_MARK
from txhyper.errors import LengthMismatch, StreamReset
from txhyper.protocol.request import Request


class ProducerTests(UploadTestCase):
    """Bodies from every kind of producer."""

    def test_wholeAtOnce(self) -> None:
        """A body that is written in one go leaves with its head, in one write."""
        self.mark()
        self.upload(WholeBody(b"hello"))
        self.clock.advance(0)
        self.assertEqual(1, len(self.writes))
        request = self.peer.expectHeaders()
        self.assertEqual(b"5", request[b"content-length"])
        self.assertFalse(request.endStream)
        self.assertEqual((b"hello", True), self.body())
        self.peer.expectNothing()

    def test_bitByBit(self) -> None:
        """A producer that writes as it likes is sent as it writes."""
        producer = Producer(6)
        self.upload(producer)
        self.assertEqual((b"", False), self.body())
        for piece in (b"ab", b"", b"cd"):
            producer.write(piece)
        self.assertEqual((b"abcd", False), self.body())
        producer.write(b"ef")
        producer.finish()
        self.assertEqual((b"ef", True), self.body())
        self.assertEqual(["start"], producer.calls)

    def test_theEndAlone(self) -> None:
        """An end that comes after the last octet has left goes in a frame of its own."""
        producer = Producer(2)
        self.upload(producer)
        producer.write(b"ab")
        self.assertEqual((b"ab", False), self.body())
        producer.finish()
        self.assertEqual((b"", True), self.body())

    def test_empty(self) -> None:
        """An empty body is one empty frame, however small the window."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        self.upload(WholeBody(b""))
        self.assertEqual((b"", True), self.body())

    def test_unknownLength(self) -> None:
        """Without a length none is told, and any number of octets is right."""
        producer = Producer(UNKNOWN_LENGTH)
        self.upload(producer)
        self.assertNotIn(b"content-length", dict(self.peer.expectHeaders().fields))
        producer.write(b"x" * 10)
        producer.finish()
        self.assertEqual((b"x" * 10, True), self.body())

    def test_lengthOfTheCallers(self) -> None:
        """Where the producer knows no length and the caller says one, it has to be true."""
        headers = Headers({b"content-length": [b"5"]})
        for octets, isTrue in ((b"12345", True), (b"123456", False), (b"1234", False)):
            producer = Producer(UNKNOWN_LENGTH)
            deferred = self.request(b"POST", b"/", headers, producer)
            producer.write(octets)
            if len(octets) <= 5:
                producer.finish()
            if isTrue:
                self.assertNoResult(deferred)
                deferred.cancel()
            self.assertIsInstance(
                self.neverReceived(deferred), CancelledError if isTrue else LengthMismatch
            )

    def test_fileBodyProducer(self) -> None:
        """Twisted's own producer of files, on a cooperator that runs on the clock."""
        body = bytes(range(256)) * 1024
        cooperator = Cooperator(scheduler=lambda call: self.clock.callLater(0.01, call))
        self.upload(FileBodyProducer(io.BytesIO(body), cooperator, readSize=10000))
        sent, ended = b"", False
        for _ in range(200):
            self.clock.advance(0.01)
            octets, end = self.body()
            sent += octets
            ended = ended or end
            if octets:
                self.peer.sendWindowUpdate(0, len(octets))
                self.peer.sendWindowUpdate(1, len(octets))
        self.assertEqual((body, True), (sent, ended))

    def test_whetherItHasBegun(self) -> None:
        """A request knows whether its body has been begun, after which it cannot be sent again."""
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 0})
        request = Request(b"PUT", b"https://a.test/", None, Producer())
        self.client.request(request)
        self.assertFalse(request.bodyStarted)
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.assertTrue(request.bodyStarted)

    def test_registration(self) -> None:
        """A producer that registers itself with its consumer, as most do elsewhere, is let."""

        def register(producer: Producer) -> None:
            verifyObject(IConsumer, producer.consumer)
            producer.consumer.registerProducer(producer, True)
            producer.write(b"x")
            producer.consumer.unregisterProducer()

        self.upload(Producer(1, register))
        self.assertEqual((b"x", False), self.body())


class FailureTests(UploadTestCase):
    """Bodies that come to a bad end."""

    def assertAborted(self, deferred: Any, kind: type[Exception]) -> Any:
        """The stream alone is reset, and the request fails with an error of this class."""
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual(0, self.client.openCount)
        self.assertTrue(self.client.isUsable())
        return self.failureResultOf(deferred, kind).value

    def test_theProducerFails(self) -> None:
        """The user's failure reaches the user."""
        producer = Producer()
        deferred = self.upload(producer)
        producer.write(b"x")
        producer.finished.errback(Failure(ZeroDivisionError()))
        error = self.assertAborted(deferred, RequestGenerationFailed)
        error.reasons[0].trap(ZeroDivisionError)
        self.assertEqual(["start"], producer.calls)

    def test_startRaises(self) -> None:
        """Whether it fails later or raises at once."""
        deferred = self.upload(Producer(onStart=lambda producer: 1 // 0))
        error = self.assertAborted(deferred, RequestGenerationFailed)
        error.reasons[0].trap(ZeroDivisionError)

    def test_startReturnsNoDeferred(self) -> None:
        """A producer that does not keep to its interface fails its own request and nothing else."""
        producer: Any = Producer()
        producer.finished = None
        self.assertAborted(self.upload(producer), RequestGenerationFailed)

    def test_pauseOrResumeRaises(self) -> None:
        """Likewise one that raises when it is paused, or resumed."""
        for name in ("pauseProducing", "resumeProducing"):
            self.meet()
            self.greet()
            producer = Producer()
            setattr(producer, name, lambda: 1 // 0)
            deferred = self.upload(producer)
            producer.write(b"x" * (HIGH_MARK + 1))
            self.peer.read()
            self.peer.sendWindowUpdate(0, HIGH_MARK)
            self.peer.sendWindowUpdate(1, HIGH_MARK)
            error = self.assertAborted(deferred, RequestGenerationFailed)
            error.reasons[0].trap(ZeroDivisionError)

    def test_stopRaises(self) -> None:
        """What a producer has to say when it is stopped is of no interest."""
        producer = Producer()
        setattr(producer, "stopProducing", lambda: 1 // 0)  # noqa: B010
        deferred = self.upload(producer)
        self.peer.sendReset(1, 2)
        self.assertIsInstance(self.neverReceived(deferred), StreamReset)

    def test_tooLong(self) -> None:
        """A body with more octets than it announced is not sent beyond them."""
        producer = Producer(3)
        deferred = self.upload(producer)
        producer.write(b"abc")
        self.assertEqual((b"abc", False), self.body())
        producer.write(b"de")
        producer.write(b"fg")
        producer.finish()
        self.assertIn("2 octets more", str(self.neverReceived(deferred)))
        self.assertEqual(["start", "stop"], producer.calls)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.peer.expectNothing()

    def test_tooShort(self) -> None:
        """Nor is one with fewer taken for complete; its producer, which is done, is left alone."""
        producer = Producer(3)
        deferred = self.upload(producer)
        producer.write(b"a")
        producer.finish()
        error = self.neverReceived(deferred)
        self.assertIsInstance(error, LengthMismatch)
        self.assertIn("stream 1: the body has 2 octets fewer", str(error))
        self.assertEqual(["start"], producer.calls)
        self.assertEqual(CANCEL, self.peer.expectReset(1))

    def test_afterItWasStopped(self) -> None:
        """Whatever a producer does after it was stopped disturbs nobody."""
        for end in ("finish", "fail"):
            self.meet()
            self.greet()
            producer = Producer()
            deferred = self.upload(producer)
            self.peer.sendReset(1, 2)
            self.failureResultOf(deferred, ResponseNeverReceived)
            self.assertEqual(["start", "stop"], producer.calls)
            producer.write(b"late")
            if end == "finish":
                producer.finish()
            else:
                producer.finished.errback(Failure(ZeroDivisionError()))
            self.assertEqual([], self.data())

    def test_pauseAfterTheEnd(self) -> None:
        """One that is stopped is neither paused nor resumed any more, whoever asks for it."""
        producer = Producer()
        self.upload(producer).addErrback(lambda reason: None)
        self.peer.loseConnection()
        producer.consumer.pause()
        producer.consumer.resume()
        self.assertEqual(["start", "stop"], producer.calls)

    def test_theConnectionIsLost(self) -> None:
        """A producer is stopped when the connection is gone."""
        producer = Producer()
        deferred = self.upload(producer)
        self.peer.loseConnection()
        self.failureResultOf(deferred, ResponseNeverReceived)
        self.assertEqual(["start", "stop"], producer.calls)
        producer.write(b"late")
        producer.finish()
        self.assertClockIsQuiet()
