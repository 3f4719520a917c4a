"""Both READMEs say the same: equal commands, equally many headings and table rows; every verb and every link exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")


def commands(text):
    return re.findall(r"```bash\n(.*?)```", text, re.S)


def headings(text):
    return [line.split(" ")[0] for line in text.splitlines() if re.match(r"#+ ", line)]


def rows(text):
    return re.findall(r"^\| `(\w+)`", text, re.M)


def test_languages_are_in_step():
    assert commands(ENGLISH) == commands(CHINESE)
    assert headings(ENGLISH) == headings(CHINESE)
    assert rows(ENGLISH) == rows(CHINESE)
    assert sorted(links(ENGLISH) - {"README.zh.md"}) == sorted(links(CHINESE) - {"README.md"})


def links(text):
    return set(re.findall(r"\]\(([^)#]+)\)", text))


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_links_lead_somewhere(text):
    assert [link for link in links(text) if not (ROOT / link).exists()] == []


def test_every_verb_is_in_the_table_and_the_other_way_round():
    verbs = {path.stem for path in (ROOT / "src/embodia/cli/verbs").glob("[!_]*.py")}
    assert verbs == set(rows(ENGLISH))


def test_commands_name_real_verbs_and_targets():
    text = "\n".join(commands(ENGLISH))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.M)) <= targets
    verbs = {path.stem for path in (ROOT / "src/embodia/cli/verbs").glob("[!_]*.py")}
    assert set(re.findall(r"^embodia ([a-z]+)", text, re.M)) <= verbs
