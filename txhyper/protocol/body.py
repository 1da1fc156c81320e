"""
Bodies as octets and as chunks, for those who want no protocol of their own.

Owns the two readers behind :meth:`ReadableBody.read` and :meth:`ReadableBody.chunks`, and the
choice whether to decode on the way. Everything is built on ``deliverBody``: the same code serves
HTTP/2, HTTP/1.1 and responses that others have wrapped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from txhyper.core.bounds import Bounds
from txhyper.core.decoders import Decoding, chain_for
from txhyper.errors import BodyTooLarge
from txhyper.protocol.decoding import DecodingReader

if TYPE_CHECKING:
    from twisted.web.http_headers import Headers

__all__ = ["Chunks", "ReadableBody"]


class ReadableBody:
    """
    What :class:`~txhyper.interfaces.IHyperResponse` adds to ``deliverBody``.

    Whoever inherits it has ``headers``, ``_bounds``, and a ``_deliver`` that may be told that the
    reader wants every frame.
    """

    __slots__ = ()

    _bounds: Bounds

    if TYPE_CHECKING:

        @property
        def headers(self) -> Headers: ...

    def _deliver(self, reader: IProtocol, isFramed: bool) -> None:
        """Give the body away."""
        raise NotImplementedError

    def read(self, limit: int | None = None, decodeContent: bool = True) -> Deferred[bytes]:
        """As :meth:`txhyper.interfaces.IHyperResponse.read`."""
        collector = Collector(limit, cast(IResponse, self))
        self._read(collector, decodeContent, False)
        return collector.finished

    def chunks(self, decodeContent: bool = True) -> AsyncIterator[bytes]:
        """As :meth:`txhyper.interfaces.IHyperResponse.chunks`."""
        return Chunks(self, decodeContent)

    def _read(self, reader: IProtocol, decodeContent: bool, isFramed: bool) -> None:
        """Deliver the body to a reader of ours."""
        codings = self._codings() if decodeContent else []
        if codings:
            decoding = Decoding(chain_for(codings, self._bounds), self._bounds)
            reader = DecodingReader(reader, decoding, cast(IResponse, self))
        self._deliver(reader, isFramed and not codings)

    def _codings(self) -> list[bytes]:
        """The body's codings, the one that was applied first first (RFC 9110 section 8.4)."""
        fields = self.headers.getRawHeaders(b"content-encoding", [])
        names = [name.strip().lower() for field in fields for name in field.split(b",")]
        return [name for name in names if name not in (b"", b"identity")]


class Collector(Protocol):
    """Reads a body whole, within a limit."""

    def __init__(self, limit: int | None, response: IResponse) -> None:
        self._limit = limit
        self._response = response
        self._pieces: list[bytes] = []
        self._size = 0
        self.finished: Deferred[bytes] = Deferred(self._cancelled)

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece; one too many ends it."""
        if self.finished.called:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            error = BodyTooLarge(f"the body has more than {self._limit} octets (limit of read)")
            self._fail(Failure(ResponseFailed([Failure(error)], self._response)))

    def _fail(self, reason: Failure) -> None:
        self._pieces.clear()
        self._giveUp()
        self.finished.errback(reason)

    def _giveUp(self) -> None:
        cast(Any, self.transport).abortConnection()

    def _cancelled(self, deferred: Deferred[bytes]) -> None:
        self._pieces.clear()
        self._giveUp()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body has ended, as it should or not."""
        if self.finished.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.finished.callback(b"".join(self._pieces))
        else:
            self.finished.errback(reason)


class ChunkReader(Protocol):
    """
    Reads a body as fast as its chunks are asked for.

    It pauses as soon as something has come that nobody waits for.
    """

    def __init__(self) -> None:
        self._held: deque[bytes] = deque()
        # Whoever waits for a chunk, or for the end.
        self._waiter: Deferred[None] | None = None
        self._isPaused = False
        # Whether nobody will ask for more.
        self._isForsaken = False
        self._reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Hand a chunk over."""
        if self._isForsaken:
            return
        self._held.append(data)
        self._wake()
        # Who was woken may have come back for the next one already, or want no more.
        if self._waiter is None and not (self._isPaused or self._isForsaken):
            self._isPaused = True
            cast(Any, self.transport).pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more will come."""
        self._reason = reason
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    async def next(self) -> bytes:
        """
        The next chunk.

        :raises StopAsyncIteration: there is none, and the body is complete.
        :raises ResponseFailed: there is none, and it is not.
        """
        if not self._held and self._reason is None:
            if self._waiter is not None:
                raise RuntimeError("somebody waits for the next chunk of this body already")
            waiter: Deferred[None] = Deferred(self._forgetWaiter)
            self._waiter = waiter
            if self._isPaused:
                self._isPaused = False
                cast(Any, self.transport).resumeProducing()
            await waiter
        if self._held:
            return self._held.popleft()
        assert self._reason is not None
        if self._reason.check(ResponseDone, PotentialDataLoss):
            raise StopAsyncIteration
        raise cast(Exception, self._reason.value)

    def _forgetWaiter(self, waiter: Deferred[None]) -> None:
        self._waiter = None

    def giveUp(self) -> None:
        """Nobody will ask for more."""
        self._isForsaken = True
        self._held.clear()
        if self._reason is None:
            cast(Any, self.transport).abortConnection()

    def forget(self) -> None:
        """Likewise, from whatever thread the garbage collector runs in."""
        if self._reason is None:
            cast(Any, self.transport).forget()


class Chunks:
    """
    The iterator over a body's chunks.

    It holds the reader, and the reader does not hold it: so it is garbage when its user has
    forgotten it, and then the body is given up.
    """

    def __init__(self, response: ReadableBody, decodeContent: bool) -> None:
        self._response: ReadableBody | None = response
        self._decodeContent = decodeContent
        self._reader = ChunkReader()
        self._isOver = False

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._isOver:
            raise StopAsyncIteration
        response, self._response = self._response, None
        if response is not None:
            self._begin(response)
        try:
            return await self._reader.next()
        except (StopAsyncIteration, ResponseFailed):
            # A failure is told once; after the end there is nothing.
            self._isOver = True
            raise

    def _begin(self, response: ReadableBody) -> None:
        try:
            response._read(self._reader, self._decodeContent, True)
        except BaseException:
            self._isOver = True
            raise

    async def aclose(self) -> None:
        """Give up the rest of the body, if there is any."""
        response, self._response = self._response, None
        if not self._isOver:
            self._isOver = True
            # An iterator that never began has taken nothing: the body is still the response's.
            if response is None:
                self._reader.giveUp()

    def __del__(self) -> None:
        if not self._isOver and self._response is None:
            self._reader.forget()
