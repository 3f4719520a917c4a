"""What documents and docstrings call by a dotted name exists, and the commands that they show can be typed."""

import importlib
import re
from dataclasses import is_dataclass
from functools import reduce
from pathlib import Path
from shlex import split

import pytest

from embodia.cli import main as entry

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.name for path in (ROOT / "src/embodia").iterdir() if (path / "__init__.py").is_file())
NAME = re.compile(rf"`(?:embodia\.)?((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\([^`]*\))?`")


def named():
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py")]
    return sorted({(name, str(path.relative_to(ROOT))) for path in texts for name in NAME.findall(path.read_text())})


def exists(name):
    path = name.split(".")
    for length in range(len(path), 0, -1):
        try:
            module = importlib.import_module(".".join(("embodia", *path[:length])))
        except ModuleNotFoundError:
            continue
        return reduce(lambda thing, leaf: thing and _inside(thing, leaf), path[length:], module) is not None
    return False


def _inside(thing, leaf):
    fields = getattr(thing, "__dataclass_fields__", {})
    return fields.get(leaf, getattr(thing, leaf, None))


@pytest.mark.parametrize(("name", "file"), named())
def test_what_is_called_by_name_exists(name, file):
    assert exists(name), f"{file} speaks of {name}"


def shown():
    """Commands without an ellipsis, without what comments say of them."""
    found = set()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = re.sub(r"\\\n\s*", "", path.read_text())
        lines = re.findall(r"^(?:\w+=\S+ |torchrun .* -m )?embodia(?:\.cli)? (.+)$", text, re.M)
        found |= {(line, path.name) for line in lines if "..." not in line}
    return sorted(found)


@pytest.mark.parametrize(("line", "file"), shown())
def test_what_is_shown_can_be_typed(line, file):
    verb, *words = split(line, comments=True)
    assert is_dataclass(entry.parse(entry.VERBS.load(verb), verb, words)), file


def test_a_name_that_moved_is_found():
    assert exists("builders.vlm.vision_language") and exists("training.config.TrainConfig.lora")
    assert not exists("parts.vlm.vision_language") and not exists("training.config.TrainConfig.lorry")
