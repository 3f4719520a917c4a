"""The report page: what report.json says, laid out for people in one file that needs nothing else.

The page is drawn from the run's folder alone (report.json, timing.json, videos/, the training's metrics), so it can be
drawn again at any time. Clips are embedded as long as all of them together stay below `EMBED_BYTES`, else linked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from embodia.evaluation.charts import training_charts
from embodia.evaluation.controls import OTHER_SENTENCE
from embodia.evaluation.media import STRIP_FRAMES, data_uri
from embodia.evaluation.statistics import bound_text

EMBED_BYTES = 24 * 2**20
OPEN_TASKS = 12

LABELS = {
    "policy": "The policy",
    "blank_image": "Blank picture",
    OTHER_SENTENCE: "Other sentence",
    "blind_replay": "Blind replay",
    "random_policy": "Random actions",
}
_WORDS = {"clear": "clear", "partly": "partly", "fails": "careful", "untested": "untested"}


def render(name: str, context: Mapping[str, Any]) -> str:
    """A template of this package filled in; text is escaped, a missing variable is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("embodia.evaluation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = resources.files("embodia.evaluation").joinpath("templates/report.css").read_text(encoding="utf-8")
    return environment.get_template(name).render(css=Markup(css), **context)


def report_page(
    report: Mapping[str, Any],
    folder: Path,
    *,
    timing: Mapping[str, Any] | None = None,
    metrics: Sequence[Mapping[str, Any]] = (),
) -> str:
    """HTML of a report whose clips lie under `folder`."""
    charts = training_charts(metrics)
    clips = report.get("clips", [])
    context = {
        "title": report_title(report),
        "subtitle": _subtitle(report),
        "headline": _headline(report),
        "findings": [{**item, "word": _WORDS[item["status"]]} for item in report["findings"]],
        "bars": [bar("policy", report), *(bar(name, entry) for name, entry in report["controls"].items())],
        "redteam": _redteam(report.get("redteam")),
        "language": [_language_row(row) for row in report["language"]],
        "tasks": _tasks(report, clips, _sources(clips, folder)),
        "clips_open": len(report["per_task"]) <= OPEN_TASKS,
        "rows_per_frame": max((len(clip["cameras"]) for clip in clips), default=1),
        "curves": charts,
        "curves_lede": "What the optimiser saw. A low loss is not success: the bars above are.",
        "provenance": provenance_rows(report),
        "command": report["command"],
        "notes": report["notes"] or ["Nothing was noted."],
        "footer": _footer(timing),
    }
    return render("report.html", context)


def bar(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A rate as percentages for a bar with its interval."""
    low, high = entry["interval"]
    return {
        "kind": "policy" if name == "policy" else "control",
        "label": LABELS.get(name, spoken(name)),
        "value": _tenth(entry["success_rate"]),
        "low": _tenth(low),
        "width": _tenth(high - low),
        "text": short_rate(entry),
    }


def short_rate(entry: Mapping[str, Any]) -> str:
    """ "18 of 20, 90 % (70-97)", with one-sided bounds where no or every episode succeeded."""
    n, successes = entry["n"], round(entry["success_rate"] * entry["n"])
    if n == 0:
        return "not tried"
    low, high = (f"{100 * end:.0f}" for end in entry["interval"])
    span = (
        f"{low}\u2013{high}"
        if 0 < successes < n
        else (f"at most {_bound(n)}" if not successes else f"at least {100 - _bound(n)}")
    )
    return f"{successes} of {n}, {100 * entry['success_rate']:.0f} % ({span})"


def spoken(name: str) -> str:
    """A name of code as words: "drawer-open" -> "Drawer open"."""
    return name.replace("-", " ").replace("_", " ").strip().capitalize()


def report_title(report: Mapping[str, Any]) -> str:
    """The policy and where it was evaluated."""
    policy, trained = report["policy"], report["provenance"]["evaluated"]
    return f"{policy.get('name', 'Policy')} on {trained['environment']}, {_count(len(report['per_task']), 'task')}"


def provenance_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts of a run as (name, text)."""
    seen, config = report["provenance"]["evaluated"], report["config"]
    rows = [
        ("Policy", ", ".join(f"{key} {value}" for key, value in report["policy"].items())),
        ("Environment", f"{seen['environment']}, visual profile {seen['profile']!r}"),
        ("Cameras", "; ".join(seen["cameras"])),
        ("Success rule", seen["success_rule"]),
        ("Differences to training", "; ".join(report["provenance"]["differences"]) or "none"),
        ("Seeds", f"{_seeds(report)}; root seed of the policy's randomness {report['seed']}"),
        ("Sentences", f"{config.get('sentences', '')} wording"),
        ("Protocol", _protocol(config)),
        ("Simulated time", f"{report['seconds'] / 60:.1f} minutes of robot time over all arms"),
        ("Versions", ", ".join(f"{key} {value}" for key, value in sorted(report["versions"].items()))),
        ("Commit", report["commit"]),
        ("Hardware", ", ".join(f"{value}" for value in report["hardware"].values())),
    ]
    return [(name, text) for name, text in rows if text]


def _headline(report: Mapping[str, Any]) -> dict[str, Any]:
    low, high = report["interval"]
    successes = round(report["success_rate"] * report["n"])
    bound = bound_text(successes, report["n"])
    return {
        "percent": f"{100 * report['success_rate']:.0f}",
        "successes": successes,
        "n": report["n"],
        "low": f"{100 * low:.0f}",
        "high": f"{100 * high:.0f}",
        "bar": bar("policy", report),
        "where": " on seeds never trained on" if report["training_episodes"] else "",
        "text": report["text"] + (f"; {bound}" if bound else ""),
    }


def _subtitle(report: Mapping[str, Any]) -> str:
    wording = {
        "held_out": "sentences it never read",
        "train": "sentences it was trained on",
        "episode": "what each scene asks for",
    }
    words = wording.get(report["config"].get("sentences", ""), "the canonical sentences")
    seeds = "unseen" if report["training_episodes"] else "unchecked"
    return f"{report['n']} episodes on {seeds} seeds, {words}; {_count(len(report['controls']), 'control')}"


def _redteam(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    badges = {"clear": ("clear", "clear"), "flagged": ("fails", "flagged"), "undecided": ("partly", "undecided")}
    return {
        "findings": [
            dict(zip(("badge", "word"), badges[item["status"]], strict=True), title=item["title"], text=item["text"])
            for item in found["findings"]
        ],
        "attacks": [
            {
                "name": spoken(item["name"]),
                "plain": short_rate(item["plain"]),
                "attacked": short_rate(item["attacked"]),
                "verdict": item["verdict"]["text"],
            }
            for item in found["attacks"]
        ],
        "episodes": found["episodes"],
    }


def _language_row(row: Mapping[str, Any]) -> dict[str, str]:
    follows, done = short_rate(row["follows"]), row["already_done"]
    if done:
        met = f"the goal was met at the start in {done}"
        follows = f"says nothing, {met}" if not row["follows"]["n"] else f"{follows}; {met} more, not counted"
    return {
        "scene": spoken(row["scene"]),
        "told": spoken(row["told"]),
        "sentence": row["sentence"],
        "follows": follows,
        "own": short_rate(row["own"]),
    }


def _tasks(
    report: Mapping[str, Any], clips: Sequence[Mapping[str, Any]], sources: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "label": spoken(name),
            "text": short_rate(entry),
            "bars": [bar("policy", entry), *(bar(arm, item) for arm, item in entry["controls"].items() if item["n"])],
            "clips": [_clip(clip, sources) for clip in clips if clip["task"] == name],
        }
        for name, entry in report["per_task"].items()
    ]


def _clip(clip: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    good = clip["followed"] if clip["arm"] == OTHER_SENTENCE else clip["success"]
    words = ("does as told", "does not") if clip["arm"] == OTHER_SENTENCE else ("success", "failure")
    outcome = words[0] if good else words[1]
    arm = "" if clip["arm"] == "policy" else f"{LABELS.get(clip['arm'], clip['arm'])}, "
    return {
        "outcome": outcome,
        "kind": "success" if good else "failure",
        "instruction": clip["instruction"],
        "caption": f"{arm}{clip['steps']} steps, seed {clip['seed']}",
        "alt": f"Filmstrip of seed {clip['seed']}, {outcome} after {clip['steps']} steps",
        "strip_frames": min(STRIP_FRAMES, clip["frames"]),
        "video": sources[clip["video"]],
        "strip": sources[clip["filmstrip"]],
    }


def _sources(clips: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    names = [clip[key] for clip in clips for key in ("video", "filmstrip")]
    embed = sum((folder / name).stat().st_size for name in names) <= EMBED_BYTES
    return {name: data_uri(folder / name) if embed else name for name in names}


def _seeds(report: Mapping[str, Any]) -> str:
    first, last = report["seeds"]
    known = report["training_episodes"]
    checked = f"none of them in the {known} training episodes" if known else "not compared with any training data"
    return f"{first} to {last} in every task, {checked}"


def _protocol(config: Mapping[str, Any]) -> str:
    parts = [
        ("execute", "{} actions of each chunk are executed"),
        ("horizon", "at most {} steps an episode"),
        ("workers", "{} simulator processes"),
    ]
    return ", ".join(text.format(config[key]) for key, text in parts if config.get(key))


def _footer(timing: Mapping[str, Any] | None) -> str:
    if not timing:
        return "Drawn by Embodia."
    return f"Evaluated in {timing['wall_seconds'] / 60:.1f} minutes on {timing['finished']}. Drawn by Embodia."


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _bound(n: int) -> int:
    """The rule of three in percent, rounded up; its exact form for n <= 3."""
    return math.ceil(100 * (3 / n if n > 3 else 1 - 0.05 ** (1 / n)))


def _tenth(share: float) -> float:
    return round(100 * share, 1)
