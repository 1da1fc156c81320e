"""
The body of one response, on its way to its reader.

Owns the reader, what waits for it, why the body is not complete, and what comes behind it. The
user's side comes in through the body's transport (:class:`BodyTransport`), in any order and from
within any call. :mod:`txhyper.protocol.exchange`, whose class builds on this one, passes on what
the connection tells. Credit follows delivery: what no reader has taken is not paid for.

Once the response is out, nothing here refers to it until a reader has been given: a response that
nobody wants is garbage at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import AlreadyCalledError, Deferred
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from zope.interface import implementer

from txhyper.core.inbound import Inbound
from txhyper.core.streams import ENDED
from txhyper.errors import StreamAborted
from txhyper.protocol.ending import COMPLETE, Ending
from txhyper.protocol.failures import RESPONSE_DONE, asResponseFailure
from txhyper.protocol.pushes import NO_PUSHES, Pushes

if TYPE_CHECKING:
    from txhyper.core.bounds import Bounds
    from txhyper.core.headers import Field
    from txhyper.core.streams import Stream
    from txhyper.protocol.response import Response
    from txhyper.protocol.timeouts import RequestLimits
    from txhyper.protocol.wire import Wire

__all__ = ["CANCEL", "BodyTransport", "ReadingSide"]

#: The code of RST_STREAM with which a stream is given up (RFC 9113 section 7).
CANCEL = 0x8


class ReadingSide:
    """
    What an exchange does with a response's body.

    :ivar stream: the stream, once the request has been sent.
    """

    __slots__ = (
        "_ending",
        "_error",
        "_inbound",
        "_isFramed",
        "_limits",
        "_pushes",
        "_reader",
        "_response",
        "_wire",
        "stream",
    )

    _log = Logger()

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.stream: Stream | None = None
        # The reader of the body, between deliverBody and its connectionLost; likewise the
        # response, for the failure that needs it.
        self._reader: IProtocol | None = None
        self._response: Response | None = None
        # Whether the reader wants each frame as it came, empty ones included.
        self._isFramed = False
        # The request's time limits, if it has some.
        self._limits: RequestLimits | None = None
        # Made when octets have to wait for the reader.
        self._inbound: Inbound | None = None
        # Made when trailers come, or somebody waits for them.
        self._ending: Ending | None = None
        # Why the body is not complete.
        self._error: Exception | None = None
        # Made when a response is promised beside this one, or somebody asks for such.
        self._pushes: Pushes | None = None

    @property
    def name(self) -> str:
        """The origin and the stream, for messages."""
        stream = "" if self.stream is None else f": stream {self.stream.id}"
        return f"{self._wire.origin}{stream}"

    @property
    def bounds(self) -> Bounds:
        """The connection's limits."""
        return self._wire.bounds

    def later(self, call: Callable[..., object], *args: object) -> None:
        """Call in the next turn of the reactor."""
        self._wire.later(call, *args)

    def opened(self) -> Stream:
        """The stream, where it is certain that there is one."""
        assert self.stream is not None
        return self.stream

    def _reset(self, code: int) -> None:
        if self.stream is not None:
            self._wire.reset(self.stream, code)

    # -- what the user does --------------------------------------------------------------------

    def deliver(self, response: Response, reader: IProtocol, isFramed: bool) -> None:
        """
        The body has a reader from now on. One that raises at once gives the body up.

        :param isFramed: whether it wants each DATA frame as it came, empty ones included.
        """
        self._reader = reader
        self._response = response
        self._isFramed = isFramed
        if self._limits is not None and not self._isComplete:
            self._limits.begin("bodyIdle")
        inbound = self._inbound
        if inbound is not None:
            # Nothing is delivered to a reader that is not connected yet.
            inbound.delivering = True
        try:
            reader.makeConnection(BodyTransport(self))  # type: ignore[arg-type]  # read only
        except BaseException:
            self.giveUp()
            raise
        if inbound is not None:
            inbound.delivering = False
            self._drain(inbound)

    def pause(self) -> None:
        """The reader wants nothing for now."""
        if self._reader is not None:
            self._hold().paused = True
            self._wire.readerPaused(self.opened())
            if self._limits is not None:
                self._limits.end("bodyIdle")

    def resume(self) -> None:
        """The reader wants what is there, and what comes."""
        if self._inbound is not None:
            self._inbound.paused = False
            if self._limits is not None and not self._isComplete:
                self._limits.begin("bodyIdle")
            self._drain(self._inbound)

    def giveUp(self) -> None:
        """The reader wants nothing any more."""
        reader, response = self._reader, self._response
        if reader is None or response is None:
            return
        if self._inbound is not None:
            self._inbound.discard()
        self._reader = self._response = self._inbound = None
        self._abandon("its reader gave the body up")
        # Never from within a call of the reader's own.
        self._wire.later(self._conclude, reader, response)

    def forgotten(self) -> None:
        """The reader is garbage, for those who held it. This may run in any thread."""
        self._wire.fromAnyThread(self.giveUp)

    def unread(self) -> None:
        """The response is garbage. This may run in any thread, at any moment."""
        if not self.opened().closed:
            self._wire.fromAnyThread(self._abandon, "nobody has read the body")

    def _abandon(self, why: str) -> None:
        """Reset the stream, if the body is not complete."""
        if self._limits is not None:
            self._limits.over()
        if self._error is None:
            self._error = StreamAborted(f"{self.name}: {why} (CANCEL)", self.opened().id, CANCEL)
            self._reset(CANCEL)
            if self._ending is not None:
                self._ending.over(self._error)
            if self._pushes is not None:
                self._pushes.over()

    # -- the body ------------------------------------------------------------------------------

    def received(self, data: bytes, size: int) -> None:
        """
        Content has come.

        :param size: its flow-controlled length.
        """
        reader = self._reader
        if reader is not None and self._inbound is None:
            if self._limits is not None:
                self._limits.begin("bodyIdle")
            if data or self._isFramed:
                self._hand(reader, data)
            if size:
                self._wire.consumed(self.opened(), size)
        elif size or reader is None or self._isFramed:
            # Nobody knows yet whether the reader will want the empty ones.
            self._hold().hold(data, size)

    @property
    def isRead(self) -> bool:
        """Whether somebody reads the body, and has not been told of its end."""
        return self._reader is not None

    def _hold(self) -> Inbound:
        if self._inbound is None:
            self._inbound = Inbound()
        return self._inbound

    def _hand(self, reader: IProtocol, data: bytes) -> None:
        """Give octets to the reader. One that raises loses its stream, and no other."""
        try:
            reader.dataReceived(data)
        except Exception:  # noqa: BLE001 - a user's code must not end a connection that is shared
            self._log.failure("{name}: the reader of the body raised", name=self.name)
            self.giveUp()

    def _drain(self, inbound: Inbound) -> None:
        """Deliver what is held until the reader pauses again, and credit it in one go."""
        reader, response = self._reader, self._response
        if reader is None or response is None or inbound.delivering:
            return
        inbound.delivering = True
        total = 0
        while (frame := inbound.take()) is not None:
            if frame[0] or self._isFramed:
                self._hand(reader, frame[0])
            total += frame[1]
        inbound.delivering = False
        if total:
            self._wire.consumed(self.opened(), total)
        # A reader that has given up meanwhile has left it behind.
        if inbound is self._inbound and inbound.exhausted:
            self._inbound = None
            if inbound.ended:
                self._conclude(reader, response)

    def trailed(self, fields: Iterable[Field]) -> None:
        """The trailer section has come; the end follows."""
        if self._ending is None:
            self._ending = Ending()
        self._ending.trailed(fields)

    def whenTrailers(self) -> Deferred[Headers]:
        """As :meth:`txhyper.interfaces.IHyperResponse.whenTrailers`."""
        if self._ending is None:
            self._ending = Ending()
            if self._isComplete:
                self._ending.over(self._error)
        return self._ending.whenTrailers()

    def pushes(self) -> Pushes:
        """The promises that come with this response."""
        if self._pushes is None:
            self._pushes = NO_PUSHES if self._isComplete else Pushes()
        return self._pushes

    @property
    def _isComplete(self) -> bool:
        """Whether nothing more will come of the response."""
        return self._error is not None or self.opened().receiving == ENDED

    def _end(self) -> None:
        """Nothing more will come: tell the reader, when it has had everything."""
        if self._limits is not None:
            self._limits.over()
        if self._ending is not None:
            self._ending.over(self._error)
        if self._pushes is not None:
            self._pushes.over()
        reader, response = self._reader, self._response
        if self._inbound is None and reader is not None and response is not None:
            self._conclude(reader, response)
        else:
            self._hold().ended = True

    def _conclude(self, reader: IProtocol, response: Response) -> None:
        """Tell a reader that nothing more will come."""
        self._reader = self._response = None
        if self._error is None:
            reason = RESPONSE_DONE
            ending = self._ending or COMPLETE
        else:
            reason = asResponseFailure(self._error, response)
            ending = self._ending or Ending()
            ending.over(self._error)
        response.concluded(ending, self._pushes or NO_PUSHES)
        try:
            reader.connectionLost(reason)
        except Exception as raised:  # noqa: BLE001 - as for dataReceived
            if isinstance(raised, AlreadyCalledError) and isinstance(self._error, StreamAborted):
                # Twisted's own readBody, when it was cancelled: its Deferred has fired by then.
                return
            self._log.failure("{name}: the reader of the body raised at its end", name=self.name)


@implementer(IPushProducer)
class BodyTransport:
    """
    The transport of a body's reader: one stream, never the connection.

    Pausing withholds the stream's credit. :meth:`stopProducing`, :meth:`loseConnection` and
    :meth:`abortConnection` all reset the stream, if the body is not complete, and the reader's
    ``connectionLost`` follows in a later turn. After the end, each of these does nothing.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: ReadingSide) -> None:
        self._exchange = exchange

    @property
    def disconnecting(self) -> bool:
        """What some protocols look at within ``dataReceived``, to know whether to go on."""
        return not self._exchange.isRead

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`."""
        self._exchange.pause()

    def resumeProducing(self) -> None:
        """Deliver what is held, and whatever comes."""
        self._exchange.resume()

    def stopProducing(self) -> None:
        """Give the body up."""
        self._exchange.giveUp()

    def loseConnection(self) -> None:
        """Give the body up."""
        self._exchange.giveUp()

    def abortConnection(self) -> None:
        """Give the body up."""
        self._exchange.giveUp()

    def forget(self) -> None:
        """Give the body up, from whatever thread the garbage collector runs in."""
        self._exchange.forgotten()
