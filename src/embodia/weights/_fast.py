"""The table of FAST as it is published: pairs in tokenizer.json, scale and lowest coefficient in processor_config.json.

The published folder holds a program too; only the two files of facts are read, and only they are written. The one thing
to watch: ids mean nothing without this table, so a policy that speaks FAST never crosses without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embodia.core.errors import CheckpointError, ConfigError, MissingFileError
from embodia.io.atomic import write_json
from embodia.parts.tokenizers.fast import FastTokenizer
from embodia.weights._folders import Fields

PAIRS, FACTS = "tokenizer.json", "processor_config.json"


def read_table(folder: Path, chunk: int, dim: int, longest: int) -> FastTokenizer:
    """The published tokenizer in `folder`, for chunks of `chunk` steps of `dim` numbers in at most `longest` ids.

    Raises `MissingFileError`, and `CheckpointError` naming the field that cannot be built.
    """
    for name in (PAIRS, FACTS):
        if not (folder / name).is_file():
            cure = "Lay the published folder of the action tokenizer inside the checkpoint."
            raise MissingFileError("the table of the actions is missing", file=folder / name, cure=cure)
    facts, pairs = Fields(folder / FACTS), Fields(folder / PAIRS)
    for field, allowed in _REQUIRED.items():
        pairs.require(field, *allowed, default=None)
    known, merges = pairs.get("model.vocab"), pairs.get("model.merges")
    low, scale = facts.get("min_token"), facts.get("scale")
    _check(pairs, known, merges)
    if not isinstance(low, int) or not isinstance(scale, int | float) or not scale > 0:
        raise CheckpointError(f"lowest coefficient {low!r}, scale {scale!r}", file=facts.file, leaf="min_token")
    ids = max(int(facts.get("vocab_size", 0)), len(known))
    made = FastTokenizer(chunk, dim, ids, float(scale), longest, "bytes")
    try:
        made.take({"vocab": known, "merges": [_pair(pair) for pair in merges]}, low)
    except (ConfigError, KeyError, ValueError) as error:
        raise CheckpointError(f"not a table of pairs: {error}", file=pairs.file, leaf="model.merges") from error
    return made


def write_table(folder: Path, tokenizer: FastTokenizer) -> None:
    """The two files of facts. Raises `ConfigError` for the alphabet that only this library has."""
    if tokenizer.alphabet != "bytes":
        raise ConfigError("published tables of FAST are of bytes", leaf="alphabet", cure="Fit one of bytes.")
    facts = {
        "scale": tokenizer.scale,
        "vocab_size": tokenizer.vocabulary,
        "min_token": int(tokenizer.low),
        "time_horizon": tokenizer.chunk,
        "action_dim": tokenizer.dim,
        "processor_class": "UniversalActionProcessor",
    }
    write_json(folder / FACTS, facts)
    write_json(folder / PAIRS, tokenizer.table())


_NOTHING = (None, "")
_REQUIRED: dict[str, tuple[Any, ...]] = {
    "normalizer": (None,),
    "added_tokens": (None, []),
    "pre_tokenizer.type": ("ByteLevel",),
    "pre_tokenizer.add_prefix_space": (False,),
    "pre_tokenizer.use_regex": (None, True),
    "decoder.type": ("ByteLevel",),
    "model.type": ("BPE", None),
    "model.dropout": (None,),
    "model.unk_token": (None,),
    "model.continuing_subword_prefix": _NOTHING,
    "model.end_of_word_suffix": _NOTHING,
    "model.byte_fallback": (None, False),
    "model.ignore_merges": (None, False),
}


def _check(pairs: Fields, known: object, merges: object) -> None:
    if not isinstance(known, dict) or sorted(map(str, known.values())) != sorted(map(str, range(len(known)))):
        raise CheckpointError("is not a table of pieces and their ids", file=pairs.file, leaf="model.vocab")
    if not isinstance(merges, list) or any(len(_pair(pair)) != 2 for pair in merges):
        raise CheckpointError("is not a list of pairs", file=pairs.file, leaf="model.merges")


def _pair(found: object) -> tuple[str, ...]:
    """Two pieces, from either of the two ways in which the library has written them."""
    parts = found.split(" ") if isinstance(found, str) else found
    return tuple(map(str, parts)) if isinstance(parts, list) else ()
