"""Tests for :meth:`txhyper.client.agent.Agent.send`: requests that say more."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

from twisted.web.client import ResponseNeverReceived
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from zope.interface import implementer

from tests.client.network import read
from tests.client.test_agent import AgentTestCase
from tests.protocol.scene import WholeBody
from txhyper.client.agent import Agent
from txhyper.core import frames
from txhyper.interfaces import IReplayableBody
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts


async def pieces() -> AsyncIterator[bytes]:
    """An asynchronous generator."""
    yield b"ab"
    yield b"c"


@implementer(IReplayableBody)
class WornOut(WholeBody):
    """A body that cannot be rewound after all."""

    def rewind(self) -> None:
        """Fail."""
        raise OSError("worn out")


class SendTests(AgentTestCase):
    """One request, sent as often as its body allows."""

    def sent(self, request: Request) -> bytes:
        """Send a request and answer it. :return: its body."""
        deferred = self.agent.send(request)
        connection = self.network.connections[-1]
        if connection.negotiator is None:
            connection.h2()
        streamId = connection.peer.expectHeaders().streamId
        data = [frame for frame in connection.peer.drain() if frame.kind == frames.DATA]
        self.assertEqual(frames.END_STREAM, data[-1].flags)
        connection.answer(streamId, b"fine")
        self.assertEqual(b"fine", read(self.successResultOf(deferred)).octets)
        return b"".join(frame.payload for frame in data)

    def test_bodies(self) -> None:
        """Every kind of body arrives; those that can be produced again may be sent again."""
        bodies: list[tuple[Any, bool]] = [
            (b"abc", True),
            (io.BytesIO(b"abc"), True),
            ([b"ab", b"c"], False),
            (pieces(), False),
            (WholeBody(b"abc"), False),
        ]
        for body, isReplayable in bodies:
            request = Request(b"POST", b"https://a.test/", None, body)
            self.assertEqual(b"abc", self.sent(request))
            if isReplayable:
                self.assertEqual(b"abc", self.sent(request))
            else:
                self.assertIn("sent already", self.assertRefused(self.agent.send(request)))

    def test_withoutABody(self) -> None:
        """A request without a body may be sent as often as one likes."""
        request = Request(b"GET", b"https://a.test/p?q", Headers({b"x": [b"y"]}))
        for number in range(3):
            deferred = self.agent.send(request)
            connection = self.network.connections[0]
            if not number:
                connection.h2()
            seen = connection.peer.expectHeaders()
            self.assertEqual((b"/p?q", b"y", True), (seen[b":path"], seen[b"x"], seen.endStream))
            connection.answer(seen.streamId)
            self.assertEqual(200, self.successResultOf(deferred).code)

    def test_otherSchemes(self) -> None:
        """A scheme that is not spoken here fails the Deferred, as often as it is tried."""
        request = Request(b"PUT", b"ftp://a.test/", None, b"abc")
        for _ in range(2):
            self.failureResultOf(self.agent.send(request), SchemeNotSupported)
        self.assertNothingDialled()

    def test_noAddress(self) -> None:
        """So does a host that is none."""
        self.assertRefused(self.agent.send(Request(b"GET", b"https://[1:2]/")))
        self.assertNothingDialled()

    def test_onItsWay(self) -> None:
        """What has not been answered is not sent again beside itself, nor disturbed."""
        body = io.BytesIO(b"abc")
        request = Request(b"PUT", b"https://a.test/", None, body)
        deferred = self.agent.send(request)
        self.assertIn("on its way", self.assertRefused(self.agent.send(request)))
        connection = self.only().h2()
        streamId = connection.peer.expectHeaders().streamId
        self.assertEqual(b"abc", connection.peer.expectData().payload)
        connection.answer(streamId, b"fine")
        self.successResultOf(deferred)
        self.assertEqual(b"abc", self.sent(request))

    def test_stillOnItsWay(self) -> None:
        """An early answer leaves the body on its way: it is not begun anew beside itself."""
        octets = bytes(range(256)) * 1024
        for body in (octets, io.BytesIO(octets)):
            request = Request(b"PUT", b"https://a.test/", None, body)
            deferred = self.agent.send(request)
            connection = self.network.connections[-1]
            if connection.negotiator is None:
                connection.h2()
            streamId = connection.peer.expectHeaders().streamId
            connection.peer.sendHeaders(streamId, [(b":status", b"200")])
            response = self.successResultOf(deferred)
            self.assertIn("still being sent", self.assertRefused(self.agent.send(request)))
            sent = b""
            while len(sent) < len(octets):
                connection.peer.sendWindowUpdate(0, 65536)
                connection.peer.sendWindowUpdate(streamId, 65536)
                sent += b"".join(
                    frame.payload for frame in connection.peer.drain() if frame.kind == frames.DATA
                )
            self.assertEqual(octets, sent)
            del response

    def test_limitsOfTheAgent(self) -> None:
        """A request has its agent's limits, and takes none of them along to another agent."""
        request = Request(b"GET", b"https://a.test/")
        for seconds in (1, 100):
            agent = Agent.usingEndpointFactory(
                self.network.clock, self.network, timeouts=Timeouts(total=seconds)
            )
            deferred = agent.send(request)
            self.network.clock.advance(seconds - 0.5)
            self.assertNoResult(deferred)
            self.network.clock.advance(0.5)
            self.failureResultOf(deferred, ResponseNeverReceived)
        self.assertIsNone(request.timeouts)

    def test_rewindRaises(self) -> None:
        """What rewind() raises fails the Deferred."""
        request = Request(b"POST", b"https://a.test/", None, WornOut(b"abc"))
        self.sent(request)
        self.failureResultOf(self.agent.send(request), OSError)

    def test_zone(self) -> None:
        """The zone of an address says which way to dial, and is not sent (RFC 6874)."""
        self.agent.send(Request(b"GET", b"https://[fe80::1%25eth0]:8443/"))
        seen = self.only().h2().peer.expectHeaders()
        self.assertEqual(b"[fe80::1]:8443", seen[b":authority"])
