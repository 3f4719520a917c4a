"""Runs in the peer's interpreter: LeRobot writes or reads an X-VLA checkpoint of toy size, and acts."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}
torch.set_num_threads(1)

from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature  # noqa: E402
from lerobot.policies.factory import make_pre_post_processors  # noqa: E402
from lerobot.policies.xvla.configuration_xvla import XVLAConfig  # noqa: E402
from lerobot.policies.xvla.modeling_xvla import XVLAPolicy  # noqa: E402
from lerobot.processor import tokenizer_processor  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

noise = inputs.pop("noise")
pieces = PreTrainedTokenizerFast(
    tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", bos_token="<s>", eos_token="</s>"
)
tokenizer_processor.AutoTokenizer = SimpleNamespace(from_pretrained=lambda *_, **__: pieces)

if request["write"]:
    cameras = [name for name in inputs if name.startswith("observation.images.")]
    shapes = {name: PolicyFeature(type=FeatureType.VISUAL, shape=tuple(inputs[name].shape[-3:])) for name in cameras}
    state, acted = inputs["observation.state"].shape[-1], request["actions"]
    shapes["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(state,))
    modes = {name: NormalizationMode[mode] for name, mode in request["modes"].items()}
    config = XVLAConfig(
        input_features=shapes,
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(acted,))},
        device="cpu",
        push_to_hub=False,
        normalization_mapping=modes,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in request["config"].items()},
    )
    torch.manual_seed(3)
    policy = XVLAPolicy(config).float()
    for name, parameter in policy.named_parameters():
        if "norm" not in name:
            parameter.data = torch.randn_like(parameter) * 0.15
    units = {name: torch.rand(acted) + 0.5 for name in ("mean", "std", "min", "max", "q01", "q99")}
    told = {name: torch.rand(state) + 0.5 for name in units}
    before, after = make_pre_post_processors(config, dataset_stats={"observation.state": told, "action": units})
    for step in before.steps:
        if hasattr(step, "domain_id"):
            step.domain_id = request["domain"]
    for item in (policy, before, after):
        item.save_pretrained(folder / "theirs")
else:
    policy = XVLAPolicy.from_pretrained(folder / "theirs", local_files_only=True)
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder / "theirs"))
policy.eval()
drawn = torch.randn
torch.randn = lambda *sizes, **more: noise if tuple(sizes) == tuple(noise.shape) else drawn(*sizes, **more)
with torch.no_grad():
    batch = before({**inputs, "task": list(request["sentences"])})
    chunk = policy.predict_action_chunk(batch)
    actions = torch.stack([after(chunk[:, step]) for step in range(chunk.shape[1])], dim=1)
np.savez(folder / "outputs.npz", actions=actions.numpy())
