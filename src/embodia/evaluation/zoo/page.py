"""The text of docs/zoo.md: protocol, table, families, and what heads and the other parts make of it.

Nothing is typed by hand, every number is read from a result file. In comparisons of parts a policy is one observation,
however many episodes it played. Watch out: policies of one group differ in more than the part they are grouped by, so a
difference between two groups is a hint, not an ablation; the page says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations

from embodia.evaluation.controls import BLANK_IMAGE, OTHER_SENTENCE
from embodia.evaluation.statistics import Rate
from embodia.evaluation.statistics.exact import mean_interval
from embodia.evaluation.statistics.verdicts import Verdict
from embodia.evaluation.zoo.protocol import TASKS, ZooConfig
from embodia.evaluation.zoo.relatives import Scatter, compared, letters, scatter
from embodia.evaluation.zoo.rows import LEARNS, Row, protocols

KINDS: Mapping[str, str] = {
    "head": "Action heads",
    "bb": "Backbones",
    "link": "Links",
}
"""Prefix of a part in a composition line -> the heading of its comparison. Not the eyes: tiny sizes share theirs."""


def page(
    rows: Sequence[Row], compositions: Mapping[str, str], own: Sequence[Row] = (), again: Sequence[Row] = ()
) -> str:
    """The whole text.

    `compositions` has the composition line of each header, `own` are runs with own eyes, `again` runs of other seeds.
    """
    scattered = scatter(rows, again)
    tables = [_head(rows), _table(rows), _families(rows), _eyes(rows, own), _again(scattered), _pairs(rows, scattered)]
    return "\n".join(part for part in (*tables, *_groups(rows, compositions)) if part)


def short(rate: Rate) -> str:
    """ "78 % (69-84)"."""
    low, high = rate.interval
    return f"{100 * rate.value:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


def grouped(rows: Sequence[Row], compositions: Mapping[str, str], prefix: str) -> dict[str, list[Row]]:
    """Part -> policies whose composition names it, of those parts that begin with `prefix`, two policies at least."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for part in sorted(set(re.findall(rf"\b{prefix}\.[a-z0-9_]+", compositions.get(row.name, "")))):
            found.setdefault(part, []).append(row)
    return {part: inside for part, inside in sorted(found.items()) if len(inside) > 1}


def mean_rate(rows: Sequence[Row]) -> tuple[float, tuple[float, float]]:
    """Mean success of several policies and its 95 % interval over policies."""
    mean, (low, high) = mean_interval([row.rate.value for row in rows])
    return mean, (max(0.0, low), min(1.0, high))


def _head(rows: Sequence[Row]) -> str:
    config, learnt, kinds = ZooConfig(), sum(row.verdict == LEARNS for row in rows), len(protocols(rows))
    mixed = "" if kinds < 2 else f" Rows of {kinds} protocols stand here, see the last column."
    return (
        "# The zoo: every policy on the same work\n\n"
        "Written by `python benchmarks/draw_zoo.py` from [results/zoo/](../results/zoo); each file holds the command,\n"
        "the commit, the machine and the seed.\n\n"
        f"Ten tasks of Desk in pairs that share their scenes ({', '.join(f'`{task}`' for task in TASKS)});\n"
        f"{config.demonstrations} demonstrations a task; {config.minutes:g} minutes of processor time on one core,\n"
        f"tiny size, one recipe (AdamW, peak rate {config.learning_rate:g}, batch {config.batch_size});\n"
        f"keypoint eyes begin with what {config.eye_minutes:g} minutes of ACT taught on these very demonstrations, as\n"
        "published designs begin with eyes that were trained before (`eyes` says which did);\n"
        f"{config.episodes} episodes a task, new seeds and new wordings, {config.control_episodes} with each control.\n"
        "Intervals are 95 %. A policy *learns* when the interval of its success lies above those of both controls:\n"
        f"told to do the other task of the scene, and shown grey pictures. {learnt} of {len(rows)} do.{mixed}\n"
        "Trained policies that share a letter could not be told apart on the same episodes (exact tests, Holm).\n"
    )


def _table(rows: Sequence[Row]) -> str:
    head = (
        "policy",
        "success",
        "group",
        "other sentence",
        "blank image",
        "parameters",
        "eyes",
        "samples seen",
        "samples/s",
        "decision",
    )
    mixed = len(protocols(rows)) > 1
    titles = (*head, "verdict", *(("protocol",) if mixed else ()))
    groups = letters(rows)
    lines = [[*_cells(row, groups.get(row.name, "")), *([row.protocol] if mixed else [])] for row in rows]
    pictures = "![Success by policy](assets/zoo_success.png)", "![Success and samples seen](assets/zoo_cost.png)"
    return f"{pictures[0]}\n\n{_markdown(titles, lines)}\n{pictures[1]}\n"


def _cells(row: Row, group: str) -> list[str]:
    controls = [short(row.controls[name]) if name in row.controls else "" for name in (OTHER_SENTENCE, BLANK_IMAGE)]
    cost = [
        f"{row.parameters / 1e6:.2f} M",
        "taught" if row.taught else "own",
        f"{row.samples:,}",
        f"{row.samples_per_s:.0f}",
    ]
    link = f"[{row.name}](../results/zoo/{row.name}.json)"
    return [link, f"**{short(row.rate)}**", group, *controls, *cost, f"{row.decision_ms:.1f} ms", row.verdict]


def _families(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.families))
    lines = [[row.name, *(f"{100 * row.families[name].value:.0f}" for name in names)] for row in rows]
    return f"## By family of tasks, success in %\n\n{_markdown(('policy', *names), lines)}" if rows else ""


def _eyes(rows: Sequence[Row], own: Sequence[Row]) -> str:
    """The policies that were also trained with random eyes at first, beside what they do with taught ones."""
    taught = {row.name: row for row in rows if row.taught}
    pairs = [(row, taught[row.name]) for row in own if row.name in taught]
    lines = [[before.name, short(before.rate), short(after.rate)] for before, after in pairs]
    told = "The same budget after random eyes and after taught ones; ACT's own eyes were taught by itself.\n"
    return f"## Taught eyes\n\n{told}\n{_markdown(('policy', 'own eyes', 'taught eyes'), lines)}" if lines else ""


def _again(found: Scatter | None) -> str:
    """What training once more makes of a policy, which no interval over episodes knows."""
    if found is None:
        return ""
    several = {name: rates for name, rates in sorted(found.trainings.items()) if len(rates) > 1}
    lines = [[name, ", ".join(f"{100 * rate:.0f} %" for rate in rates)] for name, rates in several.items()]
    told = (
        "The same eyes, demonstrations and episodes; other first weights and another order of samples. Success moves\n"
        f"by {100 * found.deviation:.1f} points from one training to the next (standard deviation over {len(several)}\n"
        f"policies, {found.freedom} trainings beyond the first). The intervals of the table above are of one trained\n"
        "policy and know nothing of it.\n"
    )
    return f"## Trained again\n\n{told}\n{_markdown(('policy', 'each training'), lines)}"


def _pairs(rows: Sequence[Row], scattered: Scatter | None) -> str:
    """What one choice makes of a design, where both were measured."""
    told = (
        "Tiny sizes share their eyes; the choice named is the largest difference of two designs, not always the only\n"
        "one. Differences are second minus first, in points. *These policies*: the two that were trained, on the\n"
        "same episodes; a clear one stays after correction for all pairs here (Holm). *The designs*: what is left\n"
        "when either may be trained again, with the deviation above; a clear one has an interval without zero.\n"
    )
    lines = []
    for pair, verdict in compared(rows):
        of_designs = ("", "") if scattered is None else _of_designs(*scattered.difference(pair.first, pair.second))
        lines.append([pair.first, pair.second, pair.choice, *_difference(verdict), *of_designs])
    head = ("first", "second", "choice", "these policies", "", "the designs", "")
    return f"## One choice apart\n\n{told}\n{_markdown(head, lines)}" if lines else ""


def _of_designs(difference: float, half: float) -> tuple[str, str]:
    ends = f"{100 * (difference - half):+.0f} to {100 * (difference + half):+.0f}"
    return f"{100 * difference:+.0f} ({ends})", "clear" if abs(difference) > half else "not told apart"


def _difference(verdict: Verdict) -> tuple[str, str]:
    low, high = verdict.interval
    text = f"{100 * verdict.difference:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"
    return text, "clear" if verdict.distinguishable else "not told apart"


def _groups(rows: Sequence[Row], compositions: Mapping[str, str]) -> list[str]:
    sections = []
    for prefix, title in KINDS.items():
        groups = grouped(rows, compositions, prefix)
        if len(groups) > 1:
            sections.append(_comparison(title, groups))
    return sections


def _comparison(title: str, groups: Mapping[str, Sequence[Row]]) -> str:
    means = {part: mean_rate(inside) for part, inside in groups.items()}
    order = sorted(groups, key=lambda part: -means[part][0])
    lines = [[f"`{part}`", _mean_text(*means[part]), ", ".join(row.name for row in groups[part])] for part in order]
    clear = [f"- `{a}` above `{b}`" for a, b in combinations(order, 2) if means[a][1][0] > means[b][1][1]]
    told = "\n".join(clear) or "No two of these can be told apart."
    return (
        f"## {title}\n\nMeans over the policies with a part, intervals over policies; they differ in more than it.\n\n"
        f"{_markdown(('part', 'mean success', 'policies'), lines)}\n{told}\n"
    )


def _mean_text(mean: float, interval: tuple[float, float]) -> str:
    return f"{100 * mean:.0f} % ({100 * interval[0]:.0f}-{100 * interval[1]:.0f})"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
