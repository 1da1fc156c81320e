"""
A URI in, a response out.

Owns what the user calls, and the URIs that have been taken apart already. Small on purpose:
connections, retries and waiting are the pool's, so that Twisted's own Agent has them as well when
it is handed the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IPolicyForHTTPS,
    IResponse,
)
from zope.interface import implementer

from txhyper.client.endpoints import StandardEndpointFactory
from txhyper.client.pool import ConnectionPool
from txhyper.client.proxies import Proxy, ProxyChoice, ProxyEndpointFactory, Ways
from txhyper.client.route import Place, Route
from txhyper.client.tls import defaultPolicy
from txhyper.core.headers import check_target
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager
from txhyper.errors import InvalidRequest
from txhyper.interfaces import IHTTPConnection, IHyperResponse
from txhyper.protocol.negotiation import OFFERS
from txhyper.protocol.request import DEFAULT_PORTS, Request, authorityOf, splitURI
from txhyper.protocol.timeouts import Timeouts

__all__ = ["Agent"]

#: Origins whose URIs are remembered as taken apart.
REMEMBERED = 1000

#: HTTP/2 without TLS, among the protocols that an agent may speak.
H2C = b"h2c"
HTTP11 = b"http/1.1"

#: One for all agents, so that they share the contexts that it keeps.
_policy = defaultPolicy()


class Target:
    """One origin, as a prefix of URIs names it."""

    __slots__ = ("authority", "route", "scheme")

    def __init__(
        self,
        uri: bytes,
        parts: tuple[bytes, bytes, int | None, bytes],
        factory: IAgentEndpointFactory,
        protocols: Sequence[bytes],
        sharing: object,
    ) -> None:
        """
        :param parts: what :func:`~txhyper.protocol.request.splitURI` makes of the URI.
        :param sharing: what two agents must have in common to use the same connections.
        :raises InvalidRequest: what the host has in its brackets is no IPv6 address.
        :raises SchemeNotSupported: the scheme is neither ``http`` nor ``https``.
        """
        scheme, host, given, _ = parts
        if scheme not in DEFAULT_PORTS:
            raise SchemeNotSupported(f"Unsupported scheme: {scheme!r}")
        port = DEFAULT_PORTS[scheme] if given is None else given
        self.scheme = scheme
        self.authority = authorityOf(scheme, host, given)
        if host.startswith(b"["):
            address, _, zone = host.strip(b"[]").partition(b"%25")
            if not isIPv6Address(address.decode("ascii")):
                raise InvalidRequest(f"the URI {uri!r} has no IPv6 address in its brackets")
            # As dialling knows it.
            host = address + (b"%" + zone if zone else b"")
        name = f"{scheme.decode()}://{self.authority.decode()}"
        isPriorKnowledge = scheme == b"http" and H2C in protocols
        offers = [protocol for protocol in protocols if protocol != H2C]
        place = None
        if isinstance(factory, ProxyEndpointFactory):
            proxy = factory.proxy
            if scheme == b"http" and proxy.speaksHTTP and not isPriorKnowledge and HTTP11 in offers:
                self.route = factory.forwardingRoute(sharing)
                return
            # What the agents share must not make them share a connection by another way.
            sharing = (sharing, proxy.key)
            name = f"{name} by way of the proxy {proxy.name}"
        elif (
            scheme == b"https"
            and isinstance(factory, StandardEndpointFactory)
            and factory.treatsHostsAlike
        ):
            place = Place.of(host.decode("ascii"), port, sharing)
        endpoint = partial(_endpoint, factory, uri, host, port)
        key = (scheme, host, port, sharing)
        self.route = Route(key, name, endpoint, offers, isPriorKnowledge, place=place)


def _endpoint(
    factory: IAgentEndpointFactory, uri: bytes, host: bytes, port: int
) -> IStreamClientEndpoint:
    parsed = URI.fromBytes(uri)
    # As the key has them: Twisted leaves the host's case as it is, and takes the colon before an
    # empty port for a part of the host.
    parsed.host, parsed.port = host, port
    endpoint: IStreamClientEndpoint = factory.endpointForURI(parsed)
    return endpoint


def _poolFor(
    reactor: Any,
    pool: ConnectionPool | None,
    windowManager: type[BaseFlowControlManager] | None,
    enablePush: bool,
) -> ConnectionPool:
    """
    An agent's pool.

    :param pool: the one that was given, which has options of its own.
    """
    if pool is None:
        return ConnectionPool(
            reactor, window_manager=windowManager or FlowControlManager, enablePush=enablePush
        )
    if not isinstance(pool, ConnectionPool):
        raise TypeError(f"pool {pool!r} is not a txhyper.ConnectionPool")
    if windowManager is not None:
        raise TypeError("a window_manager beside a pool: the pool has its own")
    if enablePush:
        raise TypeError("enablePush beside a pool: the pool has its own")
    return pool


@implementer(IAgent)
class Agent:
    """
    An HTTP client that speaks HTTP/2 where the server does, and HTTP/1.1 where it does not.

    A drop-in for :class:`twisted.web.client.Agent`; everything that wraps an
    :class:`~twisted.web.iweb.IAgent` wraps this one.

    :ivar pool: the connections. Without one given, the agent owns a persistent one.
    """

    #: By way of which proxy, if there are any.
    _ways: Ways | None = None

    def __init__(
        self,
        reactor: Any,
        contextFactory: IPolicyForHTTPS | None = None,
        connectTimeout: float | None = None,
        bindAddress: Any = None,
        pool: ConnectionPool | None = None,
        *,
        timeouts: Timeouts | None = None,
        window_manager: type[BaseFlowControlManager] | None = None,
        enablePush: bool = False,
        protocols: Sequence[bytes] = OFFERS,
        proxy: Proxy | ProxyChoice | None = None,
    ) -> None:
        """
        :param reactor: for connections and time.
        :param contextFactory: whom to trust; the platform's roots if None.
        :param connectTimeout: seconds for TCP to connect, and for a proxy to open a tunnel.
        :param bindAddress: the local address, or a pair of that and a port.
        :param pool: the connections, which agents may share.
        :param timeouts: the time limits of each request, unless a
            :class:`~txhyper.Request` has its own.
        :param window_manager: the class that decides how much a server may send, for the pool that
            the agent makes; a pool that is given has its own.
        :param enablePush: whether servers may promise responses that nobody has asked for (RFC 9113
            section 8.4); likewise.
        :param protocols: what may be spoken, best first. Over TLS ``b"h2"`` and ``b"http/1.1"`` are
            offered by ALPN; ``b"h2c"`` among them means that ``http`` URIs are spoken to in HTTP/2
            without asking (prior knowledge, RFC 9113 section 3.3).
        :param proxy: by way of which :class:`~txhyper.Proxy` to connect, or a callable that says
            so: it is called with the origin of a URI, such as ``b"https://example.com:8443"``, and
            returns a proxy or None. It may be asked once and not again for the same origin.
        :raises TypeError: the context factory is no
            :class:`~twisted.web.iweb.IPolicyForHTTPS`, the pool is not one of ours, or there are
            both a pool and an option for the one that the agent would make, or the proxy is neither
            a proxy nor callable.
        :raises ValueError: the window manager begins with windows that HTTP/2 does not allow, or a
            protocol is not known, or there is none to be spoken over TLS.
        """
        policy = _policy if contextFactory is None else contextFactory
        if not IPolicyForHTTPS.providedBy(policy):
            raise TypeError(f"contextFactory {policy!r} does not provide IPolicyForHTTPS")
        factory = StandardEndpointFactory(reactor, policy, connectTimeout, bindAddress)
        sharing = (id(policy), connectTimeout, bindAddress)
        pool = _poolFor(reactor, pool, window_manager, enablePush)
        self._init(factory, sharing, pool, timeouts, protocols)
        if proxy is not None:
            self._ways = Ways(reactor, proxy, factory, connectTimeout, bindAddress)

    @classmethod
    def usingEndpointFactory(
        cls,
        reactor: Any,
        endpointFactory: IAgentEndpointFactory,
        pool: ConnectionPool | None = None,
        *,
        timeouts: Timeouts | None = None,
        window_manager: type[BaseFlowControlManager] | None = None,
        enablePush: bool = False,
        protocols: Sequence[bytes] = OFFERS,
    ) -> Agent:
        """
        An agent that connects as it is told. It takes no proxy: what the factory makes may lead
        through one (:meth:`Proxy.tunnel <txhyper.Proxy.tunnel>`).

        :param endpointFactory: makes the endpoint for a URI; with TLS in it, HTTP/2 is
            negotiated.
        :param pool: the connections, and the rest, as for :class:`Agent` itself.
        """
        self = cls.__new__(cls)
        sharing = id(endpointFactory)
        pool = _poolFor(reactor, pool, window_manager, enablePush)
        self._init(endpointFactory, sharing, pool, timeouts, protocols)
        return self

    def _init(
        self,
        factory: IAgentEndpointFactory,
        sharing: object,
        pool: ConnectionPool,
        timeouts: Timeouts | None,
        protocols: Sequence[bytes],
    ) -> None:
        if not {*protocols} <= {*OFFERS, H2C} or {*protocols} <= {H2C}:
            raise ValueError(f"protocols {protocols!r} are not h2, http/1.1 or both, and h2c")
        self.pool = pool
        self._timeouts = timeouts
        self._factory = factory
        # By identity, as not everything that is a policy can be hashed. An origin's endpoint keeps
        # its policy alive, so that no other has the same identity in the meantime.
        self._sharing = (sharing, *protocols)
        self._protocols = protocols
        self._targets: dict[bytes, Target] = {}

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """
        Send a request.

        :param method: any token.
        :param uri: an absolute URI.
        :return: fires with an :class:`~txhyper.interfaces.IHyperResponse` when its headers have
            come. Fails with :exc:`~txhyper.errors.InvalidRequest` if the request is not valid, with
            Twisted's own errors if the server cannot be connected to, else with
            :exc:`~twisted.web.client.ResponseNeverReceived`, whose ``reasons`` hold an error of
            :mod:`txhyper.errors`. Cancelling it resets the stream and leaves all others alone.
        """
        try:
            uri = check_target(uri.strip())
            target, path = self._target(uri)
            request = Request.toTarget(
                method, uri, headers, bodyProducer, target.scheme, target.authority, path
            )
            sent = self.pool.send(target.route, request, self._timeouts)
        except (InvalidRequest, SchemeNotSupported):
            return fail()
        # An IHyperResponse is an IResponse, which a Deferred's type cannot say.
        return cast("Deferred[IResponse]", sent)

    def send(self, request: Request) -> Deferred[IHyperResponse]:
        """
        Send a request that says more than :meth:`request` can: a body of another kind, trailers,
        time limits, who is told of informational responses.

        The same object may be sent again once it has been answered, if its body can be produced
        again. A CONNECT goes to the origin of its URI, and asks for a tunnel to what its Host
        field names.

        :return: as :meth:`request` does.
        """
        try:
            if request.isInFlight:
                raise InvalidRequest(
                    f"the request for {request.absoluteURI!r} is on its way already"
                )
            if not request.canBeSent:
                raise InvalidRequest(f"the body of {request.absoluteURI!r} has been sent already")
            target, _ = self._target(request.absoluteURI)
            request.rewind()
            return self.pool.send(target.route, request, self._timeouts)
        except Exception:  # noqa: BLE001 - to rewind a body is a user's code
            return fail()

    def connect(self, uri: bytes) -> Deferred[IHTTPConnection]:
        """
        Have a connection to a URI's origin before there is a request for it.

        :param uri: an absolute URI, of which the origin counts.
        :return: as :meth:`~txhyper.client.pool.ConnectionPool.connect` does; fails with
            :exc:`~txhyper.errors.InvalidRequest` if the URI is not valid.
        """
        try:
            target, _ = self._target(check_target(uri))
        except (InvalidRequest, SchemeNotSupported):
            return fail()
        return self.pool.connect(target.route, self._timeouts)

    def _target(self, uri: bytes) -> tuple[Target, bytes]:
        """The origin of a URI, and the URI's path."""
        start = uri.find(b"/", uri.find(b"://") + 3)
        prefix, path = (uri, b"") if start < 0 else (uri[:start], uri[start:])
        target = self._targets.get(prefix)
        if target is None or b"#" in path:
            return self._parse(uri, prefix)
        return target, path

    def _parse(self, uri: bytes, prefix: bytes) -> tuple[Target, bytes]:
        """Take a URI apart that is new, or has a fragment."""
        parts = splitURI(uri)
        factory = self._factory if self._ways is None else self._ways.factoryFor(*parts[:3])
        target = Target(uri, parts, factory, self._protocols, self._sharing)
        # Without a path, a query or a fragment may hide in the prefix.
        if not (b"?" in prefix or b"#" in prefix):
            if len(self._targets) >= REMEMBERED:
                self._targets.clear()
            self._targets[prefix] = target
        return target, parts[3]

    def close(self) -> Deferred[None]:
        """
        Close the pool's connections, see
        :meth:`~txhyper.client.pool.ConnectionPool.closeCachedConnections`.
        """
        return self.pool.closeCachedConnections()
