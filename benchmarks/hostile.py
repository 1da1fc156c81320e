"""
The worst of servers: what they cost a client that has a hundred requests open.

``python -m benchmarks.hostile`` has one server after another misbehave for ten seconds, over a
loopback socket, towards a client in a process of its own: an agent with default settings, over
HTTP/2 without TLS, so that nothing slows the server down. It prints what the client's process took
in that time: memory above what it had when idle, CPU, octets of bodies that were read, and what
became of the requests. The servers' frames are written octet by octet here: no library would.

The promise that it is about: no more than 64 MiB above idle and one core-second in ten seconds,
apart from the octets of bodies that their readers asked for.
"""

from __future__ import annotations

import argparse
import gzip
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REQUESTS = 100
SECONDS = 10.0
MEMORY = 64 * 1024 * 1024
CPU = 1.0

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
ORIGIN = 12
END_STREAM, END_HEADERS = 1, 4
OK = b"\x88"
#: The streams of the hundred requests: the first one was answered as it should be.
STREAMS = range(3, 3 + 2 * REQUESTS, 2)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113 section 4.1)."""
    length = struct.pack(">L", len(payload))[1:]
    return length + bytes([kind, flags]) + struct.pack(">L", stream) + payload


def text(octets: bytes) -> bytes:
    """A string as HPACK has it, without Huffman's code (RFC 7541 section 5.2)."""
    size = len(octets)
    if size < 127:
        return bytes([size]) + octets
    size -= 127
    number = b"\x7f"
    while size >= 128:
        number += bytes([size % 128 + 128])
        size //= 128
    return number + bytes([size]) + octets


def literal(name: bytes, value: bytes, indexed: bool = False) -> bytes:
    """A field that is not in the table yet."""
    return (b"\x40" if indexed else b"\x00") + text(name) + text(value)


def block(stream: int, octets: bytes, end: bool = False, kind: int = HEADERS) -> bytes:
    """A header block, in as many frames as it needs."""
    parts = [octets[at : at + 16384] for at in range(0, len(octets), 16384)]
    frames = []
    for number, part in enumerate(parts):
        flags = (END_HEADERS if number == len(parts) - 1 else 0) | (
            END_STREAM if end and not number else 0
        )
        frames.append(frame(CONTINUATION if number else kind, flags, stream, part))
    return b"".join(frames)


HEADS = b"".join(frame(HEADERS, END_HEADERS, stream, OK) for stream in STREAMS)


def again(octets: bytes, first: bytes = b"") -> Iterator[bytes]:
    """The same, for ever, in large pieces."""
    yield first
    large = octets * max(1, 65536 // len(octets))
    while True:
        yield large


def continuations(part: bytes) -> Iterator[bytes]:
    """A header block without an end."""
    yield from again(frame(CONTINUATION, 0, 3, part), frame(HEADERS, 0, 3, OK))


def header_lists() -> Iterator[bytes]:
    """As many fields as the bounds allow, all different, for every request."""
    for stream in STREAMS:
        fields = b"".join(
            literal(b"x-%d" % number, b"%d-%d" % (stream, number) + b"v" * 80)
            for number in range(1900)
        )
        yield block(stream, OK + fields)
    yield from silence()


def promises() -> Iterator[bytes]:
    """Promises without an end, for an origin that is not the server's."""
    head = b"\x82\x86\x84" + literal(b":authority", b"elsewhere.test")
    for number in range(1, 1 << 20):
        yield frame(PUSH_PROMISE, END_HEADERS, 3, struct.pack(">L", 2 * number) + head)


def informational(bombs: bool) -> Iterator[bytes]:
    """103 after 103; with bombs, each a header list of nearly 2000 fields in as many octets."""
    head = b"\x08\x03103"
    yield block(3, head + literal(b"x", b"y" * 60, True))
    fields = b"\xbe" * 1990 if bombs else literal(b"link", b"</style.css>; rel=preload")
    for _ in range(120):
        for stream in STREAMS:
            yield block(stream, head + fields)
    yield from silence()


def bomb() -> Iterator[bytes]:
    """A field of 3 KiB, and 16,000 octets that each stand for it."""
    first = block(3, OK + literal(b"x", b"y" * 3000, True))
    yield from again(b"".join(block(s, OK + b"\xbe" * 16000) for s in STREAMS[1:]), first)


def drip(octets: bytes, pause: float) -> Iterator[bytes]:
    """An octet at a time."""
    while True:
        for octet in octets:
            yield bytes([octet])
            if pause:
                time.sleep(pause)


def gzipped() -> Iterator[bytes]:
    """A gzip of gigabytes of zeros, to every request that is read."""
    zeros = gzip.compress(bytes(64 * 1024 * 1024))
    yield b"".join(block(stream, OK + literal(b"content-encoding", b"gzip")) for stream in STREAMS)
    for at in range(0, len(zeros), 16384):
        yield b"".join(frame(DATA, 0, stream, zeros[at : at + 16384]) for stream in STREAMS)
    yield from silence()


def filled() -> Iterator[bytes]:
    """Every window, filled."""
    yield HEADS
    for _ in range(16):
        yield b"".join(frame(DATA, 0, stream, bytes(16384)) for stream in STREAMS)
    yield from silence()


def small(first: bytes = HEADS) -> Iterator[bytes]:
    """Bodies in frames of one octet."""
    yield from again(b"".join(frame(DATA, 0, stream, b"x") for stream in STREAMS), first)


def silence() -> Iterator[bytes]:
    """Nothing more."""
    while True:
        time.sleep(0.1)
        yield b""


def resets(code: int) -> Iterator[bytes]:
    """Every stream that a client may open is reset."""
    for stream in range(3, 3 + 2 * REQUESTS * 10, 2):
        if stream == STREAMS.stop:
            time.sleep(0.05)
        yield frame(RST_STREAM, 0, stream, struct.pack(">L", code)) if stream in STREAMS else b""
    yield from silence()


def goaway() -> bytes:
    """GOAWAY that promises everything."""
    return frame(GOAWAY, 0, 0, struct.pack(">LL", (1 << 31) - 1, 0))


#: By name: what it says, and how the client is to behave: ``read``, ``keep`` or ``push``.
BEHAVIOURS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "nothing at all": (silence, "read"),
    "PING": (lambda: again(frame(PING, 0, 0, bytes(8))), "read"),
    "PING, and never reads": (lambda: again(frame(PING, 0, 0, bytes(8))), "read"),
    "SETTINGS": (lambda: again(frame(SETTINGS, 0, 0, b"\0\4\0\1\0\0" * 64)), "read"),
    "SETTINGS, windows up and down": (
        lambda: again(
            frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + frame(SETTINGS, 0, 0, b"\0\4\0\1\0\0")
        ),
        "read",
    ),
    "WINDOW_UPDATE": (lambda: again(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")), "read"),
    "PRIORITY": (lambda: again(frame(PRIORITY, 0, 3, bytes(5))), "read"),
    "frames of unknown types, 16 KiB": (lambda: again(frame(99, 0, 0, bytes(16384))), "read"),
    "ORIGIN": (lambda: again(frame(ORIGIN, 0, 0, b"\0\x0ehttps://a.test" * 900)), "read"),
    "GOAWAY": (lambda: again(goaway()), "read"),
    "empty DATA": (lambda: again(frame(DATA, 0, 3), HEADS), "read"),
    "empty DATA, padded": (lambda: again(frame(DATA, 8, 3, b"\xff" + bytes(255)), HEADS), "read"),
    "CONTINUATION, empty": (lambda: continuations(b""), "read"),
    "CONTINUATION, 16 KiB": (lambda: continuations(literal(b"x", b"y" * 16000)), "read"),
    "header lists up to the bounds": (header_lists, "keep"),
    "HPACK bombs": (bomb, "keep"),
    "103": (lambda: informational(False), "read"),
    "103 with HPACK bombs": (lambda: informational(True), "read"),
    "promises, not asked for": (promises, "read"),
    "promises, asked for": (promises, "push"),
    "resets, REFUSED_STREAM": (lambda: resets(7), "read"),
    "resets, CANCEL": (lambda: resets(8), "read"),
    "frames of closed streams": (
        lambda: again(frame(DATA, 0, 3), frame(RST_STREAM, 0, 3, bytes(4))), "read"
    ),
    "every window filled, nobody reads": (filled, "keep"),
    "DATA of one octet, nobody reads": (small, "keep"),
    "DATA of one octet, read": (small, "read"),
    "gzip of 64 MiB of zeros, a hundred times": (gzipped, "decode"),
    "an octet each millisecond": (lambda: drip(frame(PING, 0, 0, bytes(8)), 0.001), "read"),
    "octets one at a time, at full speed": (lambda: drip(frame(99, 0, 0, bytes(9999)), 0), "read"),
    "hangs up on every connection": (lambda: iter(()), "read"),
}  # fmt: skip


class Server:
    """Behaves in one way, to everybody who comes."""

    def __init__(self, name: str) -> None:
        self._say = BEHAVIOURS[name][0]
        self._reads = "never reads" not in name
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listener.getsockname()[1]
        #: How many connections there were, and how many octets were sent.
        self.connections = self.octets = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # The first request is answered as it should be, then there are a hundred.
                if self.connections == 1:
                    self._await(connection, 1)
                    connection.sendall(
                        frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)
                    )
                    self._await(connection, STREAMS[-1])
                else:
                    connection.sendall(frame(SETTINGS, 0, 0))
                    self._await(connection, 1)
                if self._reads:
                    threading.Thread(target=self._read, args=(connection,), daemon=True).start()
                for octets in self._say():
                    connection.sendall(octets)
                    self.octets += len(octets)
            except OSError:
                pass

    def _await(self, connection: socket.socket, stream: int) -> None:
        """Read until the HEADERS of a stream have come, or the other side hangs up."""
        mark = struct.pack(">BBL", HEADERS, END_HEADERS | END_STREAM, stream)
        seen = b""
        while mark not in seen:
            octets = connection.recv(65536)
            if not octets:
                raise OSError
            seen = seen[-16:] + octets

    def _read(self, connection: socket.socket) -> None:
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Take no more."""
        self._listener.close()


def measure(name: str, seconds: float) -> dict[str, Any]:
    """Have one client meet one server."""
    server = Server(name)
    job = {"port": server.port, "how": BEHAVIOURS[name][1], "seconds": seconds}
    try:
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.hostile_child", json.dumps(job)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds * 6 + 60,
            check=False,
        )
    finally:
        server.close()
    if said.returncode:
        raise SystemExit(f"{name}: {said.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(said.stdout.strip().rpartition("\n")[2])
    result.update(name=name, connections=server.connections, sent=server.octets)
    return result


def row(result: dict[str, Any]) -> list[str]:
    """One line of the table."""
    mib = 1 << 20
    outcomes = ", ".join(f"{number} {what}" for what, number in result["outcomes"].items())
    return [
        result["name"],
        f"{result['growth'] / mib:.1f}",
        f"{result['cpu']:.2f}",
        f"{result['read'] / mib:.1f}",
        outcomes,
    ]


TITLES = ["the server says", "MiB", "CPU s", "body MiB", "what became of the requests"]


def table(results: list[dict[str, Any]]) -> str:
    """A list-table for the documentation."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for cells in [TITLES, *map(row, results)]:
        for number, cell in enumerate(cells):
            lines.append(("   * - " if not number else "     - ") + cell)
    return "\n".join(lines)


def main() -> None:
    """Measure all of them, or those whose names have a word in them."""
    parser = argparse.ArgumentParser("python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--only", metavar="WORD", default="", help="of the name")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rst", action="store_true", help="print a table for the documentation")
    options = parser.parse_args()
    results = []
    for name in BEHAVIOURS:
        if options.only in name:
            result = measure(name, options.seconds)
            results.append(result)
            excess = result["growth"] > MEMORY or result["cpu"] > CPU * options.seconds / SECONDS
            sys.stdout.write(f"{'!' if excess else ' '} {' | '.join(row(result))}\n")
            sys.stdout.flush()
    if options.rst:
        sys.stdout.write(table(results) + "\n")


if __name__ == "__main__":
    main()
