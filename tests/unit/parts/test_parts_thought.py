"""Text before action: what is taught is what is said, spellings are exact, silence changes nothing."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.shared import Shared
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.context import Context
from embodia.parts.thought import Thought, ThoughtConfig
from embodia.parts.tokenizers.text import ByteTokenizer
from embodia.parts.tokenizers.words import DESK_WORDS, END, FIRST_WORD, SpokenPieces, WordTokenizer

SIZES = TransformerConfig(width=32, depth=2, heads=4, kv_heads=2, head_dim=8, mlp_width=48)
ANSWERS = ("move arm left", "stay")


def context(batch=2, model=None):
    torch.manual_seed(0)
    model = model or LanguageModel(Transformer(SIZES), block_table(("image",)), Vocabulary(300, 32), outputs=False)
    torch.manual_seed(1)
    group = TokenGroup(name="image", tokens=torch.randn(batch, 4, 32), mask=None, attends_to=("image",))
    groups, cache = model({"image": group})
    return Context(groups=groups, cache=cache, backbone=model)


def thought(words=32, **changes):
    torch.manual_seed(2)
    return Thought(words, WordTokenizer(12), ThoughtConfig(**changes))


def test_known_words_are_one_id_and_others_their_bytes():
    words = WordTokenizer(20)
    assert len(words.encode("move arm forward and left, close gripper")) == 8
    assert all(index >= FIRST_WORD for index in words.encode("the red cube"))
    assert len(words.encode("zx")) == 2
    assert len(set(words.encode("red")) & set(words.encode(" red"))) == 0
    assert len(DESK_WORDS) == len(set(DESK_WORDS))


@given(st.text(max_size=60))
def test_any_text_can_be_said_and_read_again(text):
    words = WordTokenizer(400)
    assert words.decode(words.encode(text)) == text
    ids, mask = words([text])
    assert words.decode(ids[0].tolist()) == text
    assert int(mask.sum()) == len(words.encode(text)) + 1 and ids[0, int(mask.sum()) - 1] == END


@given(st.lists(st.integers(min_value=-5, max_value=10_000), max_size=40))
def test_any_ids_can_be_read(ids):
    assert isinstance(WordTokenizer(50).decode(ids), str)
    assert isinstance(SpokenPieces(ByteTokenizer(50), start=0, end=300, length=9).decode(ids), str)


def test_a_word_is_letters_or_digits():
    with pytest.raises(ConfigError, match="letters"):
        WordTokenizer(9, ["two words"])


def test_pieces_of_a_model_are_said_without_its_newline():
    spoken = SpokenPieces(ByteTokenizer(10, first=3, start=1), start=1, end=2, length=6)
    ids, mask = spoken(["ab", "abcdefgh"])
    assert ids[0].tolist() == [100, 101, 2, 0, 0, 0] and mask[0].sum() == 3
    assert ids[1].tolist()[-1] == 2 and mask[1].all()
    assert spoken.decode(ids[0].tolist()) == "ab"


def test_the_loss_is_that_of_saying_the_words_one_by_one():
    mind, before = thought(), context()
    _, terms = mind.teach(before, ANSWERS)
    ids = [*mind.spelling.encode("stay"), END]
    alone = Context(
        groups={"image": replace(before.groups["image"], tokens=before.groups["image"].tokens[1:])},
        cache=replace(
            before.cache,
            layers=tuple((k[1:], v[1:]) for k, v in before.cache.layers),
            mask=before.cache.mask[1:],
        ),
        backbone=before.backbone,
    )
    errors, last, heard = [], mind.spelling.start, alone
    for index in ids:
        group = mind._group(heard, torch.tensor([[last]]), torch.ones(1, 1, dtype=torch.bool))
        heard = heard.extend({"thought": group})
        errors.append(-mind.words.logits(heard.groups["thought"].tokens[:, -1]).log_softmax(-1)[0, index])
        last = index
    assert torch.allclose(terms["thought"][1], torch.stack(errors).mean(), atol=1e-5)


def test_saying_nothing_costs_nothing_and_leaves_no_trace():
    mind, before = thought(), context()
    after, terms = mind.teach(before, ("move arm left", ""))
    assert terms["thought"][0] > 0 and terms["thought"][1] == 0
    assert not after.cache.mask[1, 4:].any() and after.cache.mask[0, 4:].all()
    assert torch.equal(after.cache.next_position(), torch.tensor([8, 4]))
    silent, words = thought(silent=True).speak(before, None)
    assert silent is before and words == ()


def test_no_answers_at_all_are_all_silent():
    after, terms = thought().teach(context(), ())
    assert terms["thought"].tolist() == [0.0, 0.0] and not after.cache.mask[:, 4:].any()


def test_what_was_learned_is_said_and_the_action_sees_the_same():
    mind, before = thought(), context()
    model = before.backbone
    optimizer = torch.optim.Adam([*mind.parameters(), *model.parameters()], lr=0.01)
    for _ in range(60):
        loss = mind.teach(context(model=model), ANSWERS)[1]["thought"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after, said = mind.speak(context(model=model), None)
    assert said == ANSWERS
    taught, _ = mind.teach(context(model=model), ANSWERS)
    probe = TokenGroup(name="action", tokens=torch.ones(2, 1, 32), mask=None, attends_to=("image", "thought", "action"))
    first, second = (one.extend({"action": probe}).groups["action"].tokens for one in (after, taught))
    assert torch.allclose(first, second, atol=1e-4)
    spoken, true = after.groups["thought"], taught.groups["thought"]
    assert torch.equal(spoken.mask, true.mask), "a head may read the group itself"
    torch.testing.assert_close(spoken.tokens[true.mask], true.tokens[true.mask], atol=1e-4, rtol=1e-4)
    again, repeated = mind.speak(context(model=model), None, said)
    third = again.extend({"action": probe}).groups["action"].tokens
    assert repeated == said and torch.allclose(first, third, atol=1e-4)


def test_dropped_thoughts_are_still_learned_but_not_read():
    mind, before = thought(drop=0.5).train(), context()
    after, terms = mind.teach(before, ANSWERS)
    assert (terms["thought"] > 0).all()
    assert not after.cache.mask[0, 4:].any() and after.cache.mask[1, 4:].any()
    kept, _ = mind.eval().teach(before, ANSWERS)
    assert kept.cache.mask[:, 4].all()


def test_talk_ends_at_the_limit():
    after, _ = thought(length=3).speak(context(), None)
    assert 4 < after.cache.mask.shape[1] <= 4 + 3


def test_draws_differ_with_the_seed_when_warm():
    mind = thought(temperature=5.0)
    first, second = (mind.speak(context(), torch.Generator().manual_seed(s))[1] for s in (0, 1))
    assert first != second
    assert first == mind.speak(context(), torch.Generator().manual_seed(0))[1]


def test_words_of_the_model_itself_are_shared():
    before = context()
    spoken = SpokenPieces(ByteTokenizer(10, first=3, start=1), start=1, end=2, length=8)
    mind = Thought(Shared(before.backbone.vocabulary), spoken)
    assert not list(mind.parameters())
    mind.teach(before, ANSWERS)[1]["thought"].sum().backward()
    assert before.backbone.vocabulary.table.weight.grad.abs().sum() > 0
