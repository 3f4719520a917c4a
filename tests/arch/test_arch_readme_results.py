"""docs/results.md says what the files in results/ say: it is written by a script, never by hand."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_readme_of_results_is_what_the_files_say():
    done = subprocess.run([sys.executable, "benchmarks/draw_results.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "docs/results.md is out of date: python benchmarks/draw_results.py"


def test_readme_of_the_zoo_is_what_the_files_say():
    done = subprocess.run([sys.executable, "benchmarks/draw_zoo.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "docs/zoo.md is out of date: python benchmarks/draw_zoo.py"


def test_every_rate_states_its_command_and_number_of_episodes():
    found = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "results").rglob("*.json"))}
    rated = {name: result for name, result in found.items() if "success_rate" in result}
    assert len(rated) > 10
    assert [name for name, result in rated.items() if not result.get("command") or "n" not in result] == []
