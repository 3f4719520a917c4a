"""Write docs/results.md and its plots from what lies in results/: `python benchmarks/draw_results.py`.

Nothing is typed by hand: every number on the page is read from a file that names the command, commit, machine and seed
that made it. `--check` writes nothing and fails when the page is not what the files say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from embodia.evaluation.statistics import Rate
from embodia.io.jsonio import read_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE, ASSETS = ROOT / "results", ROOT / "docs" / "results.md", ROOT / "docs" / "assets"
TITLES: Mapping[str, str] = {
    "demo": "Six Meta-World tasks told apart by sentences, from nothing to a judged policy in ten minutes",
    "desk_learning": "Six Desk tasks in pairs that share scenes, learnt on one core",
    "desk": "Desk's scripted experts, every task of every body",
    "metaworld_mt50": "Meta-World MT50, one policy, fifty demonstrations a task",
    "libero": "LIBERO, four suites, one policy",
    "libero_pro": "LIBERO-PRO, the same policy with one thing changed in each scene",
    "libero_rounds": "LIBERO, a second round of demonstrations: takeovers, and things in other places",
    "libero_pro_rounds": "LIBERO-PRO, that policy of two rounds with one thing changed in each scene",
    "libero_experts": "LIBERO's scripted expert, successes of attempts",
    "aloha_transfer_cube": "ALOHA transfer cube, ACT",
    "peer_desk": "Reach on Desk after 6,400 samples: our small ACT; LeRobot's policies stand beside it below",
    "generalisation_desk": "A Desk policy under everything that may change",
    "redteam": "Red team: planted cheats that were caught",
    "autoeval": "AutoEval: the learned judge against the true predicate",
    "multimodality": "Two routes: chunks of heads that draw that pass beside the obstacle",
    "spurious_forgetting": "Spurious forgetting: right answers after training on actions alone, beside before, actions "
    "and questions together, and after a tenth of the questions again",
    "chaos_training": "Training cut off at once and resumed: weights equal to the bit",
    "redteam_desk": "Red team on a trained Desk policy: cheats made of it that were caught",
    "libero_adapter": "LIBERO under random actions; the file also says that all 290 tasks were opened and stepped",
    "statistics": "Wilson's interval: simulated coverage of a promised 95 %",
}
"""Results with a success rate, in the order of the page; others with one follow by name."""


def found() -> dict[str, dict[str, Any]]:
    """Result files by name, those of a folder as FOLDER/NAME."""
    paths = sorted([*RESULTS.glob("*.json"), *RESULTS.glob("suites/*.json"), *RESULTS.glob("policies/*.json")])
    return {str(path.relative_to(RESULTS).with_suffix("")): read_json(path) for path in paths}


def rated(results: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Results that state a success rate with n and interval, without the suites."""
    names = [name for name in results if "/" not in name and {"success_rate", "n", "interval"} <= results[name].keys()]
    order = list(TITLES)
    for name in sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name)):
        yield name, results[name]


def text_of(row: Mapping[str, Any]) -> str:
    """ "12/60 = 20 % (12-32)"."""
    return Rate(successes=round(row["success_rate"] * row["n"]), n=row["n"]).text


def page(results: Mapping[str, dict[str, Any]]) -> str:
    """The whole text."""
    sections = [
        _head(),
        _rates(results),
        _compute(results),
        _parts(results),
        _suites(results),
        _policies(results),
        _peers(results),
        _speed(results),
    ]
    sections += [_parity(results), _others(results)]
    return "\n".join(section for section in sections if section)


def _head() -> str:
    return (
        "# Results\n\n"
        "Written by `python benchmarks/draw_results.py` from [results/](../results); each file holds the command, the\n"
        "commit, the machine and the seed. Intervals are 95 %. Everything was simulated on two shared CPU cores.\n"
    )


def _link(name: str) -> str:
    return f"[{name}](../results/{name}.json)"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _rates(results: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name, result in rated(results):
        controls = [f"{key.replace('_', ' ')} {text_of(row)}" for key, row in result.get("controls", {}).items()]
        if "needs_eyes" in result:
            below = f"{100 * result['needs_eyes']['floor']:.0f} %"
            controls.append(f"tasks that blind replay solves below {below}: {text_of(result['needs_eyes'])}")
        title = TITLES.get(name, name.replace("_", " "))
        rows.append([_link(name), title, f"**{text_of(result)}**", "; ".join(controls), f"`{result['command']}`"])
    table = _table(("file", "what", "success", "controls", "command"), rows)
    return f"## Success, with what stands beside it\n\n![Success rates](assets/results_success.png)\n\n{table}"


def _compute(results: Mapping[str, dict[str, Any]]) -> str:
    rows = [
        [_link(name), f"{row['samples']:,}", f"{row['seconds'] / 60:.0f}", text_of(row)]
        for name, result in results.items()
        for row in learning(result)
    ]
    table = _table(("file", "samples", "minutes of training", "success"), rows)
    return (
        "## Success against compute\n\n![Success against samples](assets/results_compute.png)\n\nMilestones of one "
        f"run, judged on the same episodes; its rate of learning falls towards the end.\n\n{table}"
        if rows
        else ""
    )


def learning(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The milestones of a result, by samples; its own rate is of more episodes and does not belong among them."""
    return list(result.get("against_compute", {}).get("rows", []))


def _suites(results: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name, result in results.items():
        if not name.startswith("suites/"):
            continue
        subject = result["subject"]["name"]
        control = result.get("controls", {}).get("random_policy")
        expert = text_of(result) if subject != "random" else "none ships"
        random = text_of(result) if subject == "random" else "not run" if control is None else text_of(control)
        chains = result.get("chains")
        further = f"average length {chains['average_length']['mean']:.2f} of 5" if chains else ""
        rows.append([_link(name), expert, random, further])
    table = _table(("suite", "expert", "random actions", ""), rows)
    return (
        "## Suites: are they what they say?\n\nA suite whose expert fails, or whose random actions succeed, measures "
        f"something else than it says.\n\n{table}"
    )


def _parts(results: Mapping[str, dict[str, Any]]) -> str:
    rows = [
        [_link(name), part, text_of(entry)]
        for name, result in results.items()
        if not name.startswith("suites/")
        for part, entry in result.get("groups", {}).items()
    ]
    table = _table(("file", "part", "success"), rows)
    return f"## Parts of a benchmark\n\nRates of one policy over named parts of the tasks.\n\n{table}" if rows else ""


def _policies(results: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name, result in results.items():
        if not name.startswith("policies/"):
            continue
        control = result.get("controls", {}).get("random_policy")
        who = " ".join(str(result["subject"][key]) for key in ("name", "size") if key in result["subject"])
        rows.append([_link(name), who, f"**{text_of(result)}**", "not run" if control is None else text_of(control)])
    table = _table(("file", "policy", "success", "random actions"), rows)
    return f"## Policies on suites\n\n{table}" if rows else ""


def _peers(results: Mapping[str, dict[str, Any]]) -> str:
    rows, paired = [], []
    for name in (name for name in results if name.startswith("peer_")):
        for side, entry in results[name]["contenders"].items():
            cost = entry["training"]
            spent = f"{cost['processor_s']:g} s, {cost['samples_per_processor_s']:g} samples/s"
            rows.append([_link(name), side, text_of(entry), spent, f"{cost['memory_mb']:g} MB"])
        paired += [f"- {which}: {verdict['text']}" for which, verdict in results[name]["paired"].items()]
    table = _table(("file", "policy", "success", "training, processor time", "memory"), rows)
    return (
        "## The peer on the same work\n\nThe same episodes, samples, batch size and peak learning rate, the same judge "
        f"and seeds.\n\n{table}\n" + "\n".join(paired) + "\n"
        if rows
        else ""
    )


def _speed(results: Mapping[str, dict[str, Any]]) -> str:
    if "speed" not in results:
        return ""
    rows = []
    for row in sorted(results["speed"]["rows"].values(), key=lambda row: row["number"]):
        cost = {name: f"{value:.4g} ms" for name, value in row["ms_a_unit"].items()}
        verdict = (
            f"**{row['ratio']:g}x**" if row["equal_work"] and row["ratio"] >= row["target"] else f"{row['ratio']:g}x"
        )
        if not row["equal_work"]:
            verdict = f"void ({row['ratio']:g}x)"
        rows.append(
            [str(row["number"]), row["what"], verdict, f"{row['worst_pair']:g}x", f"{row['target']:g}x",
             f"{cost['ours']} against {cost[row['peer']]} ({row['clock']})", row["gate"], str(row["n"])]
        )  # fmt: skip
    short = [row for row in results["speed"]["rows"].values() if not row["equal_work"] or row["ratio"] < row["target"]]
    causes = "\n".join(f"- {row['number']}, {row['what']}: {row['cause']}" for row in short)
    head = ("", "what", "ratio", "worst pair", "wanted", "a unit", "gate of equal work", "n")
    return (
        "## Speed, with the peer beside it\n\nThe peer's time over ours, medians of alternating repetitions; bold "
        f"where the wanted ratio is reached.\n\n![Speed ratios](assets/results_speed.png)\n\n{_table(head, rows)}\n"
        f"What falls short, and why:\n\n{causes}\n"
    )


def _parity(results: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name, result in results.items():
        if not name.startswith("parity_") or "largest_absolute_difference" not in result:
            continue
        worst, allowed = _largest(result["largest_absolute_difference"]), _largest(result["tolerance"])
        rows.append([_link(name), result["peer"], f"{worst:.1e}", f"{allowed:g}"])
    table = _table(("file", "against", "largest difference", "allowed"), rows)
    return f"## The same numbers as independent implementations\n\n{table}" if rows else ""


def _largest(entry: float | Mapping[str, Any]) -> float:
    """The largest number in mappings of mappings."""
    return max(map(_largest, entry.values())) if isinstance(entry, Mapping) else entry


def _others(results: Mapping[str, dict[str, Any]]) -> str:
    shown = {name for name, _ in rated(results)}
    names = [name for name in results if name not in shown and "/" not in name]
    names = [name for name in names if name != "speed" and not name.startswith("parity_")]
    rows = [[_link(name), f"`{results[name].get('command', 'embodia report')}`"] for name in names]
    return f"## Further files\n\n{_table(('file', 'command'), rows)}" if rows else ""


def draw_success(results: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Rates with intervals, controls in grey."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = list(rated(results))[::-1]
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(rows) + 0.9), constrained_layout=True)
    for height, (_, result) in enumerate(rows):
        for control in result.get("controls", {}).values():
            axes.plot([100 * control["success_rate"]], [height], "|", color="0.55", markersize=11)
        low, high = (100 * end for end in result["interval"])
        axes.plot([low, high], [height, height], color="#1f6f8b", linewidth=3, solid_capstyle="butt")
        axes.plot([100 * result["success_rate"]], [height], "o", color="#1f6f8b")
    axes.set_yticks(range(len(rows)), [f"{name}  (n {result['n']})" for name, result in rows])
    axes.set(xlim=(-2, 102), xlabel="success in %, 95 % interval; grey: controls")
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_speed(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Ratios on a logarithmic axis, the wanted ones as marks."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    kept = [row for row in sorted(rows.values(), key=lambda row: -row["number"]) if row["equal_work"]]
    figure, axes = plt.subplots(figsize=(9, 0.36 * len(kept) + 0.9), constrained_layout=True)
    for height, row in enumerate(kept):
        reached = row["ratio"] >= row["target"]
        axes.barh(height, row["ratio"] - 1, left=1, color="#1f6f8b" if reached else "#c9a227", height=0.6)
        axes.plot([row["target"]], [height], "|", color="black", markersize=13)
        axes.text(1.08 * max(row["ratio"], row["target"]), height, f"{row['ratio']:g}x", va="center", fontsize=8)
    axes.set_yticks(range(len(kept)), [f"{row['number']}  {row['what']}" for row in kept], fontsize=8)
    axes.set(xscale="log", xlim=(0.8, 4 * max(row["ratio"] for row in kept)), xlabel="times faster; marks: wanted")
    axes.set_ylim(-0.6, len(kept) - 0.4)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_compute(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Success with intervals over training samples."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 3.2), constrained_layout=True)
    for name, rows in curves.items():
        samples, rates = [row["samples"] for row in rows], [100 * row["success_rate"] for row in rows]
        ends = [[100 * row["interval"][side] for row in rows] for side in (0, 1)]
        (line,) = axes.plot(samples, rates, "o-", label=name)
        axes.vlines(samples, *ends, color=line.get_color(), alpha=0.4, linewidth=3)
    axes.set(xlabel="training samples", ylabel="success in %, 95 % interval", ylim=(0, 100), xlim=(0, None))
    axes.grid(color="0.9")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when the page is out of date")
    results, asked = found(), parser.parse_args()
    if asked.check:
        return int(PAGE.read_text(encoding="utf-8") != page(results))
    PAGE.write_text(page(results), encoding="utf-8")
    draw_success(results, ASSETS / "results_success.png")
    curves = {name: learning(result) for name, result in results.items() if learning(result)}
    if curves:
        draw_compute(curves, ASSETS / "results_compute.png")
    if "speed" in results:
        draw_speed(results["speed"]["rows"], ASSETS / "results_speed.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
