"""
What a request's body may be, besides a producer of the user's own.

Owns the producers for bytes, for file-like objects and for iterables, asynchronous or not. Each is
an :class:`~twisted.web.iweb.IBodyProducer` that HTTP/2 and HTTP/1.1 drive alike. None holds more of
the body than the piece at hand. Those that can begin anew provide
:class:`~txhyper.interfaces.IReplayableBody`, so that their requests may be sent again.
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from txhyper.errors import InvalidRequest
from txhyper.interfaces import IReplayableBody

__all__ = ["PIECE", "asProducer"]

#: Octets that are read from a file at a time.
PIECE = 64 * 1024


def asProducer(body: Any) -> IBodyProducer | None:
    """
    The producer for whatever a user gives as a body.

    :param body: None, an :class:`~twisted.web.iweb.IBodyProducer`, bytes, a file-like object in
        binary mode, an asynchronous iterable of bytes, or an iterable of bytes.
    :raises InvalidRequest: it is none of these.
    """
    # Not everybody declares what they provide.
    if body is None or callable(getattr(body, "startProducing", None)):
        return cast("IBodyProducer | None", body)
    if isinstance(body, (bytes, bytearray, memoryview)):
        return BytesBody(bytes(body))
    if isinstance(body, str):
        raise InvalidRequest("a body is bytes, not str: encode it")
    if isinstance(body, io.TextIOBase):
        raise InvalidRequest("a body's file has to be open in binary mode")
    # Before files: those of asynchronous libraries have a read() that has to be awaited.
    if isinstance(body, AsyncIterable):
        return AsyncIterableBody(body)
    if callable(getattr(body, "read", None)):
        try:
            producer = FileBody(body) if _isSeekable(body) else StreamBody(body)
        except (OSError, ValueError) as error:
            raise InvalidRequest(f"a body's file cannot be measured: {error}") from error
        if producer.isText():
            raise InvalidRequest("a body's file has to be open in binary mode")
        return producer
    if isinstance(body, Iterable):
        return IterableBody(body)
    raise InvalidRequest(
        f"a body is an IBodyProducer, bytes, a binary file or an iterable of bytes, not {body!r}"
    )


def _isSeekable(file: Any) -> bool:
    seekable: Callable[[], bool] | None = getattr(file, "seekable", None)
    if seekable is not None:
        return seekable()
    return hasattr(file, "seek") and hasattr(file, "tell")


def _octets(piece: object) -> bytes:
    """:raises TypeError: what the user's object has given is not bytes."""
    if not isinstance(piece, (bytes, bytearray, memoryview)):
        raise TypeError(f"a body's pieces are bytes, not {type(piece).__name__}")
    return bytes(piece)


@implementer(IBodyProducer)
class Pieces:
    """
    A body in pieces that are there when they are asked for.

    :ivar length: octets, or ``UNKNOWN_LENGTH``.
    """

    length: int | Any = UNKNOWN_LENGTH

    def __init__(self) -> None:
        self._pieces: Iterator[object] = iter(())
        self._consumer: IConsumer | None = None
        self._finished: Deferred[None] | None = None
        self._isPaused = False
        self._isWriting = False

    def _begin(self) -> Iterator[object]:
        """The body from its first piece."""
        raise NotImplementedError

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write until the consumer asks for a pause.

        :return: fires when everything has been written, fails when the user's object does.
        """
        finished: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._pieces = self._begin()
        self._consumer, self._finished, self._isPaused = consumer, finished, False
        self._write()
        return finished

    def _write(self) -> None:
        if self._isWriting:
            # The consumer has paused and resumed within a write.
            return
        self._isWriting = True
        try:
            while (consumer := self._consumer) is not None and not self._isPaused:
                piece = _octets(next(self._pieces))
                # An empty chunk would end an HTTP/1.1 body. And the user's object may have had the
                # request cancelled, or even sent again, while it was asked for a piece.
                if piece and consumer is self._consumer:
                    consumer.write(piece)
        except StopIteration:
            self._end(None)
        except Exception:  # noqa: BLE001 - a user's code: it fails its own request
            self._end(Failure())
        finally:
            self._isWriting = False
        if self._consumer is None:
            self._close()

    def _end(self, result: Any) -> None:
        finished, self._finished, self._consumer = self._finished, None, None
        # As above.
        if finished is not None:
            finished.callback(result)

    def pauseProducing(self) -> None:
        """Write nothing until :meth:`resumeProducing`."""
        self._isPaused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._isPaused = False
        self._write()

    def stopProducing(self) -> None:
        """Nobody wants the rest; the Deferred never fires."""
        self._consumer = self._finished = None
        # From within its own step it comes to the end by itself.
        if not self._isWriting:
            self._close()

    def rewind(self) -> None:
        """
        It begins anew by itself, where it can.

        :raises InvalidRequest: it is being sent.
        """
        if self._finished is not None:
            raise InvalidRequest("the body is still being sent, with a request that was answered")

    def _close(self) -> None:
        """A generator has to be told when its rest is not wanted."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()


class IterableBody(Pieces):
    """An iterable of bytes, of unknown length. It is gone through once."""

    def __init__(self, iterable: Iterable[object]) -> None:
        super().__init__()
        self._iterable = iterable

    def _begin(self) -> Iterator[object]:
        return iter(self._iterable)


@implementer(IReplayableBody)
class BytesBody(Pieces):
    """Bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body
        self.length = len(body)

    def _begin(self) -> Iterator[object]:
        return iter((self._body,))


class StreamBody(Pieces):
    """A file-like object that cannot seek, such as a pipe: of unknown length, read once."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def _begin(self) -> Iterator[object]:
        # No octets are the end, but None is not: a pipe that does not block has nothing just now.
        # Such a body fails, and is not taken for complete.
        return iter(lambda: self._file.read(PIECE), b"")

    def isText(self) -> bool:
        """Whether it certainly gives text. Nothing is read: it could not be put back."""
        return False


@implementer(IReplayableBody)
class FileBody(StreamBody):
    """
    A file-like object that can seek: its body is what follows its position of now.

    It goes there when it begins, wherever the file has been taken in the meantime.
    """

    def __init__(self, file: Any) -> None:
        """:raises OSError: the file does not say where it is, or how long."""
        super().__init__(file)
        self._start = file.tell()
        # Not every seek() says where it has gone.
        file.seek(0, os.SEEK_END)
        self.length = max(0, file.tell() - self._start)
        file.seek(self._start)

    def _begin(self) -> Iterator[object]:
        self._file.seek(self._start)
        return super()._begin()

    def isText(self) -> bool:
        """Likewise, also where a wrapper hides it, such as those of :mod:`tempfile`."""
        # Not every object knows how to read nothing. One that reads something all the same is
        # taken back to where its body begins by then.
        try:
            return isinstance(self._file.read(0), str)
        except Exception:  # noqa: BLE001 - a user's code: what it has to say is for the request
            return False


@implementer(IBodyProducer)
class AsyncIterableBody:
    """An asynchronous iterable of bytes, of unknown length. It is gone through once."""

    length = UNKNOWN_LENGTH

    _log = Logger()

    def __init__(self, iterable: AsyncIterable[object]) -> None:
        self._iterable = iterable
        # Fires when the consumer takes more; None if it does.
        self._pause: Deferred[None] | None = None
        self._isStopped = False
        # Whether that was said within a step of the iterable's, which may come to wait after it.
        self._isLate = False
        # What asks for the pieces, and its outcome.
        self._coroutine: Any = None
        self._running: Deferred[None] | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Ask for one piece after the other, none during a pause.

        :return: fires when everything has been written, fails when the iterable does.
        """
        finished: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._coroutine = self._produce(aiter(self._iterable), consumer)
        self._running = Deferred.fromCoroutine(self._steps(self._coroutine))
        self._running.addBoth(self._over, finished)
        return finished

    async def _produce(self, iterator: AsyncIterator[object], consumer: IConsumer) -> None:
        # A generator has to be told when its rest is not wanted.
        close = getattr(iterator, "aclose", None)
        try:
            async for piece in iterator:
                octets = _octets(piece)
                # An empty chunk would end an HTTP/1.1 body.
                if octets and not self._isStopped:
                    consumer.write(octets)
                while self._pause is not None:
                    await self._pause
                if self._isStopped:
                    break
        except GeneratorExit:
            # This is garbage, and so is the generator.
            close = None
            raise
        finally:
            # What it waits for from here on, it needs to come to its end.
            self._isLate = False
            if close is not None:
                await close()

    def _steps(self, coroutine: Any) -> Generator[Any, Any, None]:
        """
        Take a coroutine through its steps. One that is stopped within a step cannot be cancelled
        there: what it waits for next is.
        """
        step, argument = coroutine.send, None
        while True:
            try:
                awaited = step(argument)
            except StopIteration:
                return
            if self._isLate:
                self._isLate = False
                awaited.cancel()
            try:
                step, argument = coroutine.send, (yield awaited)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - passed on
                step, argument = coroutine.throw, error

    def _over(self, result: Any, finished: Deferred[None]) -> None:
        if not self._isStopped:
            finished.callback(result)
        elif isinstance(result, Failure) and not result.check(CancelledError):
            self._log.failure("a body failed when it was not wanted any more", result)

    def pauseProducing(self) -> None:
        """Ask for nothing until :meth:`resumeProducing`."""
        if self._pause is None:
            self._pause = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)

    def stopProducing(self) -> None:
        """Nobody wants the rest: the iterable is closed, and the Deferred never fires."""
        self._isStopped = True
        if self._coroutine is not None and self._coroutine.cr_running:
            self._isLate = True
        elif self._running is not None:
            self._running.cancel()
