"""Tests for :mod:`txhyper.testing.pump`; what the pump sends is in ``test_connection``."""

from __future__ import annotations

from itertools import pairwise

from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txhyper.testing.pump import FrameCutter, NotFrames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES = [
    PingFrame(0, b"12345678").serialize(),
    DataFrame(1, b"x" * 300).serialize(),
    DataFrame(1, b"").serialize(),
]


class FrameCutterTests(SynchronousTestCase):
    """Input comes out frame by frame, whichever way it came in."""

    @given(st.lists(st.integers(0, 400)))
    def test_everySplit(self, cuts: list[int]) -> None:
        """The same frames come out of every split of the same octets."""
        octets = PREFACE + b"".join(FRAMES)
        borders = [0, *sorted(min(each, len(octets)) for each in cuts), len(octets)]
        cutter = FrameCutter(16384)
        found = [
            frame for begin, end in pairwise(borders) for frame in cutter.feed(octets[begin:end])
        ]
        preface = found[: len(found) - len(FRAMES)]
        self.assertEqual((PREFACE, FRAMES), (b"".join(preface), found[len(preface) :]))

    def test_goAway(self) -> None:
        """GOAWAY is kept back and remembered; what follows it comes through."""
        cutter = FrameCutter(16384)
        found = list(cutter.feed(PREFACE + GoAwayFrame(0).serialize() + FRAMES[0]))
        self.assertEqual([PREFACE, FRAMES[0]], found)
        self.assertTrue(cutter.hasClientLeft)

    def test_tooLarge(self) -> None:
        """The header of a frame that is too large is enough to refuse it."""
        cutter = FrameCutter(16384)
        list(cutter.feed(PREFACE))
        largest = (16384).to_bytes(3, "big") + bytes(6)
        self.assertEqual([], list(cutter.feed(largest)))
        cutter = FrameCutter(16384)
        list(cutter.feed(PREFACE))
        with self.assertRaises(NotFrames) as caught:
            list(cutter.feed((16385).to_bytes(3, "big") + bytes(6)))
        self.assertEqual(ErrorCodes.FRAME_SIZE_ERROR, caught.exception.code)

    def test_otherPreface(self) -> None:
        """The first octet that is not the preface's is enough to tell."""
        cutter = FrameCutter(16384)
        list(cutter.feed(PREFACE[:5]))
        with self.assertRaises(NotFrames) as caught:
            list(cutter.feed(b"/1.1"))
        self.assertEqual(ErrorCodes.PROTOCOL_ERROR, caught.exception.code)
