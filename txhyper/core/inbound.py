"""
One body that has come and waits for its reader.

Owns the octets that were received and not delivered, whether the reader has paused, and how the
body ended. A stream whose reader keeps up has none of these. Nothing is credited while it is here:
credit follows delivery, so what can gather is at most the stream's window.
"""

from __future__ import annotations

from collections import deque

__all__ = ["JOINED", "KEPT_APART", "Inbound"]

#: Frames that are kept as they came. A peer that sends more than these to a reader that pauses
#: gets its small ones joined: a window full of frames of one octet would cost a hundred times
#: what it holds, and empty ones cost no window at all.
KEPT_APART = 64
#: Octets up to which small frames are joined.
JOINED = 4096


class Inbound:
    """
    Frames held back, in order, with their flow-controlled lengths.

    :ivar paused: whether the reader has asked for a pause.
    :ivar delivering: whether somebody is taking frames out already: a reader that resumes from
        within a delivery must not start a second one.
    :ivar ended: whether nothing more will come.
    """

    __slots__ = ("_frames", "delivering", "ended", "paused")

    def __init__(self) -> None:
        # Octets and length of each; bytearrays where several were joined.
        self._frames: deque[tuple[bytes | bytearray, int]] = deque()
        self.paused = False
        self.delivering = False
        self.ended = False

    def hold(self, data: bytes, size: int) -> None:
        """
        Keep one frame's octets.

        :param size: its flow-controlled length: the octets, and the padding.
        """
        if len(self._frames) >= KEPT_APART:
            last, before = self._frames[-1]
            if not data:
                # An empty frame costs the peer no window, so that any number of them may come.
                self._frames[-1] = last, before + size
                return
            if len(last) + len(data) <= JOINED:
                joined = last if isinstance(last, bytearray) else bytearray(last)
                joined += data
                self._frames[-1] = joined, before + size
                return
        self._frames.append((data, size))

    def take(self) -> tuple[bytes, int] | None:
        """The oldest frame and its length; None if there is none, or none may be delivered."""
        if self.paused or not self._frames:
            return None
        data, size = self._frames.popleft()
        return bytes(data), size

    def discard(self) -> None:
        """Forget everything: nobody will read it."""
        self._frames.clear()

    @property
    def exhausted(self) -> bool:
        """Whether the reader keeps up again: nothing is held, and no pause is on."""
        return not self._frames and not self.paused
