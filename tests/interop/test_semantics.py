"""
What HTTP knows besides a body and a status, against real servers.

Trailers both ways, informational responses, ``Expect: 100-continue``, responses without a body,
refusals in the midst of an upload, padding and empty frames. The same promises hold over HTTP/2 and
HTTP/1.1, so most tests are there once, and each class below names a server and a protocol. What a
server does not have is left out of its class, or said in a test of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import unittest
from collections.abc import Iterator

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from txhyper import Agent, Bounds, ConnectionPool, ConnectionTerminated, Request
from txhyper.client.tls import policyTrusting

from . import bodies
from .fetching import Relay, digestOf
from .launchers import (
    Hypercorn,
    Launcher,
    LavishNghttpd,
    Node,
    NodeHTTP1,
    PaddingNode,
    StoringNginx,
    TwistedWeb,
    TwistedWebHTTP1,
    running,
)

HTTP2 = (b"HTTP", 2, 0)
HTTP11 = (b"HTTP", 1, 1)
LINKS = [b"</style.css>; rel=preload; as=style", b"</script.js>; rel=preload; as=script"]
#: So long that a body which waits for the server's 100 never starts without it.
NEVER = 3600.0
#: So short that the wait ends by itself, for the servers that never say 100.
SOON = 0.05


class Begun:
    """An iterable body that remembers how much of it was taken."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in bodies.blocks(self.size):
            self.taken += len(block)
            yield block


class ServerCase:
    """One server, an agent that trusts it, and what both of them said."""

    launcher: type[Launcher]
    version = HTTP2
    timeout = 30
    continueTimeout = NEVER

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.relay = Relay(reactor, self.server.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.relay.stop()))
        self.frames: list[str] = []
        bounds = Bounds(continue_timeout=self.continueTimeout)
        pool = ConnectionPool(reactor, bounds=bounds, onFrame=self.frames.append)
        self.agent = Agent(reactor, policyTrusting(self.server.authority.pem), pool=pool)
        self.addCleanup(self.agent.close)
        self.informed: list[tuple[int, list[bytes]]] = []

    def onInformational(self, status: int, headers: Headers) -> None:
        """Note the status and the links, which a server may send in one line."""
        links = headers.getRawHeaders(b"link", [])
        self.informed.append((status, [link for line in links for link in line.split(b", ")]))

    def request(self, method: bytes, path: str, *args: object, **more: object) -> Request:
        """A request to this server that notes what it is informed of."""
        more.setdefault("onInformational", self.onInformational)
        return Request(method, self.relay.url(path), *args, **more)

    async def send(self, method: bytes, path: str, *args: object, **more: object) -> IResponse:
        """Send a request over the protocol that this class is about."""
        response = await self.agent.send(self.request(method, path, *args, **more))
        self.assertEqual(response.version, self.version)
        return response

    async def checkGoesOn(self) -> None:
        """The server answers the next request."""
        response = await self.send(b"GET", "/100")
        self.assertEqual((response.code, await response.read()), (200, bodies.body(100)))


class TrailerTests:
    """The server sends a digest behind its body."""

    async def test_responseTrailers(self) -> None:
        """Trailers come behind the body, in a place of their own."""
        response = await self.send(b"GET", "/trailers", Headers({b"te": [b"trailers"]}))
        early = response.whenTrailers()
        self.assertFalse(early.called)
        size = bodies.MEBIBYTE
        self.assertEqual(await digestOf(response), (size, bodies.digest(size)))
        for trailers in (await early, await response.whenTrailers()):
            self.assertEqual(
                list(trailers.getAllRawHeaders()), [(b"X-Sha256", [bodies.digest(size).encode()])]
            )
        self.assertFalse(response.headers.hasHeader(b"x-sha256"))

    async def test_noTrailers(self) -> None:
        """A response without trailers has an empty section of them."""
        response = await self.send(b"GET", "/100")
        await response.read()
        self.assertEqual(list((await response.whenTrailers()).getAllRawHeaders()), [])


class HintTests:
    """The server informs its clients before it answers them."""

    async def test_earlyHints(self) -> None:
        """
        Hints are told while the response is still being made.

        This server does not answer before another request asks it to: and that one is sent when
        the hints have come.
        """
        released = []

        def onInformational(status: int, headers: Headers) -> None:
            self.onInformational(status, headers)
            released.append(self.agent.send(self.request(b"GET", "/release")))

        response = await self.send(b"GET", "/hints", onInformational=onInformational)
        self.assertEqual((response.code, await response.read()), (200, b"after the hints"))
        self.assertEqual(self.informed, [(103, LINKS)])
        self.assertFalse(response.headers.hasHeader(b"link"))
        self.assertEqual((await released[0]).code, 204)

    async def test_severalInformational(self) -> None:
        """Each of several informational responses is told, in order, and then the final one."""
        response = await self.send(b"GET", "/informational")
        self.assertEqual((response.code, await response.read()), (200, b"after three"))
        self.assertEqual(self.informed, [(102, []), (103, LINKS[:1]), (103, LINKS[1:])])


class UploadTests:
    """The server reads uploads, and is told of their trailers."""

    async def test_requestTrailers(self) -> None:
        """Trailers made once the body is out, such as its digest, reach the server behind it."""
        size = bodies.MEBIBYTE
        sha = hashlib.sha256()

        def body() -> Iterator[bytes]:
            for block in bodies.blocks(size):
                sha.update(block)
                yield block

        response = await self.send(
            b"POST",
            "/request-trailers",
            Headers({b"trailer": [b"x-sha256"]}),
            body(),
            trailers=lambda: Headers({b"x-sha256": [sha.hexdigest().encode()]}),
        )
        expected = bodies.digest(size)
        self.assertEqual(
            json.loads(await response.read()),
            {"sha256": expected, "trailers": {"x-sha256": expected}},
        )

    async def test_trailersAfterNothing(self) -> None:
        """A request without a body may have trailers as well."""
        trailers = Headers({b"x-one": [b"1"], b"x-two": [b"2"]})
        response = await self.send(b"POST", "/request-trailers", trailers=trailers)
        self.assertEqual(
            json.loads(await response.read()),
            {"sha256": bodies.digest(0), "trailers": {"x-one": "1", "x-two": "2"}},
        )

    async def test_continue(self) -> None:
        """The body, which would wait for hours, goes out when the server says 100; that is told."""
        size = bodies.MEBIBYTE
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", "/continue", expect, bodies.blocks(size))
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())
        self.assertEqual(self.informed, [(100, [])])

    async def checkNotWanted(self, path: str, status: int) -> None:
        """A server that does not want the body gets nothing of it, and is heard."""
        body = Begun(bodies.MEBIBYTE)
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", path, expect, body)
        self.assertEqual((response.code, await response.read()), (status, b"no"))
        self.assertEqual((body.taken, self.informed), (0, []))
        await self.checkGoesOn()

    async def test_expectationFailed(self) -> None:
        """A server that answers 417 gets the same request again, without the expectation."""
        size = bodies.MEBIBYTE
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", "/expectation-failed", expect, bodies.blocks(size))
        self.assertEqual(response.code, 200)
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())
        self.assertEqual(self.informed, [])
        await self.checkGoesOn()

    async def test_tooLarge(self) -> None:
        """A server that will not take the body gets none."""
        await self.checkNotWanted("/too-large", 413)

    async def test_refusedMidway(self) -> None:
        """
        A server that refuses after the first octets is heard, and the rest of the upload stays.

        The server reads no more, so that the body cannot be sent whole. Over HTTP/2 this costs the
        stream, and over HTTP/1.1 the connection, which does not wait for the server's mercy.
        """
        body = Begun(32 * bodies.MEBIBYTE)
        response = await self.send(b"POST", "/refused-midway", None, body)
        self.assertEqual((response.code, await response.read()), (413, b"enough"))
        self.assertLess(body.taken, body.size)
        await self.checkGoesOn()
        self.assertEqual(self.relay.accepted, 1 if self.version == HTTP2 else 2)


class HeadTests:
    """The server knows HEAD."""

    async def test_head(self) -> None:
        """The answer to HEAD tells the length of a body that does not come."""
        response = await self.send(b"HEAD", "/100")
        self.assertEqual((response.code, await response.read()), (200, b""))
        self.assertEqual(response.headers.getRawHeaders(b"content-length"), [b"100"])
        await self.checkGoesOn()
        self.assertEqual(self.relay.accepted, 1)


class PaddedTests:
    """The server pads its frames: padding costs window, and is nobody's content."""

    async def test_padding(self) -> None:
        """A body arrives without its padding, also one of padding alone."""
        for size in (0, 100):
            self.frames.clear()
            response = await self.send(b"GET", f"/{size}")
            self.assertEqual((response.code, await response.read()), (200, bodies.body(size)))
            self.assertGreater(self.dataLength(), size)

    def dataLength(self) -> int:
        """The octets of all padded DATA frames that came."""
        line = re.compile(r"received DATA stream=\d+ length=(\d+) flags=\S*PADDED")
        return sum(int(found[1]) for frame in self.frames if (found := line.match(frame)))


class NodeTests(TrailerTests, HintTests, UploadTests, HeadTests, ServerCase, TestCase):
    """Node's http2 server."""

    launcher = Node

    async def test_noContent(self) -> None:
        """204 has no body."""
        response = await self.send(b"GET", "/204")
        self.assertEqual((response.code, await response.read()), (204, b""))

    async def test_notModified(self) -> None:
        """304 tells the length of the body that the client has already, and has none itself."""
        response = await self.send(b"GET", "/304", Headers({b"if-none-match": [b'"1"']}))
        self.assertEqual((response.code, await response.read()), (304, b""))
        self.assertEqual(response.headers.getRawHeaders(b"content-length"), [b"100"])
        self.assertEqual(response.headers.getRawHeaders(b"etag"), [b'"1"'])

    async def test_trailersAfterNoBody(self) -> None:
        """Trailers may follow a body without an octet."""
        response = await self.send(b"GET", "/empty")
        self.assertEqual(await response.read(), b"")
        trailers = await response.whenTrailers()
        self.assertEqual(list(trailers.getAllRawHeaders()), [(b"X-Count", [b"0"])])

    async def test_unknownMethod(self) -> None:
        """A method that nobody has heard of reaches the server as it is."""
        response = await self.send(b"BREW-COFFEE", "/request")
        self.assertEqual(json.loads(await response.read()), {"method": "BREW-COFFEE"})

    async def test_cookies(self) -> None:
        """
        Cookies that are given apart are all there at the server, and so are those that it sets.
        """
        cookies = Headers({b"cookie": [b"a=1; b=2", b"c=3"]})
        response = await self.send(b"GET", "/request", cookies)
        told = json.loads(await response.read())
        self.assertEqual(told, {"method": "GET", "cookie": "a=1; b=2; c=3"})
        self.assertEqual(response.headers.getRawHeaders(b"set-cookie"), [b"a=1", b"b=2"])


class PaddingNodeTests(PaddedTests, TrailerTests, HintTests, UploadTests, ServerCase, TestCase):
    """
    Node's http2 server with padding in every frame.

    With padding, Node 24.19 sends frames that it leaves out without: DATA without an octet of
    content, in front of the trailers and at the end.
    """

    launcher = PaddingNode

    async def test_paddingTakesWindow(self) -> None:
        """A body with as much padding as content, together several windows, arrives whole."""
        size = bodies.MEBIBYTE
        response = await self.send(b"GET", "/crumbs")
        self.assertEqual(await digestOf(response), (size, bodies.digest(size)))
        self.assertGreater(self.dataLength(), 2 * size)

    async def test_chunks(self) -> None:
        """Each DATA frame is a chunk, the empty one at the end included."""
        response = await self.send(b"GET", "/pieces")
        chunks = [chunk async for chunk in response.chunks()]
        self.assertEqual(chunks, [b"one", b"two", b"three", b""])

    async def test_emptyFrame(self) -> None:
        """A frame without content that does not end the stream is a chunk, and no octet."""
        response = await self.send(b"GET", "/empty")
        self.assertEqual([chunk async for chunk in response.chunks()], [b""])
        trailers = await response.whenTrailers()
        self.assertEqual(list(trailers.getAllRawHeaders()), [(b"X-Count", [b"0"])])


@unittest.skipIf(LavishNghttpd.missing(), LavishNghttpd.missing())
class NghttpdTests(PaddedTests, ServerCase, TestCase):
    """nghttp2's server, which pads its frames and has a trailer for every body."""

    launcher = LavishNghttpd

    async def test_responseTrailers(self) -> None:
        """The trailer comes behind the body, also behind one that needs several windows."""
        for size in (0, 100, bodies.MEBIBYTE):
            response = await self.send(b"GET", f"/{size}")
            self.assertEqual(await digestOf(response), (size, bodies.digest(size)))
            trailers = await response.whenTrailers()
            self.assertEqual(
                list(trailers.getAllRawHeaders()), [(b"X-Trailer", [b"behind the body"])]
            )

    async def test_noTrailersToHead(self) -> None:
        """Without a body there are no trailers."""
        response = await self.send(b"HEAD", "/100")
        self.assertEqual(await response.read(), b"")
        self.assertEqual(list((await response.whenTrailers()).getAllRawHeaders()), [])

    async def test_requestTrailers(self) -> None:
        """nghttpd reads over the trailers of a request; its body arrives all the same."""
        trailers = Headers({b"x-one": [b"1"]})
        body = bodies.body(bodies.MEBIBYTE)
        response = await self.send(b"POST", "/upload", None, body, trailers=trailers)
        self.assertEqual(await response.read(), body)

    async def test_continue(self) -> None:
        """nghttpd says 100 to whoever asks for it, and then gets the body."""
        body = bodies.body(bodies.MEBIBYTE)
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", "/upload", expect, iter([body]))
        self.assertEqual(await response.read(), body)
        self.assertEqual(self.informed, [(100, [])])


class HypercornTests(TrailerTests, ServerCase, TestCase):
    """
    hypercorn, whose applications may send early hints and trailers, by extensions of ASGI.

    Trailers go to those who say ``te: trailers`` and nobody else (0.18.0).
    """

    launcher = Hypercorn

    async def test_earlyHints(self) -> None:
        """Hints are told, and the response after them."""
        response = await self.send(b"GET", "/hints")
        self.assertEqual((response.code, await response.read()), (200, b"after the hints"))
        self.assertEqual(self.informed, [(103, LINKS)])

    async def test_requestTrailers(self) -> None:
        """hypercorn reads over the trailers of a request; its body arrives all the same."""
        size = bodies.MEBIBYTE
        trailers = Headers({b"x-one": [b"1"]})
        response = await self.send(b"POST", "/upload", None, bodies.blocks(size), trailers=trailers)
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())


class NeverSaysContinueTests(ServerCase, TestCase):
    """hypercorn again, which says no 100 over HTTP/2 (0.18.0), to a client that waits briefly."""

    launcher = Hypercorn
    continueTimeout = SOON

    async def test_expect(self) -> None:
        """When the server does not ask for the body in time, it gets it unasked."""
        size = bodies.MEBIBYTE
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", "/upload", expect, bodies.blocks(size))
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())
        self.assertEqual(self.informed, [])


class TwistedWebTests(ServerCase, TestCase):
    """Twisted's own web server over HTTP/2: it has neither trailers nor hints (26.10.0)."""

    launcher = TwistedWeb

    async def test_continue(self) -> None:
        """Twisted says 100 to whoever asks for it, and then gets the body."""
        size = bodies.MEBIBYTE
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", "/upload", expect, bodies.blocks(size))
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())
        self.assertEqual(self.informed, [(100, [])])

    async def test_requestTrailers(self) -> None:
        """Twisted reads over the trailers of a request; its body arrives all the same."""
        size = bodies.MEBIBYTE
        trailers = Headers({b"x-one": [b"1"]})
        response = await self.send(b"POST", "/upload", None, bodies.blocks(size), trailers=trailers)
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())


@unittest.skipIf(StoringNginx.missing(), StoringNginx.missing())
class NginxTests(HeadTests, ServerCase, TestCase):
    """nginx, which says no 100 over HTTP/2 (1.22.1), to a client that waits briefly."""

    launcher = StoringNginx
    continueTimeout = SOON

    async def test_expect(self) -> None:
        """When the server does not ask for the body in time, it gets it unasked."""
        expect = Headers({b"expect": [b"100-continue"]})
        body = bodies.body(bodies.MEBIBYTE)
        response = await self.send(b"PUT", "/stored/expected", expect, iter([body]))
        self.assertIn(response.code, (201, 204))
        self.assertEqual(self.server.stored("expected").read_bytes(), body)

    async def test_requestTrailers(self) -> None:
        """
        A server that does not bear trailers costs the request that has some, and no other.

        nginx 1.22.1 takes them for a new stream with the number of an old one, and ends the
        connection with PROTOCOL_ERROR, although RFC 9113 section 8.1 allows them. Should a newer
        one read them, that is as good.
        """
        trailers = Headers({b"x-one": [b"1"]})
        request = self.request(b"PUT", "/stored/trailed", None, b"body", trailers=trailers)
        try:
            response = await self.agent.send(request)
        except ResponseNeverReceived as raised:
            (reason,) = raised.reasons
            self.assertIsInstance(reason.value, ConnectionTerminated)
        else:
            self.assertIn(response.code, (201, 204))
        await self.checkGoesOn()


class NodeHTTP1Tests(TrailerTests, HintTests, UploadTests, HeadTests, ServerCase, TestCase):
    """Node's https server, over HTTP/1.1."""

    launcher = NodeHTTP1
    version = HTTP11


class TwistedWebHTTP1Tests(TrailerTests, HintTests, HeadTests, ServerCase, TestCase):
    """
    Twisted's own web server over HTTP/1.1.

    It has neither trailers nor hints (26.10.0), so its resources write them by hand; the trailers
    of a request are read over.
    """

    launcher = TwistedWebHTTP1
    version = HTTP11

    async def test_continue(self) -> None:
        """Twisted says 100 to whoever asks for it, and then gets the body."""
        size = bodies.MEBIBYTE
        expect = Headers({b"expect": [b"100-continue"]})
        response = await self.send(b"POST", "/upload", expect, bodies.blocks(size))
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())
        self.assertEqual(self.informed, [(100, [])])

    async def test_requestTrailers(self) -> None:
        """The chunked body in front of the trailers arrives; the next request is read rightly."""
        size = bodies.MEBIBYTE
        trailers = Headers({b"x-one": [b"1"]})
        response = await self.send(b"POST", "/upload", None, bodies.blocks(size), trailers=trailers)
        self.assertEqual(await response.read(), f"{size} {bodies.digest(size)}".encode())
        await self.checkGoesOn()
        self.assertEqual(self.relay.accepted, 1)
