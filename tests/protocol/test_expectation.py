"""Tests for :mod:`txhyper.protocol.expectation`: bodies that are held back, over HTTP/2."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.web.client import RequestGenerationFailed
from twisted.web.http_headers import Headers

from tests.protocol.scene import (
    CANCEL,
    OK,
    REFUSED_STREAM,
    Producer,
    UploadTestCase,
    WholeBody,
)
from txhyper.core.bounds import Bounds
from txhyper.core.outbound import HIGH_MARK
from txhyper.errors import ConnectionTerminated, GoneAway, StreamRefused
from txhyper.protocol.expectation import AwaitedBody
from txhyper.protocol.request import Request

CONTINUE = [(b":status", b"100")]


class ExpectationTestCase(UploadTestCase):
    """A request that tells the server to expect its body."""

    def setUp(self) -> None:
        """Send it; the server has seen its head."""
        super().setUp()
        self.expecting(Producer())

    def anew(self, **options: Any) -> None:
        """Another connection; of the first nothing is left."""
        self.deferred.addErrback(lambda reason: None)
        self.peer.loseConnection()
        self.assertClockIsQuiet()
        self.meet(**options)
        self.greet()

    def expecting(self, body: Any) -> None:
        """Send a request."""
        self.producer = body
        headers = Headers({b"expect": [b"100-Continue"]})
        self.sent = Request(b"POST", b"https://a.test/", headers, body)
        self.deferred = self.client.request(self.sent)
        seen = self.peer.expectHeaders()
        self.assertEqual((b"100-Continue", False), (seen[b"expect"], seen.endStream))

    def assertWaits(self) -> None:
        """Nothing of the body has been produced."""
        self.assertEqual([], self.producer.calls)
        self.assertEqual([], self.data())
        self.assertFalse(self.sent.bodyStarted)

    def assertOver(self) -> None:
        """Nothing of the body was produced, nor will be; no timer is left."""
        self.assertWaits()
        self.assertClockIsQuiet()


class WaitTests(ExpectationTestCase):
    """How the wait ends with the body."""

    def test_continue(self) -> None:
        """The server's 100 lets the body go, once, and ends the time."""
        self.assertWaits()
        self.peer.sendHeaders(1, CONTINUE)
        self.peer.sendHeaders(1, CONTINUE)
        self.assertEqual(["start"], self.producer.calls)
        self.assertTrue(self.sent.bodyStarted)
        self.producer.write(b"abc")
        self.producer.finish()
        self.assertEqual((b"abc", True), self.body())
        self.assertClockIsQuiet()
        self.peer.sendHeaders(1, OK, endStream=True)
        self.assertEqual(200, self.successResultOf(self.deferred).code)

    def test_otherInformation(self) -> None:
        """Another informational response says nothing about it."""
        self.peer.sendHeaders(1, [(b":status", b"103")])
        self.assertWaits()

    def test_noAnswer(self) -> None:
        """A server that knows nothing of expectations gets the body when the time is up."""
        self.clock.advance(Bounds().continue_timeout - 0.001)
        self.assertWaits()
        self.clock.advance(0.001)
        self.assertEqual(["start"], self.producer.calls)
        self.peer.sendHeaders(1, CONTINUE)
        self.assertEqual(["start"], self.producer.calls)
        self.assertClockIsQuiet()

    def test_theBound(self) -> None:
        """How long that is, is ``bounds.continue_timeout``."""
        self.anew(bounds=Bounds(continue_timeout=30))
        self.expecting(Producer())
        self.clock.advance(29)
        self.assertWaits()
        self.clock.advance(1)
        self.assertEqual(["start"], self.producer.calls)

    def test_success(self) -> None:
        """A final 2xx without a 100 lets the body go as well."""
        self.peer.sendHeaders(1, OK)
        self.assertEqual(["start"], self.producer.calls)
        self.assertEqual(200, self.successResultOf(self.deferred).code)
        self.peer.read()
        self.assertClockIsQuiet()

    def test_wholeBodies(self) -> None:
        """Bytes are held back too, and their length told at once."""
        self.anew()
        self.client.request(
            Request(b"PUT", b"https://a.test/", Headers({b"expect": [b"100-continue"]}), b"abc")
        )
        self.assertEqual(b"3", self.peer.expectHeaders()[b"content-length"])
        self.assertEqual([], self.data())
        self.peer.sendHeaders(1, CONTINUE)
        self.assertEqual((b"abc", True), self.body())

    def test_nothingToHoldBack(self) -> None:
        """A request without content expects nothing (RFC 9110 section 10.1.1)."""
        for body in (None, b"", WholeBody(b"")):
            self.client.request(
                Request(b"POST", b"https://a.test/", Headers({b"expect": [b"100-continue"]}), body)
            )
            self.assertNotIn(b"expect", dict(self.peer.expectHeaders().fields))
            self.peer.read()
        self.clock.advance(2)
        self.assertEqual(["start"], self.producer.calls)

    def test_otherExpectations(self) -> None:
        """Nobody waits for what is not known here; it is sent as it was given."""
        headers = Headers({b"expect": [b"a miracle"]})
        self.client.request(Request(b"POST", b"https://a.test/", headers, b"abc"))
        self.assertEqual(b"a miracle", self.peer.expectHeaders()[b"expect"])
        self.assertEqual((b"abc", True), self.body())


class EndTests(ExpectationTestCase):
    """How the wait ends without."""

    def test_refused(self) -> None:
        """A final response of 300 or more is delivered; nothing of the body is produced."""
        for status in (b"302", b"413", b"417", b"500"):
            self.anew()
            self.expecting(Producer())
            self.peer.sendHeaders(1, [(b":status", status)], endStream=True)
            self.assertEqual(int(status), self.successResultOf(self.deferred).code)
            self.assertEqual(0, self.peer.expectReset(1))
            self.assertOver()
            self.assertEqual(0, self.client.openCount)

    def test_streamRefused(self) -> None:
        """A stream that is refused has cost nothing of the body."""
        self.peer.sendReset(1, REFUSED_STREAM)
        self.assertIsInstance(self.neverReceived(self.deferred), StreamRefused)
        self.assertOver()
        self.assertTrue(self.sent.canBeSent)

    def test_goneAway(self) -> None:
        """Nor has a server that goes away."""
        self.peer.sendGoAway(0)
        self.assertIsInstance(self.neverReceived(self.deferred), GoneAway)
        self.assertWaits()
        self.assertTrue(self.sent.canBeSent)
        self.peer.loseConnection()
        self.assertClockIsQuiet()

    def test_cancelled(self) -> None:
        """The user may give up meanwhile."""
        self.deferred.cancel()
        self.assertIsInstance(self.neverReceived(self.deferred), CancelledError)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertOver()
        self.peer.sendHeaders(1, CONTINUE)
        self.assertOver()

    def test_lost(self) -> None:
        """And the connection may be lost."""
        self.peer.loseConnection()
        self.assertIsInstance(self.neverReceived(self.deferred), ConnectionTerminated)
        self.assertOver()

    def test_afterTheBodyBegan(self) -> None:
        """Afterwards it is the body that is stopped."""
        self.peer.sendHeaders(1, CONTINUE)
        self.peer.sendHeaders(1, [(b":status", b"413")])
        self.assertEqual(["start", "stop"], self.producer.calls)
        self.assertEqual(413, self.successResultOf(self.deferred).code)


class BodyTests(ExpectationTestCase):
    """The body itself, once it may begin."""

    def failing(self, body: Producer) -> None:
        """A body that fails when it begins fails its request, as it would have at once."""
        self.anew()
        self.expecting(body)
        self.peer.sendHeaders(1, CONTINUE)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.failureResultOf(self.deferred, RequestGenerationFailed)
        self.assertClockIsQuiet()

    def test_fails(self) -> None:
        """A body that raises, returns no Deferred, or fails later is the user's mistake."""
        self.failing(Producer(onStart=lambda producer: 1 // 0))
        broken: Any = Producer()
        broken.finished = None
        self.failing(broken)
        failed = Producer()
        failed.finished.errback(ZeroDivisionError())
        self.failing(failed)

    def test_cancelsWithinItsStart(self) -> None:
        """A body that gives its request up as it begins is stopped, and nobody is told twice."""
        self.anew()
        self.expecting(Producer(onStart=lambda producer: self.deferred.cancel()))
        self.peer.sendHeaders(1, CONTINUE)
        self.assertIsInstance(self.neverReceived(self.deferred), CancelledError)
        self.assertEqual(["start", "stop"], self.producer.calls)
        self.producer.finish()
        self.peer.read()
        self.assertClockIsQuiet()

    def test_pace(self) -> None:
        """It is paused and resumed like any other, and once each."""
        self.anew()
        self.expecting(Producer(onStart=lambda body: body.write(b"x" * (65535 + HIGH_MARK + 1))))
        self.peer.sendHeaders(1, CONTINUE)
        self.assertEqual(["start", "pause"], self.producer.calls)
        self.data()
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, HIGH_MARK)
        self.assertEqual(["start", "pause", "resume"], self.producer.calls)

    def test_pausedDuringTheWait(self) -> None:
        """A pause that came while it waited is told to the body when it begins."""
        body = Producer()
        for resumed, calls in ((False, ["start", "pause"]), (True, ["start"])):
            body = Producer()
            awaited = AwaitedBody(self.clock, Request(b"PUT", b"https://a.test/", None, body), 1)
            finished = awaited.startProducing(Producer())  # type: ignore[arg-type]
            awaited.pauseProducing()
            if resumed:
                awaited.resumeProducing()
            awaited.proceed()
            self.assertEqual(calls, body.calls)
            body.finish()
            self.successResultOf(finished)

    def test_cancelledDeferred(self) -> None:
        """Whoever cancels the Deferred, as Twisted does over HTTP/1.1, ends the wait."""
        body = Producer()
        awaited = AwaitedBody(self.clock, Request(b"PUT", b"https://a.test/", None, body), 1)
        finished = awaited.startProducing(Producer())  # type: ignore[arg-type]
        finished.addErrback(lambda reason: None)
        finished.cancel()
        self.assertIsNone(awaited._timer)
        # A second time there is nothing left to stop.
        awaited.stopProducing()
        self.deferred.cancel()
        self.deferred.addErrback(lambda reason: None)
        self.peer.read()
        self.assertClockIsQuiet()
        self.assertEqual([], body.calls)

    def test_cancelledWhenNobodyWaits(self) -> None:
        """A Deferred that outlives its body does not hold it, and has nothing left to stop."""
        gc.disable()
        self.addCleanup(gc.enable)
        request = Request(b"PUT", b"https://a.test/", None, Producer())
        awaited = AwaitedBody(self.clock, request, 1)
        finished = awaited.startProducing(Producer())  # type: ignore[arg-type]
        awaited.stopProducing()
        reference = weakref.ref(awaited)
        del awaited
        self.assertIsNone(reference())
        finished.cancel()
        self.failureResultOf(finished, CancelledError)
        self.deferred.cancel()
        self.deferred.addErrback(lambda reason: None)
