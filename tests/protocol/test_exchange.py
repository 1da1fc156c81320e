"""Tests for :mod:`txhyper.protocol.exchange`: a body is complete, or it is an error."""

from __future__ import annotations

from typing import Any

from tests.protocol.scene import (
    CANCEL,
    NO_ERROR,
    OK,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    ConnectionTestCase,
    Producer,
    Reader,
)
from txhyper.core import frames
from txhyper.errors import ConnectionTerminated, MalformedResponse, StreamRefused, StreamReset


class CompletenessTests(ConnectionTestCase):
    """Only END_STREAM together with a matching content-length is a complete body."""

    def read(self, *fields: tuple[bytes, bytes]) -> Reader:
        """The reader of a response on stream 1."""
        response, reader = self.opened([*OK, *fields]), Reader()
        response.deliverBody(reader)
        self.peer.drain()
        return reader

    def assertMalformed(self, reader: Reader) -> None:
        """The stream was reset for it, and the reader is told so once; the connection lives."""
        self.assertIsInstance(reader.error, MalformedResponse)
        self.assertEqual(PROTOCOL_ERROR, self.peer.expectReset(1))
        self.assertTrue(self.client.isUsable())
        self.assertEqual(0, self.client.openCount)

    def test_asAnnounced(self) -> None:
        """As many octets as were announced, in whatever pieces."""
        reader = self.read((b"content-length", b"5"))
        self.peer.sendData(1, b"he")
        self.peer.sendData(1, b"llo", endStream=True, padding=100)
        self.assertEqual((b"hello", True), (reader.body, reader.isDone))

    def test_tooShort(self) -> None:
        """Fewer octets are no complete body."""
        reader = self.read((b"content-length", b"5"))
        self.peer.sendData(1, b"hell", endStream=True)
        self.assertMalformed(reader)

    def test_tooLong(self) -> None:
        """Nor are more; what exceeds the length is not delivered."""
        reader = self.read((b"content-length", b"5"))
        self.peer.sendData(1, b"hello")
        self.peer.sendData(1, b"!")
        self.assertEqual(b"hello", reader.body)
        self.assertMalformed(reader)

    def test_resetInTheBody(self) -> None:
        """A reset is the end of an incomplete body, even one without an error."""
        for code in (NO_ERROR, CANCEL, REFUSED_STREAM):
            self.meet()
            reader = self.read()
            self.peer.sendData(1, b"half")
            self.peer.sendReset(1, code)
            self.assertIsInstance(reader.error, StreamReset)
            self.assertEqual(code, reader.error.code)
            self.assertFalse(reader.error.retriable)

    def test_refusedBeforeTheHead(self) -> None:
        """Only before the head does REFUSED_STREAM say that nothing was done."""
        deferred = self.request()
        self.greet()
        self.peer.sendReset(1, REFUSED_STREAM)
        self.assertIsInstance(self.neverReceived(deferred), StreamRefused)

    def test_malformedTrailers(self) -> None:
        """Trailers with a pseudo-header field spoil the response."""
        reader = self.read()
        self.peer.sendData(1, b"x")
        self.peer.sendHeaders(1, [(b":status", b"200")], endStream=True)
        self.assertMalformed(reader)

    def test_trailersThatDoNotEnd(self) -> None:
        """And so does a second head."""
        reader = self.read()
        self.peer.sendHeaders(1, OK)
        self.assertMalformed(reader)

    def test_whatWasHeldComesFirst(self) -> None:
        """A reader that comes late is given what came, and is then told what went wrong."""
        response = self.opened([*OK, (b"content-length", b"5")])
        self.peer.sendData(1, b"he")
        self.peer.sendData(1, b"l", endStream=True)
        reader = Reader()
        response.deliverBody(reader)
        self.assertEqual(b"he", reader.body)
        self.assertIsInstance(reader.error, MalformedResponse)


class ClaimTests(ConnectionTestCase):
    """A request is told of one thing, once."""

    def test_messagesNameTheStream(self) -> None:
        """An error names the origin, and the stream if there is one."""
        self.greet({3: 1})
        producer = Producer(1)
        deferred = self.upload(producer)
        producer.finish()
        self.assertIn("https://a.test: stream 1: ", str(self.neverReceived(deferred)))

    def test_theResponseThenTheEnd(self) -> None:
        """After the response the Deferred has fired; whatever follows is the reader's."""
        deferred = self.request()
        self.greet()
        self.peer.sendHeaders(1, OK)
        self.peer.loseConnection()
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertIsInstance(reader.error, ConnectionTerminated)


class PolicyTests(ConnectionTestCase):
    """What a stream's window manager is told of its reader."""

    def test_aPauseIsTold(self) -> None:
        """
        A reader that keeps up is given a larger window; one that paused is not, until it has
        kept up for a whole window again.
        """
        granted: list[int] = []
        for pausing in (False, True):
            self.meet()
            reader = Reader()
            self.opened().deliverBody(reader)
            self.peer.drain()
            transport: Any = reader.transport
            for number in range(16):
                self.peer.sendData(1, b"x" * 16384)
                if pausing and number == 12:
                    transport.pauseProducing()
                    transport.resumeProducing()
            updates = [
                int.from_bytes(frame.payload, "big")
                for frame in self.peer.drain()
                if (frame.kind, frame.streamId) == (frames.WINDOW_UPDATE, 1)
            ]
            granted.append(sum(updates))
        window = 16 * 16384
        self.assertEqual([2 * window, window], granted)
