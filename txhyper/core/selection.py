"""
Whether an origin needs another connection.

Owns the choice and nothing else: it is given numbers. The pool asks for each request that has found
no free slot on any connection, and dials, or lets it wait: for a dial that is under way, or for the
first slot that comes free.
"""

from __future__ import annotations

__all__ = ["has_to_dial"]


def has_to_dial(
    usable: int, maximum: int | None, dials: int, waiting: int, multiplexed: bool
) -> bool:
    """
    :param usable: how many connections take requests, all of them full.
    :param maximum: how many there may be; None for any number.
    :param dials: how many dials are under way.
    :param waiting: how many requests wait.
    :param multiplexed: whether a new connection may take many requests, as far as is known:
        true for an origin that nothing is known of yet.
    """
    if not multiplexed:
        # Over HTTP/1.1 a dial serves one request: each needs its own.
        return dials < waiting
    return not dials and (not usable or maximum is None or usable < maximum)
