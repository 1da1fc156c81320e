"""Tests for :mod:`txhyper.protocol.keepalive`: whether the peer is still there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.scene import CANCEL, OK, ConnectionTestCase, Reader
from txhyper.core import frames
from txhyper.errors import BodyTimedOut, PeerUnresponsive, ResponseTimedOut
from txhyper.protocol.keepalive import Liveness
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts


class LivenessTests(SynchronousTestCase):
    """What a user may set."""

    def test_impossible(self) -> None:
        """A time that is no positive number is found at once, and named."""
        for name in ("interval", "deadline"):
            for seconds in (0, -1, float("nan")):
                with self.assertRaises(ValueError) as caught:
                    Liveness(**{name: seconds})
                self.assertIn(name, str(caught.exception))


class KeepAliveTestCase(ConnectionTestCase):
    """A connection that looks after its peer."""

    liveness: Liveness | None = None

    def setUp(self) -> None:
        super().setUp()
        self.meet(liveness=self.liveness)
        self.greet()

    def pings(self) -> list[bytes]:
        """The PINGs that the client has sent since it was last asked."""
        return [frame.payload for frame in self.peer.drain() if frame.kind == frames.PING]

    def assertGone(self, deferred: Deferred[Any]) -> None:
        """The connection was cut off, and a request failed for it."""
        error = self.neverReceived(deferred)
        self.assertIsInstance(error, PeerUnresponsive)
        self.assertIn("https://a.test: no sign of life within 5 s", str(error))
        self.assertIn("option deadline of Liveness", str(error))
        self.assertTrue(self.peer.transport.isAborted)
        self.assertFalse(self.client.isUsable())
        self.peer.loseConnection()
        self.clock.advance(0)
        self.assertClockIsQuiet()


class SilenceTests(KeepAliveTestCase):
    """Asking after a silence."""

    liveness = Liveness(interval=30, deadline=5)

    def test_nobodyThere(self) -> None:
        """A path that was lost without a word is found, and every request is told."""
        deferred, other = self.request(), self.request()
        self.clock.advance(30)
        self.assertEqual(1, len(self.pings()))
        self.clock.advance(4)
        self.assertNoResult(deferred)
        self.clock.advance(1)
        self.assertIsInstance(self.neverReceived(other), PeerUnresponsive)
        self.assertGone(deferred)

    def test_answered(self) -> None:
        """A peer that answers is asked again after the next silence, and not before."""
        self.request()
        for _ in range(3):
            self.clock.advance(29)
            self.assertEqual([], self.pings())
            self.clock.advance(1)
            (payload,) = self.pings()
            self.peer.sendPing(payload, ack=True)
        self.clock.advance(5)
        self.assertTrue(self.client.isUsable())

    def test_notWhileItTalks(self) -> None:
        """Whatever comes is a sign of life: a peer that talks is not asked."""
        response = self.opened()
        for _ in range(10):
            self.clock.advance(20)
            self.peer.sendData(response.streamId, b"x")
        self.assertEqual(1, self.client.openCount)
        self.assertEqual([], self.pings())

    def test_theAnswerBehindABody(self) -> None:
        """What comes after the question is as good as the answer, which stands behind it."""
        response = self.opened()
        self.clock.advance(30)
        self.assertEqual(1, len(self.pings()))
        self.clock.advance(4)
        self.peer.sendData(response.streamId, b"x")
        self.clock.advance(1)
        self.assertTrue(self.client.isUsable())
        # And the next silence begins with it.
        self.clock.advance(28)
        self.assertEqual([], self.pings())
        self.clock.advance(1)
        self.assertEqual(1, len(self.pings()))

    def test_notWhenIdle(self) -> None:
        """While nobody waits for anything the peer is left in peace."""
        for _ in range(5):
            self.clock.advance(30)
        self.assertEqual([], self.pings())
        self.request()
        self.clock.advance(30)
        self.assertEqual(1, len(self.pings()))

    def test_ends(self) -> None:
        """No timer is left when the connection goes, whatever it was waiting for."""
        deferred = self.request()
        self.clock.advance(30)
        self.peer.loseConnection()
        self.neverReceived(deferred)
        self.assertClockIsQuiet()


class IdleTests(KeepAliveTestCase):
    """Asking also while no stream is open."""

    liveness = Liveness(interval=30, deadline=5, whenIdle=True)

    def test_asked(self) -> None:
        """As the user wants it."""
        self.clock.advance(30)
        self.assertEqual(1, len(self.pings()))
        self.clock.advance(5)
        self.assertTrue(self.peer.transport.isAborted)


class SuspicionTests(KeepAliveTestCase):
    """Asking after something that did not come in time."""

    liveness = Liveness(deadline=5)

    def late(self, **given: float) -> Deferred[Any]:
        """A request with time limits."""
        return self.client.request(Request(b"GET", b"https://a.test/", timeouts=Timeouts(**given)))

    def test_notOtherwise(self) -> None:
        """Silence alone is no reason, by default."""
        self.request()
        self.clock.advance(10000)
        self.assertEqual([], self.pings())

    def test_response(self) -> None:
        """After a response that is late the peer is asked, and takes no requests meanwhile."""
        neighbour, deferred = self.request(), self.late(headers=2)
        self.peer.drain()
        self.clock.advance(2)
        self.assertIsInstance(self.neverReceived(deferred), ResponseTimedOut)
        kinds = [frame.kind for frame in self.peer.drain()]
        self.assertEqual([frames.PING, frames.RST_STREAM], sorted(kinds, reverse=True))
        self.assertFalse(self.client.isUsable())
        self.clock.advance(5)
        self.assertGone(neighbour)

    def test_alive(self) -> None:
        """A peer that answers was only slow: the connection goes on as before."""
        neighbour, deferred = self.request(), self.late(headers=2)
        self.clock.advance(2)
        self.neverReceived(deferred)
        (payload,) = self.pings()
        self.peer.sendPing(payload, ack=True)
        self.assertTrue(self.client.isUsable())
        self.clock.advance(100)
        self.peer.sendHeaders(1, OK, endStream=True)
        self.successResultOf(neighbour)
        self.assertClockIsQuiet()

    def test_once(self) -> None:
        """Several that are late at a time are one reason to ask."""
        for _ in range(3):
            self.late(headers=2).addErrback(lambda _: None)
        self.clock.advance(2)
        self.assertEqual(1, len(self.pings()))

    def test_body(self) -> None:
        """Likewise after a body that has gone silent."""
        deferred = self.late(bodyIdle=2)
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, OK)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.clock.advance(2)
        self.assertIsInstance(reader.error, BodyTimedOut)
        self.assertFalse(self.client.isUsable())
        self.assertEqual(1, len(self.pings()))

    def test_notAfterACancel(self) -> None:
        """Whoever changes his mind suspects nobody."""
        deferred = self.request()
        deferred.cancel()
        self.neverReceived(deferred)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual([], self.pings())
        self.assertTrue(self.client.isUsable())
