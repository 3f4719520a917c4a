"""Convolutions along time that are computed as matrix products where the weights outweigh what they are applied to.

A chunk is short and a U-Net's deep levels are wide: 2048 channels see 16 steps. A convolution then spends its time on
laying out 84 MB of weights, in every call, while a matrix product reads them as they lie. Measured on one core with a
batch of 8, forward and backward: 573 ms against 249 ms. The one thing to watch: both ways give the same numbers up to
rounding, and the choice depends on the batch.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def outweighs(layer: nn.Conv1d | nn.ConvTranspose1d, x: Tensor, steps: int) -> bool:
    """Whether a matrix product is faster: on a CPU, plain groups and dilation, more outputs than rows to multiply."""
    plain = x.device.type == "cpu" and layer.groups == 1 and layer.dilation == (1,) and layer.padding_mode == "zeros"
    return plain and layer.out_channels > len(x) * steps


def windowed(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """What each output step sees, (B T' C*kernel), of (B C T)."""
    padded = functional.pad(x, (padding, padding))
    return padded.unfold(2, kernel, stride).permute(0, 2, 1, 3).flatten(2)


def overlapped(columns: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """The other way round: what each input step adds, (B T C'*kernel), summed up to (B C' T')."""
    length = (columns.shape[1] - 1) * stride - 2 * padding + kernel
    steps = {"padding": (0, padding), "stride": (1, stride)}
    return functional.fold(columns.transpose(1, 2), (1, length), (1, kernel), **steps)[:, :, 0]


class Conv1d(nn.Conv1d):
    """`torch.nn.Conv1d`, the same parameters and numbers."""

    def forward(self, x: Tensor) -> Tensor:
        """(B C T) to (B C' T')."""
        (kernel,), (stride,), padding = self.kernel_size, self.stride, self.padding
        if isinstance(padding, str):
            return super().forward(x)
        steps = (x.shape[-1] + 2 * padding[0] - kernel) // stride + 1
        if not outweighs(self, x, steps):
            return super().forward(x)
        windows = windowed(x, kernel, stride, padding[0])
        return functional.linear(windows, self.weight.flatten(1), self.bias).transpose(1, 2)


class ConvTranspose1d(nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` without output padding, the same parameters and numbers."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B C T) to (B C' T')."""
        if output_size is not None or self.output_padding != (0,) or not outweighs(self, x, x.shape[-1]):
            return super().forward(x, output_size)
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        y = overlapped(x.transpose(1, 2) @ self.weight.flatten(1), kernel, stride, padding)
        return y if self.bias is None else y + self.bias[:, None]
