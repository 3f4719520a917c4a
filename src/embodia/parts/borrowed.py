"""Which weights a policy borrows from installed packages: they are frozen, not stored in checkpoints, only named there.

A checkpoint that was trained on other weights than those installed would act on sentences it never saw, without a
word; so the names are compared when it is loaded.
"""

from __future__ import annotations

from torch import nn

from embodia.parts.encoders.language import describe_embedding, embed_sentence


def borrowed_weights(policy: nn.Module) -> dict[str, dict[str, str]]:
    """Use -> package, version and sha256 of frozen weights; empty when there are none. Raises `MissingExtraError`."""
    uses_sentences = any(getattr(module, "embed", None) is embed_sentence for module in policy.modules())
    return {"language": describe_embedding()} if uses_sentences else {}
