"""The group "language" a policy without a language model asks for: a frozen T5, or one frozen sentence vector."""

from __future__ import annotations

from torch import nn

from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.t5 import T5Config, T5Tokens
from embodia.parts.tokenizers.text import ByteTokenizer, FileTokenizer


def sentence_tokens(
    config: T5Config | None, width: int, *, deep: bool = False, position: bool = True, count: int = 1
) -> tuple[nn.Module, int]:
    """The encoder and its number of tokens: T5's pieces, or `count` tokens of a MiniLM vector."""
    if config is None:
        return LanguageToken(width, position=position, deep=True, count=count), count
    tokenizer: ByteTokenizer | FileTokenizer = ByteTokenizer(config.length, first=3)
    if config.file:
        tokenizer = FileTokenizer(config.file, config.length, config.vocabulary, start=None)
    return T5Tokens(config, tokenizer, width, deep=deep), config.length
