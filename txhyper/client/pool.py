"""
The pool: every origin's connections, and the time that idle ones have left.

Owns the dictionary of origins and one timer. Has the public face of Twisted's own
:class:`~twisted.web.client.HTTPConnectionPool`, so that Twisted's own Agent and treq speak HTTP/2
when they are handed one of these. Never sees a request's octets.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger

from txhyper.client.lease import Lease
from txhyper.client.origin import Origin
from txhyper.core.bounds import Bounds
from txhyper.core.deadlines import Deadlines
from txhyper.core.hpack import coder_name
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager, check_windows
from txhyper.interfaces import IHTTPConnection, IHyperResponse
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts, Timer

__all__ = ["ConnectionPool"]


class ConnectionPool:
    """
    Connections that are used again.

    HTTP/2 multiplexes all requests to an origin on one connection; to a server that speaks
    HTTP/1.1 there are as many connections as there are requests at a time.

    :ivar persistent: whether to keep connections once they are idle.
    :ivar maxConnectionsPerHost: how many HTTP/2 connections an origin may have.
    :ivar maxPersistentPerHost: how many idle HTTP/1.1 connections of an origin are kept.
    :ivar cachedConnectionTimeout: seconds that an idle connection is kept.
    :ivar retryAutomatically: whether a request is sent again where that is certainly safe.
    :ivar closeTimeout: seconds that :meth:`closeCachedConnections` lets open requests finish.
    """

    maxConnectionsPerHost = 1
    maxPersistentPerHost = 2
    retryAutomatically = True
    closeTimeout = 30.0

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        persistent: bool = True,
        *,
        bounds: Bounds | None = None,
        window_manager: type[BaseFlowControlManager] = FlowControlManager,
        onFrame: Callable[[str], None] | None = None,
        handshakeTimeout: float = 30.0,
    ) -> None:
        """
        :param reactor: for time.
        :param persistent: see above.
        :param bounds: the limits that each connection keeps.
        :param window_manager: the class that decides how much a peer may send, see
            :class:`~txhyper.BaseFlowControlManager`.
        :param onFrame: called with one line of text for each HTTP/2 frame sent or received.
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
        # Those that closeCachedConnections closes: what fails there is not sent again elsewhere.
        self.closing: set[IHTTPConnection] = set()
        self._origins: dict[Hashable, Origin] = {}
        self._idle: Deadlines[IHTTPConnection] = Deadlines(240.0)
        self._timer: IDelayedCall | None = None
        #: For the time limits of requests.
        self.timer = Timer(reactor)
        self._log.debug("header blocks are encoded by {coder}", coder=coder_name())

    @property
    def cachedConnectionTimeout(self) -> float:
        """Seconds that an idle connection is kept."""
        return self._idle.duration

    @cachedConnectionTimeout.setter
    def cachedConnectionTimeout(self, seconds: float) -> None:
        self._idle.duration = seconds
        self._reschedule()

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
        self,
        key: Hashable,
        name: Callable[[], str],
        endpoint: Callable[[], IStreamClientEndpoint],
        request: Request,
        timeouts: Timeouts | None = None,
    ) -> Deferred[IHyperResponse]:
        """
        Send a request to an origin.

        :param key: the origin's.
        :param name: makes the origin's name for messages.
        :param endpoint: makes the endpoint to dial, if one is needed.
        :param timeouts: the time limits, where the request has none of its own.
        :raises InvalidRequest: nothing was sent.
        """
        request.fields()
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = Origin(self, key, name(), endpoint)
        return Lease(origin, request).start(timeouts)

    def tidy(self, origin: Origin) -> None:
        """Forget an origin that nothing is left of."""
        if origin.isEmpty:
            self._origins.pop(origin.key, None)
            if not self._origins:
                self.timer.quiet()

    # -- idle connections ----------------------------------------------------------------------

    def idle(self, connection: IHTTPConnection) -> None:
        """A connection has nothing to do: its time begins."""
        self._idle.begin(connection, self.reactor.seconds())
        self._schedule()

    def busy(self, connection: IHTTPConnection) -> None:
        """A connection has something to do, or is gone. The timer finds out by itself."""
        self._idle.end(connection)

    def _reschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._schedule()

    def _schedule(self) -> None:
        due = self._idle.next()
        if due is not None and self._timer is None:
            self._timer = self.reactor.callLater(
                max(0.0, due - self.reactor.seconds()), self._expire
            )

    def _expire(self) -> None:
        self._timer = None
        for connection in self._idle.expire(self.reactor.seconds()):
            connection.close()
        self._schedule()

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
            origin.close()
        self._reschedule()

        def done(ignored: object) -> None:
            self.closing.difference_update(connections)
            if force.active():
                force.cancel()
            self.timer.quiet()

        told: Deferred[None] = Deferred()
        closed.addCallback(done).chainDeferred(told)
        return told


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
        return self._pool.send(self._key, lambda: name, lambda: self._endpoint, ours)
