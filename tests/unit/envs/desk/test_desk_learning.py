"""A small policy learns three language tasks of the desk on one core in minutes: the recipe, its result, the proof."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia_recipes import desk

from embodia.envs.desk import tasks
from embodia.evaluation.results import read_result

ROOT = Path(__file__).parents[4]
RESULT = ROOT / "results" / "desk_learning.json"


def test_the_recipe_asks_for_pairs_that_share_a_scene_and_are_trained():
    recipe = desk.recipe()
    assert recipe.collect.env.tasks == recipe.evaluate.tasks == desk.TASKS
    for name in desk.TASKS:
        task = tasks.get(name)
        assert not task.held_out
        assert set(task.partners) & set(desk.TASKS), name
    assert {tasks.get(name).family for name in desk.TASKS} == {"reach", "push", "button"}


def check(result):
    """What the learning check promises, for a result file."""
    assert result["n"] >= 180 and result["success_rate"] >= 0.8
    assert set(result["families"]) == {"reach", "push", "button"}
    for name, entry in result["families"].items():
        assert entry["success_rate"] >= 0.75, name
    assert {"blank_image", "other_sentence", "blind_replay", "random_policy"} <= set(result["controls"])
    for name, entry in result["controls"].items():
        assert entry["interval"][1] < result["interval"][0], name


def test_the_result_on_file_keeps_its_promise():
    result = read_result(RESULT)
    check(result)
    assert all(entry["success_rate"] >= 0.8 for entry in result["families"].values())
    assert result["training"]["processor_seconds"] <= 300


@pytest.mark.long
def test_it_learns_again(tmp_path):
    script = ROOT / "benchmarks" / "desk_learning.py"
    out, result = tmp_path / "run", tmp_path / "result.json"
    arguments = [sys.executable, str(script), "--out", str(out), "--result", str(result)]
    subprocess.run(arguments, check=True, cwd=ROOT, timeout=3600)
    check(read_result(result))
