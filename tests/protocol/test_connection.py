"""Tests for :mod:`txhyper.protocol.connection`: the beginning, reading, and what is said of it."""

from __future__ import annotations

from twisted.internet.interfaces import ITCPTransport
from twisted.web.http_headers import Headers
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from tests.protocol.scene import (
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    OK,
    ConnectionTestCase,
    Reader,
)
from txhyper.core import frames
from txhyper.core.windows import BaseFlowControlManager
from txhyper.errors import (
    InvalidRequest,
)
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.request import Request
from txhyper.testing.peer import PREFACE, MemoryTransport


class TCPTransport(MemoryTransport):
    """A transport that has TCP's switches."""

    noDelay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Remember it."""
        self.noDelay = enabled


class GreetingTests(ConnectionTestCase):
    """The first octets."""

    def test_interface(self) -> None:
        """It is what the pool expects of a connection."""
        verifyObject(IHTTPConnection, self.client)
        self.assertTrue(self.client.multiplexed)

    def test_oneWriteForPrefaceAndRequest(self) -> None:
        """The preface, SETTINGS and the first requests leave together: no round trip is lost."""
        self.assertEqual([], self.peer.transport.writes)
        self.request()
        self.request(path=b"/2")
        self.clock.advance(0)
        (octets,) = self.peer.transport.writes
        self.assertTrue(octets.startswith(PREFACE))
        self.assertEqual(
            [frames.SETTINGS, frames.WINDOW_UPDATE, frames.HEADERS, frames.HEADERS],
            [kind for kind, *_ in frames.cut(octets[len(PREFACE) :])],
        )

    def test_withoutARequest(self) -> None:
        """The greeting is sent even if nobody asks for anything."""
        self.clock.advance(0)
        (octets,) = self.peer.transport.writes
        self.assertTrue(octets.startswith(PREFACE))
        self.assertClockIsQuiet()

    def test_pushIsDisabled(self) -> None:
        """Nobody wants pushes, and the first SETTINGS say so."""
        settings = self.peer.expect(frames.SETTINGS).payload
        self.assertIn(b"\0\2\0\0\0\0", settings)

    def test_noDelay(self) -> None:
        """Small frames do not wait for one another in the kernel."""
        transport = TCPTransport()
        alsoProvides(transport, ITCPTransport)
        HTTP2ClientProtocol(self.clock).makeConnection(transport)
        self.assertTrue(transport.noDelay)

    def test_requestsBeforeTheTransport(self) -> None:
        """What is asked for before there is a transport leaves with the greeting."""
        client = HTTP2ClientProtocol(self.clock)
        client.request(Request(b"GET", b"https://a.test/"))
        self.clock.advance(0)
        transport = MemoryTransport()
        client.makeConnection(transport)
        self.clock.advance(0)
        (octets,) = transport.writes
        self.assertIn(frames.HEADERS, [kind for kind, *_ in frames.cut(octets[len(PREFACE) :])])

    def test_aPseudoHeaderForEachPart(self) -> None:
        """The request's parts arrive as they were given."""
        self.request(b"GET", b"/p?q", Headers({b"Accept": [b"*/*"]}))
        request = self.peer.expectHeaders()
        self.assertEqual(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a.test"),
                (b":path", b"/p?q"),
                (b"accept", b"*/*"),
            ],
            request.fields,
        )
        self.assertTrue(request.endStream)


class WriteCountTests(ConnectionTestCase):
    """How often the transport is written to."""

    def setUp(self) -> None:
        super().setUp()
        self.greet()
        self.mark()

    def test_manyRequestsInOneTurn(self) -> None:
        """All requests of one turn of the reactor leave in one write."""
        for _ in range(50):
            self.request()
        self.assertEqual([], self.writes)
        self.clock.advance(0)
        (octets,) = self.writes
        self.assertEqual(50, len(frames.cut(octets)))

    def test_oneWritePerRead(self) -> None:
        """All answers to one read leave in one write, at once and not a turn later."""
        ping = self.peer.frame(frames.PING, 0, 0, b"12345678")
        self.peer.send(ping * 10)
        (octets,) = self.writes
        self.assertEqual(10, len(frames.cut(octets)))

    def test_nothingToSay(self) -> None:
        """A read that asks for nothing costs no write."""
        response = self.request()
        self.clock.advance(0)
        self.mark()
        self.peer.sendHeaders(1, OK)
        self.peer.sendData(1, b"hello", endStream=True)
        self.successResultOf(response)
        self.clock.advance(0)
        self.assertEqual([], self.writes)
        self.assertClockIsQuiet()

    def test_noTimerForARead(self) -> None:
        """What a read gives rise to leaves with it: nothing is left for another turn."""
        self.opened().deliverBody(Reader())
        self.clock.advance(0)
        self.peer.sendData(1, b"x" * 16384)
        self.assertClockIsQuiet()

    def test_requestsFromWithinARead(self) -> None:
        """A request that is made in a callback leaves with the answers to that read."""
        first = self.request()
        self.clock.advance(0)
        self.mark()
        first.addCallback(lambda response: self.request())
        self.peer.send(
            self.peer.headers(1, OK, endStream=True)
            + self.peer.frame(frames.PING, 0, 0, b"12345678")
        )
        (octets,) = self.writes
        self.assertEqual([frames.HEADERS, frames.PING], [kind for kind, *_ in frames.cut(octets)])


class ReadingTests(ConnectionTestCase):
    """Responses, as they come."""

    def test_octetByOctet(self) -> None:
        """However the octets are cut, the response is the same."""
        deferred = self.request()
        self.peer.read()
        octets = (
            self.peer.frame(frames.SETTINGS, 0, 0)
            + self.peer.headers(1, [*OK, (b"x", b"y")])
            + self.peer.frame(frames.DATA, frames.END_STREAM, 1, b"hello")
        )
        for position in range(len(octets)):
            self.peer.send(octets[position : position + 1])
        response, reader = self.successResultOf(deferred), Reader()
        response.deliverBody(reader)
        self.assertEqual((b"hello", True), (reader.body, reader.isDone))

    def test_informationalAndTrailers(self) -> None:
        """What nobody has asked for is read over."""
        deferred = self.request()
        self.greet()
        self.peer.sendHeaders(1, [(b":status", b"103"), (b"link", b"</x>")])
        self.assertNoResult(deferred)
        self.peer.sendHeaders(1, OK)
        self.peer.sendData(1, b"hello")
        self.peer.sendHeaders(1, [(b"checksum", b"1")], endStream=True)
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertEqual((b"hello", True), (reader.body, reader.isDone))

    def test_manyStreams(self) -> None:
        """Each response finds its own request, in whatever order they come."""
        deferreds = [self.request() for _ in range(3)]
        self.greet()
        for streamId in (5, 1, 3):
            self.peer.sendHeaders(streamId, [*OK, (b"id", b"%d" % streamId)], endStream=True)
        ids = [
            self.successResultOf(deferred).headers.getRawHeaders(b"id") for deferred in deferreds
        ]
        self.assertEqual([[b"1"], [b"3"], [b"5"]], ids)

    def test_frameLog(self) -> None:
        """Each frame, sent or received, is told in one line."""
        lines: list[str] = []
        self.meet(onFrame=lines.append)
        self.request()
        self.greet()
        self.assertIn("sent HEADERS stream=1", "\n".join(lines))
        self.assertIn("received SETTINGS stream=0", "\n".join(lines))

    def test_aWindowManagerOfTheUsers(self) -> None:
        """The class that is plugged in decides about credit: one instance for each stream."""

        class Stingy(BaseFlowControlManager):
            """Credits each octet, one by one."""

            def increase_window_size(self, frame_size: int) -> int:
                return frame_size

        self.meet(window_manager=Stingy)
        response = self.opened()
        response.deliverBody(Reader())
        self.peer.drain()
        self.peer.sendData(1, b"hello")
        self.assertEqual(5, self.peer.expectWindowUpdate(0))
        self.assertEqual(5, self.peer.expectWindowUpdate(1))


class InvalidRequestTests(ConnectionTestCase):
    """Requests that cannot be sent over HTTP/2."""

    def assertRefused(self, headers: Headers) -> None:
        """The request fails at once, nothing is sent, and no slot is lost."""
        self.peer.drain()
        self.failureResultOf(self.request(headers=headers), InvalidRequest)
        self.peer.expectNothing()
        self.assertEqual(0, self.client.openCount)

    def test_connectionFields(self) -> None:
        """Fields of the connection are HTTP/1.1's."""
        self.assertRefused(Headers({b"connection": [b"close"]}))

    def test_te(self) -> None:
        """TE names trailers, or nothing."""
        self.assertRefused(Headers({b"te": [b"gzip"]}))

    def test_largerThanThePeerTakes(self) -> None:
        """The peer's limit for header lists is kept."""
        self.greet({MAX_HEADER_LIST_SIZE: 300})
        self.assertRefused(Headers({b"x": [b"y" * 300]}))

    def test_theStreamIdIsNotUsedUp(self) -> None:
        """The next request takes the id that the invalid one did not."""
        self.assertRefused(Headers({b"connection": [b"close"]}))
        self.request()
        self.assertEqual(1, self.peer.expectHeaders().streamId)

    def test_aLargeFrameSizeIsObeyed(self) -> None:
        """A header block that fits the peer's frame size is one frame, else several."""
        self.request(headers=Headers({b"x": [b"\xff" * 20000]}))
        self.peer.expectHeaders()
        self.greet({MAX_FRAME_SIZE: 65536})
        self.request(headers=Headers({b"y": [b"\xff" * 20000]}))
        self.assertTrue(self.peer.expect(frames.HEADERS).flags & frames.END_HEADERS)
