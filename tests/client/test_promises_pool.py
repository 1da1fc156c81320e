"""
What a client of HTTP/2 is trusted for: limits of streams, dials, liveness, what is given up.

Each test is one line of ``docs/promises.rst`` against a scripted server. What they look at is what
a user of the pool would: frames, answers, errors, the pool's snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from tests.client.scene import (
    CANCEL,
    MAX_CONCURRENT_STREAMS,
    REFUSED_STREAM,
    Connection,
    PoolTestCase,
    Producer,
    read,
)
from txhyper.core import frames
from txhyper.errors import PeerUnresponsive, ProtocolViolation, StreamReset
from txhyper.protocol.keepalive import Liveness

OK = [(b":status", b"200")]


class ConcurrencyTests(PoolTestCase):
    """MAX_CONCURRENT_STREAMS (RFC 9113 section 5.1.2), whatever it is and becomes."""

    def requests(self, connection: Connection) -> list[int]:
        """The streams that have been opened since this was last asked."""
        return [f.streamId for f in connection.peer.drain() if f.kind == frames.HEADERS]

    def finish(self, connection: Connection, streams: list[int]) -> list[int]:
        """Answer these; the streams that are opened in their place."""
        for streamId in streams:
            connection.answer(streamId)
        return self.requests(connection)

    def test_aHundredUntilTheServerHasSpoken(self) -> None:
        """Before the first SETTINGS the limit is a guess, as others make it: a hundred."""
        deferreds = self.sendSome(150)
        connection = self.only().tcp().tls()
        self.assertEqual(100, len(self.requests(connection)))
        connection.peer.greet({MAX_CONCURRENT_STREAMS: 120})
        self.assertEqual(20, len(self.requests(connection)))
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1000})
        self.assertEqual(30, len(self.requests(connection)))
        self.finish(connection, list(range(1, 300, 2)))
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_anyNumberWhereThereIsNoLimit(self) -> None:
        """A server that names none has none."""
        deferreds = self.sendSome(300)
        connection = self.only().h2()
        opened = self.requests(connection)
        self.assertEqual(300, len(opened))
        self.finish(connection, opened)
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_oneAtATime(self) -> None:
        """With 1 each waits for the one before it, in the order they came."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        deferreds = self.sendSome(4)
        for number, deferred in enumerate(deferreds):
            self.answer(connection, b"%d" % number, b"/%d" % number)
            self.assertEqual(b"%d" % number, self.bodyOf(deferred))

    def test_noneForNow(self) -> None:
        """With 0 nothing is sent and nothing fails, until there is more."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 0})
        deferreds = self.sendSome(2)
        self.assertNoRequest(connection)
        self.assertEqual(1, len(self.dials))
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 2})
        for number, deferred in enumerate(deferreds):
            self.answer(connection, path=b"/%d" % number)
            self.bodyOf(deferred)

    def test_noneFromTheFirst(self) -> None:
        """What was sent before a 0 was heard of may be refused, and waits then."""
        deferred = self.send(b"POST", body=b"x")
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 0})
        refused = connection.peer.expectHeaders().streamId
        connection.peer.expectData(refused)
        connection.peer.sendReset(refused, REFUSED_STREAM)
        self.clock.advance(60)
        self.assertNoRequest(connection)
        self.assertNoResult(deferred)
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.answer(connection)
        self.bodyOf(deferred)

    def test_shrinking(self) -> None:
        """A limit that shrinks closes nothing; it lets nobody in until it is met."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 4})
        deferreds = self.sendSome(6)
        opened = self.requests(connection)
        self.assertEqual(4, len(opened))
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 2})
        self.assertEqual([], self.finish(connection, opened[:2]))
        fifth = self.finish(connection, opened[2:3])
        self.assertEqual(1, len(fifth))
        sixth = self.finish(connection, opened[3:])
        self.assertEqual(1, len(sixth))
        self.finish(connection, fifth + sixth)
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_neverAboveTheLimitHoweverTheyEnd(self) -> None:
        """Answered, reset or cancelled: each slot is one, and comes free once."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 3})
        deferreds = self.sendSome(30)
        opened = self.requests(connection)
        for turn in range(27):
            self.assertEqual(3, len(opened))
            streamId = opened.pop(0)
            deferred = deferreds.pop(0)
            if turn % 3 == 0:
                connection.answer(streamId)
                self.bodyOf(deferred)
            elif turn % 3 == 1:
                connection.peer.sendReset(streamId, 0x2)
                self.reasonOf(deferred, StreamReset)
            else:
                deferred.cancel()
                self.reasonOf(deferred, CancelledError)
            opened += self.requests(connection)
        self.finish(connection, opened)
        for deferred in deferreds:
            self.bodyOf(deferred)

    def test_idsUsedUp(self) -> None:
        """
        A connection has 2^30 ids (section 5.1.1). Who comes after the last gets a new connection;
        what is open on the old one finishes, and then it closes.
        """
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        connection.negotiator._speaker._engine._next_id = 2**31 - 3
        deferreds = self.sendSome(3)
        self.answer(connection, b"last but one", b"/0")
        self.answer(connection, b"last", b"/1")
        self.answer(self.dials[1].h2(), b"first", b"/2")
        self.assertEqual(
            [b"last but one", b"last", b"first"], [self.bodyOf(deferred) for deferred in deferreds]
        )
        self.assertTrue(connection.transport.isClosing)


class DialTests(PoolTestCase):
    """One connection for an origin, and one dial for all who want it."""

    def test_dialsAreMerged(self) -> None:
        """Whoever comes while a dial is under way waits for it, in each of its phases."""
        deferreds = [self.send(path=b"/tcp")]
        connection = self.only()
        deferreds.append(self.send(path=b"/tls"))
        connection.tcp()
        deferreds.append(self.send(path=b"/settings"))
        connection.tls()
        deferreds.append(self.send(path=b"/last"))
        connection.peer.greet()
        for path, deferred in zip(
            (b"/tcp", b"/tls", b"/settings", b"/last"), deferreds, strict=True
        ):
            self.answer(connection, path, path)
            self.assertEqual(path, self.bodyOf(deferred))
        self.assertEqual(1, len(self.dials))

    def test_aFailedDialFailsAllWhoWait(self) -> None:
        """Each is told once, why; the next request dials anew."""
        deferreds = self.sendSome(20)
        self.only().connecting.errback(error.TimeoutError())
        for deferred in deferreds:
            self.failureResultOf(deferred, error.TimeoutError)
        self.assertEqual([], self.pool.snapshot())
        again = self.send()
        self.answer(self.dials[1].h2())
        self.bodyOf(again)

    def test_oneConnectionIsUsedAgain(self) -> None:
        """One after the other, and side by side: one connection."""
        connection = self.warm()
        for _ in range(3):
            deferreds = self.sendSome(3)
            for number, deferred in enumerate(deferreds):
                self.answer(connection, path=b"/%d" % number)
                self.bodyOf(deferred)
        self.assertEqual(1, len(self.dials))

    def test_aBrokenConnectionIsLeft(self) -> None:
        """One whose server breaks the protocol serves nobody any more, before it is gone."""
        connection = self.warm()
        broken = self.send(b"POST")
        connection.peer.expectHeaders()
        connection.peer.send(frames.pack(frames.PING, 0, 1, bytes(8)))
        self.reasonOf(broken, ProtocolViolation)
        again = self.send()
        self.answer(self.dials[1].h2())
        self.bodyOf(again)
        self.assertNoRequest(connection)

    def test_aConnectionThatWasLostIsLeft(self) -> None:
        """One that ended while it was idle is not tried."""
        self.warm().lose()
        again = self.send()
        self.answer(self.dials[1].h2())
        self.bodyOf(again)

    def test_anAbortedTransferDoesNotPoisonTheConnection(self) -> None:
        """After a body was given up in its middle the connection serves others as before."""
        connection = self.warm()
        deferred = self.send()
        streamId = connection.peer.expectHeaders().streamId
        connection.peer.sendHeaders(streamId, OK)
        connection.peer.sendData(streamId, b"x" * 1000)
        reader = read(self.successResultOf(deferred))
        reader.transport.abortConnection()
        self.assertEqual(CANCEL, connection.peer.expectReset(streamId))
        connection.peer.sendData(streamId, b"x" * 1000)
        again = self.send()
        self.answer(connection, b"whole")
        self.assertEqual(b"whole", self.bodyOf(again))
        self.assertEqual(1, len(self.dials))


class LivenessTests(PoolTestCase):
    """A server that is gone without a word."""

    options: ClassVar[dict[str, Any]] = {"liveness": Liveness(interval=30, deadline=10)}

    def pings(self, connection: Connection) -> list[bytes]:
        """What has been asked since this was last asked."""
        return [f.payload for f in connection.peer.drain() if f.kind == frames.PING]

    def test_anUnresponsiveConnectionIsFoundAndLeft(self) -> None:
        """Its requests fail, or are sent again where that is safe; nothing new is put on it."""
        connection = self.warm()
        get, post = self.send(path=b"/get"), self.send(b"POST", b"/post")
        self.clock.advance(30)
        self.assertEqual(1, len(self.pings(connection)))
        self.clock.advance(10)
        self.reasonOf(post, PeerUnresponsive)
        self.assertTrue(connection.transport.isAborted)
        new = self.send(path=b"/new")
        other = self.dials[1].h2()
        self.answer(other, path=b"/get")
        self.answer(other, path=b"/new")
        self.bodyOf(get)
        self.bodyOf(new)

    def test_pingsAreSparing(self) -> None:
        """
        One after each silence, while somebody waits, and none beside another: few enough for
        servers that count them (ENHANCE_YOUR_CALM).
        """
        connection = self.warm()
        self.clock.pump([1] * 200)
        self.assertEqual([], self.pings(connection))
        deferred = self.send()
        count = 0
        for _ in range(300):
            self.clock.advance(1)
            for payload in self.pings(connection):
                count += 1
                connection.peer.sendPing(payload, ack=True)
        self.assertIn(count, (9, 10))
        connection.answer(3)
        self.bodyOf(deferred)


class CancelTests(PoolTestCase):
    """
    Giving a request up, in whatever it is: the caller is told at once, the slot is free, nothing of
    it is left, and the neighbours notice nothing.
    """

    def check(self, deferred: Deferred[Any]) -> None:
        """Cancel, and look for what is left."""
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        for origin in self.pool.snapshot():
            self.assertEqual((0, 0), (origin.dialling, origin.waiting))
            for connection in origin.connections:
                self.assertEqual((0, 0), (connection.open, connection.waiting))

    def checkOn(self, connection: Connection, deferred: Deferred[Any]) -> None:
        """Likewise; and the only slot of its connection is the next one's."""
        self.check(deferred)
        again = self.send(path=b"/again")
        self.answer(connection, b"fine", b"/again")
        self.assertEqual(b"fine", self.bodyOf(again))
        self.assertEqual(1, len(self.dials))

    def test_whileTCPConnects(self) -> None:
        """The dial goes with the last who waits for it."""
        self.check(self.send())
        self.assertTrue(self.only().isCancelled)
        self.assertQuiet()

    def test_inTheHandshake(self) -> None:
        """The connection is cut; not an octet of HTTP was sent."""
        deferred = self.send()
        self.only().tcp()
        self.check(deferred)
        self.assertTrue(self.only().transport.isAborted)
        self.assertEqual([], self.only().transport.writes)
        self.assertQuiet()

    def test_inTheQueue(self) -> None:
        """Nothing is sent for it."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 0})
        deferred = self.send(b"POST", body=(body := Producer(3)))
        self.check(deferred)
        connection.peer.sendSettings({MAX_CONCURRENT_STREAMS: 1})
        self.assertNoRequest(connection)
        self.assertEqual([], body.calls)

    def test_betweenTwoAttempts(self) -> None:
        """Nothing is sent again."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.send()
        for _ in range(2):
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        self.assertNoRequest(connection)
        self.checkOn(connection, deferred)
        self.clock.advance(60)
        self.assertNoRequest(connection)

    def test_beforeTheResponse(self) -> None:
        """One RST_STREAM."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.send()
        streamId = connection.peer.expectHeaders().streamId
        deferred.cancel()
        self.assertEqual(CANCEL, connection.peer.expectReset(streamId))
        connection.peer.sendHeaders(streamId, OK)
        connection.peer.sendData(streamId, b"late", endStream=True)
        connection.peer.expectNothing()
        self.checkOn(connection, deferred)

    def upload(self, after: Callable[[Connection, Producer], None], **fields: Any) -> None:
        """Cancel an upload after something has happened to it."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        body = Producer(1 << 20)
        deferred = self.send(b"POST", body=body, **fields)
        connection.peer.expectHeaders()
        after(connection, body)
        calls = list(body.calls)
        deferred.cancel()
        self.assertEqual(CANCEL, connection.peer.expectReset())
        self.assertEqual(calls + ["stop"] * ("start" in calls), body.calls)
        self.checkOn(connection, deferred)

    def test_inTheUpload(self) -> None:
        """The producer is stopped."""
        self.upload(lambda connection, body: body.write(b"x"))

    def test_inAnUploadThatIsHeldBack(self) -> None:
        """What waited for a window is forgotten: the neighbours' windows are their own."""

        def fill(connection: Connection, body: Producer) -> None:
            body.write(b"x" * (1 << 19))
            connection.peer.sendWindowUpdate(0, 1 << 20)

        self.upload(fill)

    def test_whileTheServerIsExpectedToSayContinue(self) -> None:
        """The producer was never begun, and no time runs."""
        expecting = Headers({b"expect": [b"100-continue"]})
        self.upload(lambda connection, body: None, headers=expecting)

    def test_inTheBody(self) -> None:
        """Who reads a body may stop; its stream alone is reset."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.send()
        streamId = connection.peer.expectHeaders().streamId
        connection.peer.sendHeaders(streamId, OK)
        connection.peer.sendData(streamId, b"some of it")
        reading = self.successResultOf(deferred).read()
        reading.cancel()
        self.assertEqual(CANCEL, connection.peer.expectReset(streamId))
        self.assertIsInstance(self.failureResultOf(reading).value, (CancelledError, ResponseFailed))
        (origin,) = self.pool.snapshot()
        self.assertEqual([0], [each.open for each in origin.connections])
        again = self.send(path=b"/again")
        self.answer(connection, b"fine", b"/again")
        self.assertEqual(b"fine", self.bodyOf(again))

    def test_theNeighboursNoticeNothing(self) -> None:
        """Of ten on one connection every second goes; the others are answered."""
        connection = self.warm()
        deferreds = self.sendSome(10)
        streams = [connection.peer.expectHeaders().streamId for _ in range(10)]
        for deferred in deferreds[::2]:
            deferred.cancel()
            self.reasonOf(deferred, CancelledError)
        for streamId in streams:
            connection.answer(streamId, b"%d" % streamId)
        self.assertEqual(
            [b"%d" % streamId for streamId in streams[1::2]],
            [self.bodyOf(deferred) for deferred in deferreds[1::2]],
        )
