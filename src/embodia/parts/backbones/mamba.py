"""A state-space model as the engine of a vision-language policy (bb.mamba): cost grows with the length, not its square.

transformers' Mamba over the groups in order; where its kernels are not installed the recurrence is ours. The one thing
to watch: it reads strictly from left to right, whatever attention is declared, and it has no keys and values to hand
on; so readouts come last, and nothing is said behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.groups import concatenate
from embodia.nn.selective_scan import StepwiseMixer


@dataclass(frozen=True, kw_only=True)
class MambaConfig:
    """Sizes; the defaults are Mamba 2.8B's."""

    kind: Literal["mamba"] = "mamba"
    width: int = 2560
    depth: int = 64
    states: int = 16
    expand: int = 2
    kernel: int = 4


class MambaEngine(nn.Module):
    """Groups in, hidden states out; the cache is always None."""

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        from transformers import MambaConfig as Sizes
        from transformers import MambaModel

        self.config = config
        sizes = Sizes(
            hidden_size=config.width,
            num_hidden_layers=config.depth,
            state_size=config.states,
            expand=config.expand,
            conv_kernel=config.kernel,
            vocab_size=1,
            use_cache=False,
            use_associative_scan=False,
        )
        self.model: Any = MambaModel(sizes)
        self.model.set_input_embeddings(nn.Identity())  # type: ignore[no-untyped-call]
        if find_spec("mamba_ssm") is None:
            for layer in self.model.layers:
                layer.mixer = StepwiseMixer(layer.mixer)

    def packed(self) -> MambaEngine:
        """Itself: its layers read one another's weights, so they stay as they are (`nn.packed.Packable`)."""
        return self

    def forward(
        self, groups: list[TokenGroup], cache: None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, None]:
        """Hidden states (B N D). Raises `ConfigError` for a cache, which this model does not have."""
        if cache is not None:
            raise ConfigError("a state-space model has no keys and values to read on from", leaf="cache")
        joined = concatenate(groups)
        found = self.model(inputs_embeds=joined.tokens, attention_mask=joined.mask.to(joined.tokens.dtype))
        return (None if outputs is False else found.last_hidden_state), None
