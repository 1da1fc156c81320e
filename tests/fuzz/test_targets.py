"""A short, seeded run of each target of :mod:`tests.fuzz`."""

from __future__ import annotations

import random
from unittest import TestCase
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import differential, mutation
from tests.fuzz.judge import Judge
from tests.fuzz.machines import ConnectionMachine, PoolMachine
from tests.fuzz.targets import TARGETS, machine, run
from txhyper.core import frames
from txhyper.testing.peer import PREFACE


class TargetTests(TestCase):
    """
    What must hold holds.

    Not a test case of Twisted's: those keep every failure that is logged, and what it refers to.
    """

    def test_connection(self) -> None:
        """One connection, whatever its peer and its users do."""
        machine(ConnectionMachine, 1, 150)

    def test_pool(self) -> None:
        """A pool, whatever becomes of its connections."""
        machine(PoolMachine, 1, 120)

    def test_recordings(self) -> None:
        """Real servers' octets, damaged."""
        for seed in range(400):
            mutation.run(seed)

    def test_differential(self) -> None:
        """Plain h2 tells the same, and each listed difference is met."""
        met = {differential.run(seed) for seed in range(600)}
        self.assertEqual({None, *differential.DIFFERENCES}, met)

    def test_command(self) -> None:
        """A target runs until its time is up, and tells the seed of what does not hold."""
        self.assertLess(0, run("recordings", 0.01, 7, self.fail))
        told: list[str] = []
        broken = {"recordings": lambda number: 1 // 0}
        with patch.dict(TARGETS, broken), self.assertRaises(ZeroDivisionError):
            run("recordings", 1.0, 3, told.append)
        self.assertEqual(["recordings: seed 3"], told)


class RecordingTests(SynchronousTestCase):
    """The recordings themselves."""

    def test_whole(self) -> None:
        """Each holds answers; undamaged, in whatever pieces, they are what the server meant."""
        self.assertLessEqual({"nginx", "nghttpd", "node", "hypercorn", "twisted"}, {*RECORDED})
        for name, octets in RECORDED.items():
            kinds = {piece[3] for piece in mutation.cut(octets)}
            self.assertLessEqual({frames.SETTINGS, frames.HEADERS, frames.DATA}, kinds, name)

    def test_damage(self) -> None:
        """Damage leaves something to read, and hardly ever the same."""
        pieces = mutation.cut(RECORDED["nginx"])
        dice = random.Random(1)
        changed = [mutation.damaged(pieces, dice) != pieces for _ in range(200)]
        self.assertGreater(sum(changed), 150)


RECORDED = mutation.RECORDINGS


class JudgeTests(SynchronousTestCase):
    """The judge is not blind."""

    def setUp(self) -> None:
        """A client that has sent one request."""
        self.judge = Judge()
        self.judge.clientSends(PREFACE + frames.pack(frames.SETTINGS, 0, 0))
        self.judge.peerSends(frames.pack(frames.SETTINGS, 0, 0, b"\0\3\0\0\0\1"))
        self.judge.clientSends(frames.pack(frames.SETTINGS, frames.ACK, 0))
        self.judge.clientSends(self.head(1))

    def head(self, stream: int) -> bytes:
        """A request with a body to come."""
        return frames.pack(frames.HEADERS, frames.END_HEADERS, stream, b"\x82\x87\x84")

    def test_mistakes(self) -> None:
        """Each of these a client may not send."""
        reset = frames.pack_reset(1, 8)
        for octets in (
            self.head(3),
            self.head(2),
            self.head(1),
            frames.pack(frames.DATA, 0, 1, bytes(16385)),
            frames.pack(frames.DATA, 0, 1, bytes(16384)) * 4,
            frames.pack(frames.DATA, 0, 3, b"x"),
            frames.pack(frames.DATA, frames.END_STREAM, 1) * 2,
            reset * 2,
            reset + frames.pack(frames.DATA, 0, 1, b"x"),
            reset + frames.pack_window_update(1, 1),
            frames.pack_window_update(3, 1),
            frames.pack_window_update(0, (1 << 31) - 1),
            frames.pack(frames.SETTINGS, frames.ACK, 0),
            frames.pack(frames.PING, frames.ACK, 0, bytes(8)),
            frames.pack(frames.PUSH_PROMISE, 0, 1),
            frames.pack_goaway(0, 0) + frames.pack(frames.PING, 0, 0, bytes(8)),
            frames.pack(frames.HEADERS, 0, 1, b"") + frames.pack(frames.PING, 0, 0, bytes(8)),
        ):
            self.setUp()
            self.assertRaises(AssertionError, self.judge.clientSends, octets)
