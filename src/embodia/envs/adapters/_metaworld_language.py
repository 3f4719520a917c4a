"""Sentences for the fifty Meta-World tasks: the benchmark has none.

They stand in the JSON file beside this one and describe what the predicate checks (the lever is lifted, although the
benchmark's text says down). The one thing to watch: they name no colour of a mark, which profiles draw differently.
"""

from __future__ import annotations

from embodia.envs.sentences import Sentences, read

SENTENCES = read(__package__, "_metaworld_language.json")

__all__ = ["SENTENCES", "Sentences"]
