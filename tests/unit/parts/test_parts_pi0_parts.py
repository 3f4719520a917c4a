"""The parts pi0 is wired from: prefix model, action expert, SigLIP trunk, text tokens, the table of attention."""

import pytest
import torch

from embodia.core.errors import ConfigError, CorruptFileError, MissingFileError
from embodia.core.specs import CameraSpec, ObservationSpec
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import fit_square
from embodia.nn.periods import periodic_time
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.action_expert import ActionExpert
from embodia.parts.backbones.prefix import PrefixModel
from embodia.parts.compose import Context
from embodia.parts.encoders.siglip import SiglipConfig, SiglipTrunk
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.text import TextTokens
from embodia.parts.encoders.vision import camera_tokens
from embodia.parts.tokenizers.text import ByteTokenizer, FileTokenizer, padded

SHARED = {"depth": 2, "heads": 2, "kv_heads": 1, "head_dim": 8}
PREFIX = TransformerConfig(width=24, mlp_width=32, **SHARED)
EXPERT = TransformerConfig(width=16, mlp_width=20, **SHARED)
SENSED = {"image": ("image", "language"), "language": ("image", "language")}
SUFFIX = {"state": ("image", "language", "state"), "action": ("image", "language", "state", "action")}
SMALL_TOWER = SiglipConfig(width=12, depth=1, heads=2, hidden=16, patch=4, pixels=8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def group(name, length, width, batch=2, **more):
    given = {"mask": None, "attends_to": (name,)} | more
    return TokenGroup(name=name, tokens=torch.randn(batch, length, width), **given)


def sensed(batch=2):
    found = [group("image", 4, 24, batch), group("language", 2, 24, batch), group("state", 1, 16, batch)]
    return {item.name: item for item in found}


def context(backbone, groups):
    thought, cache = backbone(groups)
    return Context(groups=thought, cache=cache)


# --- prefix model and action expert


def test_prefix_reads_only_what_is_declared_and_in_that_order():
    backbone = PrefixModel(PREFIX, SENSED)
    groups = sensed()
    thought, cache = backbone(dict(reversed(groups.items())))
    assert [(item.name, item.length) for item in cache.spans] == [("image", 4), ("language", 2)]
    assert thought["state"] is groups["state"] and thought["image"].attends_to == SENSED["image"]
    assert len(cache.layers) == 2 and cache.layers[0][0].shape == (2, 1, 6, 8)


def test_a_group_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="language") as caught:
        PrefixModel(PREFIX, SENSED)({"image": group("image", 4, 24)})
    assert caught.value.leaf == "language"


def test_positions_of_encoders_reach_the_tokens():
    backbone = PrefixModel(PREFIX, {"image": ("image",)})
    plain, position = group("image", 4, 24), torch.randn(4, 24)
    moved = TokenGroup(name="image", tokens=plain.tokens, mask=None, attends_to=("image",), position=position)
    added = TokenGroup(name="image", tokens=plain.tokens + position, mask=None, attends_to=("image",))
    found = [backbone({"image": item})[1].layers[1][0] for item in (plain, moved, added)]
    torch.testing.assert_close(found[1], found[2])
    assert not torch.allclose(found[0], found[1])


def test_complete_prefix_freezes_what_cannot_learn():
    lean, whole = PrefixModel(PREFIX, SENSED), PrefixModel(PREFIX, SENSED, complete=True)
    learning = [p for p in whole.parameters() if p.requires_grad]
    assert sum(p.numel() for p in learning) == sum(p.numel() for p in lean.parameters())
    assert all(p.requires_grad for p in lean.parameters())


def test_expert_with_shared_condition_equals_one_of_its_own():
    backbone, expert = PrefixModel(PREFIX, SENSED), ActionExpert(EXPERT, 3, 5, SUFFIX)
    given = context(backbone, sensed())
    noisy, time = torch.randn(6, 5, 3), torch.rand(6)
    together = expert(expert.condition(given, 3), noisy, time)
    alone = expert(expert.condition(given), noisy[1::3], time[1::3])
    torch.testing.assert_close(together[1::3], alone, atol=1e-5, rtol=1e-5)


def test_samples_of_a_single_observation_share_its_cache_without_a_copy():
    backbone, expert = PrefixModel(PREFIX, SENSED), ActionExpert(EXPERT, 3, 5, SUFFIX)
    given = context(backbone, sensed(batch=1))
    condition = expert.condition(given, 7)
    key = condition.plan.past[0][0]
    assert key.shape[0] == 7 and key.data_ptr() == given.cache.layers[0][0].data_ptr()


def test_rows_of_a_batch_do_not_influence_one_another():
    backbone, expert = PrefixModel(PREFIX, SENSED), ActionExpert(EXPERT, 3, 5, SUFFIX)
    condition = expert.condition(context(backbone, sensed()))
    noisy, time = torch.randn(2, 5, 3, requires_grad=True), torch.rand(2)
    expert(condition, noisy, time)[0].sum().backward()
    assert noisy.grad[0].abs().sum() > 0 and noisy.grad[1].abs().sum() == 0


def test_state_does_not_see_the_actions():
    """Where actions look at the state alone, one action learns nothing of another: the state does not carry it over."""
    expert = ActionExpert(EXPERT, 3, 2, {**SUFFIX, "action": ("state",)})
    given = context(PrefixModel(PREFIX, SENSED), sensed())
    noisy, time = torch.randn(2, 2, 3), torch.rand(2)
    other = noisy.clone()
    other[:, 1] += 1.0
    first, second = (expert(expert.condition(given), x, time) for x in (noisy, other))
    torch.testing.assert_close(first[:, 0], second[:, 0])
    assert not torch.allclose(first[:, 1], second[:, 1])


@pytest.mark.parametrize("insulated", [True, False])
def test_insulation_cuts_the_gradient_into_the_prefix(insulated):
    backbone = PrefixModel(PREFIX, SENSED)
    expert = ActionExpert(EXPERT, 3, 5, SUFFIX, insulated=insulated)
    condition = expert.condition(context(backbone, sensed()))
    expert(condition, torch.randn(2, 5, 3), torch.rand(2)).square().sum().backward()
    assert all((p.grad is None) == insulated for p in backbone.parameters())
    assert all(p.grad is not None for p in expert.parameters())


def test_expert_compiles_into_one_graph():
    backbone, expert = PrefixModel(PREFIX, SENSED), ActionExpert(EXPERT, 3, 5, SUFFIX).eval()
    with torch.no_grad():
        condition = expert.condition(context(backbone, sensed()))
        noisy, time = torch.randn(2, 5, 3), torch.rand(2)
        whole = torch.compile(expert, backend="eager", fullgraph=True)
        torch.testing.assert_close(whole(condition, noisy, time), expert(condition, noisy, time))


def test_time_features_resolve_a_step_and_do_not_repeat():
    features = periodic_time(torch.tensor([0.0, 0.1, 1.0]), 64)
    assert features.shape == (3, 64) and features[0].tolist() == [0.0] * 32 + [1.0] * 32
    distance = torch.cdist(features, features)
    assert distance[0, 1] > 1.0 and distance[0, 2] > 1.0
    half = periodic_time(torch.tensor([0.002]), 64)
    assert half[0, 0].abs() < 1e-4 and half[0, 32] == pytest.approx(-1.0, abs=1e-4), "half of the shortest period"


# --- SigLIP


def test_siglip_trunk_keeps_patches_in_row_major_order():
    trunk = SiglipTrunk(SMALL_TOWER).eval()
    pictures = torch.randn(2, 3, 8, 8)
    found = trunk(pictures)
    tokens = trunk.tower(pixel_values=pictures).last_hidden_state
    assert found.shape == (2, 12, 2, 2) and trunk.map_size(480) == 2
    torch.testing.assert_close(found[:, :, 1, 0], tokens[:, 2])


def test_pictures_are_fitted_without_distortion():
    wide = torch.ones(1, 3, 4, 8)
    found = fit_square(wide, 8, "centre")
    assert found.shape == (1, 3, 8, 8)
    assert (found[:, :, 2:6] == 1.0).all() and (found[:, :, :2] == -1.0).all() and (found[:, :, 6:] == -1.0).all()
    square = torch.randn(1, 3, 8, 8)
    assert fit_square(square, 8, "centre") is square


@pytest.mark.parametrize("camera_embedding", [True, False])
def test_siglip_cameras_carry_no_position_but_perhaps_their_name(camera_embedding):
    spec = ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=8, width=8) for name in "ab"), state=(), rate_hz=10.0
    )
    encoder = camera_tokens(SMALL_TOWER, spec, 24, camera_embedding=camera_embedding)
    pictures = {name: torch.zeros(2, 1, 8, 8, 3, dtype=torch.uint8) for name in "ab"}
    found = encoder(Observation(images=pictures))
    assert found.tokens.shape == (2, 8, 24)
    if not camera_embedding:
        assert found.position is None
        return
    torch.nn.init.normal_(encoder.camera)
    rows = encoder(Observation(images=pictures)).position
    assert torch.equal(rows[0], rows[3]) and not torch.equal(rows[3], rows[4])


# --- text and state tokens


def test_bytes_are_reversible_and_padded():
    tokenizer = ByteTokenizer(12, first=217, start=2)
    ids, mask = tokenizer(["öffne", "", "a very long sentence indeed"])
    assert ids.shape == mask.shape == (3, 12) and tokenizer.vocabulary == 473
    assert tokenizer.decode(ids[0].tolist()) == "öffne" and ids[1].tolist() == [2, 227, *[0] * 10]
    assert mask.sum(1).tolist() == [8, 2, 12] and (ids[~mask] == 0).all()
    assert tokenizer.decode(ids[2].tolist()) == "a very long"


def test_padded_rows_of_nothing():
    ids, mask = padded([[]], 3)
    assert ids.tolist() == [[0, 0, 0]] and not mask.any()


def vocabulary(path):
    tokenizers = pytest.importorskip("tokenizers", reason="the vocabulary reader is not installed")
    words = {"<pad>": 0, "open": 5, "the": 6, "door": 7, "?": 8}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path))
    return str(path)


def test_vocabulary_file(tmp_path):
    tokenizer = FileTokenizer(vocabulary(tmp_path / "words.json"), 6, 9)
    ids, mask = tokenizer(["open the door", "door zebra"])
    assert ids.tolist() == [[2, 5, 6, 7, 0, 0], [2, 7, 8, 0, 0, 0]] and mask.sum(1).tolist() == [4, 3]


def test_bad_vocabulary_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"words\.json"):
        FileTokenizer(str(tmp_path / "words.json"), 6, 9)(["a"])
    (tmp_path / "broken.json").write_text('{"model": ')
    with pytest.raises(CorruptFileError, match=r"broken\.json"):
        FileTokenizer(str(tmp_path / "broken.json"), 6, 9)(["a"])
    with pytest.raises(ConfigError, match="do not fit"):
        FileTokenizer(vocabulary(tmp_path / "words.json"), 6, 3)(["a"])


def test_text_tokens_are_scaled_embeddings():
    encoder = TextTokens(ByteTokenizer(8), 257, 16)
    found = encoder(Observation(instruction=("ab", "abc")))
    assert found.name == "language" and found.tokens.shape == (2, 8, 16) and found.mask.sum(1).tolist() == [3, 4]
    torch.testing.assert_close(found.tokens[0, 0], encoder.embed.weight[1 + ord("a")] * 4.0)
    assert 0.8 < TextTokens(ByteTokenizer(8), 257, 64).embed.weight.std() * 8 < 1.2


def test_state_is_padded_with_zeros():
    token = StateToken(3, 8, padded=5, positions=False)
    state = torch.randn(2, 1, 3)
    found = token(Observation(state=state))
    assert found.position is None and token.project.in_features == 5
    expected = state @ token.project.weight[:, :3].T + token.project.bias
    torch.testing.assert_close(found.tokens, expected)
