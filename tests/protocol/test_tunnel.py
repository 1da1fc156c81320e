"""Tests for :mod:`txhyper.protocol.tunnel`: a stream as the transport of another protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, NoProtocol
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from tests.protocol.scene import CANCEL, INITIAL_WINDOW_SIZE, OK, REFUSED_STREAM, ConnectionTestCase
from txhyper.core import frames
from txhyper.core.outbound import HIGH_MARK
from txhyper.errors import ConnectionTerminated, StreamReset, TunnelRefused
from txhyper.interfaces import IReplayableBody
from txhyper.protocol.tunnel import CLOSE_TIMEOUT, TunnelAddress, TunnelBody, TunnelEndpoint


class Talker(Protocol):
    """A protocol at this end of a tunnel, which keeps what it is told."""

    transport: Any

    def __init__(self) -> None:
        self.octets = b""
        self.ends: list[Failure] = []
        self.made = 0

    def connectionMade(self) -> None:
        """There is a transport."""
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        """Keep the octets."""
        assert not self.ends
        self.octets += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        self.ends.append(reason)


@implementer(IHalfCloseableProtocol)
class HalfCloser(Talker):
    """One that goes on when the other end has closed its side."""

    reads = 0

    def readConnectionLost(self) -> None:
        """Count it."""
        self.reads += 1

    def writeConnectionLost(self) -> None:
        """Nobody calls this."""


@implementer(IPushProducer)
class Writer:
    """A producer for the tunnel, push or pull."""

    def __init__(self, transport: Any = None) -> None:
        self.calls: list[str] = []
        self._transport = transport

    def pauseProducing(self) -> None:
        """Remember it."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Remember it; a pull producer writes."""
        self.calls.append("resume")
        if self._transport is not None:
            self._transport.write(b"pulled")
            self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        """Remember it."""
        self.calls.append("stop")


class TunnelTestCase(ConnectionTestCase):
    """A connection to a proxy."""

    def setUp(self) -> None:
        super().setUp()
        self.greet()

    def dial(
        self,
        talker: Protocol | None = None,
        host: bytes = b"b.test",
        headers: Headers | None = None,
    ) -> Deferred[Any]:
        """Ask for a tunnel."""
        self.talker: Any = talker or Talker()
        endpoint = TunnelEndpoint(
            self.clock, self.client.request, b"https://a.test", host, 22, headers
        )
        verifyObject(IStreamClientEndpoint, endpoint)
        return endpoint.connect(Factory.forProtocol(lambda: self.talker))

    def open(self, talker: Protocol | None = None) -> Any:
        """A tunnel that is open. :return: the protocol at this end of it."""
        dialling = self.dial(talker)
        self.stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(self.stream, OK)
        self.assertIs(self.talker, self.successResultOf(dialling))
        return self.talker

    def sent(self) -> tuple[bytes, bool]:
        """The octets of the DATA frames sent, and whether the last has END_STREAM."""
        data = [frame for frame in self.peer.drain() if frame.kind == frames.DATA]
        end = bool(data) and bool(data[-1].flags & frames.END_STREAM)
        return b"".join(frame.payload for frame in data), end

    def assertEnd(self, kind: type[Exception]) -> Any:
        """The protocol was told once that its connection is gone, and why."""
        (reason,) = self.talker.ends
        self.assertIsInstance(reason.value, kind)
        return reason.value

    def assertOver(self) -> None:
        """Nothing is left of the tunnel: its slot is free, and no time runs."""
        self.clock.advance(0)
        self.assertEqual(0, self.client.openCount)
        self.assertClockIsQuiet()


class OpeningTests(TunnelTestCase):
    """CONNECT, and its answer."""

    def test_request(self) -> None:
        """CONNECT has a method and an authority, and neither a scheme nor a path."""
        self.dial(headers=Headers({b"Proxy-Authorization": [b"Basic eDp5"], b"Host": [b"no"]}))
        request = self.peer.expectHeaders()
        self.assertEqual(
            [
                (b":method", b"CONNECT"),
                (b":authority", b"b.test:22"),
                (b"proxy-authorization", b"Basic eDp5"),
            ],
            request.fields,
        )
        self.assertFalse(request.endStream)
        self.peer.expectNothing()

    def test_ipv6(self) -> None:
        """An address stands in brackets."""
        self.dial(host=b"2001:db8::1")
        self.assertEqual(b"[2001:db8::1]:22", self.peer.expectHeaders()[b":authority"])

    def test_opened(self) -> None:
        """A 2xx makes the connection, once; nothing was said before."""
        dialling = self.dial()
        stream = self.peer.expectHeaders().streamId
        self.assertEqual(0, self.talker.made)
        self.peer.sendHeaders(stream, [(b":status", b"299")])
        self.assertIs(self.talker, self.successResultOf(dialling))
        self.assertEqual(1, self.talker.made)
        verifyObject(ITransport, self.talker.transport)
        verifyObject(IConsumer, self.talker.transport)
        verifyObject(IPushProducer, self.talker.transport)

    def test_addresses(self) -> None:
        """Both ends are known by where the tunnel leads."""
        transport = self.open().transport
        expected = TunnelAddress("b.test:22", "https://a.test")
        self.assertEqual((expected, expected), (transport.getPeer(), transport.getHost()))

    def test_options(self) -> None:
        """A stream has none of a socket's options; whoever sets them is not disappointed."""
        transport = self.open().transport
        transport.setTcpNoDelay(False)
        transport.setTcpKeepAlive(True)
        self.assertEqual((True, False), (transport.getTcpNoDelay(), transport.getTcpKeepAlive()))

    def test_refused(self) -> None:
        """Any other answer is a failure that tells the status; the stream is given up."""
        dialling = self.dial()
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, [(b":status", b"407")])
        error = self.failureResultOf(dialling, TunnelRefused).value
        self.assertEqual(407, error.status)
        self.assertIn("https://a.test", str(error))
        self.assertIn("b.test:22", str(error))
        self.assertEqual(0, self.talker.made)
        del error
        self.assertEqual(CANCEL, self.peer.expectReset(stream))
        self.assertOver()

    def test_refusedInFull(self) -> None:
        """One that ends with its headers leaves nothing open either."""
        dialling = self.dial()
        self.peer.sendHeaders(self.peer.expectHeaders().streamId, [(b":status", b"403")], True)
        self.failureResultOf(dialling, TunnelRefused)
        self.assertOver()

    def test_noAnswer(self) -> None:
        """Without an answer it fails as any request does."""
        dialling = self.dial()
        self.peer.sendReset(self.peer.expectHeaders().streamId, CANCEL)
        self.assertIsInstance(self.neverReceived(dialling), StreamReset)
        self.assertOver()

    def test_cancelled(self) -> None:
        """Cancelling it resets the stream."""
        dialling = self.dial()
        stream = self.peer.expectHeaders().streamId
        dialling.cancel()
        self.assertIsInstance(self.neverReceived(dialling), CancelledError)
        self.assertEqual(CANCEL, self.peer.expectReset(stream))

    def test_noProtocol(self) -> None:
        """A factory may change its mind: the tunnel is closed again."""

        class Unwilling(ClientFactory):
            def buildProtocol(self, addr: Any) -> None:
                """Build nothing."""

        endpoint = TunnelEndpoint(self.clock, self.client.request, b"https://a.test", b"b.test", 22)
        dialling = endpoint.connect(Unwilling())
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, OK)
        self.failureResultOf(dialling, NoProtocol)
        self.assertEqual(CANCEL, self.peer.expectReset(stream))
        self.assertOver()

    def test_mayBeSentAgain(self) -> None:
        """Nothing is written before the answer, so that a refused stream is tried again."""
        body = TunnelBody()
        verifyObject(IReplayableBody, body)
        body.rewind()


class TalkTests(TunnelTestCase):
    """Octets both ways."""

    def test_bothWays(self) -> None:
        """What is written goes out, what comes is received; nothing is added."""
        talker = self.open()
        talker.transport.write(b"hello ")
        talker.transport.writeSequence([b"wor", b"ld"])
        self.assertEqual((b"hello world", False), self.sent())
        self.peer.sendData(self.stream, b"good ")
        self.peer.sendData(self.stream, b"bye")
        self.assertEqual(b"good bye", talker.octets)

    def test_pausedReading(self) -> None:
        """A protocol that pauses gets nothing until it resumes."""
        talker = self.open()
        talker.transport.pauseProducing()
        self.peer.sendData(self.stream, b"later")
        self.assertEqual(b"", talker.octets)
        talker.transport.resumeProducing()
        self.assertEqual(b"later", talker.octets)

    def test_pushProducer(self) -> None:
        """A producer is paused while the window is closed, and resumed when it opens."""
        talker, writer = self.open(), Writer()
        talker.transport.registerProducer(writer, True)
        talker.transport.write(b"x" * (HIGH_MARK + 65535 + 1))
        self.clock.advance(0)
        self.assertEqual(["pause"], writer.calls)
        late = Writer()
        talker.transport.unregisterProducer()
        talker.transport.registerProducer(late, True)
        self.assertEqual(["pause"], late.calls)
        self.peer.sendWindowUpdate(0, HIGH_MARK + 1)
        self.peer.sendWindowUpdate(self.stream, HIGH_MARK + 1)
        self.assertEqual(["pause", "resume"], late.calls)

    def test_nobodyToPause(self) -> None:
        """Without a producer what is written waits."""
        talker = self.open()
        octets = b"x" * (HIGH_MARK + 65535 + 1)
        talker.transport.write(octets)
        self.clock.advance(0)
        self.peer.sendWindowUpdate(0, HIGH_MARK + 1)
        self.peer.sendWindowUpdate(self.stream, HIGH_MARK + 1)
        self.assertEqual((octets, False), self.sent())

    def test_pullProducer(self) -> None:
        """A pull producer is asked."""
        talker = self.open()
        writer = Writer(talker.transport)
        talker.transport.registerProducer(writer, False)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual((b"pulled", False), self.sent())
        self.assertEqual(["resume"], writer.calls)


class EndTests(TunnelTestCase):
    """How a tunnel ends."""

    def test_theOtherEndCloses(self) -> None:
        """END_STREAM is answered with ours; to the protocol it is a clean end."""
        talker = self.open()
        self.peer.sendData(self.stream, b"bye", True)
        self.assertEqual(b"bye", talker.octets)
        self.assertEnd(ConnectionDone)
        self.assertEqual((b"", True), self.sent())
        self.assertOver()

    def test_thisEndCloses(self) -> None:
        """What was written goes out, then END_STREAM; the end is the other end's."""
        talker = self.open()
        talker.transport.write(b"last words")
        talker.transport.loseConnection()
        talker.transport.loseConnection()
        talker.transport.write(b"none")
        self.assertTrue(talker.transport.disconnecting)
        self.assertEqual((b"last words", True), self.sent())
        self.peer.sendData(self.stream, b"not heard")
        self.assertEqual([], talker.ends)
        self.peer.sendData(self.stream, b"", True)
        self.assertEqual(b"", talker.octets)
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_theOtherEndDoesNotClose(self) -> None:
        """It has some seconds; then the stream is reset."""
        talker = self.open()
        talker.transport.stopProducing()
        self.assertEqual((b"", True), self.sent())
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertEqual(CANCEL, self.peer.expectReset(self.stream))
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_closedWhileAProducerWrites(self) -> None:
        """A producer finishes first, as with any transport."""
        talker, writer = self.open(), Writer()
        talker.transport.registerProducer(writer, True)
        talker.transport.loseConnection()
        self.assertEqual((b"", False), self.sent())
        talker.transport.unregisterProducer()
        self.assertEqual((b"", True), self.sent())
        talker.transport.unregisterProducer()
        self.peer.sendData(self.stream, b"", True)
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_aborted(self) -> None:
        """The stream is reset, and the protocol told a turn later."""
        talker = self.open()
        talker.transport.write(b"lost")
        talker.transport.abortConnection()
        self.assertEqual([], talker.ends)
        self.assertEqual(CANCEL, self.peer.expectReset(self.stream))
        self.assertEnd(ConnectionAborted)
        self.assertOver()

    def test_reset(self) -> None:
        """A stream that is reset is a connection lost, with our error; the producer is stopped."""
        talker, writer = self.open(), Writer()
        talker.transport.registerProducer(writer, True)
        self.peer.sendReset(self.stream, REFUSED_STREAM)
        self.assertIn("REFUSED_STREAM", str(self.assertEnd(StreamReset)))
        self.assertEqual(["stop"], writer.calls)
        talker.transport.write(b"none")
        talker.transport.loseConnection()
        talker.transport.abortConnection()
        self.assertOver()

    def test_connectionLost(self) -> None:
        """Likewise the end of the connection that carries it."""
        self.open()
        self.peer.loseConnection()
        self.assertEnd(ConnectionTerminated)

    def test_goesOnWriting(self) -> None:
        """A protocol that knows half-closed connections goes on when the other end has closed."""
        talker = self.open(HalfCloser())
        self.peer.sendData(self.stream, b"", True)
        self.assertEqual((1, []), (talker.reads, talker.ends))
        talker.transport.write(b"more")
        self.assertEqual((b"more", False), self.sent())
        talker.transport.loseConnection()
        self.assertEqual([], talker.ends)
        self.assertEqual((b"", True), self.sent())
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_closesItsSideAlone(self) -> None:
        """Or closes its own side, and goes on reading."""
        talker = self.open(HalfCloser())
        talker.transport.loseWriteConnection()
        self.assertEqual((b"", True), self.sent())
        self.peer.sendData(self.stream, b"still here")
        self.assertEqual(b"still here", talker.octets)
        self.peer.sendData(self.stream, b"", True)
        self.assertEnd(ConnectionDone)
        self.assertEqual(0, talker.reads)
        self.assertOver()

    def test_closesItsSideFirst(self) -> None:
        """Who has closed its own side may still hang up; that says nothing more."""
        talker = self.open(HalfCloser())
        talker.transport.loseWriteConnection()
        talker.transport.loseConnection()
        self.assertEqual((b"", True), self.sent())
        self.peer.sendData(self.stream, b"", True)
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_tooLateToWrite(self) -> None:
        """A producer that registers after the end is stopped, as by any transport."""
        talker, writer = self.open(HalfCloser()), Writer()
        talker.transport.loseWriteConnection()
        talker.transport.registerProducer(writer, True)
        self.assertEqual(["stop"], writer.calls)
        talker.transport.write(b"none")
        self.assertEqual((b"", True), self.sent())

    def test_closesItsSideLast(self) -> None:
        """The second side that closes ends it, whoever's that is."""
        talker = self.open(HalfCloser())
        self.peer.sendData(self.stream, b"", True)
        talker.transport.loseWriteConnection()
        self.assertEqual((b"", True), self.sent())
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_abortedWhenHalfClosed(self) -> None:
        """What the other end has closed can still be reset."""
        talker = self.open(HalfCloser())
        self.peer.sendData(self.stream, b"", True)
        talker.transport.abortConnection()
        self.assertEqual(CANCEL, self.peer.expectReset(self.stream))
        self.assertEnd(ConnectionAborted)
        self.assertOver()

    def test_farewellBehindAClosedWindow(self) -> None:
        """What is left when the time is up is given up with the stream."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        talker = self.open()
        talker.transport.write(b"never")
        talker.transport.loseConnection()
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertEqual((b"", False), self.sent())
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_declaredLater(self) -> None:
        """It is asked when the end comes, not before."""
        talker = self.open()
        directlyProvides(talker, IHalfCloseableProtocol)
        talker.readConnectionLost = lambda: talker.transport.loseConnection()
        self.peer.sendData(self.stream, b"", True)
        self.clock.advance(0)
        self.assertEnd(ConnectionDone)
        self.assertOver()
