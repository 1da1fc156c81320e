"""Tests for :mod:`txhyper.protocol.exchange`: what nobody reads, and what is kept alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from tests.protocol.scene import CANCEL, OK, ConnectionTestCase, Producer, Reader
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.request import Request
from txhyper.testing.peer import ScriptedPeer


class UnreadTests(ConnectionTestCase):
    """A response that nobody reads."""

    def setUp(self) -> None:
        """No collection: what is freed here has to be free of cycles."""
        super().setUp()
        gc.disable()
        self.addCleanup(gc.enable)

    def test_atMostAWindow(self) -> None:
        """No more than a stream's window is held: no credit is given before a reader takes it."""
        response = self.opened()
        for _ in range(16):
            self.peer.sendData(1, b"x" * 16384)
        self.assertNotIn(1, [frame.streamId for frame in self.peer.drain()])
        self.peer.sendData(1, b"x")
        self.assertEqual(3, self.peer.expectReset(1))
        reader = Reader()
        response.deliverBody(reader)
        self.assertEqual(16 * 16384, len(reader.body))

    def test_thrownAway(self) -> None:
        """A response that is thrown away gives up its stream, by way of the reactor's thread."""
        response = self.opened()
        reference = weakref.ref(response.request)
        self.peer.sendData(1, b"x" * 1000)
        self.peer.drain()
        del response
        self.assertEqual(1, self.clock.fromThreads)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual(0, self.client.openCount)
        self.assertIsNone(reference())
        self.peer.sendData(1, b"late")
        self.peer.expectNothing()

    def test_nobodyWaitsForIt(self) -> None:
        """So does one whose Deferred was thrown away before it came."""
        deferred = self.request()
        self.greet()
        del deferred
        self.peer.sendHeaders(1, OK)
        self.assertEqual(CANCEL, self.peer.expectReset(1))

    def test_thrownAwayAfterItsEnd(self) -> None:
        """One that was complete takes up nothing, and nothing is said about it."""
        response = self.opened()
        self.peer.sendData(1, b"x", endStream=True)
        del response
        self.peer.expectNothing()
        self.assertEqual(0, self.clock.fromThreads)

    def test_thrownAwayAfterTheConnection(self) -> None:
        """Nor is anything said once the connection is gone."""
        response = self.opened()
        self.peer.loseConnection()
        del response
        self.assertEqual(0, self.clock.fromThreads)

    def test_aClockWithoutThreads(self) -> None:
        """In a test with a plain clock the stream is given up in the next turn."""
        clock = Clock()
        peer = ScriptedPeer(clock)
        client = peer.connect(HTTP2ClientProtocol(clock))
        deferred = client.request(Request(b"GET", b"https://a.test/"))
        peer.greet()
        peer.sendHeaders(1, OK)
        del deferred
        self.assertEqual(CANCEL, peer.expectReset(1))


class MemoryTests(ConnectionTestCase):
    """Nothing keeps alive what is over."""

    def setUp(self) -> None:
        """No collection: what is freed here has to be free of cycles."""
        super().setUp()
        gc.disable()
        self.addCleanup(gc.enable)

    def assertFreed(self, *references: weakref.ref[Any]) -> None:
        """All of them are gone, without a collection."""
        self.assertEqual([None] * len(references), [reference() for reference in references])

    def referTo(self, deferred: Any) -> list[weakref.ref[Any]]:
        """Weak references to the Deferred, and to the request that exchange and response hold."""
        owner = self.client._engine.streams[-1].owner
        return [weakref.ref(deferred), weakref.ref(owner.request)]

    def test_afterABodyWasRead(self) -> None:
        """Request, reader and response go when the user lets go."""
        self.greet()
        deferred = self.request()
        references = self.referTo(deferred)
        self.peer.sendHeaders(1, OK)
        response, reader = self.successResultOf(deferred), Reader()
        references.append(weakref.ref(reader))
        response.deliverBody(reader)
        self.peer.sendData(1, b"hello", endStream=True)
        self.assertTrue(reader.isDone)
        del response, deferred, reader
        self.assertFreed(*references)

    def test_afterABodyWasGivenUp(self) -> None:
        """And when a reader has had enough."""
        self.greet()
        deferred = self.request()
        references = self.referTo(deferred)
        self.peer.sendHeaders(1, OK)
        reader = Reader(onData=lambda reader: reader.transport.loseConnection())
        references.append(weakref.ref(reader))
        self.successResultOf(deferred).deliverBody(reader)
        self.peer.sendData(1, b"hello")
        self.peer.expectReset(1)
        self.assertEqual(1, len(reader.reasons))
        del deferred, reader
        self.assertFreed(*references)

    def test_afterAFailure(self) -> None:
        """And when the request has failed or was cancelled, with its body."""
        self.greet()
        for cancelled in (False, True):
            deferred = self.request()
            references = self.referTo(deferred)
            self.peer.read()
            if cancelled:
                deferred.cancel()
            else:
                self.peer.sendReset(1, 2)
            deferred.addErrback(lambda reason: None)
            del deferred
            self.peer.read()
            self.assertFreed(*references)

    def test_afterAnUploadWasCutOff(self) -> None:
        """And when the producer of its body was stopped, and keeps whatever it was given."""
        self.greet()
        for fields in ({}, {"Expect": ["100-continue"]}):
            body = Producer()
            deferred = self.request(b"PUT", b"/", Headers(fields), body)
            references = [*self.referTo(deferred), weakref.ref(body)]
            self.peer.read()
            self.peer.sendReset(self.client._engine.streams[-1].id, 2)
            deferred.addErrback(lambda reason: None)
            del deferred, body
            self.peer.read()
            self.assertFreed(*references)
