"""
Whether a request that failed may be sent again without anybody noticing.

Owns the rules of RFC 9113 section 8.7 and RFC 9110 section 9.2.2. Sends nothing and waits for
nothing: the lease asks, for each failure.
"""

from __future__ import annotations

from txhyper.errors import ConnectionTerminated, HyperError, PeerUnresponsive

__all__ = ["IDEMPOTENT", "is_safe"]

#: Methods that may be repeated when nobody knows what became of the first time.
IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"DELETE", b"PUT", b"QUERY"])


def is_safe(
    error: Exception, method: bytes, has_body: bool, can_be_sent: bool, reused: bool
) -> bool:
    """
    Whether to send a request again after it failed before any octet of its response.

    :param has_body: whether there is a body.
    :param can_be_sent: whether its body has not been begun, or can be produced again.
    :param reused: whether the connection had served a request before. One that is lost in its
        first request is not an idle connection that the server happened to close.
    """
    if not can_be_sent:
        return False
    if isinstance(error, HyperError) and error.retriable:
        return True
    lost = isinstance(error, (ConnectionTerminated, PeerUnresponsive))
    return lost and reused and not has_body and method in IDEMPOTENT
