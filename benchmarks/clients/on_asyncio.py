"""What the clients share that run in asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

from .base import Batch, Client, Main


class AsyncioClient(Client):
    """Runs in asyncio's default loop; tasks take turns to ask for the next URL."""

    def run(self, main: Main) -> None:
        asyncio.run(main())

    async def one(self, url: Any, batch: Batch) -> None:
        """Make one request and check its answer."""
        raise NotImplementedError

    async def fetch(self, batch: Batch) -> None:
        urls = iter(batch.urls)

        async def lane() -> None:
            for url in urls:
                await self.one(url, batch)

        await asyncio.gather(*(lane() for _ in range(batch.concurrency)))
