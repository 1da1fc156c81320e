"""
Whom to trust.

Owns the TLS policies that txhyper offers, each an
:class:`~twisted.web.iweb.IPolicyForHTTPS` as Twisted has it, so that any other policy may take
their place. A context is made once for a host and kept: making one costs more than all the rest of
a handshake's Python. Checks no certificate itself: OpenSSL and service-identity do.
"""

from __future__ import annotations

import glob
import os
import ssl

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from txhyper.errors import InvalidRequest, NegotiationFailed

__all__ = [
    "certificateCovers",
    "defaultPolicy",
    "policyTrusting",
    "unverifiedPolicy",
    "withAdvice",
]

#: Hosts whose contexts are kept.
CACHED_HOSTS = 100

#: Where the distributions put the roots that they trust.
ROOT_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
ROOT_DIRECTORIES = ("/etc/ssl/certs",)


def defaultPolicy() -> IPolicyForHTTPS:
    """Trust the platform's roots, and verify the host's name by service-identity."""
    return HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(), CACHED_HOSTS)


def policyTrusting(pem: bytes) -> IPolicyForHTTPS:
    """
    Trust these certificate authorities instead of the platform's.

    :param pem: one or more certificates, in PEM.
    :raises InvalidRequest: there is none in it, or one that cannot be read.
    """
    start = b"-----BEGIN CERTIFICATE-----"
    blocks = [start + block for block in pem.split(start)[1:]]
    if not blocks:
        raise InvalidRequest("no certificate in PEM to trust: no BEGIN CERTIFICATE line")
    try:
        roots = trustRootFromCertificates([Certificate.loadPEM(block) for block in blocks])
    except (crypto.Error, ValueError) as error:
        raise InvalidRequest(f"a certificate to trust cannot be read: {error}") from error
    return HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(trustRoot=roots), CACHED_HOSTS)


def unverifiedPolicy() -> IPolicyForHTTPS:
    """Check nothing: whoever answers is believed. For tests and diagnosis only."""
    return HostnameCachingHTTPSPolicy(_Unverified(), CACHED_HOSTS)


@implementer(IPolicyForHTTPS)
class _Unverified:
    """Makes connections that verify nothing."""

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        return _UnverifiedCreator(hostname)


@implementer(IOpenSSLClientConnectionCreator)
class _UnverifiedCreator:
    """One host's connections, with its name sent but not checked."""

    def __init__(self, hostname: bytes) -> None:
        self._options = CertificateOptions()
        text = hostname.decode("ascii")
        # A literal address is no server name (RFC 6066 section 3).
        literal = isIPAddress(text) or isIPv6Address(text)
        self._serverName = None if literal else hostname

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        # Made by Twisted, which adds what the connection's factory offers by ALPN.
        connection = self._options.clientConnectionForTLS(tlsProtocol)
        if self._serverName is not None:
            connection.set_tlsext_host_name(self._serverName)
        return connection


def certificateCovers(connection: SSL.Connection, host: str) -> bool:
    """
    Whether the certificate that a server has shown is for another of its hosts as well.

    Never if we have shown one, too: who is told of that depends on the host.
    """
    if connection.get_certificate() is not None or connection.get_peer_certificate() is None:
        return False
    try:
        verify_hostname(connection, host)
    except (CertificateError, VerificationError):
        return False
    return True


def withAdvice(error: NegotiationFailed) -> NegotiationFailed:
    """
    The same error, with the way out if a certificate was refused because nothing is trusted here.

    A slim container without the package of root certificates is the usual place.
    """
    if "certificate verify failed" not in str(error) or hasPlatformRoots():
        return error
    advised = NegotiationFailed(
        f"{error} (this machine has no trusted root certificates: install its package of them, "
        "often called ca-certificates, or set SSL_CERT_FILE, or pass contextFactory="
        "txhyper.client.tls.policyTrusting(pem))"
    )
    advised.__cause__ = error.__cause__
    return advised


def hasPlatformRoots() -> bool:
    """Whether OpenSSL finds any root certificate where it looks by default."""
    defaults = ssl.get_default_verify_paths()
    file = os.environ.get("SSL_CERT_FILE")
    directory = os.environ.get("SSL_CERT_DIR")
    if file or directory:
        files, directories = [file], [directory]
    else:
        files, directories = [defaults.cafile, *ROOT_FILES], [defaults.capath, *ROOT_DIRECTORIES]
    return any(path and os.path.isfile(path) and os.path.getsize(path) for path in files) or any(
        # One that may not be read is as good as empty.
        path and any(glob.iglob("*", root_dir=path))
        for path in directories
    )
