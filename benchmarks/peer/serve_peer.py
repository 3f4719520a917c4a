"""A policy that LeRobot trained, behind openpi's protocol, in the peer's interpreter: `serve_peer.py RUN DATA PORT`.

The network, its weights and both of its processors are LeRobot's; ours are only the socket and the contract, which is
read off the episodes, so our evaluator judges it like any policy that is served. Needs our `src` on the path. The one
thing to watch: chunks are asked for whole, and how many actions of one are carried out is the evaluator's choice, the
same for every contender.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embodia.core.specs import Contract
from embodia.core.types import ActionChunk, Observation
from embodia.data.dataset import Dataset
from embodia.runtime.policy.card import card_of
from embodia.runtime.policy.server import PolicyServer, ServeConfig

CHECKPOINT = Path("checkpoints", "last", "pretrained_model")


@dataclass
class Foreign:
    """LeRobot's policy as one of ours: `act` with nothing carried."""

    policy: Any
    before: Any
    after: Any
    contract: Contract
    history: int = 1

    def act(self, observation: Observation, carry: None, rng: torch.Generator) -> tuple[ActionChunk, None]:
        """A chunk (B H A) in physical units; denoising starts from numbers drawn by `rng`."""
        batch = self.before(messages(observation, self.history))
        torch.manual_seed(rng.initial_seed())
        with torch.no_grad():
            actions = self.after(self.policy.predict_action_chunk(batch)).float().numpy()
        valid = np.ones(actions.shape[:2], dtype=bool)
        return ActionChunk(
            actions=actions, valid=valid, spec=replace(self.contract.action, chunk=actions.shape[1])
        ), None


def messages(observation: Observation, history: int) -> dict[str, torch.Tensor]:
    """Our record under LeRobot's names: pictures (B [T] 3 H W) from 0 to 1, states (B [T] S); T is left out when 1."""
    found = {"observation.state": torch.as_tensor(np.asarray(observation.state, np.float32))}
    for name, picture in observation.images.items():
        pixels = torch.as_tensor(np.ascontiguousarray(picture)).float() / 255.0
        found[f"observation.images.{name}"] = pixels.movedim(-1, -3)
    return {key: padded(value, history) if history > 1 else value[:, -1] for key, value in found.items()}


def padded(steps: torch.Tensor, history: int) -> torch.Tensor:
    """The last `history` steps of (B T ...), the first repeated in front where there are fewer, as LeRobot does."""
    missing = max(0, history - steps.shape[1])
    return torch.cat([steps[:, :1].expand(-1, missing, *steps.shape[2:]), steps], dim=1)[:, -history:]


def load(run: Path, data: Path) -> tuple[Foreign, Any]:
    """The last checkpoint of LeRobot's run, and where the pictures of its training came from."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    place = run / CHECKPOINT
    config = PreTrainedConfig.from_pretrained(place)
    policy = get_policy_class(config.type).from_pretrained(place, config=config)
    before, after = make_pre_post_processors(config, pretrained_path=str(place))
    episodes = Dataset.open(data)
    chunk = replace(episodes.contract.action, chunk=config.n_action_steps)
    contract = replace(episodes.contract, action=chunk)
    policy.eval()
    return Foreign(policy, before, after, contract, history=config.n_obs_steps), episodes.provenance


def main(run: str, data: str, port: str) -> None:
    """Serve until killed."""
    torch.set_num_threads(1)
    policy, trained = load(Path(run), Path(data))
    facts = {"name": f"lerobot {policy.policy.config.type}", "size": "as configured", "checkpoint": "last"}
    card = replace(card_of(policy, **facts), trained=trained)
    server = PolicyServer(policy, card, lambda seed: torch.Generator().manual_seed(seed), ServeConfig(port=int(port)))
    asyncio.run(server.run(lambda at: print(f"serving on {at}", flush=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
