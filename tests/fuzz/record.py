"""
Makes the recordings: what real servers say when they are asked for a fixed list of things.

``python -m tests.fuzz.record`` starts each server that is installed, asks, and writes what it said,
decrypted, to ``tests/fuzz/recordings/``. It is run by hand, when a server has learnt something new.
"""

from __future__ import annotations

import socket
import ssl
import sys
import tempfile
from pathlib import Path

from hpack import Encoder

from tests.interop import launchers
from txhyper.core import frames

PLACE = Path(__file__).parent / "recordings"
SERVERS = {
    "node": launchers.Node,
    "nghttpd": launchers.Nghttpd,
    "nghttpd-lavish": launchers.LavishNghttpd,
    "nghttpd-pushing": launchers.PushingNghttpd,
    "nginx": launchers.Nginx,
    "hypercorn": launchers.Hypercorn,
    "twisted": launchers.TwistedWeb,
}
#: Method, path and body, one stream each.
REQUESTS: list[tuple[bytes, bytes, bytes]] = [
    (b"GET", b"/0", b""),
    (b"GET", b"/100", b""),
    (b"HEAD", b"/100", b""),
    (b"GET", b"/nowhere", b""),
    (b"POST", b"/upload", b"x" * 100),
    (b"GET", b"/7", b""),
]


def conversation() -> bytes:
    """What the client says: its preface, and all requests at once."""
    encoder = Encoder()
    settings = b"\x00\x02\x00\x00\x00\x01"
    octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames.pack(frames.SETTINGS, 0, 0, settings)
    for number, (method, path, body) in enumerate(REQUESTS):
        block = encoder.encode(
            [
                (b":method", method),
                (b":scheme", b"https"),
                (b":authority", b"localhost"),
                (b":path", path),
            ]
        )
        stream = 2 * number + 1
        flags = frames.END_HEADERS | (0 if body else frames.END_STREAM)
        octets += frames.pack(frames.HEADERS, flags, stream, bytes(block))
        if body:
            octets += frames.pack(frames.DATA, frames.END_STREAM, stream, body)
    return octets


def record(server: launchers.Launcher) -> bytes:
    """Everything that a server says, until it has nothing to say for a second."""
    context = ssl.create_default_context(cafile=str(server.caFile))
    context.set_alpn_protocols(["h2"])
    said = b""
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(conversation())
        tls.settimeout(1.0)
        try:
            while (octets := tls.recv(65536)) and len(said) < 65536:
                said += octets
        except TimeoutError:
            pass
    return said


def main() -> None:
    """Record all of them."""
    PLACE.mkdir(exist_ok=True)
    for name, kind in SERVERS.items():
        missing = kind.missing()
        if missing is not None:
            sys.stderr.write(missing + "\n")
            continue
        with tempfile.TemporaryDirectory() as directory:
            server = kind(launchers.authority(), Path(directory))
            server.start()
            try:
                said = record(server)
            finally:
                server.stop()
        # Of a large promised body the beginning is enough.
        said = said[:8192]
        (PLACE / f"{name}.bin").write_bytes(said)
        sys.stdout.write(f"{name}: {len(said)} octets\n")


if __name__ == "__main__":
    main()
