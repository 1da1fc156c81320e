"""Tests for :mod:`txhyper.adapters.hyper_place`: hosts, ports, protocols, whom to trust."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IPolicyForHTTPS

from tests.adapters.scene import HyperTestCase
from txhyper import HTTP11Connection, HTTP20Connection, HTTPConnection, InvalidRequest
from txhyper.adapters.hyper import MissingCertFile, init_context
from txhyper.testing.certs import CertificateAuthority


def place(connection: HTTPConnection) -> tuple[str, int, bool]:
    """Where a connection leads."""
    return connection.host, connection.port, connection.secure


class PlaceTests(SynchronousTestCase):
    """Where a connection leads."""

    def test_hosts(self) -> None:
        """A host may have its port with it, and be a name or an address, in brackets or bare."""
        for given, host, port in [
            ("a.test", "a.test", 443),
            ("A.Test:8443", "a.test", 8443),
            (b"a.test:8443", "a.test", 8443),
            ("192.0.2.1", "192.0.2.1", 443),
            ("[::1]", "::1", 443),
            ("[::1]:8443", "::1", 8443),
            ("::1", "::1", 443),
            ("2001:db8::1", "2001:db8::1", 443),
            ("[fe80::1%25eth0]:8443", "fe80::1%25eth0", 8443),
        ]:
            connection = HTTP20Connection(given, reactor=Clock())
            self.assertEqual((host, port, True), place(connection), given)

    def test_portBeside(self) -> None:
        """The port may be given beside the host, an address without brackets included."""
        for given in ["a.test", "a.test:8443", "::1", "[::1]"]:
            self.assertEqual(8443, HTTP20Connection(given, 8443, reactor=Clock()).port)

    def test_defaults(self) -> None:
        """Port and TLS follow from one another, and from the class, as hyper documents it."""
        for connection, port, secure in [
            (HTTPConnection("a.test", reactor=Clock()), 80, False),
            (HTTPConnection("a.test:443", reactor=Clock()), 443, True),
            (HTTPConnection("a.test", 443, reactor=Clock()), 443, True),
            (HTTPConnection("a.test:8443", reactor=Clock()), 8443, False),
            (HTTPConnection("a.test", secure=True, reactor=Clock()), 443, True),
            (HTTPConnection("a.test", 443, False, reactor=Clock()), 443, False),
            (HTTP11Connection("a.test", reactor=Clock()), 80, False),
            (HTTP11Connection("a.test:443", reactor=Clock()), 443, True),
            (HTTP20Connection("a.test", reactor=Clock()), 443, True),
            (HTTP20Connection("a.test:8443", reactor=Clock()), 8443, True),
            (HTTP20Connection("a.test", secure=False, reactor=Clock()), 80, False),
        ]:
            self.assertEqual(("a.test", port, secure), place(connection))

    def test_refused(self) -> None:
        """What is no host or no port is refused at once, and named."""
        for host, port, said in [
            ("", None, "has no valid host"),
            ("https://a.test", None, "'https://a.test' is no host"),
            ("a.test/b", None, "it has a path"),
            ("a b", None, "not printable ASCII"),
            ("b\xfccher.test", None, "not printable ASCII"),
            ("me:secret@a.test", None, "credentials"),
            ("[1:2]", None, "no IPv6 address in its brackets"),
            ("1:2:3", None, "has no valid host"),
            ("a.test:0", None, "no valid port"),
            ("a.test", 65536, "no valid port"),
            ("a.test:443", 80, "another port than 80"),
        ]:
            error = self.assertRaises(InvalidRequest, HTTP20Connection, host, port, reactor=Clock())
            self.assertIn(said, str(error))


class ProtocolTests(HyperTestCase):
    """What is offered to the server."""

    def test_offers(self) -> None:
        """Each class offers what its name says, and force_proto narrows that."""
        for kind, forced, offers in [
            (HTTPConnection, None, [b"h2", b"http/1.1"]),
            (HTTPConnection, "h2", [b"h2"]),
            (HTTPConnection, "http/1.1", [b"http/1.1"]),
            (HTTP20Connection, None, [b"h2"]),
            (HTTP20Connection, "h2", [b"h2"]),
            (HTTP11Connection, None, [b"http/1.1"]),
            (HTTP11Connection, "http/1.1", [b"http/1.1"]),
        ]:
            connection = self.another(kind, "a.test:443", force_proto=forced)
            connection.request("GET", "/")
            self.assertEqual(offers, self.network.connections[-1].offers)

    def test_notSpoken(self) -> None:
        """A protocol that is not known, or not the class's own, is refused."""
        for kind, forced, said in [
            (HTTPConnection, "h3", "'h2' or 'http/1.1', not 'h3'"),
            (HTTP20Connection, "http/1.1", "is not spoken by this class"),
            (HTTP11Connection, "h2", "is not spoken by this class"),
        ]:
            error = self.assertRaises(
                ValueError, kind, "a.test", force_proto=forced, reactor=self.clock
            )
            self.assertIn(said, str(error))

    def test_withoutTLS(self) -> None:
        """Without TLS, HTTP/2 is spoken by prior knowledge if it is all that is spoken."""
        for kind, options in [
            (HTTP20Connection, {"secure": False}),
            (HTTPConnection, {"force_proto": "h2"}),
        ]:
            connection = self.another(kind, **options)
            connection.request("GET", "/")
            peer = self.network.connections[-1].tcp(tls=False).peer
            self.assertEqual(b"http", peer.expectHeaders()[b":scheme"])

    def test_withoutTLSNorKnowledge(self) -> None:
        """Otherwise it is HTTP/1.1."""
        self.another(HTTPConnection).request("GET", "/")
        self.network.connections[-1].tcp(tls=False)
        self.assertTrue(self.written().startswith(b"GET / HTTP/1.1\r\nHost: a.test\r\n"))


class TrustTests(SynchronousTestCase):
    """Whom a connection trusts."""

    def test_contexts(self) -> None:
        """ssl_context takes what init_context makes, of the platform's roots or of a file."""
        path = Path(self.mktemp())
        path.write_bytes(CertificateAuthority().pem)
        for policy in [init_context(), init_context(str(path))]:
            self.assertTrue(IPolicyForHTTPS.providedBy(policy))
            HTTP20Connection("a.test", ssl_context=policy, reactor=Clock())
            HTTP11Connection("a.test", ssl_context=policy, reactor=Clock())

    def test_noFile(self) -> None:
        """A file that is missing is told under hyper's name; one without a certificate is named."""
        path = self.mktemp()
        self.assertRaises(MissingCertFile, init_context, path)
        Path(path).touch()
        self.assertRaises(InvalidRequest, init_context, path)

    def test_ownCertificate(self) -> None:
        """It shows a certificate of the client's own, whose key may stand apart or be encrypted."""
        client = CertificateAuthority().issueClient("me")
        certificate, both, key, encrypted = (Path(self.mktemp()) for _ in range(4))
        certificate.write_bytes(client.certificatePem)
        both.write_bytes(client.certificatePem + client.privateKeyPem)
        key.write_bytes(client.privateKeyPem)
        secret = load_pem_private_key(client.privateKeyPem, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s\xc3\xa9same")
        )
        encrypted.write_bytes(secret)
        for cert, password in [
            (str(both), None),
            (str(both), "of no use"),
            ((str(certificate), str(key)), None),
            ((str(certificate), str(encrypted)), "s\xe9same"),
            ((str(certificate), str(encrypted)), b"s\xc3\xa9same"),
            ((str(certificate), str(encrypted)), lambda: "s\xe9same"),
        ]:
            policy = init_context(cert=cert, cert_password=password)
            creator = policy.creatorForNetloc(b"a.test", 443)
            connection = creator.clientConnectionForTLS(
                TLSMemoryBIOProtocol(TLSMemoryBIOFactory(creator, True, Factory()), Protocol())
            )
            shown = connection.get_certificate()
            self.assertIn("me", str(shown.to_cryptography().subject), cert)
        self.assertRaises(
            InvalidRequest,
            init_context,
            cert=(str(certificate), str(encrypted)),
            cert_password="wrong",
        )
        self.assertRaises(MissingCertFile, init_context, cert=self.mktemp())

    def test_notAContext(self) -> None:
        """An SSLContext of the standard library is refused, with the way out."""
        error = self.assertRaises(
            TypeError,
            HTTP20Connection,
            "a.test",
            ssl_context=ssl.create_default_context(),
            reactor=Clock(),
        )
        self.assertIn("ssl_context is an IPolicyForHTTPS, such as init_context() makes", str(error))
