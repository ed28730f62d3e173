"""The ratios of a run as a picture: s3d divided by each other server, on a logarithmic scale, with the spread.

Bars, whiskers and words, forty lines of SVG: every library that draws them would be a dependency larger than this.
"""

import math
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LABELS, LINE, FONT = 1000, 470, 18, 12
LEAST, GREATEST = 0.01, 1000.0
_BETTER, _WORSE, _INK = "#2b7a4b", "#b5532d", "#333"


def plot(run: dict[str, Any]) -> str:
    """An SVG document; to the right of 1 s3d is faster."""
    ratios = [
        (f"{row['title']} ÷ {server['server']}", server["subject_by_this"], row["less_is_better"])
        for row in run["rows"]
        for server in row["servers"]
        if server["subject_by_this"]
    ]
    height = LINE * (len(ratios) + 2)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="{FONT}" fill="{_INK}"><rect width="100%" height="100%" fill="white"/>'
    )
    parts = [head]
    parts += [_grid(value, height) for value in (0.01, 0.1, 1, 10, 100, 1000)]
    for number, (title, ratio, less_is_better) in enumerate(ratios):
        parts.append(_bar(LINE * (number + 1), title, _turned(ratio) if less_is_better else ratio))
    return "\n".join([*parts, "</svg>", ""])


def _bar(top: int, title: str, ratio: dict[str, float]) -> str:
    one, end = _x(1.0), _x(ratio["median"])
    least, greatest, middle = _x(ratio["least"]), _x(ratio["greatest"]), top + LINE / 2
    colour = _BETTER if ratio["median"] >= 1 else _WORSE
    return (
        f'<text x="{LABELS - 8}" y="{top + LINE - 5}" text-anchor="end">{escape(title)}</text>'
        f'<rect x="{min(one, end):.1f}" y="{top + 3}" width="{abs(end - one):.1f}" height="{LINE - 6}" '
        f'fill="{colour}"/>'
        f'<line x1="{least:.1f}" x2="{greatest:.1f}" y1="{middle}" y2="{middle}" stroke="{_INK}"/>'
        f'<text x="{max(end, greatest, one) + 5:.1f}" y="{top + LINE - 5}">{ratio["median"]:.2f}</text>'
    )


def _grid(value: float, height: int) -> str:
    x = _x(value)
    stroke = _INK if value == 1 else "#ddd"
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{LINE}" y2="{height - LINE}" stroke="{stroke}"/>'
        f'<text x="{x:.1f}" y="{height - 4}" text-anchor="middle">{value:g}</text>'
    )


def _x(ratio: float) -> float:
    bounded = min(max(ratio, LEAST), GREATEST)
    share = math.log(bounded / LEAST) / math.log(GREATEST / LEAST)
    return LABELS + share * (WIDTH - LABELS - 60)


def _turned(ratio: dict[str, float]) -> dict[str, float]:
    """Of durations: how many times as fast."""
    return {"median": 1 / ratio["median"], "least": 1 / ratio["greatest"], "greatest": 1 / ratio["least"]}
