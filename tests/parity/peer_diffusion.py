"""Runs in the peer's interpreter: LeRobot's Diffusion Policy with random weights, on given noise and times."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}

from lerobot.configs.types import FeatureType, PolicyFeature  # noqa: E402
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig  # noqa: E402
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy  # noqa: E402

cameras = sorted(name for name in inputs if name.startswith("observation.images."))
features = {name: PolicyFeature(type=FeatureType.VISUAL, shape=tuple(inputs[name].shape[2:])) for name in cameras}
features["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(request["state_dim"],))
config = DiffusionConfig(
    input_features=features,
    output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(request["action_dim"],))},
    pretrained_backbone_weights=None,
    use_group_norm=True,
    do_mask_loss_for_padding=True,
    noise_scheduler_type="DDIM",
    num_inference_steps=10,
    device="cpu",
    push_to_hub=False,
    **request["config"],
)
torch.manual_seed(request["seed"])
policy = DiffusionPolicy(config)
for name, tensor in policy.state_dict().items():
    if tensor.dim() == 1 and name.startswith("diffusion.") and "pos_grid" not in name:
        tensor.add_(0.1 * torch.randn_like(tensor))
weights = {name: tensor.contiguous().clone() for name, tensor in policy.state_dict().items()}
save_file(weights, folder / "weights.safetensors")

noise, times, start = (inputs.pop(name) for name in ("noise", "times", "start"))
torch.randn = lambda *_, **__: noise
torch.randint = lambda *_, **__: times
policy.train()
loss, _ = policy.forward(dict(inputs))
loss.backward()
gradient = policy.diffusion.unet.final_conv[1].weight.grad
policy.eval()
seen = {name: value for name, value in inputs.items() if "action" not in name}
seen["observation.images"] = torch.stack([seen[name] for name in cameras], dim=-4)
with torch.no_grad():
    condition = policy.diffusion._prepare_global_conditioning(seen)
    chunk = policy.diffusion.conditional_sample(len(start), global_cond=condition, noise=start)
np.savez(
    folder / "outputs.npz",
    loss=loss.detach().numpy(),
    gradient=gradient.numpy(),
    chunk=chunk.numpy(),
    parameters=sum(parameter.numel() for parameter in policy.parameters()),
)
