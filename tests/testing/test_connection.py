"""Tests for :mod:`txhyper.testing.connection`, and of what its pump sends."""

from __future__ import annotations

from collections.abc import Iterator

import h2.events
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import INegotiated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.testing.wire import Owner, Transport, Wire
from txhyper.errors import ConnectionTerminated, HyperError, StreamAborted, StreamReset
from txhyper.testing.connection import HTTP2ServerProtocol
from txhyper.testing.responder import Responder
from txhyper.testing.site import Refusal, ServerRequest, Site

MiB = 2**20


class Recorder:
    """An endpoint that keeps what it is called with and says nothing by itself."""

    def __init__(self) -> None:
        self.requests: list[ServerRequest] = []
        self.responders: list[Responder] = []
        self.result: object = None

    def __call__(self, request: ServerRequest, responder: Responder) -> object:
        self.requests.append(request)
        self.responders.append(responder)
        return self.result


class ConnectionTestCase(SynchronousTestCase):
    """A site whose every path is a recorder's."""

    def setUp(self) -> None:
        self.site = Site()
        self.endpoint = Recorder()
        self.site.add("/{rest*}", self.endpoint, b"*")
        self.wire = Wire(self.site)

    @property
    def responder(self) -> Responder:
        """The last request's responder."""
        return self.endpoint.responders[-1]

    @property
    def request(self) -> ServerRequest:
        """The last request."""
        return self.endpoint.requests[-1]

    def opened(self, *arguments: object, **options: object) -> int:
        """Send a request and bring it to the endpoint."""
        streamId = self.wire.send(*arguments, **options)  # type: ignore[arg-type]
        self.wire.exchange()
        return streamId


class AnsweringTests(ConnectionTestCase):
    """Requests reach their endpoints, and responses the client."""

    def test_request(self) -> None:
        """An endpoint gets the request as it was sent."""
        self.opened(b"DELETE", b"/a?b=c", (b"x-y", b"z"))
        self.assertEqual((b"DELETE", b"/a?b=c"), (self.request.method, self.request.target))
        self.assertEqual([(b"x-y", b"z")], self.request.headers)
        self.assertEqual("https://example.test/a?b=c", self.request.url)
        self.assertEqual("192.168.1.1", self.request.peer)
        self.assertEqual((1, 1), (self.request.streamId, self.responder.streamId))

    def test_response(self) -> None:
        """The client gets status, fields and body, and the stream's end with its last octet."""
        streamId = self.opened()
        self.responder.respond(203, [(b"x", b"y")], b"hello")
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual((203, b"hello", True), (answer.status, answer.body, answer.isEnded))
        self.assertEqual([(b"x", b"y"), (b"content-length", b"5")], answer.headers)
        self.assertEqual(1, len(self.wire.seen(h2.events.DataReceived)))
        self.assertIsNone(self.successResultOf(self.responder.whenClosed()))

    def test_oneWritePerTurn(self) -> None:
        """What one read sets off, for several requests, goes out in one write."""
        self.site.add("/now", lambda request, responder: responder.respond(200, [], b"x"))
        for _ in range(5):
            self.wire.send(path=b"/now")
        self.wire.transport.writes.clear()
        self.wire.server.dataReceived(self.wire.client.data_to_send())
        self.assertEqual(1, len(self.wire.transport.writes))

    def test_settingsFirst(self) -> None:
        """The server speaks first: its SETTINGS and its large window, in one write."""
        wire = Wire(self.site, streamWindow=1234, maxConcurrentStreams=7)
        self.assertEqual(1, len(wire.transport.writes))
        wire.exchange()
        self.assertEqual(1234, wire.client.remote_settings.initial_window_size)
        self.assertEqual(7, wire.client.remote_settings.max_concurrent_streams)
        self.assertEqual(16 * MiB, wire.client.outbound_flow_control_window)

    def test_chunkIsAFrame(self) -> None:
        """Each chunk of an iterable is a DATA frame of its own; an empty one ends the stream."""
        streamId = self.opened()
        self.responder.respond(200, [], iter([b"a", b"bc"]))
        self.wire.exchange()
        self.assertEqual([b"a", b"bc", b""], self.wire.answers[streamId].pieces)
        self.assertTrue(self.wire.answers[streamId].isEnded)

    def test_noPadding(self) -> None:
        """DATA carries no octet but the body's."""
        self.opened()
        self.responder.respond(200, [], b"abc")
        self.wire.exchange()
        self.assertEqual(
            [3], [e.flow_controlled_length for e in self.wire.seen(h2.events.DataReceived)]
        )

    def test_head(self) -> None:
        """HEAD gets what GET would, less the body."""
        streamId = self.opened(b"HEAD")
        self.responder.respond(200, [], b"abc")
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual(
            (b"3", b"", True), (answer.header(b"content-length"), answer.body, answer.isEnded)
        )

    def test_trailers(self) -> None:
        """Trailers come after the last octet and end the stream; also after no octet at all."""
        for body in (b"abc", b"", iter([b"ab", b"c"])):
            streamId = self.opened()
            self.responder.respond(200, [], body, [(b"x-sum", b"6")])
            self.wire.exchange()
            answer = self.wire.answers[streamId]
            self.assertEqual(([(b"x-sum", b"6")], True), (answer.trailers, answer.isEnded))
            self.assertIn(answer.body, (b"abc", b""))
            self.assertTrue(self.responder.hasEnded)

    def test_informational(self) -> None:
        """Interim responses arrive ahead of the final one."""
        streamId = self.opened()
        self.responder.sendInformational(103, [(b"link", b"</a>")])
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual([[(b":status", b"103"), (b"link", b"</a>")]], answer.interim)
        self.assertIsNone(answer.status)
        self.responder.respond(204)
        self.wire.exchange()
        self.assertEqual((204, True), (answer.status, answer.isEnded))

    def test_refusal(self) -> None:
        """A path that is not there is a 404, in JSON."""
        answer = Wire(Site()).ask(path=b"/nowhere")
        self.assertEqual(404, answer.status)
        self.assertEqual(b'{\n  "error": "nothing is at /nowhere"\n}\n', answer.body)

    def test_coroutine(self) -> None:
        """An endpoint may be a coroutine function."""

        async def echo(request: ServerRequest, responder: Responder) -> None:
            responder.respond(200, [], await request.body.read())

        self.site.add("/echo", echo, b"POST")
        self.assertEqual(b"abc", self.wire.ask(b"POST", b"/echo", body=b"abc").body)


class FailingTests(ConnectionTestCase):
    """What goes wrong with one endpoint is that stream's affair alone."""

    def ask(self, result: object) -> int:
        """Send a request to an endpoint that returns this."""
        self.endpoint.result = result
        return self.opened()

    def test_exception(self) -> None:
        """An exception is logged and becomes a 500; the connection lives on."""
        self.site.add("/bad", lambda request, responder: 1 / 0)
        self.assertEqual(500, self.wire.ask(path=b"/bad").status)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.opened()
        self.responder.respond()
        self.assertEqual([], self.wire.seen(h2.events.ConnectionTerminated))

    def test_deferredFails(self) -> None:
        """So is a Deferred's failure, whenever it comes."""
        later: Deferred[None] = Deferred()
        streamId = self.ask(later)
        self.assertNotIn(streamId, self.wire.answers)
        later.errback(ZeroDivisionError())
        self.wire.exchange()
        self.assertEqual(500, self.wire.answers[streamId].status)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_refusalLater(self) -> None:
        """A Refusal is an answer with its status and fields, and nothing to be logged."""
        later: Deferred[None] = Deferred()
        streamId = self.ask(later)
        later.errback(Refusal(429, "slower", [(b"retry-after", b"1")]))
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual((429, b"1"), (answer.status, answer.header(b"retry-after")))

    def test_failsAfterItsResponse(self) -> None:
        """When the response has begun, the stream is reset; what had come is not called whole."""
        later: Deferred[None] = Deferred()
        streamId = self.ask(later)
        self.responder.respond(200, [], [b"abc", Deferred()])
        later.errback(ZeroDivisionError())
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual((200, b"abc", False), (answer.status, answer.body, answer.isEnded))
        self.assertEqual(ErrorCodes.INTERNAL_ERROR, answer.resetCode)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_failsAfterItsEnd(self) -> None:
        """What an endpoint does wrong when all is over is only logged."""
        later: Deferred[None] = Deferred()
        streamId = self.ask(later)
        self.responder.respond()
        later.errback(ZeroDivisionError())
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streamId].isEnded)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_bodyFails(self) -> None:
        """A body that raises resets its stream, after the chunks before it."""

        def body() -> Iterator[bytes]:
            yield b"abc"
            raise ZeroDivisionError

        streamId = self.opened()
        self.responder.respond(200, [], body())
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual((b"abc", False), (answer.body, answer.isEnded))
        self.assertEqual(ErrorCodes.INTERNAL_ERROR, answer.resetCode)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_resetByEndpoint(self) -> None:
        """An endpoint may reset its stream, before a response or within one."""
        first = self.opened()
        self.responder.reset(ErrorCodes.REFUSED_STREAM)
        second = self.opened()
        self.responder.respond(200, [], [b"abc", Deferred()])
        self.responder.reset()
        self.wire.exchange()
        self.assertEqual(ErrorCodes.REFUSED_STREAM, self.wire.answers[first].resetCode)
        self.assertEqual(ErrorCodes.CANCEL, self.wire.answers[second].resetCode)
        self.assertIsInstance(self.successResultOf(self.responder.whenClosed()), StreamAborted)


class SendingTests(ConnectionTestCase):
    """Bodies go out as fast as the client takes them, and no faster."""

    def pulled(self, size: int, count: int) -> tuple[list[int], Iterator[bytes]]:
        """A body of equal chunks, and the list of those that were asked for."""
        asked: list[int] = []

        def chunks() -> Iterator[bytes]:
            for each in range(count):
                asked.append(each)
                yield bytes(size)

        return asked, chunks()

    def test_streamWindow(self) -> None:
        """The stream's window is filled to the last octet; more comes when it opens."""
        self.wire = Wire(self.site, window=100)
        self.wire.isPaying = False
        streamId = self.opened()
        self.responder.respond(200, [], bytes(250))
        self.wire.exchange()
        answer = self.wire.answer(streamId)
        self.assertEqual(100, len(answer.body))
        self.wire.client.increment_flow_control_window(120, streamId)
        self.wire.exchange()
        self.assertEqual(220, len(answer.body))
        self.wire.client.increment_flow_control_window(500, streamId)
        self.wire.exchange()
        self.assertEqual((250, True), (len(answer.body), answer.isEnded))

    def test_connectionWindow(self) -> None:
        """The connection's window binds all streams together, and they share it fairly."""
        self.wire = Wire(self.site, window=10**6, connectionWindow=0)
        self.wire.isPaying = False
        streams = []
        for _ in range(3):
            streams.append(self.opened())
            self.responder.respond(200, [], bytes(60000))
        self.wire.exchange()
        sizes = [len(self.wire.answer(each).body) for each in streams]
        self.assertEqual(65535, sum(sizes))
        self.wire.client.increment_flow_control_window(3 * 16384)
        self.wire.exchange()
        later = [len(self.wire.answer(each).body) for each in streams]
        self.assertEqual(65535 + 3 * 16384, sum(later))
        self.wire.client.increment_flow_control_window(10**6)
        self.wire.exchange()
        self.assertTrue(all(self.wire.answer(each).isEnded for each in streams))

    def test_roundRobin(self) -> None:
        """Streams with a body to send take turns, a frame each."""
        first, second = self.wire.send(path=b"/a"), self.wire.send(path=b"/b")
        self.site.add("/a", lambda _, responder: responder.respond(200, [], bytes(50000)))
        self.site.add("/b", lambda _, responder: responder.respond(200, [], bytes(50000)))
        self.wire.exchange()
        order = [event.stream_id for event in self.wire.seen(h2.events.DataReceived)]
        self.assertEqual([first, second, first, second], order[:4])

    def test_settingsOpenWindows(self) -> None:
        """A larger initial window in SETTINGS lets streams that wait go on."""
        self.wire = Wire(self.site, window=10)
        self.wire.isPaying = False
        streamId = self.opened()
        self.responder.respond(200, [], bytes(30))
        self.wire.exchange()
        self.wire.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 30})
        self.wire.exchange()
        self.assertTrue(self.wire.answer(streamId).isEnded)

    def test_settingsShutWindows(self) -> None:
        """A smaller one may take a window below zero: nothing is sent until it is above again."""
        self.wire = Wire(self.site, window=30)
        self.wire.isPaying = False
        streamId = self.opened()
        self.responder.respond(200, [], bytes(40))
        self.wire.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        self.wire.exchange()
        self.wire.client.increment_flow_control_window(20, streamId)
        self.wire.exchange()
        self.assertEqual(30, len(self.wire.answer(streamId).body))
        self.wire.client.increment_flow_control_window(10, streamId)
        self.wire.exchange()
        self.assertTrue(self.wire.answer(streamId).isEnded)

    def test_windowOfAStreamThatIsNotWaiting(self) -> None:
        """A window update for a stream that has nothing to send, or is gone, changes nothing."""
        streamId = self.opened()
        self.wire.client.increment_flow_control_window(10, streamId)
        self.wire.exchange()
        self.responder.respond(200, [], bytes(10))
        late = self.wire.client.data_to_send()
        self.wire.client.increment_flow_control_window(10, streamId)
        late = self.wire.client.data_to_send()
        self.wire.server.dataReceived(late)
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streamId].isEnded)

    def test_emptyEndNeedsNoWindow(self) -> None:
        """A body that ends just when the window is used up is not left without its end."""
        self.wire = Wire(self.site, window=3)
        self.wire.isPaying = False
        streamId = self.opened()
        self.responder.respond(200, [], iter([b"abc"]))
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streamId].isEnded)

    def test_pulledByTheWindow(self) -> None:
        """A generator is asked for no chunk before the window takes it."""
        self.wire = Wire(self.site, window=1000)
        self.wire.isPaying = False
        streamId = self.opened()
        asked, chunks = self.pulled(400, 10)
        self.responder.respond(200, [], chunks)
        self.wire.exchange()
        self.assertEqual(3, len(asked))
        self.wire.client.increment_flow_control_window(10000, streamId)
        self.wire.exchange()
        self.assertEqual(10, len(asked))

    def test_pulledByTheTransport(self) -> None:
        """A transport that asks for a pause gets one write more at most, and no chunk is pulled."""
        self.wire = Wire(self.site, window=2**30, connectionWindow=2**30)
        streamId = self.opened()
        self.wire.transport.highMark = 65536
        asked, chunks = self.pulled(16384, 1000)
        self.responder.respond(200, [], chunks)
        self.assertEqual(8, len(asked))
        self.assertEqual(1, len(self.wire.transport.writes[1:]))
        self.wire.exchange()
        self.assertEqual(8, len(asked))
        assert self.wire.transport.producer is not None
        self.wire.transport.producer.resumeProducing()
        self.assertEqual(16, len(asked))
        self.wire.transport.highMark = None
        self.wire.transport.producer.resumeProducing()
        self.wire.exchange()
        self.assertEqual(1000 * 16384, len(self.wire.answers[streamId].body))

    def test_controlFramesWhilePaused(self) -> None:
        """A pause holds bodies up, and nothing else: a PING is answered."""
        self.wire.exchange()
        self.wire.server.pauseProducing()
        self.wire.client.ping(b"12345678")
        streamId = self.opened()
        self.responder.respond(200, [], b"abc")
        self.wire.exchange()
        self.assertEqual(1, len(self.wire.seen(h2.events.PingAckReceived)))
        self.assertEqual(
            (200, b""), (self.wire.answers[streamId].status, self.wire.answers[streamId].body)
        )
        self.wire.server.resumeProducing()
        self.wire.exchange()
        self.assertEqual(b"abc", self.wire.answers[streamId].body)

    def test_largerFrames(self) -> None:
        """Frames are as large as the client takes them, and no larger."""
        self.wire = Wire(self.site, window=10**6)
        self.wire.client.update_settings({SettingCodes.MAX_FRAME_SIZE: 40000})
        streamId = self.opened()
        self.responder.respond(200, [], bytes(90000))
        self.wire.exchange()
        self.assertEqual(
            [40000, 40000, 10000], [len(p) for p in self.wire.answers[streamId].pieces]
        )

    def test_clientResets(self) -> None:
        """A reset closes the generator and cancels what the endpoint waits for."""
        cancelled: list[object] = []
        self.endpoint.result = Deferred(cancelled.append)
        self.wire = Wire(self.site, window=10)
        self.wire.isPaying = False
        closed: list[str] = []

        def body() -> Iterator[bytes]:
            try:
                yield bytes(100)
            finally:
                closed.append("closed")

        streamId = self.opened()
        gone = self.responder.whenClosed()
        self.responder.respond(200, [], body())
        self.wire.exchange()
        self.wire.client.reset_stream(streamId, ErrorCodes.CANCEL)
        self.wire.exchange()
        self.assertEqual((["closed"], 1), (closed, len(cancelled)))
        reason = self.successResultOf(gone)
        assert isinstance(reason, StreamReset)
        self.assertEqual((streamId, ErrorCodes.CANCEL), (reason.stream_id, reason.code))
        self.assertIn("CANCEL", str(reason))

    def test_resetOfAStreamThatIsGone(self) -> None:
        """A reset that crosses the end of the response is nobody's concern."""
        streamId = self.opened()
        self.responder.respond(200, [], b"abc")
        self.wire.client.reset_stream(streamId, ErrorCodes.CANCEL)
        self.wire.exchange()
        self.assertIsNone(self.successResultOf(self.responder.whenClosed()))

    def test_respondAfterReset(self) -> None:
        """An endpoint that answers a client which has gone away does no harm."""
        streamId = self.opened()
        self.wire.client.reset_stream(streamId)
        self.wire.exchange()
        self.responder.respond(200, [], b"abc")
        self.assertEqual([], self.wire.transport.writes)


class ReceivingTests(ConnectionTestCase):
    """Bodies come in as fast as the endpoint reads them, and no faster."""

    def test_windowIsPaidWhenRead(self) -> None:
        """Unread, a stream's window stays closed; the connection's is open all the same."""
        self.wire = Wire(self.site, streamWindow=1000)
        self.wire.exchange()
        streamId = self.wire.send(b"POST", body=bytes(1000), end=False)
        self.wire.exchange()
        self.assertEqual(0, self.wire.client.local_flow_control_window(streamId))
        pieces: list[bytes] = []
        done = self.request.body.each(pieces.append)
        self.wire.exchange()
        self.assertEqual(1000, self.wire.client.local_flow_control_window(streamId))
        self.wire.client.end_stream(streamId)
        self.wire.exchange()
        self.successResultOf(done)
        self.assertEqual(1000, len(b"".join(pieces)))

    def test_largeUpload(self) -> None:
        """A body of many windows comes whole; the connection's window is paid as well."""
        self.wire.exchange()
        total = 0

        def add(piece: bytes) -> None:
            nonlocal total
            total += len(piece)

        async def count(request: ServerRequest, responder: Responder) -> None:
            await request.body.each(add)
            responder.respondJSON(total)

        self.site.add("/count", count, b"POST")
        streamId = self.wire.send(b"POST", b"/count", end=False)
        for _ in range(20):
            self.wire.sendBody(streamId, bytes(MiB), end=False)
            self.wire.exchange()
        self.wire.client.end_stream(streamId)
        self.wire.exchange()
        self.assertEqual(b"%d\n" % (20 * MiB), self.wire.answers[streamId].body)

    def test_bodyBeforeSettings(self) -> None:
        """A client that has not seen the window yet may use the RFC's (section 6.9.2)."""
        self.wire = Wire(self.site, streamWindow=10)
        streamId = self.wire.send(b"POST", body=bytes(30000))
        octets = self.wire.client.data_to_send()
        self.wire.server.dataReceived(octets)
        self.assertEqual(30000, len(self.successResultOf(self.request.body.read())))
        self.responder.respond()
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streamId].isEnded)

    def test_endWithTheLastPiece(self) -> None:
        """END_STREAM on the last DATA frame ends the body with that piece."""
        done = []

        async def read(request: ServerRequest, responder: Responder) -> None:
            done.append(await request.body.read())
            responder.respond()

        self.site.add("/read", read, b"POST")
        streamId = self.wire.send(b"POST", b"/read", end=False)
        self.wire.client.send_data(streamId, b"abc", end_stream=True)
        self.wire.exchange()
        self.assertEqual(([b"abc"], True), (done, self.wire.answers[streamId].isEnded))

    def test_requestTrailers(self) -> None:
        """Trailers are there when the body has ended."""
        streamId = self.wire.send(b"POST", body=b"abc", end=False)
        self.wire.client.send_headers(streamId, [(b"x-sum", b"6")], end_stream=True)
        self.wire.exchange()
        self.assertEqual(b"abc", self.successResultOf(self.request.body.read()))
        self.assertEqual([(b"x-sum", b"6")], self.request.trailers)

    def test_answeredWithTheTrailers(self) -> None:
        """An endpoint that has waited for the trailers may answer there and then."""

        async def read(request: ServerRequest, responder: Responder) -> None:
            await request.body.read()
            responder.respond(200, request.trailers)

        self.site.add("/read", read, b"POST")
        streamId = self.opened(b"POST", b"/read", body=b"abc", end=False)
        self.wire.client.send_headers(streamId, [(b"x-sum", b"6")], end_stream=True)
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual((b"6", True), (answer.header(b"x-sum"), answer.isEnded))

    def test_expectContinue(self) -> None:
        """A client that waits for 100 gets it when the endpoint begins to read, and not before."""
        streamId = self.opened(b"POST", b"/", (b"expect", b"100-Continue"), end=False)
        self.assertNotIn(streamId, self.wire.answers)
        self.request.body.read()
        self.wire.exchange()
        self.assertEqual([[(b":status", b"100")]], self.wire.answers[streamId].interim)

    def test_expectAnswered(self) -> None:
        """An endpoint that reads on after its response sends no 100 any more."""
        streamId = self.opened(b"POST", b"/", (b"expect", b"100-continue"), end=False)
        self.responder.respond()
        self.request.body.read()
        self.wire.exchange()
        self.assertEqual([], self.wire.answers[streamId].interim)

    def test_tooLarge(self) -> None:
        """A body over the endpoint's limit is a 413, and the client is asked to stop."""

        async def read(request: ServerRequest, responder: Responder) -> None:
            await request.body.read(100_000)

        self.site.add("/read", read, b"POST")
        streamId = self.wire.send(b"POST", b"/read", end=False)
        self.wire.sendBody(streamId, bytes(200_000), end=False)
        self.wire.exchange()
        answer = self.wire.answers[streamId]
        self.assertEqual((413, True), (answer.status, answer.isEnded))
        for _ in range(20):
            if answer.resetCode is None:
                self.wire.sendBody(streamId, bytes(16384), end=False)
                self.wire.exchange()
        self.assertEqual(ErrorCodes.NO_ERROR, answer.resetCode)

    def test_shortRestOfABody(self) -> None:
        """A short body that nobody reads is let come: the exchange ends without a reset."""
        streamId = self.opened(b"POST", end=False)
        self.responder.respond(200, [], b"early")
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streamId].isEnded)
        self.assertFalse(self.responder.isClosed)
        self.wire.sendBody(streamId, b"late")
        self.wire.exchange()
        self.assertIsNone(self.wire.answers[streamId].resetCode)
        self.assertTrue(self.responder.isClosed)

    def test_readerOfAnUnwantedBody(self) -> None:
        """Who still reads a body when the client is asked to stop is told so."""
        self.wire = Wire(self.site, streamWindow=1000)
        self.wire.exchange()
        streamId = self.opened(b"POST", body=bytes(600), end=False)
        self.responder.respond()
        self.wire.exchange()
        self.assertEqual(ErrorCodes.NO_ERROR, self.wire.answers[streamId].resetCode)
        self.failureResultOf(self.request.body.read(), StreamAborted)

    def test_resetInTheMiddle(self) -> None:
        """A reader learns of the client's reset, and the endpoint's failure is not logged."""
        failures: list[BaseException] = []

        async def read(request: ServerRequest, responder: Responder) -> None:
            try:
                await request.body.read()
            except HyperError as error:
                failures.append(error)
                raise

        self.site.add("/read", read, b"POST")
        streamId = self.opened(b"POST", b"/read", body=b"abc", end=False)
        self.wire.client.reset_stream(streamId)
        self.wire.exchange()
        self.assertIsInstance(failures[0], StreamReset)

    def test_frameOfAStreamThatIsGone(self) -> None:
        """DATA and trailers for a stream that the endpoint has reset are passed over."""
        self.wire.exchange()
        first = self.opened(b"POST", end=False)
        second = self.wire.send(b"POST", end=False)
        self.wire.exchange()
        for responder in self.endpoint.responders:
            responder.reset()
        self.wire.client.send_data(first, b"late")
        self.wire.client.send_headers(second, [(b"x", b"y")], end_stream=True)
        octets = self.wire.client.data_to_send()
        self.wire.server.dataReceived(octets)
        self.assertFalse(self.wire.transport.disconnecting)

    def test_tooManyStreams(self) -> None:
        """One request too many is refused; the others do not notice."""
        self.wire = Wire(self.site, maxConcurrentStreams=2)
        # The client has not seen the server's SETTINGS when it sends these.
        streams = [self.wire.send() for _ in range(3)]
        self.wire.exchange()
        self.assertEqual(2, len(self.endpoint.requests))
        self.assertEqual(ErrorCodes.REFUSED_STREAM, self.wire.answers[streams[2]].resetCode)
        for responder in self.endpoint.responders:
            responder.respond()
        self.wire.exchange()
        self.assertTrue(self.wire.answers[streams[0]].isEnded)


class PushTests(ConnectionTestCase):
    """Responses to requests that nobody has sent."""

    def test_push(self) -> None:
        """A promise is answered by the site, on a stream of its own."""
        self.wire = Wire(self.site, enablePush=True)
        self.site.add("/style", lambda request, responder: responder.respond(200, [], b"css"))
        streamId = self.opened()
        self.assertTrue(self.responder.push(b"/style", [(b"accept", b"text/css")]))
        self.responder.respond(200, [], b"html")
        self.wire.exchange()
        self.assertEqual(
            {
                2: [
                    (b":method", b"GET"),
                    (b":scheme", b"https"),
                    (b":authority", b"example.test"),
                    (b":path", b"/style"),
                    (b"accept", b"text/css"),
                ]
            },
            self.wire.promises,
        )
        self.assertEqual((b"css", True), (self.wire.answers[2].body, self.wire.answers[2].isEnded))
        self.assertEqual(b"html", self.wire.answers[streamId].body)

    def test_pushIsOff(self) -> None:
        """A client that wants no pushes gets none."""
        self.opened()
        self.assertFalse(self.responder.push(b"/style"))

    def test_pushLimit(self) -> None:
        """No more promises are open at once than the client allows."""
        self.wire = Wire(self.site, enablePush=True, maxPushed=1)
        self.opened()
        responder = self.responder
        self.assertTrue(responder.push(b"/a"))
        pushed = self.responder
        self.assertFalse(responder.push(b"/b"))
        pushed.respond()
        self.assertTrue(responder.push(b"/b"))

    def test_pushedStreamPushesNothing(self) -> None:
        """A promise cannot be made on a promised stream (RFC 9113 section 8.4)."""
        self.wire = Wire(self.site, enablePush=True)
        self.opened()
        self.assertTrue(self.responder.push(b"/a"))
        self.assertFalse(self.responder.push(b"/b"))

    def test_resetPush(self) -> None:
        """A client may cancel a promise."""
        self.wire = Wire(self.site, enablePush=True)
        self.opened()
        self.responder.push(b"/a")
        pushed = self.responder
        self.wire.exchange()
        self.wire.client.reset_stream(2, ErrorCodes.CANCEL)
        self.wire.exchange()
        self.assertIsInstance(self.successResultOf(pushed.whenClosed()), StreamReset)


class EndingTests(ConnectionTestCase):
    """How a connection ends, and what its streams hear of it."""

    def test_close(self) -> None:
        """Closing says GOAWAY with code and words, ends the streams, and closes the transport."""
        self.opened()
        gone = self.responder.whenClosed()
        self.wire.server.close(ErrorCodes.ENHANCE_YOUR_CALM, b"enough")
        self.wire.drain()
        (event,) = self.wire.seen(h2.events.ConnectionTerminated)
        self.assertEqual(
            (ErrorCodes.ENHANCE_YOUR_CALM, b"enough"), (event.error_code, event.additional_data)
        )
        self.assertIsInstance(self.successResultOf(gone), ConnectionTerminated)
        self.assertTrue(self.wire.transport.disconnecting)
        self.assertIsNone(self.wire.transport.producer)
        self.wire.server.close()
        self.assertEqual([], self.wire.transport.writes)

    def test_abort(self) -> None:
        """Aborting cuts the transport, and says nothing."""
        self.wire.exchange()
        self.wire.server.abort()
        self.assertTrue(self.wire.transport.isAborted)
        self.assertEqual([], self.wire.transport.writes)

    def test_endpointCloses(self) -> None:
        """An endpoint may end the very connection that its request came on."""

        def close(request: ServerRequest, responder: Responder) -> None:
            self.wire.server.close()

        self.site.add("/close", close)
        self.wire.send(path=b"/close")
        self.wire.server.dataReceived(self.wire.client.data_to_send())
        self.assertTrue(self.wire.transport.disconnecting)
        self.wire.server.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(["connected", "disconnected"], self.wire.owner.calls)

    def test_connectionLost(self) -> None:
        """The loss of the transport ends every stream: producers and endpoints are let go."""
        cancelled: list[object] = []
        self.endpoint.result = Deferred(cancelled.append)
        self.opened(b"POST", body=b"abc", end=False)
        reading = self.request.body.read()
        gone = self.responder.whenClosed()
        self.wire.server.stopProducing()
        self.wire.server.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(reading, ConnectionTerminated)
        self.assertIsInstance(self.successResultOf(gone), ConnectionTerminated)
        self.assertEqual(1, len(cancelled))
        self.assertEqual(["connected", "disconnected"], self.wire.owner.calls)
        self.responder.respond(200, [], b"into the void")

    def test_goAwayFromClient(self) -> None:
        """A client that says GOAWAY gets what it has asked for, and then the end."""
        streamId = self.opened()
        self.wire.server.dataReceived(GoAwayFrame(0).serialize())
        self.assertFalse(self.wire.transport.disconnecting)
        self.assertFalse(self.responder.push(b"/a"))
        self.responder.respond(200, [], b"abc")
        self.wire.drain()
        self.assertEqual(b"abc", self.wire.answers[streamId].body)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_goAwayFromIdleClient(self) -> None:
        """Nothing is open: the end comes at once."""
        self.wire.exchange()
        self.wire.server.dataReceived(GoAwayFrame(0).serialize())
        self.assertTrue(self.wire.transport.disconnecting)

    def test_garbage(self) -> None:
        """A client that speaks HTTP/1.1 is shown the door at once."""
        wire = Wire(self.site)
        wire.server.dataReceived(b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
        wire.drain()
        (event,) = wire.seen(h2.events.ConnectionTerminated)
        self.assertEqual(ErrorCodes.PROTOCOL_ERROR, event.error_code)
        self.assertTrue(wire.transport.disconnecting)

    def test_frameTooLarge(self) -> None:
        """The header of a frame that is too large is answered without waiting for the rest."""
        self.wire.exchange()
        self.wire.server.dataReceived(b"\xff\xff\xff" + bytes(6))
        self.wire.drain()
        (event,) = self.wire.seen(h2.events.ConnectionTerminated)
        self.assertEqual(ErrorCodes.FRAME_SIZE_ERROR, event.error_code)

    def test_goodFramesBeforeABadOne(self) -> None:
        """A request that comes in one read with a bad frame has reached its endpoint."""
        self.wire.exchange()
        self.wire.send()
        bad = SettingsFrame(0).serialize()[:5] + (1).to_bytes(4, "big")
        self.wire.server.dataReceived(self.wire.client.data_to_send() + bad)
        self.assertEqual(1, len(self.endpoint.requests))
        self.assertTrue(self.wire.transport.disconnecting)

    def test_nothingAfterTheEnd(self) -> None:
        """What comes in after the server has left is not looked at."""
        self.wire.exchange()
        self.wire.server.close()
        self.wire.drain()
        self.wire.server.dataReceived(PingFrame(0, b"12345678").serialize())
        self.assertEqual([], self.wire.transport.writes)

    def test_openHeaderBlock(self) -> None:
        """A frame in the middle of a header block is the connection's end."""
        self.wire.exchange()
        self.wire.server.dataReceived(
            HeadersFrame(1, b"").serialize() + PingFrame(0, b"12345678").serialize()
        )
        self.assertTrue(self.wire.transport.disconnecting)


@implementer(INegotiated)
class SecureTransport(Transport):
    """Stands for TLS."""

    negotiatedProtocol: bytes | None = None


class NegotiationTests(SynchronousTestCase):
    """Over TLS, nothing is said before the handshake."""

    def setUp(self) -> None:
        self.transport = SecureTransport()
        self.server = HTTP2ServerProtocol(Site(), Owner())
        self.server.makeConnection(self.transport)

    def test_silentBeforeHandshake(self) -> None:
        """SETTINGS wait for the handshake's end."""
        self.assertEqual([], self.transport.writes)
        self.transport.negotiatedProtocol = b"h2"
        self.server.handshakeCompleted()
        self.assertEqual(1, len(self.transport.writes))

    def test_otherProtocol(self) -> None:
        """Anything but h2 agreed on, or nothing: the connection is closed without a word."""
        for agreed in (None, b"http/1.1"):
            self.transport.negotiatedProtocol = agreed
            self.server.handshakeCompleted()
            self.assertEqual(([], True), (self.transport.writes, self.transport.disconnecting))

    def test_closeBeforeHandshake(self) -> None:
        """Closing in the middle of a handshake says nothing of HTTP/2."""
        self.server.close()
        self.assertEqual(([], True), (self.transport.writes, self.transport.disconnecting))
