"""Tests for :mod:`txhyper.core.retries`."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from txhyper.core.retries import FIRST_PAUSE, IDEMPOTENT, backoff, is_safe
from txhyper.errors import (
    ConnectionTerminated,
    ConnectionUnusable,
    GoneAway,
    HandshakeTerminated,
    HTTP11Required,
    HyperError,
    MalformedResponse,
    PeerUnresponsive,
    ProtocolViolation,
    StreamAborted,
    StreamRefused,
    StreamReset,
)

#: The peer certainly did no work.
NOT_PROCESSED: list[HyperError] = [
    StreamRefused("", 1),
    GoneAway("", 0, 1, b""),
    ConnectionUnusable(""),
    HTTP11Required(""),
]

#: Nobody knows, or it did; none of these is the end of a connection that had been idle.
PROCESSED: list[Exception] = [
    StreamReset("", 1, 1),
    StreamAborted("", 1, 8),
    MalformedResponse("", 1, 1),
    ProtocolViolation("", 1),
    HyperError(""),
    OSError(),
]

booleans = (False, True)


class RetryTests(SynchronousTestCase):
    """Again only where nobody notices (RFC 9113 section 8.7)."""

    def test_not_processed(self) -> None:
        """Any method, with or without a body, on any connection, if its body has not started."""
        for error, method, body, excused in product(
            NOT_PROCESSED, (b"GET", b"POST"), booleans, booleans
        ):
            self.assertTrue(is_safe(error, method, body, True, excused))

    def test_a_body_that_is_gone(self) -> None:
        """Nothing is repeated whose body cannot be produced again, whatever failed."""
        for error in (*NOT_PROCESSED, *PROCESSED, ConnectionTerminated("")):
            self.assertFalse(is_safe(error, b"PUT", True, False, True))

    def test_processed(self) -> None:
        """What may have been done is not done again."""
        for error, excused in product(PROCESSED, booleans):
            self.assertFalse(is_safe(error, b"GET", False, True, excused))

    def test_a_lost_connection(self) -> None:
        """An idempotent method without a body is repeated if the loss has an excuse."""
        for lost in (ConnectionTerminated(""), PeerUnresponsive("")):
            for method in (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"DELETE", b"PUT", b"QUERY"):
                self.assertTrue(is_safe(lost, method, False, True, True))
                self.assertIn(method, IDEMPOTENT)
            for method in (b"POST", b"PATCH", b"CONNECT", b"get", b"X"):
                self.assertFalse(is_safe(lost, method, False, True, True))

    def test_not_without_an_excuse(self) -> None:
        """One new connection may be lost, but not the next as well."""
        for lost in (ConnectionTerminated(""), PeerUnresponsive("")):
            self.assertFalse(is_safe(lost, b"GET", False, True, False))

    def test_a_handshake_that_is_cut_off(self) -> None:
        """Nothing was sent: any method may try another connection, body or not, but once."""
        for method, body in product((b"GET", b"POST"), booleans):
            self.assertTrue(is_safe(HandshakeTerminated(""), method, body, True, True))
            self.assertFalse(is_safe(HandshakeTerminated(""), method, body, True, False))

    def test_not_with_a_body(self) -> None:
        """Nor is what had a body repeated."""
        self.assertFalse(is_safe(ConnectionTerminated(""), b"PUT", True, True, True))

    def test_backoff(self) -> None:
        """The first retry is at once; each one after the second waits twice as long."""
        pauses = [backoff(attempts) / FIRST_PAUSE for attempts in range(1, 6)]
        self.assertEqual([0, 1, 2, 4, 8], pauses)
