"""
A body that is decoded on its way to its reader.

Owns the place between the body's transport and the reader: it is the reader of the one and the
transport of the other. Decodes nothing itself: :mod:`txhyper.core.decoders` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.iweb import IResponse
from zope.interface import implementer

from txhyper.core.decoders import Decoding
from txhyper.errors import BodyError

__all__ = ["DecodingReader"]


@implementer(IPushProducer)
class DecodingReader(Protocol):
    """
    Between the body's transport and its reader: octets in, pieces of what they mean out.

    It is the reader's transport. A reader that pauses stops the decoding where it is, in the
    middle of a few octets that may mean a million.
    """

    def __init__(self, reader: IProtocol, decoding: Decoding, response: IResponse) -> None:
        self._reader = reader
        self._decoding = decoding
        self._response = response
        # What is being decoded, while the reader pauses in the middle of it.
        self._pieces: Iterator[bytes] = iter(())
        # What came meanwhile: a pause does not hold back what had been read already.
        self._waiting: deque[bytes] = deque()
        self._isPaused = False
        self._isDelivering = False
        # Why the body has ended, until the reader has had all of it.
        self._reason: Failure | None = None
        self._isOver = False

    @property
    def disconnecting(self) -> bool:
        """What some protocols look at within ``dataReceived``, to know whether to go on."""
        return self._isOver

    def connectionMade(self) -> None:
        """The body's transport is there, and this is the reader's."""
        self._reader.makeConnection(self)  # type: ignore[arg-type]  # read only

    def dataReceived(self, data: bytes) -> None:
        """Octets have come, perhaps while others are being decoded."""
        if not self._isOver:
            self._waiting.append(data)
            self._deliver()

    def _next(self) -> bytes | None:
        """The next piece, of the octets that came first; None if there is none now."""
        while True:
            piece = next(self._pieces, None)
            if piece is not None or not self._waiting:
                return piece
            self._pieces = self._decoding.feed(self._waiting.popleft())

    def _drop(self) -> None:
        """Nobody wants what is held."""
        self._pieces = iter(())
        self._waiting.clear()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body has ended; the reader is told when it has had all of it."""
        self._reason = reason
        self._deliver()

    def _deliver(self) -> None:
        """Deliver pieces until the reader pauses, and then the end, if it has come."""
        if self._isDelivering or self._isOver:
            return
        self._isDelivering = True
        try:
            while not (self._isPaused or self._isOver):
                piece = self._next()
                if piece is None:
                    break
                self._reader.dataReceived(piece)
            if self._reason is not None and not (self._isPaused or self._isOver):
                if self._reason.check(ResponseDone):
                    self._decoding.finish()
                self._end(self._reason)
        except BodyError as error:
            self._end(Failure(ResponseFailed([Failure(error)], self._response)))
            self._transport().loseConnection()
        except BaseException:
            # The reader's own: it gets nothing more but its end.
            self._drop()
            raise
        finally:
            self._isDelivering = False

    def _end(self, reason: Failure) -> None:
        self._isOver = True
        self._drop()
        self._reader.connectionLost(reason)

    def _transport(self) -> Any:
        return cast(Any, self.transport)

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`."""
        self._isPaused = True
        self._transport().pauseProducing()

    def resumeProducing(self) -> None:
        """Deliver what is held, and whatever comes."""
        self._isPaused = False
        self._deliver()
        if not self._isPaused:
            self._transport().resumeProducing()

    def stopProducing(self) -> None:
        """Give the body up; the reader is told of the end by the body's transport."""
        self._isPaused = False
        self._drop()
        if self._reason is None:
            self._transport().loseConnection()
        else:
            # The body's transport has told the end already, and will not tell it again. From
            # within a delivery, it is told when that is over.
            error = BodyError("the reader gave the body up before it had all of it")
            self._reason = Failure(ResponseFailed([Failure(error)], self._response))
            self._deliver()

    def loseConnection(self) -> None:
        """Give the body up."""
        self.stopProducing()

    def abortConnection(self) -> None:
        """Give the body up."""
        self.stopProducing()

    def forget(self) -> None:
        """Give the body up, from whatever thread the garbage collector runs in."""
        self._transport().forget()
