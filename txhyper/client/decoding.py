"""
Content codings for Twisted's agents.

Owns the composition: :func:`contentDecoders` makes the pairs of name and wrapper that
:class:`twisted.web.client.ContentDecoderAgent` takes, each wrapper a response whose body is decoded
on its way to the reader. Decodes nothing itself: :mod:`txhyper.core.decoders` does. Who decodes
removes the coding from the headers, which is the agent's part, so nothing is decoded twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from txhyper.core.bounds import Bounds
from txhyper.core.decoders import Coding, Decoding, codings
from txhyper.errors import BodyError, BoundExceeded

__all__ = ["DecodedResponse", "contentDecoders"]


def contentDecoders(bounds: Bounds | None = None) -> list[tuple[bytes, Callable[..., Any]]]:
    """
    The decoders for Twisted's ContentDecoderAgent, best first::

        agent = ContentDecoderAgent(Agent(reactor), contentDecoders())

    gzip and deflate are always there, br and zstd where a package for them is installed (the
    extras ``brotli`` and ``zstd``) or the standard library has them.

    :param bounds: limits a decoded body's size and ratio. A body that passes one of them, or
        whose coding is corrupt or cut off, ends with a
        :exc:`~twisted.web.client.ResponseFailed` whose reason is a
        :exc:`~txhyper.errors.BodyError`; the stream is reset.
    """
    limits = bounds or Bounds()

    def wrapperOf(make: Callable[[], Coding]) -> Callable[[IResponse], DecodedResponse]:
        return lambda response: DecodedResponse(response, make, limits)

    return [(name, wrapperOf(make)) for name, make in codings().items()]


class DecodedResponse(proxyForInterface(IResponse)):  # type: ignore[misc]  # made at run time
    """A response whose body is decoded; everything else is the response's own."""

    def __init__(self, response: IResponse, make: Callable[[], Coding], bounds: Bounds) -> None:
        """:raises BoundExceeded: the body has too many codings."""
        super().__init__(response)
        self._chain = [make]
        self._source = response
        self._bounds = bounds
        # A coding in a coding: both are undone together, so that the bounds see the whole.
        if isinstance(response, DecodedResponse) and response._bounds == bounds:
            self._chain = [*response._chain, make]
            self._source = response._source
        if len(self._chain) > bounds.content_codings:
            raise BoundExceeded(
                f"the body has more than {bounds.content_codings} codings, one in the other "
                "(bound content_codings)",
                "content_codings",
            )
        # Nobody knows it before the end.
        self.length = UNKNOWN_LENGTH

    def deliverBody(self, protocol: IProtocol) -> None:
        """Decode the body on its way to the reader."""
        decoding = Decoding([make() for make in self._chain], self._bounds)
        self._source.deliverBody(DecodingReader(protocol, decoding, self._source))


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
