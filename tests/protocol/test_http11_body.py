"""Tests for :mod:`txhyper.protocol.http11_body`: the way of a body to its reader over HTTP/1.1."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from tests.protocol.scene import Reader
from tests.protocol.test_http11 import RESPONSE
from tests.protocol.test_http11_messages import CHUNKED, UNTIL_THE_END, ResponseTestCase, chunk
from txhyper.errors import BodyError, BodyTimedOut, ConnectionTerminated, DecodingFailed, Initiator
from txhyper.protocol.body import ChunkReader, Collector
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts

HEAD = RESPONSE[:-5]
LEAVE = ("stopProducing", "loseConnection", "abortConnection")


def calling(*names: str) -> Callable[[Any], None]:
    """A hook that calls methods of the reader's transport."""

    def hook(reader: Any) -> None:
        for name in names:
            getattr(reader.transport, name)()

    return hook


pausing = calling("pauseProducing")


class BodyTestCase(ResponseTestCase):
    """Bodies with readers."""

    def read(self, octets: bytes, **hooks: Any) -> Any:
        """A reader of a response that has come so far."""
        reader = Reader(**hooks)
        self.opened(octets).deliverBody(reader)
        return reader


class PauseTests(BodyTestCase):
    """What comes during a pause."""

    def test_oneAtATime(self) -> None:
        """A reader that pauses is brought the rest of one read as it resumes, and then the end."""
        reader = self.read(CHUNKED, onData=pausing)
        self.client.dataReceived(chunk(b"a") + chunk(b"b") + chunk(b"c") + chunk(b""))
        for expected in (b"a", b"ab", b"abc"):
            self.assertEqual((expected, []), (reader.body, reader.reasons))
            reader.transport.resumeProducing()
        self.assertTrue(reader.isDone)

    def test_beforeTheReader(self) -> None:
        """So is one that pauses as it begins, whether or not the body is complete by then."""
        for end in (b"", chunk(b"")):
            self.meet()
            reader = self.read(CHUNKED + chunk(b"a") + chunk(b"b") + end, onMade=pausing)
            self.assertEqual(([], []), (reader.chunks, reader.reasons))
            self.assertEqual("producing" if end else "paused", self.transport.producerState)
            reader.transport.resumeProducing()
            self.assertEqual([b"a", b"b"], reader.chunks)
            self.assertEqual("producing", self.transport.producerState)
            self.assertEqual(bool(end), reader.isDone)

    def test_theNextRequest(self) -> None:
        """A pause at the end of one response holds back nothing of the next."""
        reader = self.read(HEAD, onData=pausing)
        self.client.dataReceived(b"hello")
        self.assertEqual([], reader.reasons)
        other = self.read(RESPONSE)
        self.assertTrue(other.isDone)
        reader.transport.resumeProducing()
        self.assertTrue(reader.isDone)

    def test_resumesFromInside(self) -> None:
        """A reader that pauses and resumes within a call is brought everything, in order."""
        reader = self.read(CHUNKED + chunk(b"a"), onMade=pausing)
        self.client.dataReceived(chunk(b"b"))
        reader.onData = calling("pauseProducing", "pauseProducing", "resumeProducing")
        reader.transport.resumeProducing()
        self.assertEqual(([b"a", b"b"], "producing"), (reader.chunks, self.transport.producerState))
        self.client.dataReceived(chunk(b"c") + chunk(b"d") + chunk(b""))
        self.assertEqual(([b"a", b"b", b"c", b"d"], True), (reader.chunks, reader.isDone))

    def test_theConnectionWaits(self) -> None:
        """The connection goes on when the reader has had what was held."""
        states: list[str] = []
        reader = self.read(CHUNKED, onMade=pausing)
        self.client.dataReceived(chunk(b"a") + chunk(b"b"))
        reader.onData = lambda reader: states.append(self.transport.producerState)
        reader.transport.resumeProducing()
        self.assertEqual(["paused", "paused"], states)
        self.assertEqual("producing", self.transport.producerState)

    def test_straight(self) -> None:
        """While nobody pauses, nothing stands between Twisted and the reader."""
        reader = self.read(HEAD)
        self.assertEqual(reader.dataReceived, reader.transport.dataReceived)
        self.client.dataReceived(b"hello")
        self.assertNotIn("dataReceived", vars(reader.transport))

    def test_idle(self) -> None:
        """The time between two pieces runs only while there is a reader that does not pause."""

        def response() -> Any:
            self.meet()
            sent = Request(b"GET", b"https://a.test/", timeouts=Timeouts(bodyIdle=3))
            deferred = self.client.request(sent)
            self.client.dataReceived(CHUNKED + chunk(b"a"))
            return self.successResultOf(deferred)

        late = response()
        self.clock.advance(5)
        self.assertFalse(self.transport.isAborted)
        late.deliverBody(Reader())
        self.clock.advance(3)
        self.assertTrue(self.transport.isAborted)
        reader: Any = Reader(onData=pausing)
        response().deliverBody(reader)
        self.client.dataReceived(chunk(b"b"))
        for _ in range(2):
            self.clock.advance(5)
            self.assertFalse(self.transport.isAborted)
            reader.transport.resumeProducing()
        reader.onData = lambda reader: None
        reader.transport.resumeProducing()
        self.clock.advance(2)
        self.client.dataReceived(chunk(b"c"))
        self.clock.advance(2)
        self.assertFalse(self.transport.isAborted)
        self.clock.advance(1)
        self.lose(ConnectionAborted())
        self.assertIsInstance(reader.error, BodyTimedOut)
        self.assertEqual([], self.clock.getDelayedCalls())


class GivingUpTests(BodyTestCase):
    """Readers that want no more."""

    def test_theLastOctets(self) -> None:
        """A connection that was given up with the last octets of a body takes no request."""
        for how in LEAVE:
            self.meet()
            reader = self.read(HEAD, onData=calling(how, how))
            self.client.dataReceived(b"hello")
            self.assertTrue(self.transport.isAborted)
            self.assertFalse(self.client.isUsable())
            self.assertEqual(([], BodyError), (self.idle, type(reader.error)))

    def test_nothingMore(self) -> None:
        """Who gives up is brought nothing more of what had been read; nor does it pause."""
        for how in LEAVE:
            self.meet()
            reader = self.read(CHUNKED, onData=calling(how, "pauseProducing", "resumeProducing"))
            self.assertFalse(reader.transport.disconnecting)
            self.client.dataReceived(chunk(b"a") + chunk(b"b"))
            self.assertTrue(reader.transport.disconnecting)
            self.lose(ConnectionAborted())
            self.assertEqual([b"a"], reader.chunks)
            self.assertIn("gave the body up", str(reader.error))

    def test_withoutALength(self) -> None:
        """
        A body that ends because its reader gave it up is not complete, however its connection
        ends, and neither are its trailers.
        """
        for reason in (ConnectionDone(), ConnectionAborted()):
            self.meet()
            response, reader = self.opened(UNTIL_THE_END + b"hello"), Reader()
            trailers = response.whenTrailers()
            response.deliverBody(reader)
            calling("loseConnection")(reader)
            self.assertEqual([], reader.reasons)
            self.lose(reason)
            self.assertIsInstance(reader.error, ConnectionTerminated)
            self.assertIs(Initiator.USER, reader.error.initiator)
            self.assertIs(reader.error, self.reason(trailers, ConnectionTerminated))

    def test_whatIsHeld(self) -> None:
        """What is held for a reader that gives up is dropped; it is told, once, from outside."""
        for how in LEAVE:
            self.meet()
            reader = self.read(RESPONSE, onMade=pausing)
            calling(how)(reader)
            self.assertEqual(([], BodyError), (reader.chunks, type(reader.error)))
            calling(how, "pauseProducing", "resumeProducing")(reader)
            self.assertEqual((1, False), (len(reader.reasons), self.transport.isAborted))
            self.assertTrue(self.client.isUsable())

    def test_whileItIsDelivered(self) -> None:
        """So is one that gives up within a call, when that is over."""
        for when in ("onMade", "onData"):
            self.meet()
            reader = self.read(RESPONSE, **{when: calling("loseConnection")})
            self.assertIsInstance(reader.error, BodyError)
            self.assertFalse(self.transport.isAborted)
            self.meet()
            reader = self.read(CHUNKED + chunk(b"a") + chunk(b"b"), **{when: calling(LEAVE[0])})
            self.assertEqual(([], when == "onData"), (reader.reasons, reader.body == b"a"))
            self.assertTrue(self.transport.isAborted)
            self.lose(ConnectionAborted())
            self.assertIsInstance(reader.error, ConnectionTerminated)

    def test_aFailureIsHeld(self) -> None:
        """Who gives up what has failed meanwhile is told of the failure."""
        reader = self.read(HEAD + b"he", onMade=pausing)
        self.lose(ConnectionAborted())
        self.assertEqual([], reader.reasons)
        calling("loseConnection")(reader)
        reader.reasons[0].trap(ResponseFailed)
        self.assertNotIn("gave", str(reader.reasons[0].value))

    def test_afterItsTime(self) -> None:
        """A time limit that had passed before is what is told."""
        sent = Request(b"GET", b"https://a.test/", timeouts=Timeouts(bodyIdle=3))
        deferred = self.client.request(sent)
        self.client.dataReceived(HEAD)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.clock.advance(3)
        calling("loseConnection")(reader)
        self.lose(ConnectionAborted())
        self.assertIsInstance(reader.error, BodyTimedOut)

    def test_atItsEnd(self) -> None:
        """Within the call that tells the end there is nothing left to give up."""
        for how in LEAVE:
            self.meet()
            reader = self.read(RESPONSE, onLost=calling(how))
            self.assertEqual((True, False), (reader.isDone, self.transport.isAborted))

    def test_raises(self) -> None:
        """A reader that raises as it begins, or when it resumes, gets nothing more but its end."""
        response, reader = self.opened(HEAD + b"he"), Reader(onMade=lambda reader: 1 // 0)
        self.assertRaises(ZeroDivisionError, response.deliverBody, reader)
        self.assertTrue(self.transport.isAborted)
        self.lose(ConnectionAborted())
        self.assertEqual(([], ConnectionTerminated), (reader.chunks, type(reader.error)))
        self.meet()
        reader = self.read(CHUNKED + chunk(b"a") + chunk(b"b") + chunk(b""), onMade=pausing)
        reader.onData = lambda reader: 1 // 0
        self.assertRaises(ZeroDivisionError, calling("resumeProducing"), reader)
        self.assertEqual(([b"a"], BodyError), (reader.chunks, type(reader.error)))
        self.assertFalse(self.transport.isAborted)

    def test_twoReaders(self) -> None:
        """A second reader is refused, also from within the first one's begin, which goes on."""
        response = self.opened(HEAD)
        other = Reader()
        reader = Reader(
            onMade=lambda _: self.assertRaises(RuntimeError, response.deliverBody, other)
        )
        response.deliverBody(reader)
        self.client.dataReceived(b"hello")
        self.assertEqual((b"hello", True, None), (reader.body, reader.isDone, other.transport))

    def test_decoded(self) -> None:
        """A coding that is broken in the last octets aborts the connection: it takes no request."""
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n"
        body = self.opened(head).read()
        self.client.dataReceived(b"hello")
        self.reason(body, DecodingFailed)
        self.assertEqual((True, False), (self.transport.isAborted, self.client.isUsable()))
        octets = gzip.compress(b"hello")
        body = self.setUp() or self.opened(head.replace(b"5", b"%d" % len(octets)) + octets).read()
        self.assertEqual(b"hello", self.successResultOf(body))

    def test_lineReceiver(self) -> None:
        """A protocol that looks whether its transport is going stops when it asked for that."""
        lines: list[bytes] = []

        class First(LineReceiver):
            """Reads one line."""

            def lineReceived(self, line: bytes) -> None:
                lines.append(line)
                self.transport.loseConnection()  # type: ignore[union-attr]

        self.opened(UNTIL_THE_END + b"a\r\nb\r\nc\r\n").deliverBody(First())
        self.assertEqual([b"a"], lines)


class ForeignTransportTests(SynchronousTestCase):
    """Readers of ours whose body comes by a transport that goes on, as Twisted's own does."""

    def test_collector(self) -> None:
        """One that has enough takes no more."""
        collector, transport = Collector(1, cast(Any, None)), StringTransport()
        finished = collector.finished
        assert finished is not None
        collector.makeConnection(transport)
        for _ in range(2):
            collector.dataReceived(b"ab")
        self.failureResultOf(finished, ResponseFailed)
        self.assertTrue(transport.disconnecting)

    def test_chunks(self) -> None:
        """Nor does one that nobody asks any more; after the end there is nothing to give up."""
        for leave in (ChunkReader.giveUp, ChunkReader.forget):
            reader, transport = ChunkReader(), StringTransport()
            reader.makeConnection(transport)
            reader.dataReceived(b"a")
            reader.connectionLost()
            leave(reader)
            self.assertFalse(transport.disconnecting)
        reader, transport = ChunkReader(), StringTransport()
        reader.makeConnection(transport)
        reader.giveUp()
        reader.dataReceived(b"late")
        self.assertEqual((True, "producing"), (transport.disconnecting, transport.producerState))
