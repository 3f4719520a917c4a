"""Designs by name, variant and family, read off headers and results alone: nothing is built or imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
from test_zoo import result

from embodia.cli import main as entry
from embodia.cli import papers
from embodia.cli.papers import FIELDS, Header, read_header
from embodia.cli.verbs import policies, where

LINES = {
    "vis.resnet(18) -> bb.encoder(4) -> head.regress(7)": "regression",
    "bb.vlm -> tok.uniform(256) + tok.vocab_map -> head.ar, 7 tokens": "action tokens",
    "bb.causal -> tok.kmeans -> head.offset": "action tokens",
    "bb.vlm + bb.mot -> head.flow(chunk 50)": "flow",
    "bb.unet1d -> head.diffusion(predict 16)": "diffusion",
    "vis.dual -> bb.vlm -> head.hybrid(head.diffusion, head.ar)": "hybrid",
    "bb.vlm -> link.latent -> head.diffusion": "two systems",
    "geo.virtual -> head.heatmap": "heat map",
    "subhead.flowery and unlink.ed": "other",
}


@pytest.mark.parametrize(("line", "family"), LINES.items())
def test_the_family_is_read_off_the_composition(line, family):
    assert Header(name="x", folder="policies", summary="", fields={"Composition": line}).family == family


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Two designs of which one has variants."""
    for name, variants in (("rt1", "Variants: RT-1-X (more bodies),\n  RT-1 at three hertz\n"), ("bet", "")):
        fields = "\n".join(f"{field}: {field.lower()} of {name}" for field in FIELDS[:-1])
        text = f'"""{name}.\n\n{fields}\n{variants}Deviations: none\n"""\n'
        (tmp_path / f"{name}.py").write_text(text)
    found = [read_header(path, "policies") for path in sorted(tmp_path.glob("*.py"))]
    for module in (papers, where):
        monkeypatch.setattr(module, "headers", lambda: found)
    return found


def test_variants_are_a_field_of_their_own(shelf):
    bet, rt1 = shelf
    assert rt1.fields["Variants"] == "RT-1-X (more bodies), RT-1 at three hertz"
    assert rt1.fields["Ours"] == "ours of rt1" and rt1.fields["Deviations"] == "none"
    assert "Variants" not in bet.fields and set(bet.fields) == set(FIELDS)


@pytest.mark.parametrize("words", ["RT-1-X", "rt1x", "three hertz", "RT1"])
def test_a_variant_is_found_in_the_file_of_its_design(shelf, words, capsys):
    assert entry.main(["where", words]) == 0
    shown = capsys.readouterr().out
    assert "rt1.py" in shown and "bet.py" not in shown and "also RT-1-X" in shown


def test_the_page_of_papers_names_variants(shelf):
    lines = [line for line in papers.papers_page().splitlines() if "also" in line]
    assert len(lines) == 1 and "also RT-1-X (more bodies)" in lines[0]


def test_the_table_shows_own_numbers_where_there_are_some(tmp_path):
    (tmp_path / "act.json").write_text(json.dumps(result("act", verdict="learns")))
    rows = {row["name"]: row for row in policies.table(tmp_path)}
    own = rows["act"]["zoo"]
    assert own == {"success": "75 % (69-80)", "n": 200, "verdict": "learns", "size": "tiny", "parameters": 3_800_000}
    assert rows["pi0"]["zoo"] is None and "parameters" not in rows["pi0"]
    assert (
        policies._numbers(rows["act"]) == "75 % (69-80) of 200, learns" and policies._size(rows["act"]) == "tiny 3.8 M"
    )
    assert policies._size(rows["pi0"]) == "" and policies._numbers(rows["pi0"])


def test_a_family_alone(capsys):
    assert entry.main(["policies", "--family", "flow", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert "pi0" in {row["name"] for row in rows} and {row["family"] for row in rows} == {"flow"}
    assert entry.main(["policies", "--family", "flaw"]) == 2
    assert "Did you mean 'flow'?" in capsys.readouterr().err


def test_the_table_builds_nothing():
    code = (
        "import sys; from embodia.cli.main import main; main(['policies']); "
        "print(sorted({'torch', 'transformers', 'embodia.policies.act'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "act 2023" in done.stdout and "head.regress" in done.stdout


def test_a_short_name_finds_its_design_and_not_every_word_that_holds_it():
    assert [header.name for header in where.find("TLA")] == ["vtla"]
    assert [header.name for header in where.find("RT-H")] == ["rt_h"]
    assert where.find("ACT")[0].name == "act"
    assert "pi0" in {header.name for header in where.find("flow model for general")}
