"""Tests for :mod:`txhyper.protocol.closing`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from txhyper.protocol.closing import ClosingNotice


class ClosingNoticeTests(SynchronousTestCase):
    """Who asked is told, once."""

    def setUp(self) -> None:
        self.notice = ClosingNotice()

    def test_everybodyHasADeferred(self) -> None:
        """Each call returns a fresh Deferred, so that nobody can spoil another's."""
        one, two = self.notice.whenClosed(), self.notice.whenClosed()
        self.assertIsNot(one, two)
        one.addCallback(lambda _: 1 // 0)
        self.assertNoResult(two)
        self.notice._tellClosed()
        self.failureResultOf(one, ZeroDivisionError)
        self.assertIsNone(self.successResultOf(two))

    def test_afterwards(self) -> None:
        """Who asks after the end is told at once, and a second end tells nobody again."""
        self.notice._tellClosed()
        self.assertIsNone(self.successResultOf(self.notice.whenClosed()))
        self.notice._tellClosed()

    def test_askedFromWithin(self) -> None:
        """Who asks from within a callback is told too."""
        asked: list[Deferred[None]] = []
        self.notice.whenClosed().addCallback(lambda _: asked.append(self.notice.whenClosed()))
        self.notice._tellClosed()
        self.assertIsNone(self.successResultOf(asked[0]))

    def test_cancelled(self) -> None:
        """Whoever has lost interest disturbs nobody."""
        one, two = self.notice.whenClosed(), self.notice.whenClosed()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.notice._tellClosed()
        self.assertIsNone(self.successResultOf(two))
