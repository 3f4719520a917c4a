"""A task code (txt.onehot): every task is a number, and numbers know nothing of each other.

The closed task set of the early policies, and the baseline that language is measured against: nothing a sentence has in
common with another one is used. Which sentences mean the same task is learned from the data before training; a wording
that was never seen takes the task of the seen one nearest in meaning, as an operator would pick it off the list. The
one thing to watch: a task that is not on the list gets the code of one that is.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.language import EMBEDDING_WIDTH, Embed, embed_sentence


def task_codes(sentences: Sequence[str], codes: int) -> Tensor:
    """Int64 (B,) in [0, codes) by a checksum: the same sentence has the same code on every machine."""
    return torch.tensor([zlib.crc32(text.strip().lower().encode()) % codes for text in sentences])


class OneHotTask(nn.Module):
    """Sentences to the group "language", (B 1 width): one row of a table each (a linear map of a one-hot vector).

    There are `codes` tasks and room for as many `wordings`. Until tasks are listed, sentences are numbered by checksum.
    """

    vectors: Tensor
    tasks: Tensor

    def __init__(self, width: int, codes: int = 1024, wordings: int = 1024, embed: Embed = embed_sentence) -> None:
        super().__init__()
        self.embed = embed
        self.table = nn.Embedding(codes, width)
        self.register_buffer("vectors", torch.zeros(wordings, EMBEDDING_WIDTH))
        self.register_buffer("tasks", torch.full((wordings,), -1))

    def fit_sentences(self, wordings: Mapping[str, Sequence[str]]) -> None:
        """List the tasks: each key is one, said in its own words or in any of its values.

        Raises `ConfigError` for more of them than there is room for.
        """
        known = {text: code for code, (task, said) in enumerate(sorted(wordings.items())) for text in (*said, task)}
        for found, room, leaf in ((wordings, self.table.num_embeddings, "codes"), (known, len(self.tasks), "wordings")):
            if len(found) > room:
                raise ConfigError(f"the data need {len(found)}, there are {room}", leaf=leaf, cure="Ask for more.")
        self.tasks.fill_(-1)
        for place, (text, code) in enumerate(known.items()):
            self.vectors[place], self.tasks[place] = self.embed(text), code

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a sentence."""
        tokens = self.table(self._codes(observation.instruction))[:, None]
        return TokenGroup(name="language", tokens=tokens, mask=None, attends_to=("language",))

    def _codes(self, sentences: Sequence[str]) -> Tensor:
        device = self.table.weight.device
        if self.tasks[0] < 0:
            return task_codes(sentences, self.table.num_embeddings).to(device)
        said = torch.stack([self.embed(text) for text in sentences]).to(device, self.vectors.dtype)
        likeness = (said @ self.vectors.T).masked_fill(self.tasks < 0, -2.0)
        return self.tasks[likeness.argmax(-1)]
