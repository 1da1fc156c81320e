"""
One origin's connections, its dials, and who waits for them.

Owns what is known of one scheme, host and port: the connections that are alive, the dials under
way, and which protocol the server speaks. Places each lease by :mod:`txhyper.core.selection`.
Reads no header and keeps no time: connections and the pool do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txhyper.client.dial import Dial
from txhyper.client.states import OriginState
from txhyper.client.waiting import Waiting
from txhyper.core.selection import has_to_dial
from txhyper.errors import ConnectionUnusable
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.timeouts import Timer

if TYPE_CHECKING:
    from txhyper.client.lease import Lease
    from txhyper.client.pool import ConnectionPool
    from txhyper.client.route import Route
    from txhyper.client.visit import Visit

__all__ = ["Origin"]

#: What is offered to a server that has asked for HTTP/1.1.
HTTP11_ONLY = (b"http/1.1",)


class Origin:
    """
    One origin, as the pool knows it.

    :ivar route: the way there.
    :ivar name: for messages, such as ``https://example.com``.
    :ivar connections: those that requests go on, oldest first; perhaps one that is another origin's
        as well.
    """

    __slots__ = (
        "_changed",
        "_dials",
        "_fresh",
        "_http11",
        "_mayGrow",
        "_multiplexed",
        "_pool",
        "_shared",
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
        self._waiting = Waiting(pool.reactor)
        # While those who wait are being placed: the connections that have changed meanwhile.
        self._changed: dict[IHTTPConnection, None] | None = None
        # The connection that has just been made, if one has.
        self._fresh: IHTTPConnection | None = None
        # Those that another origin has made, until they end: something may be open there.
        self._shared: set[IHTTPConnection] = set()
        # Whether another connection is worth a try, beside one that is full.
        self._mayGrow = True
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
        return self._waiting.isEmpty and not (self.connections or self._shared or self._dials)

    def place(self, lease: Lease | Visit) -> None:
        """Put a request on a connection, dial for it, or let it wait: for a dial, or for a slot."""
        connection = None if self._waiting else self._room()
        if connection is not None:
            self._use(lease, connection)
            return
        if not self._waiting:
            # Those that have no streams to give for now are not idle: somebody waits for them.
            for connection in self.connections:
                self._pool.retirement.busy(connection)
        self._waiting.add(lease)
        self._mayGrow = True
        self._serve()
        if lease in self._waiting:
            self._time(lease, len(self._waiting) - 1)

    def state(self) -> OriginState:
        """A snapshot."""
        connections = [connection.state() for connection in self.connections]
        waiting = len(self._waiting) + self._waiting.resting
        return OriginState(self.name, len(self._dials), waiting, connections)

    def placeLater(self, lease: Lease, seconds: float) -> None:
        """Place a request that failed, after a pause."""
        if seconds:
            self._waiting.rest(lease, seconds, self.place)
        else:
            self.place(lease)

    def mayRetry(self, connection: IHTTPConnection | None, attempts: int) -> bool:
        """Whether a request that failed here, after so many attempts, may go elsewhere."""
        pool = self._pool
        return (
            pool.retryAutomatically
            and attempts < pool.bounds.attempts
            and connection not in pool.closing
        )

    def requireHTTP11(self) -> bool:
        """
        The server wants HTTP/1.1 (HTTP_1_1_REQUIRED): offer nothing else from now on. Requests
        that are open over HTTP/2 may finish there; those that wait move on.

        :return: whether HTTP/1.1 may be spoken here at all.
        """
        if HTTP11_ONLY[0] not in self.route.offers:
            return False
        dials: list[Dial] = []
        if not self._http11:
            # They have offered HTTP/2.
            dials, self._dials = self._dials, dials
        self._http11 = True
        self._multiplexed = False
        for dial in dials:
            dial.cancel()
        for lease in self._waiting if dials else ():
            if lease.limits is not None:
                # They wait for another dial, from its beginning.
                lease.limits.placed()
        for connection in list(self.connections):
            if connection.multiplexed:
                self.renounce(connection)
        self._serve()
        return True

    def renounce(self, connection: IHTTPConnection) -> None:
        """
        The server does not want our requests on a connection: put no more on it. What is open there
        may finish.
        """
        if connection in self.connections:
            if connection in self._shared:
                self.connections.remove(connection)
                self._pool.coalescing.part(connection, self)
                self._serve()
            else:
                connection.close()

    def leave(self, lease: Lease | Visit) -> None:
        """
        A waiter has been cancelled, or one in a pause; the dials that nobody waits for any more go
        with it.
        """
        self._waiting.leave(lease)
        while len(self._dials) > len(self._waiting):
            self._dials.pop().cancel()
        if not self._multiplexed:
            # Those behind move up, each to the dial of the one before.
            self._timeAll()
        if not self._waiting:
            for connection in list(self.connections):
                self._rest(connection)
        self._pool.tidy(self)

    def close(self, error: ConnectionUnusable) -> None:
        """
        Dial no more and fail those who wait for it, or for another attempt; close every connection,
        once its open requests are done.
        """
        dials, self._dials = self._dials, []
        for dial in dials:
            dial.cancel()
        for lease in self._waiting.dismiss():
            lease.abandon(error)
        for connection in list(self.connections):
            self._pool.retirement.busy(connection)
            connection.close()
        self._pool.tidy(self)

    # -- who waits -----------------------------------------------------------------------------

    def _serve(self) -> None:
        """
        Whoever waits goes where there is room, the oldest first; for who finds none a connection is
        dialled, if there may be another.
        """
        if self._changed is not None:
            # Somebody who was sent has failed at once, or has sent others. Whoever serves them goes
            # on: not from in here, as many may do so one after the other.
            return
        changed = self._changed = {}
        hasDialled = False
        try:
            while self._waiting:
                connection = self._room()
                if connection is not None:
                    self._use(self._waiting.take(), connection)
                elif self._hasToDial():
                    hasDialled = True
                    self._dial()
                else:
                    break
        finally:
            self._changed = self._fresh = None
        if hasDialled:
            self._timeAll()
        for connection in changed:
            self._rest(connection)

    def usable(self) -> IHTTPConnection | None:
        """The oldest connection that takes requests, now or when a slot is free."""
        return next((each for each in self.connections if each.isUsable()), None)

    def _room(self) -> IHTTPConnection | None:
        """A slot, reserved, on the oldest connection that has one."""
        for connection in self.connections:
            if connection.isUsable() and connection.reserve():
                return connection
        return None

    def _hasToDial(self) -> bool:
        usable = sum(connection.isUsable() for connection in self.connections)
        maximum = self._pool.maxConnectionsPerHost if self._mayGrow else usable
        dials = len(self._dials)
        return has_to_dial(usable, maximum, dials, len(self._waiting), self._multiplexed)

    def changed(self, connection: IHTTPConnection) -> None:
        """A connection can take more than before, or nothing any more."""
        if self._changed is not None:
            self._changed[connection] = None
            return
        if self._waiting:
            self._serve()
        self._rest(connection)

    def _timeAll(self) -> None:
        """What those who wait are waiting for has changed."""
        for index, lease in enumerate(self._waiting):
            self._time(lease, index)

    def _time(self, lease: Lease | Visit, index: int) -> None:
        """
        What a request waits for has its time limit.

        :param index: its place among those who wait.
        """
        limits = lease.limits
        if limits is None:
            return
        if self._multiplexed and any(c.isUsable() for c in self.connections):
            limits.queued()
            return
        # Over HTTP/1.1 each has its own, in the order they came.
        dials = self._dials[:1] if self._multiplexed else self._dials[index : index + 1]
        for dial in dials:
            limits.dialling(dial.isConnected)

    # -- dials ---------------------------------------------------------------------------------

    def _dial(self) -> None:
        pool = self._pool
        offers = HTTP11_ONLY if self._http11 else self.route.offers
        isPriorKnowledge = self.route.isPriorKnowledge and not self._http11
        factory = pool.factory(self.route, offers, isPriorKnowledge, self.changed)
        dial = Dial(factory, pool.handshakeTimeout, self._connected, self._dialled, self._undialled)
        self._dials.append(dial)
        try:
            endpoint = self.route.endpoint()
        except Exception as error:  # noqa: BLE001 - a user's factory: its error is the request's
            if dial in self._dials:
                self._undialled(dial, error)
        else:
            # It may have cancelled the request as well, or closed the pool.
            if dial in self._dials:
                search = pool.coalescing.search(self) if self._multiplexed else None
                dial.start(pool.reactor, endpoint, search)

    def _connected(self, dial: Dial) -> None:
        """TCP has connected: the handshake begins, for all who wait for this dial."""
        self._timeAll()

    def _dialled(self, dial: Dial, connection: IHTTPConnection) -> None:
        self._dials.remove(dial)
        self._multiplexed = connection.multiplexed
        self.connections.append(connection)
        if dial.found is not None:
            self._shared.add(dial.found)
            self._pool.coalescing.share(dial.found, self)
            what = "shares the connection of another origin"
        else:
            self._pool.retirement.born(connection, self._pool.maxConnectionAge)
            what = "connected, " + ("HTTP/2" if connection.multiplexed else "HTTP/1.1")
        self._pool.log.debug("{origin}: {what}", origin=self.name, what=what)
        connection.whenClosed().addCallback(self._closed, connection)
        if self._waiting and dial.found is None:
            self._fresh = connection
            # A new one has room for one request, which goes there at once, also if others are being
            # served: by then it may be gone again, and to dial once more without an attempt that
            # counts would have no end.
            connection.reserve()
            self._use(self._waiting.take(), connection)
        self.changed(connection)
        if self._changed is None:
            self._fresh = None
        self._timeAll()

    def _undialled(self, dial: Dial, error: Exception) -> None:
        self._dials.remove(dial)
        self._pool.log.debug("{origin}: not connected: {error}", origin=self.name, error=error)
        if any(c.multiplexed and c.isUsable() for c in self.connections):
            # It is full, or they would not have waited for another. To go on waiting is better than
            # to fail.
            self._mayGrow = False
            self._timeAll()
            return
        # Whoever has a dial left still has hope.
        self._waiting.fail(len(self._waiting) - len(self._dials), error)
        self._pool.tidy(self)

    # -- connections ---------------------------------------------------------------------------

    def _use(self, lease: Lease | Visit, connection: IHTTPConnection) -> None:
        """A request goes on a connection, where a slot is reserved for it."""
        self._pool.retirement.busy(connection)
        lease.use(connection, connection is not self._fresh)
        most = self._pool.maxRequestsPerConnection
        if most is not None and connection.issued >= most:
            self._pool.log.debug("{origin}: {n} requests are enough", origin=self.name, n=most)
            connection.close()

    def _rest(self, connection: IHTTPConnection) -> None:
        """A connection that has nothing to do is kept for a while, or closed."""
        # Of one that is in doubt there will be news.
        if connection.openCount or connection.isSuspect:
            return
        if not self._pool.persistent or not connection.isUsable():
            connection.close()
        elif not self._waiting:
            self._pool.retirement.idle(connection)
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
        self._shared.discard(connection)
        # One that was shared may be so no longer.
        if connection in self.connections:
            self.connections.remove(connection)
            self._pool.log.debug("{origin}: a connection has ended", origin=self.name)
            self._pool.retirement.gone(connection)
            self._serve()
        self._pool.tidy(self)
