"""Tests for :mod:`txhyper.core.frames`."""

from __future__ import annotations

from h2.errors import ErrorCodes
from hyperframe.frame import Frame as HyperFrame
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import law
from txhyper.core import frames

octets = st.binary(max_size=60)


class PackingTests(SynchronousTestCase):
    """Frames as RFC 9113 section 6 draws them, octet by octet."""

    def test_pack(self) -> None:
        """Length, type, flags and stream id take nine octets; the payload follows."""
        self.assertEqual(b"\0\0\x02\x0a\x05\0\0\0\x07hi", frames.pack(frames.ALTSVC, 5, 7, b"hi"))
        self.assertEqual(b"\0\0\0\x04\x01\0\0\0\0", frames.pack(frames.SETTINGS, frames.ACK, 0))

    def test_data_header(self) -> None:
        """Only the header, so that the payload need not be copied."""
        self.assertEqual(
            b"\x01\x02\x03\0\x01\x7f\xff\xff\xff",
            frames.pack_data_header(0x010203, frames.END_STREAM, 0x7FFFFFFF),
        )

    def test_reset(self) -> None:
        """RST_STREAM carries its code in four octets."""
        self.assertEqual(wire.reset(3, 8), frames.pack_reset(3, ErrorCodes.CANCEL))

    def test_window_update(self) -> None:
        """WINDOW_UPDATE carries its increment in four octets."""
        self.assertEqual(wire.window_update(0, 1 << 30), frames.pack_window_update(0, 1 << 30))

    def test_origin(self) -> None:
        """ORIGIN carries entries, each behind its length in two octets (RFC 8336 section 2.1)."""
        origins = [b"https://a.test", b"", b"x" * 300]
        self.assertEqual(wire.origin_frame(*origins), frames.pack_origin(origins))
        self.assertEqual(origins, frames.origin_entries(wire.origin_frame(*origins)[9:]))

    def test_goaway(self) -> None:
        """GOAWAY carries the last stream, the code, and what explains it."""
        self.assertEqual(wire.goaway(5, 1, b"why"), frames.pack_goaway(5, 1, b"why"))
        self.assertEqual(wire.goaway(0), frames.pack_goaway(0, 0))

    def test_one_frame_of_headers(self) -> None:
        """A block that fits is one frame, up to the last octet."""
        expected = wire.frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, 1, b"12345678")
        self.assertEqual(expected, frames.pack_headers(1, b"12345678", True, 8))

    def test_continuation(self) -> None:
        """
        A longer block is continued; END_STREAM stands on its HEADERS and END_HEADERS on its last
        frame (RFC 9113 section 6.2).
        """
        self.assertEqual(
            wire.frame(wire.HEADERS, wire.END_STREAM, 1, b"1234")
            + wire.frame(wire.CONTINUATION, 0, 1, b"5678")
            + wire.frame(wire.CONTINUATION, wire.END_HEADERS, 1, b"9"),
            frames.pack_headers(1, b"123456789", True, 4),
        )
        self.assertEqual(
            wire.frame(wire.HEADERS, 0, 1, b"1234")
            + wire.frame(wire.CONTINUATION, wire.END_HEADERS, 1, b"5678"),
            frames.pack_headers(1, b"12345678", False, 4),
        )

    @law
    @given(st.binary(max_size=200), st.integers(1, 50), st.booleans())
    def test_blocks_are_whole(self, block: bytes, size: int, end: bool) -> None:
        """The parts make the block, and no frame is larger than allowed."""
        found = wire.split(frames.pack_headers(9, block, end, size))
        self.assertEqual(block, b"".join(payload for _, _, _, payload in found))
        self.assertLessEqual(max(len(payload) for _, _, _, payload in found), size)
        ends = [bool(flags & wire.END_HEADERS) for _, flags, _, _ in found]
        self.assertEqual([False] * (len(found) - 1) + [True], ends)
        kinds = [kind for kind, _, _, _ in found]
        self.assertEqual([wire.HEADERS] + [wire.CONTINUATION] * (len(found) - 1), kinds)

    @law
    @given(st.integers(0x20, 0xFF), st.integers(0, 0xFF), st.integers(0, 0x7FFFFFFF), octets)
    def test_hyperframe_agrees(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Another library reads the same header."""
        packed = frames.pack(kind, flags, stream, payload)
        length_and_kind, read_flags, read_stream = frames.read_header(packed, 0)
        self.assertEqual(
            (kind, len(payload), flags, stream),
            (length_and_kind & 0xFF, length_and_kind >> 8, read_flags, read_stream),
        )
        other, length = HyperFrame.parse_frame_header(memoryview(packed[:9]))
        self.assertEqual((stream, len(payload)), (other.stream_id, length))


class PaddingTests(SynchronousTestCase):
    """Padding is taken off, and never taken for content."""

    @law
    @given(octets, st.integers(0, 255))
    def test_taken_off(self, content: bytes, padding: int) -> None:
        """What was padded comes out."""
        self.assertEqual(
            content, frames.without_padding(bytes([padding]) + content + bytes(padding))
        )

    @law
    @given(octets)
    def test_too_much(self, rest: bytes) -> None:
        """Padding that reaches over the length octet is a PROTOCOL_ERROR (section 6.1)."""
        payload = bytes([len(rest) + 1]) + rest
        error = self.assertRaises(frames.FrameError, frames.without_padding, payload)
        self.assertEqual(ErrorCodes.PROTOCOL_ERROR, error.code)

    def test_no_length(self) -> None:
        """A padded frame that is empty has the wrong size (section 4.2)."""
        error = self.assertRaises(frames.FrameError, frames.without_padding, b"")
        self.assertEqual(ErrorCodes.FRAME_SIZE_ERROR, error.code)
        self.assertEqual("PADDED frame without a padding length", error.reason)


class CutTests(SynchronousTestCase):
    """Frames for the log and for tests."""

    def test_whole_frames(self) -> None:
        """Each whole frame comes out, without the reserved bit of its stream id."""
        octets = wire.data(1, b"one") + wire.frame(0x42, 0xFF, 0xFFFFFFFF, b"two")
        self.assertEqual([(0, 0, 1, b"one"), (0x42, 0xFF, 0x7FFFFFFF, b"two")], frames.cut(octets))

    def test_unfinished(self) -> None:
        """What is left of an unfinished frame is dropped, wherever it ends."""
        whole = wire.data(1, b"one")
        for length in range(len(whole)):
            self.assertEqual([], frames.cut(whole[:length]))
            self.assertEqual(1, len(frames.cut(whole + whole[:length])))


class DescribeTests(SynchronousTestCase):
    """One line about a frame, for people."""

    def assertDescribes(self, expected: str, octets: bytes) -> None:
        """The one frame in these octets is described like this."""
        [frame] = frames.cut(octets)
        self.assertEqual(expected, frames.describe(*frame))

    def test_flags(self) -> None:
        """Flags have the names that they have for this type of frame."""
        self.assertDescribes(
            "HEADERS stream=1 length=2 flags=END_STREAM|END_HEADERS|PADDED|PRIORITY",
            wire.frame(wire.HEADERS, 0x2D, 1, b"hi"),
        )
        self.assertDescribes("DATA stream=1 length=1", wire.data(1, b"x"))
        self.assertDescribes("DATA stream=1 length=1 flags=END_STREAM", wire.data(1, b"x", True))
        self.assertDescribes("SETTINGS stream=0 length=0 flags=ACK", wire.settings_frame((), 1))

    def test_settings(self) -> None:
        """Settings have their names, those that nobody knows their numbers."""
        self.assertDescribes(
            "SETTINGS stream=0 length=12 MAX_CONCURRENT_STREAMS=100 0xff=1",
            wire.settings_frame([(3, 100), (0xFF, 1)]),
        )

    def test_codes(self) -> None:
        """Error codes have their names."""
        self.assertDescribes("RST_STREAM stream=5 length=4 code=CANCEL", wire.reset(5, 8))
        self.assertDescribes(
            "GOAWAY stream=0 length=11 last_stream=7 code=0x99 debug=b'why'",
            wire.goaway(0x80000007, 0x99, b"why"),
        )

    def test_numbers(self) -> None:
        """Numbers are read, and a PING's octets shown."""
        self.assertDescribes(
            "WINDOW_UPDATE stream=1 length=4 increment=9", wire.window_update(1, 0x80000009)
        )
        self.assertDescribes(
            "PING stream=0 length=8 data=3132333435363738",
            wire.frame(wire.PING, 0, 0, b"12345678"),
        )

    def test_unknown_type(self) -> None:
        """A type that nobody knows has its number."""
        self.assertDescribes("0xfa stream=3 length=1", wire.frame(0xFA, 0xFF, 3, b"x"))
        self.assertDescribes("PRIORITY_UPDATE stream=0 length=0", wire.frame(0x10, 0, 0))

    def test_origins(self) -> None:
        """The entries of an ORIGIN frame are shown as they came, unless one is cut off."""
        octets = wire.origin_frame(b"https://a.test", b"")
        self.assertDescribes("ORIGIN stream=0 length=18 origins=[b'https://a.test', b'']", octets)
        self.assertDescribes("ORIGIN stream=0 length=3", wire.frame(wire.ORIGIN, 0, 0, b"\0\2a"))

    @law
    @given(st.integers(0, 12), st.integers(0, 255), st.integers(0, 0x7FFFFFFF), octets)
    def test_never_fails(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Whatever comes has a line, and it is one: also what is too short for its type."""
        line = frames.describe(kind, flags, stream, payload)
        self.assertIn(f"stream={stream} length={len(payload)}", line)
        self.assertEqual(1, len(line.splitlines()))
