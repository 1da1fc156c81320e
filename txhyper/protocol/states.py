"""
What a person may want to know of a connection.

Owns the shape of it. A snapshot is made when somebody asks, from numbers that are kept anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConnectionState"]


@dataclass(frozen=True)
class ConnectionState:
    """
    One connection at one moment.

    :ivar protocol: ``"h2"`` or ``"http/1.1"``.
    :ivar isUsable: whether it takes requests: not once it is closing, or the server has gone away.
    :ivar open: slots in use: open streams, and slots reserved.
    :ivar capacity: slots that there are.
    :ivar waiting: requests that wait here for a slot.
    :ivar issued: requests that have been put on it since it was made.
    :ivar octetsReceived: octets that came, everything counted; below TLS there are a few more.
    :ivar octetsSent: likewise, octets that were sent; None over HTTP/1.1, where nobody counts.
    :ivar octetsQueued: octets of uploads that wait for a window; None over HTTP/1.1.
    """

    protocol: str
    isUsable: bool
    open: int
    capacity: int
    waiting: int
    issued: int
    octetsReceived: int
    octetsSent: int | None
    octetsQueued: int | None
