"""Tests for :mod:`txhyper.protocol.http11`."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    RequestGenerationFailed,
    ResponseFailed,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface.verify import verifyObject

from tests.protocol.scene import Claim, Producer, Reader, ThreadedClock, Tracked, WholeBody
from txhyper.errors import (
    ConnectionTerminated,
    ConnectionUnusable,
    InvalidRequest,
    ProtocolViolation,
)
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.http11 import HTTP11ClientConnection
from txhyper.protocol.request import Request
from txhyper.protocol.wire import CLOSE_TIMEOUT

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Transport(StringTransport):
    """A transport whose end a test tells."""

    isAborted = False

    def abortConnection(self) -> None:
        """Remember it."""
        self.isAborted = True


class HTTP11TestCase(SynchronousTestCase):
    """One HTTP/1.1 connection."""

    def setUp(self) -> None:
        self.idle: list[HTTP11ClientConnection] = []
        self.clock = ThreadedClock()
        self.meet()

    def meet(self, **options: Any) -> None:
        """A new connection, with options of its own."""
        self.client = HTTP11ClientConnection(
            self.clock, "https://a.test", onCapacity=self.idle.append, **options
        )
        self.transport = Transport()
        self.client.makeConnection(self.transport)

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        headers: Headers | None = None,
        body: Any = None,
    ) -> Deferred[Any]:
        """Send a request."""
        return self.client.request(Tracked(method, b"https://a.test" + path, headers, body))

    def lines(self) -> list[bytes]:
        """The request line and the fields that were sent, and the rest as the last element."""
        head, _, rest = self.transport.value().partition(b"\r\n\r\n")
        self.transport.clear()
        first, *fields = head.split(b"\r\n")
        return [first, *sorted(fields), rest]

    def lose(self, error: Exception | None = None) -> None:
        """The transport is gone."""
        self.client.connectionLost(Failure(error or ConnectionDone()))

    def neverReceived(self, deferred: Deferred[Any]) -> Any:
        """The one error of ours in a request that failed before its response."""
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        (reason,) = failure.value.reasons
        return reason.value


class ExchangeTests(HTTP11TestCase):
    """Requests and responses."""

    def test_interface(self) -> None:
        """It is what the pool expects of a connection."""
        verifyObject(IHTTPConnection, self.client)
        self.assertEqual((False, 1), (self.client.multiplexed, self.client.capacity))

    def test_get(self) -> None:
        """A request goes out as HTTP/1.1 has it, and its response comes back with its body."""
        deferred = self.request(path=b"/p?q#f", headers=Headers({b"x-a": [b"1", b"2"]}))
        self.assertEqual(
            [b"GET /p?q HTTP/1.1", b"Host: a.test", b"X-A: 1", b"X-A: 2", b""], self.lines()
        )
        self.client.dataReceived(RESPONSE)
        response, reader = self.successResultOf(deferred), Reader()
        self.assertEqual(
            (200, (b"HTTP", 1, 1), None), (response.code, response.version, response.streamId)
        )
        self.assertEqual(b"https://a.test/p?q#f", response.request.absoluteURI)
        response.deliverBody(reader)
        self.assertEqual((b"hello", True), (reader.body, reader.isDone))

    def test_theHost(self) -> None:
        """A Host field of the user's takes the place of the URI's, once."""
        self.request(headers=Headers({b"host": [b"b.test"]}))
        self.assertEqual([b"GET / HTTP/1.1", b"Host: b.test", b""], self.lines())

    def test_tunnel(self) -> None:
        """CONNECT is for servers that speak HTTP/2: here it is refused, and nothing is sent."""
        deferred = self.request(b"CONNECT")
        self.assertIn("HTTP/2", str(self.failureResultOf(deferred, InvalidRequest).value))
        self.assertEqual(b"", self.transport.value())

    def test_transferEncoding(self) -> None:
        """Twisted's own stands alone: not every server reads two of them alike."""
        headers = Headers({b"Transfer-Encoding": [b"chunked"]})
        deferred = self.request(b"POST", headers=headers, body=Producer())
        error = self.failureResultOf(deferred, InvalidRequest).value
        self.assertIn("transfer-encoding", str(error))
        self.assertEqual(b"", self.transport.value())

    def test_continueUnasked(self) -> None:
        """A 100 that nobody has asked for is told, and changes nothing."""
        told: list[int] = []
        request = Request(
            b"GET", b"https://a.test/", onInformational=lambda status, _: told.append(status)
        )
        deferred = self.client.request(request)
        self.client.dataReceived(b"HTTP/1.1 100 Continue\r\n\r\n" + RESPONSE)
        self.assertEqual(200, self.successResultOf(deferred).code)
        self.assertEqual([100], told)

    def test_upload(self) -> None:
        """A body goes out with its length, written once; the request knows that it has begun."""
        request = Request(b"PUT", b"https://a.test/", None, WholeBody(b"hello"))
        self.client.request(request)
        self.assertEqual(
            [b"PUT / HTTP/1.1", b"Content-Length: 5", b"Host: a.test", b"hello"], self.lines()
        )
        self.assertTrue(request.bodyStarted)

    def test_unknownLength(self) -> None:
        """A body of unknown length is chunked."""
        producer = Producer(UNKNOWN_LENGTH)
        self.request(b"POST", body=producer)
        producer.write(b"hello")
        producer.finish()
        self.assertEqual(
            [
                b"POST / HTTP/1.1",
                b"Host: a.test",
                b"Transfer-Encoding: chunked",
                b"5\r\nhello\r\n0\r\n\r\n",
            ],
            self.lines(),
        )

    def test_fieldsOfTheConnection(self) -> None:
        """What HTTP/2 does not allow is HTTP/1.1's own."""
        self.request(headers=Headers({b"te": [b"gzip"]}))
        self.assertIn(b"TE: gzip", self.lines())

    def test_invalid(self) -> None:
        """An invalid request fails its Deferred; nothing is sent, and the slot is free."""
        deferred = self.request(headers=Headers({b"content-length": [b"+5"]}))
        self.failureResultOf(deferred, InvalidRequest)
        self.assertEqual(b"", self.transport.value())
        self.assertEqual(0, self.client.openCount)
        self.assertEqual([self.client], self.idle)
        self.request()
        self.assertEqual(b"GET / HTTP/1.1", self.lines()[0])


class ReadBodyTests(HTTP11TestCase):
    """What Twisted's own ``readBody`` needs."""

    def test_readBody(self) -> None:
        """It reads a body without a word of warning."""
        deferred = self.request()
        self.client.dataReceived(RESPONSE)
        body = readBody(self.successResultOf(deferred))
        self.assertEqual(b"hello", self.successResultOf(body))
        self.assertEqual([], self.flushWarnings())

    def test_pauseAndResume(self) -> None:
        """A reader's pause reaches the transport, since there is nobody else on it."""
        deferred = self.request()
        self.client.dataReceived(RESPONSE[:-1])
        reader: Any = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        reader.transport.pauseProducing()
        self.assertEqual("paused", self.transport.producerState)
        reader.transport.resumeProducing()
        self.assertEqual("producing", self.transport.producerState)

    def test_abort(self) -> None:
        """Giving a body up aborts the connection; after the body's end it disturbs nobody else."""
        for octets, aborted in ((RESPONSE[:-1], True), (RESPONSE, False)):
            self.meet()
            deferred = self.request()
            self.client.dataReceived(octets)
            reader: Any = Reader()
            self.successResultOf(deferred).deliverBody(reader)
            self.request().addErrback(lambda reason: None)
            reader.transport.abortConnection()
            self.assertEqual(aborted, self.transport.isAborted)


class SlotTests(HTTP11TestCase):
    """One request at a time."""

    def test_reuse(self) -> None:
        """The slot is in use until the body has been read; then the connection is idle."""
        for round_ in range(3):
            deferred = self.request()
            self.assertEqual(1, self.client.openCount)
            self.assertTrue(self.client.isUsable())
            self.client.dataReceived(RESPONSE[:-1])
            self.assertEqual(1, self.client.openCount)
            response = self.successResultOf(deferred)
            response.deliverBody(Reader())
            self.assertEqual(round_, len(self.idle))
            self.client.dataReceived(RESPONSE[-1:])
            self.assertEqual((0, round_ + 1), (self.client.openCount, len(self.idle)))

    def test_fromWithinTheIdleCallback(self) -> None:
        """Whoever is told that the slot is free may send the next request there and then."""
        deferreds: list[Deferred[Any]] = []

        def next_(client: HTTP11ClientConnection) -> None:
            if len(deferreds) < 3:
                deferreds.append(self.request(path=b"/%d" % len(deferreds)))

        self.client.onCapacity = next_
        next_(self.client)
        for number in range(3):
            self.assertIn(b"GET /%d HTTP/1.1" % number, self.lines())
            self.client.dataReceived(RESPONSE)
        for deferred in deferreds:
            reader = Reader()
            self.successResultOf(deferred).deliverBody(reader)
            self.assertEqual((b"hello", True), (reader.body, reader.isDone))
        self.assertEqual(0, self.client.openCount)

    def test_fromWithinTheEndOfTheBody(self) -> None:
        """So may the reader whose body has just ended; then the slot is not free for others."""
        deferreds: list[Deferred[Any]] = []
        first = self.request()
        self.client.dataReceived(RESPONSE[:-1])
        reader = Reader(onLost=lambda reader: deferreds.append(self.request(path=b"/next")))
        self.successResultOf(first).deliverBody(reader)
        self.lines()
        self.client.dataReceived(RESPONSE[-1:])
        self.assertIn(b"GET /next HTTP/1.1", self.lines())
        self.assertEqual((1, []), (self.client.openCount, self.idle))
        self.client.dataReceived(RESPONSE)
        self.assertEqual(200, self.successResultOf(deferreds[0]).code)
        self.assertEqual((0, [self.client]), (self.client.openCount, self.idle))

    def test_nobodyIsTold(self) -> None:
        """Whoever keeps no pool need not listen."""
        client = HTTP11ClientConnection(self.clock)
        client.makeConnection(Transport())
        deferred = client.request(Request(b"GET", b"https://a.test/"))
        client.dataReceived(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.successResultOf(deferred)
        self.assertEqual(0, client.openCount)

    def test_busy(self) -> None:
        """A busy connection takes nothing, and says so as something that may be tried elsewhere."""
        self.request()
        self.lines()
        self.assertFalse(self.client.reserve())
        error = self.neverReceived(self.request())
        self.assertIsInstance(error, ConnectionUnusable)
        self.assertEqual(b"", self.transport.value())
        self.assertEqual(1, self.client.openCount)

    def test_reservation(self) -> None:
        """A slot that is reserved is given to the one who reserved it, or back."""
        self.assertTrue(self.client.reserve())
        self.assertFalse(self.client.reserve())
        self.client.release()
        self.assertEqual([self.client], self.idle)
        self.assertTrue(self.client.reserve())
        claim = Claim()
        self.client.issue(Request(b"GET", b"https://a.test/"), claim, True)
        self.assertEqual(b"GET / HTTP/1.1", self.lines()[0])

    def test_reservedAndThenClosed(self) -> None:
        """A reservation on a connection that closes meanwhile is given back; no body was begun."""
        for end in ("close", "lose"):
            self.meet()
            self.assertTrue(self.client.reserve())
            if end == "close":
                self.client.close()
            else:
                self.lose()
            claim, request = Claim(), Request(b"PUT", b"https://a.test/", None, WholeBody(b"x"))
            self.client.issue(request, claim, True)
            self.assertIsInstance(claim.errors[0], ConnectionUnusable)
            self.assertTrue(claim.errors[0].retriable)  # type: ignore[attr-defined]
            self.assertFalse(request.bodyStarted)
            self.assertEqual(0, self.client.openCount)
            self.assertTrue(self.transport.disconnecting)

    def test_notPersistent(self) -> None:
        """A connection that is not to be kept says so, and closes after its response."""
        self.meet(persistent=False)
        deferred = self.request()
        self.assertIn(b"Connection: close", self.lines())
        self.client.dataReceived(RESPONSE)
        self.successResultOf(deferred).deliverBody(Reader())
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual([], self.idle)
        self.assertFalse(self.client.reserve())

    def test_theServerCloses(self) -> None:
        """Nor is one kept that the server wants closed."""
        deferred = self.request()
        self.client.dataReceived(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello")
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertEqual([], reader.reasons)
        self.lose()
        self.assertEqual(b"hello", reader.body)
        self.assertEqual([], self.idle)
        self.assertFalse(self.client.isUsable())

    def test_theServerSaysSoInItsWay(self) -> None:
        """
        Nor one whose server says so in another spelling or among other words, or speaks HTTP/1.0
        and does not say that it stays (RFC 9112 section 9.3).
        """
        for version, connection, isKept in [
            (b"1.1", b"", True),
            (b"1.1", b"connection: Close\r\n", False),
            (b"1.1", b"connection: keep-alive, close\r\n", False),
            (b"1.1", b"connection: foo\r\nconnection: close\r\n", False),
            (b"1.1", b"connection: closed\r\n", True),
            (b"1.0", b"", False),
            (b"1.0", b"connection: Keep-Alive\r\n", True),
        ]:
            self.meet()
            deferred = self.request()
            head = b"HTTP/%b 200 OK\r\n%bcontent-length: 5\r\n\r\n" % (version, connection)
            self.client.dataReceived(head + b"hello")
            reader = Reader()
            self.successResultOf(deferred).deliverBody(reader)
            self.assertTrue(reader.isDone)
            self.assertEqual(isKept, self.client.isUsable(), connection)
            self.assertEqual(isKept, not self.transport.disconnecting)


class RestTests(HTTP11TestCase):
    """Octets behind a response, which nobody has asked for."""

    def test_behindAResponse(self) -> None:
        """
        The response is whole; the connection takes no more, as the next response might be theirs.
        """
        for response in (
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ):
            self.meet()
            deferred = self.request()
            self.client.dataReceived(response + b"HTTP/1.1 200 OK\r\n")
            reader = Reader()
            self.successResultOf(deferred).deliverBody(reader)
            self.assertTrue(reader.isDone)
            self.assertFalse(self.client.isUsable())
            self.assertTrue(self.transport.disconnecting)
            self.lose()

    def test_nothingBehind(self) -> None:
        """Without them it is as usable as before."""
        deferred = self.request()
        self.client.dataReceived(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.successResultOf(deferred)
        self.assertTrue(self.client.isUsable())


class FailureTests(HTTP11TestCase):
    """Requests that get no response."""

    def test_connectionLost(self) -> None:
        """The end of the connection is told as over HTTP/2."""
        for end in (ConnectionDone(), ConnectionLost(), ConnectionAborted()):
            self.meet()
            deferred = self.request()
            self.lose(end)
            error = self.neverReceived(deferred)
            self.assertIsInstance(error, ConnectionTerminated)
            self.assertIn("https://a.test", str(error))
            self.assertFalse(error.retriable)
            self.assertFalse(self.client.isUsable())

    def test_lostWhileSending(self) -> None:
        """Also while the request is on its way; its producer is stopped."""
        producer = Producer(10)
        deferred = self.request(b"PUT", body=producer)
        producer.write(b"x")
        self.lose()
        self.assertIsInstance(self.neverReceived(deferred), ConnectionTerminated)
        self.assertIn("stop", producer.calls)

    def test_theProducerFails(self) -> None:
        """The user's failure reaches the user as over HTTP/2; here it costs the connection."""
        producer = Producer(10)
        deferred = self.request(b"PUT", body=producer)
        producer.finished.errback(Failure(ZeroDivisionError()))
        error = self.failureResultOf(deferred, RequestGenerationFailed).value
        error.reasons[0].trap(ZeroDivisionError)
        self.assertTrue(self.transport.isAborted)
        self.assertFalse(self.client.isUsable())

    def test_garbage(self) -> None:
        """What is not HTTP breaks the protocol, and the connection."""
        for octets in (
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ):
            self.meet()
            deferred = self.request()
            self.client.dataReceived(octets)
            error = self.neverReceived(deferred)
            self.assertIsInstance(error, ProtocolViolation)
            self.assertIn("https://a.test", str(error))
            self.assertNotIn("\n", str(error))
            self.assertTrue(self.transport.disconnecting)

    def test_inTheBody(self) -> None:
        """A body that is cut off is not complete."""
        deferred = self.request()
        self.client.dataReceived(RESPONSE[:-1])
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.lose(ConnectionLost())
        self.assertEqual(b"hell", reader.body)
        self.assertFalse(reader.isDone)

    def test_cutOffWithoutALength(self) -> None:
        """
        A body that ends with its connection is a potential loss, as Twisted tells it, if that was
        closed in order; if it broke, the loss is certain. Nobody may be left to be told.
        """
        for end, expected in (
            (ConnectionDone(), PotentialDataLoss),
            (ConnectionLost(), ResponseFailed),
        ):
            self.meet()
            deferred = self.request()
            self.client.dataReceived(b"HTTP/1.1 200 OK\r\n\r\nhello")
            reader = Reader()
            self.successResultOf(deferred).deliverBody(reader)
            self.lose(end)
            self.assertEqual(b"hello", reader.body)
            reader.reasons[0].trap(expected)
        reader.reasons[0].value.reasons[0].trap(ConnectionTerminated)
        self.meet()
        self.request()
        self.client.dataReceived(b"HTTP/1.1 200 OK\r\n\r\nhello")
        self.lose(ConnectionLost())

    def test_gone(self) -> None:
        """A response that was thrown away needs no telling."""
        deferred = self.request()
        self.client.dataReceived(RESPONSE)
        self.successResultOf(deferred)
        del deferred
        gc.collect()
        self.lose(ConnectionLost())
        self.assertFalse(self.client.isUsable())

    def test_afterwards(self) -> None:
        """A connection that is gone takes no request."""
        self.lose()
        self.assertFalse(self.client.reserve())
        self.assertIsInstance(self.neverReceived(self.request()), ConnectionUnusable)

    def test_noPing(self) -> None:
        """HTTP/1.1 has no PING."""
        self.failureResultOf(self.client.ping(), ConnectionUnusable)


class CancelTests(HTTP11TestCase):
    """Giving up a request costs the connection."""

    def test_waitingForTheResponse(self) -> None:
        """The Deferred is cancelled, once, and the connection aborted."""
        deferred = self.request()
        deferred.cancel()
        self.assertIsInstance(self.neverReceived(deferred), CancelledError)
        self.assertTrue(self.transport.isAborted)
        self.assertFalse(self.client.isUsable())
        self.lose()

    def test_whileSending(self) -> None:
        """Also while the request is on its way; its producer is stopped, as over HTTP/2."""
        producer = Producer(10)
        deferred = self.request(b"PUT", body=producer)
        deferred.cancel()
        self.assertIsInstance(self.neverReceived(deferred), CancelledError)
        self.assertEqual(["start", "stop"], producer.calls)
        self.assertTrue(self.transport.isAborted)
        self.lose()

    def test_fromWithinTheProducer(self) -> None:
        """Also from within the producer, before the request is out of our hands."""
        claim = Claim()
        producer = Producer(10, lambda producer: self.client.cancel(claim))
        request = Request(b"PUT", b"https://a.test/", None, producer)
        self.client.issue(request, claim)
        self.assertEqual([CancelledError], [type(error) for error in claim.errors])
        self.assertTrue(self.transport.isAborted)
        # A response that crosses the end, or the end itself, is nobody's any more.
        self.client.dataReceived(RESPONSE)
        self.lose()
        self.assertEqual((1, 0), (len(claim.errors), len(claim.responses)))

    def test_afterTheResponse(self) -> None:
        """Afterwards it does nothing: the response is between the connection and its reader."""
        claim = Claim()
        self.client.issue(Request(b"GET", b"https://a.test/"), claim)
        self.client.dataReceived(RESPONSE[:-1])
        self.client.cancel(claim)
        self.assertFalse(self.transport.isAborted)
        self.assertEqual([], claim.errors)
        self.assertEqual(200, claim.responses[0].code)

    def test_twice(self) -> None:
        """A claim is told once, however often it is cancelled."""
        claim = Claim()
        self.client.issue(Request(b"GET", b"https://a.test/"), claim)
        self.client.cancel(claim)
        self.client.cancel(claim)
        self.assertEqual(1, len(claim.errors))


class CloseTests(HTTP11TestCase):
    """The end."""

    def test_idle(self) -> None:
        """An idle connection closes at once."""
        self.client.close()
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.client.isUsable())

    def test_busy(self) -> None:
        """A busy one finishes first, and is then not offered for more."""
        deferred = self.request()
        self.client.close()
        self.assertFalse(self.client.isUsable())
        self.assertFalse(self.transport.disconnecting)
        self.client.dataReceived(RESPONSE)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertTrue(reader.isDone)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual([], self.idle)

    def test_unasked(self) -> None:
        """A server that speaks without being asked, such as of its time limit, gets no requests."""
        self.client.dataReceived(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.client.reserve())

    def test_serverThatStays(self) -> None:
        """A server that does not close its side, as TLS asks of it, is cut off after a while."""
        for end in ("close", "response"):
            self.meet()
            if end == "close":
                self.client.close()
            else:
                self.request().addErrback(lambda reason: None)
                self.client.dataReceived(
                    RESPONSE.replace(b"content", b"connection: close\r\ncontent")
                )
            self.assertTrue(self.transport.disconnecting)
            self.clock.advance(CLOSE_TIMEOUT - 0.1)
            self.assertFalse(self.transport.isAborted)
            self.clock.advance(0.1)
            self.assertTrue(self.transport.isAborted)
            self.lose(ConnectionAborted())
        # One that does leaves no timer.
        self.meet()
        self.client.close()
        self.lose()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_abort(self) -> None:
        """Aborting waits for nothing; the request fails when the transport is gone."""
        deferred = self.request()
        self.client.abort()
        self.assertTrue(self.transport.isAborted)
        self.assertFalse(self.client.isUsable())
        self.lose(ConnectionAborted())
        self.assertIsInstance(self.neverReceived(deferred), ConnectionTerminated)

    def test_whenClosed(self) -> None:
        """Whoever asked is told, after the request has been."""
        told: list[str] = []
        self.request().addErrback(lambda reason: told.append("request"))
        self.client.whenClosed().addCallback(lambda _: told.append("closed"))
        self.lose()
        self.assertEqual(["request", "closed"], told)
        self.successResultOf(self.client.whenClosed())
