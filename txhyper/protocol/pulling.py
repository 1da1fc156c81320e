"""
Pull producers, asked for more until they are told to pause.

Owns the turns in which one is asked. An upload holds one of these where the body has somebody
register who wants to be asked, such as :class:`~twisted.protocols.basic.FileSender`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPullProducer

__all__ = ["PulledProducer"]


class PulledProducer:
    """
    A pull producer as a push producer: it is asked for more, once a turn, until it is to pause.

    Not more often: one that writes nothing must not hold up everybody else.
    """

    def __init__(
        self,
        producer: IPullProducer,
        tell: Callable[[Callable[[], object]], None],
        later: Callable[..., None],
    ) -> None:
        """
        :param tell: calls the producer, whose failure is its request's.
        :param later: calls in the next turn of the reactor.
        """
        self._producer = producer
        self._tell = tell
        self._later = later
        self._isPaused = True
        # Whether a turn is due.
        self._isDue = False

    def pauseProducing(self) -> None:
        """Ask for nothing more."""
        self._isPaused = True

    def resumeProducing(self) -> None:
        """Ask for more."""
        self._isPaused = False
        if not self._isDue:
            self._isDue = True
            self._later(self._pull)

    def _pull(self) -> None:
        self._isDue = False
        if not self._isPaused:
            self._tell(self._producer.resumeProducing)
            # It may have been told to pause within that.
            if not self._isPaused:
                self.resumeProducing()
