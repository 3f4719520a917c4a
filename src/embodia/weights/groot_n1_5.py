"""GR00T N1.5 as its authors publish it: config.json, sharded safetensors, units in experiment_cfg/metadata.json.

Its flow runs from noise at zero to data at one and ours the other way, so the last layer of the hands changes its sign.
The one thing to watch: a body's weights are a slot among 32 which its name decides; a contract of another body gets the
slot that is kept for new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.core.errors import CheckpointError, ConfigError, ContractError, MissingFileError
from embodia.core.specs import ActionPart, Contract, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.io.atomic import replace_folder, write_json
from embodia.parts.backbones.cross_expert import CrossExpertConfig
from embodia.policies import PolicySpec
from embodia.policies.groot_n1 import CHAT, Config, n1_5
from embodia.weights import Foreign, _folders
from embodia.weights._names import Names

POLICY = "groot_n1"
UNITS = "experiment_cfg/metadata.json"
SLOTS: Mapping[str, int] = {"gr1": 24, "oxe_droid": 17, "agibot_genie1": 26, "new_embodiment": 31}
"""The bodies by their public name, and where their weights lie."""
NEW = "new_embodiment"
EAGLE = "NVEagle/eagle_er-qwen3_1_7B-Siglip2_400M_stage1_5_128gpu_er_v7_1mlp_nops"
BASE = replace(n1_5(), foresight=None)
"""Sizes of the model that reads; no file of a checkpoint holds them."""
_EAGLE, _HEAD, _EXPERT = "backbone.eagle_model.", "action_head.", "decoder.velocity."
_WORDS, _SPEAKS = f"{_EAGLE}language_model.model.embed_tokens.weight", f"{_EAGLE}language_model.lm_head.weight"
_SEES = f"{_EAGLE}vision_model.vision_model."
_BY_BODY = ("state.first", "state.second", "actions.enter", "actions.mix", "actions.leave", "hand.first", "hand.second")
_THEIRS = ("state_encoder.layer1", "state_encoder.layer2", "action_encoder.W1", "action_encoder.W2",
           "action_encoder.W3", "action_decoder.layer1", "action_decoder.layer2")  # fmt: skip


def _attended(theirs: str, ours: str) -> list[tuple[str, str]]:
    """A block's attention and perceptron below two prefixes."""
    known = {"attn1.to_q": "attention.query", "attn1.to_kv": "attention.key_value", "attn1.to_out.0": "attention.out"}
    known |= {"ff.net.0.proj": "mlp.up", "ff.net.2": "mlp.down"}
    return [(f"{theirs}.{a}.{{leaf}}", f"{ours}.{b}.{{leaf}}") for a, b in known.items()]


_BLOCK, _LAYER = f"{_HEAD}model.transformer_blocks.{{i}}", f"{_HEAD}vl_self_attention.transformer_blocks.{{i}}"
_NAMES = Names(
    [
        *((f"{_HEAD}{a}.W", f"{_EXPERT}{b}.weight") for a, b in zip(_THEIRS, _BY_BODY, strict=True)),
        *((f"{_HEAD}{a}.b", f"{_EXPERT}{b}.bias") for a, b in zip(_THEIRS, _BY_BODY, strict=True)),
        (f"{_HEAD}future_tokens.weight", f"{_EXPERT}future"),
        (f"{_HEAD}position_embedding.weight", f"{_EXPERT}position"),
        (f"{_HEAD}vlln.{{leaf}}", f"{_EXPERT}norm.{{leaf}}"),
        (f"{_LAYER}.norm1.{{leaf}}", f"{_EXPERT}adapter.layers.{{i}}.attention_norm.{{leaf}}"),
        (f"{_LAYER}.norm3.{{leaf}}", f"{_EXPERT}adapter.layers.{{i}}.mlp_norm.{{leaf}}"),
        *_attended(_LAYER, f"{_EXPERT}adapter.layers.{{i}}"),
        (f"{_BLOCK}.norm1.linear.{{leaf}}", f"{_EXPERT}dit.blocks.{{i}}.modulation.{{leaf}}"),
        *_attended(_BLOCK, f"{_EXPERT}dit.blocks.{{i}}"),
        (f"{_HEAD}model.timestep_encoder.timestep_embedder.linear_1.{{leaf}}", f"{_EXPERT}time.first.{{leaf}}"),
        (f"{_HEAD}model.timestep_encoder.timestep_embedder.linear_2.{{leaf}}", f"{_EXPERT}time.second.{{leaf}}"),
        (f"{_HEAD}model.proj_out_1.{{leaf}}", f"{_EXPERT}dit.modulation.{{leaf}}"),
        (f"{_HEAD}model.proj_out_2.{{leaf}}", f"{_EXPERT}out.{{leaf}}"),
        (f"{_EAGLE}mlp1.0.{{leaf}}", "encoders.image.inner.project.{leaf}"),
        (_WORDS, "backbone.vocabulary.table.weight"),
        (f"{_EAGLE}language_model.model.norm.weight", "backbone.engine.model.norm.weight"),
        (
            f"{_EAGLE}language_model.model.layers.{{i}}.{{part}}.{{layer}}.weight",
            "backbone.engine.model.layers.{i}.{part}.{layer}.weight",
        ),
        (
            f"{_EAGLE}language_model.model.layers.{{i}}.{{part}}.weight",
            "backbone.engine.model.layers.{i}.{part}.weight",
        ),
        *(
            (f"{_SEES}{name}.{{leaf}}", f"encoders.image.inner.trunks.0.tower.{name}.{{leaf}}")
            for name in (
                "embeddings.patch_embedding",
                "embeddings.position_embedding",
                "encoder.layers.{i}.{part}",
                "encoder.layers.{i}.{part}.{layer}",
                "post_layernorm",
            )
        ),
    ],
    unused=(r"backbone\.eagle_model\.vision_model\.vision_model\.head\..*",),
)


def recognise(folder: Path) -> bool:
    """Whether `folder` holds a GR00T N1.5."""
    return _folders.model_type(folder) == "gr00t_n1_5"


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`, `MissingFileError`."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    tensors = ours(_folders.read_weights(folder), SLOTS.get(contract.embodiment, SLOTS[NEW]))
    config = config_of(fields, tensors, contract.embodiment, folder)
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=statistics(folder / UNITS, contract),
        tensors=tensors,
    )


def config_of(fields: _folders.Fields, tensors: Mapping[str, Tensor], body: str, folder: Path) -> Config:
    """Our configuration with the sizes of the file. Raises `CheckpointError` for what cannot be built."""
    base, vlm = BASE, BASE.vlm
    for field, allowed in _REQUIRED.items():
        fields.require(field, allowed, default=allowed)
    fields.require("backbone_cfg.select_layer", vlm.model.depth)  # type: ignore[union-attr]
    file = folder / "tokenizer.json"
    pieces, _ = _folders.shape_of(tensors, "backbone.vocabulary.table.weight", folder)
    text = replace(CHAT, vocabulary=pieces, file=str(file.resolve()) if file.is_file() else "")
    bodies, state_dim, _ = _folders.shape_of(tensors, f"{_EXPERT}state.first.weight", folder)
    positions, width = _folders.shape_of(tensors, f"{_EXPERT}position", folder)
    fields.require(f"{_DIT}attention_head_dim", width // fields.get(f"{_DIT}num_attention_heads"))
    expert = CrossExpertConfig(
        width=width,
        depth=fields.get(f"{_DIT}num_layers"),
        heads=fields.get(f"{_DIT}num_attention_heads"),
        outputs=fields.get("action_head_cfg.hidden_size"),
        memory=0,
        adapter=fields.get(f"{_LOOK}num_layers"),
        adapter_heads=fields.get(f"{_LOOK}num_attention_heads"),
        every=2 if fields.get(f"{_DIT}interleave_self_attention") else 1,
        futures=_folders.shape_of(tensors, f"{_EXPERT}future", folder)[0],
        bodies=bodies,
        state_dim=state_dim,
        positions=positions,
    )
    return replace(
        base,
        chunk=fields.get("action_horizon"),
        vlm=replace(vlm, text=text),
        expert=expert,
        bodies=others(body, bodies),
        padded=fields.get("action_dim"),
        flow=replace(base.flow, steps=fields.get("action_head_cfg.num_inference_timesteps")),
    )


def ours(tensors: Mapping[str, Tensor], slot: int) -> dict[str, Tensor]:
    """Our state dictionary, without the units; the body in `slot` comes first. Raises `CheckpointError`."""
    parted = {name: tensor for name, tensor in tensors.items() if name != _SPEAKS}
    if _WORDS not in parted and _SPEAKS in tensors:
        parted[_WORDS] = tensors[_SPEAKS]
    for name in [name for name in parted if ".attn1.to_k." in name]:
        value = name.replace(".to_k.", ".to_v.")
        if value not in parted:
            raise CheckpointError("tensor is missing in the file", leaf=value)
        parted[name.replace(".to_k.", ".to_kv.")] = torch.cat([parted.pop(name), parted.pop(value)])
    found = _turned(_NAMES.ours(parted))
    for name in _of_bodies(found):
        found[name] = found[name][order(slot, len(found[name]))]
    return found


def theirs(tensors: Mapping[str, Tensor], slot: int) -> dict[str, Tensor]:
    """The other way round, with the layers that nobody reads. Raises `CheckpointError` on unknown names."""
    kept = {n: t for n, t in tensors.items() if "_units." not in n and not n.startswith("heads.")}
    kept = _turned(kept)
    for name in _of_bodies(kept):
        kept[name] = kept[name][order(slot, len(kept[name])).argsort()]
    found: dict[str, Tensor] = {}
    for name, tensor in _NAMES.theirs(kept).items():
        if ".attn1.to_kv." in name:
            found[name.replace(".to_kv.", ".to_k.")], found[name.replace(".to_kv.", ".to_v.")] = tensor.chunk(2)
        else:
            found[name] = tensor
    return {**found, _SPEAKS: found[_WORDS].clone(), **_pooled(found)}


def order(slot: int, bodies: int) -> Tensor:
    """Their slots in our order: the contract's own body first."""
    return torch.tensor([slot, *(index for index in range(bodies) if index != slot)])


def others(body: str, bodies: int) -> tuple[str, ...]:
    """Names of the bodies behind the first, in our order; slots without a public name are numbered."""
    named = {place: name for name, place in SLOTS.items()}
    places = order(SLOTS.get(body, SLOTS[NEW]), bodies)[1:].tolist()
    return tuple(named.get(place, f"slot_{place}") for place in places)


def statistics(file: Path, contract: Contract) -> dict[str, FeatureStatistics]:
    """Units of the contract's parts, by their names. Raises `ContractError` naming a part that has none."""
    if not file.is_file():
        raise MissingFileError("the units are missing", file=file)
    known = _folders.Fields(file)
    table: Any = known.get(contract.embodiment, None) or known.get(NEW, None)
    if not isinstance(table, dict) or not isinstance(table.get("statistics"), dict):
        raise ContractError(f"there are no units of {contract.embodiment!r}", file=file, leaf="embodiment")
    units, found = table["statistics"], {}
    for kind, parts in (("state", contract.observation.state), ("action", contract.action.parts)):
        key = contract.action.statistics_key if kind == "action" else "state"
        if parts:
            found[key] = _joined(units.get(kind), kind, parts, file)
    return found


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for GR00T N1.5. Raises `ConfigError` where it has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    expert, text = config.expert, config.vlm.text
    if expert.memory or not expert.adapter or not config.padded or config.normalization != "min_max":
        raise ConfigError("GR00T N1.5 reads normed hidden states and pads actions between their limits", leaf="expert")
    if text != replace(CHAT, vocabulary=text.vocabulary, file=text.file) or config.vlm != replace(BASE.vlm, text=text):
        raise ConfigError("GR00T N1.5 reads with Eagle 2.5, in its chat", leaf="vlm")
    slot = SLOTS.get(contract.embodiment, SLOTS[NEW])
    if slot >= expert.bodies:
        raise ConfigError(f"the body lies in slot {slot} of {expert.bodies}", leaf="expert.bodies")
    units: dict[str, Sequence[StatePart | ActionPart]] = {
        "state": contract.observation.state,
        "action": contract.action.parts,
    }
    keys = {"state": "state", "action": contract.action.statistics_key}
    table = {k: _parted(foreign.statistics[keys[k]], p) for k, p in units.items() if keys[k] in foreign.statistics}
    with replace_folder(out) as inside:
        write_json(inside / _folders.CONFIG, config_json(config))
        write_json(inside / UNITS, {contract.embodiment: {"statistics": table}})
        _folders.write_weights(inside, theirs(foreign.tensors, slot))


def config_json(config: Config) -> dict[str, Any]:
    """config.json as it is published."""
    expert, model = config.expert, config.vlm.model
    shared = {"dropout": 0.2, "final_dropout": True, "positional_embeddings": None}
    dit = {
        **shared,
        "attention_head_dim": expert.width // expert.heads,
        "cross_attention_dim": model.width,
        "interleave_self_attention": expert.every == 2,
        "norm_type": "ada_norm",
        "num_attention_heads": expert.heads,
        "num_layers": expert.depth,
        "output_dim": expert.outputs,
    }
    look = {
        **shared,
        "attention_head_dim": model.width // expert.adapter_heads,
        "num_attention_heads": expert.adapter_heads,
        "num_layers": expert.adapter,
    }
    head = {
        "action_dim": config.padded,
        "action_horizon": config.chunk,
        "add_pos_embed": True,
        "backbone_embedding_dim": model.width,
        "diffusion_model_cfg": dit,
        "hidden_size": expert.outputs,
        "input_embedding_dim": expert.width,
        "max_action_dim": config.padded,
        "max_num_embodiments": expert.bodies,
        "max_seq_len": expert.positions,
        "max_state_dim": expert.state_dim,
        "model_dtype": "float32",
        "noise_beta_alpha": 1.5,
        "noise_beta_beta": 1.0,
        "noise_s": 0.999,
        "num_inference_timesteps": config.inference.steps or config.flow.steps,
        "num_target_vision_tokens": expert.futures,
        "num_timestep_buckets": 1000,
        "use_vlln": True,
        "vl_self_attention_cfg": look,
    }
    backbone = {"eagle_path": EAGLE, "project_to_dim": None, "reproject_vision": False, "select_layer": model.depth}  # type: ignore[union-attr]
    return {
        "model_type": "gr00t_n1_5",
        "architectures": ["GR00T_N1_5"],
        "action_dim": config.padded,
        "action_horizon": config.chunk,
        "action_head_cfg": head,
        "backbone_cfg": backbone,
        "compute_dtype": "float32",
        "hidden_size": model.width,
    }


def _turned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Time runs the other way and its cosines come before its sines: the same change in either direction."""
    found = dict(tensors)
    for leaf in ("weight", "bias"):
        found[f"{_EXPERT}hand.second.{leaf}"] = -found[f"{_EXPERT}hand.second.{leaf}"]
    acted, first, second = (mix := found[f"{_EXPERT}actions.mix.weight"]).split(
        [mix.shape[1] // 2, mix.shape[1] // 4, mix.shape[1] // 4], dim=1
    )
    found[f"{_EXPERT}actions.mix.weight"] = torch.cat([acted, second, first], dim=1)
    return found


def _of_bodies(tensors: Mapping[str, Tensor]) -> list[str]:
    beginnings = tuple(f"{_EXPERT}{part}." for part in _BY_BODY)
    return [name for name in tensors if name.startswith(beginnings)]


def _pooled(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tower's pooling head, which nobody reads, as zeros."""
    width = len(found[f"{_SEES}post_layernorm.weight"])
    hidden = len(found[f"{_SEES}encoder.layers.0.mlp.fc1.weight"])
    sizes: dict[str, tuple[int, ...]] = {"probe": (1, 1, width)}
    sizes |= {"attention.in_proj_weight": (3 * width, width), "attention.in_proj_bias": (3 * width,)}
    for name, (rows, columns) in {
        "attention.out_proj": (width, width), "mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)
    }.items():  # fmt: skip
        sizes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    sizes |= {"layernorm.weight": (width,), "layernorm.bias": (width,)}
    device = found[f"{_SEES}post_layernorm.weight"].device
    return {f"{_SEES}head.{name}": torch.zeros(shape, device=device) for name, shape in sizes.items()}


_FIGURES = {"mean": "mean", "std": "std", "minimum": "min", "maximum": "max", "q01": "q01", "q99": "q99"}


def _joined(table: Any, kind: str, parts: Sequence[StatePart | ActionPart], file: Path) -> FeatureStatistics:
    rows: dict[str, tuple[float, ...]] = dict.fromkeys(_FIGURES, ())
    for part in parts:
        units = table.get(part.name) if isinstance(table, dict) else None
        if not isinstance(units, dict):
            raise ContractError("there are no units of this part", file=file, leaf=f"{kind}.{part.name}")
        for ours_name, name in _FIGURES.items():
            row = units.get(name, units.get({"q01": "min", "q99": "max"}.get(name, name)))
            if not isinstance(row, list) or len(row) != part.dim:
                raise ContractError(f"{name} is not of {part.dim} numbers", file=file, leaf=f"{kind}.{part.name}")
            rows[ours_name] += tuple(float(value) for value in row)
    return FeatureStatistics(count=1, **rows)


def _parted(known: FeatureStatistics, parts: Sequence[StatePart | ActionPart]) -> dict[str, dict[str, list[float]]]:
    found, start = {}, 0
    for part in parts:
        end = start + part.dim
        found[part.name] = {name: list(getattr(known, ours_name)[start:end]) for ours_name, name in _FIGURES.items()}
        start = end
    return found


_DIT, _LOOK = "action_head_cfg.diffusion_model_cfg.", "action_head_cfg.vl_self_attention_cfg."
_REQUIRED: dict[str, Any] = {
    "backbone_cfg.project_to_dim": None,
    "backbone_cfg.reproject_vision": False,
    "action_head_cfg.add_pos_embed": True,
    "action_head_cfg.use_vlln": True,
    "action_head_cfg.num_timestep_buckets": 1000,
    "action_head_cfg.noise_beta_alpha": 1.5,
    "action_head_cfg.noise_beta_beta": 1.0,
    f"{_DIT}norm_type": "ada_norm",
    f"{_DIT}positional_embeddings": None,
    f"{_LOOK}positional_embeddings": None,
}
