"""A prompt to the word embeddings of a language model (txt.prompt): the sentence, and a state written out.

The one thing to watch: a policy hears the sentence only inside its template; a full stop more or less is another
prompt to a public checkpoint, so templates are configuration and are stored with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.types import Observation, TokenGroup
from embodia.nn.bins import state_bins as binned
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary
from embodia.parts.encoders.text import Tokenizer


def prompts(observation: Observation, template: str, state_bins: int = 0, *, openpi: bool = False) -> list[str]:
    """B texts: {instruction}, in small letters as {lowered}, and {state} of the template filled in.

    The newest normalised state is written as integers 0..`state_bins` - 1 over -1..1, which lie at its clipped ends.
    `openpi` writes what lies below -1 as -1 and lets the sentence have neither underscores nor line ends, as public
    checkpoints of pi0.5 and pi0-FAST learned it. Raises `ShapeError` when the template names a state and there is none.
    """
    sentences: Sequence[str] = observation.instruction or ("",) * observation.batch_size
    if openpi:
        sentences = [sentence.strip().replace("_", " ").replace("\n", " ") for sentence in sentences]
    texts = [template.replace("{instruction}", text).replace("{lowered}", text.lower()) for text in sentences]
    if "{state}" not in template:
        return texts
    if observation.state is None:
        raise ShapeError("the prompt writes out the state and there is none", leaf="state")
    newest = observation.state[:, -1]
    bins = binned(newest, state_bins)
    bins = bins.masked_fill(newest < -1, -1) if openpi else bins
    return [text.replace("{state}", " ".join(map(str, row))) for text, row in zip(texts, bins.tolist(), strict=True)]


class PromptTokens(nn.Module):
    """Observations to the group "language", (B L width), through a tokenizer and a language model's own word table."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        words: Shared[Vocabulary],
        template: str = "{instruction}",
        state_bins: int = 0,
        *,
        fill: int = -1,
        openpi: bool = False,
    ) -> None:
        super().__init__()
        self.tokenizer, self.words, self.template, self.state_bins = tokenizer, words, template, state_bins
        self.fill, self.openpi = fill, openpi

    def forward(self, observation: Observation) -> TokenGroup:
        """Padding is on the right, masked; pieces `fill` in its place are read."""
        ids, mask = self.tokenizer(prompts(observation, self.template, self.state_bins, openpi=self.openpi))
        ids = ids if self.fill < 0 else ids.masked_fill(~mask, self.fill)
        tokens: Tensor = self.words.embed(ids)
        real = mask.to(tokens.device) if self.fill < 0 else None
        return TokenGroup(name="language", tokens=tokens, mask=real, attends_to=("language",))
