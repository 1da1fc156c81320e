"""Tests for :mod:`txhyper.testing.peer`: the scripted peer itself, driven by hand."""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from txhyper.core import frames
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.request import Request
from txhyper.testing.peer import MemoryTransport, ScriptedPeer, UnexpectedFrame


class Recorder(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.octets = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.octets += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class ConversationTests(SynchronousTestCase):
    """A whole conversation with the project's own client."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.peer = ScriptedPeer(self.clock)
        self.client = self.peer.connect(HTTP2ClientProtocol(self.clock))

    def test_aConversation(self) -> None:
        """A request is seen as it was sent, and the answer arrives as it was scripted."""
        deferred = self.client.request(Request(b"GET", b"https://example.com/path"))
        self.peer.greet({3: 7})
        request = self.peer.expectHeaders(1)
        self.assertEqual((1, True), (request.streamId, request.endStream))
        self.assertEqual(b"/path", request[b":path"])
        self.assertEqual(7, self.client.capacity)
        self.peer.sendHeaders(1, [(b":status", b"200")])
        self.peer.sendData(1, b"he", padding=3)
        self.peer.sendData(1, b"llo", endStream=True)
        reader = Recorder()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertEqual(b"hello", reader.octets)
        assert reader.reason is not None
        reader.reason.trap(ResponseDone)

    def test_origins(self) -> None:
        """An ORIGIN frame says what the script says, be it an origin or not."""
        recorder = self.peer.connect(Recorder())
        self.peer.sendOrigin(b"https://b.test", b"")
        self.assertEqual(b"\0\0\x12\x0c\0\0\0\0\0\0\x0ehttps://b.test\0\0", recorder.octets)

    def test_aLargeHeadComesInSeveralFrames(self) -> None:
        """CONTINUATION frames are put together again."""
        request = Request(b"GET", b"https://example.com/" + b"x" * 40000)
        self.client.request(request)
        self.assertEqual(request.path, self.peer.expectHeaders()[b":path"])

    def test_pingResetWindowGoAway(self) -> None:
        """The frames with numbers in them are read and written as numbers."""
        deferred = self.client.request(Request(b"GET", b"https://example.com/"))
        self.peer.greet()
        self.assertEqual(32 * 1024 * 1024 - 65535, self.peer.expectWindowUpdate())
        self.peer.sendPing(b"12345678")
        self.assertEqual(b"12345678", self.peer.expect(frames.PING).payload)
        self.peer.sendPing(b"nobodies", ack=True)
        self.peer.sendWindowUpdate(0, 10)
        deferred.cancel()
        self.assertEqual(8, self.peer.expectReset(1))
        self.failureResultOf(deferred)
        self.peer.expectNothing()
        self.client.close()
        self.assertEqual((0, 0, b""), self.peer.expectGoAway())
        self.assertTrue(self.peer.transport.isClosing)
        self.peer.loseConnection()

    def test_resetAndGoAwayReachTheClient(self) -> None:
        """What the script resets or refuses fails at the client."""
        first = self.client.request(Request(b"GET", b"https://example.com/"))
        second = self.client.request(Request(b"GET", b"https://example.com/"))
        self.peer.greet()
        self.peer.sendReset(1, 2)
        self.failureResultOf(first)
        self.peer.sendGoAway(1, 0, b"bye")
        self.failureResultOf(second)
        self.peer.drain()
        self.peer.loseConnection()


class ExpectationTests(SynchronousTestCase):
    """What is not as expected is told."""

    def setUp(self) -> None:
        self.peer = ScriptedPeer(Clock())
        self.peer.connect(Recorder())

    def write(self, *parts: bytes) -> None:
        """Write as a client would."""
        for part in parts:
            self.peer.transport.write(part)

    def test_noPreface(self) -> None:
        """A client that speaks something else is found out."""
        self.write(b"GET / HTTP/1.1\r\n\r\n")
        with self.assertRaises(UnexpectedFrame):
            self.peer.read()

    def test_nothing(self) -> None:
        """A missing frame and a frame too many are told by name."""
        self.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frames.pack_reset(1, 8))
        with self.assertRaises(UnexpectedFrame) as caught:
            self.peer.expectNothing()
        self.assertIn("RST_STREAM stream=1", str(caught.exception))
        with self.assertRaises(UnexpectedFrame) as caught:
            self.peer.expectData()
        self.assertIn("no DATA, only ['RST_STREAM", str(caught.exception))

    def test_anotherStream(self) -> None:
        """A frame of the right type on another stream is told."""
        self.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frames.pack(0, 0, 3, b"x"))
        with self.assertRaises(UnexpectedFrame):
            self.peer.expectData(1)


class MemoryTransportTests(SynchronousTestCase):
    """The client's end."""

    def test_writes(self) -> None:
        """Each write is kept apart, until the transport is closed."""
        transport = MemoryTransport()
        transport.write(b"a")
        transport.writeSequence([b"b", b"c"])
        transport.loseConnection()
        transport.write(b"d")
        self.assertEqual([b"a", b"bc"], transport.writes)

    def test_addresses(self) -> None:
        """Both ends have one."""
        self.assertNotEqual(MemoryTransport().getPeer(), MemoryTransport().getHost())

    def test_reasons(self) -> None:
        """The client is told how the connection ended, once."""
        for abort, isClean, expected in [
            (False, True, ConnectionDone),
            (False, False, ConnectionLost),
            (True, True, ConnectionAborted),
        ]:
            peer = ScriptedPeer(Clock())
            recorder = peer.connect(Recorder())
            if abort:
                peer.transport.abortConnection()
            peer.loseConnection(isClean)
            assert recorder.reason is not None
            recorder.reason.trap(expected)
            recorder.reason = None
            peer.loseConnection()
            self.assertIsNone(recorder.reason)
