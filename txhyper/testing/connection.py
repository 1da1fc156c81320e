"""
One client's connection to the embedded server: h2's server role as a Twisted protocol.

Owns the h2 object, the connection's streams and its one write. It never decides what to answer:
that is the :class:`~txhyper.testing.site.Site`'s. :mod:`txhyper.testing.server` puts it on a port;
tests give it a transport in memory.

How it is paced: a body is pulled only when the client's windows and the transport have room
(:mod:`txhyper.testing.pump`); the connection's own inbound window is paid at receipt, a stream's
when its endpoint has consumed the octets. Frames are given to h2 one at a time, so that a bad one
does not take along the events of the good ones before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Shape

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IHandshakeListener, INegotiated, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txhyper.errors import (
    BodyTooLarge,
    ConnectionTerminated,
    HyperError,
    StreamAborted,
    StreamReset,
    code_name,
)
from txhyper.testing.pump import FrameCutter, NotFrames, Pump
from txhyper.testing.responder import HeaderPairs, Responder
from txhyper.testing.site import Refusal, RequestBody, ServerRequest, Site

__all__ = ["ConnectionOwner", "HTTP2ServerProtocol"]

_CONNECTION_WINDOW = 16 * 1024 * 1024
_RFC_WINDOW = 65535


class ConnectionOwner(Shape):
    """Who wants to know which connections there are."""

    def connected(self, connection: HTTP2ServerProtocol) -> None:
        """A client has connected; its TLS handshake, if any, is still to come."""

    def disconnected(self, connection: HTTP2ServerProtocol) -> None:
        """The connection is gone, with all its streams."""


class _Stream:
    """One stream: its two halves, and what runs for it."""

    running: Deferred[object] | None = None
    #: Octets consumed that the client has not been paid for yet.
    unpaid = 0

    def __init__(self, responder: Responder, request: ServerRequest) -> None:
        self.responder = responder
        self.request = request


@implementer(IPushProducer, IHandshakeListener)
class HTTP2ServerProtocol(Protocol):
    """
    One client's connection.

    Over TLS it begins when the handshake is done and has led to ``h2``, and ends there and then if
    it has not; over TCP it begins at once (prior knowledge, RFC 9113 section 3.3).
    """

    # Besides ITransport it provides IConsumer, ITCPTransport's abortConnection and perhaps
    # INegotiated; no type says so.
    transport: Any
    _log = Logger()

    def __init__(
        self,
        site: Site,
        owner: ConnectionOwner,
        *,
        streamWindow: int = 256 * 1024,
        maxConcurrentStreams: int = 100,
    ) -> None:
        self._site = site
        self._owner = owner
        self._streamWindow = streamWindow
        self._maxConcurrentStreams = maxConcurrentStreams
        self._h2 = h2.connection.H2Connection(
            H2Configuration(client_side=False, header_encoding=None)
        )
        self._streams: dict[int, _Stream] = {}
        self._cutter = FrameCutter(self._h2.max_inbound_frame_size)
        self._pump = Pump(self._h2, self._responseEnded, self._endpointFailed)
        self._unpaid = 0
        self._isStarted = False
        self._isCorked = False
        self._isLeaving = False
        self._react: dict[type[h2.events.Event], Callable[..., None]] = {
            h2.events.RequestReceived: self._requestReceived,
            h2.events.DataReceived: self._bodyReceived,
            h2.events.TrailersReceived: self._trailersReceived,
            h2.events.StreamEnded: self._requestEnded,
            h2.events.StreamReset: self._resetReceived,
            h2.events.WindowUpdated: self._windowUpdated,
            # The window that every stream begins with may be among the settings.
            h2.events.RemoteSettingsChanged: lambda event: self._pump.allWindowsGrew(),
        }

    # What the transport calls.

    def connectionMade(self) -> None:
        self._owner.connected(self)
        if not INegotiated.providedBy(self.transport):
            self._start()

    def handshakeCompleted(self) -> None:
        if self.transport.negotiatedProtocol == b"h2":
            self._start()
        else:
            self.transport.loseConnection()

    def _start(self) -> None:
        self._isStarted = True
        self.transport.registerProducer(self, True)
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self._maxConcurrentStreams,
            SettingCodes.INITIAL_WINDOW_SIZE: self._streamWindow,
            SettingCodes.MAX_HEADER_LIST_SIZE: self._h2.DEFAULT_MAX_HEADER_LIST_SIZE,
        }
        self._h2.local_settings = Settings(client=False, initial_values=settings)
        self._h2.initiate_connection()
        # h2 holds values that were in place from the beginning against clients that cannot have
        # seen them. Announced is now announced; the window comes into force with the client's
        # acknowledgement (RFC 9113 section 6.5.3), and one stream too many is not the connection's
        # end, as it is with h2, but refused (section 5.1.2), in _requestReceived.
        self._h2.local_settings = Settings(client=False)
        self._h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = self._streamWindow
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - _RFC_WINDOW)
        self._flush()

    def dataReceived(self, data: bytes) -> None:
        self._isCorked = True
        try:
            for frame in self._cutter.feed(data):
                if self._isLeaving:
                    break
                for event in self._h2.receive_data(frame):
                    react = self._react.get(type(event))
                    if react is not None:
                        react(event)
        except NotFrames as error:
            self.close(error.code, str(error).encode("ascii"))
        except ProtocolError as error:
            # h2 has its GOAWAY ready.
            self._leave(ConnectionTerminated(str(error), int(error.error_code)))
        finally:
            self._isCorked = False
        self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._leave(ConnectionTerminated(f"the client has gone: {reason.getErrorMessage()}"))
        self._owner.disconnected(self)

    def pauseProducing(self) -> None:
        self._pump.isPaused = True

    def resumeProducing(self) -> None:
        self._pump.isPaused = False
        self._flush()

    def stopProducing(self) -> None:
        self._pump.isPaused = True

    # What ends it.

    def close(self, code: int = ErrorCodes.NO_ERROR, debugData: bytes = b"") -> None:
        """Send GOAWAY and close; streams that are open end with the connection."""
        if not self._isLeaving:
            if self._isStarted:
                self._h2.close_connection(code, debugData or None)
            self._leave(ConnectionTerminated("the server has closed the connection", int(code)))

    def abort(self) -> None:
        """Cut the connection without a word more."""
        self.transport.abortConnection()

    def _leave(self, reason: ConnectionTerminated) -> None:
        if self._isLeaving:
            return
        self._isLeaving = True
        for stream in list(self._streams.values()):
            self._broken(stream, reason)
        self._write()
        if self._isStarted:
            # A transport that has a producer waits for it before it closes.
            self.transport.unregisterProducer()
        self.transport.loseConnection()

    # What the client does. h2 tells it of streams that are open only, and those are in _streams.

    def _requestReceived(self, event: h2.events.RequestReceived) -> None:
        streamId = event.stream_id
        if sum(each % 2 for each in self._streams) >= self._maxConcurrentStreams:
            self._h2.reset_stream(streamId, ErrorCodes.REFUSED_STREAM)
        else:
            fields = [(bytes(name), bytes(value)) for name, value in event.headers]
            self._open(streamId, fields, event.stream_ended is not None)

    def _open(self, streamId: int, fields: list[tuple[bytes, bytes]], isEnded: bool) -> None:
        """Let an endpoint answer a request that the client has sent, or we have promised."""
        body = RequestBody(
            lambda: self._bodyWanted(stream), lambda size: self._consumed(stream, size)
        )
        body.hasEnded = isEnded
        peer = getattr(self.transport.getPeer(), "host", "")
        request = ServerRequest(fields, body, streamId=streamId, peer=peer)
        responder = Responder(self, streamId, isHead=request.method == b"HEAD")
        stream = _Stream(responder, request)
        self._streams[streamId] = stream
        running = maybeDeferred(lambda: self._site.find(request)(request, responder))
        stream.running = running.addErrback(self._endpointFailed, responder)

    def _endpointFailed(self, failure: Failure, responder: Responder) -> None:
        error = failure.value
        if responder.isClosed and isinstance(error, (CancelledError, HyperError)):
            return
        if isinstance(error, BodyTooLarge):
            error = Refusal(413, str(error))
        if not isinstance(error, Refusal):
            self._log.failure("an endpoint failed on stream {id}", failure, id=responder.streamId)
            error = Refusal(500, "the endpoint failed")
        if responder.hasResponded:
            responder.reset(ErrorCodes.INTERNAL_ERROR)
        else:
            responder.respondJSON({"error": error.message}, error.status, error.headers)

    def _bodyReceived(self, event: h2.events.DataReceived) -> None:
        size = event.flow_controlled_length
        self._unpaid += size
        if self._unpaid >= _CONNECTION_WINDOW // 2:
            self._h2.increment_flow_control_window(self._unpaid)
            self._unpaid = 0
        stream = self._streams[event.stream_id]
        stream.request.body.received(event.data, size, event.stream_ended is not None)
        self._lookAfterLateBody(stream)

    def _lookAfterLateBody(self, stream: _Stream) -> None:
        """
        Ask a client to stop that still sends when it has the whole response already.

        A short rest is let come; a long one is not waited for (RFC 9113 section 8.1).
        """
        responder = stream.responder
        if responder.hasEnded and not responder.isClosed and not stream.request.body.hasEnded:
            left = self._h2.remote_flow_control_window(responder.streamId)
            if left < min(self._streamWindow, _RFC_WINDOW) // 2:
                self._h2.reset_stream(responder.streamId, ErrorCodes.NO_ERROR)
                self._closed(stream, None)

    def _bodyWanted(self, stream: _Stream) -> None:
        expected = stream.request.header(b"expect") or b""
        if expected.lower() == b"100-continue" and not stream.responder.hasResponded:
            stream.responder.sendInformational(100)

    def _consumed(self, stream: _Stream, size: int) -> None:
        stream.unpaid += size
        isOpen = not (stream.responder.isClosed or stream.request.body.hasEnded)
        if isOpen and stream.unpaid >= self._streamWindow // 2:
            self._h2.increment_flow_control_window(stream.unpaid, stream.responder.streamId)
            stream.unpaid = 0
            self._flush()

    def _trailersReceived(self, event: h2.events.TrailersReceived) -> None:
        request = self._streams[event.stream_id].request
        request.trailers = [(bytes(name), bytes(value)) for name, value in event.headers]

    def _requestEnded(self, event: h2.events.StreamEnded) -> None:
        # Alone among the events of streams it may come late: it follows another one of the same
        # frame, whose endpoint may have ended the stream.
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.request.body.ended()
            if stream.responder.hasEnded:
                self._closed(stream, None)

    def _resetReceived(self, event: h2.events.StreamReset) -> None:
        code = int(event.error_code)
        message = f"the client reset stream {event.stream_id}: {code_name(code)}"
        self._broken(self._streams[event.stream_id], StreamReset(message, event.stream_id, code))

    def _windowUpdated(self, event: h2.events.WindowUpdated) -> None:
        if event.stream_id == 0:
            self._pump.allWindowsGrew()
        else:
            self._pump.windowGrew(self._streams[event.stream_id].responder)

    def _closed(self, stream: _Stream, reason: HyperError | None) -> None:
        """The stream is at an end, in whichever way: forget it and let everybody know."""
        responder = stream.responder
        if responder.isClosed:
            return
        del self._streams[responder.streamId]
        self._pump.remove(responder)
        responder.closed(reason)
        body = stream.request.body
        if not body.hasEnded:
            message = "the response ended before the request did"
            lost = reason or StreamAborted(message, responder.streamId, ErrorCodes.NO_ERROR)
            body.failed(Failure(lost))

    def _broken(self, stream: _Stream, reason: HyperError) -> None:
        """The client has taken the stream from its endpoint, which is told to stop."""
        self._closed(stream, reason)
        if stream.running is not None:
            stream.running.cancel()

    # What a responder asks for (responder.Outlet).

    def sendHeaders(self, responder: Responder, headers: HeaderPairs, endStream: bool) -> None:
        self._h2.send_headers(responder.streamId, headers, end_stream=endStream)
        if endStream:
            self._responseEnded(responder)
        self._flush()

    def sendBody(self, responder: Responder) -> None:
        self._pump.add(responder)
        self._flush()

    def sendReset(self, responder: Responder, code: int) -> None:
        self._h2.reset_stream(responder.streamId, code)
        message = f"the endpoint reset stream {responder.streamId}: {code_name(code)}"
        stream = self._streams[responder.streamId]
        self._closed(stream, StreamAborted(message, responder.streamId, int(code)))
        self._flush()

    def sendPromise(self, responder: Responder, target: bytes, headers: HeaderPairs) -> bool:
        request = self._streams[responder.streamId].request
        settings = self._h2.remote_settings
        pushed = sum(each % 2 == 0 for each in self._streams)
        isTaken = settings.enable_push and pushed < settings.max_concurrent_streams
        if not isTaken or responder.streamId % 2 == 0 or self._cutter.hasClientLeft:
            return False
        fields = [
            (b":method", b"GET"),
            (b":scheme", request.scheme.encode("ascii")),
            (b":authority", request.authority.encode("utf-8")),
            (b":path", target),
            *headers,
        ]
        promisedId = self._h2.get_next_available_stream_id()
        self._h2.push_stream(responder.streamId, promisedId, fields)
        self._open(promisedId, fields, True)
        self._flush()
        return True

    # What goes out.

    def _flush(self) -> None:
        """Write what there is to write, in turns, until no more comes or the transport pauses."""
        if self._isCorked:
            return
        self._isCorked = True
        try:
            self._pump.fillTurn()
            while self._write():
                self._pump.fillTurn()
        finally:
            self._isCorked = False
        if self._cutter.hasClientLeft and not self._streams:
            self.close()

    def _responseEnded(self, responder: Responder) -> None:
        responder.hasEnded = True
        stream = self._streams[responder.streamId]
        if stream.request.body.hasEnded:
            self._closed(stream, None)
        else:
            self._lookAfterLateBody(stream)

    def _write(self) -> bool:
        """The one place that writes."""
        data = self._h2.data_to_send()
        if data:
            self.transport.write(data)
        return bool(data)
