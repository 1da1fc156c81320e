"""A long run, until the first conversation in which something does not hold."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.conversation import Conversation


def converse(seed: int) -> None:
    """One conversation, whose seed is told if something does not hold."""
    try:
        Conversation(seed).run()
    except BaseException:
        sys.stderr.write(f"seed {seed}:\n")
        raise


def main() -> int:
    """Run, and say how far it came."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="conversations (10000)")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed (0)")
    options = parser.parse_args()
    began = time.monotonic()
    for seed in range(options.seed, options.seed + options.runs):
        converse(seed)
    sys.stdout.write(f"{options.runs} conversations in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
