"""Mamba's recurrence on any device: one step after another, without cutting slices that a gradient has to fill again.

Source: Gu and Dao 2023, arXiv 2312.00752, section 3.2 and algorithm 2. A step of the recurrence reads pieces that were
taken apart once, so its gradient puts them together once; indexing inside the loop makes the gradient write the whole
sequence at every step, which makes reference code about three times slower to train on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def selective_scan(inputs: Tensor, steps: Tensor, decay: Tensor, write: Tensor, read: Tensor) -> Tensor:
    """What the states say at every place, (B L D), from zero states.

    `inputs` and `steps` (positive) are (B L D), `decay` (D N) is negative, `write` and `read` are (B L N).
    """
    kept = torch.exp(steps[..., None] * decay).unbind(1)
    added = ((steps * inputs)[..., None] * write[:, :, None]).unbind(1)
    state, said = torch.zeros_like(added[0]), []
    for keep, add, look in zip(kept, added, read.unbind(1), strict=True):
        state = keep * state + add
        said.append((state @ look[..., None])[..., 0])
    return torch.stack(said, dim=1)


class StepwiseMixer(nn.Module):
    """Takes the place of a transformers `MambaMixer` with its weights, under the same names; no cache."""

    def __init__(self, mixer: Any) -> None:
        super().__init__()
        self.sizes = [int(mixer.time_step_rank), int(mixer.ssm_state_size), int(mixer.ssm_state_size)]
        self.in_proj, self.conv1d, self.x_proj = mixer.in_proj, mixer.conv1d, mixer.x_proj
        self.dt_proj, self.out_proj = mixer.dt_proj, mixer.out_proj
        self.A_log, self.D = mixer.A_log, mixer.D

    def forward(
        self, hidden_states: Tensor, cache_params: None = None, attention_mask: Tensor | None = None, **_: Any
    ) -> Tensor:
        """Tokens (B L width) to tokens; `attention_mask` (B L) is 0 where a token is not there."""
        present = 1.0 if attention_mask is None else attention_mask[..., None]
        inner, gate = self.in_proj(hidden_states * present).chunk(2, dim=-1)
        length = inner.shape[1]
        inner = functional.silu(self.conv1d(inner.transpose(1, 2))[..., :length].transpose(1, 2)) * present
        rank, write, read = self.x_proj(inner).split(self.sizes, dim=-1)
        steps = functional.softplus(self.dt_proj(rank).float())
        decay = -torch.exp(self.A_log.float())
        said = selective_scan(inner.float(), steps, decay, write.float(), read.float())
        said = said + inner.float() * self.D.float()
        return self.out_proj((said * functional.silu(gate.float())).to(hidden_states.dtype))
