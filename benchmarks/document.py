"""The documentation's page of figures and its picture, made of a full run's results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import plot
from .report import OURS, figure, number
from .workloads import GROWTH, MIB, WORKLOADS

DOCS = Path(__file__).parents[1] / "docs"
COMPARED = ("W1", "W1p", "W1u", "W1s", "W2", "W3", "W4", "W5")

INTRODUCTION = """\
Performance
===========

HTTP/2 is meant to make things faster, so it would be a pity if a client spent what is won. This
page tells what txhyper costs beside its peers. All of it was measured by one command, which you
can run as well; from a checkout, in a virtual environment::

    pip install '.[benchmarks]'
    python -m benchmarks

It wants nghttpd, nginx and h2load; on Debian they are in the packages ``nghttp2-server``,
``nginx-light`` and ``nghttp2-client``. What is not there is left out.


What is measured
----------------

CPU: the time, in user and in system, that the client's process takes for the work alone. Each
client runs in a process of its own, on one core, with the servers on another one, over TLS with
certificates verified. Every client is used by its public interface, as its documentation tells,
with default settings, and every answer is checked. The clients take turns, and a figure is the
median of {rounds} rounds.

"""

NOTES = """\
A few notes, to be fair:

* pycurl is libcurl, and h2load is a load generator; both are written in C. h2load looks at no
  answer and verifies no certificate: it is there as a floor. Its cold connections are opened all at
  once, those of the others one after the other.
* ``twisted-h1-2`` and ``twisted-h1-100`` are Twisted's own Agent, over two and over a hundred
  HTTP/1.1 connections. They talk to nginx, or to Node, because nghttpd speaks HTTP/2 alone.
* Scrapy is its download handler for HTTP/2, without the rest of a crawl. It collects every body in
  memory, which the others need not.
* niquests sends its requests in groups, and waits for each group.
* ``W1u`` and ``W3`` are answered by Node, all else by nghttpd.
* On loopback nothing is lost and nothing takes long. What a network adds is added to every client.

"""


def write(results: dict[str, Any]) -> list[Path]:
    """
    Write ``docs/performance.rst`` and ``docs/performance.svg``.

    :raises SystemExit: the results are those of a quick run, which no reader should rely on.
    """
    if results["quick"]:
        raise SystemExit("these are the results of a quick run: run it all for the documentation")
    page, picture = DOCS / "performance.rst", DOCS / "performance.svg"
    clients = _clients(results)
    rows = _ratios(results, clients)
    picture.write_text(
        plot.svg(rows, [name for name in clients if name != OURS], "CPU beside txhyper's"),
        encoding="utf-8",
    )
    page.write_text("\n".join(_page(results, clients)) + "\n", encoding="utf-8")
    return [page, picture]


def _clients(results: dict[str, Any]) -> list[str]:
    """All clients that have results, in the order that they were measured in."""
    seen: dict[str, None] = {}
    for entry in results["workloads"].values():
        seen.update(dict.fromkeys(entry["clients"]))
    return list(seen)


def _ratios(results: dict[str, Any], clients: Sequence[str]) -> dict[str, dict[str, float]]:
    """The CPU of others in units of txhyper's, by workload and client."""
    rows: dict[str, dict[str, float]] = {}
    for key in COMPARED:
        ours = figure(results, key, OURS, "cpu")
        for client in clients:
            theirs = figure(results, key, client, "cpu")
            if client != OURS and ours and theirs:
                rows.setdefault(key, {})[client] = theirs / ours
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield "   :stub-columns: 1"
    yield ""
    for row in [head, *rows]:
        for column, cell in enumerate(row):
            yield f"   {'* -' if column == 0 else '  -'} {cell}".rstrip()
    yield ""


def _page(results: dict[str, Any], clients: Sequence[str]) -> Iterator[str]:
    workloads = results["workloads"]
    yield INTRODUCTION.format(rounds=results["rounds"])
    for key in COMPARED:
        if key in workloads:
            yield f"* ``{key}``: {workloads[key]['title']}, in {WORKLOADS[key].unit}"
    yield ""
    yield from _heading("CPU")
    rows = []
    for key in COMPARED:
        if key in workloads:
            factor = WORKLOADS[key].factor
            values = [figure(results, key, client, "cpu") for client in clients]
            rows.append([key, *(number(v * factor if v is not None else None) for v in values)])
    yield from _table(["", *clients], rows)
    yield "The same, in units of txhyper's: a client with 10 takes ten times as much."
    yield ""
    ratios = _ratios(results, clients)
    others = [client for client in clients if client != OURS]
    yield from _table(
        ["", *others],
        [[key, *(number(row.get(client)) for client in others)] for key, row in ratios.items()],
    )
    yield ".. image:: performance.svg"
    yield "   :alt: The table above as dots on a logarithmic scale."
    yield ""
    yield NOTES
    yield from _growth(results)
    yield from _memory(results, clients)
    yield from _facts(results["machine"])


def _heading(words: str) -> Iterator[str]:
    yield ""
    yield words
    yield "-" * len(words)
    yield ""


def _growth(results: dict[str, Any]) -> Iterator[str]:
    yield from _heading("How the cost grows")
    yield "With more at a time, a unit should cost the same. txhyper's CPU:"
    yield ""
    rows = []
    for key in [key for row in GROWTH for key in row]:
        value = figure(results, key, OURS, "cpu")
        if value is not None:
            workload = WORKLOADS[key]
            rows.append([workload.title, f"{number(value * workload.factor)} {workload.unit}"])
    yield from _table(["", "CPU"], rows)


def _memory(results: dict[str, Any], clients: Sequence[str]) -> Iterator[str]:
    yield from _heading("Memory and imports")
    yield "While a thousand requests wait for their answers, each takes this many KiB; as a body of"
    yield "100 MiB goes down (and up), a process grows by this many MiB; and importing takes this"
    yield "many milliseconds. Some clients have no more than a hundred requests on a connection,"
    yield "and keep the others waiting themselves."
    yield ""
    wanted = (("W6", "memory", 1024.0), ("W2", "growth", MIB), ("W3", "growth", MIB))
    rows = []
    for client in clients:
        cells = []
        for key, name, unit in wanted:
            value = figure(results, key, client, name)
            cells.append("-" if value is None or client == "h2load" else f"{value / unit:.2f}")
        seconds = figure(results, "import", client, "cpu")
        cells.append("-" if seconds is None else f"{seconds * 1000:.0f}")
        if any(cell != "-" for cell in cells):
            rows.append([client, *cells])
    yield from _table(["", "waiting, KiB", "down, MiB", "up, MiB", "import, ms"], rows)


def _facts(machine: dict[str, Any]) -> Iterator[str]:
    yield from _heading("The machine")
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"{machine['system']}, {machine['cores']} cores, {machine['python']}; {versions}."
    yield f"Measured on {machine['date']}."
