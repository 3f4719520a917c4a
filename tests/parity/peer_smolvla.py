"""Runs in the peer's interpreter: LeRobot's SmolVLA at toy size with random weights, its loss and actions."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors.torch import save_file

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}

from lerobot.policies.smolvla import modeling_smolvla, smolvlm_with_expert  # noqa: E402
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig  # noqa: E402
from transformers import SmolVLMConfig  # noqa: E402

small = SmolVLMConfig(
    vision_config=request["vision"],
    text_config={"model_type": "llama", **request["text"]},
    scale_factor=request["shuffle"],
    pad_token_id=0,
)
pieces = SimpleNamespace(fake_image_token_id=1, global_image_token_id=2)
smolvlm_with_expert.AutoConfig = SimpleNamespace(from_pretrained=lambda *_, **__: small)
smolvlm_with_expert.AutoProcessor = SimpleNamespace(from_pretrained=lambda *_, **__: SimpleNamespace(tokenizer=pieces))
config = SmolVLAConfig(
    load_vlm_weights=False,
    num_vlm_layers=request["depth"],
    chunk_size=request["chunk"],
    n_action_steps=request["chunk"],
    max_action_dim=request["padded"],
    max_state_dim=request["padded"],
    expert_width_multiplier=0.75,
    device="cpu",
)
torch.manual_seed(request["seed"])
model = modeling_smolvla.VLAFlowMatching(config).float().eval()
for parameter in model.parameters():
    parameter.data = torch.randn_like(parameter) * 0.15
save_file({n: t.contiguous().clone() for n, t in model.state_dict().items()}, folder / "weights.safetensors")
images, present = list(inputs["pixels"].unbind(1)), list(inputs["present"].unbind(1))
with torch.no_grad():
    shared = (images, present, inputs["tokens"], inputs["mask"], inputs["state"])
    loss = model.forward(*shared, inputs["actions"], inputs["noise"], inputs["time"])
    actions = model.sample_actions(*shared, noise=inputs["noise"])
np.savez(folder / "outputs.npz", loss=loss.numpy(), actions=actions.numpy())
