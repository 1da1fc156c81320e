"""niquests: a Session, multiplexed where there is more than one request at a time."""

from __future__ import annotations

from itertools import islice

import niquests

from . import base


class Client(base.Client):
    """One Session. Its requests go out in groups: it has no way to add one when one is done."""

    async def open(self) -> None:
        self.session = niquests.Session(multiplexed=self.job.concurrency > 1)
        self.session.verify = self.job.ca

    async def close(self) -> None:
        self.session.close()

    async def fetch(self, batch: base.Batch) -> None:
        urls = iter(batch.urls)
        while group := list(islice(urls, batch.concurrency)):
            if batch.body is None:
                answers = [self.session.get(url, stream=batch.is_streamed) for url in group]
            else:
                answers = [self.session.post(url, data=batch.body) for url in group]
            self.session.gather()
            for answer in answers:
                if batch.is_streamed:
                    length = sum(map(len, answer.iter_content(64 * 1024)))
                else:
                    length = len(answer.content or b"")
                if answer.http_version != 20:
                    raise RuntimeError(f"this was {answer.http_version}")
                base.check(answer.status_code or 0, length, batch.size)
