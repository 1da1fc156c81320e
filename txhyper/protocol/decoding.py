"""
A body that is decoded on its way to its reader.

Owns the place between the body's transport and the reader: it is the reader of the one and the
transport of the other. Decodes nothing itself: :mod:`txhyper.core.decoders` does.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse
from zope.interface import implementer

from txhyper.core.decoders import Decoding
from txhyper.errors import BodyError

__all__ = ["DecodingReader"]

_authorityEnds = re.compile("[/?#]")


@implementer(IPushProducer)
class DecodingReader(Protocol):
    """
    Between the body's transport and its reader: octets in, pieces of what they mean out.

    It is the reader's transport. A reader that pauses stops the decoding where it is, in the
    middle of a few octets that may mean a million.
    """

    def __init__(self, reader: IProtocol, decoding: Decoding, response: IResponse) -> None:
        # Until it has been told of the end: it refers to this, its transport.
        self._reader: IProtocol | None = reader
        self._decoding = decoding
        self._response = response
        # What is being decoded, while the reader pauses in the middle of it.
        self._pieces: Iterator[bytes] = iter(())
        # What came meanwhile: a pause does not hold back what had been read already.
        self._waiting: deque[bytes] = deque()
        self._isPaused = False
        # Whether the body's transport has been paused, and nobody has said that it may go on.
        self._isHolding = False
        self._isDelivering = False
        # Whether the reader has given the body up, and gets nothing more but its end.
        self._isStopped = False
        # Why the body has ended, until the reader has had all of it.
        self._reason: Failure | None = None

    @property
    def disconnecting(self) -> bool:
        """What some protocols look at within ``dataReceived``, to know whether to go on."""
        return self._isStopped or self._reader is None

    def connectionMade(self) -> None:
        """The body's transport is there, and this is the reader's."""
        assert self._reader is not None
        self._reader.makeConnection(self)  # type: ignore[arg-type]  # read only

    def dataReceived(self, data: bytes) -> None:
        """Octets have come, perhaps while others are being decoded."""
        # HTTP/1.1 goes on to the end of what it has read.
        if not self.disconnecting:
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
        if self._isDelivering:
            return
        self._isDelivering = True
        try:
            while self._reader is not None and not self._isPaused:
                piece = self._next()
                if piece is None:
                    self._finish()
                    break
                self._reader.dataReceived(piece)
        except BodyError as error:
            error.args = (_placed(str(error), self._response),)
            try:
                self._end(Failure(ResponseFailed([Failure(error)], self._response)))
            finally:
                self._giveUp()
        except BaseException:
            # The reader's own: it gets nothing more but its end.
            self._isDelivering = False
            self.stopProducing()
            raise
        finally:
            self._isDelivering = False
        # Not before what is held has been delivered: the reader may have paused again.
        if self._isHolding and not self._isPaused:
            self._isHolding = False
            self._transport().resumeProducing()

    def _finish(self) -> None:
        """The reader has had everything that has come: tell it of the end, if there is one."""
        if self._reason is not None:
            # A body without a length has ended as well; its coding knows whether as it should.
            if self._reason.check(ResponseDone, PotentialDataLoss):
                if self._isStopped:
                    raise BodyError("the reader gave the body up before it had all of it")
                self._decoding.finish()
            self._end(self._reason)

    def _end(self, reason: Failure) -> None:
        reader, self._reader = self._reader, None
        self._drop()
        assert reader is not None
        reader.connectionLost(reason)

    def _transport(self) -> Any:
        return cast(Any, self.transport)

    def _giveUp(self) -> None:
        """
        Want no more of the body. Over TLS a connection that is only lost goes on until its peer
        agrees, and reads all that the peer has to send until then.
        """
        transport = self._transport()
        # Somebody else's response may know only the gentle way.
        getattr(transport, "abortConnection", transport.loseConnection)()

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`."""
        if not self.disconnecting:
            self._isPaused = self._isHolding = True
            self._transport().pauseProducing()

    def resumeProducing(self) -> None:
        """Deliver what is held, and whatever comes."""
        self._isPaused = False
        self._deliver()

    def stopProducing(self) -> None:
        """Give the body up; the reader is told of the end by the body's transport."""
        self._isStopped = True
        self._isPaused = False
        self._drop()
        if self._reason is None:
            self._giveUp()
        else:
            # The body's transport has told the end already, and will not tell it again. From
            # within a delivery, it is told when that is over.
            self._deliver()

    def loseConnection(self) -> None:
        """Give the body up."""
        self.stopProducing()

    def abortConnection(self) -> None:
        """Give the body up."""
        self.stopProducing()

    def forget(self) -> None:
        """Give the body up, from whatever thread the garbage collector runs in."""
        # Under somebody else's response there is nobody who may be called from here.
        getattr(self.transport, "forget", bool)()


def _placed(text: str, response: Any) -> str:
    """A message with the origin and the stream in front of it, as far as the response has them."""
    uri = getattr(getattr(response, "request", None), "absoluteURI", None)
    if not isinstance(uri, bytes):
        return text
    # Not judged again: another agent may have sent it. What may be secret is left out.
    scheme, _, rest = uri.decode("latin-1").partition("://")
    origin = f"{scheme}://{_authorityEnds.split(rest, 1)[0].rpartition('@')[2]}"
    stream = getattr(response, "streamId", None)
    return f"{origin}: {text}" if stream is None else f"{origin}: stream {stream}: {text}"
