"""One fetch, with everything below it faked."""

from __future__ import annotations

from typing import Any
from unittest import mock
from unittest.mock import Mock

from twisted.internet import error as net
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

import txhyper
from txhyper import client, errors
from txhyper.cli import fetch as module
from txhyper.cli.fetch import Fetching, JSONBody, make_agent, make_demo_server
from txhyper.cli.options import Settings
from txhyper.testing.server import DemoServer

from .fakes import FakeAgent, FakeDemoServer, FakeResponse, Terminal, fresh_path, settings


class FetchTests(SynchronousTestCase):
    """``Fetching``."""

    def setUp(self) -> None:
        """A clock, a terminal and an agent that waits for the test."""
        self.clock = Clock()
        self.terminal = Terminal()
        self.agent = FakeAgent()
        self.patch(module, "make_agent", self.agent.make)

    def start(self, given: Settings) -> Deferred[int]:
        """Begin a fetch; its exit status comes out."""
        self.fetching = Fetching(self.clock, given, self.terminal.streams)
        return self.fetching.status

    def answer(self, response: FakeResponse) -> FakeResponse:
        """Let the request be answered."""
        self.agent.answer.callback(response)
        return response

    def assertShown(self, stdout: bytes, stderr: str = "") -> None:
        """Exactly this was written."""
        self.assertEqual(stdout, self.terminal.stdout.getvalue())
        self.assertEqual(stderr, self.terminal.stderr.getvalue())

    def test_body(self) -> None:
        """The body is on standard output, octet for octet, and nothing else is anywhere."""
        fetching = self.start(settings("https://h/p", "A:b"))
        response = self.answer(FakeResponse())
        response.body(b"\x00\xff", b"\r\n")
        self.assertShown(b"\x00\xff\r\n")
        self.assertNoResult(fetching)
        response.end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertShown(b"\x00\xff\r\n")
        self.assertEqual((1, 0), (self.agent.closed, response.transport.lost))

    def test_request(self) -> None:
        """The request goes out as the command line has it, without a body when there is none."""
        self.start(settings("https://h/p", "A:b", "q==1"))
        [(method, url, headers, body)] = self.agent.requests
        self.assertEqual((b"GET", b"https://h/p?q=1", None), (method, url, body))
        assert headers is not None
        self.assertEqual([b"b"], headers.getRawHeaders(b"a"))
        self.assertEqual([b"*/*"], headers.getRawHeaders(b"accept"))
        self.fetching.interrupt()

    def test_requestBody(self) -> None:
        """Fields go out as JSON with their length known."""
        self.start(settings("h", "a=b"))
        [(method, _, _, body)] = self.agent.requests
        assert body is not None
        self.assertEqual((b"POST", len(b'{"a": "b"}')), (method, body.length))
        transport = StringTransport()
        self.successResultOf(body.startProducing(transport))
        self.assertEqual(b'{"a": "b"}', transport.value())
        self.fetching.interrupt()

    def test_everyStatusIsASuccess(self) -> None:
        """A complete response is exit status 0, also when it says that the server is on fire."""
        fetching = self.start(settings())
        response = FakeResponse()
        response.code = 503
        self.answer(response).end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertShown(b"")

    def test_include(self) -> None:
        """With -i the head comes first, as soon as it is there."""
        fetching = self.start(settings(include=True))
        response = self.answer(FakeResponse())
        self.assertShown(b"HTTP/2 200\r\na: b\r\n\r\n")
        response.body(b"body")
        response.end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertShown(b"HTTP/2 200\r\na: b\r\n\r\nbody")

    def test_outputFile(self) -> None:
        """With -o the file has the body, and standard output has nothing."""
        path = fresh_path(self)
        fetching = self.start(settings(output=str(path)))
        self.assertFalse(path.exists())
        response = self.answer(FakeResponse())
        response.body(b"body")
        response.end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertEqual(b"body", path.read_bytes())
        self.assertShown(b"")

    def test_emptyOutputFile(self) -> None:
        """A complete empty body makes an empty file."""
        path = fresh_path(self)
        fetching = self.start(settings(output=str(path)))
        self.answer(FakeResponse()).end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertEqual(b"", path.read_bytes())

    def test_outputFileOfAFailure(self) -> None:
        """No file is left when nothing arrived; what arrived is kept."""
        for pieces, kept in [([], None), ([b"a", b"b"], b"ab")]:
            self.setUp()
            path = fresh_path(self)
            fetching = self.start(settings(output=str(path)))
            response = self.answer(FakeResponse())
            response.body(*pieces)
            response.end(ResponseFailed([Failure(errors.StreamReset("reset", 1, 2))]))
            self.assertEqual(7, self.successResultOf(fetching))
            self.assertEqual(kept, path.read_bytes() if path.exists() else None)

    def test_outputFails(self) -> None:
        """An output that cannot be written resets the stream and is told, once."""
        self.terminal.stdout.write = Mock(side_effect=OSError(28, "No space left on device"))  # type: ignore
        fetching = self.start(settings())
        response = self.answer(FakeResponse())
        response.body(b"a", b"b")
        response.end(ResponseFailed([Failure(errors.StreamAborted("given up", 1, 8))]))
        self.assertEqual(1, self.successResultOf(fetching))
        self.assertEqual((1, 1), (response.transport.lost, self.agent.closed))
        self.assertShown(b"", "hyperfetch: [Errno 28] No space left on device\n")

    def test_outputFailsAndTheStreamEndsAtOnce(self) -> None:
        """The reason is the output's, also when the reset stream reports its end right away."""
        self.terminal.stdout.write = Mock(side_effect=OSError("full"))  # type: ignore
        fetching = self.start(settings())
        response = self.answer(FakeResponse())
        response.transport.onLoss = lambda: response.end(RuntimeError("reset"))
        response.body(b"a")
        self.assertEqual(1, self.successResultOf(fetching))
        self.assertShown(b"", "hyperfetch: full\n")

    def test_readerGone(self) -> None:
        """When ``head`` has seen enough, the fetch ends quietly, as SIGPIPE would end it."""
        self.terminal.stdout.flush = Mock(side_effect=BrokenPipeError)  # type: ignore
        fetching = self.start(settings())
        self.answer(FakeResponse()).body(b"a")
        self.assertEqual(141, self.successResultOf(fetching))
        self.assertEqual("", self.terminal.stderr.getvalue())

    def test_failuresBeforeAResponse(self) -> None:
        """A failed request is one line on standard error, which names the origin, and a status."""
        for error, status, line in [
            (net.ConnectionRefusedError(), 1, "https://h: Connection was refused by other side."),
            (
                ResponseNeverReceived([Failure(errors.TimedOut("https://h: late"))]),
                2,
                "https://h: late",
            ),
            (ResponseNeverReceived([Failure(errors.ProtocolViolation("odd"))]), 7, "odd"),
            (errors.InvalidRequest("no such thing"), 64, "no such thing"),
        ]:
            self.setUp()
            fetching = self.start(settings())
            self.agent.answer.errback(error)
            self.assertEqual(status, self.successResultOf(fetching))
            self.assertShown(b"", f"hyperfetch: {line}\n")
            self.assertEqual(1, self.agent.closed)

    def test_badCertificates(self) -> None:
        """What is no PEM is the caller's mistake, and nothing was opened that must be closed."""
        self.patch(module, "make_agent", Mock(side_effect=errors.InvalidRequest("no PEM")))
        fetching = self.start(settings(trusted=b"x"))
        self.assertEqual(64, self.successResultOf(fetching))
        self.assertShown(b"", "hyperfetch: no PEM\n")

    def test_incompleteBody(self) -> None:
        """A body that is cut short is exit status 7, and what came of it is shown."""
        fetching = self.start(settings())
        response = self.answer(FakeResponse())
        response.body(b"half")
        response.end(ResponseFailed([Failure(errors.ConnectionTerminated("gone"))]))
        self.assertEqual(7, self.successResultOf(fetching))
        self.assertShown(b"half", "hyperfetch: the response is incomplete: gone\n")

    def test_endOfConnectionEndsTheBody(self) -> None:
        """An old server's body that ends with its connection is complete, with a remark."""
        fetching = self.start(settings())
        response = self.answer(FakeResponse((b"HTTP", 1, 0)))
        response.body(b"all")
        response.end(PotentialDataLoss())
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertShown(
            b"all",
            "hyperfetch: the server told the end of the body only by closing the connection\n",
        )

    def test_timeLimitBeforeAResponse(self) -> None:
        """The time limit cancels the request; nothing comes after."""
        fetching = self.start(settings(timeout=3.5))
        self.clock.advance(3.4)
        self.assertNoResult(fetching)
        self.clock.advance(0.2)
        self.assertEqual(2, self.successResultOf(fetching))
        self.assertEqual((1, 1), (self.agent.cancelled, self.agent.closed))
        self.assertShown(b"", "hyperfetch: https://h: the fetch did not end within 3.5 s\n")
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_timeLimitWithinABody(self) -> None:
        """The time limit covers the body too, and resets its stream."""
        fetching = self.start(settings(timeout=3))
        response = self.answer(FakeResponse())
        response.transport.onLoss = lambda: response.end(RuntimeError("reset"))
        response.body(b"a")
        self.clock.advance(3)
        self.assertEqual(2, self.successResultOf(fetching))
        self.assertEqual(1, response.transport.lost)
        self.assertShown(b"a", "hyperfetch: https://h: the fetch did not end within 3 s\n")

    def test_timeLimitKept(self) -> None:
        """A fetch that ends in time leaves no timer behind."""
        fetching = self.start(settings(timeout=3))
        self.answer(FakeResponse()).end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_interruptedBeforeAResponse(self) -> None:
        """Cancelling cancels the request and closes the connections."""
        fetching = self.start(settings())
        self.fetching.interrupt()
        self.assertEqual(130, self.successResultOf(fetching))
        self.assertEqual((1, 1), (self.agent.cancelled, self.agent.closed))
        self.assertShown(b"", "hyperfetch: interrupted\n")

    def test_interruptedWithinABody(self) -> None:
        """Cancelling resets the stream; what came is shown, and what comes late is not."""
        fetching = self.start(settings())
        response = self.answer(FakeResponse())
        response.body(b"a")
        self.fetching.interrupt()
        response.body(b"late")
        response.end(CancelledError())
        self.assertEqual(130, self.successResultOf(fetching))
        self.assertEqual(1, response.transport.lost)
        self.assertShown(b"a", "hyperfetch: interrupted\n")

    def test_interruptedLookup(self) -> None:
        """An interruption is told as one, also when what was cancelled calls it otherwise."""
        status = self.start(settings())
        self.agent.answer.addErrback(lambda _: Failure(net.DNSLookupError("no name found")))
        self.fetching.interrupt()
        self.assertEqual(130, self.successResultOf(status))
        self.assertShown(b"", "hyperfetch: interrupted\n")

    def test_closingIsWaitedFor(self) -> None:
        """Connections get a moment to close properly before the fetch is over."""
        self.agent.closing = Deferred()
        fetching = self.start(settings())
        self.answer(FakeResponse()).end()
        self.assertNoResult(fetching)
        self.agent.closing.callback(None)
        self.assertEqual(0, self.successResultOf(fetching))

    def test_closingIsNotWaitedForLong(self) -> None:
        """A peer that does not let go delays the end by no more than a second, quietly."""
        self.agent.closing = Deferred()
        fetching = self.start(settings(timeout=0.5))
        self.answer(FakeResponse()).end()
        self.clock.advance(0.9)
        self.assertNoResult(fetching)
        self.clock.advance(0.2)
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertShown(b"")

    def test_debug(self) -> None:
        """Each frame is a line on standard error."""
        fetching = self.start(settings(debug=True))
        self.agent.log("sent HEADERS")
        self.answer(FakeResponse()).end()
        self.assertEqual(0, self.successResultOf(fetching))
        self.assertShown(b"", "sent HEADERS\n")

    def test_defects(self) -> None:
        """A defect is told in one line with its own exit status; --debug shows where it is."""
        for debug in (False, True):
            self.setUp()
            fetching = self.start(settings(debug=debug))
            self.agent.answer.errback(KeyError("x"))
            self.assertEqual(70, self.successResultOf(fetching))
            first, *others = self.terminal.stderr.getvalue().splitlines()
            self.assertEqual("hyperfetch: this is a defect of hyperfetch: KeyError: 'x'", first)
            self.assertEqual(debug, any("Traceback" in line for line in others))

    def test_demo(self) -> None:
        """The demo server is started first, trusted alone, asked, and stopped last."""
        events: list[str] = []
        self.patch(module, "make_demo_server", lambda reactor: FakeDemoServer(events))
        fetching = self.start(settings("/get", "a==b", demo=True))
        [(_, url, _, _)] = self.agent.requests
        self.assertEqual(b"https://localhost:4711/get?a=b", url)
        self.assertEqual([b"DEMO CA"], [trusted for _, trusted in self.agent.made])
        self.agent.closing = Deferred()
        self.answer(FakeResponse()).end()
        self.assertEqual(["start"], events)
        self.agent.closing.callback(None)
        self.assertEqual(["start", "stop"], events)
        self.assertEqual(0, self.successResultOf(fetching))

    def test_demoThatCannotStart(self) -> None:
        """A demo server that fails to start is told like any other failure."""
        server = Mock()
        server.start.side_effect = OSError("no port")
        server.stop.return_value = succeed(None)
        self.patch(module, "make_demo_server", lambda reactor: server)
        fetching = self.start(settings("/get", demo=True))
        self.assertEqual(1, self.successResultOf(fetching))
        self.assertShown(b"", "hyperfetch: no port\n")
        server.stop.assert_called_once_with()


class JSONBodyTests(SynchronousTestCase):
    """``JSONBody``."""

    def test_interface(self) -> None:
        """It is an IBodyProducer that does everything at the start, as often as it is asked."""
        body = JSONBody(b"{}")
        verifyObject(IBodyProducer, body)
        for _ in range(2):
            transport = StringTransport()
            self.successResultOf(body.startProducing(transport))
            body.pauseProducing()
            body.resumeProducing()
            body.stopProducing()
            self.assertEqual(b"{}", transport.value())


class MakingTests(SynchronousTestCase):
    """``make_agent`` and ``make_demo_server``: what they ask of the layers below."""

    def make(self, given: Settings, trusted: bytes | None = None) -> tuple[Any, Any, Any]:
        """What Agent, ConnectionPool and the TLS policies were asked for."""
        # With the signatures of the real ones.
        agent = mock.create_autospec(txhyper.Agent)
        pool = mock.create_autospec(txhyper.ConnectionPool)
        tls = mock.create_autospec(client.tls)
        self.proxy = mock.create_autospec(txhyper.Proxy)
        self.fromEnvironment = mock.create_autospec(txhyper.proxyFromEnvironment)
        proxies = {"Proxy": self.proxy, "proxyFromEnvironment": self.fromEnvironment}
        with (
            mock.patch.multiple(txhyper, Agent=agent, ConnectionPool=pool, **proxies),
            mock.patch.object(client, "tls", tls),
        ):
            made, close = make_agent("reactor", given, trusted, print)
        self.assertEqual(
            (agent.return_value, pool.return_value.closeCachedConnections), (made, close)
        )
        return agent, pool, tls

    def test_defaults(self) -> None:
        """The platform's certificate authorities, the pool's own limits, and no frame log."""
        agent, pool, tls = self.make(settings())
        pool.assert_called_once_with("reactor", onFrame=None)
        agent.assert_called_once_with(
            "reactor",
            tls.defaultPolicy.return_value,
            connectTimeout=None,
            pool=pool.return_value,
            proxy=self.fromEnvironment.return_value,
        )

    def test_options(self) -> None:
        """The time limit reaches connecting and the handshake, and the log reaches the pool."""
        agent, pool, tls = self.make(settings(timeout=2.5, debug=True), b"PEM")
        pool.assert_called_once_with("reactor", onFrame=print, handshakeTimeout=2.5)
        tls.policyTrusting.assert_called_once_with(b"PEM", None)
        agent.assert_called_once_with(
            "reactor",
            tls.policyTrusting.return_value,
            connectTimeout=2.5,
            pool=pool.return_value,
            proxy=self.fromEnvironment.return_value,
        )

    def test_insecure(self) -> None:
        """--insecure trusts everybody, whatever certificates a demo server brings along."""
        agent, _, tls = self.make(settings(insecure=True), b"PEM")
        self.assertIs(tls.unverifiedPolicy.return_value, agent.call_args.args[1])

    def test_proxy(self) -> None:
        """
        The proxy of the command line goes before those of the environment, and an empty one
        switches them off. --demo asks for none, but takes what it is given. Whoever is trusted as
        a server is trusted as a proxy.
        """
        for given, made in [
            (settings(proxy=b"https://p"), "proxy"),
            (settings("/get", demo=True, proxy=b"https://p"), "proxy"),
            (settings(proxy=b""), None),
            (settings("/get", demo=True), None),
            (settings(), "fromEnvironment"),
        ]:
            agent, _, tls = self.make(given)
            policy = tls.defaultPolicy.return_value
            expected = None
            if made == "proxy":
                expected = self.proxy.return_value
                self.proxy.assert_called_once_with(b"https://p", contextFactory=policy)
            elif made is not None:
                expected = self.fromEnvironment.return_value
                self.fromEnvironment.assert_called_once_with(policy)
            self.assertIs(expected, agent.call_args.kwargs["proxy"])

    def test_certificate(self) -> None:
        """--cert and --key are shown under every policy."""
        for options, trusted, name in [
            ({}, None, "defaultPolicy"),
            ({}, b"PEM", "policyTrusting"),
            ({"insecure": True}, None, "unverifiedPolicy"),
        ]:
            given = settings(certificate=b"CERT", key=b"KEY", **options)
            _, _, tls = self.make(given, trusted)
            tls.ClientCertificate.assert_called_once_with(b"CERT", b"KEY")
            shown = tls.ClientCertificate.return_value
            self.assertIs(shown, getattr(tls, name).call_args.args[-1])

    def test_demoServer(self) -> None:
        """The demo server is made and not started."""
        reactor = MemoryReactorClock()
        made = make_demo_server(reactor)
        self.assertIsInstance(made, DemoServer)
        self.assertEqual([], reactor.tcpServers)
