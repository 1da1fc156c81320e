"""Tests for :mod:`txhyper.client.keylog`: what ``SSLKEYLOGFILE`` asks for."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.client.test_tls import AUTHORITY, TLSNetwork, ask
from txhyper.client.keylog import KeyLog
from txhyper.client.tls import ClientCertificate, defaultPolicy, policyTrusting, unverifiedPolicy

CERTIFICATE = AUTHORITY.issue("localhost")


class KeyLogTests(SynchronousTestCase):
    """Connections that leave their secrets in a file."""

    def setUp(self) -> None:
        """A place for the file, and an ear for warnings."""
        self.path = Path(self.mktemp())
        self.warnings: list[Any] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        """Keep the warnings of the module."""
        if event["log_namespace"] == "txhyper.client.keylog.KeyLog":
            self.assertIs(LogLevel.warn, event["log_level"])
            self.warnings.append(event["log_format"].format(**event))

    def connect(self, policy: Any, path: Path | str | None = None) -> TLSNetwork:
        """Shake hands under this policy, with the variable set."""
        network = TLSNetwork(Clock(), policy, CERTIFICATE)
        with mock.patch.dict(os.environ, {"SSLKEYLOGFILE": str(path or self.path)}):
            self.assertNoResult(ask(network))
        self.assertTrue(network.server.octets.startswith(b"PRI * HTTP/2.0"))
        return network

    def random(self, network: TLSNetwork) -> str:
        """What a connection is known by in the file."""
        octets: bytes = network.serverTLS.getHandle().client_random()
        return octets.hex()

    def test_lines(self) -> None:
        """
        Each of our policies adds the secrets of each of its connections, in whole lines that name
        the connection; the file is for its owner alone.
        """
        roots = {"SSL_CERT_FILE": os.path.abspath(self.mktemp())}
        Path(roots["SSL_CERT_FILE"]).write_bytes(AUTHORITY.pem)
        issued = AUTHORITY.issueClient("somebody")
        client = ClientCertificate(issued.certificatePem, issued.privateKeyPem)
        networks = []
        with mock.patch.dict(os.environ, roots):
            for policy in (
                defaultPolicy(),
                policyTrusting(AUTHORITY.pem),
                policyTrusting(AUTHORITY.pem, client),
                unverifiedPolicy(),
            ):
                networks += [self.connect(policy) for _ in range(2)]
        self.assertEqual(0o600, stat.S_IMODE(self.path.stat().st_mode))
        text = self.path.read_text()
        self.assertTrue(text.endswith("\n"))
        known = {(line.split(" ")[0], line.split(" ")[1]) for line in text.splitlines()}
        for network in networks:
            random = self.random(network)
            self.assertIn(("CLIENT_TRAFFIC_SECRET_0", random), known)
            self.assertIn(("SERVER_TRAFFIC_SECRET_0", random), known)
        self.assertEqual([], self.warnings)

    def test_nothingAsked(self) -> None:
        """Without the variable, or with an empty one, nothing is written and nothing opened."""
        for value in (None, ""):
            with mock.patch.dict(os.environ):
                os.environ.pop("SSLKEYLOGFILE", None)
                if value is not None:
                    os.environ["SSLKEYLOGFILE"] = value
                self.assertIsNone(KeyLog.fromEnvironment())

    def test_environmentIgnored(self) -> None:
        """Where Python was told to ignore its environment, this variable is ignored as well."""
        script = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
            "from txhyper.client.keylog import KeyLog; print(KeyLog.fromEnvironment())"
        )
        environment = {**os.environ, "SSLKEYLOGFILE": str(self.path)}
        for flags, printed in [(["-E"], b"None"), ([], b"<txhyper.client.keylog.KeyLog")]:
            out = subprocess.run(
                [sys.executable, *flags, "-c", script],
                env=environment,
                capture_output=True,
                check=True,
            ).stdout
            self.assertTrue(out.startswith(printed), out)
        self.assertTrue(self.path.exists())

    def test_added(self) -> None:
        """What the file holds already stays, with the rights that it has."""
        self.path.write_text("before\n")
        self.path.chmod(0o644)
        self.connect(policyTrusting(AUTHORITY.pem))
        self.assertTrue(self.path.read_text().startswith("before\nSERVER_"))
        self.assertEqual(0o644, stat.S_IMODE(self.path.stat().st_mode))

    def test_onceRead(self) -> None:
        """The variable is read when a policy is first used; later changes are nobody's business."""
        policy = policyTrusting(AUTHORITY.pem)
        self.connect(policy)
        other = Path(self.mktemp())
        network = self.connect(policy, other)
        self.assertFalse(other.exists())
        self.assertIn(self.random(network), self.path.read_text())

    def test_oneWriteForALine(self) -> None:
        """A line is written in one piece, so that processes may share the file."""
        writes = []
        write = os.write

        def note(file: int, data: bytes) -> int:
            writes.append(data)
            return write(file, data)

        with mock.patch("os.write", note):
            self.connect(policyTrusting(AUTHORITY.pem))
        self.assertEqual(self.path.read_bytes(), b"".join(writes))
        self.assertEqual({1}, {data.count(b"\n") for data in writes})
        self.assertTrue(all(data.endswith(b"\n") for data in writes))

    def test_notOpened(self) -> None:
        """A file that cannot be opened costs a warning, which names it and the reason."""
        policy = policyTrusting(AUTHORITY.pem)
        missing = self.path / "file"
        for _ in range(2):
            self.connect(policy, missing)
        (warning,) = self.warnings
        for part in (str(missing), "SSLKEYLOGFILE", "No such file"):
            self.assertIn(part, warning)

    def test_pipeThatNobodyReads(self) -> None:
        """A pipe without a reader, or one that is full, is a file that cannot be had."""
        os.mkfifo(self.path)
        self.connect(policyTrusting(AUTHORITY.pem))
        self.assertIn("cannot be opened", self.warnings.pop())
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        log = KeyLog(str(self.path))
        while not self.warnings:
            log.write(None, b"x" * 65536)
        self.assertIn("cannot be written", self.warnings.pop())

    def test_notWritten(self) -> None:
        """A file that cannot be written any more costs one warning, and no connection."""
        policy = policyTrusting(AUTHORITY.pem)
        with mock.patch("os.write", side_effect=OSError(28, "No space left on device")) as write:
            for _ in range(2):
                self.connect(policy)
            write.assert_called_once()
        (warning,) = self.warnings
        self.assertIn("No space left", warning)
        self.assertIn(str(self.path), warning)

    def test_closed(self) -> None:
        """The file is closed when nothing can write to it any more."""
        log: KeyLog | None = KeyLog(str(self.path))
        with mock.patch("os.write") as write:
            log.write(None, b"line")  # type: ignore[union-attr]
        file = write.call_args.args[0]
        os.fstat(file)
        log = None
        gc.collect()
        self.assertRaises(OSError, os.fstat, file)
