"""LIBERO-PRO: the four ten-task suites with one thing changed, to tell skill from memory.

"lan" says it in other words, "object" gives objects other looks and sizes, "swap" exchanges their places, "task" asks
for another goal in a known scene. The one thing to watch: a fall against the unperturbed suite is the result, so play
both with the same policy and compare them.
"""

from __future__ import annotations

from embodia.envs.adapters.libero import HORIZONS, STANDARD
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "LIBERO-PRO: Towards Robust and Fair Evaluation of Vision-Language-Action Models Beyond Memorization, 2025"
KINDS = ("lan", "object", "swap", "task")


def suites() -> tuple[Suite, ...]:
    """Sixteen: four suites in four changes."""
    return tuple(_suite(base, kind) for base in STANDARD[:4] for kind in KINDS)


def _suite(base: str, kind: str) -> Suite:
    return Suite(
        name=f"libero_pro/{base.removeprefix('libero_')}_{kind}",
        family="libero",
        env=EnvConfig(tasks=(f"{base}_{kind}",), horizon=HORIZONS[base]),
        episodes=50,
        first_seed=0,
        source=SOURCE,
        protocol=f"{base} with the {kind} changed, 50 shipped start states a task, success at any step",
        differs="Only the perturbations whose files ship with the package are offered, environments are not changed.",
        extra="libero",
    )
