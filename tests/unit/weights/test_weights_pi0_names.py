"""Public weight names of pi0: every tensor is accounted for, in both layouts and in files of earlier releases."""

import pytest
import torch

from embodia.core.errors import CheckpointError
from embodia.weights._pi0 import LEROBOT, TRANSFORMERS, read, write

OURS = (
    "encoders.image.trunks.0.tower.embeddings.patch_embedding.weight",
    "encoders.image.project.bias",
    "encoders.language.embed.weight",
    "encoders.state.project.weight",
    "backbone.transformer.layers.11.attention.query.weight",
    "backbone.transformer.layers.1.mlp_norm.weight",
    "backbone.transformer.norm.weight",
    "decoder.velocity.transformer.layers.0.mlp.down.weight",
    "decoder.velocity.transformer.norm.weight",
    "decoder.velocity.time_in.bias",
    "decoder.velocity.action_out.weight",
)
PEER = "paligemma_with_expert."
PUBLIC = (
    f"{PEER}paligemma.model.vision_tower.vision_model.embeddings.patch_embedding.weight",
    f"{PEER}paligemma.model.multi_modal_projector.linear.bias",
    f"{PEER}paligemma.model.language_model.embed_tokens.weight",
    "state_proj.weight",
    f"{PEER}paligemma.model.language_model.layers.11.self_attn.q_proj.weight",
    f"{PEER}paligemma.model.language_model.layers.1.post_attention_layernorm.weight",
    f"{PEER}paligemma.model.language_model.norm.weight",
    f"{PEER}gemma_expert.model.layers.0.mlp.down_proj.weight",
    f"{PEER}gemma_expert.model.norm.weight",
    "action_time_mlp_in.bias",
    "action_out_proj.weight",
)


def numbered(names):
    return {name: torch.tensor([float(i)]) for i, name in enumerate(names)}


def test_lerobot_names():
    assert read(numbered(PUBLIC), LEROBOT) == numbered(OURS)
    assert write(numbered(OURS), LEROBOT) == numbered(PUBLIC)


def test_leading_model_and_flat_tower_names_are_understood():
    old = [f"model.{name}".replace("vision_tower.vision_model.", "vision_tower.") for name in PUBLIC]
    assert read(numbered(old), LEROBOT) == numbered(OURS)


def test_word_embeddings_may_be_stored_as_the_tied_head():
    head = f"{PEER}paligemma.lm_head.weight"
    words = "encoders.language.embed.weight"
    assert read({head: torch.ones(1)}, LEROBOT) == {words: torch.ones(1)}
    for order in ((head, PUBLIC[2]), (PUBLIC[2], head)):
        state = {name: torch.tensor([float(name == head)]) for name in order}
        assert read(state, LEROBOT)[words].item() == 0.0, "the embedding itself wins over the head"


@pytest.mark.parametrize("layout", [TRANSFORMERS, LEROBOT], ids=["transformers", "lerobot"])
def test_round_trip(layout):
    state = numbered(OURS)
    assert read(write(state, layout), layout) == state


def test_units_are_not_weights():
    assert write({"state_units.offset": torch.zeros(1)}, LEROBOT) == {}


@pytest.mark.parametrize("name", ["state_projection.weight", "model.dit.extra"])
def test_unknown_tensors_are_named(name):
    with pytest.raises(CheckpointError) as caught:
        read({name: torch.zeros(1)}, LEROBOT)
    assert caught.value.leaf in name
