"""
Errors as hyper calls them.

Owns names alone: each is a class of :mod:`txhyper.errors`, or Python's own, that says the same.
"""

from __future__ import annotations

from txhyper.errors import (
    ConnectionFailed,
    ConnectionTerminated,
    HyperError,
    InvalidRequest,
    MalformedResponse,
    ProtocolViolation,
    StreamReset,
)

__all__ = [
    "ChunkedDecodeError",
    "ConnectionError",
    "ConnectionResetError",
    "HPACKDecodingError",
    "HPACKEncodingError",
    "HTTP20Error",
    "InvalidResponseError",
    "MissingCertFile",
    "ProtocolError",
    "StreamResetError",
]

HTTP20Error = HyperError
ConnectionError = ConnectionFailed  # noqa: A001 - so it is called there
ConnectionResetError = ConnectionTerminated  # noqa: A001 - likewise
ProtocolError = ProtocolViolation
StreamResetError = StreamReset
#: What cannot be encoded is the caller's mistake, found before.
HPACKEncodingError = InvalidRequest
HPACKDecodingError = ProtocolViolation
InvalidResponseError = MalformedResponse
ChunkedDecodeError = ProtocolViolation
MissingCertFile = FileNotFoundError
