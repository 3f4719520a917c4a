"""Runs in the peer's interpreter: LeRobot's ACT with random weights, its outputs on given inputs and latent noise."""

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
from lerobot.policies.act.configuration_act import ACTConfig  # noqa: E402
from lerobot.policies.act.modeling_act import ACTPolicy, ACTTemporalEnsembler  # noqa: E402

cameras = sorted(name for name in inputs if name.startswith("observation.images."))
features = {name: PolicyFeature(type=FeatureType.VISUAL, shape=tuple(inputs[name].shape[1:])) for name in cameras}
features["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(request["state_dim"],))
config = ACTConfig(
    input_features=features,
    output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(request["action_dim"],))},
    pretrained_backbone_weights=None,
    device="cpu",
    push_to_hub=False,
    **request["config"],
)
torch.manual_seed(request["seed"])
policy = ACTPolicy(config)
for name, tensor in policy.state_dict().items():
    if name.endswith("running_var"):
        tensor.uniform_(0.5, 2.0)
    elif "backbone" in name and ("bn" in name or "downsample.1" in name):
        tensor.add_(0.2 * torch.randn_like(tensor))
save_file(
    {name: tensor.contiguous().clone() for name, tensor in policy.state_dict().items()}, folder / "weights.safetensors"
)

noise = inputs.pop("noise")
torch.randn_like = lambda tensor, **_: noise
policy.train()
loss, terms = policy.forward(dict(inputs))
loss.backward()
gradient = policy.model.encoder_img_feat_input_proj.weight.grad
policy.eval()
chunk = policy.predict_action_chunk({name: value for name, value in inputs.items() if "action" not in name})
ensembler = ACTTemporalEnsembler(0.01, config.chunk_size)
blended = torch.stack([ensembler.update(chunk * scale) for scale in (1.0, 0.5, -0.25)], dim=1)
np.savez(
    folder / "outputs.npz",
    loss=loss.detach().numpy(),
    l1=terms["l1_loss"],
    kl=terms["kld_loss"],
    chunk=chunk.numpy(),
    gradient=gradient.flatten(1).numpy(),
    blended=blended.numpy(),
    parameters=sum(parameter.numel() for parameter in policy.parameters()),
)
