"""
Tests for :mod:`txhyper.protocol.probes` and the windows that they tune, over a path.

The path is a model: a rate, a delay, and a queue that takes whatever is sent. Its server sends as
fast as the windows and the path let it, and when it has something. The client is a whole engine.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import ACK, PING, WINDOW_UPDATE, Conversation, data, frame, law
from txhyper.core.facts import PONGED, RECEIVED
from txhyper.core.windows import (
    AutoTuningFlowControlManager,
    BaseFlowControlManager,
    ConsumptionFlowControlManager,
)
from txhyper.protocol.probes import Probes

KIB, MIB = 1024, 1024 * 1024


class Path:
    """
    A download of one stream over a path.

    :ivar clock: it starts when the first octet is sent.
    :ivar pings: how many PINGs the client has sent.
    """

    def __init__(
        self,
        plugged: type[BaseFlowControlManager],
        rate: float,
        delay: float,
        *,
        isUrgent: bool = True,
        tick: float = 0.0,
        read: int = 64 * KIB,
        rests: Sequence[tuple[int, float]] = (),
        isPaused: bool = False,
    ) -> None:
        """
        :param rate: octets a second, from the server to the client.
        :param delay: seconds from one end to the other and back, where no queue is.
        :param isUrgent: whether the server's answer to PING overtakes what its windows have just
            been opened for.
        :param tick: seconds between two moments at which either side reads.
        :param read: octets that the client reads at a time.
        :param rests: after how many octets the server has nothing more for how many seconds.
        :param isPaused: whether the reader pauses with each frame, and goes on at once.
        """
        self.conversation = Conversation(window_manager=plugged)
        self.engine = self.conversation.engine
        self.stream = self.conversation.open()
        self.conversation.hear(self.conversation.blocks.headers(1))
        self.clock = Clock()
        self.probes = Probes(self.clock, self.engine, self.ping)
        self.pings = 0
        self.answered: Deferred[float] = Deferred()
        self.asked = 0.0
        self.measures = plugged.measures_round_trip
        self.rate, self.delay, self.tick, self.read = rate, delay, tick, read
        self.isUrgent, self.isPaused = isUrgent, isPaused
        self.rests = list(rests)
        self.restsUntil = 0.0
        self.windows = [plugged.initial_connection_window, plugged.initial_stream_window]
        self.sent = 0
        # When the link is free again.
        self.free = 0.0
        # When, whether it is the client who reads, in which order, and what.
        self.arrivals: list[tuple[float, bool, int, Any]] = []
        self.order = 0

    @property
    def window(self) -> int:
        """The connection's, in octets."""
        manager: Any = self.engine.manager
        return int(manager.window)

    def ping(self) -> Deferred[float]:
        """What the connection does for its probes."""
        self.pings += 1
        self.asked = self.clock.seconds()
        self.engine.ping(b"12345678")
        self.answered = Deferred()
        return self.answered

    def arrive(self, when: float, isClient: bool, what: Any) -> None:
        """Something is going to be read."""
        if self.tick:
            when = math.ceil(when / self.tick) * self.tick
        self.order += 1
        heapq.heappush(self.arrivals, (when, isClient, self.order, what))

    def send(self, octets: bytes) -> None:
        """The server puts a frame on the link, behind whatever is queued there."""
        self.free = max(self.free, self.clock.seconds()) + len(octets) / self.rate
        self.arrive(self.free + self.delay / 2, True, octets)

    def fill(self) -> None:
        """The server sends what the windows let it, if it has something."""
        while self.clock.seconds() >= self.restsUntil and (size := min(16384, *self.windows)) > 0:
            self.windows = [window - size for window in self.windows]
            self.sent += size
            self.send(data(1, bytes(size)))
            if self.rests and self.sent >= self.rests[0][0]:
                self.restsUntil = self.clock.seconds() + self.rests.pop(0)[1]
                self.arrive(self.restsUntil, False, [])

    def serve(self, frames: list[Any]) -> None:
        """The server reads what the client has written."""
        for kind, _, streamId, payload in frames:
            if kind == WINDOW_UPDATE:
                self.windows[streamId] += int.from_bytes(payload, "big")
                if not self.isUrgent:
                    self.fill()
            else:
                self.send(frame(PING, ACK, 0, payload))
        self.fill()

    def hear(self, octets: bytes) -> None:
        """One read of the client's, and its write."""
        if self.measures:
            self.probes.look()
        for what, _, _, size in self.engine.receive(octets):
            if what == PONGED:
                self.answered.callback(self.clock.seconds() - self.asked)
            else:
                assert what == RECEIVED
                if self.isPaused:
                    self.engine.paused(self.stream)
                self.engine.consumed(self.stream, size)
        said = self.conversation.said()
        if said:
            self.arrive(self.clock.seconds() + self.delay / 2, False, said)

    def download(self, octets: int) -> Path:
        """Until so many have come."""
        self.fill()
        while self.engine.octets_received < octets:
            now, isClient = self.arrivals[0][:2]
            self.clock.rightNow = now
            come = []
            while self.arrivals and self.arrivals[0][:2] == (now, isClient):
                come.append(heapq.heappop(self.arrivals)[3])
            if isClient:
                joined = b"".join(come)
                for start in range(0, len(joined), self.read):
                    self.hear(joined[start : start + self.read])
            else:
                self.serve([each for frames in come for each in frames])
        return self


class PathTests(SynchronousTestCase):
    """What becomes of a window that starts at 64 KiB."""

    @law
    @given(
        st.integers(10, 22),
        st.integers(1, 1000),
        st.booleans(),
        st.integers(0, 4),
        st.sampled_from([30000, 64 * KIB, MIB]),
        st.lists(st.tuples(st.integers(1, MIB), st.floats(0, 2)), max_size=5),
    )
    def test_theLawOfPaths(
        self,
        product: int,
        delay: int,
        isUrgent: bool,
        ticks: int,
        read: int,
        rests: list[tuple[int, float]],
    ) -> None:
        """
        Over a path of any bandwidth-delay product the window becomes large enough to use all of
        it, and not many times as large, with few PINGs.
        """
        needed, seconds = 1 << product, delay / 1000
        path = Path(
            AutoTuningFlowControlManager,
            needed / seconds,
            seconds,
            isUrgent=isUrgent,
            tick=seconds * ticks / 8,
            read=read,
            rests=[(after, rest * seconds) for after, rest in sorted(rests)],
        )
        path.download(8 * MIB + 24 * needed)
        self.assertGreaterEqual(path.window, needed)
        self.assertLessEqual(path.window, max(512 * KIB, 8 * needed))
        self.assertEqual(path.window, path.stream.manager.window)  # type: ignore[union-attr]
        self.assertLess(path.pings, 30)

    def test_sooner(self) -> None:
        """Over a long path a download takes a fraction of what it takes with a fixed window."""
        seconds = [
            Path(plugged, 20 * MIB, 0.1).download(32 * MIB).clock.seconds()
            for plugged in (AutoTuningFlowControlManager, ConsumptionFlowControlManager)
        ]
        self.assertLess(seconds[0], seconds[1] / 4)

    def test_aReaderThatPauses(self) -> None:
        """Its stream's window never grows, whatever the path could carry."""
        path = Path(AutoTuningFlowControlManager, 20 * MIB, 0.1, isPaused=True).download(4 * MIB)
        self.assertEqual(65535, path.stream.manager.window)  # type: ignore[union-attr]
