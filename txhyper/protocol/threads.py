"""
The way back into the reactor's thread.

Owns the one call that may be made from another thread: finalizers run in whichever thread the
garbage collector runs in.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

__all__ = ["callFromAnyThread"]


def callFromAnyThread(reactor: IReactorTime, call: Callable[..., object], *args: object) -> None:
    """Call in the reactor's thread, in one of its next turns."""
    threaded = IReactorFromThreads(reactor, None)
    if threaded is not None:
        threaded.callFromThread(call, *args)
    else:
        # A clock in somebody's test has no threads.
        reactor.callLater(0, call, *args)
