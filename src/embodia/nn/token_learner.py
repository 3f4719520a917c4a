"""TokenLearner (Ryoo et al. 2021, arXiv 2106.11297): many cells of a picture become a few tokens.

For every token a small perceptron scores all cells; the token is the mean of the cells under the softmax of its scores.
RT-1 turns 81 cells into 8 tokens this way with 34 thousand parameters.
"""

from __future__ import annotations

from torch import Tensor, nn


class TokenLearner(nn.Module):
    """Cells (... N D) to tokens (... count D)."""

    def __init__(self, width: int, count: int, hidden: int = 64) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, count))

    def forward(self, cells: Tensor) -> Tensor:
        """Weighted means of the cells."""
        return self.weights(cells).transpose(-1, -2) @ cells

    def weights(self, cells: Tensor) -> Tensor:
        """How much of each cell is in each token, (... N count); every token's weights sum to one over the cells."""
        return self.score(self.norm(cells)).softmax(dim=-2)
