"""Tests for :mod:`txhyper.testing.site`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txhyper.errors import BodyTooLarge, ConnectionTerminated
from txhyper.testing.responder import Responder
from txhyper.testing.site import Refusal, RequestBody, ServerRequest, Site


def makeRequest(
    method: bytes = b"GET", target: bytes = b"/", *headers: tuple[bytes, bytes]
) -> ServerRequest:
    """A request without a body."""
    fields = [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", b"example.test:8443"),
        (b":path", target),
        *headers,
    ]
    body = RequestBody(lambda: None, lambda size: None)
    return ServerRequest(fields, body, streamId=7, peer="192.0.2.1")


def endpoint(request: ServerRequest, responder: Responder) -> None:
    """An endpoint that the tests tell from others by its identity."""


def other(request: ServerRequest, responder: Responder) -> None:
    """Another one."""


class SiteTests(SynchronousTestCase):
    """A site finds the endpoint for a path and a method."""

    def setUp(self) -> None:
        self.site = Site()

    def refused(self, request: ServerRequest) -> Refusal:
        """Ask for a path in vain."""
        return self.assertRaises(Refusal, self.site.find, request)

    def test_plainPath(self) -> None:
        """A pattern without braces is the path itself, and takes GET."""
        self.site.add("/a.b", endpoint)
        self.assertIs(endpoint, self.site.find(makeRequest(target=b"/a.b?c=d")))
        self.assertEqual(404, self.refused(makeRequest(target=b"/a-b")).status)

    def test_variables(self) -> None:
        """Braces stand for one segment, decoded only after the path has been cut."""
        self.site.add("/greet/{name}/{how}", endpoint)
        request = makeRequest(target=b"/greet/Zo%C3%AB%2FX/loud")
        self.assertIs(endpoint, self.site.find(request))
        self.assertEqual({"name": "Zo\u00eb/X", "how": "loud"}, request.variables)
        self.assertEqual(404, self.refused(makeRequest(target=b"/greet/Zoe")).status)
        self.assertEqual(404, self.refused(makeRequest(target=b"/greet//loud")).status)

    def test_rest(self) -> None:
        """A starred name stands for all the rest, even none of it."""
        self.site.add("/files/{path*}", endpoint)
        for target, rest in ((b"/files/a/b%0a", "a/b\n"), (b"/files/", "")):
            request = makeRequest(target=target)
            self.site.find(request)
            self.assertEqual({"path": rest}, request.variables)

    def test_methods(self) -> None:
        """A known path with another method is a 405 that names the right ones."""
        self.site.add("/a", endpoint, b"PUT", b"POST")
        self.assertIs(endpoint, self.site.find(makeRequest(b"PUT", b"/a")))
        refusal = self.refused(makeRequest(b"GET", b"/a"))
        self.assertEqual((405, [(b"allow", b"POST, PUT")]), (refusal.status, refusal.headers))

    def test_headIsGets(self) -> None:
        """GET's endpoint answers HEAD, and the 405 says that it does."""
        self.site.add("/a", endpoint)
        self.assertIs(endpoint, self.site.find(makeRequest(b"HEAD", b"/a")))
        self.assertEqual(
            [(b"allow", b"GET, HEAD")], self.refused(makeRequest(b"POST", b"/a")).headers
        )

    def test_everyMethod(self) -> None:
        """A star takes every method."""
        self.site.add("/a", endpoint, b"*")
        self.assertIs(endpoint, self.site.find(makeRequest(b"BREW", b"/a")))

    def test_samePathTwice(self) -> None:
        """Two endpoints may share a path by method, and the last one added wins."""
        self.site.add("/a", endpoint, b"*")
        self.site.add("/a", other, b"POST")
        self.assertIs(other, self.site.find(makeRequest(b"POST", b"/a")))
        self.assertIs(endpoint, self.site.find(makeRequest(b"GET", b"/a")))

    def test_route(self) -> None:
        """The decorator adds the function and leaves it as it is."""
        self.assertIs(endpoint, self.site.route("/a", b"POST")(endpoint))
        self.assertIs(endpoint, self.site.find(makeRequest(b"POST", b"/a")))


class ServerRequestTests(SynchronousTestCase):
    """A request tells an endpoint what came."""

    def test_parts(self) -> None:
        """Method, path, query, fields and peer are told apart."""
        request = makeRequest(b"PUT", b"/a%20b?c=%C3%A9&c=&d", (b"x-y", b"z"))
        self.assertEqual(b"PUT", request.method)
        self.assertEqual(b"/a%20b?c=%C3%A9&c=&d", request.target)
        self.assertEqual("/a%20b", request.path)
        self.assertEqual([("c", "\u00e9"), ("c", ""), ("d", "")], request.arguments)
        self.assertEqual([(b"x-y", b"z")], request.headers)
        self.assertEqual("https://example.test:8443/a%20b?c=%C3%A9&c=&d", request.url)
        self.assertEqual(("192.0.2.1", 7), (request.peer, request.streamId))

    def test_header(self) -> None:
        """Several fields of one name are joined, cookies with a semicolon."""
        request = makeRequest(
            b"GET", b"/", (b"a", b"1"), (b"cookie", b"x=1"), (b"a", b"2"), (b"cookie", b"y=2")
        )
        self.assertEqual(b"1, 2", request.header(b"a"))
        self.assertEqual(b"x=1; y=2", request.header(b"cookie"))
        self.assertIsNone(request.header(b"b"))

    def test_argument(self) -> None:
        """The first of a name counts, or the default, or else it is a 400."""
        request = makeRequest(target=b"/?a=1&a=2")
        self.assertEqual("1", request.argument("a"))
        self.assertEqual("9", request.argument("b", "9"))
        self.assertEqual(400, self.assertRaises(Refusal, request.argument, "b").status)

    def test_hostForAuthority(self) -> None:
        """A client that sends Host and no authority is understood as well."""
        body = RequestBody(lambda: None, lambda size: None)
        fields = [(b":method", b"GET"), (b":path", b"/"), (b"host", b"example.test")]
        request = ServerRequest(fields, body, streamId=1, peer="")
        self.assertEqual("example.test", request.authority)

    def test_connect(self) -> None:
        """CONNECT has neither scheme nor path."""
        body = RequestBody(lambda: None, lambda size: None)
        fields = [(b":method", b"CONNECT"), (b":authority", b"example.test:443")]
        request = ServerRequest(fields, body, streamId=1, peer="")
        self.assertEqual(("", ""), (request.path, request.scheme))


class RequestBodyTests(SynchronousTestCase):
    """A body is paid for as it is read."""

    def setUp(self) -> None:
        self.paid: list[int] = []
        self.started: list[None] = []
        self.body = RequestBody(lambda: self.started.append(None), self.paid.append)

    def test_nothingPaidUnread(self) -> None:
        """What nobody reads is kept and not paid for."""
        self.body.received(b"abc", 5)
        self.body.ended()
        self.assertEqual(([], []), (self.paid, self.started))

    def test_each(self) -> None:
        """Pieces come in order, those from before the reading began first."""
        pieces: list[bytes] = []
        self.body.received(b"a", 1)
        done = self.body.each(pieces.append)
        self.body.received(b"b", 3)
        self.assertNoResult(done)
        self.body.ended()
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(([b"a", b"b"], [1, 3]), (pieces, self.paid))
        self.assertEqual(1, len(self.started))

    def test_slowCallback(self) -> None:
        """Until the callback's Deferred has fired, the piece is not paid, and no other comes."""
        waiting: list[Deferred[None]] = []

        def slow(piece: bytes) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        done = self.body.each(slow)
        self.body.received(b"a", 1)
        self.body.received(b"b", 2)
        self.body.ended()
        self.assertEqual((1, []), (len(waiting), self.paid))
        waiting[0].callback(None)
        self.assertEqual((2, [1]), (len(waiting), self.paid))
        waiting[1].callback(None)
        self.successResultOf(done)
        self.assertEqual([1, 2], self.paid)

    def test_raisingCallback(self) -> None:
        """What the callback raises is the Deferred's failure, and the reading stops."""
        done = self.body.each(lambda piece: 1 / 0)
        self.body.received(b"a", 1)
        self.failureResultOf(done, ZeroDivisionError)
        self.body.received(b"b", 1)
        self.assertEqual([], self.paid)

    def test_read(self) -> None:
        """The whole body in one piece."""
        done = self.body.read(3)
        self.body.received(b"ab", 2)
        self.body.received(b"c", 1)
        self.body.ended()
        self.assertEqual(b"abc", self.successResultOf(done))

    def test_readTooMuch(self) -> None:
        """One octet over the limit fails at once, without waiting for the end."""
        done = self.body.read(2)
        self.body.received(b"abc", 3)
        self.failureResultOf(done, BodyTooLarge)

    def test_readEnded(self) -> None:
        """A body that has ended before it is read asks the client for nothing."""
        self.body.ended()
        self.assertEqual(b"", self.successResultOf(self.body.read()))
        self.assertEqual([], self.started)

    def test_brokenOff(self) -> None:
        """A body that breaks off gives what came, and then fails."""
        pieces: list[bytes] = []
        self.body.received(b"a", 1)
        done = self.body.each(pieces.append)
        self.body.failed(Failure(ConnectionTerminated("gone")))
        self.failureResultOf(done, ConnectionTerminated)
        self.assertEqual([b"a"], pieces)

    def test_cancel(self) -> None:
        """Cancelling stops the reading, and what comes later is only kept."""
        done = self.body.read()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.body.received(b"a", 1)
        self.assertEqual([], self.paid)

    def test_secondReader(self) -> None:
        """Two readers of one body would each get half of it: the second is refused."""
        self.body.each(lambda piece: None)
        self.assertRaises(RuntimeError, self.body.read)
