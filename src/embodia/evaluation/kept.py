"""Arms of an evaluation that was cut off: what has been played stays played, until the report is whole.

Each arm is one file that names, as a digest, everything that could change its outcome; a file of another evaluation is
not read. What to watch: an arm is kept when all of its episodes are done, so the arm that was cut off begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embodia.core.config import from_json, to_json
from embodia.evaluation.episodes import Episode
from embodia.evaluation.facts import commit, versions
from embodia.evaluation.plans import EvalConfig
from embodia.io.atomic import make_folder, remove, write_json
from embodia.io.jsonio import read_json

FOLDER = "arms"


@dataclass(frozen=True, kw_only=True)
class Played:
    """One arm: its episodes, the entries of its clips (their files lie in the report's folder), the seconds taken."""

    episodes: tuple[Episode, ...]
    clips: tuple[Mapping[str, Any], ...]
    wall_s: float


class Kept:
    """The arms under `out`; `identity` names the weights, and an empty one keeps nothing."""

    def __init__(self, out: Path, config: EvalConfig, identity: str) -> None:
        self._folder, self._used = out / FOLDER, bool(identity)
        played = to_json(replace(config, workers=0, controls=(), redteam=0))
        facts = [identity, played, commit(), versions()]
        self._key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def get(self, arm: str) -> Played | None:
        """What is left of an earlier call, None where there is nothing of this very evaluation.

        Raises `CorruptFileError`, `ConfigError` naming the file.
        """
        path = self._path(arm)
        if not self._used or not path.is_file():
            return None
        found = read_json(path)
        if not isinstance(found, dict) or found.get("key") != self._key:
            return None
        return from_json(Played, found["played"], file=str(path), leaf="played")

    def put(self, arm: str, played: Played) -> None:
        """Keep an arm. Raises `StorageError`."""
        if self._used:
            make_folder(self._folder)
            write_json(self._path(arm), {"key": self._key, "played": to_json(played)})

    def clear(self) -> None:
        """Forget all: the report says it now."""
        if self._folder.is_dir():
            remove(self._folder)

    def _path(self, arm: str) -> Path:
        return self._folder / f"{arm}.json"
