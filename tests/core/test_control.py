"""Tests for :mod:`txhyper.core.control`."""

from __future__ import annotations

from hpack import Decoder
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import settings_frame
from txhyper.core.bounds import Bounds
from txhyper.core.control import Control
from txhyper.core.decoder import HeaderListTooLarge
from txhyper.core.frames import FrameError


class ControlTests(SynchronousTestCase):
    """The frames of the connection itself, fed whole."""

    def setUp(self) -> None:
        """A connection that has greeted."""
        self.control = Control(Bounds(header_list_size=1000), 123456)
        self.greeting = self.control.greet()

    def assertRefused(self, code: int, frame: bytes) -> None:
        """A SETTINGS frame is an error with this code, and nothing is queued for it."""
        error = self.assertRaises(FrameError, self.control.settings_received, frame)
        self.assertEqual(code, error.code)
        self.assertEqual(b"", self.control.take())

    def request(self, *fields: tuple[bytes, bytes]) -> bytes:
        """A header block."""
        return self.control.coder.request(b"GET", b"https", b"a.test", b"/", fields)

    def test_greeting(self) -> None:
        """
        The preface says every setting, push disabled among them, and none that servers are known
        to stumble over (RFC 9113 section 3.4).
        """
        self.assertTrue(self.greeting.startswith(wire.PREFACE))
        expected = {
            wire.HEADER_TABLE_SIZE: 4096,
            wire.ENABLE_PUSH: 0,
            wire.INITIAL_WINDOW_SIZE: 123456,
            wire.MAX_FRAME_SIZE: 16384,
            wire.MAX_HEADER_LIST_SIZE: 1000,
        }
        [(kind, flags, stream_id, payload)] = wire.split(self.greeting)
        self.assertEqual((wire.SETTINGS, 0, 0), (kind, flags, stream_id))
        pairs = [payload[start : start + 6] for start in range(0, len(payload), 6)]
        said = {int.from_bytes(p[:2], "big"): int.from_bytes(p[2:], "big") for p in pairs}
        self.assertEqual(expected, said)
        self.assertEqual(len(expected), len(pairs))

    def test_before_the_peer_has_spoken(self) -> None:
        """The RFC's own values are in force (section 6.5.2)."""
        control = self.control
        self.assertFalse(control.spoken)
        self.assertEqual((65535, 16384), (control.initial_window, control.max_frame_size))
        self.assertEqual(
            (None, None), (control.max_header_list_size, control.max_concurrent_streams)
        )

    def test_settings(self) -> None:
        """They are in force at once, and acknowledged."""
        frame = settings_frame(
            [
                (wire.MAX_CONCURRENT_STREAMS, 7),
                (wire.INITIAL_WINDOW_SIZE, 8),
                (wire.MAX_FRAME_SIZE, 20000),
                (wire.MAX_HEADER_LIST_SIZE, 9),
            ]
        )
        self.assertTrue(self.control.settings_received(frame))
        self.assertTrue(self.control.spoken)
        self.assertEqual(settings_frame(flags=wire.ACK), self.control.take())
        control = self.control
        self.assertEqual((8, 20000), (control.initial_window, control.max_frame_size))
        self.assertEqual((9, 7), (control.max_header_list_size, control.max_concurrent_streams))

    def test_settings_stay(self) -> None:
        """What a later frame does not name stays; of what one names twice the last counts."""
        self.control.settings_received(settings_frame([(wire.MAX_CONCURRENT_STREAMS, 7)]))
        self.control.settings_received(
            settings_frame([(wire.INITIAL_WINDOW_SIZE, 1), (wire.INITIAL_WINDOW_SIZE, 2)])
        )
        self.assertEqual(7, self.control.max_concurrent_streams)
        self.assertEqual(2, self.control.initial_window)

    def test_no_settings(self) -> None:
        """A frame without a setting is SETTINGS as well."""
        self.assertTrue(self.control.settings_received(settings_frame()))
        self.assertTrue(self.control.spoken)

    def test_unknown_setting(self) -> None:
        """What nobody knows is ignored (section 6.5.2)."""
        self.assertTrue(self.control.settings_received(settings_frame([(0xF00D, 1)])))

    def test_acknowledgement(self) -> None:
        """It changes nothing, and is not what the peer has to say first."""
        self.assertFalse(self.control.settings_received(settings_frame(flags=wire.ACK)))
        self.assertFalse(self.control.spoken)
        self.assertEqual(b"", self.control.take())

    def test_bad_values(self) -> None:
        """Values that section 6.5.2 does not allow, each with its code."""
        for setting, value, code in (
            (wire.ENABLE_PUSH, 1, wire.PROTOCOL_ERROR),
            (wire.ENABLE_PUSH, 2, wire.PROTOCOL_ERROR),
            (wire.INITIAL_WINDOW_SIZE, 1 << 31, wire.FLOW_CONTROL_ERROR),
            (wire.MAX_FRAME_SIZE, 0, wire.PROTOCOL_ERROR),
            (wire.MAX_FRAME_SIZE, 16383, wire.PROTOCOL_ERROR),
            (wire.MAX_FRAME_SIZE, 1 << 24, wire.PROTOCOL_ERROR),
        ):
            self.setUp()
            self.assertRefused(code, settings_frame([(setting, value)]))

    def test_bad_length(self) -> None:
        """SETTINGS come in sixes (section 6.5)."""
        self.assertRefused(wire.FRAME_SIZE_ERROR, wire.frame(wire.SETTINGS, 0, 0, b"1234567"))

    def test_ping(self) -> None:
        """A PING is answered with its own octets."""
        self.assertIsNone(self.control.ping_received(wire.frame(wire.PING, 0, 0, b"12345678")))
        self.assertEqual(wire.frame(wire.PING, wire.ACK, 0, b"12345678"), self.control.take())

    def test_pong(self) -> None:
        """Our own PING goes out, and its answer is told and not answered."""
        self.assertEqual(wire.frame(wire.PING, 0, 0, b"abcdefgh"), self.control.ping(b"abcdefgh"))
        pong = wire.frame(wire.PING, wire.ACK, 0, b"abcdefgh")
        self.assertEqual(b"abcdefgh", self.control.ping_received(pong))
        self.assertEqual(b"", self.control.take())

    def test_bad_ping(self) -> None:
        """A PING has eight octets (section 6.7)."""
        for payload in (b"", b"1234567", b"123456789"):
            self.setUp()
            frame = wire.frame(wire.PING, 0, 0, payload)
            error = self.assertRaises(FrameError, self.control.ping_received, frame)
            self.assertEqual(wire.FRAME_SIZE_ERROR, error.code)

    def test_smaller_table(self) -> None:
        """The peer may ask for a smaller table, and the next block says that we agree."""
        self.control.settings_received(settings_frame([(wire.HEADER_TABLE_SIZE, 0)]))
        decoder = Decoder()
        for _ in range(2):
            decoder.decode(self.request((b"a", b"b")), raw=True)
        self.assertEqual(0, decoder.header_table_size)
        self.assertEqual(0, len(decoder.header_table.dynamic_entries))

    def test_larger_table(self) -> None:
        """The peer may offer a larger one, which would be our memory: it is not taken."""
        self.control.settings_received(settings_frame([(wire.HEADER_TABLE_SIZE, (1 << 32) - 1)]))
        decoder = Decoder()
        for number in range(1000):
            decoder.decode(self.request((b"a", b"%d" % number)), raw=True)
        self.assertEqual(4096, decoder.header_table_size)
        self.assertEqual(4096, self.control.coder.header_table_size)

    def test_tables_of_many_sizes(self) -> None:
        """
        However often the size was changed, a block names the smallest and the last
        (RFC 7541 section 4.2).
        """
        for size in (100, 4096, 0, 8192, 50, 70):
            self.control.settings_received(settings_frame([(wire.HEADER_TABLE_SIZE, size)]))
        block = self.request()
        # 001 and five bits of size; 31 and more go on in the next octets: 70 is 31 + 39.
        self.assertEqual(b"\x20\x3f\x27", block[:3])
        self.assertNotEqual(0x20, block[3] & 0xE0)
        self.assertEqual(4, len(list(Decoder().decode(block, raw=True))))

    def test_smaller_table_in_between(self) -> None:
        """A smaller size counts, even if the same frame takes it back (RFC 7541 section 4.2)."""
        self.control.settings_received(
            settings_frame([(wire.HEADER_TABLE_SIZE, 0), (wire.HEADER_TABLE_SIZE, 4096)])
        )
        # 001 and five bits of size: 0, and 31 with the rest of 4096 behind it.
        self.assertEqual(b"\x20\x3f\xe1\x1f", self.request()[:4])

    def test_unknown_settings(self) -> None:
        """Unknown settings are ignored, and none of them is kept (section 6.5.2)."""
        before = len(self.control._h2.remote_settings)
        unknown = [(code, code) for code in range(100, 2000)]
        changed = self.control.settings_received(
            settings_frame([*unknown, (wire.MAX_CONCURRENT_STREAMS, 9)])
        )
        self.assertTrue(changed)
        self.assertEqual(9, self.control.max_concurrent_streams)
        self.assertLessEqual(len(self.control._h2.remote_settings), before + 1)

    def test_the_limit_of_header_lists(self) -> None:
        """What was announced is what the decoder keeps to."""
        fields = [(b"a" * 468, b"b" * 500)]
        block = wire.Blocks().block(fields)
        self.assertEqual(fields, self.control.coder.decode(block).fields)
        more = wire.Blocks().block([(b"a" * 468, b"b" * 501)])
        control = Control(Bounds(header_list_size=1000), 1)
        self.assertRaises(HeaderListTooLarge, control.coder.decode, more)
