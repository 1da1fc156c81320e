"""Tests for :mod:`txhyper.protocol.probes`: PINGs of the connection's own."""

from __future__ import annotations

from typing import Any

from tests.protocol.scene import ConnectionTestCase, Reader
from txhyper.core import frames
from txhyper.core.windows import AutoTuningFlowControlManager, BaseFlowControlManager
from txhyper.errors import ConnectionTerminated


class Measuring(BaseFlowControlManager):
    """Keeps what it is told, and wants what the test says; gives no credit."""

    wants = True
    measures_round_trip = True
    told: list[tuple[float, int]]

    def __init__(self, initial_window_size: int, document_size: int | None = None) -> None:
        super().__init__(initial_window_size, document_size)
        self.told = []

    def increase_window_size(self, frame_size: int) -> int:
        """None."""
        return 0

    def wants_round_trip(self) -> bool:
        """What the test says."""
        return self.wants

    def round_trip(self, seconds: float, octets: int) -> None:
        """Keep it."""
        self.told.append((seconds, octets))


class ProbesTestCase(ConnectionTestCase):
    """A connection whose window manager measures, and a response that is being read."""

    plugged: type[BaseFlowControlManager] = Measuring

    def setUp(self) -> None:
        """The head of the response has come, and nothing was measured for it."""
        super().setUp()
        Measuring.wants = False
        self.meet(window_manager=self.plugged)
        self.reader = Reader()
        self.opened().deliverBody(self.reader)
        self.peer.drain()
        self.manager: Any = self.client._engine.manager
        Measuring.wants = True

    def data(self, size: int) -> bytes:
        """A DATA frame, not sent."""
        return self.peer.frame(frames.DATA, 0, 1, bytes(size))

    def pong(self, payload: bytes) -> bytes:
        """The answer to a PING, not sent."""
        return self.peer.frame(frames.PING, frames.ACK, 0, payload)

    def pings(self) -> list[bytes]:
        """What the PINGs carry that the client has sent since it was last asked."""
        return [frame.payload for frame in self.peer.drain() if frame.kind == frames.PING]


class ProbesTests(ProbesTestCase):
    """What is measured, and when."""

    def test_aRoundTrip(self) -> None:
        """
        A PING goes out with the write of the read that begins; what comes from there on counts,
        and for a quarter of the round trip after the answer.
        """
        self.mark()
        self.peer.send(self.data(1))
        self.assertEqual(1, len(self.writes))
        (payload,) = self.pings()
        self.clock.advance(0.25)
        self.peer.send(self.data(10))
        self.clock.advance(0.75)
        self.peer.send(self.data(100) + self.pong(payload) + self.data(1000))
        self.clock.advance(0.125)
        self.peer.send(self.data(10000))
        self.assertEqual([], self.manager.told)
        self.clock.advance(0.125)
        Measuring.wants = False
        self.peer.send(self.data(5))
        self.assertEqual([(1.0, 11111)], self.manager.told)
        self.assertEqual([], self.pings())

    def test_padding(self) -> None:
        """Octets are counted as the window counts them."""
        self.peer.sendData(1, b"12345678", padding=1)
        self.peer.send(self.pong(self.pings()[0]))
        self.peer.send(self.data(1))
        self.assertEqual([(0.0, 10)], self.manager.told)

    def test_unwanted(self) -> None:
        """Nothing is measured before the manager wants it."""
        Measuring.wants = False
        self.peer.send(self.data(1))
        self.assertEqual([], self.pings())

    def test_oneAtATime(self) -> None:
        """Until a sample is complete there is no other PING; then there may be at once."""
        sent = []
        for _ in range(5):
            self.peer.send(self.data(1))
            sent.extend(self.pings())
        self.assertEqual(1, len(sent))
        self.clock.advance(1)
        self.peer.send(self.pong(sent[0]))
        self.peer.send(self.data(1))
        self.assertEqual([], self.pings())
        self.clock.advance(1)
        self.peer.send(self.data(1))
        self.assertEqual([(1.0, 6)], self.manager.told)
        self.peer.send(self.pong(self.pings()[0]) + self.data(1))
        self.peer.send(self.data(1))
        self.assertEqual([(1.0, 6), (0.0, 2)], self.manager.told)

    def test_thePingOfAUser(self) -> None:
        """A PING of the user's is another one: each has its answer."""
        user = self.client.ping()
        (users,) = self.pings()
        self.clock.advance(1)
        self.peer.send(self.data(1))
        (ours,) = self.pings()
        self.assertNotEqual(users, ours)
        self.clock.advance(1)
        self.peer.send(self.pong(users))
        self.assertEqual(2, self.successResultOf(user))
        self.clock.advance(2)
        self.peer.send(self.pong(ours))
        self.clock.advance(1)
        self.peer.send(self.data(1))
        self.assertEqual([(3.0, 1)], self.manager.told)

    def test_aStrayAnswer(self) -> None:
        """An answer to nothing, or one that comes twice, measures nothing."""
        Measuring.wants = False
        self.peer.send(self.pong(b"12345678"))
        Measuring.wants = True
        self.peer.send(self.data(1))
        Measuring.wants = False
        (payload,) = self.pings()
        for _ in range(4):
            self.peer.send(self.pong(payload))
        self.assertEqual([(0.0, 1)], self.manager.told)

    def test_theEnd(self) -> None:
        """The connection may end before there is an answer: nobody is told, no timer is left."""
        self.peer.send(self.data(1))
        self.assertEqual(1, len(self.pings()))
        self.peer.loseConnection()
        self.assertIsInstance(self.reader.error, ConnectionTerminated)
        self.assertEqual([], self.manager.told)
        self.assertClockIsQuiet()

    def test_afterTheAnswer(self) -> None:
        """Nor is one left if nothing is read after the answer."""
        self.peer.send(self.data(1))
        self.clock.advance(1)
        self.peer.send(self.pong(self.pings()[0]))
        self.assertClockIsQuiet()


class AutoTuningTests(ProbesTestCase):
    """The window manager of ours that measures."""

    plugged = AutoTuningFlowControlManager

    def test_growth(self) -> None:
        """A round trip that fills the window lets it grow, and its stream's with it."""
        self.peer.send(self.data(16384) * 2)
        self.assertEqual([], self.pings())
        self.peer.send(self.data(16384))
        (payload,) = self.pings()
        self.clock.advance(0.25)
        self.peer.send(self.data(16384) * 3 + self.pong(payload))
        self.clock.advance(0.25)
        self.peer.drain()
        self.peer.send(self.data(1))
        # Four frames have come, which are the whole window.
        self.assertEqual(1 + 65535, self.peer.expectWindowUpdate(0))
        self.assertEqual(1 + 65535, self.peer.expectWindowUpdate(1))


class DefaultTests(ConnectionTestCase):
    """Any other window manager."""

    def test_noPing(self) -> None:
        """The connection sends none of its own."""
        self.opened().deliverBody(Reader())
        for _ in range(100):
            self.peer.sendData(1, bytes(16384))
        self.assertNotIn(frames.PING, [frame.kind for frame in self.peer.drain()])
