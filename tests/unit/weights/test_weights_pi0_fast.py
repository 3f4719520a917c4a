"""LeRobot's pi0-FAST: published names and sizes, toy policies out and in again, its table, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from embodia import weights
from embodia.builders.flow_vla import PALIGEMMA
from embodia.builders.speaking import SpeakerConfig
from embodia.core.errors import CheckpointError, ConfigError, MissingFileError
from embodia.core.invent import invent_observation
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Inference
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.tokenizers.fast import FastTokenizer
from embodia.policies import PolicySpec, make
from embodia.policies.pi0_fast import WORDS
from embodia.training import checkpoint
from embodia.weights import _fast, _lerobot, _vla, lerobot_pi0_fast

BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="top", height=24, width=32),),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=10,
    ),
    action=ActionSpec(parts=(ActionPart(name="joint", dim=3, representation="joint_position"),), rate_hz=10),
    embodiment="arm",
)
CHUNK, PIECES, IDS = 5, 600, 90
GEMMA = TransformerConfig(depth=2, heads=2, kv_heads=1, head_dim=8, width=24, mlp_width=32)
EYE = SiglipConfig(width=12, depth=1, heads=2, hidden=20, patch=8, pixels=16, smooth=False)
PUBLIC = {
    "type": "pi0_fast",
    "chunk_size": 50,
    "n_action_steps": 50,
    "paligemma_variant": "gemma_2b",
    "image_resolution": [224, 224],
    "tokenizer_max_length": 200,
    "max_decoding_steps": 256,
    "fast_skip_tokens": 128,
    "temperature": 0.0,
    "use_relative_actions": False,
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
}
TABLE = "fast-action-tokenizer"


def waves(count, seed=0):
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6, (count, 1, 3)), rng.uniform(0.1, 1, (count, 1, 3))
    return torch.from_numpy(0.9 * np.sin(phase + speed * np.arange(CHUNK)[None, :, None])).float()


def fitted(alphabet="bytes", ids=IDS):
    made = FastTokenizer(CHUNK, 3, ids, 4.0, 40, alphabet)
    made.fit(waves(200))
    return made


def toy_config(**changes):
    text = replace(lerobot_pi0_fast._TEXT, vocabulary=PIECES, length=64)
    speech = replace(WORDS, ids=IDS, scale=4.0, alphabet="bytes", longest=40, spared=7)
    plain = SpeakerConfig(
        chunk=CHUNK,
        vlm=replace(PALIGEMMA, vision=EYE, model=GEMMA, text=text),
        speech=speech,
        normalization="mean_std",
        inference=Inference(execute=CHUNK),
    )
    return replace(plain, **changes)


def stored(folder, config):
    numbers = {"mean": (0.5,) * 3, "std": (2.0,) * 3, "minimum": (-3.0,) * 3, "maximum": (4.0,) * 3}
    known = dict.fromkeys(("state", "action"), FeatureStatistics(count=1, **numbers, q01=(-2.0,) * 3, q99=(3.0,) * 3))
    spec = PolicySpec(name="pi0_fast", size="paper", contract=BODY, config=config)
    policy = make(spec, known, seed=1)
    policy.decoder.tokenizer.inner.load_state_dict(fitted(config.speech.alphabet).state_dict())
    origin = Provenance(environment="unknown", profile="faithful", cameras=("top",))
    card = checkpoint.Card(policy=spec, provenance=origin, statistics=known)
    checkpoint.write(folder, tensors={"model": policy.state_dict()}, facts={"step": 0}, card=card)
    return policy.eval()


@pytest.fixture
def theirs(monkeypatch, tmp_path):
    monkeypatch.setattr(_vla, "GEMMA", {"gemma_2b": GEMMA, "gemma_300m": GEMMA})
    monkeypatch.setattr(_vla, "EYES", {"siglip": EYE})
    policy = stored(tmp_path / "ours", toy_config())
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", "lerobot_pi0_fast")
    return policy, tmp_path / "theirs"


def test_out_and_in_again_says_and_acts_alike(theirs, tmp_path):
    policy, folder = theirs
    (folder / TABLE / "processing_action_tokenizer.py").write_text("raise SystemExit('a program was run')\n")
    assert weights.recognise(folder) is lerobot_pi0_fast
    weights.bring_in(folder, tmp_path / "back", BODY)
    back, spec, _ = checkpoint.load_policy(tmp_path / "back")
    for name, tensor in policy.state_dict().items():
        if not name.endswith("inner.high"):  # which coefficients may come is said by the pieces alone
            assert torch.equal(back.state_dict()[name], tensor), name
    assert spec.config == toy_config()
    seen = invent_observation(BODY, 2)
    first, second = (each.act(seen, None, torch.Generator().manual_seed(0))[0].actions for each in (policy, back))
    np.testing.assert_allclose(second, first, atol=1e-6)
    chunks = waves(20, seed=1)
    ours, again = (each.decoder.tokenizer.encode(chunks) for each in (policy, back))
    assert torch.equal(ours, again) and (ours.max() == PIECES - 1 - 7 or ours.max() < PIECES - 7)


def test_the_public_file_is_the_library_s_tokenizer(tmp_path):
    made = fitted()
    _fast.write_table(tmp_path, made)
    pairs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    facts = json.loads((tmp_path / "processor_config.json").read_text())
    assert (facts["scale"], facts["vocab_size"], facts["min_token"]) == (4.0, IDS, int(made.low))
    chunk = waves(1, seed=3)
    numbers = made._coefficients(chunk).astype(int).flatten() - facts["min_token"]
    ids = pairs.encode("".join(map(chr, numbers))).ids
    assert made.encode(chunk)[0, : len(ids)].tolist() == ids and (made.encode(chunk)[0, len(ids) :] == -1).all()
    back = _fast.read_table(tmp_path, CHUNK, 3, 40)
    assert torch.equal(back.encode(chunk), made.encode(chunk))
    assert torch.allclose(back.decode(made.encode(chunk)), made.decode(made.encode(chunk)))
    with pytest.raises(ConfigError, match="bytes"):
        _fast.write_table(tmp_path, fitted("symbols"))


def edit(file, path, value):
    facts = json.loads(file.read_text())
    place = facts
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    file.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("file", "path", "value", "leaf"),
    [
        ("tokenizer.json", ("pre_tokenizer",), {"type": "Whitespace"}, "pre_tokenizer.type"),
        ("tokenizer.json", ("model", "type"), "WordPiece", "model.type"),
        ("tokenizer.json", ("model", "byte_fallback"), True, "model.byte_fallback"),
        ("tokenizer.json", ("model", "vocab"), {"a": 0, "b": 7}, "model.vocab"),
        ("tokenizer.json", ("model", "merges"), ["one"], "model.merges"),
        ("tokenizer.json", ("model", "merges"), [["zz", "q"]], "model.merges"),
        ("tokenizer.json", ("model", "merges"), [], "model.merges"),
        ("processor_config.json", ("min_token",), "low", "min_token"),
        ("processor_config.json", ("scale",), 0, "min_token"),
    ],
)
def test_a_table_that_cannot_be_built_is_named(tmp_path, file, path, value, leaf):
    _fast.write_table(tmp_path, fitted())
    edit(tmp_path / file, path, value)
    with pytest.raises(CheckpointError) as caught:
        _fast.read_table(tmp_path, CHUNK, 3, 40)
    assert caught.value.leaf == leaf and str(caught.value.file).endswith(file)


def test_merges_as_older_libraries_wrote_them(tmp_path):
    made = fitted()
    _fast.write_table(tmp_path, made)
    pairs = json.loads((tmp_path / "tokenizer.json").read_text())
    edit(tmp_path / "tokenizer.json", ("model", "merges"), [" ".join(pair) for pair in pairs["model"]["merges"]])
    back = _fast.read_table(tmp_path, CHUNK, 3, 40)
    assert torch.equal(back.encode(waves(4, 5)), made.encode(waves(4, 5)))


def test_without_its_table_a_checkpoint_is_not_read(theirs, tmp_path):
    _, folder = theirs
    (folder / TABLE / "tokenizer.json").unlink()
    with pytest.raises(MissingFileError, match="table of the actions"):
        weights.bring_in(folder, tmp_path / "back", BODY)
    assert not (tmp_path / "back").exists()


def test_every_tensor_is_accounted_for(theirs, tmp_path):
    _, folder = theirs
    file = folder / "model.safetensors"
    tensors = load_file(file)
    head = "model.paligemma_with_expert.paligemma.lm_head.weight"
    words = "model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"
    assert torch.equal(tensors[head], tensors[words])
    for changed, problem in (
        ({**tensors, "model.strange.weight": torch.zeros(1)}, r"strange\.weight"),
        ({**tensors, head: tensors[head] + 1}, "not tied"),
        ({name: tensor for name, tensor in tensors.items() if "multi_modal" not in name}, "project"),
    ):
        save_file(changed, file)
        with pytest.raises(CheckpointError, match=problem):
            weights.bring_in(folder, tmp_path / "back", BODY)
    save_file({name: tensor for name, tensor in tensors.items() if name != words}, file)
    weights.bring_in(folder, tmp_path / "back", BODY)


def facts(folder, fields):
    (folder / "config.json").write_text(json.dumps(fields))
    return _lerobot.Facts(folder)


def test_published_configuration_and_names(tmp_path):
    found = lerobot_pi0_fast.config_of(facts(tmp_path, PUBLIC), 257152)
    assert found.vlm == replace(PALIGEMMA, vision=SiglipConfig(smooth=False), text=found.vlm.text)
    assert found.vlm.text.closing == found.vlm.text.start == 2 and found.vlm.text.length == 200
    assert found.speech.spared == 128 and found.chunk == 50
    said = replace(found, speech=replace(found.speech, ids=2048))
    with torch.device("meta"):
        policy = make(PolicySpec(name="pi0_fast", size="paper", contract=BODY, config=said))
    assert policy.decoder.tokenizer.ids.shape == (2048,)
    named = lerobot_pi0_fast.theirs({n: t for n, t in policy.state_dict().items() if not n.startswith("decoder.")})
    start = "model.paligemma_with_expert.paligemma."
    expected = {
        f"{start}lm_head.weight": (257152, 2048),
        f"{start}model.language_model.layers.17.self_attn.k_proj.weight": (256, 2048),
        f"{start}model.language_model.norm.weight": (2048,),
        f"{start}model.vision_tower.vision_model.encoder.layers.26.mlp.fc1.weight": (4304, 1152),
        f"{start}model.multi_modal_projector.linear.bias": (2048,),
    }
    assert {name: tuple(named[name].shape) for name in expected} == expected
    head = f"{start}lm_head.weight"
    assert sum(tensor.numel() for name, tensor in named.items() if name != head) == 2_923_335_408


def test_ids_count_back_from_the_end_of_the_vocabulary_s_file(tmp_path):
    known = {"<pad>": 0, **{chr(33 + index): index + 1 for index in range(89)}}
    file = tmp_path / "tokenizer.json"
    plain = {"type": "BPE", "vocab": known, "merges": []}
    file.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": plain}))
    found = lerobot_pi0_fast.config_of(facts(tmp_path, {**PUBLIC, "fast_skip_tokens": 3}), 100, str(file))
    assert found.speech.spared == 13  # ten embeddings without a piece, three that are skipped


@pytest.mark.parametrize(
    "change",
    [
        {"use_relative_actions": True},
        {"paligemma_variant": "gemma_9b"},
        {"image_resolution": [224, 448]},
        {"max_decoding_steps": 8},
        {"fast_skip_tokens": -500},
    ],
)
def test_settings_that_cannot_be_built_are_named(tmp_path, change):
    with pytest.raises(CheckpointError) as caught:
        lerobot_pi0_fast.config_of(facts(tmp_path, {**PUBLIC, **change}), 600)
    assert str(caught.value.file).endswith("config.json")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"speech": replace(toy_config().speech, before="")}, "table of bytes"),
        ({"speech": replace(toy_config().speech, alphabet="symbols")}, "table of bytes"),
        ({"normalization": "unit"}, "normalisation"),
        ({"vlm": replace(toy_config().vlm, text=replace(toy_config().vlm.text, closing=-1))}, "closed"),
    ],
)
def test_what_the_other_program_cannot_say_is_refused(theirs, tmp_path, changes, problem):
    policy, _ = theirs
    numbers = FeatureStatistics(
        count=1, mean=(0.0,) * 3, std=(1.0,) * 3, minimum=(-1.0,) * 3, maximum=(1.0,) * 3, q01=(-1.0,) * 3,
        q99=(1.0,) * 3,
    )  # fmt: skip
    spec = PolicySpec(name="pi0_fast", size="paper", contract=BODY, config=toy_config(**changes))
    foreign = weights.Foreign(spec=spec, statistics={"action": numbers}, tensors=policy.state_dict())
    with pytest.raises(ConfigError, match=problem):
        lerobot_pi0_fast.write(foreign, tmp_path / "out")
