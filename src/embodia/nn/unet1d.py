"""A conditional U-Net over time (Diffusion Policy, section 3; after Janner et al. 2022): convolutions along the chunk.

Each level halves the length, so a chunk must be a multiple of 2^(levels - 1). The one thing to watch: convolutions mix
neighbouring steps and cannot be told where an episode ends, so the padded tail must hold real actions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.nn.conv1d import Conv1d, ConvTranspose1d
from embodia.nn.film import FilmBank, modulate
from embodia.nn.positional import time_positions


def conv_block(inputs: int, outputs: int, kernel: int, groups: int) -> nn.Sequential:
    """Convolution, group norm, Mish."""
    convolution = Conv1d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.GroupNorm(groups, outputs), nn.Mish())


class ResidualBlock1d(nn.Module):
    """Two convolution blocks with FiLM between, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.first = conv_block(inputs, outputs, kernel, groups)
        self.second = conv_block(outputs, outputs, kernel, groups)
        self.shortcut = Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """(B C T) to (B C' T); `film` (B 2C')."""
        return self.second(modulate(self.first(x), film)) + self.shortcut(x)


class Level(nn.Module):
    """Two residual blocks at one length, then a change of length."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.first = ResidualBlock1d(inputs, outputs, kernel, groups)
        self.second = ResidualBlock1d(outputs, outputs, kernel, groups)
        self.resize = resize if resize is not None else nn.Identity()

    def forward(self, x: Tensor, films: Iterator[Tensor]) -> Tensor:
        """(B C T) to (B C' T), the length not yet changed; takes two films."""
        return self.second(self.first(x, next(films)), next(films))


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Channels of the levels, size of the convolutions, channels a norm group, width of the time's features."""

    widths: tuple[int, ...] = (256, 512, 1024)
    kernel: int = 5
    groups: int = 8
    time_width: int = 256


class UNet1d(nn.Module):
    """Noisy chunk (B H A), time (B) and condition (B C) to a prediction (B H A)."""

    def __init__(self, config: UNetConfig, action_dim: int, condition_width: int) -> None:
        super().__init__()
        widths, kernel, groups, time_width = config.widths, config.kernel, config.groups, config.time_width
        self.time_width = time_width
        self.factor = 2 ** (len(widths) - 1)
        self.time = nn.Sequential(
            nn.Linear(time_width, 4 * time_width), nn.Mish(), nn.Linear(4 * time_width, time_width)
        )
        down = [
            Level(
                inputs,
                outputs,
                kernel,
                groups,
                Conv1d(outputs, outputs, 3, 2, 1) if index + 1 < len(widths) else None,
            )
            for index, (inputs, outputs) in enumerate(zip((action_dim, *widths[:-1]), widths, strict=True))
        ]
        up = [
            Level(2 * inputs, outputs, kernel, groups, ConvTranspose1d(outputs, outputs, 4, 2, 1))
            for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True)
        ]
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.middle = Level(widths[-1], widths[-1], kernel, groups)
        self.last = nn.Sequential(conv_block(widths[0], widths[0], kernel, groups), Conv1d(widths[0], action_dim, 1))
        levels = (*down, self.middle, *up)
        self.film = FilmBank(time_width, condition_width, [level.first.outputs for level in levels for _ in range(2)])

    def condition(self, context: Context, n: int = 1) -> Tensor:
        """What all steps share: the groups' tokens, flattened, through the FiLM layers; every row n times."""
        flat = torch.cat([group.tokens.flatten(1) for group in context.groups.values()], dim=-1)
        return self.film.condition(flat).repeat_interleave(n, dim=0)

    def forward(self, fixed: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A); `fixed` is from `condition`. Raises `ConfigError` when H cannot be halved often enough."""
        if noisy.shape[1] % self.factor:
            raise ConfigError(f"a chunk of {noisy.shape[1]} is not a multiple of {self.factor}", leaf="chunk")
        films = iter(self.film(self.time(time_positions(time, self.time_width).to(fixed.dtype)), fixed))
        x, skips = noisy.transpose(1, 2), []
        for level in self.down:
            x = level(x, films)
            skips.append(x)
            x = level.resize(x)  # type: ignore[operator]
        x = self.middle(x, films)
        for level in self.up:
            x = level.resize(level(torch.cat([x, skips.pop()], dim=1), films))  # type: ignore[operator]
        return self.last(x).transpose(1, 2)
