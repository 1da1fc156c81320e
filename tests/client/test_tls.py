"""Tests for :mod:`txhyper.client.tls`, with real TLS in memory."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography import x509
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txhyper import Agent, NegotiationFailed
from txhyper.client import tls
from txhyper.client.endpoints import DirectTLSEndpoint
from txhyper.client.tls import defaultPolicy, hasPlatformRoots, policyTrusting, unverifiedPolicy
from txhyper.errors import InvalidRequest
from txhyper.testing.certs import CertificateAuthority, HostCertificate, selfSigned

AUTHORITY = CertificateAuthority()


class Server(Protocol):
    """Keeps every octet that it decrypts."""

    def __init__(self) -> None:
        self.octets = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep."""
        self.octets += data


class TLSNetwork:
    """An endpoint factory whose one connection is TLS in memory."""

    def __init__(
        self,
        clock: Clock,
        policy: IPolicyForHTTPS,
        certificate: HostCertificate,
        protocols: tuple[bytes, ...] = (b"h2",),
    ) -> None:
        self.clock = clock
        self.policy = policy
        self.options = certificate.serverOptions(protocols)
        self.server = Server()
        self.pump: Any = None
        self.serverTLS: Any = None

    def endpointForURI(self, uri: Any) -> DirectTLSEndpoint:
        """TLS on top of this."""
        creator = self.policy.creatorForNetloc(uri.host, uri.port)
        return DirectTLSEndpoint(self.clock, creator, self)  # type: ignore[arg-type]

    def connect(self, factory: Any) -> Deferred[Any]:
        """The connection in memory."""
        client = factory.buildProtocol(None)
        serverFactory = mock.Mock(spec=["buildProtocol"])
        serverFactory.buildProtocol = lambda addr: self.server
        wrapped = TLSMemoryBIOFactory(self.options, False, serverFactory, self.clock)
        self.serverTLS = wrapped.buildProtocol(None)  # type: ignore[arg-type]
        self.pump = connect(
            self.serverTLS,
            FakeTransport(self.serverTLS, isServer=True),
            client,
            FakeTransport(client, isServer=False),
        )
        return succeed(client)


def ask(network: TLSNetwork, host: bytes = b"localhost") -> Deferred[Any]:
    """Ask the server for something, and let all that comes of it come."""
    deferred: Deferred[Any] = Agent.usingEndpointFactory(network.clock, network).request(  # type: ignore[arg-type]
        b"GET", b"https://" + host + b"/"
    )
    for _ in range(10):
        network.pump.flush()
        network.clock.advance(0)
    network.pump.flush()
    return deferred


class HandshakeTests(SynchronousTestCase):
    """Who is believed."""

    def ask(
        self, policy: IPolicyForHTTPS, certificate: HostCertificate, host: bytes = b"localhost"
    ) -> tuple[TLSNetwork, Deferred[Any]]:
        """Ask a server with this certificate for something, under this policy."""
        network = TLSNetwork(Clock(), policy, certificate)
        return network, ask(network, host)

    def assertRefused(
        self, policy: IPolicyForHTTPS, certificate: HostCertificate, host: bytes = b"localhost"
    ) -> str:
        """Nothing of HTTP reached the server. :return: the message."""
        network, deferred = self.ask(policy, certificate, host)
        error = self.failureResultOf(deferred, ResponseNeverReceived).value.reasons[0].value
        self.assertIsInstance(error, NegotiationFailed)
        self.assertEqual(b"", network.server.octets)
        message = str(error)
        self.assertNotIn("\n", message)
        self.assertIn("https://", message)
        return message

    def assertBelieved(
        self, policy: IPolicyForHTTPS, certificate: HostCertificate, host: bytes = b"localhost"
    ) -> TLSNetwork:
        """HTTP/2 was chosen and spoken, and the connection waits for the answer."""
        network, deferred = self.ask(policy, certificate, host)
        self.assertNoResult(deferred)
        self.assertTrue(network.server.octets.startswith(b"PRI * HTTP/2.0"))
        return network

    def test_right(self) -> None:
        """A certificate of a trusted authority for the right name, or address."""
        policy = policyTrusting(AUTHORITY.pem)
        network = self.assertBelieved(policy, AUTHORITY.issue("localhost"))
        self.assertEqual(b"localhost", network.serverTLS.getHandle().get_servername())
        self.assertBelieved(policy, AUTHORITY.issue("127.0.0.1"), b"127.0.0.1")

    def test_wildcard(self) -> None:
        """A certificate for every name of one level is for those, and for no other level."""
        policy = policyTrusting(AUTHORITY.pem)
        certificate = AUTHORITY.issue("*.example.com")
        self.assertBelieved(policy, certificate, b"a.example.com")
        for host in (b"example.com", b"a.b.example.com"):
            self.assertRefused(policy, certificate, host)

    def test_wrongHost(self) -> None:
        """A certificate for another name, or for another address."""
        policy = policyTrusting(AUTHORITY.pem)
        for names, host in [
            ("example.com", b"localhost"),
            ("localhost.example.com", b"localhost"),
            ("127.0.0.2", b"127.0.0.1"),
            ("localhost", b"127.0.0.1"),
            ("127.0.0.1", b"localhost"),
            ("::2", b"[::1]"),
        ]:
            self.assertRefused(policy, AUTHORITY.issue(names), host)
        # A kept context remembers nothing of the servers that were refused.
        self.assertBelieved(policy, AUTHORITY.issue("localhost"))

    def test_anyName(self) -> None:
        """
        A certificate that names no host is for none, and one whose names cannot be read neither,
        although a trusted authority has signed them.
        """
        policy = policyTrusting(AUTHORITY.pem)
        add = x509.CertificateBuilder.add_extension
        for names, message in [
            (None, "does not contain any"),
            (x509.SubjectAlternativeName([x509.DNSName("*.*.test")]), "too many wildcards"),
            (x509.SubjectAlternativeName([x509.RFC822Name("a@localhost")]), "any"),
        ]:

            def replace(
                builder: Any, extension: Any, critical: bool, names: Any = names
            ) -> x509.CertificateBuilder:
                if isinstance(extension, x509.SubjectAlternativeName):
                    return add(builder, names, critical) if names else builder
                return add(builder, extension, critical)

            with mock.patch.object(x509.CertificateBuilder, "add_extension", replace):
                certificate = AUTHORITY.issue("localhost")
            self.assertIn(message, self.assertRefused(policy, certificate))

    def test_defectOfTheVerifier(self) -> None:
        """When the verifying itself fails, whatever the reason, nobody is believed."""
        self.patch(tls, "extract_patterns", mock.Mock(side_effect=ZeroDivisionError("oops")))
        policy = policyTrusting(AUTHORITY.pem)
        self.assertIn("oops", self.assertRefused(policy, AUTHORITY.issue("localhost")))

    def test_trustComesFirst(self) -> None:
        """Of an authority that is not trusted nothing else is said: it may say what it likes."""
        certificate = CertificateAuthority().issue("example.com")
        message = self.assertRefused(policyTrusting(AUTHORITY.pem), certificate)
        self.assertIn("verify failed", message)
        self.assertNotIn("fit", message)

    def test_internationalized(self) -> None:
        """A host is named to the server, and found in its certificate, by its ASCII form."""
        policy = policyTrusting(AUTHORITY.pem)
        host = b"xn--bcher-kva.test"
        certificate = AUTHORITY.issue(host.decode())
        network = self.assertBelieved(policy, certificate, host)
        self.assertEqual(host, network.serverTLS.getHandle().get_servername())
        self.assertBelieved(policy, certificate, host.upper())
        self.assertRefused(policy, AUTHORITY.issue("xn--bucher.test"), host)
        self.assertRefused(policy, AUTHORITY.issue("bucher.test"), host)

    def test_underscore(self) -> None:
        """An underscore is in no RFC about hosts and in real names, and certificates have it."""
        policy = policyTrusting(AUTHORITY.pem)
        self.assertBelieved(policy, AUTHORITY.issue("a_b.test"), b"a_b.test")
        self.assertRefused(policy, AUTHORITY.issue("a-b.test"), b"a_b.test")

    def test_dotAtTheEnd(self) -> None:
        """A name that is given as complete, by a dot, has none in TLS (RFC 6066 section 3)."""
        policy = policyTrusting(AUTHORITY.pem)
        network = self.assertBelieved(policy, AUTHORITY.issue("localhost"), b"localhost.")
        self.assertEqual(b"localhost", network.serverTLS.getHandle().get_servername())

    def test_address6(self) -> None:
        """An IPv6 address is found in a certificate whatever its zone and its spelling."""
        policy = policyTrusting(AUTHORITY.pem)
        for host in (b"[::1]", b"[0:0::1]", b"[::1%25lo]"):
            network = self.assertBelieved(policy, AUTHORITY.issue("::1"), host)
            self.assertIsNone(network.serverTLS.getHandle().get_servername())

    def test_expired(self) -> None:
        """A certificate whose time is over."""
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        certificate = AUTHORITY.issue("localhost", notAfter=past)
        self.assertIn(
            "verify failed", self.assertRefused(policyTrusting(AUTHORITY.pem), certificate)
        )

    def test_notYet(self) -> None:
        """A certificate whose time has not come."""
        future = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
        certificate = AUTHORITY.issue("localhost", notBefore=future)
        self.assertRefused(policyTrusting(AUTHORITY.pem), certificate)

    def test_selfSigned(self) -> None:
        """A certificate that nobody else has signed."""
        for policy in (policyTrusting(AUTHORITY.pem), defaultPolicy()):
            self.assertRefused(policy, selfSigned("localhost"))

    def test_platform(self) -> None:
        """
        The default policy trusts what the platform trusts. A policy with authorities of its own
        trusts these instead: what the platform trusts is refused.
        """
        path = self.mktemp()
        Path(path).write_bytes(AUTHORITY.pem)
        certificate = AUTHORITY.issue("localhost")
        with mock.patch.dict(os.environ, {"SSL_CERT_FILE": path, "SSL_CERT_DIR": "missing"}):
            self.assertBelieved(defaultPolicy(), certificate)
            self.assertRefused(defaultPolicy(), AUTHORITY.issue("example.com"))
            self.assertRefused(policyTrusting(CertificateAuthority().pem), certificate)

    def test_advice(self) -> None:
        """Where nothing is trusted at all, the refused request's error says what to do."""
        certificate = AUTHORITY.issue("localhost")
        nowhere = {"SSL_CERT_FILE": "missing", "SSL_CERT_DIR": "missing"}
        with mock.patch.dict(os.environ, nowhere):
            self.assertIn("ca-certificates", self.assertRefused(defaultPolicy(), certificate))

    def test_otherAuthority(self) -> None:
        """A certificate of an authority that is not trusted, by us or by the platform."""
        certificate = CertificateAuthority().issue("localhost")
        self.assertRefused(policyTrusting(AUTHORITY.pem), certificate)
        self.assertRefused(defaultPolicy(), certificate)

    def test_severalAuthorities(self) -> None:
        """Each of the certificates in the PEM text is trusted, whatever stands between them."""
        other = CertificateAuthority()
        policy = policyTrusting(b"# one\n" + AUTHORITY.pem + b"\n# two\n" + other.pem)
        for authority in (AUTHORITY, other):
            self.assertBelieved(policy, authority.issue("localhost"))

    def test_unverified(self) -> None:
        """
        Whoever answers is believed, by name or by address, and HTTP/2 is still offered. A name is
        sent to the server, an address is not: it is no name (RFC 6066 section 3).
        """
        certificate = selfSigned("example.com")
        network = self.assertBelieved(unverifiedPolicy(), certificate)
        self.assertEqual(b"localhost", network.serverTLS.getHandle().get_servername())
        for host in (b"127.0.0.1", b"[::1]", b"[fe80::1%25eth0]"):
            network = self.assertBelieved(unverifiedPolicy(), certificate, host)
            self.assertIsNone(network.serverTLS.getHandle().get_servername())


@implementer(IProtocolNegotiationFactory)
class Offering(Factory):
    """A client that offers some protocols by ALPN, and says nothing."""

    protocol = Protocol

    def __init__(self, offers: list[bytes]) -> None:
        self._offers = offers

    def acceptableProtocols(self) -> list[bytes]:
        """As given."""
        return self._offers


class OfferTests(SynchronousTestCase):
    """What is offered on a connection, although its context is kept."""

    def test_eachItsOwn(self) -> None:
        """
        Each connection offers what it is told to, whatever those before it offered: a server that
        has asked for HTTP/1.1 is not offered HTTP/2 again, and others still are.
        """
        certificate = AUTHORITY.issue("localhost")
        for policy in (policyTrusting(AUTHORITY.pem), unverifiedPolicy()):
            for offers, chosen in [
                ([b"h2", b"http/1.1"], b"h2"),
                ([b"http/1.1"], b"http/1.1"),
                ([b"h2", b"http/1.1"], b"h2"),
            ]:
                network = TLSNetwork(Clock(), policy, certificate, (b"h2", b"http/1.1"))
                endpoint = network.endpointForURI(mock.Mock(host=b"localhost", port=443))
                connecting = endpoint.connect(Offering(offers))  # type: ignore[arg-type]
                network.pump.flush()
                client: Any = self.successResultOf(connecting)
                self.assertEqual(chosen, client.transport.negotiatedProtocol)


class PolicyTests(SynchronousTestCase):
    """The policies themselves."""

    def test_oneContext(self) -> None:
        """
        A policy makes one context for all hosts, however many, and none before it is needed: each
        holds every root that the platform trusts.
        """
        for policy in (defaultPolicy(), policyTrusting(AUTHORITY.pem), unverifiedPolicy()):
            with mock.patch.object(tls, "CertificateOptions", wraps=CertificateOptions) as make:
                creators = [policy.creatorForNetloc(b"%d.test" % n, 443) for n in range(3)]
                make.assert_not_called()
                contexts = {
                    creator.clientConnectionForTLS(self.protocol()).get_context()
                    for creator in [*creators, *creators]
                }
                self.assertEqual(1, len(contexts))
                make.assert_called_once()

    def protocol(self) -> Any:
        """A TLS protocol that connects nothing."""
        protocol = mock.Mock()
        protocol.factory.wrappedFactory = Offering([b"h2"])
        return protocol

    def test_impossibleName(self) -> None:
        """A name that no certificate can be for is the caller's mistake, if one is to be had."""
        for host in (b"", b"a|b.test", b"2130706433", "b\u00fccher.test".encode()):
            for policy in (defaultPolicy(), policyTrusting(AUTHORITY.pem)):
                with self.assertRaises(InvalidRequest) as caught:
                    policy.creatorForNetloc(host, 443)
                self.assertIn(repr(host), str(caught.exception))
        unverifiedPolicy().creatorForNetloc(b"2130706433", 443)

    def test_interface(self) -> None:
        """Each is a policy as Twisted knows it, so that Twisted's own Agent takes it."""
        for policy in (defaultPolicy(), policyTrusting(AUTHORITY.pem), unverifiedPolicy()):
            self.assertTrue(verifyObject(IPolicyForHTTPS, policy))
            creator = policy.creatorForNetloc(b"example.com", 443)
            self.assertTrue(verifyObject(IOpenSSLClientConnectionCreator, creator))

    def test_formsOfPEM(self) -> None:
        """A file may have lines of DOS, a key beside the certificate, or a certificate twice."""
        key = selfSigned("example.com").privateKeyPem
        for pem in (
            AUTHORITY.pem.replace(b"\n", b"\r\n"),
            AUTHORITY.pem.rstrip(),
            key + AUTHORITY.pem,
            AUTHORITY.pem + key,
            AUTHORITY.pem * 2,
        ):
            policyTrusting(pem).creatorForNetloc(b"example.com", 443)

    def test_nothingToTrust(self) -> None:
        """PEM text without a certificate is the caller's mistake."""
        for pem in (b"", b"nonsense", selfSigned("example.com").privateKeyPem):
            with self.assertRaises(InvalidRequest) as caught:
                policyTrusting(pem)
            self.assertIn("no certificate", str(caught.exception))

    def test_garbage(self) -> None:
        """One certificate that cannot be read is the caller's mistake, whatever else is there."""
        begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----\n"
        for garbage in (
            begin,
            begin + b"\nAAAA\n" + end,
            begin + b"\n\xff\xfe\n" + end,
            begin + b"\n" + end,
            AUTHORITY.pem[:-30],
            AUTHORITY.pem[:60] + b"\n" + end,
        ):
            for pem in (garbage, garbage + AUTHORITY.pem, AUTHORITY.pem + garbage):
                with self.assertRaises(InvalidRequest) as caught:
                    policyTrusting(pem)
                self.assertIn("cannot be read", str(caught.exception))


class AdviceTests(SynchronousTestCase):
    """A machine that trusts nobody."""

    def platform(self, **environment: str) -> Callable[[], bool]:
        """A machine without roots, but for what the environment names."""
        directory = self.mktemp()
        os.mkdir(directory)
        self.patch(tls, "ROOT_FILES", ())
        self.patch(tls, "ROOT_DIRECTORIES", (directory,))
        defaults = mock.Mock(cafile=None, capath=None)
        self.patch(tls.ssl, "get_default_verify_paths", lambda: defaults)
        patch = mock.patch.dict(os.environ, environment, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.directory = directory
        return hasPlatformRoots

    def test_empty(self) -> None:
        """The error of a refused certificate then names the way out."""
        self.platform()
        cause = ValueError("inner")
        error = NegotiationFailed("https://x: the TLS handshake failed: certificate verify failed")
        error.__cause__ = cause
        advised = tls.withAdvice(error)
        self.assertIn("ca-certificates", str(advised))
        self.assertIn("SSL_CERT_FILE", str(advised))
        self.assertIs(cause, advised.__cause__)

    def test_other(self) -> None:
        """Other errors, and machines that do trust somebody, need no advice."""
        has = self.platform()
        error = NegotiationFailed("https://x: the TLS handshake failed: connection lost")
        self.assertIs(error, tls.withAdvice(error))
        (Path(self.directory) / "root.pem").write_bytes(AUTHORITY.pem)
        self.assertTrue(has())
        error = NegotiationFailed("certificate verify failed")
        self.assertIs(error, tls.withAdvice(error))

    def test_environment(self) -> None:
        """A file or a directory named by the environment counts, and nothing else does then."""
        path = Path(self.mktemp())
        path.write_bytes(AUTHORITY.pem)
        self.assertTrue(self.platform(SSL_CERT_FILE=str(path))())
        self.assertFalse(self.platform(SSL_CERT_FILE=str(path) + "x")())
        self.assertFalse(self.platform(SSL_CERT_DIR=str(path) + "x")())
        self.assertTrue(self.platform(SSL_CERT_DIR=str(path.parent))())
        path.write_bytes(b"")
        self.assertFalse(self.platform(SSL_CERT_FILE=str(path))())

    def test_environmentInstead(self) -> None:
        """A directory that is named takes the place of the platform's, as a file does."""
        has = self.platform()
        (Path(self.directory) / "root.pem").write_bytes(AUTHORITY.pem)
        self.assertTrue(has())
        for name in ("SSL_CERT_DIR", "SSL_CERT_FILE"):
            with mock.patch.dict(os.environ, {name: "missing"}):
                self.assertFalse(has())

    def test_unreadable(self) -> None:
        """A directory that may not be read holds nothing for us, and does not hide the error."""
        self.platform(SSL_CERT_DIR=".")
        error = NegotiationFailed("certificate verify failed")
        with mock.patch("os.scandir", side_effect=PermissionError()):
            self.assertIn("ca-certificates", str(tls.withAdvice(error)))
