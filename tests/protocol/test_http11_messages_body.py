"""Tests for :mod:`txhyper.protocol.http11_messages`: bodies on their way out over HTTP/1.1."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.http_headers import Headers

from tests.protocol.scene import Producer, Reader
from tests.protocol.test_http11 import RESPONSE, HTTP11TestCase
from txhyper.errors import ConnectionTerminated, InvalidRequest, LengthMismatch, ProtocolViolation
from txhyper.protocol.request import Request

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSED = b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge"


class BodyTestCase(HTTP11TestCase):
    """Requests with bodies."""

    def send(self, body: Any, headers: Headers | None = None, trailers: Any = None) -> Any:
        """Send a request."""
        self.sent = Request(b"POST", b"https://a.test/", headers, body, trailers=trailers)
        return self.client.request(self.sent)

    def written(self, body: Any, trailers: Any = None) -> tuple[list[bytes], bytes]:
        """The fields that frame a body, and the body as it was written."""
        self.meet()
        self.send(body, None, trailers)
        _, *fields, rest = self.lines()
        return [field for field in fields if not field.startswith(b"Host")], rest


class FramingTests(BodyTestCase):
    """What is written."""

    def test_kinds(self) -> None:
        """What has a length says so, everything else is chunked, with no empty chunk inside."""
        chunked = b"Transfer-Encoding: chunked"
        for body, field, rest in [
            (b"abc", b"Content-Length: 3", b"abc"),
            (b"", b"Content-Length: 0", b""),
            (iter([b"ab", b"", b"c"]), chunked, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            ([], chunked, b"0\r\n\r\n"),
        ]:
            self.assertEqual(([field], rest), self.written(body))

    def test_emptyWrites(self) -> None:
        """A producer that writes nothing does not end its body by that."""
        producer = Producer()
        self.send(producer)
        producer.write(b"")
        producer.write(b"a")
        self.assertEqual(b"1\r\na\r\n", self.lines()[-1])

    def test_cookies(self) -> None:
        """Cookies that HTTP/2 may have apart are one field here (RFC 9113 section 8.2.3)."""
        self.request(headers=Headers({b"cookie": [b"a=1", b"b=2"]}))
        self.assertIn(b"Cookie: a=1; b=2", self.lines())

    def test_trailers(self) -> None:
        """Trailers stand behind the last chunk, and take a chunked body even where none is."""
        for trailers in (Headers({b"x-a": [b"1", b"2"]}), lambda: Headers({b"x-a": [b"1", b"2"]})):
            for body, chunk in ((b"abc", b"3\r\nabc\r\n"), (None, b""), (b"", b"")):
                self.assertEqual(
                    ([b"Transfer-Encoding: chunked"], chunk + b"0\r\nx-a: 1\r\nx-a: 2\r\n\r\n"),
                    self.written(body, trailers),
                )
                # The next request finds the connection as it was.
                self.client.dataReceived(b"HTTP/1.1 204 No Content\r\n\r\n")
                self.assertEqual([self.client], self.idle)
                self.idle.clear()

    def test_noTrailersAfterAll(self) -> None:
        """A callable that has nothing to say leaves an ordinary end."""
        self.assertEqual(b"1\r\na\r\n0\r\n\r\n", self.written(b"a", Headers)[1])

    def test_trailersThatFail(self) -> None:
        """Trailers that raise, or are not valid, do not end the body: it is not complete."""
        for trailers, expected in [
            (lambda: 1 // 0, RequestGenerationFailed),
            (lambda: Headers({b"content-length": [b"1"]}), InvalidRequest),
        ]:
            self.meet()
            deferred = self.send(b"abc", None, trailers)
            self.failureResultOf(deferred, expected)
            self.assertTrue(self.transport.isAborted)
            self.assertNotIn(b"\r\n0\r\n", self.transport.value())

    def test_trailersThatCancel(self) -> None:
        """Trailers that cancel the request, and perhaps raise besides, are not heard any more."""
        requests: list[Any] = []
        for outcome in (Headers, lambda: 1 // 0):
            self.meet()

            def trailers(outcome: Any = outcome) -> Any:
                requests[-1].cancel()
                return outcome()

            producer = Producer()
            requests.append(self.send(producer, None, trailers))
            producer.finish()
            self.assertIsInstance(self.neverReceived(requests[-1]), CancelledError)
            # Nothing was raised to whoever tells the producer's end.
            self.successResultOf(producer.finished)
            self.assertTrue(self.transport.isAborted)
            self.assertNotIn(b"\r\n0\r\n", self.transport.value())

    def test_lengths(self) -> None:
        """Octets more or fewer than were announced fail the request, as over HTTP/2."""
        for length, headers in ((3, None), ("unknown", Headers({b"content-length": [b"3"]}))):
            for octets in (b"ab", b"abcd"):
                self.meet()
                body = Producer() if headers else Producer(length)
                deferred = self.send(body, headers)
                body.write(octets)
                if len(octets) < 3:
                    body.finish()
                self.assertIsInstance(self.neverReceived(deferred), LengthMismatch)
                self.assertTrue(self.transport.isAborted)
                self.assertNotIn(b"d", self.transport.value().partition(b"\r\n\r\n")[2])

    def test_pace(self) -> None:
        """It is the transport that pauses and resumes a source."""
        producer = Producer()
        self.send(producer)
        self.transport.producer.pauseProducing()
        self.transport.producer.resumeProducing()
        self.assertEqual(["start", "pause", "resume"], producer.calls)

    def test_pulled(self) -> None:
        """Twisted's own sender of files is asked for a piece a turn, and not while paused."""
        octets = b"x" * (FileSender.CHUNK_SIZE * 2)
        sender = FileSender()

        def begin(producer: Producer) -> None:
            sending = sender.beginFileTransfer(io.BytesIO(octets), producer.consumer)
            sending.addCallback(lambda _: producer.finish())

        self.send(Producer(len(octets), begin))
        self.lines()
        self.transport.producer.pauseProducing()
        self.clock.advance(0)
        self.assertEqual(b"", self.transport.value())
        self.transport.producer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(octets, self.transport.value())
        self.assertIsNone(self.transport.producer)


class ExpectationTests(BodyTestCase):
    """Bodies that are held back."""

    def setUp(self) -> None:
        """Send one."""
        super().setUp()
        self.expecting()

    def expecting(self) -> None:
        """On a new connection."""
        self.meet()
        self.producer = Producer(3)
        self.deferred: Deferred[Any] = self.send(
            self.producer, Headers({b"expect": [b"100-continue"]})
        )
        self.assertEqual((b"Expect: 100-continue", b""), tuple(self.lines()[2::2]))

    def assertOver(self) -> None:
        """Nothing of the body was produced; no timer is left."""
        self.assertEqual([], self.producer.calls)
        self.assertFalse(self.sent.bodyStarted)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_continue(self) -> None:
        """The server's 100, its silence or its 200 let the body go, once."""
        for answer in (CONTINUE, CONTINUE * 2, b"", b"HTTP/1.1 200 OK\r\n\r\n"):
            self.expecting()
            self.assertEqual([], self.producer.calls)
            self.client.dataReceived(answer) if answer else self.clock.advance(1)
            self.assertEqual(["start"], self.producer.calls)
            self.assertTrue(self.sent.bodyStarted)
            self.producer.write(b"abc")
            self.producer.finish()
            self.assertEqual(b"abc", self.transport.value())
            self.clock.advance(1)
            self.assertEqual([], self.clock.getDelayedCalls())
            self.deferred.addErrback(lambda reason: None)
            self.lose()

    def test_unasked(self) -> None:
        """A 100 to a request that has no body, or does not wait, changes nothing."""
        for body in (None, b"abc"):
            self.meet()
            deferred = self.send(body)
            self.lines()
            self.client.dataReceived(CONTINUE + RESPONSE)
            self.assertEqual(200, self.successResultOf(deferred).code)
            self.assertEqual(b"", self.transport.value())

    def test_refused(self) -> None:
        """A refusal is delivered, and the connection, which owes the body, is closed."""
        self.client.dataReceived(REFUSED)
        response, reader = self.successResultOf(self.deferred), Reader()
        response.deliverBody(reader)
        self.assertEqual((413, b"large", True), (response.code, reader.body, reader.isDone))
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)
        self.lose()
        self.assertOver()

    def test_otherEnds(self) -> None:
        """Nothing is left of one that is cancelled, or whose connection is lost."""
        self.deferred.cancel()
        self.assertIsInstance(self.neverReceived(self.deferred), CancelledError)
        self.assertOver()
        self.expecting()
        self.lose()
        self.assertIsInstance(self.neverReceived(self.deferred), ConnectionTerminated)
        self.assertOver()


class EarlyResponseTests(BodyTestCase):
    """Responses that come before the request is complete."""

    def test_refused(self) -> None:
        """The producer is stopped, and the connection waits for it no longer before it closes."""
        producer = Producer()
        deferred = self.send(producer)
        producer.write(b"x")
        self.client.dataReceived(REFUSED[:-1])
        self.assertEqual(["start", "stop"], producer.calls)
        self.assertIsNone(self.transport.producer)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.transport.clear()
        producer.write(b"late")
        producer.finish()
        self.client.dataReceived(REFUSED[-1:])
        self.assertEqual((b"large", True), (reader.body, reader.isDone))
        self.assertEqual(b"", self.transport.value())
        self.assertTrue(self.transport.disconnecting)
        self.lose()
        self.assertFalse(self.client.isUsable())

    def test_accepted(self) -> None:
        """A 200 lets the upload go on, until its body is complete: then nobody needs the rest."""
        producer = Producer()
        deferred = self.send(producer)
        self.client.dataReceived(RESPONSE[:-1])
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.lines()
        producer.write(b"abc")
        self.assertEqual(b"3\r\nabc\r\n", self.transport.value())
        self.assertEqual(["start"], producer.calls)
        self.client.dataReceived(RESPONSE[-1:])
        self.assertTrue(reader.isDone)
        self.assertEqual(["start", "stop"], producer.calls)
        self.assertIsNone(self.transport.producer)
        self.assertTrue(self.transport.disconnecting)

    def test_acceptedInTime(self) -> None:
        """If the upload is complete first, the connection is kept."""
        producer = Producer()
        self.send(producer)
        self.client.dataReceived(RESPONSE[:-1])
        producer.finish()
        self.client.dataReceived(RESPONSE[-1:])
        self.assertEqual([self.client], self.idle)
        self.assertEqual(["start"], producer.calls)

    def test_lostInTheBody(self) -> None:
        """The reader of such a response is told when the connection is lost."""
        for octets in (REFUSED[:-1], RESPONSE[:-1]):
            self.meet()
            producer, reader = Producer(), Reader()
            deferred = self.send(producer)
            self.client.dataReceived(octets)
            self.successResultOf(deferred).deliverBody(reader)
            self.lose(ConnectionLost())
            self.assertEqual(1, len(reader.reasons))
            self.assertFalse(reader.isDone)
            self.assertEqual(["start", "stop"], producer.calls)

    def test_theUploadFails(self) -> None:
        """Also when it was lost because the upload failed."""
        producer, reader = Producer(), Reader()
        deferred = self.send(producer)
        self.client.dataReceived(RESPONSE[:-1])
        self.successResultOf(deferred).deliverBody(reader)
        producer.finished.errback(Failure(ZeroDivisionError()))
        self.assertTrue(self.transport.isAborted)
        self.lose(ConnectionLost())
        self.assertEqual(1, len(reader.reasons))

    def test_garbage(self) -> None:
        """What is no HTTP stops the producer, so that the connection can close."""
        producer = Producer()
        deferred = self.send(producer)
        self.client.dataReceived(b"SSH-2.0-OpenSSH\r\n\r\n")
        self.assertEqual(["start", "stop"], producer.calls)
        self.assertIsNone(self.transport.producer)
        self.assertTrue(self.transport.disconnecting)
        self.assertIsInstance(self.neverReceived(deferred), ProtocolViolation)
        self.assertFalse(self.client.isUsable())
        self.lose()
