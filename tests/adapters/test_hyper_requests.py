"""Tests for :mod:`txhyper.adapters.hyper_requests`: requests that are put together by hand."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError

from tests.adapters.scene import OK, HyperTestCase
from txhyper import Bounds, HTTP11Connection, HTTP20Connection, HTTPConnection, InvalidRequest
from txhyper.errors import BoundExceeded, LengthMismatch, StreamReset

#: The window of a stream that nobody has enlarged, in octets.
WINDOW = 65535


class HeaderTests(HyperTestCase):
    """putrequest, putheader, endheaders."""

    def test_sentByEndheaders(self) -> None:
        """Nothing is sent before endheaders, and then at once."""
        self.assertEqual(1, self.conn.putrequest("GET", "/path"))
        self.conn.putheader("X-A", "1")
        self.conn.putheader(b"X-B", b"2")
        self.assertEqual([], self.network.connections)
        self.successResultOf(self.conn.endheaders(final=True))
        request = self.seen(self.server())
        self.assertEqual((b"/path", True), (request[b":path"], request.endStream))
        self.assertEqual([(b"x-a", b"1"), (b"x-b", b"2")], request.fields[4:])

    def test_replace(self) -> None:
        """A field may take the place of those with the same name."""
        self.conn.putrequest("GET", "/")
        self.conn.putheader("x-a", "1")
        self.conn.putheader("x-a", "2", replace=True)
        self.conn.endheaders(final=True)
        self.assertEqual([(b"x-a", b"2")], self.seen(self.server()).fields[4:])

    def test_connectionFields(self) -> None:
        """Fields that speak of the connection are left out here as well."""
        self.conn.putrequest("GET", "/")
        self.conn.putheader("Connection", "close, X-Hop")
        self.conn.putheader("X-Hop", "1")
        self.conn.endheaders(final=True)
        self.assertEqual([], self.seen(self.server()).fields[4:])

    def test_sideBySide(self) -> None:
        """Several may be put together at the same time, by their ids; without, it is the last."""
        first, second = self.conn.putrequest("GET", "/1"), self.conn.putrequest("GET", "/3")
        self.conn.putheader("x-n", "1", stream_id=first)
        self.conn.putheader("x-n", "3")
        self.conn.endheaders(final=True)
        self.conn.endheaders(final=True, stream_id=first)
        self.assertEqual((1, 3), (first, second))
        connection = self.server()
        for path, number in [(b"/3", b"3"), (b"/1", b"1")]:
            request = self.seen(connection)
            self.assertEqual((path, number), (request[b":path"], request[b"x-n"]))

    def test_wholeBody(self) -> None:
        """A body that is all there is told with its length, and ends the stream."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders("k\xf6y", final=True)
        request = self.seen(self.server())
        self.assertEqual(b"4", request[b"content-length"])
        self.assertEqual((b"k\xc3\xb6y", True), self.upload())

    def test_mistakes(self) -> None:
        """What is not valid is refused where it is given, and nothing is sent."""
        for call, said in [
            (lambda: self.conn.putheader("x-a", "1"), "putrequest comes first"),
            (lambda: self.conn.endheaders(), "putrequest comes first"),
            (lambda: self.conn.send(b""), "putrequest comes first"),
            (lambda: self.conn.putrequest("CONNECT", "/"), "see TunnelEndpoint"),
            (lambda: self.conn.putrequest("GET", "no path"), "printable ASCII"),
            (lambda: self.conn.putrequest("GET", "/"), None),
            (lambda: self.conn.putheader("a b", "c"), "is not a token"),
            (lambda: self.conn.putheader("a", "b\n"), "the value of a"),
            (lambda: self.conn.putheader("a", "b", 3), "request 3: there is no such request"),
            (lambda: self.conn.send(b"early"), "request 1: endheaders comes before send"),
            (lambda: self.conn.endheaders({}, final=True), "urlencode"),
            (lambda: self.conn.endheaders(7), "a body is"),
        ]:
            if said is None:
                call()
            else:
                self.assertIn(said, str(self.assertRaises(InvalidRequest, call)))
        self.assertEqual([], self.network.connections)

    def test_tooLate(self) -> None:
        """After endheaders there are no more headers, and after the last piece no more pieces."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        for call in [lambda: self.conn.putheader("a", "b"), self.conn.endheaders]:
            error = self.assertRaises(InvalidRequest, call)
            self.assertEqual(
                "https://a.test: request 1: its headers have ended already", str(error)
            )
        self.assertIn("None", str(self.assertRaises(InvalidRequest, self.conn.send, None)))
        self.conn.send(b"", final=True)
        error = self.assertRaises(InvalidRequest, self.conn.send, b"more")
        self.assertEqual("https://a.test: request 1: its body has ended already", str(error))

    def test_requestsInOneGo(self) -> None:
        """One that was sent in one go takes nothing more."""
        self.conn.request("POST", "/", b"all")
        error = self.assertRaises(InvalidRequest, self.conn.send, b"more", stream_id=1)
        self.assertIn("its body has ended already", str(error))
        connection = self.server()
        connection.answer(1)
        self.successResultOf(self.conn.get_response())
        error = self.assertRaises(InvalidRequest, self.conn.send, b"more", stream_id=1)
        self.assertIn("it has been sent and answered already", str(error))

    def test_givenUp(self) -> None:
        """One that is given up before its headers have ended takes none any more."""
        self.conn.putrequest("POST", "/")
        response = self.conn.get_response()
        response.cancel()
        self.failureResultOf(response, CancelledError)
        error = self.assertRaises(InvalidRequest, self.conn.endheaders)
        self.assertIn("request 1 has been given up", str(error))


class SendTests(HyperTestCase):
    """send()"""

    def begin(self, kind: type[HTTPConnection] = HTTP20Connection, **options: Any) -> Any:
        """A request that is put together by hand, on a connection that is there."""
        self.conn = self.another(kind, "a.test:443", **options)
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        return self.server() if kind is HTTP20Connection else self.server11()

    def test_pieces(self) -> None:
        """Pieces go out as they are sent, and the last one ends the stream."""
        self.begin()
        self.seen()
        for piece, sent in [("k\xf6y", b"k\xc3\xb6y"), (b"=", b"="), (bytearray(b"v"), b"v")]:
            self.successResultOf(self.conn.send(piece))
            self.assertEqual((sent, False), self.upload())
        self.successResultOf(self.conn.send(b"alue", final=True))
        self.assertEqual((b"alue", True), self.upload())

    def test_firstPiece(self) -> None:
        """endheaders may bring the first piece."""
        self.conn.putrequest("POST", "/")
        sent = self.conn.endheaders(b"first")
        self.assertNoResult(sent)
        self.server()
        self.successResultOf(sent)
        self.assertEqual((b"first", False), self.upload())
        self.conn.send(b"", final=True)
        self.assertEqual((b"", True), self.upload())

    def test_beforeTheConnection(self) -> None:
        """What is sent before there is a connection waits for it, in order."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        sent = [self.conn.send(b"%d" % n, final=n == 3) for n in range(4)]
        self.assertNoResult(sent[0])
        self.server()
        for each in sent:
            self.successResultOf(each)
        self.assertEqual((b"0123", True), self.upload())

    def test_kibibytes(self) -> None:
        """Pieces of 1 KiB end as any others, which they never did with hyper."""
        self.begin()
        self.conn.send(b"x" * 1024)
        self.conn.send(b"x" * 1024, final=True)
        self.assertEqual((b"x" * 2048, True), self.upload())

    def test_files(self) -> None:
        """A file is a piece from its position on, is read as it is sent, and stays open."""
        self.begin()
        file = io.BytesIO(b"skipped|sent")
        file.seek(8)
        self.conn.send(b"<")
        self.conn.send(file)
        self.conn.send(b">", final=True)
        self.assertEqual((b"<sent>", True), self.upload())
        self.assertFalse(file.closed)

    def test_backPressure(self) -> None:
        """The Deferred fires when more is wanted: not while the window is full."""
        connection = self.begin()
        sent = self.conn.send(b"x" * (WINDOW + 200000))
        self.assertEqual(WINDOW, len(self.upload()[0]))
        self.assertNoResult(sent)
        later = self.conn.send(b"y" * 10)
        connection.peer.sendWindowUpdate(0, 10**6)
        connection.peer.sendWindowUpdate(1, 10**6)
        self.assertEqual(b"x" * 200000 + b"y" * 10, self.upload()[0])
        self.successResultOf(sent)
        self.successResultOf(later)

    def test_largeFile(self) -> None:
        """No more of a file is read than can be sent."""
        connection = self.begin()
        file = io.BytesIO(b"x" * 1000000)
        sent = self.conn.send(file, final=True)
        octets, isEnd = self.upload()
        self.assertLess(file.tell(), 400000)
        self.assertNoResult(sent)
        connection.peer.sendWindowUpdate(0, 10**6)
        connection.peer.sendWindowUpdate(1, 10**6)
        while not isEnd:
            more, isEnd = self.upload()
            octets += more
        self.assertEqual(1000000, len(octets))
        self.successResultOf(sent)

    def test_bound(self) -> None:
        """Who sends without ever waiting is stopped, and may go on once there is room."""
        connection = self.begin(bounds=Bounds(unsent_octets=1000000))
        for _ in range(3):
            sent = self.conn.send(b"x" * 600000)
        error = self.assertRaises(BoundExceeded, self.conn.send, b"y")
        self.assertEqual("unsent_octets", error.bound)
        connection.peer.sendWindowUpdate(0, 10**7)
        connection.peer.sendWindowUpdate(1, 10**7)
        self.upload()
        self.clock.advance(1)
        self.successResultOf(sent)
        self.successResultOf(self.conn.send(b"y"))

    def test_boundOfCrumbs(self) -> None:
        """Empty pieces cost something as well."""
        self.conn = self.another(HTTP20Connection, bounds=Bounds(unsent_octets=10000))
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()

        def crumbs() -> None:
            for _ in range(1000):
                self.conn.send(b"")

        self.assertRaises(BoundExceeded, crumbs)

    def test_cancelled(self) -> None:
        """Cancelling the wait takes nothing back."""
        connection = self.begin()
        sent = self.conn.send(b"x" * 300000, final=True)
        sent.cancel()
        self.failureResultOf(sent, CancelledError)
        connection.peer.sendWindowUpdate(0, 10**6)
        connection.peer.sendWindowUpdate(1, 10**6)
        octets, isEnd = self.upload()
        self.assertEqual((300000, True), (len(octets), isEnd))

    def test_sendingFromTheWait(self) -> None:
        """Who is told that more may be sent may send it at once, any number of times."""
        self.conn.putrequest("POST", "/")
        left = 3000

        def more(ignored: None) -> None:
            nonlocal left
            left -= 1
            if left:
                self.conn.send(b".", final=left == 1).addCallback(more)

        self.conn.endheaders(b"0").addCallback(more)
        self.server()
        self.assertEqual((b"0" + b"." * 2999, True), self.upload())

    def test_manyAtOnce(self) -> None:
        """Any number of pieces may have gathered by the time at which they are wanted."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        sent = [self.conn.send(b".") for _ in range(3000)]
        self.server()
        self.assertEqual((b"." * 3000, False), self.upload())
        self.successResultOf(sent[-1])

    def test_lengthTooShort(self) -> None:
        """A content-length that was announced and is not kept fails the request."""
        self.conn.putrequest("POST", "/")
        self.conn.putheader("content-length", "3")
        self.conn.endheaders(b"four")
        response = self.conn.get_response()
        self.server()
        self.failureResultOf(response, LengthMismatch)

    def test_lengthKept(self) -> None:
        """One that is kept is told to the server."""
        self.conn.putrequest("POST", "/")
        self.conn.putheader("content-length", "4")
        self.conn.endheaders()
        self.conn.send(b"four", final=True)
        self.assertEqual(b"4", self.seen(self.server())[b"content-length"])
        self.assertEqual((b"four", True), self.upload())

    def test_http11(self) -> None:
        """Over HTTP/1.1 it is a chunked body."""
        connection = self.begin(HTTP11Connection)
        self.conn.send(b"some")
        self.conn.send(b"thing", final=True)
        written = self.written()
        self.assertIn(b"Transfer-Encoding: chunked\r\n", written)
        self.assertTrue(written.endswith(b"\r\n\r\n4\r\nsome\r\n5\r\nthing\r\n0\r\n\r\n"), written)
        connection.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(200, self.successResultOf(self.conn.get_response()).status)


class EndTests(HyperTestCase):
    """What becomes of an upload whose request ends first."""

    def begin(self) -> Any:
        """A request with an upload that the window holds up."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        self.sent = self.conn.send(b"x" * 300000)
        return self.server()

    def assertUnwanted(self) -> None:
        """Who waits to send more is let go, and may send what nobody wants."""
        self.successResultOf(self.sent)
        self.successResultOf(self.conn.send(b"more"))
        self.successResultOf(self.conn.send(b"more", final=True))
        self.assertRaises(InvalidRequest, self.conn.send, b"more")

    def test_answered(self) -> None:
        """A server that answers without it gets no more of it; the response tells."""
        connection = self.begin()
        connection.peer.sendHeaders(1, [(b":status", b"413")], endStream=True)
        self.assertUnwanted()
        self.assertEqual(413, self.successResultOf(self.conn.get_response()).status)

    def test_duplex(self) -> None:
        """One that answers with a 2xx gets the rest, its response taken or not."""
        connection = self.begin()
        connection.peer.sendHeaders(1, OK)
        self.successResultOf(self.conn.get_response())
        connection.peer.sendWindowUpdate(0, 10**6)
        connection.peer.sendWindowUpdate(1, 10**6)
        self.conn.send(b"end", final=True)
        octets, isEnd = self.upload()
        self.assertEqual((300003, b"end", True), (len(octets), octets[-3:], isEnd))
        self.assertEqual({}, self.conn._requests)

    def test_reset(self) -> None:
        """When the server resets the stream, the response fails, and sending does not."""
        connection = self.begin()
        connection.peer.sendReset(1, 2)
        self.assertUnwanted()
        self.failureResultOf(self.conn.get_response(), StreamReset)

    def test_neverBegun(self) -> None:
        """Likewise, if there was never a connection."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        self.sent = self.conn.send(b"some")
        self.network.connections[0].connecting.errback(ConnectError())
        self.assertUnwanted()
        self.failureResultOf(self.conn.get_response(), ConnectError)

    def test_cancelled(self) -> None:
        """Likewise, if the response was cancelled."""
        connection = self.begin()
        response = self.conn.get_response()
        response.cancel()
        self.failureResultOf(response, CancelledError)
        self.assertEqual(8, connection.peer.expectReset(1))
        self.assertUnwanted()
        self.assertEqual({}, self.conn._requests)

    def test_pieceFails(self) -> None:
        """What a piece's own code raises is what the response fails with."""

        def pieces() -> Any:
            yield b"some"
            raise ZeroDivisionError("in a piece")

        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        connection = self.server()
        self.successResultOf(self.conn.send(pieces()))
        self.failureResultOf(self.conn.get_response(), ZeroDivisionError)
        self.assertEqual(8, connection.peer.expectReset(1))

    def test_tellingGivesUp(self) -> None:
        """Who is told that more may be sent may give the request up."""
        self.conn.putrequest("POST", "/")
        response = self.conn.get_response()
        sent = self.conn.endheaders(b"some")
        self.conn.send(b"more")
        sent.addCallback(lambda _: response.cancel())
        connection = self.server()
        self.failureResultOf(response, CancelledError)
        self.assertEqual(8, connection.peer.expectReset(1))
        self.successResultOf(sent)


class LastTests(HyperTestCase):
    """What is kept of requests that are over."""

    def test_unended(self) -> None:
        """One whose body never ends is forgotten when the connection is closed."""
        self.conn.putrequest("POST", "/")
        self.conn.endheaders()
        connection = self.server()
        connection.answer(1)
        self.successResultOf(self.conn.get_response())
        self.assertEqual([1], list(self.conn._requests))
        closed: Deferred[None] = self.conn.close()
        connection.lose()
        self.successResultOf(closed)
        self.assertEqual({}, self.conn._requests)
