"""
One attack, from the two requests that it meets to what their user is told.

Owns the judgement: a victim, a neighbour on the same connection, and what either may notice. It
runs in memory and over TLS alike; :mod:`tests.hostile.cases` says what the server says.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived

from tests.core import wire
from tests.hostile.cases import BODY, CONNECTION, HEAD, STREAM, WHOLE, Case
from tests.hostile.server import Loopback, RawServer, head
from tests.protocol.scene import Producer, Reader
from txhyper import Agent, ConnectionPool, Request

__all__ = ["CONTENT", "HostileTests", "MemoryTestCase", "User"]

#: What the neighbour is answered.
CONTENT = b"neighbour"


class User:
    """
    Somebody who has sent a request, and reads whatever comes.

    :ivar fired: how often the Deferred of the response has fired.
    :ivar ended: how often the body has, or its Deferred.
    :ivar outcome: the error of ours at the end; None if all is well.
    :ivar over: fires when there is nothing more to be told.
    """

    def __init__(
        self, sent: Deferred[Any], isPaused: bool = False, isDecoded: bool = False
    ) -> None:
        self.fired = self.ended = 0
        self.response: Any = None
        self.outcome: Any = None
        self.body: bytes | None = None
        self.over: Deferred[None] = Deferred()
        self._isPaused = isPaused
        self._isDecoded = isDecoded
        self._reader: Any = None
        sent.addBoth(self._told)

    def _told(self, result: Any) -> None:
        self.fired += 1
        if isinstance(result, Failure):
            self._end(result, ResponseNeverReceived)
            return
        self.response = result
        if self._isDecoded:
            result.read().addCallbacks(
                self._whole, lambda reason: self._end(reason, ResponseFailed)
            )
        else:
            result.deliverBody(Reader(onMade=self._made, onLost=self._lost))

    def _made(self, reader: Reader) -> None:
        if self._isPaused:
            reader.transport.pauseProducing()
            self._reader = reader

    def resume(self) -> None:
        """Read what is there, if nobody has yet."""
        if self._reader is not None:
            self._reader.transport.resumeProducing()

    def _lost(self, reader: Reader) -> None:
        (reason,) = reader.reasons
        if reason.check(ResponseDone):
            self._whole(reader.body)
        else:
            self._end(reason, ResponseFailed)

    def _whole(self, body: bytes) -> None:
        self.body = body
        self._over()

    def _end(self, reason: Failure, expected: type[Exception]) -> None:
        self.outcome = reason
        if reason.check(expected):
            (inner,) = reason.value.reasons
            self.outcome = inner.value
        self._over()

    def _over(self) -> None:
        self.ended += 1
        if self.ended == 1:
            self.over.callback(None)


def serverFor(case: Case, origin: str) -> RawServer:
    """What says it, and then goes on as if nothing had happened."""
    says: Any = case.says
    if case.isPushing:
        # Promises are of the origin's.
        says = partial(case.says, authority=origin.removeprefix("https://").encode())

    def script(server: RawServer) -> None:
        victim, neighbour = server.streams
        said = says(victim)
        if case.ends == STREAM and case.stage != WHOLE and not case.isDecoded:
            # It has not heard of our RST_STREAM yet.
            late = wire.data(victim, b"late") + wire.window_update(victim, 1)
            said += head(victim) + late + wire.reset(victim, wire.CANCEL)
        server.say(said + head(neighbour) + wire.data(neighbour, CONTENT, end=True))

    return RawServer(script, 2, case.greeting)


async def attack(test: Any, case: Case, agent: Agent, servers: list[RawServer]) -> None:
    """Two requests, what comes of them, and the judgement."""
    origin = test.origin.encode()
    body = Producer() if case.isUploading else None
    victim = User(
        agent.send(Request(case.method, origin + b"/victim", body=body)),
        case.isPaused,
        case.isDecoded,
    )
    neighbour = User(agent.send(Request(b"GET", origin + b"/neighbour")))
    await neighbour.over
    victim.resume()
    await victim.over
    await agent.close()
    # Whatever the error, it was not worth a second connection.
    (server,) = servers
    await server.whenLost
    judge(test, case, test.origin, server, (victim, neighbour, body or Producer()))


def judge(
    test: Any,
    case: Case,
    origin: str,
    server: RawServer,
    told: tuple[User, User, Producer],
) -> None:
    """
    The right one has failed, as it should, once.

    :param origin: as messages name it.
    """
    victim, neighbour, producer = told
    test.assertEqual([(1, 1)] * 2, [(user.fired, user.ended) for user in (victim, neighbour)])
    test.assertLessEqual(producer.calls.count("stop"), 1)
    resets = {stream: server.codes(wire.RST_STREAM, stream) for stream in server.streams}
    if case.ends == CONNECTION:
        test.assertEqual([case.code], server.codes(wire.GOAWAY))
        test.assertEqual({}, {stream: codes for stream, codes in resets.items() if codes})
        test.assertIsNone(neighbour.response)
        _judgeError(test, case, f"{origin}: ", neighbour.outcome)
    else:
        # At the end the client says good-bye.
        test.assertEqual([wire.NO_ERROR], server.codes(wire.GOAWAY))
        test.assertEqual((None, CONTENT), (neighbour.outcome, neighbour.body))
        expected = [case.code] if case.ends == STREAM else []
        victims, neighbours = server.streams
        test.assertEqual({victims: expected, neighbours: []}, resets)
        for stream, code in case.resets:
            test.assertEqual([code], server.codes(wire.RST_STREAM, stream))
    where = f"{origin}: stream {server.streams[0]}: " if case.ends == STREAM else f"{origin}: "
    test.assertEqual(case.stage == HEAD, victim.response is None)
    if case.stage in (HEAD, BODY):
        _judgeError(test, case, where, victim.outcome)
        if case.ends == STREAM and case.bound is None:
            test.assertEqual(server.streams[0], victim.outcome.stream_id)
    else:
        test.assertIsNone(victim.outcome)


def _judgeError(test: Any, case: Case, where: str, error: Any) -> None:
    """It says where it happened, what the RFC calls it, and which bound it was."""
    text = str(error)
    test.assertIs(case.error, type(error), text)
    test.assertTrue(text.startswith(where), text)
    test.assertEqual(1, len(text.splitlines()))
    test.assertIn(case.text, text)
    test.assertFalse(error.retriable)
    if case.bound is None:
        test.assertEqual(case.code, error.code)
    else:
        test.assertEqual(case.bound, getattr(error, "bound", case.bound))
        test.assertIn(f"bound {case.bound}", text)
    if case.isNamed:
        test.assertIn(ErrorCodes(case.code).name, text)


class HostileTests:
    """What both ways of meeting a server have in common; ``visit`` is theirs."""

    visit: Any

    def meet(self, case: Case) -> Any:
        """An attack."""
        options = {"bounds": case.bounds, "enablePush": case.isPushing}
        return self.visit(
            partial(serverFor, case, self.origin), partial(attack, self, case), **options
        )


class MemoryTestCase(HostileTests, SynchronousTestCase):
    """Attacks in memory."""

    origin = "https://a.test"

    def setUp(self) -> None:
        """Nobody is there yet."""
        self.servers: list[RawServer] = []
        self.loopback = Loopback(lambda: self.build())
        self.reactor = self.loopback.clock

    def visit(
        self,
        build: Callable[[], RawServer],
        conduct: Callable[[Agent, list[RawServer]], Coroutine[Deferred[Any], Any, Any]],
        **options: Any,
    ) -> None:
        """
        Have an agent conduct something with servers of this make; nothing is left of it.

        :param options: the pool's.
        """

        def made() -> RawServer:
            self.servers.append(build())
            return self.servers[-1]

        self.build = made
        pool = ConnectionPool(self.reactor, **options)
        agent = Agent.usingEndpointFactory(self.reactor, self.loopback, pool)
        conducted = Deferred.fromCoroutine(conduct(agent, self.servers))
        self.loopback.settle(conducted)
        self.successResultOf(conducted)
        self.loopback.pump()
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertEqual([], pool.snapshot())
