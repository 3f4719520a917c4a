"""From entries to standings: columns of like evaluations, ranks with intervals, and what may be set in bold.

Bold is decided here and nowhere else. A policy is bold in a column, or in a task, only when exact tests, corrected over
the whole family of comparisons of that column or of all its tasks, tell it apart from *every* other policy there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from embodia.evaluation.leaderboard.entries import Entry
from embodia.evaluation.statistics import RankTable, Standing, Verdict, corrected, rank_table
from embodia.evaluation.statistics.ranks import alone_in_front, outcome_verdict
from embodia.evaluation.summary import rate_entry

CLIPS = 4
"""Rollouts shown for each policy and suite, failures before successes."""


def make_board(entries: Sequence[Entry]) -> dict[str, Any]:
    """The leaderboard as JSON: `policies` and `suites`, each suite with its rows, best first, references last."""
    columns = _columns(entries)
    labels = _labels([key[0] for key, _ in columns])
    suites = [_suite(label, group) for label, (_, group) in zip(labels, columns, strict=True)]
    order = Counter({row["policy"]: 0 for suite in suites for row in suite["rows"] if not row["reference"]})
    for suite in suites:
        for row in suite["rows"]:
            if not row["reference"]:
                order[row["policy"]] += 1
    references = sorted({row["policy"] for suite in suites for row in suite["rows"] if row["reference"]})
    return {"policies": [*order, *references], "references": references, "suites": suites}


def _columns(entries: Sequence[Entry]) -> list[tuple[tuple[Any, ...], list[Entry]]]:
    """Entries that answer the same question, in order of appearance.

    An entry that does not say its protocol joins the column of its suite and tasks where there is only one.
    """
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    silent: list[Entry] = []
    for entry in entries:
        if any(fact is not None for fact in entry.protocol):
            groups.setdefault((entry.suite, frozenset(entry.outcomes), entry.protocol), []).append(entry)
        else:
            silent.append(entry)
    for entry in silent:
        same = [key for key in groups if key[:2] == (entry.suite, frozenset(entry.outcomes))]
        key = same[0] if len(same) == 1 else (entry.suite, frozenset(entry.outcomes), None)
        groups.setdefault(key, []).append(entry)
    return list(groups.items())


def _labels(names: Sequence[str]) -> list[str]:
    """Names of columns, numbered where one comes twice."""
    total, seen = Counter(names), Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if total[name] > 1 else name)
    return found


def _suite(label: str, group: Sequence[Entry]) -> dict[str, Any]:
    named = dict(zip(_labels([entry.policy for entry in group]), group, strict=True))
    ranked = {name: entry for name, entry in named.items() if not entry.reference}
    table = rank_table({name: entry.all_outcomes for name, entry in ranked.items()})
    leaders = _task_leaders(ranked)
    rows = [_row(standing, ranked[standing.name], leaders) for standing in table.standings]
    rows += [_reference_row(name, entry) for name, entry in sorted(named.items()) if entry.reference]
    return {
        "name": label,
        "protocol": _protocol_text(group[0]),
        "tasks": sorted(group[0].outcomes),
        "rows": rows,
        "verdict": _verdict_text(table),
        "compared": _compared_text(list(ranked.values())),
    }


def _task_leaders(ranked: Mapping[str, Entry]) -> dict[str, str]:
    """Task -> the policy alone in front there; one family over all tasks and pairs."""
    pairs = list(combinations(ranked, 2))
    tasks = sorted(next(iter(ranked.values())).outcomes) if ranked else []
    family = [(task, a, b) for task in tasks for a, b in pairs]
    single = [outcome_verdict(ranked[a].outcomes[task], ranked[b].outcomes[task]) for task, a, b in family]
    verdicts: dict[str, dict[tuple[str, str], Verdict]] = {}
    for (task, a, b), verdict in zip(family, corrected(single), strict=True):
        verdicts.setdefault(task, {})[a, b] = verdict
    leaders = {task: alone_in_front(list(ranked), of) for task, of in verdicts.items()}
    return {task: name for task, name in leaders.items() if name is not None}


def _row(standing: Standing, entry: Entry, leaders: Mapping[str, str]) -> dict[str, Any]:
    return {
        **_plain_row(standing.name, entry),
        "ranks": list(standing.ranks),
        "groups": standing.groups,
        "bold": standing.alone,
        "per_task": {
            task: {**rate_entry(entry.rate(task)), "bold": leaders.get(task) == standing.name}
            for task in sorted(entry.outcomes)
        },
    }


def _reference_row(name: str, entry: Entry) -> dict[str, Any]:
    per_task = {task: {**rate_entry(entry.rate(task)), "bold": False} for task in sorted(entry.outcomes)}
    return {**_plain_row(name, entry), "ranks": None, "groups": "", "bold": False, "per_task": per_task}


def _plain_row(name: str, entry: Entry) -> dict[str, Any]:
    best = max(entry.controls.items(), key=lambda item: item[1]["success_rate"], default=None)
    return {
        "policy": name,
        **rate_entry(entry.rate()),
        "reference": entry.reference,
        "paired": entry.paired,
        "control": None if best is None else {"name": best[0], "success_rate": best[1]["success_rate"]},
        "source": entry.source,
        "page": None if entry.page is None else entry.page.as_posix(),
        "commit": entry.commit,
        "command": entry.command,
        "clips": [_clip(entry, clip) for clip in _chosen(entry.clips)],
    }


def _chosen(clips: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Failures of different tasks first: what goes wrong says more than what goes right."""
    failures = [clip for clip in clips if not clip["success"]]
    first = {clip["task"]: clip for clip in reversed(failures)}
    spread = [*reversed(first.values()), *[clip for clip in failures if clip is not first[clip["task"]]]]
    successes = [clip for clip in clips if clip["success"]]
    shown = spread[: CLIPS - 1] if successes else spread[:CLIPS]
    return [*shown, *successes[: CLIPS - len(shown)]]


def _clip(entry: Entry, clip: Mapping[str, Any]) -> dict[str, Any]:
    assert entry.folder is not None
    kept = {key: clip[key] for key in ("task", "seed", "instruction", "success", "steps")}
    files = {key: (entry.folder / clip[key]).as_posix() for key in ("video", "filmstrip")}
    return {**kept, **files}


def _protocol_text(entry: Entry) -> str:
    names = ("at most {} steps", "{} wording", "visual profile {}")
    known = [name.format(fact) for name, fact in zip(names, entry.protocol, strict=True) if fact]
    return ", ".join(known).replace("held_out", "held-out")


def _compared_text(ranked: Sequence[Entry]) -> str:
    if len(ranked) < 2:
        return ""
    if all(entry.paired for entry in ranked):
        return "compared episode by episode on the same seeds"
    return "single episodes are not known of every policy, so some are compared as independent arms"


def _verdict_text(table: RankTable) -> str:
    """One sentence: who leads, or who cannot be told apart and what it would take."""
    if len(table.standings) < 2:
        return "Only one policy: nothing to compare with." if table.standings else "No policy yet, only sanity rows."
    first, second = table.standings[:2]
    if first.alone:
        return f"{first.name} stands alone in front: told apart from every other policy."
    share = [s.name for s in table.standings if set(s.groups) & set(first.groups) and s is not first]
    verdict = table.verdicts.get((first.name, second.name)) or table.verdicts[second.name, first.name]
    need = f" About {verdict.planned_n} episodes each would tell the first two apart." if verdict.planned_n else ""
    return f"{first.name} has the highest rate but cannot be told apart from {', '.join(share)}.{need}"
