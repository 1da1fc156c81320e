"""
Whether a request that failed may be sent again without anybody noticing.

Owns the rules of RFC 9113 section 8.7 and RFC 9110 section 9.2.2. Sends nothing and waits for
nothing: the lease asks, for each failure.
"""

from __future__ import annotations

from txhyper.errors import (
    ConnectionTerminated,
    HandshakeTerminated,
    HyperError,
    PeerUnresponsive,
)

__all__ = ["FIRST_PAUSE", "IDEMPOTENT", "LOST", "backoff", "is_safe"]

#: Seconds before the second retry.
FIRST_PAUSE = 0.1

#: Methods that may be repeated when nobody knows what became of the first time.
IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"DELETE", b"PUT", b"QUERY"])

#: The connection went, and took the request with it.
LOST = (ConnectionTerminated, HandshakeTerminated, PeerUnresponsive)


def backoff(attempts: int) -> float:
    """
    How long to wait before the next attempt, in seconds.

    The first retry is at once, as what it is for is usually a connection that has just gone. A
    server that refuses again gets more time with each one.

    :param attempts: how many there were.
    """
    return 0.0 if attempts < 2 else FIRST_PAUSE * 2.0 ** (attempts - 2)


def is_safe(
    error: Exception, method: bytes, has_body: bool, can_be_sent: bool, excused: bool
) -> bool:
    """
    Whether to send a request again after it failed before any octet of its response.

    :param has_body: whether there is a body.
    :param can_be_sent: whether its body has not been begun, or can be produced again.
    :param excused: whether there is an excuse for a connection that is lost: it had served others
        before, and servers close those when they like; or it was new, and the first new one that
        this request has lost. A server that stops as it is asked loses one; if the next goes the
        same way, then perhaps because of the request (RFC 9110 section 9.2.2 wants no automatic
        retry of an automatic retry).
    """
    if not can_be_sent:
        return False
    if isinstance(error, LOST) and not excused:
        return False
    if isinstance(error, HyperError) and error.retriable:
        return True
    return isinstance(error, LOST) and not has_body and method in IDEMPOTENT
