"""Tests for :mod:`txhyper.client.decoding`, under Twisted's own ContentDecoderAgent."""

from __future__ import annotations

import gzip
from random import Random
from typing import Any

import brotli
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ContentDecoderAgent, ResponseDone, ResponseFailed, readBody
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from tests.client.network import Connection, Network, Reader, read
from txhyper import Agent, Bounds, contentDecoders
from txhyper.core.decoders import PIECE
from txhyper.errors import (
    BodyError,
    BodyTooLarge,
    BoundExceeded,
    DecodingFailed,
    StreamAborted,
)

CANCEL = 8


class PausingReader(Reader):
    """Pauses after each piece."""

    def dataReceived(self, data: bytes) -> None:
        """Keep, and pause."""
        super().dataReceived(data)
        assert self.transport is not None
        self.transport.pauseProducing()  # type: ignore[attr-defined]


class PauseAndStopReader(PausingReader):
    """Pauses after its first piece, and stops in its second."""

    def dataReceived(self, data: bytes) -> None:
        """Keep, and pause or stop."""
        super().dataReceived(data)
        if len(self.octets) > PIECE:
            self.transport.loseConnection()  # type: ignore[union-attr]


class StoppingReader(Reader):
    """Stops in its first piece, by a method of its transport's."""

    how = "loseConnection"

    def dataReceived(self, data: bytes) -> None:
        """Keep, and stop."""
        super().dataReceived(data)
        getattr(self.transport, self.how)()


class DecodingCase(SynchronousTestCase):
    """A response with a coding."""

    bounds: Bounds | None = None

    def setUp(self) -> None:
        """Nothing is asked yet."""
        self.clock = Clock()
        self.network = Network(self.clock)
        self.agent = ContentDecoderAgent(
            Agent.usingEndpointFactory(self.clock, self.network), contentDecoders(self.bounds)
        )

    def respond(self, coding: bytes = b"gzip") -> tuple[Connection, Any]:
        """The head of a response. :return: the connection, and the response."""
        deferred: Deferred[IResponse] = self.agent.request(b"GET", b"https://example.com/")
        connection = self.network.connections[-1].h2()
        self.request = connection.peer.expectHeaders()
        connection.peer.sendHeaders(1, [(b":status", b"200"), (b"content-encoding", coding)])
        return connection, self.successResultOf(deferred)

    def reasonOf(self, reader: Reader, expected: type[Exception]) -> Any:
        """The error of ours with which a body ended."""
        assert reader.reason is not None
        reader.reason.trap(ResponseFailed)
        reason = reader.reason.value.reasons[0].value
        self.assertIsInstance(reason, expected)
        return reason


class BodyTests(DecodingCase):
    """Bodies that are decoded."""

    def test_asked(self) -> None:
        """What can be decoded is asked for, best first."""
        self.respond()
        self.assertEqual(b"zstd,br,gzip,x-gzip,deflate", self.request[b"accept-encoding"])

    def test_decoded(self) -> None:
        """The reader gets what was coded, and the headers do not say that it was."""
        connection, response = self.respond()
        octets = gzip.compress(b"hello")
        connection.peer.sendData(1, octets[:7])
        reader = read(response)
        connection.peer.sendData(1, octets[7:], endStream=True)
        self.assertEqual(b"hello", reader.octets)
        assert reader.reason is not None
        reader.reason.trap(ResponseDone)
        self.assertEqual(UNKNOWN_LENGTH, response.length)
        self.assertFalse(response.headers.hasHeader(b"content-encoding"))

    def test_chain(self) -> None:
        """Codings one in the other are undone in the order in which they have to be."""
        connection, response = self.respond(b"gzip, br")
        connection.peer.sendData(1, brotli.compress(gzip.compress(b"hello")), endStream=True)
        self.assertEqual(b"hello", self.successResultOf(readBody(response)))

    def test_readAndChunks(self) -> None:
        """What this library's responses have besides decodes as well, and trailers are kept."""
        connection, response = self.respond(b"gzip, br")
        octets = brotli.compress(gzip.compress(b"hello"))
        body, trailers = response.read(5), response.whenTrailers()
        connection.peer.sendData(1, octets)
        connection.peer.sendHeaders(1, [(b"a", b"b")], endStream=True)
        self.assertEqual(b"hello", self.successResultOf(body))
        self.assertTrue(self.successResultOf(trailers).hasHeader(b"a"))
        self.setUp()
        connection, response = self.respond()
        chunks = response.chunks()
        waiting = Deferred.fromCoroutine(chunks.__anext__())
        connection.peer.sendData(1, gzip.compress(bytes(PIECE + 1)), endStream=True)
        self.assertEqual(bytes(PIECE), self.successResultOf(waiting))
        last = Deferred.fromCoroutine(chunks.__anext__())
        self.assertEqual(bytes(1), self.successResultOf(last))

    def test_cutOff(self) -> None:
        """A body that ends before its coding does is no short body: it failed."""
        connection, response = self.respond()
        reader = read(response)
        connection.peer.sendData(1, gzip.compress(b"hello")[:-1], endStream=True)
        self.reasonOf(reader, DecodingFailed)

    def test_connectionCut(self) -> None:
        """A body whose connection is cut fails with that, whatever its coding says."""
        connection, response = self.respond()
        reader = read(response)
        connection.lose()
        assert reader.reason is not None
        reader.reason.trap(ResponseFailed)

    def test_corrupt(self) -> None:
        """A corrupt body fails, and its stream is reset, once; what still comes is ignored."""
        connection, response = self.respond()
        reader = read(response)
        connection.peer.sendData(1, b"nonsense")
        self.reasonOf(reader, DecodingFailed)
        self.assertEqual(CANCEL, connection.peer.expectReset(1))
        connection.peer.sendData(1, b"more")
        self.clock.advance(0)
        connection.peer.expectNothing()

    def test_corruptInTheSameRead(self) -> None:
        """Likewise if more of it comes before anybody can say stop."""
        connection, response = self.respond()
        reader = read(response)
        data = connection.peer.frame(0, 0, 1, b"nonsense")
        connection.peer.send(data + data + connection.peer.frame(0, 1, 1, b""))
        self.reasonOf(reader, DecodingFailed)

    def test_corruptOverHTTP11(self) -> None:
        """A connection that is on its way to be closed may still deliver: nobody listens."""
        deferred: Deferred[IResponse] = self.agent.request(b"GET", b"http://example.com/")
        connection = self.network.connections[-1].tcp(tls=False)
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n"
        connection.peer.send(head)
        reader = read(self.successResultOf(deferred))
        connection.peer.send(b"nonsense")
        self.reasonOf(reader, DecodingFailed)
        self.assertTrue(connection.transport.isAborted)
        connection.peer.send(b"more")
        connection.lose()
        self.assertEqual(b"", reader.octets)


class ChainTests(DecodingCase):
    """Codings one in the other."""

    bounds = Bounds(content_codings=2)

    def test_tooMany(self) -> None:
        """More than the bound allows fail the request, and the stream is given up."""
        deferred: Deferred[IResponse] = self.agent.request(b"GET", b"https://example.com/")
        connection = self.network.connections[-1].h2()
        fields = [(b":status", b"200"), (b"content-encoding", b"gzip, gzip, gzip")]
        connection.peer.sendHeaders(1, fields)
        failure = self.failureResultOf(deferred, BoundExceeded)
        self.assertEqual("content_codings", failure.value.bound)


class ChainBoundTests(DecodingCase):
    """Codings one in the other, which grow together."""

    bounds = Bounds(decoded_ratio=1100)

    def test_ratio(self) -> None:
        """Neither coding passes the bound, and the body does."""
        connection, response = self.respond(b"gzip, gzip")
        reader = read(response)
        connection.peer.sendData(1, gzip.compress(gzip.compress(bytes(20 * 1024 * 1024))))
        self.assertIn("decoded_ratio", str(self.reasonOf(reader, BodyTooLarge)))
        self.assertEqual(CANCEL, connection.peer.expectReset(1))

    def test_boundsOfTwo(self) -> None:
        """Under an agent around an agent, each keeps to its own bounds."""
        inner = contentDecoders(Bounds(decoded_body_size=10_000))
        self.agent = ContentDecoderAgent(
            ContentDecoderAgent(
                Agent.usingEndpointFactory(self.clock, self.network),
                [(name, decoder) for name, decoder in inner if name == b"gzip"],
            ),
            contentDecoders(self.bounds),
        )
        connection, response = self.respond(b"br, gzip")
        reader = read(response)
        # Noise, which brotli does not make any smaller.
        octets = brotli.compress(Random(0).randbytes(12_000))
        connection.peer.sendData(1, gzip.compress(octets))
        self.assertIn("decoded_body_size", str(self.reasonOf(reader, BodyTooLarge)))


class BoundTests(DecodingCase):
    """Bodies that are too much."""

    bounds = Bounds(decoded_body_size=100_000)

    def test_tooLarge(self) -> None:
        """The bound ends the body, and the stream."""
        connection, response = self.respond()
        reader = read(response)
        connection.peer.sendData(1, gzip.compress(bytes(200_000)))
        self.assertIn("decoded_body_size", str(self.reasonOf(reader, BodyTooLarge)))
        self.assertEqual(PIECE, len(reader.octets))
        self.assertEqual(CANCEL, connection.peer.expectReset(1))


class PaceTests(DecodingCase):
    """Readers with a pace of their own."""

    def test_pauses(self) -> None:
        """A reader that pauses gets one piece at a time, out of one frame, and then the end."""
        connection, response = self.respond()
        reader = PausingReader()
        response.deliverBody(reader)
        connection.peer.sendData(1, gzip.compress(bytes(3 * PIECE)), endStream=True)
        for pieces in (1, 2, 3):
            self.assertEqual(pieces * PIECE, len(reader.octets))
            self.assertIsNone(reader.reason)
            reader.transport.resumeProducing()  # type: ignore[union-attr]
        assert reader.reason is not None
        reader.reason.trap(ResponseDone)
        # After the end, nothing happens.
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.assertTrue(reader.transport.disconnecting)  # type: ignore[union-attr]

    def test_pausedAtTheEnd(self) -> None:
        """A reader that paused after its last piece is told of the end when it resumes."""
        connection, response = self.respond()
        reader = PausingReader()
        response.deliverBody(reader)
        connection.peer.sendData(1, gzip.compress(b"hello"))
        connection.peer.sendData(1, b"", endStream=True)
        self.assertIsNone(reader.reason)
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.assertIsNotNone(reader.reason)

    def test_octetsDuringAPause(self) -> None:
        """Over HTTP/1.1 chunks come in one read, paused or not: none of them is lost."""
        deferred: Deferred[IResponse] = self.agent.request(b"GET", b"http://example.com/")
        peer = self.network.connections[-1].tcp(tls=False).peer
        peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
        )
        reader = PausingReader()
        self.successResultOf(deferred).deliverBody(reader)
        body = bytes(range(256)) * 2000
        octets = gzip.compress(body)
        parts = [octets[start : start + 300] for start in range(0, len(octets), 300)]
        peer.send(b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n")
        while reader.reason is None:
            reader.transport.resumeProducing()  # type: ignore[union-attr]
        reader.reason.trap(ResponseDone)
        self.assertTrue(body == reader.octets)

    def test_stopsAfterTheEnd(self) -> None:
        """
        Over HTTP/1.1 a body may have ended while its reader pauses; one that stops then is told,
        once, that it has not had all of it: from outside as from within its own call.
        """
        for reader in (PausingReader(), PauseAndStopReader()):
            self.setUp()
            deferred: Deferred[IResponse] = self.agent.request(b"GET", b"http://example.com/")
            peer = self.network.connections[-1].tcp(tls=False).peer
            octets = gzip.compress(bytes(3 * PIECE))
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            peer.send(head % len(octets) + octets)
            self.successResultOf(deferred).deliverBody(reader)
            self.assertIsNone(reader.reason)
            transport: Any = reader.transport
            if isinstance(reader, PauseAndStopReader):
                transport.resumeProducing()
            else:
                transport.abortConnection()
            self.reasonOf(reader, BodyError)
            transport.abortConnection()

    def test_raises(self) -> None:
        """A reader that raises gets nothing more but its end."""

        class RaisingReader(Reader):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                raise ValueError("no room")

        connection, response = self.respond()
        reader = RaisingReader()
        response.deliverBody(reader)
        connection.peer.sendData(1, gzip.compress(bytes(3 * PIECE)), endStream=True)
        self.clock.advance(0)
        self.assertEqual(PIECE, len(reader.octets))
        self.assertIsNotNone(reader.reason)
        self.flushLoggedErrors(ValueError)

    def test_stops(self) -> None:
        """A reader that has enough gets no more, and is told of the end in a later turn."""
        for how in ("stopProducing", "loseConnection", "abortConnection"):
            self.setUp()
            connection, response = self.respond()
            reader = StoppingReader()
            reader.how = how
            response.deliverBody(reader)
            connection.peer.sendData(1, gzip.compress(bytes(3 * PIECE)))
            self.assertEqual(PIECE, len(reader.octets))
            self.assertIsNone(reader.reason)
            self.assertEqual(CANCEL, connection.peer.expectReset(1))
            self.reasonOf(reader, StreamAborted)
