"""
A request body on its way out.

Owns the conversation with one :class:`~twisted.web.iweb.IBodyProducer`: it is started once,
paused while too many octets wait, and stopped when nobody wants the rest. Checks that as many
octets come as were announced. Sends nothing: the connection's queue does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from txhyper.errors import LengthMismatch

if TYPE_CHECKING:
    from txhyper.protocol.exchange import Exchange

__all__ = ["Upload"]


@implementer(IConsumer)
class Upload:
    """The consumer that a body's producer writes to."""

    __slots__ = ("_exchange", "_producer", "_remaining", "_running")

    def __init__(self, exchange: Exchange, producer: IBodyProducer, length: int | None) -> None:
        """:param length: the octets that content-length announces; None if it does not."""
        self._exchange = exchange
        self._producer = producer
        self._remaining = length
        self._running = False

    def start(self) -> None:
        """Start the producer. It may write, finish or fail before this returns."""
        self._running = True
        try:
            finished: Deferred[None] = self._producer.startProducing(self)
            finished.addCallbacks(self._finished, self._failed)
        except Exception:  # noqa: BLE001 - a user's code: whatever it raises fails its request,
            # and so does a producer that returns no Deferred.
            self._failed(Failure())

    def write(self, data: bytes) -> None:
        """Take octets from the producer; more than were announced fail the request."""
        if not self._running:
            return
        if self._remaining is not None:
            self._remaining -= len(data)
            if self._remaining < 0:
                self.stop()
                self._mismatched(f"{-self._remaining} octets more than its length")
                return
        if self._exchange.write(data):
            self._tell(self._producer.pauseProducing)

    def resume(self) -> None:
        """The queue has drained."""
        self._tell(self._producer.resumeProducing)

    def stop(self) -> None:
        """Nobody wants the rest."""
        if self._running:
            self._running = False
            self._tell(self._producer.stopProducing)

    def _tell(self, call: Callable[[], object]) -> None:
        """Call the producer: one that raises fails its own request, and no other."""
        try:
            call()
        except Exception:  # noqa: BLE001 - a user's code
            self._failed(Failure())

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Some producers register themselves; they were known before."""

    def unregisterProducer(self) -> None:
        """The end is told by the producer's Deferred."""

    def _mismatched(self, how: str) -> None:
        exchange = self._exchange
        exchange.uploadFailed(LengthMismatch(f"{exchange.name}: the body has {how}"))

    def _finished(self, ignored: object) -> None:
        if not self._running:
            return
        self._running = False
        if self._remaining:
            self._mismatched(f"{self._remaining} octets fewer than its length")
        else:
            self._exchange.uploadFinished()

    def _failed(self, reason: Failure) -> None:
        # What a producer has to say after it was stopped is of no interest.
        if self._running:
            self._running = False
            self._exchange.uploadFailed(RequestGenerationFailed([reason]))
