"""
What each window manager brings and costs: ``python -m benchmarks.windows``.

A download of 100 MiB with each of them, without a delay and with one, and then what a reader that
pauses holds in memory. Every download has a connection and a process of its own, without TLS. The
server is the one of :mod:`txhyper.testing`, or nghttpd where that is asked for; a delay is made by
a relay, which holds back every piece, in both directions, for half of a round trip.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from txhyper import (
    AutoTuningFlowControlManager,
    BaseFlowControlManager,
    ConsumptionFlowControlManager,
    FlowControlManager,
    HTTP2ClientProtocol,
    ReceiptFlowControlManager,
    Request,
)
from txhyper.testing.responder import Responder
from txhyper.testing.server import DemoServer
from txhyper.testing.site import ServerRequest, Site

from .child import Meter
from .servers import await_port, find_program
from .workloads import MIB

#: The first one is what the others are compared with.
MANAGERS: dict[str, type[BaseFlowControlManager]] = {
    "FlowControlManager": FlowControlManager,
    "ConsumptionFlowControlManager": ConsumptionFlowControlManager,
    "ReceiptFlowControlManager": ReceiptFlowControlManager,
    "AutoTuningFlowControlManager": AutoTuningFlowControlManager,
}
#: Seconds that one download may take.
LIMIT = 300.0
#: Seconds without an octet, after which no more are expected for a reader that pauses.
QUIET = 1.0


# -- the other processes ---------------------------------------------------------------------------


class Relay(Protocol):
    """
    One direction of a connection: what comes goes out at the other end, late.

    :ivar other: the end where it goes out.
    """

    other: Relay

    def __init__(self, reactor: Any, delay: float) -> None:
        self._reactor = reactor
        self._delay = delay
        self._held: deque[bytes] = deque()
        self._isLost = False

    def dataReceived(self, data: bytes) -> None:
        """Hold it back."""
        self._held.append(data)
        self._reactor.callLater(self._delay, self._pass)

    def _pass(self) -> None:
        if self.other.transport is None:
            # The relay itself is not connected to the server yet.
            self._reactor.callLater(self._delay, self._pass)
            return
        # Timers that are due at the same time may fire in any order; the octets keep theirs.
        data = self._held.popleft()
        if not self.other._isLost:
            cast(Any, self.other.transport).write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end goes as well."""
        self._isLost = True
        if not self.other._isLost:
            cast(Any, self.other.transport).loseConnection()


class RelayFactory(Factory):
    """Connects each client to the server."""

    noisy = False

    def __init__(self, reactor: Any, port: int, delay: float) -> None:
        """:param delay: seconds in one direction."""
        self._reactor = reactor
        self._port = port
        self._delay = delay

    def buildProtocol(self, addr: IAddress | None) -> Relay:
        near, far = (Relay(self._reactor, self._delay) for _ in range(2))
        near.other, far.other = far, near
        endpoint = HostnameEndpoint(self._reactor, "127.0.0.1", self._port)
        connectProtocol(endpoint, far)
        return near


def announce(port: int) -> None:
    """Tell the parent the port."""
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


async def relay(reactor: Any, port: int, delay: float) -> None:
    """The relay's process; it is ended by its parent."""
    listening = reactor.listenTCP(0, RelayFactory(reactor, port, delay), interface="127.0.0.1")
    announce(listening.getHost().port)
    await Deferred()


async def serve(reactor: Any) -> None:
    """The server's process; it is ended by its parent."""
    site = Site()

    def download(request: ServerRequest, responder: Responder) -> None:
        size, piece = int(request.variables["size"]), bytes(65536)
        fields = [(b"content-length", b"%d" % size)]
        responder.respond(200, fields, (piece[: size - at] for at in range(0, size, len(piece))))

    site.add("/{size}", download)
    server = DemoServer(reactor, site=site, secure=False)
    await server.start()
    announce(server.port)
    await Deferred()


class Counting(HTTP2ClientProtocol):
    """A connection that counts what it reads."""

    octets = 0

    def dataReceived(self, data: bytes) -> None:
        self.octets += len(data)
        super().dataReceived(data)


class Reader(Protocol):
    """A reader that keeps nothing, and pauses for good once it has had so many octets."""

    def __init__(self, pauseAt: int | None) -> None:
        self.octets = 0
        self.pauseAt = pauseAt
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:
        self.octets += len(data)
        if self.pauseAt is not None and self.octets >= self.pauseAt:
            cast(Any, self.transport).pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone):
            self.done.callback(None)
        else:
            self.done.errback(reason)


async def measure(reactor: Any, job: dict[str, Any]) -> None:
    """The client's process: one download."""
    os.sched_setaffinity(0, {job["core"]})
    pings = 0

    def count(line: str) -> None:
        nonlocal pings
        pings += line.startswith("sent PING")

    manager = MANAGERS[job["manager"]]
    # The text of each frame takes longer than the frame: it is wanted in a run of its own.
    onFrame = count if job["pings"] else None
    connection = await connectProtocol(
        HostnameEndpoint(reactor, "127.0.0.1", job["port"]),
        Counting(reactor, window_manager=manager, onFrame=onFrame),
    )
    await connection.ping()
    meter, reader = Meter(False), Reader(job["pauseAt"])
    before = connection.octets
    with meter:
        url = b"http://localhost/%d" % job["size"]
        response = await connection.request(Request(b"GET", url))
        response.deliverBody(reader)
        if job["pauseAt"] is None:
            await reader.done
        else:
            seen = -1
            while seen < connection.octets:
                seen = connection.octets
                await deferLater(reactor, QUIET)
    if job["pauseAt"] is None and reader.octets != job["size"]:
        raise SystemExit(f"{reader.octets} octets in place of {job['size']}")
    held = connection.octets - before - reader.octets
    connection.abort()
    result = meter.result
    sys.stdout.write(
        json.dumps(
            {
                "wall": result["wall"],
                "cpu": result["user"] + result["system"],
                "growth": result["growth"],
                "held": max(0, held),
                "pings": pings,
            }
        )
        + "\n"
    )


# -- the parent ------------------------------------------------------------------------------------


@contextmanager
def process(*arguments: str) -> Iterator[int]:
    """Another process of this module; its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.windows", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as running:
        try:
            assert running.stdout is not None
            yield int(running.stdout.readline())
        finally:
            running.terminate()


@contextmanager
def nghttpd(size: int) -> Iterator[int]:
    """A server written in C, with a file of this size."""
    program = find_program("nghttpd")
    if program is None:
        sys.exit("nghttpd is not installed")
    with tempfile.TemporaryDirectory() as directory:
        with (Path(directory) / str(size)).open("wb") as file:
            file.truncate(size)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [program, "-a", "127.0.0.1", "--no-tls", "-d", directory, str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
            try:
                await_port(running, port)
                yield port
            finally:
                running.terminate()


def download(manager: str, port: int, size: int, pauseAt: int | None, pings: bool) -> Any:
    """One download in a process of its own."""
    job = {
        "manager": manager,
        "port": port,
        "size": size,
        "pauseAt": pauseAt,
        "pings": pings,
        "core": min(os.sched_getaffinity(0)),
    }
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.windows", "--measure", json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LIMIT,
        cwd=Path(__file__).parents[1],
    )
    return json.loads(said.stdout)


def say(text: str) -> None:
    """A line for the reader."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def throughput(ports: dict[float, int], size: int, rounds: int) -> None:
    """Downloads of readers that keep up."""
    first = next(iter(MANAGERS))
    say(f"{size / MIB:.0f} MiB down, medians of {rounds}; the ratio is to {first}")
    say(f"{'round trip':>10}  {'manager':32} {'MiB/s':>7} {'CPU s':>7} {'PINGs':>6} {'ratio':>6}")
    for delay, port in ports.items():
        results: dict[str, list[Any]] = {manager: [] for manager in MANAGERS}
        for _ in range(rounds):
            # In turns, so that what else the machine does falls on all of them.
            for manager, found in results.items():
                found.append(download(manager, port, size, None, False))
        base = 0.0
        for manager, found in results.items():
            rate = size / MIB / statistics.median(result["wall"] for result in found)
            cpu = statistics.median(result["cpu"] for result in found)
            base = base or rate
            pings = download(manager, port, size, None, True)["pings"] - 1
            say(
                f"{delay * 1000:7.0f} ms  {manager:32} {rate:7.1f} {cpu:7.3f} {pings:6} "
                f"{rate / base:6.2f}"
            )


def memory(ports: dict[float, int], size: int) -> None:
    """Downloads of readers that pause: at once, and having kept up for a while."""
    say(
        f"held for a reader that pauses, of {size / MIB:.0f} MiB: octets, and growth of the process"
    )
    say(f"{'round trip':>10}  {'manager':32} {'at once':>22} {'after half':>22}")
    for delay, port in ports.items():
        for manager in MANAGERS:
            found = [download(manager, port, size, at, False) for at in (0, size // 2)]
            columns = [
                f"{result['held'] / MIB:7.2f} {result['growth'] / MIB:7.1f} MiB" for result in found
            ]
            say(f"{delay * 1000:7.0f} ms  {manager:32} {columns[0]:>22} {columns[1]:>22}")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.windows", description=__doc__)
    parser.add_argument("--size", type=int, default=100, help="MiB; %(default)s by default")
    parser.add_argument("--rounds", type=int, default=3, help="%(default)s by default")
    parser.add_argument(
        "--delays", default="0,10,50", help="round trips in milliseconds; %(default)s by default"
    )
    parser.add_argument("--nghttpd", action="store_true", help="nghttpd instead of our own server")
    for role in ("--measure", "--relay"):
        parser.add_argument(role, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        react(lambda reactor: ensureDeferred(measure(reactor, json.loads(options.measure))))
    elif options.relay:
        port, delay = options.relay.split(",")
        react(lambda reactor: ensureDeferred(relay(reactor, int(port), float(delay))))
    elif options.serve:
        react(lambda reactor: ensureDeferred(serve(reactor)))
    else:
        run(options)


def run(options: argparse.Namespace) -> None:
    """Everything, one after the other."""
    size = options.size * MIB
    with ExitStack() as stack:
        server = nghttpd(size) if options.nghttpd else process("--serve")
        port = stack.enter_context(server)
        ports = {}
        for text in options.delays.split(","):
            delay = float(text) / 1000
            ports[delay] = (
                stack.enter_context(process("--relay", f"{port},{delay / 2}")) if delay else port
            )
        throughput(ports, size, options.rounds)
        memory(ports, size)


if __name__ == "__main__":
    main()
