"""
Time limits of one length, in a dictionary.

Owns who must be done by when. Never reads a clock and sets no timer: it is told ``now``, says who
is late and when to look again. Whoever owns it keeps one timer for all of its limits, so that a
request costs an entry in a dictionary and not a timer of the reactor.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

K = TypeVar("K")


class Deadlines(Generic[K]):
    """Everybody has the same time, so that whoever began first is late first."""

    __slots__ = ("_begun", "duration")

    def __init__(self, duration: float) -> None:
        """:param duration: seconds that each one has."""
        self.duration = duration
        self._begun: OrderedDict[K, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._begun)

    def __contains__(self, key: K) -> bool:
        return key in self._begun

    def begin(self, key: K, now: float) -> None:
        """Start the time of one, or start it anew."""
        self._begun.pop(key, None)
        self._begun[key] = now

    def end(self, key: K) -> bool:
        """Done in time. :return: whether its time was running."""
        return self._begun.pop(key, None) is not None

    def expire(self, now: float) -> list[K]:
        """Those whose time is up; they are forgotten."""
        late = []
        for key, begun in self._begun.items():
            if begun + self.duration > now:
                break
            late.append(key)
        for key in late:
            del self._begun[key]
        return late

    def next(self) -> float | None:
        """When to look again; None if nobody's time is running."""
        for begun in self._begun.values():
            return begun + self.duration
        return None
