"""One ManiSkill scene, on the processor, drawn by any Vulkan driver, a software one included.

Two traps are stepped round. ManiSkill splits the name of a rendering device at its colons, so a PCI address goes in as
a text that keeps whole. And it hides goal marks from the pictures that a policy gets; here they are shown, since a
sentence cannot say where a random goal is. The one thing to watch: even physics alone needs a Vulkan driver; without a
graphics card install SwiftShader (Debian's `chromium-common`), which is found by itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError, EnvironmentFailure
from embodia.envs.adapters._mujoco import missing, quiet
from embodia.envs.drawing import Image, fit
from embodia.envs.profiles import VisualProfile
from embodia.envs.protocol import CameraView
from embodia.envs.simulated import Floats

SOFTWARE_DRIVER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
CURE = "On Debian or Ubuntu: apt-get install -y libvulkan1 chromium-common"
_SOFTWARE_DEVICE = "pci:0000:00:00.0"
CONTROL = "pd_joint_pos"


class _Address(str):
    """A PCI address that splitting leaves whole."""

    def split(self, *args: Any) -> Any:
        """The address, and no device number after it."""
        return str(self), None


class Scene:
    """One of the benchmark's tasks with absolute joint control. Raises `MissingExtraError`, `EnvironmentFailure`."""

    def __init__(self, task: str, views: tuple[CameraView, ...], profile: VisualProfile, *, arms: int = 1) -> None:
        self.task, self._views, self._arms = task, views, arms
        with quiet():
            self.world = _benchmark(task, views, profile)

    def reset(self, seed: int) -> None:
        """Start an episode in a scene built anew: one only put back remembers contacts of the episode before."""
        with quiet():
            self.world.reset(seed=seed, options={"reconfigure": True})

    def step(self, action: Floats) -> tuple[float, bool]:
        """One control period of 50 ms: the benchmark's reward, and that physics held (it does not tell)."""
        command: Any = np.asarray(action, np.float32)
        if self._arms > 1:
            command = dict(zip(self.world.agent.agents_dict, np.split(command, self._arms), strict=True))
        _, reward, _, _, _ = self.world.step(command)
        return float(np.squeeze(np.asarray(reward))), bool(np.isfinite(self.proprioception()).all())

    def holds(self, task: str) -> bool:
        """Whether the benchmark's own evaluation says success now."""
        return bool(np.squeeze(np.asarray(self.world.evaluate()["success"])))

    def proprioception(self) -> Floats:
        """Joint positions of each robot in turn."""
        agents = self.world.agent.agents if self._arms > 1 else [self.world.agent]
        return np.concatenate([np.asarray(agent.robot.get_qpos(), np.float64)[0] for agent in agents])

    def draw(self) -> dict[str, Image]:
        """One upright picture a view, goal marks included."""
        scene = self.world.scene
        for item in self.world._hidden_objects:
            item.show_visual()
        scene.update_render(update_sensors=True, update_human_render_cameras=True)
        return {view.name: fit(self._picture(view), view) for view in self._views}

    def close(self) -> None:
        """Free the scene."""
        self.world.close()

    def _picture(self, view: CameraView) -> Image:
        camera = {**self.world.scene.sensors, **self.world.scene.human_render_cameras}[view.source or view.name]
        camera.capture()
        seen = camera.get_obs(rgb=True, depth=False, position=False, segmentation=False)["rgb"]
        return np.asarray(seen, np.uint8)[0, ..., :3]


def choose_vulkan() -> str:
    """The device to draw with: a graphics card where torch sees one, else SwiftShader where it is installed.

    `VK_ICD_FILENAMES` is respected where set. Raises `EnvironmentFailure` when there is neither.
    """
    import torch

    named = os.environ.get("VK_ICD_FILENAMES", "")
    if torch.cuda.is_available() and "swiftshader" not in named:
        return "gpu"
    if not named:
        if not SOFTWARE_DRIVER.exists():
            raise EnvironmentFailure("no graphics card and no software Vulkan driver", cure=CURE)
        os.environ["VK_ICD_FILENAMES"] = str(SOFTWARE_DRIVER)
    return _Address(_SOFTWARE_DEVICE)


def _benchmark(task: str, views: tuple[CameraView, ...], profile: VisualProfile) -> Any:
    for view in views:
        if view.lookat_m is not None:
            raise ConfigError("cameras of maniskill cannot be placed; name one of the benchmark's", leaf=view.name)
    try:
        device = choose_vulkan()
        import gymnasium
        import mani_skill.envs  # noqa: F401  (registers the tasks)
    except ModuleNotFoundError as error:
        raise missing("maniskill", error) from error
    cameras = {
        (view.source or view.name): {
            "height": view.drawn[0],
            "width": view.drawn[1],
            "shader_pack": "default" if profile.shadows else "minimal",
        }
        for view in views
    }
    try:
        return gymnasium.make(
            f"{task}-v1",
            obs_mode="state",
            num_envs=1,
            control_mode=CONTROL,
            sim_backend="cpu",
            render_backend=device,
            sensor_configs={name: size for name, size in cameras.items() if name != "render_camera"},
            human_render_camera_configs={name: size for name, size in cameras.items() if name == "render_camera"},
        ).unwrapped
    except (RuntimeError, OSError, FileNotFoundError) as error:
        raise EnvironmentFailure(f"ManiSkill scene cannot be built: {error}", cure=CURE) from error
