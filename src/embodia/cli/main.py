"""Entry point: find the verb, parse its options, run it, turn errors into one line.

Nothing heavy is imported before the verb is known, so `embodia --help` answers at once.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType

from embodia import __version__
from embodia.core.errors import ConfigError, EmbodiaError
from embodia.core.names import Folder

VERBS = Folder(kind="verb", package="embodia.cli.verbs")
FAILURE, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `embodia VERB ...`; the exit status is 0, 1 (a check found something) or 2 (an error)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"embodia {__version__}")
        return 0
    try:
        return _run(words[0], words[1:])
    except EmbodiaError as error:
        if debug:
            raise
        print(f"embodia {words[0]}: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("\nstopped; collecting and training go on from here with the same command", file=sys.stderr)
        return INTERRUPTED


def _run(verb: str, words: list[str]) -> int:
    module = VERBS.load(verb.replace("-", "_"))
    options = parse(module, verb, words)
    return int(module.run(options) or 0)


def parse(module: ModuleType, verb: str, words: Sequence[str]) -> object:
    """The verb's `Options` from its words; help and complaints are tyro's, which names the nearest option."""
    import tyro

    options = tyro.cli(
        module.Options,
        prog=f"embodia {verb}",
        description=f"{(module.__doc__ or '').strip()}\n\nExamples:\n\n" + "\n\n".join(module.EXAMPLES),
        args=list(words),
    )
    assert is_dataclass(options)
    return options


def summaries() -> dict[str, str]:
    """First docstring line of every verb, read without importing it."""
    folder = Path(__file__).parent / "verbs"
    trees = {name: ast.parse((folder / f"{name}.py").read_text(encoding="utf-8")) for name in VERBS.names()}
    return {name: (ast.get_docstring(tree) or "").splitlines()[0] for name, tree in trees.items()}


def overview() -> str:
    """What `embodia --help` prints."""
    order = ("demo", "collect", "train", "evaluate", "compare", "report", "data", "envs", "policies", "where", "check")
    texts = summaries()
    verbs = [name for name in order if name in texts] + [name for name in sorted(texts) if name not in order]
    lines = [f"  {name:<10} {texts[name]}" for name in verbs]
    return "\n".join(
        [
            "embodia: the whole life of a robot policy in one library.",
            "",
            "usage: embodia VERB [options]        embodia VERB --help teaches by example",
            "",
            *lines,
            "",
            "first steps:",
            "  embodia check                    what this machine can do",
            "  embodia demo                     collect, train, evaluate: a report in ten minutes",
            "  embodia policies --explain pi0   who attends to whom",
            "",
            "--debug shows the full trace of an error.",
        ]
    )


def print_json(value: object) -> None:
    """One JSON document on standard output, for programs."""
    print(json.dumps(value, indent=2, sort_keys=True))


def named_values(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` words as a mapping. Raises `ConfigError` for a word without "="."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals:
            raise ConfigError("an option of an environment is name=value", leaf=f"env_options.{name}")
    return {name: value for name, _, value in pairs}
