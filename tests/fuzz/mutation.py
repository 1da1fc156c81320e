"""
What real servers once said, damaged.

``recordings/`` has what servers answered to the requests of :mod:`tests.fuzz.record`, without TLS.
Here a client asks for the same things and is fed such a recording with octets flipped, cut and
repeated, frames swapped, lost and doubled, lengths, types and ids changed. What must hold is what
must hold of every conversation: :class:`~tests.fuzz.judge.Judge` and
:class:`~tests.fuzz.users.Users` say.
"""

from __future__ import annotations

import random
from pathlib import Path

from twisted.internet.task import Clock

from tests.fuzz.judge import FrameReader
from tests.fuzz.machines import Scene
from tests.fuzz.record import REQUESTS
from tests.fuzz.users import WHIMS, NoCollection, Producer, Users
from tests.fuzz.weight import weight
from txhyper.core import frames
from txhyper.core.windows import FlowControlManager
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.testing.peer import ScriptedPeer

PLACE = Path(__file__).parent / "recordings"
RECORDINGS = {path.stem: path.read_bytes() for path in sorted(PLACE.glob("*.bin"))}


class TinyFlowControlManager(FlowControlManager):
    """Windows that a recording uses up."""

    initial_stream_window = 150


def cut(octets: bytes) -> list[bytes]:
    """A recording's frames; the last one may be a part of one."""
    reader = FrameReader(False)
    found = [frames.pack(*frame) for frame in reader.read(octets)]
    return [*found, reader.rest] if reader.rest else found


def damaged(pieces: list[bytes], dice: random.Random) -> list[bytes]:
    """One more thing is wrong with them."""
    pieces = list(pieces)
    at = dice.randrange(len(pieces))
    piece = bytearray(pieces[at])
    how = dice.randrange(9)
    if how == 0 and piece:
        piece[dice.randrange(len(piece))] ^= 1 << dice.randrange(8)
    elif how == 1:
        piece = piece[: dice.randint(0, len(piece))]
    elif how == 2:
        pieces.insert(at, pieces[dice.randrange(len(pieces))])
        return pieces
    elif how == 3:
        other = dice.randrange(len(pieces))
        pieces[at], pieces[other] = pieces[other], pieces[at]
        return pieces
    elif how == 4 and len(pieces) > 1:
        del pieces[at]
        return pieces
    elif how == 5 and len(piece) >= frames.HEADER_LENGTH:
        # The length, by a little or by much.
        piece[dice.randrange(3)] = dice.choice([0, 1, 64, 255, piece[2] ^ 1])
    elif how == 6 and len(piece) >= frames.HEADER_LENGTH:
        piece[8] = dice.choice([0, 1, 2, 3, 5, 7, 9, 11, 13])
    elif how == 7 and len(piece) >= frames.HEADER_LENGTH:
        piece[3 + dice.randrange(2)] = dice.choice([0, 1, 2, 4, 5, 8, 9, 12, 32, 255])
    else:
        start = dice.randint(0, len(piece))
        piece[start:start] = piece[start : start + dice.randint(0, 40)]
    pieces[at] = bytes(piece)
    return pieces


def meddle(users: Users, dice: random.Random) -> None:
    """What users may do meanwhile."""
    chance = dice.random()
    if chance < 0.05:
        users.cancel(dice.randrange(8))
    elif chance < 0.1:
        reader = users.reader(dice.randrange(8))
        if reader is not None:
            dice.choice([reader.pause, reader.resume])()
    elif chance < 0.12:
        users.unread.clear()


def run(seed: int) -> None:
    """
    Feed one damaged recording to a client.

    :raises AssertionError: something does not hold.
    """
    dice = random.Random(seed)
    clock = Clock()
    peer = ScriptedPeer(clock)
    client = HTTP2ClientProtocol(
        clock,
        "https://localhost",
        window_manager=dice.choice([FlowControlManager, TinyFlowControlManager]),
        enablePush=dice.random() < 0.5,
    )
    users = Users(client.request, lambda how: getattr(client, how)())
    with NoCollection():
        try:
            peer.connect(client)
            scene = Scene(clock, peer, client)
            for method, path, body in REQUESTS:
                whims = [dice.choice(WHIMS) for _ in range(dice.choice([0, 0, 0, 2]))]
                fate = dice.choice(["read", "read", "read", "keep", "drop"])
                producer = Producer([len(body)], True, False) if body else None
                users.ask(method, path, producer, fate, whims, pushes=dice.random() < 0.5)
            pieces = cut(RECORDINGS[dice.choice([*RECORDINGS])])
            for _ in range(dice.choice([0, 1, 1, 2, 3, 8])):
                pieces = damaged(pieces, dice)
            octets = b"".join(pieces)
            while octets:
                size = dice.choice([1, 9, 100, 1000, len(octets)])
                scene.say(octets[:size], 1.0)
                octets = octets[size:]
                meddle(users, dice)
            assert weight(client) <= 300_000 + 2 * scene.judge.allowed, "too much is held"
            scene.lose()
            for _ in range(20):
                users.settle()
                clock.advance(0)
            users.check()
            assert not clock.getDelayedCalls(), clock.getDelayedCalls()
            assert not users.kept(), "requests that are over are kept by a cycle"
        finally:
            users.forget()
