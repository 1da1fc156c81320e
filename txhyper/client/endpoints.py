"""
How an origin is reached when the user has not said otherwise.

Owns the standard endpoints: TCP by host name for ``http``, TLS on top of it for ``https``. Connects
nothing: a dial does.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

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
        :param bindAddress: the local address.
        """
        self._reactor = reactor
        self._policy = policy
        self._options: dict[str, Any] = {"bindAddress": bindAddress}
        if connectTimeout is not None:
            self._options["timeout"] = connectTimeout

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        :raises SchemeNotSupported: it is neither ``http`` nor ``https``.
        """
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported(f"Unsupported scheme: {uri.scheme!r}")
        host = uri.host.strip(b"[]")
        endpoint = HostnameEndpoint(self._reactor, host.decode("ascii"), uri.port, **self._options)
        if uri.scheme == b"http":
            return endpoint
        return wrapClientTLS(self._policy.creatorForNetloc(host, uri.port), endpoint)
