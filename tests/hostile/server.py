"""
A server that breaks the rules on purpose, and the way to it in memory.

Owns the octets of a conversation that goes wrong: frames and header blocks are put together here,
octet by octet, and no library has a say. What is said, :mod:`tests.hostile.cases` lists; what
comes of it, :mod:`tests.hostile.attack` judges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from tests.client.network import TLSTransport
from tests.core import wire
from tests.core.wire import END_HEADERS, END_STREAM, Fields, Frame, frame

__all__ = ["Loopback", "RawServer", "block", "head"]

#: The client's preface, which comes before its frames (RFC 9113 section 3.4).
PREFACE = wire.PREFACE


def string(octets: bytes) -> bytes:
    """A string of HPACK's, without Huffman (RFC 7541 section 5.2)."""
    if len(octets) < 0x7F:
        return bytes([len(octets)]) + octets
    rest, coded = len(octets) - 0x7F, bytearray([0x7F])
    while rest > 0x7F:
        coded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(coded) + bytes([rest]) + octets


def block(fields: Fields) -> bytes:
    """A header block of literals (RFC 7541 section 6.2.2): it says exactly what is given."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


def head(
    stream: int, fields: Fields = wire.OK, end: bool = False, flags: int = END_HEADERS
) -> bytes:
    """HEADERS with such a block."""
    return frame(wire.HEADERS, flags | (END_STREAM if end else 0), stream, block(fields))


class RawServer(Protocol):
    """
    One connection. It waits for something to come, and then does what it was made to do.

    :ivar frames: what the client has sent, as it came.
    :ivar streams: the streams of the client's requests.
    """

    def __init__(
        self,
        script: Callable[[RawServer], None],
        requests: int = 1,
        greeting: bytes = wire.settings_frame(),
    ) -> None:
        """
        :param script: called once so many requests have come.
        :param greeting: what is said first, whatever it is.
        """
        self.frames: list[Frame] = []
        self.streams: list[int] = []
        self.whenLost: Deferred[None] = Deferred()
        self.isLost = False
        self._greeting = greeting
        self.wait(lambda: len(self.streams) >= requests, script)
        self._octets = b""
        self._isGreeted = False

    def connectionMade(self) -> None:
        """Greet."""
        self.say(self._greeting)

    def wait(self, isReady: Callable[[], bool], script: Callable[[RawServer], None]) -> None:
        """Go on with the script once this holds, at the next octets that come."""
        self._isReady = isReady
        self._script: Callable[[RawServer], None] | None = script

    def say(self, octets: bytes) -> None:
        """Send octets."""
        assert self.transport is not None
        if not self.isLost:
            self.transport.write(octets)

    def dataReceived(self, data: bytes) -> None:
        """Cut what has come into frames; once the requests are here, say it."""
        self._octets += data
        if not self._isGreeted and len(self._octets) >= len(PREFACE):
            assert self._octets.startswith(PREFACE)
            self._octets = self._octets[len(PREFACE) :]
            self._isGreeted = True
        while self._isGreeted and len(self._octets) >= 9:
            end = 9 + int.from_bytes(self._octets[:3], "big")
            if len(self._octets) < end:
                break
            whole, self._octets = self._octets[:end], self._octets[end:]
            self.frames += wire.split(whole)
            if self.frames[-1][0] == wire.HEADERS:
                self.streams.append(self.frames[-1][2])
        if self._script is not None and self._isReady():
            script, self._script = self._script, None
            script(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client has gone."""
        self.isLost = True
        self.whenLost.callback(None)

    def codes(self, kind: int, stream: int = 0) -> list[int]:
        """The error codes of the RST_STREAM frames of a stream, or of the GOAWAY frames."""
        at = 4 if kind == wire.GOAWAY else 0
        return [
            int.from_bytes(payload[at : at + 4], "big")
            for found, _, named, payload in self.frames
            if (found, named) == (kind, stream)
        ]


class ServerTransport(StringTransport):
    """The server's end."""

    def abortConnection(self) -> None:
        """Close at once."""
        self.loseConnection()


@implementer(IStreamClientEndpoint, IAgentEndpointFactory)
class Loopback:
    """
    The way to servers in memory, over what looks like TLS on which ALPN has chosen.

    :ivar clock: for everybody.
    """

    def __init__(self, build: Callable[[], RawServer]) -> None:
        """:param build: makes the server of a connection."""
        self.clock = Clock()
        self._build = build
        self._wires: list[tuple[Any, TLSTransport, RawServer, ServerTransport]] = []

    def endpointForURI(self, uri: Any) -> Loopback:
        """All lead here."""
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect."""
        client, near = factory.buildProtocol(None), TLSTransport()
        server, far = self._build(), ServerTransport()
        self._wires.append((client, near, server, far))
        server.makeConnection(far)
        client.makeConnection(near)
        client.handshakeCompleted()
        connected: Deferred[Any] = Deferred()
        connected.callback(client)
        return connected

    def pump(self) -> None:
        """Carry everything, until there is nothing left to carry."""
        isBusy = True
        while isBusy:
            self.clock.advance(0)
            isBusy = any(self._carry(*each) for each in self._wires)

    def _carry(
        self, client: Any, near: TLSTransport, server: RawServer, far: ServerTransport
    ) -> bool:
        if server.isLost:
            return False
        up, down = b"", far.value()
        if far.producerState != "paused":
            up = b"".join(near.writes)
            near.writes.clear()
        far.clear()
        if up:
            server.dataReceived(up)
        if far.producerState == "paused" and near.producer is not None:
            # It reads no more: soon the client's transport has enough.
            near.producer.pauseProducing()
        if down and not near.isAborted:
            client.dataReceived(down)
        if up or down:
            return True
        if near.isClosing or near.isAborted or far.disconnecting:
            server.connectionLost()
            client.connectionLost(Failure(connectionDone.value))
            return True
        return False

    def settle(self, deferred: Deferred[Any]) -> None:
        """Carry everything until this has fired. Where all wait for the time, it passes."""
        self.pump()
        while not deferred.called and self.clock.seconds() < 60:
            self.clock.advance(0.01)
            self.pump()
