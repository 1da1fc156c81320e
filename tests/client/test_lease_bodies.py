"""Tests for :mod:`txhyper.client.lease`: requests with bodies that are sent again."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers
from zope.interface import implementer

from tests.client.scene import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    OK11,
    REFUSED_STREAM,
    Connection,
    PoolTestCase,
    Producer,
)
from txhyper.core import frames
from txhyper.core.retries import FIRST_PAUSE
from txhyper.errors import ConnectionTerminated, StreamRefused
from txhyper.interfaces import IReplayableBody

EXPECT = Headers({b"expect": [b"100-continue"]})
FAILED = [(b":status", b"417")]


@implementer(IReplayableBody)
class Replayed(Producer):
    """A replayable body of the user's own: it writes ``abc``, and may refuse to be rewound."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(3)
        self._error = error

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write all of it."""
        self.calls.append("start")
        consumer.write(b"abc")
        return succeed(None)

    def rewind(self) -> None:
        """Begin anew, or not."""
        self.calls.append("rewind")
        if self._error is not None:
            raise self._error


def sent(connection: Connection) -> tuple[int, dict[bytes, bytes], bytes, bool]:
    """The next request: its stream, its fields, its body so far, and whether it has ended."""
    head = connection.peer.expectHeaders()
    data = [frame for frame in connection.peer.drain() if frame.kind == frames.DATA]
    assert all(frame.streamId == head.streamId for frame in data)
    ended = [bool(frame.flags & frames.END_STREAM) for frame in data]
    return head.streamId, dict(head.fields), b"".join(f.payload for f in data), any(ended)


class ReplayTests(PoolTestCase):
    """Bodies that can be produced again."""

    def test_refused(self) -> None:
        """The same octets are sent again, once, whatever the method."""
        file = io.BytesIO(b"--abc")
        file.seek(2)
        for number, body in enumerate((b"abc", file, Replayed())):
            deferred = self.send(b"POST", b"/", body, None, f"https://{number}.test")
            connection = self.dials[-1].h2()
            self.assertEqual((1, b"abc"), sent(connection)[::2])
            connection.peer.sendReset(1, REFUSED_STREAM)
            streamId, _, octets, ended = sent(connection)
            self.assertEqual((3, b"abc", True), (streamId, octets, ended))
            connection.answer(streamId, b"done")
            self.assertEqual(b"done", self.bodyOf(deferred))
            self.assertNoRequest(connection)
        self.assertEqual(["start", "rewind", "start"], body.calls)  # type: ignore[union-attr]

    def test_goneAway(self) -> None:
        """Likewise on another connection, if the first goes away."""
        deferred = self.send(b"POST", body=b"abc")
        one = self.only().h2()
        sent(one)
        one.peer.sendGoAway(0)
        two = self.dials[1].h2()
        self.assertEqual(b"abc", sent(two)[2])
        two.answer(1)
        self.bodyOf(deferred)

    def test_http11(self) -> None:
        """And over HTTP/1.1, if that is what the server wants."""
        deferred = self.send(b"POST", body=b"abc")
        one = self.only().h2()
        sent(one)
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        two = self.dials[1].tcp().tls(b"http/1.1")
        self.assertTrue(b"".join(two.transport.writes).endswith(b"\r\n\r\nabc"))
        two.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))

    def test_onceOnly(self) -> None:
        """A body that can be gone through once fails its request, as begun as it is."""
        deferred = self.send(b"POST", body=iter([b"abc"]))
        connection = self.only().h2()
        sent(connection)
        connection.peer.sendReset(1, REFUSED_STREAM)
        self.reasonOf(deferred, StreamRefused)
        self.assertNoRequest(connection)

    def test_lost(self) -> None:
        """Where the server may have done something, not even a body that could be sent again is."""
        self.warm()
        deferred = self.send(b"PUT", body=b"abc")
        self.only().lose()
        self.reasonOf(deferred, ConnectionTerminated)

    def test_rewindRaises(self) -> None:
        """What rewind() raises is what the user gets, with the reason for it as its cause."""
        deferred = self.send(b"POST", body=Replayed(OSError("worn out")))
        connection = self.only().h2()
        sent(connection)
        connection.peer.sendReset(1, REFUSED_STREAM)
        error = self.failureResultOf(deferred, OSError).value
        self.assertIsInstance(error.__cause__, StreamRefused)
        self.assertNoRequest(connection)

    def test_whileItWaits(self) -> None:
        """A body that is held back has not begun: any may be sent again, and waits again."""
        body = Producer(3)
        deferred = self.send(b"POST", body=body, headers=EXPECT)
        connection = self.only().h2()
        sent(connection)
        connection.peer.sendReset(1, REFUSED_STREAM)
        self.assertEqual(b"100-continue", sent(connection)[1][b"expect"])
        self.assertEqual([], body.calls)
        connection.peer.sendGoAway(0)
        self.clock.advance(FIRST_PAUSE)
        connection = self.dials[1].h2()
        sent(connection)
        self.assertEqual([], body.calls)
        connection.peer.sendHeaders(1, [(b":status", b"100")])
        self.assertEqual(["start"], body.calls)
        body.write(b"abc")
        body.finish()
        connection.peer.read()
        connection.answer(1)
        self.bodyOf(deferred)

    def test_rewindCancels(self) -> None:
        """A body that has its request cancelled when it is rewound: nothing more is sent of it."""

        class Cancelling(Replayed):
            def rewind(self) -> None:
                deferreds[0].cancel()

        deferreds = [self.send(b"POST", body=Cancelling())]
        connection = self.only().h2()
        connection.peer.sendReset(sent(connection)[0], REFUSED_STREAM)
        self.reasonOf(deferreds[0], CancelledError)
        self.assertNoRequest(connection)


class MisdirectedTests(PoolTestCase):
    """421: a server that is not the one to ask (RFC 9110 section 15.5.20)."""

    def test_elsewhere(self) -> None:
        """It is asked once more, on a fresh connection; the old one takes nothing any more."""
        old = self.warm()
        neighbour = self.send(path=b"/n")
        neighbourId = old.peer.expectHeaders().streamId
        deferred = self.send(b"POST", path=b"/p", body=Replayed())
        stream, _, body, _ = sent(old)
        self.assertEqual(b"abc", body)
        old.peer.sendHeaders(stream, [(b":status", b"421")])
        new = self.dials[1].h2()
        stream, fields, body, ended = sent(new)
        self.assertEqual((b"/p", b"abc", True), (fields[b":path"], body, ended))
        new.answer(stream, b"here")
        self.assertEqual(b"here", self.bodyOf(deferred))
        self.assertFalse(old.transport.isClosing)
        old.answer(neighbourId, b"fine")
        self.assertEqual(b"fine", self.bodyOf(neighbour))
        self.assertTrue(old.transport.isClosing)

    def test_once(self) -> None:
        """The second time it is the answer."""
        deferred = self.send()
        for number in range(2):
            connection = self.dials[number].h2()
            stream = connection.peer.expectHeaders().streamId
            connection.answer(stream, b"go away", [(b":status", b"421")])
        self.assertEqual(421, self.successResultOf(deferred).code)
        self.assertEqual(2, len(self.dials))

    def test_begun(self) -> None:
        """A body that cannot be produced again makes the first answer the last."""
        deferred = self.send(b"POST", body=Producer(3))
        connection = self.only().h2()
        connection.answer(connection.peer.expectHeaders().streamId, b"", [(b":status", b"421")])
        self.assertEqual(421, self.successResultOf(deferred).code)


class ExpectationFailedTests(PoolTestCase):
    """A 417 is about the expectation, not about the request (RFC 9110 section 10.1.1)."""

    def test_repeated(self) -> None:
        """The request is repeated without it; the user sees the second answer only."""
        body = Producer(3)
        deferred = self.send(b"POST", body=body, headers=EXPECT)
        connection = self.only().h2()
        sent(connection)
        connection.peer.sendHeaders(1, FAILED)
        self.assertEqual(["start"], body.calls)
        self.assertEqual(CANCEL, connection.peer.expectReset(1))
        streamId, fields, _, _ = sent(connection)
        self.assertNotIn(b"expect", fields)
        body.write(b"abc")
        body.finish()
        connection.peer.read()
        connection.answer(streamId, b"done")
        self.assertEqual(b"done", self.bodyOf(deferred))

    def test_whole(self) -> None:
        """Also if the first answer came with all of its body, which nobody reads."""
        deferred = self.send(b"POST", body=b"abc", headers=EXPECT)
        connection = self.only().h2()
        connection.answer(sent(connection)[0], b"what?", FAILED)
        streamId, _, octets, _ = sent(connection)
        self.assertEqual(b"abc", octets)
        connection.answer(streamId, b"done")
        self.assertEqual(b"done", self.bodyOf(deferred))

    def test_http11(self) -> None:
        """Over HTTP/1.1 this takes another connection, since the first one owes the body."""
        deferred = self.send(b"POST", body=b"abc", headers=EXPECT, origin="http://a.test")
        self.dials[0].tcp(tls=False).peer.send(b"HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno")
        self.network.settle()
        writes = self.dials[1].tcp(tls=False).transport.writes
        self.assertNotIn(b"expect", b"".join(writes).lower())
        self.assertTrue(b"".join(writes).endswith(b"\r\n\r\nabc"))
        self.dials[1].peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))

    def test_once(self) -> None:
        """A second 417 is the user's; so is one to a request that expected nothing."""
        deferred = self.send(b"POST", body=b"abc", headers=EXPECT)
        connection = self.only().h2()
        for _ in range(2):
            self.assertNoResult(deferred)
            connection.answer(sent(connection)[0], b"no", FAILED)
        self.assertEqual(417, self.successResultOf(deferred).code)

    def test_begun(self) -> None:
        """One that comes after the body was begun, and cannot be again, is the user's as well."""
        deferred = self.send(b"POST", body=Producer(3), headers=EXPECT)
        connection = self.only().h2()
        sent(connection)
        connection.peer.sendHeaders(1, [(b":status", b"100")])
        connection.answer(1, b"no", FAILED)
        self.assertEqual(417, self.successResultOf(deferred).code)
        self.assertNoRequest(connection)

    def test_rewound(self) -> None:
        """If it can be begun again, it is; what rewind() raises is what the user gets."""
        for error in (None, OSError("worn out")):
            body = Replayed(error)
            origin = "https://b.test" if error else "https://a.test"
            deferred = self.send(b"POST", b"/", body, EXPECT, origin)
            connection = self.dials[-1].h2()
            sent(connection)
            connection.peer.sendHeaders(1, [(b":status", b"100")])
            connection.answer(1, b"no", FAILED)
            if error is None:
                streamId, _, octets, _ = sent(connection)
                self.assertEqual(b"abc", octets)
                connection.answer(streamId)
                self.bodyOf(deferred)
            else:
                self.assertIs(error, self.failureResultOf(deferred, OSError).value)

    def test_notAutomatically(self) -> None:
        """With retryAutomatically off nothing is repeated, nor is the expectation lost."""
        self.pool.retryAutomatically = False
        deferred = self.send(b"POST", body=b"abc", headers=EXPECT)
        connection = self.only().h2()
        connection.answer(sent(connection)[0], b"no", FAILED)
        self.assertEqual(417, self.successResultOf(deferred).code)

    def test_cancelledAfterwards(self) -> None:
        """Cancelling gives up the repetition."""
        deferred = self.send(b"POST", body=b"abc", headers=EXPECT)
        connection = self.only().h2()
        connection.answer(sent(connection)[0], b"no", FAILED)
        streamId = sent(connection)[0]
        deferred.cancel()
        self.assertEqual(CANCEL, connection.peer.expectReset(streamId))
        self.failureResultOf(deferred, ResponseNeverReceived)
