"""RDT-1B as its authors publish it: the diffusion transformer alone, its two frozen encoders as others publish them.

Lay SigLIP's folder as `siglip-so400m-patch14-384` and T5's as `t5-v1_1-xxl` into RDT's. The one thing to watch: every
number of state and action has a place of its own among 128; parts of the contract are named after these places
(`PLACES`), and weights are laid out anew for them. Numbers are physical, no units are in the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import Contract
from embodia.io.atomic import replace_folder, write_json
from embodia.io.torch_files import load_torch_file
from embodia.parts.decoders.dit import DitConfig
from embodia.policies import PolicySpec
from embodia.policies.rdt import Config, preset
from embodia.weights import Foreign, _folders
from embodia.weights._names import Names

POLICY = "rdt"
EYES, WORDS, BIN = "siglip-so400m-patch14-384", "t5-v1_1-xxl", "pytorch_model.bin"
_ARM: tuple[tuple[str, int], ...] = (
    ("arm_joint_pos", 0),
    ("gripper_joint_pos", 10),
    ("gripper_open", 10),
    ("arm_joint_vel", 15),
)
_ARM += (("gripper_joint_vel", 25), ("eef_pos", 30), ("eef_angle", 33), ("eef_vel", 39), ("eef_angular_vel", 42))
PLACES: Mapping[str, int] = {
    **{f"{side}_{name}": first + place for side, first in (("right", 0), ("left", 50)) for name, place in _ARM},
    "base_vel": 100,
    "base_angular_vel": 102,
}
"""Where a part's first number lies in the vector of 128; further ones follow."""
_BLOCK, _LAYER = "model.blocks.{i}.", "decoder.net.blocks.layers.{i}."
_PAIRS = [
    ("model.x_pos_embed", "decoder.net.position"),
    ("model.lang_cond_pos_embed", "decoder.net.positions.language"),
    ("model.img_cond_pos_embed", "decoder.net.positions.image"),
    ("model.final_layer.norm_final.weight", "decoder.net.last_norm.weight"),
    ("model.final_layer.ffn_final.fc1.{leaf}", "decoder.net.out.up.{leaf}"),
    ("model.final_layer.ffn_final.fc2.{leaf}", "decoder.net.out.down.{leaf}"),
    ("lang_adaptor.{n}.{leaf}", "encoders.language.project.{n}.{leaf}"),
    ("img_adaptor.{n}.{leaf}", "encoders.image.project.{n}.{leaf}"),
    ("state_adaptor.0.{leaf}", "decoder.net.adapt.0.up.{leaf}"),
    ("state_adaptor.2.{leaf}", "decoder.net.adapt.0.down.{leaf}"),
    ("state_adaptor.4.{leaf}", "decoder.net.adapt.2.{leaf}"),
    *(
        (f"model.{theirs}_embedder.mlp.{2 * n}.{{leaf}}", f"decoder.net.{ours}.{layer}.{{leaf}}")
        for theirs, ours in (("t", "time"), ("freq", "rate"))
        for n, layer in enumerate(("first", "second"))
    ),
    *(
        (f"{_BLOCK}{theirs}.weight", f"{_LAYER}{ours}.weight")
        for theirs, ours in (("norm1", "attention_norm"), ("norm2", "cross_norm"), ("norm3", "mlp_norm"))
    ),
    *(
        (f"{_BLOCK}{theirs}.{part}.{{leaf}}", f"{_LAYER}{ours}.{name}.{{leaf}}")
        for theirs, ours in (("attn", "attention"), ("cross_attn", "cross"))
        for part, name in (("q", "query"), ("kv", "key_value"), ("proj", "out"))
    ),
    *(
        (f"{_BLOCK}{theirs}.{part}_norm.weight", f"{_LAYER}{ours}.{name}_norm.weight")
        for theirs, ours in (("attn", "attention"), ("cross_attn", "cross"))
        for part, name in (("q", "query"), ("k", "key"))
    ),
    (f"{_BLOCK}ffn.fc1.{{leaf}}", f"{_LAYER}mlp.up.{{leaf}}"),
    (f"{_BLOCK}ffn.fc2.{{leaf}}", f"{_LAYER}mlp.down.{{leaf}}"),
]
_NAMES = Names(_PAIRS)
_POSITIONS = ("decoder.net.position", "decoder.net.positions.language", "decoder.net.positions.image")
_ENTERS, _LEAVES = "decoder.net.adapt.0.up.weight", "decoder.net.out.down."


def recognise(folder: Path) -> bool:
    """Whether `folder` holds an RDT."""
    path = folder / _folders.CONFIG
    return path.is_file() and isinstance(_folders.Fields(path).get("config.rdt", None), dict)


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`, `MissingFileError` for an encoder's folder."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    config = config_of(fields)
    cameras = fields.get("img_pos_embed_config")[0][1][1]
    if len(contract.observation.cameras) != cameras:
        raise ContractError(f"the checkpoint sees {cameras} cameras", file=fields.file, leaf="img_pos_embed_config")
    tensors = ours(_read(folder), order(contract, config.unified))
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics={},
        tensors={**tensors, **eyes(_read(folder / EYES)), **words(_read(folder / WORDS))},
    )


def config_of(fields: _folders.Fields) -> Config:
    """Our configuration. Raises `CheckpointError` for what cannot be built."""
    for field, value in (
        ("lang_adaptor", "mlp2x_gelu"),
        ("img_adaptor", "mlp2x_gelu"),
        ("state_adaptor", "mlp3x_gelu"),
    ):
        fields.require(f"config.{field}", value)
    for field, width in (
        ("lang_token_dim", 4096),
        ("img_token_dim", 1152),
        ("state_token_dim", fields.get("action_dim")),
    ):
        fields.require(field, width)
    fields.require("config.noise_scheduler.prediction_type", "sample")
    paper, noise = preset("paper"), "config.noise_scheduler."
    width = fields.get("config.rdt.hidden_size")
    net = replace(paper.dit, width=width, hidden=width, depth=fields.get("config.rdt.depth"))
    diffusion = replace(
        paper.diffusion,
        train_steps=fields.get(f"{noise}num_train_timesteps"),
        sample_steps=fields.get(f"{noise}num_inference_timesteps"),
        schedule=fields.get(f"{noise}beta_schedule"),
    )
    return replace(
        paper,
        chunk=fields.get("pred_horizon"),
        history=fields.get("img_pos_embed_config")[0][1][0],
        text=replace(paper.text, length=fields.get("max_lang_cond_len")),  # type: ignore[type-var]
        dit=replace(net, heads=fields.get("config.rdt.num_heads")),
        unified=fields.get("action_dim"),
        diffusion=diffusion,
        normalization="identity",
    )


def order(contract: Contract, size: int) -> Tensor:
    """For every number inside our network its place in theirs, int64 (size,).

    Raises `ContractError` for a part without a place, or where state and action are not the same numbers.
    """
    acted = [(part.name, part.dim) for part in contract.action.parts]
    if acted != [(part.name, part.dim) for part in contract.observation.state]:
        raise ContractError("RDT's state and action are the same numbers in the same order", leaf="parts")
    used: list[int] = []
    for name, dim in acted:
        if name not in PLACES or PLACES[name] + dim > size:
            known = ", ".join(PLACES)
            raise ContractError(f"part {name!r} of {dim} has no place", leaf="parts", cure=f"Places: {known}")
        used += range(PLACES[name], PLACES[name] + dim)
    if len(set(used)) != len(used):
        raise ContractError("two parts share a place", leaf="parts")
    return torch.tensor(used + [place for place in range(size) if place not in used])


def ours(tensors: Mapping[str, Tensor], places: Tensor) -> dict[str, Tensor]:
    """The transformer and its adaptors under our names. Raises `CheckpointError` on unknown names."""
    parted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".attn.qkv." in name:
            third = len(tensor) // 3
            parted[name.replace(".qkv.", ".q.")], parted[name.replace(".qkv.", ".kv.")] = tensor[:third], tensor[third:]
        else:
            parted[name] = tensor
    found = _NAMES.ours(parted)
    for name in _POSITIONS:
        found[name] = found[name][0]
    return _placed(found, places)


def theirs(tensors: Mapping[str, Tensor], places: Tensor) -> dict[str, Tensor]:
    """The other way round, without the encoders. Raises `CheckpointError` on unknown names."""
    kept = _placed(tensors, places.argsort())
    named, found = _NAMES.theirs({n: t[None] if n in _POSITIONS else t for n, t in kept.items()}), {}
    for name, tensor in named.items():
        if ".attn.q." in name:
            found[name.replace(".q.", ".qkv.")] = torch.cat([tensor, named[name.replace(".q.", ".kv.")]])
        elif ".attn.kv." not in name:
            found[name] = tensor
    return found


def eyes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SigLIP's vision tower under our names; its text tower and pooling head are not read."""
    unread = ("text_model.", "logit_", "vision_model.head.")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(unread)}
    return {f"encoders.image.trunks.0.tower.{name.removeprefix('vision_model.')}": t for name, t in kept.items()}


def words(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """T5's encoder under our names; its decoder and head are not read. Raises `CheckpointError` without words."""
    kept = {name: t for name, t in tensors.items() if not name.startswith(("decoder.", "lm_head.", "shared."))}
    table = tensors.get("shared.weight", tensors.get("encoder.embed_tokens.weight"))
    if table is None:
        raise CheckpointError("tensor is missing in the file", leaf="shared.weight")
    kept |= {"shared.weight": table, "encoder.embed_tokens.weight": table}
    return {f"encoders.language.model.{name}": tensor for name, tensor in kept.items()}


def write(foreign: Foreign, out: Path) -> None:
    """Write the transformer for RDT, without its encoders. Raises `ConfigError` for another design."""
    config, contract = foreign.spec.config, foreign.spec.contract
    net: DitConfig = config.dit
    if config.text is None or config.text.size != "xxl" or net.norm != "spread" or config.normalization != "identity":
        raise ConfigError("RDT hears T5-XXL, divides by deviations and acts in physical numbers", leaf="config")
    cells = (config.vision.pixels // config.vision.patch) ** 2
    grid = [config.history, len(contract.observation.cameras), -cells]
    noise = config.diffusion
    model: dict[str, Any] = {"lang_adaptor": "mlp2x_gelu", "img_adaptor": "mlp2x_gelu", "state_adaptor": "mlp3x_gelu"}
    model["rdt"] = {"hidden_size": net.width, "depth": net.depth, "num_heads": net.heads}
    model["noise_scheduler"] = {
        "type": "ddpm",
        "num_train_timesteps": noise.train_steps,
        "num_inference_timesteps": noise.sample_steps,
        "beta_schedule": noise.schedule,
        "prediction_type": noise.prediction,
        "clip_sample": False,
    }
    facts = {
        "config": model,
        "action_dim": config.unified,
        "state_token_dim": config.unified,
        "lang_token_dim": 4096,
        "img_token_dim": config.vision.width,
        "pred_horizon": config.chunk,
        "max_lang_cond_len": config.text.length,
        "img_cond_len": config.history * grid[1] * cells,
        "img_pos_embed_config": [["image", grid]],
        "lang_pos_embed_config": [["lang", -config.text.length]],
    }
    kept = {n: t for n, t in foreign.tensors.items() if n.startswith(("decoder.", "encoders.")) and ".model." not in n}
    kept = {name: tensor for name, tensor in kept.items() if ".trunks." not in name}
    with replace_folder(out) as inside:
        write_json(inside / _folders.CONFIG, facts)
        _folders.write_weights(inside, theirs(kept, order(contract, config.unified)))


def _placed(tensors: Mapping[str, Tensor], places: Tensor) -> dict[str, Tensor]:
    """With columns that enter and rows that leave in another order; marks lie behind the numbers."""
    found, size = dict(tensors), len(places)
    found[_ENTERS] = found[_ENTERS][:, torch.cat([places, places + size]).to(found[_ENTERS].device)]
    for leaf in ("weight", "bias"):
        found[_LEAVES + leaf] = found[_LEAVES + leaf][places.to(found[_LEAVES + leaf].device)]
    return found


def _read(folder: Path) -> dict[str, Tensor]:
    if (folder / BIN).is_file() and not (folder / _folders.MODEL).is_file():
        return load_torch_file(folder / BIN)
    return _folders.read_weights(folder)
