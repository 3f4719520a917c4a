"""Weights from installed packages: they fill a backbone, speak as the public class does, and learn to act."""

from dataclasses import replace

import pytest
import torch

from embodia.core.errors import MissingExtraError, UnknownNameError
from embodia.nn import installed
from embodia.nn.installed import PACKAGES, model_state, pieces, weights_file


def test_a_typo_is_answered_and_a_missing_package_is_named(monkeypatch):
    with pytest.raises(UnknownNameError, match="smollm2_135m"):
        weights_file("smollm_135m")
    gone = replace(PACKAGES["smollm2_135m"], distribution="no-such-distribution")
    monkeypatch.setitem(installed.PACKAGES, "smollm2_135m", gone)
    with pytest.raises(MissingExtraError, match="not installed"):
        weights_file("smollm2_135m")


def test_sizes_are_those_of_the_named_model_without_the_weights():
    pytest.importorskip("transformers")
    from embodia.builders.families import smollm2_135m
    from embodia.builders.vlm import vision_language
    from embodia.core.specs import CameraSpec, ObservationSpec
    from embodia.parts.compose import parameter_count

    spec = ObservationSpec(cameras=(CameraSpec(name="front", height=64, width=64),), state=(), rate_hz=10)
    with torch.device("meta"):
        _, model = vision_language(smollm2_135m(), spec)
    assert parameter_count(model) == 134_515_008


def present() -> bool:
    try:
        weights_file("smollm2_135m")
    except MissingExtraError:
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
