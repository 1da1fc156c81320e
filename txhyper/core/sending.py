"""
What this side of a connection says: requests, bodies, credit, resets, farewells.

Owns the state that both halves of the engine share (the one dictionary of streams, the
connection's windows, the octets to be sent) and every frame that goes out. Never reads a frame:
:class:`txhyper.core.engine.Engine` builds on this class and does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from h2.errors import ErrorCodes

from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.core.closed import ClosedStreams
from txhyper.core.control import Control
from txhyper.core.headers import Field, list_size, pseudo_fields, show
from txhyper.core.patience import OCTETS, Patience
from txhyper.core.streams import ENDED, Stream
from txhyper.core.windows import FIRST_CONNECTION_WINDOW, BaseFlowControlManager, check_windows
from txhyper.errors import BoundExceeded, ConnectionUnusable, InvalidRequest

__all__ = ["SendingHalf"]

Trace = Callable[[str], None]

#: The octets before the client's first frame (RFC 9113 section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class SendingHalf:
    """The state of one connection, and how it is sent."""

    __slots__ = (
        "_closed",
        "_control",
        "_granted",
        "_manager_class",
        "_next_id",
        "_patience",
        "_promised_id",
        "_promises",
        "_receive_window",
        "_send_granted",
        "_stream_window",
        "_streams",
        "_tells_consumed",
        "_tells_received",
        "_trace",
        "bounds",
        "goaway",
        "last_stream_id",
        "manager",
        "now",
        "origin",
        "output",
        "send_window",
    )

    def __init__(
        self,
        origin: str,
        bounds: Bounds,
        window_manager: type[BaseFlowControlManager],
        trace: Trace | None,
        enable_push: bool,
    ) -> None:
        self.origin = origin
        self.bounds = bounds
        check_windows(window_manager)
        self._manager_class = window_manager
        # Read once: what was announced stays true, whatever becomes of the class.
        self._stream_window = window_manager.initial_stream_window
        self._receive_window = window_manager.initial_connection_window
        #: The policy of the connection's receive window.
        self.manager = window_manager(self._receive_window)
        # All that the peer was ever granted for the connection. What it may still send is what has
        # not come of it.
        self._granted = self._receive_window
        # Looked up once: most classes want to know no more than increase_window_size tells them.
        self._tells_received = window_manager.received is not BaseFlowControlManager.received
        self._tells_consumed = window_manager.consumed is not BaseFlowControlManager.consumed
        self._control = Control(self.bounds, self._stream_window, enable_push)
        self._trace = trace
        self._streams: dict[int, Stream] = {}
        self._closed = ClosedStreams()
        self._next_id = 1
        self._patience = Patience(bounds.useless_frames, bounds.useless_frames_per_second)
        #: The time in seconds, which the caller sets.
        self.now = 0.0
        # The latest stream that the peer has promised a response on, and how many are open.
        self._promised_id = 0
        self._promises = 0
        #: What the connection as a whole may still send, and what was ever granted for it.
        self.send_window = self._send_granted = FIRST_CONNECTION_WINDOW
        #: The last stream that the peer's GOAWAY promises to finish; None before one came.
        self.last_stream_id: int | None = None
        #: The code and the debug data of the peer's latest GOAWAY.
        self.goaway: tuple[int, bytes] = (0, b"")
        #: Octets to send, in order.
        self.output: list[bytes | memoryview] = [self._control.greet()]
        self._grant(0, FIRST_CONNECTION_WINDOW, self._receive_window - FIRST_CONNECTION_WINDOW)

    # -- what the peer's settings say ----------------------------------------------------------

    @property
    def initial_window(self) -> int:
        """The window that a new stream has for sending."""
        return self._control.initial_window

    @property
    def max_frame_size(self) -> int:
        """The largest payload that may be sent."""
        return self._control.max_frame_size

    @property
    def max_concurrent_streams(self) -> int | None:
        """How many streams may be open; None where the peer set no limit."""
        return self._control.max_concurrent_streams

    @property
    def exhausted(self) -> bool:
        """Whether no stream id is left (RFC 9113 section 5.1.1)."""
        return self._next_id > frames.STREAM_MASK

    @property
    def promises(self) -> int:
        """How many promised responses are not complete."""
        return self._promises

    @property
    def octets_received(self) -> int:
        """The flow-controlled length of all DATA that has come."""
        return self._granted - self._receive_window

    def _useless(self, cost: int = 1) -> None:
        """
        The peer has sent a frame that brings nobody further.

        :param cost: how many it counts for.
        :raises BoundExceeded: it was one too many.
        """
        octets = self.octets_received + self._send_granted - self.send_window
        # Ten for each stream that we have opened.
        if self._patience.lose(self.now, octets // OCTETS + 5 * self._next_id, cost):
            raise self._exceeded("useless_frames", "frames without progress")

    def _exceeded(self, bound: str, what: str) -> BoundExceeded:
        """The connection ends because of a bound: say so to the peer, and to the caller."""
        self.close(ErrorCodes.ENHANCE_YOUR_CALM)
        return self._beyond(bound, what, "")

    def _beyond(self, bound: str, what: str, where: str) -> BoundExceeded:
        limit = getattr(self.bounds, bound)
        return BoundExceeded(
            f"{self.origin}: {where}more than {limit} {what} (bound {bound}, ENHANCE_YOUR_CALM)",
            bound,
        )

    @property
    def streams(self) -> Sequence[Stream]:
        """The streams that are not closed, oldest first."""
        return list(self._streams.values())

    # -- sending -------------------------------------------------------------------------------

    def open(
        self,
        owner: Any,
        method: bytes,
        scheme: bytes,
        authority: bytes,
        path: bytes,
        fields: Sequence[Field],
        end: bool,
    ) -> Stream:
        """
        Queue a request's HEADERS.

        :param fields: from :func:`txhyper.core.headers.request_fields`.
        :param end: whether the request has no body.
        :raises ConnectionUnusable: no stream id is left, or the peer has gone away.
        :raises InvalidRequest: the header list is larger than the peer accepts (section 6.5.2).
        """
        if self.exhausted or self.last_stream_id is not None:
            reason = "has gone away" if self.last_stream_id is not None else "has no stream id left"
            raise ConnectionUnusable(f"{self.origin}: the connection {reason}")
        control = self._control
        if control.max_header_list_size is not None:
            self._check_size([*pseudo_fields(method, scheme, authority, path), *fields])
        stream = Stream(self._next_id, owner, method, self._stream_window, not end)
        self._next_id += 2
        self._streams[stream.id] = stream
        if self._trace is not None:
            named = [*pseudo_fields(method, scheme, authority, path), *fields]
            self._trace(f"sent fields stream={stream.id} {show(named)}")
        block = control.coder.request(method, scheme, authority, path, fields)
        self.output.append(frames.pack_headers(stream.id, block, end, control.max_frame_size))
        return stream

    def _check_size(self, fields: Sequence[Field]) -> None:
        """:raises InvalidRequest: the header list is larger than the peer accepts."""
        size, limit = list_size(fields), self._control.max_header_list_size
        if limit is not None and size > limit:
            raise InvalidRequest(
                f"{self.origin}: a header list of {size} octets, of which the server's "
                f"MAX_HEADER_LIST_SIZE allows {limit} (RFC 9113 section 6.5.2)"
            )

    def trail(self, stream: Stream, fields: Sequence[Field]) -> None:
        """
        END_STREAM will come with a trailer section, behind the last DATA.

        :param fields: from :func:`txhyper.core.headers.trailer_fields`.
        :raises InvalidRequest: they are larger than the peer accepts (section 6.5.2).
        """
        self._check_size(fields)
        stream.trailers = fields

    def send_data(self, stream: Stream, slices: Sequence[memoryview], size: int, end: bool) -> None:
        """
        Queue one DATA frame, which fits both windows and the peer's frame size.

        :param end: whether the body ends with it; the trailers follow, where there are some.
        :param slices: its octets; they are not copied before :meth:`take`.
        """
        trailers = stream.trailers if end else None
        # An end that is to carry trailers needs no DATA of its own.
        if size or trailers is None:
            flags = frames.END_STREAM if end and trailers is None else 0
            self.output.append(frames.pack_data_header(size, flags, stream.id))
            self.output.extend(slices)
            stream.send_credit -= size
            self.send_window -= size
        if trailers is not None:
            if self._trace is not None:
                self._trace(f"sent fields stream={stream.id} {show(trailers)}")
            block = self._control.coder.trailers(trailers)
            size = self._control.max_frame_size
            self.output.append(frames.pack_headers(stream.id, block, True, size))
        if end:
            stream.sending = False
            if stream.receiving == ENDED:
                self._forget(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """Queue RST_STREAM and close the stream, if it is not closed yet."""
        if not stream.closed:
            self.output.append(frames.pack_reset(stream.id, code))
            self._closed.was_reset(stream.id)
            self._forget(stream)

    def consumed(self, stream: Stream, size: int) -> None:
        """
        A reader has taken octets: credit the stream as its policy says.

        :param size: the flow-controlled length, from the RECEIVED facts. Nothing is sent for a
            stream that the peer has ended.
        """
        if stream.receiving == ENDED or stream.closed:
            return
        manager = self._manager_of(stream)
        if self._tells_consumed:
            credit = manager.consumed(size)
        else:
            credit = manager.increase_window_size(size)
        if credit:
            stream.receive_window += self._grant(stream.id, stream.receive_window, credit)

    def paused(self, stream: Stream) -> None:
        """The stream's reader has paused: its policy may want to know."""
        self._manager_of(stream).paused()

    def _manager_of(self, stream: Stream) -> BaseFlowControlManager:
        if stream.manager is None:
            size = stream.content_length
            stream.manager = self._manager_class(self._stream_window, size)
            stream.manager.connection = self.manager
        return stream.manager

    def _grant(self, stream_id: int, window: int, credit: int) -> int:
        """Queue WINDOW_UPDATE. :return: the increment, cut to what the RFC allows."""
        credit = min(credit, frames.MAX_WINDOW - window)
        if credit > 0:
            self.output.append(frames.pack_window_update(stream_id, credit))
        return max(credit, 0)

    def ping(self, payload: bytes) -> None:
        """Queue a PING. :param payload: 8 octets, which a PONGED fact brings back."""
        self.output.append(self._control.ping(payload))

    def close(self, code: int = ErrorCodes.NO_ERROR, debug_data: bytes = b"") -> None:
        """Queue GOAWAY, the last thing that is sent."""
        self.output.append(frames.pack_goaway(self._promised_id, code, debug_data))

    def _forget(self, stream: Stream) -> None:
        """The stream is closed."""
        stream.closed = True
        stream.sending = False
        del self._streams[stream.id]
        if not stream.id & 1:
            self._promises -= 1

    def take(self) -> bytes:
        """The octets to send, in order; they are gone from here."""
        octets = b"".join(self.output)
        self.output.clear()
        if self._trace is not None and octets:
            for frame in frames.cut(octets.removeprefix(PREFACE)):
                self._trace("sent " + frames.describe(*frame))
        return octets
