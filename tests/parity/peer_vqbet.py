"""Runs in the peer's interpreter: LeRobot's VQ-BeT quantiser and action head with random weights."""

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
from lerobot.policies.vqbet.configuration_vqbet import VQBeTConfig  # noqa: E402
from lerobot.policies.vqbet.modeling_vqbet import VQBeTHead  # noqa: E402

config = VQBeTConfig(
    output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(request["action_dim"],))},
    pretrained_backbone_weights=None,
    device="cpu",
    push_to_hub=False,
    **request["config"],
)
torch.manual_seed(request["seed"])
head = VQBeTHead(config).eval()
for layer in head.vqvae_model.vq_layer.layers:
    codes = layer._codebook.embed
    codes.copy_(0.1 * torch.randn_like(codes))
    layer._codebook.initted.fill_(True)
weights = {name: tensor.contiguous().clone() for name, tensor in head.state_dict().items()}
save_file(weights, folder / "weights.safetensors")

actions = inputs["actions"]
with torch.no_grad():
    found = head(inputs["features"][:, None])
    _, codes = head.vqvae_model.get_code(actions)
    decoded = head.vqvae_model.get_action_from_latent(head.vqvae_model.get_embeddings_from_code(codes))
    loss = head.loss_fn(found, actions[:, None])
np.savez(
    folder / "outputs.npz",
    codes=codes.numpy(),
    decoded=decoded.numpy(),
    logits=found["cbet_logits"].numpy(),
    drawn=found["sampled_centers"].numpy(),
    predicted=found["predicted_action"].reshape(len(actions), *actions.shape[1:]).numpy(),
    classification=loss["classification_loss"],
    offset=loss["offset_loss"],
)
