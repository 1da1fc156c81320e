"""pycurl: libcurl's multi interface."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pycurl

from . import base


class Transfer:
    """An easy handle, used again and again."""

    def __init__(self, job: base.Job, batch: base.Batch) -> None:
        self.batch = batch
        self.length = 0
        self.pieces: list[bytes] = []
        self.easy: Any = pycurl.Curl()
        self.easy.setopt(pycurl.CAINFO, job.ca)
        # Wait for the one connection, rather than to open another one.
        self.easy.setopt(pycurl.PIPEWAIT, 1)
        self.easy.setopt(pycurl.WRITEFUNCTION, self.count if batch.is_streamed else self.keep)
        if batch.body is not None:
            self.easy.setopt(pycurl.POST, 1)
            self.easy.setopt(pycurl.POSTFIELDSIZE_LARGE, len(batch.body))

    def count(self, data: bytes) -> None:
        """Called with a piece of a large body."""
        self.length += len(data)

    def keep(self, data: bytes) -> None:
        """Called with a piece of a small body."""
        self.pieces.append(data)

    def begin(self, multi: Any, url: str) -> None:
        """Start a request."""
        self.easy.setopt(pycurl.URL, url)
        if self.batch.body is not None:
            self.easy.setopt(pycurl.READFUNCTION, BytesIO(self.batch.body).read)
        multi.add_handle(self.easy)

    def end(self, multi: Any) -> None:
        """A request is done."""
        multi.remove_handle(self.easy)
        if not self.batch.is_streamed:
            self.length = len(b"".join(self.pieces))
            self.pieces.clear()
        status = self.easy.getinfo(pycurl.RESPONSE_CODE)
        if self.easy.getinfo(pycurl.INFO_HTTP_VERSION) != pycurl.CURL_HTTP_VERSION_2_0:
            raise RuntimeError("this was not HTTP/2")
        base.check(status, self.length, self.batch.size)
        self.length = 0


class Client(base.Client):
    """One multi handle, driven by ``perform`` and ``select``."""

    async def open(self) -> None:
        self.multi: Any = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        if self.job.concurrency > 100:
            self.multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, self.job.concurrency)

    async def close(self) -> None:
        self.multi.close()

    async def fetch(self, batch: base.Batch) -> None:
        multi = self.multi
        urls = iter(batch.urls)
        left = len(batch.urls)
        transfers = {}
        for _ in range(batch.concurrency):
            transfer = Transfer(self.job, batch)
            transfers[transfer.easy] = transfer
            transfer.begin(multi, next(urls))
        while left:
            multi.perform()
            queued = 1
            while queued:
                queued, done, failed = multi.info_read()
                for _, code, text in failed:
                    raise RuntimeError(f"curl: {code} {text}")
                for easy in done:
                    left -= 1
                    transfers[easy].end(multi)
                    for url in urls:
                        transfers[easy].begin(multi, url)
                        break
            # 0 when something has begun, or when libcurl holds octets that no select would tell of.
            wait = multi.timeout() if left else 0
            if wait:
                multi.select(wait / 1000 if 0 < wait < 1000 else 1.0)
        for transfer in transfers.values():
            transfer.easy.close()
