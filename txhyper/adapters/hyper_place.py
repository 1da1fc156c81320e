"""
Where hyper's connections lead, and what is spoken there.

Owns the reading of what their constructors are given: host, port and proxy, protocols, whom to
trust. Connects nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from txhyper.client.credentials import ClientCertificate
from txhyper.client.proxies import Proxy
from txhyper.client.tls import defaultPolicy, policyTrusting
from txhyper.core.header_map import HTTPHeaderMap
from txhyper.errors import InvalidRequest
from txhyper.protocol.request import DEFAULT_PORTS, splitURI

__all__ = [
    "HTTP2_ALONE",
    "HTTP11_ALONE",
    "base_of",
    "init_context",
    "octets_of",
    "place_of",
    "policy_of",
    "proxy_of",
    "spoken",
]

#: HTTP/2 and nothing else; the second is for origins without TLS, where nobody is asked.
HTTP2_ALONE = (b"h2", b"h2c")
HTTP11_ALONE = (b"http/1.1",)

#: The port of a proxy that nobody names one for, as hyper has it.
PROXY_PORT = 8080

FORCED = {"h2": HTTP2_ALONE, "http/1.1": HTTP11_ALONE}


def octets_of(text: str | bytes) -> bytes:
    """Text as it is sent."""
    return text.encode("utf-8") if isinstance(text, str) else text


def spoken(forced: str | None, usual: Sequence[bytes]) -> Sequence[bytes]:
    """
    What is spoken, best first.

    :param forced: what alone is to be.
    :param usual: what is if nothing is forced.
    :raises ValueError: nothing is left.
    """
    if forced is None:
        return usual
    protocols = FORCED.get(forced)
    if protocols is None:
        raise ValueError(f"force_proto is 'h2' or 'http/1.1', not {forced!r}")
    if protocols[0] not in usual:
        raise ValueError(f"force_proto {forced!r} is not spoken by this class")
    return protocols


def init_context(
    cert_path: str | None = None,
    cert: str | tuple[str, str] | None = None,
    cert_password: str | bytes | Callable[[], str | bytes] | None = None,
) -> IPolicyForHTTPS:
    """
    Whom to trust, and who to be, for ``ssl_context``.

    :param cert_path: a file with certificate authorities, in PEM; the platform's if None.
    :param cert: a file with a certificate of the client's own, those behind it, and its private
        key, in PEM; or a file with the certificates and one with the key.
    :param cert_password: for a key that is encrypted, or what returns it then.
    :raises InvalidRequest: a file has not in it what it should have, or the password is wrong.
    :raises FileNotFoundError: there is no such file.
    """
    own = None if cert is None else _certificate(cert, cert_password)
    if cert_path is None:
        return defaultPolicy(own)
    return policyTrusting(Path(cert_path).read_bytes(), own)


def _certificate(
    cert: str | tuple[str, str], password: str | bytes | Callable[[], str | bytes] | None
) -> ClientCertificate:
    chain, key = (cert, cert) if isinstance(cert, str) else cert
    pem = Path(key).read_bytes()
    if b"ENCRYPTED" not in pem:
        # It is for nothing then, as with OpenSSL.
        password = None
    elif callable(password):
        password = password()
    passphrase = None if password is None else octets_of(password)
    return ClientCertificate(Path(chain).read_bytes(), pem, passphrase)


def policy_of(given: object) -> IPolicyForHTTPS | None:
    """:raises TypeError: it is no policy."""
    if given is None or IPolicyForHTTPS.providedBy(given):
        return given
    raise TypeError(
        f"ssl_context is an IPolicyForHTTPS, such as init_context() makes, not {given!r}"
    )


def place_of(
    host: str | bytes, port: int | None, secure: bool | None, default: bool | None
) -> tuple[bytes, int, bool]:
    """
    The host, in brackets if it is an IPv6 address; the port; whether TLS is spoken.

    :param default: whether it is if nobody says so; None for on port 443 alone.
    :raises InvalidRequest: the host or the port is none.
    """
    name, port = _split(host, port)
    if secure is None:
        secure = port == 443 if default is None else default
    return name, port or (443 if secure else 80), secure


def proxy_of(host: str | Proxy | None, port: int | None, headers: Any) -> Proxy | None:
    """
    The proxy that three arguments speak of, if they do.

    :param headers: a mapping or pairs, for the proxy alone.
    :raises InvalidRequest: the host, the port or a field is not valid.
    :raises TypeError: there is a port, or there are headers, of no proxy.
    """
    if host is None or isinstance(host, Proxy):
        if port is not None or headers is not None:
            raise TypeError("proxy_port and proxy_headers go with a proxy_host that is a name")
        return host
    name, port = _split(host, port)
    fields = None if headers is None else Headers(HTTPHeaderMap(headers).raw_lists())
    return Proxy(b"http://%b:%d" % (name, port or PROXY_PORT), headers=fields)


def _split(host: str | bytes, port: int | None) -> tuple[bytes, int | None]:
    """
    The host, in brackets if it is an IPv6 address, and the port, if either says so.

    :raises InvalidRequest: the host or the port is none.
    """
    octets = octets_of(host)
    if isIPv6Address(octets.decode("latin-1")):
        octets = b"[%b]" % octets
    _, name, named, rest = splitURI(b"https://" + octets)
    if rest:
        raise InvalidRequest(f"{host!r} is no host, perhaps with a port: it has a path")
    if name.startswith(b"["):
        address = name.strip(b"[]").partition(b"%25")[0].decode("ascii")
        if not isIPv6Address(address):
            raise InvalidRequest(f"the host {host!r} has no IPv6 address in its brackets")
    if port is not None:
        if named not in (None, port):
            raise InvalidRequest(f"the host {host!r} has another port than {port}")
        _, _, named, _ = splitURI(b"https://%b:%d" % (name, port))
    return name, named


def base_of(scheme: bytes, host: bytes, port: int | None) -> bytes:
    """An origin as a URI without a path. A zone stays: it says which way to dial."""
    if port in (None, DEFAULT_PORTS.get(scheme)):
        return b"%b://%b" % (scheme, host)
    return b"%b://%b:%d" % (scheme, host, port)
