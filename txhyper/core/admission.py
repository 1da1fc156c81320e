"""
How many streams may be open on one connection, who waits for one, and whether any will come.

Owns the count of slots in use, the peer's limit, the queue, and whether the doors are open at all.
Never opens a stream and never calls a waiter: whoever frees a slot asks :meth:`Admission.admit`
whose turn it is. The connection calls it; h2's own count walks all streams, this one is a number.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["ASSUMED_LIMIT", "Admission"]

#: What to assume until the peer's SETTINGS arrive. Go and curl take the same number.
ASSUMED_LIMIT = 100

W = TypeVar("W")


class Admission(Generic[W]):
    """
    Slots for concurrent streams (RFC 9113 section 5.1.2), first in, first out.

    A slot is *reserved* before a stream is opened in it, so that two callers in one reactor turn
    never share the last one. The limit may be 0, may shrink below what is open, and may never be
    announced; a shrunken limit closes nothing, it only lets nobody in.

    :ivar draining: whether nobody will be let in any more.
    :ivar held: whether nobody is let in for now, as it is in doubt that the peer is still there.
    """

    __slots__ = ("_waiting", "draining", "held", "in_use", "limit")

    def __init__(self) -> None:
        self.limit = ASSUMED_LIMIT
        self.in_use = 0
        self.draining = False
        self.held = False
        # Made when the first one has to wait: most connections never see a queue.
        self._waiting: OrderedDict[W, None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting) if self._waiting else 0

    def reserve(self) -> bool:
        """
        Take a slot if one is free and nobody waits for it already.

        :return: whether it was taken. The taker gives it back by :meth:`release`, once.
        """
        if self.in_use < self.limit and not (self._waiting or self.draining or self.held):
            self.in_use += 1
            return True
        return False

    def release(self) -> None:
        """Give one slot back."""
        self.in_use -= 1

    def wait(self, waiter: W) -> None:
        """Stand in the queue. The waiter is hashable, and stands in it once."""
        if self._waiting is None:
            self._waiting = OrderedDict()
        self._waiting[waiter] = None

    def leave(self, waiter: W) -> bool:
        """
        Leave the queue.

        :return: whether the waiter was in it.
        """
        if self._waiting and waiter in self._waiting:
            del self._waiting[waiter]
            return True
        return False

    def admit(self) -> W | None:
        """The waiter whose turn it is, with a slot reserved for it; None if it is nobody's."""
        if self._waiting and self.in_use < self.limit and not (self.draining or self.held):
            waiter, _ = self._waiting.popitem(last=False)
            self.in_use += 1
            return waiter
        return None

    def dismiss(self) -> list[W]:
        """Let nobody in any more. :return: those who waited, in the order they came."""
        self.draining = True
        waiters = list(self._waiting) if self._waiting else []
        self._waiting = None
        return waiters
