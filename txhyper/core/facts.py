"""
The facts that the engine tells about a connection.

Owns their names and nothing else. A fact is a tuple ``(what, stream, value, size)``; what concerns
no stream has None for it.

==========  =======================  ==========================================================
fact        value                    size
==========  =======================  ==========================================================
INFORMED    ResponseHead (1xx)       0
RESPONDED   ResponseHead (final)     0
RECEIVED    content octets           flow-controlled length, to be given to ``consumed``
TRAILED     fields                   0
FINISHED    None                     0; the response is complete
FAILED      HyperError               0; the stream is closed
STOPPED     None                     0; complete before, now the peer wants no more of the upload
OPENED      None                     0; a window for sending grew, the connection's if no stream
SETTLED     None                     0; the peer's settings changed, see the attributes
PONGED      8 octets                 0
GONE        None                     0; GOAWAY came, see ``last_stream_id`` and ``goaway``
ANNOUNCED   frozenset of origins     0; ``origin_set`` has changed
PROMISED    (Stream, PromiseHead)    0; the stream is the one that the promise was sent on
==========  =======================  ==========================================================
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ANNOUNCED",
    "FAILED",
    "FINISHED",
    "GONE",
    "INFORMED",
    "OPENED",
    "PONGED",
    "PROMISED",
    "RECEIVED",
    "RESPONDED",
    "SETTLED",
    "STOPPED",
    "TRAILED",
    "Fact",
]

INFORMED, RESPONDED, RECEIVED, TRAILED, FINISHED, FAILED = range(6)
STOPPED, OPENED, SETTLED, PONGED, GONE, ANNOUNCED, PROMISED = range(6, 13)

Fact = tuple[int, Any, Any, int]
