"""
Stand-ins for what lies below the command line.

The tests of fetch, service and the console script share them: an agent that answers when the
test says so, its response, and the demo server. None of them opens anything.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from txhyper.cli.items import plan
from txhyper.cli.options import Settings
from txhyper.cli.render import Streams


def settings(*words: str, **others: Any) -> Settings:
    """Settings for these words of a request, and the options beside them."""
    return Settings(plan=plan(words or ["h"], others.get("demo", False)), **others)


def fresh_path(case: unittest.TestCase) -> Path:
    """A path at which there is nothing, in a folder that goes with the test."""
    folder = tempfile.mkdtemp(prefix="txhyper-cli-")
    case.addCleanup(shutil.rmtree, folder)
    return Path(folder, "file")


class Terminal:
    """Standard output and standard error, kept."""

    def __init__(self) -> None:
        self.stdout = io.BytesIO()
        self.stderr = io.StringIO()
        self.streams = Streams(lambda: self.stdout, self.stderr)


@dataclass
class FakeTransport:
    """The transport of one body."""

    lost: int = 0
    onLoss: Callable[[], None] = lambda: None

    def loseConnection(self) -> None:
        """Counts, and tells whoever wants to know."""
        self.lost += 1
        self.onLoss()


@implementer(IResponse)
class FakeResponse:
    """A response whose body the test delivers."""

    def __init__(self, version: tuple[bytes, int, int] = (b"HTTP", 2, 0)) -> None:
        self.version = version
        self.code = 200
        self.phrase = b"OK"
        self.headers = Headers({b"a": [b"b"]})
        self.transport = FakeTransport()
        self.protocol: Protocol | None = None

    def deliverBody(self, protocol: Protocol) -> None:
        """Keeps the protocol."""
        self.protocol = protocol
        protocol.makeConnection(self.transport)

    def body(self, *pieces: bytes) -> None:
        """Delivers pieces of the body."""
        assert self.protocol is not None
        for piece in pieces:
            self.protocol.dataReceived(piece)

    def end(self, error: Exception | None = None) -> None:
        """Ends the body."""
        assert self.protocol is not None
        self.protocol.connectionLost(Failure(error or ResponseDone()))


@implementer(IAgent)
class FakeAgent:
    """
    An agent that notes what is asked, and answers when the test says so.

    :ivar closing: what closing its connections gives.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes, Headers | None, IBodyProducer | None]] = []
        self.made: list[tuple[Settings, bytes | None]] = []
        self.log: Callable[[str], None] = lambda line: None
        self.cancelled = 0
        self.closed = 0
        self.closing: Deferred[None] = succeed(None)
        self.answer: Deferred[IResponse] = Deferred(self._cancel)

    def make(
        self, reactor: Any, settings: Settings, trusted: bytes | None, log: Callable[[str], None]
    ) -> tuple[FakeAgent, Callable[[], Deferred[None]]]:
        """Takes the place of make_agent."""
        self.made.append((settings, trusted))
        self.log = log
        return self, self.close

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Notes the request."""
        self.requests.append((method, uri, headers, bodyProducer))
        return self.answer

    def close(self) -> Deferred[None]:
        """Notes that it was closed."""
        self.closed += 1
        return self.closing

    def _cancel(self, deferred: Deferred[IResponse]) -> None:
        self.cancelled += 1


class FakeDemoServer:
    """A demo server that listens nowhere."""

    def __init__(self, events: list[str]) -> None:
        self.authority = SimpleNamespace(pem=b"DEMO CA")
        self._events = events

    def start(self) -> Deferred[None]:
        """Notes it."""
        self._events.append("start")
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Notes it."""
        self._events.append("stop")
        return succeed(None)

    def url(self, path: str = "/") -> str:
        """A URL with a port that is known only now."""
        return "https://localhost:4711" + path


class FakeReactor(MemoryReactorClock):
    """
    A reactor whose run ends when it is stopped, or when the test's script is over.

    :ivar script: called in turn once the reactor runs, as if from its loop.
    :ivar busy: whether a thread of the pool is at work.
    """

    def __init__(self, *script: Callable[[], object]) -> None:
        super().__init__()
        self.script = script
        self.busy = False
        self.threads: list[Callable[..., object]] = []

    def run(self) -> None:
        """Runs the hooks, then the script; what other threads asked for comes in between."""
        self.running = self.hasRun = True
        for hook, args, kwargs in self.whenRunningHooks:
            hook(*args, **kwargs)
        for step in self.script:
            step()
            while self.threads:
                self.threads.pop(0)()

    def callFromThread(self, function: Callable[..., object]) -> None:
        """Waits for the loop, as the real one does."""
        self.threads.append(function)

    def getThreadPool(self) -> Any:
        """A pool with as many busy threads as the test wants."""
        return SimpleNamespace(working=[None] * self.busy)
