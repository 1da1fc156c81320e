"""Tests for :mod:`txhyper.client.endpoints`: where an agent dials, and what it asks TLS for."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHostnameResolver, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI, ResponseNeverReceived
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txhyper import Agent, ConnectTimedOut, Request, Timeouts
from txhyper.client.endpoints import StandardEndpointFactory
from txhyper.client.tls import defaultPolicy, unverifiedPolicy
from txhyper.errors import InvalidRequest


@implementer(IPolicyForHTTPS)
class Policy:
    """A policy that notes what it is asked, and raises if it is given an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[bytes, int]] = []
        self.error = error

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """As everybody, after a note."""
        self.asked.append((hostname, port))
        if self.error is not None:
            raise self.error
        return unverifiedPolicy().creatorForNetloc(hostname, port)


class WhereTests(SynchronousTestCase):
    """What an agent with the standard endpoints dials."""

    def setUp(self) -> None:
        """A reactor in memory."""
        self.reactor = MemoryReactorClock()

    def connect(self, uri: bytes, **options: Any) -> Any:
        """Dial. :return: the client of the reactor's."""
        agent = Agent(self.reactor, **options)
        agent.request(b"GET", uri).addErrback(lambda _: None)
        return self.reactor.tcpClients[-1]

    def test_hostAndPort(self) -> None:
        """Host and port are the URI's, and the port is the scheme's own if there is none."""
        for uri, port in [
            (b"http://127.0.0.1/", 80),
            (b"https://127.0.0.1/", 443),
            (b"HTTPS://127.0.0.1", 443),
            (b"https://127.0.0.1:8443/", 8443),
            (b"http://127.0.0.1:8080?q", 8080),
            (b"https://127.0.0.1:/", 443),
        ]:
            self.assertEqual(("127.0.0.1", port), self.connect(uri)[:2])

    def test_timeLimitAndLocalAddress(self) -> None:
        """The agent's time limit and local address reach the connection; Twisted's limit is 30."""
        for uri in (b"http://127.0.0.1/", b"https://127.0.0.1/"):
            for local in ("192.0.2.1", ("192.0.2.1", 0)):
                client = self.connect(uri, connectTimeout=7, bindAddress=local)
                self.assertEqual((7, ("192.0.2.1", 0)), client[3:5])
            self.assertEqual((30, None), self.connect(uri)[3:5])

    def test_noTimeAtAll(self) -> None:
        """A time limit of 0 is a limit, not the lack of one."""
        self.assertEqual(0, self.connect(b"https://127.0.0.1/", connectTimeout=0)[3])


@implementer(IHostnameResolver)
class Resolver:
    """Knows some addresses, in this order, and notes the names that it is asked for."""

    def __init__(self, *addresses: Any) -> None:
        self.addresses = addresses
        self.names: list[str] = []

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, portNumber: int = 0, *rest: Any, **more: Any
    ) -> Any:
        """At once."""
        self.names.append(hostName)
        resolutionReceiver.resolutionBegan(self)
        for kind, family, host in self.addresses:
            resolutionReceiver.addressResolved(kind(family, host, portNumber))
        resolutionReceiver.resolutionComplete()
        return self


SIX = (IPv6Address, "TCP", "2001:db8::1")
FOUR = (IPv4Address, "TCP", "192.0.2.1")


class HappyEyeballsTests(SynchronousTestCase):
    """Hosts of more than one address (RFC 8305)."""

    def setUp(self) -> None:
        """An agent that has asked a host of two addresses for something."""
        self.reactor = MemoryReactorClock()
        self.resolver = Resolver(SIX, FOUR)
        self.reactor.installNameResolver(self.resolver)
        self.agent = Agent(self.reactor)
        self.deferred = self.agent.request(b"GET", b"http://xn--bcher-kva.test/")

    def hosts(self) -> list[str]:
        """Where connections were begun."""
        return [client[0] for client in self.reactor.tcpClients]

    def connected(self, number: int) -> StringTransport:
        """A connection is made."""
        protocol = self.reactor.tcpClients[number][2].buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return transport

    def test_address6(self) -> None:
        """An IPv6 address is looked up without brackets."""
        self.agent.request(b"GET", b"https://[2001:DB8::1]:8443/").addErrback(lambda _: None)
        self.assertEqual("2001:db8::1", self.resolver.names[-1])

    def test_zone(self) -> None:
        """One with a zone is not looked up: it is dialled as it is, from where it is to be."""
        self.resolver.names.clear()
        for scheme in (b"https", b"http"):
            agent = Agent(self.reactor, bindAddress="fe80::2", connectTimeout=7)
            uri = scheme + b"://[FE80::1%25Eth0]:8443/"
            agent.request(b"GET", uri).addErrback(lambda _: None)
            host, port, _, timeout, local = self.reactor.tcpClients[-1]
            self.assertEqual(("fe80::1%Eth0", 8443), (host, port))
            self.assertEqual((7, ("fe80::2", 0)), (timeout, local))
        self.assertEqual([], self.resolver.names)

    def test_inOrder(self) -> None:
        """The first address is tried alone for a while, under the name that was given."""
        self.assertEqual(["xn--bcher-kva.test"], self.resolver.names)
        self.assertEqual(["2001:db8::1"], self.hosts())
        transport = self.connected(0)
        self.assertTrue(transport.value().startswith(b"GET / HTTP/1.1\r\n"))
        self.reactor.advance(60)
        self.assertEqual(["2001:db8::1"], self.hosts())

    def test_silentAddress(self) -> None:
        """
        An address that does not answer costs a third of a second: then the next one is tried as
        well, and whichever answers first is asked, once. The other attempt is given up.
        """
        self.reactor.advance(0.3)
        self.assertEqual(["2001:db8::1", "192.0.2.1"], self.hosts())
        transport = self.connected(1)
        self.assertEqual(1, transport.value().count(b"GET / HTTP/1.1\r\n"))
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)

    def test_refusingAddress(self) -> None:
        """An address that refuses is not the end; when all have refused, the request fails."""
        for number in range(2):
            self.assertNoResult(self.deferred)
            self.reactor.tcpClients[number][2].clientConnectionFailed(
                self.reactor.connectors[number], Failure(error.ConnectionRefusedError())
            )
            self.reactor.advance(0.3)
        self.failureResultOf(self.deferred, error.ConnectionRefusedError)

    def test_timeLimit(self) -> None:
        """When no address answers, the limit for connecting is for all of them together."""
        late = self.agent.send(
            Request(b"GET", b"https://other.test/", timeouts=Timeouts(connect=2))
        )
        self.reactor.pump([0.3] * 6)
        self.assertNoResult(late)
        self.reactor.advance(0.3)
        reason = self.failureResultOf(late, ResponseNeverReceived).value.reasons[0]
        self.assertIsInstance(reason.value, ConnectTimedOut)
        attempts = zip(self.reactor.tcpClients, self.reactor.connectors, strict=True)
        self.assertEqual(
            {(80, False), (443, True)},
            {(client[1], connector.stoppedConnecting) for client, connector in attempts},
        )


@implementer(IAgentEndpointFactory)
class BySocket:
    """Endpoints at a Unix socket."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.uris: list[bytes] = []

    def endpointForURI(self, uri: URI) -> Any:
        """The same for all, with TLS where the scheme says so."""
        self.uris.append(uri.toBytes())
        endpoint = UNIXClientEndpoint(self.reactor, "/run/a.socket", timeout=7)
        if uri.scheme == b"http":
            return endpoint
        return wrapClientTLS(unverifiedPolicy().creatorForNetloc(uri.host, uri.port), endpoint)


class OwnEndpointTests(SynchronousTestCase):
    """Agents that connect as a user's endpoint factory says."""

    def setUp(self) -> None:
        """An agent that knows a Unix socket."""
        self.reactor = MemoryReactorClock()
        self.factory = BySocket(self.reactor)
        self.agent = Agent.usingEndpointFactory(
            self.reactor, self.factory, protocols=[b"h2", b"http/1.1", b"h2c"]
        )

    def connect(self, uri: bytes) -> StringTransport:
        """Ask, and let the connection be made by a transport that knows nothing of TCP."""
        self.agent.request(b"GET", uri).addErrback(lambda _: None)
        path, factory, timeout, _ = self.reactor.unixClients[-1]
        self.assertEqual(("/run/a.socket", 7), (path, timeout))
        transport = StringTransport()
        factory.buildProtocol(None).makeConnection(transport)
        self.reactor.advance(0)
        return transport

    def test_plain(self) -> None:
        """HTTP/2 by prior knowledge, if the agent knows."""
        transport = self.connect(b"http://a.test/path")
        self.assertTrue(transport.value().startswith(b"PRI * HTTP/2.0"))
        self.assertEqual([b"http://a.test/path"], self.factory.uris)

    def test_tls(self) -> None:
        """A ClientHello that offers HTTP/2, and names the host of the URI."""
        hello = self.connect(b"https://a.test/").value()
        self.assertEqual(b"\x16\x03", hello[:2])
        for part in (b"a.test", b"\x02h2\x08http/1.1"):
            self.assertIn(part, hello)

    def test_askedOnce(self) -> None:
        """The factory is asked for an endpoint when one is dialled, and not for each request."""
        self.connect(b"http://a.test/")
        self.agent.request(b"GET", b"http://a.test/other").addErrback(lambda _: None)
        self.assertEqual(1, len(self.factory.uris))
        self.assertEqual(1, len(self.reactor.unixClients))


class StandardEndpointFactoryTests(SynchronousTestCase):
    """The factory by itself, as an adapter may use it."""

    def setUp(self) -> None:
        """A factory with a policy that notes what it is asked."""
        self.policy = Policy()
        self.factory = StandardEndpointFactory(MemoryReactorClock(), self.policy)

    def endpoint(self, uri: bytes) -> Any:
        """The endpoint for a URI."""
        return self.factory.endpointForURI(URI.fromBytes(uri))

    def test_interfaces(self) -> None:
        """The factory and both of its endpoints are what Twisted says they are."""
        self.assertTrue(verifyObject(IAgentEndpointFactory, self.factory))
        for uri in (b"http://a.test/", b"https://a.test/"):
            self.assertTrue(verifyObject(IStreamClientEndpoint, self.endpoint(uri)))

    def test_plain(self) -> None:
        """http is TCP alone: no policy is asked."""
        self.assertIsInstance(self.endpoint(b"http://a.test/"), HostnameEndpoint)
        self.assertEqual([], self.policy.asked)

    def test_otherSchemes(self) -> None:
        """Nothing but HTTP is dialled."""
        for uri in (b"ftp://a.test/", b"ws://a.test/"):
            with self.assertRaises(SchemeNotSupported) as caught:
                self.endpoint(uri)
            self.assertIn(uri[:2].decode(), str(caught.exception))

    def test_policyIsAskedForTheHost(self) -> None:
        """
        The policy is told host and port, an IPv6 address without brackets and without the zone,
        which no certificate can name.
        """
        for uri, *asked in [
            (b"https://a.test/", b"a.test", 443),
            (b"https://192.0.2.1:99/", b"192.0.2.1", 99),
            (b"https://[::1]:99/", b"::1", 99),
        ]:
            self.endpoint(uri)
            self.assertEqual(tuple(asked), self.policy.asked.pop())
        zoned = URI.fromBytes(b"https://a.test/")
        zoned.host = b"fe80::1%eth0"
        self.factory.endpointForURI(zoned)
        self.assertEqual((b"fe80::1", 443), self.policy.asked.pop())

    def test_onlyAnAddressHasAZone(self) -> None:
        """
        A name with a percent sign is not cut, which would verify another host than it dials: it is
        refused.
        """
        for host in (b"a.test%25b.test", b"192.0.2.1%25b.test"):
            with self.assertRaises(InvalidRequest) as caught:
                self.endpoint(b"https://" + host + b"/")
            self.assertIn(host.decode(), str(caught.exception))
            self.assertEqual([], self.policy.asked)

    def test_impossibleName(self) -> None:
        """A name that no host can have is the caller's mistake, with TLS and without it."""
        for host in (
            b"a..test",
            b"-a.test",
            b"a" * 64 + b".test",
            b"a|b.test",
            b"xn--.test",
            b"xn--a.test",
        ):
            for scheme in (b"http", b"https"):
                with self.assertRaises(InvalidRequest) as caught:
                    self.endpoint(scheme + b"://" + host + b"/")
                self.assertIn(repr(host), str(caught.exception))
                self.assertIsInstance(caught.exception.__cause__, UnicodeError)
        self.assertEqual([], self.policy.asked)

    def test_impossibleNameForThePolicy(self) -> None:
        """A policy may find a name impossible for reasons of its own, and say so as Twisted's."""
        self.policy.error = UnicodeError("no such letters")
        with self.assertRaises(InvalidRequest) as caught:
            self.endpoint(b"https://a.test/")
        self.assertIn("no such letters", str(caught.exception))

    def test_notForACertificate(self) -> None:
        """A number is taken for an address where names are looked up, and certified nowhere."""
        factory = StandardEndpointFactory(MemoryReactorClock(), defaultPolicy())
        factory.endpointForURI(URI.fromBytes(b"http://2130706433/"))
        with self.assertRaises(InvalidRequest) as caught:
            factory.endpointForURI(URI.fromBytes(b"https://2130706433/"))
        self.assertIn("2130706433", str(caught.exception))

    def test_policyRaises(self) -> None:
        """Any other error of a policy is told as it is."""
        factory = StandardEndpointFactory(MemoryReactorClock(), Policy(KeyError("no context")))
        with self.assertRaises(KeyError):
            factory.endpointForURI(URI.fromBytes(b"https://a.test/"))


class DirectTLSEndpointTests(SynchronousTestCase):
    """TLS on top of TCP."""

    def setUp(self) -> None:
        """An endpoint that has dialled."""
        self.reactor = MemoryReactorClock()
        factory = StandardEndpointFactory(self.reactor, unverifiedPolicy())
        endpoint = factory.endpointForURI(URI.fromBytes(b"https://127.0.0.1/"))
        self.connecting: Any = endpoint.connect(Factory.forProtocol(Protocol))

    def test_firesWithTheProtocol(self) -> None:
        """
        What comes is the user's protocol, as soon as TCP is connected; below it is TLS as Twisted
        makes it, but without the buffer that would hold each write for a turn of the reactor.
        """
        self.assertNoResult(self.connecting)
        tcp = self.reactor.tcpClients[0][2].buildProtocol(IPv4Address("TCP", "127.0.0.1", 443))
        tcp.makeConnection(StringTransport())
        protocol = self.successResultOf(self.connecting)
        self.assertIs(Protocol, type(protocol))
        self.assertIsInstance(protocol.transport, TLSMemoryBIOProtocol)
        self.assertNotIsInstance(protocol.transport, BufferingTLSTransport)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_fails(self) -> None:
        """A connection that cannot be made fails with TCP's own error."""
        self.reactor.tcpClients[0][2].clientConnectionFailed(
            self.reactor.connectors[0], Failure(error.ConnectionRefusedError())
        )
        # There is no other address to try.
        self.reactor.advance(1)
        self.failureResultOf(self.connecting, error.ConnectionRefusedError)
