"""OpenVLA as its authors publish it for Hugging Face: the base model and what is fine-tuned from it.

The words of the language model come with the weights; the pieces they belong to are read from tokenizer.json of the
same folder, which has to stay where it is. Pictures are best given in the model's own size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from embodia.builders.speaking import SpeakerConfig
from embodia.builders.vlm import VlmConfig
from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import Contract
from embodia.io.atomic import replace_folder, write_json
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.encoders.towers import DualConfig
from embodia.policies import PolicySpec
from embodia.policies.openvla import preset
from embodia.weights import Foreign, _folders, _prismatic

POLICY = "openvla"
_TIMM = ("vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_{pixels}")


def recognise(folder: Path) -> bool:
    """Whether `folder` holds an OpenVLA that says actions as words."""
    return _folders.model_type(folder) == "openvla" and not any(folder.glob("action_head*"))


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    fields = _folders.Fields(folder / _folders.CONFIG)
    check(fields)
    if len(contract.observation.cameras) != 1:
        raise ContractError("OpenVLA has one camera", file=fields.file, leaf="cameras")
    tensors = _folders.read_weights(folder)
    config = config_of(_prismatic.vlm_of(tensors, fields, folder, fields.get("image_sizes")), fields)
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_prismatic.statistics(folder, contract, fields),
        tensors=_prismatic.ours(tensors, config.vlm),
    )


def check(fields: _folders.Fields) -> None:
    """Raise `CheckpointError` for a Prismatic model of another kind than OpenVLA's."""
    fields.require("use_fused_vision_backbone", True)
    fields.require("timm_override_act_layers", [None, None], default=[None, None])
    dino, siglip = fields.get("timm_model_ids")
    if dino != _TIMM[0] or not siglip.startswith("vit_so400m_patch14_siglip_"):
        raise CheckpointError(f"eyes {dino} and {siglip} cannot be built", file=fields.file, leaf="timm_model_ids")


def config_of(vlm: VlmConfig, fields: _folders.Fields) -> SpeakerConfig:
    """Our configuration: the paper's with the sizes of the file."""
    paper = preset("paper")
    speech = replace(paper.speech, ids=fields.get("n_action_bins", 256), spared=fields.get("pad_to_multiple_of", 64))
    return replace(paper, vlm=vlm, speech=speech)


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy in OpenVLA's layout, without tokenizer. Raises `ConfigError` where it has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    speech = config.speech
    if speech.kind != "uniform" or not (speech.mapped and speech.edges) or config.thought or config.ahead:
        raise ConfigError("OpenVLA says one step of bins in the words of its model, nothing else", leaf="speech")
    if config.chunk != 1 or config.history != 1 or config.normalization != "quantile" or config.vlm.state != "none":
        raise ConfigError("OpenVLA sees one picture, no state, and says one step between quantiles", leaf="config")
    known = _prismatic.statistics_json(contract, foreign.statistics)
    kept = {name: tensor for name, tensor in foreign.tensors.items() if "_units." not in name}
    with replace_folder(out) as inside:
        facts = config_json(config.vlm, speech.ids, speech.spared)
        write_json(inside / _folders.CONFIG, {**facts, "norm_stats": known})
        write_json(inside / _prismatic.STATISTICS, known)
        _folders.write_weights(inside, _prismatic.theirs(kept, config.vlm))


def config_json(vlm: VlmConfig, bins: int, spared: int) -> dict[str, Any]:
    """config.json of a Prismatic model for actions. Raises `ConfigError` for other eyes or another language model."""
    model, text = vlm.model, vlm.text
    if not isinstance(vlm.vision, DualConfig) or not isinstance(model, HubConfig) or model.family != "llama":
        raise ConfigError("OpenVLA is two towers and a Llama", leaf="vlm")
    if not text.opens or vlm.projector.kind != "fused" or text.head != "own":
        raise ConfigError("OpenVLA's prompt opens before the picture, its projector has three layers", leaf="text")
    pixels = [member.pixels for member in vlm.vision.members]
    sizes = {
        "model_type": "llama",
        "vocab_size": text.vocabulary,
        "hidden_size": model.width,
        "intermediate_size": model.mlp_width,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "rms_norm_eps": model.epsilon,
        "rope_theta": model.theta,
        "pad_token_id": text.vocabulary - spared,
        "torch_dtype": "float32",
    }
    return {
        "architectures": ["OpenVLAForActionPrediction"],
        "model_type": "openvla",
        "vision_backbone_id": f"dinosiglip-vit-so-{pixels[0]}px",
        "llm_backbone_id": "llama2-7b-pure",
        "arch_specifier": "no-align+fused-gelu-mlp",
        "use_fused_vision_backbone": True,
        "timm_model_ids": [_TIMM[0], _TIMM[1].format(pixels=pixels[1])],
        "timm_override_act_layers": [None, None],
        "image_sizes": pixels,
        "image_resize_strategy": "resize-naive",
        "pad_token_id": text.vocabulary - spared,
        "pad_to_multiple_of": spared,
        "n_action_bins": bins,
        "text_config": sizes,
        "torch_dtype": "float32",
    }
