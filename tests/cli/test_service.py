"""How a fetch owns a process: the reactor, signals, exit statuses, and what twist sees."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Any

from twisted.application.service import IService, IServiceMaker
from twisted.application.twist import _twist
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.plugin import IPlugin
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from txhyper.cli import fetch as fetch_module
from txhyper.cli import service as module
from txhyper.cli.service import FetchService, Options, makeService, run

from .fakes import FakeAgent, FakeReactor, FakeResponse, settings


class ProcessTests(SynchronousTestCase):
    """A process with an agent that waits for the test."""

    def setUp(self) -> None:
        """Fake what lies below; put signal handlers back afterwards."""
        self.agent = FakeAgent()
        self.patch(fetch_module, "make_agent", self.agent.make)
        self.stdout = io.BytesIO()
        self.patch(sys, "stdout", io.TextIOWrapper(self.stdout))
        self.patch(sys, "stderr", io.StringIO())
        for signum in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, signum, signal.getsignal(signum))

    def respond(self) -> None:
        """A complete response comes."""
        response = FakeResponse()
        self.agent.answer.callback(response)
        response.body(b"body")
        response.end()


class RunTests(ProcessTests):
    """``run``."""

    def test_success(self) -> None:
        """The reactor runs until the fetch is over, and the status is its own."""
        reactor = FakeReactor(self.respond)
        self.assertEqual(0, run(reactor, settings()))
        self.assertEqual(b"body", self.stdout.getvalue())
        self.assertTrue(reactor.hasStopped)

    def test_failure(self) -> None:
        """A failure's status comes out, and its line is on standard error."""
        reactor = FakeReactor(lambda: self.agent.answer.errback(OSError("no")))
        self.assertEqual(1, run(reactor, settings()))
        self.assertEqual("hyperfetch: no\n", sys.stderr.getvalue())  # type: ignore
        self.assertTrue(reactor.hasStopped)

    def test_atOnce(self) -> None:
        """A fetch that is over before the reactor is well running stops it as well."""
        self.agent.answer.errback(OSError("no"))
        reactor = FakeReactor()
        self.assertEqual(1, run(reactor, settings()))
        self.assertTrue(reactor.hasStopped)

    def test_signals(self) -> None:
        """
        A signal cancels the fetch from within the reactor, and its number is in the status; the
        same signal once more would end the process at once.
        """
        for signum, status in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            self.setUp()
            handlers: list[Any] = []
            agent = self.agent

            def interrupt(signum: int = signum, handlers: list[Any] = handlers) -> None:
                signal.raise_signal(signum)
                handlers.append(signal.getsignal(signum))

            def expectNothingYet(agent: FakeAgent = agent) -> None:
                self.assertEqual(0, agent.cancelled)

            reactor = FakeReactor(expectNothingYet, interrupt)
            self.assertEqual(status, run(reactor, settings()))
            self.assertEqual([signal.SIG_DFL], handlers)
            self.assertEqual((1, 1), (self.agent.cancelled, self.agent.closed))
            self.assertEqual("hyperfetch: interrupted\n", sys.stderr.getvalue())  # type: ignore
            self.assertTrue(reactor.hasStopped)

    def test_signalWhileStarting(self) -> None:
        """A signal in the middle of the first step is kept until there is something to cancel."""

        def make(*args: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return self.agent.make(*args)

        self.patch(fetch_module, "make_agent", make)
        reactor = FakeReactor(lambda: self.assertEqual(0, self.agent.cancelled))
        self.assertEqual(130, run(reactor, settings()))
        self.assertEqual("hyperfetch: interrupted\n", sys.stderr.getvalue())  # type: ignore

    def test_signalWhileClosing(self) -> None:
        """A signal counts also when only the connections are left to close."""
        self.agent.closing = Deferred()
        reactor = FakeReactor(self.respond, lambda: signal.raise_signal(signal.SIGINT))
        self.assertEqual(130, run(reactor, settings()))
        self.assertTrue(reactor.hasStopped)

    def test_busyThreads(self) -> None:
        """A name server that does not answer cannot hold up the end of the process."""
        left: list[int] = []
        self.patch(os, "_exit", left.append)
        reactor = FakeReactor(lambda: self.agent.answer.errback(OSError("no")))
        reactor.busy = True
        run(reactor, settings())
        self.assertEqual([1], left)

    def test_stoppedByOthers(self) -> None:
        """If somebody else stops the reactor that is no success."""
        self.assertEqual(70, run(FakeReactor(), settings()))

    def test_brokenPipe(self) -> None:
        """After a broken pipe the interpreter has nothing left to complain about at its end."""
        reading, writing = os.pipe()
        os.close(reading)
        stdout = os.fdopen(writing, "w")
        self.addCleanup(stdout.close)
        self.patch(sys, "stdout", stdout)
        self.assertEqual(141, run(FakeReactor(self.respond), settings()))
        stdout.flush()
        self.assertEqual("", sys.stderr.getvalue())  # type: ignore


class MakeServiceTests(ProcessTests):
    """``makeService``."""

    def options(self, parent: usage.Options | None, *words: str) -> Options:
        """Parsed options below a parent."""
        options = Options()
        options.parent = parent
        options.parseOptions(words)
        return options

    def test_twist(self) -> None:
        """Under twist the fetch runs on twist's reactor, and the process exits with its status."""
        reactor = FakeReactor(self.respond)
        directlyProvides(reactor, IReactorCore)
        parent = usage.Options()
        parent["reactor"] = reactor
        error = self.assertRaises(SystemExit, makeService, self.options(parent, "h"))
        self.assertEqual(0, error.code)
        self.assertEqual(b"body", self.stdout.getvalue())

    def test_twistd(self) -> None:
        """Under twistd, which keeps no more than a reactor's name, it is the installed one."""
        asked: list[tuple[object, object]] = []

        def fake(reactor: object, settings: object) -> int:
            asked.append((reactor, settings))
            return 7

        self.patch(module, "run", fake)
        parent = usage.Options()
        options = self.options(parent, "h")
        parent["reactor"] = "asyncio"
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual(7, error.code)
        self.assertEqual([(global_reactor, options.settings)], asked)

    def test_embedded(self) -> None:
        """Without a parent it is a service that has not begun."""
        service = makeService(self.options(None, "h"))
        verifyObject(IService, service)
        self.assertEqual([], self.agent.requests)


class FetchServiceTests(ProcessTests):
    """``FetchService``, as part of an application of one's own."""

    def test_lifeCycle(self) -> None:
        """It begins with the application, keeps the status, and then has nothing to stop."""
        service = FetchService(FakeReactor(), settings())
        service.startService()
        self.assertEqual((1, 1), (len(self.agent.requests), service.running))
        self.assertIsNone(service.status)
        self.respond()
        self.assertEqual((0, b"body"), (service.status, self.stdout.getvalue()))
        self.assertIsNone(service.stopService())
        self.assertEqual((0, 0), (service.status, service.running))

    def test_stoppedEarly(self) -> None:
        """Stopping cancels the fetch and waits until everything is closed."""
        self.agent.closing = Deferred()
        service = FetchService(FakeReactor(), settings())
        service.startService()
        stopped = service.stopService()
        assert stopped is not None
        self.assertNoResult(stopped)
        self.agent.closing.callback(None)
        self.successResultOf(stopped)
        self.assertEqual((130, 1), (service.status, self.agent.cancelled))

    def test_neverStarted(self) -> None:
        """A service that never began has nothing to stop."""
        self.assertIsNone(FetchService(FakeReactor(), settings()).stopService())


class DropinTests(SynchronousTestCase):
    """The plugin, as twist finds it."""

    def test_plugin(self) -> None:
        """It is a plugin that makes services, and names this command's module."""
        from twisted.plugins.txhyper_dropin import hyperfetch  # type: ignore

        verifyObject(IPlugin, hyperfetch)
        verifyObject(IServiceMaker, hyperfetch)
        self.assertEqual("hyperfetch", hyperfetch.tapname)
        self.assertIs(Options, hyperfetch.options)
        self.assertIs(makeService, hyperfetch.makeService)

    def test_usageError(self) -> None:
        """A mistake makes twist exit with status 64, with the reason on standard error."""
        stderr = io.StringIO()
        self.patch(sys.modules["twisted.application.runner._exit"], "stderr", stderr)
        error = self.assertRaises(
            SystemExit, _twist.Twist.options, ["twist", "hyperfetch", "ftp://h/"]
        )
        self.assertEqual(64, error.code)
        self.assertIn("neither http nor https", stderr.getvalue())
