"""Tests for :mod:`txhyper.protocol.response`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.web.client import readBody
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface.verify import verifyObject

from tests.protocol.scene import CANCEL, OK, ConnectionTestCase, Reader
from txhyper.interfaces import IHyperResponse


class HeadTests(ConnectionTestCase):
    """What a response says of itself."""

    def test_interface(self) -> None:
        """It is what Twisted's users expect, and a little more."""
        response = self.opened()
        verifyObject(IHyperResponse, response)
        verifyObject(IResponse, response)
        self.assertEqual(((b"HTTP", 2, 0), 1), (response.version, response.streamId))

    def test_statusAndPhrase(self) -> None:
        """HTTP/2 sends no phrase: the usual one stands in, or none."""
        for status, phrase in [(b"200", b"OK"), (b"404", b"Not Found"), (b"599", b"")]:
            response = self.opened([(b":status", status)])
            self.assertEqual((int(status), phrase), (response.code, response.phrase))

    def test_headers(self) -> None:
        """The fields as they came, without the pseudo-header field, made once."""
        response = self.opened([*OK, (b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
        self.assertEqual(
            [(b"A", [b"1", b"3"]), (b"B", [b"2"])], sorted(response.headers.getAllRawHeaders())
        )
        self.assertIs(response.headers, response.headers)

    def test_length(self) -> None:
        """The length is content-length's, or unknown."""
        self.assertEqual(UNKNOWN_LENGTH, self.opened().length)
        self.assertEqual(5, self.opened([*OK, (b"content-length", b"5")]).length)

    def test_noContent(self) -> None:
        """A response that has no content says so, whatever its content-length speaks of."""
        self.greet()
        deferred = self.request(b"HEAD")
        self.peer.sendHeaders(1, [*OK, (b"content-length", b"5")], endStream=True)
        self.assertEqual(0, self.successResultOf(deferred).length)

    def test_theRequestAndItsPredecessor(self) -> None:
        """It leads back to its request, and to the response that was redirected."""
        first, second = self.opened(), self.opened()
        self.assertEqual(
            (b"GET", b"https://a.test/"), (first.request.method, first.request.absoluteURI)
        )
        self.assertIsNone(second.previousResponse)
        second.setPreviousResponse(first)
        self.assertIs(first, second.previousResponse)


class DeliveryTests(ConnectionTestCase):
    """The body gets its reader, now or later."""

    def test_now(self) -> None:
        """Each frame is delivered as it comes."""
        response, reader = self.opened(), Reader()
        response.deliverBody(reader)
        self.peer.sendData(1, b"a")
        self.peer.sendData(1, b"b")
        self.assertEqual([b"a", b"b"], reader.chunks)
        self.assertEqual([], reader.reasons)
        self.peer.sendData(1, b"c", endStream=True)
        self.assertEqual((b"abc", True), (reader.body, reader.isDone))

    def test_later(self) -> None:
        """Nothing that came before is lost, in the middle or after the end."""
        for end in (False, True):
            self.meet()
            response, reader = self.opened(), Reader()
            self.peer.sendData(1, b"a")
            self.peer.sendData(1, b"b", endStream=end)
            response.deliverBody(reader)
            self.assertEqual(b"ab", reader.body)
            self.assertEqual(end, reader.isDone)

    def test_noBody(self) -> None:
        """A response that ends with its head has an empty body, and no empty piece of one."""
        self.greet()
        deferred = self.request()
        self.peer.sendHeaders(1, OK, endStream=True)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertEqual(([], True), (reader.chunks, reader.isDone))

    def test_emptyFrames(self) -> None:
        """Frames without content are no pieces of the body."""
        response, reader = self.opened(), Reader()
        response.deliverBody(reader)
        self.peer.sendData(1, b"")
        self.peer.sendData(1, b"", padding=7)
        self.peer.sendData(1, b"a", padding=7)
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual(([b"a"], True), (reader.chunks, reader.isDone))

    def test_emptyFramesWhilePaused(self) -> None:
        """Nor do they gather while nobody reads, however many there are."""
        reader = Reader(onMade=lambda reader: reader.transport.pauseProducing())
        response = self.opened()
        response.deliverBody(reader)
        for _ in range(100):
            self.peer.sendData(1, b"")
        self.peer.sendData(1, b"", padding=7)
        inbound = self.client._engine.streams[0].owner._inbound
        self.assertEqual([(b"", 8)], list(inbound._frames))
        reader.transport.resumeProducing()  # type: ignore[union-attr]
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual(([], True), (reader.chunks, reader.isDone))

    def test_twice(self) -> None:
        """A body is given away once."""
        response = self.opened()
        response.deliverBody(Reader())
        self.assertRaises(RuntimeError, response.deliverBody, Reader())

    def test_readBody(self) -> None:
        """Twisted's own ``readBody`` reads it; cancelling that gives up the stream alone."""
        deferred = readBody(self.opened())
        self.peer.sendData(1, b"hello", endStream=True)
        self.assertEqual(b"hello", self.successResultOf(deferred))
        cancelled: Any = readBody(self.opened())
        self.peer.drain()
        cancelled.cancel()
        self.assertEqual(CANCEL, self.peer.expectReset(3))
        self.failureResultOf(cancelled, CancelledError)
        self.assertTrue(self.client.isUsable())
