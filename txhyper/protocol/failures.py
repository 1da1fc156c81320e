"""
The failures that users of Twisted already catch, around the errors of txhyper.

Owns the wrapping at the border, in one place, so that code written against Twisted's own agent
finds the classes that it expects and the errors of :mod:`txhyper.errors` in their ``reasons``.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.iweb import IResponse

from txhyper.errors import (
    ConnectionFailed,
    ConnectionTerminated,
    HyperError,
    InvalidRequest,
    code_name,
)

__all__ = [
    "INTERNAL_ERROR",
    "RESPONSE_DONE",
    "asRequestFailure",
    "asResponseFailure",
    "explain",
    "terminated",
]

#: An error code (RFC 9113 section 7).
INTERNAL_ERROR = 0x2

#: A body ended as it should. One for all of them, as Twisted does with its own clean endings.
RESPONSE_DONE = Failure(ResponseDone("the response is complete"))


def asRequestFailure(error: Exception) -> Failure:
    """
    What the Deferred of a request fails with.

    The caller's own mistakes and errors of connecting stay as they are; everything that happened
    between is in the ``reasons`` of a :exc:`ResponseNeverReceived`.
    """
    if isinstance(error, InvalidRequest) or not isinstance(error, (HyperError, CancelledError)):
        return Failure(error)
    return Failure(ResponseNeverReceived([Failure(error)]))


def internalError(origin: str, error: Exception) -> ConnectionFailed:
    """Something that should not happen has, in this process, while a frame was dealt with."""
    return ConnectionFailed(
        f"{origin}: {error!r} while a frame was dealt with (INTERNAL_ERROR)", INTERNAL_ERROR
    )


def terminated(
    origin: str, reason: Failure, lastStreamId: int | None, code: int, debugData: bytes
) -> ConnectionTerminated:
    """
    The transport is gone, whether or not the peer said before that it would be.

    :param lastStreamId: of the peer's GOAWAY, which has the code and the debug data as well; None
        if there was none.
    """
    said = ""
    if lastStreamId is not None:
        said = f" (the server's GOAWAY says {code_name(code)} {debugData[:100]!r})"
    return ConnectionTerminated(
        f"{origin}: the connection ended before the response did: {explain(reason.value)}{said}",
        code,
        lastStreamId,
        debugData,
    )


def asResponseFailure(error: Exception, response: IResponse | None) -> Failure:
    """What a body's protocol is told in ``connectionLost`` when the body is not complete."""
    reasons = error.reasons if isinstance(error, RequestGenerationFailed) else [Failure(error)]
    return Failure(ResponseFailed(reasons, response))


def explain(error: BaseException | None) -> str:
    """
    One line about the end of a connection.

    OpenSSL tells the reasons in tuples, and service-identity the names that it looked for in vain.
    """
    if error is not None and error.args and isinstance(error.args[0], list):
        reasons = [
            str(entry[-1]) if isinstance(entry, tuple) else f"the certificate does not fit: {entry}"
            for entry in error.args[0]
        ]
        return "; ".join(reasons) or "the server hung up"
    return str(error) or type(error).__name__
