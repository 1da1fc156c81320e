"""Tests for :mod:`txhyper.core.closed`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.wire import law
from txhyper.core.closed import REMEMBERED, ClosedStreams


class ClosedStreamsTests(SynchronousTestCase):
    """Late frames are forgiven on streams that were reset (RFC 9113 section 5.1)."""

    def test_reset(self) -> None:
        """By name, and nobody else."""
        closed = ClosedStreams()
        self.assertFalse(closed.forgives(3))
        closed.was_reset(3)
        closed.was_reset(3)
        self.assertEqual(
            [False, True, False], [closed.forgives(stream_id) for stream_id in (1, 3, 5)]
        )

    def test_bounded(self) -> None:
        """However many were reset, the names kept are few; the older ones stay forgiven."""
        closed = ClosedStreams()
        for stream_id in range(1, 20001, 2):
            closed.was_reset(stream_id)
        self.assertTrue(all(closed.forgives(stream_id) for stream_id in range(1, 20001, 2)))
        self.assertLessEqual(len(closed._ids), REMEMBERED)
        self.assertFalse(closed.forgives(20001))

    def test_horizon(self) -> None:
        """Nothing is forgiven by and large before the first name falls out."""
        closed = ClosedStreams()
        for stream_id in range(3, 3 + 2 * REMEMBERED, 2):
            closed.was_reset(stream_id)
        self.assertFalse(closed.forgives(1))
        closed.was_reset(100001)
        self.assertTrue(closed.forgives(1))

    @settings(law, max_examples=15)
    @given(st.permutations(range(1, 2 * REMEMBERED + 100, 2)))
    def test_any_order(self, ids: list[int]) -> None:
        """In whatever order streams are reset, none of them is ever blamed."""
        closed = ClosedStreams()
        for stream_id in ids:
            closed.was_reset(stream_id)
        self.assertTrue(all(map(closed.forgives, ids)))
