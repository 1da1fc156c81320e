"""Tests for :mod:`txhyper.client.agent`: what a URI becomes, what is refused, what is shared."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.client.network import Connection, Network, read
from tests.protocol.scene import WholeBody
from txhyper import Agent, ConnectionPool
from txhyper.client import agent as module
from txhyper.client.tls import defaultPolicy
from txhyper.core.windows import AutoTuningFlowControlManager, FlowControlManager
from txhyper.errors import InvalidRequest


class AgentTestCase(SynchronousTestCase):
    """An agent on a network in memory; nothing is connected yet."""

    def setUp(self) -> None:
        """Make them."""
        self.network = Network(Clock())
        self.agent = self.another(self.network)

    def another(self, network: Network) -> Agent:
        """An agent on a network, with a pool of its own."""
        return Agent.usingEndpointFactory(network.clock, network)

    def request(
        self,
        uri: bytes = b"https://a.test/",
        method: bytes = b"GET",
        headers: Headers | None = None,
        body: Any = None,
    ) -> Deferred[Any]:
        """Ask the agent."""
        return self.agent.request(method, uri, headers, body)

    def only(self) -> Connection:
        """The only connection that was dialled."""
        (connection,) = self.network.connections
        return connection

    def seen(self, uri: bytes, method: bytes = b"GET") -> tuple[bytes, bytes, bytes]:
        """What the server of an agent that knows no URI yet sees: scheme, authority and path."""
        network = Network(Clock())
        self.another(network).request(method, uri)
        (connection,) = network.connections
        request = connection.h2().peer.expectHeaders()
        return request[b":scheme"], request[b":authority"], request[b":path"]

    def assertRefused(self, deferred: Deferred[Any]) -> str:
        """The caller's mistake is told as such. :return: the message."""
        error = self.failureResultOf(deferred, InvalidRequest).value
        self.assertIsInstance(error, ValueError)
        return str(error)

    def assertNothingDialled(self) -> None:
        """Nothing was, and the pool remembers nothing of it."""
        self.assertEqual([], self.network.connections)
        self.assertEqual({}, self.agent.pool._origins)


class URITests(AgentTestCase):
    """What a URI becomes on the wire."""

    def test_forms(self) -> None:
        """Every valid form of an absolute URI is taken apart as RFC 3986 says."""
        for uri, authority, path in [
            (b"https://a.test", b"a.test", b"/"),
            (b"https://a.test/", b"a.test", b"/"),
            (b"HTTPS://A.Test/B", b"a.test", b"/B"),
            (b"https://a.test:443/", b"a.test", b"/"),
            (b"https://a.test:/", b"a.test", b"/"),
            (b"https://a.test:80/", b"a.test:80", b"/"),
            (b"https://a.test:8443/b/c?d=e&f", b"a.test:8443", b"/b/c?d=e&f"),
            (b"https://a.test?q=/x", b"a.test", b"/?q=/x"),
            (b"https://a.test?", b"a.test", b"/?"),
            (b"https://a.test//b", b"a.test", b"//b"),
            (b"https://a.test/b%20c;d=:@!", b"a.test", b"/b%20c;d=:@!"),
            (b"https://a.test/b#c", b"a.test", b"/b"),
            (b"https://a.test/b?c#d?e", b"a.test", b"/b?c"),
            (b"https://a.test#b/c", b"a.test", b"/"),
            (b"https://a.test/https://b.test/", b"a.test", b"/https://b.test/"),
            (b"https://192.0.2.1/", b"192.0.2.1", b"/"),
            (b"https://[2001:DB8::1]/b", b"[2001:db8::1]", b"/b"),
            (b"https://[2001:db8::1]:99", b"[2001:db8::1]:99", b"/"),
            (b"https://[::ffff:192.0.2.1]/", b"[::ffff:192.0.2.1]", b"/"),
            (b"  https://a.test/b\r\n", b"a.test", b"/b"),
        ]:
            self.assertEqual((b"https", authority, path), self.seen(uri), uri)

    def test_optionsForTheServer(self) -> None:
        """OPTIONS without a path asks about the server itself (RFC 9110 section 9.3.7)."""
        for uri, path in [
            (b"https://a.test", b"*"),
            (b"https://a.test#b", b"*"),
            (b"https://a.test/", b"/"),
            (b"https://a.test?q", b"/?q"),
        ]:
            self.assertEqual(path, self.seen(uri, b"OPTIONS")[2], uri)

    def test_plain(self) -> None:
        """http has its own port, and speaks HTTP/1.1."""
        self.request(b"http://a.test:80/b#c")
        connection = self.only().tcp(tls=False)
        head = connection.transport.writes[0]
        self.assertTrue(head.startswith(b"GET /b HTTP/1.1\r\n"), head)
        self.assertIn(b"\r\nHost: a.test\r\n", head)

    def test_endpointFactoryIsTold(self) -> None:
        """
        Whoever makes the endpoint is told the origin as the pool knows it, however the user writes
        it: lower case, no brackets, a number for a port.
        """
        for given, *expected in [
            (b"HTTPS://A.Test:/path", b"https", b"a.test", 443),
            (b"http://[2001:DB8::1]:81", b"http", b"2001:db8::1", 81),
            (b"http://[2001:DB8::2]?q", b"http", b"2001:db8::2", 80),
        ]:
            self.request(given)
            uri = self.network.uris.pop()
            self.assertEqual(expected, [uri.scheme, uri.host, uri.port])

    def test_zone(self) -> None:
        """
        The zone of a local address says which way to dial, and stays at home: the server does not
        see it. The same address in another zone is another host, and a zone is spelled as this
        machine spells it.
        """
        for zone in (b"eth0", b"eth1", b"ETH1"):
            self.request(b"https://[fe80::1%25" + zone + b"]:99/")
            uri = self.network.uris.pop()
            self.assertEqual((b"fe80::1%" + zone, 99), (uri.host, uri.port))
            request = self.network.connections.pop().h2().peer.expectHeaders()
            self.assertEqual(b"[fe80::1]:99", request[b":authority"])

    def test_refused(self) -> None:
        """What is no valid URI is the caller's mistake; nothing is dialled."""
        for uri in (
            b"",
            b"nonsense",
            b"/path",
            b"//a.test/",
            b"https:/a.test",
            b"https://",
            b"https:///path",
            b"https://?q",
            b"https://:443/",
            b"https://a.test:0/",
            b"https://a.test:65536/",
            b"https://a.test:-1/",
            b"https://a.test:port/",
            b"https://a.test:1:2/",
            b"https://user:password@a.test/",
            b"https://user@a.test/",
            b"https://@a.test/",
            b"https://a.test/b c",
            b"https://a.test/\r\nx: y",
            b"https://a.test\r\nx: y/",
            b"https://a.test/\0",
            b"https://a.test/\xff",
            b"https://\xff.test/",
            b"https://[::1/",
            b"https://::1/",
            b"https://[::g]/",
            b"https://[1]/",
            b"https://[192.0.2.1]/",
            b"https://[::1]b/",
        ):
            self.assertRefused(self.request(uri))
            self.assertRefused(self.request(uri, b"OPTIONS"))
        self.assertNothingDialled()

    def test_secretsAreNotTold(self) -> None:
        """Credentials are refused without being repeated in the message, which may be logged."""
        message = self.assertRefused(self.request(b"https://user:secret@a.test/"))
        self.assertIn("Authorization", message)
        self.assertNotIn("secret", message)

    def test_otherSchemes(self) -> None:
        """A scheme that is not HTTP's is refused with Twisted's own error; nothing is dialled."""
        for uri in (b"ftp://a.test/", b"WSS://a.test", b"httpss://a.test/"):
            error = self.failureResultOf(self.request(uri), SchemeNotSupported).value
            self.assertIn(uri[:3].decode().lower(), str(error))
        self.assertNothingDialled()


class RememberedTests(AgentTestCase):
    """URIs are taken apart once for an origin."""

    def test_theSameAsTheFirstTime(self) -> None:
        """
        What is remembered of a URI is its origin and nothing else: neither the end of a host's
        name nor a query with a slash in it is mistaken for the beginning of a path, and a refused
        URI is refused again.
        """
        for uri, authority, path in [
            (b"https://a.test", b"a.test", b"/"),
            (b"https://a.tes/t", b"a.tes", b"/t"),
            (b"https://a.test:99/t", b"a.test:99", b"/t"),
            (b"http://a/t/u", b"a", b"/t/u"),
            (b"https://a.test?q", b"a.test", b"/?q"),
            (b"https://a.test?q/r", b"a.test", b"/?q/r"),
            (b"https://a.test#f", b"a.test", b"/"),
            (b"https://a.test#f/g?h", b"a.test", b"/"),
            (b"https://a.test/#f", b"a.test", b"/"),
            (b"https://a.test/p#f", b"a.test", b"/p"),
            (b"https://a.test/p?q#f", b"a.test", b"/p?q"),
            (b"https://A.Test/p", b"a.test", b"/p"),
        ]:
            for _ in range(2):
                with mock.patch.object(self.agent.pool, "send") as send:
                    self.request(uri)
                request = send.call_args.args[1]
                self.assertEqual((authority, path), (request.authority, request.path), uri)
        for uri in (b"https://a.test/ ?", b"https://a.test/\xff", b"https://u@a.test/p"):
            for _ in range(2):
                self.assertRefused(self.request(uri))

    def test_oneOrigin(self) -> None:
        """However an origin is written, its requests share a connection."""
        for uri in (b"https://a.test/1", b"HTTPS://A.Test:443/2", b"https://a.test:#3"):
            self.request(uri)
        peer = self.only().h2().peer
        self.assertEqual([b"/1", b"/2", b"/"], [peer.expectHeaders()[b":path"] for _ in range(3)])

    def test_once(self) -> None:
        """Each origin's URIs are taken apart once, however many requests go there."""
        with mock.patch.object(module, "splitURI", wraps=module.splitURI) as split:
            for path in (b"", b"/1", b"/2", b"/3?q", b""):
                for host in (b"a", b"b"):
                    self.request(b"https://" + host + b".test" + path)
        self.assertEqual({b"https://a.test", b"https://b.test"}, {*map(_uri, split.mock_calls)})

    def test_boundedMemory(self) -> None:
        """
        A crawler that sees a million origins does not remember each of them, and what it has
        forgotten it takes apart anew.
        """
        self.patch(module, "REMEMBERED", 3)
        for n in [*range(10), 0]:
            self.request(b"https://host%d.test/" % n)
            self.assertLessEqual(len(self.agent._targets), 3)
        self.assertEqual(10, len(self.network.connections))

    def test_queriesAreNotRemembered(self) -> None:
        """A query or a fragment is no part of an origin: each new one would be remembered."""
        for n in range(10):
            for form in (b"https://a.test?%d", b"https://a.test#%d", b"https://a.test?%d/b"):
                self.request(form % n)
        self.assertEqual({}, self.agent._targets)


class Uncleaned(Headers):
    """One field, as it is."""

    def __init__(self, name: bytes, value: bytes) -> None:
        super().__init__()
        self._field = name, value

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """That field."""
        name, value = self._field
        yield name, [value]


def _uri(call: Any) -> bytes:
    """What a mock of ``splitURI`` was called with."""
    uri: bytes = call.args[0]
    return uri


class RequestTests(AgentTestCase):
    """The rest of a request."""

    def test_answered(self) -> None:
        """A request and its response, by way of the network."""
        deferred = self.request(
            b"https://a.test/b", b"PUT", Headers({b"X": [b"y"]}), WholeBody(b"c")
        )
        connection = self.only().h2()
        request = connection.peer.expectHeaders()
        for name, value in [(b":method", b"PUT"), (b"x", b"y"), (b"content-length", b"1")]:
            self.assertEqual(value, request[name])
        self.assertEqual(b"c", connection.peer.expectData().payload)
        connection.answer(request.streamId, b"d")
        response = self.successResultOf(deferred)
        self.assertEqual((200, (b"HTTP", 2, 0)), (response.code, response.version))
        self.assertEqual(b"https://a.test/b", response.request.absoluteURI)
        self.assertEqual(b"d", read(response).octets)

    def test_method(self) -> None:
        """A method is a token, and any token will do; what is none is refused."""
        self.request(method=b"M-SEARCH")
        self.assertEqual(
            b"M-SEARCH", self.network.connections.pop().h2().peer.expectHeaders()[b":method"]
        )
        self.setUp()
        for method in (b"", b" GET", b"GE T", b"GET\r\n", b"GET\r\nx: y", b"G\xff", b"G:"):
            self.assertRefused(self.request(method=method))
        self.assertNothingDialled()

    def test_headers(self) -> None:
        """What is no valid field is the caller's mistake; nothing is dialled."""
        for name, *values in [
            (b"x", b"\0"),
            (b"host", b"a", b"b"),
            (b"content-length", b"-1"),
            (b"content-length", b"1"),
        ]:
            self.assertRefused(self.request(headers=Headers({name: values})))
        self.assertNothingDialled()

    def test_injection(self) -> None:
        """A line break in a field ends nothing, over HTTP/2 or HTTP/1.1: it never arrives."""
        headers = Headers({b"x": [b"y\r\nz: 1\r\n\r\nGET /other HTTP/1.1"]})
        self.request(headers=headers)
        fields = dict(self.only().h2().peer.expectHeaders().fields)
        self.assertNotIn(b"z", fields)
        self.assertFalse({b"\r", b"\n"} & {bytes([octet]) for octet in fields[b"x"]})
        self.request(b"http://b.test/", headers=headers)
        head = self.network.connections[1].tcp(tls=False).transport.writes[0]
        self.assertEqual(1, head.count(b"\r\n\r\n"))
        self.assertFalse([line for line in head.splitlines() if line.startswith((b"z", b"GET /o"))])

    def test_otherHeaders(self) -> None:
        """Headers of another make, which clean nothing, are judged all the same."""
        for name, value in [(b"x", b"y\r\nz: 1"), (b"x\r\nz", b"1"), (b"x y", b"1"), (b"", b"1")]:
            self.assertRefused(self.request(headers=Uncleaned(name, value)))
        self.assertNothingDialled()

    def test_host(self) -> None:
        """A Host field takes the place of the URI's authority, as with Twisted's own Agent."""
        self.request(headers=Headers({b"Host": [b"virtual.test"]}))
        request = self.only().h2().peer.expectHeaders()
        self.assertEqual(b"virtual.test", request[b":authority"])
        self.assertNotIn(b"host", dict(request.fields))
        self.assertEqual(b"a.test", self.network.uris[0].host)

    def test_endpointFactoryRaises(self) -> None:
        """
        An endpoint factory that raises fails the request with its own error, and nothing else: the
        next request asks it again.
        """
        with mock.patch.object(self.network, "endpointForURI", side_effect=KeyError("no route")):
            for _ in range(2):
                self.failureResultOf(self.request(), KeyError)
        self.assertNothingDialled()
        self.request()
        self.only()

    def test_endpointFactoryKnowsNoSuchScheme(self) -> None:
        """A factory that does without https, say, says so with Twisted's own error."""
        refuse = mock.patch.object(self.network, "endpointForURI", side_effect=SchemeNotSupported)
        with refuse:
            self.failureResultOf(self.request(), SchemeNotSupported)

    def test_impossibleHost(self) -> None:
        """A host's name that TLS cannot verify is the caller's mistake; nothing is dialled."""
        reactor = MemoryReactorClock()
        self.agent = Agent(reactor)
        for host in (b"a..test", b"-a.test", b"a" * 64 + b".test"):
            self.assertRefused(self.request(b"https://" + host + b"/"))
        self.assertEqual([], reactor.tcpClients)


class CloseTests(AgentTestCase):
    """The end of it."""

    def test_close(self) -> None:
        """Closing an agent closes its connections, and nothing is left to be called later."""
        deferred = self.request()
        connection = self.only().h2()
        connection.answer(connection.peer.expectHeaders().streamId)
        self.successResultOf(deferred)
        self.assertFalse(connection.transport.isClosing)
        closed = self.agent.close()
        self.network.settle()
        self.assertIsNone(self.successResultOf(closed))
        self.assertTrue(connection.transport.isClosing)
        self.assertEqual([], self.network.clock.getDelayedCalls())

    def test_nothingToClose(self) -> None:
        """An agent that has not been used is closed at once."""
        self.assertIsNone(self.successResultOf(self.agent.close()))

    def test_afterwards(self) -> None:
        """A closed agent may be used again."""
        self.successResultOf(self.agent.close())
        self.request()
        self.only()


@implementer(IPolicyForHTTPS, IAgentEndpointFactory)
@dataclass
class Settings:
    """A policy, and an endpoint factory, that compares by its content and has no hash."""

    network: Network = field(default_factory=lambda: Network(Clock()), compare=False)

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """As everybody."""
        return defaultPolicy().creatorForNetloc(hostname, port)

    def endpointForURI(self, uri: Any) -> Network:
        """In memory."""
        return self.network


class ConstructionTests(SynchronousTestCase):
    """Making agents."""

    def setUp(self) -> None:
        """A reactor in memory."""
        self.reactor = MemoryReactorClock()

    def test_dropIn(self) -> None:
        """The constructor takes what Twisted's takes, in the same order."""
        pool = ConnectionPool(self.reactor, persistent=False)
        agent = Agent(self.reactor, BrowserLikePolicyForHTTPS(), 5, ("192.0.2.1", 0), pool)
        self.assertTrue(verifyObject(IAgent, agent))
        self.assertIs(pool, agent.pool)
        agent.request(b"GET", b"https://127.0.0.1/")
        self.assertEqual((5, ("192.0.2.1", 0)), self.reactor.tcpClients[0][3:5])

    def test_ownPool(self) -> None:
        """Without a pool there is a persistent one, each agent's own."""
        one, two = Agent(self.reactor), Agent.usingEndpointFactory(self.reactor, Settings())
        for agent in (one, two):
            self.assertTrue(agent.pool.persistent)
            self.assertIs(self.reactor, agent.pool.reactor)
        self.assertIsNot(one.pool, two.pool)

    def test_windowManager(self) -> None:
        """The agent's own pool has the window manager that the agent is given, or the default."""
        for given, expected in (
            (AutoTuningFlowControlManager, AutoTuningFlowControlManager),
            (None, FlowControlManager),
        ):
            for agent in (
                Agent(self.reactor, window_manager=given),
                Agent.usingEndpointFactory(self.reactor, Settings(), window_manager=given),
            ):
                self.assertIs(expected, agent.pool.windowManager)

    def test_windowManagerOfAPool(self) -> None:
        """A pool that is given has its own: another one beside it is found out at once."""
        pool, manager = ConnectionPool(self.reactor), FlowControlManager
        for make in (
            lambda: Agent(self.reactor, pool=pool, window_manager=manager),
            lambda: Agent.usingEndpointFactory(
                self.reactor, Settings(), pool, window_manager=manager
            ),
        ):
            with self.assertRaises(TypeError) as caught:
                make()
            self.assertIn("the pool has its own", str(caught.exception))

    def test_pushOfAPool(self) -> None:
        """Likewise whether promises are taken."""
        with self.assertRaises(TypeError) as caught:
            Agent(self.reactor, pool=ConnectionPool(self.reactor), enablePush=True)
        self.assertIn("the pool has its own", str(caught.exception))

    def test_wrongPolicy(self) -> None:
        """What is no policy is found out at once: a pyOpenSSL context factory, or the class."""
        for wrong in (object(), BrowserLikePolicyForHTTPS, False):
            with self.assertRaises(TypeError) as caught:
                Agent(self.reactor, wrong)  # type: ignore[arg-type]
            self.assertIn("IPolicyForHTTPS", str(caught.exception))

    def test_wrongPool(self) -> None:
        """Twisted's own pool cannot hold connections of HTTP/2, which is found out at once."""
        pool: Any = HTTPConnectionPool(self.reactor)
        for make in (
            lambda: Agent(self.reactor, pool=pool),
            lambda: Agent.usingEndpointFactory(self.reactor, Settings(), pool),
        ):
            with self.assertRaises(TypeError) as caught:
                make()
            self.assertIn("txhyper.ConnectionPool", str(caught.exception))


class SharingTests(SynchronousTestCase):
    """Agents with one pool share connections exactly if they trust and connect alike."""

    def setUp(self) -> None:
        """A pool, and nothing dialled."""
        self.reactor = MemoryReactorClock()
        self.pool = ConnectionPool(self.reactor)

    def dials(self, *agents: Agent) -> int:
        """How many connections are dialled when each agent asks the same origin."""
        before = len(self.reactor.tcpClients)
        for agent in agents:
            agent.request(b"GET", b"https://127.0.0.1/")
        return len(self.reactor.tcpClients) - before

    def test_alike(self) -> None:
        """The same policy, or none, and the same options: one connection for all."""
        policy = defaultPolicy()
        for options in (
            {},
            {"contextFactory": policy},
            {"contextFactory": policy, "connectTimeout": 5},
            {"contextFactory": policy, "connectTimeout": 5, "bindAddress": ("192.0.2.1", 0)},
        ):
            agents = [Agent(self.reactor, pool=self.pool, **options) for _ in range(3)]
            self.assertEqual(1, self.dials(*agents), options)

    def test_unlike(self) -> None:
        """Another policy, another time limit, another local address: a connection for each."""
        one, two = defaultPolicy(), defaultPolicy()
        agents = [
            Agent(self.reactor, one, pool=self.pool),
            Agent(self.reactor, two, pool=self.pool),
            Agent(self.reactor, one, 5, pool=self.pool),
            Agent(self.reactor, one, None, ("192.0.2.1", 0), pool=self.pool),
            Agent(self.reactor, pool=self.pool),
        ]
        self.assertEqual(5, self.dials(*agents))

    def test_identity(self) -> None:
        """
        A policy, or an endpoint factory, that is a data class cannot be hashed, and equals others.
        It is taken all the same, and shared exactly if it is the same one.
        """
        one, two = Settings(), Settings()
        self.assertEqual(
            2, self.dials(*(Agent(self.reactor, each, pool=self.pool) for each in (one, one, two)))
        )
        for each in (one, one, two):
            agent = Agent.usingEndpointFactory(self.reactor, each, self.pool)
            agent.request(b"GET", b"https://127.0.0.1/")
        self.assertEqual([1, 1], [len(each.network.connections) for each in (one, two)])

    def test_aDeadPolicysPlace(self) -> None:
        """
        A policy lives as long as its connections: a later one cannot take its place in memory, and
        with it connections that it would not have trusted.
        """
        policy = defaultPolicy()
        alive = weakref.ref(policy)
        self.dials(Agent(self.reactor, policy, pool=self.pool))
        del policy
        gc.collect()
        self.assertIsNotNone(alive())
        self.assertEqual(1, self.dials(Agent(self.reactor, defaultPolicy(), pool=self.pool)))

    def test_ownPools(self) -> None:
        """Agents with pools of their own share nothing."""
        self.assertEqual(2, self.dials(Agent(self.reactor), Agent(self.reactor)))
