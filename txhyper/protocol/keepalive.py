"""
Whether the peer is still there.

Owns the silence of one connection: when to ask, by a PING (RFC 9113 section 6.7), and when to give
it up. A path can be lost without a word: then nothing comes, and nothing says so. Servers count
PINGs and hang up on those who send too many, so that one is sent only after silence, never beside
another, and by default only while somebody waits for something. Whatever comes is a sign of life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txhyper.errors import PeerUnresponsive

if TYPE_CHECKING:
    from txhyper.protocol.connection import HTTP2ClientProtocol

__all__ = ["KeepAlive", "Liveness"]


@dataclass(frozen=True)
class Liveness:
    """
    How a connection finds out that its peer is gone.

    After a response or a piece of a body that did not come in time, the peer is always asked, and
    meanwhile the pool puts no new requests there.

    :raises ValueError: a time is not a positive number.
    """

    #: Seconds of silence after which the peer is asked; None never asks out of silence alone.
    interval: float | None = None
    #: Seconds that it has for a sign of life, before every stream fails with
    #: :exc:`~txhyper.errors.PeerUnresponsive`.
    deadline: float = 15.0
    #: Whether it is asked also while no stream is open. Not every server likes that.
    whenIdle: bool = False

    def __post_init__(self) -> None:
        for name, seconds in (("interval", self.interval), ("deadline", self.deadline)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} of Liveness is {seconds!r}: no positive number")


class KeepAlive:
    """
    The silence of one connection.

    :ivar lastHeard: when something came last; the connection sets it with each read.
    """

    __slots__ = (
        "_asked",
        "_connection",
        "_isThere",
        "_liveness",
        "_lost",
        "_reactor",
        "_timer",
        "lastHeard",
    )

    def __init__(
        self,
        reactor: IReactorTime,
        liveness: Liveness,
        connection: HTTP2ClientProtocol,
        isThere: Callable[[], None],
        lost: Callable[[PeerUnresponsive], None],
    ) -> None:
        """
        :param connection: has an origin, an open count, and sends PINGs.
        :param isThere: told when a peer that was asked has given one.
        :param lost: told when the peer gave no sign of life.
        """
        self._reactor = reactor
        self._liveness = liveness
        self._connection = connection
        self._isThere = isThere
        self._lost = lost
        self.lastHeard = reactor.seconds()
        # When the peer was asked; None if it is not being asked.
        self._asked: float | None = None
        # The next look at the silence, or the end of the peer's time.
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """The connection is made."""
        self.lastHeard = self._reactor.seconds()
        self._schedule()

    def stop(self) -> None:
        """The connection is gone: leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ask(self) -> None:
        """Something did not come in time: ask, unless the peer is being asked already."""
        if self._asked is None:
            self._ask()
        else:
            # What came before this is no sign of life.
            self._asked = self._reactor.seconds()

    def _schedule(self) -> None:
        interval = self._liveness.interval
        if interval is not None:
            left = self.lastHeard + interval - self._reactor.seconds()
            # After a silence in which nobody was to be asked it is looked at again a while later.
            self._timer = self._reactor.callLater(left if left > 0 else interval, self._look)

    def _look(self) -> None:
        self._timer = None
        interval = self._liveness.interval
        assert interval is not None
        isSilent = self._reactor.seconds() >= self.lastHeard + interval
        if isSilent and (self._liveness.whenIdle or self._connection.openCount):
            self._ask()
        else:
            self._schedule()

    def _ask(self) -> None:
        self.stop()
        self._asked = self._reactor.seconds()
        self._timer = self._reactor.callLater(self._liveness.deadline, self._late)
        # If it fails, the connection has.
        self._connection.ping().addCallbacks(self._answered, lambda failure: None)

    def _answered(self, seconds: float) -> None:
        self.stop()
        self._asked = None
        self._schedule()
        self._isThere()

    def _late(self) -> None:
        self._timer = None
        assert self._asked is not None
        if self.lastHeard > self._asked:
            # The answer may stand behind a large body, which is a sign of life itself.
            self._answered(0.0)
            return
        origin, deadline = self._connection.origin, self._liveness.deadline
        self._lost(
            PeerUnresponsive(
                f"{origin}: no sign of life within {deadline} s of a PING (option deadline of "
                "Liveness)"
            )
        )
