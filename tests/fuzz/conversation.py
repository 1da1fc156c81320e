"""
One random conversation between the client and a peer that knows no manners.

Everything is drawn from one seed: what the peer sends and how it is cut, what users do from inside
and outside of callbacks, when the transport pauses. What must hold in spite of it is asserted:

* nothing escapes ``dataReceived``;
* each request's Deferred fires once, and each reader is told of its end once, and gets nothing
  after it;
* no timer is left, and nothing is logged but what a user's own reader raised;
* what the client has sent is well-formed to its last octet.
"""

from __future__ import annotations

import random
from typing import Any

from hpack import Encoder
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from txhyper.core import frames
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.request import Request
from txhyper.testing.peer import ScriptedPeer

STATUSES = [b"200", b"200", b"200", b"204", b"103", b"404", b"99"]
FIELDS = [
    (b"content-length", b"0"),
    (b"content-length", b"100"),
    (b"a", b"b"),
    (b"set-cookie", b"secret"),
    (b"Bad", b"x"),
    (b"connection", b"close"),
]


@implementer(IBodyProducer)
class Producer:
    """Writes pieces of any size until it is paused."""

    def __init__(self, dice: random.Random, length: int) -> None:
        self.length = length
        self._dice = dice
        self._left = length
        self._isPaused = False
        self._isStopped = False
        self._finished: Deferred[None] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Begin."""
        self._consumer = consumer
        self._go()
        return self._finished

    def _go(self) -> None:
        while self._left and not (self._isPaused or self._isStopped):
            size = min(self._left, self._dice.choice([1, 100, 5000, 70000]))
            self._left -= size
            self._consumer.write(bytes(size))
        if not (self._left or self._isStopped or self._finished.called):
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
        self._isStopped = True


class Reader(Protocol):
    """A reader that does whatever comes to its mind."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.ends = 0

    def dataReceived(self, data: bytes) -> None:
        """Anything but reading."""
        assert not self.ends, "octets after the end"
        self._conversation.misbehave(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count."""
        self.ends += 1
        assert self.ends == 1, "told of the end twice"


class Conversation:
    """One conversation; :meth:`run` has it, and checks what must hold."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = Clock()
        self.peer = ScriptedPeer(self.clock)
        self.client = self.peer.connect(HTTP2ClientProtocol(self.clock))
        self.encoder = Encoder()
        self.requests: list[Deferred[Any]] = []
        self.fired: list[int] = []
        self.readers: list[Reader] = []
        # Responses that nobody reads, for now.
        self.unread: list[Any] = []
        self.logged: list[LogEvent] = []

    # -- users -----------------------------------------------------------------------------------

    def ask(self) -> None:
        """One more request."""
        number = len(self.requests)
        method, body = b"GET", None
        if self.dice.random() < 0.4:
            method, body = b"POST", Producer(self.dice, self.dice.choice([0, 1, 1000, 200_000]))
        elif self.dice.random() < 0.1:
            method = b"HEAD"
        self.fired.append(0)
        deferred = self.client.request(
            Request(method, b"https://peer.test/%d" % number, None, body)
        )
        self.requests.append(deferred)

        def responded(response: Any) -> None:
            self.fired[number] += 1
            chance = self.dice.random()
            if chance < 0.7:
                self.read(response)
            elif chance < 0.85:
                self.unread.append(response)

        def failed(reason: Failure) -> None:
            self.fired[number] += 1

        deferred.addCallbacks(responded, failed)

    def read(self, response: Any) -> None:
        """Give a response a reader."""
        reader = Reader(self)
        self.readers.append(reader)
        response.deliverBody(reader)

    def misbehave(self, reader: Reader) -> None:
        """Something that a user does from within a callback."""
        transport: Any = reader.transport
        chance = self.dice.random()
        if chance < 0.1:
            transport.pauseProducing()
        elif chance < 0.13:
            transport.loseConnection()
        elif chance < 0.15:
            transport.pauseProducing()
            transport.resumeProducing()
        elif chance < 0.16:
            raise ValueError("a reader's mistake")
        elif chance < 0.18:
            self.ask()
        elif chance < 0.19:
            self.dice.choice(self.requests).cancel()
        elif chance < 0.192:
            self.client.abort()
        elif chance < 0.195:
            self.client.close()

    def meddle(self) -> None:
        """Something that happens outside of them."""
        producer = self.peer.transport.producer
        chance = self.dice.random()
        if chance < 0.1:
            self.clock.advance(0)
        elif chance < 0.15:
            self.dice.choice(self.requests).cancel()
        elif chance < 0.22:
            self.ask()
        elif chance < 0.27 and producer is not None:
            producer.pauseProducing()
        elif chance < 0.35 and producer is not None:
            producer.resumeProducing()
        elif chance < 0.45 and self.readers:
            self.resume(self.dice.choice(self.readers))
        elif chance < 0.48 and self.unread:
            self.read(self.unread.pop())
        elif chance < 0.5:
            self.unread.clear()
        elif chance < 0.51:
            self.client.ping().addErrback(lambda _: None)

    def resume(self, reader: Reader) -> None:
        """Resume a reader."""
        transport: Any = reader.transport
        transport.resumeProducing()

    # -- the peer --------------------------------------------------------------------------------

    def block(self) -> bytes:
        """A header block, more or less."""
        fields = [(b":status", self.dice.choice(STATUSES))]
        fields += [self.dice.choice(FIELDS) for _ in range(self.dice.randint(0, 2))]
        fields.append((b"d", b"%d" % self.dice.randint(0, 20)))
        return bytes(self.encoder.encode(fields))

    def frame(self, rudeness: float) -> bytes:
        """A frame. :param rudeness: how often it is nonsense."""
        dice = self.dice
        if dice.random() < rudeness:
            kind, flags, stream = dice.randint(0, 12), dice.randint(0, 255), dice.randint(0, 9)
            return frames.pack(kind, flags, stream, dice.randbytes(dice.randint(0, 20)))
        stream = dice.randrange(1, 2 * len(self.requests) + 1, 2)
        chance = dice.random()
        if chance < 0.35:
            flags = dice.choice([frames.END_HEADERS] * 4 + [frames.END_HEADERS | 1])
            return frames.pack(frames.HEADERS, flags, stream, self.block())
        if chance < 0.7:
            size = dice.choice([0, 1, 5, 100, 16384])
            return frames.pack(frames.DATA, dice.choice([0, 0, 0, 1]), stream, bytes(size))
        if chance < 0.75:
            return frames.pack_reset(stream, dice.choice([0, 1, 7, 8, 13, 0xFFF]))
        if chance < 0.85:
            increment = dice.choice([1, 1000, 100_000, frames.MAX_WINDOW])
            return frames.pack_window_update(dice.choice([0, stream]), increment)
        if chance < 0.93:
            code, value = dice.choice(
                [(3, 0), (3, 1), (3, 5), (4, 0), (4, 10), (4, 65535), (1, 0), (1, 1 << 30), (77, 3)]
            )
            payload = code.to_bytes(2, "big") + value.to_bytes(4, "big")
            return frames.pack(frames.SETTINGS, 0, 0, payload)
        if chance < 0.99:
            return frames.pack(frames.PING, dice.choice([0, 1]), 0, b"12345678")
        return frames.pack_goaway(dice.choice([0, 1, 3, 5, frames.STREAM_MASK]), 0, b"bye")

    # -- all of it -------------------------------------------------------------------------------

    def run(self) -> None:
        """
        Have the conversation.

        :raises AssertionError: something does not hold.
        """
        globalLogPublisher.addObserver(self.logged.append)
        try:
            self.talk()
            self.part()
        finally:
            globalLogPublisher.removeObserver(self.logged.append)
        self.check()

    def talk(self) -> None:
        """The peer sends, in pieces, and users meddle."""
        for _ in range(self.dice.randint(1, 8)):
            self.ask()
        rudeness = self.dice.choice([0.0, 0.002, 0.05])
        octets = frames.pack(frames.SETTINGS, 0, 0)
        for _ in range(self.dice.randint(1, 100)):
            octets += self.frame(rudeness)
            if self.dice.random() < 0.5:
                cut = self.dice.randint(0, len(octets))
                self.peer.send(octets[:cut])
                octets = octets[cut:]
            self.meddle()
        self.peer.send(octets)

    def part(self) -> None:
        """The connection ends, and every reader reads what it has left."""
        self.clock.advance(0)
        self.peer.loseConnection()
        self.unread.clear()
        for _ in range(100):
            for reader in list(self.readers):
                self.resume(reader)
            self.clock.advance(0)

    def check(self) -> None:
        """What must hold."""
        assert self.fired == [1] * len(self.fired), self.fired
        assert all(reader.ends == 1 for reader in self.readers), "a reader was not told"
        assert not self.clock.getDelayedCalls(), self.clock.getDelayedCalls()
        surprises = [
            event
            for event in self.logged
            if "log_failure" in event and not event["log_failure"].check(ValueError)
        ]
        assert not surprises, surprises
        self.peer.read()
