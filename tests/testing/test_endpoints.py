"""Tests for :mod:`txhyper.testing.endpoints`."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from h2.errors import ErrorCodes
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.testing.wire import Answer, Wire
from txhyper.testing.endpoints import demoSite, pseudoRandom

MiB = 2**20


class EndpointsTestCase(SynchronousTestCase):
    """The demo's site on a wire."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire(demoSite(self.clock), window=2**20)
        self.wire.exchange()

    def ask(
        self,
        path: str,
        *headers: tuple[bytes, bytes],
        method: bytes = b"GET",
        body: bytes | None = None,
    ) -> Answer:
        """Ask for a path and return what came of it, time standing still."""
        return self.wire.ask(method, path.encode("ascii"), *headers, body=body)

    def json(self, path: str, *headers: tuple[bytes, bytes], **options: Any) -> Any:
        """Ask for a path that answers in JSON."""
        answer = self.ask(path, *headers, **options)
        self.assertEqual((200, True), (answer.status, answer.isEnded), path)
        self.assertEqual(b"application/json", answer.header(b"content-type"))
        return json.loads(answer.body)

    def refused(self, path: str, status: int = 400) -> None:
        """Ask for a path in vain."""
        answer = self.ask(path)
        self.assertEqual((status, True), (answer.status, answer.isEnded), path)
        self.assertIn("error", json.loads(answer.body))


class EchoTests(EndpointsTestCase):
    """What was received is shown."""

    def test_get(self) -> None:
        """Everything about a request without a body, repeated names of the query as lists."""
        shown = self.json("/get?a=1&b=%C3%A9&a=", (b"x-y", b"1"), (b"x-y", b"\xff"))
        self.assertEqual(
            {
                "args": {"a": ["1", ""], "b": "\u00e9"},
                "headers": {"host": "example.test", "x-y": "1, \\xff"},
                "method": "GET",
                "origin": "192.168.1.1",
                "url": "https://example.test/get?a=1&b=%C3%A9&a=",
            },
            shown,
        )

    def test_bodies(self) -> None:
        """The methods with a body show it, each on its own path."""
        for method in (b"POST", b"PUT", b"PATCH", b"DELETE"):
            path = f"/{method.decode('ascii').lower()}"
            shown = self.json(path, method=method, body=b'{"a": 1}')
            self.assertEqual(
                (method.decode("ascii"), '{"a": 1}', {"a": 1}, {}, {}),
                tuple(shown[key] for key in ("method", "data", "json", "form", "files")),
            )
            answer = self.ask(path, method=b"BREW")
            self.assertEqual((405, method), (answer.status, answer.header(b"allow")))

    def test_form(self) -> None:
        """A form's fields are shown as such."""
        kind = (b"content-type", b"application/x-www-form-urlencoded")
        self.assertEqual(
            {"a": "b c"}, self.json("/post", kind, method=b"POST", body=b"a=b+c")["form"]
        )

    def test_anything(self) -> None:
        """Every method, and every path below."""
        shown = self.json("/anything/a/b?c=d", method=b"BREW", body=b"x")
        self.assertEqual(("BREW", "x", {"c": "d"}), (shown["method"], shown["data"], shown["args"]))
        self.assertEqual("GET", self.json("/anything")["method"])
        self.assertNotIn("trailers", shown)

    def test_trailers(self) -> None:
        """Trailers are shown when there are any."""
        streamId = self.wire.send(b"POST", b"/anything", body=b"x", end=False)
        self.wire.client.send_headers(streamId, [(b"x-sum", b"1")], end_stream=True)
        self.wire.exchange()
        shown = json.loads(self.wire.answers[streamId].body)
        self.assertEqual({"x-sum": "1"}, shown["trailers"])

    def test_limit(self) -> None:
        """A body of 8 MiB is shown; with an octet more it is a 413."""
        shown = self.json("/post", method=b"POST", body=b"x" * (8 * MiB))
        self.assertEqual(8 * MiB, len(shown["data"]))
        answer = self.ask("/post", method=b"POST", body=b"x" * (8 * MiB + 1))
        self.assertEqual(413, answer.status)

    def test_upload(self) -> None:
        """The octets of a body are counted, and not kept."""
        body = bytes(range(256)) * 4096
        for method in (b"POST", b"PUT"):
            self.assertEqual(
                {"octets": MiB, "sha256": sha256(body).hexdigest()},
                self.json("/upload", method=method, body=body),
            )

    def test_parts(self) -> None:
        """A part of what /get shows."""
        self.assertEqual(
            {"headers": {"host": "example.test", "a": "b"}}, self.json("/headers", (b"a", b"b"))
        )
        self.assertEqual({"origin": "192.168.1.1"}, self.json("/ip"))
        self.assertEqual({"user-agent": "me"}, self.json("/user-agent", (b"user-agent", b"me")))
        self.assertEqual({"user-agent": None}, self.json("/user-agent"))

    def test_unknown(self) -> None:
        """Anything else is a 404 in JSON."""
        self.refused("/", 404)
        self.refused("/get/", 404)


class HeadTests(EndpointsTestCase):
    """HEAD works wherever GET does."""

    def test_sameFields(self) -> None:
        """HEAD gets GET's status and fields, and no body."""
        for path in (
            "/status/404",
            "/bytes/70000",
            "/stream-bytes/70000",
            "/stream/3",
            "/drip?duration=0",
            "/redirect/2",
            "/cookies/set?a=b",
            "/html",
            "/nowhere",
        ):
            heads, gets = (self.wire.send(each, path.encode()) for each in (b"HEAD", b"GET"))
            self.wire.exchange()
            self.clock.pump([0] * 20)
            self.wire.exchange()
            head, get = self.wire.answers[heads], self.wire.answers[gets]
            self.assertEqual((get.status, get.headers), (head.status, head.headers), path)
            self.assertEqual((b"", True, True), (head.body, head.isEnded, get.isEnded), path)

    def test_jsonShowsMethod(self) -> None:
        """The one difference: a body that names the method is a letter longer."""
        length = self.ask("/get", method=b"HEAD").header(b"content-length")
        assert length is not None
        self.assertEqual(len(self.ask("/get").body) + 1, int(length))


class BodiesTests(EndpointsTestCase):
    """Responses of every shape."""

    def test_status(self) -> None:
        """Any final status, for any method; a redirect leads somewhere."""
        for code in (200, 204, 304, 418, 599):
            self.assertEqual(code, self.ask(f"/status/{code}", method=b"PUT").status)
        self.assertEqual(b"/get", self.ask("/status/307").header(b"location"))
        for text in ("199", "600", "x", "-1", "2e2", "%D9%A3%D9%A3%D9%A3", "9" * 30):
            self.refused(f"/status/{text}")

    def test_bytes(self) -> None:
        """The octets are those of pseudoRandom, and their number is told beforehand."""
        for size in (0, 1, 65536, 200_001):
            answer = self.ask(f"/bytes/{size}?seed=7")
            self.assertEqual(b"%d" % size, answer.header(b"content-length"))
            self.assertEqual(b"".join(pseudoRandom(size, 7)), answer.body)
            self.assertTrue(answer.isEnded)
        self.assertNotEqual(self.ask("/bytes/9").body, self.ask("/bytes/9?seed=1").body)
        self.assertEqual(self.ask("/bytes/9").body, self.ask("/bytes/9").body)
        for path in (f"/bytes/{128 * MiB + 1}", "/bytes/-1", "/bytes/1?seed=x"):
            self.refused(path)

    def test_largeBody(self) -> None:
        """The largest body is made as it is sent: memory does not grow with it."""
        streamId = self.wire.send(path=b"/bytes/%d" % (128 * MiB))
        self.wire.transport.highMark = 2**17
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.wire.server.dataReceived(self.wire.client.data_to_send())
        for _ in range(8):
            self.wire.drain()
            self.wire.answer(streamId).pieces.clear()
            self.wire.server.dataReceived(self.wire.client.data_to_send())
            self.wire.server.resumeProducing()
        self.assertLess(tracemalloc.get_traced_memory()[1], 2 * MiB)

    def test_streamBytes(self) -> None:
        """The same octets without a length, in chunks of the size asked for."""
        answer = self.ask("/stream-bytes/200001?seed=7&chunk_size=1000")
        self.assertIsNone(answer.header(b"content-length"))
        self.assertEqual(b"".join(pseudoRandom(200_001, 7)), answer.body)
        self.assertEqual([1000] * 200 + [1, 0], [len(piece) for piece in answer.pieces])
        self.assertEqual([10240, 9760, 0], [len(p) for p in self.ask("/stream-bytes/20000").pieces])
        for path in ("/stream-bytes/1?chunk_size=0", "/stream-bytes/x"):
            self.refused(path)

    def test_wholeChunks(self) -> None:
        """Octets that fill their chunks leave no empty one behind."""
        pieces = self.ask("/stream-bytes/6?chunk_size=3").pieces
        self.assertEqual([3, 3, 0], [len(piece) for piece in pieces])

    def test_stream(self) -> None:
        """Lines of JSON, numbered."""
        answer = self.ask("/stream/3")
        lines = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([0, 1, 2], [line["id"] for line in lines])
        self.assertEqual("https://example.test/stream/3", lines[0]["url"])
        self.refused("/stream/1001")

    def test_compressed(self) -> None:
        """Compressed answers hold what they say, and are the same each time."""
        first, second = self.ask("/gzip"), self.ask("/gzip")
        self.assertEqual(b"gzip", first.header(b"content-encoding"))
        self.assertEqual(first.body, second.body)
        self.assertTrue(json.loads(gzip.decompress(first.body))["gzipped"])
        answer = self.ask("/deflate")
        self.assertEqual(b"deflate", answer.header(b"content-encoding"))
        self.assertTrue(json.loads(zlib.decompress(answer.body))["deflated"])

    def test_samples(self) -> None:
        """Samples of several kinds, in UTF-8."""
        for path, kind, word in (
            ("/html", b"text/html; charset=utf-8", "<h1>"),
            ("/encoding/utf8", b"text/plain; charset=utf-8", "\U0001f980"),
            ("/robots.txt", b"text/plain; charset=utf-8", "Disallow"),
        ):
            answer = self.ask(path)
            self.assertEqual(kind, answer.header(b"content-type"))
            self.assertIn(word, answer.body.decode("utf-8"))
        self.assertIn("journey", self.json("/json"))

    def test_responseHeaders(self) -> None:
        """The query becomes the response's fields; what may not be one is a 400."""
        answer = self.ask("/response-headers?X-A=b&x-a=c&d=%C3%A9")
        self.assertEqual([b"b", b"c"], [value for name, value in answer.headers if name == b"x-a"])
        self.assertEqual({"X-A": "b", "x-a": "c", "d": "\u00e9"}, json.loads(answer.body))
        for query in ("a=b%0D%0Ac:d", "a%20b=c", "=x", ":status=204"):
            self.refused(f"/response-headers?{query}")

    def test_trailers(self) -> None:
        """The query becomes the trailer section; what may not be in one is a 400."""
        answer = self.ask("/trailers?sum=1&a=b")
        self.assertEqual([(b"sum", b"1"), (b"a", b"b")], answer.trailers)
        self.assertEqual({"sum": "1", "a": "b"}, json.loads(answer.body))
        self.refused("/trailers?a=b%0D%0Ac:d")

    def test_earlyHints(self) -> None:
        """A link comes before the response."""
        answer = self.ask("/early-hints")
        (hint,) = answer.interim
        self.assertIn((b":status", b"103"), hint)
        self.assertIn(b"link", dict(hint))
        self.assertIn("/early-hints", json.loads(answer.body)["url"])


class TimeTests(EndpointsTestCase):
    """Responses that take their time."""

    def test_delay(self) -> None:
        """Nothing comes before its time; then the request is shown."""
        streamId = self.wire.send(b"POST", b"/delay/1.5", body=b"abc")
        self.wire.exchange()
        self.clock.advance(1.4)
        self.wire.exchange()
        self.assertNotIn(streamId, self.wire.answers)
        self.clock.advance(0.2)
        self.wire.exchange()
        self.assertEqual("abc", json.loads(self.wire.answers[streamId].body)["data"])

    def test_longDelay(self) -> None:
        """Ten seconds is the longest; what is no duration is a 400."""
        streamId = self.wire.send(path=b"/delay/inf")
        self.wire.exchange()
        self.clock.advance(10)
        self.wire.exchange()
        self.assertEqual(200, self.wire.answers[streamId].status)
        for text in ("nan", "-1", "x"):
            self.refused(f"/delay/{text}")

    def test_delayCancelled(self) -> None:
        """A client that goes away leaves no timer behind."""
        streamId = self.wire.send(path=b"/delay/5")
        self.wire.exchange()
        self.wire.client.reset_stream(streamId, ErrorCodes.CANCEL)
        self.wire.exchange()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_drip(self) -> None:
        """A length told beforehand, then an octet at a time, after the delay."""
        streamId = self.wire.send(path=b"/drip?numbytes=4&duration=2&delay=1&code=203")
        self.wire.exchange()
        self.assertNotIn(streamId, self.wire.answers)
        sizes = []
        for seconds in (1, 0.5, 0.5, 0.5):
            self.clock.advance(seconds)
            self.wire.exchange()
            sizes.append(len(self.wire.answers[streamId].body))
        answer = self.wire.answers[streamId]
        self.assertEqual((203, b"4"), (answer.status, answer.header(b"content-length")))
        self.assertEqual(([1, 2, 3, 4], b"****", True), (sizes, answer.body, answer.isEnded))

    def test_dripDefaults(self) -> None:
        """Ten octets in two seconds; nothing at all when none are asked for."""
        streamId = self.wire.send(path=b"/drip")
        self.wire.exchange()
        self.clock.pump([0] + [0.2] * 9)
        self.wire.exchange()
        self.assertEqual(b"*" * 10, self.wire.answers[streamId].body)
        streamId = self.wire.send(path=b"/drip?numbytes=0")
        self.wire.exchange()
        self.clock.advance(0)
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streamId].isEnded)
        for query in ("numbytes=65537", "duration=x", "delay=x", "code=100"):
            self.refused(f"/drip?{query}")

    def test_dripCancelled(self) -> None:
        """A client that goes away leaves no timer behind here, either."""
        streamId = self.wire.send(path=b"/drip")
        self.wire.exchange()
        self.clock.advance(0)
        self.wire.exchange()
        self.assertEqual(b"*", self.wire.answers[streamId].body)
        self.wire.client.reset_stream(streamId, ErrorCodes.CANCEL)
        self.wire.exchange()
        self.assertEqual([], self.clock.getDelayedCalls())


class RedirectTests(EndpointsTestCase):
    """Redirects of every kind."""

    def location(self, path: str, status: int = 302, method: bytes = b"GET") -> str:
        """Where a path redirects to."""
        answer = self.ask(path, method=method)
        self.assertEqual(status, answer.status)
        location = answer.header(b"location")
        assert location is not None
        return location.decode("ascii")

    def test_counted(self) -> None:
        """As many as asked for, then /get; relative ones, or whole URLs."""
        self.assertEqual("/relative-redirect/1", self.location("/redirect/2"))
        self.assertEqual("/get", self.location("/redirect/1"))
        self.assertEqual("/get", self.location("/relative-redirect/1"))
        base = "https://example.test"
        self.assertEqual(f"{base}/absolute-redirect/1", self.location("/absolute-redirect/2"))
        self.assertEqual(f"{base}/get", self.location("/absolute-redirect/1"))
        for path in ("/redirect/0", "/redirect/1001", "/redirect/x"):
            self.refused(path)

    def test_redirectTo(self) -> None:
        """To the URL of the query, with its status, for every method."""
        self.assertEqual(
            "https://a.test/b?c=%20",
            self.location(
                "/redirect-to?status_code=308&url=" + quote("https://a.test/b?c=%20", safe=""),
                308,
                b"POST",
            ),
        )
        self.assertEqual("/%C3%A9%0D%0A", self.location("/redirect-to?url=/%C3%A9%0D%0A"))
        for query in ("", "url=/&status_code=200"):
            self.refused(f"/redirect-to?{query}")


class CookiesTests(EndpointsTestCase):
    """Cookies come and go."""

    def test_shown(self) -> None:
        """Cookies in one field or in several, as HTTP/2 allows."""
        shown = self.json("/cookies", (b"cookie", b"a=1; b=x=y"), (b"cookie", b" c = 3 ;;d"))
        self.assertEqual({"a": "1", "b": "x=y", "c": "3", "d": ""}, shown["cookies"])
        self.assertEqual({"cookies": {}}, self.json("/cookies"))

    def test_set(self) -> None:
        """Each pair of the query becomes a cookie, with nothing in it that could end one."""
        answer = self.ask("/cookies/set?a=b&c=d%3B%20Secure")
        self.assertEqual((302, b"/cookies"), (answer.status, answer.header(b"location")))
        self.assertEqual(
            [b"a=b; Path=/", b"c=d%3B%20Secure; Path=/"],
            [value for name, value in answer.headers if name == b"set-cookie"],
        )

    def test_delete(self) -> None:
        """A deleted cookie is one that has expired."""
        cookie = self.ask("/cookies/delete?a").header(b"set-cookie")
        assert cookie is not None
        self.assertTrue(cookie.startswith(b"a=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970"))
