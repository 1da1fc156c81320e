"""
What a client of HTTP/2 is trusted for: to send again only what cannot have been processed.

Each test is one line of ``docs/promises.rst`` against a scripted server. What they look at is what
a user of the pool would: frames, answers, errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred
from twisted.web.client import ResponseFailed
from zope.interface import implementer

from tests.client.scene import (
    HTTP_1_1_REQUIRED,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    REFUSED_STREAM,
    Connection,
    PoolTestCase,
    Producer,
    read,
)
from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.errors import (
    ConnectionTerminated,
    GoneAway,
    HyperError,
    ProtocolViolation,
    StreamRefused,
    StreamReset,
)
from txhyper.interfaces import IReplayableBody

OK = [(b":status", b"200")]
#: The last stream id of a server that has only announced that it will go (RFC 9113 section 6.8).
ANY = 2**31 - 1
ENHANCE_YOUR_CALM = 0xB


class GoAwayTests(PoolTestCase):
    """The server goes away (RFC 9113 section 6.8)."""

    def test_whatIsAboveTheLastStreamGoesElsewhere(self) -> None:
        """Whatever its method; the others finish where they are, and nothing is sent twice."""
        posts = self.sendSome(2, method=b"POST", body=b"x")
        one = self.only().h2()
        one.peer.drain()
        one.peer.sendGoAway(1, ENHANCE_YOUR_CALM)
        two = self.dials[1].h2()
        self.answer(two, b"second", b"/1")
        two.peer.expectData(1)
        for connection in (one, two):
            self.assertNoRequest(connection)
        one.answer(1, b"first")
        self.assertEqual([b"first", b"second"], [self.bodyOf(post) for post in posts])

    def test_inTwoSteps(self) -> None:
        """
        A server that shuts down gracefully first says that it will. What is open goes on, what is
        new goes elsewhere, and what the second GOAWAY leaves out is sent again.
        """
        early = self.sendSome(3, method=b"POST")
        one = self.only().h2()
        one.peer.sendGoAway(ANY)
        for deferred in early:
            self.assertNoResult(deferred)
        new = self.send(path=b"/new")
        two = self.dials[1].h2()
        self.answer(two, b"new", b"/new")
        one.answer(1, b"0")
        one.peer.sendGoAway(3)
        self.answer(two, b"2", b"/2")
        self.assertFalse(one.transport.isClosing)
        one.answer(3, b"1")
        self.assertTrue(one.transport.isClosing)
        self.assertEqual([b"0", b"1", b"2"], [self.bodyOf(deferred) for deferred in early])
        self.assertEqual(b"new", self.bodyOf(new))
        self.assertEqual(2, len(self.dials))

    def test_theSecondRequest(self) -> None:
        """One that is answered before the GOAWAY stays answered, the next is sent again."""
        one = self.warm()
        second = self.send(b"POST")
        one.peer.sendGoAway(1)
        self.answer(self.dials[1].h2(), b"again")
        self.assertEqual(b"again", self.bodyOf(second))

    def test_itsWordsReachTheError(self) -> None:
        """Code, last stream and debug data, of those that it gave up and of those it left out."""
        self.pool.retryAutomatically = False
        promised, leftOut = self.sendSome(2, method=b"POST")
        one = self.only().h2()
        one.peer.sendGoAway(1, ENHANCE_YOUR_CALM, b"too many pings")
        one.lose()
        for deferred, kind in ((promised, ConnectionTerminated), (leftOut, GoneAway)):
            error = self.reasonOf(deferred, kind)
            self.assertEqual(
                (ENHANCE_YOUR_CALM, 1, b"too many pings"),
                (error.code, error.last_stream_id, error.debug_data),
            )
            self.assertIn("https://a.test: ", str(error))
            self.assertIn("ENHANCE_YOUR_CALM", str(error))
            self.assertIn("too many pings", str(error))
            self.assertNotIn("\n", str(error))

    def test_withoutStreamsTheConnectionCloses(self) -> None:
        """At once, and with a farewell."""
        one = self.warm()
        one.peer.drain()
        one.peer.sendGoAway(1)
        self.assertTrue(one.transport.isClosing)
        self.assertEqual(NO_ERROR, one.peer.expectGoAway()[1])

    def test_withTheLastStreamTheConnectionCloses(self) -> None:
        """However that ends: answered, reset, given up, or when its upload is complete."""

        def answered(one: Connection, body: Producer, deferred: Deferred[Any]) -> None:
            body.finish()
            one.answer(1)
            self.bodyOf(deferred)

        def uploaded(one: Connection, body: Producer, deferred: Deferred[Any]) -> None:
            one.answer(1)
            self.assertFalse(one.transport.isClosing)
            body.finish()
            self.bodyOf(deferred)

        def reset(one: Connection, body: Producer, deferred: Deferred[Any]) -> None:
            one.peer.sendReset(1, NO_ERROR)
            self.reasonOf(deferred, StreamReset)

        def cancelled(one: Connection, body: Producer, deferred: Deferred[Any]) -> None:
            deferred.cancel()
            self.failureResultOf(deferred)

        for number, end in enumerate((answered, uploaded, reset, cancelled)):
            body = Producer()
            deferred = self.send(b"POST", body=body)
            one = self.dials[number].h2()
            one.peer.sendGoAway(1)
            self.assertFalse(one.transport.isClosing)
            end(one, body, deferred)
            one.peer.read()
            self.assertTrue(one.transport.isClosing, end)

    def test_aConnectionThatIsLeavingTakesNothing(self) -> None:
        """However many are asked for while it finishes its streams: they are on another."""
        first = self.send()
        one = self.only().h2()
        one.peer.sendGoAway(1)
        one.peer.drain()
        later = self.sendSome(5)
        two = self.dials[1].h2()
        for number, deferred in enumerate(later):
            self.answer(two, path=b"/%d" % number)
            self.bodyOf(deferred)
        one.peer.expectNothing()
        one.answer(1)
        self.bodyOf(first)


class RetryTests(PoolTestCase):
    """What is sent again, and how often."""

    options: ClassVar[dict[str, Any]] = {"bounds": Bounds(attempts=4)}

    def refuse(self, connection: Connection) -> None:
        """Refuse the next request."""
        connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)

    def test_retriesHaveALimit(self) -> None:
        """A server that refuses, or goes away, for ever is asked bounds.attempts times."""
        refused = self.send(b"POST")
        connection = self.only().h2()
        for _ in range(4):
            self.assertNoResult(refused)
            self.refuse(connection)
            self.clock.advance(60)
        self.reasonOf(refused, StreamRefused)
        self.assertNoRequest(connection)
        connection.lose()
        gone = self.send(b"POST")
        for number in range(1, 5):
            self.assertNoResult(gone)
            self.dials[number].h2().peer.sendGoAway(0)
            self.clock.advance(60)
        self.reasonOf(gone, GoneAway)
        self.assertEqual(5, len(self.dials))

    def test_theLimitIsOneForAllReasons(self) -> None:
        """One that is refused, left out and lost in turn is asked no more often."""
        deferred = self.send()
        one = self.only().h2()
        self.refuse(one)
        one.peer.expectHeaders()
        one.peer.sendGoAway(0)
        self.clock.advance(60)
        two = self.dials[1].h2()
        two.peer.expectHeaders()
        two.lose()
        self.clock.advance(60)
        self.assertNoResult(deferred)
        self.refuse(self.dials[2].h2())
        self.clock.advance(600)
        self.reasonOf(deferred, StreamRefused)
        self.assertNoRequest(self.dials[2])

    def test_retriesTakeTheirTime(self) -> None:
        """The first is at once; each one after that waits twice as long as the one before."""
        self.send().addErrback(lambda _: None)
        connection = self.only().h2()
        self.refuse(connection)
        pauses = []
        for _ in range(2):
            self.refuse(connection)
            pause = 0
            while not any(f.kind == frames.HEADERS for f in connection.peer.frames):
                self.clock.advance(0.01)
                connection.peer.read()
                pause += 1
            pauses.append(pause)
        self.assertEqual(2, round(pauses[1] / pauses[0]))

    def test_otherResetsAreNotRetried(self) -> None:
        """PROTOCOL_ERROR, NO_ERROR and all the others may mean anything, for a GET as well."""
        connection = self.warm()
        again = {REFUSED_STREAM, HTTP_1_1_REQUIRED}
        for code in [*(int(code) for code in ErrorCodes if code not in again), 0xFACE]:
            deferred = self.send()
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, code)
            self.assertEqual(code, self.reasonOf(deferred, StreamReset).code)
            self.assertNoRequest(connection)
        self.assertEqual(1, len(self.dials))

    def test_aPostThatMayHaveBeenProcessedIsNotRetried(self) -> None:
        """Lost, broken off by a server that breaks the protocol, or promised and not kept."""

        def lost(connection: Connection) -> type[HyperError]:
            connection.peer.loseConnection(isClean=False)
            return ConnectionTerminated

        def broken(connection: Connection) -> type[HyperError]:
            connection.peer.send(frames.pack(frames.PING, 0, 1, bytes(8)))
            return ProtocolViolation

        def promised(connection: Connection) -> type[HyperError]:
            connection.peer.sendGoAway(ANY)
            connection.lose()
            return ConnectionTerminated

        for number, end in enumerate((lost, broken, promised)):
            connection = self.warm()
            posts = [self.send(b"POST", body=body) for body in (b"x", None)]
            for _ in posts:
                connection.peer.expectHeaders()
            kind = end(connection)
            for post in posts:
                self.reasonOf(post, kind)
            self.clock.advance(60)
            self.assertEqual(number + 1, len(self.dials))

    def test_nothingIsRetriedOnceTheResponseHasBegun(self) -> None:
        """The body fails; not even what says that nothing was done is believed then."""
        for number, code in enumerate((REFUSED_STREAM, None)):
            connection = self.warm()
            deferred = self.send()
            streamId = connection.peer.expectHeaders().streamId
            connection.peer.sendHeaders(streamId, OK)
            reader = read(self.successResultOf(deferred))
            if code is None:
                connection.lose()
            else:
                connection.peer.sendReset(streamId, code)
                connection.lose()
            assert reader.reason is not None
            reader.reason.trap(ResponseFailed)
            self.clock.advance(60)
            self.assertEqual(number + 1, len(self.dials))


@implementer(IReplayableBody)
class Slow(Producer):
    """A body that may be begun anew, written by hand; each time has a consumer of its own."""

    def __init__(self) -> None:
        super().__init__(6)
        self.consumers: list[Any] = []

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Begin."""
        self.finished = Deferred()
        self.consumers.append(consumer)
        return super().startProducing(consumer)

    def rewind(self) -> None:
        """Begin anew."""
        self.calls.append("rewind")


class BodyTests(PoolTestCase):
    """A body is sent again only if it can be produced again."""

    def ends(self) -> list[Callable[[Connection], None]]:
        """What lets a request be sent again, whatever its method."""
        return [
            lambda connection: connection.peer.sendReset(1, REFUSED_STREAM),
            lambda connection: connection.peer.sendGoAway(0),
        ]

    def test_oneThatCannotIsNot(self) -> None:
        """Its producer is stopped, and the caller told."""
        for end in self.ends():
            body = Producer(6)
            deferred = self.send(b"PUT", body=body)
            connection = self.dials[-1].h2()
            body.write(b"abc")
            end(connection)
            self.assertTrue(self.failureResultOf(deferred).value.reasons[0].value.retriable)
            self.assertEqual(["start", "stop"], body.calls)
            connection.lose()

    def test_oneThatCanIsStoppedAndRewoundFirst(self) -> None:
        """In this order; and what its first time still writes is not sent the second time."""
        for end in self.ends():
            body = Slow()
            deferred = self.send(b"PUT", body=body)
            connection = self.dials[-1].h2()
            body.write(b"abc")
            connection.peer.expectHeaders()
            end(connection)
            if self.dials[-1] is not connection:
                connection = self.dials[-1].h2()
            self.assertEqual(["start", "stop", "rewind", "start"], body.calls)
            head = connection.peer.expectHeaders()
            connection.peer.drain()
            body.consumers[0].write(b"LATE")
            body.write(b"abcdef")
            body.finish()
            data = [f for f in connection.peer.drain() if f.kind == frames.DATA]
            self.assertEqual(b"abcdef", b"".join(frame.payload for frame in data))
            self.assertEqual({head.streamId}, {frame.streamId for frame in data})
            connection.answer(head.streamId)
            self.bodyOf(deferred)
            connection.lose()

    def test_noneIsBegunBeforeItsTurn(self) -> None:
        """Not while a connection is made, and not in a queue: so it may go anywhere unharmed."""
        body = Producer(3)
        first = self.send()
        deferred = self.send(b"POST", body=body)
        self.only().tcp()
        self.assertEqual([], body.calls)
        one = self.only().tls()
        self.assertEqual(["start"], body.calls)
        one.peer.greet({MAX_CONCURRENT_STREAMS: 2})
        queued = Producer(3)
        waiting = self.send(b"POST", b"/waiting", body=queued)
        one.peer.sendGoAway(3)
        self.assertEqual([], queued.calls)
        two = self.dials[1].h2()
        self.assertEqual(["start"], queued.calls)
        for producer in (body, queued):
            producer.write(b"abc")
            producer.finish()
        self.answer(two, path=b"/waiting")
        one.answer(1)
        one.answer(3)
        for each in (first, deferred, waiting):
            self.bodyOf(each)

    def test_anEmptyOneHasNothingToRewind(self) -> None:
        """A request without a body is sent again as it is."""
        for body in (None, b""):
            deferred = self.send(b"POST", body=body)
            connection = self.dials[-1]
            if connection.negotiator is None:
                connection.h2()
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
            self.answer(connection)
            self.bodyOf(deferred)
