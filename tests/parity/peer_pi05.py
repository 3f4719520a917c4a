"""Runs in the peer's interpreter: LeRobot's pi0.5 at toy size with random weights, its loss and actions."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}

from lerobot.policies.pi05 import modeling_pi05 as peer  # noqa: E402
from lerobot.policies.pi05.configuration_pi05 import PI05Config  # noqa: E402
from transformers import PaliGemmaConfig  # noqa: E402

sizes = {name: peer.GemmaConfig(**numbers) for name, numbers in request["sizes"].items()}
peer.get_gemma_config = sizes.__getitem__
mapping = dict(peer.CONFIG_MAPPING.items())


def small_paligemma():
    return PaliGemmaConfig(vision_config={"model_type": "siglip_vision_model", **request["vision"]})


mapping["paligemma"] = small_paligemma
peer.CONFIG_MAPPING = mapping
pixels = request["vision"]["image_size"]
config = PI05Config(
    paligemma_variant="gemma_2b",
    action_expert_variant="gemma_300m",
    dtype="float32",
    image_resolution=(pixels, pixels),
    chunk_size=request["chunk"],
    n_action_steps=request["chunk"],
    max_action_dim=request["padded"],
    max_state_dim=request["padded"],
    device="cpu",
)
torch.manual_seed(request["seed"])
model = peer.PI05Pytorch(config)
vlm = model.paligemma_with_expert.paligemma.model
vlm.multi_modal_projector.linear = torch.nn.Linear(request["vision"]["hidden_size"], sizes["gemma_2b"].width)
model.eval()
for name, parameter in model.named_parameters():
    if "lm_head" not in name and "embed_tokens" not in name:
        parameter.data = torch.randn_like(parameter) * 0.15
vlm.language_model.embed_tokens.weight.data.normal_(std=0.15)
kept = {n: t.contiguous().clone() for n, t in model.state_dict().items() if "lm_head" not in n}
kept = {n: (t[: request["words"]].clone() if "embed_tokens" in n else t) for n, t in kept.items()}
save_file(kept, folder / "weights.safetensors")

images, present = list(inputs["pixels"].unbind(1)), list(inputs["present"].unbind(1))
with torch.no_grad():
    shared = (images, present, inputs["tokens"], inputs["mask"])
    loss = model.forward(*shared, inputs["actions"], inputs["noise"], inputs["time"])
    actions = model.sample_actions(*shared, noise=inputs["noise"], num_steps=10)
np.savez(folder / "outputs.npz", loss=loss.numpy(), actions=actions.numpy())
