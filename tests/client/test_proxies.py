"""Tests for :mod:`txhyper.client.proxies`: what a proxy is, and which way an agent goes."""

from __future__ import annotations

import sys
from base64 import b64decode
from typing import Any
from unittest import mock

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers

from tests.client.network import Transport
from tests.client.scene import OK11
from tests.client.test_endpoints import Policy
from txhyper import Agent, ConnectionPool, Proxy, Request, proxyFromEnvironment
from txhyper.client.tls import unverifiedPolicy
from txhyper.errors import InvalidRequest

SECRET = b"s3cret"
BASIC = b"Basic dXNlcjpzM2NyZXQ="


class ProxyTests(SynchronousTestCase):
    """What a user says of a proxy."""

    def test_uris(self) -> None:
        """Each scheme has its port, credentials are percent-encoded, and a slash is no path."""
        for uri, name in [
            (b"http://p.test:3128", "http://p.test:3128"),
            (b"HTTP://P.Test/", "http://p.test:80"),
            (b"https://p.test", "https://p.test:443"),
            (b"socks5://p.test", "socks5://p.test:1080"),
            (b"socks5h://[::1]:99/", "socks5h://[::1]:99"),
            (b"http://user:s3cret@192.0.2.1", "http://192.0.2.1:80"),
            (b"http://@p.test", "http://p.test:80"),
        ]:
            proxy = Proxy(uri)
            self.assertEqual(name, proxy.name)
            self.assertEqual(f"<Proxy {name}>", repr(proxy))

    def test_credentials(self) -> None:
        """They become Basic's, decoded, and stand in no message."""
        for userinfo, told in [
            (b"user:s3cret", b"user:s3cret"),
            (b"us%40er:a%3Ab%20c%2F", b"us@er:a:b c/"),
            (b"user:a:b", b"user:a:b"),
            (b"user:a@b", b"user:a@b"),
            (b"user", b"user:"),
            (b":s3cret", b":s3cret"),
        ]:
            ((name, value),) = Proxy(b"http://" + userinfo + b"@p.test").fields
            self.assertEqual(b"Proxy-Authorization", name)
            self.assertEqual(told, b64decode(value.removeprefix(b"Basic ")))

    def test_headers(self) -> None:
        """An HTTP proxy is told the user's fields as well."""
        headers = Headers({b"Proxy-Authorization": [b"Bearer x"], b"X-A": [b"1", b"2"]})
        fields = Proxy(b"https://p.test", headers=headers).fields
        self.assertEqual(
            {(b"Proxy-Authorization", b"Bearer x"), (b"X-A", b"1"), (b"X-A", b"2")}, {*fields}
        )

    def test_refused(self) -> None:
        """What is no proxy's URI is the caller's mistake; no message repeats what may be secret."""
        for uri in (
            b"",
            b"p.test:3128",
            b"http://",
            b"http://user:s3cret@",
            b"http://user:s3cret@p.test:0",
            b"http://user:s3cret@p.test:port",
            b"http://user:s3cret@p.test/path",
            b"http://user:s3cret@p.test/?q",
            b"http://user:s3/cret@p.test",
            b"http://user:s3cret@[1]",
            b"http://user:s3cret@p.test\r\n",
            b"http://us%3Aer:s3cret@p.test",
            b"ftp://user:s3cret@p.test",
            b"socks4://user:s3cret@p.test",
            b"socks5://user@p.test",
            b"socks5://:s3cret@p.test",
            b"socks5://user:" + SECRET * 50 + b"@p.test",
        ):
            with self.assertRaises(InvalidRequest) as caught:
                Proxy(uri)
            self.assertIsInstance(caught.exception, ValueError)
            for word in ("s3", "cret"):
                self.assertNotIn(word, str(caught.exception))

    def test_refusedHeaders(self) -> None:
        """Fields that are not the user's to give, or not valid, or not SOCKS5's."""
        for uri, name, value in [
            (b"http://p.test", b"Host", b"x"),
            (b"http://p.test", b"Content-Length", b"1"),
            (b"http://p.test", b"Transfer-Encoding", b"chunked"),
            (b"http://p.test", b"X-A", b"s3cret\0"),
            (b"http://p.test", b"Proxy-Authorization", b"Bearer s3cret "),
            (b"http://u@p.test", b"Proxy-Authorization", b"Bearer x"),
            (b"socks5://p.test", b"X-A", b"1"),
        ]:
            with self.assertRaises(InvalidRequest) as caught:
                Proxy(uri, headers=Headers({name: [value]}))
            self.assertIn("p.test", str(caught.exception))
            self.assertNotIn("s3cret", str(caught.exception))

    def test_policy(self) -> None:
        """A context factory is a policy; it is asked for the proxy's name, and nobody else is."""
        with self.assertRaises(TypeError):
            Proxy(b"https://p.test", contextFactory=object())  # type: ignore[arg-type]
        policy = Policy()
        Proxy(b"https://p.test:99", contextFactory=policy).connection(MemoryReactorClock())
        self.assertEqual([(b"p.test", 99)], policy.asked)
        for uri in (b"http://p.test", b"socks5://p.test"):
            Proxy(uri, contextFactory=policy).connection(MemoryReactorClock())
        self.assertEqual(1, len(policy.asked))

    def test_withoutSocksio(self) -> None:
        """Without the library that it takes, a SOCKS5 proxy says which, and others can be had."""
        with mock.patch.dict(sys.modules, {"socksio": None}):
            with self.assertRaises(ImportError) as caught:
                Proxy(b"socks5://user:s3cret@p.test")
            self.assertIn("install txhyper[socks]", str(caught.exception))
            Proxy(b"http://p.test")

    def test_key(self) -> None:
        """Two are one only if nothing tells them apart: place, credentials, fields, policy."""
        policies = [BrowserLikePolicyForHTTPS() for _ in range(2)]
        keys = [
            Proxy(uri, headers=headers, contextFactory=policy).key
            for uri in (b"http://p.test", b"http://u:1@p.test", b"http://u:2@p.test:81")
            for headers in (None, Headers({b"a": [b"b"]}), Headers({b"a": [b"c"]}))
            for policy in policies
        ]
        keys += [Proxy(b"socks5://%b@p.test" % user).key for user in (b"", b"u:1", b"u:2")]
        self.assertEqual(len(keys), len({*keys}))
        self.assertEqual(Proxy(b"http://u:1@p.test").key, Proxy(b"http://u:1@p.test:80/").key)


class AgentTestCase(SynchronousTestCase):
    """Agents on a reactor in memory."""

    def setUp(self) -> None:
        """A reactor, a pool and no connection."""
        self.reactor = MemoryReactorClock()
        self.pool = ConnectionPool(self.reactor)

    def agent(self, proxy: Any, **options: Any) -> Agent:
        """An agent on the pool."""
        return Agent(self.reactor, unverifiedPolicy(), pool=self.pool, proxy=proxy, **options)

    def get(self, agent: Agent, uri: bytes, **options: Any) -> Deferred[Any]:
        """Send a request; its failure is of no interest if nobody looks."""
        deferred = agent.send(Request(b"GET", uri, **options))
        deferred.addErrback(lambda reason: reason)
        self.addCleanup(deferred.addErrback, lambda _: None)
        return deferred

    def dialled(self) -> list[tuple[str, int]]:
        """Where TCP was connected to."""
        return [client[:2] for client in self.reactor.tcpClients]

    def accept(self, number: int = -1) -> Transport:
        """Let TCP connect. :return: the transport."""
        protocol = self.reactor.tcpClients[number][2].buildProtocol(
            IPv4Address("TCP", "127.0.0.1", 80)
        )
        transport = Transport()
        protocol.makeConnection(transport)
        self.protocol = protocol
        return transport


class WayTests(AgentTestCase):
    """Where an agent with a proxy dials, and what it says there."""

    def test_tunnel(self) -> None:
        """https goes through a tunnel, on any port, and the certificate is the host's."""
        policy = Policy()
        proxy = Proxy(b"http://user:s3cret@127.0.0.1:3128")
        agent = Agent(self.reactor, policy, connectTimeout=7, pool=self.pool, proxy=proxy)
        self.get(agent, b"https://a.test/")
        self.get(agent, b"https://[2001:DB8::1]:8443/")
        self.assertEqual([("127.0.0.1", 3128)] * 2, self.dialled())
        self.assertEqual(7, self.reactor.tcpClients[0][3])
        for number, target in enumerate((b"a.test:443", b"[2001:db8::1]:8443")):
            head = b"".join(self.accept(number).writes)
            self.assertTrue(head.startswith(b"CONNECT %b HTTP/1.1\r\n" % target), head)
            self.assertIn(b"\r\nProxy-Authorization: %b\r\n" % BASIC, head)
        self.assertEqual([(b"a.test", 443), (b"2001:db8::1", 8443)], policy.asked)
        self.reactor.advance(7)

    def test_names(self) -> None:
        """The pool's state names origin and proxy, without credentials."""
        agent = self.agent(Proxy(b"http://user:s3cret@127.0.0.1"))
        self.get(agent, b"https://a.test/")
        self.get(agent, b"http://a.test/")
        self.assertEqual(
            [
                "https://a.test by way of the proxy http://127.0.0.1:80",
                "the proxy http://127.0.0.1:80",
            ],
            [state.name for state in self.pool.snapshot()],
        )

    def test_forwarding(self) -> None:
        """
        Requests for http share one connection to the proxy, whatever origin they are for, in
        absolute-form and with what the proxy is told; the user's request stays as it is.
        """
        agent = self.agent(Proxy(b"http://user:s3cret@127.0.0.1:3128"))
        first, second = b"http://A.test:81/b?c", b"http://b.test"
        request = Request(b"GET", first)
        deferreds = [agent.send(request)]
        transport = self.accept()
        self.protocol.dataReceived(OK11)
        deferreds.append(agent.request(b"OPTIONS", second))
        self.assertEqual([("127.0.0.1", 3128)], self.dialled())
        heads = b"".join(transport.writes).split(b"\r\n\r\n")[:2]
        for head, start, host in zip(
            heads,
            (b"GET http://a.test:81/b?c HTTP/1.1", b"OPTIONS http://b.test HTTP/1.1"),
            (b"a.test:81", b"b.test"),
            strict=True,
        ):
            lines = head.split(b"\r\n")
            self.assertEqual(start, lines[0])
            self.assertIn(b"Host: " + host, lines)
            self.assertIn(b"Proxy-Authorization: " + BASIC, lines)
        self.assertEqual((b"/b?c", []), (request.path, [*request.headers.getAllRawHeaders()]))
        response = self.successResultOf(deferreds[0])
        self.assertEqual(200, response.code)
        # What the proxy was told is no part of the request that users see.
        fields = [*response.request.headers.getAllRawHeaders()]
        self.assertEqual([(b"Host", [b"a.test:81"])], fields)
        # Sent again by another way, it is as it was.
        self.get(self.agent(None), b"http://127.0.0.1:9/")
        self.assertTrue(self.accept().writes[0].startswith(b"GET / HTTP/1.1\r\n"))

    def test_forwardedFailure(self) -> None:
        """A failure names the origin at hand, and the proxy."""
        agent = self.agent(Proxy(b"http://user:s3cret@127.0.0.1:3128"))
        deferred = self.get(agent, b"http://a.test/")
        self.accept()
        self.protocol.connectionLost(Failure(ConnectionResetError()))
        failure = self.failureResultOf(deferred)
        message = str(failure.value.reasons[0].value)
        self.assertIn("http://a.test by way of the proxy http://127.0.0.1:3128: ", message)

    def test_ownAuthorization(self) -> None:
        """A request that brings Proxy-Authorization of its own has that one, and no second."""
        agent = self.agent(Proxy(b"http://user:s3cret@127.0.0.1:3128"))
        headers = Headers({b"proxy-authorization": [b"Bearer x"]})
        self.get(agent, b"http://a.test/", headers=headers)
        head = self.accept().writes[0]
        self.assertIn(b"\r\nProxy-Authorization: Bearer x\r\n", head)
        self.assertEqual(1, head.count(b"Proxy-Authorization"))

    def test_whatIsNotForwarded(self) -> None:
        """
        HTTP/2 by prior knowledge goes through a tunnel, and so does whatever a SOCKS5 proxy
        carries, and an agent that does not speak HTTP/1.1.
        """
        for uri, protocols, word in [
            (b"http://127.0.0.1:81", [b"h2", b"http/1.1", b"h2c"], b"CONNECT a.test:80 "),
            (b"http://127.0.0.1:82", [b"h2"], b"CONNECT a.test:80 "),
            (b"socks5://127.0.0.1:83", [b"h2", b"http/1.1"], b"\x05\x01\x00"),
        ]:
            self.get(self.agent(Proxy(uri), protocols=protocols), b"http://a.test/")
            self.assertTrue(self.accept().writes[0].startswith(word))
        self.reactor.advance(30)

    def test_notShared(self) -> None:
        """
        Agents on one pool never use one another's connections if their proxies differ, or one has
        none; they do if they are the same.
        """
        proxies = [
            None,
            Proxy(b"http://127.0.0.1"),
            Proxy(b"http://u:1@127.0.0.1"),
            Proxy(b"http://u:2@127.0.0.1"),
            Proxy(b"socks5://127.0.0.1"),
            lambda origin: Proxy(b"https://127.0.0.1"),
        ]
        policy = unverifiedPolicy()
        for scheme in (b"http", b"https"):
            self.reactor.tcpClients.clear()
            for _ in range(2):
                for proxy in proxies:
                    agent = Agent(self.reactor, policy, pool=self.pool, proxy=proxy)
                    self.get(agent, scheme + b"://127.0.0.1:99/")
            self.assertEqual(len(proxies), len(self.dialled()))

    def test_impossible(self) -> None:
        """A proxy is a Proxy, or callable; whoever brings an endpoint factory brings the way."""
        for proxy in (b"http://127.0.0.1", "http://user:s3cret@127.0.0.1"):
            with self.assertRaises(TypeError) as caught:
                self.agent(proxy)
            self.assertNotIn("s3cret", str(caught.exception))
        with self.assertRaises(TypeError):
            Agent.usingEndpointFactory(self.reactor, None, proxy=proxy)  # type: ignore


class ChoiceTests(AgentTestCase):
    """A callable that says which proxy it is."""

    def test_asked(self) -> None:
        """It is told the origin, once for all of its URIs; None is the direct way."""
        asked: list[bytes] = []

        def choose(origin: bytes) -> Proxy | None:
            asked.append(origin)
            return Proxy(b"http://127.0.0.1:3128") if b"a.test" in origin else None

        agent = self.agent(choose)
        for uri in (b"https://A.test/1", b"https://A.test/2", b"https://127.0.0.1:444/"):
            self.get(agent, uri)
        self.assertEqual([b"https://a.test", b"https://127.0.0.1:444"], asked)
        self.assertEqual([("127.0.0.1", 3128), ("127.0.0.1", 444)], self.dialled())

    def test_fails(self) -> None:
        """One that raises, or returns something else, fails the request, by either method."""
        for choose in (mock.Mock(side_effect=KeyError("no")), lambda origin: b"http://p.test"):
            agent = self.agent(choose)
            for deferred in (
                agent.request(b"GET", b"https://a.test/"),
                self.get(agent, b"https://a.test/"),
            ):
                error = self.failureResultOf(deferred, InvalidRequest).value
                self.assertIn("https://a.test: ", str(error))
        self.assertEqual([], self.dialled())


class EnvironmentTests(SynchronousTestCase):
    """Those that the environment names."""

    def names(self, variables: dict[str, str], *origins: bytes) -> list[str | None]:
        """The proxies for these origins."""
        with mock.patch.dict("os.environ", variables, clear=True):
            choose = proxyFromEnvironment()
        proxies = [choose(origin) for origin in origins]
        return [None if proxy is None else proxy.name for proxy in proxies]

    def test_schemes(self) -> None:
        """Each scheme has its variable, and all_proxy is for what has none of its own."""
        both = (b"http://a.test", b"https://a.test")
        h, s, a = "http://h.test:1", "https://s.test:2", "socks5://a.test:3"
        for variables, expected in [
            ({}, [None, None]),
            ({"http_proxy": h}, [h, None]),
            ({"https_proxy": s}, [None, s]),
            ({"HTTPS_PROXY": s, "HTTP_PROXY": h}, [h, s]),
            ({"http_proxy": h, "all_proxy": a}, [h, a]),
            ({"ALL_PROXY": "p.test:9"}, ["http://p.test:9"] * 2),
            ({"HTTP_PROXY": h, "REQUEST_METHOD": "GET"}, [None, None]),
            ({"http_proxy": ""}, [None, None]),
        ]:
            self.assertEqual(expected, self.names(variables, *both))

    def test_exceptions(self) -> None:
        """no_proxy lists hosts, with their port or without, and ends of names."""
        variables = {"all_proxy": "http://p.test:1", "no_proxy": "a.test, .b.test,c.test:81,[::1]"}
        for origin, is_direct in [
            (b"https://a.test", True),
            (b"https://x.a.test:99", True),
            (b"https://xa.test", False),
            (b"https://x.b.test", True),
            (b"https://c.test", False),
            (b"http://c.test:81", True),
            (b"http://[::1]:99", True),
            (b"https://d.test", False),
        ]:
            self.assertEqual(
                [None if is_direct else "http://p.test:1"], self.names(variables, origin)
            )
        self.assertEqual([None], self.names({**variables, "no_proxy": "*"}, b"https://d.test"))

    def test_invalid(self) -> None:
        """A variable that is no URI of a proxy is told by its name, when it is needed."""
        variables = {"https_proxy": "ftp://user:s3cret@p.test", "http_proxy": "http://p.test"}
        self.assertEqual(["http://p.test:80"], self.names(variables, b"http://a.test"))
        with self.assertRaises(InvalidRequest) as caught:
            self.names(variables, b"https://a.test")
        self.assertIn("https_proxy", str(caught.exception))
        self.assertNotIn("s3cret", str(caught.exception))
        with self.assertRaises(InvalidRequest):
            self.names({"all_proxy": "http://\udcff"}, b"https://a.test")

    def test_one(self) -> None:
        """The same variable is the same proxy, with the policy that was given."""
        policy = Policy()
        with mock.patch.dict("os.environ", {"all_proxy": "https://p.test"}, clear=True):
            choose = proxyFromEnvironment(policy)
        proxy = choose(b"https://a.test")
        self.assertIs(proxy, choose(b"http://b.test"))
        assert proxy is not None
        proxy.connection(MemoryReactorClock())
        self.assertEqual([(b"p.test", 443)], policy.asked)
