"""
What the peer says of streams: responses, their bodies, their ends.

Owns the reading of every frame that names a stream, and the rules of RFC 9113 sections 5.1 and 8.1
about them: what is an error of one stream, what is one of the connection, and what is nobody's
fault. :class:`txhyper.core.engine.Engine` builds on this class; its loop calls the methods below,
one for each frame type, and hands out the fact that each returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from h2.errors import ErrorCodes

from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.core.facts import (
    FAILED,
    FINISHED,
    INFORMED,
    OPENED,
    PROMISED,
    RECEIVED,
    RESPONDED,
    STOPPED,
    TRAILED,
    Fact,
)
from txhyper.core.frames import FrameError
from txhyper.core.headers import MalformedHead, parse_promise, show
from txhyper.core.sending import SendingHalf, Trace
from txhyper.core.streams import AWAITING_HEAD, ENDED, Stream
from txhyper.core.windows import BaseFlowControlManager
from txhyper.errors import (
    HTTP11Required,
    HyperError,
    MalformedResponse,
    StreamRefused,
    StreamReset,
    code_name,
)

__all__ = ["STREAM_FRAMES", "ReceivingHalf"]


#: Fields of an informational response that cost as much as a frame without progress: after a first
#: one, some thousand fields are as many octets on the wire. What fits into one costs nothing.
INFORMATIONAL_COST = 16
#: Octets of DATA below which a frame is hardly worth its header.
CRUMB = 16


class ReceivingHalf(SendingHalf):
    """The frames that name a stream."""

    __slots__ = ("_block", "_more")

    def __init__(
        self,
        origin: str,
        bounds: Bounds,
        window_manager: type[BaseFlowControlManager],
        trace: Trace | None,
        enable_push: bool,
    ) -> None:
        super().__init__(origin, bounds, window_manager, trace, enable_push)
        # The header block that is being received: stream id, END_STREAM, the stream that is
        # promised by it or 0, its parts.
        self._block: tuple[int, bool, int, list[bytes]] | None = None
        # Facts that follow the one a method has returned.
        self._more: deque[Fact] = deque()

    @property
    def pending(self) -> bool:
        """Whether the frame at hand has more to tell than the fact that was handed out last."""
        return bool(self._more)

    def _data(self, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """DATA (section 6.1). The connection is credited here, whoever it was for."""
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise FrameError(ErrorCodes.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
        if size:
            credit = self.manager.increase_window_size(size)
            if credit:
                credit = self._grant(0, self._receive_window, credit)
                self._receive_window += credit
                self._granted += credit
        if flags & frames.PADDED:
            payload = frames.without_padding(payload)
        stream = self._streams.get(stream_id)
        if stream is None:
            self._late(stream_id)
            return None
        stream.receive_window -= size
        if stream.receive_window < 0:
            return self._refuse(
                stream, ErrorCodes.FLOW_CONTROL_ERROR, "DATA beyond the stream's window"
            )
        if stream.receiving == ENDED:
            return self._refuse(stream, ErrorCodes.STREAM_CLOSED, "DATA after END_STREAM")
        end = bool(flags & frames.END_STREAM)
        if not end and len(payload) < CRUMB and (not payload or stream.manager is None):
            # Nothing, or crumbs for a reader who has had nothing yet: a window full of those would
            # cost more work than anything else that fits into it.
            self._useless()
        try:
            stream.received_data(len(payload), end)
        except MalformedHead as error:
            return self._refuse(stream, ErrorCodes.PROTOCOL_ERROR, str(error))
        if end:
            self._finish(stream)
        elif self._tells_received and size:
            credit = self._manager_of(stream).received(size)
            if credit:
                stream.receive_window += self._grant(stream_id, stream.receive_window, credit)
        return RECEIVED, stream, payload, size

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """HEADERS (section 6.2); its priority fields are read over (section 5.3.2)."""
        if flags & frames.PADDED:
            payload = frames.without_padding(payload)
        if flags & frames.PRIORITY_FLAG:
            if len(payload) < 5:
                raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "HEADERS without its priority fields")
            payload = payload[5:]
        end = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            return self._block_received(stream_id, end, payload)
        self._block = (stream_id, end, 0, [payload])
        return None

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """CONTINUATION (section 6.10), bounded in number and in octets."""
        if self._block is None:
            raise FrameError(ErrorCodes.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, end, promised, parts = self._block
        parts.append(payload)
        if len(parts) > self.bounds.continuation_frames + 1:
            raise self._exceeded("continuation_frames", "CONTINUATION frames in a header block")
        if sum(map(len, parts)) > self.bounds.header_list_size:
            raise self._exceeded("header_list_size", "octets in a header block")
        if not flags & frames.END_HEADERS:
            return None
        self._block = None
        block = b"".join(parts)
        if promised:
            return self._promise_received(stream_id, promised, block)
        return self._block_received(stream_id, end, block)

    def _block_received(self, stream_id: int, end: bool, block: bytes) -> Fact | None:
        """A whole header block: a response's head, an informational one, or trailers."""
        stream = self._streams.get(stream_id)
        if stream is None:
            self._late(stream_id)
        # Decoded even if nobody wants it: the compression context is the connection's.
        decoded = self._control.coder.decode(block)
        if self._trace is not None:
            self._trace(f"received fields stream={stream_id} {show(decoded.fields)}")
        if stream is None:
            return None
        if len(decoded.fields) > self.bounds.header_fields:
            return self._refuse_more(stream, "header_fields", "fields in a header list")
        try:
            if stream.receiving == AWAITING_HEAD:
                head = decoded.response()
                stream.received_head(head, end)
                if head.status < 200:
                    self._useless(len(decoded.fields) // INFORMATIONAL_COST)
                    if stream.informational > self.bounds.informational_responses:
                        return self._refuse_more(
                            stream, "informational_responses", "informational responses"
                        )
                    return INFORMED, stream, head, 0
                fact: Fact = (RESPONDED, stream, head, 0)
            elif stream.receiving == ENDED:
                return self._refuse(stream, ErrorCodes.STREAM_CLOSED, "HEADERS after END_STREAM")
            elif not end:
                raise MalformedHead("trailers without END_STREAM")
            else:
                fact = (TRAILED, stream, decoded.trailers(), 0)
                stream.received_end()
        except MalformedHead as error:
            return self._refuse(stream, ErrorCodes.PROTOCOL_ERROR, str(error))
        if end:
            self._finish(stream)
        return fact

    def _finish(self, stream: Stream) -> None:
        """The peer has ended the stream: a FINISHED fact follows the one at hand."""
        self._more.append((FINISHED, stream, None, 0))
        if not stream.sending:
            self._forget(stream)

    def _refuse(self, stream: Stream, code: ErrorCodes, reason: str) -> Fact:
        """One stream is malformed: reset it, and let the others live (section 8.1.1)."""
        self.reset(stream, code)
        return (
            FAILED,
            stream,
            MalformedResponse(
                f"{self.origin}: stream {stream.id}: {reason} ({code.name})", stream.id, code
            ),
            0,
        )

    def _refuse_more(self, stream: Stream, bound: str, what: str) -> Fact:
        """One stream has passed a bound: reset it, and let the others live."""
        self.reset(stream, ErrorCodes.ENHANCE_YOUR_CALM)
        return FAILED, stream, self._beyond(bound, what, f"stream {stream.id}: "), 0

    def _late(self, stream_id: int) -> None:
        """A frame of a stream that is not open: forgiven, or an error of the connection."""
        self._closed_by_now(stream_id)
        if not self._closed.forgives(stream_id):
            raise FrameError(
                ErrorCodes.STREAM_CLOSED, f"a frame of stream {stream_id} after its END_STREAM"
            )

    def _rst_stream(self, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """RST_STREAM (section 6.4)."""
        if len(payload) != 4:
            raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "RST_STREAM of other than 4 octets")
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_by_now(stream_id)
            return None
        code = int.from_bytes(payload, "big")
        self._closed.was_reset(stream_id)
        self._forget(stream)
        if stream.receiving == ENDED:
            # The response is whole; the peer only wants no more of the request (section 8.1).
            return STOPPED, stream, None, 0
        text = f"{self.origin}: stream {stream_id} was reset by the server ({code_name(code)})"
        error: HyperError
        if stream.receiving == AWAITING_HEAD and code == ErrorCodes.REFUSED_STREAM:
            error = StreamRefused(text, stream_id)
        elif stream.receiving == AWAITING_HEAD and code == ErrorCodes.HTTP_1_1_REQUIRED:
            error = HTTP11Required(text)
        else:
            error = StreamReset(text, stream_id, code)
        return FAILED, stream, error, 0

    def _closed_by_now(self, stream_id: int) -> None:
        """RST_STREAM and WINDOW_UPDATE may cross our own end of a stream, but not its start."""
        if stream_id >= self._next_id if stream_id & 1 else stream_id > self._promised_id:
            raise FrameError(
                ErrorCodes.PROTOCOL_ERROR, f"a frame of stream {stream_id}, which is idle"
            )
        self._useless()

    def _priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """PRIORITY is deprecated and read over (section 5.3.2), but it has a length."""
        if len(payload) != 5:
            raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "PRIORITY of other than 5 octets")
        self._useless()

    def _push_promise(self, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """PUSH_PROMISE (section 6.6); ENABLE_PUSH was 0 in our first SETTINGS unless asked for."""
        if not self._control.push_enabled:
            raise FrameError(ErrorCodes.PROTOCOL_ERROR, "PUSH_PROMISE although push is disabled")
        if flags & frames.PADDED:
            payload = frames.without_padding(payload)
        if len(payload) < 4:
            raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "PUSH_PROMISE without a stream's id")
        promised = int.from_bytes(payload[:4], "big") & frames.STREAM_MASK
        if promised & 1 or promised <= self._promised_id:
            raise FrameError(
                ErrorCodes.PROTOCOL_ERROR,
                f"a promise of stream {promised}, which is not a new one of the server's",
            )
        if not stream_id & 1:
            raise FrameError(ErrorCodes.PROTOCOL_ERROR, "a promise on a promised stream")
        self._promised_id = promised
        if flags & frames.END_HEADERS:
            return self._promise_received(stream_id, promised, payload[4:])
        self._block = (stream_id, False, promised, [payload[4:]])
        return None

    def _promise_received(self, stream_id: int, promised: int, block: bytes) -> Fact | None:
        """A whole promise: the header list of the request that is answered without being sent."""
        parent = self._streams.get(stream_id)
        if parent is None:
            self._late(stream_id)
        elif parent.receiving == ENDED:
            raise FrameError(ErrorCodes.PROTOCOL_ERROR, "a promise after END_STREAM")
        # Of its response there may never be an octet, whether it is refused here or later.
        self._useless()
        decoded = self._control.coder.decode(block)
        if self._trace is not None:
            self._trace(f"received promised fields stream={promised} {show(decoded.fields)}")
        code = None
        try:
            head = parse_promise(decoded.fields)
        except MalformedHead as error:
            if self._trace is not None:
                self._trace(f"refused the promise of stream {promised}: {error}")
            code = ErrorCodes.PROTOCOL_ERROR
        if parent is None:
            # It crossed our RST_STREAM: nobody waits for it (section 6.6).
            code = ErrorCodes.CANCEL
        elif self._promises >= self.bounds.promises:
            code = ErrorCodes.REFUSED_STREAM
        if code is not None:
            self.output.append(frames.pack_reset(promised, code))
            self._closed.was_reset(promised)
            return None
        stream = Stream(promised, None, head.method, self._stream_window, False)
        self._streams[promised] = stream
        self._promises += 1
        return PROMISED, parent, (stream, head), 0

    def refused(self) -> None:
        """
        A promise was told of, and has been reset by those who do not believe it.

        :raises BoundExceeded: too many were, or other frames without progress.
        """
        self._useless()

    def _window_update(self, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """WINDOW_UPDATE of a stream (section 6.9)."""
        increment = read_increment(payload)
        stream = self._streams.get(stream_id)
        if stream is None:
            self._closed_by_now(stream_id)
            return None
        self._useless()
        if not increment:
            return self._refuse(stream, ErrorCodes.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        stream.send_credit += increment
        if stream.send_credit + self._control.initial_window > frames.MAX_WINDOW:
            return self._refuse(
                stream, ErrorCodes.FLOW_CONTROL_ERROR, "a window above 2^31-1 octets"
            )
        return OPENED, stream, None, 0


def read_increment(payload: bytes) -> int:
    """
    The increment of a WINDOW_UPDATE.

    :raises FrameError: the frame has another length than 4 octets.
    """
    if len(payload) != 4:
        raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "WINDOW_UPDATE of other than 4 octets")
    return int.from_bytes(payload, "big") & frames.MAX_WINDOW


#: The method for each type of frame that names a stream.
STREAM_FRAMES: dict[int, Callable[[Any, int, int, bytes], Fact | None]] = {
    frames.DATA: ReceivingHalf._data,
    frames.HEADERS: ReceivingHalf._headers,
    frames.PRIORITY: ReceivingHalf._priority,
    frames.RST_STREAM: ReceivingHalf._rst_stream,
    frames.PUSH_PROMISE: ReceivingHalf._push_promise,
    frames.WINDOW_UPDATE: ReceivingHalf._window_update,
    frames.CONTINUATION: ReceivingHalf._continuation,
}
