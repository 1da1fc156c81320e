"""
Those who wait at one origin.

Owns the queue, first in, first out, for whatever there is to wait for: a connection that is being
made, or a slot on one that is there. And those beside it: who rests before another attempt, and
whose dial has failed and who has not been told yet. Dials nothing and places nobody: the origin
does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

if TYPE_CHECKING:
    from txhyper.client.lease import Lease
    from txhyper.client.visit import Visit

__all__ = ["Waiting"]


class Waiting:
    """The queue; its length, and what is iterated over, are of those who stand in it."""

    __slots__ = ("_hopeless", "_queue", "_reactor", "_resting")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._queue: OrderedDict[Lease | Visit, None] = OrderedDict()
        # Those whose dial has failed, until they are told.
        self._hopeless: OrderedDict[Lease | Visit, None] = OrderedDict()
        # Those who try again, after a pause.
        self._resting: dict[Lease | Visit, IDelayedCall] = {}

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Lease | Visit]:
        return iter(self._queue)

    def __contains__(self, lease: Lease | Visit) -> bool:
        return lease in self._queue

    @property
    def isEmpty(self) -> bool:
        """Whether there is nobody, in the queue or beside it."""
        return not (self._queue or self._hopeless or self._resting)

    @property
    def resting(self) -> int:
        """How many rest."""
        return len(self._resting)

    def add(self, lease: Lease | Visit) -> None:
        """One more, behind all the others."""
        self._queue[lease] = None

    def take(self) -> Lease | Visit:
        """The oldest, who stands here no longer."""
        lease, _ = self._queue.popitem(last=False)
        return lease

    def rest(self, lease: Lease, seconds: float, call: Callable[[Lease], object]) -> None:
        """One tries again, after a pause. :param call: told when it is over."""

        def rested() -> None:
            del self._resting[lease]
            call(lease)

        self._resting[lease] = self._reactor.callLater(seconds, rested)

    def leave(self, lease: Lease | Visit) -> None:
        """One has been given up, wherever it is."""
        self._queue.pop(lease, None)
        self._hopeless.pop(lease, None)
        pause = self._resting.pop(lease, None)
        if pause is not None:
            pause.cancel()

    def fail(self, number: int, error: Exception) -> None:
        """So many of the oldest have waited for a dial that has failed."""
        # Out of the queue first: who is told may send again at once, and gets a dial of its own; or
        # cancels the others, or closes the pool.
        for _ in range(number):
            self._hopeless[self.take()] = None
        while self._hopeless:
            self._hopeless.popitem(last=False)[0].undialled(error)

    def dismiss(self) -> list[Lease | Visit]:
        """:return: everybody, in the order they came; nobody is left."""
        everybody = [*self._hopeless, *self._queue, *self._resting]
        for pause in self._resting.values():
            pause.cancel()
        for those in (self._hopeless, self._queue, self._resting):
            those.clear()
        return everybody
