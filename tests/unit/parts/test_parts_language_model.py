"""The language model and its builder: one reading equals two, and nothing looks where it must not."""

from dataclasses import replace

import pytest
import torch

from embodia.builders.vlm import TextConfig, VlmConfig, small_vlm, vision_language
from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import CameraSpec, ObservationSpec, StatePart
from embodia.core.types import Observation, TokenGroup
from embodia.nn.shared import Shared
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.compose import parameter_count
from embodia.parts.encoders.prompt import PromptTokens, prompts
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.tokenizers.text import ByteTokenizer

SIZES = TransformerConfig(width=32, depth=3, heads=4, kv_heads=2, head_dim=8, mlp_width=48)
SPEC = ObservationSpec(
    cameras=(CameraSpec(name="front", height=64, width=64), CameraSpec(name="hand", height=64, width=64)),
    state=(StatePart(name="hand", dim=4),),
    rate_hz=10,
)


def group(name, length, mask=None, seed=0, batch=2):
    rng = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, length, 32, generator=rng)
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def seen(batch=2):
    rng = torch.Generator().manual_seed(3)
    pictures = {
        name: torch.randint(0, 256, (batch, 1, 64, 64, 3), generator=rng, dtype=torch.uint8)
        for name in ("front", "hand")
    }
    return Observation(
        images=pictures,
        state=torch.randn(batch, 1, 4, generator=rng),
        instruction=("open the drawer", "push it")[:batch],
    )


def test_blocks_see_themselves_and_what_came_before():
    assert block_table(("a", "b"), ("c",)) == {"a": ("a", "b"), "b": ("a", "b"), "c": ("a", "b", "c")}


def test_hidden_states_are_those_of_the_engine():
    torch.manual_seed(0)
    model = LanguageModel(Transformer(SIZES), block_table(("image", "language")))
    groups = {"language": group("language", 3, seed=1), "image": group("image", 4), "other": group("other", 2)}
    found, cache = model(groups)
    joint = [replace(groups[name], attends_to=("image", "language")) for name in ("image", "language")]
    expected, _ = model.engine(joint)
    assert torch.allclose(found["image"].tokens, expected[:, :4], atol=1e-6)
    assert torch.allclose(found["language"].tokens, expected[:, 4:], atol=1e-6)
    assert found["other"].tokens is groups["other"].tokens
    assert [item.name for item in cache.spans] == ["image", "language"]


def test_without_outputs_the_cache_is_the_same_and_tokens_stay():
    torch.manual_seed(0)
    engine = Transformer(SIZES)
    groups = {"image": group("image", 4)}
    _, full = LanguageModel(engine, block_table(("image",)))(groups)
    found, cache = LanguageModel(engine, block_table(("image",)), outputs=False)(groups)
    assert found["image"].tokens is groups["image"].tokens
    for one, other in zip(full.layers, cache.layers, strict=True):
        assert torch.allclose(one[0], other[0], atol=1e-6)


@pytest.mark.parametrize("pieces", [(5,), (1, 4), (1, 1, 1, 1, 1)])
def test_words_said_one_by_one_equal_words_said_at_once(pieces):
    torch.manual_seed(0)
    model = LanguageModel(Transformer(SIZES), block_table(("image",)))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    _, cache = model({"image": group("image", 4, mask=mask)})
    words = replace(group("word", 5, seed=2), attends_to=("image", "word"), within="causal")
    whole, _ = model({"word": words}, cache)
    said, start, longer = [], 0, cache
    for count in pieces:
        part = replace(words, tokens=words.tokens[:, start : start + count])
        found, longer = model({"word": part}, longer)
        said.append(found["word"].tokens)
        start += count
    assert torch.allclose(torch.cat(said, dim=1), whole["word"].tokens, atol=1e-5)
    assert longer.spans[-1].length == 5 and len(longer.spans) == 2


def test_a_causal_prefix_never_looks_ahead():
    torch.manual_seed(0)
    model = LanguageModel(Transformer(SIZES), block_table(("image",), ("language",)), within="causal")
    groups = {"image": group("image", 4), "language": group("language", 3, seed=1)}
    before, _ = model(groups)
    changed = groups["language"].tokens.clone()
    changed[:, 1] += 1
    after, _ = model({**groups, "language": replace(groups["language"], tokens=changed)})
    assert torch.equal(before["image"].tokens, after["image"].tokens)
    assert torch.equal(before["language"].tokens[:, :1], after["language"].tokens[:, :1])
    assert not torch.allclose(before["language"].tokens[:, 1:], after["language"].tokens[:, 1:])


def test_only_the_last_group_may_go_on():
    model = LanguageModel(Transformer(SIZES), block_table(("image",), ("word",)))
    _, cache = model({"image": group("image", 4), "word": group("word", 2)})
    with pytest.raises(ConfigError, match="cannot attend|share a name"):
        model({"image": replace(group("image", 1), attends_to=("image",))}, cache)


def test_a_missing_group_is_named():
    with pytest.raises(ConfigError, match="language"):
        LanguageModel(Transformer(SIZES), block_table(("language",)))({"image": group("image", 4)})


def test_the_builder_reads_pictures_state_and_sentence():
    torch.manual_seed(0)
    encoders, model = vision_language(VlmConfig(), SPEC, extra={"readout": LearnedTokens("readout", 3, 192)})
    groups = {name: encoder(seen()) for name, encoder in encoders.items()}
    found, cache = model(groups)
    assert list(groups) == ["image", "state", "language", "readout"]
    assert found["readout"].tokens.shape == (2, 3, 192)
    assert cache.spans[-1].attends_to == ("image", "state", "language", "readout")
    assert "readout" not in cache.spans[0].attends_to
    assert 5e5 < sum(parameter_count(part) for part in (*encoders.values(), model)) < 5e6


def test_the_small_size_builds_on_meta():
    with torch.device("meta"):
        encoders, model = vision_language(small_vlm(), SPEC)
    total = sum(parameter_count(part) for part in (*encoders.values(), model))
    assert 3e7 < total < 9e7


def test_pieces_share_the_words_of_the_model():
    torch.manual_seed(0)
    text = TextConfig(kind="pieces", vocabulary=300, template="Do {instruction} at {state}:", length=40)
    encoders, model = vision_language(VlmConfig(text=text, state="none", causal=True), SPEC)
    assert "language.words.table.weight" not in dict(torch.nn.ModuleDict(encoders).named_parameters())
    group = encoders["language"](seen())
    assert group.tokens.shape == (2, 40, 192)
    assert group.mask.sum(1).tolist() == [min(40, 2 + len(text)) for text in prompts(seen(), text.template, 256)]
    found, _ = model({name: encoder(seen()) for name, encoder in encoders.items()})
    assert model.vocabulary.logits(found["language"].tokens).shape == (2, 40, 300)


def test_the_state_is_written_in_bins():
    observation = Observation(state=torch.tensor([[[-1.0, 0.0, 0.999, 7.0]]]), instruction=("go",))
    assert prompts(observation, "{instruction}; {state}", 256) == ["go; 0 128 255 255"]
    with pytest.raises(ShapeError, match="state"):
        prompts(Observation(instruction=("go",)), "{state}", 256)
    assert prompts(replace(observation, instruction=()), "do {instruction}") == ["do "]


def test_a_prompt_is_embedded_by_the_shared_table():
    words = Vocabulary(300, 8, scale=2.0)
    group = PromptTokens(ByteTokenizer(10, first=3, start=1), Shared(words))(Observation(instruction=("ab",)))
    assert torch.equal(group.tokens[0, :3], 2 * words.table.weight[[1, 3 + 97, 3 + 98]])
    assert group.mask[0].tolist() == [True] * 4 + [False] * 6


def test_learned_tokens_are_the_same_for_everyone():
    tokens = LearnedTokens("readout", 2, 8, ("image", "readout"), within="causal")
    group = tokens(seen())
    assert group.tokens.shape == (2, 2, 8) and torch.equal(group.tokens[0], group.tokens[1])
    assert (group.attends_to, group.within) == (("image", "readout"), "causal")
    assert LearnedTokens("readout", 2, 8)(seen()).attends_to == ("readout",)


def test_an_opening_piece_comes_before_the_picture_and_given_pieces_close_the_prefix():
    text = TextConfig(kind="pieces", vocabulary=300, template="Do {lowered}", length=40, opens=True, start=1)
    observation = replace(seen(), instruction=("Go UP", "b"))
    encoders, model = vision_language(VlmConfig(text=text), SPEC, spelled={"blank": (7, -1, -1)})
    assert [name for name in encoders if name != "state"] == ["opening", "image", "language", "blank"]
    words = model.vocabulary.embed(torch.tensor([1, 7]))
    assert torch.equal(encoders["opening"](observation).tokens[1], words[:1])
    blank = encoders["blank"](observation).tokens
    assert torch.equal(blank[0, 0], words[1]) and not blank[:, 1:].any()
    assert prompts(observation, text.template) == ["Do go up", "Do b"]
    assert set(model.attention["opening"]) == set(encoders), "what closes the prefix is part of it"
