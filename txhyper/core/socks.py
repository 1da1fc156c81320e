"""
What is said to a SOCKS5 proxy, until it has opened a tunnel (RFC 1928, RFC 1929).

Owns the order of the messages and where each ends; socksio, which need not be installed, makes and
reads them. It connects nothing and keeps no time: the tunnels of :mod:`txhyper.client.proxies` do.
The proxy looks up the names of hosts.
"""

from __future__ import annotations

from typing import Any

from socksio import ProtocolError
from socksio.socks5 import (
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5Connection,
    SOCKS5State,
    SOCKS5UsernamePasswordRequest,
)

from txhyper.core.connect import authority_of, check_place
from txhyper.errors import InvalidRequest, NegotiationFailed, TunnelRefused

__all__ = ["SOCKS5Connect"]

#: What each reply means (RFC 1928 section 6).
REPLIES = {
    0x01: "general SOCKS server failure",
    0x02: "connection not allowed by ruleset",
    0x03: "network unreachable",
    0x04: "host unreachable",
    0x05: "connection refused",
    0x06: "TTL expired",
    0x07: "command not supported",
    0x08: "address type not supported",
}
#: The octets of an address, by its type; a name tells its own.
ADDRESS_SIZES = {0x01: 4, 0x04: 16}
DOMAIN_NAME = 0x03
NO_ACCEPTABLE_METHODS = 0xFF
#: The longest name, user name and password: each has its length in one octet.
LONGEST = 255


class SOCKS5Connect:
    """
    One connection that a SOCKS5 proxy is asked for.

    :ivar is_open: whether it has made it.
    :ivar rest: the octets behind its reply: they are the tunnel's.
    """

    def __init__(
        self, proxy: str, host: bytes, port: int, credentials: tuple[bytes, bytes] | None = None
    ) -> None:
        """
        :param proxy: its name, for messages.
        :param host: a name, or an address, IPv6 without brackets and its zone left out.
        :param credentials: user name and password.
        :raises InvalidRequest: the host's name does not fit into a request, or
            :func:`~txhyper.core.connect.check_place` says so.
        """
        check_place(host, port)
        if len(host) > LONGEST:
            raise InvalidRequest(
                f"the host {host!r} has more than {LONGEST} octets, which SOCKS5 has no room for "
                "(RFC 1928 section 5)"
            )
        self._proxy = proxy
        self._target = authority_of(host, port).decode("latin-1")
        self._address = (host.partition(b"%")[0] if b":" in host else host).decode("ascii"), port
        self._credentials = credentials
        # Its methods take and give unions of everything.
        self._socks: Any = SOCKS5Connection()
        self._received = b""
        self.is_open = False
        self.rest = b""

    def begin(self) -> bytes:
        """The greeting: which ways of authentication there are."""
        methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if self._credentials is not None:
            methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
        return self._say(SOCKS5AuthMethodsRequest(methods))

    def receive(self, data: bytes) -> bytes:
        """
        Octets from the proxy.

        :return: what to answer.
        :raises TunnelRefused: it does not open a tunnel; the status is its reply's.
        :raises NegotiationFailed: it speaks no SOCKS5.
        """
        self._received += data
        answer = b""
        while not self.is_open and (size := self._size()):
            message, self._received = self._received[:size], self._received[size:]
            try:
                answer += self._understand(message)
            except ProtocolError as error:
                raise self._garbage(message + self._received) from error
        if self.is_open:
            self.rest, self._received = self._received, b""
        return answer

    def _size(self) -> int:
        """How many octets the next message has, 0 if not all of them are here."""
        received = self._received
        if self._socks.state is not SOCKS5State.CLIENT_AUTHENTICATED:
            size = 2
        elif len(received) < 5:
            # What can be told of it can be told now.
            if received and received[0] != 5:
                raise self._garbage(received)
            return 0
        elif received[3] == DOMAIN_NAME:
            size = 4 + 1 + received[4] + 2
        else:
            # An address of another type, in a refusal, is as good as none.
            size = 4 + ADDRESS_SIZES.get(received[3], 0) + 2
        return size if len(received) >= size else 0

    def _understand(self, message: bytes) -> bytes:
        """:return: what to answer."""
        state = self._socks.state
        if state is SOCKS5State.SERVER_AUTH_REPLY:
            return self._authenticated_by(message)
        if state is SOCKS5State.SERVER_VERIFY_USERNAME_PASSWORD:
            if message[0] != 1:
                raise ProtocolError
            if not self._socks.receive_data(message).success:
                raise self._refusal("the user name or the password is wrong", message[1], 1929)
            return self._command()
        if message[0] == 5 and message[1]:
            # Whatever else it says.
            raise self._refusal(REPLIES.get(message[1], "a reply of its own"), message[1])
        self._socks.receive_data(message)
        self.is_open = True
        return b""

    def _authenticated_by(self, message: bytes) -> bytes:
        version, method = message
        if version != 5:
            raise ProtocolError
        if method == NO_ACCEPTABLE_METHODS:
            raise self._refusal(
                "it accepts no way of authentication that there is here"
                if self._credentials
                else "it wants a user name and a password",
                method,
            )
        self._socks.receive_data(message)
        if self._socks.state is SOCKS5State.CLIENT_AUTHENTICATED:
            return self._command()
        if method != SOCKS5AuthMethod.USERNAME_PASSWORD.value[0] or self._credentials is None:
            # It was not offered.
            raise ProtocolError
        return self._say(SOCKS5UsernamePasswordRequest(*self._credentials))

    def _command(self) -> bytes:
        request = SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, self._address)
        return self._say(request)

    def _say(self, request: object) -> bytes:
        self._socks.send(request)
        said: bytes = self._socks.data_to_send()
        return said

    def _garbage(self, message: bytes) -> NegotiationFailed:
        return NegotiationFailed(
            f"{self._proxy}: the proxy does not speak SOCKS5: it answers {message[:32]!r} "
            "(RFC 1928)"
        )

    def _refusal(self, why: str, status: int, rfc: int = 1928) -> TunnelRefused:
        return TunnelRefused(
            f"{self._proxy}: the proxy does not connect to {self._target}: {why} "
            f"(0x{status:02x}, RFC {rfc})",
            status,
        )
