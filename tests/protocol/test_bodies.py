"""Tests for :mod:`txhyper.protocol.bodies`: what may be given as a body, and what goes wrong."""

from __future__ import annotations

import gc
import io
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import RequestGenerationFailed, ResponseNeverReceived
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface.verify import verifyObject

from tests.protocol.scene import CANCEL, OK, Producer, UploadTestCase, WholeBody
from txhyper.core.outbound import HIGH_MARK, LOW_MARK
from txhyper.errors import InvalidRequest, LengthMismatch
from txhyper.interfaces import IReplayableBody
from txhyper.protocol.bodies import PIECE, Pieces, asProducer


class Consumer:
    """
    A consumer that keeps what it is given, and does what it is asked to meanwhile.

    :ivar pieces: each write apart.
    """

    def __init__(self, onWrite: Callable[[], object] = lambda: None) -> None:
        self.pieces: list[bytes] = []
        self._onWrite = onWrite

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.pieces.append(data)
        self._onWrite()


class Pipe:
    """A file that cannot seek, and gives what it has: octets, nothing, or an error."""

    def __init__(self, *reads: Any) -> None:
        self._reads = list(reads)
        self.asked = 0

    def read(self, size: int) -> Any:
        """The next of what it has; at its end, nothing."""
        self.asked += 1
        given = self._reads.pop(0) if self._reads else b""
        if isinstance(given, Exception):
            raise given
        return given


class Tape:
    """A file without a seekable() of its own, whose seek() says nothing, as Python 3.10 has."""

    def __init__(self, octets: bytes) -> None:
        self._file = io.BytesIO(octets)
        self.tell = self._file.tell
        self.read = self._file.read

    def seek(self, offset: int, whence: int = 0) -> None:
        """Go there."""
        self._file.seek(offset, whence)


class AsyncFile:
    """A file of an asynchronous library: its read() has to be awaited, it gives lines."""

    async def read(self, size: int = -1) -> bytes:
        """Never asked."""
        raise AssertionError("read() of an asynchronous file")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b"two\n"


class Source:
    """
    An asynchronous generator's pieces, given one by one.

    :ivar log: what has happened to the generator.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.next: Deferred[Any] = Deferred()

    def give(self, piece: Any) -> None:
        """Let the generator go on; None ends it."""
        due, self.next = self.next, Deferred()
        due.callback(piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The generator."""
        try:
            while True:
                self.log.append("asked")
                piece = await self.next
                if piece is None:
                    return
                yield piece
        finally:
            self.log.append("closed")


class ConversionTests(SynchronousTestCase):
    """What becomes of what a user gives."""

    def test_producers(self) -> None:
        """A producer stays as it is, declared or not, and so does no body at all."""

        class Undeclared:
            def startProducing(self, consumer: Any) -> None:
                """Never called."""

        for body in (Producer(), Undeclared(), None):
            self.assertIs(body, asProducer(body))

    def test_interfaces(self) -> None:
        """Everything else becomes a producer, with a length where there is one."""
        for body, length, isReplayable in [
            (b"abc", 3, True),
            (bytearray(b"abc"), 3, True),
            (memoryview(b"abc"), 3, True),
            (io.BytesIO(b"abc"), 3, True),
            (Tape(b"abc"), 3, True),
            (Pipe(b"abc"), UNKNOWN_LENGTH, False),
            ([b"abc"], UNKNOWN_LENGTH, False),
            (iter([b"abc"]), UNKNOWN_LENGTH, False),
            (Source().pieces(), UNKNOWN_LENGTH, False),
            (AsyncFile(), UNKNOWN_LENGTH, False),
        ]:
            producer: Any = asProducer(body)
            verifyObject(IBodyProducer, producer)
            self.assertEqual(length, producer.length)
            self.assertEqual(isReplayable, IReplayableBody.providedBy(producer))
            if isReplayable:
                verifyObject(IReplayableBody, producer)

    def test_bytesThatChange(self) -> None:
        """What happens to a buffer after the request was made changes nothing of it."""
        body = bytearray(b"abc")
        producer: Any = asProducer(body)
        body[:] = b"xyz"
        consumer = Consumer()
        producer.startProducing(consumer)
        self.assertEqual([b"abc"], consumer.pieces)

    def test_refused(self) -> None:
        """What is no body is refused before anything is sent, in words that help."""
        closed = io.BytesIO()
        closed.close()
        for body, why in [
            ("text", "not str: encode it"),
            (io.StringIO("text"), "binary mode"),
            (5, "not 5"),
            (object(), "IBodyProducer, bytes, a binary file or an iterable"),
            (closed, "closed file"),
        ]:
            error = self.assertRaises(InvalidRequest, asProducer, body)
            self.assertIn(why, str(error))

    def test_aFileThatLies(self) -> None:
        """A file that says it can seek and cannot is refused at once, with its own reason."""

        class Liar(io.RawIOBase):
            def seekable(self) -> bool:
                return True

        error = self.assertRaises(InvalidRequest, asProducer, Liar())
        self.assertIsInstance(error.__cause__, OSError)

    def test_position(self) -> None:
        """A file's body is what follows its position of now; behind the end that is nothing."""
        for position, rest in ((0, b"abcdef"), (2, b"cdef"), (6, b""), (9, b"")):
            file = io.BytesIO(b"abcdef")
            file.seek(position)
            producer: Any = asProducer(file)
            self.assertEqual((len(rest), position), (producer.length, file.tell()))
            # Whatever is done with the file until then.
            file.seek(1)
            for _ in range(2):
                consumer = Consumer()
                self.successResultOf(producer.startProducing(consumer))
                self.assertEqual(rest, b"".join(consumer.pieces))
                producer.rewind()
            self.assertFalse(file.closed)

    def test_aRealPipe(self) -> None:
        """The end of a pipe is the end of the body; as it cannot seek, it is read once."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as file:
            os.write(writing, b"x" * 1000)
            os.close(writing)
            producer: Any = asProducer(file)
            self.assertEqual(UNKNOWN_LENGTH, producer.length)
            consumer = Consumer()
            self.successResultOf(producer.startProducing(consumer))
            self.assertEqual(b"x" * 1000, b"".join(consumer.pieces))


class BodyTestCase(UploadTestCase):
    """Uploads of bodies that are no producers."""

    def assertSent(self, body: Any, octets: bytes) -> None:
        """A body is sent, with these octets."""
        deferred = self.upload(body)
        self.assertEqual((octets, True), self.body())
        deferred.addErrback(lambda reason: None)

    def assertFails(self, deferred: Deferred[Any], expected: type[Exception]) -> Any:
        """The request fails with the user's own error, and its stream alone is reset."""
        self.assertEqual(CANCEL, self.peer.expectReset())
        error = self.failureResultOf(deferred, RequestGenerationFailed).value
        error.reasons[0].trap(expected)
        self.assertTrue(self.client.isUsable())
        self.assertClockIsQuiet()
        return error.reasons[0].value


class PieceTests(BodyTestCase):
    """Files and iterables, as the peer sees them."""

    def test_everyKind(self) -> None:
        """Whatever a body is given as, its octets arrive, in order, and the end once."""
        self.assertSent(b"abc", b"abc")
        self.assertSent(io.BytesIO(b"abc"), b"abc")
        self.assertSent(Pipe(b"a", bytearray(b"b"), memoryview(b"c")), b"abc")
        self.assertSent([b"a", b"", bytearray(b"b"), memoryview(b"c")], b"abc")
        self.assertSent(AsyncFile(), b"one\ntwo\n")
        for empty in (b"", io.BytesIO(), Pipe(), [], [b"", b""]):
            self.assertSent(empty, b"")

    def test_fewerOctetsThanAsked(self) -> None:
        """A file may give as little at a time as it likes."""
        self.assertSent(Pipe(*[b"%d" % (n % 10) for n in range(100)]), b"0123456789" * 10)

    def test_aFileThatShrinks(self) -> None:
        """A file that is shorter than it was does not pass for complete."""
        file = io.BytesIO(b"abcdef")
        body = asProducer(file)
        file.truncate(4)
        self.assertIsInstance(self.neverReceived(self.upload(body)), LengthMismatch)
        self.assertEqual(CANCEL, self.peer.expectReset())

    def test_aFileThatGrows(self) -> None:
        """Nor is anything sent of one that is longer than was announced, beyond its length."""
        file = io.BytesIO(b"abcdef")
        body = asProducer(file)
        file.seek(6)
        file.write(b"gh")
        self.assertIn("2 octets more", str(self.neverReceived(self.upload(body))))
        self.assertEqual(CANCEL, self.peer.expectReset())

    def test_aFileThatRaises(self) -> None:
        """What a file raises is what the request fails with."""
        self.assertFails(self.upload(Pipe(b"a", OSError("gone"))), OSError)

    def test_aFileThatIsClosed(self) -> None:
        """Likewise one that is closed between the making of a request and its sending."""
        file = io.BytesIO(b"abc")
        body = asProducer(file)
        file.close()
        self.assertFails(self.upload(body), ValueError)

    def test_aPipeWithNothingYet(self) -> None:
        """A pipe that does not block, and has nothing just now, is not at its end."""
        self.assertFails(self.upload(Pipe(b"a", None, b"b")), TypeError)

    def test_text(self) -> None:
        """Text that could not be told from octets before is not taken for the end, or sent."""
        self.assertFails(self.upload(["abc"]), TypeError)
        error = self.assertFails(self.upload(Pipe("")), TypeError)
        self.assertEqual("a body's pieces are bytes, not str", str(error))

    def test_textBehindAWrapper(self) -> None:
        """A file of text that does not look like one is refused before anything is sent."""
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("abc")
            file.seek(0)
            self.assertRaises(InvalidRequest, asProducer, file)

    def test_filesThatCannotReadNothing(self) -> None:
        """One that dislikes being asked for no octets is a body all the same."""

        class Greedy(io.BytesIO):
            """Reads everything where nothing was asked for."""

            def read(self, size: int | None = -1) -> bytes:
                return super().read(size or -1)

        class Strict(io.BytesIO):
            """Refuses to."""

            def read(self, size: int | None = -1) -> bytes:
                if not size:
                    raise ZeroDivisionError
                return super().read(size)

        for file in (Greedy(b"abc"), Strict(b"abc")):
            self.upload(file)
            self.assertEqual((b"abc", True), self.body())

    def test_anIterableThatRaises(self) -> None:
        """What an iterable raises is what the request fails with; a generator is closed."""

        def pieces() -> Iterator[bytes]:
            yield b"a"
            raise ZeroDivisionError

        self.assertFails(self.upload(pieces()), ZeroDivisionError)

    def test_aMillionPieces(self) -> None:
        """Small pieces cost no stack, and no more of them are taken than are wanted."""
        taken = 0

        def pieces() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(1_000_000):
                taken += 1
                yield b"x"

        deferred = self.upload(pieces())
        self.assertEqual(HIGH_MARK + 1, taken)
        self.assertEqual(65535, len(self.body()[0]))
        self.assertLess(taken, 65535 + HIGH_MARK + 2)
        deferred.addErrback(lambda reason: None)
        deferred.cancel()

    def test_pausedAndResumed(self) -> None:
        """A source is asked for nothing above the high mark, and for more below the low one."""
        for wrap in (lambda pipe: pipe, lambda pipe: iter(lambda: pipe.read(PIECE), b"")):
            self.meet()
            self.greet()
            pipe = Pipe(*[b"x" * 1024] * 1000)
            self.upload(wrap(pipe))
            # Until the turn ends; then the windows are used up.
            self.assertEqual(HIGH_MARK // 1024 + 1, pipe.asked)
            self.assertEqual(65535, len(self.body()[0]))
            asked = pipe.asked
            self.assertLessEqual(1024 * asked - 65535, HIGH_MARK + 1024)
            self.peer.sendWindowUpdate(0, 2**20)
            waiting = 1024 * asked - 65535
            self.peer.sendWindowUpdate(1, waiting - LOW_MARK - 1)
            self.assertEqual(asked, pipe.asked)
            self.peer.sendWindowUpdate(1, 2)
            self.assertLess(asked, pipe.asked)

    def test_resumedWithinAWrite(self) -> None:
        """A pause that ends within the write that caused it begins no second loop."""
        body: Any = asProducer([b"x"] * 10000)

        def pauseAndResume() -> None:
            body.pauseProducing()
            body.resumeProducing()

        consumer = Consumer(pauseAndResume)
        self.successResultOf(body.startProducing(consumer))
        self.assertEqual([b"x"] * 10000, consumer.pieces)

    def test_cancelledWithinNext(self) -> None:
        """An iterable that has its own request cancelled is not asked again, and is closed."""
        log: list[str] = []
        requests: list[Any] = []

        def pieces() -> Iterator[bytes]:
            try:
                yield b"x" * (HIGH_MARK + 1)
                requests[0].cancel()
                log.append("cancelled")
                yield b"late"
                log.append("asked again")
            finally:
                log.append("closed")

        requests.append(self.upload(pieces()))
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, 2**20)
        self.assertEqual(["cancelled", "closed"], log)
        self.failureResultOf(requests[0], ResponseNeverReceived)
        self.assertNotIn(b"late", self.body()[0])
        self.assertClockIsQuiet()

    def test_raisesAfterItWasCancelled(self) -> None:
        """What an iterable raises after it had its own request cancelled is of no interest."""
        requests: list[Any] = []

        def pieces() -> Iterator[bytes]:
            yield b"x" * (HIGH_MARK + 1)
            requests[0].cancel()
            raise ZeroDivisionError

        requests.append(self.upload(pieces()))
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, 2**20)
        self.failureResultOf(requests[0], ResponseNeverReceived)

    def test_aGeneratorIsClosed(self) -> None:
        """A generator is told at once when nobody wants its rest, so that it can clean up."""
        for end in ("cancel", "refuse", "lose", "pieces"):
            self.meet()
            self.greet()
            log: list[str] = []

            def pieces(log: list[str] = log, end: str = end) -> Iterator[Any]:
                try:
                    yield b"x" * (HIGH_MARK + 1)
                    yield "no octets" if end == "pieces" else b""
                    raise AssertionError("asked again")
                finally:
                    log.append("closed")

            generator = pieces()
            deferred = self.upload(generator)
            deferred.addErrback(lambda reason: None)
            self.assertEqual([], log)
            if end == "cancel":
                deferred.cancel()
            elif end == "refuse":
                self.peer.sendHeaders(1, [(b":status", b"413")])
            elif end == "lose":
                self.peer.loseConnection()
            else:
                self.peer.sendWindowUpdate(0, 2**20)
                self.peer.sendWindowUpdate(1, 2**20)
                self.peer.read()
            self.assertEqual(["closed"], log, end)

    def test_sentAgainWithinItsEnd(self) -> None:
        """Whoever is told of a failure within a piece may send the same request there and then."""
        body: Any = asProducer(Tape(b"abc"))
        second = Consumer()

        def again() -> None:
            body.stopProducing()
            body.startProducing(second)

        body.startProducing(Consumer(again))
        self.assertEqual([b"abc"], second.pieces)

    def test_sentAgainWithinARead(self) -> None:
        """What was read for the one who is gone is not written to the next."""
        first, second = Consumer(), Consumer()

        class Restarting(io.BytesIO):
            isFirst = True

            def read(self, size: int | None = -1, /) -> bytes:
                """Begin anew within the first read."""
                octets = super().read(size)
                if size and self.isFirst:
                    self.isFirst = False
                    body.stopProducing()
                    body.startProducing(second)
                return octets

        body: Any = asProducer(Restarting(b"abc"))
        body.startProducing(first)
        self.assertEqual(([], [b"abc"]), (first.pieces, second.pieces))


class AsyncTests(BodyTestCase):
    """Asynchronous iterables."""

    def setUp(self) -> None:
        """A source, and what is logged."""
        super().setUp()
        self.source = Source()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def failures(self) -> list[Any]:
        """What has been logged as a failure, class by class."""
        gc.collect()
        return [event["log_failure"].type for event in self.events if "log_failure" in event]

    def test_pieces(self) -> None:
        """Each piece leaves when it comes, and the next is asked for at once."""
        self.upload(self.source.pieces())
        self.assertEqual((b"", False), self.body())
        for piece in (b"ab", bytearray(b"c"), memoryview(b"d")):
            self.source.give(piece)
            self.assertEqual((bytes(piece), False), self.body())
        self.source.give(b"")
        self.source.give(None)
        self.assertEqual((b"", True), self.body())
        self.assertEqual([*["asked"] * 5, "closed"], self.source.log)

    def test_raises(self) -> None:
        """What a generator raises, or gives instead of octets, is what its request fails with."""
        deferred = self.upload(self.source.pieces())
        self.source.next.errback(ZeroDivisionError())
        self.assertFails(deferred, ZeroDivisionError)
        self.source = Source()
        deferred = self.upload(self.source.pieces())
        self.source.give("text")
        self.assertFails(deferred, TypeError)
        self.assertEqual(["asked", "closed"], self.source.log)
        self.assertEqual([], self.failures())

    def test_aiterRaises(self) -> None:
        """Likewise one that does not even begin."""

        class Broken:
            def __aiter__(self) -> Any:
                raise ZeroDivisionError

        self.assertFails(self.upload(Broken()), ZeroDivisionError)

    def test_notAGenerator(self) -> None:
        """An iterator without ``aclose`` has nothing to be told."""

        class Two:
            left = 2

            def __aiter__(self) -> Any:
                return self

            async def __anext__(self) -> bytes:
                if not self.left:
                    raise StopAsyncIteration
                self.left -= 1
                return b"x"

        self.assertSent(Two(), b"xx")

    def test_pausedAndResumed(self) -> None:
        """It is asked for nothing above the high mark, and for more below the low one."""
        self.upload(self.source.pieces())
        self.source.give(b"x" * 65535)
        self.data()
        self.source.give(b"x" * (HIGH_MARK + 1))
        self.assertEqual(["asked"] * 2, self.source.log)
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, HIGH_MARK - LOW_MARK)
        self.assertEqual(["asked"] * 2, self.source.log)
        self.peer.sendWindowUpdate(1, 1)
        self.assertEqual(["asked"] * 3, self.source.log)

    def test_pausedTwice(self) -> None:
        """A second pause or a second resumption changes nothing."""
        body: Any = asProducer(self.source.pieces())
        consumer = Consumer()
        body.startProducing(consumer)
        body.resumeProducing()
        body.pauseProducing()
        body.pauseProducing()
        self.source.give(b"a")
        self.assertEqual(["asked"], self.source.log)
        body.resumeProducing()
        body.resumeProducing()
        self.assertEqual(["asked"] * 2, self.source.log)
        body.stopProducing()

    def test_aMillionPieces(self) -> None:
        """Small pieces that are there at once cost no stack, and are not taken unasked."""
        taken = 0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal taken
            for _ in range(1_000_000):
                taken += 1
                yield b"x"

        deferred = self.upload(pieces())
        self.assertEqual(HIGH_MARK + 1, taken)
        deferred.addErrback(lambda reason: None)
        deferred.cancel()
        self.peer.read()
        self.assertClockIsQuiet()

    def test_forgotten(self) -> None:
        """One that is thrown away with everything around it makes no noise."""
        body: Any = asProducer(self.source.pieces())
        body.startProducing(Consumer())
        log, self.source = self.source.log, Source()
        del body
        gc.collect()
        self.assertEqual(["asked", "closed"], log)
        self.assertEqual([], self.failures())

    def stopped(self, end: str) -> None:
        """The upload of the source ends before its time."""
        deferred = self.upload(self.source.pieces())
        deferred.addErrback(lambda reason: None)
        self.source.give(b"x")
        if end == "paused":
            self.source.give(b"x" * 2 * HIGH_MARK)
            deferred.cancel()
        elif end == "cancel":
            deferred.cancel()
        elif end == "refuse":
            self.peer.sendHeaders(1, [(b":status", b"413")])
        elif end == "complete":
            self.peer.sendHeaders(1, OK, endStream=True)
        else:
            self.peer.loseConnection()
        self.peer.read()

    def test_closed(self) -> None:
        """A generator is closed when nobody wants its rest, while it waits or is waited for."""
        for end in ("paused", "cancel", "refuse", "complete", "lose"):
            self.meet()
            self.greet()
            self.source = Source()
            self.stopped(end)
            self.assertEqual("closed", self.source.log[-1], end)
            self.assertEqual(self.source.log.index("closed"), len(self.source.log) - 1)
            self.assertClockIsQuiet()
        self.assertEqual([], self.failures())

    def test_stubborn(self) -> None:
        """A generator that swallows its cancellation is not asked for another piece."""
        log: list[str] = []

        async def pieces() -> AsyncIterator[bytes]:
            try:
                await Deferred()
            except CancelledError:
                log.append("cancelled")
            yield b"late"
            log.append("asked again")

        deferred = self.upload(pieces())
        deferred.addErrback(lambda reason: None)
        deferred.cancel()
        self.assertEqual(["cancelled"], log)
        self.assertEqual([], self.data())
        self.assertEqual([], self.failures())

    def test_raisesInTheEnd(self) -> None:
        """What a generator raises when it is closed is logged; the request failed before."""

        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"x" * 2 * HIGH_MARK
            finally:
                raise ZeroDivisionError

        deferred = self.upload(pieces())
        deferred.cancel()
        self.failureResultOf(deferred, ResponseNeverReceived)
        self.assertEqual([ZeroDivisionError], self.failures())
        self.flushLoggedErrors(ZeroDivisionError)

    def test_cancelledWithinAStep(self) -> None:
        """A generator that has its own request cancelled is not asked again, and is closed."""
        log: list[str] = []
        requests: list[Any] = []
        start: Deferred[None] = Deferred()

        async def pieces() -> AsyncIterator[bytes]:
            try:
                await start
                requests[0].cancel()
                yield b"late"
                log.append("asked again")
            finally:
                log.append("closed")

        requests.append(self.upload(pieces()))
        start.callback(None)
        self.assertEqual(["closed"], log)
        self.failureResultOf(requests[0], ResponseNeverReceived)
        self.assertEqual([], self.data())
        self.assertEqual([], self.failures())

    def test_stoppedWithinAStep(self) -> None:
        """What a generator gives after that is not written."""

        async def pieces() -> AsyncIterator[bytes]:
            body.stopProducing()
            yield b"late"

        body: Any = asProducer(pieces())
        consumer = Consumer()
        body.startProducing(consumer)
        self.assertEqual([], consumer.pieces)

    def test_waitsAfterItWasStopped(self) -> None:
        """
        One that waits after it was stopped within its own step is cancelled there; what it needs
        for its end it may wait for.
        """
        bodies: list[Any] = []
        for started, swallows in ((True, False), (False, False), (True, True)):
            log: list[str] = []
            start: Deferred[None] = Deferred()
            ending: Deferred[None] = Deferred()

            async def pieces(
                swallows: bool = swallows,
                log: list[str] = log,
                start: Deferred[None] = start,
                ending: Deferred[None] = ending,
            ) -> AsyncIterator[bytes]:
                try:
                    await start
                    bodies[-1].stopProducing()
                    try:
                        await Deferred()
                    except CancelledError:
                        log.append("cancelled")
                        if not swallows:
                            raise
                    yield b"late"
                finally:
                    await ending
                    log.append("closed")

            if not started:
                start.callback(None)
            bodies.append(asProducer(pieces()))
            consumer = Consumer()
            finished = bodies[-1].startProducing(consumer)
            if started:
                start.callback(None)
            self.assertEqual(["cancelled"], log)
            ending.callback(None)
            self.assertEqual((["cancelled", "closed"], []), (log, consumer.pieces))
            self.assertNoResult(finished)
        self.assertEqual([], self.failures())

    def test_waitsForItsEnd(self) -> None:
        """Nor is one cancelled that was stopped within its last step and waits as it is closed."""
        ending: Deferred[None] = Deferred()
        log: list[str] = []

        async def pieces() -> AsyncIterator[bytes]:
            try:
                body.stopProducing()
                yield b"late"
            finally:
                await ending
                log.append("closed")

        body: Any = asProducer(pieces())
        body.startProducing(Consumer())
        self.assertEqual([], log)
        ending.callback(None)
        self.assertEqual(["closed"], log)

    def test_stoppedWithinAWrite(self) -> None:
        """Nor is one asked whose consumer wants no more within a write."""
        body: Any = asProducer(self.source.pieces())
        consumer = Consumer(lambda: body.stopProducing())
        finished = body.startProducing(consumer)
        self.source.give(b"a")
        self.assertEqual(([b"a"], ["asked", "closed"]), (consumer.pieces, self.source.log))
        self.assertNoResult(finished)

    def test_cancelledDeferred(self) -> None:
        """Whoever cancels a producer's Deferred, as Twisted does over HTTP/1.1, stops it."""
        body: Any = asProducer(self.source.pieces())
        finished = body.startProducing(Consumer())
        finished.addErrback(lambda reason: None)
        finished.cancel()
        self.assertEqual(["asked", "closed"], self.source.log)
        sync: Any = asProducer([b"a", b"b"])
        consumer = Consumer(lambda: sync.pauseProducing())
        finished = sync.startProducing(consumer)
        finished.addErrback(lambda reason: None)
        finished.cancel()
        sync.resumeProducing()
        self.assertEqual([b"a"], consumer.pieces)

    def test_neverBegun(self) -> None:
        """One that was never begun has nothing to be told."""
        body: Any = asProducer(self.source.pieces())
        body.stopProducing()
        self.assertEqual([], self.source.log)


class BaseTests(BodyTestCase):
    """Producers of other kinds."""

    def test_producer(self) -> None:
        """A producer of the user's own is used as it is."""
        self.assertSent(WholeBody(b"abc"), b"abc")

    def test_pieces(self) -> None:
        """What a body's pieces are is each kind's own to say."""
        self.assertRaises(NotImplementedError, Pieces().startProducing, Consumer())
