"""LIBERO-PRO: the four ten-task suites with one thing changed, to tell skill from memory.

"lan" says it in other words, "object" gives objects other looks and sizes, "swap" exchanges their places, "task" asks
for another goal in a known scene; "libero_pro" plays all sixteen and reports each. The one thing to watch: a fall
against the unperturbed suite is the result, so play both with the same policy and compare them.
"""

from __future__ import annotations

from embodia.envs.adapters.libero import HORIZONS, PERTURBED, STANDARD
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = (
    "LIBERO-PRO: Towards Robust and Fair Evaluation of Vision-Language-Action Models Beyond Memorization, 2025, "
    "arXiv 2510.03827"
)
KINDS = ("lan", "object", "swap", "task")


def suites() -> tuple[Suite, ...]:
    """All of it, and sixteen: four suites in four changes."""
    return (
        _suite("libero_pro", PERTURBED, "each suite with one thing"),
        *(
            _suite(
                f"libero_pro/{base.removeprefix('libero_')}_{kind}",
                (f"{base}_{kind}",),
                f"{base} with the {kind}",
                HORIZONS[base],
            )
            for base in STANDARD[:4]
            for kind in KINDS
        ),
    )


def _suite(name: str, parts: tuple[str, ...], what: str, horizon: int = 0) -> Suite:
    return Suite(
        name=name,
        family="libero",
        env=EnvConfig(tasks=parts, horizon=horizon),
        episodes=50,
        first_seed=0,
        groups={part: (part,) for part in parts} if len(parts) > 1 else {},
        source=SOURCE,
        protocol=f"{what} changed, 50 shipped start states a task, success at any step",
        differs="Only the perturbations whose files ship with the package are offered, environments are not changed.",
        extra="libero",
    )
