"""Pictures of rollouts: a playable video and a filmstrip for each kept episode.

A clip is two files, `videos/<arm>-<task>-<seed>.mp4` and `.jpg`, so that a page can be drawn again without a simulator.
Several cameras are stacked: time runs to the right in the strip, cameras run down.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from embodia.core.errors import ShapeError
from embodia.evaluation.episodes import Episode
from embodia.io.atomic import write_bytes
from embodia.io.jsonio import read_bytes
from embodia.io.video import encode

STRIP_FRAMES = 6
FOLDER = "videos"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The pictures of one episode: camera name -> uint8 (N H W 3), all of one N, taken `fps` times a second."""

    episode: Episode
    frames: Mapping[str, Any]
    fps: float

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.episode.arm}-{self.episode.task}-{self.episode.seed}"


def stack(frames: Mapping[str, Any]) -> Any:
    """uint8 (N, sum of H, W, 3): the cameras above each other, narrower ones padded in grey.

    Raises `ShapeError` unless every camera has the same number of pictures, at least one.
    """
    counts = {name: len(array) for name, array in frames.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ShapeError(f"cameras need one equal, positive number of pictures, got {counts}", leaf="frames")
    width = max(array.shape[2] for array in frames.values())
    padded = [
        np.pad(array, ((0, 0), (0, 0), (0, width - array.shape[2]), (0, 0)), constant_values=128)
        for array in frames.values()
    ]
    return np.concatenate(padded, axis=1)


def filmstrip(frames: Any, count: int = STRIP_FRAMES) -> Any:
    """uint8 (H, about count * W, 3): `count` pictures evenly over time, the first and the last among them."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)]
    gap = np.full((chosen.shape[1], 2, 3), 255, dtype=np.uint8)
    parts = [part for frame in chosen for part in (frame, gap)]
    return np.concatenate(parts[:-1], axis=1)


def save_clip(folder: str | Path, clip: Clip) -> dict[str, Any]:
    """Write both files under `folder`/videos and return the clip's entry for report.json, with relative paths."""
    pictures = stack(clip.frames)
    video, strip = (Path(FOLDER, clip.name + ending) for ending in (".mp4", ".jpg"))
    encode(Path(folder, video), _doubled(pictures), clip.fps, "web")
    write_bytes(Path(folder, strip), _jpeg(filmstrip(pictures)))
    item = clip.episode
    return {
        "arm": item.arm,
        "task": item.task,
        "seed": item.seed,
        "instruction": item.instruction,
        "told": item.told,
        "success": item.success,
        "followed": item.followed,
        "steps": item.steps,
        "frames": len(pictures),
        "cameras": list(clip.frames),
        "video": video.as_posix(),
        "filmstrip": strip.as_posix(),
    }


def data_uri(path: str | Path) -> str:
    """A file as a data URI, by its ending (.mp4, .jpg, .png)."""
    kinds = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".png": "image/png"}
    return f"data:{kinds[Path(path).suffix]};base64,{base64.b64encode(read_bytes(path)).decode()}"


def _doubled(pictures: Any) -> Any:
    """Every pixel as a block of four: sizes are even and the halved colour planes of a web video lose nothing."""
    return np.repeat(np.repeat(pictures, 2, axis=1), 2, axis=2)


def _jpeg(picture: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(picture).save(target, format="JPEG", quality=88)
    return target.getvalue()
