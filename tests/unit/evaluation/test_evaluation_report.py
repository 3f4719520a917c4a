"""Pages, clips, curves, comparisons and result files from a small evaluation on disk."""

import itertools
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_toy import PROVENANCE, Honest, ToyData, ToyVector

from embodia.core.errors import ComparisonError, ConfigError, CorruptFileError, MissingFileError, ShapeError
from embodia.evaluation.charts import training_charts
from embodia.evaluation.compare import compare, comparison_text, read_run, write_comparison
from embodia.evaluation.episodes import Episode, read_episodes, write_episodes
from embodia.evaluation.facts import commit, hardware, run_facts, versions
from embodia.evaluation.media import Clip, filmstrip, save_clip, stack
from embodia.evaluation.page import short_rate
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.report import redraw
from embodia.evaluation.results import SHARED_KEYS, read_result, result_of, write_result
from embodia.evaluation.runner import Subject, evaluate
from embodia.io.video import Video

METRICS = [{"step": step, "train/loss": 2.0 / step, "validation/loss": None, "lr": 0.1} for step in range(1, 400)]
CONFIG = EvalConfig(family="toy", episodes=8, control_episodes=4, slots=4, clips=1, filmed=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation") / "good"
    subject = Subject(
        trained=PROVENANCE,
        data=(ToyData(),),
        facts={"name": "honest <b>", "size": "tiny"},
        metrics=METRICS,
        command="embodia evaluate runs/x --episodes 8",
    )
    evaluate(Honest(slip=0.5), CONFIG, out, subject=subject, vector=ToyVector())
    return out


class Page(HTMLParser):
    """Open tags, attributes that load something, and whether every tag that needs it is closed."""

    VOID = ("meta", "img", "br", "line", "polyline", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.stack, self.sources, self.ids, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.sources += [given[key] for key in ("src", "href", "poster") if key in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag == "img":
            assert given["alt"]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        if not self.stack or self.stack[-1] not in ("style", "script"):
            self.text += data


def test_the_page_needs_nothing_else_and_is_well_formed(folder):
    page = Page((folder / "report.html").read_text())
    assert page.stack == []
    assert page.sources and all(source.startswith("data:") for source in page.sources)
    assert any(source.startswith("data:video/mp4;base64,") for source in page.sources)
    assert len(set(page.ids)) == len(page.ids)
    text = (folder / "report.html").read_text()
    assert not re.search(r"https?://", text)
    assert "<b>" not in page.text.replace("honest <b>", "") and "honest &lt;b&gt;" in text


def test_the_page_says_what_the_report_says(folder):
    report = json.loads((folder / "report.json").read_text())
    page = Page((folder / "report.html").read_text()).text
    for item in report["findings"]:
        assert item["text"] in page
    for note in report["notes"]:
        assert note in page
    assert short_rate(report) in page
    assert report["command"] in page and report["commit"] in page
    for clip in report["clips"]:
        assert clip["instruction"] in page


def test_the_page_claims_unseen_seeds_only_when_they_were_checked(folder, tmp_path):
    assert "never trained on" in (folder / "report.html").read_text()
    shutil.copytree(folder, tmp_path / "copy")
    report = json.loads((folder / "report.json").read_text())
    (tmp_path / "copy/report.json").write_text(json.dumps({**report, "training_episodes": 0}))
    page = redraw(tmp_path / "copy").read_text()
    assert "never trained on" not in page and "not compared with any training data" in page


def test_swapped_clips_say_whether_the_sentence_was_followed(folder):
    report = json.loads((folder / "report.json").read_text())
    swapped = [clip for clip in report["clips"] if clip["arm"] == "other_sentence"]
    assert swapped and all(clip["told"] != clip["task"] for clip in swapped)
    page = (folder / "report.html").read_text()
    assert any(clip["followed"] for clip in swapped) == ("does as told" in page)


def test_the_report_has_the_shared_keys(folder):
    report = json.loads((folder / "report.json").read_text())
    assert set(SHARED_KEYS) <= report.keys()
    assert report["versions"]["torch"] == versions()["torch"]
    assert set(report["controls"]) == {"blank_image", "other_sentence", "blind_replay", "random_policy"}


def test_a_page_can_be_drawn_again_from_its_folder(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/report.html").unlink()
    assert redraw(tmp_path / "copy").read_bytes() == (folder / "report.html").read_bytes()


def test_large_clips_are_linked_instead_of_embedded(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("embodia.evaluation.page.EMBED_BYTES", 10)
    shutil.copytree(folder, tmp_path / "copy")
    sources = Page(redraw(tmp_path / "copy").read_text()).sources
    assert sources and all((tmp_path / "copy" / source).is_file() for source in sources)


def test_a_damaged_report_names_the_missing_key(tmp_path):
    with pytest.raises(MissingFileError):
        redraw(tmp_path)
    (tmp_path / "report.json").write_text('{"n": 3}')
    with pytest.raises(CorruptFileError, match=r"report\.json: success_rate"):
        redraw(tmp_path)


def test_clips_show_a_success_and_a_failure_of_each_task_and_play(folder):
    report = json.loads((folder / "report.json").read_text())
    shown = {(clip["task"], clip["success"]) for clip in report["clips"] if clip["arm"] == "policy"}
    table = [item for item in read_episodes(folder / "episodes.jsonl") if item.arm == "policy"]
    assert shown == {(item.task, item.success) for item in table}
    clip = report["clips"][0]
    video = Video(folder / clip["video"])
    assert len(video) == clip["frames"] > 1
    picture = video.frames([0])[0]
    assert picture.shape == (64, 64, 3) and video.index.codec == "h264"
    white = np.abs(picture.astype(int) - 255).max(-1) < 40
    assert white[28:36, 28:36].any()


def test_cameras_are_stacked_and_time_runs_to_the_right():
    frames = {name: np.zeros((9, 4, width, 3), np.uint8) for name, width in (("a", 6), ("b", 4))}
    frames["a"][:, 0, 0, 0] = np.arange(9)
    stacked = stack(frames)
    assert stacked.shape == (9, 8, 6, 3) and (stacked[:, 4:, 4:] == 128).all()
    strip = filmstrip(stacked, 3)
    assert strip.shape == (8, 3 * 6 + 2 * 2, 3)
    assert [int(strip[0, column, 0]) for column in (0, 8, 16)] == [0, 4, 8]
    assert filmstrip(stacked[:1], 6).shape == (8, 6, 3)
    with pytest.raises(ShapeError, match="equal"):
        stack({"a": frames["a"], "b": frames["b"][:3]})
    with pytest.raises(ShapeError):
        stack({"a": frames["a"][:0]})


def test_clip_files_carry_arm_task_and_seed(tmp_path):
    item = Episode(
        arm="policy", task="reach", seed=3, instruction="go", told="reach", success=True, followed=True, steps=4
    )
    entry = save_clip(tmp_path, Clip(episode=item, frames={"a": np.zeros((3, 5, 7, 3), np.uint8)}, fps=10.0))
    assert entry["video"] == "videos/policy-reach-3.mp4" and (tmp_path / entry["filmstrip"]).is_file()
    assert Video(tmp_path / entry["video"]).frames([2]).shape == (1, 10, 14, 3)


def test_curves_hold_every_finite_loss():
    (chart,) = training_charts(METRICS)
    assert chart["log"] and [line["name"] for line in chart["lines"]] == ["train/loss"]
    points = [tuple(map(float, pair.split(","))) for pair in chart["lines"][0]["points"].split()]
    assert len(points) <= 200
    assert all(b[1] >= a[1] and b[0] > a[0] for a, b in itertools.pairwise(points))
    assert all(chart["left"] <= x <= chart["right"] and 0 <= y <= chart["height"] for x, y in points)
    assert chart["lines"][0]["last"] == "0.00501"
    assert [tick["text"] for tick in chart["y_ticks"]] == ["0.01", "0.1", "1"]


def test_curves_of_odd_runs():
    assert training_charts([]) == []
    assert training_charts([{"step": 1, "loss": 1.0}]) == []
    assert training_charts([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": True}]) == []
    (flat,) = training_charts([{"step": i, "loss": 0.0} for i in range(3)])
    assert not flat["log"] and len(flat["y_ticks"]) >= 2
    both = training_charts([{"step": i, "loss": 1.0 - i / 9, "loss/kl": 0.1, "validation_loss": 1.0} for i in range(5)])
    assert [chart["title"] for chart in both] == ["Loss", "Terms of the loss"]
    assert {line["name"] for line in both[0]["lines"]} == {"loss", "validation_loss"}


def changed(folder, out, change):
    """A copy of an evaluation with some outcomes or facts changed."""
    shutil.copytree(folder, out)
    rows = [change(item) if item.arm == "policy" else item for item in read_episodes(out / "episodes.jsonl")]
    write_episodes(out / "episodes.jsonl", [row for row in rows if row is not None])
    return read_run(out)


def test_a_run_is_not_distinguishable_from_itself(folder, tmp_path):
    run = read_run(folder)
    found = compare(run, run)
    assert not found["overall"]["distinguishable"] and found["overall"]["difference"] == 0
    assert found["discordant"]["only_first"] == found["discordant"]["only_second"] == 0
    write_comparison(tmp_path, found)
    page = (tmp_path / "compare.html").read_text()
    assert Page(page).stack == [] and "<strong>" not in page and 'class="seen"' not in page
    assert "*" not in (tmp_path / "compare.txt").read_text()
    assert json.loads((tmp_path / "compare.json").read_text()) == found


def test_a_clear_difference_is_set_in_bold_and_a_small_one_is_not(folder, tmp_path):
    worse = changed(folder, tmp_path / "worse", lambda item: replace(item, success=False))
    better = changed(folder, tmp_path / "better", lambda item: replace(item, success=True))
    found = compare(worse, better)
    assert found["overall"]["distinguishable"] and found["overall"]["text"].startswith("higher by +100 points")
    assert comparison_text(found).count("*") == 3
    write_comparison(tmp_path, found)
    assert "<strong>" in (tmp_path / "compare.html").read_text()
    slightly = changed(folder, tmp_path / "s", lambda i: replace(i, success=i.seed % 8 != 0))
    small = compare(slightly, better)
    assert small["overall"]["difference"] == 0.125 and not small["overall"]["distinguishable"]
    assert small["overall"]["planned_n"] > 16 and "*" not in comparison_text(small)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda i: replace(i, task="other"), "tasks:"),
        (lambda i: replace(i, seed=i.seed + 1), "seeds:"),
        (lambda i: None if i.seed == 1_000_000 else i, "seeds:"),
        (lambda i: replace(i, instruction="else"), "sentences:"),
    ],
)
def test_other_episodes_cannot_be_compared(folder, tmp_path, change, reason):
    if reason == "tasks:":
        shutil.copytree(folder, tmp_path / "b")
        rows = [replace(i, task=f"{i.task}-2") for i in read_episodes(folder / "episodes.jsonl")]
        write_episodes(tmp_path / "b/episodes.jsonl", rows)
        other = read_run(tmp_path / "b")
    else:
        other = changed(folder, tmp_path / "b", change)
    with pytest.raises(ComparisonError, match=reason) as caught:
        compare(read_run(folder), other)
    assert str(folder) in str(caught.value) and str(tmp_path / "b") in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("provenance", "evaluated", "profile"), "other", "pictures: profile"),
        (("provenance", "evaluated", "versions"), {"toy": "2"}, "pictures: toy"),
        (("config", "horizon"), 77, "horizon: 0 against 77"),
    ],
)
def test_other_settings_cannot_be_compared(folder, tmp_path, path, value, reason):
    run = read_run(folder)
    report = json.loads(json.dumps(run.report))
    place = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ComparisonError, match=reason):
        compare(run, replace(run, name="second", report=report))


def test_result_files_keep_the_shared_keys(folder, tmp_path):
    report = json.loads((folder / "report.json").read_text())
    write_result(tmp_path / "r.json", report, experiment="toy")
    found = read_result(tmp_path / "r.json")
    assert found == result_of(report, experiment="toy") and set(found) == {*SHARED_KEYS, "experiment"}
    assert set(found["controls"]["blank_image"]) == {"success_rate", "n", "interval"}
    del report["commit"]
    with pytest.raises(ConfigError, match="commit"):
        write_result(tmp_path / "other.json", report)
    assert not (tmp_path / "other.json").exists()
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(CorruptFileError, match="success_rate"):
        read_result(tmp_path / "r.json")


def test_facts_do_not_change_between_calls():
    assert run_facts("x") == run_facts("x")
    assert re.fullmatch(r"[0-9a-f]{40}( with local changes)?|unknown", commit())
    assert hardware()["cores"].split()[0].isdigit()
