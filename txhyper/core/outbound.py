"""
Bodies that wait to be sent on one connection: whose turn it is, and who must stop producing.

Owns the octets that producers have written and the windows have not let go yet, and the order of
turns. Never sends: the connection asks for the next frame, and gives it to the engine. Nothing is
copied: a chunk is handed out as slices of a memoryview at an offset.

The rules kept here:

* round robin: a stream that is ready sends at most one frame before every other ready stream has
  had its turn;
* a stream whose window is used up leaves the round, and is not looked at until it is woken: no
  walk over all streams finds the ready ones;
* a producer is told to pause above the high mark and to resume below the low one, counted for
  its own stream alone.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from txhyper.core.streams import Stream

__all__ = ["HIGH_MARK", "LOW_MARK", "Outbound", "OutboundBody"]

#: Octets queued for one stream above which its producer is paused. Four full frames: enough to
#: fill a turn of the reactor, little enough that a thousand stalled uploads fit into memory.
HIGH_MARK = 64 * 1024
#: Octets below which the producer is resumed.
LOW_MARK = 16 * 1024


class OutboundBody:
    """The octets that one stream has still to send."""

    __slots__ = ("chunks", "finished", "offset", "paused", "queued")

    def __init__(self) -> None:
        self.chunks: deque[memoryview] = deque()
        #: How much of the first chunk has been sent.
        self.offset = 0
        #: Octets that wait, all chunks together.
        self.queued = 0
        #: Whether nothing will be added: END_STREAM follows the last octet.
        self.finished = False
        #: Whether the producer was told to pause.
        self.paused = False


class Outbound:
    """The round of streams that have octets to send and a window to send them in."""

    __slots__ = ("_blocked", "_round", "queued")

    def __init__(self) -> None:
        # Both keep the order of arrival and forget a stream without a search.
        self._round: OrderedDict[int, Stream] = OrderedDict()
        self._blocked: dict[int, Stream] = {}
        #: Octets that wait, all streams together.
        self.queued = 0

    @property
    def ready(self) -> bool:
        """Whether a stream has something to send, and may have a window for it."""
        return bool(self._round)

    def write(self, stream: Stream, data: bytes) -> bool:
        """
        Queue octets of a body.

        :return: whether the producer has to pause now.
        """
        body = stream.outbound
        if body is None:
            body = stream.outbound = OutboundBody()
        if data:
            body.chunks.append(memoryview(data))
            body.queued += len(data)
            self.queued += len(data)
            self._enter(stream)
        if body.queued > HIGH_MARK and not body.paused:
            body.paused = True
            return True
        return False

    def finish(self, stream: Stream) -> None:
        """Nothing more will be written: END_STREAM goes with the last octet, or alone."""
        body = stream.outbound
        if body is None:
            body = stream.outbound = OutboundBody()
        body.finished = True
        self._enter(stream)
        if not body.queued:
            # It needs no window, so it must not stand behind those that wait for one.
            self._round.move_to_end(stream.id, last=False)

    def _enter(self, stream: Stream) -> None:
        if stream.id not in self._blocked:
            self._round[stream.id] = stream

    def discard(self, stream: Stream) -> None:
        """Forget what the stream has queued: it was reset."""
        self._round.pop(stream.id, None)
        self._blocked.pop(stream.id, None)
        if stream.outbound is not None:
            self.queued -= stream.outbound.queued
            stream.outbound = None

    def wake(self, stream: Stream) -> None:
        """The stream's window has opened, perhaps."""
        if self._blocked.pop(stream.id, None) is not None:
            self._round[stream.id] = stream

    def wake_all(self) -> None:
        """The peer's INITIAL_WINDOW_SIZE has changed: each blocked stream may have a window."""
        self._round.update(self._blocked)
        self._blocked.clear()

    def next(
        self, connection_window: int, initial_window: int, max_frame_size: int
    ) -> tuple[Stream, list[memoryview], int, bool] | None:
        """
        The next frame to send, taken off the queue.

        :param connection_window: the connection's window for sending.
        :param initial_window: the peer's INITIAL_WINDOW_SIZE, to which a stream's credit adds.
        :return: the stream, its octets as slices, their length, and whether its body ends with
            them; None when nobody can send.
        """
        # At most one turn each: a stream that cannot move leaves the round or goes to its end.
        for _ in range(len(self._round)):
            stream_id, stream = self._round.popitem(last=False)
            body = stream.outbound
            assert body is not None
            if not body.queued:
                # Only the end is left, and an empty frame needs no window (RFC 9113 6.9.1).
                stream.outbound = None
                return stream, [], 0, True
            window = initial_window + stream.send_credit
            if window <= 0:
                self._blocked[stream_id] = stream
                continue
            if connection_window <= 0:
                # It keeps its place: it is the connection that waits.
                self._round[stream_id] = stream
                self._round.move_to_end(stream_id, last=False)
                return None
            size = min(window, connection_window, max_frame_size, body.queued)
            slices = _take(body, size)
            self.queued -= size
            if body.queued:
                self._round[stream_id] = stream
            elif body.finished:
                stream.outbound = None
                return stream, slices, size, True
            return stream, slices, size, False
        return None

    def drained(self, stream: Stream) -> bool:
        """
        Whether the stream's producer has to resume now: asked after each frame of the stream.
        """
        body = stream.outbound
        if body is not None and body.paused and body.queued <= LOW_MARK:
            body.paused = False
            return True
        return False


def _take(body: OutboundBody, size: int) -> list[memoryview]:
    """The first ``size`` octets, which are there, as slices of the chunks that hold them."""
    body.queued -= size
    slices = []
    while size:
        chunk = body.chunks[0]
        part = chunk[body.offset : body.offset + size]
        size -= len(part)
        body.offset += len(part)
        if body.offset == len(chunk):
            body.chunks.popleft()
            body.offset = 0
        slices.append(part)
    return slices
