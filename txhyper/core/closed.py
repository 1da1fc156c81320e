"""
Which closed streams may still be spoken of.

Owns the ids of streams that ended by a reset, from either side, for as long as frames that crossed
it may come. A peer that speaks of a stream it had ended itself breaks the protocol; one that had
not yet seen our RST_STREAM does not (RFC 9113 section 5.1, "closed"). Called by the engine only.
"""

from __future__ import annotations

__all__ = ["REMEMBERED", "ClosedStreams"]

#: How many ids are kept. Those that fall out stay forgiven, as everything older does.
REMEMBERED = 1024


class ClosedStreams:
    """Streams that were reset, the latest of them by name and the older ones by and large."""

    __slots__ = ("_horizon", "_ids")

    def __init__(self) -> None:
        # In order of the resets; a dict because membership is asked for each late frame.
        self._ids: dict[int, None] = {}
        #: The highest id that fell out.
        self._horizon = 0

    def was_reset(self, stream_id: int) -> None:
        """Remember that late frames of this stream are nobody's fault."""
        self._ids[stream_id] = None
        if len(self._ids) > REMEMBERED:
            oldest = next(iter(self._ids))
            del self._ids[oldest]
            self._horizon = max(self._horizon, oldest)

    def forgives(self, stream_id: int) -> bool:
        """Whether a frame of this closed stream may be ignored."""
        return stream_id in self._ids or stream_id <= self._horizon
