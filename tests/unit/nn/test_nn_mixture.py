"""Several feed-forward layers behind shared attention: against the plain transformer, and against what is claimed."""

from dataclasses import replace

import pytest
import torch

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.mixture import MixtureConfig, MixtureTransformer, RoutedCache
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.parts.compose import Context
from embodia.parts.decoders.balance import BalanceHead

BASE = TransformerConfig(width=16, depth=2, heads=2, kv_heads=1, head_dim=8, mlp_width=24, activation="silu")


def group(name: str, tokens: int, seen: tuple[str, ...], seed: int = 0, within="full") -> TokenGroup:
    x = torch.randn(2, tokens, 16, generator=torch.Generator().manual_seed(seed))
    return TokenGroup(name=name, tokens=x, mask=None, attends_to=seen, within=within)


IMAGE = group("image", 5, ("image",))
THOUGHT = group("thought", 3, ("image", "thought"), seed=1, within="causal")


def plain_and(config: MixtureConfig) -> tuple[Transformer, MixtureTransformer]:
    """A plain transformer and a mixture whose experts are all the plain one's feed-forward layer."""
    torch.manual_seed(0)
    plain, mixture = Transformer(BASE), MixtureTransformer(config)
    mixture.norm.load_state_dict(plain.norm.state_dict())
    for ours, theirs in zip(mixture.layers, plain.layers, strict=True):
        for name in ("attention_norm", "attention", "mlp_norm"):
            getattr(ours, name).load_state_dict(getattr(theirs, name).state_dict())
        for expert in ours.static if ours.static is not None else ours.routed.experts:
            expert.load_state_dict(theirs.mlp.state_dict())
    return plain.eval(), mixture.eval()


@pytest.mark.parametrize("mixture", ["static", "routed"])
def test_equal_experts_are_the_plain_transformer(mixture):
    plain, mixed = plain_and(MixtureConfig(base=BASE, mixture=mixture, experts=4, top=2))
    expected, cache = plain([IMAGE])
    found, ours = mixed([IMAGE])
    assert torch.allclose(found, expected, atol=1e-5)
    expected, _ = plain([THOUGHT], cache)
    assert torch.allclose(mixed([THOUGHT], ours)[0], expected, atol=1e-5)


def test_words_that_are_said_have_an_expert_of_their_own():
    _, mixed = plain_and(MixtureConfig(base=BASE, mixture="static"))
    seen, cache = mixed([IMAGE])
    said = mixed([THOUGHT], cache)[0]
    with torch.no_grad():
        for layer in mixed.layers:
            layer.static[1].down.weight.zero_()
    again, cache = mixed([IMAGE])
    assert torch.equal(again, seen)
    assert not torch.allclose(mixed([THOUGHT], cache)[0], said)
    with torch.no_grad():
        for layer in mixed.layers:
            layer.static[0].down.weight.zero_()
    assert not torch.allclose(mixed([IMAGE])[0], seen)


def test_learning_to_act_leaves_the_talking_expert_alone():
    _, mixed = plain_and(MixtureConfig(base=BASE, mixture="static"))
    mixed([IMAGE])[0].sum().backward()
    assert all(layer.static[0].down.weight.grad is not None for layer in mixed.layers)
    assert all(layer.static[1].down.weight.grad is None for layer in mixed.layers)


def test_reading_in_two_goes_is_reading_at_once():
    torch.manual_seed(0)
    mixed = MixtureTransformer(MixtureConfig(base=BASE, mixture="routed", experts=4)).eval()
    whole, _ = mixed([IMAGE, THOUGHT])
    first, cache = mixed([IMAGE])
    second, longer = mixed([THOUGHT], cache)
    assert torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-5)
    assert cache.balance.shape == (2, 1) and longer.balance.shape == (2, 2)
    assert mixed([THOUGHT], cache, outputs=False)[0] is None


def test_a_cache_with_its_balance_is_repeated_and_cut_off():
    torch.manual_seed(0)
    mixed = MixtureTransformer(MixtureConfig(base=BASE, mixture="routed", experts=4))
    _, cache = mixed([IMAGE])
    repeated = cache.repeat(3)
    assert isinstance(repeated, RoutedCache) and repeated.balance[:, 0].tolist() == pytest.approx(
        cache.balance.repeat_interleave(3, 0)[:, 0].tolist()
    )
    assert cache.balance.requires_grad and not cache.detach().balance.requires_grad


def test_a_router_that_favours_one_expert_pays():
    torch.manual_seed(0)
    even = MixtureTransformer(MixtureConfig(base=BASE, mixture="routed", experts=4, top=1))
    head = BalanceHead()
    for one in (False, True):
        with torch.no_grad():
            for layer in even.layers:
                layer.routed.router.weight.zero_()
                if one:
                    layer.routed.router.weight[2] = 100 * layer.mlp_norm(IMAGE.tokens).flatten(0, 1).mean(0)
        _, cache = even([replace(IMAGE, tokens=IMAGE.tokens + 3)])
        context = Context(groups={"image": IMAGE}, cache=cache)
        loss = head.loss_terms(context, None, None)["balance"]
        assert loss.shape == (2,)
        assert float(loss.mean()) == pytest.approx(4.0 if one else 1.0, abs=1.2 if one else 0.1)


def test_balance_needs_a_router():
    _, cache = Transformer(BASE)([IMAGE])
    with pytest.raises(ConfigError, match="routes nothing"):
        BalanceHead().loss_terms(Context(groups={"image": IMAGE}, cache=cache), None, None)
