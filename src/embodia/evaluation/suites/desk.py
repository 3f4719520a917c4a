"""Desk's own protocols: sentences never read, combinations never seen, memory, other bodies, and chains of five.

`desk/language` asks for trained combinations of words in paraphrases that no training may hold; tasks come in pairs
that share a scene, so that only the sentence decides. `desk/held_out` asks for combinations that are kept for
evaluation, `desk/memory` for what only the past shows; `desk/arm6`, `desk/mobile` and `desk/two_arms` are other bodies
with contracts of their own; `desk/chains` is CALVIN's protocol. The one thing to watch: a policy may train on
everything that `tasks.names("train")` lists, in the sentences of the split "train", and on nothing else.
"""

from __future__ import annotations

from embodia.envs.protocol import EnvConfig
from embodia.evaluation.chains import ChainRule
from embodia.evaluation.suites import Suite

HORIZON = 240
SECONDS, RATES_HZ = 12, {"arm7": 20, "arm6": 10, "mobile": 20, "bimanual": 10}
LANGUAGE = (
    *("reach/red-cube", "reach/blue-ball", "reach/green-cylinder", "reach/purple-cylinder"),
    *("push/red-cube/left", "push/red-cube/right", "push/blue-cylinder/near", "push/yellow-cylinder/mark"),
    *("button/red", "button/green", "button/blue/gently", "button/blue/hard"),
    *("switch/on/red", "switch/off/red", "switch/on/green", "switch/on/purple"),
    *("drawer/open/red", "drawer/close/blue", "drawer/put/red-cube/yellow", "drawer/put/green-cube/yellow"),
    *("place/red-cube/bowl", "place/red-cube/bin", "place/green-cube/mark", "place/purple-cube/mark"),
    "stack/red-cube/green-cube",
    "stack/green-cube/red-cube",
    "stack/orange-cube/yellow-cylinder",
    "stack/yellow-cylinder/orange-cube",
    "peg/red-peg/red-socket",
    "peg/blue-peg/red-socket",
    "peg/yellow-peg/purple-socket",
    "peg/orange-peg/purple-socket",
    *("pour/red-cup/red-bowl", "pour/red-cup/blue-bowl", "pour/blue-cup/yellow-bowl", "pour/blue-cup/orange-bowl"),
    *("sort/red-blue/colour", "sort/red-blue/shape", "sort/green-orange/colour", "sort/green-orange/shape"),
    *(
        "detour/reach/red-cube",
        "detour/reach/yellow-cube",
        "detour/carry/blue-cube/left",
        "detour/carry/blue-cube/over",
    ),
)
"""Four of each family that needs no memory: two pairs that share a scene."""
HELD_OUT = (
    *("reach/red-ball", "reach/purple-cube"),
    *("push/red-ball/left", "push/blue-ball/left"),
    *("drawer/put/blue-cube/red", "drawer/put/yellow-cube/yellow"),
    *("place/red-cube/mark", "place/red-cylinder/bin"),
    *("stack/red-cube/orange-cube", "stack/blue-cube/purple-cube"),
    *("peg/red-peg/purple-socket", "peg/green-peg/green-socket"),
    *("pour/red-cup/purple-bowl", "pour/green-cup/blue-bowl"),
    *("detour/reach/red-cube/right", "detour/carry/red-cube/over"),
)
"""Two of each family that has words to combine."""
MEMORY = (
    *("recall/lit", "recall/unlit", "recall/order", "recall/reversed"),
    *("recall/place/red-cylinder", "recall/place/green-cylinder"),
)
"""What was shown decides, in pairs that share a scene; without memory half of them at best."""
ARM6 = tuple(task for task in LANGUAGE if task.split("/")[0] not in ("pour", "detour"))
"""What the second arm can do too: it neither pours nor goes round walls."""
MOBILE = (
    *("navigate/red-mark", "navigate/blue-mark", "errand/press/red-button", "errand/press/green-button"),
    *("errand/pick/red-cube", "errand/pick/green-cube"),
)
TWO_ARMS = (
    *("handover/red-bar/red-bin", "handover/red-bar/yellow-bin"),
    *("handover/green-bar/blue-bin", "handover/red-bar/blue-bin"),
)

SOURCE = "Desk, the laboratory bench of Embodia, 2026"
CALVIN = "CALVIN: A Benchmark for Language-Conditioned Policy Learning, 2022, arXiv 2112.03227, played on Desk"


def suites() -> tuple[Suite, ...]:
    """Single tasks by trained and by held-out combinations, then chains."""
    return (
        _suite("language", LANGUAGE, "trained combinations of words in held-out paraphrases"),
        _suite("held_out", HELD_OUT, "held-out combinations of words in held-out paraphrases"),
        _suite("memory", MEMORY, "what was shown for half a second decides, in held-out paraphrases"),
        _suite("arm6", ARM6, "trained combinations of words in held-out paraphrases, by the arm of six joints", "arm6"),
        _suite(
            "mobile", MOBILE, "ways round walls and errands in held-out paraphrases, by the arm on wheels", "mobile"
        ),
        _suite("two_arms", TWO_ARMS, "a bar handed over, in held-out paraphrases, by two arms", "bimanual"),
        Suite(
            name="desk/chains",
            family="desk",
            env=EnvConfig(),
            episodes=1000,
            sentences="episode",
            chain=ChainRule(length=5, steps_each=HORIZON),
            source=CALVIN,
            protocol=f"1000 chains of five tasks of different kinds, {HORIZON} steps for each, a failure ends it",
            differs="Scene, body and tasks are Desk's; chains are drawn by the published rules; 240 steps at 20 Hz a "
            "task, where CALVIN gives 360 at 30 Hz.",
            extra="desk",
        ),
    )


def _suite(variant: str, tasks: tuple[str, ...], what: str, body: str = "arm7") -> Suite:
    rate_hz = RATES_HZ[body]
    return Suite(
        name=f"desk/{variant}",
        family="desk",
        env=EnvConfig(tasks=tasks, horizon=SECONDS * rate_hz, options=None if body == "arm7" else {"body": body}),
        episodes=20,
        sentences="held_out",
        groups=_families(tasks),
        source=SOURCE,
        protocol=f"20 episodes a task, {what}, {SECONDS} s at {rate_hz} Hz, success at any step",
        extra="desk",
    )


def _families(tasks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        family = task.split("/")[0]
        found[family] = (*found.get(family, ()), task)
    return found
