"""What the tests of this folder share: a clock, one connection with its peer, and users of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from txhyper.core import frames
from txhyper.interfaces import IClaim
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.request import Request
from txhyper.testing.peer import Frame, ScriptedPeer

#: Settings by their number (RFC 9113 section 6.5.2).
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 3, 4, 5, 6

#: Error codes (RFC 9113 section 7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0x0, 0x1, 0x2, 0x3
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 0x7, 0x8, 0xB, 0xD

OK = [(b":status", b"200")]


@implementer(IReactorFromThreads)
class ThreadedClock(Clock):
    """A clock that may be called from another thread, as a reactor may."""

    def __init__(self) -> None:
        super().__init__()
        self.fromThreads = 0

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Call in the next turn."""
        self.fromThreads += 1
        self.callLater(0, call, *args, **kw)


class Reader(Protocol):
    """
    The reader of a body. It keeps what it is told, and does what it is asked to meanwhile.

    :ivar chunks: what each ``dataReceived`` brought.
    :ivar reasons: what each ``connectionLost`` brought: one, at the end.
    """

    def __init__(
        self,
        onMade: Callable[[Reader], object] = lambda reader: None,
        onData: Callable[[Reader], object] = lambda reader: None,
        onLost: Callable[[Reader], object] = lambda reader: None,
    ) -> None:
        self.chunks: list[bytes] = []
        self.reasons: list[Failure] = []
        self.onMade = onMade
        self.onData = onData
        self.onLost = onLost
        # Whether a call of the reader's is under way: none may come inside another, but for the
        # calls that the reader itself asked for by resuming.
        self._calls = 0

    def connectionMade(self) -> None:
        """There is a transport."""
        self._within(self.onMade)

    def dataReceived(self, data: bytes) -> None:
        """Keep the data."""
        assert not self.reasons, "data after the end"
        self.chunks.append(data)
        self._within(self.onData)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        assert not self._calls, "connectionLost within another call of the reader's"
        self.reasons.append(reason)
        self._within(self.onLost)

    def _within(self, hook: Callable[[Reader], object]) -> None:
        self._calls += 1
        try:
            hook(self)
        finally:
            self._calls -= 1

    @property
    def body(self) -> bytes:
        """Everything that came."""
        return b"".join(self.chunks)

    @property
    def isDone(self) -> bool:
        """Whether the body has ended as it should, and once."""
        return [reason.type for reason in self.reasons] == [ResponseDone]

    @property
    def error(self) -> Any:
        """Why the body is not complete: the one error that is told."""
        (reason,) = self.reasons
        assert isinstance(reason.value, ResponseFailed), reason
        (inner,) = reason.value.reasons
        return inner.value


@implementer(IBodyProducer)
class Producer:
    """
    A body that a test writes by hand.

    :ivar calls: the names of the methods that were called, in order.
    """

    def __init__(
        self, length: Any = UNKNOWN_LENGTH, onStart: Callable[[Producer], object] | None = None
    ) -> None:
        self.length = length
        self.calls: list[str] = []
        self.consumer: Any = None
        self.finished: Deferred[None] = Deferred()
        self._onStart = onStart

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Begin."""
        self.calls.append("start")
        self.consumer = consumer
        if self._onStart is not None:
            self._onStart(self)
        return self.finished

    def pauseProducing(self) -> None:
        """Wait."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Go on."""
        self.calls.append("resume")

    def stopProducing(self) -> None:
        """Stop."""
        self.calls.append("stop")

    def write(self, data: bytes) -> None:
        """Write a part of the body."""
        self.consumer.write(data)

    def finish(self) -> None:
        """The body is complete."""
        self.finished.callback(None)


@implementer(IBodyProducer)
class WholeBody:
    """A body that is written in one go, before ``startProducing`` returns."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write everything."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Too late."""

    def resumeProducing(self) -> None:
        """Too late."""

    def stopProducing(self) -> None:
        """Too late."""


class Tracked(Request):
    """A request that may be referred to weakly; exchange and response refer to it strongly."""


@implementer(IClaim)
class Claim:
    """A claim that keeps what it is told, and does what it is asked to meanwhile."""

    def __init__(self, onTold: Callable[[], object] = lambda: None) -> None:
        self.token: object = None
        self.responses: list[Any] = []
        self.errors: list[Exception] = []
        self._onTold = onTold

    def responded(self, response: Any) -> None:
        """Keep the response."""
        self.responses.append(response)
        self._onTold()

    def failed(self, error: Exception) -> None:
        """Keep the error."""
        self.errors.append(error)
        self._onTold()


class ConnectionTestCase(SynchronousTestCase):
    """One HTTP/2 connection, and the peer that it talks to."""

    def setUp(self) -> None:
        """Connect; the peer has not spoken yet."""
        self.clock = ThreadedClock()
        self.meet()

    def meet(self, **options: Any) -> None:
        """A new connection, with options of the protocol's."""
        self.isGreeted = False
        self._marked = 0
        self.peer = ScriptedPeer(self.clock)
        self.client = self.peer.connect(
            HTTP2ClientProtocol(self.clock, "https://a.test", **options)
        )

    def greet(self, settings: dict[int, int] | None = None) -> None:
        """The peer speaks, and the client's answers to that are out of the way."""
        self.isGreeted = True
        self.peer.greet(settings)
        self.peer.read()
        answers = (frames.SETTINGS, frames.WINDOW_UPDATE)
        kept = [frame for frame in self.peer.frames if frame.kind not in answers]
        self.peer.frames.clear()
        self.peer.frames.extend(kept)

    def mark(self) -> None:
        """Count the writes from here on."""
        self._marked = len(self.peer.transport.writes)

    @property
    def writes(self) -> list[bytes]:
        """The client's writes since :meth:`mark`, or since it was connected."""
        return self.peer.transport.writes[self._marked :]

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        headers: Headers | None = None,
        body: Any = None,
    ) -> Deferred[Any]:
        """Send a request."""
        return self.client.request(Tracked(method, b"https://a.test" + path, headers, body))

    def upload(self, body: Any) -> Deferred[Any]:
        """Send a request with a body."""
        return self.request(b"POST", b"/", None, body)

    def opened(self, fields: list[tuple[bytes, bytes]] = OK) -> Any:
        """A response to a GET whose head has come, on a connection that is greeted."""
        deferred = self.request()
        if not self.isGreeted:
            self.greet()
        self.peer.sendHeaders(self.peer.expectHeaders().streamId, fields)
        return self.successResultOf(deferred)

    def neverReceived(self, deferred: Deferred[Any]) -> Any:
        """The one error of ours in a request that failed before its response."""
        failure = self.failureResultOf(deferred, ResponseNeverReceived)
        (reason,) = failure.value.reasons
        return reason.value

    def assertClockIsQuiet(self) -> None:
        """Nothing has been left to be called later."""
        self.assertEqual([], self.clock.getDelayedCalls())


class UploadTestCase(ConnectionTestCase):
    """A connection that is greeted."""

    def setUp(self) -> None:
        super().setUp()
        self.greet()

    def data(self) -> list[Frame]:
        """The DATA frames that the client has sent since it was last asked."""
        return [frame for frame in self.peer.drain() if frame.kind == frames.DATA]

    def body(self) -> tuple[bytes, bool]:
        """The octets of those frames, and whether END_STREAM came with the last one."""
        data = self.data()
        ends = [bool(frame.flags & frames.END_STREAM) for frame in data]
        self.assertNotIn(True, ends[:-1])
        return b"".join(frame.payload for frame in data), bool(ends) and ends[-1]
