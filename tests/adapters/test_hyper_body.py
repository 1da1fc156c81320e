"""Tests for :mod:`txhyper.adapters.hyper_body`: pieces that are pushed, seen by their consumer."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from tests.protocol.scene import Producer
from txhyper.adapters.hyper_body import PushedBody
from txhyper.protocol.bodies import BytesBody


class Consumer:
    """Keeps what is written, and has its body pause at each write if it is told to."""

    def __init__(self, body: PushedBody) -> None:
        self.body = body
        self.octets = b""
        self.isFull = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.octets += data
        if self.isFull:
            self.body.pauseProducing()


class PushedBodyTests(SynchronousTestCase):
    """The producer alone."""

    def setUp(self) -> None:
        """Make one, and whoever consumes it."""
        self.body = PushedBody(1000)
        self.consumer: Any = Consumer(self.body)

    def push(self, octets: bytes) -> Deferred[None]:
        """Push bytes."""
        return self.body.push(BytesBody(octets), len(octets))

    def test_interface(self) -> None:
        """It is a body of unknown length."""
        verifyObject(IBodyProducer, self.body)

    def test_pause(self) -> None:
        """Nothing is written in a pause, and nobody is told that more is wanted."""
        finished = self.body.startProducing(self.consumer)
        self.consumer.isFull = True
        pushed = [self.push(b"one"), self.push(b"two")]
        self.assertEqual(b"one", self.consumer.octets)
        self.assertNoResult(pushed[0])
        self.body.resumeProducing()
        self.assertEqual(b"onetwo", self.consumer.octets)
        self.successResultOf(pushed[0])
        self.assertNoResult(pushed[1])
        self.body.end()
        self.assertNoResult(finished)
        self.body.resumeProducing()
        self.successResultOf(finished)
        self.successResultOf(pushed[1])

    def test_endInPause(self) -> None:
        """The end takes no room: it is told in a pause as well."""
        finished = self.body.startProducing(self.consumer)
        self.body.pauseProducing()
        self.body.end()
        self.successResultOf(finished)

    def test_pieceIsPaused(self) -> None:
        """A piece that writes by itself is told of pauses, and of their end."""
        self.body.startProducing(self.consumer)
        piece: Any = Producer()
        self.body.push(piece, 0)
        self.body.pauseProducing()
        self.body.resumeProducing()
        self.assertEqual(["start", "pause", "resume"], piece.calls)
        later = self.push(b"later")
        self.assertNoResult(later)
        piece.finished.callback(None)
        self.assertEqual(b"later", self.consumer.octets)

    def test_pieceIsStopped(self) -> None:
        """The piece at hand is stopped with the body, and what it says then is ignored."""
        self.body.startProducing(self.consumer)
        piece: Any = Producer()
        pushed = self.body.push(piece, 0)
        self.body.stopProducing()
        self.assertEqual(["start", "stop"], piece.calls)
        self.successResultOf(pushed)
        piece.finished.errback(Failure(ZeroDivisionError()))

    def test_pieceFails(self) -> None:
        """A piece that fails fails the body; those behind it are let go."""
        finished = self.body.startProducing(self.consumer)
        piece: Any = Producer()
        pushed = [self.body.push(piece, 0), self.push(b"later")]
        piece.finished.errback(Failure(ZeroDivisionError()))
        self.failureResultOf(finished, ZeroDivisionError)
        for each in pushed:
            self.successResultOf(each)
        self.assertEqual(b"", self.consumer.octets)

    def test_pieceRaises(self) -> None:
        """Likewise one that raises as it begins, or is no producer after all."""

        def fall(producer: object) -> None:
            raise ZeroDivisionError

        finished = self.body.startProducing(self.consumer)
        piece: Any = Producer(onStart=fall)
        self.body.push(piece, 0)
        self.failureResultOf(finished, ZeroDivisionError)
        self.assertEqual(["start"], piece.calls)

    def test_cancelled(self) -> None:
        """Cancelling the body's Deferred stops it."""
        finished = self.body.startProducing(self.consumer)
        finished.cancel()
        self.failureResultOf(finished)
        self.successResultOf(self.push(b"unwanted"))
        self.assertEqual(b"", self.consumer.octets)

    def test_pauseWithoutPiece(self) -> None:
        """Pauses between pieces are kept as well."""
        self.body.startProducing(self.consumer)
        self.body.pauseProducing()
        self.push(b"one")
        self.assertEqual(b"", self.consumer.octets)
        self.body.resumeProducing()
        self.assertEqual(b"one", self.consumer.octets)
