"""The leaderboard: what stands beside what, what is bold, and a page that needs nothing else."""

import csv
import io
import json
import re
from importlib import resources

import numpy as np
import pytest
from test_evaluation_report import Page

from embodia.cli.main import main
from embodia.core.errors import MissingFileError
from embodia.evaluation.episodes import Episode, write_episodes
from embodia.evaluation.leaderboard import board_csv, board_page, board_text, gather, make_board, write_leaderboard
from embodia.evaluation.media import Clip, save_clip
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry

TASKS = ("close", "open")


def episode(task, seed, success, arm="policy"):
    return Episode(
        arm=arm, task=task, seed=seed, instruction=f"{task} it", told=task, success=success, followed=success, steps=9
    )


def shared(rows):
    """The shared keys of a report or result with these policy episodes."""

    def rate(items):
        return rate_entry(Rate(successes=sum(i.success for i in items), n=len(items)))

    tasks = {name: rate([row for row in rows if row.task == name]) for name in dict.fromkeys(r.task for r in rows)}
    blank = {"controls": {}, "seconds": 1.0, "versions": {}, "seed": 0, "hardware": {}, "notes": []}
    return {**blank, **rate(rows), "per_task": tasks, "command": "embodia evaluate <x>", "commit": "c" * 40}


def evaluated(folder, name, hits, *, horizon=100, suite="bench/a", clips=False, tasks=TASKS):
    """An evaluation's folder; `hits` is task -> successes in the order of the seeds."""
    folder.mkdir(parents=True)
    rows = [episode(task, seed, bool(hit)) for task in tasks for seed, hit in enumerate(hits[task])]
    rate = rate_entry(Rate(successes=1, n=10))
    saved = []
    if clips:
        frames = {"eye": np.zeros((3, 16, 16, 3), np.uint8)}
        saved = [save_clip(folder, Clip(episode=row, frames=frames, fps=5.0)) for row in rows[:3] + rows[-3:]]
    report = {
        **shared(rows),
        "policy": {"name": name, "size": "tiny"},
        "suite": {"name": suite},
        "config": {"horizon": horizon, "sentences": "held_out"},
        "provenance": {"evaluated": {"environment": "env", "profile": "fast"}},
        "controls": {"blank_image": rate},
        "clips": saved,
    }
    write_episodes(folder / "episodes.jsonl", [*rows, episode(tasks[0], 0, True, arm="blank_image")])
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "report.html").write_text("<html></html>")
    return folder


def result(path, name, successes, n, *, suite="bench/a", subject="subject", tasks=TASKS):
    rows = [episode(task, seed, seed < successes) for task in tasks for seed in range(n)]
    value = {**shared(rows), "suite": {"name": suite}, subject: {"name": name}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def hits(rate, n=30, seed=0):
    rng = np.random.default_rng(seed)
    return {task: list(rng.random(n) < rate) for task in TASKS}


@pytest.fixture
def runs(tmp_path):
    evaluated(tmp_path / "runs/good", "good <b>", hits(1.0), clips=True)
    evaluated(tmp_path / "runs/fair", "fair", hits(0.5, seed=1), clips=True)
    evaluated(tmp_path / "runs/poor", "poor", hits(0.45, seed=2))
    result(tmp_path / "results/expert.json", "expert", 30, 30)
    (tmp_path / "results/other.json").write_text('{"n": 3}')
    return tmp_path


def board_of(folder):
    return make_board(gather([folder / "runs", folder / "results"])[0])


def test_columns_rows_ranks_and_references(runs):
    entries, passed = gather([runs / "runs", runs / "results"])
    assert len(entries) == 4 and [path.rpartition("/")[2] for path in passed] == ["other.json"]
    board = make_board(entries)
    (suite,) = board["suites"]
    assert (
        suite["name"] == "bench/a"
        and suite["tasks"] == ["close", "open"]
        and suite["compared"].endswith("the same seeds")
    )
    assert suite["rows"][0]["policy"] == "good <b> tiny"
    assert [row["ranks"] for row in suite["rows"]] == [[1, 1], [2, 3], [2, 3], None]
    assert board["references"] == ["expert"] and board["policies"][-1] == "expert"
    assert suite["verdict"].startswith("good <b> tiny stands alone")
    json.dumps(board)


def test_bold_only_where_told_apart_from_every_other(runs):
    (suite,) = board_of(runs)["suites"]
    first, *others = suite["rows"]
    assert first["bold"] and all(cell["bold"] for cell in first["per_task"].values())
    assert not any(row["bold"] or any(cell["bold"] for cell in row["per_task"].values()) for row in others)


def test_a_higher_rate_that_chance_could_have_made_is_never_bold(tmp_path):
    evaluated(tmp_path / "runs/a", "a", hits(0.8, seed=1))
    evaluated(tmp_path / "runs/b", "b", hits(0.7, seed=2))
    board = board_of_runs(tmp_path)
    (suite,) = board["suites"]
    assert suite["rows"][0]["success_rate"] > suite["rows"][1]["success_rate"]
    page, text = board_page(board, tmp_path), board_text(board)
    assert 'class="bold"' not in page and " bold" not in page.split("<main>")[1].split("</main>")[0].replace("Bold", "")
    assert "*" not in text and "cannot be told apart" in text and "episodes each would tell" in text
    assert all(line.split(",")[10] == "0" for line in board_csv(board).splitlines()[1:])


def board_of_runs(folder):
    return make_board(gather([folder / "runs"])[0])


def test_one_significant_task_among_many_is_judged_as_one_of_many(tmp_path):
    """Seven lost pairs and no won one: significant alone (p = 0.016), not among the tasks and pairs of the suite."""
    tasks = tuple("abcdef")
    equal = {task: [True] * 20 for task in tasks}
    evaluated(tmp_path / "runs/x", "x", equal, tasks=tasks)
    evaluated(tmp_path / "runs/y", "y", {**equal, "a": [False] * 7 + [True] * 13}, tasks=tasks)
    (suite,) = board_of_runs(tmp_path)["suites"]
    assert suite["rows"][0]["bold"]
    assert not suite["rows"][0]["per_task"]["a"]["bold"]


def test_other_protocols_and_other_tasks_stand_in_other_columns(tmp_path):
    evaluated(tmp_path / "runs/a", "a", hits(0.9))
    evaluated(tmp_path / "runs/b", "b", hits(0.9), horizon=200)
    evaluated(tmp_path / "runs/c", "c", hits(0.9), tasks=("close",))
    result(tmp_path / "runs/d.json", "d", 3, 30, subject="policy", tasks=("close",))
    suites = board_of_runs(tmp_path)["suites"]
    assert [suite["name"] for suite in suites] == ["bench/a (1)", "bench/a (2)", "bench/a (3)"]
    assert [[row["policy"] for row in suite["rows"]] for suite in suites] == [["a tiny"], ["b tiny"], ["c tiny", "d"]]
    assert "independent arms" in suites[2]["compared"] and suites[2]["rows"][0]["bold"]
    assert suites[0]["compared"] == ""
    assert suites[0]["verdict"].startswith("Only one policy")


def test_an_evaluation_that_lies_there_twice_counts_once(tmp_path):
    folder = evaluated(tmp_path / "runs/a", "a", hits(0.9))
    report = json.loads((folder / "report.json").read_text())
    (tmp_path / "runs/a.json").write_text(json.dumps(report))
    entries, _ = gather([tmp_path / "runs", folder, tmp_path / "runs/a.json"])
    assert [entry.paired for entry in entries] == [True]


def test_the_same_policy_twice_gets_two_rows(tmp_path):
    evaluated(tmp_path / "runs/a", "a", hits(0.9, seed=1))
    evaluated(tmp_path / "runs/b", "a", hits(0.2, seed=2))
    assert [row["policy"] for row in board_of_runs(tmp_path)["suites"][0]["rows"]] == ["a tiny (1)", "a tiny (2)"]


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_random_actions_beside_an_expert_have_a_row_of_their_own(tmp_path, folder):
    if folder:
        place = evaluated(tmp_path / "expert", "expert", hits(1.0))
        report = json.loads((place / "report.json").read_text())
        (place / "report.json").write_text(json.dumps({**report, "policy": {"name": "expert"}}))
        rows = [episode(task, seed, True) for task in TASKS for seed in range(30)]
        random = [episode(task, seed, seed == 0, arm="random_policy") for task in TASKS for seed in range(10)]
        write_episodes(place / "episodes.jsonl", [*rows, *random])
    else:
        place = result(tmp_path / "expert.json", "expert", 30, 30)
        rate = rate_entry(Rate(successes=1, n=10))
        value = {**json.loads(place.read_text()), "control_per_task": {"random_policy": dict.fromkeys(TASKS, rate)}}
        place.write_text(json.dumps(value))
    entries, _ = gather([tmp_path])
    found = {entry.policy: entry.rate() for entry in entries}
    assert found == {"expert": Rate(successes=60, n=60), "random": Rate(successes=2, n=20)}
    board = make_board(entries)
    assert board["references"] == ["expert", "random"] and all(
        row["ranks"] is None for row in board["suites"][0]["rows"]
    )


def test_random_actions_on_part_of_the_tasks_have_none(tmp_path):
    place = result(tmp_path / "expert.json", "expert", 30, 30)
    rate = rate_entry(Rate(successes=1, n=10))
    value = {**json.loads(place.read_text()), "control_per_task": {"random_policy": {TASKS[0]: rate}}}
    place.write_text(json.dumps(value))
    assert [entry.policy for entry in gather([tmp_path])[0]] == ["expert"]


def test_missing_places_are_errors(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere"):
        gather([tmp_path / "nowhere"])


def test_the_page_is_well_formed_and_needs_nothing_else(runs):
    path = write_leaderboard(runs / "out", board_of(runs))
    text = path.read_text()
    page = Page(text)
    assert page.stack == [] and len(set(page.ids)) == len(page.ids)
    assert not re.search(r"https?://", text)
    loaded = [source for source in page.sources if not source.startswith("data:")]
    assert loaded and all((path.parent / source).resolve().is_file() for source in loaded)
    assert {source.rpartition("/")[2] for source in loaded} == {"report.html"}
    assert any(source.startswith("data:video/mp4") for source in page.sources)
    assert "good &lt;b&gt; tiny" in text and "<b>" not in text
    assert "embodia evaluate &lt;x&gt;" in text


def test_failures_come_first_in_the_rollouts(runs):
    (suite,) = board_of(runs)["suites"]
    fair = next(row for row in suite["rows"] if row["policy"] == "fair tiny")
    shown = [clip["success"] for clip in fair["clips"]]
    assert shown == sorted(shown) and len(shown) == 4 and False in shown and True in shown
    assert len({clip["task"] for clip in fair["clips"] if not clip["success"]}) == 2


def test_clips_that_do_not_fit_are_linked(runs, monkeypatch):
    monkeypatch.setattr("embodia.evaluation.leaderboard.page.EMBED_BYTES", 10)
    path = write_leaderboard(runs / "out", board_of(runs))
    media = [source for source in Page(path.read_text()).sources if source.endswith((".mp4", ".jpg"))]
    assert media and all((path.parent / source).resolve().is_file() for source in media)


def test_csv_and_json_hold_every_number(runs):
    board = board_of(runs)
    write_leaderboard(runs / "out", board)
    rows = list(csv.DictReader(io.StringIO((runs / "out/leaderboard.csv").read_text())))
    assert len(rows) == 4 * 3
    good = next(row for row in rows if row["policy"].startswith("good") and not row["task"])
    assert (good["success_rate"], good["n"], good["bold"], good["best_rank"]) == ("1", "60", "1", "1")
    assert float(good["low"]) == pytest.approx(board["suites"][0]["rows"][0]["interval"][0], abs=1e-6)
    assert json.loads((runs / "out/leaderboard.json").read_text()) == board


def test_the_command_line(runs, capsys):
    out = str(runs / "out")
    assert main(["report", str(runs / "runs"), str(runs / "results"), "--leaderboard", out]) == 0
    shown = capsys.readouterr().out
    assert "* good <b> tiny" in shown and "passed over" in shown and shown.strip().endswith("leaderboard.html")
    assert main(["report", str(runs / "runs"), "--leaderboard", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["suites"][0]["rows"][0]["bold"]
    (runs / "empty").mkdir()
    assert main(["report", str(runs / "empty"), "--leaderboard", out]) == 2
    assert "no evaluation was found" in capsys.readouterr().err


HEAVY = {
    *("h1", "h2", "h3", "th", ".badge", ".bar.policy .label", ".score .number", ".curves figcaption", ".reels h4"),
    *("td.seen", ".bold .rate", ".heat td.bold", ".forest .bold .name", ".forest .bold .text"),
}
"""What may be heavy: headings and labels, and numbers under a class that only a significant difference gets."""


def test_no_style_makes_a_number_heavy_without_a_test_behind_it():
    folder = resources.files("embodia.evaluation").joinpath("templates")
    css = "".join(item.read_text() for item in folder.iterdir() if item.name.endswith(".css"))
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", css, flags=re.S))
    heavy = [s.strip() for names, body in rules if re.search(r"font-weight:\s*[6-9]", body) for s in names.split(",")]
    assert heavy and set(heavy) <= HEAVY


def test_templates_set_numbers_in_strong_only_when_a_test_was_passed():
    folder = resources.files("embodia.evaluation").joinpath("templates")
    for item in folder.iterdir():
        for match in re.finditer(r"<(?:strong|b)>(.*?)</", item.read_text() if item.name.endswith(".html") else ""):
            before = item.read_text()[: match.start()]
            plain = "headline.low" in match.group(1) or ".title" in match.group(1)
            assert plain or before.rstrip().endswith("{% if overall.seen %}"), f"{item.name}: {match.group(0)}"
