"""Which file holds a design: ask by its name or a variant's, by words of the title, or by arXiv number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import tyro

from embodia.cli.papers import VARIANTS, Header, headers, papers_page
from embodia.core.errors import ConfigError
from embodia.core.names import unknown

EXAMPLES = ("embodia where pi0", 'embodia where "action chunking"', "embodia where 2303.04137")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia where`."""

    design: Annotated[str, tyro.conf.Positional] = ""
    """A name, a part of a title, or an arXiv number."""
    page: bool = False
    """Print the text of docs/papers.md instead."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Print the path of each design that fits."""
    if options.page:
        print(papers_page(), end="")
        return 0
    if not options.design:
        raise ConfigError("say which design", cure="For example: embodia where pi0")
    found = find(options.design)
    if options.json:
        from embodia.cli.main import print_json

        print_json([{"path": header.path, **header.fields} for header in found])
        return 0
    for header in found:
        also = f"; also {header.fields[VARIANTS]}" if VARIANTS in header.fields else ""
        print(f"{header.path}    {header.fields['Title']} ({header.fields['Year']}, {header.fields['Source']}){also}")
    return 0


def find(text: str) -> list[Header]:
    """Headers whose name, title, source or variants contain `text`: the exact name first, then whole words.

    What stands only inside other words is shown where nothing else fits. Raises `UnknownNameError`.
    """
    every = headers()
    wanted, words = _plain(text), re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])", re.IGNORECASE)
    inside = [header for header in every if wanted in _plain(header.called)]
    whole = [header for header in inside if _plain(header.name) == wanted or words.search(header.called)]
    found = whole or inside
    if not found:
        raise unknown("design", text, [header.name for header in every])
    return sorted(found, key=lambda header: _plain(header.name) != wanted)


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == ".")
