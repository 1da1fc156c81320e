"""
``hyperfetch`` and ``twist hyperfetch`` as programs, against real servers.

Each test runs the command as a user would, in a process of its own, and compares the octets that
it printed with those the server has, and with what curl printed when there is a curl.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from . import bodies
from .launchers import ROOT, Launcher, Nghttpd, Nginx, Node, TwistedWeb, running

#: Seconds that one command may take.
LIMIT = 90
#: How much more memory 100 MiB may take than 1 MiB does, in KiB: room for the windows to open,
#: and none to hold the body.
SLACK = 24 * 1024

#: Runs a command and prints the largest resident set it reached, in KiB. It is a process of its
#: own, because the kernel starts a child's account with its parent's size, and that of the test
#: run would hide everything.
METER = """\
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def command(name: str, module: str) -> list[str]:
    """The installed script, or the module that it runs where txhyper is not installed."""
    scripts = Path(sys.executable).parent
    isInstalled = (scripts / "hyperfetch").exists()
    return [str(scripts / name)] if isInstalled else [sys.executable, "-m", module]


HYPERFETCH = command("hyperfetch", "txhyper.cli")
TWIST = [*command("twist", "twisted"), "hyperfetch"]
TWIST_ASYNCIO = [*command("twist", "twisted"), "--reactor=asyncio", "hyperfetch"]


class CommandTests:
    """What holds for every server; each class below names one."""

    launcher: type[Launcher]

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.output = Path(tempfile.mkdtemp(prefix="txhyper-output-"))
        self.addCleanup(shutil.rmtree, self.output)

    def printed(self, arguments: list[str]) -> str:
        """Run a command that must succeed and stay silent; the digest of its standard output."""
        path = self.output / "body"
        with path.open("wb") as stdout:
            done = subprocess.run(
                arguments,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                timeout=LIMIT,
            )
        self.assertEqual((done.returncode, done.stderr), (0, b""), arguments)
        sha = hashlib.sha256()
        with path.open("rb") as body:
            while octets := body.read(bodies.MEBIBYTE):
                sha.update(octets)
        return sha.hexdigest()

    def fetch(self, program: list[str], size: int, *more: str) -> list[str]:
        """The command line that gets the body of this size."""
        url = self.server.url(f"/{size}")
        return [*program, "--cafile", str(self.server.caFile), *more, "GET", url]

    def checkSize(self, size: int) -> None:
        """Both programs print what the server has; so does curl, where there is one."""
        expected = bodies.digest(size)
        self.assertEqual(self.printed(self.fetch(HYPERFETCH, size)), expected)
        self.assertEqual(self.printed(self.fetch(TWIST, size)), expected)
        curl = shutil.which("curl")
        if curl is not None:
            url = self.server.url(f"/{size}")
            line = [curl, "-sS", "--cacert", str(self.server.caFile), url]
            self.assertEqual(self.printed(line), expected)

    def test_empty(self) -> None:
        """Nothing is printed for an empty body, and that is a success."""
        self.checkSize(0)

    def test_small(self) -> None:
        """A hundred octets, control characters among them, are printed as they are."""
        self.checkSize(100)

    def test_mebibyte(self) -> None:
        """A mebibyte is printed octet for octet."""
        self.checkSize(bodies.MEBIBYTE)

    def test_hundredMebibytes(self) -> None:
        """A hundred mebibytes are printed octet for octet."""
        self.checkSize(100 * bodies.MEBIBYTE)

    def peak(self, program: list[str], size: int) -> int:
        """The memory, in KiB, that a fetch of this size into nothing took at most."""
        line = [sys.executable, "-c", METER, *self.fetch(program, size, "-o", "/dev/null")]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, timeout=LIMIT)
        self.assertEqual((done.returncode, done.stderr), (0, b""), line)
        return int(done.stdout)

    def checkMemory(self, program: list[str]) -> None:
        """A hundred times the body takes no more memory than the windows account for."""
        small = self.peak(program, bodies.MEBIBYTE)
        large = self.peak(program, 100 * bodies.MEBIBYTE)
        self.assertLess(large, small + SLACK)

    def test_memory(self) -> None:
        """``hyperfetch`` passes a body on as it comes, and keeps none of it."""
        self.checkMemory(HYPERFETCH)

    def test_memoryTwist(self) -> None:
        """``twist hyperfetch`` passes a body on as it comes, and keeps none of it."""
        self.checkMemory(TWIST)

    def test_asyncio(self) -> None:
        """``twist --reactor=asyncio hyperfetch`` prints the same octets."""
        size = bodies.MEBIBYTE
        self.assertEqual(self.printed(self.fetch(TWIST_ASYNCIO, size)), bodies.digest(size))


class TwistedWebTests(CommandTests, SynchronousTestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class NodeTests(CommandTests, SynchronousTestCase):
    """Node's http2 server."""

    launcher = Node


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdTests(CommandTests, SynchronousTestCase):
    """nghttp2's server."""

    launcher = Nghttpd


@unittest.skipIf(Nginx.missing(), Nginx.missing())
class NginxTests(CommandTests, SynchronousTestCase):
    """nginx."""

    launcher = Nginx
