"""
Where requests go, and in which protocol.

Owns what the pool has to know of one scheme, host and port to make a connection: how to dial, and
what may be spoken there. Dials nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from twisted.internet.interfaces import IStreamClientEndpoint

from txhyper.core.headers import Field
from txhyper.protocol.negotiation import OFFERS

__all__ = ["Route"]


class Route:
    """
    The way to one origin.

    :ivar key: connections under the same key may be used for one another.
    :ivar offers: what is offered by ALPN, best first.
    :ivar forwarding: None, or that it leads to a proxy which carries requests for any ``http``
        origin itself, in HTTP/1.1 (RFC 9112 section 3.2.2): the fields that it is told besides.
    :ivar isPriorKnowledge: whether HTTP/2 is spoken without asking, on a connection without TLS
        (RFC 9113 section 3.3).
    """

    __slots__ = ("_endpoint", "_name", "forwarding", "isPriorKnowledge", "key", "offers")

    def __init__(
        self,
        key: Hashable,
        name: str,
        endpoint: Callable[[], IStreamClientEndpoint],
        offers: Sequence[bytes] = OFFERS,
        isPriorKnowledge: bool = False,
        forwarding: Sequence[Field] | None = None,
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

    def name(self) -> str:
        """For messages."""
        return self._name

    def endpoint(self) -> IStreamClientEndpoint:
        """Where to dial."""
        return self._endpoint()
