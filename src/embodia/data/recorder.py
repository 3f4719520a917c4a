"""Writing demonstrations: one episode, one commit; what was acknowledged survives a kill at any instant.

Videos and the table of frames are written first, the row in `meta/episodes` last: that rename is the commit. Starting
is recovering: leftovers of a kill are removed and the derived files written again each time. Watch out: one process
writes a data set at a time (a lock says so); processes that collect in parallel hand their episodes to one recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import ContractError, CorruptFileError, MissingFileError, StorageError
from embodia.core.provenance import Provenance, require_same_profile
from embodia.core.specs import Contract, require_match
from embodia.data import answers, layout
from embodia.data.cache import FrameCache
from embodia.data.episode import EpisodeData, check_episode
from embodia.data.extra import Extra, read_extra, write_extra
from embodia.data.frames import DEFAULT_CACHE_BYTES
from embodia.data.rows import EpisodeRow, Span, read_rows, with_ends
from embodia.data.tables import read_frames
from embodia.data.totals import Totals, summarise, summarise_images
from embodia.io import atomic
from embodia.io.manifest import sha256
from embodia.io.table import write_table
from embodia.io.video import Frames, decode_bytes, encode_bytes, index_bytes, profile_named


class Recorder:
    """Opens or continues a data set for writing.

    `root` is made if needed; one that exists must have the same contract and provenance (`ContractError`,
    `ProfileError`). `paraphrases` (canonical sentence -> others) are added to those stored. `video` names a profile of
    `io.video`. `cache_bytes` bounds the decoded frames that are stored on the way, so that training right after
    recording never decodes; 0 stores none. Raises `StorageError` when another process is recording here.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        contract: Contract,
        provenance: Provenance,
        paraphrases: Mapping[str, tuple[str, ...]] | None = None,
        video: str = "train",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.root = Path(root)
        profile_named(video)
        self._lock = atomic.lock(self.root / ".lock")
        try:
            self.extra = _agree(self.root, contract, provenance, dict(paraphrases or {}), video)
            self.rows = _recover(self.root)
            self._totals = _totals(self.root, self.extra, self.rows)
            self._totals.write(self.root, durable=True)
        except BaseException:
            self._lock.close()
            raise
        self._cache = FrameCache(self.root, cache_bytes)
        self._stale = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def recorded(self) -> frozenset[tuple[str, int]]:
        """(task, seed) of every committed episode, for resuming a collection."""
        return frozenset((row.task, row.seed) for row in self.rows)

    def record(self, episode: EpisodeData) -> int:
        """Write one episode durably and return its number.

        Raises `ShapeError` or `NotFiniteError` naming the leaf for an episode that does not fit, `StorageError` when
        the disk refuses; then nothing of the episode is left and the recorder can be used again.
        """
        number = len(self.rows)
        contract = self.extra.contract
        check_episode(episode, contract, where=f"{self.root} (episode {number})")
        written: list[Path] = []
        try:
            row, decoded = self._write(number, episode, written)
        except BaseException:
            for path in written:
                atomic.remove(path)
            raise
        self.rows.append(row)
        self._totals.add(episode.instruction, _vectors(episode, contract), episode.filled_rewards, _images(row))
        for key, frames in decoded.items():
            self._cache.put(self._cache.key(row, row.videos[key]), frames)
        self._stale = True
        with suppress(StorageError):
            # the episode is committed and must be acknowledged; `close` writes these again and raises
            self._totals.write(self.root, durable=False)
        return number

    def close(self) -> None:
        """Make the derived files durable and let go of the data set; a second call does nothing.

        Raises `StorageError` when they could not be written, which loses no episode.
        """
        try:
            if self._stale:
                self._totals.write(self.root, durable=True)
                self._stale = False
        finally:
            self._lock.close()

    def _write(self, number: int, episode: EpisodeData, written: list[Path]) -> tuple[EpisodeRow, dict[str, Frames]]:
        place = layout.place(number)
        stats = {name: summarise(values) for name, values in _vectors(episode, self.extra.contract).items()}
        stats[layout.REWARD] = summarise(episode.filled_rewards[:, None])
        spans: dict[str, Span] = {}
        decoded: dict[str, Frames] = {}
        for camera in self.extra.contract.observation.camera_names:
            key = layout.image_key(camera)
            spans[key], decoded[key] = self._write_video(key, place, episode.frames[camera], written)
            stats[key] = summarise_images(decoded[key])
        first = self.rows[-1].first + self.rows[-1].length if self.rows else 0
        data = self._write_frames(number, first, episode, written)
        if episode.answers:
            written.append(answers.path_of(self.root, number))
            write_table(written[-1], answers.table_of(episode.answers))
        row = EpisodeRow(
            index=number,
            instruction=episode.instruction,
            length=len(episode),
            first=first,
            data=data,
            videos=spans,
            task=episode.task,
            seed=episode.seed,
            success=episode.success,
            source=episode.source,
            sha256=sha256(self.root / data),
            stats=stats,
        )
        written.append(layout.episodes_path(self.root, *place))
        write_table(written[-1], with_ends(row.table(), list(spans), len(episode) / self._rate_hz))
        return row, decoded

    @property
    def _rate_hz(self) -> float:
        return self.extra.contract.observation.rate_hz

    def _write_frames(self, number: int, first: int, episode: EpisodeData, written: list[Path]) -> Path:
        task = self._totals.task(episode.instruction)
        if task == len(self._totals.instructions):
            sentences = [*self._totals.instructions, episode.instruction]
            write_table(self.root / layout.TASKS, layout.tasks_table(sentences))
        counters = layout.counters(len(episode), episode=number, first=first, task=task, rate_hz=self._rate_hz)
        path = layout.data_path(Path(), *layout.place(number))
        written.append(self.root / path)
        vectors = _vectors(episode, self.extra.contract) | _wide(episode, self.extra.contract)
        write_table(self.root / path, layout.frame_table(vectors, episode.filled_rewards, counters))
        return path

    def _write_video(
        self, key: str, place: tuple[int, int], frames: Frames, written: list[Path]
    ) -> tuple[Span, Frames]:
        path = layout.video_path(Path(), key, *place)
        data = encode_bytes(frames, self._rate_hz, self.extra.video)
        index = index_bytes(data, where=str(path))
        decoded = decode_bytes(data, index, where=str(path))
        if len(decoded) != len(frames):
            raise CorruptFileError(f"{len(frames)} frames went in, {len(decoded)} came out", file=path)
        written += [self.root / path, layout.index_path(self.root / path)]
        atomic.write_bytes(self.root / path, data)
        index.save(layout.index_path(self.root / path))
        return Span(path=path, start_s=0.0, sha256=sha256(self.root / path)), decoded


def _agree(
    root: Path, contract: Contract, provenance: Provenance, paraphrases: dict[str, tuple[str, ...]], video: str
) -> Extra:
    wanted = Extra(contract=contract, provenance=provenance, paraphrases=paraphrases, video=video)
    if not (root / layout.EXTRA).exists():
        if (root / layout.INFO).exists():
            raise CorruptFileError("this data set was recorded by another program", file=root / layout.INFO)
        write_extra(root, wanted)
        return wanted
    stored = read_extra(root)
    require_match(contract, stored.contract, left_name="this recording", right_name=f"the data set {root}")
    for leaf in ("cameras", "senses"):
        found, known = getattr(contract.observation, leaf), getattr(stored.contract.observation, leaf)
        if found != known:
            raise ContractError(f"{leaf} {found} cannot join {known}", file=root / layout.EXTRA, leaf=leaf)
    require_same_profile(stored.provenance, provenance)
    merged = replace(stored, paraphrases={**stored.paraphrases, **paraphrases})
    if merged != stored:
        write_extra(root, merged)
    return merged


def _recover(root: Path) -> list[EpisodeRow]:
    atomic.sweep(root)
    try:
        rows = read_rows(root, stats=True)
    except MissingFileError:
        rows = []
    known = {root / row.data for row in rows} | {answers.path_of(root, row.index) for row in rows}
    for row in rows:
        for span in row.videos.values():
            known |= {root / span.path, layout.index_path(root / span.path)}
    for folder in (root / "data", root / "videos", root / answers.FOLDER):
        for path in [found for found in folder.rglob("*") if found.is_file() and found not in known]:
            atomic.remove(path)
    return rows


def _totals(root: Path, extra: Extra, rows: list[EpisodeRow]) -> Totals:
    totals = Totals(extra.contract, extra.video)
    if rows:
        frames = read_frames(root, rows, extra.contract)
        for row in rows:
            part = slice(row.first, row.first + row.length)
            vectors = {name: values[part] for name, values in frames.vectors.items()}
            totals.add(row.instruction, vectors, frames.rewards[part], _images(row))
    return totals


def _vectors(episode: EpisodeData, contract: Contract) -> dict[str, NDArray[np.float32]]:
    found = {layout.STATE: episode.state, layout.ACTION: episode.actions, **_senses(episode, contract)}
    return {name: found[name].astype(np.float32) for name in layout.vector_features(contract)}


def _wide(episode: EpisodeData, contract: Contract) -> dict[str, NDArray[np.float32]]:
    found = _senses(episode, contract)
    return {name: found[name].astype(np.float32) for name in layout.wide_features(contract)}


def _senses(episode: EpisodeData, contract: Contract) -> dict[str, NDArray[np.float32]]:
    """One row of numbers a time step, by feature."""
    found = {layout.sense_key(sense): episode.senses[sense.key] for sense in contract.observation.senses}
    return {name: values.reshape(len(values), -1) for name, values in found.items()}


def _images(row: EpisodeRow) -> dict[str, Mapping[str, Any]]:
    return {key: row.stats[key] for key in row.videos if key in row.stats}
