"""What all policies of LeRobot (0.6) share on disk: config.json, model.safetensors, two processors with the units.

Its pictures are normalised by statistics of the data set. Ours by the constants of ImageNet, LeRobot's own default, so
a checkpoint with other ones is refused rather than shown wrong colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.io.atomic import replace_folder, write_json
from embodia.io.jsonio import read_json
from embodia.io.tensors import load_tensors, save_tensors
from embodia.nn.normalize import Mode
from embodia.weights._lora import merged

CONFIG, MODEL = "config.json", "model.safetensors"
PICTURES, STATE, ACTION = "observation.images.", "observation.state", "action"
_MODES: Mapping[str, Mode] = {
    "MEAN_STD": "mean_std",
    "MIN_MAX": "min_max",
    "IDENTITY": "identity",
    "QUANTILES": "quantile",
}
_MISSING = object()
_EMPTY = "empty_camera_"

Step = Mapping[str, Any]
"""One step of a processor as it is written: `registry_name` and `config`."""
UNITS, DEVICE = "units", "device"
"""The two steps that every policy has, in the order of a policy."""
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_SLACK = 1e-3


def is_of(folder: Path, kind: str) -> bool:
    """Whether `folder` holds LeRobot's checkpoint of a policy of that type."""
    path = folder / CONFIG
    if not path.is_file() or not (folder / MODEL).is_file():
        return False
    found = read_json(path)
    return isinstance(found, dict) and found.get("type") == kind


class Facts:
    """config.json by field; every error names the file and the field."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / CONFIG
        self._plain: dict[str, Any] = read_json(self.file)

    def get(self, field: str, default: Any = _MISSING) -> Any:
        """The value of a field. Raises `CheckpointError` when it is missing and there is no default."""
        found = self._plain.get(field, default)
        if found is _MISSING:
            raise CheckpointError("field is missing", file=self.file, leaf=field)
        return found

    def require(self, field: str, *allowed: Any, default: Any = _MISSING) -> None:
        """Raise `CheckpointError` unless a field has one of the values that this library can build."""
        if self.get(field, default) not in allowed:
            raise CheckpointError(f"is {self.get(field)!r}, only {allowed} can be built", file=self.file, leaf=field)

    def mode(self) -> Mode:
        """How state and action are normalised. Raises `CheckpointError` when the two differ or it is not known."""
        mapping = self.get("normalization_mapping")
        state, action = mapping.get("STATE"), mapping.get("ACTION")
        if action not in _MODES or state not in (action, None):
            problem = f"state {state!r} and action {action!r} cannot be normalised together"
            raise CheckpointError(problem, file=self.file, leaf="normalization_mapping")
        return _MODES[action]

    def pictures(self) -> str:
        """How pictures are normalised: "MEAN_STD" or "IDENTITY". Raises `CheckpointError` for anything else."""
        found = self.get("normalization_mapping").get("VISUAL", "IDENTITY")
        if found not in ("MEAN_STD", "IDENTITY"):
            raise CheckpointError(f"pictures normalised by {found!r}", file=self.file, leaf="normalization_mapping")
        return str(found)

    def check_contract(self, contract: Contract, *, state: int | None = None, action: int | None = None) -> None:
        """Raise `ContractError` unless the contract has the cameras and sizes of the policy.

        `state` and `action` are its sizes where the file does not tell those that the network knows. Cameras that are
        only held free for other bodies are masked there and left out here.
        """
        inputs, outputs = self.get("input_features"), self.get("output_features")
        cameras = {f"{PICTURES}{c.name}": [3, c.height, c.width] for c in contract.observation.cameras}
        theirs = {name: item["shape"] for name, item in inputs.items() if item["type"] == "VISUAL"}
        theirs = {name: shape for name, shape in theirs.items() if _EMPTY not in name}
        expected = {**cameras, STATE: [contract.observation.state_dim], ACTION: [contract.action.dim]}
        found = {
            **theirs,
            STATE: inputs.get(STATE, {}).get("shape", [0]) if state is None else [state],
            ACTION: outputs[ACTION]["shape"] if action is None else [action],
        }
        if found != expected or list(theirs) != list(cameras):
            raise ContractError(
                f"the checkpoint has {found}, the contract {expected}",
                file=self.file,
                leaf="input_features",
                cure="Give the contract of the body it was trained for, cameras in the same order.",
            )


def read_weights(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors without the beginning that all share, with the adapter that lies in the folder."""
    tensors = merged(load_tensors(folder / MODEL, framework="torch"), folder)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def vocabulary(folder: Path) -> str:
    """The public language model's `tokenizer.json` where somebody laid it beside the weights, else "" for bytes."""
    path = folder / "tokenizer.json"
    return str(path.resolve()) if path.is_file() else ""


def read_statistics(folder: Path, *, colours: bool = True, mode: Mode = "mean_std") -> dict[str, FeatureStatistics]:
    """Of "state" and "action", from the processor; `colours` says whether pictures are normalised too.

    Raises `CheckpointError` for pictures that are normalised in another way than by ImageNet's constants, and where the
    figures that `mode` needs are missing.
    """
    path = folder / _state_file(folder / "policy_preprocessor.json", "normalizer_processor")
    tensors = load_tensors(path, framework="torch")
    for name, tensor in tensors.items() if colours else ():
        usual = _IMAGENET.get(name.rpartition(".")[2]) if name.startswith(PICTURES) else None
        if usual is not None and (tensor.flatten() - torch.tensor(usual)).abs().max() > _SLACK:
            raise CheckpointError("pictures are not normalised by ImageNet's constants", file=path, leaf=name)
    found = {"state": _feature(tensors, STATE), "action": _feature(tensors, ACTION)}
    for name in (STATE, ACTION) if mode == "quantile" else ():
        if f"{name}.mean" in tensors and not {f"{name}.q01", f"{name}.q99"} <= tensors.keys():
            raise CheckpointError("its 1st and 99th percentiles are missing", file=path, leaf=name)
    return {name: item for name, item in found.items() if item is not None}


def write_checkpoint(
    out: Path,
    *,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    contract: Contract,
    statistics: Mapping[str, FeatureStatistics],
    mode: Mode,
    pictures: str = "MEAN_STD",
    before: Sequence[Step | str] = (DEVICE, UNITS),
    after: Sequence[Step | str] = (UNITS, DEVICE),
    beside: Callable[[Path], None] | None = None,
) -> None:
    """The folder as LeRobot writes it; `before` and `after` are the steps of its processors behind the usual ones.

    `beside` writes what else the folder holds.

    Raises `ConfigError` for units that it does not know.
    """
    kinds = {ours: theirs for theirs, ours in _MODES.items()}
    if mode not in kinds:
        raise ConfigError(f"LeRobot has no normalisation {mode!r}", leaf="normalization")
    norm_map = {"VISUAL": pictures, "STATE": kinds[mode], "ACTION": kinds[mode]}
    seen = contract.observation
    inputs = {f"{PICTURES}{c.name}": {"type": "VISUAL", "shape": [3, c.height, c.width]} for c in seen.cameras}
    if seen.state_dim:
        inputs[STATE] = {"type": "STATE", "shape": [seen.state_dim]}
    outputs = {ACTION: {"type": "ACTION", "shape": [contract.action.dim]}}
    figures = _figures(statistics, inputs)
    with replace_folder(out) as inside:
        facts = {"input_features": inputs, "output_features": outputs, "normalization_mapping": norm_map}
        write_json(inside / CONFIG, {**config, **facts})
        save_tensors(inside / MODEL, {name: tensor.contiguous() for name, tensor in tensors.items()}, {})
        eps = {"eps": 1e-8, "norm_map": norm_map}
        plans = {
            "policy_preprocessor": ({**eps, "features": {**inputs, **outputs}}, (*_FIRST, *before)),
            "policy_postprocessor": ({**eps, "features": outputs}, after),
        }
        for name, (units, plan) in plans.items():
            steps = _steps(name, units, plan)
            write_json(inside / f"{name}.json", {"name": name, "steps": steps})
            for step in steps:
                if "state_file" in step:
                    save_tensors(inside / step["state_file"], figures, {})
        if beside is not None:
            beside(inside)


_FIRST: tuple[Step, ...] = (
    {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
    {"registry_name": "to_batch_processor", "config": {}},
)
_KINDS = {"policy_preprocessor": "normalizer_processor", "policy_postprocessor": "unnormalizer_processor"}


def _steps(name: str, units: Mapping[str, Any], plan: Sequence[Step | str]) -> list[dict[str, Any]]:
    """Steps in order; those that hold units name a file by their place."""
    found: list[dict[str, Any]] = []
    for index, step in enumerate(plan):
        if step == DEVICE:
            step = {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}}
        elif step == UNITS:
            kind = _KINDS[name]
            step = {"registry_name": kind, "config": units, "state_file": f"{name}_step_{index}_{kind}.safetensors"}
        found.append(dict(step))  # type: ignore[arg-type]
    return found


def _figures(statistics: Mapping[str, FeatureStatistics], inputs: Iterable[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for short, name in (("state", STATE), ("action", ACTION)):
        if short in statistics:
            item = statistics[short]
            pairs = {"mean": item.mean, "std": item.std, "min": item.minimum, "max": item.maximum}
            pairs |= {"q01": item.q01, "q99": item.q99}
            found |= {f"{name}.{figure}": torch.tensor(numbers) for figure, numbers in pairs.items()}
    for name in inputs:
        if name.startswith(PICTURES):
            colours = {figure: torch.tensor(row)[:, None, None] for figure, row in _IMAGENET.items()}
            colours |= {"min": torch.zeros(3, 1, 1), "max": torch.ones(3, 1, 1)}
            found |= {f"{name}.{figure}": tensor for figure, tensor in colours.items()}
    return found


def _feature(tensors: Mapping[str, Tensor], name: str) -> FeatureStatistics | None:
    if f"{name}.mean" not in tensors:
        return None

    def row(figure: str, instead: str = "") -> tuple[float, ...]:
        found = tensors.get(f"{name}.{figure}")
        return tuple((tensors[f"{name}.{instead or figure}"] if found is None else found).flatten().tolist())

    rows = {figure: row(figure) for figure in ("mean", "std", "min", "max")}
    return FeatureStatistics(
        count=1,
        mean=rows["mean"],
        std=rows["std"],
        minimum=rows["min"],
        maximum=rows["max"],
        q01=row("q01", "min"),
        q99=row("q99", "max"),
    )


def _state_file(path: Path, kind: str) -> str:
    for step in read_json(path).get("steps", ()):
        name = str(step.get("state_file", ""))
        if step.get("registry_name") == kind and name and Path(name).name == name:
            return name
    raise CheckpointError("no step holds the units", file=path, leaf=kind)
