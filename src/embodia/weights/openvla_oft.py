"""OpenVLA-OFT as its authors publish it: OpenVLA's folder, merged, with head and state projector in files of their own.

Those two files are torch's; only tensors are read from them, and they are written as safetensors. Nothing in the files
says how many steps a chunk has: the contract's chunk does, or eight (LIBERO). The variant with FiLM in its eyes (OFT+)
has the whole of them in a third file; those in the model's own are then not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from embodia.builders.reading import ReaderConfig
from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import Contract
from embodia.io.atomic import replace_folder, write_json
from embodia.io.tensors import load_tensors, save_tensors
from embodia.io.torch_files import load_torch_file
from embodia.parts.decoders.readout import ReadoutConfig
from embodia.policies import PolicySpec
from embodia.policies.openvla_oft import denoising, preset
from embodia.weights import Foreign, _folders, _prismatic
from embodia.weights._names import Names
from embodia.weights.openvla import check, config_json

POLICY = "openvla_oft"
_CHUNK, _SPARED, _BINS = 8, 64, 256
_HEAD, _STATE, _EYES, _NOISE = "action_head", "proprio_projector", "vision_backbone", "noisy_action_projector"
_REGRESSED, _FREED = "model.", "noise_predictor.mlp_resnet."
_MODEL = ("backbone.", "decoder.net.model.")
_PLACE = "encoders.state.position"


def recognise(folder: Path) -> bool:
    """Whether `folder` holds an OpenVLA with a head of numbers beside it."""
    return _folders.model_type(folder) == "openvla" and any(folder.glob(f"{_HEAD}*"))


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`, `CorruptFileError`."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    check(fields)
    tensors, eyes = _folders.read_weights(folder), _component(folder, _EYES)
    if eyes:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{_EYES}.")}
        tensors |= {name.removeprefix(f"{_EYES}."): tensor for name, tensor in eyes.items()}
    vlm = _prismatic.vlm_of(tensors, fields, folder, fields.get("image_sizes"), film=bool(eyes))
    head, state, noise = (_component(folder, name) for name in (_HEAD, _STATE, _NOISE))
    vlm = replace(vlm, causal=False, deep=True, state="token" if state else "none")
    base = denoising() if noise else preset("paper")
    config = _config(replace(base, vlm=vlm, chunk=contract.action.chunk or _CHUNK), head, folder)
    known = _prismatic.statistics(folder, contract, fields)
    if state and "state" not in known:
        raise ContractError("the state has another size in the units of the checkpoint", file=folder, leaf="proprio")
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=known,
        tensors={**_moved(_prismatic.ours(tensors, vlm), config), **ours({**head, **state, **noise}, config)},
    )


def ours(tensors: Mapping[str, Tensor], config: ReaderConfig) -> dict[str, Tensor]:
    """Head and projector of the state under our names. Raises `CheckpointError` on unknown names."""
    found = _names(config).ours(tensors)
    if "encoders.state.project.2.bias" in found:
        found[_PLACE] = found["encoders.state.project.2.bias"].new_zeros(1, config.vlm.model.width)
    return found


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy in OFT's layout, head and projector as safetensors. Raises `ConfigError` for another design."""
    config, contract = foreign.spec.config, foreign.spec.contract
    if config.places != "dims" or not config.spelled or config.ahead or config.bits < 2 or config.vlm.causal:
        raise ConfigError("OFT reads a number off every silent placeholder, with full attention", leaf="places")
    if config.normalization != "quantile" or not config.vlm.deep or not config.readout.hidden:
        raise ConfigError("OFT's state and actions lie between quantiles, its head has hidden layers", leaf="config")
    known = _prismatic.statistics_json(contract, foreign.statistics)
    kept = {name: tensor for name, tensor in foreign.tensors.items() if "_units." not in name}
    kept = {name.replace(_MODEL[1], _MODEL[0], 1): tensor for name, tensor in kept.items()}
    place = kept.pop(_PLACE, None)
    if place is not None:
        kept["encoders.state.project.2.bias"] = kept["encoders.state.project.2.bias"] + place[0]
    beside = {name: kept.pop(name) for name in list(kept) if name.startswith(("decoder.", "encoders.state."))}
    named = _names(config).theirs(beside)
    with replace_folder(out) as inside:
        facts: dict[str, Any] = config_json(config.vlm, _BINS, _SPARED)
        write_json(inside / _folders.CONFIG, {**facts, "norm_stats": known})
        write_json(inside / _prismatic.STATISTICS, known)
        model = _prismatic.theirs(kept, config.vlm)
        if config.vlm.film:
            eyes = {name: tensor for name, tensor in model.items() if name.startswith(f"{_EYES}.")}
            save_tensors(inside / f"{_EYES}--0_checkpoint.safetensors", eyes, {"format": "pt"})
            model = {name.replace(".block.", "."): t for name, t in model.items() if not _modulates(name)}
        _folders.write_weights(inside, model)
        for name in (_HEAD, _STATE, _NOISE):
            part = {key.removeprefix(f"{name}."): tensor for key, tensor in named.items() if key.startswith(name)}
            if part:
                save_tensors(inside / f"{name}--0_checkpoint.safetensors", part, {"format": "pt"})


def _modulates(name: str) -> bool:
    return name.startswith(f"{_EYES}.") and name.split(".")[-2] in ("scale", "shift")


def _component(folder: Path, name: str) -> dict[str, Tensor]:
    """Tensors of a file beside the model, each name beginning with the file's; none where there is no such file."""
    file = _folders.only_file(folder, f"{name}*checkpoint*")
    if file is None:
        return {}
    loaded = load_tensors(file, framework="torch") if file.suffix == ".safetensors" else load_torch_file(file)
    return {f"{name}.{key.removeprefix('module.')}": tensor for key, tensor in loaded.items()}


def _config(config: ReaderConfig, head: Mapping[str, Tensor], folder: Path) -> ReaderConfig:
    start = f"{_HEAD}.{_FREED if config.noise else _REGRESSED}"
    hidden, inputs = _folders.shape_of(head, f"{start}fc1.weight", folder)
    blocks = _folders.count(head, f"{start}mlp_resnet_blocks.")
    if inputs % config.vlm.model.width:
        problem = f"{inputs} numbers a step are no whole hidden states of {config.vlm.model.width}"
        raise CheckpointError(problem, file=folder, leaf=f"{start}fc1.weight")
    return replace(config, readout=ReadoutConfig(hidden=hidden, blocks=blocks))


def _moved(tensors: dict[str, Tensor], config: ReaderConfig) -> dict[str, Tensor]:
    """The language model is the decoder's own where it removes noise."""
    if config.noise is None:
        return tensors
    return {name.replace(*_MODEL) if name.startswith(_MODEL[0]) else name: t for name, t in tensors.items()}


def _names(config: ReaderConfig) -> Names:
    blocks = config.readout.blocks
    head, layers = (
        (f"{_HEAD}.{_FREED}", "decoder.net.head.") if config.noise else (f"{_HEAD}.{_REGRESSED}", "decoder.head.")
    )
    pairs = [(f"{_STATE}.fc{1 + n}.{{leaf}}", f"encoders.state.project.{2 * n}.{{leaf}}") for n in range(2)]
    pairs += [
        (f"{_NOISE}.fc{1 + n}.{{leaf}}", f"decoder.net.enter.{name}.{{leaf}}") for n, name in enumerate(("up", "down"))
    ]
    pairs += [(f"{head}layer_norm1.{{leaf}}", f"{layers}0.{{leaf}}"), (f"{head}fc1.{{leaf}}", f"{layers}1.{{leaf}}")]
    for block in range(blocks):
        inside = f"{head}mlp_resnet_blocks.{block}.ffn."
        pairs.append((f"{inside}0.{{leaf}}", f"{layers}{3 + block}.norm.{{leaf}}"))
        pairs.append((f"{inside}1.{{leaf}}", f"{layers}{3 + block}.linear.{{leaf}}"))
    pairs.append((f"{head}layer_norm2.{{leaf}}", f"{layers}{3 + blocks}.{{leaf}}"))
    pairs.append((f"{head}fc2.{{leaf}}", f"{layers}{4 + blocks}.{{leaf}}"))
    return Names(pairs)
