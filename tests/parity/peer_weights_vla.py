"""Runs in the peer's interpreter: LeRobot writes or reads a vision-language-action checkpoint of toy size, and acts."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}
torch.set_num_threads(1)

from lerobot.configs.types import FeatureType, PolicyFeature  # noqa: E402
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors  # noqa: E402
from lerobot.processor import tokenizer_processor  # noqa: E402
from transformers import PaliGemmaConfig, PreTrainedTokenizerFast, SmolVLMConfig  # noqa: E402

kind, noise = request["kind"], inputs.pop("noise")
pieces = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", bos_token="<bos>")
tokenizer_processor.AutoTokenizer = SimpleNamespace(from_pretrained=lambda *_, **__: pieces)


def shrink_pi(peer, base):
    """The pi family at toy size, with a table of few words."""
    sizes = {name: peer.GemmaConfig(**numbers) for name, numbers in request["sizes"].items()}
    peer.get_gemma_config = sizes.__getitem__
    mapping = dict(peer.CONFIG_MAPPING.items())
    mapping["paligemma"] = lambda: PaliGemmaConfig(
        vision_config={"model_type": "siglip_vision_model", **request["vision"]}
    )
    peer.CONFIG_MAPPING = mapping

    class Small(base):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            vlm, expert = self.paligemma_with_expert.paligemma, self.paligemma_with_expert.gemma_expert
            width, words = sizes["gemma_2b"].width, request["words"]
            vlm.model.multi_modal_projector.linear = nn.Linear(request["vision"]["hidden_size"], width)
            table = vlm.model.language_model.embed_tokens  # scales what it gives, so it is cut and not replaced
            table.weight, table.num_embeddings = nn.Parameter(table.weight[:words].clone()), words
            vlm.lm_head = nn.Linear(width, words, bias=False)
            vlm.lm_head.weight = table.weight
            expert.lm_head = nn.Linear(sizes["gemma_300m"].width, words, bias=False)

    return Small


if kind == "pi05":
    from lerobot.policies.pi05 import modeling_pi05

    modeling_pi05.PI05Pytorch = shrink_pi(modeling_pi05, modeling_pi05.PI05Pytorch)
elif kind == "pi0":
    from lerobot.policies.pi0 import modeling_pi0

    modeling_pi0.PI0Pytorch = shrink_pi(modeling_pi0, modeling_pi0.PI0Pytorch)
else:
    from lerobot.policies.smolvla import smolvlm_with_expert

    small = SmolVLMConfig(
        vision_config=request["vision"],
        text_config={"model_type": "llama", **request["text"]},
        scale_factor=request["shuffle"],
        pad_token_id=0,
    )
    marks = SimpleNamespace(tokenizer=SimpleNamespace(fake_image_token_id=1, global_image_token_id=2))
    smolvlm_with_expert.AutoConfig = SimpleNamespace(from_pretrained=lambda *_, **__: small)
    smolvlm_with_expert.AutoProcessor = SimpleNamespace(from_pretrained=lambda *_, **__: marks)

if request["write"]:
    cameras = [name for name in inputs if name.startswith("observation.images.")]
    shapes = {name: PolicyFeature(type=FeatureType.VISUAL, shape=tuple(inputs[name].shape[-3:])) for name in cameras}
    dim = inputs["observation.state"].shape[-1]
    shapes["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(dim,))
    config = make_policy_config(
        kind,
        input_features=shapes,
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(dim,))},
        device="cpu",
        push_to_hub=False,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in request["config"].items()},
    )
    torch.manual_seed(3)
    policy = get_policy_class(kind)(config).float()
    for parameter in policy.parameters():
        parameter.data = torch.randn_like(parameter) * 0.15
    units = {
        "mean": torch.randn(dim),
        "std": torch.rand(dim) + 0.5,
        "min": -3 - torch.rand(dim),
        "max": 3 + torch.rand(dim),
        "q01": -1 - torch.rand(dim),
        "q99": 1 + torch.rand(dim),
    }
    stats = {"observation.state": units, "action": {k: v * 0.7 + 0.1 * (k == "mean") for k, v in units.items()}}
    before, after = make_pre_post_processors(config, dataset_stats=stats)
    for item in (policy, before, after):
        item.save_pretrained(folder / "theirs")
else:
    policy = get_policy_class(kind).from_pretrained(folder / "theirs", local_files_only=True)
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder / "theirs"))
policy.eval()
with torch.no_grad():
    batch = before({**inputs, "task": list(request["sentences"])})
    chunk = policy.predict_action_chunk(batch, noise=noise)
    actions = torch.stack([after(chunk[:, step]) for step in range(chunk.shape[1])], dim=1)
np.savez(folder / "outputs.npz", actions=actions.numpy())
