"""Tests for :mod:`txhyper.protocol.pings`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.scene import ConnectionTestCase
from txhyper.core import frames
from txhyper.errors import ConnectionTerminated, ConnectionUnusable
from txhyper.protocol.pings import Pings


class PingsTests(SynchronousTestCase):
    """Payloads, and who waits for them."""

    def setUp(self) -> None:
        self.pings = Pings()

    def test_theTimeBetween(self) -> None:
        """The Deferred fires with the seconds between PING and answer."""
        payload, deferred = self.pings.begin(10.0)
        self.assertEqual(8, len(payload))
        self.pings.answered(payload, 10.5)
        self.assertEqual(0.5, self.successResultOf(deferred))

    def test_eachHasItsOwn(self) -> None:
        """Answers find their own PING, in whatever order they come."""
        first, one = self.pings.begin(0.0)
        second, two = self.pings.begin(1.0)
        self.assertNotEqual(first, second)
        self.pings.answered(second, 3.0)
        self.assertNoResult(one)
        self.assertEqual(2.0, self.successResultOf(two))

    def test_anAnswerToNothing(self) -> None:
        """An answer that nobody waits for, or waits for no more, is ignored."""
        self.pings.answered(b"12345678", 0.0)
        payload, deferred = self.pings.begin(0.0)
        self.pings.answered(payload, 1.0)
        self.pings.answered(payload, 2.0)
        self.assertEqual(1.0, self.successResultOf(deferred))

    def test_cancel(self) -> None:
        """A cancelled PING's answer is ignored."""
        payload, deferred = self.pings.begin(0.0)
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        self.pings.answered(payload, 1.0)

    def test_failInOrder(self) -> None:
        """All who wait are told that no answer will come, the oldest first, once."""
        told: list[int] = []
        for number in range(3):
            deferred = self.pings.begin(0.0)[1]
            deferred.addErrback(lambda reason, number=number: told.append(number))
        self.pings.fail(ConnectionTerminated("gone"))
        self.pings.fail(ConnectionTerminated("gone"))
        self.assertEqual([0, 1, 2], told)

    def test_cancelAnotherWhileFailing(self) -> None:
        """Whoever is told may cancel the others, each of which still fires once."""
        one, two = self.pings.begin(0.0)[1], self.pings.begin(0.0)[1]
        one.addErrback(lambda reason: two.cancel())
        self.pings.fail(ConnectionTerminated("gone"))
        self.successResultOf(one)
        self.failureResultOf(two, CancelledError)


class ConnectionPingTests(ConnectionTestCase):
    """PING as the user of a connection sees it."""

    def test_roundTrip(self) -> None:
        """The Deferred fires with the time that the peer took."""
        self.greet()
        deferred = self.client.ping()
        frame = self.peer.expect(frames.PING)
        self.clock.advance(0.25)
        self.peer.sendPing(frame.payload, ack=True)
        self.assertEqual(0.25, self.successResultOf(deferred))

    def test_thePeersPingIsAnswered(self) -> None:
        """What the peer sends comes back, with ACK, and is no answer to a PING of ours."""
        self.greet()
        deferred = self.client.ping()
        payload = self.peer.expect(frames.PING).payload
        self.peer.sendPing(payload)
        answer = self.peer.expect(frames.PING)
        self.assertEqual((frames.ACK, payload), (answer.flags, answer.payload))
        self.assertNoResult(deferred)

    def test_theConnectionEnds(self) -> None:
        """Every PING fails with the connection, and a later one at once."""
        self.greet()
        deferreds = [self.client.ping(), self.client.ping()]
        self.peer.loseConnection()
        for deferred in deferreds:
            self.failureResultOf(deferred, ConnectionTerminated)
        self.failureResultOf(self.client.ping(), ConnectionUnusable)

    def test_aPingFromWithinItsEnd(self) -> None:
        """Whoever pings again when told of the end is told at once, and not for ever."""
        self.greet()
        again: list[Deferred[float]] = []
        first = self.client.ping()
        first.addErrback(lambda reason: again.append(self.client.ping()))
        self.peer.loseConnection()
        self.failureResultOf(again[0], ConnectionUnusable)
