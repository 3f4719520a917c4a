"""Reading demonstrations: all numbers in memory, pictures from the cache, a batch in one call.

Opening reads the table of episodes and the tables of frames and never touches a video. Only committed episodes are
seen, so a data set that is being recorded, or whose recorder was killed, opens at any instant. Watch out: a set that
another program recorded does not say what its numbers mean; its contract has to be given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.config import from_json
from embodia.core.errors import ConfigError, ContractError, DataError, ShapeError
from embodia.core.moments import NEXT_KEY
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.specs import Contract, SenseSpec
from embodia.core.statistics import FeatureStatistics
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.data import layout
from embodia.data.answers import Answers
from embodia.data.extra import Extra, read_extra
from embodia.data.frames import DEFAULT_CACHE_BYTES, FrameStore
from embodia.data.keyframes import next_keys
from embodia.data.rows import EpisodeRow, read_rows
from embodia.data.running import RunningStatistics
from embodia.data.tables import FrameTables, read_frames
from embodia.io.jsonio import read_json
from embodia.io.video import Frames

Ids = NDArray[np.int64]


class Dataset:
    """A data set, or a selection of its episodes; made by `Dataset.open`.

    `contract`, `provenance`, `paraphrases` say what it holds; `statistics` has "state", "action" and the senses of few
    numbers, of the whole set;
    `episodes` are those selected, `frames` how many frames they have. Frames are numbered 0..frames-1.
    """

    def __init__(
        self, root: Path, extra: Extra, rows: Sequence[EpisodeRow], tables: FrameTables, store: FrameStore
    ) -> None:
        self.root, self.name = root, root.name
        self.contract, self.provenance, self.paraphrases = extra.contract, extra.provenance, extra.paraphrases
        self._all, self._tables, self._store = tuple(rows), tables, store
        self._first = np.array([row.first for row in rows], dtype=np.int64)
        self._length = np.array([row.length for row in rows], dtype=np.int64)
        self.statistics = _statistics(root, self._tables)
        self.episodes: tuple[EpisodeRow, ...] = self._all
        self._ids: Ids | None = None
        self._every = 1
        self._answers, self._asked = Answers(root, self._all), ""
        self._key_frames: dict[int, tuple[Ids, Ids]] = {}

    @classmethod
    def open(
        cls, root: str | Path, *, contract: Contract | None = None, cache_bytes: int = DEFAULT_CACHE_BYTES
    ) -> Dataset:
        """Open a data set that `Recorder` or LeRobot (layout v3) wrote.

        `contract` is needed for the latter, see `readers.lerobot.contract_of`. Raises a `DataError` naming the file.
        """
        root = Path(root)
        rows = read_rows(root)
        extra = _extra(root, contract)
        tables = read_frames(root, rows, extra.contract)
        shapes = {camera.name: (camera.height, camera.width) for camera in extra.contract.observation.cameras}
        for name in shapes:
            if layout.image_key(name) not in rows[0].videos:
                raise ContractError(f"the set has no camera {name!r}", file=root, leaf=name)
        return cls(root, extra, rows, tables, FrameStore(root, rows, shapes, cache_bytes))

    @property
    def frames(self) -> int:
        """Number of frames of the selected episodes, of the thinned ones those that are kept."""
        return int(self._length.sum()) if self._ids is None else len(self._ids)

    def select(self, episodes: Sequence[int]) -> Dataset:
        """The same set with only these episodes (by number), frames numbered anew; statistics stay the whole set's."""
        chosen = object.__new__(Dataset)
        chosen.__dict__.update(self.__dict__)
        chosen.episodes = tuple(self._all[number] for number in sorted(set(episodes)))
        spans = [np.arange(row.first, row.first + row.length, self._every) for row in chosen.episodes]
        chosen._ids = np.concatenate(spans) if spans else np.empty(0, dtype=np.int64)
        return chosen

    def thin(self, every: int) -> Dataset:
        """Only each episode's frames 0, every, 2 every ...: those that were drawn when pictures are rarer than actions.

        Chunks, history and states ahead still count in steps of the episode.
        """
        if every < 1:
            raise ConfigError(f"every {every} must be at least 1", leaf="every")
        thinned = object.__new__(Dataset)
        thinned.__dict__.update(self.__dict__)
        thinned._every = every
        return thinned.select([row.index for row in self.episodes])

    @property
    def answers(self) -> tuple[str, ...]:
        """Kinds of text that the set holds, see `batch`."""
        return self._answers.kinds

    def asking(self, kind: str) -> Dataset:
        """The same frames as question-answer data: the question of `kind` in place of the instruction, its answer as
        what is to be said whatever kind is asked for, no valid action. Raises `UnknownNameError`."""
        if kind not in self._answers.asked:
            raise unknown("kind of question", kind, self._answers.asked)
        changed = object.__new__(Dataset)
        changed.__dict__.update(self.__dict__)
        changed.name, changed._asked = f"{self.name}?{kind}", kind
        return changed

    def actions(self, episode: int) -> NDArray[np.float32]:
        """All actions (N A) of an episode (its number in the whole set); A is 0 where none were recorded."""
        return self._vectors(layout.ACTION)[self._part(episode)]

    def states(self, episode: int) -> NDArray[np.float32]:
        """All states (N S) of an episode."""
        return self._vectors(layout.STATE)[self._part(episode)]

    def images(self, episode: int, camera: str) -> Frames:
        """All frames (N H W 3) of an episode."""
        return self._store.episode(self._camera(camera), episode)

    def locate(self, ids: Ids) -> tuple[Ids, Ids]:
        """(episode number, position inside it) of frames."""
        ids = np.asarray(ids, dtype=np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.frames):
            raise ShapeError(f"frame {ids.min()}..{ids.max()} of {self.frames}", file=self.root, leaf="ids")
        found = ids if self._ids is None else self._ids[ids]
        episode = np.searchsorted(self._first, found, side="right") - 1
        return episode, found - self._first[episode]

    def batch(
        self,
        ids: Ids,
        chunk: int,
        history: int = 1,
        cameras: Sequence[str] | None = None,
        paraphrase: NDArray[np.uint64] | None = None,
        ahead: Sequence[int] = (),
        later: Sequence[int] = (),
        answers: str = "",
    ) -> Batch:
        """B samples in numpy: what was seen at frames `ids` (B,) and the `chunk` actions from there on.

        `history` moments end at the frame; before the start of an episode its first frame is repeated and the mask
        "history" (B T) is False. `cameras` default to all. `paraphrase` (B,) picks a sentence, modulo the number of
        sentences; None takes the canonical one. `ahead` asks for the state so many steps later, `later` for all that is
        seen then; beyond the end both are those of the last frame. `answers` names the kind of text to be said.
        Raises `ShapeError`, or a `DataError` naming a video.
        """
        if chunk < 1 or history < 1:
            raise ConfigError(f"chunk {chunk} and history {history} must be at least 1")
        episode, position = self.locate(ids)
        past = position[:, None] + np.arange(1 - history, 1)
        seen = np.maximum(past, 0)
        names = self.contract.observation.camera_names if cameras is None else tuple(cameras)
        observation = replace(
            self._seen(episode, seen, names),
            instruction=self._told(episode, position, paraphrase),
            masks={"history": past >= 0} if history > 1 else {},
        )
        to_come = [self._to_come(episode, position, np.asarray(steps, np.int64)) for steps in (ahead, later)]
        return Batch(
            observation=observation,
            chunk=self._chunk(episode, position, chunk),
            dataset=(self.name,) * len(episode),
            ahead=self._states(episode, to_come[0]) if ahead else None,
            later=self._seen(episode, to_come[1], names) if later else None,
            answer=self._said(episode, position, answers),
        )

    def _to_come(self, episode: Ids, position: Ids, steps: Ids) -> Ids:
        """Positions (B K) so many steps later, or at the moments that negative numbers name (`core.moments`)."""
        found = np.minimum(position[:, None] + steps, self._length[episode][:, None] - 1)
        for column in np.flatnonzero(steps < 0):
            keys = [self._keys(number)[0 if steps[column] == NEXT_KEY else 1] for number in episode.tolist()]
            found[:, column] = [key[place] for key, place in zip(keys, position.tolist(), strict=True)]
        return found

    def _keys(self, episode: int) -> tuple[Ids, Ids]:
        if episode not in self._key_frames:
            states, actions = self.states(episode), self.actions(episode)
            self._key_frames[episode] = next_keys(self.contract, states, actions)
        return self._key_frames[episode]

    def chunks(self, ids: Ids, chunk: int) -> ActionChunk:
        """The `chunk` actions from frames `ids` (B,) on, without what was seen. Raises `ShapeError`."""
        return self._chunk(*self.locate(ids), chunk)

    def _seen(self, episode: Ids, positions: Ids, cameras: Sequence[str]) -> Observation:
        """What was sensed at `positions` (B T) of episodes (B,)."""
        moments = self._first[episode][:, None] + positions
        return Observation(
            images={name: self._store.gather(self._camera(name), episode, positions) for name in cameras},
            state=self._states(episode, positions),
            embodiment=self.contract.embodiment,
            time_s=self._tables.times_s[moments].astype(np.float64),
        ).with_senses(self._senses(moments))

    def _senses(self, moments: Ids) -> dict[SenseSpec, NDArray[np.float32]]:
        found = {**self._tables.vectors, **self._tables.wide}
        senses = self.contract.observation.senses
        return {item: found[layout.sense_key(item)][moments].reshape(*moments.shape, *item.shape) for item in senses}

    def _states(self, episode: Ids, positions: Ids) -> NDArray[np.float32]:
        return self._vectors(layout.STATE)[self._first[episode][:, None] + positions]

    def _chunk(self, episode: Ids, position: Ids, chunk: int) -> ActionChunk:
        ahead = position[:, None] + np.arange(chunk)
        length = self._length[episode][:, None]
        index = self._first[episode][:, None] + np.minimum(ahead, length - 1)
        spec = replace(self.contract.action, chunk=chunk)
        valid = (ahead < length) & (not self._asked)
        return ActionChunk(actions=self._vectors(layout.ACTION)[index], valid=valid, spec=spec)

    def _told(self, episode: Ids, position: Ids, paraphrase: NDArray[np.uint64] | None) -> tuple[str, ...]:
        if self._asked:
            return self._answers.questions(self._asked, self._first[episode] + position)
        return self._sentences(episode, paraphrase)

    def _said(self, episode: Ids, position: Ids, kind: str) -> tuple[str, ...]:
        wanted = self._asked or kind
        return self._answers.texts(wanted, self._first[episode] + position) if wanted else ()

    def _sentences(self, episode: Ids, paraphrase: NDArray[np.uint64] | None) -> tuple[str, ...]:
        canonical = [self._all[number].instruction for number in episode.tolist()]
        if paraphrase is None:
            return tuple(canonical)
        chosen = []
        for sentence, pick in zip(canonical, paraphrase.tolist(), strict=True):
            others = self.paraphrases.get(sentence, ())
            known = others if sentence in others else (sentence, *others)
            chosen.append(known[pick % len(known)])
        return tuple(chosen)

    def _vectors(self, name: str) -> NDArray[np.float32]:
        empty = np.zeros((len(self._tables.times_s), 0), dtype=np.float32)
        return self._tables.vectors.get(name, empty)

    def _part(self, episode: int) -> slice:
        if not 0 <= episode < len(self._all):
            raise ShapeError(f"episode {episode} of {len(self._all)}", file=self.root, leaf="episode")
        return slice(self._all[episode].first, self._all[episode].first + self._all[episode].length)

    def _camera(self, name: str) -> str:
        if name not in self.contract.observation.camera_names:
            raise unknown("camera", name, self.contract.observation.camera_names)
        return name


def _extra(root: Path, contract: Contract | None) -> Extra:
    if (root / layout.EXTRA).exists():
        return read_extra(root)
    if contract is None:
        raise ContractError(
            "the set does not say what its actions mean (another program recorded it)",
            file=root,
            cure="Pass contract=..., made with embodia.data.readers.lerobot.contract_of.",
        )
    names = contract.observation.camera_names
    return Extra(contract=contract, provenance=Provenance(environment="unknown", profile="faithful", cameras=names))


def _statistics(root: Path, tables: FrameTables) -> Mapping[str, FeatureStatistics]:
    stored = _stored_statistics(root, tuple(tables.vectors))
    found = {}
    for name, values in tables.vectors.items():
        kept = stored.get(name)
        if kept is None or not _describes(kept, values):
            running = RunningStatistics(values.shape[1])
            running.add(values)
            kept = running.result()
        found[layout.short_name(name)] = kept
    return found


def _describes(kept: FeatureStatistics, values: NDArray[np.float32]) -> bool:
    if (kept.count, kept.dim) != values.shape:
        return False
    figures = [
        (kept.mean, values.mean(0, dtype=np.float64)),
        (kept.minimum, values.min(0)),
        (kept.maximum, values.max(0)),
    ]
    return all(np.allclose(stored, found, rtol=1e-5, atol=1e-6) for stored, found in figures)


def _stored_statistics(root: Path, names: tuple[str, ...]) -> dict[str, FeatureStatistics]:
    path = root / layout.STATS
    try:
        plain: dict[str, Any] = read_json(path) if (root / layout.EXTRA).exists() else {}
        return {name: _feature(plain[name], str(path)) for name in names if name in plain}
    except (DataError, ConfigError, KeyError, TypeError, IndexError):
        # derived from the frames, which are all here: computed again rather than refused
        return {}


def _feature(plain: dict[str, Any], file: str) -> FeatureStatistics:
    names = {"minimum": "min", "maximum": "max", "mean": "mean", "std": "std", "q01": "q01", "q99": "q99"}
    figures = {name: plain[short] for name, short in names.items()}
    return from_json(FeatureStatistics, {"count": plain["count"][0], **figures}, file=file)
