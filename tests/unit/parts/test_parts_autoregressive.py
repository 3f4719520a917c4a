"""Actions as words: what is learned is what is said, what is said has the probability that is claimed."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, TokenGroup
from embodia.nn.groups import repeat
from embodia.nn.shared import Shared
from embodia.nn.transformer import Transformer, TransformerConfig
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.backbones.language_model import LanguageModel, block_table
from embodia.parts.decoders.autoregressive import TokenConfig, TokenDecoder
from embodia.parts.tokenizers.vocabulary_map import VocabularyMap

SIZES = TransformerConfig(width=32, depth=2, heads=4, kv_heads=2, head_dim=8, mlp_width=48)
PART = ActionPart(name="move", dim=2, representation="ee_position_delta")
SPEC = ActionSpec(parts=(PART,), rate_hz=10, chunk=3)


class Bins(nn.Module):
    """Four bins over -1..1, step by step."""

    vocabulary, length = 4, 6

    def encode(self, actions):
        return ((actions + 1) * 2).floor().clamp(0, 3).long().flatten(1)

    def decode(self, ids):
        return ((ids.clamp(0, 3) + 0.5) / 2 - 1).unflatten(1, (3, 2))


class Steady(Bins):
    """Rows end as soon as the rest repeats the last id; so rows differ in length."""

    def encode(self, actions):
        ids = super().encode(actions)
        for row in ids:
            while len(row[row >= 0]) > 1 and row[row >= 0][-1] == row[row >= 0][-2]:
                row[len(row[row >= 0]) - 1] = -1
        return ids

    def decode(self, ids):
        full = ids.clone()
        for row in full:
            real = row[row >= 0]
            row[len(real) :] = real[-1] if len(real) else 0
        return super().decode(full)


class Climbing(Bins):
    """Only ids that are not below the last one may follow."""

    def choices(self, prefix):
        last = prefix[:, -1:] if prefix.shape[1] else torch.zeros(len(prefix), 1, dtype=torch.long)
        return torch.arange(4)[None] >= last


@dataclass(frozen=True)
class Heard:
    """A context as decoders see it."""

    groups: dict
    cache: object
    backbone: nn.Module

    def extend(self, groups):
        new, cache = self.backbone(groups, self.cache)
        return Heard({**self.groups, **new}, cache, self.backbone)

    def repeat(self, n):
        return Heard({k: repeat(g, n) for k, g in self.groups.items()}, self.cache.repeat(n), self.backbone)


def heard(batch=2, seed=0):
    torch.manual_seed(seed)
    model = LanguageModel(Transformer(SIZES), block_table(("image",)), Vocabulary(12, 32), outputs=False)
    group = TokenGroup(name="image", tokens=torch.randn(batch, 4, 32), mask=None, attends_to=("image",))
    groups, cache = model({"image": group})
    return Heard(groups, cache, model)


def chunk(batch=2, valid=(3, 2), seed=1):
    actions = torch.rand(batch, 3, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ActionChunk(actions=actions, valid=torch.arange(3) < torch.tensor(valid)[:batch, None], spec=SPEC)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def decoder(tokenizer=None, words=32, **changes):
    torch.manual_seed(5)
    return TokenDecoder(tokenizer or Bins(), words, TokenConfig(**changes), chunk=3)


def test_the_loss_is_that_of_saying_the_ids_one_by_one():
    context, head, actions = heard(), decoder(), chunk(valid=(3, 3))
    ids = head.tokenizer.encode(actions.actions)
    errors, longer, last = [], context, torch.full((2, 1), head.start)
    for place in range(6):
        group = TokenGroup(
            name="action", tokens=head.words.embed(last), mask=None, attends_to=("image", "action"), within="causal"
        )
        longer = longer.extend({"action": group})
        chance = head.words.logits(longer.groups["action"].tokens[:, -1]).log_softmax(-1)
        errors.append(-chance.gather(1, ids[:, place : place + 1]))
        last = ids[:, place : place + 1]
    expected = torch.cat(errors, dim=1).mean(1)
    assert torch.allclose(head.loss_terms(context, actions, None)["token"], expected, atol=1e-5)


def test_padded_steps_do_not_count_and_pure_language_costs_nothing():
    context, head = heard(), decoder()
    short = chunk(valid=(3, 0))
    losses = head.loss_terms(context, short, None)["token"]
    assert losses[0] > 0 and losses[1] == 0
    moved = short.actions.clone()
    moved[0, 2] = -moved[0, 2]
    two = replace(short, valid=torch.tensor([[True, True, False]] * 2))
    first, second = (head.loss_terms(context, replace(two, actions=a), None)["token"] for a in (short.actions, moved))
    assert torch.equal(first, second)


@pytest.mark.parametrize("tokenizer", [Bins(), Climbing()])
def test_probabilities_of_all_chunks_sum_to_one(tokenizer):
    torch.manual_seed(0)

    class Two(type(tokenizer)):
        length = 2

        def encode(self, actions):
            return super().encode(actions)[:, :2]

        def decode(self, ids):
            return ((ids.clamp(0, 3) + 0.5) / 2 - 1).unflatten(1, (1, 2))

    head = TokenDecoder(Two(), 32, TokenConfig(), chunk=1)
    context = heard(1).repeat(16)
    values = (torch.arange(4) + 0.5) / 2 - 1
    actions = torch.cartesian_prod(values, values)[:, None]
    spec = replace(SPEC, chunk=1)
    every = ActionChunk(actions=actions, valid=torch.ones(16, 1, dtype=torch.bool), spec=spec)
    found = head.log_prob(context, every).exp()
    if isinstance(tokenizer, Climbing):
        climbing = actions[:, 0, 1] >= actions[:, 0, 0]
        found = found[climbing]
    assert torch.allclose(found.sum(), torch.ones(()), atol=1e-5)


def test_draws_follow_the_claimed_probabilities():
    torch.manual_seed(0)
    head, context = decoder(), heard(1)
    with torch.no_grad():
        head.words.head.weight.mul_(3)
    draws = head.sample(context, rng(), n=4000)[0, 1:, 0, 0]
    frequencies = torch.stack([(draws == v).float().mean() for v in (torch.arange(4) + 0.5) / 2 - 1])
    _, hidden = head._next(context, torch.empty(1, 0, dtype=torch.long))
    expected = head.words.logits(hidden)[0, :4].softmax(-1)
    assert torch.allclose(frequencies, expected, atol=0.03)


def test_the_first_draw_is_the_most_probable_at_every_place():
    head, context = decoder(), heard()
    found = head.sample(context, rng(), n=3)
    assert found.shape == (2, 3, 3, 2)
    assert torch.equal(found[:, 0], head.sample(context, rng(9))[:, 0])
    ids = head.tokenizer.encode(found[:, 0])
    logits = head.words.logits(head._read(context, ids))[..., :4]
    assert torch.equal(logits.argmax(-1), ids)


def test_only_allowed_ids_are_said():
    found = decoder(Climbing()).sample(heard(), rng(), n=50)
    ids = Bins().encode(found.flatten(0, 1))
    assert (ids.diff(dim=1) >= 0).all()


def test_a_prefix_is_kept_and_heard():
    head, context = decoder(), heard()
    prefix = torch.tensor([[[0.9, -0.9]], [[0.1, 0.2]]])
    found = head.sample(context, rng(), n=2, prefix=prefix)
    assert torch.allclose(found[:, :, :1], prefix[:, None].expand(-1, 2, -1, -1))
    ids = head.tokenizer.encode(torch.cat([prefix, found[:, 0, 1:]], dim=1))
    logits = head.words.logits(head._read(context, ids))[..., :4]
    assert torch.equal(logits.argmax(-1)[:, 2:], ids[:, 2:])
    with pytest.raises(ShapeError, match="prefix"):
        head.sample(context, rng(), prefix=torch.zeros(2, 4, 2))


def test_rows_of_different_length_learn_where_to_end():
    head = decoder(Steady(), layout="varying")
    actions = torch.tensor([[[-0.9, -0.9]] * 3, [[-0.9, 0.9], [0.1, -0.9], [0.9, 0.1]]])
    ids, counted = head._truth(ActionChunk(actions=actions, valid=torch.ones(2, 3, dtype=torch.bool), spec=SPEC))
    assert ids[0].tolist() == [0] + [head.end] * 5
    assert counted[0].tolist() == [1, 1, 0, 0, 0, 0]
    assert counted[1].sum() == 6


def test_it_learns_to_say_two_chunks_and_to_end_them():
    context, head = heard(), decoder(Steady(), layout="varying")
    actions = torch.tensor([[[-0.75, -0.75]] * 3, [[-0.75, 0.75], [0.25, -0.75], [0.75, 0.25]]])
    truth = ActionChunk(actions=actions, valid=torch.ones(2, 3, dtype=torch.bool), spec=SPEC)
    optimizer = torch.optim.Adam([*head.parameters(), *context.backbone.parameters()], lr=0.01)
    group = TokenGroup(name="image", tokens=context.groups["image"].tokens, mask=None, attends_to=("image",))
    for _ in range(60):
        groups, cache = context.backbone({"image": group})
        loss = head.loss_terms(Heard(groups, cache, context.backbone), truth, None)["token"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    groups, cache = context.backbone({"image": group})
    found = head.sample(Heard(groups, cache, context.backbone), None)
    assert torch.allclose(found[:, 0], actions)


def test_a_shared_vocabulary_speaks_with_the_models_own_words():
    context = heard()
    head = TokenDecoder(Bins(), Shared(context.backbone.vocabulary), TokenConfig(start=10), chunk=3)
    assert not list(head.parameters())
    assert head.sample(context, None).shape == (2, 1, 3, 2)
    head.loss_terms(context, chunk(), None)["token"].sum().backward()
    assert context.backbone.vocabulary.table.weight.grad.abs().sum() > 0


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ConfigError, match="do not fit"):
        TokenDecoder(Bins(), Shared(Vocabulary(3, 32)), chunk=3)


class Framed:
    """A shared vocabulary of 12 words, actions on the ids 8..5, and a prefix that gives hidden states."""

    def __init__(self, **changes):
        torch.manual_seed(2)
        words = Vocabulary(12, 32)
        model = LanguageModel(Transformer(SIZES), block_table(("image", "words")), words)
        mask = torch.tensor([[True, True, False], [True, True, True]])
        given = {
            "image": TokenGroup(name="image", tokens=torch.randn(2, 4, 32), mask=None, attends_to=()),
            "words": TokenGroup(name="words", tokens=torch.randn(2, 3, 32), mask=mask, attends_to=()),
        }
        self.given, self.model = given, model
        self.context = Heard(*model(given), model)
        tokens = TokenConfig(
            **{"layout": "varying", "start": -1, "end": 3, "before": (1, 2), "after": (0, 4), **changes}
        )
        mapped = VocabularyMap(Steady(), 12, 8 - torch.arange(4))
        self.head = TokenDecoder(mapped, Shared(words), tokens, chunk=3)

    def chances(self, said):
        """Log probabilities (words) of what follows the prefix of the second row and `said`, read in one go."""
        tokens = torch.cat([self.given["image"].tokens, self.given["words"].tokens], dim=1)[1:]
        group = TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))
        model = LanguageModel(self.model.engine, block_table(("image",)), self.model.vocabulary)
        groups, cache = model({"image": group})
        hidden = groups["image"].tokens[:, -1]
        if said:
            tokens = model.vocabulary.embed(torch.tensor([said]))
            late = TokenGroup(name="action", tokens=tokens, mask=None, attends_to=("image", "action"), within="causal")
            hidden = model({"action": late}, cache)[0]["action"].tokens[:, -1]
        return model.vocabulary.logits(hidden)[0].log_softmax(-1)


LONG = torch.tensor([[[-0.9, -0.9]] * 3, [[-0.9, 0.9], [0.1, 0.1], [0.1, 0.1]]])


def test_a_frame_is_learned_whole():
    made = Framed()
    both = ActionChunk(actions=LONG, valid=torch.ones(2, 3, dtype=torch.bool), spec=SPEC)
    ids, counted = made.head._framed(*made.head._truth(both))
    assert ids[0, :6].tolist() == [1, 2, 8, 3, 0, 4] and counted[0].tolist() == [1.0] * 6 + [0.0] * 2
    assert ids[1].tolist() == [1, 2, 8, 5, 6, 3, 0, 4] and counted[1].tolist() == [1.0] * 8
    row = ids[1].tolist()
    expected = -sum(made.chances(row[:place])[row[place]] for place in range(8)) / 8
    assert torch.allclose(made.head.loss_terms(made.context, both, None)["token"][1], expected, atol=1e-5)
    silent = ActionChunk(actions=LONG, valid=torch.zeros(2, 3, dtype=torch.bool), spec=SPEC)
    assert made.head.loss_terms(made.context, silent, None)["token"].tolist() == [0, 0]


def test_a_frame_is_said_and_not_chosen():
    made = Framed()
    both = ActionChunk(actions=LONG, valid=torch.ones(2, 3, dtype=torch.bool), spec=SPEC)
    allowed, row = [8, 7, 6, 5, 3], [1, 2, 8, 5, 6, 3]
    among = [made.chances(row[:place]) for place in range(2, 6)]
    expected = sum(c[row[2 + k]] - c[allowed].logsumexp(0) for k, c in enumerate(among))
    assert torch.allclose(made.head.log_prob(made.context, both)[1], expected, atol=1e-4)
    said = made.head.speak(made.context, None)[1]
    found = [1, 2]
    for place in said.tolist():
        best = max(allowed, key=lambda word: float(made.chances(found)[word].detach()))
        assert place == (-1 if best == 3 else best)
        if best == 3:
            break
        found.append(best)


def test_what_was_read_last_foretells_the_first_id():
    made = Framed(before=(), after=())
    _, hidden = made.head._next(made.context, torch.empty(2, 0, dtype=torch.long))
    words = made.context.groups["words"].tokens
    assert torch.equal(hidden, torch.stack([words[0, 1], words[1, 2]]))
    one = made.head._read(made.context, torch.tensor([[8], [7]]))
    assert torch.equal(one[:, 0], hidden)


@pytest.mark.parametrize("changes", [{"layout": "steps"}, {"before": (12,)}, {"after": (99,)}])
def test_a_frame_that_cannot_be_said_is_refused(changes):
    with pytest.raises(ConfigError):
        Framed(**changes)
    with pytest.raises(ConfigError, match="shared"):
        decoder(before=(1,))
