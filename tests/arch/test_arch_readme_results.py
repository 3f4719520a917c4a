"""docs/results.md says what the files in results/ say: it is written by a script, never by hand."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_readme_of_results_is_what_the_files_say():
    done = subprocess.run([sys.executable, "benchmarks/draw_results.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "docs/results.md is out of date: python benchmarks/draw_results.py"


def test_every_result_states_its_command():
    files = sorted((ROOT / "results").rglob("*.json"))
    assert [path.name for path in files if not json.loads(path.read_text()).get("command")] == []
