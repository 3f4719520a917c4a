"""Public language models as engines: transformers' own classes under our declared attention and our cache.

Built from sizes with random weights, nothing is downloaded; every class gives its own hidden states to within rounding.
The one thing to watch: these classes hold no words here. Embeddings and head are the `Vocabulary` beside them, so that
text, actions and reasoning share one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache, KeyValue
from embodia.nn.groups import attention_mask, concatenate, continued, positions, verify, verify_prefix
from embodia.nn.installed import model_state
from embodia.nn.vocabulary import Vocabulary

Family = Literal["llama", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "mistral", "phi", "phi3", "bitnet"]
PLAIN_ATTENTION = ("gemma2",)
"""Families that bound their attention scores, which the fused kernel cannot."""


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """Sizes of a public family; `options` are further numbers of its configuration, by transformers' names.

    `weights` names a package of `nn.installed`; they fill the model when it is built, except on the meta device.
    `head_dim` 0 is width / heads; `theta` the base of the rotary angles. Sliding windows are not used: the
    declared attention decides who sees whom.
    """

    family: Family
    width: int
    depth: int
    heads: int
    kv_heads: int
    mlp_width: int
    head_dim: int = 0
    theta: float = 10000.0
    epsilon: float = 1e-6
    weights: str = ""
    options: Mapping[str, float] = field(default_factory=dict)


class HubTransformer(nn.Module):
    """Groups in, hidden states and a longer cache out, like `nn.transformer.Transformer`; always with outputs."""

    def __init__(self, config: HubConfig) -> None:
        super().__init__()
        self.config = config
        self.model = hub_model(config)
        self.plain = config.family in PLAIN_ATTENTION

    def forward(
        self, groups: list[TokenGroup], cache: Cache | None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, Cache]:
        """Hidden states (B N D), None when `outputs` is False, and the cache of everything seen including `groups`.

        Differentiable through the cache. Raises `ConfigError` for attention that cannot be computed.
        """
        joined = concatenate(groups)
        past: tuple[KeyValue, ...] = () if cache is None else cache.layers
        keys, real, start = joined.spans, joined.mask, None
        if cache is not None:
            verify_prefix(cache.spans, joined.spans)
            keys, real = continued(cache.spans, keys), torch.cat([cache.mask, real], dim=1)
            start = cache.next_position()
        verify(keys)
        hidden, layers = self.run(
            joined.tokens, attention_mask(joined.spans, keys, real), positions(joined.mask, start), past
        )
        return (None if outputs is False else hidden), Cache(layers, real, keys)

    def run(
        self, tokens: Tensor, mask: Tensor, places: Tensor, past: tuple[KeyValue, ...] = ()
    ) -> tuple[Tensor, tuple[KeyValue, ...]]:
        """Tokens (B N D) at `places` int64 (B N) under `mask` bool (B 1 N P+N); keys and values include the past."""
        from transformers.cache_utils import DynamicCache

        cache = DynamicCache(ddp_cache_data=past or None)
        allowed = mask
        if self.plain:
            allowed = torch.zeros(mask.shape, dtype=tokens.dtype, device=mask.device)
            allowed = allowed.masked_fill(~mask, torch.finfo(tokens.dtype).min)
        found = self.model(
            inputs_embeds=tokens.to(self.dtype),
            attention_mask=allowed,
            position_ids=places.clamp_min(0),
            past_key_values=cache,
            use_cache=True,
        )
        layers: list[Any] = cache.layers
        return found.last_hidden_state, tuple((layer.keys, layer.values) for layer in layers)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.model.parameters()).dtype

    def unread_parameters(self) -> list[nn.Parameter]:
        """Weights that cannot learn when only the cache is read: most of the last layer, and the last norm."""
        last = self.model.layers[-1]
        read = {
            id(p)
            for name in ("input_layernorm", "self_attn.k_proj", "self_attn.v_proj", "self_attn.k_norm")
            for p in _inside(last, name)
        }
        norm = getattr(self.model, "norm", None) or self.model.final_layernorm
        return [p for module in (last, norm) for p in module.parameters() if id(p) not in read]


def hub_model(config: HubConfig) -> Any:
    """The family's class without words, random weights. Raises `ConfigError` for sizes that the family refuses."""
    from transformers import AutoConfig, AutoModel

    head_dim = config.head_dim or config.width // config.heads
    try:
        sizes = AutoConfig.for_model(
            config.family,
            hidden_size=config.width,
            num_hidden_layers=config.depth,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            intermediate_size=config.mlp_width,
            head_dim=head_dim,
            vocab_size=1,
            pad_token_id=None,
            bos_token_id=0,
            eos_token_id=0,
            **{"rms_norm_eps": config.epsilon, **config.options},
        )
        _turn(sizes, config.theta)
        attention = "eager" if config.family in PLAIN_ATTENTION else "sdpa"
        model = AutoModel.from_config(sizes, attn_implementation=attention)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"transformers refuses these sizes: {error}", leaf="model") from error
    model.set_input_embeddings(nn.Identity())
    return model


def filled(config: HubConfig, vocabulary: Vocabulary) -> HubTransformer:
    """The layers and a word table with the installed weights that the configuration names.

    The table holds words as they are stored, before its `scale`. On the meta device nothing is read.
    Raises `MissingExtraError`, and `ConfigError` where sizes disagree.
    """
    made = HubTransformer(config)
    if vocabulary.table.weight.is_meta:
        return made
    state = model_state(config.weights)
    words = state.pop("embed_tokens.weight")
    rows = len(words)
    if words.shape[1] != vocabulary.width or rows > vocabulary.size:
        raise ConfigError(
            f"{tuple(words.shape)} words do not fit {vocabulary.size} x {vocabulary.width}", leaf="weights"
        )
    try:
        made.model.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(f"the weights do not fit the sizes: {error}", leaf="weights") from error
    with torch.no_grad():
        vocabulary.table.weight[:rows] = words
    return made


def _turn(sizes: Any, theta: float) -> None:
    known = dict(sizes.rope_parameters)
    if "rope_theta" in known:
        sizes.rope_parameters = {**known, "rope_theta": theta}


def _inside(module: nn.Module, name: str) -> list[nn.Parameter]:
    try:
        return list(module.get_submodule(name).parameters())
    except AttributeError:
        return []
