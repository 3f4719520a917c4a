"""A clip of sound to tokens (aud.enc): a logarithmic spectrogram, then one token a stretch of time.

The one thing to watch: how many samples a control step has is the body's business; what does not fill a window is
padded with silence.
"""

from __future__ import annotations

import torch
from torch import nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation, TokenGroup


class SoundTokens(nn.Module):
    """The sound of all observed steps to the group "audio", (B frames width).

    `window` samples a spectrum, every `stride`-th sample; `history` steps are heard. Raises `ConfigError` for a deaf
    body.
    """

    hann: torch.Tensor

    def __init__(
        self, spec: ObservationSpec, width: int, *, window: int = 128, stride: int = 64, history: int = 1
    ) -> None:
        super().__init__()
        sense = spec.sense("audio")
        if sense is None:
            raise ConfigError("this policy needs the sense 'audio'", leaf="senses")
        self.window, self.stride, self.samples = window, stride, sense.size * history
        self.tokens = 1 + self.samples // stride
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        self.project = nn.Sequential(nn.Linear(window // 2 + 1, width), nn.GELU(), nn.Linear(width, width))
        self.position = nn.Parameter(torch.randn(self.tokens, width))

    def forward(self, observation: Observation) -> TokenGroup:
        """Raises `ShapeError` for silence where sound is promised, and for another number of samples."""
        if observation.audio is None:
            raise ShapeError("the observation has no sound", leaf="audio")
        wave = observation.audio.float().flatten(1)
        if wave.shape[1] != self.samples:
            raise ShapeError(f"{wave.shape[1]} samples, expected {self.samples}", leaf="audio")
        spectrum = torch.stft(
            wave, self.window, self.stride, window=self.hann, pad_mode="constant", return_complex=True
        )
        tokens = self.project(torch.log1p(spectrum.abs()).transpose(1, 2))
        return TokenGroup(name="audio", tokens=tokens, mask=None, attends_to=("audio",), position=self.position)
