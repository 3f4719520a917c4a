"""The recurrence of Mamba against transformers' own, value by value and gradient by gradient."""

import pytest
import torch
from torch.nn import functional
from transformers import MambaConfig, MambaModel

from embodia.nn.selective_scan import StepwiseMixer, selective_scan


def tiny(seed=0):
    torch.manual_seed(seed)
    sizes = MambaConfig(hidden_size=24, num_hidden_layers=2, state_size=5, vocab_size=1, use_cache=False)
    return MambaModel(sizes)


def test_the_recurrence_is_the_one_of_the_paper():
    torch.manual_seed(1)
    inputs, steps = torch.randn(2, 6, 3), functional.softplus(torch.randn(2, 6, 3))
    decay, write, read = -torch.rand(3, 4), torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    found, state = selective_scan(inputs, steps, decay, write, read), torch.zeros(2, 3, 4)
    for t in range(6):
        step = steps[:, t, :, None]
        state = torch.exp(step * decay) * state + step * write[:, t, None] * inputs[:, t, :, None]
        torch.testing.assert_close(found[:, t], (state * read[:, t, None]).sum(-1))


@pytest.mark.parametrize("padded", [False, True])
def test_values_and_gradients_are_those_of_transformers(padded):
    theirs, ours = tiny(), tiny()
    names = set(ours.state_dict())
    for layer in ours.layers:
        layer.mixer = StepwiseMixer(layer.mixer)
    assert set(ours.state_dict()) == names
    tokens = torch.randn(3, 9, 24)
    mask = torch.ones(3, 9)
    if padded:
        mask[1, 6:] = 0.0
    found, wanted = (model(inputs_embeds=tokens, attention_mask=mask).last_hidden_state for model in (ours, theirs))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    for value in (found, wanted):
        (value.square() * mask[..., None]).sum().backward()
    others = dict(theirs.named_parameters())
    for name, mine in ours.named_parameters():
        if others[name].grad is not None:
            torch.testing.assert_close(mine.grad, others[name].grad, atol=1e-4, rtol=1e-3, msg=name)


def test_without_a_mask_all_tokens_are_there():
    model = tiny()
    mixer, tokens = StepwiseMixer(model.layers[0].mixer), torch.randn(2, 5, 24)
    torch.testing.assert_close(mixer(tokens), mixer(tokens, attention_mask=torch.ones(2, 5)))


def test_what_comes_later_changes_nothing():
    mixer, tokens = StepwiseMixer(tiny().layers[1].mixer), torch.randn(1, 7, 24)
    other = tokens.clone()
    other[:, 4:] += 1.0
    before, after = mixer(tokens), mixer(other)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])
