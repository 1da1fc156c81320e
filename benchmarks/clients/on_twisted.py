"""What the clients share that are an ``IAgent`` of Twisted's."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import react
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseDone, readBody

from .base import Batch, Client, Main, WrongAnswer


class Counter(Protocol):
    """Takes a body piece by piece and keeps only its length."""

    def __init__(self, done: Callable[[int], None], failed: Callable[[Failure], None]) -> None:
        self.length = 0
        self.done = done
        self.failed = failed

    def dataReceived(self, data: bytes) -> None:
        self.length += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone):
            self.done(self.length)
        else:
            self.failed(reason)


class Fetching:
    """A batch on its way, so many requests at a time: each that is done starts the next one."""

    def __init__(self, agent: Any, version: tuple[bytes, int, int], batch: Batch) -> None:
        self.version = version
        self.request = agent.request
        self.batch = batch
        self.size = batch.size
        self.urls = iter(batch.urls)
        self.left = len(batch.urls)
        self.finished: Deferred[None] = Deferred()
        self.answered = self.stream if batch.is_streamed else self.read

    def start(self) -> Deferred[None]:
        """Start the first ones; fires when the last one is done."""
        for _ in range(self.batch.concurrency):
            self.next()
        return self.finished

    def next(self) -> None:
        """Start the next one, if there is one."""
        for url in self.urls:
            if self.batch.body is None:
                sent = self.request(b"GET", url)
            else:
                producer = FileBodyProducer(BytesIO(self.batch.body))
                sent = self.request(b"POST", url, None, producer)
            sent.addCallbacks(self.answered, self.failed)
            return

    def read(self, response: Any) -> None:
        """A small body is read as everybody reads it."""
        if response.code != 200 or response.version != self.version:
            self.wrong(response)
        readBody(response).addCallbacks(self.have_read, self.failed)

    def have_read(self, body: bytes) -> None:
        """A whole body."""
        self.have_counted(len(body))

    def stream(self, response: Any) -> None:
        """A large body is taken piece by piece."""
        if response.code != 200 or response.version != self.version:
            self.wrong(response)
        response.deliverBody(Counter(self.have_counted, self.failed))

    def have_counted(self, length: int) -> None:
        """A request is done."""
        if length != self.size:
            self.failed(Failure(WrongAnswer(f"{length} octets in place of {self.size}")))
        self.left -= 1
        if self.left:
            self.next()
        elif not self.finished.called:
            self.finished.callback(None)

    def wrong(self, response: Any) -> None:
        """An answer is not what was asked for."""
        self.failed(Failure(WrongAnswer(f"{response.version} {response.code}")))

    def failed(self, reason: Failure) -> None:
        """A request failed, and the measurement with it."""
        if not self.finished.called:
            self.finished.errback(reason)


class TwistedClient(Client):
    """Runs in Twisted's default reactor."""

    agent: Any = None
    #: What the server must speak.
    version = (b"HTTP", 2, 0)

    def run(self, main: Main) -> None:
        def started(reactor: Any) -> Deferred[None]:
            self.reactor = reactor
            return ensureDeferred(main())

        try:
            react(started)
        except SystemExit as end:
            if end.code:
                raise

    def encode(self, url: str) -> bytes:
        return url.encode()

    async def fetch(self, batch: Batch) -> None:
        await Fetching(self.agent, self.version, batch).start()
