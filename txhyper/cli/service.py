"""
What ``twist`` and ``twistd`` load, and how a fetch owns a process.

Owns the reactor's run, the signals and the exit status. ``twist`` exits with status 0 whatever a
plugin does, and its log goes to standard output; so :func:`makeService` runs the whole fetch
before ``twist`` gets to either, and leaves by SystemExit. Without a parent, as in an application
of one's own, it gives a service like any other. The dropin names this module; the console script
calls :func:`run`.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore

from txhyper.cli.options import Options, Settings

if TYPE_CHECKING:
    # Twisted's plugin search asks for this module's options alone.
    from txhyper.cli.fetch import Fetching

__all__ = ["FetchService", "Options", "makeService", "run"]


class FetchService(Service):
    """
    One fetch, begun with the service and cancelled when the service stops before its end.

    :ivar status: the exit status of the fetch, once it ended.
    """

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._fetching: Fetching | None = None
        self.status: int | None = None

    def startService(self) -> None:
        """Begin the fetch."""
        from txhyper.cli.fetch import Fetching
        from txhyper.cli.render import standard_streams

        super().startService()  # type: ignore[no-untyped-call]
        self._fetching = Fetching(self._reactor, self._settings, standard_streams())
        self._fetching.status.addCallback(self._ended)

    def stopService(self) -> Deferred[int] | None:
        """End the fetch if it is still going on; fires once everything is closed."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._fetching is None or self.status is not None:
            return None
        self._fetching.interrupt()
        return self._fetching.status

    def _ended(self, status: int) -> int:
        self.status = status
        return status


def run(reactor: Any, settings: Settings) -> int:
    """
    Run the reactor for one fetch, and give the exit status.

    SIGINT and SIGTERM cancel the fetch, which then closes its connections; the status is 128
    and the signal's number, as in a shell. The same signal once more ends the process at once.
    """
    from txhyper.cli.fetch import Fetching
    from txhyper.cli.render import DEFECT, settle_standard_output, standard_streams

    # Stands only if somebody else stops the reactor.
    status = DEFECT
    by_signal = 0
    fetching: Fetching

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal by_signal
        by_signal = 128 + signum
        signal.signal(signum, signal.SIG_DFL)
        # A signal may come anywhere, in the middle of a write or of the start: the reactor
        # cancels, once it gets to it.
        reactor.callFromThread(lambda: fetching.interrupt())

    def ended(result: int) -> None:
        nonlocal status
        status = by_signal or result
        settle_standard_output()
        if reactor.getThreadPool().working:
            # A name server that does not answer keeps its thread for a long time, and both the
            # reactor and the interpreter wait for threads. Everything else is closed by now.
            os._exit(status)
        reactor.stop()

    def start() -> None:
        nonlocal fetching
        # The reactor has installed its own handlers just before, and does not put them back.
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, interrupt)
        fetching = Fetching(reactor, settings, standard_streams())
        fetching.status.addCallback(ended)

    reactor.callWhenRunning(start)
    reactor.run()
    return status


def makeService(options: Options) -> FetchService:
    """
    Under ``twist`` and ``twistd``, fetch now and exit; elsewhere give a service that will fetch.

    :raises SystemExit: with the status of the fetch, when the options have a parent. That is
        before ``twist`` starts its log, and before ``twistd`` detaches from its terminal.
    """
    parent = options.parent
    if parent is not None and IReactorCore.providedBy(parent.get("reactor")):
        reactor = parent["reactor"]
    else:
        # twistd keeps only the reactor's name, which by now is installed.
        from twisted.internet import reactor
    if parent is not None:
        raise SystemExit(run(reactor, options.settings))
    return FetchService(reactor, options.settings)
