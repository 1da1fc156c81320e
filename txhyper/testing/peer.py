"""
A scripted HTTP/2 server in memory, which says exactly what it is told to.

Owns the server's end of one conversation without a socket, a clock of its own or a protocol
library: frames are written octet by octet, so that they may be wrong. Tests of clients use it;
those who want a server that behaves use :mod:`txhyper.testing.server`.

A conversation reads like one::

    clock = Clock()
    peer = ScriptedPeer(clock)
    client = peer.connect(HTTP2ClientProtocol(clock))
    response = client.request(Request(b"GET", b"https://example.com/"))
    peer.greet()
    request = peer.expectHeaders()
    peer.sendHeaders(request.streamId, [(b":status", b"200")])
    peer.sendData(request.streamId, b"hello", endStream=True)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hpack import Decoder, Encoder
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txhyper.core import frames

__all__ = ["Frame", "MemoryTransport", "RequestSeen", "ScriptedPeer", "UnexpectedFrame"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

P = TypeVar("P", bound=IProtocol)
Field = tuple[bytes, bytes]


class UnexpectedFrame(AssertionError):
    """The client sent something else than the script expects, or nothing."""


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    kind: int
    flags: int
    streamId: int
    payload: bytes

    def __str__(self) -> str:
        return frames.describe(self.kind, self.flags, self.streamId, self.payload)


@dataclass(frozen=True)
class RequestSeen:
    """A request's head as it came."""

    streamId: int
    fields: list[Field]
    endStream: bool

    def __getitem__(self, name: bytes) -> bytes:
        return dict(self.fields)[name]


@implementer(ITransport, IConsumer)
@dataclass
class MemoryTransport:
    """
    A transport that keeps what is written to it.

    :ivar writes: each write apart.
    :ivar producer: the push producer, which a test pauses and resumes.
    :ivar isClosing: whether ``loseConnection`` has been called; ``isAborted`` likewise.
    """

    writes: list[bytes] = field(default_factory=list)
    producer: Any = None
    isClosing: bool = False
    isAborted: bool = False
    disconnecting: bool = False

    def write(self, data: bytes) -> None:
        """Keep it, unless the connection is closed."""
        if not (self.isClosing or self.isAborted):
            self.writes.append(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Keep it as one write."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Take no more writes."""
        self.isClosing = self.disconnecting = True

    def abortConnection(self) -> None:
        """Take no more writes, and forget the rest."""
        self.isAborted = self.disconnecting = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Remember who is to be paused."""
        assert IPushProducer.providedBy(producer) and streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Forget who is to be paused."""
        self.producer = None

    def getPeer(self) -> IPv4Address:
        """An address reserved for documentation (RFC 5737)."""
        return IPv4Address("TCP", "192.0.2.1", 443)

    def getHost(self) -> IPv4Address:
        """An address reserved for documentation (RFC 5737)."""
        return IPv4Address("TCP", "192.0.2.2", 50000)


class ScriptedPeer:
    """
    The server of one conversation.

    :ivar transport: the client's end of it.
    :ivar frames: what the client has sent and nobody has expected yet.
    """

    def __init__(self, clock: Clock) -> None:
        """:param clock: the reactor that the client was given; it is advanced by nothing."""
        self.clock = clock
        self.transport = MemoryTransport()
        self.frames: deque[Frame] = deque()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self._client: Any = None
        self._seen = 0
        self._octets = b""
        self._isGreeted = False
        self._isLost = False

    def connect(self, client: P) -> P:
        """Give a client its transport."""
        self._client = client
        client.makeConnection(self.transport)
        return client

    # -- what the client has sent ----------------------------------------------------------------

    def read(self) -> None:
        """Let the client's turn end, and cut what it has written into frames."""
        self.clock.advance(0)
        fresh = self.transport.writes[self._seen :]
        self._seen = len(self.transport.writes)
        self._octets += b"".join(fresh)
        if not self._isGreeted and self._octets:
            if not self._octets.startswith(PREFACE):
                raise UnexpectedFrame(f"no preface, but {self._octets[:24]!r}")
            self._octets = self._octets[len(PREFACE) :]
            self._isGreeted = True
        while len(self._octets) >= frames.HEADER_LENGTH:
            lengthAndKind, flags, streamId = frames.read_header(self._octets)
            end = frames.HEADER_LENGTH + (lengthAndKind >> 8)
            payload = self._octets[frames.HEADER_LENGTH : end]
            self._octets = self._octets[end:]
            self.frames.append(Frame(lengthAndKind & 0xFF, flags, streamId, payload))

    def expect(self, kind: int, streamId: int | None = None) -> Frame:
        """
        The client's next frame of a type; frames of other types before it are dropped.

        :raises UnexpectedFrame: there is none, or it is of another stream.
        """
        self.read()
        skipped = []
        while self.frames:
            frame = self.frames.popleft()
            if frame.kind == kind:
                if streamId is not None and frame.streamId != streamId:
                    raise UnexpectedFrame(f"{frame} instead of stream {streamId}")
                return frame
            skipped.append(str(frame))
        raise UnexpectedFrame(f"no {frames.NAMES[kind]}, only {skipped}")

    def expectHeaders(self, streamId: int | None = None) -> RequestSeen:
        """The client's next request, with its CONTINUATION frames."""
        first = frame = self.expect(frames.HEADERS, streamId)
        block = first.payload
        while not frame.flags & frames.END_HEADERS:
            frame = self.expect(frames.CONTINUATION, first.streamId)
            block += frame.payload
        fields = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, True)]
        return RequestSeen(first.streamId, fields, bool(first.flags & frames.END_STREAM))

    def expectData(self, streamId: int | None = None) -> Frame:
        """The client's next DATA frame."""
        return self.expect(frames.DATA, streamId)

    def expectReset(self, streamId: int | None = None) -> int:
        """:return: the code of the client's next RST_STREAM."""
        return int.from_bytes(self.expect(frames.RST_STREAM, streamId).payload, "big")

    def expectWindowUpdate(self, streamId: int = 0) -> int:
        """:return: the increment of the client's next WINDOW_UPDATE."""
        return int.from_bytes(self.expect(frames.WINDOW_UPDATE, streamId).payload, "big")

    def expectGoAway(self) -> tuple[int, int, bytes]:
        """:return: last stream id, code and debug data of the client's GOAWAY."""
        payload = self.expect(frames.GOAWAY).payload
        return (
            int.from_bytes(payload[:4], "big"),
            int.from_bytes(payload[4:8], "big"),
            payload[8:],
        )

    def expectNothing(self) -> None:
        """
        The client has sent nothing more.

        :raises UnexpectedFrame: it has.
        """
        self.read()
        if self.frames:
            raise UnexpectedFrame(f"{[str(frame) for frame in self.frames]} instead of nothing")

    def drain(self) -> list[Frame]:
        """Everything that the client has sent and nobody has expected."""
        self.read()
        taken = list(self.frames)
        self.frames.clear()
        return taken

    # -- what is sent to the client --------------------------------------------------------------

    def send(self, octets: bytes) -> None:
        """Octets, whatever they are; the client deals with them before this returns."""
        self._client.dataReceived(octets)

    def frame(self, kind: int, flags: int, streamId: int, payload: bytes = b"") -> bytes:
        """One frame, not sent: to put several into one read."""
        return frames.pack(kind, flags, streamId, payload)

    def headers(self, streamId: int, fields: Iterable[Field], endStream: bool = False) -> bytes:
        """A HEADERS frame, not sent."""
        flags = frames.END_HEADERS | (frames.END_STREAM if endStream else 0)
        return self.frame(frames.HEADERS, flags, streamId, self.encoder.encode(list(fields)))

    def greet(self, settings: Mapping[int, int] | None = None) -> None:
        """The server's preface: SETTINGS, and the acknowledgement of the client's."""
        self.sendSettings(settings or {})
        self.send(self.frame(frames.SETTINGS, frames.ACK, 0))

    def sendSettings(self, settings: Mapping[int, int]) -> None:
        """SETTINGS, by number."""
        payload = b"".join(
            code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in settings.items()
        )
        self.send(self.frame(frames.SETTINGS, 0, 0, payload))

    def sendHeaders(self, streamId: int, fields: Iterable[Field], endStream: bool = False) -> None:
        """A header block in one frame: a response's head, or trailers."""
        self.send(self.headers(streamId, fields, endStream))

    def sendData(
        self, streamId: int, data: bytes, endStream: bool = False, padding: int | None = None
    ) -> None:
        """DATA, padded with so many octets if not None."""
        flags = frames.END_STREAM if endStream else 0
        if padding is not None:
            flags |= frames.PADDED
            data = bytes([padding]) + data + bytes(padding)
        self.send(self.frame(frames.DATA, flags, streamId, data))

    def sendReset(self, streamId: int, code: int) -> None:
        """RST_STREAM."""
        self.send(frames.pack_reset(streamId, code))

    def sendGoAway(self, lastStreamId: int, code: int = 0, debugData: bytes = b"") -> None:
        """GOAWAY."""
        self.send(frames.pack_goaway(lastStreamId, code, debugData))

    def promise(self, streamId: int, promisedId: int, fields: Iterable[Field]) -> bytes:
        """A PUSH_PROMISE frame, not sent."""
        block = promisedId.to_bytes(4, "big") + self.encoder.encode(list(fields))
        return self.frame(frames.PUSH_PROMISE, frames.END_HEADERS, streamId, block)

    def sendPromise(self, streamId: int, promisedId: int, fields: Iterable[Field]) -> None:
        """
        A response to a request that the client has not sent.

        :param streamId: the stream of the request beside whose response it comes.
        :param promisedId: the stream on which it will come, an even number.
        :param fields: of the request that it answers.
        """
        self.send(self.promise(streamId, promisedId, fields))

    def sendOrigin(self, *origins: bytes) -> None:
        """ORIGIN with these entries, whatever they are (RFC 8336 section 2.1)."""
        self.send(frames.pack_origin(origins))

    def sendWindowUpdate(self, streamId: int, increment: int) -> None:
        """WINDOW_UPDATE."""
        self.send(frames.pack_window_update(streamId, increment))

    def sendPing(self, payload: bytes, ack: bool = False) -> None:
        """PING, or its acknowledgement."""
        self.send(self.frame(frames.PING, frames.ACK if ack else 0, 0, payload))

    # -- the end ---------------------------------------------------------------------------------

    def loseConnection(self, isClean: bool = True) -> None:
        """The connection is gone, for the client. A second time does nothing."""
        if not self._isLost:
            self._isLost = True
            reason: Exception
            if self.transport.isAborted:
                reason = ConnectionAborted()
            else:
                reason = ConnectionDone() if isClean else ConnectionLost()
            self._client.connectionLost(Failure(reason))
