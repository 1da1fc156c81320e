"""
The pool: every origin's connections.

Owns the dictionary of origins, and what all of their connections are made with. Has the public face
of Twisted's own :class:`~twisted.web.client.HTTPConnectionPool`, so that Twisted's own Agent and
treq speak HTTP/2 when they are handed one of these. Never sees a request's octets.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.logger import Logger

from txhyper.client.coalescing import Coalescing
from txhyper.client.lease import Lease
from txhyper.client.origin import Origin
from txhyper.client.retirement import Retirement
from txhyper.client.route import Route
from txhyper.client.states import OriginState
from txhyper.client.visit import Visit
from txhyper.core.bounds import Bounds
from txhyper.core.hpack import coder_name
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager, check_windows
from txhyper.errors import ConnectionUnusable, InvalidRequest
from txhyper.interfaces import IHTTPConnection, IHyperResponse
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.failures import asRequestFailure
from txhyper.protocol.http11 import HTTP11ClientConnection
from txhyper.protocol.keepalive import Liveness
from txhyper.protocol.negotiation import NegotiatingFactory
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts, Timer

__all__ = ["ConnectionPool"]


class ConnectionPool:
    """
    Connections that are used again.

    HTTP/2 multiplexes all requests to an origin on one connection; to a server that speaks
    HTTP/1.1 there are as many connections as there are requests at a time.

    When the reactor stops, every request that is still open fails; whoever wants them to finish
    closes the pool before.

    :ivar persistent: whether to keep connections once they are idle.
    :ivar maxConnectionsPerHost: how many HTTP/2 connections an origin may have that take requests.
        One that is closing, or in doubt, does not count.
    :ivar maxRequestsPerConnection: after so many requests a connection takes no more, and closes
        when they are done; None for any number.
    :ivar maxConnectionAge: seconds after which it does so whatever it has served; None for ever.
    :ivar maxPersistentPerHost: how many idle HTTP/1.1 connections of an origin are kept.
    :ivar cachedConnectionTimeout: seconds that an idle connection is kept.
    :ivar retryAutomatically: whether a request is sent again where that is certainly safe.
    :ivar closeTimeout: seconds that :meth:`closeCachedConnections` lets open requests finish.
    """

    maxConnectionsPerHost = 1
    maxRequestsPerConnection: int | None = None
    maxConnectionAge: float | None = None
    maxPersistentPerHost = 2
    retryAutomatically = True
    closeTimeout = 30.0

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        persistent: bool = True,
        *,
        bounds: Bounds | None = None,
        window_manager: type[BaseFlowControlManager] = FlowControlManager,
        onFrame: Callable[[str], None] | None = None,
        handshakeTimeout: float = 30.0,
        liveness: Liveness | None = None,
        coalesce: bool = False,
        enablePush: bool = False,
    ) -> None:
        """
        :param reactor: for time.
        :param persistent: see above.
        :param bounds: the limits that each connection keeps.
        :param window_manager: the class that decides how much a peer may send, see
            :class:`~txhyper.BaseFlowControlManager`.
        :param onFrame: called with one line of text for each HTTP/2 frame sent or received.
        :param liveness: how an HTTP/2 connection finds out that its peer is gone.
        :param coalesce: whether origins may share an HTTP/2 connection, where the server's
            certificate covers them and their names lead to one address (RFC 9113 section 9.1.1).
        :param enablePush: whether servers may promise responses that nobody has asked for
            (RFC 9113 section 8.4).
        :param handshakeTimeout: seconds from TCP's connection to the end of the TLS handshake.
        :raises ValueError: the window manager begins with windows that HTTP/2 does not allow.
        """
        check_windows(window_manager)
        self.reactor = reactor
        self.persistent = persistent
        self.bounds = bounds or Bounds()
        self.windowManager = window_manager
        self.onFrame = onFrame
        self.handshakeTimeout = handshakeTimeout
        self.liveness = liveness
        self._enablePush = enablePush
        # Those that closeCachedConnections closes: what fails there is not sent again elsewhere.
        self.closing: set[IHTTPConnection] = set()
        self._origins: dict[Hashable, Origin] = {}
        self.coalescing = Coalescing(reactor, self._origins if coalesce else None)
        #: When connections are to go.
        self.retirement = Retirement(reactor)
        # While there are origins: what the reactor calls when it stops; and whether it has.
        self._trigger: Any = None
        self._isStopped = False
        #: For the time limits of requests.
        self.timer = Timer(reactor)
        self.log.debug("header blocks are encoded by {coder}", coder=coder_name())

    @property
    def cachedConnectionTimeout(self) -> float:
        """Seconds that an idle connection is kept."""
        return self.retirement.idleTime

    @cachedConnectionTimeout.setter
    def cachedConnectionTimeout(self, seconds: float) -> None:
        self.retirement.idleTime = seconds

    def getConnection(
        self, key: Hashable, endpoint: IStreamClientEndpoint
    ) -> Deferred[StockConnection]:
        """
        For Twisted's own Agent.

        :param key: connections under the same key may be used for one another.
        :param endpoint: where to connect if there is none.
        :return: something with a ``request`` method. It is there at once: dialling, waiting and
            trying again are the request's business.
        """
        return succeed(StockConnection(self, key, endpoint))

    def send(
        self, route: Route, request: Request, timeouts: Timeouts | None = None
    ) -> Deferred[IHyperResponse]:
        """
        Send a request to an origin.

        :param timeouts: the time limits, where the request has none of its own.
        :raises InvalidRequest: nothing was sent.
        """
        request.fields()
        origin = self._origins.get(route.key)
        if origin is None:
            if self._isStopped:
                return fail(asRequestFailure(stopping(route.name())))
            origin = self._begin(route)
        try:
            return Lease(origin, request).start(timeouts)
        except InvalidRequest:
            self.tidy(origin)
            raise

    def connect(self, route: Route, timeouts: Timeouts | None = None) -> Deferred[IHTTPConnection]:
        """
        Have a connection to an origin, with no request on it.

        :return: fires with one that takes requests: at once if there is one, else when it has been
            dialled, and fails as dialling does. It stays the pool's. Cancelling it cancels the dial
            if nobody else waits for it.
        """
        origin = self._origins.get(route.key)
        if origin is None:
            if self._isStopped:
                return fail(stopping(route.name()))
            origin = self._begin(route)
        return Visit(origin).start(timeouts)

    def _begin(self, route: Route) -> Origin:
        """An origin that nothing is known of."""
        if not self._origins:
            self._watchReactor()
        origin = self._origins[route.key] = Origin(self, route)
        return origin

    # -- what origins ask for ------------------------------------------------------------------

    def factory(
        self,
        route: Route,
        offers: Sequence[bytes],
        isPriorKnowledge: bool,
        changed: Callable[[IHTTPConnection], None],
    ) -> NegotiatingFactory:
        """
        What makes a connection, in the protocol that is chosen.

        :param route: the way to the origin.
        :param offers: what the origin offers of what the route has, as the next one.
        :param changed: told when the connection can take more than before, or none any more.
        """
        name = route.name()

        def makeHTTP2() -> HTTP2ClientProtocol:
            client = HTTP2ClientProtocol(
                self.reactor,
                name,
                self.bounds,
                self.windowManager,
                self.onFrame,
                changed,
                self.timer,
                self.liveness,
                self._enablePush,
            )
            client.covers = partial(self.coalescing.covers, client, route.place)
            return client

        def makeHTTP11() -> HTTP11ClientConnection:
            return HTTP11ClientConnection(
                self.reactor,
                name,
                self.persistent,
                self.bounds,
                changed,
                self.timer,
                route.forwarding,
            )

        return NegotiatingFactory(name, makeHTTP2, makeHTTP11, offers, isPriorKnowledge)

    def tidy(self, origin: Origin) -> None:
        """Forget an origin that nothing is left of, if there is not another in its place by now."""
        if origin.isEmpty and self._origins.get(origin.route.key) is origin:
            del self._origins[origin.route.key]
            if not self._origins:
                self.timer.quiet()
                if self._trigger is not None:
                    trigger, self._trigger = self._trigger, None
                    cast(IReactorCore, self.reactor).removeSystemEventTrigger(trigger)

    def snapshot(self) -> list[OriginState]:
        """
        What the pool is doing now: for each origin its connections, with their streams, queues and
        octets. It walks over everything, and is for people.
        """
        return [origin.state() for origin in self._origins.values()]

    def _watchReactor(self) -> None:
        core = IReactorCore(self.reactor, None)
        if core is not None:
            # By then the reactor has let everybody finish who had asked for it.
            self._trigger = core.addSystemEventTrigger("during", "shutdown", self._stopped)

    def _stopped(self) -> None:
        """
        The reactor has stopped, and has cut every connection; what was to be sent again, or waits,
        never will be.
        """
        self._trigger = None
        self._isStopped = True
        # None is found from now on: whoever hears of the end may want to send again.
        origins, self._origins = self._origins, {}
        for origin in origins.values():
            self.closing.update(origin.connections)
            origin.close(stopping(origin.name))
        self.timer.quiet()
        self.retirement.settle()

    def closeCachedConnections(self) -> Deferred[None]:
        """
        Close every connection: idle ones now, others when their open requests are done, or after
        ``closeTimeout`` seconds by force. Requests that still wait, for a dial or for a slot,
        fail with :exc:`~txhyper.errors.ConnectionUnusable`, and none is sent again on a new
        connection. The pool may be used again.

        :return: fires when all are gone. No timer of the pool is left then. Cancelling it forgets
            the answer: the connections are closed all the same.
        """
        origins = list(self._origins.values())
        connections = [connection for origin in origins for connection in origin.connections]
        closed = gatherResults([connection.whenClosed() for connection in connections])
        force = self.reactor.callLater(self.closeTimeout, _abortAll, connections)
        self.closing.update(connections)
        for origin in origins:
            origin.close(ConnectionUnusable(f"{origin.name}: the pool was closed"))
        self.retirement.settle()

        def done(ignored: object) -> None:
            self.closing.difference_update(connections)
            if force.active():
                force.cancel()
            self.timer.quiet()
            self.retirement.settle()

        told: Deferred[None] = Deferred()
        closed.addCallback(done).chainDeferred(told)
        return told


def stopping(origin: str) -> ConnectionUnusable:
    """What becomes of a request when there is no reactor any more."""
    return ConnectionUnusable(f"{origin}: the reactor has stopped")


def _abortAll(connections: list[IHTTPConnection]) -> None:
    for connection in connections:
        connection.abort()


class StockConnection:
    """What Twisted's own Agent is given: it calls :meth:`request`, once."""

    def __init__(
        self, pool: ConnectionPool, key: Hashable, endpoint: IStreamClientEndpoint
    ) -> None:
        self._pool = pool
        self._key = key
        self._endpoint = endpoint

    def request(self, request: Any) -> Deferred[IHyperResponse]:
        """
        Send a request of Twisted's.

        :param request: provides :class:`~twisted.web.iweb.IClientRequest`, and has ``uri`` and
            ``bodyProducer``.
        :return: fires with the response.
        """
        ours = Request(request.method, request.absoluteURI, request.headers, request.bodyProducer)
        # A proxy is sent a whole URI. Twisted leaves out the slash before a query.
        if not request.uri.startswith(b"?"):
            ours.path = request.uri
        name = f"{ours.scheme.decode()}://{ours.authority.decode()}"
        return self._pool.send(Route(self._key, name, lambda: self._endpoint), ours)
