"""What pytest is told here: where tests leave their files, and when none may be skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: The tests that were skipped in this run.
skipped: list[str] = []


@pytest.fixture(autouse=True)
def ownDirectory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a directory of its own, where trial's ``mktemp`` then makes its names."""
    monkeypatch.chdir(tmp_path)


def pytest_configure() -> None:
    """Go by no proxy of whoever runs the tests; what they start inherits that."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--no-skips``."""
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note every test that was skipped."""
    if report.skipped:
        skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test was skipped and none may be."""
    if skipped and session.config.getoption("--no-skips"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say why the run failed, when it failed for this."""
    if skipped and config.getoption("--no-skips"):
        terminalreporter.section("skipped, although no test may be")
        for name in skipped:
            terminalreporter.line(name)
