"""Tests for :mod:`txhyper.client.credentials`: clients that say who they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import CertificateBuilder, load_pem_x509_certificate, random_serial_number
from OpenSSL import SSL
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from tests.client.test_tls import AUTHORITY, TLSNetwork, ask
from txhyper import ConnectionTerminated, NegotiationFailed
from txhyper.client.tls import ClientCertificate, defaultPolicy, policyTrusting, unverifiedPolicy
from txhyper.errors import InvalidRequest
from txhyper.testing.certs import CertificateAuthority

CLIENTS = CertificateAuthority("clients")
BELOW = CertificateAuthority("below", issuer=CLIENTS)
CERTIFICATE = AUTHORITY.issue("localhost")
SOMEBODY = CLIENTS.issueClient("somebody")


def encrypted(pem: bytes, passphrase: bytes) -> bytes:
    """The same key, for those who know the passphrase."""
    key = load_pem_private_key(pem, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))


class Demanding(TLSNetwork):
    """A server that shakes hands with clients of its authority alone."""

    def __init__(self, policy: Any, protocols: tuple[bytes, ...] = (b"h2",)) -> None:
        super().__init__(Clock(), policy, CERTIFICATE, protocols)
        context = self.options.getContext()
        trustRootFromCertificates([Certificate.loadPEM(CLIENTS.pem)])._addCACertsToContext(context)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self.verify)
        #: The subjects of what the client has shown, from its root on.
        self.names: list[str] = []

    def verify(self, connection: Any, certificate: Any, error: int, depth: int, ok: int) -> bool:
        """Take note."""
        self.names.append(certificate.to_cryptography().subject.rfc4514_string())
        return bool(ok)


class ShownTests(SynchronousTestCase):
    """What the server sees."""

    def assertShown(self, policy: Any, *names: str) -> None:
        """The server let the client in, who showed these."""
        network = Demanding(policy)
        self.assertNoResult(ask(network))
        self.assertTrue(network.server.octets.startswith(b"PRI * HTTP/2.0"))
        self.assertEqual([f"CN={name}" for name in ("clients", *names)], network.names)

    def test_shown(self) -> None:
        """The certificate is shown to a server that asks, whomever the client trusts."""
        client = ClientCertificate(SOMEBODY.certificatePem, SOMEBODY.privateKeyPem)
        self.assertShown(policyTrusting(AUTHORITY.pem, client), "somebody")
        self.assertShown(unverifiedPolicy(client), "somebody")
        path = self.mktemp()
        Path(path).write_bytes(AUTHORITY.pem)
        with mock.patch.dict(os.environ, {"SSL_CERT_FILE": path}):
            self.assertShown(defaultPolicy(client), "somebody")

    def test_chain(self) -> None:
        """What follows the certificate in its text is shown as well, and makes the chain whole."""
        issued = BELOW.issueClient("somebody else")
        client = ClientCertificate(issued.certificatePem + BELOW.pem, issued.privateKeyPem)
        self.assertShown(policyTrusting(AUTHORITY.pem, client), "below", "somebody else")

    def test_oneText(self) -> None:
        """Certificate and key may stand in the same text, in either order."""
        certificate, key = SOMEBODY.certificatePem, SOMEBODY.privateKeyPem
        for text in (certificate + key, key + b"\n# mine\n" + certificate):
            client = ClientCertificate(text)
            self.assertShown(policyTrusting(AUTHORITY.pem, client), "somebody")

    def test_passphrase(self) -> None:
        """A key that is encrypted is read with its passphrase."""
        key = encrypted(SOMEBODY.privateKeyPem, b"open sesame")
        client = ClientCertificate(SOMEBODY.certificatePem, key, b"open sesame")
        self.assertShown(policyTrusting(AUTHORITY.pem, client), "somebody")

    def test_theServerIsStillVerified(self) -> None:
        """Whom the client does not trust sees nothing of its certificate."""
        client = ClientCertificate(SOMEBODY.certificatePem, SOMEBODY.privateKeyPem)
        network = Demanding(policyTrusting(CLIENTS.pem, client))
        failed = self.failureResultOf(ask(network), ResponseNeverReceived)
        self.assertIsInstance(failed.value.reasons[0].value, NegotiationFailed)
        self.assertEqual([], network.names)

    def test_none(self) -> None:
        """
        Without one the server hangs up, and the request fails with the reason that TLS gives,
        whatever HTTP would have been spoken.
        """
        for protocol in (b"h2", b"http/1.1"):
            network = Demanding(policyTrusting(AUTHORITY.pem), (protocol,))
            failed = self.failureResultOf(ask(network), ResponseNeverReceived)
            error = failed.value.reasons[0].value
            self.assertIsInstance(error, ConnectionTerminated)
            self.assertTrue(str(error).endswith(": tlsv13 alert certificate required"), error)
            self.assertEqual(b"", network.server.octets)


class MistakesTests(SynchronousTestCase):
    """What is found out before anything is dialled."""

    def assertInvalid(self, message: str, *arguments: Any) -> None:
        """The mistake is the caller's, told in one line without a secret."""
        with self.assertRaises(InvalidRequest) as caught:
            ClientCertificate(*arguments)
        self.assertIn(message, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertNotIn("sesame", str(caught.exception))

    def test_noCertificate(self) -> None:
        """There is none in the text, or one that cannot be read."""
        key = SOMEBODY.privateKeyPem
        for text in (b"", b"nonsense", key):
            self.assertInvalid("no client's certificate in PEM", text, key)
        begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----\n"
        for text in (
            begin,
            begin + b"\nAAAA\n" + end,
            SOMEBODY.certificatePem[:-40],
            SOMEBODY.certificatePem + begin + b"\nAAAA\n" + end,
        ):
            self.assertInvalid("certificate cannot be read", text, key)

    def test_noKey(self) -> None:
        """There is none in its text, or in the certificate's if that is the only one."""
        certificate = SOMEBODY.certificatePem
        self.assertInvalid("no private key", certificate)
        for text in (b"", b"nonsense", certificate):
            self.assertInvalid("no private key", certificate, text)
        garbage = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
        for text in (garbage, SOMEBODY.privateKeyPem[:-40]):
            self.assertInvalid("private key cannot be read", certificate, text)

    def test_passphrase(self) -> None:
        """A key that is encrypted needs its passphrase, and one that is not needs none."""
        certificate, key = SOMEBODY.certificatePem, SOMEBODY.privateKeyPem
        locked = encrypted(key, b"open sesame")
        self.assertInvalid("Password was not given", certificate, locked)
        self.assertInvalid("Incorrect password", certificate, locked, b"sesame, open")
        self.assertInvalid("is not encrypted", certificate, key, b"open sesame")

    def test_another(self) -> None:
        """The key belongs to another certificate, or to one of the chain."""
        for other in (CLIENTS.issueClient("somebody"), AUTHORITY.issue("localhost")):
            self.assertInvalid("does not belong", SOMEBODY.certificatePem, other.privateKeyPem)
        text = BELOW.pem + SOMEBODY.certificatePem
        self.assertInvalid("must be the first", text, SOMEBODY.privateKeyPem)

    def test_weak(self) -> None:
        """A key that OpenSSL thinks too short for TLS is no use, and that is said at once."""
        key = rsa.generate_private_key(65537, 1024)
        model = load_pem_x509_certificate(SOMEBODY.certificatePem)
        certificate = (
            CertificateBuilder()
            .subject_name(model.subject)
            .issuer_name(model.subject)
            .public_key(key.public_key())
            .serial_number(random_serial_number())
            .not_valid_before(model.not_valid_before_utc)
            .not_valid_after(model.not_valid_after_utc)
            .sign(key, SHA256())
            .public_bytes(Encoding.PEM)
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.assertInvalid("key too small", certificate, pem)

    def test_secret(self) -> None:
        """Nothing of the key shows."""
        client = ClientCertificate(SOMEBODY.certificatePem, SOMEBODY.privateKeyPem)
        self.assertNotIn("PRIVATE", repr(client))
        self.assertNotIn("PrivateKey", repr(client))
