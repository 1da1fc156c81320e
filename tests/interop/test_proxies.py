"""Through proxies: ours, squid and microsocks; HTTP/2 and HTTP/1.1 inside, bodies both ways."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import unittest
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import FileBodyProducer, ResponseFailed, ResponseNeverReceived, readBody
from twisted.web.http import Request as ServerRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from txhyper import (
    Agent,
    ConnectionPool,
    ConnectionTerminated,
    ConnectTimedOut,
    NegotiationFailed,
    Proxy,
    Request,
    Timeouts,
    TunnelRefused,
)
from txhyper.client.tls import policyTrusting, unverifiedPolicy

from . import bodies
from .fetching import CountingFactory, digestOf
from .launchers import (
    ROOT,
    ConnectProxy,
    KnowingMicrosocks,
    KnowingSquid,
    Launcher,
    Microsocks,
    PlainNghttpd,
    SecureSquid,
    Squid,
    TLSConnectProxy,
    TwistedWeb,
    TwistedWebHTTP1,
    authority,
    running,
)

SIZE = 20 * bodies.MEBIBYTE


class ProxyTests:
    """What holds for every proxy; each class below names one."""

    launcher: Any
    timeout = 90

    def setUp(self) -> None:
        self.proxy = running(self.launcher)
        self.policy = policyTrusting(authority().pem)
        self.pool = ConnectionPool(reactor)
        self.addCleanup(self.pool.closeCachedConnections)
        self.agent = self.by(self.proxy.uri())

    def by(self, uri: bytes | None) -> Agent:
        """An agent whose way leads through a proxy. All of them share a pool."""
        proxy = None if uri is None else Proxy(uri, contextFactory=self.policy)
        return Agent(reactor, self.policy, pool=self.pool, proxy=proxy)

    async def test_bodies(self) -> None:
        """Bodies arrive octet for octet, down and up, over either protocol in the tunnel."""
        for server, version in ((TwistedWeb, 2), (TwistedWebHTTP1, 1)):
            url = running(server).url
            response = await self.agent.request(b"GET", url(f"/{SIZE}").encode())
            self.assertEqual((version, 200), (response.version[1], response.code))
            self.assertEqual((SIZE, bodies.digest(SIZE)), await digestOf(response))
            request = Request(b"POST", url("/upload").encode(), None, bodies.blocks(SIZE))
            answer = await readBody(await self.agent.send(request))
            self.assertEqual(f"{SIZE} {bodies.digest(SIZE)}".encode(), answer)
        self.assertEqual(2, len(self.pool.snapshot()))

    async def test_shared(self) -> None:
        """
        Requests share the connection in the tunnel, and nobody else has it: an agent on the same
        pool that goes another way has a connection of its own.
        """
        url = running(TwistedWeb).url("/100").encode()

        async def get(agent: Agent) -> None:
            response = await agent.request(b"GET", url)
            self.assertEqual((100, bodies.digest(100)), await digestOf(response))

        waiting = [Deferred.fromCoroutine(get(self.agent)) for _ in range(20)]
        await gatherResults(waiting)
        await get(self.by(self.proxy.uri()))
        await get(self.by(None))
        states = self.pool.snapshot()
        self.assertEqual([[21], [1]], [[c.issued for c in s.connections] for s in states])
        self.assertTrue(states[0].name.startswith(states[1].name + " by way of the proxy "))

    async def test_nobodyThere(self) -> None:
        """Where the proxy cannot connect to, nobody answers; the error names both."""
        with self.assertRaises(ResponseNeverReceived) as caught:
            await self.agent.request(b"GET", b"https://localhost:1/")
        error = caught.exception.reasons[0].value
        self.assertIsInstance(error, TunnelRefused)
        self.assertIn(f"localhost:{self.proxy.port}", str(error))
        self.assertIn("localhost:1", str(error).replace(f"localhost:{self.proxy.port}", ""))


class AuthenticationTests(ProxyTests):
    """What holds for those that ask for a password as well."""

    #: What a password that is wrong, or none at all, is answered with.
    statuses: tuple[int, int] = (407, 407)

    async def test_notEverybody(self) -> None:
        """A wrong password, or none, is told so, and not shown."""
        for uri, status in zip(
            (self.proxy.uri("user:wrong"), self.proxy.uri().replace(b"user:pass%20word@", b"")),
            self.statuses,
            strict=True,
        ):
            with self.assertRaises(ResponseNeverReceived) as caught:
                await self.by(uri).request(b"GET", running(TwistedWeb).url("/100").encode())
            error = caught.exception.reasons[0].value
            self.assertIsInstance(error, TunnelRefused)
            self.assertEqual(status, error.status)
            self.assertNotIn("wrong@", str(error))


class ConnectProxyTests(ProxyTests, TestCase):
    """A small proxy of ours."""

    launcher = ConnectProxy

    @unittest.skipIf(PlainNghttpd.missing(), PlainNghttpd.missing())
    async def test_priorKnowledge(self) -> None:
        """HTTP/2 without TLS goes through a tunnel, although its URIs are http."""
        proxy = Proxy(self.proxy.uri(), contextFactory=self.policy)
        agent = Agent(reactor, pool=self.pool, proxy=proxy, protocols=[b"h2", b"h2c"])
        response = await agent.request(b"GET", running(PlainNghttpd).url(f"/{SIZE}").encode())
        self.assertEqual((b"HTTP", 2, 0), response.version)
        self.assertEqual((SIZE, bodies.digest(SIZE)), await digestOf(response))


class TLSConnectProxyTests(AuthenticationTests, TestCase):
    """The same behind TLS, with a password: TLS in TLS."""

    launcher = TLSConnectProxy
    test_priorKnowledge = ConnectProxyTests.test_priorKnowledge

    async def test_notTrusted(self) -> None:
        """A proxy whose certificate does not hold is told nothing, and the error says who it is."""
        agent = Agent(reactor, unverifiedPolicy(), pool=self.pool, proxy=Proxy(self.proxy.uri()))
        with self.assertRaises(ResponseNeverReceived) as caught:
            await agent.request(b"GET", running(TwistedWeb).url("/100").encode())
        error = caught.exception.reasons[0].value
        self.assertIsInstance(error, NegotiationFailed)
        self.assertIn(f"https://localhost:{self.proxy.port}", str(error))
        self.assertIn("certificate verify failed", str(error))


class Silent(Protocol):
    """Says nothing; tells that it has heard something."""

    heard: ClassVar[Deferred[None]] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        heard, Silent.heard = Silent.heard, Deferred()
        heard.callback(None)


class Shown(Resource):
    """Shows what it was asked: the target and the fields."""

    isLeaf = True

    def render_GET(self, request: ServerRequest) -> bytes:
        fields = [
            b"%b: %b" % (n, b",".join(v)) for n, v in request.requestHeaders.getAllRawHeaders()
        ]
        return b"\n".join([request.uri, *sorted(fields)])

    def render_POST(self, request: ServerRequest) -> bytes:
        return hashlib.sha256(request.content.read()).hexdigest().encode()


class ForwardingTests(ProxyTests):
    """What holds for those that carry requests for http as well."""

    def listen(self) -> Any:
        """The port of a server without TLS."""
        counted = CountingFactory(Site(Shown()))
        port = reactor.listenTCP(0, counted, interface="127.0.0.1")

        async def stop() -> None:
            # The proxy keeps its connections.
            for connection in counted.accepted:
                connection.transport.abortConnection()
            await port.stopListening()
            await counted.whenOver()

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return port

    async def test_plain(self) -> None:
        """
        Requests for http go through the proxy in its own terms, whatever origin they are for, on
        one connection; no origin sees what the proxy was told.
        """
        first, second = self.listen(), self.listen()
        for number, port in enumerate((first, second, first)):
            url = b"http://localhost:%d/%d?q" % (port.getHost().port, number)
            response = await self.agent.request(b"GET", url)
            shown = await readBody(response)
            self.assertTrue(shown.startswith(b"/%d?q\n" % number), shown)
            self.assertNotIn(b"roxy-Auth", shown)
            self.assertEqual((b"HTTP", 1, 1), response.version)
        url = b"http://localhost:%d/" % second.getHost().port
        response = await self.agent.send(Request(b"POST", url, None, bodies.blocks(SIZE)))
        self.assertEqual(bodies.digest(SIZE).encode(), await readBody(response))
        (state,) = self.pool.snapshot()
        self.assertEqual([4], [connection.issued for connection in state.connections])


class SilentProxyTests(TestCase):
    """A proxy that takes connections, and says nothing."""

    timeout = 30

    def setUp(self) -> None:
        self.counted = CountingFactory(Factory.forProtocol(Silent))
        port = reactor.listenTCP(0, self.counted, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.uris = [
            f"{scheme}://localhost:{port.getHost().port}".encode()
            for scheme in ("http", "https", "socks5")
        ]

    async def test_timeLimits(self) -> None:
        """The limits for connecting hold, each with a message that names it; nothing stays open."""
        for uri in self.uris:
            for options, words in (
                ({"connectTimeout": 0.1}, "0.1 s (option connectTimeout)"),
                ({"timeouts": Timeouts(connect=0.1)}, "0.1 s (option connect of Timeouts)"),
            ):
                agent = Agent(reactor, proxy=Proxy(uri), **options)
                with self.assertRaises(ResponseNeverReceived) as caught:
                    await agent.request(b"GET", b"https://a.test/")
                error = caught.exception.reasons[0].value
                self.assertIsInstance(error, ConnectTimedOut)
                self.assertIn(words, str(error))
                self.assertIn(uri.decode(), str(error))
        await self.counted.whenOver()
        self.assertEqual(6, len(self.counted.accepted))

    async def test_cancelled(self) -> None:
        """Whoever waits may leave; nothing stays open."""
        for uri in self.uris:
            agent = Agent(reactor, proxy=Proxy(uri))
            Silent.heard = Deferred()
            deferred = agent.request(b"GET", b"https://a.test/")
            await Silent.heard
            deferred.cancel()
            with self.assertRaises(ResponseNeverReceived) as caught:
                await deferred
            self.assertIsInstance(caught.exception.reasons[0].value, CancelledError)
        await self.counted.whenOver()
        self.assertEqual(3, len(self.counted.accepted))


class CommandTests(TestCase):
    """``hyperfetch`` by way of a proxy."""

    timeout = 60

    async def printed(self, *options: str, **environment: str) -> tuple[bytes, bytes, int]:
        """Fetch a body: what it printed, and its exit status."""
        words = [*options, "--cafile", running(TwistedWeb).caFile, running(TwistedWeb).url("/100")]
        command = ["-m", "txhyper.cli", *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        told: Any = await getProcessOutputAndValue(sys.executable, command, environment)
        return told

    async def test_proxies(self) -> None:
        """The option, or the environment, says which; an empty option switches both off."""
        uri = running(TLSConnectProxy).uri().decode()
        nowhere = "http://localhost:1"
        for options, environment in [
            (("--proxy", uri), {"https_proxy": nowhere}),
            ((), {"https_proxy": uri, "all_proxy": nowhere}),
            (("--proxy", ""), {"https_proxy": nowhere}),
            ((), {"ALL_PROXY": nowhere, "no_proxy": "a.test,localhost"}),
        ]:
            out, err, status = await self.printed(*options, **environment)
            self.assertEqual((bodies.body(100), b"", 0), (out, err, status))

    async def test_failures(self) -> None:
        """A proxy that is not there, or refuses, is named, and its password is not shown."""
        port = running(TLSConnectProxy).port
        refused = running(TLSConnectProxy).uri("user:s3cret").decode()
        for uri, words in [
            ("http://user:s3cret@localhost:1", b"refused by other side"),
            (refused, b"localhost:%d: the proxy answers CONNECT" % port),
        ]:
            out, err, status = await self.printed("--proxy", uri)
            self.assertEqual((b"", 1, 1), (out, status, err.count(b"\n")))
            self.assertIn(words, err)
            self.assertNotIn(b"s3cret", err)


@unittest.skipIf(Squid.missing(), Squid.missing())
class SquidTests(ForwardingTests, TestCase):
    """squid."""

    launcher = Squid


@unittest.skipIf(Squid.missing(), Squid.missing())
class KnowingSquidTests(AuthenticationTests, ForwardingTests, TestCase):
    """squid, with users."""

    launcher = KnowingSquid


@unittest.skipIf(Squid.missing(), Squid.missing())
class SecureSquidTests(AuthenticationTests, ForwardingTests, TestCase):
    """squid behind TLS, with users."""

    launcher = SecureSquid


@unittest.skipIf(Microsocks.missing(), Microsocks.missing())
class MicrosocksTests(ProxyTests, TestCase):
    """microsocks."""

    launcher = Microsocks


@unittest.skipIf(Microsocks.missing(), Microsocks.missing())
class KnowingMicrosocksTests(AuthenticationTests, TestCase):
    """microsocks, with users."""

    launcher = KnowingMicrosocks
    #: RFC 1929 leaves the first to the proxy; RFC 1928 section 3 does not the second.
    statuses = (2, 0xFF)


async def endless() -> AsyncIterator[bytes]:
    """A body that begins, and then nothing comes."""
    yield b"begun"
    await Deferred()


class Paused(Protocol):
    """A reader that rests from the start; tells the end."""

    def __init__(self) -> None:
        self.ends: list[Failure] = []
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ends.append(reason)
        self.ended.callback(None)


class Answering(Resource):
    """Tells that it was asked, and does not answer."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: Deferred[None] = Deferred()

    def render_POST(self, request: ServerRequest) -> int:
        self.asked.callback(None)
        return NOT_DONE_YET


class KilledTests:
    """A proxy that dies with connections in it; each class below has one."""

    launcher: type[Launcher]
    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="txhyper-proxy-")
        self.addCleanup(directory.cleanup)
        self.proxy: Any = self.launcher(authority(), Path(directory.name))
        self.proxy.start()
        self.addCleanup(self.proxy.stop)
        policy = policyTrusting(authority().pem)
        proxy = Proxy(self.proxy.uri(), contextFactory=policy)
        self.agent = Agent(reactor, policy, proxy=proxy)
        self.addCleanup(self.agent.close)

    def kill(self) -> None:
        """End the proxy, and be sure that it is gone, and its port with it."""
        self.proxy.process.kill()
        self.proxy.process.wait()

    async def test_killed(self) -> None:
        """
        Bodies on their way break off, and requests without an answer fail, each once and with an
        error that names the origin and the proxy; the next request finds nobody at the proxy's
        port, and says so.
        """
        url = running(TwistedWeb).url
        readers = []
        for _ in range(5):
            response = await self.agent.request(b"GET", url(f"/{SIZE}").encode())
            readers.append(Paused())
            response.deliverBody(readers[-1])
        # Their bodies have no end.
        unanswered = [
            self.agent.send(Request(b"POST", url("/upload").encode(), None, endless()))
            for _ in range(3)
        ]
        self.kill()
        errors = []
        for deferred in unanswered:
            with self.assertRaises(ResponseNeverReceived) as never:
                await deferred
            errors.append(never.exception)
        for reader in readers:
            reader.transport.resumeProducing()
            await reader.ended
            errors.append(reader.ends[0].value)
            self.assertIsInstance(errors[-1], ResponseFailed)
        for error in errors:
            reason = error.reasons[0].value
            self.assertIsInstance(reason, ConnectionTerminated)
            for name in (url("").rstrip("/"), f"localhost:{self.proxy.port}"):
                self.assertIn(name, str(reason))
        with self.assertRaises(ConnectError) as caught:
            await self.agent.request(b"GET", url("/100").encode())
        self.assertIn("refused", str(caught.exception))
        self.assertIn(f"localhost:{self.proxy.port}", str(caught.exception))
        self.assertEqual([1] * 5, [len(reader.ends) for reader in readers])


class KilledConnectProxyTests(KilledTests, TestCase):
    """A small proxy of ours, behind TLS."""

    launcher = TLSConnectProxy


@unittest.skipIf(Squid.missing(), Squid.missing())
class KilledSquidTests(KilledTests, TestCase):
    """squid."""

    launcher = Squid

    async def test_killedForwarding(self) -> None:
        """A request that it carries itself fails as well, once."""
        answering = Answering()
        counted = CountingFactory(Site(answering))
        port = reactor.listenTCP(0, counted, interface="127.0.0.1")
        self.addCleanup(counted.whenOver)
        self.addCleanup(port.stopListening)
        url = b"http://localhost:%d" % port.getHost().port
        deferred = self.agent.request(b"POST", url + b"/", None, FileBodyProducer(BytesIO(b"x")))
        await answering.asked
        self.kill()
        with self.assertRaises(ResponseNeverReceived) as caught:
            await deferred
        reason = caught.exception.reasons[0].value
        self.assertIsInstance(reason, ConnectionTerminated)
        self.assertIn(
            f"{url.decode()} by way of the proxy {self.proxy.uri().decode()}", str(reason)
        )


@unittest.skipIf(Microsocks.missing(), Microsocks.missing())
class KilledMicrosocksTests(KilledTests, TestCase):
    """microsocks."""

    launcher = Microsocks
