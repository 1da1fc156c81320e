"""
What a person may want to know of a pool.

Owns the shape of it; of one connection :mod:`txhyper.protocol.states` has it. A snapshot is made
when somebody asks, from numbers that are kept anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from txhyper.protocol.states import ConnectionState

__all__ = ["OriginState"]


@dataclass(frozen=True)
class OriginState:
    """
    What a person may want to know of one origin.

    :ivar name: such as ``https://example.com``.
    :ivar dialling: connections that are being made.
    :ivar waiting: requests that wait for one of them, for a free stream, or for another attempt.
    :ivar connections: those that are alive, oldest first.
    """

    name: str
    dialling: int
    waiting: int
    connections: list[ConnectionState]
