"""pi0 against transformers' own implementation: the same weights in, the same loss and actions out."""

import platform
from pathlib import Path

import pytest
import torch

from embodia.core.errors import CheckpointError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Observation
from embodia.io import atomic
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import parameter_count
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.policies import PolicySpec, make, pi0
from embodia.weights import _pi0

transformers = pytest.importorskip("transformers", reason="the independent implementation is not installed")
if not hasattr(transformers, "PI0ForConditionalGeneration"):
    pytest.skip("this transformers has no PI0ForConditionalGeneration", allow_module_level=True)

RESULTS = Path(__file__).resolve().parents[2] / "results" / "parity_pi0.json"
BATCH, CAMERAS, PIXELS, CHUNK, STATE, ACTION, PADDED = 3, 2, 28, 6, 5, 4, 8
WORDS, IMAGE, LENGTH, PATCHES = 600, 599, 24, 4
SENTENCES = ("open the door", "push", "pick up the red cube")
SHARED = {"depth": 3, "heads": 4, "kv_heads": 1, "head_dim": 16}
PREFIX = TransformerConfig(width=48, mlp_width=64, **SHARED)
EXPERT = TransformerConfig(width=32, mlp_width=40, **SHARED)


def gemma(config):
    return {
        "model_type": "gemma",
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "intermediate_size": config.mlp_width,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": WORDS,
    }


def peer(seed):
    """A tiny random model of the independent implementation; norms are random too, so that no term hides."""
    vision = {"model_type": "siglip_vision_model", "hidden_size": 36, "intermediate_size": 40, "patch_size": 14}
    vision |= {"image_size": PIXELS, "num_hidden_layers": 2, "num_attention_heads": 2, "vision_use_head": False}
    vlm = {"model_type": "paligemma", "text_config": gemma(PREFIX), "image_token_id": IMAGE}
    vlm |= {"vision_config": {**vision, "projection_dim": PREFIX.width}, "projection_dim": PREFIX.width}
    config = transformers.PI0Config(
        vlm_config=vlm,
        dit_config=gemma(EXPERT),
        chunk_size=CHUNK,
        max_state_dim=PADDED,
        max_action_dim=PADDED,
        loss_reduction="none",
    )
    model = transformers.PI0ForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    return model


def contract(cameras, pixels, state, action):
    spec = ActionSpec(parts=(ActionPart(name="joints", dim=action, representation="joint_position"),), rate_hz=50.0)
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera_{i}", height=pixels, width=pixels) for i in range(cameras)),
        state=(StatePart(name="joints", dim=state),),
        rate_hz=50.0,
    )
    return Contract(observation=seen, action=spec, embodiment="test")


def ours(model):
    """The same network from parts, with the peer's weights, loaded through the public layout."""
    config = pi0.Config(
        chunk=CHUNK,
        vision=SiglipConfig(width=36, depth=2, heads=2, hidden=40, patch=14, pixels=PIXELS),
        prefix=PREFIX,
        expert=EXPERT,
        vocabulary=WORDS,
        text_length=LENGTH,
        padded=PADDED,
    )
    spec = PolicySpec(name="pi0", size="paper", contract=contract(CAMERAS, PIXELS, STATE, ACTION), config=config)
    policy = make(spec)
    missing, unexpected = policy.load_state_dict(_pi0.read(model.state_dict()), strict=False)
    assert not unexpected and all("_units." in name for name in missing)
    return policy.eval()


def records(policy, seed):
    """Random pictures, states and actions; the second sample has lost its second camera."""
    generator = torch.Generator().manual_seed(seed)
    names = policy.contract.observation.camera_names
    shape = (BATCH, 1, PIXELS, PIXELS, 3)
    observation = Observation(
        images={n: torch.randint(256, shape, generator=generator, dtype=torch.uint8) for n in names},
        state=torch.randn(BATCH, 1, STATE, generator=generator),
        instruction=SENTENCES,
        masks={names[1]: torch.tensor([[True], [False], [True]])},
    )
    actions = torch.randn(BATCH, CHUNK, ACTION, generator=generator)
    valid = torch.ones(BATCH, CHUNK, dtype=torch.bool)
    chunk = ActionChunk(actions=actions, valid=valid, spec=policy.contract.action)
    noise = torch.randn(BATCH, CHUNK, PADDED, generator=generator)
    return observation, chunk, noise, torch.rand(BATCH, generator=generator)


def peer_inputs(observation):
    """The same records in the peer's format: picture tokens first, absent cameras left out, padding on the right."""
    present = torch.ones(BATCH, CAMERAS, dtype=torch.bool)
    present[1, 1] = False
    pictures = torch.stack([image[:, 0] for image in observation.images.values()], dim=1)
    pixels = (pictures.double() / 127.5 - 1).float().permute(0, 1, 4, 2, 3)
    rows = []
    for sample, text in enumerate(SENTENCES):
        words = [2, *(217 + byte for byte in f"{text}\n".encode())]
        rows.append([IMAGE] * (PATCHES * int(present[sample].sum())) + words)
    width = max(len(row) for row in rows)
    return {
        "input_ids": torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        "pixel_values": pixels * present[:, :, None, None, None],
        "pixel_attention_mask": present,
        "state": torch.nn.functional.pad(observation.state[:, 0], (0, PADDED - STATE)),
    }


@torch.no_grad()
def differences(seed):
    """Largest absolute differences of the loss a sample and of the sampled actions, for one random model."""
    theirs = peer(seed)
    policy = ours(theirs)
    observation, chunk, noise, time = records(policy, seed)
    inputs = peer_inputs(observation)
    actions = torch.nn.functional.pad(chunk.actions, (0, PADDED - ACTION))
    expected = theirs(noise=noise, timestep=time, actions=actions, **inputs).loss.mean((1, 2))
    context = policy.context(observation)
    loss = policy.decoder.loss_at(context, chunk, noise, time)
    sampled = theirs.sample_actions(noise=noise, **inputs)[..., :ACTION]
    found = policy.decoder.from_noise(context, noise)
    assert expected.min() > 0.1 and sampled.std() > 0.1, "a comparison of nothing with nothing"
    return float((loss - expected).abs().max()), float((found - sampled).abs().max())


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_equal_loss_and_actions():
    loss, actions = differences(0)
    assert loss <= 1e-5 and actions <= 1e-5


def test_comparison_can_fail():
    """The same comparison with one weight moved, or one camera's mask forgotten, is far from equal."""
    policy = ours(peer(0))
    observation, _, noise, _ = records(policy, 0)
    with torch.no_grad():
        exact = policy.decoder.from_noise(policy.context(observation), noise)
        seen = Observation(images=observation.images, state=observation.state, instruction=observation.instruction)
        unmasked = policy.decoder.from_noise(policy.context(seen), noise)
        policy.backbone.transformer.layers[1].attention.key.weight[0, 0] += 0.5
        moved = policy.decoder.from_noise(policy.context(observation), noise)
    assert (unmasked - exact)[1].abs().max() > 1e-3 and (unmasked - exact)[0].abs().max() < 1e-6
    assert (moved - exact).abs().max() > 1e-4


def test_gradients_agree():
    theirs = peer(1)
    policy = ours(theirs)
    observation, chunk, noise, time = records(policy, 1)
    actions = torch.nn.functional.pad(chunk.actions, (0, PADDED - ACTION))
    theirs(noise=noise, timestep=time, actions=actions, **peer_inputs(observation)).loss.mean().backward()
    policy.decoder.loss_at(policy.context(observation), chunk, noise, time).mean().backward()
    expected = _pi0.read({n: p.grad for n, p in theirs.named_parameters() if p.grad is not None})
    trained = {name: parameter for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert len(trained) > 60 and trained.keys() <= expected.keys()
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-5, rtol=1e-3, msg=name)


def test_layout_is_a_round_trip():
    theirs = peer(0)
    state, back = theirs.state_dict(), _pi0.write(ours(theirs).state_dict())
    unused = {name for name in state if name.startswith(_pi0.TRANSFORMERS.unused)}
    assert back.keys() == state.keys() - unused
    assert all(torch.equal(back[name], state[name]) for name in back)


def test_layout_refuses_what_it_does_not_know():
    with pytest.raises(CheckpointError) as caught:
        _pi0.read({"model.vlm.audio_tower.weight": torch.zeros(1)})
    assert caught.value.leaf == "model.vlm.audio_tower.weight"


def paper_count():
    with torch.device("meta"):
        return parameter_count(make(PolicySpec(name="pi0", size="paper", contract=contract(3, 224, 14, 14))))


def test_paper_size_has_the_published_count():
    assert paper_count() == 3_238_048_528


@pytest.mark.long
def test_store_the_report():
    pairs = [differences(seed) for seed in range(10)]
    loss, actions = (max(values) for values in zip(*pairs, strict=True))
    assert loss <= 1e-5 and actions <= 1e-5
    report = {
        "policy": "pi0",
        "peer": f"transformers {transformers.__version__}, PI0ForConditionalGeneration",
        "largest_absolute_difference": {"loss": loss, "actions": actions},
        "tolerance": 1e-5,
        "n": len(pairs),
        "dtype": "float32",
        "parameters": {"paper": paper_count(), "published": 3_238_048_528},
        "command": "pytest -m long tests/parity/test_parity_pi0.py",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "hardware": platform.machine(),
        "notes": "random weights and inputs; three sentences of unequal length, one sample without its second camera, "
        "action and state padded to 8; ten Euler steps. Counted: SigLIP, projector, Gemma 2B with its word embeddings "
        "once, the expert without any, state, action and time projections.",
    }
    atomic.write_json(RESULTS, report)
