"""Each rule of the house can fail: it flags a planted violation and lets its clean twin pass."""

import pytest
import rules

LONG_BODY = "\n".join(f"    a{i} = {i}" for i in range(8))
HEADER = '"""X.\n\n' + "\n".join(f"{name} x" for name in rules.HEADER_FIELDS) + '\n"""\n'

CASES = [
    (rules.relative_imports, "core/x.py", "from . import y", "from embodia.core import y"),
    (rules.upward_imports, "io/x.py", "from embodia.data import y", "from embodia.core import y"),
    (rules.upward_imports, "data/x.py", "from embodia.envs import y", "from embodia.io import y"),
    (rules.upward_imports, "core/x.py", "def f():\n    import embodia.cli.main", "import numpy"),
    (rules.upward_imports, "strange/x.py", "from embodia.core import y", "import numpy"),
    (rules.torch_imports, "io/x.py", "import torch", "def f():\n    import torch"),
    (rules.torch_imports, "core/x.py", "from torch import nn", "if TYPE_CHECKING:\n    import torch"),
    (rules.long_files, "core/x.py", "\n" * 401, "\n" * 399),
    (rules.long_files, "policies/x.py", "\n" * 151, "\n" * 149),
    (rules.missing_annotations, "core/x.py", "def f(a) -> int: ...", "def f(a: int) -> int: ..."),
    (rules.missing_annotations, "core/x.py", "def f(a: int): ...", "class A:\n    def f(self) -> int: ..."),
    (rules.missing_annotations, "core/x.py", "def f(*a) -> int: ...", "def f(*a: int) -> int: ..."),
    (rules.missing_docstrings, "core/x.py", "a = 1", '"""Says."""\na = 1'),
    (rules.missing_docstrings, "core/x.py", '"""S."""\ndef f(): ...', '"""S."""\ndef _f(): ...'),
    (rules.missing_docstrings, "core/x.py", '"""S."""\nclass A: ...', '"""S."""\nclass A:\n    """A."""'),
    (rules.banned, "core/x.py", "import pickle", "import json"),
    (rules.banned, "core/x.py", "from dill import loads", "from json import loads"),
    (rules.banned, "core/x.py", "eval('1')", "model.eval()"),
    (rules.banned, "core/x.py", "yaml.load(f)", "yaml.safe_load(f)"),
    (rules.banned, "core/x.py", "f(trust_remote_code=True)", "f(trust_remote_code=False)"),
    (rules.banned, "core/x.py", "torch.load(p, weights_only=False)", "torch.load(p, weights_only=True)"),
    (rules.banned, "core/x.py", "run(c, shell=True)", "run(c)"),
    (rules.banned, "core/x.py", "try:\n    f()\nexcept:\n    raise", "try:\n    f()\nexcept OSError:\n    pass"),
    (
        rules.banned,
        "core/x.py",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept Exception as e:\n    raise E from e",
    ),
    (rules.banned, "core/x.py", "print(1)", "log(1)"),
    (rules.banned, "data/x.py", "open(p, 'w')", "open(p)"),
    (rules.banned, "data/x.py", "p.open('ab')", "p.open('rb')"),
    (rules.banned, "data/x.py", "av.open(p, mode='w')", "av.open(p)"),
    (rules.banned, "data/x.py", "p.write_text('x')", "atomic.write_text(p, 'x')"),
    (rules.banned, "data/x.py", "torch.save(a, p)", "save_tensors(p, a)"),
    (rules.banned, "data/x.py", "importlib.import_module(name)", "importlib.import_module('metaworld')"),
    (rules.banned, "data/x.py", "def f():\n    global x", "def f():\n    x = 1"),
    (rules.missing_header, "policies/x.py", '"""X."""', HEADER),
]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), CASES)
def test_rule_flags_the_bad_and_passes_the_good(rule, path, bad, good):
    assert rule(rules.module(path, bad)), bad
    assert not rule(rules.module(path, good)), good


def test_cycle_is_found():
    a = rules.module("core/a.py", "from embodia.core import b")
    b = rules.module("core/b.py", "from embodia.core import a")
    late = rules.module("core/b.py", "def f():\n    from embodia.core import a")
    assert rules.cycles([a, b])
    assert not rules.cycles([a, late])


def test_copy_is_found():
    one = rules.module("core/a.py", f"def f():\n{LONG_BODY}")
    two = rules.module("core/b.py", f"def g():\n{LONG_BODY}")
    other = rules.module("core/b.py", f"def g():\n{LONG_BODY}\n    b = 1")
    short, line = "    a = b\n    return a", "    return b"
    assert rules.copies([one, two])
    assert rules.copies([rules.module(f"core/{name}.py", f"def f():\n{short}") for name in "ab"])
    assert not rules.copies([rules.module(f"core/{name}.py", f"def f():\n{line}") for name in "ab"])
    assert not rules.copies([one, other])


def test_parts_folders_do_not_import_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "SOURCE", tmp_path)
    for name in ("encoders", "decoders"):
        (tmp_path / "parts" / name).mkdir(parents=True)
    bad = rules.module("parts/encoders/a.py", "from embodia.parts.decoders import b")
    good = rules.module("parts/encoders/a.py", "from embodia.parts.encoders import b")
    assert rules.upward_imports(bad)
    assert not rules.upward_imports(good)
