"""Every bound of :class:`txhyper.Bounds` is one: a server that passes it is stopped."""

from __future__ import annotations

from dataclasses import fields

from tests.hostile.attack import MemoryTestCase
from tests.hostile.cases import BOUNDS, meets
from tests.hostile.scenarios import ScenarioTests
from txhyper import Bounds

#: Bounds that are tested by a conversation of their own, and one that no server has to do with.
ELSEWHERE = {
    "attempts",
    "continue_timeout",
    "pending_control_octets",
    "useless_frames_per_second",
}
THE_CALLERS = {"unsent_octets"}


@meets(BOUNDS)
class BoundsTests(MemoryTestCase):
    """
    Where a stream is to blame it fails, else the connection ends with ENHANCE_YOUR_CALM; either way
    the error names the bound.
    """

    def test_all(self) -> None:
        """None is left out."""
        met = {case.bound for case in BOUNDS}
        self.assertEqual({field.name for field in fields(Bounds)}, met | ELSEWHERE | THE_CALLERS)


class LongerTests(ScenarioTests, MemoryTestCase):
    """In memory, where the time passes by itself."""
