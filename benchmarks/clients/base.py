"""What every client's module provides: a ``Client``, or a function ``measured(job)``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

Main: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Job:
    """What ``measure.py`` tells the process that it starts."""

    module: str
    kind: str
    origin: str
    path: str
    size: int
    count: int
    concurrency: int
    warm_up: int
    warm_up_path: str
    is_varied: bool
    is_streamed: bool
    upload: int
    upload_file: str
    ca: str
    cores: list[int]
    profile: bool = False


@dataclass
class Batch:
    """Requests that are alike, and what must come back: status 200, and this many octets."""

    urls: list[Any]
    concurrency: int
    size: int
    body: bytes | None = None
    is_streamed: bool = False


class WrongAnswer(Exception):
    """An answer was not what was asked for."""


def check(status: int, length: int, expected: int) -> None:
    """Raise unless an answer is right."""
    if status != 200 or length != expected:
        raise WrongAnswer(f"status {status} and {length} octets in place of 200 and {expected}")


class Client:
    """
    One library, as a program of its user would use it.

    Its coroutines run in the library's own loop; where there is none, they never wait.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def run(self, main: Main) -> None:
        """Run a coroutine to its end, in the library's loop. Here: without any loop."""
        try:
            main().send(None)
        except StopIteration:
            return
        raise RuntimeError("a coroutine waits, but there is no loop")

    async def open(self) -> None:
        """Make a client that has no connection yet."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close it and its connections."""
        raise NotImplementedError

    async def fetch(self, batch: Batch) -> None:
        """Make all these requests, so many at a time; raises if one goes wrong."""
        raise NotImplementedError

    def encode(self, url: str) -> Any:
        """A URL as the library wants to have it, if it wants octets."""
        return url

    def batch(self, job: Job, path: str | None = None, count: int | None = None) -> Batch:
        """The requests of a job, ready before the measurement begins."""
        is_warm_up = count is not None
        count = job.count if count is None else count
        path = job.path if path is None else path
        if job.is_varied:
            mark = "w" if is_warm_up else "n"
            urls = [self.encode(f"{job.origin}{path}?{mark}={i}") for i in range(count)]
        else:
            urls = [self.encode(job.origin + path)] * count
        size, upload = job.size, job.upload
        if is_warm_up and path == "/ten":
            size = 10 * 1024 * 1024
        elif is_warm_up and path.startswith("/upload/"):
            upload = int(path.rpartition("/")[2])
        body = b"x" * upload if upload else None
        return Batch(urls, min(job.concurrency, count), size, body, job.is_streamed)
