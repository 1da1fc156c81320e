"""
Which connection of an origin takes the next request.

Owns the choice and nothing else: it is given numbers and returns one of three answers. The pool
asks, reserves what was chosen, and does what the answer says.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

__all__ = ["Choice", "select"]


class Choice(enum.Enum):
    """What to do with a request."""

    #: Put it on the connection named beside this.
    USE = "use"
    #: Dial for it.
    DIAL = "dial"
    #: Wait for a dial that is under way.
    WAIT = "wait"


def select(
    free: Sequence[int], maximum: int | None, dials: int, multiplexed: bool
) -> tuple[Choice, int]:
    """
    :param free: the free slots of each usable connection, oldest first; 0 or less if it is full.
    :param maximum: how many connections there may be; None for any number.
    :param dials: how many dials are under way.
    :param multiplexed: whether a new connection may take many requests, as far as is known:
        true for an origin that nothing is known of yet.
    :return: the choice, and with USE the connection's index. A full connection is chosen where no
        other may be dialled: the request queues there.
    """
    for index, slots in enumerate(free):
        if slots > 0:
            return Choice.USE, index
    if not multiplexed:
        # Over HTTP/1.1 a dial serves one request: each needs its own.
        return Choice.DIAL, -1
    if dials:
        return Choice.WAIT, -1
    if not free or maximum is None or len(free) < maximum:
        return Choice.DIAL, -1
    roomiest = max(range(len(free)), key=free.__getitem__)
    return Choice.USE, roomiest
