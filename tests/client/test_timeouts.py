"""Tests for the time limits that a pool keeps: dialling, queues, and all of a request."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from tests.client.network import Network, read
from tests.client.scene import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    MAX_CONCURRENT_STREAMS,
    REFUSED_STREAM,
    PoolTestCase,
)
from txhyper.client.agent import Agent
from txhyper.client.route import Route
from txhyper.errors import (
    ConnectTimedOut,
    HandshakeTimedOut,
    ResponseTimedOut,
    SlotTimedOut,
    TotalTimedOut,
)
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts


class LimitTestCase(PoolTestCase):
    """A pool, and requests with limits."""

    def limited(self, method: bytes = b"GET", **given: float) -> Deferred[Any]:
        """Send a request with limits."""
        origin = "https://a.test"
        request = Request(method, b"https://a.test/", timeouts=Timeouts(**given))
        return self.counted(self.pool.send(Route(origin, origin, lambda: self.network), request))


class DialTests(LimitTestCase):
    """A server that hangs before there is a connection."""

    def test_connect(self) -> None:
        """TCP does not connect in time; the dial goes with the last who waits for it."""
        deferred = self.limited(connect=3, handshake=1)
        self.clock.advance(3)
        self.reasonOf(deferred, ConnectTimedOut)
        self.assertTrue(self.only().isCancelled)

    def test_others(self) -> None:
        """The dial goes on for those who have more time."""
        patient, hasty = self.send(), self.limited(connect=3)
        self.clock.advance(3)
        self.reasonOf(hasty, ConnectTimedOut)
        self.answer(self.only().h2())
        self.bodyOf(patient)

    def test_handshake(self) -> None:
        """TCP connects in time, TLS does not; its time begins with TCP's end."""
        deferred = self.limited(connect=3, handshake=2)
        self.clock.advance(2)
        self.only().tcp()
        self.clock.advance(1.5)
        self.assertNoResult(deferred)
        self.clock.advance(0.5)
        self.reasonOf(deferred, HandshakeTimedOut)
        self.assertTrue(self.only().transport.isAborted)

    def test_inTheMiddle(self) -> None:
        """Whoever comes when TCP has connected already waits for TLS alone."""
        patient = self.send()
        self.only().tcp()
        hasty = self.limited(connect=1, handshake=2)
        self.clock.advance(1.5)
        self.assertNoResult(hasty)
        self.clock.advance(0.5)
        self.reasonOf(hasty, HandshakeTimedOut)
        patient.cancel()
        self.failureResultOf(patient)

    def test_eachItsOwn(self) -> None:
        """Over HTTP/1.1 each waits for its own dial."""
        self.warm11()
        busy = self.send()
        first, second = self.limited(connect=3, handshake=9), self.limited(connect=3)
        self.dials[1].tcp()
        self.clock.advance(3)
        self.assertNoResult(first)
        self.reasonOf(second, ConnectTimedOut)
        for deferred in (busy, first):
            deferred.cancel()
            self.failureResultOf(deferred)

    def test_movedUp(self) -> None:
        """Whoever moves up to the dial of one that has left waits for what is left of it."""
        self.warm11()
        busy = self.send()
        first, second = self.send(), self.limited(connect=3, handshake=2)
        self.dials[1].tcp()
        self.clock.advance(2)
        first.cancel()
        self.failureResultOf(first)
        self.clock.advance(1.5)
        self.assertNoResult(second)
        self.clock.advance(0.5)
        self.reasonOf(second, HandshakeTimedOut)
        busy.cancel()
        self.failureResultOf(busy)

    def test_cutOff(self) -> None:
        """A dial that takes the place of one that was cut off has its own time for each phase."""
        for limit, kind in (("connect", ConnectTimedOut), ("handshake", HandshakeTimedOut)):
            deferred = self.limited(connect=3, handshake=3)
            cut = self.dials[-1].tcp()
            self.clock.advance(2)
            cut.lose()
            self.clock.advance(2)
            self.assertNoResult(deferred)
            if limit == "handshake":
                self.dials[-1].tcp()
                self.clock.advance(2)
                self.assertNoResult(deferred)
            self.clock.advance(1)
            self.reasonOf(deferred, kind)
            self.assertQuiet()

    def test_another(self) -> None:
        """So has one that takes the place of a dial that had offered what is not wanted."""
        first = self.send()
        one = self.only().h2()
        one.peer.sendGoAway(1)
        second, third = self.limited(connect=3, handshake=3), self.send()
        self.dials[1].tcp()
        self.clock.advance(2)
        one.peer.sendReset(1, HTTP_1_1_REQUIRED)
        self.clock.advance(2)
        self.assertNoResult(second)
        self.clock.advance(1)
        self.reasonOf(second, ConnectTimedOut)
        for deferred in (first, third):
            deferred.cancel()
            self.failureResultOf(deferred)

    def test_failed(self) -> None:
        """A dial that failed leaves no time running."""
        deferred = self.limited(total=100, connect=100)
        self.only().connecting.errback(OSError())
        self.failureResultOf(deferred, OSError)
        self.assertQuiet()

    def test_inTime(self) -> None:
        """Once there is a connection neither limit runs."""
        deferred = self.limited(connect=3, handshake=3)
        connection = self.only().h2()
        self.clock.advance(10)
        self.answer(connection)
        self.bodyOf(deferred)


class ServedTests(LimitTestCase):
    """A server that hangs later."""

    def test_slot(self) -> None:
        """The time in the queue ends a request that was never sent."""
        first = self.send()
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.limited(slot=2)
        self.clock.advance(2)
        self.reasonOf(deferred, SlotTimedOut)
        self.answer(connection)
        self.bodyOf(first)
        self.assertNoRequest(connection)

    def test_fromSlotToDial(self) -> None:
        """
        Who waits for a slot, and has to dial because there will be none, has the dial's time for it
        and not what was left of the slot's.
        """
        first = self.send()
        one = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.limited(slot=2, connect=5)
        self.clock.advance(1)
        one.peer.sendGoAway(1)
        self.clock.advance(4)
        self.assertNoResult(deferred)
        self.clock.advance(1)
        self.reasonOf(deferred, ConnectTimedOut)
        one.answer(1)
        self.bodyOf(first)

    def test_fromDialToSlot(self) -> None:
        """Who hoped for another connection, which cannot be had, has the time for a slot."""
        self.pool.maxConnectionsPerHost = 2
        first = self.send()
        self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        deferred = self.limited(slot=3, connect=1)
        self.clock.advance(2)
        self.dials[1].connecting.errback(ConnectionRefusedError())
        self.assertNoResult(deferred)
        self.clock.advance(1)
        self.reasonOf(deferred, SlotTimedOut)
        self.answer(self.dials[0])
        self.bodyOf(first)

    def test_headers(self) -> None:
        """A late response costs its stream, and no other; it is not asked for again."""
        connection = self.warm()
        neighbour, deferred = self.send(path=b"/n"), self.limited(headers=2)
        self.clock.advance(2)
        self.reasonOf(deferred, ResponseTimedOut)
        self.answer(connection, b"fine", b"/n")
        self.assertEqual(CANCEL, connection.peer.expectReset())
        self.assertEqual(b"fine", self.bodyOf(neighbour))
        self.assertEqual(1, len(self.dials))

    def test_notKept(self) -> None:
        """A request that is sent again without limits has none."""
        request = Request(b"GET", b"https://a.test/")
        route = Route("https://a.test", "https://a.test", lambda: self.network)
        deferred = self.counted(self.pool.send(route, request, Timeouts(bodyIdle=2)))
        connection = self.only().h2()
        self.answer(connection)
        self.bodyOf(deferred)
        deferred = self.counted(self.pool.send(route, request))
        stream = connection.peer.expectHeaders().streamId
        connection.peer.sendHeaders(stream, [(b":status", b"200")])
        reader = read(self.successResultOf(deferred))
        self.clock.advance(50)
        self.assertIsNone(reader.reason)

    def test_slowAndAlone(self) -> None:
        """
        A server that was only slow keeps its connection, and gets what waited, if it answers before
        another connection is made.
        """
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        late, queued = self.limited(headers=2), self.send(b"POST", path=b"/q")
        connection.peer.drain()
        self.clock.advance(2)
        self.reasonOf(late, ResponseTimedOut)
        self.assertNoRequest(connection)
        self.assertFalse(connection.transport.isClosing)
        connection.peer.sendPing((1).to_bytes(8, "big"), ack=True)
        self.answer(connection, b"x", b"/q")
        self.assertEqual(b"x", self.bodyOf(queued))
        self.assertEqual(2, len(self.dials))

    def test_gone(self) -> None:
        """One that is gone has got nothing of what waited: that goes elsewhere, any method."""
        connection = self.warm({MAX_CONCURRENT_STREAMS: 1})
        late, queued = self.limited(headers=2), self.send(b"POST", path=b"/q")
        self.clock.advance(2)
        self.reasonOf(late, ResponseTimedOut)
        self.clock.advance(15)
        self.assertTrue(connection.transport.isAborted)
        self.answer(self.dials[1].h2(), b"x", b"/q")
        self.assertEqual(b"x", self.bodyOf(queued))

    def test_recoveredForThoseWhoDial(self) -> None:
        """Whoever dials because of the doubt takes the old connection when it is cleared."""
        connection = self.warm()
        late, neighbour = self.limited(headers=2), self.send(path=b"/n")
        connection.peer.drain()
        self.clock.advance(2)
        self.reasonOf(late, ResponseTimedOut)
        waiting = self.send(path=b"/w")
        self.assertEqual(2, len(self.dials))
        connection.peer.drain()
        connection.peer.sendPing((1).to_bytes(8, "big"), ack=True)
        self.answer(connection, b"w", b"/w")
        self.assertEqual(b"w", self.bodyOf(waiting))
        connection.answer(5, b"n")
        self.assertEqual(b"n", self.bodyOf(neighbour))

    def test_totalFromTheStart(self) -> None:
        """The time for all of it includes the dial and every attempt."""
        deferred = self.limited(total=5, headers=3)
        self.clock.advance(2)
        connection = self.only().h2()
        for _ in range(2):
            self.clock.advance(1)
            connection.peer.sendReset(connection.peer.expectHeaders().streamId, REFUSED_STREAM)
        self.assertNoResult(deferred)
        self.clock.advance(1)
        self.reasonOf(deferred, TotalTimedOut)
        self.assertEqual(CANCEL, connection.peer.expectReset())

    def test_totalAfterAnExpectation(self) -> None:
        """An answer that is not passed on neither ends this time nor begins it anew."""
        request = Request(
            b"PUT",
            b"https://a.test/",
            Headers({b"expect": [b"100-continue"]}),
            b"body",
            timeouts=Timeouts(total=5),
        )
        route = Route("https://a.test", "https://a.test", lambda: self.network)
        deferred = self.counted(self.pool.send(route, request))
        connection = self.only().h2({MAX_CONCURRENT_STREAMS: 1})
        self.clock.advance(3)
        connection.peer.sendHeaders(
            connection.peer.expectHeaders().streamId, [(b":status", b"417")]
        )
        self.assertNotIn(b"expect", dict(connection.peer.expectHeaders().fields))
        self.clock.advance(1.5)
        self.assertNoResult(deferred)
        self.clock.advance(0.5)
        self.reasonOf(deferred, TotalTimedOut)

    def test_totalWhileDialling(self) -> None:
        """It ends a dial, too."""
        deferred = self.limited(total=1)
        self.clock.advance(1)
        self.reasonOf(deferred, TotalTimedOut)
        self.assertTrue(self.only().isCancelled)

    def test_noTimerLeft(self) -> None:
        """A pool that is closed leaves no timer, though its limits were long."""
        deferred = self.limited(total=100, headers=100)
        self.answer(self.only().h2())
        self.bodyOf(deferred)


class AgentTests(SynchronousTestCase):
    """The limits of an agent, and those of a request."""

    def setUp(self) -> None:
        self.network = Network(Clock())
        self.agent = Agent.usingEndpointFactory(
            self.network.clock, self.network, timeouts=Timeouts(connect=2)
        )

    def connectTimeOf(self, deferred: Deferred[Any]) -> float:
        """When a request that nobody answers gives up."""
        begun = self.network.clock.seconds()
        while not deferred.called:
            self.network.clock.advance(0.5)
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        failure.value.reasons[0].trap(ConnectTimedOut)
        return self.network.clock.seconds() - begun

    def test_defaults(self) -> None:
        """Each request of the agent has its limits, by either method."""
        uri = b"https://a.test/"
        self.assertEqual(2, self.connectTimeOf(self.agent.request(b"GET", uri)))
        self.assertEqual(2, self.connectTimeOf(self.agent.send(Request(b"GET", uri))))

    def test_ofTheRequest(self) -> None:
        """A request's own take their place, as a whole."""
        request = Request(b"GET", b"https://a.test/", timeouts=Timeouts(connect=5))
        self.assertEqual(5, self.connectTimeOf(self.agent.send(request)))
        patient = Request(b"GET", b"https://a.test/", timeouts=Timeouts())
        deferred = self.agent.send(patient)
        self.network.clock.advance(1000)
        self.assertNoResult(deferred)

    def test_noneByDefault(self) -> None:
        """Without any the stock agent's habit is kept: a request may take any time."""
        agent = Agent(MemoryReactorClock())
        deferred = agent.request(b"GET", b"http://127.0.0.1/")
        self.assertNoResult(deferred)
        deferred.cancel()
        self.failureResultOf(deferred)
