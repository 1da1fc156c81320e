"""
One HTTP/2 connection as its client sees it, without input or output.

Owns the protocol's state: the one dictionary of streams, the connection's windows, the peer's
settings, both compression contexts, and the octets to be sent. Never calls out and never writes.
Its only caller is :mod:`txhyper.protocol.connection`, which feeds :meth:`Engine.receive` and
sends what :meth:`Engine.take` returns.

The engine is one object in three storeys: :mod:`~txhyper.core.sending` holds the state and says
what this side says, :mod:`~txhyper.core.receiving` reads the frames that name a stream, and here
are the loop and the frames of the connection. The work is split once more: h2 rules the
connection (SETTINGS and PING, the settings objects, the compression contexts), the engine and
:mod:`txhyper.core.streams` rule whatever names a stream or moves a window. h2 never sees a frame
of a stream, nor GOAWAY, after which it would refuse to go on.

How one frame goes through: :meth:`Engine.receive` reads nine octets, judges the length before the
payload is in, and calls the frame type's method. That returns one *fact*, a tuple
``(what, stream, value, size)``, or None; the generator hands the fact out and is suspended until
it has been dealt with. So the facts before an error have been delivered when the error comes, and
whoever re-enters the engine from a callback does so between two facts. See
:mod:`~txhyper.core.facts` for the list.

The rules kept here:

* a frame's length is judged from its header, before its payload is in (RFC 9113 section 4.2);
* what came in pieces is put together once, and a whole frame is one slice: no frame object is made;
* while a header block is open, nothing but its continuation is read (section 4.3);
* DATA is credited to the connection as it comes, whoever it was for (section 6.9.1);
* an error of a stream resets that stream, once; only an error of the connection raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from h2.errors import ErrorCodes

from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.core.control import MAX_FRAME_SIZE, SETTING_LENGTH
from txhyper.core.facts import ANNOUNCED, FAILED, GONE, OPENED, PONGED, SETTLED, Fact
from txhyper.core.frames import FrameError
from txhyper.core.hpack import CompressionFailed, HeaderListTooLarge
from txhyper.core.origin_set import UNKNOWN_FLAGS, grown
from txhyper.core.receiving import STREAM_FRAMES, ReceivingHalf, read_increment
from txhyper.core.sending import Trace
from txhyper.core.windows import BaseFlowControlManager, FlowControlManager
from txhyper.errors import (
    BoundExceeded,
    GoneAway,
    HTTP11Required,
    ProtocolViolation,
    code_name,
)

__all__ = ["Engine"]

#: Octets of an ORIGIN frame that cost as much as a frame without progress.
ORIGIN_COST = 16
#: Parts of one frame that are kept apart: a peer may send it octet by octet.
PARTS = 64


class Engine(ReceivingHalf):
    """
    One connection.

    After an exception from :meth:`receive` the connection is over: a GOAWAY is among the octets
    to be taken, and nothing may be called any more but :meth:`take`.
    """

    __slots__ = ("_missing", "_parts", "_rest", "_unfinished", "origin_set")

    def __init__(
        self,
        origin: str,
        bounds: Bounds | None = None,
        window_manager: type[BaseFlowControlManager] = FlowControlManager,
        trace: Trace | None = None,
        enable_push: bool = False,
    ) -> None:
        """
        :param origin: the peer's name, for messages.
        :param window_manager: the class that decides about credit, see :mod:`txhyper.core.windows`.
        :param trace: called with a line of text for each frame, sent or received.
        :param enable_push: whether the peer may promise responses (RFC 9113 section 8.4).
        """
        super().__init__(origin, bounds or Bounds(), window_manager, trace, enable_push)
        # Fewer octets than a frame's header has.
        self._rest = b""
        # A frame whose header is here: type, flags and stream id; what has come of its payload,
        # and how much is missing.
        self._unfinished = (0, 0, 0)
        self._parts: list[memoryview] = []
        self._missing = 0
        #: The origins that the peer has named in ORIGIN frames, as
        #: :func:`~txhyper.core.origin_set.normal_origin` writes them; None before the first one.
        self.origin_set: frozenset[bytes] | None = None

    def receive(self, data: bytes) -> Iterator[Fact]:
        """
        What the octets say, one fact at a time.

        :raises ProtocolViolation: the peer broke a rule of the connection; likewise
            :exc:`BoundExceeded`. Every fact before it has been handed out.
        """
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        try:
            if self._missing:
                if size < self._missing:
                    self._gather(data)
                    position = size
                    if size < frames.HEADER_LENGTH and self._unfinished[0] != frames.DATA:
                        self._useless()
                    return
                position = self._missing
                fact = self._complete(data)
                if fact is not None:
                    yield fact
                    while self._more:
                        yield self._more.popleft()
            while size - position >= frames.HEADER_LENGTH:
                length_and_kind, flags, stream_id = frames.read_header(data, position)
                kind = length_and_kind & 0xFF
                length = length_and_kind >> 8
                if length > MAX_FRAME_SIZE or not self._control.spoken:
                    self._judge(kind, flags, length)
                start = position + frames.HEADER_LENGTH
                position = start + length
                if position > size:
                    self._unfinished = kind, flags, stream_id
                    self._parts = [memoryview(data)[start:]]
                    self._missing = position - size
                    break
                fact = self._read(kind, flags, stream_id, data[start:position])
                if fact is not None:
                    yield fact
                    while self._more:
                        yield self._more.popleft()
            if 0 < size < frames.HEADER_LENGTH:
                # A read costs the same whatever is in it: those that are hardly worth it count.
                self._useless()
            if not self._control.spoken and data[:1] not in (b"", b"\0"):
                # Too short for a frame header, and no frame that is small enough starts like this.
                raise _not_http2()
        except FrameError as error:
            raise self._violated(error.code, error.reason) from error
        except HeaderListTooLarge as error:
            self.close(ErrorCodes.ENHANCE_YOUR_CALM)
            raise BoundExceeded(
                f"{self.origin}: {error} (bound header_list_size, ENHANCE_YOUR_CALM)",
                "header_list_size",
            ) from error
        except CompressionFailed as error:
            raise self._violated(ErrorCodes.COMPRESSION_ERROR, str(error)) from error
        finally:
            self._rest = data[position:]

    def _gather(self, data: bytes) -> None:
        """Keep a part of a frame that is not whole yet, without copying it."""
        self._missing -= len(data)
        self._parts.append(memoryview(data))
        if len(self._parts) > PARTS:
            self._parts = [memoryview(b"".join(self._parts))]

    def _complete(self, data: bytes) -> Fact | None:
        """A frame whose first octets came earlier and whose last are among these."""
        payload = b"".join([*self._parts, memoryview(data)[: self._missing]])
        self._parts, self._missing = [], 0
        return self._read(*self._unfinished, payload)

    def _read(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Fact | None:
        """One whole frame."""
        stream_id &= frames.STREAM_MASK
        if self._trace is not None:
            self._trace("received " + frames.describe(kind, flags, stream_id, payload))
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block[0]):
            raise FrameError(ErrorCodes.PROTOCOL_ERROR, "a frame in the middle of a header block")
        if not stream_id:
            # One GOAWAY is news, and a second one may follow it (section 6.8).
            if kind != frames.GOAWAY or self.last_stream_id is not None:
                self._useless()
            return CONNECTION_FRAMES.get(kind, _unknown)(self, flags, kind, payload)
        if kind in STREAM_FRAMES:
            return STREAM_FRAMES[kind](self, flags, stream_id, payload)
        if kind in CONNECTION_FRAMES and kind != frames.ORIGIN:
            raise FrameError(
                ErrorCodes.PROTOCOL_ERROR, f"{frames.NAMES[kind]} on stream {stream_id}"
            )
        # Of no known type: ignored (section 4.1). So is ORIGIN (RFC 8336 section 2.2).
        self._useless()
        return None

    def _judge(self, kind: int, flags: int, length: int) -> None:
        """Look at a frame's header before its payload is in."""
        if not self._control.spoken and (
            kind != frames.SETTINGS or flags & frames.ACK or length > 0xFFFF
        ):
            raise _not_http2()
        if length > MAX_FRAME_SIZE:
            raise FrameError(
                ErrorCodes.FRAME_SIZE_ERROR,
                f"a frame of {length} octets, above MAX_FRAME_SIZE {MAX_FRAME_SIZE}",
            )

    def _violated(self, code: ErrorCodes, reason: str) -> ProtocolViolation:
        self.close(code)
        return ProtocolViolation(
            f"{self.origin}: {reason} ({code.name})", code, self.last_stream_id, self.goaway[1]
        )

    # -- frames of the connection --------------------------------------------------------------

    def _settings(self, flags: int, kind: int, payload: bytes) -> Fact | None:
        """SETTINGS (section 6.5), by h2; a larger initial window is checked against each stream."""
        if flags & frames.ACK and payload:
            raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "SETTINGS acknowledged with a payload")
        if len(payload) > self.bounds.settings_entries * SETTING_LENGTH:
            raise self._exceeded("settings_entries", "entries in a SETTINGS frame")
        # One has been counted; each of its entries costs as much.
        self._useless(len(payload) // SETTING_LENGTH)
        before = self._control.initial_window
        changed = self._control.settings_received(frames.pack(kind, flags, 0, payload))
        self.output.append(self._control.take())
        if not changed:
            return None
        grown = self._control.initial_window
        if grown > before and any(
            stream.send_credit + grown > frames.MAX_WINDOW for stream in self._streams.values()
        ):
            raise FrameError(
                ErrorCodes.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE lifts a window above 2^31-1"
            )
        return SETTLED, None, None, 0

    def _ping(self, flags: int, kind: int, payload: bytes) -> Fact | None:
        """PING (section 6.7), by h2, which answers it."""
        answer = self._control.ping_received(frames.pack(kind, flags, 0, payload))
        self.output.append(self._control.take())
        return None if answer is None else (PONGED, None, answer, 0)

    def _goaway(self, flags: int, kind: int, payload: bytes) -> Fact | None:
        """
        GOAWAY (section 6.8): streams above its last id were not processed and fail as retriable,
        the others run on, whatever the code.
        """
        if len(payload) < 8:
            raise FrameError(ErrorCodes.FRAME_SIZE_ERROR, "GOAWAY of fewer than 8 octets")
        last = int.from_bytes(payload[:4], "big") & frames.STREAM_MASK
        code, debug_data = int.from_bytes(payload[4:8], "big"), payload[8:]
        if self.last_stream_id is not None:
            # It must not be raised; a peer that does has no second chance to be believed.
            last = min(last, self.last_stream_id)
        self.last_stream_id = last
        self.goaway = (code, debug_data)
        if last < self._next_id:
            # It speaks of our streams; those that the peer has promised run on.
            ours = [stream for stream in self._streams.values() if stream.id & 1]
            for stream in [stream for stream in ours if stream.id > last]:
                self._closed.was_reset(stream.id)
                self._forget(stream)
                self._more.append((FAILED, stream, self._gone_away(stream.id), 0))
        return GONE, None, None, 0

    def _gone_away(self, stream_id: int) -> GoneAway | HTTP11Required:
        assert self.last_stream_id is not None
        code, debug_data = self.goaway
        said = f", saying {debug_data[:100]!r}" if debug_data else ""
        text = (
            f"{self.origin}: stream {stream_id} is above the last one, {self.last_stream_id}, that "
            f"the server's GOAWAY promises to finish ({code_name(code)}){said}"
        )
        if code == ErrorCodes.HTTP_1_1_REQUIRED:
            return HTTP11Required(text)
        return GoneAway(
            text,
            code,
            self.last_stream_id,
            debug_data,
        )

    def _connection_window_update(self, flags: int, kind: int, payload: bytes) -> Fact | None:
        """WINDOW_UPDATE of the connection (section 6.9)."""
        increment = read_increment(payload)
        if not increment:
            raise FrameError(ErrorCodes.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        self.send_window += increment
        self._send_granted += increment
        if self.send_window > frames.MAX_WINDOW:
            raise FrameError(ErrorCodes.FLOW_CONTROL_ERROR, "a window above 2^31-1 octets")
        return OPENED, None, None, 0

    def _origin(self, flags: int, kind: int, payload: bytes) -> Fact | None:
        """
        ORIGIN (RFC 8336), which is never an error: what is wrong with it is ignored.

        Whether the connection is one on which it means anything, the caller has to judge.
        """
        # One has been counted; there may be thousands of entries in it.
        self._useless(len(payload) // ORIGIN_COST)
        before = self.origin_set
        if not flags & UNKNOWN_FLAGS:
            self.origin_set = grown(before, payload, self.bounds)
        return None if self.origin_set is before else (ANNOUNCED, None, self.origin_set, 0)


def _not_http2() -> FrameError:
    """The server's preface is a SETTINGS frame (section 3.4)."""
    return FrameError(
        ErrorCodes.PROTOCOL_ERROR, "the first frame is not SETTINGS: this is not HTTP/2"
    )


def _unknown(engine: Engine, flags: int, kind: int, payload: bytes) -> None:
    """
    A frame on stream 0 that is not of the connection: an error if it belongs to a stream.
    Unknown types are ignored (section 4.1), and so is ALTSVC, which nothing here acts on.
    """
    if kind in STREAM_FRAMES:
        raise FrameError(ErrorCodes.PROTOCOL_ERROR, f"{frames.NAMES[kind]} on stream 0")


Reader = Callable[[Engine, int, int, bytes], Fact | None]

#: The method for each type of frame that stands on stream 0.
CONNECTION_FRAMES: dict[int, Reader] = {
    frames.SETTINGS: Engine._settings,
    frames.PING: Engine._ping,
    frames.GOAWAY: Engine._goaway,
    frames.WINDOW_UPDATE: Engine._connection_window_update,
    frames.ORIGIN: Engine._origin,
}
