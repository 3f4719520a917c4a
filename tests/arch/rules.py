"""The house rules as functions over syntax trees: each takes parsed source and returns findings as text.

Nothing of the package is imported: a rule must hold on a machine where no heavy dependency is installed.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "embodia"

LAYERS = [
    ["core"],
    ["io"],
    ["runtime", "nn"],
    ["parts", "objectives", "data", "envs"],
    ["builders"],
    ["policies", "world_models", "generate"],
    ["training", "inference"],
    ["post_training", "evaluation", "weights"],
    ["studio", "cli"],
]
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units}
WITHOUT_TORCH = ("core", "io", "runtime")
LONGEST_FILE, LONGEST_WIRING, LONGEST_COPY = 400, 150, 1
BANNED_MODULES = {"pickle", "dill", "marshal", "cloudpickle", "shelve", "joblib"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_KEYWORDS = {("trust_remote_code", True), ("weights_only", False), ("shell", True)}
WRITERS = {"write_text", "write_bytes"}
ARRAY_WRITERS = {("np", "save"), ("np", "savez"), ("np", "savez_compressed"), ("torch", "save")}
HEADER_FIELDS = ("Title:", "Year:", "Source:", "Composition:", "Published:", "Ours:", "Deviations:")


@dataclass(frozen=True)
class Module:
    """One parsed file: its path inside the package, dotted name parts, text and tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        names = self.path.with_suffix("").parts
        return names[:-1] if names[-1] == "__init__" else names

    @property
    def unit(self) -> str:
        return self.parts[0] if self.parts else ""


def module(path: str, text: str) -> Module:
    """A module from text, for the package itself and for the tests of the rules."""
    return Module(Path(path), text, ast.parse(text))


def package() -> list[Module]:
    """Every module of the package."""
    return [module(str(p.relative_to(SOURCE)), p.read_text(encoding="utf-8")) for p in sorted(SOURCE.rglob("*.py"))]


def imports(mod: Module, *, top_only: bool) -> list[str]:
    """Dotted names that the module imports; with `top_only` those run when it is imported (not under TYPE_CHECKING)."""
    found: list[str] = []
    for node in _top_nodes(mod.tree) if top_only else ast.walk(mod.tree):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _top_nodes(tree: ast.Module) -> list[ast.stmt]:
    nodes: list[ast.stmt] = []
    stack: list[ast.stmt] = list(tree.body)
    while stack:
        node = stack.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            stack.extend(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            stack.extend(node.body + node.orelse + [s for h in node.handlers for s in h.body])
        elif isinstance(node, ast.ClassDef):
            stack.extend(node.body)
    return nodes


def relative_imports(mod: Module) -> list[str]:
    """Imports are absolute, so that a file can be read without knowing where it lies."""
    return [
        f"{mod.path}:{n.lineno}: relative import"
        for n in ast.walk(mod.tree)
        if isinstance(n, ast.ImportFrom) and n.level
    ]


def upward_imports(mod: Module) -> list[str]:
    """Imports of a unit that is not above this one, and imports between the sub-folders of `parts`."""
    found = []
    for name in imports(mod, top_only=False):
        target = name.split(".")
        if target[0] != "embodia" or len(target) < 2 or not mod.unit or target[1] not in LEVEL:
            continue
        if mod.unit not in LEVEL:
            found.append(f"{mod.path}: unit {mod.unit!r} has no layer")
        elif target[1] != mod.unit and LEVEL[target[1]] >= LEVEL[mod.unit]:
            found.append(f"{mod.path}: {mod.unit} imports {name}")
        elif mod.unit == target[1] == "parts" and _sibling_folders(mod.parts, target[1:]):
            found.append(f"{mod.path}: parts/{mod.parts[1]} imports parts/{target[2]}")
    return found


def _sibling_folders(mine: tuple[str, ...], theirs: list[str]) -> bool:
    inside_folder = len(mine) > 2
    return inside_folder and len(theirs) > 2 and mine[1] != theirs[1] and (SOURCE / "parts" / theirs[1]).is_dir()


def torch_imports(mod: Module) -> list[str]:
    """Layers that must install and start without torch do not import it when they are imported."""
    if mod.unit not in WITHOUT_TORCH:
        return []
    return [f"{mod.path}: imports {n}" for n in imports(mod, top_only=True) if n.split(".")[0] == "torch"]


def cycles(modules: list[Module]) -> list[str]:
    """Cycles between modules through imports that run at import time."""
    known = {".".join(("embodia", *m.parts)): m for m in modules}
    graph: dict[str, set[str]] = defaultdict(set)
    for name, mod in known.items():
        for target in imports(mod, top_only=True):
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target not in ("embodia", name) and not name.startswith(target + "."):
                graph[name].add(target)
    state: dict[str, int] = {}
    found: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        state[name] = 1
        for target in sorted(graph[name]):
            if state.get(target) == 1:
                found.append(" -> ".join((*trail, name, target)))
            elif target not in state:
                visit(target, (*trail, name))
        state[name] = 2

    for name in sorted(known):
        if name not in state:
            visit(name, ())
    return found


def long_files(mod: Module) -> list[str]:
    """No file over 400 lines, no file of wiring over 150."""
    lines = mod.text.count("\n") + 1
    wiring = mod.unit in ("policies", "world_models") and not mod.path.name.startswith("_")
    limit = LONGEST_WIRING if wiring else LONGEST_FILE
    return [f"{mod.path}: {lines} lines, at most {limit}"] if lines > limit else []


def copies(modules: list[Module]) -> list[str]:
    """Function bodies of more than one line that stand word for word in two places."""
    seen: dict[str, str] = {}
    found = []
    for mod in modules:
        for node in ast.walk(mod.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if not body or (body[-1].end_lineno or 0) - body[0].lineno + 1 <= LONGEST_COPY:
                continue
            key = "\n".join(ast.dump(statement) for statement in body)
            here = f"{mod.path}:{node.name}"
            if key in seen:
                found.append(f"{here} repeats {seen[key]}")
            seen.setdefault(key, here)
    return found


def _functions(mod: Module) -> list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Public functions and methods, with whether each is a method; nested functions are private."""
    found: list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]] = []

    def collect(body: list[ast.stmt], in_class: bool) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                collect(node.body, True)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((node, in_class))

    collect(mod.tree.body, False)
    return found


def missing_annotations(mod: Module) -> list[str]:
    """Every argument and every result of a function is annotated."""
    found = []
    for node, in_class in _functions(mod):
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
        if in_class and not static:
            arguments = arguments[1:]
        arguments += [a for a in (given.vararg, given.kwarg) if a]
        bare = [a.arg for a in arguments if a.annotation is None]
        if bare or node.returns is None:
            found.append(f"{mod.path}:{node.lineno}: {node.name} lacks {bare or 'a result'} annotation")
    return found


def missing_docstrings(mod: Module) -> list[str]:
    """Modules, public classes and public functions say what they are in a docstring."""
    found = [] if ast.get_docstring(mod.tree) or not mod.text.strip() else [f"{mod.path}: module"]
    nodes: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = [
        n for n in ast.walk(mod.tree) if isinstance(n, ast.ClassDef)
    ]
    private = {id(f) for c in nodes if c.name.startswith("_") for f in ast.walk(c)}
    nodes += [n for n, _ in _functions(mod)]
    for node in nodes:
        public = not node.name.startswith("_") and node.name != "forward" and id(node) not in private
        if public and not ast.get_docstring(node):
            found.append(f"{mod.path}:{node.lineno}: {node.name}")
    return found


def banned(mod: Module) -> list[str]:
    """Data never becomes code, nothing is swallowed, nothing prints, only `io/atomic.py` writes."""
    found: list[str] = []
    for node in ast.walk(mod.tree):
        for reason in _reasons(node, mod):
            found.append(f"{mod.path}:{getattr(node, 'lineno', 0)}: {reason}")
    return found


def _reasons(node: ast.AST, mod: Module) -> list[str]:
    reasons = []
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        reasons += [f"imports {n}" for n in names if n.split(".")[0] in BANNED_MODULES]
    if isinstance(node, ast.ExceptHandler) and _swallows(node):
        reasons.append("catches everything without raising")
    if isinstance(node, ast.Global):
        reasons.append("global statement")
    if isinstance(node, ast.Call):
        reasons += _call_reasons(node, mod)
    return reasons


def _swallows(node: ast.ExceptHandler) -> bool:
    wide = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
    raises = any(isinstance(child, ast.Raise) for statement in node.body for child in ast.walk(statement))
    return node.type is None or (wide and not raises)


def _call_reasons(call: ast.Call, mod: Module) -> list[str]:
    reasons = []
    name = call.func.id if isinstance(call.func, ast.Name) else None
    attribute = call.func.attr if isinstance(call.func, ast.Attribute) else None
    owner = call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
    if name in BANNED_CALLS:
        reasons.append(f"calls {name}")
    if (owner, attribute) == ("yaml", "load"):
        reasons.append("calls yaml.load")
    literal = bool(call.args) and isinstance(call.args[0], ast.Constant)
    if attribute == "import_module" and not literal and str(mod.path) != "core/names.py":
        reasons.append("imports a computed name outside core/names.py")
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in BANNED_KEYWORDS:
            reasons.append(f"passes {keyword.arg}={keyword.value.value}")
    if name == "print" and mod.unit != "cli":
        reasons.append("prints")
    if str(mod.path) != "io/atomic.py" and (
        _opens_for_writing(call, name, attribute) or (owner, attribute) in ARRAY_WRITERS
    ):
        reasons.append("writes a file outside io/atomic.py")
    return reasons


def _opens_for_writing(call: ast.Call, name: str | None, attribute: str | None) -> bool:
    if attribute in WRITERS and isinstance(call.func, ast.Attribute):
        return not (isinstance(call.func.value, ast.Name) and call.func.value.id == "atomic")
    if name != "open" and attribute != "open":
        return False
    position = 1 if name == "open" else 0
    modes = [a for a in call.args[position : position + 1]] + [k.value for k in call.keywords if k.arg == "mode"]
    texts = [m.value for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)]
    return any(len(text) <= 3 and set(text) & set("wax+") for text in texts)


def missing_header(mod: Module) -> list[str]:
    """Every policy, world-model and algorithm file begins with the header that docs/papers.md is made from."""
    if mod.unit not in ("policies", "world_models", "post_training") or mod.path.name.startswith("_"):
        return []
    doc = ast.get_docstring(mod.tree) or ""
    return [f"{mod.path}: header lacks {name}" for name in HEADER_FIELDS if not re.search(rf"^{name}", doc, re.M)]


def function_lengths(modules: list[Module]) -> list[int]:
    """Body lines of every function, docstring left out."""
    lengths = []
    for mod in modules:
        for node in ast.walk(mod.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lengths.append((body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0)
    return sorted(lengths)
