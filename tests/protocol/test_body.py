"""Tests for :mod:`txhyper.protocol.body`, over HTTP/2: ``read``, and ``chunks``."""

from __future__ import annotations

import contextlib
import gc
import gzip
import sys
import threading
import tracemalloc
import weakref
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import brotli
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import ResponseFailed

from tests.core.test_decoders import CODINGS
from tests.core.wire import law
from tests.protocol.scene import CANCEL, OK, ConnectionTestCase, Reader
from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.errors import BodyTooLarge, DecodingFailed, StreamAborted, StreamReset
from txhyper.protocol.body import ReadableBody

WINDOW = 256 * 1024


def coded(*names: bytes) -> list[tuple[bytes, bytes]]:
    """The head of a response with these codings."""
    return [*OK, *[(b"content-encoding", name) for name in names]]


class BodyTestCase(ConnectionTestCase):
    """Responses whose bodies are read without a protocol."""

    def setUp(self) -> None:
        """What is freed here has to be free of cycles."""
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def next(self, chunks: Any) -> Deferred[bytes]:
        """Ask an iterator for its next chunk."""
        return Deferred.fromCoroutine(chunks.__anext__())

    def taken(self, chunks: Any) -> bytes:
        """The next chunk, which has come."""
        return self.successResultOf(self.next(chunks))

    def assertOver(self, chunks: Any) -> None:
        """There is nothing more, however often it is asked for."""
        for _ in range(2):
            self.failureResultOf(self.next(chunks), StopAsyncIteration)

    def reason(self, deferred: Deferred[Any], expected: type[Exception]) -> Any:
        """Why a body is not complete."""
        failure = self.failureResultOf(deferred, ResponseFailed)
        (inner,) = failure.value.reasons
        self.assertIsInstance(inner.value, expected)
        return inner.value

    def credited(self, streamId: int = 1) -> int:
        """Octets that the peer was given back on a stream since it was last asked."""
        return sum(
            int.from_bytes(frame.payload, "big")
            for frame in self.peer.drain()
            if (frame.kind, frame.streamId) == (frames.WINDOW_UPDATE, streamId)
        )


class ReadTests(BodyTestCase):
    """``read``."""

    def test_whole(self) -> None:
        """It fires with the body when the body is complete, and not before."""
        deferred = self.opened().read()
        self.peer.sendData(1, b"hel")
        self.peer.sendData(1, b"", padding=3)
        self.assertNoResult(deferred)
        self.peer.sendData(1, b"lo", endStream=True)
        self.assertEqual(b"hello", self.successResultOf(deferred))

    def test_noBody(self) -> None:
        """A response that has none has an empty one, whatever its fields speak of."""
        self.greet()
        for method, status in ((b"HEAD", b"200"), (b"GET", b"204"), (b"GET", b"304")):
            deferred = self.request(method)
            head = [(b":status", status), (b"content-encoding", b"gzip")]
            streamId = self.peer.expectHeaders().streamId
            self.peer.sendHeaders(streamId, head, endStream=True)
            self.assertEqual(b"", self.successResultOf(self.successResultOf(deferred).read(0)))

    def test_limit(self) -> None:
        """A body may have as many octets as the limit; one more fails it, and gives it up."""
        for limit, isTooLarge in ((4, True), (5, False), (6, False)):
            self.meet()
            deferred = self.opened().read(limit)
            self.peer.drain()
            self.peer.sendData(1, b"hel")
            self.peer.send(
                self.peer.frame(frames.DATA, 0, 1, b"lo") + self.peer.frame(frames.DATA, 1, 1, b"")
            )
            if isTooLarge:
                error = self.reason(deferred, BodyTooLarge)
                self.assertIn("4 octets", str(error))
                self.assertEqual(CANCEL, self.peer.expectReset(1))
            else:
                self.assertEqual(b"hello", self.successResultOf(deferred))
            self.assertClockIsQuiet()

    def test_limitOfWhatIsHeld(self) -> None:
        """What had come before anybody read is counted as well, and the rest of it dropped."""
        response = self.opened()
        self.peer.sendData(1, b"abc")
        self.peer.sendData(1, b"def", endStream=True)
        self.reason(response.read(2), BodyTooLarge)
        self.peer.expectNothing()

    def test_limitAfterDecoding(self) -> None:
        """It is the decoded body that is limited, to the octet; the rest is not decoded."""
        octets = gzip.compress(bytes(1000))
        for limit, expected in ((999, None), (1000, bytes(1000))):
            self.meet()
            deferred = self.opened(coded(b"gzip")).read(limit)
            self.peer.sendData(1, octets, endStream=True)
            if expected is None:
                self.reason(deferred, BodyTooLarge)
            else:
                self.assertEqual(expected, self.successResultOf(deferred))
            self.peer.read()

    def test_decoded(self) -> None:
        """Codings are undone, in one field or several, in any case; identity is none."""
        octets = gzip.compress(gzip.compress(b"hello"))
        for names in ([b"gzip, gzip"], [b"X-GZip", b"identity , GZIP,"]):
            self.meet()
            deferred = self.opened(coded(*names)).read()
            self.peer.sendData(1, octets, endStream=True)
            self.assertEqual(b"hello", self.successResultOf(deferred))

    def test_notDecoded(self) -> None:
        """Who does not want it decoded has it as it came, in whatever coding."""
        for name in (b"gzip", b"compress", b"gzip, gzip, gzip, gzip, gzip"):
            self.meet()
            deferred = self.opened(coded(name)).read(decodeContent=False)
            self.peer.sendData(1, b"octets", endStream=True)
            self.assertEqual(b"octets", self.successResultOf(deferred))

    def test_notDecodable(self) -> None:
        """
        A coding that is unknown, corrupt or cut off fails the body, as do too many of them: their
        stream is reset if it has not ended.
        """
        cut = gzip.compress(b"hello")[:-1]
        for name, octets, end in (
            (b"compress", b"octets", False),
            (b"gzip, br2", b"octets", False),
            (b"gzip, gzip, gzip, gzip, gzip", b"octets", False),
            (b"gzip", b"nonsense", False),
            (b"gzip", cut, True),
        ):
            self.meet()
            deferred = self.opened(coded(name)).read()
            self.peer.drain()
            self.peer.sendData(1, octets, endStream=end)
            self.reason(deferred, DecodingFailed)
            if not end:
                self.assertEqual(CANCEL, self.peer.expectReset(1))
            self.peer.expectNothing()
            self.assertTrue(self.client.isUsable())

    def test_failed(self) -> None:
        """A body that fails says why; half of one is never given."""
        deferred = self.opened().read()
        self.peer.sendData(1, b"half")
        self.peer.sendReset(1, 2)
        self.assertEqual(2, self.reason(deferred, StreamReset).code)

    def test_cancelled(self) -> None:
        """Cancelling gives up the stream, and no other."""
        deferred = self.opened().read()
        sibling = self.opened().read()
        self.peer.sendData(1, b"x")
        self.peer.drain()
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.peer.sendData(1, b"late", endStream=True)
        self.peer.sendData(3, b"y", endStream=True)
        self.assertEqual(b"y", self.successResultOf(sibling))
        self.peer.expectNothing()
        deferred.cancel()

    def test_twice(self) -> None:
        """A body is given away once, in whichever way."""
        response = self.opened()
        deferred = response.read()
        self.assertRaises(RuntimeError, response.read)
        self.assertRaises(RuntimeError, response.deliverBody, Reader())
        self.failureResultOf(self.next(response.chunks()), RuntimeError)
        self.peer.sendData(1, b"x", endStream=True)
        self.assertEqual(b"x", self.successResultOf(deferred))
        self.assertRaises(RuntimeError, response.read)

    def test_tinyFrames(self) -> None:
        """A body in frames of two octets costs about what it holds, and not many times that."""
        deferred: Any = self.opened().read()
        collector = self.client._engine.streams[0].owner._reader
        for _ in range(500):
            self.peer.send(b"".join([self.peer.frame(frames.DATA, 0, 1, b"ab")] * 100))
            self.clock.advance(0)
        self.assertLess(sys.getsizeof(collector._body), 2 * 100_000)
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual(100_000, len(self.successResultOf(deferred)))

    def test_nothingIsKept(self) -> None:
        """Once the body was read, or could not be, nothing keeps response or body."""
        for octets in (gzip.compress(b"hello"), b"nonsense"):
            self.meet()
            response = self.opened(coded(b"gzip"))
            deferred = response.read()
            exchange = self.client._engine.streams[0].owner
            references = [weakref.ref(response.request), weakref.ref(exchange._reader)]
            del exchange, response
            self.peer.sendData(1, octets, endStream=True)
            deferred.addErrback(lambda reason: None)
            self.peer.read()
            del deferred
            self.assertEqual([None, None], [reference() for reference in references])

    def test_whoeverInherits(self) -> None:
        """A class that says nothing of how its body is given away cannot be read."""
        body = ReadableBody()
        self.assertRaises(NotImplementedError, body.read, None, False)


class ChunksTests(BodyTestCase):
    """``chunks``, read as it should be."""

    def test_asTheyCame(self) -> None:
        """One chunk for each DATA frame, the empty ones included, whenever they came."""
        response = self.opened()
        self.peer.sendData(1, b"a")
        self.peer.sendData(1, b"")
        chunks = response.chunks()
        self.assertIs(chunks, chunks.__aiter__())
        self.peer.sendData(1, b"b", padding=9)
        self.assertEqual([b"a", b"", b"b"], [self.taken(chunks) for _ in range(3)])
        waiting = self.next(chunks)
        self.assertNoResult(waiting)
        self.peer.sendData(1, b"", padding=9)
        self.assertEqual(b"", self.successResultOf(waiting))
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual(b"", self.taken(chunks))
        self.assertOver(chunks)
        self.peer.expectNothing()

    def test_asyncFor(self) -> None:
        """A loop takes all of a body, as fast as it comes or later."""

        async def whole(chunks: AsyncIterator[bytes]) -> list[bytes]:
            return [chunk async for chunk in chunks]

        for isLate in (False, True):
            self.meet()
            response = self.opened()
            if not isLate:
                deferred = Deferred.fromCoroutine(whole(response.chunks()))
            for number in range(100):
                self.peer.sendData(1, b"%d" % number, endStream=number == 99)
            if isLate:
                deferred = Deferred.fromCoroutine(whole(response.chunks()))
            joined = b"".join(self.successResultOf(deferred))
            self.assertEqual(b"".join(b"%d" % number for number in range(100)), joined)

    def test_decoded(self) -> None:
        """With a coding there is a chunk for each piece that comes out, and none is empty."""
        chunks = self.opened(coded(b"gzip")).chunks()
        octets = gzip.compress(bytes(100_000))
        waiting = self.next(chunks)
        for octet in octets[:-1]:
            self.peer.sendData(1, b"")
            self.peer.sendData(1, bytes([octet]))
        self.peer.sendData(1, octets[-1:], endStream=True)
        taken = [self.successResultOf(waiting)]
        while sum(map(len, taken)) < 100_000:
            taken.append(self.taken(chunks))
        self.assertNotIn(b"", taken)
        self.assertOver(chunks)

    def test_notDecoded(self) -> None:
        """Unless it is not to be decoded."""
        chunks = self.opened(coded(b"gzip")).chunks(decodeContent=False)
        self.peer.sendData(1, b"not gzip")
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual([b"not gzip", b""], [self.taken(chunks), self.taken(chunks)])
        self.assertOver(chunks)

    def test_failure(self) -> None:
        """What came before a failure is delivered before it; the failure is told once."""
        for end in ("reset", "lost"):
            self.meet()
            chunks = self.opened().chunks()
            waiting = self.next(chunks)
            for piece in (b"a", b"b", b"c"):
                self.peer.sendData(1, piece)
            if end == "reset":
                self.peer.sendReset(1, 2)
            else:
                self.peer.loseConnection()
            self.assertEqual(b"a", self.successResultOf(waiting))
            self.assertEqual([b"b", b"c"], [self.taken(chunks), self.taken(chunks)])
            self.failureResultOf(self.next(chunks), ResponseFailed)
            self.assertOver(chunks)

    def test_failureOfTheCoding(self) -> None:
        """Likewise where the coding fails."""
        chunks = self.opened(coded(b"gzip")).chunks()
        octets = gzip.compress(b"hello")
        waiting = self.next(chunks)
        self.peer.sendData(1, octets)
        self.peer.sendData(1, b"nonsense behind it")
        self.assertEqual(b"hello", self.successResultOf(waiting))
        self.reason(self.next(chunks), DecodingFailed)
        self.assertOver(chunks)

    def test_whileSomebodyWaits(self) -> None:
        """A failure reaches whoever waits."""
        waiting = self.next(self.opened().chunks())
        self.peer.sendReset(1, 2)
        self.reason(waiting, StreamReset)

    def test_failureIsNotKept(self) -> None:
        """The failure, whose traceback leads to the reader, is not kept by the reader."""
        chunks: Any = self.opened().chunks()
        waiting = self.next(chunks)
        self.peer.sendData(1, b"x")
        self.successResultOf(waiting)
        self.peer.sendReset(1, 2)
        with contextlib.suppress(ResponseFailed):
            chunks.__anext__().send(None)
        reference = weakref.ref(chunks._reader)
        del chunks
        self.assertIsNone(reference())


class PaceTests(BodyTestCase):
    """Nothing is taken from the server that is not asked for."""

    def test_aWindowAtMost(self) -> None:
        """
        Who takes one chunk and then does something else holds back a window, and no more; others
        on the connection go on; what is taken is paid for, once.
        """
        chunks = self.opened().chunks()
        sibling = self.opened().read()
        frame = bytes(16384)
        waiting = self.next(chunks)
        self.peer.drain()
        sent = taken = granted = 0
        for _ in range(3):
            while sent + len(frame) <= WINDOW + granted:
                self.peer.sendData(1, frame)
                sent += len(frame)
            self.assertEqual(0, self.credited())
            self.peer.sendData(3, bytes(16384))
            taken += len(self.successResultOf(waiting))
            while taken < sent:
                taken += len(self.taken(chunks))
            granted += self.credited()
            # What came and is not paid for is less than half a window; nothing is paid twice.
            self.assertLessEqual(taken - granted, WINDOW // 2)
            self.assertEqual(WINDOW + granted - sent, self.client._engine.streams[0].receive_window)
            waiting = self.next(chunks)
        self.peer.sendData(3, b"", endStream=True)
        self.assertEqual(3 * 16384, len(self.successResultOf(sibling)))

    def test_emptyFrames(self) -> None:
        """Any number of empty frames, which cost the server nothing, cost little here as well."""
        for asked in (False, True):
            self.meet()
            chunks: Any = self.opened().chunks()
            if asked:
                waiting = self.next(chunks)
                self.peer.sendData(1, b"first")
                self.assertEqual(b"first", self.successResultOf(waiting))
            else:
                self.peer.sendData(1, b"first")
            for _ in range(1000):
                self.peer.sendData(1, b"")
            inbound = self.client._engine.streams[0].owner._inbound
            self.assertLessEqual(len(inbound._frames), 64)
            self.assertEqual([], list(chunks._reader._held))
            del inbound
            self.peer.sendData(1, b"last", endStream=True)
            rest = b""
            while not rest.endswith(b"last"):
                rest += self.taken(chunks)
            self.assertEqual(b"last" if asked else b"firstlast", rest)
            self.assertOver(chunks)

    def test_comesBackFromInside(self) -> None:
        """A loop that is woken and asks again at once is never paused in between."""
        chunks: Any = self.opened().chunks()
        taken: list[bytes] = []

        async def loop() -> None:
            while True:
                taken.append(await chunks.__anext__())

        done = Deferred.fromCoroutine(loop())
        for _ in range(3):
            self.peer.sendData(1, b"x")
        self.assertEqual(3, len(taken))
        self.assertFalse(chunks._reader._isPaused)
        self.peer.sendData(1, b"y", endStream=True)
        self.failureResultOf(done, StopAsyncIteration)


class GivingUpTests(BodyTestCase):
    """Iterators that are not read to their end."""

    def test_neverStarted(self) -> None:
        """One that never began has taken nothing: the body is still there for another reader."""
        response = self.opened()
        chunks = response.chunks()
        del chunks
        closed = response.chunks()
        self.successResultOf(Deferred.fromCoroutine(closed.aclose()))
        self.assertOver(closed)
        self.peer.sendData(1, b"x", endStream=True)
        self.assertEqual(b"x", self.successResultOf(response.read()))
        self.peer.expectNothing()

    def test_neverStartedWithoutItsResponse(self) -> None:
        """When it goes with its response, the response goes unread, and its stream is reset."""
        chunks = self.opened().chunks()
        self.peer.drain()
        del chunks
        self.assertEqual(CANCEL, self.peer.expectReset(1))

    def test_brokenOutOf(self) -> None:
        """A loop that is left gives the body up."""

        async def first(response: Any) -> bytes:
            async for chunk in response.chunks():
                return bytes(chunk)
            raise AssertionError("there was no chunk")

        response = self.opened()
        deferred = Deferred.fromCoroutine(first(response))
        self.peer.drain()
        self.peer.sendData(1, b"a")
        self.peer.sendData(1, b"b")
        self.assertEqual(b"a", self.successResultOf(deferred))
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual(0, self.client.openCount)

    def test_collectedInAnotherThread(self) -> None:
        """The collector may run in any thread; the stream is reset from the reactor's."""
        for names in ((), (b"gzip",)):
            self.meet()
            fromThreads = self.clock.fromThreads
            chunks: Any = self.opened(coded(*names)).chunks()
            waiting = self.next(chunks)
            octets = gzip.compress(b"x")
            self.peer.sendData(1, octets)
            self.successResultOf(waiting)
            self.peer.drain()
            holder: Any = [chunks]
            holder.append(holder)
            del chunks, holder, waiting
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join()
            self.assertEqual(fromThreads + 1, self.clock.fromThreads)
            # Whatever comes before that is nobody's.
            self.peer.sendData(1, b"more")
            self.assertEqual(CANCEL, self.peer.expectReset(1))
            self.peer.expectNothing()

    def test_collectedAfterTheEnd(self) -> None:
        """One that was read to its end is nobody's business any more, nor one whose body ended."""
        for isRead in (False, True):
            self.meet()
            chunks = self.opened().chunks()
            waiting = self.next(chunks)
            self.peer.sendData(1, b"x", endStream=True)
            self.successResultOf(waiting)
            if isRead:
                self.assertOver(chunks)
            self.peer.drain()
            del chunks, waiting
            self.peer.expectNothing()

    def test_aclose(self) -> None:
        """Closing gives the body up, once; then there is nothing more."""
        chunks: Any = self.opened().chunks()
        waiting = self.next(chunks)
        self.peer.sendData(1, b"a")
        self.successResultOf(waiting)
        self.peer.drain()
        for _ in range(2):
            self.successResultOf(Deferred.fromCoroutine(chunks.aclose()))
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.peer.sendData(1, b"late")
        self.assertOver(chunks)
        self.assertEqual(0, self.client.openCount)

    def test_acloseAfterTheEnd(self) -> None:
        """Closing what has ended is fine."""
        for isRead in (False, True):
            self.meet()
            chunks: Any = self.opened().chunks()
            waiting = self.next(chunks)
            self.peer.sendData(1, b"x")
            self.successResultOf(waiting)
            if isRead:
                self.peer.sendData(1, b"", endStream=True)
                self.taken(chunks)
                self.assertOver(chunks)
            else:
                waiting = self.next(chunks)
                self.peer.sendData(1, b"", endStream=True)
                self.successResultOf(waiting)
            self.peer.drain()
            self.successResultOf(Deferred.fromCoroutine(chunks.aclose()))
            self.assertOver(chunks)

    def test_acloseWhileSomebodyWaits(self) -> None:
        """Who waits for a chunk when another closes the iterator is told that it was given up."""
        chunks: Any = self.opened().chunks()
        waiting = self.next(chunks)
        self.successResultOf(Deferred.fromCoroutine(chunks.aclose()))
        self.assertNoResult(waiting)
        self.peer.expectReset(1)
        self.reason(waiting, StreamAborted)

    def test_acloseFromInside(self) -> None:
        """A loop may close the iterator that it runs over."""
        chunks: Any = self.opened().chunks()
        taken: list[bytes] = []

        async def loop() -> None:
            async for chunk in chunks:
                taken.append(chunk)
                await chunks.aclose()

        done = Deferred.fromCoroutine(loop())
        self.peer.send(self.peer.frame(0, 0, 1, b"a") + self.peer.frame(0, 1, 1, b"b"))
        self.successResultOf(done)
        self.assertEqual([b"a"], taken)
        self.peer.read()

    def test_acloseWhileItIsDecoded(self) -> None:
        """What is left of a piece is dropped, and nothing of it is delivered."""
        chunks: Any = self.opened(coded(b"gzip")).chunks()
        waiting = self.next(chunks)
        self.peer.sendData(1, gzip.compress(bytes(1_000_000)))
        self.successResultOf(waiting)
        self.peer.drain()
        self.successResultOf(Deferred.fromCoroutine(chunks.aclose()))
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertOver(chunks)

    def test_twoAtOnce(self) -> None:
        """Two may not wait at once; the first is served, and may go on."""
        chunks = self.opened().chunks()
        first = self.next(chunks)
        self.failureResultOf(self.next(chunks), RuntimeError)
        self.peer.sendData(1, b"a")
        self.assertEqual(b"a", self.successResultOf(first))
        self.peer.sendData(1, b"b", endStream=True)
        self.assertEqual(b"b", self.taken(chunks))
        self.assertOver(chunks)

    def test_cancelledWhileWaiting(self) -> None:
        """Who stops waiting loses nothing: the next to ask gets the next chunk."""
        chunks = self.opened().chunks()
        waiting = self.next(chunks)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.peer.sendData(1, b"a")
        self.peer.sendData(1, b"b", endStream=True)
        self.assertEqual([b"a", b"b"], [self.taken(chunks), self.taken(chunks)])
        self.assertOver(chunks)

    def test_nothingIsKept(self) -> None:
        """Once it was read, nothing keeps response, reader or decoder."""
        response = self.opened(coded(b"gzip"))
        chunks: Any = response.chunks()
        waiting = self.next(chunks)
        exchange = self.client._engine.streams[0].owner
        references = [
            weakref.ref(response.request),
            weakref.ref(exchange._reader),
            weakref.ref(chunks._reader),
        ]
        self.peer.sendData(1, gzip.compress(b"x"), endStream=True)
        self.assertEqual(b"x", self.successResultOf(waiting))
        self.assertOver(chunks)
        del response, chunks, waiting, exchange
        self.assertEqual([None] * 3, [reference() for reference in references])


class Sink(Reader):
    """A reader that pauses at some chunks, and is resumed by the test."""

    def __init__(self, pauses: list[bool]) -> None:
        pattern = iter(pauses)
        super().__init__(
            onData=lambda reader: (
                reader.transport.pauseProducing() if next(pattern, False) else None
            )
        )


#: A frame: its length, its padding or None.
shapes = st.lists(st.tuples(st.integers(0, 300), st.none() | st.integers(0, 255)), max_size=12)


class LawTests(BodyTestCase):
    """What holds for every body."""

    @law
    @given(
        st.sampled_from(["identity", *sorted(CODINGS)]),
        st.sampled_from(["deliverBody", "read", "chunks"]),
        st.binary(max_size=1500),
        st.integers(0, 3) | st.just(200_000),
        shapes,
        st.lists(st.booleans(), max_size=20),
    )
    def test_anyWay(
        self,
        name: str,
        way: str,
        head: bytes,
        zeros: int,
        split: list[tuple[int, int | None]],
        pauses: list[bool],
    ) -> None:
        """
        However a body is coded, cut into frames, padded, paused and read, it comes out equal;
        no more is paid for than came, and nothing is left to be done.
        """
        self.meet()
        body = head + bytes(zeros)
        octets = body if name == "identity" else CODINGS[name][0](body)
        isDecoded = way != "deliverBody"
        expected = body if isDecoded else octets
        response = self.opened(coded(name.removeprefix("raw ").encode()))
        stream = self.client._engine.streams[0]
        pattern = iter(pauses)
        received = 0
        read: Any = None
        if way == "deliverBody":
            reader: Any = Sink(pauses)
        elif way == "chunks":
            chunks = response.chunks()
        taken: list[bytes] = []

        async def loop() -> None:
            async for chunk in chunks:
                taken.append(chunk)
                while next(pattern, False):
                    await asked.pop()

        asked: list[Deferred[None]] = []

        def begin() -> Any:
            if way == "read":
                return response.read()
            if way == "chunks":
                asked.extend(Deferred() for _ in range(len(pauses)))
                steps.extend(reversed(asked))
                return Deferred.fromCoroutine(loop())
            response.deliverBody(reader)
            return reader

        steps: list[Deferred[None]] = []

        def goOn() -> None:
            if way == "chunks" and steps:
                steps.pop(0).callback(None)
            elif way == "deliverBody":
                reader.transport.resumeProducing()

        isLate = len(head) % 2 == 0
        if not isLate:
            read = begin()
        position = 0
        # The body in frames of 16 KiB, the rest, behind those of the given shapes.
        sizes = [*split, *[(16000, None)] * (len(octets) // 16000 + 1)]
        for number, (size, padding) in enumerate(sizes):
            end = number == len(sizes) - 1
            piece = octets[position : position + size]
            position += len(piece)
            received += len(piece) + (0 if padding is None else padding + 1)
            if received > WINDOW:
                break
            self.peer.sendData(1, piece, end, padding)
            if not end and number % 3 == 0 and read is not None:
                goOn()
        self.assertEqual(position, len(octets))
        if isLate:
            read = begin()
        for _ in range(len(pauses) + len(sizes) + 1):
            goOn()
        if way == "deliverBody":
            self.assertTrue(reader.isDone)
            self.assertTrue(expected == reader.body)
        elif way == "read":
            self.assertTrue(expected == self.successResultOf(read))
        else:
            self.successResultOf(read)
            self.assertTrue(expected == b"".join(taken))
        granted = stream.receive_window + received - WINDOW
        self.assertGreaterEqual(granted, 0)
        self.assertClockIsQuietAfterATurn()

    def assertClockIsQuietAfterATurn(self) -> None:
        """Nothing is left to be done."""
        self.peer.read()
        self.assertClockIsQuiet()

    @law
    @given(shapes, st.lists(st.booleans(), max_size=12), st.booleans())
    def test_credit(
        self, split: list[tuple[int, int | None]], asks: list[bool], isDecoded: bool
    ) -> None:
        """
        At any moment the peer's window and what it has sent unpaid are one window (which has not
        grown), and once everything has been taken less than half a window is unpaid.
        """
        self.meet()
        name = b"gzip" if isDecoded else b"identity"
        chunks: Any = self.opened(coded(name)).chunks()
        stream = self.client._engine.streams[0]
        self.peer.drain()
        content = gzip.compress(bytes(7), 0) if isDecoded else b"content"
        content *= 4000
        sent = granted = position = 0
        waiting = None
        for number, (size, padding) in enumerate(split):
            piece = content[position : position + 50 * size]
            position += len(piece)
            self.peer.sendData(1, piece, padding=padding)
            sent += len(piece) + (0 if padding is None else padding + 1)
            granted += self.credited()
            self.assertEqual(WINDOW, stream.receive_window + sent - granted)
            if (waiting is None or waiting.called) and number < len(asks) and asks[number]:
                waiting = self.next(chunks)
        while waiting is None or waiting.called:
            waiting = self.next(chunks)
        granted += self.credited()
        self.assertEqual(WINDOW, stream.receive_window + sent - granted)
        self.assertLess(sent - granted, WINDOW // 2)


class BombTests(BodyTestCase):
    """Small bodies that open to enormous ones."""

    def bombs(self) -> Iterator[tuple[bytes, bytes]]:
        """Codings, and octets that would come to gigabytes."""
        ten = bytes(10 * 1024 * 1024)
        # 10 MiB that open to 10 GiB.
        yield b"gzip", gzip.compress(ten) * 1024
        yield b"gzip, gzip", gzip.compress(gzip.compress(ten) * 250, 1)
        yield b"zstd", zstd.compress(ten) * 8000
        # One stream is all that these have; so that it is quickly made, it is small.
        yield b"deflate", zlib.compress(ten * 2)
        yield b"br", brotli.compress(ten * 2, quality=1)

    def feed(self, octets: bytes, deferred: Deferred[Any], begin: int = 0) -> None:
        """Send a bomb, until somebody has had enough."""
        for start in range(begin, len(octets), 16000):
            if deferred.called:
                return
            self.peer.sendData(1, octets[start : start + 16000])
            self.peer.drain()

    def test_read(self) -> None:
        """A limit stops one at once; without, the bounds do, before 64 MiB are in use."""
        for codings, octets in self.bombs():
            for limit in (1_000_000, None):
                self.meet()
                tracemalloc.start()
                try:
                    deferred = self.opened(coded(codings)).read(limit)
                    self.feed(octets, deferred)
                    _, peak = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
                self.reason(deferred, BodyTooLarge)
                self.assertLess(peak, 64 * 1024 * 1024, f"{codings!r} {limit}")
                self.assertEqual(0, self.client.openCount)

    def test_chunks(self) -> None:
        """Whoever takes one piece and waits has one piece in memory; who goes on is stopped."""

        async def loop(chunks: Any) -> None:
            async for _ in chunks:
                pass

        for codings, octets in self.bombs():
            self.meet()
            tracemalloc.start()
            try:
                chunks = self.opened(coded(codings)).chunks()
                waiting = self.next(chunks)
                self.peer.sendData(1, octets[:16000])
                self.assertLessEqual(len(self.successResultOf(waiting)), 128 * 1024)
                _, one = tracemalloc.get_traced_memory()
                deferred = Deferred.fromCoroutine(loop(chunks))
                self.feed(octets, deferred, 16000)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.reason(deferred, BodyTooLarge)
            self.assertLess(one, 2 * 1024 * 1024, codings)
            self.assertLess(peak, 4 * 1024 * 1024, codings)
            del chunks, waiting

    def test_bounds(self) -> None:
        """The bounds are those of the connection."""
        self.meet(bounds=Bounds(decoded_body_size=10))
        deferred = self.opened(coded(b"gzip")).read()
        self.peer.sendData(1, gzip.compress(bytes(11)), endStream=True)
        self.assertIn("decoded_body_size", str(self.reason(deferred, BodyTooLarge)))
