"""
Bodies as hyper's users give them: whole, or pushed piece by piece.

Owns the order of the pieces, and how much may wait. Each piece is a producer of its own, from
:mod:`txhyper.protocol.bodies`; :mod:`txhyper.adapters.hyper_requests` makes and feeds them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from txhyper.errors import BoundExceeded, InvalidRequest
from txhyper.protocol.bodies import asProducer

__all__ = ["PushedBody", "producer_of", "size_of"]

#: What a piece that waits costs beside its octets, roughly.
PIECE_COST = 256


def producer_of(data: Any) -> IBodyProducer | None:
    """
    The producer for what hyper's users give as a body, or as a piece of one.

    :raises InvalidRequest: it is nothing of the kind.
    """
    if isinstance(data, str):
        data = data.encode("utf-8")
    if isinstance(data, Mapping):
        raise InvalidRequest("a body is no mapping: encode it, as urllib.parse.urlencode does")
    return asProducer(data)


def size_of(data: Any) -> int:
    """How many octets of a piece are held while it waits: a file holds its own."""
    return len(data) if isinstance(data, str | bytes | bytearray | memoryview) else 0


@implementer(IBodyProducer)
class PushedBody:
    """
    A body whose pieces are pushed into it, each a producer of its own: bytes, a file, an iterable.

    They are started one after the other, none while the consumer has enough.
    """

    length = UNKNOWN_LENGTH

    def __init__(self, most: int) -> None:
        """:param most: octets that may wait while more are pushed."""
        self._most = most
        # What waits: each with its octets, and whoever waits for it to be taken.
        self._pieces: deque[tuple[IBodyProducer, int, Deferred[None]]] = deque()
        self._waiting = 0
        # Those whose pieces have been taken, until more is wanted.
        self._taken: deque[Deferred[None]] = deque()
        self._current: IBodyProducer | None = None
        self._consumer: IConsumer | None = None
        self._finished: Deferred[None] | None = None
        self._is_paused = False
        self._is_flowing = False
        # Whether no more will be pushed, and whether nothing more is wanted.
        self._is_ended = False
        self._is_over = False

    def push(self, piece: IBodyProducer, size: int) -> Deferred[None]:
        """
        Add a piece.

        :return: fires when more may be pushed.
        :raises BoundExceeded: too much waits already.
        """
        if self._waiting > self._most:
            raise BoundExceeded(
                f"{self._waiting} octets wait to be sent: wait for what send() has returned before "
                "the next one (bound unsent_octets)",
                "unsent_octets",
            )
        taken: Deferred[None] = Deferred()
        if self._is_over:
            taken.callback(None)
        else:
            self._waiting += size + PIECE_COST
            self._pieces.append((piece, size + PIECE_COST, taken))
            self._flow()
        return taken

    def end(self) -> None:
        """No more will be pushed."""
        self._is_ended = True
        self._flow()

    # -- what the consumer asks for ----------------------------------------------------------------

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write what has been pushed. :return: fires when all of the body has been written."""
        finished: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._consumer, self._finished = consumer, finished
        self._flow()
        return finished

    def pauseProducing(self) -> None:
        """Write nothing until :meth:`resumeProducing`."""
        self._is_paused = True
        if self._current is not None:
            self._current.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self._is_paused = False
        if self._current is not None:
            self._current.resumeProducing()
        self._flow()

    def stopProducing(self) -> None:
        """Nobody wants the rest. Who waits to send more is told that it may."""
        self._finished = None
        self._finish(None)

    # -- one piece after the other -----------------------------------------------------------------

    def _flow(self) -> None:
        if self._is_flowing:
            return
        self._is_flowing = True
        try:
            while self._step():
                pass
        finally:
            self._is_flowing = False

    def _step(self) -> bool:
        """Do the next thing. :return: whether there was one."""
        consumer = self._consumer
        if consumer is None or self._current is not None:
            return False
        if self._is_ended and not self._pieces:
            # Whatever the consumer says: the end takes no room.
            self._finish(None)
            return False
        if self._is_paused:
            return False
        if self._taken:
            # Who is told may send the next piece, or have the request cancelled.
            self._taken.popleft().callback(None)
            return True
        if self._pieces:
            piece, size, taken = self._pieces.popleft()
            self._waiting -= size
            self._taken.append(taken)
            self._current = piece
            try:
                piece.startProducing(consumer).addCallbacks(self._next, self._failed)
            except Exception:  # noqa: BLE001 - a user's code: it fails its own request
                self._failed(Failure())
            return True
        return False

    def _next(self, ignored: object) -> None:
        """A piece has been written."""
        self._current = None
        self._flow()

    def _failed(self, reason: Failure) -> None:
        """A piece could not be written. Once nobody wants it, nobody minds."""
        self._current = None
        self._finish(reason)

    def _finish(self, result: Failure | None) -> None:
        """Nothing more is written. :param result: why not, if not all has been."""
        finished, self._finished = self._finished, None
        current, self._current = self._current, None
        self._consumer = None
        self._is_over = True
        waiting = [*self._taken, *(taken for _, _, taken in self._pieces)]
        self._taken.clear()
        self._pieces.clear()
        self._waiting = 0
        if current is not None:
            current.stopProducing()
        if finished is not None:
            finished.callback(result)
        for taken in waiting:
            taken.callback(None)
