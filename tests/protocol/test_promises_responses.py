"""
What a client of HTTP/2 is trusted for: responses of every form, and servers that stall or flood.

Each test is a line of ``docs/promises.rst``, on one connection with a scripted server.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.http_headers import Headers

from tests.protocol.scene import (
    CANCEL,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    OK,
    PROTOCOL_ERROR,
    ConnectionTestCase,
    Producer,
    Reader,
    Tracked,
    WholeBody,
)
from txhyper.core import frames
from txhyper.errors import MalformedResponse, ProtocolViolation, TotalTimedOut
from txhyper.protocol.timeouts import Timeouts

CONTINUE = [(b":status", b"100")]
TRAILERS = [(b"x-trailer", b"behind")]


class PatternTests(ConnectionTestCase):
    """A response is informational heads, a head, content, trailers, and may lack most of them."""

    def setUp(self) -> None:
        super().setUp()
        self.greet()

    def check(self, informational: int, body: list[bytes], trailers: bool, expects: bool) -> None:
        """Send such a response, and see that all of it arrives, and nothing else."""
        told: list[int] = []
        request = Tracked(
            b"POST" if expects else b"GET",
            b"https://a.test/",
            Headers({b"expect": [b"100-continue"]}) if expects else None,
            WholeBody(b"asked") if expects else None,
            onInformational=lambda status, headers: told.append(status),
        )
        deferred = self.client.request(request)
        streamId = self.peer.expectHeaders().streamId
        for _ in range(informational):
            self.peer.sendHeaders(streamId, CONTINUE)
        if expects and informational:
            self.assertEqual(b"asked", self.peer.expectData(streamId).payload)
        self.peer.sendHeaders(streamId, OK, endStream=not (body or trailers))
        for piece in body:
            isLast = piece is body[-1] and not trailers
            self.peer.sendData(streamId, piece, endStream=isLast)
        if trailers:
            self.peer.sendHeaders(streamId, TRAILERS, endStream=True)
        response = self.successResultOf(deferred)
        reader = Reader()
        response.deliverBody(reader)
        self.assertEqual((b"".join(body), True), (reader.body, reader.isDone))
        fields = self.successResultOf(response.whenTrailers())
        expected = [(b"X-Trailer", [b"behind"])] if trailers else []
        self.assertEqual(expected, list(fields.getAllRawHeaders()))
        self.assertEqual([100] * informational, told)

    def test_everyPattern(self) -> None:
        """No, one or two informational heads, each kind of body, with and without trailers."""
        bodies: list[list[bytes]] = [[], [b""], [b"one"], [b"one", b"two"], [b"one", b""]]
        for informational, body, trailers, expects in product(
            (0, 1, 2), bodies, (False, True), (False, True)
        ):
            self.check(informational, body, trailers, expects)

    def test_whatHasNoContent(self) -> None:
        """HEAD, 204 and 304 may tell a length, and have no body; a 300 has one as any other."""
        for method, status, length, body in (
            (b"HEAD", b"200", b"5", b""),
            (b"GET", b"204", None, b""),
            (b"GET", b"304", b"5", b""),
            (b"GET", b"300", b"5", b"these"),
        ):
            deferred = self.request(method)
            streamId = self.peer.expectHeaders().streamId
            fields = [(b":status", status), *([(b"content-length", length)] if length else [])]
            self.peer.sendHeaders(streamId, fields, endStream=not body)
            if body:
                self.peer.sendData(streamId, body, endStream=True)
            reader = Reader()
            self.successResultOf(deferred).deliverBody(reader)
            self.assertEqual((body, True), (reader.body, reader.isDone))

    def test_contentBeforeTheHead(self) -> None:
        """DATA where a head is due: after nothing, and after an informational head."""
        for informational in (0, 2):
            deferred = self.request()
            streamId = self.peer.expectHeaders().streamId
            for _ in range(informational):
                self.peer.sendHeaders(streamId, CONTINUE)
            self.peer.sendData(streamId, b"early", endStream=True)
            error = self.neverReceived(deferred)
            self.assertIsInstance(error, MalformedResponse)
            self.assertIn(f"stream {streamId}", str(error))
        self.assertTrue(self.client.isUsable())

    def test_twoEnds(self) -> None:
        """A second END_STREAM spoils nothing of a response that was complete."""
        deferred = self.request(b"POST", body=Producer())
        streamId = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(streamId, OK)
        self.peer.sendData(streamId, b"whole", endStream=True)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.peer.sendData(streamId, b"", endStream=True)
        self.assertEqual((b"whole", True), (reader.body, reader.isDone))

    def test_noBodyMeansNoDATA(self) -> None:
        """A request without a body is one HEADERS with END_STREAM."""
        for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"):
            self.request(method).addErrback(lambda _: None)
            self.assertTrue(self.peer.expectHeaders().endStream)
            self.peer.expectNothing()


class StalledTests(ConnectionTestCase):
    """Servers that keep a connection busy, and never finish."""

    def limited(self, body: Any = None, **limits: float) -> Deferred[Any]:
        """Send a request with time limits."""
        method = b"GET" if body is None else b"POST"
        timeouts = Timeouts(**limits)
        return self.client.request(
            Tracked(method, b"https://a.test/", None, body, timeouts=timeouts)
        )

    def test_uploadWithoutAWindow(self) -> None:
        """A server that grants no window does not hold a request for ever, nor the connection."""
        self.greet({INITIAL_WINDOW_SIZE: 0})
        deferred = self.limited(WholeBody(b"x" * 1000), total=5)
        streamId = self.peer.expectHeaders().streamId
        self.clock.advance(5)
        self.assertIsInstance(self.neverReceived(deferred), TotalTimedOut)
        self.assertEqual(CANCEL, self.peer.expectReset(streamId))
        neighbour = self.request()
        self.peer.sendHeaders(self.peer.expectHeaders().streamId, OK, endStream=True)
        self.successResultOf(neighbour)

    def test_framesWithoutProgress(self) -> None:
        """Empty DATA, PINGs, SETTINGS and frames that nobody knows put off no time limit."""
        self.greet()
        deferred = self.limited(total=10)
        streamId = self.peer.expectHeaders().streamId
        self.peer.sendHeaders(streamId, OK)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        for _ in range(100):
            self.assertEqual([], reader.reasons)
            for _ in range(10):
                self.peer.sendData(streamId, b"")
                self.peer.sendPing(bytes(8))
                self.peer.sendSettings({})
                self.peer.send(frames.pack(0xBB, 0, streamId, b"?"))
                self.peer.sendWindowUpdate(streamId, 1)
            self.clock.advance(0.1)
        self.clock.advance(0.1)
        self.assertIsInstance(reader.error, TotalTimedOut)

    def test_settingsThatMakeNoSense(self) -> None:
        """A frame size of 0 hangs nobody: everybody is told, and which value it was."""
        deferreds = [self.request() for _ in range(3)]
        self.peer.sendSettings({MAX_FRAME_SIZE: 0})
        for deferred in deferreds:
            error = self.neverReceived(deferred)
            self.assertIsInstance(error, ProtocolViolation)
            self.assertIn("MAX_FRAME_SIZE=0", str(error))
        self.assertEqual(PROTOCOL_ERROR, self.peer.expectGoAway()[1])
        self.assertTrue(self.peer.transport.isClosing)


class ManyCancelledTests(ConnectionTestCase):
    """A client that changes its mind often is no attacker, and does not take itself for one."""

    def test_aThousand(self) -> None:
        """Each is one RST_STREAM, and what the server still sends for them disturbs nobody."""
        self.greet()
        streams = []
        for _ in range(1000):
            deferred = self.request()
            streams.append(self.peer.expectHeaders().streamId)
            deferred.cancel()
            self.assertIsInstance(self.neverReceived(deferred), CancelledError)
            self.assertEqual(CANCEL, self.peer.expectReset(streams[-1]))
        for streamId in streams:
            self.peer.sendHeaders(streamId, OK)
            self.peer.sendData(streamId, b"late", endStream=True)
        kinds = {frame.kind for frame in self.peer.drain()}
        self.assertLessEqual(kinds, {frames.WINDOW_UPDATE})
        self.assertEqual(0, self.client.openCount)
        deferred = self.request()
        self.peer.sendHeaders(self.peer.expectHeaders().streamId, OK, endStream=True)
        self.successResultOf(deferred)
