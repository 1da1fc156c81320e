"""
One origin's connections, its dials, and who waits for them.

Owns what is known of one scheme, host and port: the connections that are alive, the dials under
way, and which protocol the server speaks. Places each lease by :mod:`txhyper.core.selection`.
Reads no header and keeps no time: connections and the pool do.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from txhyper.client.dial import Dial
from txhyper.core.selection import Choice, select
from txhyper.errors import ConnectionUnusable
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.http11 import HTTP11ClientConnection
from txhyper.protocol.negotiation import NegotiatingFactory
from txhyper.protocol.timeouts import Timer

if TYPE_CHECKING:
    from txhyper.client.lease import Lease
    from txhyper.client.pool import ConnectionPool
    from txhyper.client.route import Route
    from txhyper.protocol.states import ConnectionState

__all__ = ["Origin", "OriginState"]

#: What is offered to a server that has asked for HTTP/1.1.
HTTP11_ONLY = (b"http/1.1",)


@dataclass(frozen=True)
class OriginState:
    """
    What a person may want to know of one origin.

    :ivar name: such as ``https://example.com``.
    :ivar dialling: connections that are being made.
    :ivar waiting: requests that wait for one of them, or for another attempt; those that wait for
        a free stream are with their connection.
    :ivar connections: those that are alive, oldest first.
    """

    name: str
    dialling: int
    waiting: int
    connections: list[ConnectionState]


class Origin:
    """
    One origin, as the pool knows it.

    :ivar route: the way there.
    :ivar name: for messages, such as ``https://example.com``.
    """

    __slots__ = (
        "_dials",
        "_http11",
        "_multiplexed",
        "_pool",
        "_resting",
        "_serving",
        "_waiting",
        "connections",
        "name",
        "route",
    )

    def __init__(self, pool: ConnectionPool, route: Route) -> None:
        self._pool = pool
        self.route = route
        self.name = route.name()
        self.connections: list[IHTTPConnection] = []
        self._dials: list[Dial] = []
        self._waiting: OrderedDict[Lease, None] = OrderedDict()
        # Those who try again, after a pause.
        self._resting: dict[Lease, IDelayedCall] = {}
        # Connections that those who wait are being put on.
        self._serving: set[IHTTPConnection] = set()
        # Whether a new connection will take many requests; assumed until one has shown.
        self._multiplexed = True
        # Whether the server has asked for HTTP/1.1.
        self._http11 = False

    @property
    def timer(self) -> Timer:
        """For time limits."""
        return self._pool.timer

    @property
    def isEmpty(self) -> bool:
        """Whether nothing is going on here."""
        return not (self.connections or self._dials or self._waiting or self._resting)

    def place(self, lease: Lease) -> None:
        """Put a request on a connection, dial for it, or let it wait for a dial under way."""
        if len(self.connections) == 1:
            # The usual case, without a list.
            connection = self.connections[0]
            if connection.isUsable() and connection.reserve():
                self._pool.busy(connection)
                self._use(lease, connection, True, True)
                return
        usable = [connection for connection in self.connections if connection.isUsable()]
        free = [connection.capacity - connection.openCount for connection in usable]
        maximum = self._pool.maxConnectionsPerHost
        choice, index = select(free, maximum, len(self._dials), self._multiplexed)
        if choice is Choice.USE:
            connection = usable[index]
            self._pool.busy(connection)
            self._use(lease, connection, connection.reserve(), True)
            return
        self._waiting[lease] = None
        if lease.request.limits is not None:
            isUnderWay = choice is Choice.WAIT and self._dials[0].isConnected
            lease.request.limits.dialling(isUnderWay)
        if choice is Choice.DIAL:
            self._dial()

    def state(self) -> OriginState:
        """A snapshot."""
        connections = [connection.state() for connection in self.connections]
        waiting = len(self._waiting) + len(self._resting)
        return OriginState(self.name, len(self._dials), waiting, connections)

    def placeLater(self, lease: Lease, seconds: float) -> None:
        """Place a request that failed, after a pause."""
        if seconds:
            call = self._pool.reactor.callLater(seconds, self._rested, lease)
            self._resting[lease] = call
        else:
            self.place(lease)

    def _rested(self, lease: Lease) -> None:
        del self._resting[lease]
        self.place(lease)

    def mayRetry(self, connection: IHTTPConnection | None, attempts: int) -> bool:
        """Whether a request that failed here, after so many attempts, may go elsewhere."""
        pool = self._pool
        return (
            pool.retryAutomatically
            and attempts < pool.bounds.attempts
            and connection not in pool.closing
        )

    def requireHTTP11(self) -> None:
        """
        The server wants HTTP/1.1 (HTTP_1_1_REQUIRED): offer nothing else from now on. Requests
        that are open over HTTP/2 may finish there; those that wait move on.
        """
        if HTTP11_ONLY[0] not in self.route.offers:
            # It is not to be spoken here.
            return
        dials: list[Dial] = []
        if not self._http11:
            # They have offered HTTP/2.
            dials, self._dials = self._dials, dials
        self._http11 = True
        self._multiplexed = False
        for dial in dials:
            dial.cancel()
        for lease in self._waiting if dials else ():
            if lease.request.limits is not None:
                # They wait for another dial from its beginning.
                lease.request.limits.dialled()
                lease.request.limits.dialling(False)
        for connection in list(self.connections):
            if connection.multiplexed:
                connection.close()
        self._dialForAll()

    def leave(self, lease: Lease) -> None:
        """
        A waiter has been cancelled, or one in a pause; the dials that nobody waits for any more go
        with it.
        """
        self._waiting.pop(lease, None)
        pause = self._resting.pop(lease, None)
        if pause is not None:
            pause.cancel()
        while len(self._dials) > len(self._waiting):
            self._dials.pop().cancel()
        # Those behind move up, each to the dial of the one before.
        for waiting, dial in zip(self._waiting, self._dials, strict=False):
            if dial.isConnected and waiting.request.limits is not None:
                waiting.request.limits.dialling(True)
        self._pool.tidy(self)

    def close(self) -> None:
        """
        Dial no more and fail those who wait for it, or for another attempt; close every connection,
        once its open requests are done.
        """
        dials, self._dials = self._dials, []
        for dial in dials:
            dial.cancel()
        waiting, self._waiting = self._waiting, OrderedDict()
        resting, self._resting = self._resting, {}
        for pause in resting.values():
            pause.cancel()
        for lease in [*waiting, *resting]:
            lease.abandon(ConnectionUnusable(f"{self.name}: the pool was closed"))
        for connection in list(self.connections):
            self._pool.busy(connection)
            connection.close()
        self._pool.tidy(self)

    # -- dials ---------------------------------------------------------------------------------

    def _dialForAll(self) -> None:
        """Over HTTP/1.1 each who waits needs a dial."""
        while len(self._dials) < len(self._waiting):
            self._dial()

    def _dial(self) -> None:
        pool = self._pool
        factory = NegotiatingFactory(
            self.name,
            lambda: HTTP2ClientProtocol(
                pool.reactor,
                self.name,
                pool.bounds,
                pool.windowManager,
                pool.onFrame,
                self.idle,
                pool.timer,
                pool.liveness,
            ),
            lambda: HTTP11ClientConnection(
                pool.reactor, self.name, pool.persistent, pool.bounds, self.idle, pool.timer
            ),
            HTTP11_ONLY if self._http11 else self.route.offers,
            self.route.isPriorKnowledge and not self._http11,
        )
        dial = Dial(factory, pool.handshakeTimeout, self._connected, self._dialled, self._undialled)
        self._dials.append(dial)
        try:
            endpoint = self.route.endpoint()
        except Exception as error:  # noqa: BLE001 - a user's factory: its error is the request's
            self._undialled(dial, error)
        else:
            dial.start(pool.reactor, endpoint)

    def _connected(self, dial: Dial) -> None:
        """TCP has connected: the handshake begins, for all who wait for this dial."""
        # Over HTTP/1.1 each has its own, in the order they came.
        waiting = list(self._waiting)
        index = self._dials.index(dial)
        for lease in waiting if self._multiplexed else waiting[index : index + 1]:
            if lease.request.limits is not None:
                lease.request.limits.dialling(True)

    def _dialled(self, dial: Dial, connection: IHTTPConnection) -> None:
        self._dials.remove(dial)
        self._multiplexed = connection.multiplexed
        self.connections.append(connection)
        protocol = "HTTP/2" if connection.multiplexed else "HTTP/1.1"
        self._pool.log.debug("{origin}: connected, {name}", origin=self.name, name=protocol)
        self._pool.born(connection)
        connection.whenClosed().addCallback(self._closed, connection)
        if not self._waiting:
            self.idle(connection)
        elif connection.multiplexed:
            self._serveAll(connection, False)
        else:
            self._serve(connection, connection.reserve(), False)
            self._dialForAll()

    def _undialled(self, dial: Dial, error: Exception) -> None:
        self._dials.remove(dial)
        self._pool.log.debug("{origin}: not connected: {error}", origin=self.name, error=error)
        for connection in self.connections:
            if connection.multiplexed and connection.isUsable():
                # It is full, or they would not have waited for another. To queue is better than
                # to fail.
                self._pool.busy(connection)
                self._serveAll(connection, True)
                return
        # Whoever has a dial left still has hope.
        hopeless = len(self._waiting) - len(self._dials)
        # Out of the queue first: who is told may send again at once, and gets a dial of its own.
        for lease in [self._waiting.popitem(last=False)[0] for _ in range(hopeless)]:
            lease.undialled(error)
        self._pool.tidy(self)

    # -- connections ---------------------------------------------------------------------------

    def _use(self, lease: Lease, connection: IHTTPConnection, reserved: bool, reused: bool) -> None:
        lease.use(connection, reserved, reused)
        most = self._pool.maxRequestsPerConnection
        if most is not None and connection.issued >= most:
            self._pool.log.debug("{origin}: {n} requests are enough", origin=self.name, n=most)
            connection.close()

    def _serve(self, connection: IHTTPConnection, reserved: bool, reused: bool) -> None:
        """The oldest waiter goes on a connection."""
        lease, _ = self._waiting.popitem(last=False)
        self._use(lease, connection, reserved, reused)

    def _serveAll(self, connection: IHTTPConnection, reused: bool) -> None:
        """Everybody who waits now goes on an HTTP/2 connection, to queue there if it is full."""
        for lease in list(self._waiting):
            # One that was sent, or could not be, may have cancelled others or closed the pool.
            if lease in self._waiting:
                del self._waiting[lease]
                self._use(lease, connection, connection.reserve(), reused)

    def idle(self, connection: IHTTPConnection) -> None:
        """A connection may take requests: give it to those who wait, keep it, or close it."""
        if connection in self._serving:
            # One that was put on it has failed at once. Whoever serves them goes on: not from in
            # here, as many may do so one after the other.
            return
        self._serving.add(connection)
        try:
            while self._waiting and connection.isUsable() and connection.reserve():
                self._serve(connection, True, True)
        finally:
            self._serving.discard(connection)
        # Of one that is in doubt there will be news.
        if connection.openCount or connection.isSuspect:
            return
        if not self._pool.persistent or not connection.isUsable():
            connection.close()
        else:
            self._pool.idle(connection)
            if not connection.multiplexed:
                self._trim()

    def _trim(self) -> None:
        """Keep no more idle HTTP/1.1 connections than the pool allows; the oldest goes."""
        idle = [
            connection
            for connection in self.connections
            if not connection.multiplexed and not connection.openCount and connection.isUsable()
        ]
        for connection in idle[: -self._pool.maxPersistentPerHost or None]:
            connection.close()

    def _closed(self, ignored: None, connection: IHTTPConnection) -> None:
        self.connections.remove(connection)
        self._pool.log.debug("{origin}: a connection has ended", origin=self.name)
        self._pool.gone(connection)
        self._pool.tidy(self)
