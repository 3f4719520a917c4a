"""LIBERO's task files (BDDL): sentence, objects, where they start and what must hold at the end.

Read here, without the simulator, because a task's sentence and its partners are wanted before anything is simulated.
The one thing to watch: the sentence is the file's `:language` field. The file's name is another text, and in the
perturbed suites it is the sentence of the unperturbed task.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from embodia.core.errors import CorruptFileError, MissingFileError

Atom: TypeAlias = tuple[str, ...]
"""A predicate and the names it speaks of, such as ("on", "bowl_1", "plate_1"), in lower case."""

_COMMENT, _TOKEN = re.compile(r";.*$", re.MULTILINE), re.compile(r"[()]|[^\s()]+")
_SECTIONS = (":language", ":regions", ":fixtures", ":objects", ":init", ":goal")
_MOST_LEVELS = 64


@dataclass(frozen=True, kw_only=True)
class Region:
    """A named place: `target` is the thing it belongs to, `layout` its rectangles and turns as written."""

    target: str
    layout: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One task file. `fixtures` and `objects` map an instance to its category; `goal` holds when all its atoms do."""

    workspace: str
    sentence: str
    fixtures: Mapping[str, str]
    objects: Mapping[str, str]
    regions: Mapping[str, Region]
    init: tuple[Atom, ...]
    goal: tuple[Atom, ...]
    scene: str

    def start_of(self, name: str) -> str:
        """Where an object or fixture starts: the region, object or fixture it is on or in; empty if not said."""
        return next((atom[2] for atom in self.init if len(atom) == 3 and atom[1] == name), "")


def read(path: Path) -> Problem:
    """The task in a file. Raises `MissingFileError` or `CorruptFileError` naming the file and the section."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise MissingFileError("no such task file", file=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"cannot be read: {error}", file=path) from error
    return parse(text, str(path))


def parse(text: str, file: str = "") -> Problem:
    """The task in BDDL text. Raises `CorruptFileError` naming `file` and the section that is wrong."""
    sections = _sections(_tree(text, file), file)
    section = ""
    try:
        for section in _SECTIONS:
            sections[section]
        section = ":goal"
        goal = _goal(sections[section])
        section = ":regions"
        regions = dict(_region(item) for item in sections[section])
        section = ":init"
        init = tuple(_atom(item) for item in sections[section])
        section = ":language"
        sentence = _sentence(sections[section])
        section = ":objects"
        fixtures, objects = _declared(sections[":fixtures"]), _declared(sections[section])
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"not a task: {type(error).__name__} {error}", file=file, leaf=section) from error
    same = [sections[name] for name in ("problem", ":fixtures", ":objects", ":regions", ":init")]
    return Problem(
        workspace=str(sections["problem"][0]),
        sentence=sentence,
        fixtures=fixtures,
        objects=objects,
        regions=regions,
        init=init,
        goal=goal,
        scene=repr(same),
    )


def goal_in_scene(asked: Problem, scene: Problem) -> tuple[Atom, ...] | None:
    """What the goal of `asked` means in the scene of another task, or None when it means nothing or nothing new.

    An object is found again by its category; where several are alike, it is the one that starts where the sentence
    says (the bowl *next to the ramekin*), which may be another instance than in the scene of `asked`. None when a thing
    or place is missing, when the goal is the scene's own, or when the scene starts with it fulfilled.
    """
    if asked.workspace != scene.workspace:
        return None
    renamed = []
    for predicate, *names in asked.goal:
        found = [_counterpart(name, asked, scene) for name in names]
        if not all(found):
            return None
        renamed.append((predicate, *(name for name in found if name)))
    goal = tuple(renamed)
    if set(goal) == set(scene.goal) or set(goal) <= set(scene.init):
        return None
    return goal


def exchangeable(problem: Problem) -> tuple[str, ...]:
    """The objects that may trade places without making the sentence false, in the order of the file.

    They lie on plain places of the table or floor. Others stay: an object of the task that has others like it, because
    the sentence tells them apart by where they lie; what the task fills; and that by which a place is named which the
    task starts from or leads to ("next_to_plate", "plate_right").
    """
    kinds = Counter(problem.objects.values())
    named = [name for atom in problem.goal for name in atom[1:]]
    carriers = {problem.regions[name].target for name in named if name in problem.regions}
    places = [place for name in named for place in (name, problem.start_of(name)) if place in problem.regions]
    found = []
    for name, kind in problem.objects.items():
        place = problem.start_of(name)
        plain = place in problem.regions and not problem.start_of(problem.regions[place].target)
        told_apart = name in named and kinds[kind] > 1
        if plain and not told_apart and name not in carriers and not _names_one_of(place, problem, places):
            found.append(name)
    return tuple(found)


def _names_one_of(place: str, problem: Problem, others: list[str]) -> bool:
    """Whether another place is called after this one, as "plate_right" is after "plate"."""
    stem = place.removeprefix(problem.regions[place].target).removesuffix("_region").removesuffix("_init").strip("_")
    return any(stem in other for other in others if other != place)


def _counterpart(name: str, asked: Problem, scene: Problem) -> str | None:
    if name in asked.objects:
        return _same_object(name, asked, scene)
    if name in asked.fixtures:
        return name if scene.fixtures.get(name) == asked.fixtures[name] else None
    region = asked.regions.get(name)
    if region is None:
        return None
    target = _counterpart(region.target, asked, scene)
    if target is None or not name.startswith(region.target):
        return None
    moved = target + name[len(region.target) :]
    other = scene.regions.get(moved)
    return moved if other is not None and other.layout == region.layout else None


def _same_object(name: str, asked: Problem, scene: Problem) -> str | None:
    category = asked.objects[name]
    alike = [other for other, kind in scene.objects.items() if kind == category]
    if len(alike) == 1 and Counter(asked.objects.values())[category] == 1:
        return alike[0]
    start = asked.start_of(name)
    if not start or asked.regions.get(start) != scene.regions.get(start):
        return None
    there = [other for other in alike if scene.start_of(other) == start]
    return there[0] if len(there) == 1 else None


def _tree(text: str, file: str) -> list[Any]:
    top: list[Any] = []
    open_lists = [top]
    for token in _TOKEN.findall(_COMMENT.sub("", text).lower()):
        if token == "(":
            inner: list[Any] = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif token == ")":
            open_lists.pop()
        else:
            open_lists[-1].append(token)
        if not 1 <= len(open_lists) <= _MOST_LEVELS:
            raise CorruptFileError("brackets do not match or are nested too deep", file=file)
    if len(open_lists) != 1:
        raise CorruptFileError("ends inside a bracket", file=file)
    return top


def _sections(tree: list[Any], file: str) -> dict[str, list[Any]]:
    if len(tree) != 1 or not isinstance(tree[0], list) or tree[0][:1] != ["define"]:
        raise CorruptFileError("expected one (define ...)", file=file)
    found = {item[0]: item[1:] for item in tree[0][1:] if isinstance(item, list) and item and isinstance(item[0], str)}
    if not found.get("problem"):
        raise CorruptFileError("no problem is named", file=file, leaf="problem")
    return found


def _sentence(words: list[Any]) -> str:
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError("the sentence is empty or holds brackets")
    return " ".join(words).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").strip(" .")


def _declared(items: list[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    waiting: list[str] = []
    tokens: Iterator[Any] = iter(items)
    for token in tokens:
        if not isinstance(token, str):
            raise ValueError("a name is expected, not a bracket")
        if token != "-":
            waiting.append(token)
            continue
        category = str(next(tokens, ""))
        found.update({name: category for name in waiting})
        waiting = []
    if waiting:
        raise ValueError(f"{waiting} have no category")
    return found


def _region(item: list[Any]) -> tuple[str, Region]:
    name, *attributes = item
    target = next(str(value[1]) for value in attributes if value[0] == ":target") if attributes else ""
    if not target:
        raise ValueError(f"region {name} has no target")
    return f"{target}_{name}", Region(target=target, layout=repr(attributes))


def _atom(item: list[Any]) -> Atom:
    if not isinstance(item, list) or not 2 <= len(item) <= 3 or not all(isinstance(word, str) for word in item):
        raise ValueError(f"{item!r} is not a predicate of one or two names")
    return tuple(item)


def _goal(items: list[Any]) -> tuple[Atom, ...]:
    conjunction = items[0]
    if conjunction[0] != "and" or len(conjunction) < 2 or len(items) != 1:
        raise ValueError("a goal is one (And ...)")
    return tuple(_atom(item) for item in conjunction[1:])
