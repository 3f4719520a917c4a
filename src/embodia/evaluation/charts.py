"""Training curves as numbers for inline SVG: lines, ticks and scales, so that a page needs no picture files.

Everything with "loss" in its name is drawn against the step; a logarithmic scale is used where the values span more
than a factor of twenty. Long series are thinned to the width of the drawing by averaging neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 410, 10, 190
_POINTS = 200

Series = list[tuple[float, float]]
"""(step, value) pairs."""


def training_charts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One chart for the total losses (training and validation together), and one for their terms where there are some.

    `rows` are the lines of metrics.jsonl; lines without a step and values that are no finite numbers are left out.
    """
    series = _series(rows)
    totals = {name: points for name, points in series.items() if name.split("/")[-1].endswith("loss")}
    terms = {name: points for name, points in series.items() if "loss" in name and name not in totals}
    charts = [("Loss", totals), ("Terms of the loss", dict(sorted(terms.items())[:3]))]
    return [_chart(title, lines) for title, lines in charts if lines]


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for row in rows:
        step = row.get("step")
        for name, value in row.items():
            numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in (step, value))
            if name != "step" and numbers and math.isfinite(value):
                found.setdefault(name, []).append((float(step or 0), float(value)))
    return {name: points for name, points in sorted(found.items()) if len(points) > 1}


def _chart(title: str, lines: Mapping[str, Series]) -> dict[str, Any]:
    thinned = {name: _thin(points) for name, points in lines.items()}
    values = [value for points in thinned.values() for _, value in points]
    steps = [step for points in thinned.values() for step, _ in points]
    log = min(values) > 0 and max(values) / min(values) > 20
    low, high = _padded(values, log)
    x = _scale(min(steps), max(steps), LEFT, RIGHT)
    y = _scale(low, high, BOTTOM, TOP)
    ticks = _log_ticks(low, high) if log else _ticks(low, high, 4)
    return {
        "title": title,
        "description": f"{title} over training steps: {', '.join(thinned)}",
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "log": log,
        "x_ticks": [{"at": _fixed(x(v)), "text": _short(v)} for v in _ticks(min(steps), max(steps), 4)],
        "y_ticks": [{"at": _fixed(y(v)), "text": _short(10**v if log else v)} for v in ticks],
        "lines": [
            {
                "name": name,
                "last": _short(lines[name][-1][1]),
                "points": " ".join(f"{_fixed(x(s))},{_fixed(y(math.log10(v) if log else v))}" for s, v in points),
            }
            for name, points in thinned.items()
        ],
    }


def _thin(points: Series) -> Series:
    size = math.ceil(len(points) / _POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _padded(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        return math.log10(low) - 0.05, math.log10(high) + 0.05
    low = min(low, 0.0) if low < 0.3 * high else low
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    return low - (0.0 if low == 0 else margin), high + margin


def _scale(low: float, high: float, first: float, last: float) -> Any:
    span = (high - low) or 1.0
    return lambda value: first + (last - first) * (value - low) / span


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between low and high, about `wanted` of them."""
    raw = (high - low or 1.0) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2 and 5 times the powers of ten in between, or of the powers alone where those suffice."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    fine = [power + math.log10(factor) for power in powers for factor in (1, 2, 5)]
    inside = [tick for tick in fine if low <= tick <= high]
    return inside if len(inside) <= 7 else [float(power) for power in powers if low <= power <= high]


def _short(value: float) -> str:
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _fixed(value: float) -> float:
    return round(value, 1)
