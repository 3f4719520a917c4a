"""One policy through the zoo: train on the shared demonstrations, judge, time a decision, write one result file.

Training counts processor time of this process and goes on where an earlier call was stopped. What to watch: call it in
a process of its own with one thread, or the processor time is not that of one core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embodia.core.clock import Clock, ProcessorClock, SystemClock
from embodia.core.errors import ConfigError, ContractError, MissingFileError
from embodia.core.protocols import Policy
from embodia.core.specs import Contract
from embodia.core.types import Observation
from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.data.rows import read_rows
from embodia.envs import make
from embodia.envs.rollout import Progress
from embodia.evaluation.cards.speed import speed_card
from embodia.evaluation.checkpoints import judge
from embodia.evaluation.episodes import POLICY, Episode, of_arm, read_episodes, tasks
from embodia.evaluation.results import read_result, write_result
from embodia.evaluation.zoo.protocol import (
    PLAIN,
    SENSED,
    ZooConfig,
    collecting,
    data_fingerprint,
    environment,
    fingerprint,
    judging,
    training,
)
from embodia.evaluation.zoo.rows import learns
from embodia.generate.collect import collect
from embodia.parts.compose import parameter_count
from embodia.policies import PolicySpec
from embodia.training.checkpoint import load_policy
from embodia.training.config import TrainConfig
from embodia.training.feed import to_torch
from embodia.training.loop import Result, fit
from embodia.training.sources import from_mixture, outline
from embodia.training.start import keypoint_eyes

DECISIONS = 20


def senses_of(name: str, config: ZooConfig, size: str = "tiny") -> str:
    """What has to be recorded for a policy: `SENSED` where it cannot be built without, or is another network with."""
    plain, sensed = (_outlined(name, size, contract_of(config, senses)) for senses in (PLAIN, SENSED))
    return PLAIN if plain is not None and plain == sensed else SENSED


def contract_of(config: ZooConfig, senses: str) -> Contract:
    """The contract of the demonstrations."""
    env = make("desk", environment(config, senses))
    try:
        return env.contract
    finally:
        env.close()


def demonstrations(config: ZooConfig, runs: Path, progress: Progress, workers: int = 1, senses: str = PLAIN) -> Path:
    """The shared data set under `runs`, collected as far as it is missing. Raises what `collect` raises.

    A complete one is not opened for writing, so that policies can be measured side by side.
    """
    data = runs / f"data-{data_fingerprint(config, senses)}"
    if not _complete(data, config):
        collect(collecting(config, workers, senses), data, progress=progress)
    return data


def _complete(data: Path, config: ZooConfig) -> bool:
    try:
        counted = Counter(row.task for row in read_rows(data))
    except MissingFileError:
        return False
    return all(counted[task] >= config.demonstrations for task in config.tasks)


def measured(path: Path, config: ZooConfig) -> bool:
    """Whether there is a result of this very protocol. Raises `CorruptFileError` for a file that is no result."""
    return path.exists() and read_result(path).get("protocol") == fingerprint(config)


def measure(
    name: str,
    config: ZooConfig,
    data: Path,
    out: Path,
    result: Path,
    progress: Progress,
    senses: str = PLAIN,
    size: str = "tiny",
    eyes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Train the policy `name` in the folder `out`, judge it, write `result` and return what it says.

    It begins with the taught `eyes` where it has eyes of their kind, otherwise at random.
    Raises what building, training and judging raise; what was trained so far stays.
    """
    command = f"embodia bench zoo --policy {name}" + ("" if config.minutes == 5.0 else f" --minutes {config.minutes:g}")
    command += f" --seed {config.seed}" if config.seed else ""
    dataset = Dataset.open(data)
    spec = PolicySpec(name=name, size=size, contract=dataset.contract)
    trained, wall_s = _train(spec, training(config, eyes), dataset, out, progress)
    report = judge(trained.latest, [data], judging(config, senses), out / "report", command=command, progress=progress)
    policy, _, _ = load_policy(trained.latest)
    card = speed_card(
        policy, _first(dataset, policy), decisions=DECISIONS, execute=4, rng=torch.Generator().manual_seed(0)
    )
    facts = {
        "policy": {"name": name, "size": size, "parameters": card.parameters},
        "protocol": fingerprint(config),
        "training": {
            "processor_seconds": round(trained.seconds, 1),
            "wall_seconds": round(wall_s, 1),
            "samples": trained.samples,
            "samples_per_second": round(trained.samples / max(trained.seconds, 1e-9), 1),
            "batch_size": config.batch_size,
            "demonstrations": len(dataset.episodes),
            "frames": dataset.frames,
        },
        "decision": {
            "p50_ms": round(1e3 * card.latency_s["p50"], 2),
            "p99_ms": round(1e3 * card.latency_s["p99"], 2),
            "actions_hz": round(card.actions_hz, 1),
            "gflop": None if card.flops is None else round(card.flops / 1e9, 4),
            "tokens": dict(card.tokens),
        },
        "families": families(report["per_task"]),
        "outcomes": marks(read_episodes(out / "report" / "episodes.jsonl")),
        "taught_eyes": sorted(keypoint_eyes(policy)) if eyes else [],
        "zoo": {**asdict(config), "senses": senses},
    }
    facts["verdict"] = learns(report)
    write_result(result, report, **facts)
    return read_result(result)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """One step of training and one decision: parameters, processor seconds of each, samples a second that follow."""

    name: str
    parameters: int
    step_s: float
    decision_s: float
    samples_per_s: float


def rehearse(name: str, config: ZooConfig, data: Path, size: str = "tiny") -> Rehearsal:
    """One batch forwards and backwards and one decision of an untrained policy, each the second of two.

    Raises what building and computing raise: what would end a run early ends this at once.
    """
    recipe, clock, dataset = training(config), ProcessorClock(), Dataset.open(data)
    spec = PolicySpec(name=name, size=size, contract=dataset.contract)
    factories = from_mixture(recipe, spec, Mixture([(dataset, 1.0)]))
    policy: Any = factories.policy()
    batch = to_torch(next(factories.batches(0, 0, 1)), torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    seen = _first(dataset, policy)

    def step() -> None:
        policy.loss(batch, rng)[0].backward()

    step_s = _second(step, clock)
    policy.eval()
    decision_s = _second(lambda: policy.act(seen, None, rng), clock)
    return Rehearsal(
        name=name,
        parameters=parameter_count(policy),
        step_s=step_s,
        decision_s=decision_s,
        samples_per_s=config.batch_size / max(step_s, 1e-9),
    )


def families(per_task: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Family -> success rate and n over its tasks."""
    found: dict[str, list[tuple[float, int]]] = {}
    for task, entry in per_task.items():
        found.setdefault(task.split("/")[0], []).append((entry["success_rate"], entry["n"]))
    counted = {name: (sum(rate * n for rate, n in rows), sum(n for _, n in rows)) for name, rows in found.items()}
    return {name: {"success_rate": wins / n, "n": n} for name, (wins, n) in counted.items()}


def marks(episodes: Iterable[Episode]) -> dict[str, str]:
    """Task -> a "1" for each success and a "0" for each failure of the policy itself, in the order of the seeds."""
    played = sorted(of_arm(episodes, POLICY), key=lambda episode: episode.seed)
    return {
        task: "".join(str(int(one.success)) for one in of_arm(played, POLICY, task)) for task in sorted(tasks(played))
    }


def _second(work: Callable[[], object], clock: Clock) -> float:
    """Seconds of the second of two calls."""
    work()
    began_s = clock.now_s()
    work()
    return clock.now_s() - began_s


def _outlined(name: str, size: str, contract: Contract) -> int | None:
    """Parameters of the policy for a contract; None where it cannot be built for it."""
    try:
        return parameter_count(outline(PolicySpec(name=name, size=size, contract=contract)))
    except (ConfigError, ContractError):
        return None


def _train(
    spec: PolicySpec, recipe: TrainConfig, dataset: Dataset, out: Path, progress: Progress
) -> tuple[Result, float]:
    clock = SystemClock()
    factories = from_mixture(recipe, spec, Mixture([(dataset, 1.0)]))
    began_s = clock.now_s()

    def tell(text: str, done: int, total: int) -> None:
        progress(f"train {spec.name} | {text}", done, total)

    result = fit(recipe, factories, out / "train", tell, ProcessorClock())
    return result, clock.now_s() - began_s


def _first(dataset: Dataset, policy: Policy) -> Observation:
    """What the first demonstration shows, in the shape that the policy asks for."""
    cameras, history = policy.contract.observation.camera_names, int(getattr(policy, "history", 1))
    return dataset.batch(np.zeros(1, np.int64), 1, history, cameras).observation
