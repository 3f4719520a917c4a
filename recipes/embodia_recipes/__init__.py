"""Full experiment configurations as Python functions; the library never imports them, the command line does.

Every file here is one experiment with a function `recipe() -> Recipe`; `embodia run NAME` carries it out. Copy one to
make your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Round:
    """More demonstrations, then more training on all there are, from the weights that the round before has left.

    `collect` names each further data set. Where an expert takes over, it does so from the policy of the round before,
    whatever `takeover.policy` says; `train.weights_from` likewise.
    """

    collect: Mapping[str, CollectConfig]
    train: TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run from nothing to a report needs; `config` is the policy's, None takes its preset.

    `rounds` follow the first, which is `collect` and `train`; judged is what the last one leaves.
    """

    collect: CollectConfig
    policy: str
    size: str
    train: TrainConfig
    evaluate: EvalConfig
    config: Any = None
    rounds: tuple[Round, ...] = ()
