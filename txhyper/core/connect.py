"""
What is said to a proxy that speaks HTTP/1.1, until it has opened a tunnel (RFC 9110 9.3.6).

Owns one CONNECT and the head of its answer, as octets in and octets out. It connects nothing, keeps
no time and knows of no TLS: the tunnels of :mod:`txhyper.client.proxies` do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from txhyper.core.headers import Field
from txhyper.errors import InvalidRequest, NegotiationFailed, TunnelRefused

__all__ = ["HTTPConnect", "authority_of", "check_place"]

#: Octets that the heads of a proxy's answer may have, informational ones included.
LARGEST_HEAD = 64 * 1024

_host = re.compile(rb"[!-~]+").fullmatch
_status = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9][0-9])(?: [^\r\n]*)?\r?\n").match
# A line may end with LF alone (RFC 9112 section 2.2).
_end = re.compile(rb"\r?\n\r?\n").search
_BEGINNING = b"HTTP/1."

PROXY_AUTHENTICATION_REQUIRED = 407
SWITCHING_PROTOCOLS = 101


def authority_of(host: bytes, port: int) -> bytes:
    """
    Host and port, as CONNECT wants them (RFC 9112 section 3.2.3).

    :param host: a name or an address, IPv6 without brackets. A zone is left out: it says which way
        to dial from here.
    """
    if b":" in host:
        return b"[%b]:%d" % (host.partition(b"%")[0], port)
    return b"%b:%d" % (host, port)


def check_place(host: bytes, port: int) -> None:
    """
    Whether a proxy can be told of a host and a port.

    :raises InvalidRequest: it cannot. What is no printable ASCII could say more than where to go.
    """
    if _host(host) is None or not 0 < port < 65536:
        raise InvalidRequest(f"no tunnel leads to the host {host!r} and the port {port!r}")


class HTTPConnect:
    """
    One CONNECT.

    :ivar is_open: whether the proxy has opened the tunnel.
    :ivar rest: the octets behind its answer: they are the tunnel's.
    """

    def __init__(self, proxy: str, host: bytes, port: int, fields: Sequence[Field] = ()) -> None:
        """
        :param proxy: its name, for messages.
        :param host: where the tunnel leads, as for :func:`authority_of`.
        :param fields: for the proxy, checked, such as Proxy-Authorization.
        :raises InvalidRequest: see :func:`check_place`.
        """
        check_place(host, port)
        self._proxy = proxy
        self._target = authority_of(host, port)
        self._fields = fields
        self._received = b""
        # Octets of the informational responses that have been dropped.
        self._dropped = 0
        self.is_open = False
        self.rest = b""

    def begin(self) -> bytes:
        """The request."""
        lines = [b"CONNECT %b HTTP/1.1" % self._target, b"Host: " + self._target]
        lines += [name + b": " + value for name, value in self._fields]
        return b"\r\n".join([*lines, b"", b""])

    def receive(self, data: bytes) -> bytes:
        """
        Octets from the proxy.

        :return: what to answer, which is nothing.
        :raises TunnelRefused: its answer is not a 2xx.
        :raises NegotiationFailed: it speaks no HTTP/1.1, or its answer has no end.
        """
        # The end may have been cut in three places.
        start = max(0, len(self._received) - 3)
        self._received += data
        while end := _end(self._received, start):
            status = self._status_of(self._received)
            head, self._received = self._received[: end.end()], self._received[end.end() :]
            start = 0
            self._dropped += len(head)
            if 200 <= status < 300:
                # Its Content-Length and Transfer-Encoding mean nothing (RFC 9110 section 9.3.6).
                self._limit(0)
                self.is_open = True
                self.rest, self._received = self._received, b""
                return b""
            if not 100 <= status < 200 or status == SWITCHING_PROTOCOLS:
                raise self._refusal(status)
        if self._received[: len(_BEGINNING)] != _BEGINNING[: len(self._received)]:
            raise self._garbage()
        self._limit(len(self._received))
        return b""

    def _limit(self, unfinished: int) -> None:
        if self._dropped + unfinished > LARGEST_HEAD:
            raise NegotiationFailed(
                f"{self._proxy}: the proxy's answer to CONNECT {self._target.decode('latin-1')} "
                f"has a head of more than {LARGEST_HEAD} octets"
            )

    def _status_of(self, head: bytes) -> int:
        found = _status(head)
        if found is None:
            raise self._garbage()
        return int(found[1])

    def _garbage(self) -> NegotiationFailed:
        return NegotiationFailed(
            f"{self._proxy}: the proxy's answer to CONNECT {self._target.decode('latin-1')} is no "
            f"HTTP/1.1: it begins with {self._received[:32]!r} (RFC 9112 section 4)"
        )

    def _refusal(self, status: int) -> TunnelRefused:
        why = ""
        if status == PROXY_AUTHENTICATION_REQUIRED:
            is_given = any(name.lower() == b"proxy-authorization" for name, _ in self._fields)
            why = f": Proxy-Authorization is {'wrong' if is_given else 'missing'}"
        return TunnelRefused(
            f"{self._proxy}: the proxy answers CONNECT {self._target.decode('latin-1')} with "
            f"{status}{why}",
            status,
        )
