"""
Who the client is, for servers that ask for a certificate of its own.

Owns the reading of a client's certificate and private key, and every complaint about them: what
comes out of here can be used, so that nothing is found out only when a server has been dialled.
The policies of :mod:`txhyper.client.tls` show it.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from txhyper.errors import InvalidRequest
from txhyper.protocol.failures import explain

__all__ = ["ClientCertificate"]


class ClientCertificate:
    """
    A certificate, those between it and its root, and the private key that goes with it.

    :ivar options: what :class:`~twisted.internet.ssl.CertificateOptions` calls these three.
    """

    __slots__ = ("options",)

    def __init__(
        self,
        certificate: bytes,
        privateKey: bytes | None = None,
        passphrase: bytes | None = None,
    ) -> None:
        """
        :param certificate: PEM: the client's own certificate, and after it those of the
            authorities between it and a root that the server knows. All of them are sent.
        :param privateKey: PEM; None if it stands in the same text.
        :param passphrase: for a private key that is encrypted.
        :raises InvalidRequest: there is no certificate, or no key, or they cannot be read, or not
            without another passphrase, or do not belong together, or OpenSSL takes neither.
        """
        own, *chain = _certificates(certificate)
        key = _key(certificate if privateKey is None else privateKey, passphrase)
        if own.public_key() != key.public_key():
            raise InvalidRequest(
                "the private key does not belong to the client's certificate, which must be the "
                "first one in its text"
            )
        context = SSL.Context(SSL.TLS_METHOD)
        try:
            # A key may be too short for OpenSSL, or of a kind that TLS does not use.
            context.use_certificate(own)
            context.use_privatekey(key)
        except SSL.Error as error:
            raise InvalidRequest(
                f"the client's certificate cannot be used: {explain(error)}"
            ) from error
        self.options = {"certificate": own, "privateKey": key, "extraCertChain": chain}


def _certificates(pem: bytes) -> list[x509.Certificate]:
    """Every certificate in the text, in order."""
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise InvalidRequest("no client's certificate in PEM: no BEGIN CERTIFICATE line")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise InvalidRequest(f"a client's certificate cannot be read: {error}") from error


def _key(pem: bytes, passphrase: bytes | None) -> Any:
    """The first private key in the text."""
    if b"PRIVATE KEY-----" not in pem:
        raise InvalidRequest("no private key of the client's in PEM: no BEGIN PRIVATE KEY line")
    try:
        return load_pem_private_key(pem, passphrase)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise InvalidRequest(f"the client's private key cannot be read: {error}") from error
