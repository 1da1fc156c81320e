"""A seeded run of :mod:`tests.fuzz.conversation`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.conversation import Conversation


class ConversationTests(SynchronousTestCase):
    """Five hundred conversations that nobody would write by hand."""

    def test_seeded(self) -> None:
        """Whatever is said and done, in whatever order: what must hold holds."""
        for seed in range(500):
            Conversation(seed).run()
        # The readers' own mistakes were logged, as they should be.
        self.assertTrue(all(e.check(ValueError) for e in self.flushLoggedErrors()))
