"""
The pool in front of servers that come and go: no request is lost, and no POST is done twice.

Owns a rush of numbered requests, which keeps what became of each, and a server behind a proxy that
counts them. What happens to the proxy is told by numbers of answered requests, and not by time.
"""

from __future__ import annotations

import os
import signal
import unittest
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import ClassVar

from twisted.internet import error, reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http import Request as ServerRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from txhyper import Agent, HyperError, Request
from txhyper.client.tls import policyTrusting

from .launchers import HAProxy, ImpatientNginx, Launcher, Nginx, ProxyingNginx, authority

#: How many requests are under way at a time.
AT_A_TIME = 50

#: What happens to the server, one after the other.
Plan = list[Callable[[], None]]


class Ledger(Resource):
    """
    The server behind the proxy. It counts how often each request is done.

    Its answers have a field with the number, and no content: so an answer is in one piece, and
    either lost with its connection, or complete.

    :ivar done: how often, by method and number.
    :ivar onNext: called, once, when the next request comes, before it is answered.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.done: Counter[tuple[bytes, int]] = Counter()
        self.onNext: Callable[[], None] | None = None

    def render(self, request: ServerRequest) -> bytes:
        """Count it."""
        number = int(request.args[b"n"][0])
        self.done[request.method, number] += 1
        onNext, self.onNext = self.onNext, None
        if onNext is not None:
            onNext()
        isWhole = request.content.read() == bodyOf(request.method, number)
        request.setResponseCode(204 if isWhole else 400)
        request.setHeader(b"x-number", b"%d" % number)
        return b""


def bodyOf(method: bytes, number: int) -> bytes:
    """What the request of this number carries."""
    return b"the body of %d" % number if method == b"POST" else b""


class Rush:
    """
    Many numbered requests, fifty at a time, until there were enough and the plan is done.

    Those who find that nobody listens wait until all do, and then the server is started again.

    :ivar plan: what is still to happen.
    :ivar isSettled: whether the step before has had its effect, so that the next may come.
    :ivar answers: the status of each answer, the number that it names, and its protocol.
    :ivar failures: why there was none.
    :ivar refused: those for whom nobody listened, and whether the server was down then.
    :ivar restart: starts the server again, if it is down. It blocks, while nothing is under way.
    """

    def __init__(
        self, agent: Agent, url: str, total: int, methods: Sequence[bytes], plan: Plan
    ) -> None:
        self._agent = agent
        self._url = url.encode("ascii")
        # A slow machine takes more of them until everything has happened.
        self._left = takewhile(lambda number: number < total or self.plan, count())
        self.plan = plan
        # Nobody is to meet two of its steps: each comes so many answers after the one before.
        self._apart = self._due = total * 2 // 3 // (len(plan) + 1)
        self.isSettled: Callable[[], bool] = lambda: True
        self._methods = methods
        self.answers: dict[int, tuple[int, bytes, tuple[bytes, int, int]]] = {}
        self.failures: dict[int, Exception] = {}
        self.refused: dict[int, bool] = {}
        self.restart: Callable[[], None] | None = None
        self._working = AT_A_TIME
        self._waiting: list[Deferred[None]] = []

    def methodOf(self, number: int) -> bytes:
        """The method of this request."""
        return self._methods[number % len(self._methods)]

    async def run(self) -> None:
        """All of them."""
        await gatherResults([Deferred.fromCoroutine(self._work()) for _ in range(AT_A_TIME)])

    async def _work(self) -> None:
        for number in self._left:
            await self._one(number)
        self._working -= 1
        self._restartIfAllWait()

    async def _one(self, number: int) -> None:
        method = self.methodOf(number)
        body = bodyOf(method, number) or None
        try:
            response = await self._agent.send(
                Request(method, b"%s?n=%d" % (self._url, number), None, body)
            )
            said = await response.read()
        except error.ConnectionRefusedError:
            self.refused[number] = self.restart is not None
            if self.restart is not None:
                await self._whenListening()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the test judges it
            self.failures[number] = failure
        else:
            named = said or response.headers.getRawHeaders(b"x-number", [b""])[0]
            self.answers[number] = (response.code, named, response.version)
            isDue = self.plan and self._due <= len(self.answers)
            if isDue and self.restart is None and self.isSettled():
                self.plan.pop(0)()
                self._due = len(self.answers) + self._apart

    def _whenListening(self) -> Deferred[None]:
        back: Deferred[None] = Deferred()
        self._waiting.append(back)
        self._restartIfAllWait()
        return back

    def _restartIfAllWait(self) -> None:
        if self.restart is not None and len(self._waiting) == self._working:
            restart, self.restart = self.restart, None
            waiting, self._waiting = self._waiting, []
            restart()
            for back in waiting:
                back.callback(None)


class RushCase:
    """
    A server of the test's own, and a rush on it.

    :cvar protocols: what the client may speak.
    :cvar version: what it then speaks.
    """

    timeout = 120
    protocols: ClassVar[tuple[bytes, ...]] = (b"h2", b"http/1.1")
    version = (b"HTTP", 2, 0)

    def launch(self, launcher: type[Launcher], upstream: int = 0) -> Launcher:
        """Start it, in front of the server at another port."""
        directory = Path(self.mktemp()).absolute()
        os.makedirs(directory)
        server = launcher(authority(), directory)
        server.upstream = upstream
        self.addCleanup(server.stop)
        server.start()
        return server

    def rush(
        self, server: Launcher, path: str, total: int, methods: Sequence[bytes], plan: Plan
    ) -> Rush:
        """The requests; they do not run yet."""
        policy = policyTrusting(server.authority.pem)
        agent = Agent(reactor, policy, protocols=self.protocols)
        self.addCleanup(agent.close)
        return Rush(agent, f"https://127.0.0.1:{server.port}{path}", total, methods, plan)

    def assertAnswers(self, rush: Rush, status: int) -> None:
        """Every answer is the one that was asked for, in the protocol that is to be spoken."""
        expected = {number: (status, b"%d" % number, self.version) for number in rush.answers}
        self.assertEqual(expected, rush.answers)


class HundredRequests(RushCase):
    """A server that takes a hundred requests to each connection, and says so when it has them."""

    async def test_eachIsAnsweredOnce(self) -> None:
        """
        Ten thousand GETs: each is answered with its own number, and was done exactly once.

        Whatever is on its way when the connection goes is finished there, or was not looked at and
        is sent again. The server's own log tells.
        """
        server = self.launch(ImpatientNginx)
        rush = self.rush(server, "/number", 10_000, [b"GET"], [])
        await rush.run()
        self.assertEqual(({}, {}), (rush.failures, rush.refused))
        self.assertEqual(10_000, len(rush.answers))
        self.assertAnswers(rush, 200)
        # nginx notes a request after it has answered.
        server.stop()
        served = server.served()
        self.assertEqual(sorted(map(str, range(10_000))), sorted(number for number, *_ in served))
        perConnection = Counter(connection for _, connection, *_ in served)
        self.assertGreaterEqual(len(perConnection), 100)


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class HundredRequestsTests(HundredRequests, TestCase):
    """Over HTTP/2, where the server says GOAWAY."""


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class HundredRequestsHTTP11Tests(HundredRequests, TestCase):
    """Over HTTP/1.1, where it closes the connection."""

    protocols = (b"http/1.1",)
    version = (b"HTTP", 1, 1)


class Restarts(RushCase):
    """
    A server that is reloaded, dies and is started again under requests of both kinds.

    :cvar launcher: the server.
    :cvar total: how many requests.
    :cvar reloads: how often it is reloaded.
    :cvar crashes: how often its workers die, while it goes on listening.
    :cvar doubleCrashes: how often those in their place die as well, with their first request.
    :cvar ends: how it ends, once for each, to be started again when everybody has noticed; None
        for at once and altogether.
    """

    launcher: type[Launcher]
    total = 5000
    reloads = 10
    crashes = 3
    doubleCrashes = 3
    ends: ClassVar[tuple[int | None, ...]] = (None, signal.SIGTERM, signal.SIGQUIT)

    def plan(self, server: Launcher, ledger: Ledger, rush: Callable[[], Rush]) -> Plan:
        """All of that, in turn."""

        def again() -> None:
            server.stop()
            server.start()

        def end(number: int | None) -> None:
            rush().restart = again
            if number is None:
                server.kill()
            else:
                server.signal(number)

        def crash() -> None:
            server.crashWorkers()

        def crashTwice() -> None:
            # The second time when the first request on a new connection is being answered.
            server.crashWorkers()
            ledger.onNext = server.crashWorkers

        def reload() -> None:
            asked = server.reloads() + 1
            server.reload()
            rush().isSettled = lambda: server.reloads() >= asked

        steps: Plan = []
        steps += [reload] * self.reloads
        steps += [crash] * self.crashes + [crashTwice] * self.doubleCrashes
        steps += [lambda number=number: end(number) for number in self.ends]
        order = sorted(range(len(steps)), key=lambda index: index * 7 % len(steps))
        return [steps[index] for index in order]

    async def test_nothingIsLostOrDoneTwice(self) -> None:
        """
        A GET is answered, or nobody listened. A POST was done once if it was answered; if not, it
        was done at most once, and the error says what is known.
        """
        ledger = Ledger()
        port = reactor.listenTCP(0, Site(ledger), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        server = self.launch(self.launcher, port.getHost().port)
        plan = self.plan(server, ledger, lambda: rush)
        rush = self.rush(server, "/", self.total, [b"POST", *[b"GET"] * 4], plan)
        await rush.run()
        self.assertEqual(([], self.reloads), (rush.plan, server.reloads()))
        self.assertAnswers(rush, 204)
        outcomes = sorted([*rush.answers, *rush.failures, *rush.refused])
        self.assertEqual(list(range(max(self.total, len(outcomes)))), outcomes)
        self.assertEqual({True}, set(rush.refused.values()))
        failed = {n: e for n, e in rush.failures.items() if rush.methodOf(n) == b"GET"}
        self.assertEqual({}, failed)
        for number in outcomes:
            method = rush.methodOf(number)
            done = ledger.done[method, number]
            if number in rush.failures:
                self.checkFailure(rush.failures[number], server, done)
            elif method == b"POST":
                self.assertEqual(int(number in rush.answers), done)
            elif number in rush.answers:
                self.assertGreaterEqual(done, 1)

    def checkFailure(self, failure: Exception, server: Launcher, done: int) -> None:
        """What is told of a POST that failed is true, and it was not done twice."""
        assert isinstance(failure, ResponseNeverReceived), failure
        (reason,) = failure.reasons
        assert isinstance(reason.value, HyperError), reason
        self.assertTrue(str(reason.value).startswith(f"https://127.0.0.1:{server.port}: "))
        self.assertLessEqual(done, 0 if reason.value.retriable else 1)


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class NginxTests(Restarts, TestCase):
    """nginx, over HTTP/2."""

    launcher = ProxyingNginx


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class NginxHTTP11Tests(Restarts, TestCase):
    """
    nginx, over HTTP/1.1. Where most connections are new, a request may meet both halves of a double
    crash on one that is, and that is more than is promised.
    """

    launcher = ProxyingNginx
    doubleCrashes = 0
    protocols = (b"http/1.1",)
    version = (b"HTTP", 1, 1)


@unittest.skipIf(HAProxy.missing(), HAProxy.missing())
class HAProxyTests(Restarts, TestCase):
    """HAProxy, over HTTP/2. It ends when a worker dies."""

    launcher = HAProxy
    total = 4000
    reloads = 4
    crashes = doubleCrashes = 0
    ends = (None, signal.SIGTERM)
