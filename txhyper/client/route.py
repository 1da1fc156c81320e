"""
Where requests go, and in which protocol.

Owns what the pool has to know of one scheme, host and port to make a connection: how to dial, and
what may be spoken there. Dials nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IStreamClientEndpoint

from txhyper.core.headers import Field
from txhyper.protocol.negotiation import OFFERS

__all__ = ["Place", "Route"]


@dataclass(frozen=True)
class Place:
    """
    Where a directly connected ``https`` origin is: what has to be known of it to share a
    connection.

    :ivar host: its name, no address.
    :ivar way: what must be the same for two origins to be reached in the same way.
    """

    host: str
    port: int
    way: Hashable

    @classmethod
    def of(cls, host: str, port: int, way: Hashable) -> Place | None:
        """Where a host is; None for an address, as no certificate is for two of them."""
        isAddress = isIPAddress(host) or isIPv6Address(host.partition("%")[0])
        return None if isAddress else cls(host, port, way)

    @property
    def origin(self) -> bytes:
        """As an ORIGIN frame has it (RFC 8336)."""
        port = "" if self.port == 443 else f":{self.port}"
        return f"https://{self.host}{port}".encode("ascii")

    def isLike(self, other: Place) -> bool:
        """Whether another origin's connections could be this one's."""
        return self.host != other.host and (self.port, self.way) == (other.port, other.way)


class Route:
    """
    The way to one origin.

    :ivar key: connections under the same key may be used for one another.
    :ivar offers: what is offered by ALPN, best first.
    :ivar forwarding: None, or that it leads to a proxy which carries requests for any ``http``
        origin itself, in HTTP/1.1 (RFC 9112 section 3.2.2): the fields that it is told besides.
    :ivar isPriorKnowledge: whether HTTP/2 is spoken without asking, on a connection without TLS
        (RFC 9113 section 3.3).
    :ivar place: where it is, if its connections may be shared with other origins.
    """

    __slots__ = ("_endpoint", "_name", "forwarding", "isPriorKnowledge", "key", "offers", "place")

    def __init__(
        self,
        key: Hashable,
        name: str,
        endpoint: Callable[[], IStreamClientEndpoint],
        offers: Sequence[bytes] = OFFERS,
        isPriorKnowledge: bool = False,
        forwarding: Sequence[Field] | None = None,
        place: Place | None = None,
    ) -> None:
        """
        :param name: the origin's name for messages, such as ``https://example.com``.
        :param endpoint: makes the endpoint to dial, when one is needed.
        """
        self.key = key
        self._name = name
        self._endpoint = endpoint
        self.offers = offers
        self.isPriorKnowledge = isPriorKnowledge
        self.forwarding = forwarding
        self.place = place

    def name(self) -> str:
        """For messages."""
        return self._name

    def endpoint(self) -> IStreamClientEndpoint:
        """Where to dial."""
        return self._endpoint()
