"""Write docs/zoo.md and its plots from results/zoo/, zoo_own_eyes/ and zoo_seed*/: `python benchmarks/draw_zoo.py`.

`--check` writes nothing and fails when the page is not what the files say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embodia.cli.papers import headers
from embodia.evaluation.controls import BLANK_IMAGE, OTHER_SENTENCE
from embodia.evaluation.zoo.page import page
from embodia.evaluation.zoo.rows import LEARNS, Row, read_rows

ROOT = Path(__file__).resolve().parents[1]
RESULTS, OWN_EYES = ROOT / "results" / "zoo", ROOT / "results" / "zoo_own_eyes"
PAGE, ASSETS = ROOT / "docs" / "zoo.md", ROOT / "docs" / "assets"
COLOURS = {OTHER_SENTENCE: "#c9a227", BLANK_IMAGE: "0.6"}


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rows = read_rows(RESULTS)
    compositions = {header.name: header.fields.get("Composition", "") for header in headers()}
    again = [row for folder in sorted(ROOT.glob("results/zoo_seed*")) for row in read_rows(folder)]
    text = page(rows, compositions, read_rows(OWN_EYES), again)
    if options.check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    draw_success(rows, ASSETS / "zoo_success.png")
    draw_cost(rows, ASSETS / "zoo_cost.png")
    return 0


def draw_success(rows: Sequence[Row], path: Path) -> None:
    """Success of every policy with its interval, the controls beside it."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(9, 0.3 * len(rows) + 1.2), constrained_layout=True)
    for height, row in enumerate(rows[::-1]):
        for name, control in row.controls.items():
            axes.plot([100 * control.value], [height], "|", color=COLOURS.get(name, "0.8"), markersize=10, mew=2)
        colour = "#1f6f8b" if row.verdict == LEARNS else "#a33b3b"
        axes.plot([100 * end for end in row.rate.interval], [height] * 2, color=colour, linewidth=3)
        axes.plot([100 * row.rate.value], [height], "o", color=colour)
    axes.set_yticks(range(len(rows)), [row.name for row in rows[::-1]], fontsize=8)
    axes.set(xlim=(-2, 102), xlabel="success in %, 95 % interval; yellow: told another task, grey: grey pictures")
    _finish(figure, axes, path)


def draw_cost(rows: Sequence[Row], path: Path) -> None:
    """Success against the samples that the budget allowed."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(9, 5), constrained_layout=True)
    for row in rows:
        axes.plot([row.samples], [100 * row.rate.value], "o", color="#1f6f8b")
        axes.annotate(
            row.name, (row.samples, 100 * row.rate.value), fontsize=7, xytext=(4, 3), textcoords="offset points"
        )
    axes.set(xscale="log", ylim=(-2, 102), xlabel="samples seen in the budget", ylabel="success in %")
    _finish(figure, axes, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


def _finish(figure: Any, axes: Any, path: Path) -> None:
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)
    _pyplot().close(figure)


if __name__ == "__main__":
    sys.exit(main())
