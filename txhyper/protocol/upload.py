"""
A request body on its way out.

Owns the conversation with one :class:`~twisted.web.iweb.IBodyProducer`: it is started once,
paused while too many octets wait, and stopped when nobody wants the rest. Checks that as many
octets come as were announced. Sends nothing: the connection's queue does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPullProducer
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from txhyper.errors import LengthMismatch
from txhyper.protocol.expectation import AwaitedBody
from txhyper.protocol.pulling import PulledProducer

__all__ = ["Upload", "Uploading"]


class Uploading(Protocol):
    """What an upload asks of the exchange that it belongs to."""

    @property
    def name(self) -> str:
        """For messages."""

    def write(self, data: bytes) -> bool:
        """Take octets. :return: whether the producer has to pause."""

    def uploadFinished(self) -> None:
        """Everything has been written."""

    def uploadFailed(self, error: Exception) -> None:
        """The producer failed, or wrote more or less than it had announced."""

    def later(self, call: Callable[..., object]) -> None:
        """Call in the next turn of the reactor."""


@implementer(IConsumer)
class Upload:
    """The consumer that a body's producer writes to."""

    __slots__ = ("_exchange", "_isPaused", "_producer", "_pulled", "_remaining", "_running")

    def __init__(self, exchange: Uploading, producer: IBodyProducer, length: int | None) -> None:
        """:param length: the octets that content-length announces; None if it does not."""
        self._exchange = exchange
        self._producer = producer
        self._remaining = length
        self._running = False
        self._isPaused = False
        # The pull producer that writes in the body's place, where there is one.
        self._pulled: PulledProducer | None = None

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
                exchange = self._exchange
                self.stop()
                _mismatched(exchange, f"{-self._remaining} octets more than its length")
                return
        if self._exchange.write(data):
            self.pause()

    def pause(self) -> None:
        """There is enough for now."""
        if self._running:
            self._isPaused = True
            self._tell((self._pulled or self._producer).pauseProducing)

    def resume(self) -> None:
        """The queue has drained."""
        if self._running:
            self._isPaused = False
            self._tell((self._pulled or self._producer).resumeProducing)

    def proceed(self) -> None:
        """The server wants the body, if it was told to expect it."""
        if self._running and isinstance(self._producer, AwaitedBody):
            self._producer.proceed()

    def stop(self) -> bool:
        """Nobody wants the rest. :return: whether there was any."""
        if not self._running:
            return False
        producer = self._producer
        self._end()
        self._tell(producer.stopProducing)
        return True

    def _end(self) -> Uploading:
        """Nothing is written any more. :return: the exchange, which is let go."""
        self._running = False
        # Whoever has not unregistered would be asked for ever.
        self.unregisterProducer()
        exchange = self._exchange
        # A producer that was stopped may keep its Deferred, which never fires, and that leads here.
        del self._exchange, self._producer
        return exchange

    def _tell(self, call: Callable[[], object]) -> None:
        """Call the producer: one that raises fails its own request, and no other."""
        try:
            call()
        except Exception:  # noqa: BLE001 - a user's code
            self._failed(Failure())

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        The body has somebody else write, such as :class:`~twisted.protocols.basic.FileSender`.

        :param streaming: whether that is a push producer. Those are told to pause by way of the
            body, as they were started by it.
        """
        if self._running and not streaming:
            pulled = cast(IPullProducer, producer)
            self._pulled = PulledProducer(pulled, self._tell, self._exchange.later)
            # What was written before it may have been enough for now.
            if not self._isPaused:
                self._pulled.resumeProducing()

    def unregisterProducer(self) -> None:
        """Nothing more is to be pulled. The end is told by the body's Deferred."""
        if self._pulled is not None:
            self._pulled.pauseProducing()
            self._pulled = None

    def _finished(self, ignored: object) -> None:
        if not self._running:
            return
        exchange = self._end()
        if self._remaining:
            _mismatched(exchange, f"{self._remaining} octets fewer than its length")
        else:
            exchange.uploadFinished()

    def _failed(self, reason: Failure) -> None:
        # What a producer has to say after it was stopped is of no interest.
        if self._running:
            self._end().uploadFailed(RequestGenerationFailed([reason]))


def _mismatched(exchange: Uploading, how: str) -> None:
    exchange.uploadFailed(LengthMismatch(f"{exchange.name}: the body has {how}"))
