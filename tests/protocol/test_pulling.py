"""Tests for :mod:`txhyper.protocol.pulling`: pull producers that register with the upload."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.protocols.basic import FileSender
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import RequestGenerationFailed, ResponseNeverReceived
from zope.interface import implementer

from tests.protocol.scene import CANCEL, Producer, UploadTestCase
from txhyper.core.outbound import HIGH_MARK, LOW_MARK
from txhyper.protocol.pulling import PulledProducer


@implementer(IPullProducer)
class Puller:
    """A pull producer that counts how often it is asked, and does what it is told to then."""

    def __init__(self, onAsked: Callable[[], object] = lambda: None) -> None:
        self.asked = 0
        self._onAsked = onAsked

    def resumeProducing(self) -> None:
        """One more."""
        self.asked += 1
        self._onAsked()

    def stopProducing(self) -> None:
        """Never called: it is the body that is stopped."""
        raise AssertionError("stopProducing")


class TurnTests(SynchronousTestCase):
    """One pull producer, and the turns in which it is asked."""

    def setUp(self) -> None:
        """It has been told to go on."""
        self.calls: list[Callable[[], object]] = []
        self.puller = Puller()
        self.pulled = PulledProducer(self.puller, lambda call: call(), self.calls.append)
        self.pulled.resumeProducing()

    def turn(self) -> None:
        """One turn of the reactor."""
        due, self.calls[:] = list(self.calls), []
        for call in due:
            call()

    def test_onceATurn(self) -> None:
        """One that has nothing to write is asked once a turn, and holds up nobody."""
        for number in range(4):
            self.assertEqual(number, self.puller.asked)
            self.turn()

    def test_pausedAndResumedInOneTurn(self) -> None:
        """Whatever happens within a turn, it is asked once in it; while it is paused, not."""
        for _ in range(3):
            self.pulled.pauseProducing()
            self.pulled.resumeProducing()
        self.turn()
        self.assertEqual(1, self.puller.asked)
        self.pulled.pauseProducing()
        self.turn()
        self.assertEqual((1, []), (self.puller.asked, self.calls))

    def test_pausedWithinItsTurn(self) -> None:
        """One that writes enough is not asked again."""
        self.puller._onAsked = self.pulled.pauseProducing
        self.turn()
        self.assertEqual((1, []), (self.puller.asked, self.calls))


class PullTests(UploadTestCase):
    """An upload whose body registers a pull producer."""

    def pulled(self, puller: Any, before: bytes = b"") -> tuple[Producer, Deferred[Any]]:
        """Its body has written something before."""

        def register(producer: Producer) -> None:
            producer.write(before)
            producer.consumer.registerProducer(puller, False)

        body = Producer(onStart=register)
        return body, self.upload(body)

    def test_fileSender(self) -> None:
        """Twisted's own sender of files sends one whole, however small the windows."""
        octets = bytes(range(256)) * 1000
        sender = FileSender()

        def begin(producer: Producer) -> None:
            sending = sender.beginFileTransfer(io.BytesIO(octets), producer.consumer)
            sending.addCallback(lambda _: producer.finish())

        self.upload(Producer(len(octets), begin))
        sent, ended = b"", False
        for _ in range(100):
            piece, end = self.body()
            sent, ended = sent + piece, ended or end
            if piece:
                self.peer.sendWindowUpdate(0, len(piece))
                self.peer.sendWindowUpdate(1, len(piece))
        self.assertEqual((len(octets), octets, True), (len(sent), sent, ended))
        self.assertClockIsQuiet()

    def test_paused(self) -> None:
        """It is not asked above the high mark, and asked again below the low one."""
        puller = Puller(lambda: body.write(b"x" * 2 * HIGH_MARK))
        body, _ = self.pulled(puller)
        self.data()
        self.assertEqual((1, ["start"]), (puller.asked, body.calls))
        waiting = 2 * HIGH_MARK - 65535
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, waiting - LOW_MARK - 1)
        self.data()
        self.assertEqual(1, puller.asked)
        self.peer.sendWindowUpdate(1, 1)
        self.data()
        self.assertEqual(2, puller.asked)

    def test_enoughBefore(self) -> None:
        """One that is registered while enough waits to be sent is not asked for more."""
        puller = Puller(lambda: body.write(b"x" * 2 * HIGH_MARK))
        body, _ = self.pulled(puller, b"x" * (65535 + HIGH_MARK + 1))
        self.data()
        self.assertEqual(0, puller.asked)
        self.peer.sendWindowUpdate(0, 2**20)
        self.peer.sendWindowUpdate(1, HIGH_MARK)
        self.data()
        self.assertEqual(1, puller.asked)

    def test_unregistered(self) -> None:
        """One that has unregistered is left alone; the body goes on by itself."""
        puller = Puller(lambda: body.consumer.unregisterProducer())
        body, _ = self.pulled(puller)
        self.data()
        self.assertEqual(1, puller.asked)
        body.consumer.unregisterProducer()
        body.write(b"x" * (HIGH_MARK + 1))
        self.assertEqual(["start", "pause"], body.calls)
        self.peer.read()
        self.assertClockIsQuiet()

    def test_raises(self) -> None:
        """What it raises fails its request, and it is not asked again."""
        puller = Puller(lambda: 1 // 0)
        _, deferred = self.pulled(puller)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        error = self.failureResultOf(deferred, RequestGenerationFailed).value
        error.reasons[0].trap(ZeroDivisionError)
        self.assertEqual(1, puller.asked)
        self.assertClockIsQuiet()

    def test_neverUnregistered(self) -> None:
        """Nor is one asked for ever whose body has ended, in whichever way."""
        for end in ("finish", "fail", "cancel", "refuse", "lose"):
            self.meet()
            self.greet()
            puller = Puller()
            body, deferred = self.pulled(puller)
            deferred.addErrback(lambda reason: None)
            if end == "finish":
                body.finish()
            elif end == "fail":
                body.finished.errback(ZeroDivisionError())
            elif end == "cancel":
                deferred.cancel()
            elif end == "refuse":
                self.peer.sendHeaders(1, [(b":status", b"413")])
            else:
                self.peer.loseConnection()
            self.peer.read()
            self.assertEqual(0, puller.asked, end)
            self.assertClockIsQuiet()

    def test_registeredTooLate(self) -> None:
        """One that is registered when nobody wants the body any more is not asked at all."""
        body = Producer()
        deferred = self.upload(body)
        deferred.cancel()
        self.failureResultOf(deferred, ResponseNeverReceived)
        puller = Puller()
        body.consumer.registerProducer(puller, False)
        self.peer.read()
        self.assertEqual(0, puller.asked)
        self.assertClockIsQuiet()
