"""
Servers that hang, at every phase of a request, over both protocols.

Owns the promise that the right limit strikes, that it costs nobody else anything, and that nothing
is left of the request that it struck: no object, no timer, no slot.
"""

from __future__ import annotations

import gc
import socket
from collections import Counter
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from txhyper import (
    Agent,
    BodyTimedOut,
    ConnectTimedOut,
    HandshakeTimedOut,
    Request,
    ResponseTimedOut,
    SlotTimedOut,
    Timeouts,
    TotalTimedOut,
)
from txhyper.client.dial import Dial
from txhyper.client.lease import Lease
from txhyper.client.tls import policyTrusting
from txhyper.core.streams import Stream
from txhyper.protocol.exchange import Exchange
from txhyper.protocol.reading import ReadingSide
from txhyper.protocol.response import Response
from txhyper.protocol.timeouts import RequestLimits

from . import bodies
from .fetching import digestOf
from .launchers import Hanging, running

SHORT = 0.2
SIZE = bodies.MEBIBYTE

#: What a request is made of while it lasts.
PARTS = (Dial, Exchange, Lease, ReadingSide, Request, RequestLimits, Response, Stream)


def parts() -> Counter[str]:
    """How many of these there are."""
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, PARTS))


class HangingTests:
    """What holds for both protocols; each class below names one."""

    protocol: bytes
    #: How many connections two requests at a time take.
    connections: int
    timeout = 60

    def setUp(self) -> None:
        self.server: Any = running(Hanging)
        policy = policyTrusting(self.server.authority.pem)
        self.before = parts()
        self.agent = Agent(reactor, policy, protocols=[self.protocol])

    async def tearDown(self) -> None:
        """Nothing is left of anything."""
        await self.agent.close()
        self.assertEqual(Counter(), parts() - self.before)
        # There is trial's own, for this very method.
        calls = [call.func.__module__ for call in reactor.getDelayedCalls()]
        self.assertEqual([], [name for name in calls if not name.startswith("twisted.trial")])

    def send(self, path: str, port: int | None = None, **limits: float) -> Deferred[Any]:
        """Send a request within these limits."""
        url = f"https://localhost:{port or self.server.port}{path}".encode()
        timeouts = Timeouts(**limits) if limits else None
        return self.agent.send(Request(b"GET", url, timeouts=timeouts))

    async def struck(
        self, deferred: Deferred[Any], expected: type[Exception], seconds: float = SHORT
    ) -> None:
        """A limit strikes before there is a response."""
        with self.assertRaises(ResponseNeverReceived) as caught:
            await deferred
        (reason,) = caught.exception.reasons
        self.assertIs(expected, type(reason.value))
        self.assertIn(f"within {seconds} s", str(reason.value))

    async def struckReading(self, deferred: Deferred[Any], expected: type[Exception]) -> None:
        """A limit strikes in the body."""
        response = await deferred
        self.assertEqual(200, response.code)
        with self.assertRaises(ResponseFailed) as caught:
            await response.read()
        (reason,) = caught.exception.reasons
        self.assertIs(expected, type(reason.value))
        self.assertIn(f"within {SHORT} s", str(reason.value))

    async def sibling(self) -> Deferred[Any]:
        """A download that is half done, and goes on when the server is told to."""
        sibling = digestOf(await self.send("/sibling"))
        # What was on the stack when the response came is gone a turn later.
        await deferLater(reactor, 0)
        self.meanwhile = parts()
        return sibling

    def states(self) -> list[Any]:
        """The connections to the server that the sibling is on."""
        origin = self.agent.pool.snapshot()[0]
        self.assertEqual((0, 0), (origin.dialling, origin.waiting))
        return origin.connections

    async def believed(self) -> None:
        """
        Every connection is taken for alive, and what there is, slots included, is the sibling's.

        A limit that passes makes a client ask whether the server is there, and nothing more is sent
        to it until it has answered: that takes as many turns as it takes.
        """
        await deferLater(reactor, 0)
        while not all(state.isUsable for state in self.states()):
            await deferLater(reactor, 0)
        self.assertEqual([1], [state.open for state in self.states()])
        self.assertEqual(Counter(), parts() - self.meanwhile)

    async def finish(self, sibling: Deferred[Any]) -> None:
        """The sibling comes to its right end, and every slot is free then."""
        await self.believed()
        self.assertFalse(sibling.called)
        await (await self.send("/go")).read()
        self.assertEqual((SIZE, bodies.digest(SIZE)), await sibling)
        self.assertEqual([0] * self.connections, [state.open for state in self.states()])

    async def test_tcp(self) -> None:
        """TCP does not connect: the queue of a server that accepts nobody is full."""
        sibling = await self.sibling()
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            fillers = []
            try:
                # Linux takes one more than it is told, others differ. One that does not get in
                # at once will not: this is the machine's own loopback.
                for _ in range(8):
                    fillers.append(filler := socket.socket())
                    filler.setblocking(False)
                    filler.connect_ex(server.getsockname())
                port = server.getsockname()[1]
                late = self.send("/", port, connect=SHORT)
                await self.struck(late, ConnectTimedOut)
            finally:
                for filler in fillers:
                    filler.close()
        await self.finish(sibling)

    async def test_handshake(self) -> None:
        """TCP connects and TLS does not begin, whether the connection was accepted or not."""
        sibling = await self.sibling()
        for port in self.server.others[:2]:
            await self.struck(self.send("/", port, handshake=SHORT), HandshakeTimedOut)
        await self.finish(sibling)

    async def test_mute(self) -> None:
        """TLS is there, and nothing comes of HTTP: no SETTINGS, no headers."""
        sibling = await self.sibling()
        port = self.server.others[2]
        await self.struck(self.send("/", port, headers=SHORT), ResponseTimedOut)
        await self.finish(sibling)

    async def test_headers(self) -> None:
        """No headers come for one request."""
        sibling = await self.sibling()
        await self.struck(self.send("/silence", headers=SHORT), ResponseTimedOut)
        await self.believed()
        await self.struck(self.send("/silence", total=SHORT), TotalTimedOut)
        await self.finish(sibling)

    async def test_body(self) -> None:
        """No body comes after the headers, or only half of it."""
        sibling = await self.sibling()
        for path in ("/headers", "/half"):
            await self.struckReading(self.send(path, bodyIdle=SHORT), BodyTimedOut)
            await self.believed()
            await self.struckReading(self.send(path, total=SHORT), TotalTimedOut)
        await self.finish(sibling)

    async def test_drip(self) -> None:
        """A body that comes by drops is never idle, and takes too long."""
        sibling = await self.sibling()
        late = self.send("/drip", headers=10, bodyIdle=10, total=SHORT)
        await self.struckReading(late, TotalTimedOut)
        await self.finish(sibling)

    async def test_together(self) -> None:
        """Both kinds at the same time, again and again."""
        sibling = await self.sibling()
        for _ in range(5):
            late = [
                self.struck(self.send("/silence", headers=SHORT / 4), ResponseTimedOut, SHORT / 4),
                self.struckReading(self.send("/half", bodyIdle=SHORT), BodyTimedOut),
            ]
            await gatherResults([Deferred.fromCoroutine(each) for each in late])
            await self.believed()
        await self.finish(sibling)


class HTTP2HangingTests(HangingTests, TestCase):
    """HTTP/2, where everybody shares one connection."""

    protocol = b"h2"
    connections = 1

    async def test_slot(self) -> None:
        """No stream comes free."""
        sibling = await self.sibling()
        hung = [self.send("/silence") for _ in range(2)]
        await self.struck(self.send("/silence", slot=SHORT), SlotTimedOut)
        for deferred in hung:
            deferred.cancel()
            await self.assertFailure(deferred, ResponseNeverReceived)
        await self.finish(sibling)


class HTTP11HangingTests(HangingTests, TestCase):
    """HTTP/1.1, where the limit costs the connection that it strikes, and no other."""

    protocol = b"http/1.1"
    connections = 2
