"""The console script."""

from __future__ import annotations

import io
import runpy
import sys

from twisted.internet import reactor as global_reactor
from twisted.trial.unittest import SynchronousTestCase

from txhyper.cli import __main__ as module
from txhyper.cli import service
from txhyper.cli.__main__ import main, run
from txhyper.cli.options import Settings


class MainTests(SynchronousTestCase):
    """``main`` and ``run``."""

    def setUp(self) -> None:
        """Fetches are noted and end with status 7."""
        self.fetches: list[tuple[object, Settings]] = []
        self.patch(sys, "stderr", io.StringIO())
        self.patch(service, "run", self.fetch)

    def fetch(self, reactor: object, settings: Settings) -> int:
        """Takes the place of service.run."""
        self.fetches.append((reactor, settings))
        return 7

    def test_fetch(self) -> None:
        """The options' settings are fetched on the installed reactor, and the status is given."""
        self.assertEqual(7, main(["-i", "h"]))
        [(reactor, settings)] = self.fetches
        self.assertIs(global_reactor, reactor)
        self.assertTrue(settings.include)

    def test_usage(self) -> None:
        """A mistake is one line on standard error and status 64, and nothing is fetched."""
        self.assertEqual(64, main([]))
        self.assertEqual(
            "hyperfetch: the URL is missing (--help tells more)\n",
            sys.stderr.getvalue(),  # type: ignore
        )
        self.assertEqual([], self.fetches)

    def test_run(self) -> None:
        """The script exits with the status of its own command line."""
        self.patch(sys, "argv", ["hyperfetch", "h"])
        error = self.assertRaises(SystemExit, run)
        self.assertEqual((7, 1), (error.code, len(self.fetches)))

    def test_module(self) -> None:
        """``python -m txhyper.cli`` is the same."""
        self.patch(sys, "argv", ["hyperfetch", "ftp://h/"])
        # Imported already as a module of its own name, which is what -m would warn about.
        loaded = sys.modules.pop("txhyper.cli.__main__")
        self.addCleanup(sys.modules.__setitem__, "txhyper.cli.__main__", loaded)
        error = self.assertRaises(
            SystemExit, runpy.run_module, "txhyper.cli.__main__", run_name="__main__"
        )
        self.assertEqual(64, error.code)

    def test_interruptedEarly(self) -> None:
        """Ctrl-C while modules are being imported is not a traceback."""

        def interrupted(words: list[str]) -> int:
            raise KeyboardInterrupt

        self.patch(module, "main", interrupted)
        error = self.assertRaises(SystemExit, run)
        self.assertEqual(130, error.code)
