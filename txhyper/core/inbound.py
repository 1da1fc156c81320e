"""
One body that has come and waits for its reader.

Owns the octets that were received and not delivered, whether the reader has paused, and how the
body ended. A stream whose reader keeps up has none of these. Nothing is credited while it is here:
credit follows delivery, so what can gather is at most the stream's window.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Inbound"]


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
        self._frames: deque[tuple[bytes, int]] = deque()
        self.paused = False
        self.delivering = False
        self.ended = False

    def hold(self, data: bytes, size: int) -> None:
        """
        Keep one frame's octets.

        :param size: its flow-controlled length: the octets, and the padding.
        """
        self._frames.append((data, size))

    def take(self) -> tuple[bytes, int] | None:
        """The oldest frame and its length; None if there is none, or none may be delivered."""
        if self.paused or not self._frames:
            return None
        return self._frames.popleft()

    def discard(self) -> None:
        """Forget everything: nobody will read it."""
        self._frames.clear()

    @property
    def exhausted(self) -> bool:
        """Whether the reader keeps up again: nothing is held, and no pause is on."""
        return not self._frames and not self.paused
