"""
What failed, who caused it, and whether it is safe to try again.

Owns the error tree. Every class answers two questions without the caller having to look at the
protocol: :attr:`HyperError.retriable`, which is true only when the peer has certainly done no
work for the request (RFC 9113 section 8.7), and :attr:`HyperError.initiator`, which tells who
made it fail. Nothing here imports Twisted; at the border to user code
:mod:`txhyper.protocol` wraps these in the failure classes that Twisted's users already catch.

Every message is one line.
"""

from __future__ import annotations

import enum

from h2.errors import ErrorCodes

__all__ = [
    "BodyError",
    "BodyTimedOut",
    "BodyTooLarge",
    "BoundExceeded",
    "ConnectTimedOut",
    "ConnectionFailed",
    "ConnectionTerminated",
    "ConnectionUnusable",
    "DecodingFailed",
    "GoneAway",
    "HTTP11Required",
    "HandshakeTerminated",
    "HandshakeTimedOut",
    "HyperError",
    "Initiator",
    "InvalidRequest",
    "LengthMismatch",
    "MalformedResponse",
    "NegotiationFailed",
    "NotProcessed",
    "PeerUnresponsive",
    "ProtocolViolation",
    "ResponseTimedOut",
    "SlotTimedOut",
    "StreamAborted",
    "StreamError",
    "StreamRefused",
    "StreamReset",
    "TimedOut",
    "TotalTimedOut",
    "TunnelRefused",
    "code_name",
]


class Initiator(enum.Enum):
    """Who made it fail: the caller, this library, or the peer."""

    USER = "user"
    LIBRARY = "library"
    REMOTE = "remote"


def code_name(code: int) -> str:
    """
    The name of an HTTP/2 error code as RFC 9113 section 7 spells it.

    A code that the RFC does not know, which a peer is free to send, comes back as hexadecimal.
    """
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"0x{code:x}"


class HyperError(Exception):
    """The root of everything that txhyper raises."""

    #: True only when the peer did no work for the request, so that any method may be sent again.
    retriable: bool = False
    #: Who made it fail.
    initiator: Initiator = Initiator.REMOTE


class NotProcessed(HyperError):
    """The peer did no work for this request: it may be sent again, whatever its method."""

    retriable = True


class PushRefused(HyperError):
    """A promise that was not believed: the server does not speak for its origin."""

    initiator = Initiator.LIBRARY


class StreamRefused(NotProcessed):
    """The peer reset the stream with REFUSED_STREAM (RFC 9113 section 8.7)."""

    def __init__(self, message: str, stream_id: int) -> None:
        super().__init__(message)
        self.stream_id = stream_id
        self.code = int(ErrorCodes.REFUSED_STREAM)


class GoneAway(NotProcessed):
    """
    The stream's id is above the last one that the peer's GOAWAY promised to finish
    (RFC 9113 section 6.8).
    """

    def __init__(self, message: str, code: int, last_stream_id: int, debug_data: bytes) -> None:
        super().__init__(message)
        self.code = code
        self.last_stream_id = last_stream_id
        self.debug_data = debug_data


class ConnectionUnusable(NotProcessed):
    """The connection took no more requests when this one came, and sent nothing of it."""

    initiator = Initiator.LIBRARY


class StreamError(HyperError):
    """One stream failed; its connection and the other streams live on."""

    def __init__(self, message: str, stream_id: int, code: int) -> None:
        super().__init__(message)
        #: The id on the wire.
        self.stream_id = stream_id
        #: The error code of RFC 9113 section 7.
        self.code = code


class StreamReset(StreamError):
    """The peer sent RST_STREAM."""


class StreamAborted(StreamError):
    """This side gave the stream up: the caller cancelled, or stopped reading its body."""

    initiator = Initiator.USER


class MalformedResponse(StreamError):
    """The response breaks RFC 9113 section 8.1.1; nothing of it is to be trusted."""


class ConnectionFailed(HyperError):
    """The connection ended, and every stream that was open on it failed with it."""

    def __init__(
        self,
        message: str,
        code: int = int(ErrorCodes.NO_ERROR),
        last_stream_id: int | None = None,
        debug_data: bytes = b"",
    ) -> None:
        super().__init__(message)
        #: The error code sent or received, of RFC 9113 section 7.
        self.code = code
        #: The last stream that the peer promised to finish, where it said so.
        self.last_stream_id = last_stream_id
        #: What the peer's GOAWAY carried to explain itself.
        self.debug_data = debug_data


class ConnectionTerminated(ConnectionFailed):
    """The peer, or the network, ended the connection."""


class ProtocolViolation(ConnectionFailed):
    """The peer broke HTTP/2 in a way that RFC 9113 makes an error of the whole connection."""


class PeerUnresponsive(ConnectionFailed):
    """The peer did not answer a PING in time."""

    initiator = Initiator.LIBRARY


class NegotiationFailed(HyperError):
    """TLS or ALPN did not lead to a connection that may carry HTTP; nothing of HTTP was sent."""

    initiator = Initiator.LIBRARY


class HandshakeTerminated(NegotiationFailed):
    """
    The peer, or the network, ended the connection before it could carry HTTP, and gave no reason:
    a server on its way out does so, and one that wants no client like this one.
    """

    retriable = True
    initiator = Initiator.REMOTE


class TimedOut(HyperError):
    """A time limit passed. The subclass says which."""

    initiator = Initiator.LIBRARY


class ConnectTimedOut(TimedOut):
    """TCP did not connect, or a proxy not open a tunnel, in time; no request was sent."""


class HandshakeTimedOut(TimedOut):
    """The TLS handshake did not end in time; nothing of HTTP was sent."""


class SlotTimedOut(TimedOut):
    """No stream came free in time; nothing of the request was sent."""


class ResponseTimedOut(TimedOut):
    """The final response's headers did not come in time."""


class BodyTimedOut(TimedOut):
    """Nothing of the response's body came for too long, while its reader wanted more."""


class TotalTimedOut(TimedOut):
    """The response was not complete in time."""


class TunnelRefused(HyperError):
    """
    A proxy did not open a tunnel: it answered CONNECT with something else than a 2xx (RFC 9110
    section 9.3.6), or refused in the terms of SOCKS5 (RFC 1928).
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        #: The status of its answer; from a SOCKS5 proxy the octet that says no.
        self.status = status


class BodyError(HyperError):
    """A body is not what its message announced, or more than the caller allowed."""


class DecodingFailed(BodyError):
    """The content coding of a body is corrupt, truncated or unknown."""


class LengthMismatch(BodyError):
    """A body has more or fewer octets than its content-length says (RFC 9110 section 8.6)."""


class BodyTooLarge(BodyError):
    """A body has more octets than the caller or a bound allows."""

    initiator = Initiator.LIBRARY


class InvalidRequest(HyperError, ValueError):
    """The caller's mistake, found before anything was sent."""

    initiator = Initiator.USER


class BoundExceeded(HyperError):
    """A limit of :class:`txhyper.core.bounds.Bounds` was passed."""

    def __init__(self, message: str, bound: str) -> None:
        super().__init__(message)
        #: The name of the bound, a field of :class:`txhyper.core.bounds.Bounds`.
        self.bound = bound


class HTTP11Required(HyperError):
    """The peer wants this request over HTTP/1.1 (HTTP_1_1_REQUIRED, RFC 9113 section 7)."""

    retriable = True
