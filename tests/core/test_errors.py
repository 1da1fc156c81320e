"""Tests for :mod:`txhyper.errors`, on which the core stands."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txhyper import errors
from txhyper.errors import HyperError, Initiator


class CodeTests(SynchronousTestCase):
    """Error codes of RFC 9113 section 7."""

    def test_names(self) -> None:
        """A code that the RFC knows has its name, any other its number."""
        self.assertEqual("NO_ERROR", errors.code_name(0))
        self.assertEqual("HTTP_1_1_REQUIRED", errors.code_name(0xD))
        self.assertEqual("0xe", errors.code_name(0xE))
        self.assertEqual("0xffffffff", errors.code_name(0xFFFFFFFF))


class TreeTests(SynchronousTestCase):
    """Each class says whether a retry is safe, and who made it fail."""

    def test_all_named(self) -> None:
        """Everything that is raised is public, and has the one root."""
        classes = [getattr(errors, name) for name in errors.__all__]
        raised = [c for c in classes if isinstance(c, type) and issubclass(c, Exception)]
        self.assertEqual(len(classes) - 2, len(raised))
        for one in raised:
            self.assertTrue(issubclass(one, HyperError))
            self.assertIsInstance(one.initiator, Initiator)

    def test_retriable(self) -> None:
        """Only where the peer did no work is a retry safe for every method."""
        classes = [getattr(errors, name) for name in errors.__all__]
        retriable = {c.__name__ for c in classes if getattr(c, "retriable", False)}
        self.assertEqual(
            {
                "NotProcessed",
                "StreamRefused",
                "GoneAway",
                "ConnectionUnusable",
                "HTTP11Required",
                "HandshakeTerminated",
            },
            retriable,
        )

    def test_initiators(self) -> None:
        """The caller, this library, or else the peer."""
        self.assertIs(Initiator.USER, errors.StreamAborted("", 1, 8).initiator)
        self.assertIs(Initiator.USER, errors.InvalidRequest("").initiator)
        self.assertIs(Initiator.LIBRARY, errors.ConnectionUnusable("").initiator)
        self.assertIs(Initiator.LIBRARY, errors.HandshakeTimedOut("").initiator)
        self.assertIs(Initiator.REMOTE, errors.HandshakeTerminated("").initiator)
        self.assertIs(Initiator.REMOTE, errors.StreamReset("", 1, 2).initiator)
        self.assertIs(Initiator.REMOTE, errors.ProtocolViolation("").initiator)

    def test_values(self) -> None:
        """A caller's mistake is a ValueError as well, for those who do not know us."""
        self.assertIsInstance(errors.InvalidRequest("text"), ValueError)

    def test_what_they_carry(self) -> None:
        """Codes, ids and the peer's own explanation are attributes; the text is the message."""
        refused = errors.StreamRefused("text", 3)
        self.assertEqual(("text", 3, 7), (str(refused), refused.stream_id, refused.code))
        gone = errors.GoneAway("text", 11, 5, b"why")
        self.assertEqual(
            ("text", 11, 5, b"why"), (str(gone), gone.code, gone.last_stream_id, gone.debug_data)
        )
        reset = errors.StreamReset("text", 3, 2)
        self.assertEqual(("text", 3, 2), (str(reset), reset.stream_id, reset.code))
        bound = errors.BoundExceeded("text", "attempts")
        self.assertEqual(("text", "attempts"), (str(bound), bound.bound))

    def test_connections(self) -> None:
        """The end of a connection carries what the peer's GOAWAY said, or nothing."""
        ended = errors.ConnectionTerminated("text")
        self.assertEqual((0, None, b""), (ended.code, ended.last_stream_id, ended.debug_data))
        told = errors.ConnectionTerminated("text", 2, 7, b"why")
        self.assertEqual((2, 7, b"why"), (told.code, told.last_stream_id, told.debug_data))
