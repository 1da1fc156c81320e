"""Tests for :mod:`txhyper.adapters.hyper_conversation`: requests in one go, and their responses."""

from __future__ import annotations

import gc
import io
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError

from tests.adapters.scene import OK, HyperTestCase
from tests.protocol.scene import Producer
from txhyper import HTTP11Connection, HTTPConnection, HTTPHeaderMap, InvalidRequest
from txhyper.errors import ConnectionTerminated, StreamRefused, StreamReset

#: Codes of RST_STREAM.
INTERNAL_ERROR = 2
REFUSED_STREAM = 7


class RequestTests(HyperTestCase):
    """What becomes of a request's parts."""

    def fields(self, *args: Any, **options: Any) -> dict[bytes, bytes]:
        """A request's header fields as the server sees them."""
        self.conn.request(*args, **options)
        return dict(self.seen(self.connected()).fields)

    def connected(self) -> Any:
        """The one connection, dialled if it is not."""
        if self.network.connections[-1].negotiator is None:
            self.server()
        return self.network.connections[-1]

    def test_ids(self) -> None:
        """The ids are 1, 3, 5 and so on, at once, whatever has been refused in between."""
        self.assertEqual(1, self.conn.request("GET", "/"))
        self.assertRaises(InvalidRequest, self.conn.request, "GET", "no path")
        self.assertRaises(InvalidRequest, self.conn.request, "GET", "/", headers={"a b": "c"})
        self.assertEqual(3, self.conn.request("GET", "/"))
        self.assertEqual(5, self.conn.putrequest("GET", "/"))
        self.assertEqual(7, self.conn.request("GET", "/"))

    def test_atOnce(self) -> None:
        """The request is on its way before anybody asks for its response."""
        self.conn.request("GET", "/path?query")
        request = self.seen(self.server())
        self.assertEqual(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a.test"),
                (b":path", b"/path?query"),
            ],
            request.fields,
        )
        self.assertTrue(request.endStream)

    def test_targets(self) -> None:
        """A target is a path, a star for OPTIONS, or a URI of the same origin."""
        for method, given, path in [
            ("GET", "/a?b=c", b"/a?b=c"),
            (b"GET", b"/a", b"/a"),
            ("GET", "/a#fragment", b"/a"),
            ("GET", "", b"/"),
            ("OPTIONS", "*", b"*"),
            ("OPTIONS", "/", b"/"),
            ("GET", "https://a.test/a", b"/a"),
            ("GET", "HTTPS://A.test:443", b"/"),
            ("OPTIONS", "https://a.test?b", b"/?b"),
        ]:
            self.assertEqual(path, self.fields(method, given)[b":path"], given)

    def test_badTargets(self) -> None:
        """Others are refused before anything is sent."""
        for method, given, said in [
            ("GET", "*", "'*' is for OPTIONS"),
            ("GET", "a/b", "is not absolute"),
            ("GET", "/a b", "not printable ASCII"),
            ("GET", "/b\xfccher", "not printable ASCII"),
            ("GET", "https://b.test/", "another origin than https://a.test"),
            ("GET", "http://a.test/", "another origin"),
            ("GET", "https://a.test:8443/", "another origin"),
            ("G E T", "/", "is not a token"),
            ("CONNECT", "/", "see TunnelEndpoint"),
        ]:
            error = self.assertRaises(InvalidRequest, self.conn.request, method, given)
            self.assertIn(said, str(error))
        self.assertEqual([], self.network.connections)

    def test_bodies(self) -> None:
        """Text becomes UTF-8, bytes stay; a length that is known is told."""
        for given, octets in [("k\xf6y=value", b"k\xc3\xb6y=value"), (b"\xff", b"\xff")]:
            fields = self.fields("POST", "/post", given)
            self.assertEqual(b"%d" % len(octets), fields[b"content-length"])
            frame = self.network.connections[-1].peer.expectData()
            self.assertEqual((octets, True), (frame.payload, bool(frame.flags & 1)))

    def test_kibibyte(self) -> None:
        """A body whose length is a multiple of 1 KiB ends, which it never did with hyper."""
        for size in [1024, 2048]:
            self.fields("POST", "/", b"x" * size)
            frame = self.network.connections[-1].peer.expectData()
            self.assertEqual((size, 1), (len(frame.payload), frame.flags & 1))

    def test_data(self) -> None:
        """``data=`` is the body's other name; both at once are one too many."""
        self.assertEqual(b"9", self.fields("POST", "/post", data="key=value")[b"content-length"])
        self.assertRaises(TypeError, self.conn.request, "POST", "/", b"a", data=b"b")

    def test_files(self) -> None:
        """A file is sent from its position on, with its length, and stays open."""
        file = io.BytesIO(b"skipped|sent")
        file.seek(8)
        fields = self.fields("POST", "/", file)
        self.assertEqual(b"4", fields[b"content-length"])
        self.assertEqual(b"sent", self.network.connections[-1].peer.expectData().payload)
        self.assertFalse(file.closed)

    def test_otherBodies(self) -> None:
        """Iterables and producers are bodies as well."""
        for body in [iter([b"some", b"thing"]), Producer()]:
            fields = self.fields("POST", "/", body)
            self.assertNotIn(b"transfer-encoding", fields)

    def test_noBodies(self) -> None:
        """What is no body is refused, a form that has not been encoded with what to do."""
        for body, said in [
            ({"key": "value"}, "urllib.parse.urlencode"),
            (7, "a body is"),
            (io.StringIO("text"), "binary mode"),
        ]:
            error = self.assertRaises(InvalidRequest, self.conn.request, "POST", "/", body)
            self.assertIn(said, str(error))

    def test_headers(self) -> None:
        """Headers may be a mapping, pairs, or a map of ours; text or bytes; several of a name."""
        for given in [
            {"X-A": "1", b"x-b": [b"2", "3"]},
            [("x-a", "1"), ("x-b", b"2"), (b"X-B", "3")],
            HTTPHeaderMap([("x-a", "1"), ("x-b", "2"), ("x-b", "3")]),
        ]:
            self.conn.request("GET", "/", headers=given)
            fields = self.seen(self.connected()).fields
            self.assertEqual([(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3")], fields[4:])

    def test_host(self) -> None:
        """A Host field takes the authority's place."""
        self.assertEqual(
            b"b.test", self.fields("GET", "/", headers={"Host": "b.test"})[b":authority"]
        )

    def test_connectionFields(self) -> None:
        """Fields that speak of the connection are left out, so that code for HTTP/1.1 runs."""
        fields = self.fields(
            "GET",
            "/",
            headers={
                "Connection": "keep-alive, X-Hop, TE",
                "Keep-Alive": "timeout=5",
                "Proxy-Connection": "keep-alive",
                "Transfer-Encoding": "chunked",
                "Upgrade": "h2c",
                "X-Hop": "1",
                "TE": "trailers",
                "X-Kept": "2",
            },
        )
        del fields[b":method"], fields[b":scheme"], fields[b":authority"], fields[b":path"]
        self.assertEqual({b"te": b"trailers", b"x-kept": b"2"}, fields)
        self.assertNotIn(b"te", self.fields("GET", "/", headers={"TE": "gzip"}))

    def test_badHeaders(self) -> None:
        """Fields that are not valid are refused at once; nothing is sent."""
        for headers in [
            {"a b": "c"},
            {":path": "/"},
            {"x-a": "b\r\nx-c: d"},
            {"content-length": "3"},
            [("content-length", "1"), ("content-length", "1")],
            [("host", "a.test"), ("host", "b.test")],
        ]:
            self.assertRaises(InvalidRequest, self.conn.request, "POST", "/", b"x", headers)
        self.assertRaises(TypeError, self.conn.request, "GET", "/", None, {"x-a": 1})
        self.assertEqual([], self.network.connections)


class ResponseTests(HyperTestCase):
    """Which response belongs to which request."""

    def test_matched(self) -> None:
        """Responses may be taken in any order, and come in any; each is its request's."""
        first = self.conn.request("GET", "/get")
        second = self.conn.request("POST", "/post", data="key=value")
        third = self.conn.request("GET", "/ip")
        connection = self.server()
        for streamId in (5, 1, 3):
            connection.answer(streamId, b"%d" % streamId)
        for asked, body in [(second, b"3"), (first, b"1"), (third, b"5")]:
            response = self.successResultOf(self.conn.getresponse(asked))
            self.assertEqual(body, self.successResultOf(response.read()))

    def test_oldest(self) -> None:
        """Without an id it is the oldest whose response nobody has taken, answered or not."""
        for path in ("/1", "/3", "/5"):
            self.conn.request("GET", path)
        connection = self.server()
        taken = self.conn.get_response(3)
        pair = [self.conn.get_response(), self.conn.get_response()]
        for streamId in (5, 3, 1):
            connection.answer(streamId)
        responses = [self.successResultOf(each) for each in [*pair, taken]]
        self.assertEqual([1, 5, 3], [response.streamId for response in responses])

    def test_unknown(self) -> None:
        """An id that there is not, or whose response has been taken, is a clear mistake."""
        self.conn.request("GET", "/")
        taken = self.conn.get_response(1)
        for given, said in [
            (1, "request 1: its response has been taken already"),
            (3, "request 3: there is no such request"),
            (2, "request 2: there is no such request"),
            (-1, "there is no such request"),
            ("1", "request '1': there is no such request"),
            (None, "every response has been taken already"),
        ]:
            error = self.assertRaises(InvalidRequest, self.conn.get_response, given)
            self.assertIn(said, str(error))
        self.server().answer(1)
        self.successResultOf(taken)
        error = self.assertRaises(InvalidRequest, self.conn.get_response, 1)
        self.assertIn("request 1: its response has been taken already", str(error))

    def test_cancelled(self) -> None:
        """Cancelling resets that request's stream, and no other."""
        self.conn.request("GET", "/1")
        self.conn.request("GET", "/3")
        taken, other = self.conn.get_response(), self.conn.get_response()
        connection = self.server()
        taken.cancel()
        self.failureResultOf(taken, CancelledError)
        self.assertEqual(8, connection.peer.expectReset(1))
        connection.answer(3)
        self.assertEqual(200, self.successResultOf(other).status)

    def test_cancelledBefore(self) -> None:
        """One that has not been sent is never sent."""
        self.conn.request("GET", "/1")
        self.conn.request("GET", "/3")
        taken = self.conn.get_response()
        taken.cancel()
        self.failureResultOf(taken, CancelledError)
        self.assertEqual(b"/3", self.seen(self.server())[b":path"])

    def test_plainErrors(self) -> None:
        """Errors come out as they are, in nothing else, be they early or asked for late."""
        self.conn.request("GET", "/1")
        self.conn.request("GET", "/3")
        early = self.conn.get_response(1)
        connection = self.server()
        for streamId in (1, 3):
            connection.peer.sendReset(streamId, INTERNAL_ERROR)
        self.failureResultOf(early, StreamReset)
        self.failureResultOf(self.conn.get_response(3), StreamReset)

    def test_connectionLost(self) -> None:
        """When the connection ends, each of its requests is told so."""
        self.conn.request("POST", "/", b"x")
        taken = self.conn.get_response()
        connection = self.server()
        self.seen()
        connection.lose()
        self.failureResultOf(taken, ConnectionTerminated)

    def test_notConnected(self) -> None:
        """Errors of connecting are Twisted's own."""
        self.conn.request("GET", "/")
        self.network.connections[0].connecting.errback(ConnectError())
        self.failureResultOf(self.conn.get_response(), ConnectError)

    def test_bodyFails(self) -> None:
        """What a body's own code raises is what comes out."""

        def pieces() -> Any:
            yield b"some"
            raise ZeroDivisionError("in the body")

        self.conn.request("POST", "/", pieces())
        taken = self.conn.get_response()
        connection = self.server()
        self.failureResultOf(taken, ZeroDivisionError)
        self.assertEqual(8, connection.peer.expectReset(1))

    def test_unheard(self) -> None:
        """A failure that nobody asks for makes no noise."""
        self.conn.request("GET", "/")
        self.server().peer.sendReset(1, INTERNAL_ERROR)
        self.made.remove(self.conn)
        agent, self.conn = self.conn._agent, self.another(HTTPConnection)
        gc.collect()
        closed = agent.close()
        self.network.connections[0].lose()
        self.successResultOf(closed)

    def test_retried(self) -> None:
        """One that is sent again keeps its id here, whatever it is on the wire."""
        self.conn.request("GET", "/")
        connection = self.server()
        connection.peer.sendReset(1, REFUSED_STREAM)
        self.clock.advance(10)
        connection.answer(3, b"again")
        response = self.successResultOf(self.conn.get_response(1))
        self.assertEqual(3, response.streamId)
        self.assertEqual(b"again", self.successResultOf(response.read()))

    def test_refusedForGood(self) -> None:
        """One that is refused each time is told so."""
        self.conn.request("POST", "/", iter([b"x"]))
        taken = self.conn.get_response()
        self.server().peer.sendReset(1, REFUSED_STREAM)
        self.failureResultOf(taken, StreamRefused)

    def test_secondConnection(self) -> None:
        """The ids go on when the first connection is gone."""
        self.conn.request("GET", "/")
        first = self.server()
        first.answer(1)
        self.successResultOf(self.conn.get_response())
        first.lose()
        self.assertEqual(3, self.conn.request("GET", "/"))
        self.server().answer(1)
        self.assertEqual(1, self.successResultOf(self.conn.get_response(3)).streamId)

    def test_forgotten(self) -> None:
        """What has been taken is remembered by nobody here."""
        for _ in range(3):
            self.conn.request("GET", "/")
        connection = self.server()
        for streamId in (1, 3, 5):
            connection.answer(streamId)
            self.successResultOf(self.conn.get_response())
        gc.collect()
        self.assertEqual(({}, 0), (self.conn._requests, len(self.conn._responses)))

    def test_http11(self) -> None:
        """Over HTTP/1.1 the id is no stream's, and serves as well."""
        connection = self.another(HTTP11Connection, "a.test:443")
        self.assertEqual(1, connection.request("GET", "/"))
        peer = self.server11().peer
        peer.send(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nhi")
        response = self.successResultOf(connection.get_response(1))
        self.assertEqual((200, "Fine", None), (response.status, response.reason, response.streamId))
        self.assertEqual(b"hi", self.successResultOf(response.read()))
        self.assertEqual(3, connection.request("GET", "/"))

    def test_early(self) -> None:
        """A response that comes before it is asked for waits, and holds its window."""
        self.conn.request("GET", "/")
        connection = self.server()
        connection.peer.sendHeaders(1, OK)
        connection.peer.sendData(1, b"x" * 16000)
        gc.collect()
        response = self.successResultOf(self.conn.get_response())
        self.assertEqual(16000, len(self.successResultOf(response.read(16000))))
