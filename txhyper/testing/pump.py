"""
The two ends of a server connection's octets: input cut into frames, bodies sent as windows allow.

Owns which responses have something to send (:class:`Pump`) and the input that is not a whole frame
yet (:class:`FrameCutter`). It never touches the transport and never answers a frame: its connection
(:mod:`txhyper.testing.connection`) calls it, and writes what h2 has made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from twisted.python.failure import Failure

from txhyper.testing.responder import Responder

__all__ = ["FrameCutter", "NotFrames", "Pump"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER_SIZE = 9
_GOAWAY = 7

# More than what Twisted's transports buffer before they ask for a pause (64 KiB), so that one write
# is enough to hear of it.
_TURN = 128 * 1024


class NotFrames(Exception):
    """What came in is no HTTP/2, or nothing that we take."""

    def __init__(self, message: str, code: ErrorCodes) -> None:
        super().__init__(message)
        #: The error code of RFC 9113 section 7.
        self.code = code


class FrameCutter:
    """Cuts what a client sends at the borders of frames, its preface first."""

    def __init__(self, maxFrameSize: int) -> None:
        self._maxFrameSize = maxFrameSize
        self._held = bytearray()
        self._prefaceLeft = _PREFACE
        #: Whether the client has said GOAWAY.
        self.hasClientLeft = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Take input, and yield each whole frame in it.

        A GOAWAY is not among them: h2 would let no stream finish after it.

        :raise NotFrames: the preface is another one, or a frame's header announces more than we
            take. h2 would wait for the whole frame before it says so.
        """
        held = self._held
        held += data
        if self._prefaceLeft:
            preface = bytes(held[: len(self._prefaceLeft)])
            if not self._prefaceLeft.startswith(preface):
                raise NotFrames("not the preface of HTTP/2", ErrorCodes.PROTOCOL_ERROR)
            del held[: len(preface)]
            self._prefaceLeft = self._prefaceLeft[len(preface) :]
            yield preface
        while len(held) >= _HEADER_SIZE:
            size = int.from_bytes(held[:3], "big")
            if size > self._maxFrameSize:
                raise NotFrames(f"a frame of {size} octets", ErrorCodes.FRAME_SIZE_ERROR)
            end = _HEADER_SIZE + size
            if len(held) < end:
                return
            isGoAway = held[3] == _GOAWAY
            frame = bytes(held[:end])
            del held[:end]
            if isGoAway:
                self.hasClientLeft = True
            else:
                yield frame


class Pump:
    """
    Sends bodies: one frame of each in turn, for as long as windows and transport have room.

    :param connection: whose windows count, and which makes the frames.
    :param ended: is told of each response that is out to its last octet.
    :param failed: is told of each one whose body raised.
    """

    def __init__(
        self,
        connection: H2Connection,
        ended: Callable[[Responder], None],
        failed: Callable[[Failure, Responder], None],
    ) -> None:
        self._h2 = connection
        self._ended = ended
        self._failed = failed
        # Ordered sets: who may go on, and who waits for a window.
        self._ready: dict[Responder, None] = {}
        self._blocked: dict[Responder, None] = {}
        #: Whether the transport has asked for a pause.
        self.isPaused = False

    def add(self, responder: Responder) -> None:
        """It has something to send."""
        self._blocked.pop(responder, None)
        self._ready[responder] = None

    def remove(self, responder: Responder) -> None:
        """Its stream is at an end."""
        self._ready.pop(responder, None)
        self._blocked.pop(responder, None)

    def windowGrew(self, responder: Responder) -> None:
        """Its window has grown: go on with it if it waited for that."""
        if responder in self._blocked:
            self.add(responder)

    def allWindowsGrew(self) -> None:
        """The connection's window has grown, or what every stream begins with."""
        self._ready.update(self._blocked)
        self._blocked.clear()

    def fillTurn(self) -> None:
        """Give every ready response one frame, round and round, until the turn is full."""
        room = _TURN
        while self._ready and room > 0 and not self.isPaused:
            responder = next(iter(self._ready))
            del self._ready[responder]
            try:
                room -= self._sendFrame(responder)
            except Exception:  # noqa: BLE001 - the body is a user's iterator: it may raise anything
                self._failed(Failure(), responder)

    def _sendFrame(self, responder: Responder) -> int:
        """
        Send one frame of a body, or find out what it waits for.

        :return: how many octets of the turn it took.
        """
        if not responder.hasMore():
            return 0
        window = self._h2.local_flow_control_window(responder.streamId)
        if window <= 0 and responder.pendingSize():
            self._blocked[responder] = None
            return 0
        piece, isLast = responder.take(max(0, min(window, self._h2.max_outbound_frame_size)))
        trailers = responder.trailers if isLast else []
        if piece or not trailers:
            self._h2.send_data(responder.streamId, piece, end_stream=isLast and not trailers)
        if trailers:
            self._h2.send_headers(responder.streamId, trailers, end_stream=True)
        if isLast:
            self._ended(responder)
        else:
            self._ready[responder] = None
        return len(piece) + _HEADER_SIZE
