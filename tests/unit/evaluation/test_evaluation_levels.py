"""The L1-L5 card: graded by the lower end, decided by the weakest cell, honest about what was not measured."""

import json

import pytest

from embodia.cli.main import main
from embodia.core.errors import ConfigError, CorruptFileError, MissingFileError, UnknownNameError
from embodia.evaluation.cards import levels
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry


def rate(successes, n=100):
    return Rate(successes=successes, n=n)


def all_cells(successes, n=100, **other):
    return {**{name: rate(successes, n) for name in levels.CONDITIONS}, **other}


def test_the_twelve_cells_are_each_filled_by_one_condition():
    cells = {(c.ability, c.dimension) for c in levels.CONDITIONS.values()}
    assert cells == {(a, d) for a in levels.ABILITIES for d in levels.DIMENSIONS} and len(levels.CONDITIONS) == 12


@pytest.mark.parametrize(
    ("successes", "n", "level"),
    [(0, 100, 0), (9, 50, 0), (20, 100, 1), (45, 100, 2), (75, 100, 3), (90, 100, 3), (95, 100, 4), (500, 500, 5)],
)
def test_the_lower_end_of_the_interval_counts(successes, n, level):
    assert levels.level_of(rate(successes, n)) == level
    low = rate(successes, n).interval[0]
    assert level == sum(low >= bar for bar in levels.BARS)


def test_few_episodes_cannot_reach_a_high_level():
    assert levels.level_of(rate(5, 5)) == 2 and levels.level_of(rate(20, 20)) == 3
    assert levels.level_of(rate(0, 0)) == 0


def test_the_weakest_cell_decides():
    card = levels.level_card(all_cells(99, 100, memory=rate(45)))
    assert card["level"] == card["at_most"] == 2 and card["missing"] == []
    assert card["abilities"]["perception"]["level"] == 2 and card["abilities"]["skill"]["level"] == 4


def test_what_was_not_measured_is_not_graded():
    measured = all_cells(99)
    del measured["other_body"]
    card = levels.level_card({**measured, "new_skill": rate(0, 0)})
    assert card["level"] == 0 and card["at_most"] == 4 and card["missing"] == ["other_body", "new_skill"]
    assert card["abilities"]["skill"] == {"level": 0, "at_most": 4, "measured": 1}
    text = levels.card_text(card)
    assert "not graded, at most L4 (10 cells measured)" in text and text.count("not measured") == 2
    assert levels.card_text(levels.level_card({})).startswith("Manipulation: not graded, at most L5 (0 cells")


def test_a_measured_failure_is_below_level_one():
    assert levels.card_text(levels.level_card(all_cells(0))).startswith("Manipulation: below L1")
    assert levels.card_text(levels.level_card(all_cells(99), "mobility")).startswith("Mobility: L4")


def test_other_names_are_refused():
    with pytest.raises(UnknownNameError, match="memory"):
        levels.level_card({"memori": rate(1)})
    with pytest.raises(UnknownNameError, match="mobility"):
        levels.level_card({}, "mobilty")


def report(successes, n=40, **more):
    return {**rate_entry(rate(successes, n)), **more}


def test_an_ordinary_evaluation_fills_three_cells():
    follows = [{"follows": rate_entry(rate(6, 10))}, {"follows": rate_entry(rate(10, 10))}]
    found = levels.rates_of_report(report(36, config={"sentences": "held_out"}, language=follows))
    assert found == {"unseen_places": rate(36, 40), "wording": rate(36, 40), "other_sentence": rate(16, 20)}
    assert set(levels.rates_of_report(report(36, config={"sentences": "train"}, language=[]))) == {"unseen_places"}


def test_words_of_the_command_line(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/report.json").write_text(json.dumps(report(36, config={"sentences": "held_out"})))
    (tmp_path / "b.json").write_text(json.dumps(report(10)))
    found = levels.read_measured([str(tmp_path / "a"), f"look={tmp_path / 'b.json'}", f"wording={tmp_path / 'b.json'}"])
    assert found == {"unseen_places": rate(36, 40), "wording": rate(10, 40), "look": rate(10, 40)}
    assert main(["report", str(tmp_path / "a"), f"look={tmp_path / 'b.json'}", "--levels", "manipulation"]) == 0
    assert "at most L1" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "a"), "--levels", "manipulation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"][6]["level"] == 3
    with pytest.raises(UnknownNameError, match="look"):
        levels.read_measured([f"loks={tmp_path / 'b.json'}"])
    with pytest.raises(MissingFileError):
        levels.read_measured([str(tmp_path / "nowhere")])
    with pytest.raises(ConfigError):
        levels.read_measured([])
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(CorruptFileError):
        levels.read_measured([str(tmp_path / "c.json")])


def battery(successes):
    rows = [{"name": code, "shifted": rate_entry(rate(successes, 20))} for code in sum(levels.AXES.values(), ())]
    unseen = {level: rate_entry(rate(4, 10)) for level in ("seen", "level 1", "level 2")}
    return {"axes": [*rows, {"name": "VB-SYM", "shifted": rate_entry(rate(0, 20))}], "levels": unseen}


def test_a_battery_of_generalisation_fills_its_cells():
    found = levels.rates_of_battery(battery(15))
    assert found["wording"] == rate(75, 100) and found["disturbed_senses"] == rate(15, 20)
    assert found["unseen_tasks"] == rate(8, 20)
    assert set(levels.CONDITIONS) - set(found) == {"memory", "chains", "new_skill"}


def test_the_axes_of_the_card_are_axes():
    from embodia.envs.desk.knobs import KNOBS

    codes = sum(levels.AXES.values(), ())
    assert set(codes) <= set(KNOBS) and len(codes) == len(set(codes)) and set(levels.AXES) <= set(levels.CONDITIONS)


def test_axes_that_were_not_played_leave_their_cell_empty():
    found = battery(15)
    found["axes"] = [row for row in found["axes"] if row["name"] != "V-AUG"]
    next(row for row in found["axes"] if row["name"] == "VB-ROB")["shifted"] = rate_entry(rate(0, 0))
    measured = levels.rates_of_battery({"axes": found["axes"]})
    assert not {"disturbed_senses", "other_body", "unseen_tasks"} & set(measured)


def test_a_battery_is_read_from_its_result_file(tmp_path):
    (tmp_path / "g.json").write_text(json.dumps({**rate_entry(rate(1, 2)), "policy": battery(10)}))
    (tmp_path / "m.json").write_text(json.dumps(report(10)))
    found = levels.read_measured([str(tmp_path / "g.json"), f"memory={tmp_path / 'm.json'}"])
    assert found["dynamics"] == rate(20, 40) and found["memory"] == rate(10, 40)
