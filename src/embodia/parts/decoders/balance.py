"""The loss that keeps a router from sending everything to one expert, as something predicted beside the action."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.core.types import Batch
from embodia.nn.mixture import RoutedCache


class BalanceHead(nn.Module):
    """{"balance": (B,)}: 1 when every expert gets its share, the number of experts when one gets all."""

    def loss_terms(self, context: Context, batch: Batch, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """The mean over all readings. Raises `ConfigError` for a model without a router."""
        if not isinstance(context.cache, RoutedCache):
            raise ConfigError("this model routes nothing", leaf="heads")
        return {"balance": context.cache.balance.mean(1)}
