"""What a leaderboard is made from: evaluations in folders (with episodes and clips) and result files (rates alone).

Watch out: two evaluations stand in one column only when suite, tasks, horizon, sentences and visual profile agree as
far as they are known. Everything else would compare two different questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from embodia.core.errors import CorruptFileError, MissingFileError
from embodia.evaluation.controls import RANDOM_POLICY
from embodia.evaluation.episodes import POLICY, read_episodes
from embodia.evaluation.report import EPISODES, PAGE, REPORT
from embodia.evaluation.results import SHARED_KEYS
from embodia.evaluation.statistics import Rate
from embodia.io.jsonio import read_json

REFERENCES = ("expert", "random")
"""Sanity rows: shown beside the policies, never ranked."""

Outcomes = Mapping[Any, bool]
"""Episode key -> success; keys of one task and seed are equal for all policies, made-up keys are nobody else's."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One policy on one suite.

    protocol   horizon, sentences, profile; None where a result file does not say
    outcomes   task -> episode key -> success
    clips      of report.json, with paths relative to `folder`; empty for a result file
    page       the evaluation's own report, where there is one
    """

    policy: str
    suite: str
    protocol: tuple[Any, ...]
    outcomes: Mapping[str, Outcomes]
    source: str
    controls: Mapping[str, Any] = field(default_factory=dict)
    clips: Sequence[Mapping[str, Any]] = ()
    folder: Path | None = None
    page: Path | None = None
    command: str = ""
    commit: str = ""

    @property
    def reference(self) -> bool:
        """Whether this is a sanity row."""
        return self.policy in REFERENCES

    @property
    def paired(self) -> bool:
        """Whether single episodes are known, so that they can be compared one by one."""
        return self.folder is not None

    @property
    def all_outcomes(self) -> Outcomes:
        """(task, key) -> success over all tasks."""
        return {(task, key): hit for task, episodes in self.outcomes.items() for key, hit in episodes.items()}

    def rate(self, task: str | None = None) -> Rate:
        """Of one task, or over all episodes."""
        hits = self.all_outcomes if task is None else self.outcomes[task]
        return Rate(successes=sum(hits.values()), n=len(hits))


def gather(paths: Iterable[str | Path]) -> tuple[list[Entry], list[str]]:
    """The entries under `paths` (folders are searched), and the JSON files passed over because they are no evaluation.

    An evaluation that lies there twice, as folder and as result file, counts once. Raises `MissingFileError` for a path
    that does not exist, `CorruptFileError` for a file that cannot be read.
    """
    found: list[Entry] = []
    passed: list[str] = []
    for path in dict.fromkeys(place for given in paths for place in _places(Path(given))):
        entries = _entries(path)
        found += entries
        if not entries:
            passed.append(path.as_posix())
    found.sort(key=lambda entry: not entry.paired)
    unique: dict[Any, Entry] = {}
    for entry in found:
        unique.setdefault(_identity(entry), entry)
    return list(unique.values()), passed


def _places(path: Path) -> list[Path]:
    if not path.exists():
        raise MissingFileError("neither a folder nor a result file", file=path)
    if path.is_file():
        return [path]
    reports = sorted(path.rglob(REPORT))
    inside = {report.parent for report in reports}
    return reports + sorted(p for p in path.rglob("*.json") if not any(parent in inside for parent in p.parents))


def _entries(path: Path) -> list[Entry]:
    """The entry of a place, and random actions as one of their own where they were the control of an expert."""
    try:
        return _of_folder(path.parent) if path.name == REPORT else _of_file(path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"is no evaluation as this release writes it: {error!r}", file=path) from error


def _of_folder(folder: Path) -> list[Entry]:
    report = read_json(folder / REPORT)
    if not _is_evaluation(report) or not (folder / EPISODES).exists():
        return []
    outcomes: dict[str, dict[str, dict[Any, bool]]] = {POLICY: {}, RANDOM_POLICY: {}}
    for item in read_episodes(folder / EPISODES):
        if item.arm in outcomes:
            outcomes[item.arm].setdefault(item.task, {})[item.seed] = item.success
    page = folder / PAGE
    entry = Entry(
        **_facts(report, folder.as_posix()),
        outcomes=outcomes[POLICY],
        clips=tuple(clip for clip in report.get("clips", ()) if clip["arm"] == POLICY),
        folder=folder,
        page=page if page.exists() else None,
    )
    return [entry, *_random_beside(entry, outcomes[RANDOM_POLICY])]


def _of_file(path: Path) -> list[Entry]:
    report = read_json(path)
    if not _is_evaluation(report):
        return []

    def made_up(per_task: Mapping[str, Any]) -> dict[str, Outcomes]:
        return {task: _made_up(path.as_posix(), rate) for task, rate in per_task.items()}

    entry = Entry(**_facts(report, path.as_posix()), outcomes=made_up(report["per_task"]))
    return [entry, *_random_beside(entry, made_up(report.get("control_per_task", {}).get(RANDOM_POLICY, {})))]


def _random_beside(entry: Entry, outcomes: Mapping[str, Outcomes]) -> list[Entry]:
    """Random actions judged beside an expert on the same tasks: the other sanity row."""
    if entry.policy != "expert" or set(outcomes) != set(entry.outcomes):
        return []
    return [replace(entry, policy="random", outcomes=outcomes, controls={}, clips=())]


def _is_evaluation(report: Any) -> bool:
    """Whether a JSON value is a result that says which policy it is of."""
    shared = isinstance(report, dict) and all(key in report for key in SHARED_KEYS)
    return shared and bool(_subject(report)) and bool(report["per_task"])


def _subject(report: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in ("policy", "subject"):
        value = report.get(key)
        if isinstance(value, dict) and "name" in value:
            return value
    return {}


def _facts(report: Mapping[str, Any], source: str) -> dict[str, Any]:
    subject, config = _subject(report), report.get("config", {})
    seen = report.get("provenance", {}).get("evaluated", {})
    suite = report.get("suite", {}).get("name") or seen.get("environment") or "other"
    return {
        "policy": " ".join(str(subject[key]) for key in ("name", "size") if key in subject),
        "suite": suite,
        "protocol": (config.get("horizon"), config.get("sentences"), seen.get("profile")),
        "source": source,
        "controls": {name: entry for name, entry in report["controls"].items() if entry["n"]},
        "command": report["command"],
        "commit": report["commit"],
    }


def _made_up(source: str, entry: Mapping[str, Any]) -> dict[Any, bool]:
    """As many episodes as a rate says, under keys that pair with nothing."""
    n = int(entry["n"])
    successes = round(entry["success_rate"] * n)
    return {(source, index): index < successes for index in range(n)}


def _identity(entry: Entry) -> Any:
    counts = tuple(sorted((task, entry.rate(task).successes, entry.rate(task).n) for task in entry.outcomes))
    return entry.policy, entry.suite, counts, entry.commit, entry.command
