"""
State machines: hypothesis looks for a way to talk to the client that breaks a promise.

:class:`ConnectionMachine` has one connection and a scripted peer, :class:`PoolMachine` a pool and a
network of them. Rules are what peers and users may do, in any order; what they do is written down
as calls of methods, so that a failure prints the shortest conversation that shows it.
"""

from __future__ import annotations

import gc
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.client.network import Connection, Network
from tests.fuzz.judge import Judge
from tests.fuzz.users import WHIMS, NoCollection, Producer, Users
from tests.fuzz.weight import weight
from txhyper.client.pool import ConnectionPool
from txhyper.client.route import Route
from txhyper.core import frames
from txhyper.core.bounds import Bounds
from txhyper.core.windows import (
    AutoTuningFlowControlManager,
    ConsumptionFlowControlManager,
    FlowControlManager,
    ReceiptFlowControlManager,
)
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.keepalive import Liveness
from txhyper.protocol.timeouts import Timeouts
from txhyper.testing.peer import ScriptedPeer


class SmallFlowControlManager(FlowControlManager):
    """Windows that a conversation of these uses up."""

    initial_stream_window = 20_000
    largest_window = 80_000


MANAGERS = [
    FlowControlManager,
    SmallFlowControlManager,
    ConsumptionFlowControlManager,
    ReceiptFlowControlManager,
    AutoTuningFlowControlManager,
]

numbers = st.integers(0, 7)
rudeness = st.sampled_from([False, False, True])
whims = st.lists(st.sampled_from(WHIMS), max_size=3)
#: How a buffer is cut: all of it, all but an octet, an octet, half.
splits = st.sampled_from([1.0, 1.0, 0.999, 0.001, 0.5])
bodies = st.none() | st.tuples(
    st.lists(st.sampled_from([0, 1, 100, 5000, 70_000]), max_size=4),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
)
fates = st.sampled_from(["read", "read", "read", "keep", "drop"])
timeouts = st.none() | st.builds(
    Timeouts,
    headers=st.none() | st.just(3.0),
    bodyIdle=st.none() | st.just(2.0),
    slot=st.none() | st.just(1.0),
    total=st.none() | st.just(5.0),
)
statuses = st.sampled_from(
    [b"200"] * 6 + [b"204", b"304", b"100", b"103", b"417", b"421", b"500", b"99", b"", b"2000"]
)
fields = st.lists(
    st.sampled_from(
        [
            (b"a", b"b"),
            (b"content-length", b"0"),
            (b"content-length", b"10"),
            (b"content-length", b"-1"),
            (b"content-encoding", b"gzip"),
            (b"set-cookie", b"x" * 300),
            (b"Bad", b"x"),
            (b"bad", b"x\r\ny"),
            (b"connection", b"close"),
            (b":status", b"200"),
            (b":path", b"/"),
        ]
    ),
    max_size=3,
)
settings = st.dictionaries(
    st.sampled_from([1, 2, 3, 4, 5, 6, 8, 99]),
    st.sampled_from(
        [0, 1, 2, 10, 4096, 16384, 65535, 100_000, (1 << 24) - 1, (1 << 31) - 1, 1 << 31]
    ),
    max_size=3,
)
#: What RFC 9113 section 6.5.2 allows.
LEAST = {5: 16384}
MOST = {2: 0, 4: (1 << 31) - 1, 5: (1 << 24) - 1, 8: 1}
codes = st.sampled_from([0, 1, 2, 5, 7, 8, 11, 13, 0xFFFF])


class Scene:
    """
    One connection between a client and a peer, both watched by a judge.

    :ivar client: the protocol; None for one that does not speak HTTP/2.
    """

    def __init__(self, clock: Clock, peer: ScriptedPeer, client: Any) -> None:
        self.clock = clock
        self.peer = peer
        self.client = client
        self.judge = Judge()
        self._seen = 0
        self._octets = b""
        self.isLost = False

    def look(self) -> None:
        """Show the judge what the client has written."""
        writes = self.peer.transport.writes
        fresh = b"".join(writes[self._seen :])
        self._seen = len(writes)
        self.judge.clientSends(fresh)

    def turn(self) -> None:
        """Let the client's turn end."""
        self.clock.advance(0)
        self.look()

    def say(self, octets: bytes, split: float) -> None:
        """The peer sends, so much of it now. Nothing escapes the client."""
        self._octets += octets
        self.turn()
        if self.isLost or self.peer.transport.isAborted:
            return
        cut = int(len(self._octets) * split) or min(1, len(self._octets))
        now, self._octets = self._octets[:cut], self._octets[cut:]
        self.judge.peerSends(now)
        self.peer.send(now)
        self.look()
        self.judge.balance(self.client)

    def lose(self) -> None:
        """The transport is gone."""
        if not self.isLost:
            self.isLost = True
            self.peer.loseConnection()


class PeerRules(RuleBasedStateMachine):
    """What a peer may say. A subclass says on which connection."""

    promised = 0
    #: Whether the peer says what ends a connection: then not much else comes to pass.
    isRude = False

    def scene(self) -> Scene | None:
        """The connection at hand."""
        raise NotImplementedError

    def say(self, split: float, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        scene = self.scene()
        if scene is not None:
            scene.say(frames.pack(kind, flags, stream, payload), split)

    def stream(self, which: int) -> int:
        """A stream that the peer knows, or, if it is rude, at times one that it does not."""
        scene = self.scene()
        accounts = {} if scene is None else scene.judge.accounts
        known = [*accounts][-6:]
        if not known or (self.isRude and not which):
            return 2 * which + 1
        ours = [each for each, account in accounts.items() if not account.hasPeerEnded]
        if ours and which != 7:
            known = [each for each in ours if not accounts[each].wasReset] or known
        return known[which % len(known)]

    @property
    def isListening(self) -> bool:
        """Whether there is a stream to speak on, or the peer does not mind."""
        scene = self.scene()
        if scene is None:
            return False
        scene.turn()
        return self.isRude or bool(scene.judge.accounts)

    @rule(values=settings, isAck=st.sampled_from([False] * 5 + [True]), split=splits)
    def settings(self, values: dict[int, int], isAck: bool, split: float) -> None:
        payload = b"".join(
            code.to_bytes(2, "big") + value.to_bytes(4, "big")
            for code, value in values.items()
            if self.isRude or LEAST.get(code, 0) <= value <= MOST.get(code, 1 << 32)
        )
        self.say(split, frames.SETTINGS, int(isAck), 0, b"" if isAck else payload)

    @rule(
        which=numbers, status=statuses, fields=fields, end=st.booleans(), pieces=st.integers(1, 3),
        split=splits,
    )  # fmt: skip
    def head(
        self, which: int, status: bytes, fields: Any, end: bool, pieces: int, split: float
    ) -> None:
        self.block(which, [(b":status", status), *fields], end, pieces, split)

    @rule(which=numbers, split=splits, size=st.sampled_from([0, 1, 10, 5000, 16384]))
    def answer(self, which: int, split: float, size: int) -> None:
        """A whole response, as it should be."""
        self.block(which, [(b":status", b"200")], False, 1, split)
        self.data(which, size, None, True, split)

    @rule(which=numbers, split=splits, number=st.integers(1, 4), begins=st.booleans())
    def pour(self, which: int, split: float, number: int, begins: bool) -> None:
        """Much of a body, as far as the windows go."""
        scene = self.scene()
        if scene is None or not self.isListening:
            return
        stream = self.stream(which)
        if begins:
            self.block(which, [(b":status", b"200")], False, 1, split)
        for _ in range(number):
            account = scene.judge.accounts.get(stream)
            size = 0 if account is None else min(account.receiveWindow, 16384)
            if size > 0 or self.isRude:
                self.say(split, frames.DATA, 0, stream, bytes(max(0, size)))

    @rule(which=numbers, fields=fields, split=splits)
    def trailers(self, which: int, fields: Any, split: float) -> None:
        self.block(which, fields, True, 1, split)

    def block(self, which: int, fields: Any, end: bool, pieces: int, split: float) -> None:
        scene = self.scene()
        if scene is None or not self.isListening:
            return
        stream = self.stream(which)
        block = bytes(scene.peer.encoder.encode(fields))
        size = len(block) // pieces + 1
        parts = [block[at : at + size] for at in range(0, len(block), size)] or [b""]
        for number, part in enumerate(parts):
            flags = frames.END_STREAM if end and not number else 0
            flags |= frames.END_HEADERS if number == len(parts) - 1 else 0
            kind = frames.CONTINUATION if number else frames.HEADERS
            self.say(split, kind, flags, stream, part)

    @rule(
        which=numbers, size=st.sampled_from([0, 1, 10, 5000, 16384]),
        padding=st.none() | st.sampled_from([0, 1, 255]), end=st.booleans(), split=splits,
    )  # fmt: skip
    def data(self, which: int, size: int, padding: int | None, end: bool, split: float) -> None:
        flags = frames.END_STREAM if end else 0
        payload = bytes(size)
        if padding is not None:
            flags |= frames.PADDED
            payload = bytes([padding]) + payload[:16128] + bytes(padding)
        if self.isListening:
            self.say(split, frames.DATA, flags, self.stream(which), payload)

    @rule(which=numbers, code=codes, split=splits)
    def reset(self, which: int, code: int, split: float) -> None:
        if self.isListening:
            self.say(split, frames.RST_STREAM, 0, self.stream(which), code.to_bytes(4, "big"))

    @rule(
        which=st.none() | numbers, split=splits,
        increment=st.sampled_from([1, 100, 70_000, 1 << 20, 0, (1 << 31) - 1]),
    )  # fmt: skip
    def window(self, which: int | None, increment: int, split: float) -> None:
        if not (self.isRude or (which is not None and self.isListening)):
            # What ends a stream may end the connection.
            which, increment = None, increment % 70_001 or 1
        stream = 0 if which is None else self.stream(which)
        self.say(split, frames.WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))

    @rule(split=splits, isAck=st.booleans())
    def ping(self, split: float, isAck: bool) -> None:
        self.say(split, frames.PING, int(isAck), 0, b"12345678")

    @rule(which=numbers, code=codes, split=splits)
    def goAway(self, which: int, code: int, split: float) -> None:
        last = self.stream(which) if which < 6 else [0, (1 << 31) - 1][which - 6]
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + b"bye"
        self.say(split, frames.GOAWAY, 0, 0, payload)

    @rule(which=numbers, skip=st.integers(0, 2), split=splits)
    def promise(self, which: int, skip: int, split: float) -> None:
        scene = self.scene()
        if scene is not None and (self.isRude or (self.isListening and self.pushes)):
            self.promised += 2 * (skip if self.isRude else 1)
            head = [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a.test"),
                (b":path", b"/pushed"),
            ]
            block = self.promised.to_bytes(4, "big") + bytes(scene.peer.encoder.encode(head))
            stream = self.stream(which)
            self.say(split, frames.PUSH_PROMISE, frames.END_HEADERS, stream, block)

    pushes = False

    @rule(which=numbers, size=st.sampled_from([0, 10, 16384]), end=st.booleans(), split=splits)
    def fulfil(self, which: int, size: int, end: bool, split: float) -> None:
        """Something on a promised stream."""
        scene = self.scene()
        if not (self.isRude or self.promised):
            return
        stream = max(2, self.promised - 2 * (which % 3))
        if scene is not None and which % 2:
            block = bytes(scene.peer.encoder.encode([(b":status", b"200")]))
            self.say(split, frames.HEADERS, frames.END_HEADERS | int(end), stream, block)
        self.say(split, frames.DATA, int(end), stream, bytes(size))

    @rule(
        kind=st.integers(0, 20), flags=st.integers(0, 255), stream=st.integers(0, 12),
        payload=st.binary(max_size=40), split=splits,
    )  # fmt: skip
    @precondition(lambda self: self.isRude)
    def anything(self, kind: int, flags: int, stream: int, payload: bytes, split: float) -> None:
        self.say(split, kind, flags, stream, payload)

    @rule(octets=st.binary(min_size=1, max_size=30))
    @precondition(lambda self: self.isRude)
    def noise(self, octets: bytes) -> None:
        scene = self.scene()
        if scene is not None:
            scene.say(octets, 1.0)


class UserRules(PeerRules):
    """What users may do."""

    users: Users
    clock: Clock

    @rule(
        method=st.sampled_from([b"GET", b"GET", b"HEAD", b"POST", b"CONNECT"]), body=bodies,
        fate=fates, whims=whims, timeouts=timeouts, expects=st.sampled_from([False, False, True]),
        pushes=st.booleans(), origin=st.sampled_from([b"https://a.test", b"https://b.test"]),
    )  # fmt: skip
    def ask(
        self, method: bytes, body: Any, fate: str, whims: list[str], timeouts: Any,
        expects: bool, pushes: bool, origin: bytes,
    ) -> None:  # fmt: skip
        if method == b"CONNECT":
            # A tunnel has users of its own.
            method = b"DELETE"
        fields = [(b"expect", b"100-continue")] if expects and body is not None else []
        if len(self.users.fired) < 60:
            # Made here: whatever hypothesis made it would keep.
            producer = None if body is None else Producer(*body)
            self.users.ask(method, b"/", producer, fate, whims, fields, timeouts, origin, pushes)

    @rule(which=numbers)
    def cancel(self, which: int) -> None:
        self.users.cancel(which)

    @rule(which=numbers, how=st.sampled_from(["pause", "resume", "resume", "lose"]))
    def reader(self, which: int, how: str) -> None:
        reader = self.users.reader(which)
        if reader is not None:
            transport: Any = reader.transport
            {"pause": reader.pause, "resume": reader.resume, "lose": transport.loseConnection}[
                how
            ]()

    @rule(which=numbers, whims=whims)
    def late(self, which: int, whims: list[str]) -> None:
        self.users.late(which, whims)

    @rule()
    def drop(self) -> None:
        self.users.unread.clear()

    @rule(which=numbers)
    def refuse(self, which: int) -> None:
        if self.users.promises:
            self.users.promises.pop(which % len(self.users.promises)).cancel()

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.5, 2.0, 6.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(isReady=st.booleans())
    def transport(self, isReady: bool) -> None:
        """The transport has enough, or takes more."""
        scene = self.scene()
        producer = None if scene is None else scene.peer.transport.producer
        if producer is not None:
            if isReady:
                producer.resumeProducing()
            else:
                producer.pauseProducing()


class ConnectionMachine(UserRules):
    """One connection."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet = NoCollection()
        self._quiet.__enter__()
        self.clock = Clock()
        self.users = Users(lambda request: self.client.request(request), self.end)
        self._isOver = False

    @initialize(
        manager=st.sampled_from(MANAGERS), push=st.booleans(), interval=st.none() | st.just(4.0),
        rude=rudeness, asked=st.integers(0, 4),
    )  # fmt: skip
    def connect(
        self, manager: Any, push: bool, interval: float | None, rude: bool, asked: int
    ) -> None:
        self.isRude, self.pushes = rude, push
        peer = ScriptedPeer(self.clock)
        self.client = peer.connect(
            HTTP2ClientProtocol(
                self.clock,
                "https://a.test",
                Bounds(promises=3, informational_responses=5),
                manager,
                enablePush=push,
                liveness=Liveness(interval=interval, deadline=5.0),
            )
        )
        self._scene = Scene(self.clock, peer, self.client)
        self._scene.say(frames.pack(frames.SETTINGS, 0, 0), 1.0)
        for _ in range(asked):
            self.users.ask()

    def scene(self) -> Scene | None:
        return self._scene

    def end(self, how: str) -> None:
        """From within a callback."""
        getattr(self.client, how)()

    @rule(how=st.sampled_from(["close", "close", "abort"]))
    @precondition(lambda self: len(self.users.fired) > 3)
    def hangUp(self, how: str) -> None:
        self.end(how)

    @rule()
    def measure(self) -> None:
        self.client.ping().addErrback(lambda _: None)

    @rule()
    @precondition(lambda self: len(self.users.fired) > 5)
    def lose(self) -> None:
        self._scene.lose()

    def teardown(self) -> None:
        """Everything ends; then nothing is left."""
        try:
            if hasattr(self, "_scene"):
                self._finish()
        finally:
            self.users.forget()
            self._quiet.__exit__()

    def _finish(self) -> None:
        scene, users = self._scene, self.users
        scene.turn()
        scene.judge.balance(self.client)
        users.resumeAll()
        scene.turn()
        scene.judge.paid(self.client)
        held = weight(self.client)
        assert held <= 300_000 + 2 * scene.judge.allowed, f"{held} octets are held"
        scene.lose()
        for _ in range(20):
            users.settle()
            self.clock.advance(0)
        users.check()
        left = self.clock.getDelayedCalls()
        assert not left, left
        assert not users.kept(), "requests that are over are kept by a cycle"


class PoolMachine(UserRules):
    """A pool, two origins, and a network in which the test says what becomes of each dial."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet = NoCollection()
        self._quiet.__enter__()
        self.clock = Clock()
        self.network = Network(self.clock)
        self.users = Users(self.send, self.end)
        self.scenes: list[Scene] = []
        self.taken: set[int] = set()
        self.turnOf = 0
        self.closings: list[Any] = []
        self.spokeHTTP11 = False

    @initialize(
        manager=st.sampled_from(MANAGERS), push=st.booleans(), persistent=st.booleans(),
        perHost=st.integers(1, 2), perConnection=st.none() | st.integers(1, 3),
        age=st.none() | st.just(10.0), rude=rudeness, asked=st.integers(0, 4),
    )  # fmt: skip
    def begin(
        self, manager: Any, push: bool, persistent: bool, perHost: int, perConnection: int | None,
        age: float | None, rude: bool, asked: int,
    ) -> None:  # fmt: skip
        self.isRude, self.pushes = rude, push
        self.pool = ConnectionPool(
            self.clock, persistent, window_manager=manager, enablePush=push,
            handshakeTimeout=7.0, liveness=Liveness(deadline=5.0),
            bounds=Bounds(attempts=3),
        )  # fmt: skip
        self.pool.maxConnectionsPerHost = perHost
        self.pool.maxRequestsPerConnection = perConnection
        self.pool.maxConnectionAge = age
        self.pool.closeTimeout = 3.0
        for number in range(asked):
            self.users.ask()
            if number == 2:
                self.acceptDial(0, b"h2")

    def send(self, request: Any) -> Any:
        """Send a request by the pool."""
        origin = (request.scheme + b"://" + request.authority).decode()
        return self.pool.send(Route(origin, origin, lambda: self.network), request)

    def end(self, how: str) -> None:
        """From within a callback."""
        self.closings.append(self.pool.closeCachedConnections())

    def scene(self) -> Scene | None:
        """The connection whose turn it is."""
        return self.scenes[self.turnOf % len(self.scenes)] if self.scenes else None

    @rule(which=numbers)
    def turnTo(self, which: int) -> None:
        self.turnOf = which

    def dial(self, which: int) -> Connection | None:
        """A dial that is not decided."""
        undecided = [
            each
            for each in self.network.connections
            if not each.connecting.called and not each.isCancelled
        ]
        return undecided[which % len(undecided)] if undecided else None

    @rule(which=numbers)
    def refuseDial(self, which: int) -> None:
        dial = self.dial(which)
        if dial is not None:
            dial.connecting.errback(Failure(ConnectError()))

    @rule(which=numbers, protocol=st.sampled_from([b"h2"] * 5 + [b"http/1.1", None]))
    def acceptDial(self, which: int, protocol: bytes | None) -> None:
        dial = self.dial(which)
        if dial is None:
            return
        dial.tcp().tls(protocol)
        self.spokeHTTP11 |= protocol != b"h2"
        if protocol == b"h2" and not dial.transport.isAborted:
            client = dial.negotiator._speaker
            if isinstance(client, HTTP2ClientProtocol):
                scene = Scene(self.clock, dial.peer, client)
                self.scenes.append(scene)
                self.turnOf = len(self.scenes) - 1
                scene.say(frames.pack(frames.SETTINGS, 0, 0), 1.0)

    @rule(which=numbers)
    def hang(self, which: int) -> None:
        """TCP, and no handshake; or it ends in the middle of it."""
        dial = self.dial(which)
        if dial is not None:
            dial.tcp()
            if which % 2:
                dial.lose()

    @rule(which=numbers, octets=st.sampled_from([
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n", b"Content-Length: 5\r\n\r\nab", b"\r\n", b"abc",
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", b"\x00\xff",
    ]))  # fmt: skip
    def answer11(self, which: int, octets: bytes) -> None:
        """Something on a connection that speaks HTTP/1.1."""
        known = [scene.peer for scene in self.scenes]
        alive = [
            each
            for each in self.network.connections
            if each.negotiator is not None
            and each.peer not in known
            and not (each.transport.isClosing or each.transport.isAborted or each.peer._isLost)
        ]
        if alive:
            alive[which % len(alive)].peer.send(octets)

    @rule(which=numbers)
    @precondition(lambda self: len(self.users.fired) > 1)
    def loseOne(self, which: int) -> None:
        made = [each for each in self.network.connections if each.negotiator is not None]
        if made:
            made[which % len(made)].lose()
        self.sweep()

    @rule()
    def settleNetwork(self) -> None:
        """Transports that were closed are gone."""
        self.network.settle()
        self.sweep()

    def sweep(self) -> None:
        """Forget connections that are gone."""
        for scene in self.scenes:
            scene.isLost |= scene.peer._isLost

    @rule()
    @precondition(lambda self: len(self.users.fired) > 3)
    def closeAll(self) -> None:
        self.end("close")

    def teardown(self) -> None:
        """The pool closes; then nothing is left."""
        try:
            if hasattr(self, "pool"):
                self._finish()
        finally:
            self.users.forget()
            self._quiet.__exit__()

    def letGo(self) -> None:
        """Every connection is gone."""
        for dial in self.network.connections:
            if dial.negotiator is not None:
                dial.lose()

    def _finish(self) -> None:
        for scene in self.scenes:
            self.sweep()
            if not scene.isLost:
                scene.turn()
                scene.judge.balance(scene.client)
        self.pool.snapshot()
        self.end("close")
        for _ in range(20):
            self.users.settle()
            self.network.settle()
            self.letGo()
        self.users.check()
        for closing in self.closings:
            assert closing.called, "closing has no end"
        left = self.clock.getDelayedCalls()
        assert not left, left
        assert not self.pool._origins, "an origin is remembered"
        self.closings.clear()
        if self.spokeHTTP11 and self.users.kept():
            # Twisted's own protocol for it leaves cycles behind; they must be all that does.
            self.network.connections.clear()
            gc.collect()
        assert not self.users.kept(), "requests that are over are kept by a cycle"
