"""Tests for :mod:`txhyper.testing.certs`."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from service_identity import VerificationError
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import connectedServerAndClient
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txhyper.testing.certs import CertificateAuthority, HostCertificate, selfSigned


@implementer(IHandshakeListener)
class Greeter(Protocol):
    """Notes the protocol that its handshake has agreed on, or else the reason of its end."""

    def __init__(self) -> None:
        self.agreed: bytes | None = None
        self.isDone = False
        self.reason: Failure | None = None

    def handshakeCompleted(self) -> None:
        """The certificate was accepted."""
        self.isDone = True
        self.agreed = self.transport.negotiatedProtocol  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self.reason = reason


def handshake(
    server: HostCertificate,
    trusted: bytes,
    hostname: str,
    protocols: tuple[bytes, ...] = (b"h2",),
) -> Greeter:
    """Have a Twisted client shake hands with a Twisted server in memory; return the client."""
    clock = Clock()
    options = optionsForClientTLS(
        hostname,
        trustRoot=Certificate.loadPEM(trusted),
        acceptableProtocols=[b"http/1.1", b"h2"],
    )
    client = Greeter()
    ends = [
        TLSMemoryBIOFactory(made, isClient, Factory.forProtocol(protocol), clock).buildProtocol(
            None
        )
        for made, isClient, protocol in (
            (server.serverOptions(protocols), False, Greeter),
            (options, True, lambda: client),
        )
    ]
    _, _, pump = connectedServerAndClient(
        lambda: ends[0], lambda: ends[1], clock=clock, greet=False
    )
    pump.flush()
    return client


def loaded(certificate: HostCertificate) -> x509.Certificate:
    """The certificate, parsed."""
    return x509.load_pem_x509_certificate(certificate.certificatePem)


class CertificateAuthorityTests(SynchronousTestCase):
    """What the authority signs, clients that trust it accept."""

    def setUp(self) -> None:
        self.authority = CertificateAuthority()

    def assertRefused(self, client: Greeter) -> None:
        """The client has ended the handshake, for the certificate's sake."""
        self.assertFalse(client.isDone)
        assert client.reason is not None
        self.assertIn("certificate verify failed", str(client.reason.value))

    def test_acceptedForItsNames(self) -> None:
        """A client that trusts the authority accepts each host name and address asked for."""
        issued = self.authority.issue("localhost", "127.0.0.1", "::1", "*.example.test")
        for name in ("localhost", "127.0.0.1", "::1", "www.example.test"):
            client = handshake(issued, self.authority.pem, name)
            self.assertTrue(client.isDone, f"{name}: {client.reason}")

    def test_refusedForAnotherName(self) -> None:
        """A client refuses it for a name that it was not issued for."""
        issued = self.authority.issue("localhost")
        client = handshake(issued, self.authority.pem, "elsewhere.test")
        self.assertFalse(client.isDone)
        assert client.reason is not None
        self.assertIsInstance(client.reason.value, VerificationError)

    def test_refusedByWhoTrustsAnother(self) -> None:
        """Two authorities of the same name have nothing to do with one another."""
        issued = self.authority.issue("localhost")
        self.assertRefused(handshake(issued, CertificateAuthority().pem, "localhost"))

    def test_namesAndAddresses(self) -> None:
        """Host names become DNS names, addresses become IP addresses."""
        names = loaded(self.authority.issue("localhost", "127.0.0.1", "::1")).extensions
        alternative = names.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(["localhost"], alternative.get_values_for_type(x509.DNSName))
        self.assertEqual(
            [ip_address("127.0.0.1"), ip_address("::1")],
            alternative.get_values_for_type(x509.IPAddress),
        )

    def test_validNow(self) -> None:
        """Nothing said of time, it is valid from yesterday on for about a month."""
        now = datetime.now(timezone.utc)
        certificate = loaded(self.authority.issue("localhost"))
        self.assertTrue(certificate.not_valid_before_utc < now - timedelta(hours=23))
        self.assertTrue(certificate.not_valid_after_utc > now + timedelta(days=29))

    def test_expired(self) -> None:
        """An end in the past is enough to get an expired certificate, which clients refuse."""
        end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=40)
        expired = self.authority.issue("localhost", notAfter=end)
        certificate = loaded(expired)
        self.assertEqual(end, certificate.not_valid_after_utc)
        self.assertEqual(end - timedelta(days=1), certificate.not_valid_before_utc)
        self.assertRefused(handshake(expired, self.authority.pem, "localhost"))

    def test_notYetValid(self) -> None:
        """A beginning in the future is enough to get one that is not valid yet."""
        begin = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=90)
        future = self.authority.issue("localhost", notBefore=begin)
        certificate = loaded(future)
        self.assertEqual(begin, certificate.not_valid_before_utc)
        self.assertEqual(begin + timedelta(days=30), certificate.not_valid_after_utc)
        self.assertRefused(handshake(future, self.authority.pem, "localhost"))

    def test_bothEnds(self) -> None:
        """Both ends of the period given, both are kept."""
        begin = datetime(2020, 1, 1, tzinfo=timezone.utc)
        end = datetime(2020, 1, 2, tzinfo=timezone.utc)
        certificate = loaded(self.authority.issue("localhost", notBefore=begin, notAfter=end))
        self.assertEqual(
            (begin, end), (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        )

    def test_client(self) -> None:
        """A client's certificate says that it is one, and no server takes it for its own."""
        client = self.authority.issueClient("somebody")
        certificate = x509.load_pem_x509_certificate(client.certificatePem)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual([ExtendedKeyUsageOID.CLIENT_AUTH], list(usage))
        self.assertEqual("CN=somebody", certificate.subject.rfc4514_string())
        self.assertFalse(handshake(client, self.authority.pem, "somebody").isDone)

    def test_intermediate(self) -> None:
        """An authority below another is worth nothing without its own certificate in the chain."""
        below = CertificateAuthority("below", issuer=self.authority)
        certificate = below.issue("localhost")
        self.assertFalse(handshake(certificate, self.authority.pem, "localhost").isDone)
        chained = HostCertificate(certificate.certificatePem + below.pem, certificate.privateKeyPem)
        self.assertTrue(handshake(chained, self.authority.pem, "localhost").isDone)

    def test_noName(self) -> None:
        """A certificate for nobody is a mistake."""
        self.assertRaises(ValueError, self.authority.issue)

    def test_longName(self) -> None:
        """A host name longer than a common name may be is kept whole where clients look."""
        name = ".".join(["label" * 5] * 4)
        self.assertTrue(handshake(self.authority.issue(name), self.authority.pem, name).isDone)


class HostCertificateTests(SynchronousTestCase):
    """What can be done with a certificate and its key."""

    def test_selfSigned(self) -> None:
        """A self-signed certificate is refused by who trusts somebody else, and shows its names."""
        own = selfSigned("localhost", "127.0.0.1")
        certificate = loaded(own)
        self.assertEqual(certificate.issuer, certificate.subject)
        self.assertFalse(handshake(own, CertificateAuthority().pem, "localhost").isDone)
        self.assertTrue(handshake(own, own.certificatePem, "localhost").isDone)

    def test_writeTo(self) -> None:
        """The files hold what the object holds, and the key is its owner's alone."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        own = selfSigned("localhost")
        certificatePath, keyPath = own.writeTo(directory.name)
        self.assertEqual(own.certificatePem, certificatePath.read_bytes())
        self.assertEqual(own.privateKeyPem, keyPath.read_bytes())
        self.assertEqual(0o600, stat.S_IMODE(keyPath.stat().st_mode))

    def test_alpn(self) -> None:
        """The server's context picks h2 from what a client offers."""
        authority = CertificateAuthority()
        issued = authority.issue("localhost")
        self.assertEqual(b"h2", handshake(issued, authority.pem, "localhost").agreed)

    def test_noCommonProtocol(self) -> None:
        """A client that offers nothing of what the server takes gets no connection."""
        authority = CertificateAuthority()
        client = handshake(authority.issue("localhost"), authority.pem, "localhost", (b"other",))
        self.assertFalse(client.isDone)
        self.assertIsNotNone(client.reason)

    def test_keyIsNotShown(self) -> None:
        """The representation keeps the private key out of logs."""
        self.assertNotIn("PRIVATE", repr(selfSigned("localhost")))
