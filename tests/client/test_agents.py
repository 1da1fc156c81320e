"""Tests for :mod:`txhyper.client.agent` and :mod:`txhyper.client.endpoints`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import treq.client
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    URI,
    BrowserLikePolicyForHTTPS,
    BrowserLikeRedirectAgent,
    ContentDecoderAgent,
    CookieAgent,
    GzipDecoder,
    HTTPConnectionPool,
    RedirectAgent,
    readBody,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.client.network import Connection, Network, read
from txhyper import Agent, ConnectionPool
from txhyper.client import agent as module
from txhyper.client.endpoints import StandardEndpointFactory
from txhyper.client.tls import defaultPolicy
from txhyper.errors import InvalidRequest

GZIPPED = bytes.fromhex("1f8b0800000000000203cb48cdc9c9070086a6103605000000")


class AgentCase(SynchronousTestCase):
    """An agent on a network in memory."""

    def setUp(self) -> None:
        """Nothing is connected yet."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.agent = Agent.usingEndpointFactory(self.clock, self.network)

    def seen(self, uri: bytes, method: bytes = b"GET") -> tuple[bytes, bytes, bytes]:
        """What a request for a URI says: scheme, authority and path."""
        network = Network(self.clock)
        agent = Agent.usingEndpointFactory(self.clock, network)
        agent.request(method, uri).addErrback(lambda _: None)
        (connection,) = network.connections
        request = connection.h2().peer.expectHeaders()
        return request[b":scheme"], request[b":authority"], request[b":path"]


class URITests(AgentCase):
    """What a URI becomes."""

    def test_forms(self) -> None:
        """Every valid form of an absolute URI is taken apart as RFC 3986 says."""
        for uri, authority, path in [
            (b"https://example.com", b"example.com", b"/"),
            (b"https://example.com/", b"example.com", b"/"),
            (b"HTTPS://Example.COM/A", b"example.com", b"/A"),
            (b"https://example.com:443/", b"example.com", b"/"),
            (b"https://example.com:8443/a/b?c=d&e", b"example.com:8443", b"/a/b?c=d&e"),
            (b"https://example.com?q=/x", b"example.com", b"/?q=/x"),
            (b"https://example.com/a#fragment", b"example.com", b"/a"),
            (b"https://example.com#fragment", b"example.com", b"/"),
            (b"https://[2001:db8::1]/a", b"[2001:db8::1]", b"/a"),
            (b"https://[2001:db8::1]:99", b"[2001:db8::1]:99", b"/"),
            (b"  https://example.com/a\n", b"example.com", b"/a"),
        ]:
            self.assertEqual((b"https", authority, path), self.seen(uri))

    def test_options(self) -> None:
        """OPTIONS without a path asks about the server (RFC 9110 section 9.3.7)."""
        self.assertEqual(b"*", self.seen(b"https://example.com", b"OPTIONS")[2])
        self.assertEqual(b"/", self.seen(b"https://example.com/", b"OPTIONS")[2])

    def test_sameAfterTheFirstTime(self) -> None:
        """A URI of an origin that is known says the same as one that is not."""
        self.agent.request(b"GET", b"https://example.com/1").addErrback(lambda _: None)
        (connection,) = self.network.connections
        connection.h2()
        for uri, path in [
            (b"https://example.com/a?b#c", b"/a?b"),
            (b"https://example.com?x", b"/?x"),
            (b"https://example.com", b"/"),
            (b"https://EXAMPLE.com:443/y", b"/y"),
        ]:
            self.agent.request(b"GET", uri).addErrback(lambda _: None)
            self.assertIn(
                (b":path", path),
                [field for _ in range(2) for field in self.nextHeaders(connection)],
            )
        self.assertEqual(1, len(self.network.connections))

    def test_remembered(self) -> None:
        """
        What is remembered of a URI is its origin and nothing else: neither the end of a host's
        name nor a query with a slash in it is mistaken for the beginning of a path.
        """
        for uri, authority, path in [
            (b"https://a.test", b"a.test", b"/"),
            (b"https://a.tes/t", b"a.tes", b"/t"),
            (b"https://a.test?q", b"a.test", b"/?q"),
            (b"https://a.test?q/r", b"a.test", b"/?q/r"),
            (b"https://a.test?q/r", b"a.test", b"/?q/r"),
            (b"https://a.test#f", b"a.test", b"/"),
            (b"https://a.test#f/g?h", b"a.test", b"/"),
            (b"https://a.test/#f", b"a.test", b"/"),
            (b"https://a.test/p#f", b"a.test", b"/p"),
        ]:
            with mock.patch.object(self.agent.pool, "send") as send:
                self.agent.request(b"GET", uri)
            request = send.call_args.args[3]
            self.assertEqual((authority, path), (request.authority, request.path), uri)

    def test_takenApartOnce(self) -> None:
        """Each origin's URIs are taken apart once, however many requests go there."""
        with mock.patch.object(module, "splitURI", wraps=module.splitURI) as split:
            for path in (b"/1", b"/2", b"/3?q"):
                for host in (b"a", b"b"):
                    uri = b"https://" + host + b".test" + path
                    self.agent.request(b"GET", uri).addErrback(lambda _: None)
            self.assertEqual({b"/1"}, {call.args[0][-2:] for call in split.mock_calls})
            self.agent.request(b"GET", b"https://c.test").addErrback(lambda _: None)
            calls = split.call_count
            self.agent.request(b"GET", b"https://c.test").addErrback(lambda _: None)
            self.assertEqual(calls, split.call_count)

    def nextHeaders(self, connection: Connection) -> list[tuple[bytes, bytes]]:
        """The fields of the next request, if there is one."""
        connection.peer.read()
        return connection.peer.expectHeaders().fields if connection.peer.frames else []

    def test_refused(self) -> None:
        """What is no valid URI is the caller's mistake; nothing is dialled."""
        for uri in (
            b"",
            b"nonsense",
            b"/path",
            b"https://",
            b"https:///path",
            b"https://example.com:0/",
            b"https://example.com:65536/",
            b"https://example.com:port/",
            b"https://user:password@example.com/",
            b"https://example.com/a b",
            b"https://example.com/\r\nx: y",
            b"https://example.com/\xff",
            b"https://[::1/",
        ):
            failure = self.failureResultOf(self.agent.request(b"GET", uri), InvalidRequest)
            self.assertIsInstance(failure.value, ValueError)
        self.assertEqual([], self.network.connections)

    def test_unknownScheme(self) -> None:
        """A scheme that is not HTTP's is refused with Twisted's own error."""
        for uri in (b"ftp://example.com/", b"ws://example.com/"):
            self.failureResultOf(self.agent.request(b"GET", uri), SchemeNotSupported)
        self.assertEqual([], self.network.connections)

    def test_boundedMemory(self) -> None:
        """A crawler that sees a million origins does not remember each of them."""
        self.patch(module, "REMEMBERED", 3)
        for n in range(10):
            uri = b"https://host%d.example.com/" % n
            self.agent.request(b"GET", uri).addErrback(lambda _: None)
            self.assertLessEqual(len(self.agent._targets), 3)
        self.assertEqual(10, len(self.network.connections))


class RequestTests(AgentCase):
    """What else may be wrong with a request."""

    def test_method(self) -> None:
        """A method is a token."""
        for method in (b"", b"GE T", b"GET\r\n", b"G\xff"):
            deferred = self.agent.request(method, b"https://example.com/")
            self.failureResultOf(deferred, InvalidRequest)
        self.assertEqual([], self.network.connections)

    def test_headers(self) -> None:
        """
        A field cannot end the header section: Twisted's Headers make a space of what could, and
        what is left of it is checked.
        """
        for headers in (
            Headers({b"x": [b"\0"]}),
            Headers({b"host": [b"a", b"b"]}),
            Headers({b"content-length": [b"-1"]}),
        ):
            deferred = self.agent.request(b"GET", b"https://example.com/", headers)
            self.failureResultOf(deferred, InvalidRequest)
        self.assertEqual([], self.network.connections)

    def test_host(self) -> None:
        """A Host field takes the place of the URI's authority, as with Twisted's own Agent."""
        headers = Headers({b"Host": [b"virtual.example.com"]})
        self.agent.request(b"GET", b"https://example.com/", headers).addErrback(lambda _: None)
        request = self.network.connections[0].h2().peer.expectHeaders()
        self.assertEqual(b"virtual.example.com", request[b":authority"])
        self.assertNotIn(b"host", dict(request.fields))


@implementer(IPolicyForHTTPS, IAgentEndpointFactory)
@dataclass
class Settings:
    """A policy, and an endpoint factory, that compares by its content."""

    network: Network = field(default_factory=lambda: Network(Clock()), compare=False)

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """As everybody."""
        return defaultPolicy().creatorForNetloc(hostname, port)

    def endpointForURI(self, uri: Any) -> Network:
        """In memory."""
        return self.network


class ConstructionTests(SynchronousTestCase):
    """Agents, and what they share."""

    def test_dropIn(self) -> None:
        """The constructor takes what Twisted's takes; without a pool there is a persistent one."""
        reactor = MemoryReactorClock()
        agent = Agent(reactor, BrowserLikePolicyForHTTPS(), 5, None, None)
        self.assertTrue(verifyObject(IAgent, agent))
        self.assertTrue(agent.pool.persistent)
        self.successResultOf(agent.close())

    def test_wrongPolicy(self) -> None:
        """What is no policy is found out at once."""
        with self.assertRaises(TypeError):
            Agent(MemoryReactorClock(), object())  # type: ignore[arg-type]

    def test_wrongPool(self) -> None:
        """Twisted's own pool cannot hold connections of HTTP/2, which is found out at once."""
        reactor = MemoryReactorClock()
        with self.assertRaises(TypeError) as caught:
            Agent(reactor, pool=HTTPConnectionPool(reactor))  # type: ignore[arg-type]
        self.assertIn("txhyper.ConnectionPool", str(caught.exception))

    def test_policyWithoutHash(self) -> None:
        """
        A policy, or an endpoint factory, that is a data class cannot be hashed. It is taken all
        the same, and shared exactly if it is the same one.
        """
        reactor = MemoryReactorClock()
        pool = ConnectionPool(reactor)
        one, two = Settings(), Settings()
        for agent in (
            Agent(reactor, one, pool=pool),
            Agent(reactor, one, pool=pool),
            Agent(reactor, two, pool=pool),
            Agent.usingEndpointFactory(reactor, one, pool),
            Agent.usingEndpointFactory(reactor, one, pool),
            Agent.usingEndpointFactory(reactor, two, pool),
        ):
            agent.request(b"GET", b"https://127.0.0.1/").addErrback(lambda _: None)
        self.assertEqual(2, len(reactor.tcpClients))
        self.assertEqual([1, 1], [len(each.network.connections) for each in (one, two)])

    def test_sharing(self) -> None:
        """Agents with one pool share connections exactly if they trust and connect alike."""
        reactor = MemoryReactorClock()
        pool = ConnectionPool(reactor)
        policy = defaultPolicy()
        for agent in (
            Agent(reactor, pool=pool),
            Agent(reactor, pool=pool),
            Agent(reactor, policy, pool=pool),
            Agent(reactor, policy, pool=pool),
            Agent(reactor, policy, bindAddress=("192.0.2.9", 0), pool=pool),
        ):
            agent.request(b"GET", b"https://127.0.0.1/").addErrback(lambda _: None)
        self.assertEqual(3, len(reactor.tcpClients))


class EndpointTests(SynchronousTestCase):
    """The standard endpoints."""

    def setUp(self) -> None:
        """A reactor in memory."""
        self.reactor = MemoryReactorClock()

    def connect(self, uri: bytes, **options: Any) -> Any:
        """Dial. :return: the client of the reactor's."""
        agent = Agent(self.reactor, **options)
        agent.request(b"GET", uri).addErrback(lambda _: None)
        return self.reactor.tcpClients[-1]

    def test_where(self) -> None:
        """Host and port of the URI, the scheme's own port if there is none."""
        for uri, host, port in [
            (b"http://127.0.0.1/", "127.0.0.1", 80),
            (b"https://127.0.0.1/", "127.0.0.1", 443),
            (b"https://127.0.0.1:8443/", "127.0.0.1", 8443),
            (b"https://127.0.0.1:/", "127.0.0.1", 443),
        ]:
            self.assertEqual((host, port), self.connect(uri)[:2])

    def test_asTheKeyHasIt(self) -> None:
        """
        Whoever makes the endpoint is told the host in lower case, as the pool knows the origin:
        what it looks up by the host's name is found however the user writes it.
        """
        network = Network(Clock())
        agent = Agent.usingEndpointFactory(network.clock, network)
        for given, *expected in (
            (b"HTTPS://A.Test:/path", b"https", b"a.test", 443),
            (b"http://[2001:DB8::1]:81", b"http", b"2001:db8::1", 81),
        ):
            agent.request(b"GET", given).addErrback(lambda _: None)
            uri = network.uris.pop()
            self.assertEqual(expected, [uri.scheme, uri.host, uri.port])

    def test_options(self) -> None:
        """Time limit and local address reach the connection."""
        client = self.connect(b"https://127.0.0.1/", connectTimeout=7, bindAddress=("192.0.2.1", 0))
        self.assertEqual((7, ("192.0.2.1", 0)), client[3:5])
        self.assertEqual(30, self.connect(b"https://127.0.0.1/")[3])

    def test_schemes(self) -> None:
        """Only HTTP's."""
        factory = StandardEndpointFactory(self.reactor, defaultPolicy())
        plain = factory.endpointForURI(URI.fromBytes(b"http://example.com/"))
        self.assertIsInstance(plain, HostnameEndpoint)
        with self.assertRaises(SchemeNotSupported):
            factory.endpointForURI(URI.fromBytes(b"ftp://example.com/"))

    def test_policyIsAsked(self) -> None:
        """The policy is told the host without brackets, and the port."""
        asked = []

        class Policy:
            def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
                asked.append((hostname, port))
                return defaultPolicy().creatorForNetloc(hostname, port)

        factory = StandardEndpointFactory(self.reactor, Policy())  # type: ignore[arg-type]
        factory.endpointForURI(URI.fromBytes(b"https://[::1]:99/"))
        self.assertEqual([(b"::1", 99)], asked)
        self.assertTrue(IPolicyForHTTPS.providedBy(defaultPolicy()))


class WrapperTests(AgentCase):
    """Whatever wraps an agent wraps this one."""

    def serve(self, answers: list[tuple[list[tuple[bytes, bytes]], bytes]]) -> list[Any]:
        """Answer requests in turn. :return: what was seen of each."""
        connection = self.network.connections[0].h2()
        seen = []
        for fields, body in answers:
            request = connection.peer.expectHeaders()
            seen.append(request)
            connection.answer(request.streamId, body, fields)
        return seen

    def test_redirects(self) -> None:
        """Redirects are followed, on the same connection."""
        for wrapper in (RedirectAgent, BrowserLikeRedirectAgent):
            self.setUp()
            deferred = wrapper(self.agent).request(b"GET", b"https://example.com/1")
            seen = self.serve(
                [
                    ([(b":status", b"302"), (b"location", b"/2")], b"moved"),
                    ([(b":status", b"200")], b"here"),
                ]
            )
            response = self.successResultOf(deferred)
            self.assertEqual([b"/1", b"/2"], [request[b":path"] for request in seen])
            self.assertEqual(302, response.previousResponse.code)
            self.assertEqual(b"here", read(response).octets)

    def test_cookies(self) -> None:
        """Cookies are kept and sent back."""
        from http.cookiejar import CookieJar

        agent = CookieAgent(self.agent, CookieJar())
        first = agent.request(b"GET", b"https://example.com/1")
        connection = self.network.connections[0].h2()
        connection.peer.expectHeaders()
        connection.answer(1, b"", [(b":status", b"200"), (b"set-cookie", b"a=b")])
        self.successResultOf(first)
        agent.request(b"GET", b"https://example.com/2").addErrback(lambda _: None)
        self.assertEqual(b"a=b", connection.peer.expectHeaders()[b"cookie"])

    def test_contentDecoder(self) -> None:
        """A coded body is decoded."""
        agent = ContentDecoderAgent(self.agent, [(b"gzip", GzipDecoder)])
        deferred = agent.request(b"GET", b"https://example.com/")
        self.serve([([(b":status", b"200"), (b"content-encoding", b"gzip")], GZIPPED)])
        self.assertEqual(b"hello", read(self.successResultOf(deferred)).octets)

    def test_treq(self) -> None:
        """treq is handed the agent."""
        client = treq.client.HTTPClient(self.agent)
        deferred: Deferred[Any] = client.get("https://example.com/", params={"a": "b"})
        self.serve([([(b":status", b"200"), (b"content-type", b"application/json")], b'{"c": 1}')])
        response = self.successResultOf(deferred)
        self.assertEqual({"c": 1}, self.successResultOf(response.json()))

    def test_readBody(self) -> None:
        """readBody reads; cancelled, it resets the stream and tells that it was."""
        deferred = self.agent.request(b"GET", b"https://example.com/")
        connection = self.network.connections[0].h2()
        connection.peer.sendHeaders(1, [(b":status", b"200")])
        body = readBody(self.successResultOf(deferred))
        body.cancel()
        self.failureResultOf(body)
        self.assertEqual(8, connection.peer.expectReset(1))
