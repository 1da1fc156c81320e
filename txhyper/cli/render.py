"""
What a person, or the shell, gets to see of a fetch.

Owns the octets that leave the process: the head of a response for ``--include``, the body's way
to standard output or a file, the one line that says what went wrong, and the exit status that
says the same to a script. It decides nothing about the fetch; :mod:`txhyper.cli.fetch` calls it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet import error as net
from twisted.python.usage import UsageError
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IResponse

from txhyper import errors

__all__ = [
    "Output",
    "Streams",
    "cause",
    "describe",
    "exit_status",
    "response_head",
    "settle_standard_output",
    "standard_streams",
]

NETWORK = 1
TIME_LIMIT = 2
PROTOCOL = 7
USAGE = 64
DEFECT = 70
INTERRUPTED = 130
#: What the shell shows for a program that SIGPIPE ended, which Python programs ignore.
READER_GONE = 141

#: The first line that an error is an instance of decides.
STATUSES: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((UsageError, errors.InvalidRequest, SchemeNotSupported), USAGE),
    (
        (
            errors.TimedOut,
            errors.PeerUnresponsive,
            net.TimeoutError,
            net.TCPTimedOutError,
            defer.TimeoutError,
        ),
        TIME_LIMIT,
    ),
    ((defer.CancelledError,), INTERRUPTED),
    ((BrokenPipeError,), READER_GONE),
    (
        (
            errors.NegotiationFailed,
            errors.ConnectionUnusable,
            errors.TunnelRefused,
            net.ConnectError,
            net.ConnectionClosed,
            net.BindError,
            net.VerifyError,
            SSL.Error,
            OSError,
        ),
        NETWORK,
    ),
    ((errors.HyperError,), PROTOCOL),
)

#: Twisted's wrappers: each keeps its causes in a list.
WRAPPERS = (ResponseFailed, RequestTransmissionFailed, RequestGenerationFailed)


def cause(error: BaseException) -> BaseException:
    """The error inside Twisted's wrappers: the first reason is the one that began it."""
    while isinstance(error, WRAPPERS) and error.reasons:
        error = error.reasons[0].value
    return error


def is_incomplete(error: BaseException) -> bool:
    """Whether a response had begun when the error came."""
    return isinstance(error, ResponseFailed) and not isinstance(error, ResponseNeverReceived)


def exit_status(error: BaseException) -> int:
    """
    The exit status that stands for an error.

    A network that fails before a response is the network's failure (1). Once a response has
    begun, its body is incomplete (7), whoever is to blame.
    """
    root = cause(error)
    status = PROTOCOL if isinstance(error, WRAPPERS) else DEFECT
    for classes, candidate in STATUSES:
        if isinstance(root, classes):
            status = candidate
            break
    if isinstance(root, errors.ConnectionTerminated) and root.code == 0:
        # No error code: the connection just ended, as it does when a cable is pulled.
        status = NETWORK
    return PROTOCOL if status == NETWORK and is_incomplete(error) else status


def describe(error: BaseException) -> str | None:
    """
    One line for the person who waits, or None where silence says it best.

    A reader of standard output that went away, as ``head`` does, wanted no more.
    """
    status = exit_status(error)
    root = cause(error)
    if status == READER_GONE:
        return None
    if status == INTERRUPTED:
        return "interrupted"
    text = " ".join(str(root).split()) or type(root).__name__
    if status == DEFECT:
        return f"this is a defect of hyperfetch: {type(root).__name__}: {text}"
    return f"the response is incomplete: {text}" if is_incomplete(error) else text


def printable(text: str) -> str:
    """The text without the control characters with which a peer could command a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def response_head(response: IResponse) -> bytes:
    """
    Status line and headers, in the form in which HTTP/1.1 sends them, with an empty line after.

    From HTTP/2 on the version has no minor number, the status has no phrase, and names are in
    small letters, as they came. Twisted's HTTP/1.1 keeps the headers that only concern the
    connection to itself, content-length among them, so they are missing here as well.
    """
    _, major, minor = response.version
    if major >= 2:
        lines = [b"HTTP/%d %d" % (major, response.code)]
    else:
        status = b"HTTP/%d.%d %d %s" % (major, minor, response.code, response.phrase)
        lines = [status.rstrip()]
    for name, values in response.headers.getAllRawHeaders():
        shown = name.lower() if major >= 2 else name
        lines += [shown + b": " + value for value in values]
    return b"\r\n".join([*lines, b"", b""])


@dataclass(frozen=True)
class Streams:
    """Where octets and messages go: a process's standard streams, or a test's."""

    #: Gives the stream for the body. It is called only once there is something to write.
    standard_output: Callable[[], BinaryIO]
    #: None in a process that was started without one.
    standard_error: TextIO | None

    def say(self, message: str) -> None:
        """Tell the person something, in one line."""
        self.log("hyperfetch: " + message)

    def log(self, line: str) -> None:
        """Write one line to standard error, if that is still possible."""
        if self.standard_error is not None:
            # A message that cannot be shown has nowhere else to go, and must not end a fetch.
            with contextlib.suppress(OSError):
                self.standard_error.write(printable(line) + "\n")
                self.standard_error.flush()


def standard_streams() -> Streams:
    """The standard streams of this process."""

    def standard_output() -> BinaryIO:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        return sys.stdout.buffer

    return Streams(standard_output, sys.stderr)


def settle_standard_output() -> None:
    """
    Make sure that the interpreter can flush standard output when it ends.

    After a failed write the octets stay in Python's buffer; the last flush would fail on them
    again, complain, and replace the exit status. So they are sent where nothing fails.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Output:
    """
    Where the body goes, octet for octet.

    A file is opened, and what was in it thrown away, only when the first octet is there or the
    response is complete: a fetch that brings nothing leaves nothing behind. Each write is
    flushed, so that a slow response can be watched, and so that an error shows at once. A pipe
    that is full holds everything up, the socket included: that is the back-pressure.
    """

    def __init__(self, path: str | None, streams: Streams) -> None:
        self._path = path
        self._streams = streams
        self._stream: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Write all of it now; raises OSError when that fails."""
        if self._stream is None:
            self._stream = self._open()
        # Unbuffered, as PYTHONUNBUFFERED makes standard output, a write may take a part, or
        # nothing where the other side does not block.
        rest = memoryview(data)
        while rest:
            written: int | None = self._stream.write(rest)
            if written is None:
                select.select([], [self._stream], [])
            else:
                rest = rest[written:]
        self._stream.flush()

    def finish(self) -> None:
        """The response is complete: make the file even if it stays empty, and close it."""
        if self._path is not None:
            self.write(b"")
            self.close()

    def close(self) -> None:
        """Close the file, if there is one. Standard output stays open: it is not ours."""
        if self._path is not None and self._stream is not None:
            # Everything was flushed when it was written; what fails here has failed before.
            with contextlib.suppress(OSError):
                self._stream.close()

    def _open(self) -> BinaryIO:
        return self._streams.standard_output() if self._path is None else open(self._path, "wb")
