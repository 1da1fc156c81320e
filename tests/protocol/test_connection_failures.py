"""Tests for :mod:`txhyper.protocol.connection`: streams that fail, and connections that do."""

from __future__ import annotations

from typing import Any

from twisted.web.client import ResponseNeverReceived

from tests.protocol.scene import (
    ENHANCE_YOUR_CALM,
    HTTP_1_1_REQUIRED,
    INTERNAL_ERROR,
    OK,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    ConnectionTestCase,
    Reader,
)
from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.core.windows import FlowControlManager
from txhyper.errors import (
    BoundExceeded,
    ConnectionFailed,
    ConnectionTerminated,
    ConnectionUnusable,
    HTTP11Required,
    MalformedResponse,
    ProtocolViolation,
    StreamRefused,
    StreamReset,
)


class StreamFailureTests(ConnectionTestCase):
    """One stream fails, and the others live on."""

    def setUp(self) -> None:
        super().setUp()
        self.deferred, self.sibling = self.request(), self.request()
        self.greet()
        self.peer.drain()

    def assertSiblingLives(self) -> None:
        """The other request gets its answer, and there are slots for more."""
        self.assertNoResult(self.sibling)
        self.peer.sendHeaders(3, OK, endStream=True)
        self.successResultOf(self.sibling)
        self.assertTrue(self.client.isUsable())
        self.assertEqual(0, self.client.openCount)

    def test_reset(self) -> None:
        """RST_STREAM fails one request, with its code and the name of it."""
        self.peer.sendReset(1, 2)
        error = self.neverReceived(self.deferred)
        self.assertIsInstance(error, StreamReset)
        self.assertEqual((1, 2), (error.stream_id, error.code))
        self.assertIn("https://a.test: stream 1", str(error))
        self.assertIn("INTERNAL_ERROR", str(error))
        self.peer.expectNothing()
        self.assertSiblingLives()

    def test_goneAwayAndGone(self) -> None:
        """A connection that ends behind a GOAWAY says what that said."""
        self.peer.sendGoAway(3, PROTOCOL_ERROR, b"no trailers, please")
        self.peer.loseConnection()
        for deferred in (self.deferred, self.sibling):
            error = self.neverReceived(deferred)
            self.assertIsInstance(error, ConnectionTerminated)
            self.assertEqual(PROTOCOL_ERROR, error.code)
            self.assertIn("PROTOCOL_ERROR", str(error))
            self.assertIn("no trailers, please", str(error))

    def test_refused(self) -> None:
        """REFUSED_STREAM is retriable."""
        self.peer.sendReset(1, REFUSED_STREAM)
        error = self.neverReceived(self.deferred)
        self.assertIsInstance(error, StreamRefused)
        self.assertTrue(error.retriable)
        self.assertSiblingLives()

    def test_http11Required(self) -> None:
        """HTTP_1_1_REQUIRED has a class of its own, for whoever may dial again."""
        self.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.assertIsInstance(self.neverReceived(self.deferred), HTTP11Required)
        self.assertSiblingLives()

    def test_malformed(self) -> None:
        """A malformed response is reset and fails; it costs no other stream anything."""
        self.peer.sendHeaders(1, [(b"no-status", b"200")])
        self.assertIsInstance(self.neverReceived(self.deferred), MalformedResponse)
        self.assertEqual(PROTOCOL_ERROR, self.peer.expectReset(1))
        self.assertSiblingLives()

    def test_dataBeforeTheHead(self) -> None:
        """DATA where a head is due fails the stream."""
        self.peer.sendData(1, b"x")
        self.assertIsInstance(self.neverReceived(self.deferred), MalformedResponse)
        self.assertEqual(PROTOCOL_ERROR, self.peer.expectReset(1))
        self.assertSiblingLives()

    def test_theRestAfterAFailureIsIgnored(self) -> None:
        """Late frames of a stream that was reset draw no second RST_STREAM."""
        self.peer.sendData(1, b"x")
        self.peer.expectReset(1)
        self.peer.sendHeaders(1, OK)
        self.peer.sendData(1, b"x" * 100, endStream=True)
        self.peer.sendReset(1, 8)
        self.peer.expectNothing()
        self.failureResultOf(self.deferred, ResponseNeverReceived)
        self.assertSiblingLives()


class ConnectionFailureTests(ConnectionTestCase):
    """The peer breaks the connection's rules."""

    def setUp(self) -> None:
        super().setUp()
        self.deferreds = [self.request(), self.request()]

    def assertFailed(self, kind: type[Exception], code: int) -> None:
        """Everybody is told, the peer is, and the connection ends."""
        for deferred in self.deferreds:
            self.assertIsInstance(self.neverReceived(deferred), kind)
        self.assertEqual(code, self.peer.expectGoAway()[1])
        self.assertTrue(self.peer.transport.isClosing)
        self.assertFalse(self.client.isUsable())
        closed = self.client.whenClosed()
        self.assertNoResult(closed)
        self.peer.loseConnection()
        self.successResultOf(closed)
        self.assertClockIsQuiet()

    def test_notHTTP2(self) -> None:
        """A server that speaks something else is found out by its first octets."""
        self.peer.send(b"HTTP/1.1 400 Bad Request\r\n")
        self.assertFailed(ProtocolViolation, PROTOCOL_ERROR)

    def test_aFrameTooLarge(self) -> None:
        """A frame's length is judged before its payload is in."""
        self.greet()
        self.peer.send(b"\xff\xff\xff\0\0\0\0\0\1")
        self.assertFailed(ProtocolViolation, 6)

    def test_aBound(self) -> None:
        """A bound that is passed is named in the error."""
        self.meet(bounds=Bounds(header_list_size=100))
        self.deferreds = [self.request()]
        self.greet()
        self.peer.sendHeaders(1, [*OK, (b"x", b"y" * 100)])
        failure = self.failureResultOf(self.deferreds.pop(), ResponseNeverReceived)
        error = failure.value.reasons[0].value
        self.assertIsInstance(error, BoundExceeded)
        self.assertEqual("header_list_size", error.bound)
        self.assertFailed(BoundExceeded, ENHANCE_YOUR_CALM)

    def test_factsBeforeTheError(self) -> None:
        """A response that came in the same read before the error is delivered."""
        self.greet()
        self.peer.send(
            self.peer.headers(1, OK, endStream=True) + self.peer.frame(frames.DATA, 0, 0, b"")
        )
        reader = Reader()
        self.successResultOf(self.deferreds.pop(0)).deliverBody(reader)
        self.assertTrue(reader.isDone)
        self.assertFailed(ProtocolViolation, PROTOCOL_ERROR)

    def test_nothingIsReadAfterwards(self) -> None:
        """What comes after the end is not looked at."""
        self.peer.send(b"HTTP/1.1 400 Bad Request\r\n")
        for deferred in self.deferreds:
            self.failureResultOf(deferred, ResponseNeverReceived)
        self.peer.drain()
        self.peer.send(self.peer.frame(frames.PING, 0, 0, b"12345678"))
        self.peer.expectNothing()

    def test_theReaderIsTold(self) -> None:
        """The reader of a body that is under way is told why, once."""
        self.greet()
        self.peer.sendHeaders(1, OK)
        reader = Reader()
        self.successResultOf(self.deferreds.pop(0)).deliverBody(reader)
        self.peer.send(self.peer.frame(frames.DATA, 0, 0, b""))
        self.assertIsInstance(reader.error, ProtocolViolation)
        self.assertFailed(ProtocolViolation, PROTOCOL_ERROR)
        self.assertEqual(1, len(reader.reasons))


class InternalErrorTests(ConnectionTestCase):
    """A user's window manager that raises."""

    def test_atReceipt(self) -> None:
        """It costs the connection, which says so, and every request is told; nothing escapes."""

        class Broken(FlowControlManager):
            def increase_window_size(self, frame_size: int) -> int:
                raise ZeroDivisionError("no window")

        self.meet(window_manager=Broken)
        response, deferred = self.opened(), self.request()
        reader = Reader()
        response.deliverBody(reader)
        self.peer.sendData(response.streamId, b"x")
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        error = self.neverReceived(deferred)
        self.assertIsInstance(error, ConnectionFailed)
        self.assertEqual(INTERNAL_ERROR, error.code)
        self.assertIn("ZeroDivisionError('no window')", str(error))
        self.assertIs(error, reader.error)
        self.assertEqual(INTERNAL_ERROR, self.peer.expectGoAway()[1])
        self.assertTrue(self.peer.transport.isClosing)
        self.peer.loseConnection()


class ConnectionLostTests(ConnectionTestCase):
    """The transport is gone, in every phase."""

    def assertTerminated(self, error: Any) -> None:
        """The error says that the connection ended, and which it was."""
        self.assertIsInstance(error, ConnectionTerminated)
        self.assertIn("https://a.test", str(error))
        self.assertFalse(error.retriable)

    def test_beforeTheGreeting(self) -> None:
        """Before anything was sent."""
        deferred = self.request()
        self.peer.loseConnection()
        self.assertTerminated(self.neverReceived(deferred))
        self.assertClockIsQuiet()

    def test_beforeTheResponse(self) -> None:
        """After the request was sent."""
        deferred = self.request()
        self.greet()
        self.peer.loseConnection(isClean=False)
        self.assertTerminated(self.neverReceived(deferred))

    def test_inTheBody(self) -> None:
        """Without END_STREAM no body is complete, however clean the end."""
        response, reader = self.opened(), Reader()
        response.deliverBody(reader)
        self.peer.sendData(1, b"half")
        self.peer.loseConnection()
        self.assertEqual(b"half", reader.body)
        self.assertTerminated(reader.error)

    def test_beforeTheReader(self) -> None:
        """What has come is delivered even after the end, and then the reason."""
        response, reader = self.opened(), Reader()
        self.peer.sendData(1, b"half")
        self.peer.loseConnection()
        response.deliverBody(reader)
        self.assertEqual(b"half", reader.body)
        self.assertTerminated(reader.error)

    def test_afterTheBody(self) -> None:
        """A body that was complete is complete, although its reader comes after the end."""
        response, reader = self.opened(), Reader()
        self.peer.sendData(1, b"whole", endStream=True)
        self.peer.loseConnection()
        response.deliverBody(reader)
        self.assertEqual((b"whole", True), (reader.body, reader.isDone))

    def test_whileWaitingForASlot(self) -> None:
        """Those who waited for a slot may try elsewhere: nothing of them was sent."""
        self.greet({3: 1})
        first, waiting = self.request(), self.request()
        self.peer.loseConnection()
        self.assertTerminated(self.neverReceived(first))
        error = self.neverReceived(waiting)
        self.assertIsInstance(error, ConnectionUnusable)
        self.assertTrue(error.retriable)

    def test_afterwards(self) -> None:
        """A connection that is gone takes no request, and says so at once."""
        self.peer.loseConnection()
        self.assertFalse(self.client.isUsable())
        self.assertIsInstance(self.neverReceived(self.request()), ConnectionUnusable)
        self.client.close()
        self.client.abort()
        self.assertClockIsQuiet()

    def test_whenClosed(self) -> None:
        """Whoever asked is told, after the requests have been."""
        told: list[str] = []
        self.request().addErrback(lambda reason: told.append("request"))
        self.client.whenClosed().addCallback(lambda _: told.append("closed"))
        self.peer.loseConnection()
        self.assertEqual(["request", "closed"], told)
