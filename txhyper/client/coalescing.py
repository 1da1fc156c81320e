"""
Origins that share one connection (RFC 9113 section 9.1.1).

Owns the search for a connection of another origin's that may be used, and who shares which. A
server may be asked for another of its hosts on a connection that is there, if all of this holds:

* both origins are ``https`` by the same port, and are reached in the same way: directly, by the
  same policy, from the same local address, without a certificate of the client's;
* the certificate that the server has shown covers the other host as well;
* the other host's name leads to the address that the connection goes to;
* the server has not said which origins the connection is for (RFC 8336), or this is one of them;
* it has not answered a request for this origin with 421, or asked for HTTP/1.1.

Off unless the pool is told to, since a server that means otherwise has no other way than 421 to say
so. Dials nothing: without such a connection the origin does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, cast

from OpenSSL import SSL
from service_identity.hazmat import DNS_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

from txhyper.client.route import Place
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.request import DEFAULT_PORTS, splitURI

if TYPE_CHECKING:
    from txhyper.client.origin import Origin

__all__ = ["Coalescing"]

#: Origins that are remembered as having to have connections of their own.
REMEMBERED = 1000


class Coalescing:
    """The shared connections of one pool."""

    def __init__(self, reactor: Any, origins: Mapping[Hashable, Origin] | None) -> None:
        """
        :param reactor: resolves names; where it does not, nothing is shared.
        :param origins: those that may share; None if none may.
        """
        self._reactor = reactor
        self._origins = {} if origins is None else origins
        self._isOn = origins is not None
        self._apart: OrderedDict[Hashable, None] = OrderedDict()

    def search(self, origin: Origin) -> Deferred[HTTP2ClientProtocol | None] | None:
        """
        Look for a connection for an origin that has none to use.

        :return: fires with a usable connection or None; fails only when it is cancelled. None at
            once if there is no connection that is worth looking up an address for.
        """
        place = origin.route.place
        if place is None or origin.route.key in self._apart:
            return None
        candidates = [
            cast(HTTP2ClientProtocol, connection)
            for other in self._origins.values()
            if other.route.place is not None and other.route.place.isLike(place)
            for connection in other.connections
            if connection not in origin.connections and isFor(connection, place)
        ]
        reactor = IReactorPluggableNameResolver(self._reactor, None)
        if reactor is None or not candidates:
            return None
        lookup = Lookup()
        reactor.nameResolver.resolveHostName(lookup, place.host, place.port)

        def choose(addresses: set[str]) -> HTTP2ClientProtocol | None:
            for connection in candidates:
                # A while has passed.
                if isFor(connection, place) and addressOf(connection) in addresses:
                    return connection
            return None

        return lookup.addresses.addCallback(choose)

    def covers(self, connection: HTTP2ClientProtocol, place: Place | None, origin: bytes) -> bool:
        """
        Whether a server may promise responses for an origin that is not the request's.

        :param place: where the connection's own origin is.
        :param origin: as an ORIGIN frame has it.
        """
        if not self._isOn or place is None:
            return False
        scheme, host, port, _ = splitURI(origin)
        other = Place(host.decode("ascii"), port or DEFAULT_PORTS[scheme], place.way)
        return scheme == b"https" and other.isLike(place) and isFor(connection, other)

    def share(self, shared: IHTTPConnection, origin: Origin) -> None:
        """An origin uses a connection of another's from now on."""
        connection = cast(HTTP2ClientProtocol, shared)
        told = connection.onCapacity
        if not isinstance(told, Tenants):
            told = Tenants(cast("Callable[[IHTTPConnection], None]", told))
            connection.onCapacity = told
            connection.onOriginSet = told.announced
        told.origins.append(origin)

    def part(self, shared: IHTTPConnection, origin: Origin) -> None:
        """It does not any more, and this origin gets connections of its own from now on."""
        cast(Tenants, cast(HTTP2ClientProtocol, shared).onCapacity).origins.remove(origin)
        self._apart[origin.route.key] = None
        if len(self._apart) > REMEMBERED:
            self._apart.popitem(last=False)


class Tenants:
    """
    Who uses one connection beside the origin that has made it.

    :ivar origins: those others.
    """

    __slots__ = ("_owner", "_turn", "origins")

    def __init__(self, owner: Callable[[IHTTPConnection], None]) -> None:
        """:param owner: the first origin's, which is told of what changes."""
        self._owner = owner
        self.origins: list[Origin] = []
        # Whose turn it is to be offered what came free.
        self._turn = 0

    def __call__(self, connection: IHTTPConnection) -> None:
        """The connection can take more than before, or nothing: each is told, in turn the first."""
        told = [self._owner, *(origin.changed for origin in self.origins)]
        self._turn = (self._turn + 1) % len(told)
        for each in told[self._turn :] + told[: self._turn]:
            each(connection)

    def announced(self, connection: HTTP2ClientProtocol) -> None:
        """The server has said which origins the connection is for."""
        for origin in list(self.origins):
            if not isFor(connection, cast(Place, origin.route.place)):
                origin.renounce(connection)


@implementer(IResolutionReceiver)
class Lookup:
    """
    The addresses of one host.

    :ivar addresses: fires with them, as text; with none if the name is not known. Twisted's
        resolver cannot be stopped: after a cancel it tells nobody.
    """

    def __init__(self) -> None:
        self.addresses: Deferred[Any] = Deferred()
        self._found: set[str] = set()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """It will be over some time."""

    def addressResolved(self, address: IAddress) -> None:
        """One of them."""
        self._found.add(cast(Any, address).host)

    def resolutionComplete(self) -> None:
        """There are no more."""
        if not self.addresses.called:
            self.addresses.callback(self._found)


def isFor(connection: IHTTPConnection, place: Place) -> bool:
    """Whether requests for an origin may go on a connection, as far as the server has said."""
    if not (connection.multiplexed and connection.isUsable()):
        return False
    http2 = cast(Any, connection)
    if http2.originSet is not None and place.origin not in http2.originSet:
        return False
    return certificateCovers(http2.transport.getHandle(), place.host)


def addressOf(connection: HTTP2ClientProtocol) -> str | None:
    """Where a connection goes to."""
    return getattr(cast(Any, connection.transport).getPeer(), "host", None)


def certificateCovers(connection: SSL.Connection, host: str) -> bool:
    """
    Whether the certificate that a server has shown is for another of its hosts as well.

    Never if we have shown one, too: who is told of that depends on the host.
    """
    certificate = connection.get_peer_certificate()
    if connection.get_certificate() is not None or certificate is None:
        return False
    try:
        verify_service_identity(extract_patterns(certificate), [DNS_ID(host)], [])
    except Exception:  # noqa: BLE001 - what cannot be verified covers nothing
        return False
    return True
