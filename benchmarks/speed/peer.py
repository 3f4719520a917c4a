"""The peer's side, in an interpreter that has LeRobot 0.6.1 and lerobot-lancedb 0.3.1: `peer.py CASE FOLDER`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import (
    BATCH,
    CAMERAS,
    CHEETAH,
    CHUNK,
    EPISODES,
    FPS,
    FRAMES,
    JOINTS,
    ROUNDS,
    SIZE,
    SLOTS,
    Work,
    controls,
    episode,
    frame,
    inputs,
    psnr,
    serve,
)

KEYS = {name: f"observation.images.{name}" for name in CAMERAS}
WINDOW = {"action": [i / FPS for i in range(CHUNK)]}
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def write(root: Path, episodes: list[dict[str, np.ndarray]]) -> None:
    """Record with the peer's own writer and its defaults."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    vector = {"dtype": "float32", "shape": (JOINTS,), "names": [f"j{i}" for i in range(JOINTS)]}
    picture = {"dtype": "video", "shape": (SIZE, SIZE, 3), "names": ["height", "width", "channels"]}
    features = {"observation.state": vector, "action": vector} | dict.fromkeys(KEYS.values(), picture)
    dataset = LeRobotDataset.create("peer/speed", FPS, features, root=root)
    for one in episodes:
        for i in range(FRAMES):
            frame = {"observation.state": one["state"][i], "action": one["actions"][i], "task": "push the square"}
            dataset.add_frame(frame | {key: one[name][i] for name, key in KEYS.items()})
        dataset.save_episode()
    dataset.finalize()


def prepare(folder: Path) -> Work:
    """The data set that both sides read, and its copy in Lance tables."""
    if not (folder / "lance").exists():
        shutil.rmtree(folder / "data", ignore_errors=True)
        write(folder / "data", [episode(seed) for seed in range(EPISODES)])
        tool = Path(sys.executable).parent / "lerobot-lance-convert"
        command = [str(tool), "--root", str(folder / "data"), "--out", str(folder / "lance")]
        subprocess.run(command, check=True, capture_output=True)
    return Work(run=lambda: 1.0)


def stock(folder: Path) -> Any:
    """The peer's data set, pictures as bytes as its training script asks for."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("peer/speed", root=folder / "data", delta_timestamps=WINDOW, return_uint8=True)


def lance(folder: Path) -> Any:
    """The same bytes in Lance tables."""
    from lerobot_lancedb import LanceDBDataset

    return LanceDBDataset(root=folder / "lance", delta_timestamps=WINDOW, return_uint8=True)


def facts(items: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Samples as arrays, pictures (B H W 3)."""
    found = {name: np.stack([item[key].numpy().transpose(1, 2, 0) for item in items]) for name, key in KEYS.items()}
    found["actions"] = np.stack([item["action"].numpy() for item in items])
    found["padded"] = np.stack([item["action_is_pad"].numpy() for item in items])
    return found


def sample(folder: Path) -> Work:
    """Random samples, one at a time."""
    dataset, rng = stock(folder), np.random.default_rng(0)
    gate = facts([dataset[i] for i in range(0, len(dataset), 131)])

    def run() -> float:
        for i in rng.integers(0, len(dataset), 200).tolist():
            dataset[i]
        return 200.0

    return Work(run=run, gate=gate)


def batch(folder: Path) -> Work:
    """Random batches of 64 in one call."""
    dataset, rng = lance(folder), np.random.default_rng(0)
    gate = facts(list(dataset.__getitems__(list(range(0, len(dataset), 131)))))

    def run() -> float:
        for _ in range(4):
            dataset.__getitems__(rng.integers(0, len(dataset), 64).tolist())
        return 256.0

    return Work(run=run, gate=gate)


def _loading(dataset: Any) -> Work:
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=64,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        prefetch_factor=4,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    state = {"batches": iter(loader)}

    def run() -> float:
        done = 0
        while done < 40:
            try:
                next(state["batches"])
            except StopIteration:
                state["batches"] = iter(loader)
                continue
            done += 1
        return 40.0 * 64

    run()
    return Work(run=run)


def loader_stock(folder: Path) -> Work:
    """DataLoader with two workers over LeRobotDataset."""
    return _loading(stock(folder))


def loader_lance(folder: Path) -> Work:
    """DataLoader with two workers over Lance tables."""
    return _loading(lance(folder))


def first_batch(folder: Path) -> Work:
    """A new process, from its start to its first batch of 64 with two workers."""

    def run() -> float:
        command = [sys.executable, __file__, "first_batch_child", str(folder)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return 1.0

    return Work(run=run)


def first_batch_child(folder: Path) -> Work:
    """What `first_batch` starts."""
    dataset = stock(folder)
    context = {"num_workers": 2, "multiprocessing_context": "spawn"}
    for _ in torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True, **context):
        break
    raise SystemExit(0)


def record(folder: Path) -> Work:
    """Five episodes recorded into a finished data set; units are pictures."""
    episodes, root = [episode(seed) for seed in range(5)], folder / "recorded-peer"

    def run() -> float:
        shutil.rmtree(root, ignore_errors=True)
        write(root, episodes)
        return 5.0 * FRAMES * len(CAMERAS)

    run()
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("peer/speed", root=root, return_uint8=True)
    ids = list(range(0, len(dataset), 17))
    shown = facts([dataset[i] | {"action_is_pad": torch.zeros(1)} for i in ids])
    size = sum(path.stat().st_size for path in root.rglob("*.mp4"))
    truth = {name: np.concatenate([one[name] for one in episodes])[ids] for name in CAMERAS}
    return Work(run=run, gate={"psnr_db": psnr(shown, truth), "bytes": size})


def _features() -> dict[str, Any]:
    from lerobot.configs.types import FeatureType, PolicyFeature

    seen = {"observation.state": PolicyFeature(type=FeatureType.STATE, shape=(JOINTS,))}
    seen |= {key: PolicyFeature(type=FeatureType.VISUAL, shape=(3, SIZE, SIZE)) for key in KEYS.values()}
    acted = {"action": PolicyFeature(type=FeatureType.ACTION, shape=(JOINTS,))}
    return {"input_features": seen, "output_features": acted, "pretrained_backbone_weights": None, "device": "cpu"}


def act_policy() -> Any:
    """ACT with the peer's default sizes."""
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    torch.manual_seed(0)
    return ACTPolicy(ACTConfig(**_features(), push_to_hub=False))


def diffusion_policy(**changes: Any) -> Any:
    """Diffusion Policy with the peer's default sizes and the paper's group norm, which is what ours has."""
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    torch.manual_seed(0)
    return DiffusionPolicy(DiffusionConfig(**_features(), use_group_norm=True, push_to_hub=False, **changes))


def _batch(history: int, chunk: int) -> dict[str, torch.Tensor]:
    given = inputs(history, chunk)
    found = {"action": torch.from_numpy(given["actions"])}
    for name, key in KEYS.items():
        scaled = ((given[name] / 255 - MEAN) / DEVIATION).transpose(0, 1, 4, 2, 3).astype(np.float32)
        found[key] = torch.from_numpy(scaled if history > 1 else scaled[:, 0])
    state = torch.from_numpy(given["state"])
    found["observation.state"] = state if history > 1 else state[:, 0]
    found["action_is_pad"] = torch.zeros(BATCH, chunk, dtype=torch.bool)
    return found


def _training(policy: Any, batch: dict[str, torch.Tensor], folder: Path, name: str) -> Work:
    from safetensors.torch import save_file

    weights = {key: value.contiguous().clone() for key, value in policy.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors")
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())

    def run() -> float:
        policy.train()
        loss, _ = policy.forward(dict(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        return 1.0

    return Work(run=run)


def act_train(folder: Path) -> Work:
    """One optimiser step of ACT, batch of 8."""
    return _training(act_policy(), _batch(1, 100), folder, "act")


def diffusion_train(folder: Path) -> Work:
    """One optimiser step of Diffusion Policy, batch of 8."""
    return _training(diffusion_policy(), _batch(2, 64), folder, "diffusion")


def _deciding(policy: Any, history: int, chunk: int, times: int) -> Work:
    policy.eval()
    seen = {key: value[:1] for key, value in _batch(history, chunk).items() if key.startswith("observation")}
    one = {key: value[:, -1] if history > 1 else value for key, value in seen.items()}

    @torch.no_grad()
    def run() -> float:
        for _ in range(times):
            policy.reset()
            policy.select_action(dict(one))
        return float(times)

    run()
    return Work(run=run)


def act_chunk(folder: Path) -> Work:
    """A new chunk of ACT, one observation."""
    return _deciding(act_policy(), 1, 100, 5)


def diffusion_chunk(folder: Path) -> Work:
    """A new chunk of Diffusion Policy, ten DDIM steps, one observation."""
    return _deciding(diffusion_policy(noise_scheduler_type="DDIM", num_inference_steps=10), 2, 64, 1)


def queued(folder: Path) -> Work:
    """An action that is already there."""
    policy = act_policy().eval()
    one = {key: value[:1] for key, value in _batch(1, 100).items() if key.startswith("observation")}

    @torch.no_grad()
    def run() -> float:
        for _ in range(90):
            policy.select_action(dict(one))
        return 90.0

    @torch.no_grad()
    def before() -> None:
        policy.reset()
        policy.select_action(dict(one))

    return Work(run=run, before=before)


def _cheetah() -> Any:
    import gymnasium

    return gymnasium.make(CHEETAH)


def _counting() -> Any:
    import gymnasium

    picture = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)

    class Counting(gymnasium.Env):  # type: ignore[type-arg]
        """State counts the steps, pictures are `common.frame` of that count."""

        observation_space = gymnasium.spaces.Dict(dict.fromkeys(CAMERAS, picture))
        action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

        def reset(self, **_: Any) -> Any:
            self.count = 0
            return self._seen(), {}

        def step(self, action: Any) -> Any:
            self.count += 1
            return self._seen(), 0.0, False, False, {}

        def _seen(self) -> Any:
            return {name: frame(self.count, number) for number, name in enumerate(CAMERAS)}

    return Counting()


def _vector(make: Any, actions: np.ndarray) -> Work:
    import gymnasium

    env, found = gymnasium.vector.AsyncVectorEnv([make] * SLOTS), {}

    def before() -> None:
        env.reset(seed=list(range(SLOTS)))

    def run() -> float:
        for action in actions:
            seen, *_ = env.step(action)
        found.update(seen if isinstance(seen, dict) else {"state": seen.astype(np.float32)})
        return float(len(actions) * SLOTS)

    before()
    run()
    return Work(run=run, gate=found, before=before)


def vector_state(folder: Path) -> Work:
    """Eight cheetahs in eight processes."""
    return _vector(_cheetah, controls())


def vector_pixels(folder: Path) -> Work:
    """Eight environments that show two pictures, in eight processes, pictures in shared memory."""
    return _vector(_counting, np.zeros((ROUNDS, SLOTS, 2), np.float32))


if __name__ == "__main__":
    serve("peer", {name: value for name, value in globals().items() if callable(value)})
