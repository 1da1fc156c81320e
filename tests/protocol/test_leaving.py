"""Tests for :mod:`txhyper.protocol.connection`: GOAWAY, closing and aborting."""

from __future__ import annotations

from typing import Any

from twisted.web.client import ResponseNeverReceived

from tests.protocol.scene import (
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    OK,
    ConnectionTestCase,
    Reader,
)
from txhyper.core import frames
from txhyper.errors import ConnectionUnusable, GoneAway
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.wire import CLOSE_TIMEOUT


class GoAwayTests(ConnectionTestCase):
    """The peer goes away."""

    def test_theRestIsFinished(self) -> None:
        """Streams that the peer promised to finish do; those above fail as retriable."""
        deferreds = [self.request() for _ in range(3)]
        self.greet()
        self.peer.drain()
        self.peer.sendGoAway(3, NO_ERROR, b"maintenance")
        error = self.neverReceived(deferreds[2])
        self.assertIsInstance(error, GoneAway)
        self.assertEqual((3, b"maintenance"), (error.last_stream_id, error.debug_data))
        self.assertIn("maintenance", str(error))
        self.assertFalse(self.client.isUsable())
        self.assertFalse(self.peer.transport.isClosing)
        self.peer.sendHeaders(1, OK, endStream=True)
        self.peer.sendHeaders(3, OK)
        self.peer.sendData(3, b"x" * 100)
        self.assertFalse(self.peer.transport.isClosing)
        self.peer.sendData(3, b"y", endStream=True)
        self.assertTrue(self.peer.transport.isClosing)
        self.peer.expectGoAway()
        reader = Reader()
        self.successResultOf(deferreds[1]).deliverBody(reader)
        self.assertEqual((101, True), (len(reader.body), reader.isDone))
        self.successResultOf(deferreds[0])

    def test_theWaitingGoElsewhere(self) -> None:
        """Those who wait for a slot get none here any more: they fail as retriable."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        first, waiting = self.request(), self.request()
        self.peer.sendGoAway(1)
        error = self.neverReceived(waiting)
        self.assertIsInstance(error, ConnectionUnusable)
        self.assertTrue(error.retriable)
        self.assertNoResult(first)

    def test_withAnError(self) -> None:
        """An error code changes nothing for streams that the peer still promises to finish."""
        deferred = self.request()
        self.greet()
        self.peer.sendGoAway(1, 2)
        self.assertNoResult(deferred)
        self.peer.sendHeaders(1, OK, endStream=True)
        self.successResultOf(deferred)

    def test_idle(self) -> None:
        """A connection that has nothing to do closes at once, and is cut off if the peer waits."""
        self.greet()
        self.peer.sendGoAway(0)
        self.assertTrue(self.peer.transport.isClosing)
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertTrue(self.peer.transport.isAborted)

    def test_twice(self) -> None:
        """A server that shuts down gracefully says so twice, the second time with the truth."""
        one, two = self.request(), self.request()
        self.greet()
        self.peer.sendGoAway(2**31 - 1)
        self.assertNoResult(two)
        self.peer.sendGoAway(1)
        self.assertIsInstance(self.neverReceived(two), GoneAway)
        self.peer.sendHeaders(1, OK, endStream=True)
        self.successResultOf(one)
        self.assertTrue(self.peer.transport.isClosing)

    def test_theReasonReachesTheOthers(self) -> None:
        """If the peer then does not finish, its code and its words are in the error."""
        deferred = self.request()
        self.greet()
        self.peer.sendGoAway(1, 0xB, b"calm down")
        self.peer.loseConnection()
        error = self.neverReceived(deferred)
        self.assertEqual(
            (0xB, 1, b"calm down"), (error.code, error.last_stream_id, error.debug_data)
        )

    def test_aRequestAfterwards(self) -> None:
        """A request that comes too late is told so at once, and may go elsewhere."""
        self.request()
        self.greet()
        self.peer.sendGoAway(1)
        self.peer.drain()
        self.assertIsInstance(self.neverReceived(self.request()), ConnectionUnusable)
        self.peer.expectNothing()


class CloseTests(ConnectionTestCase):
    """This side goes away."""

    def test_idle(self) -> None:
        """A connection with nothing to do says GOAWAY and closes."""
        self.greet()
        self.client.close()
        self.assertEqual((0, NO_ERROR, b""), self.peer.expectGoAway())
        self.assertTrue(self.peer.transport.isClosing)
        self.assertFalse(self.client.isUsable())
        self.peer.loseConnection()
        self.assertClockIsQuiet()

    def test_graceful(self) -> None:
        """Open requests finish, waiting ones fail as retriable, and then the connection closes."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        first, waiting = self.request(), self.request()
        closed = self.client.whenClosed()
        self.client.close()
        self.client.close()
        self.assertTrue(self.neverReceived(waiting).retriable)
        self.assertIsInstance(self.neverReceived(self.request()), ConnectionUnusable)
        self.peer.sendHeaders(1, OK)
        reader = Reader()
        self.successResultOf(first).deliverBody(reader)
        self.peer.sendData(1, b"body")
        self.assertFalse(self.peer.transport.isClosing)
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual((b"body", True), (reader.body, reader.isDone))
        self.peer.expectGoAway()
        self.assertTrue(self.peer.transport.isClosing)
        self.assertNoResult(closed)
        self.peer.loseConnection()
        self.successResultOf(closed)
        self.assertClockIsQuiet()

    def test_thePeerDoesNotClose(self) -> None:
        """A peer that keeps its side open is cut off after CLOSE_TIMEOUT, not before."""
        self.greet()
        self.client.close()
        self.clock.advance(CLOSE_TIMEOUT - 0.1)
        self.assertFalse(self.peer.transport.isAborted)
        self.clock.advance(0.1)
        self.assertTrue(self.peer.transport.isAborted)
        self.peer.loseConnection()
        self.assertClockIsQuiet()

    def test_beforeThePeerHasSpoken(self) -> None:
        """Closing at once sends a greeting and a farewell."""
        self.client.close()
        self.peer.expect(frames.SETTINGS)
        self.peer.expectGoAway()

    def test_beforeTheTransport(self) -> None:
        """A protocol that is closed before it is connected hangs up when it is."""
        self.clock.advance(0)
        for end in ("close", "abort"):
            client = HTTP2ClientProtocol(self.clock)
            getattr(client, end)()
            self.assertFalse(client.isUsable())
            peer: Any = type(self.peer)(self.clock)
            peer.connect(client)
            self.assertTrue(peer.transport.isAborted)
            self.assertEqual([], peer.transport.writes)
            peer.loseConnection()
            self.successResultOf(client.whenClosed())
            self.assertClockIsQuiet()

    def test_abort(self) -> None:
        """Aborting sends nothing; every request fails when the transport is gone."""
        self.greet({MAX_CONCURRENT_STREAMS: 1})
        first, waiting = self.request(), self.request()
        self.peer.drain()
        self.client.abort()
        self.assertTrue(self.peer.transport.isAborted)
        self.assertFalse(self.client.isUsable())
        self.assertTrue(self.neverReceived(waiting).retriable)
        self.peer.expectNothing()
        self.peer.loseConnection()
        self.failureResultOf(first, ResponseNeverReceived)
        self.assertClockIsQuiet()

    def test_abortAfterClose(self) -> None:
        """A farewell that takes too long may be cut short."""
        self.greet()
        self.client.close()
        self.client.abort()
        self.assertTrue(self.peer.transport.isAborted)
        self.peer.loseConnection()
        self.assertClockIsQuiet()

    def test_nothingIsReadAfterAnAbort(self) -> None:
        """What comes after an abort is not looked at."""
        self.greet()
        deferred = self.request()
        self.clock.advance(0)
        self.client.abort()
        self.peer.sendHeaders(1, OK, endStream=True)
        self.assertNoResult(deferred)
        self.peer.loseConnection()
        self.failureResultOf(deferred, ResponseNeverReceived)
