"""Hypercorn over TLS with a small ASGI application: ``CERTIFICATE KEY``; prints ``READY port``."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.interop.bodies import MEBIBYTE, blocks, digest

LINKS = [b"</style.css>; rel=preload; as=style", b"</script.js>; rel=preload; as=script"]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def upload(receive: Receive, send: Send) -> None:
    """Answer with the number of octets that came and their SHA-256."""
    count, sha, more = 0, hashlib.sha256(), True
    while more:
        message = await receive()
        octets = message.get("body", b"")
        count += len(octets)
        sha.update(octets)
        more = message.get("more_body", False)
    answer = f"{count} {sha.hexdigest()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


async def download(size: int, send: Send) -> None:
    """Answer with the body of ``size`` octets."""
    length = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    for block in blocks(size):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def hints(send: Send) -> None:
    """Send early hints, then the response."""
    await send({"type": "http.response.early_hint", "links": LINKS})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"after the hints"})


async def trailers(send: Send) -> None:
    """Send a mebibyte, and its digest behind it, to those who say ``te: trailers``."""
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    for block in blocks(MEBIBYTE):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    fields = [(b"x-sha256", digest(MEBIBYTE).encode())]
    await send({"type": "http.response.trailers", "headers": fields})


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """``POST /upload`` counts; ``GET /N`` gives N octets; the others are called what they do."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"] == "/upload":
        await upload(receive, send)
    elif scope["path"] == "/hints":
        await hints(send)
    elif scope["path"] == "/trailers":
        await trailers(send)
    else:
        await download(int(scope["path"][1:]), send)


def main(certificate: str, key: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile = certificate
    config.keyfile = key
    sys.stdout.write(f"READY {port}\n")
    sys.stdout.flush()
    asyncio.run(serve(application, config))


if __name__ == "__main__":
    main(*sys.argv[1:])
