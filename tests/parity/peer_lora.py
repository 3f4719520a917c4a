"""Runs in an interpreter with peft: a small model, an adapter of what may be merged, and the merged weights."""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
torch.manual_seed(3)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(6, 10), nn.Linear(6, 4, bias=False)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.head = nn.ModuleList([Layer(), Layer()]), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.layers[1].v_proj(x))


base = Model()
save_file({name: tensor.clone() for name, tensor in base.state_dict().items()}, folder / "model.safetensors")
adapted = get_peft_model(base, LoraConfig(**request))
for name, parameter in adapted.named_parameters():
    if "lora_" in name or "modules_to_save" in name:
        parameter.data = torch.randn_like(parameter)
adapted.save_pretrained(folder)
merged = adapted.merge_and_unload()
save_file({name: tensor.contiguous() for name, tensor in merged.state_dict().items()}, folder / "merged.safetensors")
