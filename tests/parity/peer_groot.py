"""Runs in the peer's interpreter: LeRobot's modules of GR00T in N1.5's order, on a checkpoint's weights."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.policies.groot.action_head.cross_attention_dit import DiT, SelfAttentionTransformer
from lerobot.policies.groot.groot_n1_7 import CategorySpecificMLP, MultiEmbodimentActionEncoder
from safetensors.torch import load_file, save_file
from torch import nn

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}
torch.set_num_threads(1)
torch.manual_seed(3)
facts = json.loads((folder / "theirs" / "config.json").read_text())["action_head_cfg"]


class Head(nn.Module):
    """N1.5's action head: state, tokens of the future and actions go through a transformer that looks at features."""

    def __init__(self):
        super().__init__()
        bodies, hidden, width = facts["max_num_embodiments"], facts["hidden_size"], facts["input_embedding_dim"]
        self.model = DiT(**facts["diffusion_model_cfg"])
        self.state_encoder = CategorySpecificMLP(bodies, facts["max_state_dim"], hidden, width)
        self.action_encoder = MultiEmbodimentActionEncoder(facts["action_dim"], width, bodies)
        self.action_decoder = CategorySpecificMLP(bodies, hidden, hidden, facts["action_dim"])
        self.future_tokens = nn.Embedding(facts["num_target_vision_tokens"], width)
        self.vlln = nn.LayerNorm(facts["backbone_embedding_dim"])
        self.vl_self_attention = SelfAttentionTransformer(**facts["vl_self_attention_cfg"])
        self.position_embedding = nn.Embedding(facts["max_seq_len"], width)

    def forward(self, seen, state, body, actions, clock):
        acted = self.action_encoder(actions, clock, body)
        acted = acted + self.position_embedding.weight[: acted.shape[1]]
        future = self.future_tokens.weight.expand(len(acted), -1, -1)
        tokens = torch.cat([self.state_encoder(state, body), future, acted], dim=1)
        found = self.model(hidden_states=tokens, encoder_hidden_states=seen, timestep=clock)
        return self.action_decoder(found, body)[:, -acted.shape[1] :]


head = Head().eval()
file = folder / "theirs" / "model.safetensors"
tensors = load_file(file)
if request["write"]:
    for parameter in head.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    new = {f"action_head.{name}": tensor.contiguous() for name, tensor in head.state_dict().items()}
    stored = {name for name in tensors if name.startswith("action_head.")}
    assert new.keys() == stored, new.keys() ^ stored
    save_file({**tensors, **new}, file)
else:
    kept = {name.removeprefix("action_head."): t for name, t in tensors.items() if name.startswith("action_head.")}
    head.load_state_dict(kept, strict=True)
with torch.no_grad():
    seen = head.vl_self_attention(head.vlln(inputs["features"]))
    body, actions = inputs["body"], inputs["noise"]
    velocities = []
    for step in range(facts["num_inference_timesteps"]):
        part = step / facts["num_inference_timesteps"]
        clock = torch.full((len(actions),), int(part * facts["num_timestep_buckets"]))
        velocities.append(head(seen, inputs["state"], body, actions, clock))
        actions = actions + velocities[-1] / facts["num_inference_timesteps"]
np.savez(folder / "outputs.npz", actions=actions.numpy(), velocity=velocities[0].numpy())
