"""The zoo: one protocol for all, verdicts by intervals, a page that only repeats files, and one policy all the way."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from embodia.core.errors import CorruptFileError
from embodia.envs import make
from embodia.evaluation.episodes import Episode
from embodia.evaluation.results import read_result
from embodia.evaluation.statistics import Rate
from embodia.evaluation.zoo import bench, page, protocol, relatives, rows
from embodia.evaluation.zoo.eyes import taught_eyes
from embodia.evaluation.zoo.protocol import TASKS, ZooConfig, data_fingerprint, eyes_fingerprint, fingerprint
from embodia.policies import FOLDER


def entry(successes, n):
    return {"success_rate": successes / n, "n": n, "interval": list(Rate(successes=successes, n=n).interval)}


def result(name="act", successes=150, sentence=4, blank=2, samples=60_000, **further):
    return {
        **entry(successes, 200),
        "controls": {"other_sentence": entry(sentence, 80), "blank_image": entry(blank, 80)},
        "per_task": {},
        "families": {"reach": {"success_rate": 0.9, "n": 40}, "push": {"success_rate": 0.6, "n": 40}},
        "policy": {"name": name, "size": "tiny", "parameters": 3_800_000},
        "training": {"samples": samples, "samples_per_second": 200.0},
        "decision": {"p50_ms": 4.25},
        "protocol": "aaaa",
        **{"seconds": 1.0, "versions": {}, "seed": 0, "hardware": {}, "notes": [], "commit": "c"},
        "command": f"embodia bench zoo --policy {name}",
        **further,
    }


def test_every_task_has_a_partner_of_the_zoo_in_its_scenes():
    env = make("desk", protocol.environment(ZooConfig()))
    for task in TASKS:
        assert set(env.scene_partners(task)) & set(TASKS), task
    assert len({task.split("/")[0] for task in TASKS}) == 5


def test_judged_seeds_and_wordings_are_new():
    config = ZooConfig()
    collected = protocol.collecting(config, 1)
    judged = protocol.judging(config)
    assert judged.first_seed > collected.first_seed + collected.tries * collected.episodes
    assert judged.sentences == "held_out" and set(judged.controls) == {"other_sentence", "blank_image"}
    assert collected.answers and collected.env.options == {"senses": "rgb"}
    assert protocol.training(config).max_seconds == 300.0 and protocol.training(config).samples is None


def test_a_fingerprint_tells_protocols_apart_and_nothing_else():
    config = ZooConfig()
    assert fingerprint(config) == fingerprint(ZooConfig())
    assert protocol.collecting(config, 1) != protocol.collecting(config, 2)
    others = ({"minutes": 1.0}, {"eye_minutes": 1.0}, {"episodes": 9}, {"learning_rate": 3e-4})
    for changed in (replace(config, **other) for other in others):
        assert fingerprint(changed) != fingerprint(config) and data_fingerprint(changed) == data_fingerprint(config)
    assert data_fingerprint(replace(config, demonstrations=9)) != data_fingerprint(config)


@pytest.mark.parametrize(
    ("successes", "sentence", "blank", "verdict"),
    [
        (150, 4, 2, "learns"),
        (150, 60, 2, "may not listen"),
        (150, 4, 60, "may not look"),
        (10, 4, 4, "may not listen, may not look"),
        (0, 0, 0, "may not listen, may not look"),
    ],
)
def test_a_policy_learns_when_its_interval_lies_above_its_controls(successes, sentence, blank, verdict):
    assert rows.learns(result(successes=successes, sentence=sentence, blank=blank)) == verdict


def test_the_verdict_needs_certainty_and_not_a_better_mean():
    assert rows.learns(result(successes=20, sentence=4, blank=0)) == "may not listen"
    assert rows.learns(result(successes=40, sentence=4, blank=0)) == "learns"


def test_rows_come_from_files_the_best_first(tmp_path):
    for name, successes in (("weak", 20), ("strong", 180), ("middle", 100)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(name, successes)))
    found = rows.read_rows(tmp_path)
    assert [row.name for row in found] == ["strong", "middle", "weak"]
    assert found[0].rate == Rate(successes=180, n=200) and found[0].controls["blank_image"].n == 80
    assert found[1].families["push"].value == pytest.approx(0.6)
    assert rows.protocols(found) == ("aaaa",)


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(CorruptFileError, match=r"bad\.json"):
        rows.read_rows(tmp_path)


def test_only_a_result_of_this_protocol_counts_as_measured(tmp_path):
    config, path = ZooConfig(), tmp_path / "act.json"
    assert not bench.measured(path, config)
    path.write_text(json.dumps(result(protocol=fingerprint(config))))
    assert bench.measured(path, config) and not bench.measured(path, replace(config, minutes=1.0))


COMPOSITIONS = {
    "a": "vis.resnet(18) -> bb.encoder(4) -> head.regress(7)",
    "b": "vis.resnet(18) -> bb.encoder(2) -> head.regress(1)",
    "c": "vis.siglip -> bb.encoder -> head.flow(10)",
    "d": "vis.siglip -> bb.encoder -> head.flow(5)",
}


def zoo_of(**successes):
    return [rows.row_of(result(name, count)) for name, count in successes.items()]


def test_groups_are_the_parts_that_two_policies_share():
    found = page.grouped(zoo_of(a=150, b=148, c=40, d=38), COMPOSITIONS, "head")
    assert {part: [row.name for row in inside] for part, inside in found.items()} == {
        "head.regress": ["a", "b"],
        "head.flow": ["c", "d"],
    }
    assert page.grouped(zoo_of(a=150, c=40), COMPOSITIONS, "head") == {}


def test_a_policy_is_one_observation_in_a_comparison():
    mean, (low, high) = page.mean_rate(zoo_of(a=150, b=148))
    values = np.array([0.75, 0.74])
    half = 12.706 * values.std(ddof=1) / np.sqrt(2)
    assert mean == pytest.approx(0.745) and (low, high) == (
        pytest.approx(0.745 - half, abs=1e-3),
        pytest.approx(0.745 + half, abs=1e-3),
    )
    assert page.mean_rate(zoo_of(a=190, b=40))[1] == (0.0, 1.0)


def test_the_page_names_differences_only_where_intervals_part():
    clear = page.page(zoo_of(a=150, b=150, c=40, d=40), COMPOSITIONS)
    assert "- `head.regress` above `head.flow`" in clear and "vis.resnet" not in clear
    vague = page.page(zoo_of(a=190, b=60, c=150, d=30), COMPOSITIONS)
    assert "above `head" not in vague and "No two of these can be told apart." in vague


def test_the_page_repeats_the_files():
    text = page.page(zoo_of(a=150, b=10), COMPOSITIONS)
    assert "1 of 2 do." in text and "**75 % (69-80)**" in text and "may not listen, may not look" in text
    assert "3.80 M" in text and "60,000" in text and "[a](../results/zoo/a.json)" in text
    assert "protocol |" not in text
    mixed = [rows.row_of(result("a")), rows.row_of(result("b", protocol="bbbb"))]
    assert "protocol |" in page.page(mixed, COMPOSITIONS) and "2 protocols" in page.page(mixed, COMPOSITIONS)


def played(name, marks):
    return rows.row_of(result(name, marks.count("1"), outcomes={"reach/a": marks}))


def test_relatives_are_compared_on_the_same_episodes():
    first, second = "1" * 40 + "0" * 160, "0" * 10 + "1" * 90 + "0" * 100
    ((pair, verdict),) = relatives.compared([played("bet", first), played("vq_bet", second), played("act", first)])
    assert (pair.first, pair.second) == ("bet", "vq_bet") and verdict.paired
    assert verdict.difference == pytest.approx(0.25) and (verdict.loss, verdict.gain) == (0.05, 0.3)
    assert verdict.p_value == pytest.approx(binomtest(10, 70).pvalue, rel=1e-6)


def test_more_pairs_make_each_harder_to_tell_apart():
    few, more = "1" * 20 + "0" * 180, "1" * 28 + "0" * 172
    alone = relatives.compared([played("bet", few), played("vq_bet", more)])
    crowd = relatives.compared([played(n, few) for n in ("bet", "pi0", "gr1", "openvla")] + [played("vq_bet", more)])
    assert alone[0][1].distinguishable and len(crowd) == 1
    many = [
        played(n, few) for n in ("bet", "openvla", "pi0_fast", "pi0", "smolvla", "ecot", "pi05", "gr3", "rt_h", "rad")
    ]
    verdicts = {pair.second: verdict for pair, verdict in relatives.compared([*many, played("vq_bet", more)])}
    assert len(verdicts) > 7 and not verdicts["vq_bet"].distinguishable


def test_policies_share_a_letter_where_nothing_tells_them_apart():
    letters = relatives.letters(
        [played("a", "1" * 180 + "0" * 20), played("b", "1" * 176 + "0" * 24), played("c", "0" * 200)]
    )
    assert letters["a"] == letters["b"] != letters["c"]
    assert relatives.letters([rows.row_of(result("old"))]) == {}


def test_relatives_are_policies():
    known = set(FOLDER.names())
    assert {name for pair in relatives.RELATIVES for name in (pair.first, pair.second)} <= known
    assert all(pair.choice.count(";") >= 1 and ":" in pair.choice for pair in relatives.RELATIVES)


def test_marks_are_the_policys_own_in_the_order_of_the_seeds():
    def one(arm, task, seed, success):
        said = {"instruction": "x", "told": task, "followed": success, "steps": 1}
        return Episode(arm=arm, task=task, seed=seed, success=success, **said)

    table = [one("policy", "b", 2, True), one("policy", "b", 1, False), one("policy", "a", 1, True)]
    assert bench.marks([*table, one("blank_image", "b", 3, True)]) == {"a": "1", "b": "01"}


def test_the_page_says_what_one_choice_makes():
    text = page.page([played("bet", "1" * 50 + "0" * 150), played("vq_bet", "1" * 100 + "0" * 100)], {})
    assert "| bet | vq_bet | action words" in text and "+25 (+20 to +31) | clear |  |  |" in text
    assert "One choice apart" not in page.page(zoo_of(a=1, b=2), COMPOSITIONS)


def test_scatter_is_pooled_over_trainings_and_carried_over():
    again = [rows.row_of(result(name, count, zoo={"seed": 1})) for name, count in (("a", 140), ("b", 104), ("x", 7))]
    again.append(rows.row_of(result("a", 160, zoo={"seed": 2})))
    found = relatives.scatter(zoo_of(a=150, b=100, c=40), again)
    assert found.freedom == 3 and found.trainings == {"a": (0.75, 0.7, 0.8), "b": (0.5, 0.52), "c": (0.2,)}
    assert found.deviation == pytest.approx(np.sqrt((2 * 0.05**2 + 2 * 0.01**2) / 3))
    difference, half = found.difference("a", "b")
    assert difference == pytest.approx(0.51 - 0.75)
    assert half == pytest.approx(3.182446 * found.deviation * np.sqrt(1 / 3 + 1 / 2), rel=1e-5)
    assert relatives.scatter(zoo_of(a=1), [rows.row_of(result("x"))]) is None
    assert relatives.scatter(zoo_of(a=150), zoo_of(a=140)) is None, "the same seed is not another training"


def test_the_page_says_what_training_again_moves():
    first = zoo_of(a=150, b=100, c=40)
    again = [rows.row_of(result(name, count, zoo={"seed": 1})) for name, count in (("a", 140), ("b", 104))]
    text = page.page(first, COMPOSITIONS, again=again)
    pooled = 100 * np.sqrt((0.05**2 / 2 + 0.02**2 / 2) / 2)
    assert f"by {pooled:.1f} points" in text and "over 2\npolicies, 2 trainings" in text
    assert "| a | 75 %, 70 % |" in text and "| c | 20 % |" not in text
    assert again[0].seed == 1 and first[0].seed == 0
    assert "Trained again" not in page.page(first, COMPOSITIONS)


def test_two_policies_may_be_told_apart_and_their_designs_not():
    first = [played("bet", "1" * 60 + "0" * 140), played("vq_bet", "1" * 100 + "0" * 100)]
    again = [rows.row_of(result("bet", count, zoo={"seed": seed})) for seed, count in ((1, 100), (2, 80))]
    text = page.page(first, {}, again=again)
    (line,) = [line for line in text.splitlines() if line.startswith("| bet | vq_bet")]
    assert line.endswith("| +20 (+15 to +26) | clear | +10 (-40 to +60) | not told apart |")


def test_another_seed_is_another_protocol_with_the_same_eyes_and_demonstrations():
    one, other = ZooConfig(), ZooConfig(seed=1)
    assert fingerprint(one) != fingerprint(other)
    assert eyes_fingerprint(one) == eyes_fingerprint(other) and data_fingerprint(one) == data_fingerprint(other)
    assert protocol.training(other).seed == 1


def test_families_add_their_tasks():
    per_task = {"reach/a": entry(8, 10), "reach/b": entry(2, 10), "push/a": entry(5, 5)}
    found = bench.families(per_task)
    assert found["reach"] == {"success_rate": 0.5, "n": 20} and found["push"] == {"success_rate": 1.0, "n": 5}


def test_more_senses_are_another_recording_of_the_same_protocol():
    config = ZooConfig()
    assert data_fingerprint(config, protocol.SENSED) != data_fingerprint(config)
    keys = {sense.key for sense in bench.contract_of(config, protocol.SENSED).observation.senses}
    assert keys == {"depth.across", "depth.wrist", "points", "wrench", "touch"}
    assert bench.contract_of(config, protocol.PLAIN).observation.senses == ()


@pytest.mark.parametrize(
    ("sizes", "senses"), [((5, 5), protocol.PLAIN), ((5, 7), protocol.SENSED), ((None, 7), protocol.SENSED)]
)
def test_a_policy_gets_the_senses_that_change_it(monkeypatch, sizes, senses):
    found = dict(zip((False, True), sizes, strict=True))
    monkeypatch.setattr(bench, "_outlined", lambda name, size, contract: found[bool(contract.observation.senses)])
    assert bench.senses_of("any", ZooConfig()) == senses


def test_a_policy_of_pictures_needs_no_more():
    assert bench.senses_of("act", ZooConfig()) == protocol.PLAIN


def test_eyes_are_taught_by_the_recipe_of_all_for_their_own_time():
    config = ZooConfig(eye_minutes=3.0)
    assert protocol.teaching(config) == replace(protocol.training(config), max_seconds=180.0)
    assert protocol.training(config, ("a", "b")).eyes_from == ("a", "b")
    assert eyes_fingerprint(config) == eyes_fingerprint(replace(config, minutes=9.0, episodes=3))
    assert eyes_fingerprint(config) != eyes_fingerprint(ZooConfig()) != eyes_fingerprint(ZooConfig(demonstrations=9))
    assert taught_eyes(replace(config, eye_minutes=0.0), None, None) == ()


def test_the_table_says_whose_eyes_were_taught():
    taught, own = rows.row_of(result("a", taught_eyes=["encoders.image"])), rows.row_of(result("b", taught_eyes=[]))
    assert (taught.taught, own.taught) == (True, False)
    lines = page.page([taught, own], COMPOSITIONS).splitlines()
    assert [line.count("| taught |") for line in lines if line.startswith("| [")] == [1, 0]


def test_the_page_sets_taught_eyes_beside_own_ones():
    own = [rows.row_of(result("a", 40)), rows.row_of(result("b", 10))]
    taught = rows.row_of(result("a", 80, taught_eyes=["encoders.image"]))
    text = page.page([taught], COMPOSITIONS, own)
    assert "| a | 20 % (15-26) | 40 % (33-47) |" in text and "| b |" not in text
    assert "## Taught eyes" not in page.page([taught], COMPOSITIONS)


@pytest.mark.sim
def test_one_policy_all_the_way(tmp_path):
    config = ZooConfig(
        tasks=TASKS[:2],
        minutes=0.02,
        eye_minutes=0.01,
        demonstrations=1,
        episodes=1,
        control_episodes=1,
        batch_size=4,
    )
    told = []
    hook = lambda stage, done, total: told.append(stage.split("|")[0].strip())  # noqa: E731
    data = bench.demonstrations(config, tmp_path, hook)
    path = tmp_path / "results" / "act.json"
    eyes = taught_eyes(config, tmp_path, hook)
    assert eyes == taught_eyes(config, tmp_path, lambda *_: pytest.fail("taught twice")) and len(eyes) == 2
    bench.measure("act", config, data, tmp_path / "act", path, hook, eyes=eyes)
    found = read_result(path)
    assert found["taught_eyes"] == ["encoders.image"]
    assert {
        "episodes",
        "teach usual eyes",
        "teach quick eyes",
        "train act",
        "policy",
        "other_sentence",
        "blank_image",
    } <= set(told)
    assert found["n"] == 2 and found["training"]["samples"] % 4 == 0 and found["training"]["samples"] > 0
    assert 1.2 <= found["training"]["processor_seconds"] < 30 and found["policy"]["parameters"] > 1e6
    assert found["protocol"] == fingerprint(config) and bench.measured(path, config)
    assert found["command"] == "embodia bench zoo --policy act --minutes 0.02"
    assert found["verdict"] == "may not listen, may not look"
    rehearsed = bench.rehearse("act", config, data)
    assert rehearsed.parameters == found["policy"]["parameters"] and rehearsed.decision_s > 0
    assert rehearsed.samples_per_s == pytest.approx(4 / rehearsed.step_s)


def test_stored_results_are_of_the_protocol_that_is_run():
    paths = sorted((Path(__file__).parents[3] / "results" / "zoo").glob("*.json"))
    assert paths
    assert {path.name: read_result(path)["protocol"] for path in paths} == {
        path.name: fingerprint(ZooConfig()) for path in paths
    }
