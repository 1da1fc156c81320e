"""Laws of uploads: whatever the source and whatever the windows, the peer gets the octets."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.basic import FileSender
from twisted.web.http_headers import Headers

from tests.core.wire import chunked, cuts, law
from tests.protocol.scene import INITIAL_WINDOW_SIZE, Producer, UploadTestCase
from txhyper.core import frames
from txhyper.protocol.request import Request


class Short(io.BytesIO):
    """A file that gives fewer octets than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most a thousand."""
        return super().read(min(size or 0, 1000))


def pushed(pieces: list[bytes]) -> Producer:
    """A push producer that writes them all at its start."""

    def begin(producer: Producer) -> None:
        for piece in pieces:
            producer.write(piece)
        producer.finish()

    return Producer(onStart=begin)


def pulled(pieces: list[bytes]) -> Producer:
    """A body that has a file sent for it."""

    def begin(producer: Producer) -> None:
        sending = FileSender().beginFileTransfer(io.BytesIO(b"".join(pieces)), producer.consumer)
        sending.addCallback(lambda _: producer.finish())

    return Producer(onStart=begin)


async def asynchronous(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """An asynchronous generator."""
    for piece in pieces:
        yield piece


SOURCES: list[Callable[[list[bytes]], Any]] = [
    b"".join,
    lambda pieces: io.BytesIO(b"".join(pieces)),
    lambda pieces: Short(b"".join(pieces)),
    iter,
    asynchronous,
    pushed,
    pulled,
]


class LawTests(UploadTestCase):
    """What is promised."""

    def received(self) -> tuple[bytes, list[bool], int]:
        """Octets, the flag of the end in each frame, and header blocks, since last asked."""
        kinds = (frames.DATA, frames.HEADERS)
        sent = [frame for frame in self.peer.drain() if frame.kind in kinds]
        octets = b"".join(frame.payload for frame in sent if frame.kind == frames.DATA)
        ends = [bool(frame.flags & frames.END_STREAM) for frame in sent]
        return octets, ends, sum(frame.kind == frames.HEADERS for frame in sent)

    @law
    @given(
        source=st.sampled_from(SOURCES),
        size=st.integers(0, 200_000),
        cuts=cuts,
        windows=st.lists(
            st.one_of(
                st.tuples(st.just("stream"), st.integers(1, 70000)),
                st.tuples(st.just("connection"), st.integers(1, 70000)),
                st.tuples(st.just("settings"), st.integers(0, 100000)),
            ),
            max_size=10,
        ),
        hasTrailers=st.booleans(),
    )
    def test_everyOctetOnce(
        self,
        source: Callable[[list[bytes]], Any],
        size: int,
        cuts: list[int],
        windows: list[tuple[str, int]],
        hasTrailers: bool,
    ) -> None:
        """The octets arrive in order, within the windows, and END_STREAM once, at the end."""
        self.meet()
        self.greet()
        body = bytes(n % 251 for n in range(size))
        trailers = Headers({b"x": [b"y"]}) if hasTrailers else None
        pieces = list(chunked(body, cuts))
        self.client.request(
            Request(b"POST", b"https://a.test/", None, source(pieces), trailers=trailers)
        )
        self.peer.expectHeaders(1)
        # What the peer has granted, and what the stream's and the connection's octets have used.
        initial, stream, connection = 65535, 0, 65535
        octets, ends, blocks = self.received()
        for kind, amount in [*windows, ("settings", 2**20), ("connection", 2**20)]:
            if kind == "settings":
                initial = amount
                self.peer.sendSettings({INITIAL_WINDOW_SIZE: amount})
            elif kind == "stream":
                stream += amount
                self.peer.sendWindowUpdate(1, amount)
            else:
                connection += amount
                self.peer.sendWindowUpdate(0, amount)
            before = len(octets)
            more, moreEnds, moreBlocks = self.received()
            octets, ends, blocks = octets + more, ends + moreEnds, blocks + moreBlocks
            self.assertLessEqual(len(octets), connection)
            self.assertLessEqual(len(octets), max(before, initial + stream))
        self.assertEqual(body, octets)
        self.assertEqual([*[False] * (len(ends) - 1), True], ends)
        self.assertEqual(int(hasTrailers), blocks)


class HostileWindowTests(UploadTestCase):
    """Peers that are stingy."""

    def test_oneOctetAtATime(self) -> None:
        """A peer that grants an octet at a time gets one at a time, from every kind of source."""
        for source in SOURCES:
            self.meet()
            self.greet({INITIAL_WINDOW_SIZE: 0})
            self.upload(source([b"ab", b"", b"cdef"]))
            for number in range(6):
                self.assertEqual((b"", False), self.body())
                self.peer.sendWindowUpdate(1, 1)
                data = self.data()
                self.assertEqual(b"abcdef"[number : number + 1], data[0].payload)
            self.assertTrue(data[-1].flags & frames.END_STREAM)

    def test_belowZeroAndBack(self) -> None:
        """A window that is shrunk below zero in the middle holds the source until it is open."""
        for source in SOURCES[:5]:
            self.meet()
            self.greet()
            self.peer.sendWindowUpdate(0, 2**20)
            self.upload(source([b"x" * 50000] * 4))
            self.assertEqual(65535, len(self.body()[0]))
            self.peer.sendSettings({INITIAL_WINDOW_SIZE: 0})
            self.peer.sendWindowUpdate(1, 65535)
            self.assertEqual((b"", False), self.body())
            self.peer.sendSettings({INITIAL_WINDOW_SIZE: 10})
            self.assertEqual((b"x" * 10, False), self.body())
            self.peer.sendSettings({INITIAL_WINDOW_SIZE: 2**20})
            octets, end = self.body()
            self.assertEqual((200000 - 65545, True), (len(octets), end))

    def test_sideBySide(self) -> None:
        """Sources of every kind take turns, a frame each, however much the first have to send."""
        self.peer.sendWindowUpdate(0, 2**20)
        for source in SOURCES:
            self.upload(source([b"x" * 30000]))
        ids = [frame.streamId for frame in self.data() if frame.payload]
        number = len(SOURCES)
        self.assertEqual(list(range(1, 2 * number - 2, 2)), ids[: number - 1])
        self.assertEqual({*range(1, 2 * number + 1, 2)}, {*ids})
        self.assertEqual(2 * number, len(ids))
