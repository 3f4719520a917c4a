"""The command line: teaches, answers typos, starts fast, and turns errors into one line."""

import json
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from embodia.cli import main as entry
from embodia.cli.papers import headers, papers_page

ROOT = Path(__file__).resolve().parents[3]
FROZEN = Path(__file__).with_name("options.json")


def options_of(kind):
    found = {}
    for field in fields(kind):
        default = field.default if isinstance(field.default, str | int | float | bool | None) else str(field.default)
        found[field.name] = "required" if "MISSING" in str(default) else default
    return found


def test_overview_names_every_verb():
    text = entry.overview()
    assert all(f"  {verb} " in text for verb in entry.VERBS.names())


def test_help_starts_without_heavy_imports():
    code = "import sys; from embodia.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


def test_version(capsys):
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("embodia ")


@pytest.mark.parametrize("verb", entry.VERBS.names())
def test_every_verb_teaches_by_example(verb, capsys):
    module = entry.VERBS.load(verb)
    assert is_dataclass(module.Options) and all(f" {verb} " in f"{text} " for text in module.EXAMPLES)
    with pytest.raises(SystemExit) as stopped:
        entry.main([verb, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert stopped.value.code == 0
    assert "Examples:" in shown and module.EXAMPLES[0].split()[1] in shown


@pytest.mark.parametrize("verb", entry.VERBS.names())
def test_examples_parse(verb):
    module = entry.VERBS.load(verb)
    for example in module.EXAMPLES:
        words = example.split(f"embodia {verb}")[-1] if "torchrun" not in example else example.split(f" {verb} ")[-1]
        assert is_dataclass(entry.parse(module, verb, [word.strip('"') for word in split(words)]))


def split(words):
    import shlex

    return shlex.split(words)


def test_a_typo_in_a_verb_is_answered_with_the_nearest(capsys):
    assert entry.main(["evalute"]) == 2
    assert "Did you mean 'evaluate'?" in capsys.readouterr().err


def test_a_typo_in_an_option_is_answered_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as stopped:
        entry.main(["where", "--jsn"])
    assert stopped.value.code == 2
    assert "--json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["where", "pi00"], "Did you mean 'pi0'?"),
        (["envs", "metawrld"], "Did you mean 'metaworld'?"),
        (["policies", "--explain", "atc"], "Did you mean 'act'?"),
        (["report", "nowhere"], "nowhere"),
        (["data", "info", "nowhere"], "nowhere"),
        (["compare", "nowhere", "elsewhere"], "nowhere"),
    ],
)
def test_errors_are_one_line_with_place_and_cure(words, message, capsys):
    assert entry.main(words) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown and shown.startswith(f"embodia {words[0]}: [E")


def test_debug_shows_the_trace():
    with pytest.raises(Exception, match="E101"):
        entry.main(["where", "nothing_like_it", "--debug"])


def test_options_are_frozen():
    found = {verb: options_of(entry.VERBS.load(verb).Options) for verb in entry.VERBS.names()}
    assert json.loads(json.dumps(found, default=str)) == json.loads(FROZEN.read_text())


def test_where_finds_by_name_title_and_number(capsys):
    for text in ("pi0", "flow model for general robot", "2410.24164"):
        assert entry.main(["where", text]) == 0
        assert "policies/pi0.py" in capsys.readouterr().out


def test_where_as_json(capsys):
    entry.main(["where", "act", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found[0]["path"].endswith("policies/act.py") and found[0]["Year"] == "2023"


def test_papers_page_is_up_to_date():
    assert (ROOT / "docs" / "papers.md").read_text(encoding="utf-8") == papers_page()


def test_result_files_named_in_headers_exist():
    import re

    for header in headers():
        for name in re.findall(r"results/[\w/]+\.json", header.fields["Ours"]):
            assert (ROOT / name).is_file(), f"{header.path} names {name}"


def test_check_as_json(capsys):
    entry.main(["check", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert {"python", "torch", "drawing", "disk"} <= facts.keys()


def test_explain_shows_who_attends_to_whom(capsys):
    assert entry.main(["policies", "--explain", "pi0"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    columns = rows["looks"][3:]
    assert rows["image"][1 + columns.index("action")] == "."
    assert rows["action"][1 + columns.index("image")] == "full"


def test_offline_check_sees_a_policy_that_calls_home(capsys, monkeypatch):
    import socket

    from embodia import policies

    assert entry.main(["policies", "--offline-check"]) == 0
    assert "FAILED" not in capsys.readouterr().out
    monkeypatch.setattr(policies, "make", lambda spec: socket.create_connection(("127.0.0.1", 9)))
    assert entry.main(["policies", "--offline-check"]) == 1
    assert "network access" in capsys.readouterr().out


def test_a_contract_is_read_from_its_own_json(tmp_path):
    from embodia.cli.verbs.data import read_contract
    from embodia.core.config import to_json
    from embodia.core.errors import EmbodiaError
    from embodia.envs import EnvConfig, make

    contract, path = make("metaworld", EnvConfig()).contract, tmp_path / "arm.json"
    path.write_text(json.dumps(to_json(contract)))
    assert read_contract(path) == contract
    path.write_text(json.dumps({**to_json(contract), "embodiment": 7}))
    with pytest.raises(EmbodiaError, match=r"arm\.json"):
        read_contract(path)


def test_a_cure_in_brackets_is_printed_whole(monkeypatch, capsys):
    from embodia.cli.verbs import check

    monkeypatch.setenv("COLUMNS", "200")
    check._table([check.Fact(name="libero", value="not installed", cure="pip install -e '.[libero]'", needed=False)])
    assert "pip install -e '.[libero]'" in capsys.readouterr().out


def test_recipes_are_listed_and_built(capsys):
    from embodia.cli.recipes import FOLDER

    assert entry.main(["run"]) == 0
    shown = capsys.readouterr().out
    for name in FOLDER.names():
        recipe = FOLDER.load(name).recipe()
        assert name in shown and set(recipe.evaluate.tasks) <= set(recipe.collect.env.tasks)


def test_an_unknown_recipe_is_answered_with_the_nearest(capsys):
    assert entry.main(["run", "metaworld_mt5"]) != 0
    assert "metaworld_mt50" in capsys.readouterr().err
