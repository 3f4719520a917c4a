"""Denoisers of a chunk and what the diffusion decoder does with them: predictions, solvers, draws, guidance."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, TokenGroup
from embodia.parts.compose import Context
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import AdaptiveDit, CausalDenoiser, CrossDit, DitConfig, TokenDit, vector
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.parts.decoders.mlp import MlpConfig, MlpDenoiser

SPEC = ActionSpec(parts=(ActionPart(name="x", dim=3, representation="joint_delta"),), rate_hz=10, chunk=4)
SIZES = DitConfig(width=16, depth=2, heads=2)
ROWS, CHUNK, ACTIONS, WIDTH = 2, 4, 3, 16


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def group(name: str, tokens: int, width: int = WIDTH, seed: int = 0, mask=None) -> TokenGroup:
    x = torch.randn(ROWS, tokens, width, generator=rng(seed))
    return TokenGroup(name=name, tokens=x, mask=mask, attends_to=(name,))


def context(*groups: TokenGroup) -> Context:
    return Context(groups={item.name: item for item in groups})


def chunk() -> ActionChunk:
    actions = torch.rand(ROWS, CHUNK, ACTIONS, generator=rng(5)) * 1.6 - 0.8
    return ActionChunk(actions=actions, valid=torch.tensor([[True] * 4, [True, True, False, False]]), spec=SPEC)


def randomised(module: nn.Module) -> nn.Module:
    generator = rng(9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def build(kind: str) -> tuple[nn.Module, Context]:
    state = group("state", 1, 5, seed=1)
    if kind == "adaptive":
        return randomised(AdaptiveDit(SIZES, ACTIONS, CHUNK, 2 * WIDTH)), context(group("readout", 2))
    if kind == "pooled":
        pooled = replace(SIZES, pool="mean")
        return randomised(AdaptiveDit(pooled, ACTIONS, CHUNK, WIDTH + 5)), context(group("readout", 6), state)
    if kind == "token":
        return randomised(TokenDit(SIZES, ACTIONS, CHUNK, WIDTH)), context(group("readout", 1))
    if kind == "cross":
        rms = replace(SIZES, norm="rms", qk_norm=True)
        net = CrossDit(rms, ACTIONS, CHUNK, state_dim=5, memories={"language": 2, "image": 6}, rate_hz=10.0, unified=8)
        return randomised(net), context(group("language", 2), group("image", 6, seed=2), state)
    if kind == "causal":
        net = CausalDenoiser(replace(SIZES, norm="affine"), ACTIONS, CHUNK, 5 + WIDTH, history=2)
        return randomised(net), context(group("state", 2, 5), group("language", 1))
    return randomised(MlpDenoiser(MlpConfig(width=8), ACTIONS, CHUNK, 2 * WIDTH)), context(group("readout", 2))


KINDS = ("adaptive", "pooled", "token", "cross", "causal", "mlp")


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_reads_its_condition_and_keeps_rows_apart(kind):
    net, told = build(kind)
    noisy, time = torch.randn(ROWS, CHUNK, ACTIONS), torch.tensor([3, 70])
    out = net(net.condition(told), noisy, time)
    assert out.shape == noisy.shape
    again = net(net.condition(told), noisy + torch.tensor([0.0, 1.0])[:, None, None], time)
    assert torch.allclose(again[0], out[0], atol=1e-5) and not torch.allclose(again[1], out[1])
    assert not torch.allclose(net(net.condition(told), noisy, time + 9), out)
    for name in told.groups:
        changed = replace(told.groups[name], tokens=-told.groups[name].tokens)
        other = replace(told, groups={**told.groups, name: changed})
        assert not torch.allclose(net(net.condition(other), noisy, time), out), name


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_one_entry_are_adjacent_rows(kind):
    net, told = build(kind)
    noisy, time = torch.randn(ROWS, CHUNK, ACTIONS), torch.tensor([3, 70])
    once = net(net.condition(told), noisy, time)
    thrice = net(net.condition(told, 3), noisy.repeat_interleave(3, 0), time.repeat_interleave(3, 0))
    assert torch.allclose(thrice, once.repeat_interleave(3, 0), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_denoiser_serves_a_flow_too(kind):
    net, told = build(kind)
    decoder = FlowDecoder(net, FlowConfig(steps=2), ACTIONS, CHUNK)
    assert decoder.sample(told, rng(), n=2).shape == (ROWS, 2, CHUNK, ACTIONS)
    assert torch.isfinite(decoder.loss_terms(told, chunk(), rng())["flow"]).all()


def test_causal_denoiser_sees_only_earlier_actions():
    net, told = build("causal")
    noisy, time = torch.randn(ROWS, CHUNK, ACTIONS), torch.tensor([3, 70])
    out, later = net(net.condition(told), noisy, time), noisy.clone()
    later[:, 2:] += 1
    changed = net(net.condition(told), later, time)
    assert torch.allclose(changed[:, :2], out[:, :2], atol=1e-5) and not torch.allclose(changed[:, 2], out[:, 2])


def test_cross_dit_skips_padding_and_fits_the_unified_vector():
    net, told = build("cross")
    noisy, time = torch.randn(ROWS, CHUNK, ACTIONS), torch.tensor([3, 70])
    mask = torch.tensor([[True, True], [True, False]])
    masked = replace(told.groups["language"], mask=mask)
    garbage = replace(masked, tokens=torch.where(mask[..., None], masked.tokens, torch.full((), 99.0)))
    outputs = [
        net(net.condition(replace(told, groups={**told.groups, "language": item})), noisy, time)
        for item in (masked, garbage)
    ]
    assert torch.allclose(*outputs, atol=1e-5)
    with pytest.raises(ConfigError, match="fit"):
        CrossDit(SIZES, 3, 4, state_dim=9, memories={"image": 1}, rate_hz=10.0, unified=8)


def test_token_dit_is_told_one_token():
    net, _ = build("token")
    with pytest.raises(ConfigError, match="one token"):
        net.condition(context(group("readout", 2)))


def test_the_mean_is_over_real_tokens():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    item = group("image", 3, mask=mask)
    expected = torch.stack([item.tokens[0, :2].mean(0), item.tokens[1, 0]])
    assert torch.allclose(vector({"image": item}, "mean"), expected, atol=1e-6)
    assert vector({"image": item, "b": item}, "flatten").shape == (ROWS, 6 * WIDTH)


class Oracle(nn.Module):
    """Knows the clean actions and answers as the prediction type demands; remembers what it was told."""

    def __init__(self, clean, signal, prediction):
        super().__init__()
        self.clean, self.signal, self.prediction = clean, signal, prediction
        self.weight = nn.Parameter(torch.ones(()))

    def condition(self, context, n=1):
        return context.groups["image"].tokens[:, :1, :1].repeat_interleave(n, 0)

    def forward(self, told, noisy, time):
        at = self.signal[time][:, None, None]
        clean = self.clean.repeat_interleave(len(noisy) // len(self.clean), 0)
        noise = (noisy - at.sqrt() * clean) / (1 - at).sqrt()
        answers = {"epsilon": noise, "sample": clean, "v_prediction": at.sqrt() * noise - (1 - at).sqrt() * clean}
        return self.weight * answers[self.prediction]


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("solver", ["ddim", "dpm"])
def test_who_knows_the_answer_loses_nothing_and_finds_it(prediction, solver):
    config = DiffusionConfig(prediction=prediction, solver=solver, draws=3)
    wanted, seen = chunk(), context(group("image", 1))
    head = ChunkDiffusion(config, nn.Identity(), ACTIONS, CHUNK)
    head.net = Oracle(wanted.actions, head.signal, prediction)
    assert torch.allclose(head.loss_terms(seen, wanted, rng())["denoise"], torch.zeros(ROWS), atol=1e-6)
    with torch.no_grad():
        found = head.sample(seen, rng(), n=2)
    assert torch.allclose(found, wanted.actions[:, None].expand(-1, 2, -1, -1), atol=2e-2 if solver == "dpm" else 1e-4)


def test_velocity_is_that_of_diffusers():
    from diffusers import DDPMScheduler

    wanted, noise, time = chunk(), torch.randn(ROWS, CHUNK, ACTIONS), torch.tensor([10, 80])
    head = ChunkDiffusion(DiffusionConfig(prediction="v_prediction"), nn.Identity(), ACTIONS, CHUNK)
    head.net = Oracle(wanted.actions, head.signal, "v_prediction")
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    noisy = scheduler.add_noise(wanted.actions, noise, time)
    expected = scheduler.get_velocity(wanted.actions, noise, time)
    assert torch.allclose(head.net(None, noisy, time), expected, atol=1e-4)


def test_draws_are_averaged_a_sample():
    net, seen = build("mlp")
    head = ChunkDiffusion(DiffusionConfig(draws=2), net, ACTIONS, CHUNK)
    wanted = chunk()
    noise, time = torch.randn(2 * ROWS, CHUNK, ACTIONS), torch.tensor([1, 50, 7, 99])
    both = head.error(seen, wanted, noise, time)
    single = torch.stack([head.error(seen, wanted, noise[start::2], time[start::2]) for start in (0, 1)])
    assert torch.allclose(both, single.mean(0), atol=1e-6)


class Echo(nn.Module):
    """Predicts the mean of what it is told."""

    def condition(self, context, n=1):
        told = torch.cat([item.tokens for item in context.groups.values()], dim=1)
        return told.mean((1, 2)).repeat_interleave(n, 0)

    def forward(self, told, noisy, time):
        return told[:, None, None].expand_as(noisy)


def test_guidance_moves_away_from_the_blank():
    seen = context(group("readout", 2), group("other", 3))
    config = DiffusionConfig(drop=0.5, guidance=1.5)
    head = ChunkDiffusion(config, Echo(), ACTIONS, CHUNK, read=("readout",), blank=WIDTH)
    told, untold = head.condition(seen)
    assert torch.allclose(told, seen.groups["readout"].tokens.mean((1, 2)))
    assert torch.allclose(untold, head.blank.mean().expand(ROWS), atol=1e-6)
    found = head._predict(torch.zeros(ROWS, CHUNK, ACTIONS), 5, (told, untold))
    assert torch.allclose(found[:, 0, 0], untold + 1.5 * (told - untold), atol=1e-6)
    plain = ChunkDiffusion(replace(config, guidance=1.0), Echo(), ACTIONS, CHUNK, read=("readout",), blank=WIDTH)
    assert len(plain.condition(seen)) == 1


def test_training_hides_the_condition_as_often_as_asked():
    seen = context(replace(group("readout", 1), tokens=torch.ones(ROWS, 1, WIDTH)))
    head = ChunkDiffusion(DiffusionConfig(drop=0.25), Echo(), ACTIONS, CHUNK, blank=WIDTH)
    with torch.no_grad():
        head.blank.fill_(-1.0)
    hidden = torch.tensor([True, False])
    assert head.net.condition(head._blanked(seen, hidden)).tolist() == [-1.0, 1.0]
    told = []
    head.net.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0]))
    for seed in range(400):
        head.loss_terms(seen, chunk(), rng(seed))
    assert float((torch.cat(told) < 0).float().mean()) == pytest.approx(0.25, abs=0.06)


def test_guidance_needs_a_blank():
    for config, blank in ((DiffusionConfig(guidance=2.0), 0), (DiffusionConfig(drop=0.1), 0), (DiffusionConfig(), 4)):
        with pytest.raises(ConfigError, match="drop"):
            ChunkDiffusion(config, Echo(), ACTIONS, CHUNK, blank=blank)


def test_octos_head_has_the_published_layers():
    """Three blocks of 256 with inner width 1024 on a 384-wide readout, seven actions four steps ahead."""
    net = MlpDenoiser(MlpConfig(), 7, 4, 384)
    block = 2 * 256 + (256 * 1024 + 1024) + (1024 * 256 + 256)
    ends = (32 + 384 + 28) * 256 + 256 + 256 * 28 + 28
    time = 16 + (32 * 64 + 64) + (64 * 32 + 32)
    assert sum(parameter.numel() for parameter in net.parameters()) == 3 * block + ends + time
