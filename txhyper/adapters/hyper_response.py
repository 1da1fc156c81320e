"""
A response in hyper's shape.

Owns what :meth:`~txhyper.HTTPConnection.get_response` hands out, and how much of a body has been
taken and not been asked for. Reads nothing that nobody asks for: it sits on the chunks of the
agent's response. Opens the wrappings that Twisted's users expect around errors, and hyper's do not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed, ResponseFailed
from twisted.web.http_headers import Headers

from txhyper.core.header_map import HTTPHeaderMap
from txhyper.errors import InvalidRequest
from txhyper.interfaces import IHyperResponse, IPushPromise
from txhyper.protocol.body import discard
from txhyper.protocol.http11_messages import translated
from txhyper.protocol.response import Response

__all__ = ["HTTPResponse", "OnlyAsynchronous", "map_of", "unwrapped"]


def unwrapped(failure: Failure) -> Failure:
    """The failure without what Twisted wraps around its error."""
    value: BaseException = failure.value  # type: ignore[assignment]  # a failure has one
    error = innermost(value)
    return failure if error is value else Failure(error)


def innermost(error: BaseException) -> BaseException:
    """The error without what Twisted wraps around it."""
    while isinstance(error, ResponseFailed | RequestGenerationFailed):
        error = error.reasons[0].value
    return error


class OnlyAsynchronous:
    """What is left by ``async with``, because to leave it may take a while."""

    def __enter__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} takes 'async with': a plain 'with' cannot wait")

    def __exit__(self, *ignored: object) -> NoReturn:
        # Python looks it up before it calls the other one.
        self.__enter__()


class HTTPResponse(OnlyAsynchronous):
    """
    A response, with its body still to be read.

    It can be left by ``async with``, which gives up what has not been read. So does throwing it
    away. After :meth:`HTTPConnection.close <txhyper.HTTPConnection.close>` nothing more can be read
    from it.

    :ivar status: the status code.
    :ivar reason: the reason phrase; empty over HTTP/2, which has none.
    :ivar headers: the header fields; over HTTP/2 in the order in which the server has sent them,
        over HTTP/1.1 in the order of each name's values.
    :ivar version: ``"HTTP/2.0"``, ``"HTTP/1.1"`` or ``"HTTP/1.0"``.
    :ivar streamId: the id of the stream on the wire, which need not be the one that the request was
        given here; None over HTTP/1.1.
    """

    def __init__(self, response: IHyperResponse, name: str) -> None:
        """:param name: the request's, for messages."""
        self._response = response
        self._name = name
        self.status: int = response.code
        protocol, major, minor = response.version
        self.version = f"{protocol.decode('ascii')}/{major}.{minor}"
        self.streamId: int | None = response.streamId
        if isinstance(response, Response):
            self.reason = ""
            self.headers = HTTPHeaderMap(response.fields)
        else:
            self.reason = response.phrase.decode("latin-1")
            self.headers = map_of(response.headers)
        # Made by the first read, which also says whether the codings are undone.
        self._chunks: Any = None
        self._decodes: bool | None = None
        # What has come and has not been asked for yet: less than one chunk, save after a read that
        # was cancelled.
        self._held = bytearray()
        self._is_reading = False
        self._is_closed = False
        # Why the body is not complete: told by every read from then on.
        self._error: BaseException | None = None

    @property
    def trailers(self) -> Deferred[HTTPHeaderMap]:
        """
        The trailer section, which comes behind the body: a fresh Deferred each time.

        It fires when the whole response has come, which takes somebody who reads a body that is
        larger than the window; without trailers, with none. It fails as :meth:`read` does.
        """
        told = self._response.whenTrailers()
        return told.addCallbacks(map_of, unwrapped)

    def read(self, amt: int | None = None, decode_content: bool = True) -> Deferred[bytes]:
        """
        Read the body, or the next part of it.

        :param amt: octets to read, after decoding; all that are left if None.
        :param decode_content: whether to undo the codings that content-encoding names. The first
            read decides that for the whole body.
        :return: fires with ``amt`` octets, with fewer only if the body ends before, and with none
            only if it has ended. Cancelling it loses nothing: the next read begins where this one
            did. It fails with an error of :mod:`txhyper.errors` if the body is not complete, and so
            does every read after that.
        :raises InvalidRequest: the amount is negative.
        :raises RuntimeError: another read has not ended yet, or has decoded where this one is not
            to, or the other way round; or the response has been closed.
        """
        if amt is not None and amt < 0:
            raise InvalidRequest(f"amt is {amt}: a number of octets, or None for the whole body")
        self._use(decode_content)
        return Deferred.fromCoroutine(self._read(amt))

    def read_chunked(self, decode_content: bool = True) -> AsyncIterator[bytes]:
        """
        Iterate over the body as it comes: each DATA frame of HTTP/2, empty ones included, or each
        piece that HTTP/1.1 brings; with decoding, each piece that comes of them. What is not asked
        for stays with the server, up to the stream's window.

        :param decode_content: as for :meth:`read`.
        :return: an asynchronous iterator. One that is left early, or cancelled while it waits,
            gives nothing up: whoever reads on gets the rest. It fails as :meth:`read` does.
        :raises RuntimeError: as for :meth:`read`.
        """
        self._use(decode_content)
        return ReadChunks(self)

    async def promise(self, waits: bool) -> IPushPromise | None:
        """
        What the server promises beside this response, each once.

        :param waits: whether to wait for one, until the response has ended.
        :return: the oldest one that nobody has taken; None if there is none. Who is cancelled while
            waiting takes nothing.
        """
        pushes = self._response.pushes
        if waits or pushes.waiting:
            with suppress(StopAsyncIteration):
                return await anext(pushes)
        return None

    def close(self) -> None:
        """
        Want no more of the body. Over HTTP/2 that resets the stream, if the body is not complete,
        and never harms the connection; over HTTP/1.1 it costs the connection.

        A read that waits fails with :exc:`~txhyper.errors.HyperError`.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._held.clear()
        if self._chunks is None:
            with suppress(RuntimeError):
                # Unless it has been given up otherwise, as by the cancelling of its promise.
                discard(self._response)
        else:
            # It waits for nothing.
            Deferred.fromCoroutine(self._chunks.aclose())

    async def __aenter__(self) -> HTTPResponse:
        return self

    async def __aexit__(self, *ignored: object) -> None:
        self.close()

    # -- the body --------------------------------------------------------------------------------

    def _use(self, decodes: bool) -> None:
        """Somebody is to read. :raises RuntimeError: they may not."""
        self._check()
        if self._decodes not in (None, decodes):
            raise RuntimeError(
                "a body is read decoded or as it came: the first read of this one has decided that "
                f"with decode_content={self._decodes}"
            )
        self._decodes = decodes

    def _check(self) -> None:
        if self._is_closed:
            raise RuntimeError("the response has been closed: nothing more of it can be read")
        if self._is_reading:
            raise RuntimeError("another read of this body has not ended yet: wait for it first")

    async def _read(self, amt: int | None) -> bytes:
        held = self._held
        while amt is None or len(held) < amt:
            chunk = await self._next()
            if chunk is None:
                amt = len(held)
            else:
                held += chunk
        taken = bytes(held[:amt])
        del held[:amt]
        return taken

    async def chunk(self) -> bytes | None:
        """
        The next chunk, or what a read has left of the last one; None if the body has ended as it
        should.
        """
        self._check()
        if self._held:
            return await self._read(len(self._held))
        return await self._next()

    async def _next(self) -> bytes | None:
        """The next chunk; None if the body has ended as it should."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._chunks is None:
            self._chunks = self._response.chunks(bool(self._decodes))
        self._is_reading = True
        try:
            chunk: bytes = await anext(self._chunks)
            return chunk
        except StopAsyncIteration:
            return None
        except ResponseFailed as failed:
            self._held.clear()
            self._error = innermost(failed)
            if not isinstance(self._response, Response):
                # Twisted's HTTP/1.1 client has words of its own for what the connection did.
                self._error = translated(failed, self._name)
            raise self._error from None
        finally:
            self._is_reading = False


class ReadChunks:
    """
    What :meth:`HTTPResponse.read_chunked` hands out.

    No generator: one that was cancelled, or has raised, says from then on that it has ended, which
    of a body would mean that it is complete.
    """

    __slots__ = ("_response",)

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    def __aiter__(self) -> ReadChunks:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._response.chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def map_of(headers: Headers) -> HTTPHeaderMap:
    """Twisted's headers in hyper's shape."""
    return HTTPHeaderMap((name.lower(), values) for name, values in headers.getAllRawHeaders())
