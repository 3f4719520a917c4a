"""The headers of policy, world-model and algorithm files, read without importing them.

`docs/papers.md`, `embodia where` and `embodia policies` are made from them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

FOLDERS = ("policies", "world_models", "post_training")
FIELDS = ("Title", "Year", "Source", "Composition", "Published", "Ours", "Deviations")
VARIANTS = "Variants"
"""A field that a header may have: designs that differ from the file's by data, size or schedule alone."""
KINDS: Mapping[str, str] = {
    r"link\.": "two systems",
    r"head\.hybrid": "hybrid",
    r"head\.flow": "flow",
    r"head\.(diffusion|consistency)": "diffusion",
    r"head\.heatmap": "heat map",
    r"head\.(ar|parallel|offset)|tok\.": "action tokens",
    r"head\.(regress|cvae|residual)": "regression",
}
"""What a composition names -> the family of the design; the first that fits counts."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """One file's header: its name, folder, first line, and the text of each field that it has."""

    name: str
    folder: str
    summary: str
    fields: dict[str, str]

    @property
    def path(self) -> str:
        """Path inside the source tree."""
        return f"src/embodia/{self.folder}/{self.name}.py"

    @property
    def family(self) -> str:
        """How the design acts, read off its composition."""
        line = self.fields.get("Composition", "")
        return next((name for pattern, name in KINDS.items() if re.search(rf"\b(?:{pattern})", line)), "other")

    @property
    def called(self) -> str:
        """Every name that the design goes by, for searching."""
        return " ".join([self.name, *(self.fields.get(field, "") for field in ("Title", "Source", VARIANTS))])


def headers() -> list[Header]:
    """All headers, sorted by folder and name."""
    places = [(folder, Path(place)) for folder in FOLDERS for place in _places(folder)]
    return [read_header(path, folder) for folder, place in places for path in sorted(place.glob("[!_]*.py"))]


def _places(folder: str) -> Sequence[str]:
    """Where the modules of a package lie; none where there is no such package yet."""
    found = find_spec(f"embodia.{folder}")
    return () if found is None else found.submodule_search_locations or ()


def read_header(path: Path, folder: str) -> Header:
    """The header of one file of the package `folder`."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    names = "|".join((*FIELDS, VARIANTS))
    found = re.findall(rf"^({names}):[ ]*(.*?)(?=^(?:{names}):|\Z)", doc, re.M | re.S)
    fields = {name: " ".join(text.split()) for name, text in found}
    return Header(name=path.stem, folder=folder, summary=doc.split("\n")[0], fields=fields)


def papers_page() -> str:
    """The text of docs/papers.md."""
    lines = [
        "# Papers",
        "",
        "Made from the headers of the files by `embodia where --page`; a test fails when it is out of date.",
        "",
        "| design | file | year | composition | published | ours |",
        "|---|---|---|---|---|---|",
    ]
    for header in headers():
        f = header.fields
        also = f"; also {f[VARIANTS]}" if VARIANTS in f else ""
        title = f"{f['Title']} ({f['Source']}){also}"
        row = (title, f"`{header.path}`", f["Year"], f["Composition"], f["Published"], f["Ours"])
        lines.append("| " + " | ".join(text.replace("|", "/") for text in row) + " |")
    return "\n".join(lines) + "\n"
