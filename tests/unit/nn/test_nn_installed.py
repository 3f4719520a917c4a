"""Weights from installed packages: they fill a backbone, speak as the public class does, and learn to act."""

import hashlib
import importlib.metadata
from dataclasses import replace

import pytest
import torch

from embodia.core.errors import CorruptFileError, MissingExtraError, UnknownNameError
from embodia.nn import installed
from embodia.nn.installed import PACKAGES, Package, model_state, pieces, weights_file

PARAMETERS = {"smollm2_135m": 134_515_008, "gemma3_270m": 268_098_176}
"""With words counted once, as the authors' configurations give them."""


def test_a_typo_is_answered_and_a_missing_package_is_named(monkeypatch):
    with pytest.raises(UnknownNameError, match="smollm2_135m"):
        weights_file("smollm_135m")
    gone = replace(PACKAGES["smollm2_135m"], distribution="no-such-distribution")
    monkeypatch.setitem(installed.PACKAGES, "smollm2_135m", gone)
    with pytest.raises(MissingExtraError, match="not installed"):
        weights_file("smollm2_135m")


class Home:
    """A distribution whose files lie in one folder."""

    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, name):
        return self.folder / name


@pytest.fixture
def cut(tmp_path, monkeypatch):
    """A package whose file is cut in two, and the folder of its pieces."""
    folder, parts = tmp_path / "site", (b"first half, ", b"second half")
    folder.mkdir()
    for number, part in enumerate(parts):
        (folder / f"{number}").write_bytes(part)
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    package = Package(distribution="cut", file="whole", cure="", pieces=(("one", "0"), ("two", "1")), digest=digest)
    monkeypatch.setitem(installed.PACKAGES, "cut", package)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Home(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_pieces_are_put_together_once(cut, tmp_path):
    path = weights_file("cut")
    assert path.read_bytes() == b"first half, second half" and (tmp_path / "cache") in path.parents
    before = path.stat().st_mtime_ns
    assert weights_file("cut") == path and path.stat().st_mtime_ns == before
    path.write_bytes(b"torn")
    assert weights_file("cut").read_bytes() == b"first half, second half"


def test_wrong_and_missing_pieces_are_named(cut):
    (cut / "1").write_bytes(b"another end")
    with pytest.raises(CorruptFileError, match="digest"):
        weights_file("cut")
    (cut / "1").unlink()
    with pytest.raises(MissingExtraError, match="lack their file"):
        weights_file("cut")


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_sizes_are_those_of_the_named_model_without_the_weights(name):
    pytest.importorskip("transformers")
    from embodia.builders import families
    from embodia.builders.vlm import vision_language
    from embodia.core.specs import CameraSpec, ObservationSpec
    from embodia.parts.compose import parameter_count

    spec = ObservationSpec(cameras=(CameraSpec(name="front", height=64, width=64),), state=(), rate_hz=10)
    with torch.device("meta"):
        _, model = vision_language(getattr(families, name)(), spec)
    assert parameter_count(model) == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_policy_takes_the_model_as_it_is(name):
    from embodia.builders import families
    from embodia.core.invent import invent_contract
    from embodia.parts.compose import parameter_count
    from embodia.policies import PolicySpec, complete, make

    spec = PolicySpec(name="openvla_oft", size="tiny", contract=invent_contract())
    config = complete(spec).config
    with torch.device("meta"):
        policy = make(replace(spec, config=replace(config, vlm=getattr(families, name)())))
    assert parameter_count(policy) > PARAMETERS[name] and policy.backbone.engine.config.weights == name


def test_stored_words_are_scaled_on_their_way_in_as_the_public_class_does(monkeypatch):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    from embodia.nn.vocabulary import Vocabulary
    from embodia.parts.backbones import hub

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    public = Gemma3ForCausalLM(Gemma3TextConfig(**sizes, head_dim=16, intermediate_size=48, vocab_size=20)).eval()
    monkeypatch.setattr(hub, "model_state", lambda name: public.model.state_dict())
    config = hub.HubConfig(
        family="gemma3_text", width=32, depth=2, heads=2, kv_heads=1, head_dim=16, mlp_width=48, weights="any"
    )
    words, ids = Vocabulary(24, 32, scale=0.0), torch.tensor([[3, 1, 4, 1, 5]])
    engine = hub.filled(config, words)
    mask = torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()
    with torch.no_grad():
        hidden, _ = engine.run(words.embed(ids), mask, torch.arange(5)[None])
        assert torch.allclose(words.logits(hidden, 0, 20), public(input_ids=ids).logits, atol=1e-5)


def present(name="smollm2_135m"):
    """Whether the package is here; its pieces are not put together for that."""
    package = PACKAGES[name]
    try:
        for home in (package.distribution, "gguf", *(piece[0] for piece in package.pieces)):
            importlib.metadata.distribution(home)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.long
@pytest.mark.skipif(not present(), reason="the package of weights is not installed")
def test_real_words_are_said_and_a_policy_learns_on_them():
    from embodia.builders.families import smollm2_135m
    from embodia.builders.vlm import tokenizer, vision_language
    from embodia.core.specs import CameraSpec, ObservationSpec
    from embodia.core.types import Observation
    from embodia.nn.shared import Shared
    from embodia.parts.context import Context
    from embodia.parts.thought import Thought, ThoughtConfig
    from embodia.parts.tokenizers.words import SpokenPieces

    base = smollm2_135m()
    text = replace(base.text, template="<|im_start|>user\n{instruction}<|im_end|>\n<|im_start|>assistant\n", end="")
    spec = ObservationSpec(cameras=(CameraSpec(name="front", height=64, width=64),), state=(), rate_hz=10)
    encoders, model = vision_language(replace(base, text=replace(text, start=-1)), spec)
    words = model.vocabulary
    group = encoders["language"](Observation(instruction=("What is the capital of France? Answer in one word.",)))
    group = replace(group, tokens=group.tokens.detach())
    alone = {"language": replace(group, attends_to=("language",), within="causal")}
    hidden, cache = model.engine(list(alone.values()))
    from transformers import AutoModelForCausalLM

    path = weights_file("smollm2_135m")
    public = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ids, mask = tokenizer(replace(text, start=-1))([prompt(text.template)])
    count = int(mask.sum())
    with torch.no_grad():
        expected = public(input_ids=ids[:, :count]).logits
    assert torch.allclose(words.logits(hidden)[:, :count], expected, atol=2e-3)
    spoken = SpokenPieces(tokenizer(text), start=1, end=2, length=12)
    context = Context(groups=alone, cache=cache, backbone=model)
    mind = Thought(Shared(words), spoken, ThoughtConfig(length=12), attends_to=("language",))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        _, cache = model.engine(list(alone.values()))
        loss = mind.teach(replace(context, cache=cache), ("Paris is red",))[1]["thought"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def prompt(template: str) -> str:
    return template.replace("{instruction}", "What is the capital of France? Answer in one word.")


@pytest.mark.long
@pytest.mark.skipif(not present(), reason="the package of weights is not installed")
def test_pieces_and_words_belong_together():
    state, found = model_state("smollm2_135m"), pieces("smollm2_135m")
    assert len(state["embed_tokens.weight"]) == found.get_vocab_size() == 49152
    assert found.decode(found.encode("open the red drawer").ids) == "open the red drawer"


@pytest.mark.long
@pytest.mark.skipif(not present("gemma3_270m"), reason="the package of weights is not installed")
def test_gemma_fills_a_backbone_that_speaks_as_the_public_class():
    from transformers import AutoModelForCausalLM

    from embodia.builders.families import gemma3_270m
    from embodia.nn.vocabulary import Vocabulary
    from embodia.parts.backbones.hub import filled

    config, found = gemma3_270m(), pieces("gemma3_270m")
    ids = torch.tensor([[2, *found.encode("The capital of France is", add_special_tokens=False).ids]])
    words = Vocabulary(config.text.vocabulary, config.model.width, scale=config.text.scale)
    engine = filled(config.model, words)
    count = ids.shape[1]
    mask = torch.ones(1, 1, count, count, dtype=torch.bool).tril()
    with torch.no_grad():
        hidden, _ = engine.run(words.embed(ids), mask, torch.arange(count)[None])
        said = words.logits(hidden)[0]
    path = weights_file("gemma3_270m")
    public = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    with torch.no_grad():
        assert torch.allclose(said, public(input_ids=ids).logits[0], atol=2e-3)
    cities = [found.token_to_id(f"▁{city}") for city in ("Paris", "London", "Berlin", "Rome", "Madrid")]
    assert int(said[-1, cities].argmax()) == 0
    assert (
        found.decode(found.encode("open the red drawer", add_special_tokens=False).ids).strip() == "open the red drawer"
    )
