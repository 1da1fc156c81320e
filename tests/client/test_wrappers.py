"""
What wraps an agent, or takes our pool, does its job over HTTP/2.

Twisted's own wrappers and treq, none of them changed, on a network in memory.
"""

from __future__ import annotations

import gzip
from http.cookiejar import CookieJar
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import client as web
from twisted.web.client import (
    BrowserLikeRedirectAgent,
    ContentDecoderAgent,
    CookieAgent,
    GzipDecoder,
    RedirectAgent,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.error import InfiniteRedirection
from twisted.web.http_headers import Headers

from tests.client.network import Connection, Network, read
from tests.protocol.scene import WholeBody
from txhyper import Agent, ConnectionPool
from txhyper.core import frames
from txhyper.errors import HyperError
from txhyper.testing.peer import RequestSeen

Field = tuple[bytes, bytes]


class WrapperTestCase(SynchronousTestCase):
    """An agent on a network in memory, whose server answers as it is told."""

    def setUp(self) -> None:
        """Nothing is connected yet."""
        self.network = Network(Clock())
        self.agent = Agent.usingEndpointFactory(self.network.clock, self.network)

    def connection(self) -> Connection:
        """The only connection, which speaks HTTP/2."""
        (connection,) = self.network.connections
        return connection if connection.negotiator is not None else connection.h2()

    def answer(self, *fields: Field, status: bytes = b"200", body: bytes = b"") -> RequestSeen:
        """Answer the next request. :return: what was seen of it."""
        connection = self.connection()
        request = connection.peer.expectHeaders()
        connection.answer(request.streamId, body, [(b":status", status), *fields])
        return request

    def bodyOf(self, response: Any) -> bytes:
        """A complete body."""
        reader = read(response)
        assert reader.reason is not None, "the body has not ended"
        reader.reason.trap(ResponseDone)
        return reader.octets


class RedirectTests(WrapperTestCase):
    """Twisted's agents that follow redirects."""

    def test_followed(self) -> None:
        """A redirect is followed on the same connection, and the response knows of the first."""
        for wrapper in (RedirectAgent, BrowserLikeRedirectAgent):
            self.setUp()
            deferred = wrapper(self.agent).request(b"GET", b"https://a.test/1")
            self.assertEqual(
                b"/1", self.answer((b"location", b"/2?q"), status=b"302", body=b"moved")[b":path"]
            )
            self.assertEqual(b"/2?q", self.answer(body=b"here")[b":path"])
            response = self.successResultOf(deferred)
            self.assertEqual((200, (b"HTTP", 2, 0)), (response.code, response.version))
            self.assertEqual(b"here", self.bodyOf(response))
            self.assertEqual(302, response.previousResponse.code)
            self.assertEqual(b"https://a.test/2?q", response.request.absoluteURI)

    def test_elsewhere(self) -> None:
        """A redirect to another host is dialled there."""
        deferred = RedirectAgent(self.agent).request(b"GET", b"https://a.test/")
        self.answer((b"location", b"https://b.test/"), status=b"301")
        self.assertEqual([b"a.test", b"b.test"], [uri.host for uri in self.network.uris])
        other = self.network.connections[1].h2()
        other.answer(other.peer.expectHeaders().streamId, b"b")
        self.assertEqual(b"b", self.bodyOf(self.successResultOf(deferred)))

    def test_otherMethods(self) -> None:
        """Only the agent that is like a browser turns a redirected POST into a GET."""
        body = WholeBody(b"form")
        deferred = BrowserLikeRedirectAgent(self.agent).request(
            b"POST", b"https://a.test/1", None, body
        )
        self.assertEqual(b"POST", self.answer((b"location", b"/2"), status=b"302")[b":method"])
        self.assertEqual(b"GET", self.answer()[b":method"])
        self.successResultOf(deferred)
        deferred = RedirectAgent(self.agent).request(b"POST", b"https://a.test/1", None, body)
        self.answer((b"location", b"/2"), status=b"302")
        self.failureResultOf(deferred, ResponseFailed)

    def test_forEver(self) -> None:
        """A circle of redirects ends, and the connection is none the worse for it."""
        deferred = RedirectAgent(self.agent, 2).request(b"GET", b"https://a.test/")
        for _ in range(3):
            self.answer((b"location", b"/"), status=b"302")
        (reason,) = self.failureResultOf(deferred, ResponseFailed).value.reasons
        reason.trap(InfiniteRedirection)
        again = self.agent.request(b"GET", b"https://a.test/")
        self.answer(body=b"still here")
        self.assertEqual(b"still here", self.bodyOf(self.successResultOf(again)))


class CookieTests(WrapperTestCase):
    """Twisted's agent that keeps cookies."""

    def test_kept(self) -> None:
        """Cookies of one response, each in a field of its own, are sent with the next request."""
        jar = CookieJar()
        agent = CookieAgent(self.agent, jar)
        first = agent.request(b"GET", b"https://a.test/1")
        seen = self.answer((b"set-cookie", b"a=1; Secure"), (b"set-cookie", b"b=2; Path=/2"))
        self.assertNotIn(b"cookie", dict(seen.fields))
        self.successResultOf(first)
        self.assertEqual({"a", "b"}, {cookie.name for cookie in jar})
        second = agent.request(b"GET", b"https://a.test/2")
        # HTTP/2 may send each in a field of its own (RFC 9113 section 8.2.3).
        sent = [value for name, value in self.answer().fields if name == b"cookie"]
        self.assertEqual({b"a=1", b"b=2"}, {*b"; ".join(sent).split(b"; ")})
        self.successResultOf(second)


class ContentDecoderTests(WrapperTestCase):
    """Twisted's agent that decodes bodies."""

    def test_decoded(self) -> None:
        """A coding is asked for, and a body that comes in it is decoded, in however many frames."""
        agent = ContentDecoderAgent(self.agent, [(b"gzip", GzipDecoder)])
        deferred = agent.request(b"GET", b"https://a.test/")
        peer = self.connection().peer
        request = peer.expectHeaders()
        self.assertEqual(b"gzip", request[b"accept-encoding"])
        coded = gzip.compress(b"hello" * 1000)
        peer.sendHeaders(request.streamId, [(b":status", b"200"), (b"content-encoding", b"gzip")])
        reader = read(self.successResultOf(deferred))
        for octet in coded:
            peer.sendData(request.streamId, bytes([octet]))
        peer.sendData(request.streamId, b"", endStream=True)
        self.assertEqual(b"hello" * 1000, reader.octets)
        assert reader.reason is not None
        reader.reason.trap(ResponseDone)

    def test_notCoded(self) -> None:
        """A server may send the body as it is."""
        agent = ContentDecoderAgent(self.agent, [(b"gzip", GzipDecoder)])
        deferred = agent.request(b"GET", b"https://a.test/")
        self.answer(body=b"hello")
        self.assertEqual(b"hello", self.bodyOf(self.successResultOf(deferred)))

    def test_cutOff(self) -> None:
        """A body that is reset is told as incomplete, through the decoder."""
        agent = ContentDecoderAgent(self.agent, [(b"gzip", GzipDecoder)])
        deferred = agent.request(b"GET", b"https://a.test/")
        peer = self.connection().peer
        streamId = peer.expectHeaders().streamId
        peer.sendHeaders(streamId, [(b":status", b"200"), (b"content-encoding", b"gzip")])
        reader = read(self.successResultOf(deferred))
        peer.sendData(streamId, gzip.compress(b"hello")[:-4])
        peer.sendReset(streamId, 2)
        assert reader.reason is not None
        self.assertIsInstance(reader.reason.value, ResponseFailed)


class AllTogetherTests(WrapperTestCase):
    """Wrappers around wrappers."""

    def test_all(self) -> None:
        """A redirect that sets a cookie, to a body that is coded."""
        agent = ContentDecoderAgent(
            RedirectAgent(CookieAgent(self.agent, CookieJar())), [(b"gzip", GzipDecoder)]
        )
        deferred = agent.request(b"GET", b"https://a.test/1")
        self.answer((b"location", b"/2"), (b"set-cookie", b"a=1"), status=b"302")
        coded = gzip.compress(b"hello")
        seen = self.answer((b"content-encoding", b"gzip"), body=coded)
        self.assertEqual((b"a=1", b"gzip"), (seen[b"cookie"], seen[b"accept-encoding"]))
        self.assertEqual(b"hello", self.bodyOf(self.successResultOf(deferred)))


class TreqTests(WrapperTestCase):
    """treq, around our agent."""

    def setUp(self) -> None:
        """A client of treq's."""
        super().setUp()
        self.treq = HTTPClient(self.agent)

    def test_get(self) -> None:
        """Parameters, headers, decoding and JSON."""
        deferred = self.treq.get(
            "https://a.test/b", params={"c": "d e"}, headers=Headers({"X": ["y"]})
        )
        body = gzip.compress(b'{"f": 1}')
        seen = self.answer(
            (b"content-type", b"application/json"), (b"content-encoding", b"gzip"), body=body
        )
        self.assertEqual((b"/b?c=d+e", b"y"), (seen[b":path"], seen[b"x"]))
        response = self.successResultOf(deferred)
        self.assertEqual({"f": 1}, self.successResultOf(response.json()))
        self.assertEqual((b"HTTP", 2, 0), response.version)

    def test_post(self) -> None:
        """A body is sent whole, with its length; the redirect after it is followed by a GET."""
        deferred = self.treq.post(
            "https://a.test/form", data=WholeBody(b"b=c"), browser_like_redirects=True
        )
        peer = self.connection().peer
        seen = peer.expectHeaders()
        self.assertEqual((b"POST", b"3"), (seen[b":method"], seen[b"content-length"]))
        self.assertEqual(b"b=c", peer.expectData().payload)
        self.connection().answer(seen.streamId, b"", [(b":status", b"302"), (b"location", b"/d")])
        seen = self.answer(body=b"thanks")
        self.assertEqual((b"GET", b"/d"), (seen[b":method"], seen[b":path"]))
        response = self.successResultOf(deferred)
        self.assertEqual(b"thanks", self.successResultOf(response.content()))

    def test_cookies(self) -> None:
        """Cookies are kept from one request to the next."""
        first = self.treq.get("https://a.test/")
        self.answer((b"set-cookie", b"a=1"))
        self.successResultOf(first)
        self.treq.get("https://a.test/")
        self.assertEqual(b"a=1", self.answer()[b"cookie"])

    def test_cancelled(self) -> None:
        """Giving up resets the request's stream and leaves the connection alone."""
        deferred = self.treq.get("https://a.test/")
        peer = self.connection().peer
        streamId = peer.expectHeaders().streamId
        deferred.addErrback(lambda _: None)
        deferred.cancel()
        self.assertEqual(8, peer.expectReset(streamId))
        again = self.treq.get("https://a.test/")
        self.answer(body=b"b")
        self.assertEqual(b"b", self.successResultOf(self.successResultOf(again).content()))


class StockAgentTests(SynchronousTestCase):
    """Twisted's own Agent, with nothing changed but its pool."""

    def setUp(self) -> None:
        """Its endpoints are a network in memory."""
        self.network = Network(Clock())
        self.pool = ConnectionPool(self.network.clock)
        self.agent = web.Agent.usingEndpointFactory(self.network.clock, self.network, self.pool)

    def test_multiplexed(self) -> None:
        """Requests to an origin share one connection of HTTP/2, and get their own responses."""
        paths = [b"/%d" % n for n in range(5)]
        deferreds: list[Deferred[Any]] = [
            self.agent.request(b"GET", b"https://a.test" + path, Headers({b"x": [path]}))
            for path in paths
        ]
        (connection,) = self.network.connections
        connection.h2()
        seen = [connection.peer.expectHeaders() for _ in paths]
        self.assertEqual(
            [(path, path, b"a.test") for path in paths],
            [(each[b":path"], each[b"x"], each[b":authority"]) for each in seen],
        )
        for each in reversed(seen):
            connection.answer(each.streamId, each[b":path"])
        responses = [self.successResultOf(deferred) for deferred in deferreds]
        self.assertEqual(paths, [read(response).octets for response in responses])
        self.assertEqual({(b"HTTP", 2, 0)}, {response.version for response in responses})

    def test_upload(self) -> None:
        """A body is sent with its length."""
        deferred = self.agent.request(b"PUT", b"https://a.test/", None, WholeBody(b"hello"))
        connection = self.network.connections[0].h2()
        request = connection.peer.expectHeaders()
        self.assertEqual(b"5", request[b"content-length"])
        data = connection.peer.expectData()
        self.assertEqual(b"hello", data.payload)
        connection.answer(request.streamId, b"")
        self.assertEqual(200, self.successResultOf(deferred).code)
        self.assertTrue(data.flags & frames.END_STREAM or connection.peer.expectData().flags & 1)

    def test_fails(self) -> None:
        """A request that is reset fails as Twisted's requests do, with our error within."""
        deferred = self.agent.request(b"POST", b"https://a.test/")
        connection = self.network.connections[0].h2()
        connection.peer.sendReset(connection.peer.expectHeaders().streamId, 2)
        (reason,) = self.failureResultOf(deferred, web.ResponseNeverReceived).value.reasons
        self.assertIsInstance(reason.value, HyperError)

    def test_itsOwnEndpoints(self) -> None:
        """With Twisted's endpoints and policy, too, a request is dialled where the URI says."""
        reactor = MemoryReactorClock()
        agent = web.Agent(reactor, pool=ConnectionPool(reactor))
        agent.request(b"GET", b"https://127.0.0.1:8443/")
        self.assertEqual([("127.0.0.1", 8443)], [each[:2] for each in reactor.tcpClients])

    def test_wrapped(self) -> None:
        """Wrappers around it work as ever."""
        deferred = RedirectAgent(self.agent).request(b"GET", b"https://a.test/1")
        connection = self.network.connections[0].h2()
        connection.answer(
            connection.peer.expectHeaders().streamId,
            b"",
            [(b":status", b"307"), (b"location", b"/2")],
        )
        request = connection.peer.expectHeaders()
        self.assertEqual(b"/2", request[b":path"])
        connection.answer(request.streamId, b"here")
        self.assertEqual(b"here", read(self.successResultOf(deferred)).octets)

    def test_apartFromOurs(self) -> None:
        """Its connections are not those of our agents on the same pool: it may trust others."""
        ours = Agent.usingEndpointFactory(self.network.clock, self.network, self.pool)
        ours.request(b"GET", b"https://a.test/")
        self.agent.request(b"GET", b"https://a.test/")
        self.assertEqual(2, len(self.network.connections))
