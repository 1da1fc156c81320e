"""
Random frames, read by plain h2 and by the engine: what came out is the same, or differs as listed.

Frames are fed one at a time to both. :data:`DIFFERENCES` names every way in which the engine may
say something else than h2; after one of them both are let go, since from there on they are in
different states. Anything that is not among them is a failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from hpack import Encoder

from tests.core import wire
from tests.core.test_differential import STREAMS, as_plain
from tests.core.wire import Conversation, frame
from txhyper.core import facts
from txhyper.errors import BoundExceeded, MalformedResponse, ProtocolViolation

#: What the engine made of a frame, and what h2 did: facts, or the exception.
Outcome = tuple[list[Any], Exception | None]


def _malformed(ours: Outcome, theirs: Outcome, kind: int) -> bool:
    return any(
        what == facts.FAILED and error == MalformedResponse.__name__
        for what, _, error, _ in ours[0]
    )


#: Why each is right; the arguments are what the engine did, what h2 did, and the frame's type.
DIFFERENCES: dict[str, Callable[[Outcome, Outcome, int], bool]] = {
    # RFC 9113 section 8.1.1: h2 ends the connection, or lets the response pass.
    "an error of one stream ends that stream": _malformed,
    # Section 6.8: h2 closes itself on GOAWAY, and the streams that were promised with it.
    "GOAWAY ends only what it names": lambda ours, theirs, kind: kind == wire.GOAWAY,
    # Both end the connection; the codes may be different ones.
    "both end the connection": lambda ours, theirs, kind: bool(ours[1] and theirs[1]),
    # Section 5.1 again: those that come after END_STREAM did not cross anything.
    "nothing follows END_STREAM": lambda ours, theirs, kind: "after its END_STREAM" in str(ours[1]),
    # Section 5.1: frames of a stream that was reset may have crossed the reset.
    "late frames are forgiven": lambda ours, theirs, kind: (
        bool(theirs[1]) and not ours[1] and not ours[0]
    ),
}


class Pair:
    """The two, with as many streams open as the comparison of conversations has."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.update_settings({2: 0})
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window((1 << 25) - 65535)
        self.conversation = Conversation(greeted=False)
        for number in range(STREAMS):
            self.h2.send_headers(
                2 * number + 1,
                [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")],
                end_stream=True,
            )
            self.conversation.open()

    def theirs(self, octets: bytes) -> Outcome:
        """What h2 makes of a frame."""
        try:
            events = self.h2.receive_data(octets)
        except ProtocolError as error:
            return [], error
        return [plain for event in events for plain in as_plain(event)], None

    def ours(self, octets: bytes) -> Outcome:
        """What the engine does."""
        found: list[Any] = []
        try:
            for fact in self.conversation.engine.receive(octets):
                what, stream, error, _ = fact
                if what == facts.FAILED:
                    code = getattr(error, "code", None)
                    if isinstance(error, MalformedResponse):
                        code = MalformedResponse.__name__
                    found.append((what, stream.id, code, 0))
                elif what not in (facts.ANNOUNCED, facts.GONE):
                    found.extend(wire.seen([fact]))
        except (ProtocolViolation, BoundExceeded) as error:
            return found, error
        return found, None


def run(seed: int) -> str | None:
    """
    Feed both with random frames until they part.

    :return: the listed difference, or None if there was none.
    :raises AssertionError: they differ in another way, or something else was raised.
    """
    dice = random.Random(seed)
    encoder = Encoder()
    pair = Pair()
    octets = frame(wire.SETTINGS, 0, 0)
    history = []
    for _ in range(dice.randint(1, 60)):
        history.append(octets)
        ours, theirs = pair.ours(octets), pair.theirs(octets)
        kind = octets[3]
        if ours != theirs or kind == wire.GOAWAY:
            for name, holds in DIFFERENCES.items():
                if holds(ours, theirs, kind):
                    return name
            raise AssertionError(f"ours {ours}, h2's {theirs}: {octets!r} after {history[-6:-1]!r}")
        octets = _frame(dice, encoder)
    return None


def _frame(dice: random.Random, encoder: Encoder) -> bytes:
    stream = dice.choice([1, 3, 5, 7])
    chance = dice.random()
    if chance < 0.05:
        kind, flags = dice.randint(0, 12), dice.choice([0, 1, 4, 5, 8, 32, 255])
        stream = dice.choice([0, 0, 1, 2, 3, 9])
        return frame(kind, flags, stream, dice.randbytes(dice.choice([0, 4, 5, 8, 12, 18])))
    if chance < 0.4:
        fields = [(b":status", dice.choice([b"200", b"200", b"404", b"103", b"204", b"20"]))]
        pool = [
            (b"a", b"b"), (b"content-length", b"10"), (b"content-length", b"0"), (b"A", b"b"),
            (b"connection", b"x"), (b"x", b" y"), (b"te", b"trailers"), (b":path", b"/"),
        ]  # fmt: skip
        fields += [dice.choice(pool) for _ in range(dice.choice([0, 0, 1, 2]))]
        if dice.random() < 0.2:
            del fields[0]
        flags = wire.END_HEADERS | dice.choice([0, 0, 0, wire.END_STREAM])
        return frame(wire.HEADERS, flags, stream, bytes(encoder.encode(fields)))
    if chance < 0.7:
        size = dice.choice([0, 1, 5, 10, 1000])
        padding = dice.choice([None, None, None, 0, 7])
        return wire.data(stream, bytes(size), dice.random() < 0.15, padding)
    if chance < 0.75:
        return wire.reset(stream, dice.choice([0, 1, 5, 8, 0xFFF]))
    if chance < 0.82:
        return wire.window_update(dice.choice([0, stream]), dice.choice([1, 1000, (1 << 31) - 1]))
    if chance < 0.9:
        values = [
            (dice.choice([1, 3, 4, 5, 6, 99]), dice.choice([0, 1, 100, 16384, 65535, 1 << 31]))
        ]
        return wire.settings_frame(values)
    if chance < 0.99:
        return frame(wire.PING, dice.choice([0, 1]), 0, b"12345678")
    return wire.goaway(dice.choice([0, 3, 7]), dice.choice([0, 2]))
