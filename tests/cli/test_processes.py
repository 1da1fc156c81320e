"""
The real programs, in processes of their own, against the demo server inside them.

Everything that the other tests here cannot see from within: exit statuses, standard output with
nothing but the body on it, signals and broken pipes, and that the script and twist do the same.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

import txhyper
from txhyper.testing.certs import CertificateAuthority
from txhyper.testing.endpoints import pseudoRandom

from .fakes import fresh_path

#: Where ``python -m`` and Twisted's plugin search find the project without its installation.
ROOT = Path(txhyper.__file__).parents[1]
#: Seconds after which a program that should have ended long ago is taken for hanging.
LIMIT = 60

SCRIPT = ["-m", "txhyper.cli"]
SCRIPT_ASYNCIO = [*SCRIPT, "--reactor", "asyncio"]
TWIST = ["-m", "twisted", "hyperfetch"]
TWIST_ASYNCIO = ["-m", "twisted", "--reactor=asyncio", "hyperfetch"]
TWIST_ASYNCIO_AFTER = [*TWIST, "--reactor=asyncio"]
#: It has no module of its own to be run; options that detach it from its terminal are left out.
TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "hyperfetch"]
EVERY_WAY = [SCRIPT, SCRIPT_ASYNCIO, TWIST, TWIST_ASYNCIO, TWIST_ASYNCIO_AFTER, TWISTD]


def command(way: list[str], *words: str) -> list[str]:
    """The command line, for this Python."""
    return [sys.executable, *way, *words]


class Case(SynchronousTestCase):
    """Runs programs."""

    def run_way(self, way: list[str], *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run one to its end, with nothing on its standard input."""
        return subprocess.run(
            command(way, *words),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )

    def start(self, way: list[str], *words: str) -> subprocess.Popen[bytes]:
        """Start one; it is ended with the test, if it is still there."""
        process = subprocess.Popen(
            command(way, *words),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def assertEnds(
        self, way: list[str], words: list[str], status: int, stdout: bytes, stderr: str
    ) -> None:
        """The program ends with this status, this body, and a line of these words."""
        done = self.run_way(way, *words)
        said = done.stderr.decode()
        self.assertEqual((status, stdout), (done.returncode, done.stdout), said)
        if stderr:
            self.assertIn(stderr, said)
            self.assertTrue(said.startswith("hyperfetch: "), said)
            self.assertEqual(1, said.count("\n"), said)
        else:
            self.assertEqual("", said)


class DemoTests(Case):
    """The main job, on a machine without a network."""

    def test_everyWay(self) -> None:
        """The script, twist and twistd give the same octets and no others, on any reactor."""
        body = b"".join(pseudoRandom(70000))
        for way in EVERY_WAY:
            self.assertEnds(way, ["--demo", "GET", "/bytes/70000"], 0, body, "")

    def test_request(self) -> None:
        """What was typed arrives at the server."""
        done = self.run_way(SCRIPT, "--demo", "/anything?a=b", "q==ü", "X-Me:yes", "name=Hyper")
        self.assertEqual((0, b""), (done.returncode, done.stderr))
        seen = json.loads(done.stdout)
        self.assertEqual("POST", seen["method"])
        self.assertEqual({"a": "b", "q": "ü"}, seen["args"])
        self.assertEqual({"name": "Hyper"}, seen["json"])
        sent = {name.lower(): value for name, value in seen["headers"].items()}
        self.assertEqual("yes", sent["x-me"])
        self.assertEqual("application/json", sent["content-type"])
        self.assertEqual(f"hyperfetch/{txhyper.__version__}", sent["user-agent"])

    def test_include(self) -> None:
        """With -i the head comes before the body, and every status is a success."""
        done = self.run_way(TWIST, "--demo", "/status/404", "-i")
        self.assertEqual((0, b""), (done.returncode, done.stderr))
        head, _, _ = done.stdout.partition(b"\r\n\r\n")
        self.assertEqual(b"HTTP/2 404", head.splitlines()[0])

    def test_debug(self) -> None:
        """With --debug frames sent and received are told on standard error, and only there."""
        done = self.run_way(SCRIPT, "--demo", "/bytes/10", "--debug")
        self.assertEqual((0, 10), (done.returncode, len(done.stdout)))
        for frame in (b"SETTINGS", b"HEADERS", b"DATA"):
            self.assertIn(frame, done.stderr)

    def test_outputFile(self) -> None:
        """With -o the body is in the file and standard output is empty."""
        path = fresh_path(self)
        self.assertEnds(TWIST, ["--demo", "/bytes/5000", "-o", str(path)], 0, b"", "")
        self.assertEqual(b"".join(pseudoRandom(5000)), path.read_bytes())


class FailureTests(Case):
    """Each kind of failure has its exit status, and one line."""

    def test_refused(self) -> None:
        """Nobody listens: the network's failure, and no file is left."""
        path = fresh_path(self)
        with socket.socket() as bound:
            # Bound and not listening: no other process can come to listen there meanwhile.
            bound.bind(("127.0.0.1", 0))
            url = f"https://127.0.0.1:{bound.getsockname()[1]}/"
            for way in (SCRIPT, TWIST, TWIST_ASYNCIO):
                self.assertEnds(way, [url, "-o", str(path)], 1, b"", "refused")
        self.assertFalse(path.exists())

    def test_untrusted(self) -> None:
        """A certificate of another authority: TLS' failure; with --insecure it will do."""
        path = fresh_path(self)
        path.write_bytes(CertificateAuthority().pem)
        words = ["--demo", "/bytes/0", "--cafile", str(path)]
        self.assertEnds(SCRIPT, words, 1, b"", "certificate")
        self.assertEnds(SCRIPT, ["--demo", "/bytes/0", "--insecure"], 0, b"", "")

    def test_noCertificates(self) -> None:
        """A --cafile without certificates is a mistake on the command line."""
        path = fresh_path(self)
        path.write_bytes(b"no PEM\n")
        self.assertEnds(SCRIPT, ["--demo", "/get", "--cafile", str(path)], 64, b"", "certificate")

    def test_unfitCertificate(self) -> None:
        """A --cert that cannot be used is a mistake on the command line, and nothing is dialled."""
        path = fresh_path(self)
        issued = CertificateAuthority().issueClient("somebody")
        path.write_bytes(issued.certificatePem)
        words = ["https://127.0.0.1:1/", "--cert", str(path)]
        self.assertEnds(SCRIPT, words, 64, b"", "no private key")

    def test_timeLimit(self) -> None:
        """A server that takes its time: the time limit ends it, before and within a body."""
        for way in (SCRIPT, TWIST_ASYNCIO):
            words = ["--demo", "/delay/10", "--timeout", "1"]
            self.assertEnds(way, words, 2, b"", "within 1 s")
        done = self.run_way(SCRIPT, "--demo", "/drip?duration=10&numbytes=2", "--timeout", "1")
        self.assertEqual(2, done.returncode, done.stderr)

    def test_timeLimitOfALookup(self) -> None:
        """A name server that does not answer keeps a thread busy, and yet not the program."""
        way = [
            "-c",
            "import socket, time\n"
            "socket.getaddrinfo = lambda *args, **kwargs: time.sleep(600)\n"
            "from txhyper.cli.__main__ import run\n"
            "run()",
        ]
        self.assertEnds(way, ["https://h.example/", "--timeout", "1"], 2, b"", "within 1 s")

    def test_usage(self) -> None:
        """Mistakes: one line from the script, twist's own way from twist; 64 from both."""
        self.assertEnds(SCRIPT, ["ftp://h/"], 64, b"", "neither http nor https")
        self.assertEnds(SCRIPT, ["h", "A:b\nc"], 64, b"", "line break")
        for words in (["ftp://h/"], ["h", "--no-such-option"], []):
            done = self.run_way(TWIST, *words)
            self.assertEqual((64, b""), (done.returncode, done.stdout))
            self.assertTrue(done.stderr.startswith(b"Error: "), done.stderr)

    def test_help(self) -> None:
        """--help is a success, on standard output, in both ways."""
        for way in (SCRIPT, TWIST):
            done = self.run_way(way, "--help")
            self.assertEqual((0, b""), (done.returncode, done.stderr))
            self.assertIn(b"hyperfetch [options] [METHOD] URL [ITEM ...]", done.stdout)


class InterruptedTests(Case):
    """What the outside does to a fetch that is going on."""

    def test_signals(self) -> None:
        """Ctrl-C is 130 and SIGTERM 143, with one line, in every way and on both reactors."""
        ways = [(way, signal.SIGINT, 130) for way in EVERY_WAY]
        for way, signum, status in [*ways, (SCRIPT, signal.SIGTERM, 143)]:
            process = self.start(way, "--demo", "/delay/10", "--debug")
            assert process.stderr is not None
            seen = []
            for line in process.stderr:
                seen.append(line)
                if b"HEADERS" in line:
                    break
            process.send_signal(signum)
            stdout, stderr = process.communicate(timeout=LIMIT)
            said = b"".join([*seen, stderr])
            self.assertEqual((status, b""), (process.returncode, stdout), said)
            self.assertEqual(1, said.count(b"hyperfetch: interrupted\n"), said)
            self.assertNotIn(b"Traceback", said)

    def test_readerGoes(self) -> None:
        """A reader that has seen enough ends the fetch quietly, as it ends cat."""
        for way in EVERY_WAY:
            process = self.start(way, "--demo", "/bytes/5000000")
            assert process.stdout is not None and process.stderr is not None
            self.assertEqual(10, len(process.stdout.read(10)))
            process.stdout.close()
            self.assertEqual(b"", process.stderr.read())
            self.assertEqual(141, process.wait(LIMIT))

    def test_noStandardOutput(self) -> None:
        """Without a standard output a body cannot be written, and that is told."""
        process = subprocess.run(
            ["sh", "-c", '"$@" >&-', "sh", *command(SCRIPT, "--demo", "/bytes/5")],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=LIMIT,
            check=False,
        )
        self.assertEqual(1, process.returncode)
        self.assertEqual(b"hyperfetch: [Errno 9] standard output is closed\n", process.stderr)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
    def test_fullDisk(self) -> None:
        """A standard output that is full is told once, and the status is not Python's own."""
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                command(SCRIPT, "--demo", "/bytes/5"),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=LIMIT,
                check=False,
            )
        self.assertEqual(1, process.returncode)
        self.assertEqual(1, process.stderr.count(b"\n"), process.stderr)
        self.assertIn(b"No space left on device", process.stderr)
