"""Tests for :mod:`txhyper.protocol.ending`, and for trailers and informational responses."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from tests.protocol.scene import CANCEL, OK, ConnectionTestCase, Reader
from txhyper.errors import (
    ConnectionTerminated,
    MalformedResponse,
    StreamAborted,
    StreamReset,
)
from txhyper.protocol.ending import COMPLETE, Ending
from txhyper.protocol.request import Request

TRAILERS = [(b"digest", b"x"), (b"server-timing", b"a"), (b"server-timing", b"b")]


class EndingTests(SynchronousTestCase):
    """How a response ends, and those who wait for it."""

    def test_complete(self) -> None:
        """Everybody gets headers of his own, before the end and after."""
        ending = Ending()
        before = [ending.whenTrailers(), ending.whenTrailers()]
        ending.trailed([(b"a", b"1")])
        self.assertNoResult(before[0])
        self.assertFalse(ending.isOver)
        ending.over(None)
        found = [self.successResultOf(one) for one in [*before, ending.whenTrailers()]]
        self.assertEqual([Headers({b"a": [b"1"]})] * 3, found)
        self.assertEqual(3, len({id(one) for one in found}))

    def test_failed(self) -> None:
        """What was told first stays true."""
        ending = Ending()
        ending.over(ValueError("first"))
        ending.over(None)
        failure = self.failureResultOf(ending.whenTrailers(), ResponseFailed)
        failure.value.reasons[0].trap(ValueError)

    def test_cancelledFromWithin(self) -> None:
        """Whoever is told may cancel another who waits, who is told of that alone."""
        ending = Ending()
        first, second = ending.whenTrailers(), ending.whenTrailers()
        first.addCallback(lambda headers: second.cancel())
        ending.over(None)
        self.failureResultOf(second, CancelledError)

    def test_none(self) -> None:
        """Most responses have no trailers."""
        self.assertEqual(Headers(), self.successResultOf(COMPLETE.whenTrailers()))


class TrailersTests(ConnectionTestCase):
    """``whenTrailers`` over HTTP/2."""

    def reason(self, deferred: Deferred[Any], expected: type[Exception]) -> None:
        """Why there are no trailers."""
        failure = self.failureResultOf(deferred, ResponseFailed)
        self.assertIsInstance(failure.value.reasons[0].value, expected)

    def test_whenever(self) -> None:
        """Whoever asks is told: before the body is read, after it, and after the end."""
        response = self.opened()
        before = response.whenTrailers()
        reader = Reader()
        response.deliverBody(reader)
        self.peer.sendData(1, b"x")
        self.assertNoResult(before)
        self.peer.sendHeaders(1, TRAILERS, endStream=True)
        self.assertTrue(reader.isDone)
        for deferred in (before, response.whenTrailers()):
            headers = self.successResultOf(deferred)
            self.assertEqual([b"a", b"b"], headers.getRawHeaders(b"server-timing"))
        self.assertFalse(response.headers.hasHeader(b"digest"))

    def test_unread(self) -> None:
        """They come whether or not anybody has read the body, if it fits into a window."""
        for isEmpty in (False, True):
            response = self.opened()
            streamId = response.streamId
            if isEmpty:
                self.peer.sendData(streamId, b"x", endStream=True)
            else:
                self.peer.sendHeaders(streamId, TRAILERS, endStream=True)
            headers = self.successResultOf(response.whenTrailers())
            self.assertEqual(not isEmpty, headers.hasHeader(b"digest"))
            self.successResultOf(response.read())
            again = self.successResultOf(response.whenTrailers())
            self.assertEqual(not isEmpty, again.hasHeader(b"digest"))

    def test_none(self) -> None:
        """A response without trailers, or without a body, has no fields there."""
        self.greet()
        deferred = self.request(b"HEAD")
        self.peer.sendHeaders(1, OK, endStream=True)
        response = self.successResultOf(deferred)
        self.assertEqual(Headers(), self.successResultOf(response.whenTrailers()))

    def test_failed(self) -> None:
        """They fail as the body does: before it is read, meanwhile and afterwards."""
        for when in ("before", "meanwhile", "after"):
            self.meet()
            response = self.opened()
            waiting = response.whenTrailers() if when == "before" else None
            body = response.read()
            if when == "meanwhile":
                waiting = response.whenTrailers()
            self.peer.sendReset(1, 2)
            self.reason(body, StreamReset)
            self.reason(waiting or response.whenTrailers(), StreamReset)
            self.reason(response.whenTrailers(), StreamReset)

    def test_failedUnread(self) -> None:
        """A response that has failed and that nobody reads says so."""
        response = self.opened()
        self.peer.loseConnection()
        self.reason(response.whenTrailers(), ConnectionTerminated)

    def test_malformed(self) -> None:
        """Trailers that break the rules fail the body with them."""
        for fields in ([(b":status", b"200")], [(b"a", b"b\0c")], [(b"connection", b"x")]):
            self.meet()
            response = self.opened()
            waiting, body = response.whenTrailers(), response.read()
            self.peer.sendData(1, b"x")
            self.peer.sendHeaders(1, fields, endStream=True)
            self.reason(waiting, MalformedResponse)
            self.reason(body, MalformedResponse)
            self.assertTrue(self.client.isUsable())

    def test_cancelled(self) -> None:
        """Who stops waiting disturbs neither the body nor anybody else who waits."""
        response = self.opened()
        one, two, body = response.whenTrailers(), response.whenTrailers(), response.read()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.peer.sendHeaders(1, TRAILERS, endStream=True)
        self.successResultOf(two)
        self.assertEqual(b"", self.successResultOf(body))

    def test_thrownAway(self) -> None:
        """Who waits for the trailers of a response that was thrown away unread is told."""
        waiting = self.opened().whenTrailers()
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.reason(waiting, StreamAborted)

    def test_givenUp(self) -> None:
        """And who waits behind a reader that gives up."""
        response, reader = self.opened(), Reader()
        response.deliverBody(reader)
        waiting = response.whenTrailers()
        reader.transport.loseConnection()  # type: ignore[union-attr]
        self.reason(waiting, StreamAborted)
        self.peer.read()
        self.reason(response.whenTrailers(), StreamAborted)

    def test_theReaderGivesUpInTheFrameBefore(self) -> None:
        """Trailers that come in the read in which the body was given up are nobody's."""
        response = self.opened()
        response.deliverBody(Reader(onData=lambda reader: reader.transport.loseConnection()))
        data = self.peer.frame(0, 0, 1, b"x")
        self.peer.send(data + self.peer.headers(1, TRAILERS, endStream=True))
        self.reason(response.whenTrailers(), StreamAborted)
        self.peer.read()
        self.assertTrue(self.client.isUsable())

    def test_whoeverIsToldCancels(self) -> None:
        """What is done when the trailers come may end the connection."""
        response = self.opened()
        response.whenTrailers().addCallback(lambda headers: self.client.abort())
        body = response.read()
        self.peer.sendHeaders(1, TRAILERS, endStream=True)
        self.assertEqual(b"", self.successResultOf(body))


class InformationalTests(ConnectionTestCase):
    """``onInformational`` over HTTP/2."""

    def send(self, told: Any) -> Deferred[Any]:
        """A GET."""
        self.greet()
        request = Request(b"GET", b"https://a.test/", onInformational=told)
        return self.client.request(request)

    def test_told(self) -> None:
        """Each informational response is told, with its status and its fields, in order."""
        told: list[tuple[int, Headers]] = []
        deferred = self.send(lambda status, headers: told.append((status, headers)))
        self.peer.sendHeaders(1, [(b":status", b"103"), (b"link", b"a"), (b"link", b"b")])
        self.peer.sendHeaders(1, [(b":status", b"100")])
        self.assertNoResult(deferred)
        self.peer.sendHeaders(1, OK)
        self.assertEqual(200, self.successResultOf(deferred).code)
        self.assertEqual([(103, Headers({b"link": [b"a", b"b"]})), (100, Headers())], told)

    def test_raises(self) -> None:
        """One that raises is logged, and the response comes all the same."""
        deferred = self.send(lambda status, headers: 1 // 0)
        self.peer.sendHeaders(1, [(b":status", b"103")])
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.peer.sendHeaders(1, OK)
        self.successResultOf(deferred)

    def test_cancels(self) -> None:
        """One that cancels the request is told nothing more."""
        told: list[int] = []

        def cancel(status: int, headers: Headers) -> None:
            told.append(status)
            deferred.cancel()

        deferred = self.send(cancel)
        head = self.peer.headers(1, [(b":status", b"103")])
        self.peer.send(head + self.peer.headers(1, [(b":status", b"103")]))
        self.failureResultOf(deferred)
        self.assertEqual([103], told)

    def test_tooMany(self) -> None:
        """More than the bound allows end the stream, and no other."""
        told: list[int] = []
        deferred = self.send(lambda status, headers: told.append(status))
        for _ in range(101):
            self.peer.sendHeaders(1, [(b":status", b"103")])
        self.assertEqual(100, len(told))
        self.failureResultOf(deferred)
        self.assertTrue(self.client.isUsable())
