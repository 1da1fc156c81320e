"""
The frames of the connection itself, which h2 rules: SETTINGS and PING.

Owns the h2 connection, and with it both settings objects and both compression contexts. It is fed
whole frames of these two types and nothing else; it knows of no stream, so that h2's own streams
and windows never move. Called by the engine only.
"""

from __future__ import annotations

from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, PingAckReceived, RemoteSettingsChanged
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from txhyper.core.bounds import Bounds
from txhyper.core.frames import HEADER_LENGTH, FrameError, describe
from txhyper.core.hpack import TABLE_SIZE, HeaderCoder

__all__ = ["MAX_FRAME_SIZE", "SETTING_LENGTH", "Control"]


#: The largest frame accepted, in octets. Larger ones than the RFC's default gained nothing.
MAX_FRAME_SIZE = 16384

#: How much of a frame that is not allowed an error shows.
LONGEST_FRAME_SHOWN = 200

#: Octets of one setting: its id and its value (RFC 9113 section 6.5.1).
SETTING_LENGTH = 6
TABLE_SIZE_ID = int(SettingCodes.HEADER_TABLE_SIZE).to_bytes(2, "big")
#: The ids that mean something here.
SETTINGS = frozenset(map(int, SettingCodes))


class Control:
    """
    What h2 does for us.

    The attributes are the peer's settings in force (RFC 9113 section 6.5.2), read for every
    request and every frame sent, so they are plain numbers here.
    """

    __slots__ = (
        "_h2",
        "coder",
        "initial_window",
        "max_concurrent_streams",
        "max_frame_size",
        "max_header_list_size",
        "push_enabled",
        "spoken",
    )

    def __init__(self, bounds: Bounds, stream_window: int, enable_push: bool = False) -> None:
        self._h2 = H2Connection(
            H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=False)
        )
        # Put here before the preface is made, our values are in the first SETTINGS frame. Every
        # setting is named: h2's own defaults leave ENABLE_PUSH on.
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.HEADER_TABLE_SIZE: TABLE_SIZE,
                SettingCodes.ENABLE_PUSH: int(enable_push),
                SettingCodes.INITIAL_WINDOW_SIZE: stream_window,
                SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
                SettingCodes.MAX_HEADER_LIST_SIZE: bounds.header_list_size,
                # Of streams that the peer opens there are no others.
                **({SettingCodes.MAX_CONCURRENT_STREAMS: bounds.promises} if enable_push else {}),
            },
        )
        # Some servers are known to stumble over it, and 0 says what its absence says.
        del self._h2.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]
        # Ours take the place of h2's, which sets both sizes when SETTINGS say so.
        self.coder = HeaderCoder(bounds.header_list_size)
        self._h2.encoder = cast(Any, self.coder)
        self._h2.decoder = cast(Any, self.coder.decoder)
        #: Whether the peer may promise responses.
        self.push_enabled = enable_push
        #: Whether the peer's SETTINGS have come: they are the first that it may send.
        self.spoken = False
        self._read_settings()

    def _read_settings(self) -> None:
        remote = self._h2.remote_settings
        #: The window that a new stream has for sending.
        self.initial_window = remote.initial_window_size
        #: The largest payload that the peer accepts.
        self.max_frame_size = remote.max_frame_size
        #: The largest header list that the peer accepts, or None.
        self.max_header_list_size = remote.max_header_list_size
        #: How many streams may be open, or None where the peer did not say.
        self.max_concurrent_streams = remote.get(SettingCodes.MAX_CONCURRENT_STREAMS)

    def greet(self) -> bytes:
        """The client's connection preface: the magic octets and SETTINGS (section 3.4)."""
        self._h2.initiate_connection()
        return self.take()

    def take(self) -> bytes:
        """What h2 wants sent: acknowledgements, and PING."""
        return bytes(self._h2.data_to_send())

    def ping(self, payload: bytes) -> bytes:
        """A PING frame. :param payload: 8 octets."""
        self._h2.ping(payload)
        return self.take()

    def settings_received(self, frame: bytes) -> bool:
        """
        Apply a whole SETTINGS frame.

        :return: whether the peer's settings changed; False for an acknowledgement.
        :raises FrameError: the frame or a value in it is not allowed.
        """
        entries = _known(frame)
        events = self._feed(_packed(frame, entries))
        for entry in entries:
            # h2 tells the encoder of the last size only. A smaller one before it counts as well
            # (RFC 7541 section 4.2).
            if entry[:2] == TABLE_SIZE_ID:
                self.coder.header_table_size = int.from_bytes(entry[2:], "big")
        if not any(isinstance(event, RemoteSettingsChanged) for event in events):
            return False
        self.spoken = True
        self._read_settings()
        return True

    def ping_received(self, frame: bytes) -> bytes | None:
        """
        Answer a whole PING frame, or take an answer.

        :return: the 8 octets of an acknowledgement.
        :raises FrameError: the frame is not allowed.
        """
        for event in self._feed(frame):
            if isinstance(event, PingAckReceived):
                return bytes(event.ping_data)
        return None

    def _feed(self, frame: bytes) -> list[Event]:
        try:
            return self._h2.receive_data(frame)
        except ProtocolError as error:
            # h2 has queued a GOAWAY of its own; the engine sends one that says more.
            self._h2.clear_outbound_data_buffer()
            # It names settings by their numbers.
            kind, flags = frame[3:5]
            stream_id = int.from_bytes(frame[5:HEADER_LENGTH], "big")
            seen = describe(kind, flags, stream_id, frame[HEADER_LENGTH:])[:LONGEST_FRAME_SHOWN]
            raise FrameError(ErrorCodes(error.error_code), f"{error}: {seen}") from error


def _known(frame: bytes) -> list[bytes]:
    """
    The entries of a SETTINGS frame without those that are to be ignored (RFC 9113 section 6.5.2).

    h2 would keep every one of 65,536 for as long as the connection lives. An entry that is cut
    off is among them: h2 refuses it.
    """
    payload = frame[HEADER_LENGTH:]
    entries = [
        payload[start : start + SETTING_LENGTH] for start in range(0, len(payload), SETTING_LENGTH)
    ]
    return [
        entry
        for entry in entries
        if len(entry) < SETTING_LENGTH or int.from_bytes(entry[:2], "big") in SETTINGS
    ]


def _packed(frame: bytes, entries: list[bytes]) -> bytes:
    """The frame with these entries."""
    kept = b"".join(entries)
    return len(kept).to_bytes(3, "big") + frame[3:HEADER_LENGTH] + kept
