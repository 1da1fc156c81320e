"""
Every example in the documentation and the README runs.

An example is a program in ``docs/examples``, which a page includes, or a block of Python or of
shell in a page. Programs talk to https://www.example.com; here that is a :class:`DemoServer`,
and its certificate is trusted the way any program can be told to: by ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.interop.children.connect_proxy import ConnectProxy
from txhyper.testing.server import DemoServer

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
PAGES = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst", *sorted(DOCS.glob("*.rst"))]

#: The address that the examples talk to.
HOST = "www.example.com"
#: The proxy that they go through.
PROXY = "proxy.example.com:3128"


def codeBlocks(page: Path, language: str) -> Iterator[str]:
    """The page's blocks of code in this language, in order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^\.\. code-block:: {language}\n\n((?:(?: +.*)?\n)+)", text, re.M)
    return (textwrap.dedent(match.group(1)).strip("\n") + "\n" for match in found)


def paragraphAfter(page: Path, introduction: str) -> str:
    """The indented line that follows the paragraph ending with this text and two colons."""
    text = page.read_text(encoding="utf-8")
    found = re.search(re.escape(introduction) + r"::\n\n +(.+)\n", text)
    assert found is not None, introduction
    return found.group(1)


def pythonExamples() -> Iterator[tuple[str, str]]:
    """Every Python example: a name for it, and its source."""
    for path in EXAMPLES:
        yield path.stem, path.read_text(encoding="utf-8")
    for page in PAGES:
        for number, source in enumerate(codeBlocks(page, "python"), 1):
            yield f"{page.stem}_{number}", source


def shellExamples() -> Iterator[tuple[str, str, str]]:
    """Every command in the pages: a name for it, the command, and the output that is shown."""
    for page in PAGES:
        for number, block in enumerate(codeBlocks(page, "console"), 1):
            for index, part in enumerate(re.split(r"^\$ ", block, flags=re.M)[1:], 1):
                command, _, output = part.replace("\\\n", " ").partition("\n")
                yield f"{page.stem}_{number}_{index}", command, output


def oneTestEach(
    examples: Iterator[tuple[Any, ...]], check: str
) -> Callable[[type[TestCase]], type[TestCase]]:
    """Give a class one test per example, which calls its method ``check`` with it."""

    def decorate(case: type[TestCase]) -> type[TestCase]:
        for name, *arguments in examples:

            def test(self: TestCase, arguments: list[Any] = arguments) -> object:
                return getattr(self, check)(*arguments)

            test.__doc__ = f"The example {name} runs."
            setattr(case, f"test_{name}", test)
        return case

    return decorate


class ExampleTests(TestCase):
    """A demo server that plays the address in the examples, and a proxy that leads to it."""

    timeout = 60

    async def setUp(self) -> None:
        self.server = DemoServer(reactor)
        await self.server.start()
        self.addCleanup(self.server.stop)
        self.proxy = reactor.listenTCP(0, ConnectProxy(), interface="127.0.0.1")
        self.addCleanup(self.proxy.stopListening)
        Path("ca.pem").write_bytes(self.server.authority.pem)
        # For the examples that show one. The server does not ask.
        self.server.authority.issueClient("somebody").writeTo(".")

    def localized(self, example: str) -> str:
        """The example, talking to the demo server."""
        # hyper's API takes hosts, everything else URIs.
        example = example.replace(HOST, f"localhost:{self.server.port}")
        return example.replace(PROXY, f"127.0.0.1:{self.proxy.getHost().port}")

    async def run_(self, *command: str) -> str:
        """Run a command that must succeed; what it printed."""
        authority = str(Path("ca.pem").resolve())
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SSL_CERT_FILE": authority}
        out, err, status = await getProcessOutputAndValue(command[0], command[1:], environment)
        self.assertEqual(status, 0, (out + err).decode(errors="replace"))
        return out.decode()


@oneTestEach(pythonExamples(), "runExample")
class PythonExampleTests(ExampleTests):
    """The programs."""

    async def runExample(self, source: str) -> None:
        """Run a program, which prints something; hand one that consists of tests to trial."""
        Path("example.py").write_text(self.localized(source), encoding="utf-8")
        how = ["-m", "twisted.trial", "example"] if "TestCase" in source else ["example.py"]
        printed = await self.run_(sys.executable, *how)
        self.assertNotEqual(printed, "")


@oneTestEach(shellExamples(), "runCommand")
class ShellExampleTests(ExampleTests):
    """The commands."""

    #: How each program in the examples is started here.
    programs: ClassVar[dict[str, list[str]]] = {
        "hyperfetch": [sys.executable, "-m", "txhyper.cli"],
        "twist": [sys.executable, "-m", "twisted"],
    }

    async def runCommand(self, command: str, output: str) -> None:
        """Run a command; where the page shows what it prints, that is what it prints."""
        program, *arguments = shlex.split(self.localized(command))
        printed = await self.run_(*self.programs[program], *arguments)
        if output:
            options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            expected = self.localized(output)
            isSame = doctest.OutputChecker().check_output(expected, printed, options)
            self.assertTrue(isSame, f"expected:\n{expected}\nprinted:\n{printed}")


class PagesTests(SynchronousTestCase):
    """What the pages promise beside their examples."""

    def test_everyExampleIsShown(self) -> None:
        """A program in ``docs/examples`` that no page includes is of no use to a reader."""
        text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
        hidden = [path.name for path in EXAMPLES if f"include:: examples/{path.name}" not in text]
        self.assertEqual(hidden, [])

    def test_secondCommand(self) -> None:
        """CI runs exactly the command that README gives for the whole check."""
        command = paragraphAfter(ROOT / "README.rst", "against real servers")
        script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        self.assertEqual(script.splitlines()[-1], command)

    def test_firstCommand(self) -> None:
        """The command that README gives for a first look fetches from the demo server."""
        command = paragraphAfter(ROOT / "README.rst", "that it starts for the occasion")
        self.assertIn(".venv/bin/twist hyperfetch --demo GET /get", command)
