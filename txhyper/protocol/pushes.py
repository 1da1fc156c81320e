"""
The promises that came with one response, in the order they came.

Owns the queue and those who wait at it. The exchange puts promises in, for as long as its stream is
open; the response hands the queue out, as ``pushes``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from txhyper.interfaces import IPushPromise

__all__ = ["NO_PUSHES", "Pushes"]


class Pushes:
    """
    An asynchronous iterator of :class:`~txhyper.PushPromise`.

    It ends when the response has, as nothing is promised after that (RFC 9113 section 6.6). Who is
    cancelled while waiting loses nothing.
    """

    __slots__ = ("_isOver", "_promises", "_waiters")

    def __init__(self) -> None:
        self._promises: deque[IPushPromise] = deque()
        self._waiters: deque[Deferred[None]] = deque()
        self._isOver = False

    def __aiter__(self) -> Pushes:
        return self

    async def __anext__(self) -> IPushPromise:
        while not self._promises:
            if self._isOver:
                raise StopAsyncIteration
            waiter: Deferred[None] = Deferred(self._waiters.remove)
            self._waiters.append(waiter)
            await waiter
        return self._promises.popleft()

    def taken(self) -> list[IPushPromise]:
        """Those that are here, without waiting for more."""
        promises = list(self._promises)
        self._promises.clear()
        return promises

    @property
    def waiting(self) -> int:
        """How many are here that nobody has taken."""
        return len(self._promises)

    def put(self, promise: IPushPromise) -> None:
        """One more has come."""
        self._promises.append(promise)
        if self._waiters:
            self._waiters.popleft().callback(None)

    def over(self) -> None:
        """No more will come."""
        self._isOver = True
        while self._waiters:
            self._waiters.popleft().callback(None)


#: Those of a response that has none: one for all of them.
NO_PUSHES = Pushes()
NO_PUSHES.over()
