"""
The console script ``hyperfetch``, and ``python -m txhyper.cli``.

Owns nothing but the order of things: options first, then the reactor they name, then the fetch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted.python.usage import UsageError

from txhyper.cli.options import Options


def main(words: Sequence[str]) -> int:
    """Do what the words after the program's name say, and give the exit status."""
    options = Options()
    try:
        options.parseOptions(words)
    except UsageError as error:
        from txhyper.cli.render import USAGE, standard_streams

        standard_streams().say(str(error))
        return USAGE
    # Only now: the options may have installed another one.
    from twisted.internet import reactor

    from txhyper.cli import service

    return service.run(reactor, options.settings)


def run() -> NoReturn:
    """Run ``hyperfetch`` on this process's command line, and exit with its status."""
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        # Ctrl-C while modules are still being imported.
        status = 130
    raise SystemExit(status)


if __name__ == "__main__":
    run()
