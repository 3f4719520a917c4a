"""The other verbs in this process: data, envs, policies, where, check, run, and the entry that calls them."""

import json
import re
import subprocess
import sys
import tomllib
import types
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cli_folders import ENV, dots
from embodia_recipes import Recipe, Round

from embodia.cli import main as entry
from embodia.cli import recipes
from embodia.cli.datasets import open_mixture
from embodia.cli.papers import FIELDS, headers, read_header
from embodia.cli.verbs import check, policies, where
from embodia.core.config import to_json
from embodia.core.errors import ConfigError, MissingExtraError, TrainingError, UnknownNameError
from embodia.envs import make
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.takeover import TakeoverConfig
from embodia.training.config import TrainConfig


def call(*words):
    return entry.main([str(word) for word in words])


def told(capsys, *words, status=0):
    assert call(*words) == status
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dots(tmp_path_factory.mktemp("cli") / "data")


def copied(source, target):
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return target


def test_info_counts_what_was_recorded(data, capsys):
    facts = told(capsys, "data", "info", data, "--json")
    assert (facts["episodes"], facts["frames"], facts["rate_hz"]) == (4, 16, 10.0)
    assert facts["tasks"] == {"go-red": 2, "go-blue": 2} and facts["actions"] == "hand_0, hand_1"
    assert call("data", "info", data) == 0
    assert "go-red: 2, go-blue: 2" in capsys.readouterr().out


def test_a_sound_set_says_so(data, capsys):
    assert call("data", "validate", data) == 0
    assert "is sound" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [("*.mp4", "missing_file"), ("data/**/*.parquet", "missing_file"), ("meta/info.json", "missing_file")],
)
def test_a_lost_file_is_found(data, tmp_path, capsys, pattern, kind):
    broken = copied(data, tmp_path / "set")
    lost = next(broken.rglob(pattern)) if "/" not in pattern else next(broken.glob(pattern))
    lost.unlink()
    found = told(capsys, "data", "validate", broken, "--json", status=1)
    assert any(item["kind"] == kind and lost.name in item["file"] for item in found)
    assert {"kind", "message", "file", "leaf", "severity"} <= found[0].keys()


def test_a_foreign_set_needs_its_owners_contract(data, tmp_path, capsys):
    foreign = copied(data, tmp_path / "set")
    (foreign / "meta" / "embodia.json").unlink()
    assert call("data", "validate", foreign) == 1
    assert "give its contract" in capsys.readouterr().out
    contract = tmp_path / "dot.json"
    contract.write_text(json.dumps(to_json(make("dots", ENV).contract)))
    found = told(capsys, "data", "validate", foreign, "--contract", contract, "--json", status=0)
    assert found == []


@pytest.mark.parametrize(("text", "place"), [("{", "dot.json"), ('{"embodiment": "dot"}', "dot.json: Contract")])
def test_a_contract_that_is_none_is_named(data, tmp_path, capsys, text, place):
    (tmp_path / "dot.json").write_text(text)
    assert call("data", "validate", data, "--contract", tmp_path / "dot.json") == 2
    assert place in capsys.readouterr().err


def test_a_mixture_needs_one_ratio_a_set(data):
    assert open_mixture([data, data], (3.0, 1.0)).contract == make("dots", ENV).contract
    with pytest.raises(ConfigError, match="1 ratios for 2"):
        open_mixture([data, data], (1.0,))


def test_every_family_is_listed_installed_or_with_its_cure(capsys):
    found = {item["family"]: item for item in told(capsys, "envs", "--json")}
    assert "dots" in found and len(found) >= 10
    for item in found.values():
        assert item["tasks"] and item["rate_hz"] > 0 if item["installed"] else item["cure"]


def test_a_family_that_is_not_installed_prints_its_cure(capsys, monkeypatch):
    def missing(name, config):
        raise MissingExtraError("not here", cure="pip install it")

    monkeypatch.setattr("embodia.envs.make", missing)
    assert call("envs", "dots") == 0
    assert capsys.readouterr().out.strip() == "dots: not installed. pip install it"


def test_sentences_and_partners_of_a_task(capsys):
    facts = told(capsys, "envs", "dots", "--task", "go-red", "--json")
    assert facts["same_scene"] == ["go-blue", "go-green"]
    assert {split: len(said) for split, said in facts["sentences"].items()} == {
        "canonical": 1,
        "train": 2,
        "held_out": 2,
    }


def test_a_picture_is_what_the_cameras_see(tmp_path, capsys):
    import numpy as np
    from PIL import Image

    path = tmp_path / "dots.png"
    assert call("envs", "dots", "--task", "go-red", "--seed", 5, "--picture", path) == 0
    assert str(path) in capsys.readouterr().out
    from embodia.envs import EnvConfig

    env = make("dots", EnvConfig(height=256, width=256))
    env.reset("go-red", 5)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), env.observe().images["top"][0, 0])


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (("envs", "dost"), "Did you mean 'dots'?"),
        (("envs", "dots", "--task", "go-rad"), "Did you mean 'go-red'?"),
        (("where",), "embodia where pi0"),
        (("where", "difusion_policy"), "Did you mean 'diffusion_policy'?"),
        (("policies", "--speed", "atc"), "Did you mean 'act'?"),
        (("policies", "--explain", "act", "--size", "tinny"), "tiny"),
        (("run", "demmo"), "Did you mean 'demo'?"),
        (("report", "--leaderboard", "x"), "folder is needed"),
    ],
)
def test_a_wrong_word_ends_in_one_line_with_a_cure(words, cure, capsys):
    try:
        status = call(*words)
    except SystemExit as stopped:
        status = stopped.code
    shown = capsys.readouterr().err
    assert status == 2 and cure in shown and "Traceback" not in shown


def test_the_page_of_papers_is_printed_as_it_is_stored(capsys):
    assert call("where", "--page") == 0
    stored = Path(__file__).resolve().parents[3] / "docs" / "papers.md"
    assert capsys.readouterr().out == stored.read_text(encoding="utf-8")


def test_an_exact_name_comes_first():
    found = where.find("act")
    assert found[0].name == "act" and len(found) > 1, "other titles speak of actions"


@pytest.mark.parametrize("header", headers(), ids=lambda header: header.name)
def test_every_header_is_found_by_its_name_and_number(header):
    assert header in where.find(header.name)
    number = header.fields["Source"].split()[-1]
    assert header in where.find(number)


def test_a_header_is_read_without_running_its_file(tmp_path):
    path = tmp_path / "toy.py"
    fields = "\n".join(f"{name}: {name.lower()} of it,\n    in two lines" for name in FIELDS)
    path.write_text(f'"""A toy.\n\n{fields}\n"""\nraise SystemExit\n')
    header = read_header(path, "policies")
    assert header.summary == "A toy." and header.fields["Ours"] == "ours of it, in two lines"
    assert set(header.fields) == set(FIELDS) and header.folder == "policies"


def test_json_of_where_has_every_field(capsys):
    (found, *_) = told(capsys, "where", "pi0", "--json")
    assert {"path", *FIELDS} <= set(found)


def test_without_network_means_without_any_connection():
    import socket

    kept = socket.socket.connect, socket.getaddrinfo
    with policies.no_network():
        for attempt in (lambda: socket.create_connection(("127.0.0.1", 9)), lambda: socket.getaddrinfo("x", 1)):
            with pytest.raises(OSError, match="network access"):
                attempt()
    assert (socket.socket.connect, socket.getaddrinfo) == kept
    with pytest.raises(ValueError), policies.no_network():
        raise ValueError
    assert (socket.socket.connect, socket.getaddrinfo) == kept


PUBLISHED_SMALL = {"bet", "trajectory_transformer"}
"""Designs whose published networks are smaller than one that sees pictures and fills an accelerator."""


def test_larger_sizes_have_more_parameters():
    for row in policies.table(Path("nowhere"), count=True):
        counts = row["parameters"]
        assert 0 < counts["tiny"] < counts["small"], row["name"]
        assert counts["small"] <= counts["paper"] or row["name"] in PUBLISHED_SMALL, row["name"]


def test_a_speed_card_counts_what_was_asked_for(capsys):
    words = ("policies", "--speed", "diffusion_policy", "--decisions", 2, "--pixels", 32, "--watts", 5, "--json")
    card = told(capsys, *words)["diffusion_policy"]
    assert card["decisions"] == 2 and card["parameters"] > 0
    assert card["joules"] == pytest.approx(5 * card["latency_s"]["mean"])


def facts_of(**changes):
    base = {"name": "disk", "value": "1 GiB"}
    return [check.Fact(**{**base, **changes})]


@pytest.mark.parametrize(("changes", "status"), [({}, 0), ({"cure": "buy"}, 1), ({"cure": "buy", "needed": False}, 0)])
def test_only_what_is_needed_and_missing_fails_the_check(changes, status, monkeypatch, capsys):
    for name in ("machine", "accelerator", "packages"):
        monkeypatch.setattr(check, name, list)
    monkeypatch.setattr(check, "drawing", lambda: facts_of(**changes)[0])
    found = told(capsys, "check", "--json", status=status)
    assert found == {"disk": {"value": "1 GiB", "cure": changes.get("cure", "")}}


def test_a_full_disk_and_a_blind_machine_are_told_with_their_cures(monkeypatch):
    monkeypatch.setattr(check.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=2**30))
    assert "free some disk space" in [fact.cure for fact in check.machine()]
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    assert check.drawing().cure.startswith("pip install")
    assert all(fact.value == "not installed" and not fact.needed for fact in check.packages())


@pytest.mark.parametrize("name", check.OPTIONAL)
def test_the_cure_of_a_missing_package_installs_it(name):
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extra = re.fullmatch(r"pip install -e '\.\[(\w+)\]'", check.OPTIONAL[name])[1]
    required = project["optional-dependencies"][extra]
    assert any(line.replace("-", "_").startswith(name) for line in required)


def test_an_interrupted_command_says_how_to_go_on(monkeypatch, capsys):
    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, "run", stop)
    assert call("where", "act") == 130
    assert "collecting and training go on from here with the same command" in capsys.readouterr().err


def test_values_of_an_environment_are_name_and_value():
    assert entry.named_values(["body=arm6", "sentence=a=b", "empty="]) == {
        "body": "arm6",
        "sentence": "a=b",
        "empty": "",
    }
    with pytest.raises(ConfigError, match=r"env_options\.arm6"):
        entry.named_values(["body=arm6", "arm6"])


def test_json_for_programs_is_sorted_and_whole(capsys):
    entry.print_json({"b": [1, None], "a": "\u00fc"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"b": [1, None], "a": "\u00fc"} and text.index('"a"') < text.index('"b"')


def test_a_verb_is_found_with_a_dash_and_never_outside_its_folder(capsys):
    for word in ("os", "../main", "verbs.where", "__init__", "EVALUATE"):
        assert call(word) == 2
        assert "unknown verb" in capsys.readouterr().err


FIRST, TRADED = CollectConfig(episodes=2), CollectConfig(episodes=3)
MENDED = CollectConfig(takeover=TakeoverConfig(policy="whoever", after=(1, 5)))


@pytest.fixture
def stages(monkeypatch):
    """A recipe of which only the order of stages is left; `rounds` are added by a test."""
    said = []
    recipe = Recipe(
        collect=FIRST, policy="act", size="tiny", train=TrainConfig(steps=9, batch_size=8), evaluate=EvalConfig()
    )
    stages = types.SimpleNamespace(said=said, recipe=recipe)
    folder = types.SimpleNamespace(load=lambda name: types.SimpleNamespace(recipe=lambda: stages.recipe))
    monkeypatch.setattr(recipes, "FOLDER", folder)
    monkeypatch.setattr(
        "embodia.generate.collect.collect",
        lambda config, data, **rest: (
            said.append(("collect", data, config, rest["novice"])) or types.SimpleNamespace(episodes=2, failed={})
        ),
    )
    monkeypatch.setattr("embodia.cli.evaluating.novice", lambda run: f"acting {run}")
    monkeypatch.setattr(
        "embodia.cli.datasets.open_mixture", lambda data: types.SimpleNamespace(contract=None, data=data)
    )
    monkeypatch.setattr(
        "embodia.training.loop.train",
        lambda config, spec, mixture, out, progress: (
            said.append(("train", mixture.data, config, out)) or types.SimpleNamespace(samples=8, seconds=1, best=out)
        ),
    )
    monkeypatch.setattr(recipes, "_spread", lambda name, out, number: said.append(("spread", name, number)))
    judge = lambda run, data, plan, out: said.append(("evaluate", run, data)) or {"training_episodes": 3}  # noqa: E731
    monkeypatch.setattr("embodia.cli.evaluating.evaluate_checkpoint", judge)
    monkeypatch.setattr(
        "embodia.training.checkpoint.find", lambda run: run / ("step-3" if run.parent.name == "round2" else "step-5")
    )
    lines = [{"loss": 1.0, "step": step, "seconds": seconds} for step, seconds in ((2, 1.0), (4, 2.4), (8, 4.8))]
    lines.append({"validation_loss": 1.0, "step": 8})
    monkeypatch.setattr("embodia.training.metrics.read", lambda folder: lines)
    write = lambda path, report, training: said.append(("result", path.name, training))  # noqa: E731
    monkeypatch.setattr("embodia.cli.evaluating.write_suite_result", write)
    monkeypatch.setattr("embodia.cli.evaluating.print_report", lambda report, out: said.append(("report",)))
    return stages


@pytest.mark.parametrize(
    ("stage", "order"),
    [
        ("all", ["collect", "spread", "evaluate", "result", "report"]),
        ("collect", ["collect"]),
        ("train", ["train"]),
        ("evaluate", ["evaluate", "result", "report"]),
    ],
)
def test_a_recipe_runs_the_stages_it_is_asked_for_in_order(stages, tmp_path, stage, order):
    recipes.run_recipe("toy", tmp_path, stage)
    assert [item[0] for item in stages.said] == order
    written = [item[1:] for item in stages.said if item[0] == "result"]
    assert written in ([], [("result.json", {"samples": 40, "seconds": 2, "demonstrations": 3})])


def test_a_second_round_collects_from_the_first_ones_policy_and_goes_on_from_its_weights(stages, tmp_path):
    second = Round(collect={"mended": MENDED, "traded": TRADED}, train=TrainConfig(steps=7, batch_size=16))
    stages.recipe = replace(stages.recipe, rounds=(second,))
    run, home = tmp_path / "train", tmp_path / "round2"
    mended = replace(MENDED, takeover=replace(MENDED.takeover, policy=str(run)))
    data = (tmp_path / "data", home / "mended", home / "traded")
    recipes.run_recipe("toy", tmp_path)
    assert stages.said[:-2] == [
        ("collect", data[0], FIRST, None),
        ("spread", "toy", 1),
        ("collect", data[1], mended, f"acting {run}"),
        ("collect", data[2], TRADED, None),
        ("spread", "toy", 2),
        ("evaluate", home / "train", data),
    ]
    spent = {"samples": 5 * 8 + 3 * 16, "seconds": 3, "demonstrations": 3}
    assert stages.said[-2] == ("result", "result.json", spent)
    stages.said.clear()
    recipes.run_recipe("toy", tmp_path, "train", 2)
    assert stages.said == [("train", data, replace(second.train, weights_from=str(run)), home / "train")]
    stages.said.clear()
    recipes.run_recipe("toy", tmp_path, "train")
    assert stages.said == [("train", data[:1], stages.recipe.train, run)]


@pytest.mark.parametrize("number", [0, 2])
def test_a_round_that_a_recipe_does_not_have_is_refused(stages, tmp_path, number):
    with pytest.raises(ConfigError, match="of 1") as caught:
        recipes.run_recipe("toy", tmp_path, "collect", number)
    assert caught.value.leaf == "round" and not stages.said


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 2), (3, 2), (64, 4)])
def test_training_takes_as_many_processes_as_divide_the_batch(monkeypatch, tmp_path, cores, processes):
    ran = []
    monkeypatch.setattr(recipes.os, "cpu_count", lambda: cores)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(
        recipes.subprocess, "run", lambda words, **_: ran.append(words) or subprocess.CompletedProcess(words, 0)
    )
    recipes._spread("toy", tmp_path, 2)
    (words,) = ran
    assert (
        words[-7:] == ["toy", "--stage", "train", "--round", "2", "--out", str(tmp_path)] and words[0] == sys.executable
    )
    assert ("--nproc-per-node" in words) == (processes > 1) and (processes == 1 or str(processes) in words)


def test_training_that_fails_elsewhere_is_an_error_here(monkeypatch, tmp_path):
    monkeypatch.setattr(recipes.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 7))
    with pytest.raises(TrainingError, match="status 7"):
        recipes._spread("toy", tmp_path, 2)


def test_recipes_are_files_of_one_folder():
    with pytest.raises(UnknownNameError):
        recipes.run_recipe("../demo", Path("nowhere"))
