"""
What a warm request and a DATA frame may cost, in counts.

Times would depend on the machine; these do not. Each number is exact: one more is a regression,
one less is a reason to lower it here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from h2.connection import H2Connection
from hyperframe.frame import Frame as HyperFrame
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import INegotiated
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txhyper import Agent, ConnectionPool
from txhyper.client.agent import Target
from txhyper.core.decoder import Decoder
from txhyper.core.hpack import HeaderCoder
from txhyper.core.inbound import Inbound
from txhyper.core.outbound import OutboundBody
from txhyper.core.windows import FlowControlManager
from txhyper.protocol import request as requests
from txhyper.testing.peer import MemoryTransport, ScriptedPeer

COUNT = 50


class CountingClock(Clock):
    """A clock that counts the timers that are set."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = 0

    def callLater(self, when: float, what: Callable[..., object], *a: Any, **kw: Any) -> Any:
        """Count, and set."""
        self.timers += 1
        return super().callLater(when, what, *a, **kw)


@implementer(INegotiated)
class NegotiatedTransport(MemoryTransport):
    """A transport on which TLS has agreed on h2."""

    negotiatedProtocol = b"h2"

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is no TCP here."""

    def getHandle(self) -> Any:
        """A handle that knows its cipher suite."""
        return mock.Mock(get_cipher_name=lambda: "TLS_AES_128_GCM_SHA256")


class Endpoints:
    """An endpoint factory, and its only endpoint."""

    def __init__(self, peer: ScriptedPeer) -> None:
        self.peer = peer
        self.made = 0

    def endpointForURI(self, uri: object) -> Endpoints:
        """Count, and be the endpoint."""
        self.made += 1
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect to the peer."""
        negotiator = self.peer.connect(factory.buildProtocol(None))
        negotiator.handshakeCompleted()
        return succeed(negotiator)


class Reader(Protocol):
    """A reader that keeps up."""

    def __init__(self) -> None:
        self.octets = 0

    def dataReceived(self, data: bytes) -> None:
        """Count."""
        self.octets += len(data)


class BudgetCase(SynchronousTestCase):
    """A warm connection of an agent's, and counters."""

    def setUp(self) -> None:
        """Warm it up: the header blocks of both directions have come before."""
        self.clock = CountingClock()
        self.peer = ScriptedPeer(self.clock)
        self.peer.transport = self.transport = NegotiatedTransport()
        self.endpoints = Endpoints(self.peer)
        pool = ConnectionPool(self.clock)
        self.agent = Agent.usingEndpointFactory(self.clock, self.endpoints, pool)
        self.streamId = -1
        self.ask(1)
        self.peer.greet()
        self.answer(1)
        for _ in range(3):
            self.ask(1)
            self.answer(1)
        self.clock.advance(0)
        self.clock.timers = 0
        self.transport.writes.clear()

    def ask(self, count: int) -> list[Deferred[Any]]:
        """So many requests in one turn."""
        return [
            self.agent.request(b"GET", b"https://example.com/%d" % n).addCallback(self.read)
            for n in range(count)
        ]

    def read(self, response: Any) -> Any:
        """Read a response as it comes."""
        response.deliverBody(Reader())
        return response

    def answers(self, count: int) -> bytes:
        """The answers to so many requests, to be put into one read."""
        octets = b""
        for _ in range(count):
            self.streamId += 2
            octets += self.peer.headers(
                self.streamId, [(b":status", b"200"), (b"content-length", b"100")]
            )
            octets += self.peer.frame(0, 1, self.streamId, bytes(100))
        return octets

    def answer(self, count: int) -> None:
        """Answer so many requests in one read."""
        self.peer.send(self.answers(count))

    def counting(self, owner: Any, name: str) -> mock.Mock:
        """Count the calls of a method, which are made all the same."""
        original = getattr(owner, name)
        counter = mock.Mock()

        def call(*args: Any, **kwargs: Any) -> Any:
            counter()
            return original(*args, **kwargs)

        patch = mock.patch.object(owner, name, call)
        patch.start()
        self.addCleanup(patch.stop)
        return counter


class RequestBudgetTests(BudgetCase):
    """Warm requests, from the agent to the end of the body."""

    def test_writesAndTimers(self) -> None:
        """Requests of one turn: one timer and one write. Their answers: no write, and no timer."""
        self.ask(COUNT)
        self.assertEqual(1, self.clock.timers)
        self.clock.advance(0)
        self.assertEqual(1, len(self.transport.writes))
        self.answer(COUNT - 1)
        self.assertEqual((1, 1), (self.clock.timers, len(self.transport.writes)))

    def test_requestsMadeInARead(self) -> None:
        """Requests that answers give rise to leave in one write at the end of the read."""
        for deferred in self.ask(COUNT):
            deferred.addCallback(lambda _: self.ask(1) and None)
        self.clock.advance(0)
        self.clock.timers = 0
        self.transport.writes.clear()
        self.answer(COUNT)
        self.assertEqual((0, 1), (self.clock.timers, len(self.transport.writes)))

    def test_deferreds(self) -> None:
        """One Deferred from the agent to the user."""
        made = self.counting(Deferred, "__init__")
        deferreds = self.ask(COUNT)
        self.clock.advance(0)
        self.answer(COUNT)
        self.assertEqual(COUNT, made.call_count)
        self.assertEqual([200] * COUNT, [self.successResultOf(d).code for d in deferreds])

    def test_nothingOfH2(self) -> None:
        """h2 is called by no request, and no frame object is made."""
        calls = [
            self.counting(H2Connection, name)
            for name in (
                "receive_data",
                "send_headers",
                "data_to_send",
                "get_next_available_stream_id",
            )
        ]
        frames = self.counting(HyperFrame, "__init__")
        self.ask(COUNT)
        self.clock.advance(0)
        self.answer(COUNT)
        self.assertEqual([0] * 5, [counter.call_count for counter in (*calls, frames)])

    def test_headerBlocks(self) -> None:
        """Blocks that came before are neither encoded nor decoded again."""
        encoded = self.counting(HeaderCoder, "_encode")
        decoded = self.counting(Decoder, "decode")
        self.ask(COUNT)
        self.clock.advance(0)
        self.answer(COUNT)
        self.assertEqual((0, 0), (encoded.call_count, decoded.call_count))

    def test_nothingMadeOrParsedTwice(self) -> None:
        """No endpoint is made, no URI taken apart, no header object built."""
        made = self.endpoints.made
        parsed = self.counting(requests, "splitURI")
        targets = self.counting(Target, "__init__")
        headers = self.counting(requests.Headers, "__init__")
        self.ask(COUNT)
        self.clock.advance(0)
        self.answer(COUNT)
        self.assertEqual(
            (made, 0, 0, 0),
            (self.endpoints.made, parsed.call_count, targets.call_count, headers.call_count),
        )

    def test_nothingMadeForBodies(self) -> None:
        """No queue and no window's policy for a request without a body and a short answer."""
        counters = [self.counting(made, "__init__") for made in (Inbound, OutboundBody)]
        self.ask(COUNT)
        self.clock.advance(0)
        self.answer(COUNT)
        self.assertEqual([0, 0], [counter.call_count for counter in counters])


class DataBudgetTests(BudgetCase):
    """DATA frames of a reader that keeps up."""

    def setUp(self) -> None:
        """One response that is being read."""
        super().setUp()
        self.ask(1)
        self.clock.advance(0)
        self.streamId += 2
        self.peer.sendHeaders(self.streamId, [(b":status", b"200")])
        self.clock.timers = 0
        self.transport.writes.clear()
        self.frames = self.peer.frame(0, 0, self.streamId, bytes(1000)) * COUNT

    def test_nothingButTheOctets(self) -> None:
        """No Deferred, timer, write, queue or h2 for any number of frames below half a window."""
        counters = [
            self.counting(owner, name)
            for owner, name in (
                (Deferred, "__init__"),
                (Inbound, "__init__"),
                (H2Connection, "receive_data"),
                (HyperFrame, "__init__"),
            )
        ]
        self.peer.send(self.frames)
        self.assertEqual([0] * 4, [counter.call_count for counter in counters])
        self.assertEqual((0, 0), (self.clock.timers, len(self.transport.writes)))

    def test_policies(self) -> None:
        """One policy for the stream, asked once for each frame, as the connection's is."""
        made = self.counting(FlowControlManager, "__init__")
        asked = self.counting(FlowControlManager, "increase_window_size")
        self.peer.send(self.frames)
        self.assertEqual((1, 2 * COUNT), (made.call_count, asked.call_count))

    def test_credit(self) -> None:
        """A MiB costs the peer's credit few writes: one for each half window, which grows."""
        for _ in range(20):
            self.peer.send(self.frames)
        self.assertLessEqual(len(self.transport.writes), 4)
