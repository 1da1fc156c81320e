"""
How many frames without progress a peer may send.

Owns that budget: a burst, what comes back with time, and what comes back with progress. There are
frames that a peer may send for ever without ever answering anything: PING, SETTINGS, PRIORITY,
WINDOW_UPDATE, empty DATA, frames of streams that are closed and of types that nobody knows. Each
costs the client work, and some cost it an answer (CVE-2019-9512, 9515, 9518 and their kin). The
engine tells of each; those that carry something cost nothing, not even a look at this.
"""

from __future__ import annotations

__all__ = ["OCTETS", "Patience"]

#: Octets of bodies, either way, that are worth one frame without progress. Servers give credit by
#: WINDOW_UPDATE for each frame of an upload, on the stream and on the connection.
OCTETS = 1024


class Patience:
    """The budget of one connection."""

    __slots__ = ("_burst", "_left", "_rate", "_seen", "_when")

    def __init__(self, burst: int, rate: float) -> None:
        """
        :param burst: frames that may come at once.
        :param rate: frames that are forgiven with each second.
        """
        self._burst = self._left = float(burst)
        self._rate = rate
        self._when = 0.0
        self._seen = 0

    def lose(self, now: float, progress: int, cost: int = 1) -> bool:
        """
        One more frame without progress.

        :param now: in seconds.
        :param progress: what the connection has achieved so far, in frames of this kind that it is
            worth. It only grows.
        :param cost: how many frames it counts for: there are some that hold the work of many.
        :return: whether it was one too many.
        """
        if self._left < cost:
            back = (now - self._when) * self._rate + progress - self._seen
            self._left = min(self._burst, self._left + back)
            self._when, self._seen = now, progress
            if self._left < cost:
                return True
        self._left -= cost
        return False
