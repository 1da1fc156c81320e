"""What a person and the shell get to see."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO
from unittest.mock import Mock

from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet import error as net
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers

from txhyper import errors
from txhyper.cli import render
from txhyper.cli.render import (
    Output,
    Streams,
    describe,
    exit_status,
    response_head,
    settle_standard_output,
    standard_streams,
)

from .fakes import fresh_path


def never(error: BaseException) -> ResponseNeverReceived:
    """The error as it comes before a response."""
    return ResponseNeverReceived([Failure(error)])


def cut(error: BaseException) -> ResponseFailed:
    """The error as it comes in the middle of a response."""
    return ResponseFailed([Failure(error)], None)


#: Each error, with the exit status that it must give.
TABLE: list[tuple[BaseException, int]] = [
    # Usage.
    (UsageError("x"), 64),
    (errors.InvalidRequest("x"), 64),
    (SchemeNotSupported("x"), 64),
    (never(errors.InvalidRequest("x")), 64),
    (RequestGenerationFailed([Failure(errors.InvalidRequest("x"))]), 64),
    # Time limits, before and within a response.
    (errors.TimedOut("x"), 2),
    (errors.HandshakeTimedOut("x"), 2),
    (errors.PeerUnresponsive("x"), 2),
    (net.TimeoutError(), 2),
    (net.TCPTimedOutError(), 2),
    (defer.TimeoutError(), 2),
    (never(errors.HandshakeTimedOut("x")), 2),
    (cut(errors.TimedOut("x")), 2),
    (cut(errors.PeerUnresponsive("x")), 2),
    # Interrupted.
    (defer.CancelledError(), 130),
    (never(defer.CancelledError()), 130),
    # Whoever read the output has gone.
    (BrokenPipeError(), 141),
    # Network and TLS.
    (net.ConnectionRefusedError(), 1),
    (net.NoRouteError(), 1),
    (net.ConnectBindError(), 1),
    (net.CannotListenError(None, 0, OSError("x")), 1),
    (net.DNSLookupError("x"), 1),
    (net.ConnectionLost(), 1),
    (net.ConnectionDone(), 1),
    (net.VerifyError(), 1),
    (SSL.Error(), 1),
    (OSError("x"), 1),
    (errors.NegotiationFailed("x"), 1),
    (errors.TunnelRefused("x", 403), 1),
    (errors.ConnectionUnusable("x"), 1),
    (errors.ConnectionTerminated("x"), 1),
    (never(net.ConnectionLost()), 1),
    (never(errors.NegotiationFailed("x")), 1),
    (never(errors.ConnectionTerminated("x")), 1),
    (RequestTransmissionFailed([Failure(net.ConnectionLost())]), 1),
    # The protocol, and bodies cut short by whatever.
    (errors.ConnectionTerminated("x", code=2), 7),
    (errors.ProtocolViolation("x", code=1), 7),
    (never(errors.ProtocolViolation("x")), 7),
    (never(errors.StreamReset("x", 1, 1)), 7),
    (never(errors.StreamRefused("x", 1)), 7),
    (never(errors.GoneAway("x", 0, 0, b"")), 7),
    (never(errors.HTTP11Required("x")), 7),
    (never(errors.BoundExceeded("x", "y")), 7),
    (never(RuntimeError("a parser's")), 7),
    (ResponseNeverReceived([]), 7),
    (cut(errors.MalformedResponse("x", 1, 1)), 7),
    (cut(errors.LengthMismatch("x")), 7),
    (cut(errors.ConnectionTerminated("x")), 7),
    (cut(net.ConnectionLost()), 7),
    (cut(RuntimeError("a parser's")), 7),
    (cut(never(net.ConnectionLost())), 7),
    # Ourselves.
    (RuntimeError("x"), 70),
    (KeyError("x"), 70),
]


class ExitStatusTests(SynchronousTestCase):
    """``exit_status`` and ``describe``."""

    def test_table(self) -> None:
        """Each error has its exit status, wrapped and unwrapped."""
        for error, status in TABLE:
            self.assertEqual(status, exit_status(error), repr(error))

    def test_everyErrorOfOursHasAPlace(self) -> None:
        """No error that the library raises is taken for a defect of the command line."""
        for name in errors.__all__:
            value = getattr(errors, name)
            if isinstance(value, type) and issubclass(value, errors.HyperError):
                error = value.__new__(value)
                error.code = 0
                self.assertIn(exit_status(error), (1, 2, 7, 64), name)

    def test_descriptions(self) -> None:
        """An error is told in one line that begins with what matters."""
        for error, line in [
            (errors.InvalidRequest("bad  header\nname"), "bad header name"),
            (never(errors.NegotiationFailed("no")), "no"),
            (cut(errors.LengthMismatch("3 of 5")), "the response is incomplete: 3 of 5"),
            (errors.TimedOut(), "TimedOut"),
            (ResponseNeverReceived([]), "[]"),
            (KeyError("x"), "this is a defect of hyperfetch: KeyError: 'x'"),
            (defer.CancelledError(), "interrupted"),
            (BrokenPipeError(), None),
        ]:
            self.assertEqual(line, describe(error))


class ResponseHeadTests(SynchronousTestCase):
    """``response_head``."""

    def head(self, version: tuple[bytes, int, int], phrase: bytes) -> bytes:
        """The head of a response with two headers, one of them twice."""
        headers = Headers({b"content-type": [b"text/plain"], b"set-cookie": [b"a=1", b"b=2"]})
        return response_head(Mock(version=version, code=200, phrase=phrase, headers=headers))

    def test_http2(self) -> None:
        """HTTP/2 has no minor version and no phrase, and its names are in small letters."""
        self.assertEqual(
            b"HTTP/2 200\r\ncontent-type: text/plain\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n",
            self.head((b"HTTP", 2, 0), b"OK"),
        )

    def test_http11(self) -> None:
        """HTTP/1.1 looks as it always did."""
        self.assertEqual(
            b"HTTP/1.1 200 OK\r\n"
            b"Content-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
            self.head((b"HTTP", 1, 1), b"OK"),
        )

    def test_noPhrase(self) -> None:
        """An empty phrase leaves no space behind."""
        self.assertTrue(self.head((b"HTTP", 1, 0), b"").startswith(b"HTTP/1.0 200\r\n"))


def refuse() -> BinaryIO:
    """Standard output that nobody may touch."""
    raise AssertionError("nothing was to be written")


class Broken(io.RawIOBase):
    """A stream that takes nothing."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def writable(self) -> bool:
        """It claims that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """It cannot."""
        raise self.error


class StreamsTests(SynchronousTestCase):
    """``Streams``."""

    def test_say(self) -> None:
        """A message is one line, under the program's name."""
        stderr = io.StringIO()
        Streams(refuse, stderr).say("no such host")
        self.assertEqual("hyperfetch: no such host\n", stderr.getvalue())

    def test_controlCharacters(self) -> None:
        """A peer cannot command the terminal, nor forge a second line."""
        stderr = io.StringIO()
        Streams(refuse, stderr).log("a\x1b[2Jb\nc\udcff ü")
        self.assertEqual("a\\x1b[2Jb\\nc\\udcff ü\n", stderr.getvalue())

    def test_lostMessages(self) -> None:
        """A standard error that is closed or broken does not end a fetch."""
        Streams(refuse, None).say("x")
        Streams(refuse, io.TextIOWrapper(Broken(OSError()), write_through=True)).say("x")

    def test_standardStreams(self) -> None:
        """The process's own streams: the body goes below the text layer."""
        raw = io.BytesIO()
        self.patch(sys, "stdout", io.TextIOWrapper(raw))
        self.patch(sys, "stderr", io.StringIO())
        streams = standard_streams()
        streams.standard_output().write(b"\r\n\xff")
        self.assertEqual(b"\r\n\xff", raw.getvalue())
        self.assertIs(sys.stderr, streams.standard_error)

    def test_closedStandardOutput(self) -> None:
        """A process started without standard output gets an error when there is a body."""
        self.patch(sys, "stdout", None)
        streams = standard_streams()
        error = self.assertRaises(OSError, streams.standard_output)
        self.assertEqual(1, exit_status(error))
        self.assertIn("standard output is closed", str(error))


class SettleTests(SynchronousTestCase):
    """``settle_standard_output``."""

    def test_nothingToDo(self) -> None:
        """A standard output that works is flushed; one that is missing is left alone."""
        raw = io.BytesIO()
        self.patch(sys, "stdout", io.TextIOWrapper(raw))
        sys.stdout.write("x")
        settle_standard_output()
        self.assertEqual(b"x", raw.getvalue())
        self.patch(sys, "stdout", None)
        settle_standard_output()

    def test_brokenPipe(self) -> None:
        """After a broken pipe the last flush of the interpreter succeeds, into nowhere."""
        reading, writing = os.pipe()
        os.close(reading)
        stdout = os.fdopen(writing, "w")
        self.addCleanup(stdout.close)
        self.patch(sys, "stdout", stdout)
        stdout.write("x")
        settle_standard_output()
        stdout.flush()


class OutputTests(SynchronousTestCase):
    """``Output``."""

    def streams(self, stream: BinaryIO) -> Streams:
        """Streams whose standard output is this."""
        return Streams(lambda: stream, None)

    def test_standardOutput(self) -> None:
        """Octets reach standard output at once, and it stays open."""
        stdout = io.BytesIO()
        flushed: list[bytes] = []
        flush: Callable[[], None] = stdout.flush
        stdout.flush = lambda: (flush(), flushed.append(stdout.getvalue()))  # type: ignore
        output = Output(None, self.streams(stdout))
        output.write(b"\x00\xff\r\n")
        output.write(b"b")
        output.finish()
        output.close()
        self.assertEqual([b"\x00\xff\r\n", b"\x00\xff\r\nb"], flushed)
        self.assertFalse(stdout.closed)

    def test_untouched(self) -> None:
        """An empty body does not even look for standard output, which may be closed."""
        Output(None, Streams(refuse, None)).finish()

    def test_file(self) -> None:
        """A file has each octet as soon as it was written."""
        path = fresh_path(self)
        output = Output(str(path), Streams(refuse, None))
        output.write(b"a\n")
        self.assertEqual(b"a\n", path.read_bytes())
        output.write(b"b")
        output.finish()
        output.close()
        self.assertEqual(b"a\nb", path.read_bytes())

    def test_nothingArrived(self) -> None:
        """A fetch that brought nothing leaves no file, and an old one as it was."""
        path = fresh_path(self)
        Output(str(path), Streams(refuse, None)).close()
        self.assertFalse(path.exists())
        path.write_bytes(b"old")
        Output(str(path), Streams(refuse, None)).close()
        self.assertEqual(b"old", path.read_bytes())

    def test_emptyBody(self) -> None:
        """A complete empty body makes an empty file, whatever was in it."""
        path = fresh_path(self)
        path.write_bytes(b"old")
        Output(str(path), Streams(refuse, None)).finish()
        self.assertEqual(b"", path.read_bytes())

    def test_failure(self) -> None:
        """A write that fails says so; closing afterwards adds nothing to that."""
        broken = io.BufferedWriter(Broken(OSError(28, "No space left on device")))
        self.patch(Output, "_open", lambda self: broken)
        output = Output("name", Streams(refuse, None))
        self.assertRaises(OSError, output.write, b"x")
        output.close()

    def test_unbufferedOutput(self) -> None:
        """
        An unbuffered output that takes a part, or nothing for now, gets all of it in the end.

        ``PYTHONUNBUFFERED`` makes standard output such a one, and its ``write`` tells how much.
        """
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self.addCleanup(os.close, reading)
        raw = open(writing, "wb", buffering=0)  # noqa: SIM115 - closed below
        self.addCleanup(raw.close)
        waited = []

        def select(*descriptors: object) -> None:
            # The pipe is full: its reader takes what there is.
            waited.append(os.read(reading, 1 << 20))

        self.patch(render.select, "select", select)
        data = bytes(range(256)) * 2000
        Output(None, Streams(lambda: raw, None)).write(data)
        received = b"".join(waited)
        received += os.read(reading, 1 << 20)
        self.assertTrue(data == received)
        self.assertGreater(len(waited), 0)
