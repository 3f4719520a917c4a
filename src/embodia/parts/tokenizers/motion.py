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
from embodia.parts.tokenizers.rvq import ResidualTokenizer


class MotionTokenizer(nn.Module):
    """(B H A) to (B H/window * parts * levels); `parts` names the dimensions of each part, every one exactly once."""

    def __init__(
        self,
        chunk: int,
        parts: Mapping[str, tuple[int, ...]],
        window: int = 4,
        levels: int = 2,
        codes: int = 64,
        hidden: int = 128,
        width: int = 32,
        steps: int = 1500,
    ) -> None:
        super().__init__()
        dimensions = sorted(index for members in parts.values() for index in members)
        if dimensions != list(range(len(dimensions))) or chunk % window:
            problem = f"parts cover {dimensions}, windows of {window} steps a chunk of {chunk}"
            raise ConfigError(problem, leaf="parts")
        self.chunk, self.dim, self.window, self.levels = chunk, len(dimensions), window, levels
        self.parts = dict(parts)
        self.coders = nn.ModuleList(
            ResidualTokenizer(window, len(members), levels, codes, hidden, width, steps) for members in parts.values()
        )
        self.each = levels * codes
        self.vocabulary = self.each * len(self.parts)
        self.length = chunk // window * len(self.parts) * levels

    def fit(self, actions: Tensor) -> None:
        """Learn every part from windows of chunks (N H A)."""
        windows = actions.unflatten(1, (-1, self.window)).flatten(0, 1)
        for coder, members in zip(self.coders, self.parts.values(), strict=True):
            coder.fit(windows[..., list(members)])  # type: ignore[operator]

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B length). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        windows = actions.unflatten(1, (-1, self.window)).flatten(0, 1)
        rows = [
            coder.encode(windows[..., list(members)]) + index * self.each  # type: ignore[operator]
            for index, (coder, members) in enumerate(zip(self.coders, self.parts.values(), strict=True))
        ]
        return torch.stack(rows, dim=1).reshape(len(actions), -1)

    def decode(self, ids: Tensor) -> Tensor:
        """Chunks float32 (B H A)."""
        rows = ids.reshape(-1, len(self.parts), self.levels)
        windows = torch.zeros(len(rows), self.window, self.dim, device=ids.device)
        for index, (coder, members) in enumerate(zip(self.coders, self.parts.values(), strict=True)):
            windows[..., list(members)] = coder.decode(rows[:, index] - index * self.each)  # type: ignore[operator]
        return windows.reshape(-1, self.chunk, self.dim)

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): ids of the part and level whose turn it is after `prefix` (B P)."""
        turn = prefix.shape[1] % (len(self.parts) * self.levels)
        slot = torch.arange(self.vocabulary, device=prefix.device) // (self.each // self.levels)
        return (slot == turn).expand(len(prefix), -1)
