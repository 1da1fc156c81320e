"""Run one target, or each in turn, until the time is up or something does not hold."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.targets import TARGETS, run


def tell(line: str) -> None:
    """One line, on standard error."""
    sys.stderr.write(line + "\n")


def main() -> int:
    """Run, and say how far it came."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=0, help="the first one (0)")
    options = parser.parse_args()
    for target in TARGETS if options.target == "all" else [options.target]:
        runs = run(target, options.seconds, options.seed, tell)
        sys.stdout.write(f"{target}: {runs} runs, and everything held\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
