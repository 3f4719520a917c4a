"""CogACT as its authors publish it: config.json, dataset_statistics.json and one file of torch in checkpoints/.

From that file only tensors are read; going out it is a safetensors file with the same names. Its language model keeps
Llama 2's own epsilon. The one thing to watch: a gripper below one half is closed by its program, open above; here the
number itself goes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from embodia.builders.diffusion_vla import DiffusionVlaConfig
from embodia.core.errors import CheckpointError, ConfigError, ContractError, MissingFileError
from embodia.core.specs import Contract
from embodia.io.atomic import replace_folder, write_json
from embodia.io.jsonio import read_json
from embodia.io.tensors import load_tensors, save_tensors
from embodia.io.torch_files import load_torch_file
from embodia.parts.decoders.dit import DitConfig
from embodia.policies import PolicySpec
from embodia.policies.cogact import ACTION_MODELS, preset
from embodia.weights import Foreign, _folders, _prismatic
from embodia.weights._names import Names

POLICY = "cogact"
_BASE = "prism-dinosiglip-224px+7b"
_PIXELS, _EPSILON = (224, 224), 1e-5
_NET = "action_model.net."
_VLM = (
    (r"vision_backbone\.dino_featurizer\.(.*)\.gamma", r"vision_backbone.featurizer.\1.scale_factor"),
    (r"vision_backbone\.dino_featurizer\.(.*)", r"vision_backbone.featurizer.\1"),
    (r"vision_backbone\.siglip_featurizer\.(.*)", r"vision_backbone.fused_featurizer.\1"),
    (r"llm_backbone\.llm\.(.*)", r"language_model.\1"),
    (r"projector\.projector\.0\.(.*)", r"projector.fc1.\1"),
    (r"projector\.projector\.2\.(.*)", r"projector.fc2.\1"),
    (r"projector\.projector\.4\.(.*)", r"projector.fc3.\1"),
)
_HEAD = Names(
    [
        (f"{_NET}positional_embedding", "decoder.net.position"),
        (f"{_NET}z_embedder.uncondition", "decoder.blank"),
        (f"{_NET}z_embedder.linear.{{leaf}}", "decoder.net.told.{leaf}"),
        (f"{_NET}x_embedder.linear.{{leaf}}", "decoder.net.embed.{leaf}"),
        (f"{_NET}t_embedder.mlp.0.{{leaf}}", "decoder.net.time.first.{leaf}"),
        (f"{_NET}t_embedder.mlp.2.{{leaf}}", "decoder.net.time.second.{leaf}"),
        (f"{_NET}final_layer.linear.{{leaf}}", "decoder.net.out.{leaf}"),
        (f"{_NET}blocks.{{i}}.attn.q.{{leaf}}", "decoder.net.blocks.layers.{i}.attention.query.{leaf}"),
        (f"{_NET}blocks.{{i}}.attn.kv.{{leaf}}", "decoder.net.blocks.layers.{i}.attention.key_value.{leaf}"),
        (f"{_NET}blocks.{{i}}.attn.proj.{{leaf}}", "decoder.net.blocks.layers.{i}.attention.out.{leaf}"),
        (f"{_NET}blocks.{{i}}.mlp.fc1.{{leaf}}", "decoder.net.blocks.layers.{i}.mlp.up.{leaf}"),
        (f"{_NET}blocks.{{i}}.mlp.fc2.{{leaf}}", "decoder.net.blocks.layers.{i}.mlp.down.{leaf}"),
    ],
    unused=(r"action_model\.net\.history_embedder\..*", r"ema_diffusion\..*"),
)


def recognise(folder: Path) -> bool:
    """Whether `folder` holds a run of Prismatic's with a head that removes noise."""
    path = folder / _folders.CONFIG
    if not path.is_file() or not any(folder.glob("checkpoints/*")):
        return False
    found = read_json(path)
    return isinstance(found, dict) and isinstance(found.get("vla"), dict)


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`, `CorruptFileError`."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    fields.require("vla.base_vlm", _BASE)
    if len(contract.observation.cameras) != 1:
        raise ContractError("CogACT has one camera", file=fields.file, leaf="cameras")
    tensors = _tensors(folder)
    known = {name: tensor for name, tensor in tensors.items() if not name.startswith(("action_model.", "ema_"))}
    vlm = _prismatic.vlm_of(renamed(known), fields, folder, fields.get("image_sizes", _PIXELS), _EPSILON)
    head = {name: tensor for name, tensor in tensors.items() if name not in known}
    config = _config(replace(preset("paper"), vlm=vlm), head, folder)
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_prismatic.statistics(folder, contract, fields),
        tensors={**_prismatic.ours(renamed(known), vlm), **ours(head)},
    )


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's tensors under the names of the Hugging Face layout."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        fitting = [target for source, target in _VLM if re.fullmatch(source, name)]
        if not fitting:
            raise CheckpointError("a tensor that this layout does not know", leaf=name)
        source = next(source for source, _ in _VLM if re.fullmatch(source, name))
        found[re.sub(source, fitting[0], name)] = tensor
    return found


def ours(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The action model under our names. Raises `CheckpointError` on unknown names."""
    parted: dict[str, Tensor] = {}
    for name, tensor in head.items():
        if ".attn.qkv." in name:
            third = len(tensor) // 3
            parted[name.replace(".qkv.", ".q.")] = tensor[:third]
            parted[name.replace(".qkv.", ".kv.")] = tensor[third:]
        else:
            parted[name] = tensor[0] if name.endswith("z_embedder.uncondition") else tensor
    return _HEAD.ours(parted)


def theirs(tensors: Mapping[str, Tensor], config: DiffusionVlaConfig) -> dict[str, Tensor]:
    """Our weights under their names; layers that nobody reads are zeros. Raises `CheckpointError` on unknown names."""
    head = {name: tensor for name, tensor in tensors.items() if name.startswith("decoder.")}
    named, found = _HEAD.theirs(head), {}
    for name, tensor in named.items():
        if ".attn.q." in name:
            found[name.replace(".q.", ".qkv.")] = torch.cat([tensor, named[name.replace(".q.", ".kv.")]])
        elif ".attn.kv." not in name:
            found[name] = tensor[None] if name.endswith("z_embedder.uncondition") else tensor
    embed = named[f"{_NET}x_embedder.linear.weight"]
    found |= {f"{_NET}history_embedder.linear.weight": torch.zeros_like(embed)}
    found |= {f"{_NET}history_embedder.linear.bias": torch.zeros_like(embed[:, 0])}
    rest = {name: tensor for name, tensor in tensors.items() if name not in head}
    for name, tensor in _prismatic.theirs(rest, config.vlm).items():
        plain = name.replace("vision_backbone.featurizer.", "vision_backbone.dino_featurizer.")
        plain = plain.replace("vision_backbone.fused_featurizer.", "vision_backbone.siglip_featurizer.")
        plain = re.sub(r"^projector\.fc(\d)", lambda m: f"projector.projector.{2 * int(m[1]) - 2}", plain)
        found[re.sub(r"^language_model\.", "llm_backbone.llm.", plain).replace(".scale_factor", ".gamma")] = tensor
    return found


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy under CogACT's names, as safetensors. Raises `ConfigError` for another design."""
    config, contract = foreign.spec.config, foreign.spec.contract
    if config.told != "token" or not config.spelled or config.thought or config.normalization != "quantile":
        raise ConfigError("CogACT's head is told the hidden state of its last piece", leaf="spelled")
    if config.net not in ACTION_MODELS.values() or not config.diffusion.drop:
        raise ConfigError("CogACT's head is one of its three, trained without its condition at times", leaf="net")
    known = _prismatic.statistics_json(contract, foreign.statistics)
    kept = {name: tensor for name, tensor in foreign.tensors.items() if "_units." not in name}
    model = config.vlm.model
    facts = {"num_attention_heads": model.heads, "num_key_value_heads": model.kv_heads, "rope_theta": model.theta}
    with replace_folder(out) as inside:
        pixels = [member.pixels for member in config.vlm.vision.members]
        config_json = {"vla": {"base_vlm": _BASE}, "text_config": facts, "image_sizes": pixels}
        write_json(inside / _folders.CONFIG, config_json)
        write_json(inside / _prismatic.STATISTICS, known)
        save_tensors(inside / "checkpoints" / "model.safetensors", theirs(kept, config), {"format": "pt"})


def _tensors(folder: Path) -> dict[str, Tensor]:
    file = _folders.only_file(folder, "checkpoints/*.pt") or _folders.only_file(folder, "checkpoints/*.safetensors")
    if file is None:
        raise MissingFileError("there is no checkpoint", file=folder / "checkpoints")
    loaded = load_tensors(file, framework="torch") if file.suffix == ".safetensors" else load_torch_file(file)
    return {name.removeprefix("model."): tensor for name, tensor in loaded.items()}


def _config(config: DiffusionVlaConfig, head: Mapping[str, Tensor], folder: Path) -> DiffusionVlaConfig:
    places, width = _folders.shape_of(head, f"{_NET}positional_embedding", folder)
    depth = _folders.count(head, f"{_NET}blocks.")
    nets: list[DitConfig] = [net for net in ACTION_MODELS.values() if (net.width, net.depth) == (width, depth)]
    if not nets:
        problem = f"{depth} blocks of width {width} are none of its three action models"
        raise CheckpointError(problem, file=folder, leaf=f"{_NET}blocks")
    return replace(config, net=nets[0], chunk=places - 1)
