"""
One stream, the client's half of RFC 9113 section 5.1.

Owns a stream's phase, its windows, what its response has still to bring, and the octets that wait
to be sent on it. Never touches the wire: the engine does, and the engine is the only one to change
what is here. The owner is opaque to the core.

The rules kept here:

* a response is a final head, content, trailers, the end, in this order; informational heads come
  before the final one, and none of them ends the stream (RFC 9113 section 8.1);
* only END_STREAM together with a content-length that holds is a complete response;
* content is counted without its padding, windows with it (sections 6.1 and 8.1.1);
* a window for sending is kept as what was granted and sent, added up, so that a change of the
  peer's INITIAL_WINDOW_SIZE touches no stream (section 6.9.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from txhyper.core.headers import NO_LENGTH, MalformedHead, ResponseHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from txhyper.core.headers import Field
    from txhyper.core.outbound import OutboundBody
    from txhyper.core.windows import BaseFlowControlManager

__all__ = ["AWAITING_HEAD", "ENDED", "READING_BODY", "UNBOUNDED", "Stream"]

#: What the peer owes: a final response's head; a body, trailers or the end; nothing any more.
AWAITING_HEAD, READING_BODY, ENDED = 0, 1, 2

#: A body without a content-length.
UNBOUNDED = -1


class Stream:
    """
    A stream that this client opened, from its HEADERS to the end of both halves.

    The two halves are two fields, not the product of them that the RFC draws: *open* is
    ``sending`` with ``receiving != ENDED``, *half-closed (local)* is not ``sending``, and so on.
    A stream that is closed is in no dictionary any more, so no phase says so; ``closed`` is for
    those who still hold it.
    """

    __slots__ = (
        "closed",
        "content_length",
        "id",
        "informational",
        "manager",
        "method",
        "outbound",
        "owner",
        "receive_window",
        "receiving",
        "remaining",
        "send_credit",
        "sending",
        "trailers",
    )

    def __init__(
        self, stream_id: int, owner: Any, method: bytes, receive_window: int, sending: bool
    ) -> None:
        self.id = stream_id
        self.owner = owner
        #: The request's method: HEAD and CONNECT change what the response's fields mean.
        self.method = method
        #: Whether this side may still send DATA or trailers.
        self.sending = sending
        #: AWAITING_HEAD, READING_BODY or ENDED.
        self.receiving = AWAITING_HEAD
        #: What the peer may still send, in flow-controlled octets.
        self.receive_window = receive_window
        #: What has been granted to us and sent by us since the stream opened, added up. The
        #: window itself is this plus the peer's current INITIAL_WINDOW_SIZE, so that a change of
        #: that setting (RFC 9113 section 6.9.2) walks no streams.
        self.send_credit = 0
        #: The content-length that the response announced, or None.
        self.content_length: int | None = None
        #: Octets of content that are still to come, or UNBOUNDED.
        self.remaining = UNBOUNDED
        #: Informational responses so far.
        self.informational = 0
        #: The policy of the receive window; made when the first octets are consumed.
        self.manager: BaseFlowControlManager | None = None
        #: The body that waits to be sent; made when there is one.
        self.outbound: OutboundBody | None = None
        #: The trailer section that ends the request, where it has one.
        self.trailers: Sequence[Field] | None = None
        self.closed = False

    def received_head(self, head: ResponseHead, end: bool) -> None:
        """
        A header block has come where a response's head is due.

        :param end: whether END_STREAM came with it.
        :raises MalformedHead: an informational response ends the stream, or a content-length
            announces what does not come (RFC 9113 section 8.1.1).
        """
        if head.status < 200:
            if end:
                raise MalformedHead(f"END_STREAM with the informational status {head.status}")
            self.informational += 1
            return
        self.receiving = READING_BODY
        if self.method == b"HEAD" or head.status in (204, 304):
            # Such a response has no content; its content-length speaks of another one
            # (RFC 9110 section 8.6).
            self.remaining = 0
        elif self.method == b"CONNECT" and head.status < 300:
            # What follows is a tunnel; a content-length is to be ignored (RFC 9110 9.3.6).
            self.remaining = UNBOUNDED
        elif head.content_length != NO_LENGTH:
            self.remaining = self.content_length = head.content_length
        if end:
            self.received_end()

    def received_data(self, size: int, end: bool) -> None:
        """
        Content has come.

        :param size: its octets, without padding.
        :raises MalformedHead: before the head, or more or less of it than was announced.
        """
        if self.receiving == AWAITING_HEAD:
            raise MalformedHead("DATA before the response's header list")
        if self.remaining != UNBOUNDED:
            if size > self.remaining:
                raise MalformedHead(
                    f"{size} octets of content where {self.remaining} were still to come"
                )
            self.remaining -= size
        if end:
            self.received_end()

    def received_end(self) -> None:
        """
        END_STREAM has come.

        :raises MalformedHead: content is missing.
        """
        if self.receiving == AWAITING_HEAD:
            raise MalformedHead("the stream ends before its response's header list")
        if self.remaining > 0:
            raise MalformedHead(
                f"the stream ends {self.remaining} octets before its content-length"
            )
        self.receiving = ENDED
