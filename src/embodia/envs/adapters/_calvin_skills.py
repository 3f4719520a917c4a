"""CALVIN's 34 tasks as links of chains: what each needs and what it changes, in words.

Facts of the benchmark's published evaluation, written as rules over the three blocks. The one thing to watch: a chain
has at most one task a category, and pushing a block into the drawer counts as a push.
"""

from __future__ import annotations

from itertools import permutations, product

from embodia.envs.chaining import Case, SceneState, Skill

COLOURS = ("red", "blue", "pink")
FREE = {"grasped": "no"}


def skills() -> tuple[Skill, ...]:
    """All tasks."""
    return (*_blocks(), *_furniture(), *_held())


def starts() -> tuple[SceneState, ...]:
    """Every state in which a chain may begin: one or two blocks on the table, furniture and lamps either way."""
    places = [place for place in product(("table", "slider_right", "slider_left"), repeat=3) if _apart(place)]
    return tuple(
        {
            "slider": slider,
            "drawer": drawer,
            "lightbulb": bulb,
            "led": led,
            "grasped": "no",
            **{f"{colour}_block": where for colour, where in zip(COLOURS, place, strict=True)},
        }
        for slider, drawer, bulb, led in product(("left", "right"), ("open", "closed"), ("0", "1"), ("0", "1"))
        for place in places
    )


def _apart(place: tuple[str, ...]) -> bool:
    """At most one block on each side of the slider, one or two on the table."""
    return max(place.count("slider_right"), place.count("slider_left")) < 2 and place.count("table") in (1, 2)


def _one(task: str, category: str, needs: SceneState, gives: SceneState) -> Skill:
    return Skill(task=task, category=category, cases=(Case(needs=needs, gives=gives),))


def _blocks() -> list[Skill]:
    found = []
    for colour in COLOURS:
        block = f"{colour}_block"
        lying = {block: "table", **FREE}
        for way in ("right", "left"):
            found.append(_one(f"rotate_{block}_{way}", "rotate", lying, {}))
            found.append(_one(f"push_{block}_{way}", "push", lying, {}))
        taken = {block: "grasped", "grasped": "yes"}
        found.append(_one(f"lift_{block}_table", "lift", lying, taken))
        found.append(_one(f"lift_{block}_drawer", "lift", {block: "drawer", "drawer": "open", **FREE}, taken))
        hidden = tuple(
            Case(needs={block: f"slider_{side}", "slider": other, **FREE}, gives=taken)
            for side, other in (("left", "right"), ("right", "left"))
        )
        found.append(Skill(task=f"lift_{block}_slider", category="lift", cases=hidden))
    return found


def _furniture() -> list[Skill]:
    found = [
        _one("move_slider_left", "slider", {"slider": "right", **FREE}, {"slider": "left"}),
        _one("move_slider_right", "slider", {"slider": "left", **FREE}, {"slider": "right"}),
        _one("open_drawer", "drawer", {"drawer": "closed", **FREE}, {"drawer": "open"}),
        _one("close_drawer", "drawer", {"drawer": "open", **FREE}, {"drawer": "closed"}),
    ]
    for lamp in ("lightbulb", "led"):
        found.append(_one(f"turn_on_{lamp}", "lamp", {lamp: "0", **FREE}, {lamp: "1"}))
        found.append(_one(f"turn_off_{lamp}", "lamp", {lamp: "1", **FREE}, {lamp: "0"}))
    return found


def _held() -> list[Skill]:
    blocks = [f"{colour}_block" for colour in COLOURS]
    pairs = list(permutations(blocks, 2))
    down = {"grasped": "no"}

    def holding(block: str) -> dict[str, str]:
        return {block: "grasped", "grasped": "yes"}

    slider = tuple(
        Case(needs={**holding(block), "slider": side}, gives={block: f"slider_{side}", **down})
        for block in blocks
        for side in ("right", "left")
    )
    drawer = tuple(
        Case(needs={**holding(block), "drawer": "open"}, gives={block: "drawer", **down}) for block in blocks
    )
    stacked = [({top: "stacked_top", bottom: "stacked_bottom"}, top, bottom) for top, bottom in pairs]
    stack = tuple(Case(needs={**holding(top), bottom: "table"}, gives={**on, **down}) for on, top, bottom in stacked)
    apart = tuple(Case(needs={**on, **FREE}, gives={top: "table", bottom: "table"}) for on, top, bottom in stacked)
    into = tuple(Case(needs={block: "table", "drawer": "open", **FREE}, gives={block: "drawer"}) for block in blocks)
    return [
        Skill(task="place_in_slider", category="place", cases=slider),
        Skill(task="place_in_drawer", category="place", cases=drawer),
        Skill(task="push_into_drawer", category="push", cases=into),
        Skill(task="stack_block", category="stack", cases=stack),
        Skill(task="unstack_block", category="unstack", cases=apart),
    ]
