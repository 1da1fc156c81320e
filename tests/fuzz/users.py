"""
Users of a client who do anything, and who keep nothing that they are done with.

Owns requests, their producers and readers, and what each of them was told. Knows neither a
connection nor a pool: it is handed a callable that sends. What must hold at the end is
:meth:`Users.check`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import LogEvent, globalLogBeginner, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from txhyper.protocol.request import Request

#: What a reader may do when octets come; each is done once, then it only reads.
WHIMS = (
    "read", "read", "read", "pause", "lose", "raise", "ask", "cancel", "again", "abort", "close",
    "break",
)  # fmt: skip


# Until somebody begins, Twisted keeps every event, with whatever it refers to.
globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)


class Mistake(Exception):
    """What users raise; the only thing that may be logged."""


class Tracked(Request):
    """A request that may be referred to weakly: exchange and response hold it."""


@implementer(IBodyProducer)
class Producer:
    """Writes pieces until it is paused; may fail, or write less than it said."""

    def __init__(self, pieces: list[int], isLengthKnown: bool, fails: bool) -> None:
        self.length: Any = sum(pieces) if isLengthKnown else UNKNOWN_LENGTH
        self._pieces = list(pieces)
        self._fails = fails
        self._isPaused = self._isStopped = False
        self._finished: Deferred[None] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Begin."""
        self._consumer: Any = consumer
        self._go()
        return self._finished

    def _go(self) -> None:
        while self._pieces and not (self._isPaused or self._isStopped):
            self._consumer.write(bytes(self._pieces.pop()))
        if not (self._pieces or self._isStopped or self._finished.called):
            self._consumer = None
            if self._fails:
                self._finished.errback(Failure(Mistake("the producer's")))
            else:
                self._finished.callback(None)

    def pauseProducing(self) -> None:
        """Wait."""
        self._isPaused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._isPaused = False
        self._go()

    def stopProducing(self) -> None:
        """Stop."""
        assert not self._isStopped, "stopped twice"
        self._isStopped = True
        self._consumer = None


class Reader(Protocol):
    """A reader with some whims."""

    def __init__(self, users: Users, whims: list[str]) -> None:
        self._users = users
        self._whims = list(whims)
        self.ends = 0
        self.isPaused = False

    def dataReceived(self, data: bytes) -> None:
        """Read, or do something else."""
        assert not self.ends, "octets after the end"
        assert not self.isPaused, "octets in a pause"
        if self._whims:
            self._users.indulge(self, self._whims.pop())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count."""
        self.ends += 1
        assert self.ends == 1, "told of the end twice"
        self._users.readers.pop(id(self), None)
        if "break" in self._whims:
            raise Mistake("the reader's, at its end")

    def pause(self) -> None:
        """Pause."""
        self.isPaused = True
        transport: Any = self.transport
        transport.pauseProducing()

    def resume(self) -> None:
        """Resume."""
        self.isPaused = False
        transport: Any = self.transport
        transport.resumeProducing()


class Users:
    """
    All users of one client.

    :ivar readers: those that have not been told of their end.
    :ivar unread: responses that nobody reads, for now.
    :ivar waiting: Deferreds that have not fired.
    """

    def __init__(
        self, send: Callable[[Tracked], Deferred[Any]], end: Callable[[str], None]
    ) -> None:
        """
        :param send: sends a request.
        :param end: does ``abort`` or ``close`` to what the requests are sent on.
        """
        self._send = send
        self._end = end
        self.fired: list[int] = []
        self.waiting: dict[int, Deferred[Any]] = {}
        self.readers: dict[int, Reader] = {}
        self.unread: list[Any] = []
        self.promises: list[Any] = []
        self.requests: list[weakref.ref[Tracked]] = []
        self.told: list[int] = []
        self._logged: list[LogEvent] = []
        self._allReaders: list[weakref.ref[Reader]] = []
        globalLogPublisher.addObserver(self._log)

    def _log(self, event: LogEvent) -> None:
        """Keep what went wrong; a failure's traceback would keep what it passed through."""
        if "log_failure" in event and not event["log_failure"].check(Mistake):
            self._logged.append({"text": event["log_failure"].getTraceback()})

    def ask(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        body: Producer | None = None,
        fate: str = "read",
        whims: list[str] | None = None,
        fields: list[tuple[bytes, bytes]] | None = None,
        timeouts: Any = None,
        origin: bytes = b"https://a.test",
        pushes: bool = False,
    ) -> None:
        """
        Send a request.

        :param fate: ``read``, ``keep`` or ``drop`` the response.
        """
        number = len(self.fired)
        self.fired.append(0)
        headers = Headers()
        for name, value in fields or []:
            headers.addRawHeader(name, value)
        onPush = self.promised if pushes else None
        request = Tracked(method, origin + path, headers, body, timeouts=timeouts, onPush=onPush)
        self.requests.append(weakref.ref(request))

        def responded(response: Any) -> None:
            self.fired[number] += 1
            self.waiting.pop(number, None)
            if fate == "read":
                self.read(response, whims or [])
            elif fate == "keep":
                self.unread.append(response)

        def failed(reason: Failure) -> None:
            self.fired[number] += 1
            self.waiting.pop(number, None)

        deferred = self._send(request)
        self.waiting[number] = deferred
        deferred.addCallbacks(responded, failed)
        # A chain that broke is a mistake of these tests.
        deferred.addErrback(lambda reason: self._logged.append({"text": reason.getTraceback()}))

    def promised(self, promise: Any) -> None:
        """Keep a promise, or not."""
        if promise.streamId % 4:
            self.promises.append(promise)
            promise.whenResponse().addCallbacks(self._kept, lambda _: None)

    def _kept(self, response: Any) -> None:
        self.read(response, [])

    def read(self, response: Any, whims: list[str]) -> None:
        """Give a response a reader."""
        reader = Reader(self, whims)
        self.readers[id(reader)] = reader
        self._allReaders.append(weakref.ref(reader))
        response.deliverBody(reader)

    def indulge(self, reader: Reader, whim: str) -> None:
        """A reader's whim, from within its ``dataReceived``."""
        transport: Any = reader.transport
        if whim == "pause":
            reader.pause()
        elif whim == "again":
            reader.pause()
            reader.resume()
        elif whim == "lose":
            transport.loseConnection()
        elif whim == "raise":
            raise Mistake("the reader's")
        elif whim == "ask":
            self.ask()
        elif whim == "cancel":
            self.cancel(0)
        elif whim in ("abort", "close"):
            self._end(whim)

    # -- from outside --------------------------------------------------------------------------

    def cancel(self, which: int) -> None:
        """Cancel one that waits."""
        if self.waiting:
            number = list(self.waiting)[which % len(self.waiting)]
            self.waiting[number].cancel()
            assert self.fired[number] == 1, "cancelled, and not told"

    def reader(self, which: int) -> Reader | None:
        """One of the readers."""
        readers = list(self.readers.values())
        return readers[which % len(readers)] if readers else None

    def late(self, which: int, whims: list[str]) -> None:
        """Read, at last, what nobody has read."""
        if self.unread:
            self.read(self.unread.pop(which % len(self.unread)), whims)

    def settle(self) -> None:
        """Everybody reads, or gives up what nobody wants."""
        self.unread.clear()
        self.promises.clear()
        self.resumeAll()

    def resumeAll(self) -> None:
        """Nobody pauses any more, but for whims that are left."""
        for reader in list(self.readers.values()):
            reader.resume()

    def check(self) -> None:
        """
        Everybody was told, once, and nothing of it is kept.

        :raises AssertionError: that is not so.
        """
        globalLogPublisher.removeObserver(self._log)
        assert not self._logged, "".join(event["text"] for event in self._logged)
        assert self.fired == [1] * len(self.fired), f"Deferreds have fired {self.fired}"
        assert not self.readers, "a reader was not told of its end"
        self.waiting.clear()

    def forget(self) -> None:
        """Stop listening, whatever has happened."""
        globalLogPublisher.removeObserver(self._log)

    def kept(self) -> list[Any]:
        """Requests that somebody still refers to, although they are over."""
        return [request for each in self.requests if (request := each()) is not None]


class NoCollection:
    """A while without the garbage collector: what is freed in it was not in a cycle."""

    def __enter__(self) -> None:
        self._wasEnabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *ignored: object) -> None:
        if self._wasEnabled:
            gc.enable()
