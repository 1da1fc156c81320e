"""Tests for :mod:`txhyper.protocol.http11_messages`: responses over HTTP/1.1, and their bodies."""

from __future__ import annotations

import gc
import gzip
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from tests.protocol.scene import Producer, Reader
from tests.protocol.test_http11 import RESPONSE, HTTP11TestCase
from txhyper.core.bounds import Bounds
from txhyper.errors import (
    BodyTooLarge,
    BoundExceeded,
    ConnectionTerminated,
    DecodingFailed,
    ProtocolViolation,
)
from txhyper.interfaces import IHyperResponse
from txhyper.protocol.request import Request

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk on the wire."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ResponseTestCase(HTTP11TestCase):
    """Responses that have come, in part."""

    def opened(self, octets: bytes, method: bytes = b"GET") -> Any:
        """A response whose head has come."""
        deferred = self.request(method)
        self.client.dataReceived(octets)
        return self.successResultOf(deferred)

    def next(self, chunks: Any) -> Deferred[bytes]:
        """Ask an iterator for its next chunk."""
        return Deferred.fromCoroutine(chunks.__anext__())

    def reason(self, deferred: Deferred[Any], expected: type[Exception]) -> Any:
        """Why something is not complete."""
        failure = self.failureResultOf(deferred, ResponseFailed)
        inner = failure.value.reasons[0].value
        self.assertIsInstance(inner, expected)
        return inner


class ReadTests(ResponseTestCase):
    """``read``."""

    def test_interface(self) -> None:
        """It is what users of HTTP/2 know."""
        verifyObject(IHyperResponse, self.opened(RESPONSE))

    def test_whole(self) -> None:
        """The body, when it is complete; once."""
        response = self.opened(RESPONSE[:-1])
        deferred = response.read(5)
        self.assertNoResult(deferred)
        self.assertRaises(RuntimeError, response.read)
        self.client.dataReceived(RESPONSE[-1:])
        self.assertEqual(b"hello", self.successResultOf(deferred))
        self.assertEqual([self.client], self.idle)
        self.assertRaises(RuntimeError, response.read)

    def test_noBody(self) -> None:
        """A response that has none has an empty one."""
        head = b"HTTP/1.1 %b X\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\n"
        for method, status in ((b"HEAD", b"200"), (b"GET", b"204"), (b"GET", b"304")):
            response = self.opened(head % status, method)
            self.assertEqual(b"", self.successResultOf(response.read()))

    def test_limit(self) -> None:
        """A body that is too large costs the connection, unless it is complete."""
        for octets, isAborted in (
            (CHUNKED + chunk(b"hel") + chunk(b"lo"), True),
            (CHUNKED + chunk(b"hel") + chunk(b"lo") + chunk(b""), False),
        ):
            self.meet()
            self.reason(self.opened(octets).read(2), BodyTooLarge)
            self.assertEqual(isAborted, self.transport.isAborted)

    def test_untilTheEnd(self) -> None:
        """A body without a length is complete if its connection ends in order, and else not."""
        for end, expected in ((ConnectionDone(), None), (ConnectionLost(), ConnectionTerminated)):
            self.meet()
            response = self.opened(UNTIL_THE_END + b"hello")
            deferred, trailers = response.read(), response.whenTrailers()
            self.lose(end)
            if expected is None:
                self.assertEqual(b"hello", self.successResultOf(deferred))
                self.assertEqual(Headers(), self.successResultOf(trailers))
            else:
                self.reason(deferred, expected)
                self.reason(trailers, expected)

    def test_cutOffInItsCoding(self) -> None:
        """A coding that is cut off is told, although the length of the body was not."""
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"
        deferred = self.opened(head + gzip.compress(b"hello")[:-1]).read()
        self.lose()
        self.reason(deferred, DecodingFailed)

    def test_cancelled(self) -> None:
        """Cancelling costs the connection."""
        deferred = self.opened(RESPONSE[:-1]).read()
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        self.assertTrue(self.transport.isAborted)
        self.lose(ConnectionAborted())

    def test_brokenChunk(self) -> None:
        """A body that is no chunked body fails, and nothing escapes."""
        deferred = self.opened(CHUNKED + chunk(b"hello")).read()
        self.client.dataReceived(b"nonsense\r\n")
        self.failureResultOf(deferred, ResponseFailed)
        self.assertTrue(self.transport.disconnecting)


class ChunksTests(ResponseTestCase):
    """``chunks``."""

    def test_pace(self) -> None:
        """Nothing is read from the connection unless it is asked for, from the beginning."""
        chunks = self.opened(CHUNKED + chunk(b"a") + chunk(b"b")).chunks()
        self.assertEqual(b"a", self.successResultOf(self.next(chunks)))
        self.assertEqual("paused", self.transport.producerState)
        self.assertEqual(b"b", self.successResultOf(self.next(chunks)))
        self.assertEqual("paused", self.transport.producerState)
        waiting = self.next(chunks)
        self.assertEqual("producing", self.transport.producerState)
        # What one read brought is delivered before the end.
        self.client.dataReceived(chunk(b"c") + chunk(b"d") + chunk(b""))
        self.assertEqual(b"c", self.successResultOf(waiting))
        self.assertEqual(b"d", self.successResultOf(self.next(chunks)))
        for _ in range(2):
            self.failureResultOf(self.next(chunks), StopAsyncIteration)
        self.assertEqual(("producing", 0), (self.transport.producerState, self.client.openCount))

    def test_failure(self) -> None:
        """What came before a failure is delivered before it."""
        chunks = self.opened(CHUNKED + chunk(b"a") + chunk(b"b")).chunks()
        waiting = self.next(chunks)
        self.lose(ConnectionLost())
        self.assertEqual(b"a", self.successResultOf(waiting))
        self.assertEqual(b"b", self.successResultOf(self.next(chunks)))
        self.failureResultOf(self.next(chunks), ResponseFailed)
        self.failureResultOf(self.next(chunks), StopAsyncIteration)

    def test_thrownAway(self) -> None:
        """
        An iterator that is garbage, or closed, costs the connection, unless the body is complete;
        what was read with it is dropped.
        """
        for how in ("garbage", "aclose"):
            for end, isAborted in ((b"", True), (chunk(b""), False)):
                self.meet()
                chunks = self.opened(CHUNKED).chunks()
                waiting = self.next(chunks)
                self.client.dataReceived(chunk(b"a") + end)
                self.successResultOf(waiting)
                if how == "aclose":
                    self.successResultOf(Deferred.fromCoroutine(chunks.aclose()))
                    self.client.dataReceived(chunk(b"late") if isAborted else b"")
                    self.failureResultOf(self.next(chunks), StopAsyncIteration)
                del chunks, waiting
                gc.collect()
                self.clock.advance(0)
                self.assertEqual(isAborted, self.transport.isAborted)


class UnreadTests(ResponseTestCase):
    """Responses that are thrown away."""

    def test_costsTheConnection(self) -> None:
        """One whose body is still to come, by way of the reactor's thread."""
        self.opened(RESPONSE[:-1])
        gc.collect()
        self.assertFalse(self.transport.isAborted)
        self.clock.advance(0)
        self.assertTrue(self.transport.isAborted)

    def test_complete(self) -> None:
        """One that was complete costs nothing."""
        self.opened(RESPONSE)
        gc.collect()
        self.clock.advance(0)
        self.assertFalse(self.transport.isAborted)

    def test_completeByThen(self) -> None:
        """
        Nor one that was thrown away as its head came and whose body came in the same read: by
        then the connection may be somebody else's.
        """
        self.request().addCallback(lambda response: gc.collect() and None)
        self.client.dataReceived(RESPONSE)
        other = self.request()
        self.clock.advance(0)
        self.assertFalse(self.transport.isAborted)
        self.client.dataReceived(RESPONSE)
        self.successResultOf(other)


class TrailersTests(ResponseTestCase):
    """``whenTrailers``."""

    def test_chunked(self) -> None:
        """The trailers of a chunked body, apart from the headers."""
        response = self.opened(CHUNKED + chunk(b"hello"))
        waiting, body = response.whenTrailers(), response.read()
        self.client.dataReceived(b"0\r\nDigest:  x \r\nA: 1\r\na: 2\r\n\r\n")
        self.assertEqual(b"hello", self.successResultOf(body))
        for deferred in (waiting, response.whenTrailers()):
            headers = self.successResultOf(deferred)
            self.assertEqual(Headers({b"digest": [b"x"], b"a": [b"1", b"2"]}), headers)
        self.assertFalse(response.headers.hasHeader(b"digest"))

    def test_malformed(self) -> None:
        """Trailers that break the rules fail those who ask, and nobody else."""
        response = self.opened(CHUNKED)
        body = response.read()
        self.client.dataReceived(b"0\r\nbad name: x\r\n\r\n")
        self.assertEqual(b"", self.successResultOf(body))
        self.reason(response.whenTrailers(), ProtocolViolation)

    def test_none(self) -> None:
        """Other bodies have none."""
        self.assertEqual(Headers(), self.successResultOf(self.opened(RESPONSE).whenTrailers()))

    def test_failed(self) -> None:
        """They fail with the body, also if its reader raises when it is told."""
        response = self.opened(RESPONSE[:-1])
        response.deliverBody(Reader(onLost=lambda reader: 1 // 0))
        waiting = response.whenTrailers()
        self.lose(ConnectionLost())
        self.flushLoggedErrors(ZeroDivisionError)
        self.reason(waiting, ConnectionTerminated)


class InformationalTests(ResponseTestCase):
    """``onInformational``."""

    def send(self, told: Any, **options: Any) -> Deferred[Any]:
        """A GET."""
        self.meet(**options)
        return self.client.request(Request(b"GET", b"https://a.test/", onInformational=told))

    def test_told(self) -> None:
        """Each is told, with its status and its fields, and the response follows."""
        told: list[tuple[int, Headers]] = []
        deferred = self.send(lambda status, headers: told.append((status, headers)))
        early = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\nlink: b\r\n\r\n"
        self.client.dataReceived(early + b"HTTP/1.1 100 Continue\r\n\r\n" + RESPONSE)
        self.assertEqual(b"hello", self.successResultOf(self.successResultOf(deferred).read()))
        self.assertEqual([(103, Headers({b"link": [b"a", b"b"]})), (100, Headers())], told)

    def test_tooMany(self) -> None:
        """More than the bound allows fail the request and the connection, once."""
        told: list[int] = []
        deferred = self.send(
            lambda status, headers: told.append(status), bounds=Bounds(informational_responses=3)
        )
        self.client.dataReceived(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20)
        error = self.neverReceived(deferred)
        self.assertIsInstance(error, BoundExceeded)
        self.assertEqual("informational_responses", error.bound)
        self.assertEqual([103] * 3, told)
        self.assertTrue(self.transport.isAborted)
        self.lose(ConnectionAborted())

    def test_cancels(self) -> None:
        """Who cancels from within is told nothing more."""
        told: list[int] = []

        def cancel(status: int, headers: Headers) -> None:
            told.append(status)
            deferred.cancel()

        deferred = self.send(cancel)
        self.client.dataReceived(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2 + RESPONSE)
        self.assertIsInstance(self.neverReceived(deferred), CancelledError)
        self.assertEqual([103], told)


class GivenUpTests(ResponseTestCase):
    """Readers that want no more."""

    def test_stopped(self) -> None:
        """Whichever way a reader leaves, the connection goes, and the reader is told."""
        for leave in ("stopProducing", "loseConnection", "abortConnection"):
            self.setUp()
            response, reader = self.opened(RESPONSE[:-1]), Reader()
            response.deliverBody(reader)
            getattr(reader.transport, leave)()
            self.assertTrue(
                self.transport.isAborted
                or self.transport.disconnecting
                or self.transport.producerState == "stopped",
                leave,
            )
            self.lose(ConnectionAborted())
            self.assertIsInstance(reader.reasons[0].value, ResponseFailed)


class EarlyTests(ResponseTestCase):
    """Responses that come before the request has been sent."""

    def setUp(self) -> None:
        super().setUp()
        self.producer = Producer(10)

    def early(self, octets: bytes) -> Deferred[Any]:
        """A response to a request whose body is on its way."""
        deferred = self.request(b"PUT", body=self.producer)
        self.producer.write(b"x")
        self.client.dataReceived(octets)
        return deferred

    def test_complete(self) -> None:
        """It is told at once; when it is over, there is no use in the connection any more."""
        for status, isStopped in ((b"200", False), (b"413", True)):
            self.setUp()
            octets = RESPONSE.replace(b"200", status)
            response = self.successResultOf(self.early(octets[:-1]))
            self.assertEqual(isStopped, "stop" in self.producer.calls)
            self.assertFalse(self.transport.isAborted)
            body = response.read()
            self.client.dataReceived(octets[-1:])
            self.assertEqual(b"hello", self.successResultOf(body))
            self.assertIn("stop", self.producer.calls)
            self.assertTrue(self.transport.isAborted)
            self.lose(ConnectionAborted())
            self.assertFalse(self.client.isUsable())

    def test_lost(self) -> None:
        """The reader of its body is told when the connection is lost."""
        response = self.successResultOf(self.early(RESPONSE[:-1]))
        body, trailers = response.read(), response.whenTrailers()
        self.lose(ConnectionLost())
        self.reason(body, ConnectionLost)
        self.reason(trailers, ConnectionTerminated)

    def test_theProducerFails(self) -> None:
        """And when the upload fails."""
        body = self.successResultOf(self.early(RESPONSE[:-1])).read()
        self.producer.finished.errback(Failure(ZeroDivisionError()))
        self.assertTrue(self.transport.isAborted)
        self.lose(ConnectionAborted())
        self.failureResultOf(body, ResponseFailed)

    def test_garbage(self) -> None:
        """What is not HTTP fails the request at once; the upload stops, and nothing escapes."""
        deferred = self.early(b"SSH-2.0-OpenSSH\r\n\r\n")
        self.assertIsInstance(self.neverReceived(deferred), ProtocolViolation)
        self.assertIn("stop", self.producer.calls)
        self.assertTrue(self.transport.isAborted)
        self.lose(ConnectionAborted())
        self.assertFalse(self.client.isUsable())

    def test_garbageWithoutABody(self) -> None:
        """So does garbage in the body of a response that was told."""
        body = self.successResultOf(self.early(CHUNKED)).read()
        self.client.dataReceived(b"nonsense\r\n")
        self.failureResultOf(body, ResponseFailed)
        self.lose(ConnectionAborted())
