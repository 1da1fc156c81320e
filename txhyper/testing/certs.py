"""
Throw-away certificates: a certificate authority that lives as long as its object.

Owns the making of keys and certificates for tests. It never writes a file unless it is asked to
(:meth:`HostCertificate.writeTo`), and what it makes is worth nothing outside a test: nobody but the
test trusts the authority. :class:`txhyper.testing.server.DemoServer` calls it, and so do tests that
want an expired, a self-signed or a wrongly named certificate.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.internet.ssl import CertificateOptions

__all__ = ["CertificateAuthority", "HostCertificate", "selfSigned"]

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class HostCertificate:
    """A server's certificate, or a client's, and the private key that goes with it."""

    #: The certificate, as PEM text; those of authorities between it and a root may follow it.
    certificatePem: bytes
    #: The private key, as unencrypted PKCS #8 PEM text.
    privateKeyPem: bytes = field(repr=False)

    def writeTo(self, directory: str | os.PathLike[str]) -> tuple[Path, Path]:
        """
        Write ``certificate.pem`` and ``key.pem`` into a directory, for servers that want files.

        :return: the paths of the certificate and of the key, which only its owner may read.
        """
        certificatePath = Path(directory) / "certificate.pem"
        keyPath = Path(directory) / "key.pem"
        certificatePath.write_bytes(self.certificatePem)
        keyPath.touch(mode=0o600)
        keyPath.write_bytes(self.privateKeyPem)
        return certificatePath, keyPath

    def serverOptions(self, protocols: Sequence[bytes] = (b"h2",)) -> CertificateOptions:
        """
        A TLS context for a server that shows this certificate.

        :param protocols: what the server takes in ALPN, best first. A client that offers only
            others is refused in the handshake; one that offers nothing gets a connection, with
            nothing agreed on.
        """
        # Twisted's annotations ask for pyOpenSSL's objects, and hand on whatever they are given;
        # pyOpenSSL warns of its own objects and prefers these.
        key: Any = load_pem_private_key(self.privateKeyPem, None)
        chain: list[Any] = [*x509.load_pem_x509_certificates(self.certificatePem)]
        return CertificateOptions(
            privateKey=key,
            certificate=chain[0],
            extraCertChain=chain[1:],
            acceptableProtocols=list(protocols),
        )


def _period(notBefore: datetime | None, notAfter: datetime | None) -> tuple[datetime, datetime]:
    """
    Fill in the ends of a validity period that were left out.

    Only one end given, the other one is moved where it must be for the period not to be empty: an
    expired certificate needs no more than its ``notAfter``.
    """
    now = datetime.now(timezone.utc)
    begin = notBefore or (now - _DAY if notAfter is None else min(now, notAfter) - _DAY)
    end = notAfter or max(now, begin) + 30 * _DAY
    return begin, end


def _alternativeName(hostname: str) -> x509.GeneralName:
    """A host name or the text of an IP address, as a certificate names it."""
    try:
        return x509.IPAddress(ip_address(hostname))
    except ValueError:
        return x509.DNSName(hostname)


def _commonName(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _keyUsage(*, signsCertificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signsCertificates,
        crl_sign=signsCertificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hostCertificate(
    hostnames: Sequence[str],
    period: tuple[datetime, datetime],
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> HostCertificate:
    """Make a key and its certificate, signed by the issuer or else by the key itself."""
    if not hostnames:
        raise ValueError("a certificate needs at least one host name or IP address")
    key = ec.generate_private_key(ec.SECP256R1())
    # RFC 5280 allows a common name no more than 64 characters; who verifies looks at the
    # alternative names only.
    subject = _commonName(hostnames[0][:64])
    issuerName, issuerKey = issuer or (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuerName)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(period[0])
        .not_valid_after(period[1])
        .add_extension(
            x509.SubjectAlternativeName([_alternativeName(each) for each in hostnames]), False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(_keyUsage(signsCertificates=False), True)
        .add_extension(x509.ExtendedKeyUsage([usage]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuerKey.public_key()), False
        )
        .sign(issuerKey, SHA256())
    )
    return HostCertificate(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


class CertificateAuthority:
    """
    A certificate authority that only the test which made it trusts.

    Its keys are elliptic curve ones (P-256), so that making one takes a millisecond.
    """

    #: The authority's own certificate, as PEM text: what a client must trust.
    pem: bytes

    def __init__(
        self, name: str = "txhyper throw-away CA", issuer: CertificateAuthority | None = None
    ) -> None:
        """
        :param issuer: who signs this authority's certificate, which is then none that anybody need
            trust: it belongs into the chains of those that it signs itself. Without an issuer it is
            a root.
        """
        now = datetime.now(timezone.utc)
        self._name = _commonName(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        publicKey = self._key.public_key()
        signer = issuer or self
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(signer._name)
            .public_key(publicKey)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 365 * _DAY)
            .not_valid_after(now + 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else 1), True)
            .add_extension(_keyUsage(signsCertificates=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(publicKey), False)
            .sign(signer._key, SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        *hostnames: str,
        notBefore: datetime | None = None,
        notAfter: datetime | None = None,
    ) -> HostCertificate:
        """
        Make a server certificate.

        :param hostnames: DNS names and IP addresses, at least one.
        :param notBefore: when it begins to be valid (default: yesterday).
        :param notAfter: when it ceases to be valid (default: in thirty days). In the past, the
            certificate is an expired one.
        """
        return _hostCertificate(hostnames, _period(notBefore, notAfter), (self._name, self._key))

    def issueClient(
        self,
        name: str,
        notBefore: datetime | None = None,
        notAfter: datetime | None = None,
    ) -> HostCertificate:
        """
        Make a client's certificate, for servers that ask for one.

        :param name: what the client is called; how long it is valid, see :meth:`issue`.
        """
        period, issuer = _period(notBefore, notAfter), (self._name, self._key)
        return _hostCertificate([name], period, issuer, ExtendedKeyUsageOID.CLIENT_AUTH)


def selfSigned(
    *hostnames: str,
    notBefore: datetime | None = None,
    notAfter: datetime | None = None,
) -> HostCertificate:
    """Make a server certificate that nobody has vouched for but itself."""
    return _hostCertificate(hostnames, _period(notBefore, notAfter), None)
