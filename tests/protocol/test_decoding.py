"""Tests for :mod:`txhyper.protocol.decoding`; what agents make of it is tested in tests/client."""

from __future__ import annotations

import gc
import gzip
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss

from tests.protocol.scene import Reader
from txhyper.core.bounds import Bounds
from txhyper.core.decoders import PIECE, Decoding, chain_for
from txhyper.errors import BodyError, BodyTooLarge, DecodingFailed
from txhyper.protocol.decoding import DecodingReader

DONE = Failure(ResponseDone())


class Transport:
    """The transport of a body: it keeps what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        """Keep it."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Keep it."""
        self.calls.append("resume")

    def loseConnection(self) -> None:
        """Keep it."""
        self.calls.append("lose")


class ForgettingTransport(Transport):
    """One of ours, which may be called from any thread."""

    def abortConnection(self) -> None:
        """Keep it."""
        self.calls.append("abort")

    def forget(self) -> None:
        """Keep it."""
        self.calls.append("forget")


class DecodingTestCase(SynchronousTestCase):
    """One body on its way to its reader."""

    def connect(
        self, reader: Reader, bounds: Bounds | None = None, coding: bytes = b"gzip"
    ) -> DecodingReader:
        """Give a reader its body."""
        limits = bounds or Bounds()
        self.transport = ForgettingTransport()
        response: Any = "the response"
        decoding = DecodingReader(reader, Decoding(chain_for([coding], limits), limits), response)
        decoding.makeConnection(self.transport)  # type: ignore[arg-type]  # what is used of it
        return decoding

    def told(self, reader: Reader, expected: type[Exception]) -> None:
        """A reader was told, once, of an error of ours."""
        self.assertIsInstance(reader.error, expected)


class EndTests(DecodingTestCase):
    """How bodies end."""

    def test_complete(self) -> None:
        """A whole body ends as it did before it was decoded."""
        for reason in (DONE, Failure(PotentialDataLoss())):
            reader = Reader()
            body = self.connect(reader)
            body.dataReceived(gzip.compress(b"hello"))
            body.connectionLost(reason)
            self.assertEqual((b"hello", [reason]), (reader.body, reader.reasons))

    def test_cutOff(self) -> None:
        """A body that is cut off is never a short body, whether or not its length was known."""
        for reason in (DONE, Failure(PotentialDataLoss())):
            reader = Reader()
            body = self.connect(reader)
            body.dataReceived(gzip.compress(b"hello")[:-1])
            body.connectionLost(reason)
            self.told(reader, DecodingFailed)

    def test_failed(self) -> None:
        """Why a body failed is told as it is, whatever its coding says."""
        reader, reason = Reader(), Failure(ResponseFailed([Failure(ConnectionDone())]))
        body = self.connect(reader)
        body.dataReceived(gzip.compress(b"hello")[:-1])
        body.connectionLost(reason)
        self.assertEqual([reason], reader.reasons)

    def test_unknown(self) -> None:
        """A coding that is not known fails with the first octet; without one there is no coding."""
        reader = Reader()
        body = self.connect(reader, coding=b"compress")
        body.dataReceived(b"x")
        self.told(reader, DecodingFailed)
        self.assertEqual(["abort"], self.transport.calls)
        reader = Reader()
        self.connect(reader, coding=b"compress").connectionLost(DONE)
        self.assertTrue(reader.isDone)

    def test_aReaderThatRaisesAtItsEnd(self) -> None:
        """The stream is given up although the reader of a corrupt body raises when it is told."""
        reader = Reader(onLost=lambda reader: 1 // 0)
        body = self.connect(reader)
        self.assertRaises(ZeroDivisionError, body.dataReceived, b"nonsense")
        self.assertEqual(["abort"], self.transport.calls)

    def test_noCycle(self) -> None:
        """After the end nothing keeps reader and decoder alive, which may hold megabytes."""
        gc.disable()
        self.addCleanup(gc.enable)
        reader = Reader()
        body = self.connect(reader)
        references = [weakref.ref(reader), weakref.ref(body)]
        body.dataReceived(gzip.compress(b"hello"))
        body.connectionLost(DONE)
        del reader, body
        self.assertEqual([None, None], [reference() for reference in references])


class MessageTests(DecodingTestCase):
    """Whose body it was that could not be decoded."""

    def told(self, response: Any) -> str:
        """What the reader of a broken body is told."""
        reader = Reader()
        limits = Bounds()
        decoding = DecodingReader(reader, Decoding(chain_for([b"gzip"], limits), limits), response)
        decoding.makeConnection(ForgettingTransport())  # type: ignore[arg-type]  # as above
        decoding.dataReceived(b"this is no gzip")
        return str(reader.error)

    def test_place(self) -> None:
        """The origin and the stream are named; what may be secret in the URI is not."""
        request = SimpleNamespace(absoluteURI=b"https://user:s3cret@a.test:99/path?token=s3cret")
        response = SimpleNamespace(request=request, streamId=7)
        self.assertRegex(self.told(response), r"^https://a\.test:99: stream 7: the gzip coding ")
        response.streamId = None
        self.assertRegex(self.told(response), r"^https://a\.test:99: the gzip coding ")

    def test_nobodyKnows(self) -> None:
        """Somebody else's response may not know what it answers."""
        self.assertRegex(self.told(SimpleNamespace(request=None)), "^the gzip coding ")


class PaceTests(DecodingTestCase):
    """Readers that pause and resume."""

    def test_pauseInTheMiddle(self) -> None:
        """One piece at a time comes out; the server is asked for more once all are taken."""
        reader = Reader(onData=lambda reader: reader.transport.pauseProducing())
        body = self.connect(reader)
        body.dataReceived(gzip.compress(bytes(2 * PIECE + 1)))
        self.assertEqual([PIECE], [len(chunk) for chunk in reader.chunks])
        for _ in range(2):
            body.resumeProducing()
        self.assertEqual(2 * PIECE + 1, len(reader.body))
        self.assertEqual(["pause"] * 3, self.transport.calls)
        body.resumeProducing()
        self.assertEqual("resume", self.transport.calls[-1])
        body.resumeProducing()
        self.assertEqual(1, self.transport.calls.count("resume"))

    def test_resumesFromInside(self) -> None:
        """A reader that resumes within a call is brought what is held before more is asked for."""
        asked: list[int] = []

        def pauseAndResume(reader: Any) -> None:
            reader.transport.pauseProducing()
            reader.transport.resumeProducing()
            asked.append(self.transport.calls.count("resume"))

        reader = Reader(onData=pauseAndResume)
        body = self.connect(reader)
        body.dataReceived(gzip.compress(bytes(3 * PIECE)))
        self.assertEqual([0, 0, 0], asked)
        self.assertEqual("resume", self.transport.calls[-1])

    def test_theEndWaits(self) -> None:
        """A reader that pauses is told of the end when it has had everything."""
        reader = Reader(onData=lambda reader: reader.transport.pauseProducing())
        body = self.connect(reader)
        body.dataReceived(gzip.compress(b"hello"))
        body.connectionLost(DONE)
        self.assertEqual([], reader.reasons)
        body.resumeProducing()
        self.assertTrue(reader.isDone)

    def test_tooLarge(self) -> None:
        """A bound that is passed gives the stream up, and nothing more is delivered."""
        reader = Reader()
        body = self.connect(reader, Bounds(decoded_body_size=100_000))
        body.dataReceived(gzip.compress(bytes(200_000)))
        body.dataReceived(b"more")
        body.pauseProducing()
        self.told(reader, BodyTooLarge)
        self.assertEqual((PIECE, ["abort"]), (len(reader.body), self.transport.calls))


class GivingUpTests(DecodingTestCase):
    """Readers that have enough."""

    def stopping(self, how: str) -> Callable[[Any], object]:
        """A hook that gives the body up by one of the transport's methods."""
        return lambda reader: getattr(reader.transport, how)()

    def test_nothingMore(self) -> None:
        """
        Who gives up is brought nothing more, although HTTP/1.1 goes on to the end of what it has
        read, and a pause after that changes nothing.
        """
        octets = gzip.compress(bytes(3 * PIECE))
        for how in ("stopProducing", "loseConnection", "abortConnection"):
            reader = Reader(onData=self.stopping(how))
            body = self.connect(reader)
            self.assertFalse(body.disconnecting)
            body.dataReceived(octets[:-5])
            self.assertTrue(body.disconnecting)
            body.pauseProducing()
            body.dataReceived(octets[-5:])
            self.assertEqual((PIECE, []), (len(reader.body), reader.reasons))
            body.connectionLost(DONE)
            self.told(reader, BodyError)
            self.assertEqual("abort", self.transport.calls[0])
            self.assertNotIn("pause", self.transport.calls)

    def test_afterTheEndHasCome(self) -> None:
        """Who gives up what waits behind a pause is told at once, since nobody else will tell."""
        reader = Reader(onData=lambda reader: reader.transport.pauseProducing())
        body = self.connect(reader)
        body.dataReceived(gzip.compress(bytes(2 * PIECE)))
        body.connectionLost(DONE)
        body.stopProducing()
        self.told(reader, BodyError)
        body.stopProducing()
        self.assertEqual(1, len(reader.reasons))

    def test_raises(self) -> None:
        """A reader that raises, also when it resumes, gets nothing more but its end."""
        reader: Any = Reader(onMade=lambda reader: reader.transport.pauseProducing())
        body = self.connect(reader)
        body.dataReceived(gzip.compress(bytes(2 * PIECE)))
        reader.onData = lambda reader: 1 // 0
        self.assertRaises(ZeroDivisionError, body.resumeProducing)
        self.assertEqual(["pause", "abort"], self.transport.calls)
        body.dataReceived(b"more")
        self.assertEqual(PIECE, len(reader.body))
        body.connectionLost(DONE)
        self.told(reader, BodyError)

    def test_raisesAfterTheEndHasCome(self) -> None:
        """So does one whose body has ended while it paused."""
        reader: Any = Reader(onMade=lambda reader: reader.transport.pauseProducing())
        body = self.connect(reader)
        body.dataReceived(gzip.compress(bytes(2 * PIECE)))
        body.connectionLost(DONE)
        reader.onData = lambda reader: 1 // 0
        self.assertRaises(ZeroDivisionError, body.resumeProducing)
        self.told(reader, BodyError)

    def test_foreign(self) -> None:
        """The transport of somebody else's body may know only the gentle way."""
        body = self.connect(Reader(onData=self.stopping("abortConnection")))
        foreign = Transport()
        body.transport = foreign  # type: ignore[assignment]  # as above
        body.dataReceived(gzip.compress(b"hello"))
        self.assertEqual(["lose"], foreign.calls)

    def test_forgotten(self) -> None:
        """
        What is garbage is given up from any thread; where the response is somebody else's, there
        is nobody to tell.
        """
        body = self.connect(Reader())
        body.forget()
        self.assertEqual(["forget"], self.transport.calls)
        foreign = Transport()
        body.transport = foreign  # type: ignore[assignment]  # as above
        body.forget()
        self.assertEqual([], foreign.calls)
