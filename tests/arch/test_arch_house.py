"""The package obeys every rule of the house."""

import re
import subprocess
from collections.abc import Callable

import pytest
import rules

MODULES = rules.package()
PER_FILE = [
    rules.relative_imports,
    rules.upward_imports,
    rules.torch_imports,
    rules.long_files,
    rules.missing_annotations,
    rules.missing_docstrings,
    rules.banned,
    rules.missing_header,
]


@pytest.mark.parametrize("rule", PER_FILE, ids=lambda rule: rule.__name__)
def test_every_file(rule: Callable[[rules.Module], list[str]]):
    found = [text for module in MODULES for text in rule(module)]
    assert not found, "\n".join(found)


def test_no_import_cycles():
    assert rules.cycles(MODULES) == []


def test_no_function_stands_twice():
    assert rules.copies(MODULES) == []


def test_functions_are_short():
    lengths = rules.function_lengths(MODULES)
    assert lengths[len(lengths) // 2] <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 40


def test_a_file_of_wiring_is_a_page():
    lengths = [mod.text.count("\n") for mod in MODULES if mod.unit == "policies" and not mod.path.name.startswith("_")]
    assert len(lengths) > 50 and sum(lengths) / len(lengths) <= 90


def test_error_codes_are_unique_and_documented():
    text = (rules.SOURCE / "core" / "errors.py").read_text()
    codes = re.findall(r'code = "(E\d{3})"', text)
    assert len(codes) == len(set(codes))
    documented = (rules.ROOT / "docs" / "errors.md").read_text()
    assert [code for code in codes if f"| {code} |" not in documented] == []


def test_test_lines_keep_pace():
    source = sum(module.text.count("\n") for module in MODULES)
    tests = sum(path.read_text().count("\n") for path in (rules.ROOT / "tests").rglob("*.py"))
    assert tests >= 0.6 * source, f"{tests} lines of tests for {source} lines of source"


def test_the_repository_names_no_machine_path():
    listed = subprocess.run(["git", "ls-files"], cwd=rules.ROOT, capture_output=True, text=True, check=True).stdout
    pattern = re.compile(r"(?:^|[\s\"'=(])/(?:work|root|home)/", re.M)
    found = []
    for name in listed.split():
        path = rules.ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".json", ".txt", ".sh", ".html", ".css", ""} and path.is_file():
            found += [f"{name}: {match}" for match in pattern.findall(path.read_text(errors="ignore"))]
    assert found == []
