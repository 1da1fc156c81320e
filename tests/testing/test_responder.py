"""Tests for :mod:`txhyper.testing.responder`."""

from __future__ import annotations

from collections.abc import Iterator

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from txhyper.errors import StreamReset
from txhyper.testing.responder import HeaderPairs, Responder


class Outlet:
    """Notes what a responder asks for."""

    def __init__(self) -> None:
        self.blocks: list[tuple[list[tuple[bytes, bytes]], bool]] = []
        self.wanted = 0
        self.resets: list[int] = []
        self.promises: list[tuple[bytes, list[tuple[bytes, bytes]]]] = []

    def sendHeaders(self, responder: Responder, headers: HeaderPairs, endStream: bool) -> None:
        """Note a header block."""
        self.blocks.append((list(headers), endStream))
        responder.hasEnded = endStream

    def sendBody(self, responder: Responder) -> None:
        """Note a call for the connection."""
        self.wanted += 1

    def sendReset(self, responder: Responder, code: int) -> None:
        """Note a reset, and do what a connection would."""
        self.resets.append(code)
        responder.closed(StreamReset("reset", responder.streamId, code))

    def sendPromise(self, responder: Responder, target: bytes, headers: HeaderPairs) -> bool:
        """Note a promise, and take it."""
        self.promises.append((target, list(headers)))
        return True


class Chunks:
    """An iterator that can tell what has been done to it."""

    def __init__(self, *items: object) -> None:
        self.items = list(items)
        self.isClosed = False

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes:
        if not self.items:
            raise StopIteration
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """What a generator has, too."""
        self.isClosed = True


class ResponderTests(SynchronousTestCase):
    """A responder says what is sent, and when."""

    def setUp(self) -> None:
        self.outlet = Outlet()
        self.responder = Responder(self.outlet, 5)

    def drained(self) -> list[bytes]:
        """Take the body in pieces of up to three octets, as long as there is any."""
        pieces = []
        while self.responder.hasMore():
            piece, isLast = self.responder.take(3)
            pieces.append(bytes(piece))
            if isLast:
                break
        return pieces

    def test_wholeBody(self) -> None:
        """A whole body gets its length announced, and its last octets are known as such."""
        self.responder.respond(201, [(b"X-Y", b"z")], b"abcde")
        block = [(b":status", b"201"), (b"x-y", b"z"), (b"content-length", b"5")]
        self.assertEqual([(block, False)], self.outlet.blocks)
        self.assertEqual((1, 5), (self.outlet.wanted, self.responder.pendingSize()))
        self.assertEqual([b"abc", b"de"], self.drained())

    def test_emptyBody(self) -> None:
        """An empty body ends the stream with its header block."""
        self.responder.respond()
        self.assertEqual(
            [([(b":status", b"200"), (b"content-length", b"0")], True)], self.outlet.blocks
        )
        self.assertEqual(0, self.outlet.wanted)

    def test_ownLength(self) -> None:
        """A length that the endpoint announces, true or not, is what is sent."""
        self.responder.respond(200, [(b"Content-Length", b"9")], b"abc")
        self.assertEqual(
            [(b":status", b"200"), (b"content-length", b"9")], self.outlet.blocks[0][0]
        )

    def test_chunks(self) -> None:
        """Chunks are pulled one at a time, each after the one before it has been taken."""
        chunks = Chunks(b"ab", b"", b"cd")
        self.responder.respond(200, [], chunks)
        self.assertEqual([([(b":status", b"200")], False)], self.outlet.blocks)
        self.assertEqual(3, len(chunks.items))
        self.assertTrue(self.responder.hasMore())
        self.assertEqual(2, len(chunks.items))
        self.assertEqual([b"ab", b"cd", b""], self.drained())

    def test_delayedChunk(self) -> None:
        """A Deferred among the chunks holds the body up, and calls the connection when it fires."""
        chunk: Deferred[bytes] = Deferred()
        self.responder.respond(200, [], [b"a", chunk, b"c"])
        self.assertEqual([b"a"], self.drained())
        self.assertFalse(self.responder.hasMore())
        self.assertEqual(1, self.outlet.wanted)
        chunk.callback(b"b")
        self.assertEqual(2, self.outlet.wanted)
        self.assertEqual([b"b", b"c", b""], self.drained())

    def test_chunkThatIsThere(self) -> None:
        """A Deferred that has fired already is as good as its chunk."""
        self.responder.respond(200, [], [succeed(b"a"), succeed(b"b")])
        self.assertEqual([b"a", b"b", b""], self.drained())

    def test_failedChunk(self) -> None:
        """A Deferred that fails does so when its turn comes."""
        chunk: Deferred[bytes] = Deferred()
        self.responder.respond(200, [], [chunk])
        self.assertFalse(self.responder.hasMore())
        chunk.errback(ZeroDivisionError())
        self.assertEqual(2, self.outlet.wanted)
        self.assertRaises(ZeroDivisionError, self.responder.hasMore)

    def test_raisingIterator(self) -> None:
        """What the iterator raises comes out, after the chunks before it."""
        self.responder.respond(200, [], Chunks(b"a", ZeroDivisionError()))
        self.assertTrue(self.responder.hasMore())
        self.responder.take(1)
        self.assertRaises(ZeroDivisionError, self.responder.hasMore)

    def test_head(self) -> None:
        """HEAD gets the same fields, no body and no trailers; no chunk is asked for."""
        for body in (b"abc", Chunks(b"abc")):
            self.responder = Responder(self.outlet, 5, isHead=True)
            self.responder.respond(200, [], body, [(b"x", b"y")])
            self.assertTrue(self.outlet.blocks[-1][1])
        self.assertIn((b"content-length", b"3"), self.outlet.blocks[0][0])
        assert isinstance(body, Chunks)
        self.assertEqual((True, 1), (body.isClosed, len(body.items)))

    def test_noContent(self) -> None:
        """204 and 304 have neither a body nor a length of one (RFC 9110 sections 8.6, 15.3.5)."""
        for status in (204, 304):
            Responder(self.outlet, 5).respond(status, [], b"abc")
            self.assertEqual(([(b":status", b"%d" % status)], True), self.outlet.blocks[-1], status)

    def test_trailers(self) -> None:
        """Trailers keep the stream open after an empty body, and wait for their turn."""
        self.responder.respond(200, [], b"", [(b"X-Sum", b"1")])
        self.assertFalse(self.outlet.blocks[0][1])
        self.assertEqual([b""], self.drained())
        self.assertEqual([(b"x-sum", b"1")], self.responder.trailers)

    def test_json(self) -> None:
        """JSON has its type, its length and its fields."""
        self.responder.respondJSON({"a": "\u00e9"}, 418, [(b"x", b"y")])
        fields = self.outlet.blocks[0][0]
        self.assertEqual((b":status", b"418"), fields[0])
        self.assertIn((b"content-type", b"application/json"), fields)
        self.assertIn((b"x", b"y"), fields)
        self.responder.hasMore()
        self.assertEqual(b'{\n  "a": "\\u00e9"\n}\n', bytes(self.responder.take(99)[0]))

    def test_badResponses(self) -> None:
        """What may not be sent is refused, and nothing is sent of it."""
        for status, headers in (
            (100, []),
            (1000, []),
            (200, [(b"a b", b"")]),
            (200, [(b":status", b"204")]),
            (200, [(b"", b"")]),
            (200, [(b"a", b"b\r\nc: d")]),
            (200, [(b"a", b"\0")]),
        ):
            self.assertRaises(ValueError, self.responder.respond, status, headers)
        self.assertRaises(ValueError, self.responder.respond, 200, [], b"", [(b"\n", b"")])
        self.assertEqual([], self.outlet.blocks)
        self.responder.respond(200)

    def test_twice(self) -> None:
        """A second response is a mistake."""
        self.responder.respond()
        self.assertRaises(RuntimeError, self.responder.respond)

    def test_informational(self) -> None:
        """Interim responses come before the final one, and are checked like it."""
        self.responder.sendInformational(103, [(b"Link", b"</a>")])
        self.assertEqual([([(b":status", b"103"), (b"link", b"</a>")], False)], self.outlet.blocks)
        for status in (101, 200, 99):
            self.assertRaises(ValueError, self.responder.sendInformational, status)
        self.responder.respond()
        self.assertRaises(RuntimeError, self.responder.sendInformational, 103)

    def test_push(self) -> None:
        """A promise goes to the connection, its fields checked; after the end there is none."""
        self.assertTrue(self.responder.push(b"/style", [(b"Accept", b"text/css")]))
        self.assertEqual([(b"/style", [(b"accept", b"text/css")])], self.outlet.promises)
        self.assertRaises(ValueError, self.responder.push, b"/", [(b"\n", b"")])
        self.responder.respond()
        self.assertFalse(self.responder.push(b"/late"))

    def test_reset(self) -> None:
        """A reset is CANCEL unless another code is given, and comes once."""
        self.responder.reset()
        self.responder.reset(ErrorCodes.REFUSED_STREAM)
        self.assertEqual([ErrorCodes.CANCEL], self.outlet.resets)

    def test_whenClosed(self) -> None:
        """Everybody who waits for the end hears of it, whoever comes late, too."""
        early = [self.responder.whenClosed(), self.responder.whenClosed()]
        self.assertNoResult(early[0])
        reason = StreamReset("gone", 5, 8)
        self.responder.closed(reason)
        for each in (*early, self.responder.whenClosed()):
            self.assertIs(reason, self.successResultOf(each))

    def test_nobodyListens(self) -> None:
        """With the client gone, every method is safe and does nothing."""
        self.responder.closed(None)
        chunks = Chunks(b"a")
        self.responder.sendInformational(103)
        self.responder.respond(200, [], chunks)
        self.assertFalse(self.responder.push(b"/"))
        self.responder.reset()
        self.assertTrue(chunks.isClosed)
        self.assertEqual(
            ([], [], []), (self.outlet.blocks, self.outlet.resets, self.outlet.promises)
        )

    def test_closeInTheMiddle(self) -> None:
        """The client's going closes the iterator, drops the rest and asks for no more."""
        chunks = Chunks(b"abcdef", b"g")
        self.responder.respond(200, [], chunks)
        self.responder.hasMore()
        self.responder.take(2)
        self.responder.closed(None)
        self.assertTrue(chunks.isClosed)
        self.assertEqual((0, False), (self.responder.pendingSize(), self.responder.hasMore()))

    def test_failingClose(self) -> None:
        """An iterator that raises when it is closed hurts nobody; it is logged."""

        def body() -> Iterator[bytes]:
            try:
                yield b"a"
            finally:
                raise ZeroDivisionError

        self.responder.respond(200, [], body())
        self.responder.hasMore()
        self.responder.closed(None)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_closeWhileDelayed(self) -> None:
        """The client's going cancels the Deferred that the body waits for."""
        cancelled: list[Deferred[bytes]] = []
        chunk: Deferred[bytes] = Deferred(cancelled.append)
        self.responder.respond(200, [], [chunk])
        self.responder.hasMore()
        self.responder.closed(None)
        self.assertEqual([chunk], cancelled)
        self.assertEqual(1, self.outlet.wanted)

    def test_generatorEndsItsOwnStream(self) -> None:
        """A generator may reset the stream that it feeds, and is closed when it has let go."""
        steps: list[str] = []

        def body() -> Iterator[bytes]:
            try:
                yield b"a"
                self.responder.reset(ErrorCodes.ENHANCE_YOUR_CALM)
                steps.append("reset")
                yield b"b"
                steps.append("not reached")
            finally:
                steps.append("closed")

        self.responder.respond(200, [], body())
        self.assertEqual([b"a"], self.drained())
        self.assertEqual([ErrorCodes.ENHANCE_YOUR_CALM], self.outlet.resets)
        self.assertEqual(["reset", "closed"], steps)
