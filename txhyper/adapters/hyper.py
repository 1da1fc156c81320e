"""
hyper's API, in Deferreds: ``HTTPConnection``, ``HTTP20Connection``, ``HTTP11Connection``.

Owns the ids of requests, and which of their responses has not been taken yet. It is one origin's
view of an :class:`~txhyper.Agent` with a pool of its own, and has no connection, no stream and no
timer itself. Users of hyper call it; they find hyper's names for errors here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS

from txhyper.adapters.hyper_conversation import Conversation
from txhyper.adapters.hyper_errors import (
    ChunkedDecodeError,
    ConnectionError,  # noqa: A004 - so it is called there
    ConnectionResetError,  # noqa: A004 - likewise
    HPACKDecodingError,
    HPACKEncodingError,
    HTTP20Error,
    InvalidResponseError,
    MissingCertFile,
    ProtocolError,
    StreamResetError,
)
from txhyper.adapters.hyper_place import (
    HTTP2_ALONE,
    HTTP11_ALONE,
    base_of,
    init_context,
    octets_of,
    place_of,
    policy_of,
    proxy_of,
    spoken,
)
from txhyper.adapters.hyper_pushes import HTTP20Push
from txhyper.adapters.hyper_response import HTTPResponse, OnlyAsynchronous
from txhyper.client.agent import Agent
from txhyper.client.pool import ConnectionPool
from txhyper.client.proxies import Proxy
from txhyper.core.bounds import Bounds
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager
from txhyper.errors import ConnectionUnusable, InvalidRequest
from txhyper.protocol.negotiation import OFFERS
from txhyper.protocol.timeouts import Timeouts

__all__ = [
    "ChunkedDecodeError",
    "ConnectionError",
    "ConnectionResetError",
    "HPACKDecodingError",
    "HPACKEncodingError",
    "HTTP11Connection",
    "HTTP20Connection",
    "HTTP20Error",
    "HTTP20Push",
    "HTTPConnection",
    "HTTPResponse",
    "InvalidResponseError",
    "MissingCertFile",
    "ProtocolError",
    "StreamResetError",
    "init_context",
]

Self = TypeVar("Self", bound="HTTPConnection")


class HTTPConnection(Conversation, OnlyAsynchronous):
    """
    One origin, spoken to in HTTP/2 if the server does so, else in HTTP/1.1.

    In hyper's words, with two differences: what waits is a Deferred, and ``with`` is
    ``async with``. Behind it are as many connections as the requests need, which over HTTP/2 is
    one; it is dialled with the first request. Requests are sent again where that is certainly safe,
    as they are by :class:`~txhyper.Agent`.

    :ivar host: the host's name or address.
    :ivar port: the port.
    :ivar secure: whether TLS is spoken.
    """

    #: What is spoken if nothing is forced.
    _protocols: Sequence[bytes] = OFFERS
    #: Whether TLS is spoken if nobody says so; None for on port 443 alone.
    _is_secure: bool | None = None

    def __init__(
        self,
        host: str | bytes,
        port: int | None = None,
        secure: bool | None = None,
        window_manager: type[BaseFlowControlManager] | None = None,
        enable_push: bool = False,
        ssl_context: IPolicyForHTTPS | None = None,
        proxy_host: str | Proxy | None = None,
        proxy_port: int | None = None,
        *,
        proxy_headers: Any = None,
        force_proto: str | None = None,
        reactor: Any = None,
        timeouts: Timeouts | None = None,
        bounds: Bounds | None = None,
        endpoint_factory: IAgentEndpointFactory | None = None,
    ) -> None:
        """
        Nothing is connected yet.

        :param host: a name or an address, perhaps with a port: ``"example.com:8443"``,
            ``"[::1]:443"``.
        :param port: 80 if neither this nor the host says so, and 443 for a connection that is to be
            secure.
        :param secure: whether to speak TLS; on port 443 alone if None.
        :param window_manager: the class that decides how much the server may send.
        :param enable_push: whether the server may promise responses that nobody has asked for, see
            :meth:`get_pushes`.
        :param ssl_context: whom to trust, an :class:`~twisted.web.iweb.IPolicyForHTTPS` such as
            :func:`~txhyper.adapters.hyper.init_context` makes; the platform's roots if None.
        :param proxy_host: by way of which HTTP proxy to connect, perhaps with its port; or a
            :class:`~txhyper.Proxy`, which may be one of another kind.
        :param proxy_port: the proxy's, 8080 if neither this nor the host says so.
        :param proxy_headers: fields for the proxy alone, a mapping or pairs.
        :param force_proto: ``"h2"`` or ``"http/1.1"``, to speak nothing else. HTTP/2 is then spoken
            without TLS as well, by prior knowledge (RFC 9113 section 3.3).
        :param reactor: Twisted's global one if None.
        :param timeouts: the time limits of each request.
        :param bounds: the limits to keep.
        :param endpoint_factory: how to connect, in place of TCP, TLS and proxies.
        :raises InvalidRequest: the host or the port is none.
        :raises ValueError: the protocol is not known, or not spoken by this class, or the window
            manager begins with windows that HTTP/2 does not allow.
        :raises TypeError: the ``ssl_context`` is no policy; or there is one, or a proxy, beside an
            ``endpoint_factory``; or ``proxy_port`` or ``proxy_headers`` without a proxy's name.
        """
        name, self.port, self.secure = place_of(host, port, secure, self._is_secure)
        self.host = name.strip(b"[]").decode("ascii")
        scheme = b"https" if self.secure else b"http"
        self._base = base_of(scheme, name, self.port)
        self._bounds = bounds or Bounds()
        if reactor is None:
            from twisted.internet import reactor
        pool = ConnectionPool(
            reactor,
            bounds=bounds,
            window_manager=window_manager or FlowControlManager,
            enablePush=enable_push,
        )
        proxy = proxy_of(proxy_host, proxy_port, proxy_headers)
        protocols = spoken(force_proto, self._protocols)
        if endpoint_factory is None:
            self._agent = Agent(
                reactor,
                policy_of(ssl_context),
                pool=pool,
                timeouts=timeouts,
                protocols=protocols,
                proxy=proxy,
            )
        elif ssl_context is None and proxy is None:
            self._agent = Agent.usingEndpointFactory(
                reactor, endpoint_factory, pool, timeouts=timeouts, protocols=protocols
            )
        else:
            raise TypeError(
                "an ssl_context or a proxy beside an endpoint_factory, which has ways of its own"
            )
        self._begin()

    # -- the connection ----------------------------------------------------------------------------

    def connect(self) -> Deferred[None]:
        """
        Connect before there is a request. Does nothing if there is a connection.

        :return: fires when there is one; fails as :meth:`get_response` does.
        """
        return self._agent.connect(self._base).addCallback(lambda connection: None)

    def ping(self, opaque_data: str | bytes | None = None) -> Deferred[float]:
        """
        Measure the round trip, on a connection that is dialled if there is none.

        :param opaque_data: 8 octets, as hyper wants them. They are not sent: what a PING carries is
            chosen so that its answer is known again.
        :return: seconds. It fails with :exc:`~txhyper.errors.ConnectionUnusable` over HTTP/1.1,
            which has no PING, and otherwise as :meth:`connect` does.
        :raises InvalidRequest: these are not 8 octets.
        """
        if opaque_data is not None and len(octets_of(opaque_data)) != 8:
            raise InvalidRequest("a PING carries 8 octets (RFC 9113 section 6.7)")
        connected = self._agent.connect(self._base)
        return connected.addCallback(lambda connection: connection.ping())

    def close(self) -> Deferred[None]:
        """
        Close every connection. Requests that are open are given up: who waits for their responses
        is told :exc:`~txhyper.errors.ConnectionUnusable`, and nothing more can be read from
        responses. This object may be used again at once; its ids begin anew.

        :return: fires when all connections are gone.
        """
        requests, responses = self._requests, self._responses
        self._begin()
        for outgoing in list(requests.values()):
            outgoing.give_up(ConnectionUnusable(f"{self._name}: the connection was closed"))
        for response in list(responses):
            response.close()
        return self._agent.close()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *ignored: object) -> None:
        await self.close()


class HTTP20Connection(HTTPConnection):
    """
    One origin that speaks HTTP/2, over TLS unless ``secure=False``, and nothing else.

    The port is 443 if nobody says so; without TLS, where HTTP/2 is spoken by prior knowledge
    (RFC 9113 section 3.3), it is 80.
    """

    _protocols = HTTP2_ALONE
    _is_secure = True


class HTTP11Connection(HTTPConnection):
    """
    One origin that is spoken to in HTTP/1.1, and in nothing else.

    Requests at the same time are on connections of their own.
    """

    _protocols = HTTP11_ALONE

    def __init__(
        self,
        host: str | bytes,
        port: int | None = None,
        secure: bool | None = None,
        ssl_context: IPolicyForHTTPS | None = None,
        proxy_host: str | Proxy | None = None,
        proxy_port: int | None = None,
        **options: Any,
    ) -> None:
        """The parameters are those of :class:`HTTPConnection`, in hyper's order."""
        super().__init__(
            host,
            port,
            secure,
            ssl_context=ssl_context,
            proxy_host=proxy_host,
            proxy_port=proxy_port,
            **options,
        )
