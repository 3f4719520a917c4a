"""Hand motion part by part (tok.motion; Being-H0, arXiv 2507.15597): wrist and fingers have codes of their own.

A wrist sweeps while fingers close: one codebook for both would need every combination. Each part is cut in windows of a
few steps, and a residual quantiser codes every window; ids of a window stand together, part by part.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.parts.tokenizers.protocol import require_chunk
from embodia.parts.tokenizers.rvq import ResidualCoder, ResidualConfig


class MotionTokenizer(nn.Module):
    """(B H A) to (B H/window * parts * levels); `parts` names the dimensions of each part, every one exactly once."""

    def __init__(
        self, chunk: int, parts: Mapping[str, tuple[int, ...]], config: ResidualConfig | None = None, window: int = 4
    ) -> None:
        super().__init__()
        dimensions = sorted(index for members in parts.values() for index in members)
        if dimensions != list(range(len(dimensions))) or chunk % window:
            problem = f"parts cover {dimensions}, windows of {window} steps a chunk of {chunk}"
            raise ConfigError(problem, leaf="parts")
        config = config or ResidualConfig(codes=64, width=32)
        self.chunk, self.dim, self.window, self.levels = chunk, len(dimensions), window, config.levels
        self.codes, self.parts = config.codes, dict(parts)
        self.coders = nn.ModuleList(ResidualCoder(window * len(members), config) for members in parts.values())
        self.vocabulary = config.levels * config.codes * len(self.parts)
        self.length = chunk // window * len(self.parts) * config.levels

    def fit(self, actions: Tensor) -> None:
        """Learn every part from windows of chunks (N H A)."""
        for coder, rows in zip(self.coders, self._rows(actions), strict=True):
            coder.learn(rows)  # type: ignore[operator]

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B length). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        pairs = zip(self.coders, self._rows(actions), strict=True)
        indices = torch.cat([coder.encode(rows) for coder, rows in pairs], dim=1)  # type: ignore[operator]
        return (indices + self._starts(indices)).reshape(len(actions), -1)

    def decode(self, ids: Tensor) -> Tensor:
        """Chunks float32 (B H A)."""
        indices = ids.reshape(-1, len(self.parts) * self.levels)
        indices = (indices - self._starts(ids)).clamp_min(0).unflatten(1, (len(self.parts), self.levels))
        windows = torch.zeros(len(indices), self.window, self.dim, device=ids.device)
        for index, (coder, members) in enumerate(zip(self.coders, self.parts.values(), strict=True)):
            rows: Tensor = coder.decode(indices[:, index])  # type: ignore[operator]
            windows[..., list(members)] = rows.unflatten(1, (self.window, len(members)))
        return windows.reshape(-1, self.chunk, self.dim)

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): ids of the part and level whose turn it is after `prefix` (B P)."""
        turn = prefix.shape[1] % (len(self.parts) * self.levels)
        slot = torch.arange(self.vocabulary, device=prefix.device) // self.codes
        return (slot == turn).expand(len(prefix), -1)

    def _rows(self, actions: Tensor) -> list[Tensor]:
        """One (N window*members) a part."""
        windows = actions.unflatten(1, (-1, self.window)).flatten(0, 1)
        return [windows[..., list(members)].flatten(1) for members in self.parts.values()]

    def _starts(self, like: Tensor) -> Tensor:
        return torch.arange(len(self.parts) * self.levels, device=like.device) * self.codes
