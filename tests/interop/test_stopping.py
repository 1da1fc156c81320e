"""The reactor stops while requests are under way."""

from __future__ import annotations

import subprocess
import sys
import unittest

from .launchers import ROOT


class StoppingTests(unittest.TestCase):
    """A process of its own, with a real reactor."""

    def test_everyDeferredFires(self) -> None:
        """Each request fails once, whatever it waited for, and no timer is left."""
        run = subprocess.run(
            [sys.executable, "-m", "tests.interop.children.stopping"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self.assertEqual("", run.stderr)
        *lines, timers = run.stdout.splitlines()
        outcomes = dict(line.split(": ")[:2] for line in lines)
        self.assertEqual(len(outcomes), len(lines))
        self.assertEqual("ConnectionTerminated", outcomes.pop("headers"))
        self.assertEqual("ConnectionTerminated", outcomes.pop("body"))
        # Where nothing leads to that address the dial itself may have failed before.
        self.assertIn(
            outcomes.pop("dialling"), ("ConnectionUnusable", "NoRouteError", "ConnectError")
        )
        self.assertEqual({}, outcomes)
        self.assertEqual("timers: 0", timers)
