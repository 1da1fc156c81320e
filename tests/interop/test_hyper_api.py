"""hyper's API against real servers: every method of it, over HTTP/2 and HTTP/1.1."""

from __future__ import annotations

import hashlib
import unittest
from io import BytesIO

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from txhyper import (
    ConnectionUnusable,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    NegotiationFailed,
)
from txhyper.adapters.hyper import HTTPResponse, init_context

from . import bodies
from .launchers import (
    Launcher,
    Nghttpd,
    Node,
    PlainNghttpd,
    TwistedWeb,
    TwistedWebHTTP1,
    running,
)
from .receipts import Counting, Echoing

MANY = bodies.MEBIBYTE


class HyperTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    kind: type[HTTPConnection] = HTTP20Connection
    version = "HTTP/2.0"
    timeout = 60

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.conn = self.connection(self.kind)
        self.addCleanup(self.conn.close)

    def connection(self, kind: type[HTTPConnection]) -> HTTPConnection:
        """A connection to the server."""
        roots = str(self.server.certificate.parent / "roots.pem")
        with open(roots, "wb") as file:
            file.write(self.server.authority.pem)
        host = f"localhost:{self.server.port}"
        return kind(host, secure=True, ssl_context=init_context(roots))

    async def digestOf(self, response: HTTPResponse, amt: int = 10007) -> tuple[int, str]:
        """A body, read by so many octets: how many it were, and their digest."""
        sha, count = hashlib.sha256(), 0
        while octets := await response.read(amt):
            count += len(octets)
            sha.update(octets)
        return count, sha.hexdigest()

    async def test_bodies(self) -> None:
        """Bodies of every size arrive, asked for at once and taken in another order."""
        ids = {size: self.conn.request("GET", f"/{size}") for size in bodies.SIZES}
        for size in reversed(bodies.SIZES):
            response = await self.conn.get_response(ids[size])
            self.assertEqual((response.status, response.version), (200, self.version))
            self.assertEqual(await self.digestOf(response), (size, bodies.digest(size)))

    async def test_whole(self) -> None:
        """A body arrives whole, and in chunks."""
        for _ in range(2):
            self.conn.request("GET", f"/{MANY}")
        first, second = await self.conn.get_response(), await self.conn.get_response()
        self.assertEqual(await first.read(), bodies.body(MANY))
        chunks = [chunk async for chunk in second.read_chunked()]
        self.assertEqual(b"".join(chunks), bodies.body(MANY))

    async def test_uploads(self) -> None:
        """A file, bytes, and pieces whose sender waits each time arrive octet for octet."""
        ids = [self.conn.request(self.method, self.target("file"), BytesIO(bodies.body(MANY)))]
        ids.append(self.conn.request(self.method, self.target("bytes"), bodies.body(MANY)))
        ids.append(self.conn.putrequest(self.method, self.target("pieces")))
        await self.conn.endheaders()
        for block in bodies.blocks(MANY):
            await self.conn.send(block)
        await self.conn.send(b"", final=True)
        for stream_id in ids:
            response = await self.conn.get_response(stream_id)
            answer = (response.status, *await self.digestOf(response))
            self.checkReceipt("upload", MANY, answer)

    async def test_closedResponse(self) -> None:
        """A response that is closed is no burden for what follows."""
        largest = max(bodies.SIZES)
        self.conn.request("GET", f"/{largest}")
        response = await self.conn.get_response()
        await response.read(1)
        response.close()
        self.conn.request("GET", f"/{MANY}")
        async with await self.conn.get_response() as response:
            self.assertEqual(await response.read(), bodies.body(MANY))

    async def test_cancelled(self) -> None:
        """One that is cancelled leaves the others alone."""
        ids = [self.conn.request("GET", f"/{MANY}") for _ in range(10)]
        taken = [self.conn.get_response(stream_id) for stream_id in ids]
        for each in taken[::2]:
            each.addErrback(lambda _: None).cancel()
        for each in taken[1::2]:
            self.assertEqual(await self.digestOf(await each), (MANY, bodies.digest(MANY)))

    async def test_again(self) -> None:
        """A connection that was closed is used again."""
        for _ in range(3):
            async with self.conn as conn:
                self.assertEqual(conn.request("GET", f"/{MANY}"), 1)
                response = await conn.get_response()
                self.assertEqual(await self.digestOf(response), (MANY, bodies.digest(MANY)))

    async def test_untrusted(self) -> None:
        """Certificates are verified, and nothing of HTTP is sent to who has none to be trusted."""
        async with self.kind(f"localhost:{self.server.port}", secure=True) as conn:
            conn.request("GET", "/0")
            await self.assertFailure(conn.get_response(), NegotiationFailed)


class HTTP2Tests(HyperTests):
    """What holds for HTTP/2 besides."""

    async def test_ping(self) -> None:
        """The round trip is measured, on a connection that is dialled for it."""
        self.assertGreater(await self.conn.ping(), 0)
        self.assertGreater(await self.conn.ping(b"12345678"), 0)

    async def test_negotiated(self) -> None:
        """HTTPConnection finds out that the server speaks HTTP/2."""
        async with self.connection(HTTPConnection) as conn:
            await conn.connect()
            conn.request("GET", f"/{MANY}")
            response = await conn.get_response()
            self.assertEqual(response.version, "HTTP/2.0")
            self.assertEqual(response.reason, "")

    async def test_sideBySide(self) -> None:
        """A hundred at once share one connection."""
        ids = [self.conn.request("GET", f"/{MANY}") for _ in range(100)]

        async def check(stream_id: int) -> None:
            response = await self.conn.get_response(stream_id)
            self.assertEqual(await self.digestOf(response), (MANY, bodies.digest(MANY)))

        await gatherResults([Deferred.fromCoroutine(check(each)) for each in ids])
        (origin,) = self.conn._agent.pool.snapshot()
        self.assertEqual([each.issued for each in origin.connections], [100])


class NodeHyperTests(Counting, HTTP2Tests, TestCase):
    """Node's http2 server."""

    launcher = Node


class TwistedWebHyperTests(Counting, HTTP2Tests, TestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdHyperTests(Echoing, HTTP2Tests, TestCase):
    """nghttp2's server."""

    launcher = Nghttpd


class TwistedWebHTTP1HyperTests(Counting, HyperTests, TestCase):
    """Twisted's own web server, which offers nothing but HTTP/1.1."""

    launcher = TwistedWebHTTP1
    kind = HTTP11Connection
    version = "HTTP/1.1"

    async def test_negotiated(self) -> None:
        """HTTPConnection finds out that the server speaks HTTP/1.1, which has no PING."""
        async with self.connection(HTTPConnection) as conn:
            conn.request("GET", "/0")
            response = await conn.get_response()
            self.assertEqual((response.version, response.reason), ("HTTP/1.1", "OK"))
            await self.assertFailure(conn.ping(), ConnectionUnusable)

    async def test_notSpoken(self) -> None:
        """HTTP20Connection says that it is not spoken here."""
        async with self.connection(HTTP20Connection) as conn:
            await self.assertFailure(conn.connect(), NegotiationFailed)


@unittest.skipIf(PlainNghttpd.missing(), PlainNghttpd.missing())
class PlainHyperTests(TestCase):
    """nghttp2's server without TLS."""

    timeout = 60

    async def test_priorKnowledge(self) -> None:
        """HTTP20Connection(secure=False) speaks HTTP/2 at once, and so does force_proto."""
        host = f"localhost:{running(PlainNghttpd).port}"
        for conn in [HTTP20Connection(host, secure=False), HTTPConnection(host, force_proto="h2")]:
            async with conn:
                conn.request("GET", f"/{MANY}")
                response = await conn.get_response()
                self.assertEqual(response.version, "HTTP/2.0")
                self.assertEqual(await response.read(), bodies.body(MANY))
