"""
hyper's documentation, chapter by chapter: each example has its counterpart here, and runs.

The chapters stand in their order, with their numbers. Those about installing and contributing are
no code; 2.1.6 and 2.1.7 are the command line's, which ``tests/cli`` is about; 3.1.3 is about
threads, which there are none of; the certificates of 3.1.4 are an example of the documentation,
which ``tests/test_docs.py`` runs.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any

from treq.client import HTTPClient
from twisted.web.resource import Resource

from tests.adapters.loopback import LoopbackTestCase
from txhyper import (
    Agent,
    BaseFlowControlManager,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    HTTPHeaderMap,
)
from txhyper.adapters.hyper import (
    ConnectionError,  # noqa: A004 - so it is called there
    HTTP20Error,
    HTTP20Push,
    HTTPResponse,
    InvalidResponseError,
    ProtocolError,
    StreamResetError,
)
from txhyper.testing.responder import Responder
from txhyper.testing.site import ServerRequest

PAGE = b"<!DOCTYPE html>\n<!--[if IE 8]><html class='ie8'><![endif]-->\n" * 20


def homepage(request: ServerRequest, responder: Responder) -> None:
    """A page that is compressed."""
    fields = [
        (b"server", b"h2o/1.0.2-alpha1"),
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-encoding", b"gzip"),
    ]
    responder.respond(200, fields, gzip.compress(PAGE))


class Homepage(Resource):
    """Likewise, over HTTP/1.1."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Compressed in another way, and in chunks."""
        request.setHeader(b"x-xss-protection", b"1; mode=block")
        request.setHeader(b"content-encoding", b"deflate")
        octets = zlib.compress(PAGE)
        request.write(octets[:20])
        return octets[20:]


class SeedTestCase(LoopbackTestCase):
    """The servers that the document talks to."""

    def setUp(self) -> None:
        """Add what it asks for."""
        super().setUp()
        self.loopback.site.add("/", homepage)
        self.loopback.web.putChild(b"", Homepage())

    def http20(self, **options: Any) -> HTTP20Connection:
        """``HTTP20Connection('http2bin.org')``"""
        return HTTP20Connection("http2bin.org", **self.options(), **options)


class FrontPageTests(SeedTestCase):
    """The first page: "hyper provides these benefits to your Python code. How? Like this"."""

    def test_likeThis(self) -> None:
        """Ask for a path, take the response, read it."""

        async def likeThis() -> bytes:
            async with HTTP20Connection("http2bin.org:443", **self.options()) as conn:
                conn.request("GET", "/get")
                resp = await conn.getresponse()
                return await resp.read()

        shown = json.loads(self.run_(likeThis()))
        self.assertEqual("https://http2bin.org/get", shown["url"])


class QuickstartTests(SeedTestCase):
    """Chapter 2.1."""

    def test_212_firstRequest(self) -> None:
        """2.1.2: the id is 1, headers are lists of bytes, the body is decoded by itself."""

        async def session() -> None:
            async with self.http20() as c:
                self.assertEqual(1, c.request("GET", "/"))
                resp = await c.get_response()
                self.assertEqual([b"text/html; charset=utf-8"], resp.headers["content-type"])
                self.assertTrue(
                    repr(resp.headers).startswith("HTTPHeaderMap([(b'server', b'h2o/1.0.2-alpha1')")
                )
                self.assertEqual(200, resp.status)
                self.assertEqual(PAGE, await resp.read())

        self.run_(session())

    def test_212_sequential(self) -> None:
        """2.1.2: "You can make sequential requests using the exact same API", by ids 1, 3, 5."""

        async def session() -> list[int]:
            async with self.http20() as c:
                ids = []
                for path in ("/", "/get", "/ip"):
                    ids.append(c.request("GET", path))
                    resp = await c.get_response()
                    await resp.read()
                return ids

        self.assertEqual([1, 3, 5], self.run_(session()))
        self.assertEqual(1, len(self.loopback.wires))

    def test_213_streams(self) -> None:
        """2.1.3: several at a time, their responses taken in another order."""

        async def session() -> list[Any]:
            async with self.http20() as c:
                first = c.request("GET", "/get")
                second = c.request("POST", "/post", data="key=value")
                third = c.request("GET", "/ip")
                second_response = await c.getresponse(second)
                first_response = await c.getresponse(first)
                third_response = await c.getresponse(third)
                return [
                    json.loads(await response.read())
                    for response in (first_response, second_response, third_response)
                ]

        get, post, ip = self.run_(session())
        self.assertEqual("https://http2bin.org/get", get["url"])
        self.assertEqual("key=value", post["data"])
        self.assertEqual({"origin"}, set(ip))
        self.assertEqual(1, len(self.loopback.wires))

    def test_214_http11(self) -> None:
        """2.1.4: the same over HTTP/1.1, "right down to the data reading"."""

        async def session() -> None:
            async with HTTP11Connection("twitter.com:443", **self.options()) as c:
                c.request("GET", "/")
                resp = await c.get_response()
                self.assertEqual([b"deflate"], resp.headers["content-encoding"])
                self.assertEqual([b"1; mode=block"], resp.headers["x-xss-protection"])
                self.assertIsInstance(resp.headers, HTTPHeaderMap)
                self.assertEqual(200, resp.status)
                self.assertEqual(PAGE, await resp.read())

        self.run_(session())

    def test_214_noStreamId(self) -> None:
        """2.1.4: over HTTP/1.1 there are no streams; the number is the response's ticket alone."""

        async def session() -> None:
            async with HTTP11Connection("twitter.com:443", **self.options()) as c:
                self.assertIsNone((await c.get_response(c.request("GET", "/"))).streamId)

        self.run_(session())

    def test_215_requests(self) -> None:
        """2.1.5: the goodness of requests, which is treq here, with HTTP/2 and no further ado."""
        agent = Agent.usingEndpointFactory(self.loopback.clock, self.loopback)
        client = HTTPClient(agent)

        async def session() -> None:
            r = await client.get("https://http2bin.org/get", params={"a": "b"})
            self.assertEqual((200, (b"HTTP", 2, 0)), (r.code, r.version))
            self.assertEqual({"a": "b"}, (await r.json())["args"])
            # "some hosts will redirect to new hostnames": nothing has to be installed for them.
            r = await client.get(
                "https://http2bin.org/redirect-to?url=https://www.http2bin.org/get"
            )
            self.assertEqual("https://www.http2bin.org/get", (await r.json())["url"])
            await agent.close()

        self.run_(session())


class AdvancedTests(SeedTestCase):
    """Chapter 3.1."""

    def test_311_contextManagers(self) -> None:
        """3.1.1: the connection is gone after the block, and its responses are of no use."""

        async def session() -> HTTPResponse:
            async with self.http20() as conn:
                conn.request("GET", "/get")
                response = await conn.getresponse()
                self.assertIn("url", json.loads(await response.read()))
                return response

        response = self.run_(session())
        self.assertTrue(self.loopback.wires[0].isOver)
        self.assertRaises(RuntimeError, response.read)

    def test_312_chunks(self) -> None:
        """3.1.2: each DATA frame of HTTP/2, and each chunk of HTTP/1.1; decoded or not."""

        async def session(conn: HTTPConnection, path: str, decode_content: bool) -> list[bytes]:
            async with conn:
                conn.request("GET", path)
                response = await conn.get_response()
                return [chunk async for chunk in response.read_chunked(decode_content)]

        frames = self.run_(session(self.http20(), "/stream-bytes/5000?chunk_size=1000", True))
        self.assertEqual([1000] * 5, [len(frame) for frame in frames if frame])
        self.assertEqual(PAGE, b"".join(self.run_(session(self.http20(), "/", True))))
        raw = b"".join(self.run_(session(self.http20(), "/", False)))
        self.assertEqual(PAGE, gzip.decompress(raw))
        http11 = HTTP11Connection("twitter.com:443", **self.options())
        raw = b"".join(self.run_(session(http11, "/", False)))
        self.assertEqual(PAGE, zlib.decompress(raw))

    def test_315_streamingUploads(self) -> None:
        """3.1.5: a file-like object is uploaded as it is read, and needs no Content-Length."""

        async def session(**headers: str) -> Any:
            async with self.http20() as conn:
                conn.request("POST", "/upload", data=io.BytesIO(b"x" * 3000000), headers=headers)
                return json.loads(await (await conn.get_response()).read())

        for headers in ({}, {"Content-Length": "3000000"}):
            self.assertEqual(3000000, self.run_(session(**headers))["octets"])

    def test_315_pieceByPiece(self) -> None:
        """3.1.5: or piece by piece, by http.client's calls."""

        async def session() -> Any:
            async with self.http20() as conn:
                conn.putrequest("POST", "/post")
                conn.putheader("content-type", "text/plain")
                await conn.endheaders()
                for piece in ("one ", "two ", "three"):
                    await conn.send(piece, final=piece == "three")
                return json.loads(await (await conn.get_response()).read())

        self.assertEqual("one two three", self.run_(session())["data"])

    def test_316_decompression(self) -> None:
        """3.1.6: it is undone by itself, and left alone by decode_content=False."""

        async def session() -> tuple[bytes, bytes]:
            async with self.http20() as conn:
                conn.request("GET", "/")
                conn.request("GET", "/")
                decoded = await (await conn.get_response()).read()
                raw = await (await conn.get_response()).read(decode_content=False)
                return decoded, gzip.decompress(raw)

        self.assertEqual((PAGE, PAGE), self.run_(session()))

    def test_317_windowManagers(self) -> None:
        """3.1.7: the document's own manager, plugged in as a class, sees every frame."""
        seen: list[int] = []

        class StupidFlowControlManager(BaseFlowControlManager):
            def increase_window_size(self, frame_size: int) -> int:
                seen.append(frame_size)
                return frame_size

        async def session() -> bytes:
            async with self.http20(window_manager=StupidFlowControlManager) as conn:
                conn.request("GET", "/bytes/300000")
                return await (await conn.get_response()).read()

        self.assertEqual(300000, len(self.run_(session())))
        # The connection's instance and the stream's.
        self.assertEqual(600000, sum(seen))

    def test_318_serverPush(self) -> None:
        """3.1.8: promises so far, then those that came with the body; each is a response."""

        def pushing(request: ServerRequest, responder: Responder) -> None:
            responder.push(b"/get")
            responder.respond(200, [], b"the page")
            responder.push(b"/ip")

        self.loopback.site.add("/pushing", pushing)

        async def session() -> tuple[list[bytes], dict[str, Any]]:
            async with self.http20(enable_push=True) as conn:
                conn.request("GET", "/pushing")
                response = await conn.get_response()
                paths = []
                pushes = []
                async for push in conn.get_pushes():  # all pushes promised so far
                    paths.append(push.path)
                    pushes.append(push)
                self.assertEqual(b"the page", await response.read())
                async for push in conn.get_pushes():  # all other pushes
                    paths.append(push.path)
                    pushes.append(push)
                pushed = await pushes[0].get_response()
                pushes[1].cancel()
                return paths, json.loads(await pushed.read())

        paths, shown = self.run_(session())
        self.assertEqual([b"/get", b"/ip"], paths)
        self.assertEqual("https://http2bin.org/get", shown["url"])

    def test_318_notAsked(self) -> None:
        """3.1.8: "the HTTP20Connection object must be constructed with enable_push=True"."""

        def pushing(request: ServerRequest, responder: Responder) -> None:
            responder.push(b"/get")
            responder.respond(200)

        self.loopback.site.add("/pushing", pushing)

        async def session() -> list[HTTP20Push]:
            async with self.http20() as conn:
                conn.request("GET", "/pushing")
                response = await conn.get_response()
                await response.read()
                return [push async for push in conn.get_pushes(capture_all=True)]

        self.assertEqual([], self.run_(session()))

    def test_319_nghttp2(self) -> None:
        """3.1.9: which HPACK coder is there changes nothing and takes no configuration."""

        async def session() -> list[bytes]:
            async with self.http20() as conn:
                for _ in range(3):
                    conn.request("GET", "/headers", headers={"x-colour": "blue"})
                return [await (await conn.get_response()).read() for _ in range(3)]

        for body in self.run_(session()):
            self.assertEqual("blue", json.loads(body)["headers"]["x-colour"])


class InterfaceTests(SeedTestCase):
    """Chapter 6.1."""

    def test_611_primaryInterface(self) -> None:
        """6.1.1: connect and ping, beside what the chapters before have shown."""

        async def session() -> float:
            async with self.http20() as conn:
                await conn.connect()
                return await conn.ping()

        self.assertEqual(0.0, self.run_(session()))

    def test_612_headers(self) -> None:
        """6.1.2: a map of headers goes both ways."""

        async def session() -> HTTPHeaderMap:
            async with self.http20() as conn:
                headers = HTTPHeaderMap([("x-a", "1"), ("x-a", "2")])
                conn.request("GET", "/response-headers?x-b=3", headers=headers)
                response = await conn.get_response()
                return response.headers

        self.assertEqual([b"3"], self.run_(session())["X-B"])

    def test_615_exceptions(self) -> None:
        """6.1.5: a stream that is reset raises hyper's StreamResetError, with its code."""

        def reset(request: ServerRequest, responder: Responder) -> None:
            responder.reset(2)

        self.loopback.site.add("/reset", reset)

        async def session() -> StreamResetError:
            async with self.http20() as conn:
                conn.request("GET", "/reset")
                try:
                    await conn.get_response()
                except StreamResetError as error:
                    return error
                raise AssertionError("no error")

        self.assertEqual((1, 2), (self.run_(session()).stream_id, self.run_(session()).code))
        for kind in (ConnectionError, ProtocolError, StreamResetError, InvalidResponseError):
            self.assertTrue(issubclass(kind, HTTP20Error))
