"""
Whom to trust, and who we are.

Owns the TLS policies that txhyper offers, each an
:class:`~twisted.web.iweb.IPolicyForHTTPS` as Twisted has it, so that any other policy may take
their place. A policy makes one context, when it is first needed, for every host: making one costs
more than all the rest of a handshake's Python. Compares no names itself: service-identity does, and
the chain of certificates is OpenSSL's.

The judging of names is not left to Twisted for two reasons. Its own creators of connections make
their contexts out of sight, where nobody can have the secrets logged; and they believe a
certificate of a trusted authority that names no host at all, or that service-identity cannot read.
Here nobody is believed who has not been verified.
"""

from __future__ import annotations

import glob
import os
import ssl
import weakref
from functools import cached_property, partial
from typing import Any

from OpenSSL import SSL, crypto
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from txhyper.client.credentials import ClientCertificate
from txhyper.client.keylog import KeyLog
from txhyper.errors import InvalidRequest, NegotiationFailed

__all__ = [
    "ClientCertificate",
    "defaultPolicy",
    "policyTrusting",
    "unverifiedPolicy",
    "withAdvice",
]

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


def defaultPolicy(certificate: ClientCertificate | None = None) -> IPolicyForHTTPS:
    """
    Trust the platform's roots, and verify the host's name by service-identity.

    :param certificate: shown to servers that ask for one.
    """
    return _Policy(certificate, platformTrust())


def policyTrusting(pem: bytes, certificate: ClientCertificate | None = None) -> IPolicyForHTTPS:
    """
    Trust these certificate authorities instead of the platform's.

    :param pem: one or more certificates, in PEM.
    :param certificate: shown to servers that ask for one.
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
    return _Policy(certificate, roots)


def unverifiedPolicy(certificate: ClientCertificate | None = None) -> IPolicyForHTTPS:
    """
    Check nothing: whoever answers is believed. For tests and diagnosis only.

    :param certificate: shown to whoever asks for one.
    """
    return _Policy(certificate, None)


@implementer(IPolicyForHTTPS)
class _Policy:
    """Makes the connections for all hosts from one context."""

    def __init__(self, certificate: ClientCertificate | None, roots: Any) -> None:
        """:param roots: whom to trust; None to verify nothing."""
        self.isVerifying = roots is not None
        self._options: dict[str, Any] = {} if certificate is None else {**certificate.options}
        if roots is not None:
            self._options["trustRoot"] = roots

    @cached_property
    def contexts(self) -> CertificateOptions:
        """The one context, and what Twisted does to make a connection of it."""
        options = CertificateOptions(**self._options)
        keyLog = KeyLog.fromEnvironment()
        if keyLog is not None:
            # OpenSSL takes this before the first connection, and not after it.
            options.getContext().set_keylog_callback(keyLog.write)
        return options

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """:raises InvalidRequest: no certificate can be for this name."""
        return _Creator(self, hostname)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """One host's connections."""

    def __init__(self, policy: _Policy, hostname: bytes) -> None:
        self._policy = policy
        self._identity: DNS_ID | IPAddress_ID | None = None
        try:
            text = hostname.decode("ascii")
            isAddress = isIPAddress(text) or isIPv6Address(text)
            if policy.isVerifying and isAddress:
                # No certificate knows the zones of this machine.
                self._identity = IPAddress_ID(text.partition("%")[0])
            elif policy.isVerifying:
                self._identity = DNS_ID(text.removesuffix("."))
        except ValueError as error:
            raise InvalidRequest(
                f"the host {hostname!r} is no name that a certificate could be for: {error}"
            ) from error
        # In TLS a name has no dot at its end, and a literal address is none (RFC 6066 section 3).
        self._serverName = None if isAddress else hostname.removesuffix(b".")

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Made by Twisted, which adds what the connection's factory offers by ALPN."""
        connection = self._policy.contexts.clientConnectionForTLS(tlsProtocol)
        if self._serverName is not None:
            connection.set_tlsext_host_name(self._serverName)
        if self._identity is not None:
            # A connection that is never made must not keep its protocol alive.
            verify = partial(_verify, self._identity, weakref.ref(tlsProtocol))
            connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


def _verify(
    identity: DNS_ID | IPAddress_ID,
    protocol: weakref.ref[TLSMemoryBIOProtocol],
    connection: SSL.Connection,
    certificate: crypto.X509,
    error: int,
    depth: int,
    isTrusted: int,
) -> bool:
    """
    Whether a certificate of the chain is good, as OpenSSL asks for each of them.

    :param depth: 0 for the server's own, the last one that is asked about.
    :param isTrusted: what OpenSSL thinks of it.
    """
    if depth or not isTrusted:
        return bool(isTrusted)
    try:
        verify_service_identity(extract_patterns(certificate), [identity], [])
    except Exception:  # noqa: BLE001 - whoever cannot be verified is not believed
        tls = protocol()
        assert tls is not None
        tls.failVerification(Failure())
        return False
    return True


def treatsHostsAlike(policy: IPolicyForHTTPS) -> bool:
    """Whether a policy is known to trust, and to show, the same for every host."""
    return isinstance(policy, _Policy) or type(policy) is BrowserLikePolicyForHTTPS


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
