"""
One request and its response, from the queue to the end of both bodies.

Owns what a stream means to its user: the claim that is told about the response, the producer of
the upload; the body's reader is :mod:`txhyper.protocol.reading`'s, which this builds on. The
connection tells it facts by the methods in past tense; the user's side comes in through the
response, the body's transport and the upload. It never writes: it asks the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed

from txhyper.core.headers import PromiseHead, ResponseHead, check_http2
from txhyper.core.origin_set import normal_origin
from txhyper.core.streams import ENDED, Stream
from txhyper.errors import BodyTimedOut, HyperError, PushRefused, ResponseTimedOut
from txhyper.interfaces import IClaim
from txhyper.protocol.expectation import producerOf
from txhyper.protocol.push import PromisedExchange
from txhyper.protocol.reading import CANCEL, ReadingSide
from txhyper.protocol.response import Response
from txhyper.protocol.tunnel_body import TunnelBody
from txhyper.protocol.upload import Upload

if TYPE_CHECKING:
    from txhyper.protocol.request import Request
    from txhyper.protocol.wire import Wire

__all__ = ["Exchange"]

#: RST_STREAM codes (RFC 9113 section 7).
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM = 0x0, 0x1, 0x7


class Exchange(ReadingSide):
    """One request on one connection."""

    __slots__ = ("_claim", "_isTunnel", "_upload", "request")

    def __init__(self, wire: Wire, request: Request, claim: IClaim) -> None:
        super().__init__(wire)
        self.request = request
        # None once it has been told.
        self._claim: IClaim | None = claim
        self._upload: Upload | None = None
        # Whether a CONNECT was answered with a 2xx.
        self._isTunnel = False

    # -- the request ---------------------------------------------------------------------------

    def send(self) -> None:
        """
        Open a stream and send the request.

        :raises HyperError: it cannot be sent; nothing was, and no stream was opened.
        """
        request = self.request
        authority, fields = request.fields()
        check_http2(fields)
        end = request.body is None and not request.hasTrailers
        self.stream = self._wire.open(self, authority, fields, end)
        if request.limits is not None:
            self._limits = request.limits
            self._limits.sent(self.name)
        if end:
            return
        wire = self._wire
        body, length = producerOf(request, fields, wire.reactor, wire.bounds.continue_timeout)
        if body is None:
            self.uploadFinished()
        else:
            self._upload = Upload(self, body, length)
            self._upload.start()

    def write(self, data: bytes) -> bool:
        """Queue octets of the upload. :return: whether its producer has to pause."""
        return self._wire.queue(self.opened(), data)

    def resumeUpload(self) -> None:
        """The octets queued for the stream have drained."""
        if self._upload is not None:
            self._upload.resume()

    def uploadFinished(self) -> None:
        """The producer has written everything: the trailers follow, if there are some."""
        self._upload = None
        try:
            self._wire.finishUpload(self.opened(), self.request.trailerFields())
        except HyperError as error:
            self.uploadFailed(error)
        except Exception:  # noqa: BLE001 - the trailers are made by a user's code
            self.uploadFailed(RequestGenerationFailed([Failure()]))

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
        super()._reset(code)

    # -- what the connection tells -------------------------------------------------------------

    def informed(self, head: ResponseHead) -> None:
        """An informational response has come."""
        if head.status == 100 and self._upload is not None:
            self._upload.proceed()
        self.request.inform(head.status, head.fields)

    def promised(self, stream: Stream, head: PromiseHead) -> None:
        """A response is promised that nobody has asked for (RFC 9113 section 8.4)."""
        promised = PromisedExchange(self._wire, stream, head)
        promise = promised.handOut()
        origin = normal_origin(head.scheme + b"://" + head.authority)
        own = normal_origin(self.request.scheme + b"://" + self.request.authority)
        if origin is None or (origin != own and not self._wire.covers(origin)):
            error = PushRefused(
                f"{promised.name}: a promise of {promise.uri!r}, for which the server does not "
                "speak (RFC 9113 section 8.4, PROTOCOL_ERROR)"
            )
            # By the class: an event that is kept is not to keep the request.
            Exchange._log.debug("{error}", error=error)
            promised.refuse(PROTOCOL_ERROR)
        elif not self.request.promised(promise):
            pushes = self.pushes()
            if pushes.waiting < self.bounds.promises:
                pushes.put(promise)
            else:
                # The engine counts those that are not complete; these may be, and each holds a
                # body that nobody reads.
                promised.refuse(REFUSED_STREAM)

    def responded(self, head: ResponseHead) -> None:
        """The final response's head has come."""
        if self._limits is not None:
            self._limits.responded(self.expire)
        if head.status < 300 and self.request.method == b"CONNECT":
            self._openTunnel()
        if head.status >= 300:
            # The server does not want what this request carries. 2xx may be full duplex.
            self._stopUpload()
        elif self._upload is not None:
            self._upload.proceed()
        claim, self._claim = self._claim, None
        # A producer may have cancelled the request when it was stopped.
        if claim is not None:
            claim.responded(Response(self, head, self.opened().remaining))

    def _openTunnel(self) -> None:
        """What the request asked for is there; how long it is used is not the request's time."""
        self._isTunnel = True
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.over()
        if isinstance(self.request.body, TunnelBody):
            self.request.body.opened(self)

    @property
    def unsent(self) -> int:
        """Octets of the upload that wait to leave."""
        outbound = self.opened().outbound
        return 0 if outbound is None else outbound.queued

    def closed(self, error: Exception | None = None) -> None:
        """The stream has ended both ways. A tunnel that is half closed hears of it only here."""
        if self._isTunnel:
            self._stopUpload()
            if isinstance(self.request.body, TunnelBody):
                self.request.body.closed(self.opened().outbound is not None, error)

    def finished(self) -> None:
        """The response is complete."""
        # The two ways of a tunnel end apart.
        if self.opened().sending and not self._isTunnel:
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
            self.closed(error)

    # -- what the user does --------------------------------------------------------------------

    def cancel(self, error: Exception) -> None:
        """Give the request up, if its response has not come."""
        if self._claim is not None:
            self.expire(error)

    def expire(self, error: Exception) -> None:
        """Give the request up, or what is still missing of its response."""
        if isinstance(error, (ResponseTimedOut, BodyTimedOut)):
            self._wire.suspect()
        self._reset(CANCEL)
        self.failed(error)
