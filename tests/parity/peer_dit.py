"""Runs LeRobot's blocks of its multi-task diffusion transformer: request and inputs in, weights and outputs out."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.policies.multi_task_dit.modeling_multi_task_dit import TransformerBlock
from safetensors.torch import save_file

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
torch.manual_seed(0)
block = TransformerBlock(
    hidden_size=request["width"],
    num_heads=request["heads"],
    num_features=request["condition"],
    use_rope=request["rope"],
    max_seq_len=16,
).eval()
with torch.no_grad():
    for parameter in block.parameters():
        parameter.copy_(0.3 * torch.randn_like(parameter))
with np.load(folder / "inputs.npz") as inputs:
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    out = block(x, torch.from_numpy(inputs["condition"]))
out.square().sum().backward()
save_file({name: tensor.contiguous() for name, tensor in block.state_dict().items()}, folder / "weights.safetensors")
np.savez(folder / "outputs.npz", out=out.detach().numpy(), gradient=x.grad.numpy())
