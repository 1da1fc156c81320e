"""httpx: its AsyncClient, with HTTP/2 switched on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import httpx

from .base import Batch, check
from .on_asyncio import AsyncioClient


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """
    A large body, as httpx's documentation tells to send one.

    Handed over whole, it would be copied once for every frame: minutes for 100 MiB.
    """
    source = BytesIO(body)
    while piece := source.read(64 * 1024):
        yield piece


class Client(AsyncioClient):
    """One AsyncClient; the authority comes by SSL_CERT_FILE."""

    async def open(self) -> None:
        # Five seconds are the default: too few for a hundred bodies at a time.
        self.client = httpx.AsyncClient(http2=True, timeout=60)

    async def close(self) -> None:
        await self.client.aclose()

    async def one(self, url: Any, batch: Batch) -> None:
        if batch.is_streamed:
            length = 0
            async with self.client.stream("GET", url) as response:
                async for piece in response.aiter_bytes():
                    length += len(piece)
        else:
            if batch.body is None:
                response = await self.client.get(url)
            else:
                response = await self.client.post(url, content=pieces(batch.body))
            length = len(response.content)
        if response.http_version != "HTTP/2":
            raise RuntimeError(f"this was {response.http_version}")
        check(response.status_code, length, batch.size)
