"""``docs/promises.rst`` names a test for each promise, and each of these tests is there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.hostile.cases import TABLES
from tests.hostile.test_callers import MISTAKES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "promises.rst"
#: The tests that are there for that page alone.
OWN = sorted((ROOT / "tests").rglob("test_promises_*.py"))
#: A name is a file, a class and a test, as pytest spells them.
NAME = re.compile(r"``(tests/[\w/]+\.py)::(\w+)::(test_\w+)``")


def rows() -> list[tuple[str, str]]:
    """The promises of the page, each with what stands beside it."""
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for row in re.split(r"^   \* - ", text, flags=re.MULTILINE)[1:]:
        promise, _, beside = row.partition("\n     - ")
        found.append((" ".join(promise.split()), beside))
    return [row for row in found if row[0] != "promise"]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """A file of tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


def classes(path: Path) -> dict[str, ast.ClassDef]:
    """The classes of a file of tests, by name."""
    return {node.name: node for node in parsed(path).body if isinstance(node, ast.ClassDef)}


def origin(path: Path, name: str) -> Path | None:
    """The file of tests from which this one has a name."""
    for node in parsed(path).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            found = ROOT.joinpath(*(node.module or "").split(".")).with_suffix(".py")
            return found if found.is_file() else None
    return None


def fromTable(decorator: ast.expr) -> set[str]:
    """The tests that a class is given by a table: of attacks, or of a caller's mistakes."""
    match decorator:
        case ast.Call(func=ast.Name(id="meets"), args=[ast.Name(id=table)]):
            return {f"test_{case.name}" for case in TABLES[table]}
        case ast.Name(id="told"):
            return {f"test_{mistake.name}" for mistake in MISTAKES}
    return set()


def methodsOf(path: Path, name: str) -> set[str]:
    """The tests of a class, with those that it has from others, and from a table."""
    found = classes(path).get(name)
    if found is None:
        elsewhere = origin(path, name)
        return set() if elsewhere is None else methodsOf(elsewhere, name)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    own = {node.name for node in found.body if isinstance(node, functions)}
    own.update(*(fromTable(decorator) for decorator in found.decorator_list))
    bases = [base.id for base in found.bases if isinstance(base, ast.Name)]
    return own.union(*(methodsOf(path, base) for base in bases))


class PromisesTests(SynchronousTestCase):
    """The page is true as far as a machine can tell."""

    def test_everyPromiseHasATest(self) -> None:
        """No line is empty, on either side, and none is there twice."""
        promises = [promise for promise, _ in rows()]
        self.assertGreater(len(promises), 60)
        self.assertEqual(sorted(set(promises)), sorted(promises))
        for promise, beside in rows():
            self.assertTrue(promise)
            self.assertTrue(NAME.findall(beside), promise)

    def test_everyTestIsThere(self) -> None:
        """Whatever is named is a test, in the file and the class that are named."""
        for promise, beside in rows():
            names = NAME.findall(beside)
            # Nothing beside a promise but names.
            self.assertEqual("", re.sub(r"[\s|]", "", NAME.sub("", beside.split("\n\n")[0])))
            self.assertEqual(len(set(names)), len(names), promise)
            for file, name, test in names:
                path = ROOT / file
                self.assertTrue(path.is_file(), file)
                self.assertIn(test, methodsOf(path, name), f"{file}::{name}")

    def test_everyTestOfAPromiseIsNamed(self) -> None:
        """What was written to keep a promise says on the page which one."""
        named = {match.groups() for match in NAME.finditer(PAGE.read_text(encoding="utf-8"))}
        own = {
            (path.relative_to(ROOT).as_posix(), name, test)
            for path in OWN
            for name in classes(path)
            for test in methodsOf(path, name)
            if test.startswith("test_")
        }
        self.assertTrue(own)
        self.assertEqual(set(), own - named)
