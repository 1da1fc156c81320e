"""
The options of ``hyperfetch``, the same for the script and under ``twist``.

Owns their names, their help and their checks; the words that are no options go to
:mod:`txhyper.cli.items`. Twisted's own option classes end at the first positional argument, and
people type options after the URL too, so :class:`Options` keeps Twisted's shape and lets argparse
do the reading. Nothing here imports a reactor or the client: ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, cast

from twisted.application.reactors import NoSuchReactor, installReactor
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

import txhyper
from txhyper.cli.items import Plan, plan

__all__ = ["Options", "Settings", "install_reactor", "version_line"]

DESCRIPTION = "Fetch a URL over HTTP/2, or over HTTP/1.1 where the server wants it."

EPILOG = """\
items, of which the first separator wins:
  Header:value          send a header; one of the same name replaces a default
  parameter==value      append a parameter to the URL's query
  field=value           send a field of a JSON object; makes the method POST

The body goes to standard output octet for octet and nothing else does; all
messages go to standard error. A URL without a scheme is https.

exit status:
  0    a complete response arrived, whatever its HTTP status
  1    the network, TLS, or writing the output failed
  2    a time limit passed
  7    the peer broke the protocol, or the response is incomplete
  64   the command line is wrong
  70   a defect of hyperfetch
  130  interrupted by Ctrl-C (143 by SIGTERM)
  141  whoever reads standard output went away
"""


@dataclass(frozen=True)
class Settings:
    """What one fetch shall do."""

    plan: Plan
    #: Start the demo server in this process, and fetch from it.
    demo: bool = False
    #: Show the status line and the headers before the body.
    include: bool = False
    #: Log each frame, and where a defect showed.
    debug: bool = False
    #: PEM text of the certificate authorities to trust instead of the platform's.
    trusted: bytes | None = None
    #: Trust every certificate.
    insecure: bool = False
    #: PEM text of the certificate to show to a server that asks for one.
    certificate: bytes | None = None
    #: PEM text of its private key, unless that stands in the same text.
    key: bytes | None = None
    #: Write to this file instead of standard output.
    output: str | None = None
    #: Seconds for the whole fetch.
    timeout: float | None = None
    #: The URI of a proxy; none if it is empty, those that the environment names if there is None.
    proxy: bytes | None = None


class Parser(argparse.ArgumentParser):
    """An argparse parser that reports mistakes in Twisted's way."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError: whoever runs us knows where to show it and how to exit."""
        raise UsageError(message)


class ShowVersion(argparse.Action):
    """``--version``: show the versions on standard output, and exit with status 0."""

    def __call__(self, *args: object) -> NoReturn:
        sys.stdout.write(version_line() + "\n")
        raise SystemExit(0)


def version_line() -> str:
    """The version of txhyper and of everything below that may matter in a bug report."""
    from OpenSSL import SSL

    from txhyper.core.hpack import coder_name

    parts = [f"txhyper {txhyper.__version__}"]
    parts += [f"{name}/{version(name)}" for name in ("Twisted", "h2", "hpack", "pyOpenSSL")]
    parts.append(f"HPACK by {coder_name()}")
    parts.append(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii"))
    return " ".join(parts)


def seconds(text: str) -> float:
    """A time limit: a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return number


def pem_file(path: str) -> bytes:
    """The content of a file of certificates or keys."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {path!r}: {error.strerror}") from None


def output_file(path: str) -> str | None:
    """
    A file to write to, or None for standard output.

    It is made only when something arrived. That its folder is there is checked now, before a
    request goes out whose answer nobody can keep.
    """
    if path == "-":
        return None
    if Path(path).is_dir() or not Path(path).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there can be no file {path!r}")
    return path


def proxy_uri(text: str) -> bytes:
    """
    The URI of a proxy, ``http`` if it names no scheme, or nothing, for none.

    It may hold a password, so that no message repeats it.
    """
    if not text:
        return b""
    uri = (text if "://" in text else f"http://{text}").encode("utf-8", "surrogateescape")
    try:
        txhyper.Proxy(uri)
    except (ValueError, ImportError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return uri


def make_parser(prog: str) -> Parser:
    """Everything that may stand on the command line."""
    parser = Parser(
        prog=prog,
        usage=f"{prog} [options] [METHOD] URL [ITEM ...]\n"
        f"       {prog} [options] --demo [METHOD] PATH [ITEM ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    add = parser.add_argument
    add("-i", "--include", action="store_true", help="show status and headers before the body")
    add("-o", "--output", metavar="FILE", type=output_file, help="write there, not to stdout")
    add(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="limit for the whole fetch (default: none; 30 to connect, 30 for the handshake)",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--cafile",
        metavar="FILE",
        type=pem_file,
        help="trust the CA certificates in this PEM file instead of the platform's",
    )
    trust.add_argument("--insecure", action="store_true", help="trust every certificate")
    add(
        "--proxy",
        metavar="URL",
        type=proxy_uri,
        help="http, https, socks5 or socks5h; '' for none (default: those in https_proxy, "
        "http_proxy and all_proxy, but for the hosts in no_proxy)",
    )
    add(
        "--cert",
        metavar="FILE",
        type=pem_file,
        help="show the certificate in this PEM file to a server that asks for one",
    )
    add(
        "--key",
        metavar="FILE",
        type=pem_file,
        help="its private key, unless it stands in the same file; unencrypted",
    )
    add("--demo", action="store_true", help="fetch PATH from a server started for the occasion")
    add("--debug", action="store_true", help="log each frame sent and received to stderr")
    add("--reactor", metavar="NAME", help="the reactor to use, such as asyncio")
    add("--version", action=ShowVersion, nargs=0, help="show the versions and exit")
    return parser


def install_reactor(name: str) -> None:
    """Install the reactor of that name, before anything imports the default one."""
    if name == "default":
        return
    try:
        installReactor(name)
    except NoSuchReactor:
        raise UsageError(f"there is no reactor {name!r}") from None
    except ImportError as error:
        raise UsageError(f"the reactor {name!r} is not to be had here: {error}") from None


class Options(UsageOptions):
    """
    The options as ``twist`` wants to see them: parsed in one call, with mistakes as UsageError.

    :ivar settings: what :meth:`parseOptions` found.
    """

    settings: Settings

    def __init__(self) -> None:
        # Spelled out because Twisted's own is not annotated.
        super().__init__()  # type: ignore[no-untyped-call]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the command line; options may stand anywhere in it.

        :param options: the words after the program's name, or after ``hyperfetch`` under twist;
            without them, those of this process.
        :raises UsageError: for every mistake in them.
        :raises SystemExit: with status 0, once ``--help`` or ``--version`` is served.
        """
        parser = make_parser("hyperfetch" if self.parent is None else "twist hyperfetch")
        found = parser.parse_intermixed_args(sys.argv[1:] if options is None else list(options))
        if found.key is not None and found.cert is None:
            raise UsageError("--key is of no use without --cert")
        self.settings = Settings(
            plan=plan(found.words, found.demo),
            demo=found.demo,
            include=found.include,
            debug=found.debug,
            trusted=found.cafile,
            insecure=found.insecure,
            certificate=found.cert,
            key=found.key,
            output=found.output,
            timeout=found.timeout,
            proxy=found.proxy,
        )
        if found.reactor is not None:
            self.choose_reactor(found.reactor)

    def choose_reactor(self, name: str) -> None:
        """Install a reactor: through ``twist``'s own option, so that it knows, or by ourselves."""
        if self.parent is None:
            install_reactor(name)
        elif "reactor" in self.parent:
            raise UsageError("give --reactor once: before hyperfetch or after it")
        else:
            cast(Any, self.parent).opt_reactor(name)
