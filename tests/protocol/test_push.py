"""Tests for :mod:`txhyper.protocol.push`: responses that the server promises unasked."""

from __future__ import annotations

import gc
import weakref
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, globalLogPublisher

from tests.protocol.scene import (
    CANCEL,
    MAX_CONCURRENT_STREAMS,
    OK,
    REFUSED_STREAM,
    ConnectionTestCase,
    Reader,
    Tracked,
)
from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.errors import (
    ConnectionTerminated,
    MalformedResponse,
    ProtocolViolation,
    StreamReset,
)
from txhyper.interfaces import IPushPromise
from txhyper.protocol.http11_messages import HTTP11Response
from txhyper.protocol.push import PushPromise

PROTOCOL_ERROR = 0x1


def promised(
    path: bytes = b"/style.css",
    authority: bytes = b"a.test",
    scheme: bytes = b"https",
    method: bytes = b"GET",
    more: Any = (),
) -> list[tuple[bytes, bytes]]:
    """The header list of a promised request."""
    return [
        (b":method", method),
        (b":scheme", scheme),
        (b":authority", authority),
        (b":path", path),
        *more,
    ]


class PushTestCase(ConnectionTestCase):
    """A connection on which promises may be made, and one request."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.meet(enablePush=True, **self.options)
        self.greet()
        self.deferred: Deferred[Any] | None = self.request()
        self.peer.expectHeaders(1)

    def respond(self, end: bool = False) -> Any:
        """The response that was asked for."""
        self.peer.sendHeaders(1, OK, endStream=end)
        assert self.deferred is not None
        response = self.successResultOf(self.deferred)
        self.deferred = None
        return response

    def next(self, pushes: Any) -> Deferred[Any]:
        """The next promise."""
        return Deferred.fromCoroutine(pushes.__anext__())

    def take(self, response: Any) -> PushPromise:
        """A promise that is here."""
        promise: PushPromise = self.successResultOf(self.next(response.pushes))
        return promise

    def push(self, **options: Any) -> tuple[Any, PushPromise]:
        """A response, and a promise that came with it on stream 2."""
        self.peer.sendPromise(1, 2, promised(**options))
        response = self.respond()
        return response, self.take(response)

    def bodyOf(self, response: Any) -> bytes:
        """A body that has ended as it should."""
        reader = Reader()
        response.deliverBody(reader)
        self.assertTrue(reader.isDone)
        return reader.body


class PromiseTests(PushTestCase):
    """Promises that are believed."""

    def test_asked(self) -> None:
        """Push is asked for in the first SETTINGS, and so is how much of it there may be."""
        self.meet(enablePush=True, bounds=Bounds(promises=7))
        payload = self.peer.expect(frames.SETTINGS).payload
        entries = {payload[start : start + 6] for start in range(0, len(payload), 6)}
        self.assertIn(b"\0\2\0\0\0\1", entries)
        self.assertIn(b"\0\3\0\0\0\7", entries)

    def test_promise(self) -> None:
        """A promise says what was not asked for, and is a whole response in the end."""
        _, promise = self.push(more=[(b"accept", b"text/css")])
        self.assertTrue(IPushPromise.providedBy(promise))
        self.assertEqual(
            (b"GET", b"https://a.test/style.css", 2),
            (promise.method, promise.uri, promise.streamId),
        )
        self.assertEqual([b"text/css"], promise.headers.getRawHeaders(b"accept"))
        waiting = promise.whenResponse()
        self.assertNoResult(waiting)
        self.peer.sendHeaders(2, [*OK, (b"content-type", b"text/css")])
        response = self.successResultOf(waiting)
        self.peer.sendData(2, b"body {}", endStream=True)
        self.assertEqual(b"body {}", self.bodyOf(response))
        self.assertEqual((200, 2), (response.code, response.streamId))
        self.assertEqual(b"https://a.test/style.css", response.request.absoluteURI)
        self.assertEqual([b"text/css"], response.headers.getRawHeaders(b"content-type"))

    def test_beforeDuringAfter(self) -> None:
        """They come before the response, within it, and may be taken when it is over."""
        self.peer.sendPromise(1, 2, promised(b"/before"))
        response = self.respond()
        self.peer.sendPromise(1, 4, promised(b"/during"))
        self.peer.sendData(1, b"x")
        self.peer.sendPromise(1, 6, promised(b"/late"))
        self.peer.sendData(1, b"y", endStream=True)
        self.assertEqual(b"xy", self.bodyOf(response))
        uris = [self.take(response).uri for _ in range(3)]
        self.assertEqual(
            [b"https://a.test/" + name for name in (b"before", b"during", b"late")], uris
        )
        self.failureResultOf(self.next(response.pushes), StopAsyncIteration)

    def test_ends(self) -> None:
        """Who waits for a promise hears when there will be none any more, however that comes."""
        for end in ("complete", "reset", "given up", "lost"):
            self.setUp()
            response = self.respond()
            waiting = [self.next(response.pushes), self.next(response.pushes)]
            if end == "complete":
                self.peer.sendData(1, b"", endStream=True)
            elif end == "reset":
                self.peer.sendReset(1, 2)
            elif end == "given up":
                reader = Reader()
                response.deliverBody(reader)
                reader.transport.loseConnection()
            else:
                self.peer.loseConnection()
            for each in waiting:
                self.failureResultOf(each, StopAsyncIteration)

    def test_http11(self) -> None:
        """HTTP/1.1 knows no promises: there are none, at once."""
        self.failureResultOf(self.next(HTTP11Response.pushes), StopAsyncIteration)

    def test_noneAtAll(self) -> None:
        """A response that is over has no promises but those that it had."""
        response = self.respond(end=True)
        self.failureResultOf(self.next(response.pushes), StopAsyncIteration)
        self.assertEqual(b"", self.bodyOf(response))
        self.failureResultOf(self.next(response.pushes), StopAsyncIteration)

    def test_waiterCancelled(self) -> None:
        """Who gives up waiting takes nothing away from others."""
        response = self.respond()
        first, second = self.next(response.pushes), self.next(response.pushes)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.peer.sendPromise(1, 2, promised())
        self.assertEqual(2, self.successResultOf(second).streamId)

    def test_iteration(self) -> None:
        """``async for`` gives all of them."""
        response = self.respond()

        async def streams() -> list[int]:
            return [promise.streamId async for promise in response.pushes]

        all_ = Deferred.fromCoroutine(streams())
        for stream in (2, 4):
            self.peer.sendPromise(1, stream, promised())
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual([2, 4], self.successResultOf(all_))

    def test_taken(self) -> None:
        """Those that are here can be had without waiting for more."""
        response = self.respond()
        self.assertEqual([], response.pushes.taken())
        self.peer.sendPromise(1, 2, promised())
        self.assertEqual([2], [promise.streamId for promise in response.pushes.taken()])
        self.assertEqual([], response.pushes.taken())

    def test_responseFirst(self) -> None:
        """A promised response that is complete before anybody asks for it waits."""
        response, promise = self.push()
        self.peer.sendHeaders(2, OK)
        self.peer.sendData(2, b"x", endStream=True)
        self.assertEqual(b"x", self.bodyOf(self.successResultOf(promise.whenResponse())))
        self.assertIs(
            self.successResultOf(promise.whenResponse()),
            self.successResultOf(promise.whenResponse()),
        )
        del response

    def test_informational(self) -> None:
        """Informational responses to what was not asked for are read over."""
        _response, promise = self.push()
        self.peer.sendHeaders(2, [(b":status", b"103")])
        self.assertNoResult(promise.whenResponse())
        self.peer.sendHeaders(2, OK, endStream=True)
        self.successResultOf(promise.whenResponse())

    def test_trailersAndHead(self) -> None:
        """A promise may be of HEAD, and its response have trailers, as any."""
        _response, promise = self.push(method=b"HEAD")
        self.peer.sendHeaders(2, [*OK, (b"content-length", b"9")], endStream=True)
        head = self.successResultOf(promise.whenResponse())
        self.assertEqual(b"", self.bodyOf(head))

    def test_inPieces(self) -> None:
        """The header list of a promise may come in several frames, padded."""
        block = self.peer.encoder.encode(promised())
        octets = self.peer.frame(
            frames.PUSH_PROMISE, frames.PADDED, 1, b"\3" + b"\0\0\0\2" + block[:5] + bytes(3)
        )
        self.peer.send(
            octets + self.peer.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[5:])
        )
        self.assertEqual(b"https://a.test/style.css", self.take(self.respond()).uri)

    def test_callback(self) -> None:
        """Whoever wants to be told at once is; then the queue has nothing."""
        told: list[Any] = []
        request = Tracked(b"GET", b"https://a.test/", onPush=told.append)
        deferred = self.client.request(request)
        self.peer.sendPromise(3, 2, promised())
        self.assertEqual([b"https://a.test/style.css"], [promise.uri for promise in told])
        self.peer.sendHeaders(3, OK, endStream=True)
        self.failureResultOf(self.next(self.successResultOf(deferred).pushes), StopAsyncIteration)

    def test_callbackRaises(self) -> None:
        """What a callback raises is logged, and costs the response nothing."""

        def raises(promise: Any) -> None:
            raise KeyError("not wanted")

        deferred = self.client.request(Tracked(b"GET", b"https://a.test/", onPush=raises))
        self.peer.sendPromise(3, 2, promised())
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))
        self.peer.sendHeaders(3, OK, endStream=True)
        self.successResultOf(deferred)

    def test_callbackKeepsNothing(self) -> None:
        """What a callback has not kept is cancelled."""
        deferred = self.client.request(
            Tracked(b"GET", b"https://a.test/", onPush=lambda promise: None)
        )
        self.peer.sendPromise(3, 2, promised())
        self.assertEqual(CANCEL, self.peer.expectReset(2))
        self.peer.sendHeaders(3, OK, endStream=True)
        self.successResultOf(deferred)

    def test_traced(self) -> None:
        """The frame log tells what was promised, and why it is refused."""
        lines: list[str] = []
        self.meet(enablePush=True, onFrame=lines.append)
        self.greet()
        deferred = self.request()
        self.peer.sendPromise(1, 2, promised())
        self.peer.sendPromise(1, 4, promised(method=b"POST"))
        text = "\n".join(lines)
        self.assertIn("received promised fields stream=2 ':method': 'GET'", text)
        self.assertIn("refused the promise of stream 4: a promise of the method b'POST'", text)
        deferred.cancel()
        self.neverReceived(deferred)


class RefusedTests(PushTestCase):
    """Promises that are not believed: the connection lives, and nobody sees them."""

    def refused(self, code: int, fields: list[tuple[bytes, bytes]]) -> None:
        """A promise is reset with this code, and its response is of no interest."""
        self.peer.sendPromise(1, 2, fields)
        self.assertEqual(code, self.peer.expectReset(2))
        self.peer.sendHeaders(2, OK)
        self.peer.sendData(2, b"x", endStream=True)
        response = self.respond(end=True)
        self.failureResultOf(self.next(response.pushes), StopAsyncIteration)
        self.assertTrue(self.client.isUsable())

    def test_anotherAuthority(self) -> None:
        """The server does not speak for another host, port or scheme."""
        events: list[str] = []

        def keep(event: dict[str, Any]) -> None:
            if event["log_level"] is LogLevel.debug and "error" in event:
                events.append(f"{type(event['error']).__name__}: {event['error']}")
                # Whoever keeps the event does not keep the request.
                self.assertIsInstance(event["log_source"], type)

        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)
        for options in (
            {"authority": b"b.test"},
            {"authority": b"a.test:8443"},
            {"scheme": b"http"},
            {"scheme": b"gopher"},
            {"authority": b"user@a.test"},
        ):
            self.setUp()
            self.refused(PROTOCOL_ERROR, promised(**options))  # type: ignore[arg-type]
        self.assertEqual(
            "PushRefused: https://a.test: stream 2: a promise of b'https://b.test/style.css', for "
            "which the server does not speak (RFC 9113 section 8.4, PROTOCOL_ERROR)",
            events[0],
        )
        self.assertEqual(5, len(events))

    def test_sameAuthority(self) -> None:
        """The same one may be written in capitals, and with its usual port."""
        self.peer.sendPromise(1, 2, promised(authority=b"A.test:443"))
        self.assertEqual(2, self.take(self.respond()).streamId)

    def test_covered(self) -> None:
        """Another one is believed if whoever keeps the connection says so."""
        asked: list[bytes] = []

        def covers(origin: bytes) -> bool:
            asked.append(origin)
            return True

        self.client.covers = covers
        self.peer.sendPromise(1, 2, promised(authority=b"b.test"))
        self.assertEqual(b"https://b.test/style.css", self.take(self.respond()).uri)
        self.assertEqual([b"https://b.test"], asked)

    def test_notSafe(self) -> None:
        """A method that is not safe, or that nobody may cache, cannot be promised."""
        for method in (b"POST", b"DELETE", b"OPTIONS"):
            self.setUp()
            self.refused(PROTOCOL_ERROR, promised(method=method))

    def test_withABody(self) -> None:
        """Nor can a request that has a body; one that says it has none can."""
        self.refused(PROTOCOL_ERROR, promised(more=[(b"content-length", b"3")]))
        self.setUp()
        self.peer.sendPromise(1, 2, promised(more=[(b"content-length", b"0")]))
        self.take(self.respond())

    def test_malformed(self) -> None:
        """Nor one that is no request."""
        for fields in (
            [],
            promised()[:3],
            promised()[1:],
            [*promised(), (b":path", b"/")],
            [*promised()[:3], (b":path", b"style.css")],
            [*promised()[:3], (b":path", b"/with space")],
            promised(authority=b""),
            promised(more=[(b"Accept", b"x")]),
            promised(more=[(b"connection", b"close")]),
            promised(more=[(b"x", b"a\nb")]),
        ):
            self.setUp()
            self.refused(PROTOCOL_ERROR, fields)

    def test_nobodyAsksAnyMore(self) -> None:
        """A promise that crossed the end of its request is cancelled, with its response."""
        assert self.deferred is not None
        self.deferred.cancel()
        self.neverReceived(self.deferred)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.peer.sendPromise(1, 2, promised())
        self.assertEqual(CANCEL, self.peer.expectReset(2))
        self.peer.sendHeaders(2, OK, endStream=True)
        self.assertTrue(self.client.isUsable())


class BoundTests(PushTestCase):
    """A server that promises too much."""

    options: ClassVar[dict[str, Any]] = {"bounds": Bounds(promises=3)}

    def test_tooMany(self) -> None:
        """Those above the bound are refused; when one is done there is room again."""
        response = self.respond()
        for stream in range(2, 12, 2):
            self.peer.sendPromise(1, stream, promised())
        self.assertEqual(
            [REFUSED_STREAM] * 2, [self.peer.expectReset(8), self.peer.expectReset(10)]
        )
        promise = self.take(response)
        self.peer.sendHeaders(2, OK, endStream=True)
        self.successResultOf(promise.whenResponse())
        self.peer.sendPromise(1, 12, promised())
        self.peer.expectNothing()

    def test_aThousandThatNobodyReads(self) -> None:
        """They cost no more than the bound allows, and the connection lives."""
        response = self.respond()
        for stream in range(2, 2002, 2):
            self.peer.sendPromise(1, stream, promised(b"/%d" % stream))
            self.peer.sendHeaders(stream, OK)
            if stream <= 6:
                # All that their windows hold.
                for _ in range(16):
                    self.peer.sendData(stream, bytes(16384))
        self.assertEqual(3 + 1, self.client.openCount)
        resets = [frame.streamId for frame in self.peer.drain() if frame.kind == frames.RST_STREAM]
        self.assertEqual(list(range(8, 2002, 2)), resets)
        self.assertTrue(self.client.isUsable())
        del response
        resets = [frame.streamId for frame in self.peer.drain() if frame.kind == frames.RST_STREAM]
        self.assertEqual([1, 2, 4, 6], sorted(resets))
        self.assertEqual(0, self.client.openCount)

    def test_aThousandThatAreComplete(self) -> None:
        """Nor do those whose responses have come whole, which are open streams no more."""
        response = self.respond()
        for stream in range(2, 2002, 2):
            self.peer.sendPromise(1, stream, promised())
            self.peer.sendHeaders(stream, OK)
            self.peer.sendData(stream, bytes(1000), endStream=True)
        resets = [frame for frame in self.peer.drain() if frame.kind == frames.RST_STREAM]
        self.assertEqual(list(range(8, 2002, 2)), [frame.streamId for frame in resets])
        self.assertEqual({REFUSED_STREAM.to_bytes(4, "big")}, {each.payload for each in resets})
        self.assertEqual([2, 4, 6], [promise.streamId for promise in response.pushes.taken()])
        # Those that are taken make room.
        self.peer.sendPromise(1, 2002, promised())
        self.assertEqual(2002, self.take(response).streamId)
        self.assertTrue(self.client.isUsable())

    def test_noEndOfRefusals(self) -> None:
        """A server that goes on promising what is refused ends its connection, for any reason."""
        bounds = Bounds(promises=3, useless_frames=10, useless_frames_per_second=0.0)
        for authority in (b"a.test", b"b.test"):
            for isComplete in (False, True):
                self.options = {"bounds": bounds}  # type: ignore[misc]
                self.setUp()
                stream = 0
                while self.client.isUsable() and stream < 200:
                    stream += 2
                    self.peer.sendPromise(1, stream, promised(authority=authority))
                    if isComplete and authority == b"a.test" and stream <= 6:
                        self.peer.sendHeaders(stream, OK, endStream=True)
                self.assertLess(stream, 100)
                deferred, self.deferred = self.deferred, None
                assert deferred is not None
                self.assertEqual("useless_frames", self.neverReceived(deferred).bound)

    def test_violations(self) -> None:
        """What a server may not do at all ends the connection."""
        for octets in (
            # On a stream that is idle, that the server has ended, that it has promised itself.
            lambda: self.peer.promise(99, 2, promised()),
            lambda: self.peer.headers(1, OK, True) + self.peer.promise(1, 2, promised()),
            lambda: self.peer.promise(1, 2, promised()) + self.peer.promise(2, 4, promised()),
            # An id that is ours, or was promised before.
            lambda: self.peer.promise(1, 3, promised()),
            lambda: self.peer.promise(1, 4, promised()) + self.peer.promise(1, 2, promised()),
            lambda: self.peer.promise(1, 4, promised()) + self.peer.promise(1, 4, promised()),
            lambda: self.peer.promise(1, 0, promised()),
            # A promise that is too short; DATA on what was not promised.
            lambda: self.peer.frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, b"\0\0"),
            lambda: self.peer.frame(frames.DATA, 0, 2, b"x"),
            lambda: self.peer.frame(frames.RST_STREAM, 0, 2, bytes(4)),
        ):
            self.setUp()
            self.peer.send(octets())
            self.assertFalse(self.client.isUsable())
            self.peer.expectGoAway()
            deferred, self.deferred = self.deferred, None
            assert deferred is not None
            deferred.addErrback(lambda _: None)

    def test_afterEndStream(self) -> None:
        """A request whose response has ended, while its own body has not, can have no promises."""
        deferred = self.upload(b"x" * 100000)
        self.peer.sendHeaders(3, OK, endStream=True)
        self.peer.sendPromise(3, 2, promised())
        self.assertFalse(self.client.isUsable())
        self.successResultOf(deferred)
        assert self.deferred is not None
        self.assertIsInstance(self.neverReceived(self.deferred), ProtocolViolation)


class EndTests(PushTestCase):
    """How a promise ends that is not kept."""

    def test_cancelled(self) -> None:
        """One RST_STREAM(CANCEL); whoever waits is told; late frames are of no interest."""
        _response, promise = self.push()
        waiting = promise.whenResponse()
        promise.cancel()
        promise.cancel()
        self.assertIsInstance(self.neverReceived(waiting), CancelledError)
        self.assertIsInstance(self.neverReceived(promise.whenResponse()), CancelledError)
        self.assertEqual(CANCEL, self.peer.expectReset(2))
        self.peer.sendHeaders(2, OK)
        self.peer.sendData(2, b"x", endStream=True)
        self.peer.expectNothing()

    def test_cancelledAfterTheHead(self) -> None:
        """A response that is here and nobody reads is given up, too."""
        _response, promise = self.push()
        self.peer.sendHeaders(2, OK)
        promise.cancel()
        self.assertEqual(CANCEL, self.peer.expectReset(2))

    def test_cancelledWhileRead(self) -> None:
        """One that somebody reads is that reader's to give up."""
        _response, promise = self.push()
        self.peer.sendHeaders(2, OK)
        reader = Reader()
        self.successResultOf(promise.whenResponse()).deliverBody(reader)
        promise.cancel()
        self.peer.sendData(2, b"x", endStream=True)
        self.assertTrue(reader.isDone)

    def test_cancelledWhenComplete(self) -> None:
        """Nothing is sent about a response that is complete."""
        _response, promise = self.push()
        self.peer.sendHeaders(2, OK, endStream=True)
        promise.cancel()
        self.peer.expectNothing()

    def test_waiterCancelled(self) -> None:
        """Who gives up waiting for the response takes it away from nobody."""
        _response, promise = self.push()
        first, second = promise.whenResponse(), promise.whenResponse()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.peer.sendHeaders(2, OK, endStream=True)
        self.successResultOf(second)

    def test_waitersOfOneAnother(self) -> None:
        """Who hears of the response may cancel the others who wait for it."""
        _response, promise = self.push()
        first, second = promise.whenResponse(), promise.whenResponse()
        first.addCallback(lambda _: second.cancel())
        self.peer.sendHeaders(2, OK, endStream=True)
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)

    def test_serverGivesUp(self) -> None:
        """A server that resets it, or answers with nonsense, fails this response and no other."""
        response, promise = self.push()
        self.peer.sendReset(2, 2)
        error = self.neverReceived(promise.whenResponse())
        self.assertIsInstance(error, StreamReset)
        self.assertEqual(2, error.stream_id)
        self.peer.sendPromise(1, 4, promised())
        second = self.take(response)
        self.peer.sendHeaders(4, [(b":status", b"0")])
        self.assertIsInstance(self.neverReceived(second.whenResponse()), MalformedResponse)
        self.peer.sendData(1, b"x", endStream=True)
        self.assertEqual(b"x", self.bodyOf(response))

    def test_failsWhileRead(self) -> None:
        """A body that is cut off fails with its reader."""
        _response, promise = self.push()
        self.peer.sendHeaders(2, OK)
        reader = Reader()
        self.successResultOf(promise.whenResponse()).deliverBody(reader)
        self.peer.sendData(2, b"x")
        self.peer.sendReset(2, 2)
        self.assertIsInstance(reader.error, StreamReset)

    def test_resetWhenComplete(self) -> None:
        """What comes after the end is forgiven once and changes nothing."""
        _response, promise = self.push()
        self.peer.sendHeaders(2, OK, endStream=True)
        self.peer.sendReset(2, 0)
        self.successResultOf(promise.whenResponse())

    def test_connectionLost(self) -> None:
        """With the connection every promise fails."""
        _response, promise = self.push()
        waiting = promise.whenResponse()
        self.peer.loseConnection()
        self.assertIsInstance(self.neverReceived(waiting), ConnectionTerminated)

    def test_goingAway(self) -> None:
        """
        A server that goes away finishes what it has promised; then the connection ends. The last id
        that it names is one of ours.
        """
        response, promise = self.push()
        self.peer.sendGoAway(1)
        self.peer.sendData(1, b"", endStream=True)
        self.assertFalse(self.peer.transport.isClosing)
        self.peer.sendHeaders(2, OK)
        self.peer.sendData(2, b"x", endStream=True)
        self.assertEqual(b"x", self.bodyOf(self.successResultOf(promise.whenResponse())))
        self.assertTrue(self.peer.transport.isClosing)
        self.assertEqual(2, self.peer.expectGoAway()[0])
        del response

    def test_closing(self) -> None:
        """A connection that is closed finishes what was promised, too."""
        response, promise = self.push()
        self.client.close()
        self.peer.sendData(1, b"", endStream=True)
        self.assertFalse(self.peer.transport.isClosing)
        promise.cancel()
        self.assertTrue(self.peer.transport.isClosing)
        del response

    def test_noSlot(self) -> None:
        """A promised stream takes none of the slots that the server allows us."""
        self.peer.sendSettings({MAX_CONCURRENT_STREAMS: 2})
        _response, promise = self.push()
        second, third = self.request(), self.request()
        self.peer.expectHeaders(3)
        promise.cancel()
        self.assertEqual(2, self.client.openCount)
        self.assertNoResult(third)
        self.peer.sendHeaders(3, OK, endStream=True)
        self.peer.expectHeaders(5)
        self.successResultOf(second)


class HolderTests(PushTestCase):
    """A promise lives as long as somebody holds it."""

    def setUp(self) -> None:
        """No collection: what is freed here has to be free of cycles."""
        super().setUp()
        gc.disable()
        self.addCleanup(gc.enable)

    def test_thrownAway(self) -> None:
        """One that nobody holds is cancelled."""
        _response, promise = self.push()
        self.peer.expectNothing()
        del promise
        self.assertEqual(CANCEL, self.peer.expectReset(2))

    def test_withItsResponse(self) -> None:
        """Those that nobody has taken go with the response beside which they came."""
        self.peer.sendPromise(1, 2, promised())
        response = self.respond(end=True)
        self.peer.expectNothing()
        del response
        self.assertEqual(CANCEL, self.peer.expectReset(2))

    def test_withItsRequest(self) -> None:
        """And those of a request that is cancelled go with it."""
        self.peer.sendPromise(1, 2, promised())
        deferred, self.deferred = self.deferred, None
        assert deferred is not None
        deferred.cancel()
        self.neverReceived(deferred)
        del deferred
        self.assertEqual({1, 2}, {frame.streamId for frame in self.peer.drain()})

    def test_headComesFirst(self) -> None:
        """Nobody is told of a response that comes before the server can know."""
        response, promise = self.push()
        del promise
        self.peer.sendHeaders(2, OK)
        self.peer.sendData(2, b"x")
        self.assertEqual(CANCEL, self.peer.expectReset(2))
        del response

    def test_failsFirst(self) -> None:
        """Nor of its failure."""
        response, promise = self.push()
        del promise
        self.peer.sendReset(2, 2)
        self.peer.expectNothing()
        del response

    def test_headIsNotEnough(self) -> None:
        """A response that comes when the promise is gone is given up."""
        self.peer.sendPromise(1, 2, promised())
        response = self.respond()
        self.peer.sendHeaders(2, OK)
        self.peer.expectNothing()
        del response
        self.assertEqual({1, 2}, {frame.streamId for frame in self.peer.drain()})

    def test_waitedFor(self) -> None:
        """One that somebody waits for is held, also if only the Deferred is kept."""
        response, promise = self.push()
        waiting = promise.whenResponse()
        reference = weakref.ref(promise)
        del promise
        self.peer.expectNothing()
        self.peer.sendHeaders(2, OK, endStream=True)
        self.successResultOf(waiting)
        del waiting
        self.assertIsNone(reference())
        del response

    def test_nobodyWaitsAnyMore(self) -> None:
        """Until the one who waits is cancelled."""
        response, promise = self.push()
        waiting = promise.whenResponse()
        del promise
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        del waiting
        self.assertEqual(CANCEL, self.peer.expectReset(2))
        del response

    def test_nothingIsKept(self) -> None:
        """Request, promise and response are gone when they are over and the user lets go."""
        response, promise = self.push()
        self.peer.sendHeaders(2, OK)
        pushed = self.successResultOf(promise.whenResponse())
        self.peer.sendData(2, b"x", endStream=True)
        self.bodyOf(pushed)
        references = [weakref.ref(promise)]
        del response, promise, pushed
        self.assertEqual([None], [reference() for reference in references])
