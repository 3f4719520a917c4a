"""Runs in the peer's interpreter: LeRobot writes a checkpoint, or reads one of ours, and acts with its processors."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}

from lerobot.configs.types import FeatureType, PolicyFeature  # noqa: E402
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors  # noqa: E402

kind, noise = request["kind"], inputs.pop("noise", None)
cameras = [name for name in inputs if name.startswith("observation.images.")]
if request["write"]:
    shapes = {name: PolicyFeature(type=FeatureType.VISUAL, shape=tuple(inputs[name].shape[-3:])) for name in cameras}
    dim = inputs["observation.state"].shape[-1]
    shapes["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(dim,))
    config = make_policy_config(
        kind,
        input_features=shapes,
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(dim,))},
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in request["config"].items()},
    )
    torch.manual_seed(3)
    policy = get_policy_class(kind)(config)
    if kind == "vqbet":
        coder = policy.vqbet.action_head.vqvae_model
        coder.discretized.fill_(True)
        for layer in coder.vq_layer.layers:
            layer._codebook.embed.copy_(0.1 * torch.randn_like(layer._codebook.embed))
            layer._codebook.initted.fill_(True)
        for name, table in policy.vqbet.rgb_encoder.named_buffers():
            if "running" in name:
                table += 0.3 * torch.rand_like(table)
        for parameter in policy.vqbet.policy.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    units = {
        "mean": torch.randn(dim),
        "std": torch.rand(dim) + 0.5,
        "min": -2 - torch.rand(dim),
        "max": 2 + torch.rand(dim),
    }
    colours = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "min": [0.0] * 3, "max": [1.0] * 3}
    stats = {name: {k: torch.tensor(v)[:, None, None] for k, v in colours.items()} for name in cameras}
    stats |= {"observation.state": units, "action": {k: v * 0.7 + 0.1 * (k == "mean") for k, v in units.items()}}
    before, after = make_pre_post_processors(config, dataset_stats=stats)
    for item in (policy, before, after):
        item.save_pretrained(folder / "theirs")
else:
    policy = get_policy_class(kind).from_pretrained(folder / "theirs", local_files_only=True)
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder / "theirs"))
policy.eval()
with torch.no_grad():
    if kind == "diffusion":
        moments = [before({name: array[:, t] for name, array in inputs.items()}) for t in range(2)]
        batch = {name: torch.stack([moment[name] for moment in moments], 1) for name in inputs}
        batch["observation.images"] = torch.stack([batch[name] for name in cameras], dim=2)
        start = policy.config.n_obs_steps - 1
        chunk = policy.diffusion.conditional_sample(
            len(noise), global_cond=policy.diffusion._prepare_global_conditioning(batch), noise=noise
        )[:, start:]
    elif kind == "vqbet":
        moments = [
            before({name: array[:, t] for name, array in inputs.items()}) for t in range(policy.config.n_obs_steps)
        ]
        batch = {name: torch.stack([moment[name] for moment in moments], 1) for name in inputs}
        batch["observation.images"] = torch.stack([batch[name] for name in cameras], dim=2)
        chunk = policy.vqbet(batch, rollout=True)
    else:
        chunk = policy.predict_action_chunk(before({name: array[:, -1] for name, array in inputs.items()}))
    actions = torch.stack([after(chunk[:, step]) for step in range(chunk.shape[1])], dim=1)
np.savez(folder / "outputs.npz", actions=actions.numpy())
