"""Tests for :mod:`txhyper.adapters.hyper_response`: what is read of a response, and how."""

from __future__ import annotations

import gc
import gzip
import weakref
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.adapters.scene import OK, HyperTestCase
from tests.client.network import Connection
from txhyper import HTTP11Connection, HTTPHeaderMap, InvalidRequest
from txhyper.adapters.hyper import ChunkedDecodeError, HTTPResponse
from txhyper.errors import ConnectionTerminated, DecodingFailed, HyperError, StreamReset

GZIP = [*OK, (b"content-encoding", b"gzip")]


class ResponseTestCase(HyperTestCase):
    """A response whose head has come."""

    connection: Connection

    def respond(self, fields: Any = OK, endStream: bool = False) -> HTTPResponse:
        """A response over HTTP/2."""
        self.conn.request("GET", "/")
        if not self.network.connections:
            raise AssertionError("no request, no connection")
        if self.network.connections[-1].negotiator is None:
            self.connection = self.server()
        self.streamId = self.seen(self.connection).streamId
        self.connection.peer.sendHeaders(self.streamId, fields, endStream)
        response: HTTPResponse = self.successResultOf(self.conn.get_response())
        return response

    def respond11(self, octets: bytes) -> HTTPResponse:
        """A response over HTTP/1.1."""
        conn = self.another(HTTP11Connection, "a.test:443")
        conn.request("GET", "/")
        self.connection = self.server11()
        self.connection.peer.send(octets)
        response: HTTPResponse = self.successResultOf(conn.get_response())
        return response

    def data(self, octets: bytes, endStream: bool = False) -> None:
        """A DATA frame."""
        self.connection.peer.sendData(self.streamId, octets, endStream)


class HeadTests(ResponseTestCase):
    """What is known when the headers have come."""

    def test_http2(self) -> None:
        """Over HTTP/2: status, no reason, and the fields in the order of the wire."""
        fields = [
            (b"server", b"h2o"),
            (b"set-cookie", b"a=1"),
            (b"content-type", b"text/html; charset=utf-8"),
            (b"set-cookie", b"b=2"),
        ]
        response = self.respond([(b":status", b"404"), *fields], endStream=True)
        self.assertEqual((404, "", "HTTP/2.0", 1), self.shown(response))
        self.assertEqual([b"text/html; charset=utf-8"], response.headers["Content-Type"])
        self.assertEqual(fields, list(response.headers.iter_raw()))
        self.assertIsInstance(response.headers, HTTPHeaderMap)

    def test_http11(self) -> None:
        """Over HTTP/1.1: the reason too, and the values of each name in their order."""
        response = self.respond11(
            b"HTTP/1.1 404 Not Here\r\nX-A: 1\r\nSet-Cookie: b\r\nX-A: 2\r\n\r\n"
        )
        self.assertEqual((404, "Not Here", "HTTP/1.1", None), self.shown(response))
        self.assertEqual([b"1", b"2"], response.headers["x-a"])
        self.assertEqual([b"b"], response.headers["set-cookie"])

    def test_http10(self) -> None:
        """A server of before says so."""
        self.assertEqual("HTTP/1.0", self.respond11(b"HTTP/1.0 200 OK\r\n\r\n").version)

    def shown(self, response: HTTPResponse) -> tuple[int, str, str, int | None]:
        """What a person looks at."""
        return response.status, response.reason, response.version, response.streamId


class ReadTests(ResponseTestCase):
    """read()"""

    def test_whole(self) -> None:
        """Without an amount it is the whole body, once it has come; after that there is nothing."""
        response = self.respond()
        body = response.read()
        self.data(b"some")
        self.assertNoResult(body)
        self.data(b"thing", endStream=True)
        self.assertEqual(b"something", self.successResultOf(body))
        self.assertEqual(b"", self.successResultOf(response.read()))
        self.assertEqual(b"", self.successResultOf(response.read(10)))

    def test_amounts(self) -> None:
        """With one it is exactly so many octets, whatever the frames are, and fewer at the end."""
        response = self.respond()
        for octets in (b"abc", b"", b"defgh", b"ij"):
            self.data(octets)
        self.data(b"", endStream=True)
        read = [self.successResultOf(response.read(amt)) for amt in (2, 4, 0, 3, 4, 4)]
        self.assertEqual([b"ab", b"cdef", b"", b"ghi", b"j", b""], read)

    def test_waits(self) -> None:
        """A read fires when its octets are there, and none is empty before the end."""
        response = self.respond()
        read = response.read(4)
        self.data(b"abc")
        self.data(b"")
        self.assertNoResult(read)
        self.data(b"def")
        self.assertEqual(b"abcd", self.successResultOf(read))
        rest = response.read()
        self.data(b"g", endStream=True)
        self.assertEqual(b"efg", self.successResultOf(rest))

    def test_negative(self) -> None:
        """A negative amount is refused."""
        self.assertRaises(InvalidRequest, self.respond(endStream=True).read, -1)

    def test_decoded(self) -> None:
        """The content is decoded by default, and amounts count what comes of it."""
        response = self.respond(GZIP)
        self.data(gzip.compress(b"x" * 100), endStream=True)
        self.assertEqual(b"x" * 30, self.successResultOf(response.read(30)))
        self.assertEqual(b"x" * 70, self.successResultOf(response.read()))

    def test_raw(self) -> None:
        """It is not if nobody wants that."""
        response = self.respond(GZIP)
        octets = gzip.compress(b"x" * 100)
        self.data(octets, endStream=True)
        self.assertEqual(octets, self.successResultOf(response.read(decode_content=False)))

    def test_mixed(self) -> None:
        """To read some of it decoded and some as it came is a clear mistake."""
        response = self.respond(GZIP)
        self.data(gzip.compress(b"x" * 100), endStream=True)
        self.successResultOf(response.read(1))
        for read in (response.read, response.read_chunked):
            error = self.assertRaises(RuntimeError, read, decode_content=False)
            self.assertIn("with decode_content=True", str(error))
        self.assertEqual(b"x" * 99, self.successResultOf(response.read()))

    def test_oneAtATime(self) -> None:
        """A read that has not ended is the only one."""
        response = self.respond()
        first = response.read(1)
        for read in (response.read, response.read_chunked):
            self.assertIn("wait for it first", str(self.assertRaises(RuntimeError, read)))
        self.data(b"ab")
        self.assertEqual(b"a", self.successResultOf(first))
        self.assertEqual(b"b", self.successResultOf(response.read(1)))

    def test_cancelled(self) -> None:
        """A read that is cancelled loses nothing: the next one begins where it did."""
        response = self.respond()
        read = response.read()
        self.data(b"abc")
        read.cancel()
        self.failureResultOf(read, CancelledError)
        self.data(b"def")
        self.assertEqual(b"ab", self.successResultOf(response.read(2)))
        rest = response.read()
        self.data(b"g", endStream=True)
        self.assertEqual(b"cdefg", self.successResultOf(rest))

    def test_failed(self) -> None:
        """A body that is not complete fails each read, and is never taken for whole."""
        response = self.respond()
        read = response.read()
        self.data(b"abc")
        self.connection.peer.sendReset(1, 2)
        self.failureResultOf(read, StreamReset)
        for amt in (None, 1):
            self.failureResultOf(response.read(amt), StreamReset)
        self.failureResultOf(response.trailers, StreamReset)

    def test_corrupt(self) -> None:
        """So does one whose coding is broken."""
        response = self.respond(GZIP)
        self.data(b"no gzip at all", endStream=True)
        self.failureResultOf(response.read(), DecodingFailed)

    def test_cut(self) -> None:
        """Over HTTP/1.1 a connection that ends too early is told as such."""
        response = self.respond11(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        read = response.read()
        self.connection.lose()
        error = self.failureResultOf(read, ConnectionTerminated).value
        self.assertTrue(str(error).startswith("https://a.test: request 1: the connection ended"))
        self.failureResultOf(response.trailers, ConnectionTerminated)

    def test_malformed(self) -> None:
        """Over HTTP/1.1 a chunked coding that is broken is the server's fault, and told as such."""
        response = self.respond11(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n"
        )
        self.failureResultOf(response.read(), ChunkedDecodeError)

    def test_withoutLength(self) -> None:
        """Over HTTP/1.1 a body may end with its connection, over which hyper fell."""
        response = self.respond11(b"HTTP/1.1 200 OK\r\n\r\nsome")
        read = response.read()
        self.connection.lose()
        self.assertEqual(b"some", self.successResultOf(read))

    def test_window(self) -> None:
        """Nothing is read ahead: the stream's window is not opened before somebody asks."""
        response = self.respond()
        self.connection.peer.drain()
        for _ in range(8):
            self.data(b"x" * 16384)
        updates = [f for f in self.connection.peer.drain() if (f.kind, f.streamId) == (8, 1)]
        self.assertEqual([], updates)
        self.assertEqual(8 * 16384, len(self.successResultOf(response.read(8 * 16384))))

    def test_windowOpens(self) -> None:
        """It is opened as the body is read."""
        response = self.respond()
        self.connection.peer.drain()
        total = 0
        for _ in range(512):
            self.data(b"x" * 16384)
            total += len(self.successResultOf(response.read(16384)))
        self.assertEqual(512 * 16384, total)
        updates = [f for f in self.connection.peer.drain() if (f.kind, f.streamId) == (8, 1)]
        self.assertNotEqual([], updates)


class ChunkTests(ResponseTestCase):
    """read_chunked()"""

    async def all(self, chunks: Any) -> list[bytes]:
        """Each chunk."""
        return [chunk async for chunk in chunks]

    def test_frames(self) -> None:
        """Each DATA frame is a chunk, empty ones included."""
        response = self.respond()
        for octets in (b"abc", b"", b"d"):
            self.data(octets)
        self.data(b"e", endStream=True)
        self.assertEqual([b"abc", b"", b"d", b"e"], self.run_(self.all(response.read_chunked())))
        self.assertEqual(b"", self.successResultOf(response.read()))

    def test_raw(self) -> None:
        """With a coding that is not to be undone, each frame as it came."""
        response = self.respond(GZIP)
        octets = gzip.compress(b"x" * 100)
        self.data(octets[:9])
        self.data(octets[9:], endStream=True)
        chunks = response.read_chunked(decode_content=False)
        self.assertEqual([octets[:9], octets[9:]], self.run_(self.all(chunks)))

    def test_decoded(self) -> None:
        """With one that is, what comes of them."""
        response = self.respond(GZIP)
        self.data(gzip.compress(b"x" * 100), endStream=True)
        self.assertEqual(b"x" * 100, b"".join(self.run_(self.all(response.read_chunked()))))

    def test_http11(self) -> None:
        """Over HTTP/1.1, pieces as they come, in chunked coding or not."""
        for head in (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"\r\nabc"):
            response = self.respond11(b"HTTP/1.1 200 OK\r\n" + head)
            chunks = Deferred.fromCoroutine(self.all(response.read_chunked()))
            self.connection.lose()
            self.assertEqual([b"abc"], self.successResultOf(chunks))

    def test_cancelledWhileWaiting(self) -> None:
        """One that is cancelled while it waits has not ended: the next chunk comes to it."""
        chunks = self.respond().read_chunked()
        waiting = Deferred.fromCoroutine(chunks.__anext__())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        waiting = Deferred.fromCoroutine(chunks.__anext__())
        self.assertNoResult(waiting)
        self.data(b"x")
        self.assertEqual(b"x", self.successResultOf(waiting))

    def test_failsEachTime(self) -> None:
        """A body that was cut off does not end as a whole one does, however often one asks."""
        chunks = self.respond().read_chunked()
        self.connection.peer.sendReset(1, 2)
        for _ in range(2):
            self.failureResultOf(Deferred.fromCoroutine(chunks.__anext__()), StreamReset)

    def test_leftEarly(self) -> None:
        """An iterator that is left gives nothing up: whoever reads on gets the rest."""
        response = self.respond()

        async def one() -> bytes:
            async for chunk in response.read_chunked():
                return chunk
            raise AssertionError("no chunk")

        for octets in (b"abc", b"def"):
            self.data(octets)
        self.data(b"ghi", endStream=True)
        self.assertEqual(b"abc", self.run_(one()))
        self.assertEqual(b"d", self.successResultOf(response.read(1)))
        self.assertEqual(b"ef", self.run_(one()))
        self.assertEqual([b"ghi"], self.run_(self.all(response.read_chunked())))

    def test_failed(self) -> None:
        """What came before a failure is given out, and then the failure."""
        response = self.respond()
        self.data(b"abc")
        got: list[bytes] = []

        async def each() -> None:
            async for chunk in response.read_chunked():
                got.append(chunk)  # noqa: PERF401 - what came before the failure counts

        reading = Deferred.fromCoroutine(each())
        self.connection.peer.sendReset(1, 2)
        self.failureResultOf(reading, StreamReset)
        self.assertEqual([b"abc"], got)

    def test_twoIterators(self) -> None:
        """Two iterators take turns; both at once is a clear mistake."""
        response = self.respond()
        first, second = response.read_chunked(), response.read_chunked()
        chunk = Deferred.fromCoroutine(anext(first))
        self.failureResultOf(Deferred.fromCoroutine(anext(second)), RuntimeError)
        self.data(b"abc", endStream=True)
        self.assertEqual(b"abc", self.successResultOf(chunk))


class TrailerTests(ResponseTestCase):
    """trailers"""

    def test_http2(self) -> None:
        """They fire behind the body, each time anew."""
        response = self.respond()
        first = response.trailers
        self.data(b"abc")
        self.assertNoResult(first)
        fields = [(b"x-b", b"1"), (b"x-a", b"2")]
        self.connection.peer.sendHeaders(1, fields, endStream=True)
        self.successResultOf(response.read())
        for trailers in (self.successResultOf(first), self.successResultOf(response.trailers)):
            self.assertEqual(sorted(fields), sorted(trailers.iter_raw()))

    def test_none(self) -> None:
        """Without trailers the map is empty."""
        self.assertEqual(0, len(self.successResultOf(self.respond(endStream=True).trailers)))

    def test_http11(self) -> None:
        """Over HTTP/1.1 they follow the last chunk."""
        response = self.respond11(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n\r\n"
        )
        self.assertEqual(b"", self.successResultOf(response.read()))
        self.assertEqual([b"1"], self.successResultOf(response.trailers)["x-a"])


class CloseTests(ResponseTestCase):
    """close()"""

    def assertClosed(self, response: HTTPResponse) -> None:
        """Nothing can be read any more."""
        for read in (response.read, response.read_chunked):
            error = self.assertRaises(RuntimeError, read)
            self.assertIn("the response has been closed", str(error))

    def test_unread(self) -> None:
        """One that nobody has read resets its stream, and its connection serves on."""
        self.respond().close()
        self.assertEqual(8, self.connection.peer.expectReset(1))
        response = self.respond(endStream=True)
        self.assertEqual((3, 1), (response.streamId, len(self.network.connections)))

    def test_partlyRead(self) -> None:
        """So does one that was read in part; what was held is dropped."""
        response = self.respond()
        self.data(b"abc")
        self.successResultOf(response.read(1))
        response.close()
        response.close()
        self.assertEqual(0, len(response._held))
        self.assertEqual(8, self.connection.peer.expectReset(1))
        self.assertClosed(response)

    def test_reading(self) -> None:
        """A read that waits fails."""
        response = self.respond()
        read = response.read()
        response.close()
        self.clock.advance(0)
        self.failureResultOf(read, HyperError)
        self.assertClosed(response)

    def test_iterating(self) -> None:
        """An iterator that has begun can not go on."""
        response = self.respond()
        self.data(b"abc")
        chunks = response.read_chunked()
        self.assertEqual(b"abc", self.successResultOf(Deferred.fromCoroutine(anext(chunks))))
        response.close()
        self.failureResultOf(Deferred.fromCoroutine(anext(chunks)), RuntimeError)

    def test_complete(self) -> None:
        """One that is complete is only forgotten: nothing is reset."""
        response = self.respond()
        self.data(b"abc", endStream=True)
        response.close()
        self.assertNotIn(3, [frame.kind for frame in self.connection.peer.drain()])

    def test_http11(self) -> None:
        """Over HTTP/1.1 it costs the connection."""
        self.respond11(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome").close()
        self.assertTrue(self.connection.transport.isAborted)

    def test_context(self) -> None:
        """Leaving ``async with`` closes it; a plain ``with`` says that it takes that."""
        response = self.respond()

        async def use() -> None:
            async with response as same:
                self.assertIs(response, same)

        self.run_(use())
        self.assertEqual(8, self.connection.peer.expectReset(1))
        self.assertIn("'async with'", str(self.assertRaises(TypeError, response.__enter__)))

    def test_thrownAway(self) -> None:
        """One that is thrown away gives its body up, read in part or not at all."""
        for amt in (None, 1):
            response = self.respond()
            self.data(b"abc")
            if amt:
                self.successResultOf(response.read(amt))
            gone = weakref.ref(response)
            del response
            gc.collect()
            self.assertIsNone(gone())
            self.assertEqual(8, self.connection.peer.expectReset(self.streamId))
