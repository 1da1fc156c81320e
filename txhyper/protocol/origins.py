"""
What a server says of the origins that its connection is for (RFC 8336).

Owns who is told of it. It sends no request anywhere: which origins may share a connection is the
pool's to decide, by the server's certificate as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["AnnouncedOrigins"]


class AnnouncedOrigins:
    """
    The part of an HTTP/2 connection that keeps the server's ORIGIN frames.

    :ivar originSet: the origins that the server has named so far, such as
        ``b"https://example.com"``, in lower case and without the default port. None until the
        first ORIGIN frame, and always where TLS has not chosen ``h2`` (RFC 8336 section 2.2).
        It stays what it was when the connection has ended.

        This is what was said, and not yet the RFC's Origin Set (section 2.3), of which three
        things are the caller's. Once this is not None, the set has an *initial origin* as well:
        ``https``, the host name that was sent by SNI, in lower case, or else the server's address,
        and the port that was connected to. An origin whose request was answered with 421 is taken
        out of it. And what a proxy says for itself, in a connection that ends there, is ignored.

        An origin of the set may be asked for here only if the certificate covers its host
        (section 2.4); one that is not in it, never, if this is not None.

    :ivar onOriginSet: called with the connection each time ``originSet`` has changed.
    :ivar covers: told an origin, says whether the server may promise responses for it (RFC 9113
        section 8.4) as if it were the request's own. It may not where this is None.
    """

    originSet: frozenset[bytes] | None = None
    onOriginSet: Callable[[Any], None] | None = None
    covers: Callable[[bytes], bool] | None = None

    transport: Any

    def _covers(self, origin: bytes) -> bool:
        return self.covers is not None and self.covers(origin)

    def _onAnnounced(self, stream: None, value: frozenset[bytes], size: int) -> None:
        # Without TLS nobody has shown that it may speak for any origin at all.
        if getattr(self.transport, "negotiatedProtocol", None) == b"h2":
            self.originSet = value
            if self.onOriginSet is not None:
                self.onOriginSet(self)
