"""
A response on its way out: one stream's sending half.

Owns what an endpoint has said it wants sent on one stream (status, fields, body, trailers) and
where in it we are. It never writes and never looks at a window: its connection
(:mod:`txhyper.testing.server`) asks it for the next octets when there is room for them, so that a
body given as an iterator is pulled no faster than the client reads. Endpoints call it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txhyper.errors import HyperError

__all__ = ["Body", "HeaderPairs", "Outlet", "Responder"]

#: Header fields in the order in which they are sent.
HeaderPairs = Iterable[tuple[bytes, bytes]]

#: A whole body, or its chunks. A Deferred among the chunks holds the body up until it fires.
Body = bytes | Iterable["bytes | Deferred[bytes]"]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[^\0\r\n]*")


class Outlet(Protocol):
    """What a responder asks of its connection."""

    def sendHeaders(self, responder: Responder, headers: HeaderPairs, endStream: bool) -> None:
        """Send a header block."""

    def sendBody(self, responder: Responder) -> None:
        """Come and take what there is of the body, as far as the windows allow."""

    def sendReset(self, responder: Responder, code: int) -> None:
        """End the stream at once."""

    def sendPromise(self, responder: Responder, target: bytes, headers: HeaderPairs) -> bool:
        """Promise a response to a request that the client has not sent."""


def checkedFields(headers: HeaderPairs) -> list[tuple[bytes, bytes]]:
    """
    Header fields fit to be sent: names in lower case, nothing that could split a message.

    :raise ValueError: a name or a value may not be sent (RFC 9113 section 8.2.1).
    """
    fields = [(name.lower(), value) for name, value in headers]
    for name, value in fields:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a field name: {name!r}")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"not a field value: {value!r}")
    return fields


class Responder:
    """
    How an endpoint answers one request.

    :meth:`respond` is called once. It may be called after the endpoint has returned: a stream whose
    endpoint says nothing stays open. When the client has gone (:attr:`isClosed`), every method is
    still safe to call and does nothing.
    """

    _log = Logger()

    #: Whether the stream is at an end, however it came to it.
    isClosed = False
    #: Whether the response's status and fields are out.
    hasResponded = False
    #: Whether the response is out to its last octet.
    hasEnded = False

    def __init__(self, outlet: Outlet, streamId: int, *, isHead: bool = False) -> None:
        self._outlet = outlet
        #: The stream's id on the wire.
        self.streamId = streamId
        self._isHead = isHead
        self._chunks: Iterator[bytes | Deferred[bytes]] = iter(())
        self._pending = memoryview(b"")
        self._isExhausted = False
        self._isPulling = False
        self._delayed: Deferred[bytes] | None = None
        self._failure: Failure | None = None
        self._closing: list[Deferred[HyperError | None]] = []
        self._reason: HyperError | None = None
        #: The fields to be sent after the body.
        self.trailers: list[tuple[bytes, bytes]] = []

    # What an endpoint calls.

    def respond(
        self,
        status: int = 200,
        headers: HeaderPairs = (),
        body: Body = b"",
        trailers: HeaderPairs = (),
    ) -> None:
        """
        Send the response.

        :param status: a final status, 200 to 999.
        :param headers: the fields. A ``content-length`` is added when the whole body is given.
        :param body: the whole body; or an iterable of its chunks, each one ``bytes`` or a Deferred
            of ``bytes``. A chunk is asked for when the one before it has been sent. When the client
            resets the stream, a generator is closed and a Deferred that it waits for is cancelled.
            An iterator that raises, or a Deferred that fails, resets the stream with
            INTERNAL_ERROR. To HEAD, and with 204 and 304, no body is sent and no chunk asked for.
        :param trailers: fields to be sent after the body.
        :raise ValueError: the status or a field may not be sent; nothing was.
        :raise RuntimeError: there has been a response already.
        """
        if not 200 <= status <= 999:
            raise ValueError(f"not a final status: {status}")
        if self.hasResponded:
            raise RuntimeError(f"stream {self.streamId} has its response already")
        fields = [(b":status", b"%d" % status), *checkedFields(headers)]
        lastFields = checkedFields(trailers)
        canHaveBody = status not in (204, 304)
        if isinstance(body, bytes):
            if canHaveBody and not any(name == b"content-length" for name, _ in fields):
                fields.append((b"content-length", b"%d" % len(body)))
            self._pending = memoryview(body)
            self._isExhausted = True
        else:
            self._chunks = iter(body)
        if self.isClosed:
            self._discard()
            return
        self.hasResponded = True
        if self._isHead or not canHaveBody:
            self._discard()
        else:
            self.trailers = lastFields
        isWhole = self._isExhausted and not self._pending and not self.trailers
        self._outlet.sendHeaders(self, fields, isWhole)
        if not isWhole:
            self._outlet.sendBody(self)

    def respondJSON(self, value: object, status: int = 200, headers: HeaderPairs = ()) -> None:
        """Send a value as JSON."""
        text = json.dumps(value, indent=2) + "\n"
        self.respond(
            status, [(b"content-type", b"application/json"), *headers], text.encode("ascii")
        )

    def sendInformational(self, status: int, headers: HeaderPairs = ()) -> None:
        """
        Send an interim response (RFC 9110 section 15.2), such as 103 with the links to come.

        :raise ValueError: the status is not interim, or is 101, which HTTP/2 does without.
        :raise RuntimeError: the final response is out already.
        """
        if not 100 <= status <= 199 or status == 101:
            raise ValueError(f"not an interim status: {status}")
        if self.hasResponded:
            raise RuntimeError(f"stream {self.streamId} has its response already")
        fields = [(b":status", b"%d" % status), *checkedFields(headers)]
        if not self.isClosed:
            self._outlet.sendHeaders(self, fields, False)

    def push(self, target: bytes, headers: HeaderPairs = ()) -> bool:
        """
        Promise the client the response to a GET that it has not sent, and have the site answer it.

        :param target: the path and query that are promised.
        :param headers: fields of the promised request.
        :return: whether the promise was made. It is not when the client takes none, or no more of
            them, when this response has ended, or when this stream was itself pushed.
        """
        fields = checkedFields(headers)
        if self.isClosed or self.hasEnded:
            return False
        return self._outlet.sendPromise(self, target, fields)

    def reset(self, code: int = ErrorCodes.CANCEL) -> None:
        """End the stream here and now, with an error code of RFC 9113 section 7."""
        if not self.isClosed:
            self._outlet.sendReset(self, code)

    def whenClosed(self) -> Deferred[HyperError | None]:
        """
        Wait for the stream's end.

        :return: a Deferred that never fails. It fires with None after a complete exchange, and
            else with what went wrong.
        """
        closed: Deferred[HyperError | None] = Deferred()
        if self.isClosed:
            closed.callback(self._reason)
        else:
            self._closing.append(closed)
        return closed

    # What its connection calls.

    def hasMore(self) -> bool:
        """
        Pull until there is something to send, or else the end of the body.

        :return: False while the next chunk is not there yet; the responder then calls for its
            connection when it is.
        :raise Exception: what the body's iterator raised, or its Deferred failed with.
        """
        while not self._pending and not self._isExhausted and self._delayed is None:
            if self._failure is not None:
                self._failure.raiseException()
            self._pull()
        return self._delayed is None and not self.isClosed

    def _pull(self) -> None:
        self._isPulling = True
        try:
            chunk = next(self._chunks, None)
        finally:
            self._isPulling = False
        if self.isClosed:
            # The iterator itself has ended the stream, and could not be closed while it ran.
            self._discard()
        elif chunk is None:
            self._isExhausted = True
        elif isinstance(chunk, Deferred):
            self._delayed = chunk
            chunk.addCallbacks(self._arrived, self._broke)
        else:
            self._pending = memoryview(chunk)

    def _arrived(self, chunk: bytes) -> None:
        self._pending = memoryview(chunk)
        self._goOn()

    def _broke(self, failure: Failure) -> None:
        self._failure = failure
        self._goOn()

    def _goOn(self) -> None:
        self._delayed = None
        if not self.isClosed:
            self._outlet.sendBody(self)

    def pendingSize(self) -> int:
        """How many octets there are to be sent before the next chunk is pulled."""
        return len(self._pending)

    def take(self, size: int) -> tuple[memoryview, bool]:
        """
        Take the next octets of the body.

        :return: no more than ``size`` octets, and whether they are the last.
        """
        piece, self._pending = self._pending[:size], self._pending[size:]
        return piece, self._isExhausted and not self._pending

    def closed(self, reason: HyperError | None) -> None:
        """The stream is at an end: let go of everything, and tell who waits for it."""
        self.isClosed = True
        self._reason = reason
        self._discard()
        waiting, self._closing = self._closing, []
        for each in waiting:
            each.callback(reason)

    def _discard(self) -> None:
        """Drop what is left of the body."""
        self._pending = memoryview(b"")
        self._isExhausted = True
        delayed, self._delayed = self._delayed, None
        if delayed is not None:
            delayed.cancel()
        close = getattr(self._chunks, "close", None)
        if close is None or self._isPulling:
            return
        try:
            close()
        except Exception:  # noqa: BLE001 - a user's iterator may raise anything; it is only logged
            self._log.failure("a body failed when it was closed on stream {id}", id=self.streamId)
