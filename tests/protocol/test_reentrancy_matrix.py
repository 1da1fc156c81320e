"""
Users who do things from within what they are told: everything, everywhere.

A user may pause, resume, stop, lose, abort, cancel, start, close and abort at every moment at which
txhyper calls user code. Each of these is tried at each of those moments, in one long conversation,
and then it is asked what has to be true whatever they did. :mod:`tests.protocol.test_reentrancy`
looks closer at single pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.protocol.scene import (
    MAX_CONCURRENT_STREAMS,
    OK,
    ConnectionTestCase,
    Producer,
    Reader,
)
from txhyper.core import frames
from txhyper.core.outbound import HIGH_MARK
from txhyper.protocol.wire import CLOSE_TIMEOUT


class Conversation:
    """
    A conversation in which every kind of user code is called.

    ========  ===========================================================================
    stream 1  ``main``: read from the start; complete
    stream 3  ``late``: its reader comes when two pieces are held; cut off
    stream 5  ``upload``: paused, resumed, refused by a 413
    stream 7  ``victim``: reset before its response
    then      ``waiting``: queued at first; ``last``: queued until GOAWAY dismisses it
    ========  ===========================================================================
    """

    def __init__(self, test: MatrixTests, moment: str, action: str) -> None:
        self.test = test
        self.moment = moment
        self.action: Callable[[Conversation], object] | None = ACTIONS[action]
        self.reached: list[str] = []
        self.results: dict[str, list[object]] = {}
        self.deferreds: dict[str, Deferred[Any]] = {}
        self.delivered: list[Reader] = []
        self.main = Reader(
            lambda reader: self.at("made"), self.mainData, lambda reader: self.at("lost")
        )
        self.late = Reader(onData=lambda reader: self.at("held"))
        self.producer = Producer()
        for name in ("pause", "resume", "stop"):
            self.hook(name)
        self.producer._onStart = lambda producer: self.at("start")

    def hook(self, name: str) -> None:
        """Make a moment of a call to the producer."""
        method = getattr(self.producer, name + "Producing")

        def hooked() -> None:
            method()
            self.at(name)

        setattr(self.producer, name + "Producing", hooked)

    def mainData(self, reader: Reader) -> None:
        """Data for the main reader: its first and its last pieces are moments."""
        if len(reader.chunks) == 1:
            self.at("data")
        elif reader.body.endswith(b"c"):
            self.at("last")

    def at(self, moment: str) -> None:
        """A moment is reached: do it, the first time."""
        self.reached.append(moment)
        if moment == self.moment and self.action is not None:
            action, self.action = self.action, None
            action(self)

    def send(self, name: str, moment: str | None = None, body: Any = None) -> None:
        """Send a request, and keep what becomes of it."""
        results = self.results[name] = []
        deferred = self.test.upload(body) if body is not None else self.test.request()
        self.deferreds[name] = deferred

        def told(result: object) -> object:
            results.append(result)
            if moment is not None:
                self.at(moment)
            return None if isinstance(result, Failure) else result

        deferred.addBoth(told)

    def deliver(self, name: str, reader: Reader) -> None:
        """Give a response its reader, if there is one."""
        (result,) = self.results[name]
        if not isinstance(result, Failure):
            self.delivered.append(reader)
            result.deliverBody(reader)  # type: ignore[attr-defined]

    def run(self) -> None:
        """The script."""
        peer, test = self.test.peer, self.test
        closed: list[object] = []
        test.greet({MAX_CONCURRENT_STREAMS: 4})
        test.client.whenClosed().addCallback(closed.append)
        test.client.whenClosed().addCallback(lambda _: self.at("closed"))
        pong = test.client.ping()
        pong.addCallbacks(lambda _: self.at("pong"), lambda reason: None)
        payload = peer.expect(frames.PING).payload
        self.send("main", "response")
        self.deferreds["main"].addCallback(lambda _: self.deliver("main", self.main))
        self.send("late")
        self.send("upload", body=self.producer)
        self.send("victim", "refused")
        self.send("waiting", "gone")
        peer.read()
        peer.send(
            peer.headers(1, OK)
            + peer.headers(3, OK)
            + peer.frame(frames.DATA, 0, 1, b"a")
            + peer.frame(frames.DATA, 0, 3, b"x")
        )
        peer.read()
        self.producer.write(b"x" * (65535 + HIGH_MARK + 1))
        peer.read()
        peer.sendWindowUpdate(0, 2**20)
        peer.sendWindowUpdate(5, 2**20)
        peer.sendReset(7, 2)
        peer.sendPing(payload, ack=True)
        peer.send(
            peer.frame(frames.DATA, 0, 1, b"b")
            + peer.frame(frames.DATA, frames.END_STREAM, 1, b"c")
            + peer.frame(frames.DATA, 0, 3, b"y")
        )
        peer.read()
        if self.results["late"]:
            self.deliver("late", self.late)
        peer.sendHeaders(5, [(b":status", b"413")], endStream=True)
        peer.read()
        peer.sendSettings({MAX_CONCURRENT_STREAMS: 0})
        self.send("last", "dismissed")
        peer.sendGoAway(7)
        peer.read()
        for reader in self.delivered:
            reader.transport.resumeProducing()  # type: ignore[union-attr]
        peer.loseConnection()
        for reader in self.delivered:
            reader.transport.resumeProducing()  # type: ignore[union-attr]
        test.clock.advance(0)
        test.assertEqual([None], closed)


def ignore(conversation: Conversation) -> None:
    """Do nothing: what the others are compared with."""


def pauseAndResume(conversation: Conversation) -> None:
    """A reader that changes its mind."""
    for reader in conversation.delivered:
        reader.transport.pauseProducing()  # type: ignore[union-attr]
        reader.transport.resumeProducing()  # type: ignore[union-attr]


def onReaders(name: str) -> Callable[[Conversation], None]:
    """Call a method of each reader's transport."""

    def call(conversation: Conversation) -> None:
        for reader in conversation.delivered:
            getattr(reader.transport, name)()

    return call


def loseAndGoOn(conversation: Conversation) -> None:
    """Give up, and then call everything else."""
    for reader in conversation.delivered:
        transport: Any = reader.transport
        transport.loseConnection()
        transport.pauseProducing()
        transport.resumeProducing()
        transport.stopProducing()


def cancel(name: str) -> Callable[[Conversation], None]:
    """Cancel a request, wherever it is."""

    def call(conversation: Conversation) -> None:
        if name in conversation.deferreds:
            conversation.deferreds[name].cancel()

    return call


def cancelAll(conversation: Conversation) -> None:
    """Cancel every request."""
    for deferred in list(conversation.deferreds.values()):
        deferred.cancel()


def start(conversation: Conversation) -> None:
    """Start a request."""
    conversation.send("new")


def upload(conversation: Conversation) -> None:
    """Start an upload that is written at once."""
    producer = Producer(3, lambda producer: (producer.write(b"abc"), producer.finish()))
    conversation.send("new", body=producer)


def write(conversation: Conversation) -> None:
    """Write a part of the upload."""
    if conversation.producer.consumer is not None:
        conversation.producer.write(b"more")


def finish(conversation: Conversation) -> None:
    """End the upload."""
    conversation.producer.finish()


def fail(conversation: Conversation) -> None:
    """Let the upload fail."""
    conversation.producer.finished.errback(Failure(ZeroDivisionError()))


def close(conversation: Conversation) -> None:
    """Close the connection."""
    conversation.test.client.close()


def abort(conversation: Conversation) -> None:
    """Abort the connection."""
    conversation.test.client.abort()


def closeAndAbort(conversation: Conversation) -> None:
    """Close the connection, and lose patience."""
    close(conversation)
    abort(conversation)


def ping(conversation: Conversation) -> None:
    """Send a PING."""
    conversation.test.client.ping().addErrback(lambda reason: None)


ACTIONS: dict[str, Callable[[Conversation], object]] = {
    "ignore": ignore,
    "pauseAndResume": pauseAndResume,
    "pause": onReaders("pauseProducing"),
    "resume": onReaders("resumeProducing"),
    "stop": onReaders("stopProducing"),
    "lose": onReaders("loseConnection"),
    "abortBody": onReaders("abortConnection"),
    "loseAndGoOn": loseAndGoOn,
    "cancelMain": cancel("main"),
    "cancelLate": cancel("late"),
    "cancelUpload": cancel("upload"),
    "cancelVictim": cancel("victim"),
    "cancelWaiting": cancel("waiting"),
    "cancelLast": cancel("last"),
    "cancelAll": cancelAll,
    "start": start,
    "upload": upload,
    "write": write,
    "finish": finish,
    "fail": fail,
    "close": close,
    "abort": abort,
    "closeAndAbort": closeAndAbort,
    "ping": ping,
}

MOMENTS = [
    "start",
    "response",
    "made",
    "data",
    "pause",
    "resume",
    "refused",
    "pong",
    "last",
    "lost",
    "held",
    "stop",
    "dismissed",
    "gone",
    "closed",
]


class MatrixTests(ConnectionTestCase):
    """Everything, everywhere."""

    def converse(self, moment: str, action: str) -> Conversation:
        """One conversation, and what has to be true of it."""
        self.meet()
        transport: Any = self.peer.transport
        write = transport.write

        def checked(octets: bytes) -> None:
            self.assertFalse(transport.isClosing or transport.isAborted, "a write after the end")
            write(octets)

        transport.write = checked
        conversation = Conversation(self, moment, action)
        conversation.run()
        if action == "ignore":
            self.assertEqual([], [name for name in MOMENTS if name not in conversation.reached])
        self.assertIsNone(conversation.action, "the moment never came")
        for name, results in conversation.results.items():
            self.assertEqual(1, len(results), f"{name} was told {results}")
        for reader in conversation.delivered:
            self.assertEqual(1, len(reader.reasons), f"{reader.body!r} ended {reader.reasons}")
        calls = Counter(conversation.producer.calls)
        ended = int(conversation.producer.finished.called)
        if calls["start"]:
            self.assertTrue(calls["stop"] or ended)
            self.assertEqual(1, calls["start"])
            self.assertLessEqual(calls["stop"], 1)
        self.assertLegal()
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertClockIsQuiet()
        return conversation

    def attempt(self, moment: str, action: str) -> None:
        """A conversation whose failure names it."""
        try:
            self.converse(moment, action)
        except Exception as error:
            raise AssertionError(f"{action} at the moment {moment!r}: {error}") from error

    def assertLegal(self) -> None:
        """What was sent is what RFC 9113 lets a client send."""
        written = b"".join(self.peer.transport.writes)
        opened, ended, reset = 0, set(), set()
        goaways = 0
        for kind, flags, streamId, _ in frames.cut(written[24:]):
            self.assertFalse(goaways, "something after GOAWAY")
            if kind == frames.GOAWAY:
                goaways += 1
            if not streamId:
                continue
            self.assertNotIn(streamId, reset, "a frame after RST_STREAM")
            if kind == frames.HEADERS:
                self.assertGreater(streamId, opened)
                opened = streamId
            self.assertLessEqual(streamId, opened)
            if kind in (frames.HEADERS, frames.DATA):
                self.assertNotIn(streamId, ended, "a frame after END_STREAM")
                if flags & frames.END_STREAM:
                    ended.add(streamId)
            if kind == frames.RST_STREAM:
                reset.add(streamId)


def _matrix(moment: str) -> Callable[[MatrixTests], None]:
    def test(self: MatrixTests) -> None:
        for action in ACTIONS:
            self.attempt(moment, action)

    test.__doc__ = f"Each action at the moment {moment!r}."
    return test


for _moment in MOMENTS:
    setattr(MatrixTests, f"test_{_moment}", _matrix(_moment))
