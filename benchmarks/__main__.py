"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from . import document, measure, report
from .clients import CLIENTS
from .workloads import WORKLOADS

DESCRIPTION = "Measure txhyper and its peers side by side, against servers on loopback."
DEFAULT = Path("build") / "benchmarks.json"


def say(line: str) -> None:
    """One line of progress, on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def save(path: Path, results: dict[str, Any]) -> None:
    """Write the results as JSON, the whole file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=DESCRIPTION)
    parser.add_argument("--only", metavar="W1,W2", help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--clients", metavar="txhyper,pycurl", help=f"of {', '.join(CLIENTS)}")
    parser.add_argument("--rounds", type=int, help="5 by default, 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument(
        "--files", choices=["nginx"], help="serve all files with nginx, also by HTTP/2"
    )
    parser.add_argument(
        "--json", type=Path, default=DEFAULT, help="where the figures go (%(default)s)"
    )
    parser.add_argument(
        "--profile", action="store_true", help="measure nothing; print each client's profile"
    )
    parser.add_argument(
        "--show", action="store_true", help="measure nothing; print what --json has"
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="measure nothing; write the documentation's page and plot from --json",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Run the command."""
    options = parse()
    # So that a terminated run ends its servers too.
    signal.signal(signal.SIGTERM, lambda *ignored: sys.exit(1))
    if options.write_docs or options.show:
        results = json.loads(options.json.read_text(encoding="utf-8"))
        if options.write_docs:
            for path in document.write(results):
                say(f"wrote {path}")
        else:
            sys.stdout.write(report.text(results) + "\n")
        return
    try:
        workloads = measure.chosen_workloads(options.only)
        clients = measure.chosen_clients(options.clients)
    except ValueError as error:
        sys.exit(str(error))
    rounds = options.rounds or (1 if options.quick else 5)
    measurement = measure.Measurement(
        workloads, clients, rounds=rounds, quick=options.quick, files=options.files, say=say
    )
    if options.profile:
        measurement.profile()
        return
    measurement.run(lambda results: save(options.json, results))
    sys.stdout.write(report.text(measurement.results) + "\n")


if __name__ == "__main__":
    main()
