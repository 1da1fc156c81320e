"""
The way of a body to its reader over HTTP/1.1.

Owns the place between Twisted's response and the reader: it is the reader of the one and the
transport of the other. Twisted delivers all of what it has read, whatever the reader asks of its
transport meanwhile; here it is held back while the reader pauses, and so is the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse
from zope.interface import implementer

from txhyper.errors import BodyError, ConnectionTerminated, Initiator
from txhyper.protocol.timeouts import RequestLimits

__all__ = ["BodyTransport"]


@implementer(IPushProducer)
class BodyTransport(Protocol):
    """
    What the reader of a body has as its transport, and what Twisted has as the reader.

    While nobody pauses, octets go straight to the reader: its ``dataReceived`` then stands in the
    place of the one here.
    """

    def __init__(
        self,
        proxy: Any,
        limits: RequestLimits | None,
        origin: str,
        giveUp: Callable[[Exception], None],
        fromAnyThread: Callable[..., None],
    ) -> None:
        """
        :param proxy: Twisted's, which does nothing once the response is over.
        :param origin: for messages.
        :param giveUp: aborts the connection; it is given the reason.
        :param fromAnyThread: calls in the reactor's thread.
        """
        self._proxy = proxy
        self._limits = limits
        self._origin = origin
        self._giveUp = giveUp
        self._fromAnyThread = fromAnyThread
        # Until it has been told of the end: it refers to this, its transport.
        self._reader: IProtocol | None = None
        self._response: IResponse | None = None
        # What came while the reader paused, and before it was there.
        self._held: deque[bytes] = deque()
        self._isPaused = False
        # Whether the connection has been paused, and nobody has said that it may go on.
        self._isHolding = False
        # Whether nothing is to be delivered from within, since somebody else will.
        self._isDelivering = True
        # Whether the reader has given the body up, and gets nothing more but its end.
        self._isGivenUp = False
        # Why the body has ended, until the reader has had all of it.
        self._reason: Failure | None = None

    @property
    def disconnecting(self) -> bool:
        """What some protocols look at within ``dataReceived``, to know whether to go on."""
        return self._isGivenUp or self._reader is None

    def deliver(self, response: IResponse, reader: IProtocol) -> None:
        """
        The body gets its reader.

        :param response: Twisted's.
        :raises RuntimeError: it has one already.
        """
        # All that has come is held, and perhaps the end: so it is known what is over when the
        # reader asks for something as it begins.
        response.deliverBody(self)
        self._reader, self._response = reader, response
        try:
            reader.makeConnection(self)  # type: ignore[arg-type]  # read only
        except BaseException:
            self.abortConnection()
            raise
        finally:
            self._isDelivering = False
            self._deliver()

    # -- what Twisted calls ----------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Octets have come that are not for the reader now."""
        if not self._isGivenUp:
            self._held.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body has ended; the reader is told when it has had all of it."""
        self._reason = reason
        self._deliver()

    # -- the way to the reader -------------------------------------------------------------------

    def _deliver(self) -> None:
        """Deliver what is held until the reader pauses, and then the end, if it has come."""
        reader = self._reader
        if reader is None or self._isDelivering:
            return
        self._isDelivering = True
        try:
            while self._held and not self._isPaused:
                reader.dataReceived(self._held.popleft())
        except BaseException:
            # The reader's own: it gets nothing more but its end.
            self._isDelivering = False
            self.abortConnection()
            raise
        self._isDelivering = False
        if self._isPaused:
            return
        if self._reason is not None:
            self._end(reader, self._reason)
        elif not self._isGivenUp:
            self._open(reader)

    def _open(self, reader: IProtocol) -> None:
        """There is nothing between the connection and the reader."""
        straight = reader.dataReceived
        if self._limits is not None:
            self._limits.begin("bodyIdle")
            straight = self._timed
        self.dataReceived = straight  # type: ignore[method-assign]
        if self._isHolding:
            self._isHolding = False
            self._proxy.resumeProducing()

    def _timed(self, data: bytes) -> None:
        """Octets for the reader, which has a limit on the time between them."""
        reader, limits = self._reader, self._limits
        assert reader is not None and limits is not None
        limits.begin("bodyIdle")
        reader.dataReceived(data)

    def _shut(self) -> None:
        """Octets are not for the reader now."""
        vars(self).pop("dataReceived", None)
        if self._limits is not None:
            self._limits.end("bodyIdle")

    def _end(self, reader: IProtocol, reason: Failure) -> None:
        self._shut()
        response, self._reader, self._response = self._response, None, None
        if self._isGivenUp and reason.check(ResponseDone, PotentialDataLoss):
            # It was complete, but nobody waited for that.
            error = BodyError(f"{self._origin}: the reader gave the body up")
            error.initiator = Initiator.USER
            reason = Failure(ResponseFailed([Failure(error)], response))
        reader.connectionLost(reason)

    # -- what the reader asks for ----------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`, nor the end."""
        if not (self._isPaused or self.disconnecting):
            self._isPaused = self._isHolding = True
            self._shut()
            self._proxy.pauseProducing()

    def resumeProducing(self) -> None:
        """Deliver what is held, and whatever comes."""
        self._isPaused = False
        self._deliver()

    def stopProducing(self) -> None:
        """Give the body up."""
        self.abortConnection()

    def loseConnection(self) -> None:
        """Give the body up."""
        self.abortConnection()

    def abortConnection(self) -> None:
        """
        Give the body up, which over HTTP/1.1 costs the connection; after its end, what is held.
        """
        if self.disconnecting:
            return
        self._isGivenUp = True
        self._isPaused = False
        self._held.clear()
        self._shut()
        if self._reason is None:
            error = ConnectionTerminated(f"{self._origin}: the reader gave the body up")
            error.initiator = Initiator.USER
            self._giveUp(error)
        else:
            # Nobody else will tell the end. From within a delivery, it is told when that is over.
            self._deliver()

    def forget(self) -> None:
        """Give the body up, from whatever thread the garbage collector runs in."""
        self._fromAnyThread(self.abortConnection)
