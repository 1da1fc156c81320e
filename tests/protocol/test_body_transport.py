"""Tests for :mod:`txhyper.protocol.response`: the transport of a body, and readers that raise."""

from __future__ import annotations

from typing import Any

from twisted.protocols.basic import LineReceiver

from tests.protocol.scene import CANCEL, OK, ConnectionTestCase, Reader
from txhyper.core import frames


class TransportTests(ConnectionTestCase):
    """What a reader may ask of its transport."""

    def read(self, **hooks: Any) -> Reader:
        """A reader of a response on stream 1."""
        response, reader = self.opened(), Reader(**hooks)
        response.deliverBody(reader)
        self.peer.drain()
        return reader

    def transport(self, reader: Reader) -> Any:
        """What the reader was given."""
        return reader.transport

    def test_pauseAndResume(self) -> None:
        """Paused, nothing is delivered and no credit given; resumed, both are made up for."""
        reader = self.read()
        transport = self.transport(reader)
        transport.pauseProducing()
        for _ in range(10):
            self.peer.sendData(1, b"x" * 16384)
        self.assertEqual([], reader.chunks)
        self.assertNotIn(1, [frame.streamId for frame in self.peer.drain()])
        transport.resumeProducing()
        self.assertEqual(10 * 16384, len(reader.body))
        # One WINDOW_UPDATE for all of it.
        self.assertEqual(10 * 16384, self.peer.expectWindowUpdate(1))
        self.peer.expectNothing()
        self.peer.sendData(1, b"y", endStream=True)
        self.assertTrue(reader.isDone)

    def test_pausedAtTheEnd(self) -> None:
        """The end waits for the reader as the octets do."""
        reader = self.read()
        transport = self.transport(reader)
        transport.pauseProducing()
        self.peer.sendData(1, b"x", endStream=True)
        self.peer.loseConnection()
        self.assertEqual(([], []), (reader.chunks, reader.reasons))
        transport.resumeProducing()
        self.assertEqual(([b"x"], True), (reader.chunks, reader.isDone))

    def test_pausedWithNothingToCome(self) -> None:
        """Even if nothing but the end is left."""
        reader = self.read()
        self.peer.sendData(1, b"x")
        self.transport(reader).pauseProducing()
        self.peer.sendData(1, b"", endStream=True)
        self.assertEqual([], reader.reasons)
        self.transport(reader).resumeProducing()
        self.assertTrue(reader.isDone)

    def test_twice(self) -> None:
        """Pausing or resuming twice is the same as once."""
        reader = self.read()
        for _ in range(2):
            self.transport(reader).pauseProducing()
        self.peer.sendData(1, b"x")
        for _ in range(2):
            self.transport(reader).resumeProducing()
        self.peer.sendData(1, b"y", endStream=True)
        self.assertEqual(([b"x", b"y"], True), (reader.chunks, reader.isDone))

    def test_pausedAgainInBetween(self) -> None:
        """A reader that takes one piece at a time gets one at a time."""
        reader = self.read(onData=lambda reader: reader.transport.pauseProducing())
        for piece in (b"a", b"b", b"c"):
            self.peer.sendData(1, piece)
        self.assertEqual([b"a"], reader.chunks)
        self.transport(reader).resumeProducing()
        self.assertEqual([b"a", b"b"], reader.chunks)
        self.transport(reader).resumeProducing()
        self.peer.sendData(1, b"d", endStream=True)
        self.transport(reader).resumeProducing()
        self.assertEqual([], reader.reasons)
        self.transport(reader).resumeProducing()
        self.assertEqual((b"abcd", True), (reader.body, reader.isDone))

    def test_siblingsGoOn(self) -> None:
        """A paused reader holds back its own stream and no other, window after window."""
        self.transport(self.read()).pauseProducing()
        eager = Reader()
        self.opened().deliverBody(eager)
        for _ in range(16):
            self.peer.sendData(1, b"x" * 16384)
        for _ in range(200):
            self.peer.sendData(3, b"x" * 16384)
        self.peer.sendData(3, b"", endStream=True)
        self.assertEqual((200 * 16384, True), (len(eager.body), eager.isDone))

    def test_givingUp(self) -> None:
        """
        Each way to give up resets the stream alone; the end is told in a later turn, once,
        however often and however it is asked for.
        """
        for name in ("stopProducing", "loseConnection", "abortConnection"):
            self.meet()
            reader = self.read()
            transport = self.transport(reader)
            self.peer.sendData(1, b"x")
            self.assertFalse(transport.disconnecting)
            getattr(transport, name)()
            self.assertTrue(transport.disconnecting)
            self.assertEqual([], reader.reasons)
            for again in ("stopProducing", "loseConnection", "pauseProducing", "resumeProducing"):
                getattr(transport, again)()
            self.assertEqual([], reader.reasons)
            self.assertEqual(CANCEL, self.peer.expectReset(1))
            self.assertEqual(CANCEL, reader.error.code)
            self.assertIn("stream 1", str(reader.error))
            self.peer.sendData(1, b"late", endStream=True)
            self.peer.expectNothing()
            self.assertEqual([b"x"], reader.chunks)
            self.assertEqual(1, len(reader.reasons))
            self.assertEqual(0, self.client.openCount)
            self.assertTrue(self.client.isUsable())

    def test_afterTheEnd(self) -> None:
        """After the end each of these does nothing."""
        reader = self.read()
        self.peer.sendData(1, b"x", endStream=True)
        transport = self.transport(reader)
        self.assertTrue(transport.disconnecting)
        for name in (
            "pauseProducing",
            "resumeProducing",
            "stopProducing",
            "loseConnection",
            "abortConnection",
        ):
            getattr(transport, name)()
        self.peer.expectNothing()
        self.assertTrue(reader.isDone)
        self.assertClockIsQuiet()

    def test_givingUpWhatIsHeld(self) -> None:
        """What was held for a paused reader that gives up is dropped, complete or not."""
        for end in (False, True):
            self.meet()
            reader = self.read()
            self.transport(reader).pauseProducing()
            self.peer.sendData(1, b"x", endStream=end)
            self.transport(reader).loseConnection()
            resets = [frame.kind for frame in self.peer.drain()]
            self.assertEqual([] if end else [frames.RST_STREAM], resets)
            self.assertEqual([], reader.chunks)
            self.assertEqual(CANCEL, reader.error.code)

    def test_givingUpAfterAFailure(self) -> None:
        """A reader that gives up what has failed already is told of the failure."""
        reader = self.read()
        self.transport(reader).pauseProducing()
        self.peer.sendData(1, b"x")
        self.peer.sendReset(1, 2)
        self.transport(reader).stopProducing()
        self.peer.expectNothing()
        self.assertEqual(2, reader.error.code)

    def test_lineReceiver(self) -> None:
        """A protocol that looks whether its transport is going stops when it asked for that."""
        lines: list[bytes] = []

        class First(LineReceiver):
            """Reads one line."""

            def lineReceived(self, line: bytes) -> None:
                lines.append(line)
                self.transport.loseConnection()  # type: ignore[union-attr]

        self.opened().deliverBody(First())
        self.peer.sendData(1, b"a\r\nb\r\nc\r\n")
        self.peer.read()
        self.assertEqual([b"a"], lines)


class RaisingReaderTests(ConnectionTestCase):
    """A reader that raises loses its stream, and no other."""

    def test_dataReceived(self) -> None:
        """The failure is logged, the stream reset, the sibling served."""
        reader = Reader(onData=lambda reader: 1 // 0)
        self.opened().deliverBody(reader)
        sibling = Reader()
        self.opened().deliverBody(sibling)
        self.peer.drain()
        self.peer.send(
            self.peer.frame(frames.DATA, 0, 1, b"x") + self.peer.frame(frames.DATA, 1, 3, b"y")
        )
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual((b"y", True), (sibling.body, sibling.isDone))
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual(CANCEL, reader.error.code)
        self.assertTrue(self.client.isUsable())

    def test_whileDraining(self) -> None:
        """Also when it is given what was held."""
        response = self.opened()
        self.peer.sendData(1, b"x")
        self.peer.sendData(1, b"y")
        reader = Reader(onData=lambda reader: 1 // 0)
        response.deliverBody(reader)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual([b"x"], reader.chunks)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual(1, len(reader.reasons))

    def test_makeConnection(self) -> None:
        """One that cannot even begin raises to whoever gave it the body, and gives it up."""
        reader = Reader(onMade=lambda reader: 1 // 0)
        response = self.opened()
        self.peer.sendData(1, b"x")
        self.assertRaises(ZeroDivisionError, response.deliverBody, reader)
        self.assertEqual(CANCEL, self.peer.expectReset(1))
        self.assertEqual(([], 1), (reader.chunks, len(reader.reasons)))
        self.assertEqual(0, self.client.openCount)

    def test_connectionLost(self) -> None:
        """Nor does one that raises at its end disturb anybody."""
        reader = Reader(onLost=lambda reader: 1 // 0)
        self.opened().deliverBody(reader)
        sibling = self.request()
        self.peer.send(
            self.peer.frame(frames.DATA, 1, 1, b"x") + self.peer.headers(3, OK, endStream=True)
        )
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.successResultOf(sibling)
        self.assertTrue(reader.isDone)
