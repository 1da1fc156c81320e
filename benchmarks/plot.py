"""The picture: who takes how many times txhyper's CPU, on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

#: Colours that are told apart by people who see few of them, and a shape each for the others.
STYLES = (
    ("#0072b2", "circle"),
    ("#d55e00", "square"),
    ("#009e73", "diamond"),
    ("#cc79a7", "triangle"),
    ("#000000", "circle"),
    ("#e69f00", "square"),
    ("#56b4e9", "diamond"),
    ("#7f7f7f", "triangle"),
)
LEFT, RIGHT, TOP, ROW, WIDTH = 150, 24, 92, 34, 820


def svg(rows: Mapping[str, Mapping[str, float]], clients: Sequence[str], title: str) -> str:
    """
    Draw a row of dots for each workload.

    :param rows: workloads, each with its clients' CPU in units of txhyper's.
    :param clients: all clients, in the order of the legend.
    """
    values = [value for row in rows.values() for value in row.values()] or [1.0]
    low = math.floor(math.log10(min(1.0, *values)))
    high = math.ceil(math.log10(max(1.0, *values)))
    high = max(high, low + 1)
    bottom = TOP + ROW * len(rows)

    def place(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 48}" '
        'font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{bottom + 48}" fill="#ffffff"/>',
        _text(LEFT, 22, title, size=15),
        *_legend(clients),
        *_grid(low, high, place, bottom),
    ]
    for number, (name, row) in enumerate(rows.items()):
        y = TOP + ROW * number + ROW / 2
        parts.append(_text(LEFT - 12, y + 4, name, anchor="end"))
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#eeeeee"/>')
        for index, client in enumerate(clients):
            if client in row:
                parts.append(_mark(place(row[client]), y, index))
    return "\n".join([*parts, "</svg>", ""])


def _grid(low: int, high: int, place: object, bottom: float) -> Iterator[str]:
    assert callable(place)
    for exponent in range(low, high + 1):
        x = place(10.0**exponent)
        yield f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#cccccc"/>'
        yield _text(x, bottom + 18, f"{10.0**exponent:g}", anchor="middle")
    one = place(1.0)
    yield f'<path d="M{one:.1f} {TOP}V{bottom}" stroke="#000000" stroke-dasharray="4 3"/>'
    yield _text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, "times txhyper's CPU", anchor="middle")


def _legend(clients: Sequence[str]) -> Iterator[str]:
    for index, client in enumerate(clients):
        x, y = LEFT + 8 + index % 4 * 160, 48 + index // 4 * 22
        yield _mark(x, y, index)
        yield _text(x + 12, y + 4, client)


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 13) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="#222222">{escape(words)}</text>'


def _mark(x: float, y: float, index: int) -> str:
    colour, shape = STYLES[index % len(STYLES)]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'
    corners = {
        "square": ((-5, -5), (5, -5), (5, 5), (-5, 5)),
        "diamond": ((0, -7), (7, 0), (0, 7), (-7, 0)),
        "triangle": ((0, -7), (7, 6), (-7, 6)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'
