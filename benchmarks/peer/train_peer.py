"""LeRobot's own training script on our episodes, in the peer's interpreter: `train_peer.py DESIGN DATA OUT [SAMPLES]`.

The data set is read by LeRobot's own reader. Nothing of the peer is changed but what `contenders` says.
"""

from __future__ import annotations

import sys
from pathlib import Path

from contenders import BATCH, PEERS, SAMPLES


def arguments(design: str, data: Path, out: Path, samples: int = SAMPLES) -> list[str]:
    """The flags of `lerobot-train` for one contender."""
    steps = samples // BATCH
    return [
        "--dataset.repo_id=local/episodes",
        f"--dataset.root={data}",
        f"--policy.type={design}",
        *(f"--policy.{setting}" for setting in PEERS[design]),
        f"--output_dir={out}",
        f"--batch_size={BATCH}",
        f"--steps={steps}",
        f"--save_freq={steps}",
        "--log_freq=50",
        "--num_workers=0",
        "--wandb.enable=false",
        "--seed=0",
    ]


def main(design: str, data: str, out: str, samples: str = str(SAMPLES)) -> None:
    """Train; the checkpoint lies in OUT/checkpoints/last/pretrained_model."""
    from lerobot.scripts import lerobot_train

    sys.argv = ["lerobot-train", *arguments(design, Path(data), Path(out), int(samples))]
    lerobot_train.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
