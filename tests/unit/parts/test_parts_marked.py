"""Pictures between pieces of text: order, masks, cameras that do not fit."""

import pytest
import torch
from torch import nn

from embodia.core.errors import ShapeError
from embodia.core.types import Observation, TokenGroup
from embodia.nn.positional import step_positions
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.encoders.marked import MarkedPictures


class Eye(nn.Module):
    def __init__(self, count, mask=None):
        super().__init__()
        self.count, self.mask = count, mask

    def forward(self, observation):
        tokens = torch.arange(2.0 * self.count).view(2, self.count, 1).expand(-1, -1, 3)
        return TokenGroup(name="image", tokens=tokens, mask=self.mask, attends_to=("image",))


def marked(eye, marks=(((1, 2), (3,)), ((4,), ()))):
    torch.manual_seed(0)
    words = Vocabulary(6, 3)
    return MarkedPictures(eye, Shared(words), marks), words.table.weight


def test_every_camera_has_its_marks():
    made, table = marked(Eye(4))
    found = made(Observation(state=torch.zeros(2, 1, 1)))
    row = [table[1], table[2], None, None, table[3], table[4], None, None]
    assert found.tokens.shape == (2, 8, 3) and found.mask is None and found.name == "image"
    for place, expected in enumerate(row):
        if expected is not None:
            assert torch.equal(found.tokens[1, place], expected)
    assert found.tokens[1, [2, 3, 6, 7], 0].tolist() == [4, 5, 6, 7]


def test_a_camera_that_is_not_there_keeps_its_marks():
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    found = marked(Eye(4, mask))[0](Observation(state=torch.zeros(2, 1, 1)))
    assert found.mask.tolist() == [[True] * 6 + [False] * 2, [True] * 8]


def test_tokens_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ShapeError, match="2 cameras"):
        marked(Eye(3))[0](Observation(state=torch.zeros(2, 1, 1)))


def test_frequencies_of_a_time_may_reach_the_end():
    time = torch.tensor([3.0])
    for ends, last in ((False, 10000.0 ** (-3 / 4)), (True, 1e-4)):
        found = step_positions(time, 8, ends=ends)[0]
        torch.testing.assert_close(found[7], torch.tensor(3 * last).sin())
        torch.testing.assert_close(found[0], torch.tensor(3.0).cos())
