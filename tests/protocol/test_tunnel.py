"""Tests for :mod:`txhyper.protocol.tunnel`: a stream as the transport of another protocol."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, NoProtocol
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from tests.protocol.scene import (
    CANCEL,
    INITIAL_WINDOW_SIZE,
    OK,
    REFUSED_STREAM,
    ConnectionTestCase,
    Producer,
)
from txhyper.core import frames
from txhyper.core.outbound import HIGH_MARK
from txhyper.errors import ConnectionTerminated, ResponseTimedOut, StreamReset, TunnelRefused
from txhyper.interfaces import IReplayableBody
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts
from txhyper.protocol.tunnel import CLOSE_TIMEOUT, TunnelAddress, TunnelEndpoint
from txhyper.protocol.tunnel_body import TunnelBody


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
        self.clock.advance(0)
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertEqual((b"", False), self.sent())
        self.assertEnd(ConnectionAborted)
        self.assertOver()

    def test_slowReader(self) -> None:
        """As long as octets leave there is time, and then all of it for the other end's side."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 10})
        talker = self.open()
        talker.transport.write(b"x" * 40)
        talker.transport.loseConnection()
        for end in (False, False, False, True):
            self.assertEqual((b"x" * 10, end), self.sent())
            self.clock.advance(CLOSE_TIMEOUT - 1)
            self.peer.sendWindowUpdate(self.stream, 10)
        self.clock.advance(CLOSE_TIMEOUT - 1)
        self.assertEqual([], talker.ends)
        self.peer.sendData(self.stream, b"", True)
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

    def test_theOtherEndClosesBeforeItHasRead(self) -> None:
        """What is left is still sent; the protocol is told when it has left."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        talker = self.open()
        talker.transport.write(b"slow")
        self.peer.sendData(self.stream, b"", True)
        self.assertTrue(talker.transport.disconnecting)
        self.assertEqual([], talker.ends)
        self.peer.sendWindowUpdate(self.stream, 4)
        self.assertEqual((b"slow", True), self.sent())
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_theOtherEndClosesAndNeverReads(self) -> None:
        """What is left after some seconds is cut off, and that is said."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        talker = self.open(HalfCloser())
        talker.transport.write(b"never")
        talker.transport.loseWriteConnection()
        self.peer.sendData(self.stream, b"", True)
        talker.transport.loseConnection()
        self.clock.advance(0)
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertEqual(CANCEL, self.peer.expectReset(self.stream))
        self.assertEnd(ConnectionAborted)
        self.assertOver()

    def test_cutOffBehindOurEnd(self) -> None:
        """A stream that is reset before our end has left was not closed, but lost."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        talker = self.open(HalfCloser())
        self.peer.sendData(self.stream, b"", True)
        talker.transport.write(b"never")
        talker.transport.loseConnection()
        self.peer.sendReset(self.stream, CANCEL)
        self.assertOver()
        self.assertEnd(ConnectionLost)

    def test_aborts(self) -> None:
        """The first end that was asked for is the one that is told."""
        for first in ("abortConnection", "loseConnection"):
            self.setUp()
            talker = self.open()
            getattr(talker.transport, first)()
            talker.transport.abortConnection()
            talker.transport.loseConnection()
            talker.transport.loseWriteConnection()
            self.assertOver()
            self.assertEnd(ConnectionAborted)


class HalfLostTests(TunnelTestCase):
    """Tunnels that are lost when the other end has closed its side, and nobody reads."""

    def half(self) -> Any:
        """A tunnel whose other end has closed its side."""
        talker = self.open(HalfCloser())
        self.peer.sendData(self.stream, b"", True)
        self.assertEqual((1, []), (talker.reads, talker.ends))
        return talker

    def test_reset(self) -> None:
        """The stream is reset: the producer is stopped, and nothing more is written."""
        talker, writer = self.half(), Writer()
        talker.transport.registerProducer(writer, True)
        self.peer.sendReset(self.stream, CANCEL)
        self.assertEqual(["stop"], writer.calls)
        talker.transport.write(b"none")
        talker.transport.loseConnection()
        self.assertOver()
        self.assertEnd(ConnectionLost)
        self.assertEqual((b"", False), self.sent())

    def test_connectionLost(self) -> None:
        """The connection is lost: the protocol is told what became of it."""
        talker, writer = self.half(), Writer()
        talker.transport.registerProducer(writer, False)
        self.peer.loseConnection()
        self.clock.advance(0)
        self.assertEnd(ConnectionTerminated)
        self.assertEqual(["stop"], writer.calls)
        self.assertClockIsQuiet()

    def test_connectionLostBehindOurEnd(self) -> None:
        """Likewise when our side was to be closed, and octets were left."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        talker = self.half()
        talker.transport.write(b"never")
        talker.transport.loseWriteConnection()
        self.peer.loseConnection()
        self.clock.advance(0)
        self.assertEnd(ConnectionTerminated)

    def test_once(self) -> None:
        """Whatever is called, and however often, the end is told once."""
        talker = self.half()
        talker.transport.loseWriteConnection()
        talker.transport.loseConnection()
        talker.transport.loseConnection()
        self.assertOver()
        talker.transport.loseWriteConnection()
        talker.transport.abortConnection()
        self.assertOver()
        self.assertEnd(ConnectionDone)

    def test_resetBeforeItIsRead(self) -> None:
        """A reader that has paused hears of it when it has resumed."""
        talker = self.open(HalfCloser())
        talker.transport.pauseProducing()
        self.peer.sendData(self.stream, b"last", True)
        self.peer.sendReset(self.stream, CANCEL)
        self.clock.advance(0)
        self.assertEqual([], talker.ends)
        talker.transport.resumeProducing()
        self.assertEqual((b"last", 0), (talker.octets, talker.reads))
        self.assertEnd(ConnectionLost)
        self.assertOver()

    def test_raises(self) -> None:
        """A protocol that raises when it hears of it loses its tunnel."""
        talker = self.open(HalfCloser())
        talker.readConnectionLost = lambda: 1 / 0
        self.peer.sendData(self.stream, b"", True)
        self.assertEqual(CANCEL, self.peer.expectReset(self.stream))
        self.assertEnd(ZeroDivisionError)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertOver()

    def test_usersOwnBody(self) -> None:
        """A CONNECT with a body of somebody's own: it is stopped when the stream is reset."""
        body = Producer()
        response = self.client.request(
            Request(b"CONNECT", b"https://a.test", Headers({b"host": [b"b.test:1"]}), body)
        )
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, OK, True)
        self.assertEqual(b"", self.successResultOf(self.successResultOf(response).read()))
        self.assertEqual(["start"], body.calls)
        self.peer.sendReset(stream, CANCEL)
        self.assertEqual(["start", "stop"], body.calls)
        self.assertOver()


class WithinTheEndTests(TunnelTestCase):
    """What a protocol does within its connectionLost."""

    def test_everything(self) -> None:
        """It may call what it likes: nothing follows."""

        class Restless(Talker):
            def connectionLost(self, reason: Failure = connectionDone) -> None:
                """Call everything."""
                super().connectionLost(reason)
                self.transport.write(b"none")
                self.transport.loseWriteConnection()
                self.transport.loseConnection()
                self.transport.abortConnection()
                self.transport.registerProducer(writer, True)

        for end in (True, False):
            self.setUp()
            writer = Writer()
            self.open(Restless())
            if end:
                self.peer.sendData(self.stream, b"", True)
            else:
                self.peer.sendReset(self.stream, CANCEL)
            self.assertOver()
            self.assertEnd(ConnectionDone if end else StreamReset)
            self.assertEqual((b"", end), self.sent())
            self.assertEqual(["stop"], writer.calls)


class ProducerTests(TunnelTestCase):
    """Producers, and the end of the tunnel that they write into."""

    def sending(self, size: int = 300_000) -> Any:
        """A tunnel into which a file is sent; ``told`` is what its sender tells."""
        talker = self.open()
        transfer: Deferred[Any] = FileSender().beginFileTransfer(
            io.BytesIO(b"z" * size), talker.transport
        )
        self.told: list[Any] = []
        transfer.addBoth(self.told.append)
        return talker

    def assertStopped(self) -> None:
        """The sender was told that nobody wants the rest."""
        (told,) = self.told
        self.assertIsInstance(told, Failure)

    def test_pullProducerFinishesFirst(self) -> None:
        """loseConnection waits for a pull producer, and its octets are taken."""
        talker = self.sending()
        talker.transport.loseConnection()
        talker.transport.write(b"mixed in, as by any transport")
        total, end = 0, False
        for _ in range(40):
            octets, end = self.sent()
            total += len(octets)
            if end:
                break
            self.peer.sendWindowUpdate(0, 65535)
            self.peer.sendWindowUpdate(self.stream, 65535)
        self.assertEqual((300_029, True), (total, end))
        self.assertEqual([b"z"], self.told)
        self.peer.sendData(self.stream, b"", True)
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_reset(self) -> None:
        """The stream is reset."""
        self.sending()
        self.peer.sendReset(self.stream, CANCEL)
        self.assertStopped()
        self.assertOver()

    def test_connectionLost(self) -> None:
        """The connection is lost."""
        self.sending()
        self.peer.loseConnection()
        self.assertStopped()

    def test_theOtherEndCloses(self) -> None:
        """The other end closes, and the protocol does not know half a connection."""
        for streaming in (True, False):
            self.setUp()
            talker, writer = self.open(), Writer()
            talker.transport.registerProducer(writer, streaming)
            self.peer.sendData(self.stream, b"", True)
            self.assertEqual(["stop"], writer.calls)
            self.assertEnd(ConnectionDone)
            self.assertEqual((b"", True), self.sent())
            self.assertOver()

    def test_theOtherEndClosesMeanwhile(self) -> None:
        """Who knows half a connection, and waits for a producer, goes on waiting."""
        talker, writer = self.open(HalfCloser()), Writer()
        talker.transport.registerProducer(writer, True)
        talker.transport.loseConnection()
        self.peer.sendData(self.stream, b"", True)
        talker.transport.write(b"the rest")
        self.assertEqual((0, [], []), (talker.reads, talker.ends, writer.calls))
        talker.transport.unregisterProducer()
        self.assertEqual((b"the rest", True), self.sent())
        self.assertEnd(ConnectionDone)
        self.assertOver()

    def test_aborted(self) -> None:
        """The tunnel is aborted."""
        self.sending().transport.abortConnection()
        self.assertStopped()
        self.clock.advance(0)
        self.assertEnd(ConnectionAborted)
        self.assertOver()

    def test_raisesWhenStopped(self) -> None:
        """One that raises then is logged; the protocol is told all the same."""
        talker, writer = self.open(), Writer()
        writer.stopProducing = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        talker.transport.registerProducer(writer, True)
        self.peer.sendData(self.stream, b"", True)
        self.assertEnd(ConnectionDone)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_onlyOne(self) -> None:
        """A second producer is refused, as by any transport."""
        transport = self.open().transport
        transport.registerProducer(Writer(), True)
        self.assertRaises(RuntimeError, transport.registerProducer, Writer(), False)

    def test_pullProducerRaises(self) -> None:
        """A pull producer that raises costs the tunnel."""
        talker, writer = self.open(), Writer()
        writer.resumeProducing = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        talker.transport.registerProducer(writer, False)
        self.clock.advance(0)
        self.assertEqual(CANCEL, self.peer.expectReset(self.stream))
        self.assertEnd(ZeroDivisionError)
        self.assertEqual(["stop"], writer.calls)
        self.assertOver()

    def test_pullProducerRaisesTooLate(self) -> None:
        """Unless it has cost the tunnel already."""
        talker, writer = self.open(), Writer()

        def resume() -> None:
            talker.transport.abortConnection()
            raise ValueError("too late")

        writer.resumeProducing = resume  # type: ignore[method-assign]
        talker.transport.registerProducer(writer, False)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEnd(ConnectionAborted)
        self.assertEqual(["stop"], writer.calls)
        self.assertOver()

    def test_oneAfterTheOther(self) -> None:
        """Whoever follows is paused as long as the one before it was, of whatever kind."""
        talker, pusher = self.open(), Writer()
        puller = Writer(talker.transport)
        talker.transport.registerProducer(pusher, True)
        talker.transport.write(b"x" * (HIGH_MARK + 65535 + 1))
        self.clock.advance(0)
        talker.transport.unregisterProducer()
        talker.transport.registerProducer(puller, False)
        self.clock.advance(0)
        self.assertEqual((["pause"], []), (pusher.calls, puller.calls))
        self.peer.sendWindowUpdate(0, 2 * HIGH_MARK)
        self.peer.sendWindowUpdate(self.stream, 2 * HIGH_MARK)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(["resume"], puller.calls)
        talker.transport.registerProducer(pusher, True)
        self.assertEqual(["pause"], pusher.calls)


class RefusedTests(TunnelTestCase):
    """Answers that open no tunnel hold nothing."""

    def test_errorIsKept(self) -> None:
        """Whoever keeps the error keeps its traceback, but not the stream."""
        errors: list[Exception] = []

        async def dialled() -> None:
            try:
                await self.dial()
            except TunnelRefused as error:
                errors.append(error)

        Deferred.fromCoroutine(dialled())
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, [(b":status", b"407")])
        self.assertEqual(1, len(errors))
        self.assertEqual(CANCEL, self.peer.expectReset(stream))
        self.assertOver()

    def test_noProtocolIsKept(self) -> None:
        """Likewise where there is no protocol, whether the other end has closed or not."""
        for end in (True, False):
            self.setUp()
            endpoint = TunnelEndpoint(
                self.clock, self.client.request, b"https://a.test", b"b.test", 22
            )
            dialling = endpoint.connect(Factory.forProtocol(lambda: None))  # type: ignore[arg-type]
            stream = self.peer.expectHeaders().streamId
            self.peer.sendHeaders(stream, OK, end)
            failure = self.failureResultOf(dialling)
            self.assertEqual(CANCEL, self.peer.expectReset(stream))
            self.assertOver()
            del failure

    def test_read(self) -> None:
        """A refused CONNECT whose body is read has ended with it, as any response."""
        body = Producer()
        response = self.client.request(
            Request(b"CONNECT", b"https://a.test", Headers({b"host": [b"b.test:1"]}), body)
        )
        stream = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(stream, [(b":status", b"403")])
        self.peer.sendData(stream, b"no", True)
        self.assertEqual(b"no", self.successResultOf(self.successResultOf(response).read()))
        self.assertEqual(["start", "stop"], body.calls)
        self.assertOver()


class LimitTests(TunnelTestCase):
    """The time limits of the request are not those of the tunnel."""

    def limited(self, timeouts: Timeouts) -> Deferred[Any]:
        """Ask for a tunnel by way of somebody who has time limits."""
        self.talker = Talker()

        def send(request: Request) -> Deferred[Any]:
            request.timeouts = timeouts
            return self.client.request(request)

        endpoint = TunnelEndpoint(self.clock, send, b"https://a.test", b"b.test", 22)
        return endpoint.connect(Factory.forProtocol(lambda: self.talker))

    def test_endWithTheAnswer(self) -> None:
        """Once the proxy has answered, a tunnel may be idle for as long as it likes."""
        dialling = self.limited(Timeouts(headers=3, bodyIdle=5, total=10))
        stream = self.peer.expectHeaders().streamId
        self.clock.advance(2)
        self.peer.sendHeaders(stream, OK)
        self.successResultOf(dialling)
        self.talker.transport.pauseProducing()
        self.talker.transport.resumeProducing()
        self.peer.sendData(stream, b"x")
        for _ in range(10):
            self.clock.advance(5)
        self.assertEqual([], self.talker.ends)
        self.talker.transport.abortConnection()
        self.assertOver()

    def test_holdUntilTheAnswer(self) -> None:
        """Until then they hold."""
        dialling = self.limited(Timeouts(headers=3))
        stream = self.peer.expectHeaders().streamId
        self.clock.advance(3)
        self.assertIsInstance(self.neverReceived(dialling), ResponseTimedOut)
        self.assertEqual(CANCEL, self.peer.expectReset(stream))
        # Whether the proxy is still there was asked as well.
        self.peer.sendPing((1).to_bytes(8, "big"), ack=True)
        self.assertOver()
