"""Tables in plain text, made of what ``measure.py`` collected."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from .workloads import (
    GOALS,
    GROWTH,
    GROWTH_GOAL,
    IMPORT_GOAL,
    MEMORY_GOAL,
    MIB,
    TRANSFER_GOAL,
    WORKLOADS,
)

OURS = "txhyper"


def figure(results: dict[str, Any], key: str, client: str, name: str) -> float | None:
    """The median of a client's rounds, in seconds or octets per unit."""
    entry = results["workloads"].get(key, {}).get("clients", {}).get(client)
    if entry is None or not entry["rounds"] or name not in entry["rounds"][0]:
        return None
    found: float = median(each[name] for each in entry["rounds"])
    return found


def best_http1(results: dict[str, Any], key: str) -> float | None:
    """The CPU of the cheaper one of Twisted's own Agents."""
    found = [
        value
        for client in ("twisted-h1-2", "twisted-h1-100")
        if (value := figure(results, key, client, "cpu")) is not None
    ]
    return min(found, default=None)


def number(value: float | None) -> str:
    """Three digits that count, or a dash."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )


def text(results: dict[str, Any]) -> str:
    """Everything."""
    lines = []
    for key in results["workloads"]:
        lines += [*_workload(results, key), ""]
    judged = list(judgements(results))
    if judged:
        lines.append("Goals")
        width = max(len(line[0]) for line in judged)
        for what, value, goal, is_met in judged:
            lines.append(
                f"  {what:<{width}}  {value:>8}  goal {goal:>8}  {'' if is_met else 'MISSED'}"
            )
        lines.append("")
    return "\n".join(line.rstrip() for line in lines)


def _workload(results: dict[str, Any], key: str) -> Iterator[str]:
    entry = results["workloads"][key]
    workload = WORKLOADS[key]
    name = "memory" if workload.kind == "waiting" else "cpu"
    yield f"{key}: {entry['title']} ({'memory' if name == 'memory' else 'CPU'}, {workload.unit})"
    head = ["client", name, "least", "most", "wall", "x txhyper", "txhyper/x", "growth MiB", "n"]
    rows = [head]
    ours = figure(results, key, OURS, name)
    for client, measured in entry["clients"].items():
        values = [each[name] * workload.factor for each in measured["rounds"]]
        value = figure(results, key, client, name)
        wall = figure(results, key, client, "wall")
        growth = figure(results, key, client, "growth")
        rows.append(
            [
                client,
                number(median(values)),
                number(min(values)),
                number(max(values)),
                number(wall * workload.factor if wall is not None else None),
                number(value / ours if value and ours else None),
                number(ours / value if value and ours else None),
                number(growth / MIB if growth else None),
                f"{measured['rounds'][0]['count']:,}",
            ]
        )
        held = measured["rounds"][0].get("held")
        if held is not None:
            rows[-1][-1] = f"{held:,.0f} on the wire"
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  " + "  ".join(cells)
    for client, reason in entry["skipped"].items():
        if reason != "not for HTTP/1.1":
            yield f"  {client}: {reason.strip().splitlines()[-1]}"


Judgement = tuple[str, str, str, bool]


def judgements(results: dict[str, Any]) -> Iterator[Judgement]:
    """What, its value, its goal, and whether that is met."""
    for key, goals in GOALS.items():
        ours = figure(results, key, OURS, "cpu")
        for client, goal in goals.items():
            if client == "twisted-h1":
                theirs = best_http1(results, key)
            else:
                theirs = figure(results, key, client, "cpu")
            if ours and theirs:
                ratio = ours / theirs
                yield f"{key} to {client}", number(ratio), number(goal), ratio <= goal
    memory = figure(results, "W6", OURS, "memory")
    if memory is not None:
        memory /= 1024
        limit = f"{MEMORY_GOAL:g} KiB"
        yield "W6 per waiting request", number(memory), limit, memory <= MEMORY_GOAL
    for key in ("W2", "W3"):
        growth = figure(results, key, OURS, "growth")
        if growth is not None:
            growth /= MIB
            limit = f"{TRANSFER_GOAL:g} MiB"
            yield f"{key} memory beyond idle", number(growth), limit, growth <= TRANSFER_GOAL
    yield from _import(results)
    for row in GROWTH:
        values = [figure(results, key, OURS, "cpu") for key in row]
        known = [value for value in values if value is not None]
        if len(known) == len(row):
            spread = max(known) / min(known)
            what = f"dearest to cheapest of {', '.join(row)}"
            yield what, number(spread), number(GROWTH_GOAL), spread <= GROWTH_GOAL


def _import(results: dict[str, Any]) -> Iterator[Judgement]:
    ours = figure(results, "import", OURS, "cpu")
    base = figure(results, "import", "twisted-h1-2", "cpu")
    if ours is not None and base is not None:
        more = (ours - base) * 1000
        goal = f"{IMPORT_GOAL * 1000:.0f} ms"
        yield "import beyond Twisted and h2", number(more), goal, more <= IMPORT_GOAL * 1000
