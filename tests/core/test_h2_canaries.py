"""
Behaviour of h2 that the engine works around.

Nothing of ours is tested here. Each test pins one thing that h2 4.4.1 does; one that fails tells
that h2 has changed, and its docstring says what of ours could then be deleted, or must be looked
at again.
"""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Any
from unittest import mock

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded
from h2.exceptions import (
    FlowControlError,
    FrameTooLargeError,
    InvalidBodyLengthError,
    ProtocolError,
    StreamClosedError,
)
from h2.settings import SettingCodes, Settings
from hpack import OversizedHeaderListError
from hyperframe.frame import DataFrame
from twisted.trial.unittest import SynchronousTestCase

from tests.core import wire
from tests.core.wire import Blocks, data, frame, goaway, reset, settings_frame, split, window_update

REQUEST = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")]


class CanaryCase(SynchronousTestCase):
    """h2's client as it comes, with two requests open, and a server made octet by octet."""

    def setUp(self) -> None:
        """Greet, and ask twice."""
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.blocks = Blocks()
        self.h2.initiate_connection()
        self.h2.receive_data(settings_frame())
        for stream_id in (1, 3):
            self.h2.send_headers(stream_id, REQUEST, end_stream=True)
        self.h2.data_to_send()

    def said(self) -> list[int]:
        """The types of the frames that it wants sent."""
        return [kind for kind, *_ in split(bytes(self.h2.data_to_send()))]


class GoAwayTests(CanaryCase):
    """Item 1: GOAWAY."""

    def test_closes_itself(self) -> None:
        """
        After GOAWAY h2 refuses what was promised. Should it not: ``Engine._goaway`` could leave
        the frame to ``core/control.py``, and the reason to keep GOAWAY from h2 is gone.
        """
        [event] = self.h2.receive_data(goaway(3))
        self.assertIsInstance(event, ConnectionTerminated)
        self.assertRaises(ProtocolError, self.h2.receive_data, self.blocks.headers(1))

    def test_within_one_read(self) -> None:
        """
        It does so even within one read. Should it not: as above.
        """
        octets = goaway(3) + self.blocks.headers(1, end=True)
        self.assertRaises(ProtocolError, self.h2.receive_data, octets)

    def test_drops_what_was_queued(self) -> None:
        """
        It drops what it had queued, acknowledgements among them. Should it not: as above.
        """
        self.h2.ping(b"12345678")
        self.h2.receive_data(goaway(3))
        self.assertEqual([], self.said())


class LostEventsTests(CanaryCase):
    """Item 2: events before an error."""

    def test_lost(self) -> None:
        """
        Events that share a read with an error are lost. Should they come out: the loop of
        ``Engine.receive`` need not go frame by frame for their sake (it does for speed as well).
        """
        octets = self.blocks.headers(1, end=True) + data(2, b"broken")
        self.assertRaises(ProtocolError, self.h2.receive_data, octets)
        # The response was taken in all the same: its stream is closed, and nobody was told.
        self.assertEqual(1, self.h2.open_outbound_streams)


class MalformedTests(CanaryCase):
    """Item 3: a malformed response (RFC 9113 section 8.1.1 wants a stream error)."""

    def assertDead(self) -> None:
        """The whole connection is over, with a GOAWAY, and the neighbour with it."""
        self.assertEqual([wire.GOAWAY], self.said())
        self.assertRaises(ProtocolError, self.h2.receive_data, wire.Blocks().headers(3))

    def test_bad_fields(self) -> None:
        """
        A bad field kills the connection. Should it kill the stream only: ``ReceivingHalf._refuse``
        and the half of ``core/headers.py`` that judges the peer could go.
        """
        octets = self.blocks.headers(1, [*wire.OK, (b"connection", b"close")])
        self.assertRaises(ProtocolError, self.h2.receive_data, octets)
        self.assertDead()

    def test_bad_length(self) -> None:
        """
        So does a body that is longer than its content-length. Should it not: as above, and
        ``Stream.remaining`` with it.
        """
        octets = self.blocks.headers(1, [*wire.OK, (b"content-length", b"1")]) + data(1, b"12")
        self.assertRaises(InvalidBodyLengthError, self.h2.receive_data, octets)
        self.assertDead()

    def test_length_of_nothing(self) -> None:
        """
        A content-length is not checked when the response ends with its head. Should it be:
        ``Stream.remaining`` could go, if all of this class has changed.
        """
        octets = self.blocks.headers(1, [*wire.OK, (b"content-length", b"5")], end=True)
        self.assertEqual(
            [ResponseReceived, StreamEnded], list(map(type, self.h2.receive_data(octets)))
        )

    def test_not_modified(self) -> None:
        """
        That of a 304 is held against the body that it has not. Should it not be: the case of 304
        in ``Stream.received_head`` would be h2's.
        """
        octets = self.blocks.headers(1, [(b":status", b"304"), (b"content-length", b"5")])
        octets += data(1, b"", True)
        self.assertRaises(InvalidBodyLengthError, self.h2.receive_data, octets)


class FrameLengthTests(CanaryCase):
    """Item 4: the length of a frame."""

    def test_waits(self) -> None:
        """
        h2 says nothing to the header of a frame of 16 MiB, and waits for it all. Should it raise:
        ``Engine._judge`` could go where h2 reads the frames.
        """
        self.assertEqual([], self.h2.receive_data(b"\xff\xff\xff" + data(1, b"")[3:]))
        self.assertEqual([], self.h2.receive_data(bytes(100000)))
        self.assertRaises(FrameTooLargeError, self.h2.receive_data, bytes(0xFFFFFF - 100000))

    def test_another_protocol(self) -> None:
        """
        So a server that speaks something else is waited for. Should it not be: the line for short
        garbage at the end of ``Engine.receive`` could go as well.
        """
        h2 = H2Connection(H2Configuration(client_side=True))
        h2.initiate_connection()
        self.assertEqual([], h2.receive_data(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"))


class ClientDefaultsTests(CanaryCase):
    """Item 5: what h2's client lets pass, and announces."""

    def test_control_characters(self) -> None:
        """
        CR LF in the value of a request's field is sent. Should it be refused: ``_check_value`` in
        ``core/headers.py`` stays, because it says so before a slot is taken; nothing to delete,
        but item 5 of the architecture page is history.
        """
        self.h2.send_headers(5, [*REQUEST, ("a", "b\r\nc: d")])
        self.assertEqual([wire.HEADERS], self.said())

    def test_push_is_enabled(self) -> None:
        """
        h2's client announces ENABLE_PUSH = 1, and ENABLE_CONNECT_PROTOCOL, which some servers
        stumble over. Should it not: ``Control.__init__`` need not name the one nor delete the
        other.
        """
        settings = H2Connection(H2Configuration(client_side=True)).local_settings
        self.assertEqual(1, settings[SettingCodes.ENABLE_PUSH])
        self.assertEqual(0, settings[SettingCodes.ENABLE_CONNECT_PROTOCOL])


class LateFramesTests(CanaryCase):
    """Item 6: late frames of a cancelled stream."""

    def test_a_reset_for_each(self) -> None:
        """
        Each draws another RST_STREAM, and servers count those. Should h2 be silent:
        ``core/closed.py`` could be h2's affair.
        """
        self.h2.receive_data(self.blocks.headers(1))
        self.h2.reset_stream(1, ErrorCodes.CANCEL)
        self.said()
        for _ in range(3):
            self.h2.receive_data(data(1, b"late"))
        self.assertEqual([wire.RST_STREAM] * 3, self.said())


class EndsTests(CanaryCase):
    """Item 7: ends."""

    def test_credit_after_the_end(self) -> None:
        """
        To credit a stream that has ended raises. Should it not: the guard in
        ``SendingHalf.consumed`` saves a WINDOW_UPDATE still, and no exception any more.
        """
        self.h2.receive_data(self.blocks.headers(1) + data(1, b"x", True))
        self.assertRaises(StreamClosedError, self.h2.increment_flow_control_window, 1, 1)

    def test_reset_by_default(self) -> None:
        """
        A reset says NO_ERROR unless told otherwise. Should it not: nothing to delete,
        ``SendingHalf.reset`` wants a code from its caller for this reason.
        """
        self.h2.reset_stream(1)
        [(_, _, _, payload)] = split(bytes(self.h2.data_to_send()))
        self.assertEqual(bytes(4), payload)

    def test_own_goaway(self) -> None:
        """
        After its own GOAWAY h2 takes nothing in any more. Should it go on: ``SendingHalf.close``
        need not be the last thing that is sent.
        """
        self.h2.close_connection()
        self.assertRaises(ProtocolError, self.h2.receive_data, self.blocks.headers(1))


class SettingsTests(CanaryCase):
    """Item 8: our own settings."""

    def test_limits_do_not_follow(self) -> None:
        """
        Settings put in place before the preface are announced but not kept: neither the frame
        size nor the header list. Should they be: ``Control.__init__`` need not put a decoder of
        its own limit in h2's place for this (it does for speed).
        """
        h2 = H2Connection(H2Configuration(client_side=True))
        h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.MAX_FRAME_SIZE: 1 << 20,
                SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20,
            },
        )
        h2.initiate_connection()
        [(_, _, _, payload)] = split(bytes(h2.data_to_send()))
        self.assertIn(b"\x00\x05\x00\x10\x00\x00", payload)
        self.assertIn(b"\x00\x06\x00\x10\x00\x00", payload)
        self.assertEqual(16384, h2.max_inbound_frame_size)
        block = Blocks().block([(b"a", b"x" * 70000)])
        self.assertRaises(OversizedHeaderListError, h2.decoder.decode, block)

    def test_acknowledgement_with_a_payload(self) -> None:
        """
        SETTINGS acknowledged with a payload is a PROTOCOL_ERROR to h2, where section 6.5 wants
        FRAME_SIZE_ERROR. Should it say that: the first lines of ``Engine._settings`` could go.
        """
        octets = frame(wire.SETTINGS, wire.ACK, 0, bytes(6))
        error = self.assertRaises(ProtocolError, self.h2.receive_data, octets)
        self.assertEqual(ErrorCodes.PROTOCOL_ERROR, error.error_code)

    def test_goaway_of_its_own(self) -> None:
        """
        With a violation h2 queues a GOAWAY of its own, without a word. Should it not:
        ``Control._feed`` need not clear the buffer.
        """
        octets = settings_frame([(wire.MAX_FRAME_SIZE, 0)])
        self.assertRaises(ProtocolError, self.h2.receive_data, octets)
        self.assertEqual([wire.GOAWAY], self.said())


class WalkedStreams(dict[Any, Any]):
    """A dictionary that counts who walks through it."""

    walks = 0

    def items(self) -> ItemsView[Any, Any]:
        """Count."""
        self.walks += 1
        return super().items()


class CountingTests(CanaryCase):
    """Item 9: the number of open streams."""

    def test_walks_all_streams(self) -> None:
        """
        To open a stream h2 walks through all that are open. Should it keep a number:
        ``Admission.in_use`` and the engine's own dictionary of streams have one reason less.
        """
        self.h2.streams = streams = WalkedStreams(self.h2.streams)
        self.h2.send_headers(5, REQUEST, end_stream=True)
        self.assertEqual(1, streams.walks)
        self.assertEqual(3, self.h2.open_outbound_streams)
        self.assertEqual(2, streams.walks)


class ReprTests(CanaryCase):
    """Item 11: a log that nobody reads."""

    def test_repr(self) -> None:
        """
        The ``repr`` of every received frame is evaluated for a logger that drops it. Should it
        not be: 30 % of the reason why ``core/receiving.py`` reads DATA itself is gone.
        """
        self.h2.receive_data(self.blocks.headers(1))
        with mock.patch.object(DataFrame, "__repr__", return_value="dropped") as seen:
            [event] = self.h2.receive_data(data(1, b"x"))
        self.assertIsInstance(event, DataReceived)
        self.assertEqual(1, seen.call_count)


class WindowsTests(CanaryCase):
    """Section 2.1: h2 sees no DATA of ours, so it must see no WINDOW_UPDATE either."""

    def test_they_would_only_grow(self) -> None:
        """
        A connection's window that is opened and never used up overflows in h2. Should it not:
        nothing to delete, but ``Engine._connection_window_update`` could leave the frame to h2.
        """
        self.h2.receive_data(window_update(0, (1 << 31) - 1 - 65535))
        self.assertRaises(FlowControlError, self.h2.receive_data, window_update(0, 1))

    def test_no_stream_is_needed(self) -> None:
        """
        h2 rules SETTINGS and PING without knowing a stream; it is what ``core/control.py`` lives
        on. Should this fail, SETTINGS and PING have to become ours too.
        """
        h2 = H2Connection(H2Configuration(client_side=True))
        h2.initiate_connection()
        h2.data_to_send()
        h2.receive_data(settings_frame([(wire.INITIAL_WINDOW_SIZE, 5)]))
        h2.receive_data(frame(wire.PING, 0, 0, bytes(8)))
        self.assertEqual(5, h2.remote_settings.initial_window_size)
        kinds = [kind for kind, *_ in split(bytes(h2.data_to_send()))]
        self.assertEqual([wire.SETTINGS, wire.PING], kinds)

    def test_refused_stream(self) -> None:
        """
        h2 tells a reset with its code and no more. Should it tell what is retriable:
        ``ReceivingHalf._rst_stream`` could ask it.
        """
        [event] = self.h2.receive_data(reset(1, wire.REFUSED_STREAM))
        self.assertEqual(ErrorCodes.REFUSED_STREAM, event.error_code)
        self.assertFalse(hasattr(event, "retriable"))
