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

    from txhyper.interfaces import IHyperResponse

__all__ = ["Chunks", "ReadableBody", "discard"]


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
        finished = collector.finished
        assert finished is not None
        # Before this returns, the whole body may have come.
        self._read(collector, decodeContent, False)
        return finished

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


def discard(response: IHyperResponse) -> None:
    """Give up a response that nobody is to have, body and stream."""
    response.read(decodeContent=False).addErrback(lambda _: None).cancel()


class Collector(Protocol):
    """
    Reads a body whole, within a limit.

    :ivar finished: the Deferred of :meth:`ReadableBody.read`; None once it has fired, or is about
        to.
    """

    def __init__(self, limit: int | None, response: IResponse) -> None:
        self._limit = limit
        self._response = response
        # One buffer: a list of what came would cost a hundred times a body of tiny frames.
        self._body = bytearray()
        self.finished: Deferred[bytes] | None = Deferred(self._cancelled)

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece; one too many ends it."""
        if self.finished is None:
            return
        self._body += data
        if self._limit is not None and len(self._body) > self._limit:
            error = BodyTooLarge(f"the body has more than {self._limit} octets (limit of read)")
            reason = Failure(ResponseFailed([Failure(error)], self._response))
            self._giveUp().errback(reason)

    def _giveUp(self) -> Deferred[bytes]:
        """Want no more of the body. :return: the Deferred, which the caller has to fire."""
        finished = self._take()
        cast(Any, self.transport).abortConnection()
        return finished

    def _take(self) -> Deferred[bytes]:
        finished, self.finished = self.finished, None
        self._body = bytearray()
        assert finished is not None
        return finished

    def _cancelled(self, deferred: Deferred[bytes]) -> None:
        self._giveUp()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body has ended, as it should or not."""
        if self.finished is None:
            return
        body = self._body
        finished = self._take()
        if reason.check(ResponseDone, PotentialDataLoss):
            finished.callback(bytes(body))
        else:
            finished.errback(reason)


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
        # Whether nothing more will come, and why not, if the body is not complete.
        self._isOver = False
        self._error: Exception | None = None

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
        self._isOver = True
        if not reason.check(ResponseDone, PotentialDataLoss):
            self._error = cast(Exception, reason.value)
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
        if not self._held and not self._isOver:
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
        if self._error is None:
            raise StopAsyncIteration
        try:
            raise self._error
        finally:
            # It refers to this frame, and so to this reader, from now on.
            self._error = None

    def _forgetWaiter(self, waiter: Deferred[None]) -> None:
        self._waiter = None

    def giveUp(self) -> None:
        """Nobody will ask for more."""
        self._isForsaken = True
        self._held.clear()
        if not self._isOver:
            cast(Any, self.transport).abortConnection()

    def forget(self) -> None:
        """Likewise, from whatever thread the garbage collector runs in."""
        if not self._isOver:
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
