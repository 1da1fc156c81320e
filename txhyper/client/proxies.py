"""
Ways through proxies.

Owns what a user says of a proxy, and which proxy it is for which URI. Opens nothing: the endpoints
that it makes do (:mod:`txhyper.client.tunnels`). Credentials are kept in here, and shown to nobody.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote_to_bytes

# typeshed does not know it.
from urllib.request import (  # type: ignore[attr-defined]  # one that typeshed leaves out
    getproxies_environment,
    proxy_bypass_environment,
)

from twisted.internet.abstract import isIPv6Address
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from txhyper.client.endpoints import StandardEndpointFactory
from txhyper.client.route import Route
from txhyper.client.tls import defaultPolicy
from txhyper.client.tunnels import Conversation, NamedEndpoint, TunnelThroughProxy
from txhyper.core.connect import HTTPConnect, authority_of
from txhyper.core.headers import Field, request_fields
from txhyper.errors import InvalidRequest
from txhyper.protocol.request import authorityOf, splitURI
from txhyper.protocol.tunnel import TunnelAddress

__all__ = ["Proxy", "ProxyChoice", "ProxyEndpointFactory", "Ways", "proxyFromEnvironment"]

#: The ports of proxies whose URIs name none.
PORTS = {b"http": 80, b"https": 443, b"socks5": 1080, b"socks5h": 1080}
#: Those that speak HTTP, and carry requests for ``http`` URIs themselves.
SPEAK_HTTP = (b"http", b"https")
#: Seconds that a proxy has to open a tunnel, unless the user says otherwise; Twisted's for TCP.
PATIENCE = 30.0

#: Fields that are not the user's to give: they say where a tunnel leads, or frame a message.
OURS = frozenset([b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade"])

_uri = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*://)(?:([^/?#]*)@)?([^/?#@]*)/?").fullmatch

#: One for all proxies, so that they share the contexts that it keeps.
_policy = defaultPolicy()


class Proxy:
    """
    A proxy: where it is, and what it has to be told.

    It may be used by any number of agents.

    :ivar name: for messages, such as ``http://proxy.example.com:3128``; never with credentials.
    """

    __slots__ = ("_credentials", "_host", "_policy", "_port", "_scheme", "fields", "key", "name")

    def __init__(
        self,
        uri: bytes,
        *,
        headers: Headers | None = None,
        contextFactory: IPolicyForHTTPS | None = None,
    ) -> None:
        """
        :param uri: ``http://host:port``, ``https://host:port`` for TLS to the proxy,
            ``socks5://host:port`` or ``socks5h://host:port``, which are the same here: the proxy
            looks up the names of hosts. Credentials may stand before the host as
            ``user:password@``, percent-encoded. The ports are 80, 443 and 1080 if there is none.
        :param headers: for an HTTP proxy, sent to it with every CONNECT, and with every request
            that it carries itself.
        :param contextFactory: whom to trust for an ``https`` proxy; the platform's roots if None.
        :raises InvalidRequest: the URI or a field is not valid. The message does not repeat the
            URI.
        :raises TypeError: the context factory is no :class:`~twisted.web.iweb.IPolicyForHTTPS`.
        :raises ImportError: SOCKS5 takes the library socksio, which is not installed.
        """
        self._scheme, self._host, self._port, credentials = _parse(uri)
        where = authority_of(self._host, self._port)
        self.name = f"{self._scheme.decode()}://{where.decode()}"
        policy = _policy if contextFactory is None else contextFactory
        if not IPolicyForHTTPS.providedBy(policy):
            raise TypeError(f"contextFactory {policy!r} does not provide IPolicyForHTTPS")
        self._policy = policy
        self._credentials: tuple[bytes, bytes] | None = None
        if self.speaksHTTP:
            fields = _fields(self.name, headers, credentials)
        else:
            if headers is not None:
                raise InvalidRequest(f"{self.name}: SOCKS5 has no headers")
            if find_spec("socksio") is None:
                raise ImportError(
                    f"{self.name}: SOCKS5 takes the library socksio, which is not installed: "
                    "install txhyper[socks]"
                )
            fields = []
            self._credentials = _socksCredentials(self.name, credentials)
        #: What an HTTP proxy is told besides.
        self.fields: list[Field] = fields
        # By identity, as not everything that is a policy can be hashed; whoever has the key has
        # the proxy, which keeps the policy alive.
        #: What two proxies must have in common to be one.
        self.key: Hashable = (self.name, *fields, self._credentials, id(policy))

    def __repr__(self) -> str:
        """Without credentials."""
        return f"<Proxy {self.name}>"

    @property
    def speaksHTTP(self) -> bool:
        """Whether it carries requests for ``http`` URIs itself; else everything is tunnelled."""
        return self._scheme in SPEAK_HTTP

    def connection(
        self, reactor: Any, connectTimeout: float | None = None, bindAddress: Any = None
    ) -> IStreamClientEndpoint:
        """
        The endpoint of the proxy itself.

        :param reactor: as for :class:`~txhyper.Agent`, and so the rest.
        """
        factory = StandardEndpointFactory(reactor, self._policy, connectTimeout, bindAddress)
        uri = URI.fromBytes(b"http://proxy/")
        uri.scheme = b"https" if self._scheme == b"https" else b"http"
        uri.host, uri.port = self._host, self._port
        return NamedEndpoint(factory.endpointForURI(uri), self.name)

    def tunnel(
        self,
        reactor: Any,
        host: bytes,
        port: int,
        connectTimeout: float | None = None,
        bindAddress: Any = None,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> IStreamClientEndpoint:
        """
        An endpoint that leads to a host by way of the proxy, for any protocol of Twisted's.

        Its ``connect`` fires once the tunnel is open. It fails with
        :exc:`~txhyper.errors.TunnelRefused` if the proxy does not open one, with
        :exc:`~txhyper.errors.NegotiationFailed` if it says nothing that can be understood, or hangs
        up, with :exc:`~txhyper.errors.ConnectTimedOut`, and with Twisted's own errors if the
        proxy cannot be connected to; with :exc:`~txhyper.errors.InvalidRequest`, and nothing is
        dialled, if the host or the port is not one. Cancelling it closes the connection to the
        proxy.

        :param reactor: for the connection and time.
        :param host: a name or an address, IPv6 without brackets.
        :param connectTimeout: seconds for TCP to connect to the proxy, and then again for the proxy
            to open the tunnel; 30 if None.
        :param bindAddress: the local address.
        :param endpoint: how to reach the proxy, if not as its URI says.
        """
        if endpoint is None:
            endpoint = self.connection(reactor, connectTimeout, bindAddress)
        makeConversation: Callable[[], Conversation]
        if self.speaksHTTP:
            makeConversation = partial(HTTPConnect, self.name, host, port, self.fields)
        else:
            # What it imports need not be installed.
            from txhyper.core.socks import SOCKS5Connect

            makeConversation = partial(SOCKS5Connect, self.name, host, port, self._credentials)
        seconds = PATIENCE if connectTimeout is None else connectTimeout
        target = authority_of(host, port).decode("latin-1")
        return TunnelThroughProxy(
            reactor, endpoint, makeConversation, TunnelAddress(target, self.name), seconds
        )


def _parse(uri: bytes) -> tuple[bytes, bytes, int, tuple[bytes, bytes] | None]:
    """Scheme, host, port and credentials of a proxy's URI. No message repeats any of it."""
    parts = _uri(uri)
    if parts is None:
        raise InvalidRequest("the proxy's URI is not scheme://host:port (a path is none of it)")
    scheme, userinfo, authority = parts.groups()
    try:
        scheme, host, port, _ = splitURI(scheme + authority)
    except InvalidRequest:
        raise InvalidRequest("the proxy's URI has no valid host and port") from None
    if scheme not in PORTS:
        raise InvalidRequest(
            f"the proxy's scheme {scheme.decode()} is not http, https, socks5 or socks5h"
        )
    isLiteral = host.startswith(b"[")
    host = host.strip(b"[]").replace(b"%25", b"%")
    if isLiteral and not isIPv6Address(host.partition(b"%")[0].decode("ascii")):
        raise InvalidRequest("the proxy's URI has no IPv6 address in its brackets")
    credentials = None
    if userinfo:
        user, _, password = userinfo.partition(b":")
        credentials = unquote_to_bytes(user), unquote_to_bytes(password)
    return scheme, host, port or PORTS[scheme], credentials


def _fields(
    name: str, headers: Headers | None, credentials: tuple[bytes, bytes] | None
) -> list[Field]:
    """What an HTTP proxy is told besides: the user's fields, and the credentials (RFC 7617)."""
    given = [] if headers is None else list(headers.getAllRawHeaders())
    for field, _ in given:
        if field.lower() in OURS:
            raise InvalidRequest(f"{name}: {field.decode('latin-1')} is not for a user to give")
    if credentials is not None:
        user, password = credentials
        if b":" in user:
            raise InvalidRequest(f"{name}: a user name with a colon (RFC 7617 section 2)")
        if any(field.lower() == b"proxy-authorization" for field, _ in given):
            raise InvalidRequest(f"{name}: Proxy-Authorization beside credentials in the URI")
        basic = b"Basic " + b64encode(user + b":" + password)
        given.append((b"Proxy-Authorization", [basic]))
    for field, values in given:
        _check(name, field, values)
    return [(field, value) for field, values in given for value in values]


def _check(name: str, field: bytes, values: Sequence[bytes]) -> None:
    try:
        request_fields(b"CONNECT", b"", [(field, values)], None)
    except InvalidRequest:
        # Which would show a value that may be secret.
        raise InvalidRequest(
            f"{name}: the field {field!r} has no valid name, or no valid value (RFC 9110 section 5)"
        ) from None


def _socksCredentials(
    name: str, credentials: tuple[bytes, bytes] | None
) -> tuple[bytes, bytes] | None:
    if credentials is not None and not all(0 < len(part) < 256 for part in credentials):
        raise InvalidRequest(
            f"{name}: user name and password have 1 to 255 octets each (RFC 1929 section 2)"
        )
    return credentials


@implementer(IAgentEndpointFactory)
class ProxyEndpointFactory:
    """
    By way of a proxy to the host that a URI names.

    :ivar proxy: which one.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: Proxy,
        standard: StandardEndpointFactory,
        connectTimeout: float | None = None,
        bindAddress: Any = None,
    ) -> None:
        """
        :param standard: puts TLS on top of the tunnel, where a URI asks for it.
        :param connectTimeout: see :meth:`Proxy.tunnel`.
        """
        self.proxy = proxy
        self._reactor = reactor
        self._standard = standard
        self._connectTimeout = connectTimeout
        self._bindAddress = bindAddress

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """:raises: what :meth:`StandardEndpointFactory.endpointForURI` raises."""
        tunnel = self.proxy.tunnel(
            self._reactor, uri.host, uri.port, self._connectTimeout, self._bindAddress
        )
        return self._standard.over(uri, tunnel)

    def forwardingRoute(self, sharing: Hashable) -> Route:
        """
        The way of requests that the proxy carries itself: one for all ``http`` origins.

        :param sharing: what two agents must have in common to use the same connections.
        """
        proxy = self.proxy
        return Route(
            ("proxy", proxy.key, sharing),
            f"the proxy {proxy.name}",
            partial(proxy.connection, self._reactor, self._connectTimeout, self._bindAddress),
            [b"http/1.1"],
            forwarding=proxy.fields,
        )


#: Which proxy it is for an origin, None for none.
ProxyChoice = Callable[[bytes], "Proxy | None"]


class Ways:
    """By way of which proxy an agent goes where."""

    def __init__(
        self,
        reactor: Any,
        proxy: Proxy | ProxyChoice,
        direct: StandardEndpointFactory,
        connectTimeout: float | None,
        bindAddress: Any,
    ) -> None:
        """
        :param direct: the way without a proxy.
        :raises TypeError: the proxy is neither a proxy nor callable.
        """
        if not (isinstance(proxy, Proxy) or callable(proxy)):
            raise TypeError(f"proxy {type(proxy).__name__} is neither a txhyper.Proxy nor callable")
        self._proxy = proxy
        self._reactor = reactor
        self._direct = direct
        self._options = connectTimeout, bindAddress

    def factoryFor(self, scheme: bytes, host: bytes, port: int | None) -> IAgentEndpointFactory:
        """
        What makes the endpoints for an origin.

        :raises InvalidRequest: whoever is to say it raises, or returns something else.
        """
        proxy: object = self._proxy
        if not isinstance(proxy, Proxy):
            proxy = _chosen(self._proxy, b"%b://%b" % (scheme, authorityOf(scheme, host, port)))
            if proxy is None:
                return self._direct
        return ProxyEndpointFactory(self._reactor, proxy, self._direct, *self._options)


def _chosen(choose: Any, origin: bytes) -> Proxy | None:
    try:
        proxy = choose(origin)
    except Exception as error:
        # It is a user's code.
        raise InvalidRequest(f"{origin.decode()}: no proxy could be chosen: {error}") from error
    if not (proxy is None or isinstance(proxy, Proxy)):
        raise InvalidRequest(
            f"{origin.decode()}: {type(proxy).__name__} was chosen, which is no txhyper.Proxy"
        )
    return proxy


def proxyFromEnvironment(contextFactory: IPolicyForHTTPS | None = None) -> ProxyChoice:
    """
    The proxies that the environment names, for ``Agent(proxy=...)``.

    ``https_proxy`` is for ``https`` URIs, ``http_proxy`` for ``http`` ones, and ``all_proxy`` for
    both where there is none of their own. ``no_proxy`` lists the hosts, or the ends of their names,
    that are reached without one, separated by commas; ``*`` means all. In capitals they count as
    well, but for ``HTTP_PROXY`` where a server runs this as a CGI script. A proxy without a scheme
    is ``http``.

    The environment is looked at now and not again.

    :param contextFactory: whom to trust for ``https`` proxies; the platform's roots if None.
    :return: what raises a ValueError for an origin whose variable is no proxy's URI, and what
        :class:`~txhyper.Proxy` raises.
    """
    variables = getproxies_environment()
    proxies: dict[str, Proxy] = {}

    def choose(origin: bytes) -> Proxy | None:
        scheme, _, authority = origin.decode("ascii").partition("://")
        name = scheme if scheme in variables else "all"
        if name not in variables or proxy_bypass_environment(authority, variables):
            return None
        if name not in proxies:
            value = variables[name]
            try:
                proxies[name] = Proxy(
                    (value if "://" in value else f"http://{value}").encode(
                        "utf-8", "surrogateescape"
                    ),
                    contextFactory=contextFactory,
                )
            except InvalidRequest as error:
                raise InvalidRequest(f"the environment's {name}_proxy: {error}") from None
        return proxies[name]

    return choose
