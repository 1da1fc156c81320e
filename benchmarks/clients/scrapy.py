"""Scrapy: its download handler for HTTP/2, without the rest of Scrapy."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet import asyncioreactor

from .base import Batch, Main, check
from .on_asyncio import AsyncioClient

# What Scrapy installs by default.
asyncioreactor.install()

from scrapy import Spider  # noqa: E402
from scrapy.core.downloader.handlers.http2 import H2DownloadHandler  # noqa: E402
from scrapy.crawler import Crawler  # noqa: E402
from scrapy.http import Request  # noqa: E402

SETTINGS = {"DOWNLOAD_VERIFY_CERTIFICATES": True, "LOG_LEVEL": "ERROR"}


class Client(AsyncioClient):
    """One handler, as a crawl has one; the authority comes by SSL_CERT_FILE."""

    def run(self, main: Main) -> None:
        from twisted.internet import reactor

        twisted: Any = reactor
        outcome: list[BaseException | None] = []

        def ended(task: asyncio.Task[None]) -> None:
            outcome.append(task.exception())
            twisted.stop()

        def started() -> None:
            self.task = asyncio.get_event_loop().create_task(main())
            self.task.add_done_callback(ended)

        twisted.callWhenRunning(started)
        twisted.run()
        if outcome and outcome[0] is not None:
            raise outcome[0]

    async def open(self) -> None:
        crawler = Crawler(Spider, SETTINGS)
        crawler.spider = Spider("benchmark")
        crawler._apply_settings()
        self.handler = H2DownloadHandler(crawler)

    async def close(self) -> None:
        await self.handler.close()

    async def one(self, url: Any, batch: Batch) -> None:
        # A crawl's middleware sets this from DOWNLOAD_TIMEOUT.
        meta = {"download_timeout": 180.0}
        method = "GET" if batch.body is None else "POST"
        request = Request(url, method=method, body=batch.body or b"", meta=meta)
        response = await self.handler.download_request(request)
        check(response.status, len(response.body), batch.size)
