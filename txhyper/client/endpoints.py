"""
How an origin is reached when the user has not said otherwise.

Owns the standard endpoints: TCP by host name for ``http``, TLS on top of it for ``https``. Connects
nothing: a dial does.

TLS is Twisted's, without the buffer that Twisted puts in front of it: that holds small writes back
for a turn of the reactor, to join them, and a connection of ours has joined them already.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from txhyper.client.tls import treatsHostsAlike
from txhyper.errors import InvalidRequest

__all__ = ["StandardEndpointFactory"]


@implementer(IAgentEndpointFactory)
class StandardEndpointFactory:
    """Directly to the host that the URI names."""

    def __init__(
        self,
        reactor: Any,
        policy: IPolicyForHTTPS,
        connectTimeout: float | None = None,
        bindAddress: Any = None,
    ) -> None:
        """
        :param reactor: what :class:`~twisted.internet.endpoints.HostnameEndpoint` asks for.
        :param policy: makes the TLS connections.
        :param connectTimeout: seconds for TCP to connect; Twisted's default of 30 if None.
        :param bindAddress: the local address, or that and a port.
        """
        self._reactor = reactor
        self._policy = policy
        #: Whether what holds for one host holds for another one.
        self.treatsHostsAlike = treatsHostsAlike(policy)
        if isinstance(bindAddress, str):
            bindAddress = (bindAddress, 0)
        self._options: dict[str, Any] = {"bindAddress": bindAddress}
        if connectTimeout is not None:
            self._options["timeout"] = connectTimeout

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        :raises SchemeNotSupported: it is neither ``http`` nor ``https``.
        :raises InvalidRequest: the host is no name that could be looked up, or none that a
            certificate could be for.
        """
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported(f"Unsupported scheme: {uri.scheme!r}")
        try:
            name = _checked(uri.host)
        except UnicodeError as error:
            raise _impossible(uri.host, error) from error
        # In looking up an address that needs none, Twisted loses the zone.
        kind = TCP6ClientEndpoint if "%" in name else HostnameEndpoint
        return self.over(uri, kind(self._reactor, name, uri.port, **self._options))

    def over(self, uri: URI, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """
        TLS on top of a way to the host, where the URI asks for it.

        :raises InvalidRequest: no certificate could be for the host's name.
        """
        if uri.scheme == b"http":
            return endpoint
        host = uri.host
        if isIPv6Address(host.decode("ascii")):
            # No certificate is for a zone of this machine's.
            host = host.partition(b"%")[0]
        try:
            creator = self._policy.creatorForNetloc(host, uri.port)
        except UnicodeError as error:
            raise _impossible(host, error) from error
        return DirectTLSEndpoint(self._reactor, creator, endpoint)


def _impossible(host: bytes, error: UnicodeError) -> InvalidRequest:
    return InvalidRequest(f"the host {host!r} is no name of a host: {error}")


def _checked(host: bytes) -> str:
    """
    The host as text.

    :raises UnicodeError: no host can have this name. The endpoint would find this out as well, but
        fail as if there were no such host.
    """
    name = host.decode("ascii")
    if not (isIPAddress(name) or isIPv6Address(name)):
        # Loaded when the first host is dialled: its tables are large.
        import idna

        idna.encode(name)
    return name


class DirectTLSFactory(TLSMemoryBIOFactory):
    """Makes TLS connections that pass each write on at once."""

    protocol = TLSMemoryBIOProtocol


@implementer(IStreamClientEndpoint)
class DirectTLSEndpoint:
    """TLS on top of another endpoint."""

    def __init__(
        self,
        reactor: Any,
        creator: IOpenSSLClientConnectionCreator,
        endpoint: IStreamClientEndpoint,
    ) -> None:
        """
        :param creator: makes the TLS connections.
        :param endpoint: makes the ones below them.
        """
        self._reactor = reactor
        self._creator = creator
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """:return: fires with the protocol as soon as the connection below is made."""
        factory = DirectTLSFactory(self._creator, True, protocolFactory, self._reactor)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)
