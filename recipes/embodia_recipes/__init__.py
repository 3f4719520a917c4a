"""Full experiment configurations as Python functions; the library never imports them, the command line does.

Every file here is one experiment with a function `recipe() -> Recipe`; `embodia run NAME` carries it out. Copy one to
make your own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run from nothing to a report needs; `config` is the policy's, None takes its preset."""

    collect: CollectConfig
    policy: str
    size: str
    train: TrainConfig
    evaluate: EvalConfig
    config: Any = None
