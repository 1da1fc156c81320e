"""Tests for :mod:`txhyper.client.endpoints`: where an agent dials, and what it asks TLS for."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txhyper import Agent
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
        local = ("192.0.2.1", 0)
        for uri in (b"http://127.0.0.1/", b"https://127.0.0.1/"):
            client = self.connect(uri, connectTimeout=7, bindAddress=local)
            self.assertEqual((7, local), client[3:5])
            self.assertEqual((30, None), self.connect(uri)[3:5])

    def test_noTimeAtAll(self) -> None:
        """A time limit of 0 is a limit, not the lack of one."""
        self.assertEqual(0, self.connect(b"https://127.0.0.1/", connectTimeout=0)[3])


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
        """A name with a percent sign is not cut: what is verified is what is dialled."""
        self.endpoint(b"https://a.test%25b.test/")
        self.assertEqual([(b"a.test%25b.test", 443)], self.policy.asked)

    def test_impossibleName(self) -> None:
        """A host that no certificate can name is the caller's mistake, and says which."""
        factory = StandardEndpointFactory(MemoryReactorClock(), defaultPolicy())
        for host in (b"a..test", b"-a.test", b"a" * 64 + b".test", b"a|b.test"):
            with self.assertRaises(InvalidRequest) as caught:
                factory.endpointForURI(URI.fromBytes(b"https://" + host + b"/"))
            self.assertIn(host.decode(), str(caught.exception))
            self.assertIsInstance(caught.exception.__cause__, UnicodeError)

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
