"""
Bodies that do not fit into memory, both ways, through every real server.

Owns two promises: a transfer takes about as much memory as no transfer does, and a reader that has
paused holds back its own stream alone, which holds no more than its window.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseFailed

from txhyper import Agent, ConnectionPool, Request
from txhyper.client.tls import policyTrusting
from txhyper.core.windows import FlowControlManager

from . import bodies
from .fetching import digestOf
from .launchers import ROOT, Hypercorn, Launcher, Nghttpd, Node, StoringNginx, TwistedWeb, running
from .receipts import Counting, Echoing, Storing

LARGE = 100 * bodies.MEBIBYTE
SIBLING = 20 * bodies.MEBIBYTE
#: How much more memory a large transfer may take than a small request has, in octets.
SLACK = 32 * bodies.MEBIBYTE
#: Seconds that one transfer may take.
LIMIT = 90


class MemoryTests:
    """What holds for every server; each class below names one, and how it tells what it got."""

    launcher: type[Launcher]

    def setUp(self) -> None:
        self.server = running(self.launcher)

    def transfer(self, method: str, path: str) -> tuple[int, int, str]:
        """Run a large transfer, which must stay within its memory. :return: what was answered."""
        url, warmUp = self.server.url(path), self.server.url("/100")
        arguments = [str(self.server.caFile), method, url, str(LARGE), warmUp]
        line = [sys.executable, "-m", "tests.interop.children.transfer", *arguments]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        told = json.loads(done.stdout)
        self.assertEqual(told["version"], 2)
        self.assertLess(told["peak"] - told["idle"], SLACK)
        return told["status"], told["count"], told["sha256"]

    def test_download(self) -> None:
        """A hundred mebibytes come down octet for octet, and none are kept."""
        answer = self.transfer("GET", f"/{LARGE}")
        self.assertEqual(answer, (200, LARGE, bodies.digest(LARGE)))

    def test_upload(self) -> None:
        """A hundred mebibytes that a generator makes go up octet for octet, and none are kept."""
        answer = self.transfer(self.method.decode(), self.target("large"))
        self.checkReceipt("large", LARGE, answer)


class TwistedWebMemoryTests(Counting, MemoryTests, SynchronousTestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class HypercornMemoryTests(Counting, MemoryTests, SynchronousTestCase):
    """hypercorn."""

    launcher = Hypercorn


class NodeMemoryTests(Counting, MemoryTests, SynchronousTestCase):
    """Node's http2 server."""

    launcher = Node


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdMemoryTests(Echoing, MemoryTests, SynchronousTestCase):
    """nghttp2's server, which sends an upload back: so this goes both ways at once."""

    launcher = Nghttpd


@unittest.skipIf(StoringNginx.missing(), StoringNginx.missing())
class NginxMemoryTests(Storing, MemoryTests, SynchronousTestCase):
    """nginx."""

    launcher = StoringNginx


class PausedForGood(Protocol):
    """A reader that pauses before anything has come, and never resumes."""

    def __init__(self) -> None:
        self.received = 0
        self.ended: Deferred[Failure] = Deferred()

    def connectionMade(self) -> None:
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(reason.value)


class PausedReaderTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]
    timeout = 90

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.frames: list[str] = []
        pool = ConnectionPool(reactor, onFrame=self.frames.append)
        self.agent = Agent(reactor, policyTrusting(self.server.authority.pem), pool=pool)
        self.addCleanup(self.agent.close)

    def get(self, size: int) -> Deferred:
        """Ask for the body of this size."""
        return self.agent.send(Request(b"GET", self.server.url(f"/{size}").encode()))

    def came(self, streamId: int) -> int:
        """The flow-controlled octets that the server has sent on a stream."""
        line = re.compile(rf"received DATA stream={streamId} length=(\d+)")
        return sum(int(found[1]) for frame in self.frames if (found := line.match(frame)))

    async def sibling(self) -> None:
        """Download a body whole."""
        self.assertEqual(await digestOf(await self.get(SIBLING)), (SIBLING, bodies.digest(SIBLING)))

    async def test_siblings(self) -> None:
        """
        While a reader pauses for good, its siblings on the same connection come to their ends.

        It gets nothing, and no more than its window waits for it. It can still be given up, and
        the connection goes on.
        """
        response = await self.get(LARGE)
        reader = PausedForGood()
        response.deliverBody(reader)
        await gatherResults([Deferred.fromCoroutine(self.sibling()) for _ in range(4)])

        self.assertEqual(reader.received, 0)
        self.assertEqual(self.came(response.streamId), FlowControlManager.initial_stream_window)
        self.assertFalse(reader.ended.called)

        reader.transport.stopProducing()
        self.assertIsInstance(await reader.ended, ResponseFailed)
        self.assertEqual(reader.received, 0)
        self.assertEqual(await (await self.get(100)).read(), bodies.body(100))
        greetings = [frame for frame in self.frames if frame.startswith("sent SETTINGS")]
        self.assertEqual(len([frame for frame in greetings if "ACK" not in frame]), 1)


class TwistedWebPausedReaderTests(PausedReaderTests, TestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class HypercornPausedReaderTests(PausedReaderTests, TestCase):
    """hypercorn."""

    launcher = Hypercorn


class NodePausedReaderTests(PausedReaderTests, TestCase):
    """Node's http2 server."""

    launcher = Node


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdPausedReaderTests(PausedReaderTests, TestCase):
    """nghttp2's server."""

    launcher = Nghttpd


@unittest.skipIf(StoringNginx.missing(), StoringNginx.missing())
class NginxPausedReaderTests(PausedReaderTests, TestCase):
    """nginx."""

    launcher = StoringNginx
