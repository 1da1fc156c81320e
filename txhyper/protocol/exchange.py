"""
One request and its response, from the queue to the end of both bodies.

Owns what a stream means to its user: the claim that is told about the response, the reader of the
body, the producer of the upload. The connection tells it facts by the methods in past tense; the
user's side comes in through the response, the body's transport and the upload. It never writes:
it asks the wire.

Once the response is out, nothing here refers to it until a reader has been given: a response that
nobody wants is garbage at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import AlreadyCalledError, CancelledError
from twisted.internet.interfaces import IProtocol
from twisted.logger import Logger
from twisted.web.iweb import IResponse

from txhyper.core.headers import ResponseHead, check_http2
from txhyper.core.inbound import Inbound
from txhyper.core.streams import ENDED
from txhyper.errors import StreamAborted
from txhyper.interfaces import IClaim
from txhyper.protocol.failures import RESPONSE_DONE, asResponseFailure
from txhyper.protocol.response import BodyTransport, Response
from txhyper.protocol.upload import Upload

if TYPE_CHECKING:
    from txhyper.core.streams import Stream
    from txhyper.protocol.request import Request
    from txhyper.protocol.wire import Wire

__all__ = ["Exchange"]

#: RST_STREAM codes (RFC 9113 section 7).
NO_ERROR, CANCEL = 0x0, 0x8


class Exchange:
    """
    One request on one connection.

    :ivar stream: the stream, once the request has been sent.
    """

    __slots__ = (
        "_claim",
        "_error",
        "_inbound",
        "_reader",
        "_response",
        "_upload",
        "_wire",
        "request",
        "stream",
    )

    _log = Logger()

    def __init__(self, wire: Wire, request: Request, claim: IClaim) -> None:
        self._wire = wire
        self.request = request
        # None once it has been told.
        self._claim: IClaim | None = claim
        self.stream: Stream | None = None
        self._upload: Upload | None = None
        # The reader of the body, between deliverBody and its connectionLost; likewise the
        # response, for the failure that needs it.
        self._reader: IProtocol | None = None
        self._response: IResponse | None = None
        # Made when octets have to wait for the reader.
        self._inbound: Inbound | None = None
        # Why the body is not complete.
        self._error: Exception | None = None

    @property
    def name(self) -> str:
        """The origin and the stream, for messages."""
        stream = "" if self.stream is None else f": stream {self.stream.id}"
        return f"{self._wire.origin}{stream}"

    def opened(self) -> Stream:
        """The stream, where it is certain that there is one."""
        assert self.stream is not None
        return self.stream

    # -- the request ---------------------------------------------------------------------------

    def send(self) -> None:
        """
        Open a stream and send the request.

        :raises HyperError: it cannot be sent; nothing was, and no stream was opened.
        """
        request = self.request
        authority, fields = request.fields()
        check_http2(fields)
        body = request.body
        self.stream = self._wire.open(self, authority, fields, body is None)
        if body is not None:
            request.bodyStarted = True
            # The producer's own length, or what the caller said where it knows none.
            announced = [int(value) for name, value in fields if name == b"content-length"]
            self._upload = Upload(self, body, announced[0] if announced else None)
            self._upload.start()

    def write(self, data: bytes) -> bool:
        """Queue octets of the upload. :return: whether its producer has to pause."""
        return self._wire.queue(self.opened(), data)

    def resumeUpload(self) -> None:
        """The octets queued for the stream have drained."""
        if self._upload is not None:
            self._upload.resume()

    def uploadFinished(self) -> None:
        """The producer has written everything."""
        self._upload = None
        self._wire.finishUpload(self.opened())

    def uploadFailed(self, error: Exception) -> None:
        """The producer failed, or wrote more or less than it had announced."""
        self._reset(CANCEL)
        if self._claim is not None:
            self.failed(error)
        else:
            # The response's reader may be the one who made the producer fail, within a call.
            self._wire.later(self.failed, error)

    def _stopUpload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.stop()

    def _reset(self, code: int) -> None:
        self._stopUpload()
        if self.stream is not None:
            self._wire.reset(self.stream, code)

    # -- what the connection tells -------------------------------------------------------------

    def responded(self, head: ResponseHead) -> None:
        """The final response's head has come."""
        if head.status >= 300:
            # The server does not want what this request carries. 2xx may be full duplex.
            self._stopUpload()
        claim, self._claim = self._claim, None
        # A producer may have cancelled the request when it was stopped.
        if claim is not None:
            claim.responded(Response(self, head, self.opened().remaining))

    def received(self, data: bytes, size: int) -> None:
        """
        Content has come.

        :param size: its flow-controlled length.
        """
        if not size:
            # An empty frame says nothing, and a peer may send any number of them.
            return
        reader = self._reader
        if reader is not None and self._inbound is None:
            self._hand(reader, data)
            self._wire.consumed(self.opened(), size)
        else:
            self._hold().hold(data, size)

    def finished(self) -> None:
        """The response is complete."""
        if self.opened().sending:
            # The server has answered in full and needs no more (RFC 9113 section 8.1). Not at once:
            # what is queued may end the stream in this turn, or the server's own RST_STREAM may.
            self._stopUpload()
            self._wire.later(self._reset, NO_ERROR)
        self._end()

    def failed(self, error: Exception) -> None:
        """The stream has ended before it was done."""
        self._stopUpload()
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.failed(error)
        elif self.stream is not None:
            # A response that is complete stays so, whatever becomes of the upload.
            if self.stream.receiving != ENDED:
                self._error = error
            self._end()

    # -- what the user does --------------------------------------------------------------------

    def cancel(self) -> None:
        """Give the request up, if its response has not come."""
        if self._claim is not None:
            self._reset(CANCEL)
            self.failed(CancelledError())

    def deliver(self, response: Response, reader: IProtocol) -> None:
        """The body has a reader from now on. One that raises at once gives the body up."""
        self._reader = reader
        self._response = response
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

    def resume(self) -> None:
        """The reader wants what is there, and what comes."""
        if self._inbound is not None:
            self._inbound.paused = False
            self._drain(self._inbound)

    def giveUp(self) -> None:
        """The reader wants nothing any more."""
        reader, response = self._reader, self._response
        if reader is None or response is None:
            return
        if self._inbound is not None:
            self._inbound.discard()
        self._reader = self._response = self._inbound = None
        if self._error is None:
            self._error = StreamAborted(
                f"{self.name}: its reader gave the body up (CANCEL)", self.opened().id, CANCEL
            )
            self._reset(CANCEL)
        # Never from within a call of the reader's own.
        self._wire.later(self._conclude, reader, response)

    def unread(self) -> None:
        """The response is garbage. This may run in any thread, at any moment."""
        if not self.opened().closed:
            self._wire.fromAnyThread(self._reset, CANCEL)

    # -- the body ------------------------------------------------------------------------------

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
        if not data:
            return  # Nothing but padding.
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

    def _end(self) -> None:
        """Nothing more will come: tell the reader, when it has had everything."""
        reader, response = self._reader, self._response
        if self._inbound is None and reader is not None and response is not None:
            self._conclude(reader, response)
        else:
            self._hold().ended = True

    def _conclude(self, reader: IProtocol, response: IResponse) -> None:
        """Tell a reader that nothing more will come."""
        self._reader = self._response = None
        if self._error is None:
            reason = RESPONSE_DONE
        else:
            reason = asResponseFailure(self._error, response)
        try:
            reader.connectionLost(reason)
        except Exception as raised:  # noqa: BLE001 - as for dataReceived
            if isinstance(raised, AlreadyCalledError) and isinstance(self._error, StreamAborted):
                # Twisted's own readBody, when it was cancelled: its Deferred has fired by then.
                return
            self._log.failure("{name}: the reader of the body raised at its end", name=self.name)
