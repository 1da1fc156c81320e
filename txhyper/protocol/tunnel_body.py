"""
The way into a tunnel: the body of a CONNECT.

Owns who writes for the protocol at this end, and whether what was written has left. It is told by
its upload to pause, to resume and to stop, and by its exchange when the tunnel opens and when the
stream has closed. What the protocol is told of that is :mod:`txhyper.protocol.tunnel`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from txhyper.interfaces import IReplayableBody
from txhyper.protocol.pulling import PulledProducer

if TYPE_CHECKING:
    from txhyper.protocol.exchange import Exchange

__all__ = ["TunnelBody"]


def _nobody(reason: Failure | None) -> None:
    """Who is told of the end before there is a tunnel."""


@implementer(IReplayableBody)
class TunnelBody:
    """
    The way into a tunnel. It may be begun more than once, as nothing is written into it before
    there is an answer.

    :ivar producer: who writes for the protocol, and is paused, and stopped.
    :ivar error: what the way in was cut off by, before everything had left.
    :ivar onClosed: called with that when the stream has closed; with None if everything has left.
    """

    length = UNKNOWN_LENGTH

    _log = Logger()

    def __init__(self) -> None:
        self._consumer: Any = None
        self._finished: Deferred[None] = Deferred()
        self._exchange: Exchange | None = None
        self._isFinished = False
        self._isPaused = False
        self.producer: Any = None
        # Who is paused and resumed for it: itself, or what asks it.
        self._paced: Any = None
        self.error: Failure | None = None
        self.onClosed: Callable[[Failure | None], None] = _nobody

    @property
    def isOpen(self) -> bool:
        """Whether octets can be written into it."""
        return self._consumer is not None

    @property
    def unsent(self) -> int:
        """Octets that have been written and have not left."""
        return 0 if self._exchange is None else self._exchange.unsent

    # -- what the tunnel does ------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Octets on their way in; none after the end."""
        if self._consumer is not None:
            self._consumer.write(data)

    def finish(self) -> None:
        """END_STREAM follows what has been written."""
        if self._consumer is not None:
            self._consumer = None
            self._isFinished = True
            self._finished.callback(None)

    def abort(self) -> None:
        """Reset the stream, if there is one and it is open."""
        self._consumer = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.uploadFailed(ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Somebody writes for the protocol, unless it is too late.

        :raises RuntimeError: somebody else does.
        """
        if self.producer is not None:
            raise RuntimeError(
                f"{producer!r} cannot write into the tunnel: {self.producer!r} has not unregistered"
            )
        exchange = self._exchange
        if self._consumer is None or exchange is None:
            producer.stopProducing()
            return
        self.producer = producer
        if streaming:
            self._paced = producer
            if self._isPaused:
                producer.pauseProducing()
        else:
            self._paced = PulledProducer(producer, self._tell, exchange.later)
            if not self._isPaused:
                self._paced.resumeProducing()

    def unregisterProducer(self) -> None:
        """It has written everything."""
        paced, self.producer, self._paced = self._paced, None, None
        if isinstance(paced, PulledProducer):
            # It would be asked for ever.
            paced.pauseProducing()

    def _tell(self, call: Callable[[], object]) -> None:
        """Ask a pull producer. One that raises costs the tunnel, and nothing else."""
        try:
            call()
        except Exception:  # noqa: BLE001 - a user's code
            # What one has to say after it was stopped is of no interest.
            if self._exchange is not None:
                self._exchange.uploadFailed(RequestGenerationFailed([Failure()]))

    def stop(self) -> None:
        """Nothing that somebody might still write can leave."""
        producer = self.producer
        if producer is not None:
            self.unregisterProducer()
            try:
                producer.stopProducing()
            except Exception:  # noqa: BLE001 - a user's code; the end has to be told all the same
                self._log.failure("a tunnel's producer raised when it was stopped")

    # -- what the upload tells -----------------------------------------------------------------

    def rewind(self) -> None:
        """There is nothing to do."""

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Open it. :return: fires once :meth:`finish` has been called."""
        self._consumer = consumer
        self._finished = Deferred()
        return self._finished

    def pauseProducing(self) -> None:
        """The stream's window, or the transport, takes no more."""
        self._isPaused = True
        if self._paced is not None:
            self._paced.pauseProducing()

    def resumeProducing(self) -> None:
        """They take more."""
        self._isPaused = False
        if self._paced is not None:
            self._paced.resumeProducing()

    def stopProducing(self) -> None:
        """The stream is gone."""
        self._consumer = None
        self.stop()

    # -- what the exchange tells ---------------------------------------------------------------

    def opened(self, exchange: Exchange) -> None:
        """The proxy has answered with a 2xx."""
        self._exchange = exchange

    def closed(self, isCut: bool, error: Exception | None = None) -> None:
        """
        The stream has ended.

        :param isCut: whether octets were left.
        :param error: why it did, if that is known.
        """
        if self.error is None and (isCut or not self._isFinished):
            self.error = Failure(error or ConnectionLost())
        self._exchange = None
        self.stopProducing()
        self.onClosed(self.error)
