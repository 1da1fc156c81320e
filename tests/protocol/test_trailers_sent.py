"""Tests for the trailers of a request over HTTP/2, from :mod:`txhyper.protocol.exchange` down."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import RequestGenerationFailed
from twisted.web.http_headers import Headers

from tests.protocol.scene import (
    CANCEL,
    INITIAL_WINDOW_SIZE,
    MAX_HEADER_LIST_SIZE,
    Producer,
    UploadTestCase,
)
from txhyper.core import frames
from txhyper.errors import InvalidRequest
from txhyper.protocol.request import Request

TRAILERS = Headers({b"X-Sum": [b"1", b"2"]})


class CheckedTests(SynchronousTestCase):
    """What is refused before anything is sent."""

    def test_refused(self) -> None:
        """Fields that frame a message, or are not valid, are no trailers; the text says which."""
        for name in (b"content-length", b"Host", b"TE", b"transfer-encoding", b"connection"):
            with self.assertRaises(InvalidRequest) as caught:
                Request(
                    b"POST", b"https://a.test/", None, b"a", trailers=Headers({name: [b"trailers"]})
                )
            self.assertIn(name.lower().decode(), str(caught.exception))


class TrailerTests(UploadTestCase):
    """What is sent, and when."""

    def trailed(self, body: Any, trailers: Any = TRAILERS) -> Deferred[Any]:
        """Send a request with trailers; the peer has seen its head, which ends nothing."""
        deferred = self.client.request(
            Request(b"POST", b"https://a.test/", None, body, trailers=trailers)
        )
        self.assertFalse(self.peer.expectHeaders().endStream)
        return deferred

    def assertTrailed(self, octets: bytes) -> None:
        """The body, none of whose frames ends the stream, and behind it the trailers, which do."""
        self.peer.read()
        sent = b""
        while self.peer.frames[0].kind == frames.DATA:
            frame = self.peer.frames.popleft()
            self.assertEqual((0, True), (frame.flags, bool(frame.payload)))
            sent += frame.payload
        self.assertEqual(octets, sent)
        section = self.peer.expectHeaders(1)
        self.assertEqual(
            ([(b"x-sum", b"1"), (b"x-sum", b"2")], True), (section.fields, section.endStream)
        )
        self.peer.expectNothing()

    def test_withABody(self) -> None:
        """They stand behind the last octet, and end the stream."""
        self.trailed(b"abc")
        self.assertTrailed(b"abc")

    def test_withoutABody(self) -> None:
        """They need no body, and no empty DATA."""
        for body in (None, b""):
            self.meet()
            self.greet()
            self.trailed(body)
            self.assertTrailed(b"")

    def test_withAClosedWindow(self) -> None:
        """They wait for the octets before them, but need no window of their own."""
        self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
        self.trailed(b"abc")
        self.assertEqual([], self.data())
        self.peer.sendWindowUpdate(1, 3)
        self.assertTrailed(b"abc")
        self.meet()
        self.greet({INITIAL_WINDOW_SIZE: 0})
        self.trailed(None)
        self.assertTrailed(b"")

    def test_made(self) -> None:
        """They may be made once the last octet has been produced, and are made once."""
        made: list[int] = []
        producer = Producer()

        def make() -> Headers:
            made.append(1)
            return TRAILERS

        self.trailed(producer, make)
        producer.write(b"abc")
        self.assertEqual([], made)
        producer.finish()
        self.assertTrailed(b"abc")
        self.assertEqual([1], made)

    def test_noneAfterAll(self) -> None:
        """If there are none after all, the body ends as any other."""
        self.trailed(b"abc", Headers)
        self.assertEqual((b"abc", True), self.body())
        self.peer.expectNothing()

    def test_fail(self) -> None:
        """What raises, is not valid or too large for the peer fails its request alone."""
        self.peer.sendSettings({MAX_HEADER_LIST_SIZE: 500})
        for trailers, expected in [
            (lambda: 1 // 0, RequestGenerationFailed),
            (lambda: None, RequestGenerationFailed),
            (lambda: Headers({b"te": [b"trailers"]}), InvalidRequest),
            (Headers({b"x": [b"y" * 500]}), InvalidRequest),
        ]:
            for body in (b"abc", None):
                deferred = self.trailed(body, trailers)
                self.assertEqual(CANCEL, self.peer.expectReset())
                self.failureResultOf(deferred, expected)
        self.assertTrue(self.client.isUsable())
        self.assertEqual(0, self.client.openCount)

    def test_notAfterARefusal(self) -> None:
        """A server that has refused the request gets none."""
        producer = Producer()
        deferred = self.trailed(producer)
        self.peer.sendHeaders(1, [(b":status", b"413")], endStream=True)
        self.assertEqual(413, self.successResultOf(deferred).code)
        self.assertEqual(0, self.peer.expectReset(1))
        self.peer.expectNothing()

    def test_traced(self) -> None:
        """Whoever looks at the frames sees them, secrets by their length alone."""
        lines: list[str] = []
        self.meet(onFrame=lines.append)
        self.greet()
        self.trailed(b"abc", Headers({b"x-sum": [b"1"], b"authorization": [b"secret"]}))
        self.peer.read()
        (line,) = [line for line in lines if "x-sum" in line]
        self.assertIn("stream=1 'x-sum': '1' 'authorization': <6 octets>", line)

    def test_secrets(self) -> None:
        """Secrets among them are never indexed (RFC 7541 section 7.1.3)."""
        self.client.request(
            Request(
                b"POST",
                b"https://a.test/",
                None,
                None,
                trailers=Headers({b"authorization": [b"me"]}),
            )
        )
        self.peer.expectHeaders()
        block = self.peer.expect(frames.HEADERS).payload
        fields = list(self.peer.decoder.decode(block, raw=True))
        self.assertEqual([(b"authorization", b"me")], [tuple(field) for field in fields])
        self.assertFalse(getattr(fields[0], "indexable", True))


class WrongTests(SynchronousTestCase):
    """What cannot be a trailer section."""

    def test_neither(self) -> None:
        """What is neither Headers nor makes them is found before anything is sent."""
        for trailers in ([(b"x", b"y")], {b"x": b"y"}, b"x: y", 1):
            with self.assertRaises(InvalidRequest) as caught:
                Request(b"PUT", b"https://a.test/", trailers=trailers)  # type: ignore[arg-type]
            self.assertIn("trailers are Headers", str(caught.exception))
