"""Tests for :mod:`txhyper.protocol.wire`: when the transport is written to, and when it is not."""

from __future__ import annotations

from unittest import mock

from twisted.internet.interfaces import IPushProducer
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from tests.protocol.scene import (
    INITIAL_WINDOW_SIZE,
    OK,
    ConnectionTestCase,
    Producer,
    Reader,
    WholeBody,
)
from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.errors import BoundExceeded
from txhyper.protocol.wire import CLOSE_TIMEOUT, PUMP_QUANTUM


class BackPressureTests(ConnectionTestCase):
    """The transport has enough."""

    def setUp(self) -> None:
        super().setUp()
        self.greet({INITIAL_WINDOW_SIZE: 2**20})
        self.peer.sendWindowUpdate(0, 2**24)
        self.peer.drain()
        self.wire = self.peer.transport.producer

    def kinds(self) -> list[int]:
        """The types of the frames that the client has sent since it was last asked."""
        return [frame.kind for frame in self.peer.drain()]

    def test_thePushProducer(self) -> None:
        """The connection is the transport's push producer."""
        verifyObject(IPushProducer, self.wire)

    def test_noData(self) -> None:
        """Paused, no DATA goes out, but everything else does; resumed, DATA goes on."""
        self.wire.pauseProducing()
        deferred = self.upload(WholeBody(b"x" * 100))
        self.assertEqual([frames.HEADERS], self.kinds())
        self.peer.sendPing(b"12345678")
        self.assertEqual([frames.PING], self.kinds())
        other = self.request()
        other.cancel()
        self.failureResultOf(other, ResponseNeverReceived)
        self.assertEqual([frames.HEADERS, frames.RST_STREAM], self.kinds())
        self.wire.resumeProducing()
        self.assertEqual([frames.DATA], self.kinds())
        self.assertNoResult(deferred)

    def test_readingGoesOn(self) -> None:
        """Receiving is never suspended by sending."""
        self.wire.pauseProducing()
        deferred = self.upload(Producer())
        self.peer.sendHeaders(1, OK)
        self.assertEqual(200, self.successResultOf(deferred).code)

    def test_pausedWithinAWrite(self) -> None:
        """A transport that has enough after the first write gets no second one."""
        transport = self.peer.transport
        write = transport.write

        def writeAndPause(octets: bytes) -> None:
            write(octets)
            self.wire.pauseProducing()

        transport.write = writeAndPause  # type: ignore[method-assign]
        self.upload(WholeBody(b"x" * (PUMP_QUANTUM * 2)))
        self.mark()
        self.clock.advance(0)
        (octets,) = self.writes
        self.assertLess(PUMP_QUANTUM, len(octets))
        self.assertLess(len(octets), PUMP_QUANTUM + 32 * 1024)

    def test_quantum(self) -> None:
        """A transport that takes everything gets it in writes of a quantum, in one turn."""
        self.upload(WholeBody(b"x" * (PUMP_QUANTUM * 2 + 10)))
        self.mark()
        self.clock.advance(0)
        self.assertEqual(3, len(self.writes))

    def test_theProducersArePaused(self) -> None:
        """What does not leave fills the queue, which pauses the uploads."""
        self.wire.pauseProducing()
        producer = Producer()
        self.upload(producer)
        producer.write(b"x" * 100000)
        self.assertEqual(["start", "pause"], producer.calls)
        self.wire.resumeProducing()
        self.peer.read()
        self.assertEqual(["start", "pause", "resume"], producer.calls)

    def test_stopProducing(self) -> None:
        """A transport that is going says so again by ``connectionLost``."""
        deferred = self.request()
        self.wire.stopProducing()
        self.assertNoResult(deferred)


class AbuseTests(ConnectionTestCase):
    """A peer that makes us answer, and does not read the answers."""

    def setUp(self) -> None:
        super().setUp()
        self.meet(bounds=Bounds(pending_control_octets=1000))
        self.greet()
        self.wire = self.peer.transport.producer
        self.wire.pauseProducing()

    def ping(self, count: int) -> None:
        """So many PINGs, of 17 octets each."""
        self.peer.send(self.peer.frame(frames.PING, 0, 0, b"12345678") * count)

    def test_cutOff(self) -> None:
        """Past the bound the connection is aborted, and everybody is told which bound it was."""
        deferred = self.request()
        self.clock.advance(0)
        self.ping(58)
        self.assertFalse(self.peer.transport.isAborted)
        self.ping(1)
        self.assertTrue(self.peer.transport.isAborted)
        error = self.neverReceived(deferred)
        self.assertIsInstance(error, BoundExceeded)
        self.assertEqual("pending_control_octets", error.bound)
        self.assertIn("https://a.test", str(error))
        self.assertFalse(self.client.isUsable())
        self.ping(10)
        self.peer.loseConnection()
        self.assertClockIsQuiet()

    def test_aPeerThatReads(self) -> None:
        """Whatever was read does not count."""
        for _ in range(10):
            self.ping(58)
            self.wire.resumeProducing()
            self.wire.pauseProducing()
        self.assertFalse(self.peer.transport.isAborted)

    def test_notPaused(self) -> None:
        """Nor does anything while the transport takes what it is given."""
        self.wire.resumeProducing()
        self.ping(1000)
        self.assertFalse(self.peer.transport.isAborted)

    def test_ourOwnRequests(self) -> None:
        """Nor do the user's own requests: they are no fault of the peer's."""
        for _ in range(20):
            self.request(headers=Headers({b"x": [b"y" * 200]}))
        self.clock.advance(0)
        self.assertFalse(self.peer.transport.isAborted)
        self.assertTrue(self.client.isUsable())


class TroubleTests(ConnectionTestCase):
    """A transport that raises."""

    def test_goesOn(self) -> None:
        """What comes later leaves all the same: an exception of one turn stays in it."""
        self.greet()
        with mock.patch.object(self.peer.transport, "write", side_effect=ZeroDivisionError):
            self.request()
            self.assertRaises(ZeroDivisionError, self.clock.advance, 0)
        self.request(path=b"/later")
        kinds = [frame.kind for frame in self.peer.drain()]
        self.assertIn(frames.HEADERS, kinds)


class HangUpTests(ConnectionTestCase):
    """The last write."""

    def test_theFarewellIsTheLast(self) -> None:
        """What was queued before the farewell leaves before it, and nothing after."""
        self.greet()
        self.client.ping().addErrback(lambda reason: None)
        self.client.close()
        self.assertEqual([frames.PING, frames.GOAWAY], [frame.kind for frame in self.peer.drain()])
        self.assertIsNone(self.peer.transport.producer)
        self.peer.loseConnection()

    def test_paused(self) -> None:
        """A farewell is said even to a transport that has enough."""
        self.greet()
        self.peer.transport.producer.pauseProducing()
        self.client.close()
        self.peer.expectGoAway()

    def test_nothingHappensAfterTheEnd(self) -> None:
        """Once the transport is gone no timer of ours is left, whenever it went."""
        for seconds in (0.0, CLOSE_TIMEOUT / 2):
            self.meet()
            self.client.close()
            self.clock.advance(seconds)
            self.peer.loseConnection()
            self.assertClockIsQuiet()

    def test_touchedAfterTheEnd(self) -> None:
        """Whoever still holds a stream of a connection that is gone starts no timer."""
        response = self.opened()
        self.peer.sendData(1, b"x")
        self.peer.loseConnection()
        response.deliverBody(Reader())
        self.assertClockIsQuiet()
