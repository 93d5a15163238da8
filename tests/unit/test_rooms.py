"""Which room may import which, read from the code itself: the table in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("backends", "bench", "models", "results", "specs")

MAY_IMPORT = {
    "specs": {"specs"},
    "models": {"models", "specs"},
    "backends": {"backends"},
    "results": {"results", "specs"},
    "bench": {*ROOMS, "trnbench"},
}
#: No import of torch in these, not even inside a function.
WITHOUT_TORCH = ("specs/", "results/", "models/costs/", "models/family.py", "models/__init__.py")
HEAVY = ("torch", "pandas", "scipy", "numpy", "rich", "pydantic", "typer", "psutil")


def modules(root):
    """Path from the root -> syntax tree, for every module of the five rooms."""
    return {
        path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for room in ROOMS
        for path in sorted((root / room).rglob("*.py"))
    }


def imported(path, tree):
    """(dotted name, line) of every import in a module, wherever it stands; relative ones are
    made absolute. ``from a import b`` names a.b: b may be a module."""
    package = ("trnbench", *Path(path).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = (*base, *(node.module or "").split(".")) if node.module else base
            yield from ((".".join((*parts, alias.name)), node.lineno) for alias in node.names)


def room_of(name):
    """The room of a dotted name; "trnbench" for the root itself, None for others' packages."""
    first, _, rest = name.partition(".")
    if first in ROOMS:
        return first  # an absolute import that only works by accident of the working folder
    if first != "trnbench":
        return None
    second = rest.partition(".")[0]
    return second if second in ROOMS else "trnbench"


def violations(root):
    trees = modules(root)
    found = []
    for path, tree in trees.items():
        room = path.partition("/")[0]
        for name, line in imported(path, tree):
            target = room_of(name)
            if target is not None and target not in MAY_IMPORT[room]:
                found.append(f"{path}:{line}: {room}/ may not import {name}")
            if name.partition(".")[0] in ROOMS:
                found.append(f"{path}:{line}: {name} is imported by its bare name")
            if path.startswith(WITHOUT_TORCH) and name.partition(".")[0] == "torch":
                found.append(f"{path}:{line}: torch may not be imported here")
    return found


def test_every_room_is_read():
    paths = modules(ROOT)

    assert {path.partition("/")[0] for path in paths} == set(ROOMS)
    assert len(paths) > 20


def test_no_room_imports_what_it_may_not():
    assert violations(ROOT) == []


def test_only_the_face_and_the_command_lie_at_the_root():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize(
    ("path", "line", "wanted"),
    [
        ("specs/roofline.py", "from ..results import load", "specs/ may not import"),
        ("specs/roofline.py", "import trnbench.bench.case", "specs/ may not import"),
        ("specs/roofline.py", "def f():\n    import torch", "torch may not be imported"),
        ("results/store.py", "from torch import nn", "torch may not be imported"),
        ("results/store.py", "from ..backends.cpu import Cpu", "results/ may not import"),
        ("models/costs/matmul.py", "import torch.nn", "torch may not be imported"),
        ("models/matmul.py", "from trnbench import backends", "models/ may not import"),
        ("models/matmul.py", "from ..bench import case", "models/ may not import"),
        ("backends/cpu.py", "from .. import specs", "backends/ may not import"),
        ("backends/cpu.py", "from .. import __version__", "backends/ may not import"),
        ("bench/run.py", "from results.record import Record", "by its bare name"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, path, line, wanted):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(line)

    (found,) = violations(tmp_path)

    assert found.startswith(path)
    assert wanted in found


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("models/matmul.py", "import torch\nfrom ..specs.cost import Cost\nfrom . import program"),
        ("models/costs/matmul.py", "from ...specs.cost import Cost\nfrom ..family import Family"),
        ("backends/cpu.py", "def f():\n    import torch\nfrom .protocol import Backend"),
        ("bench/run.py", "from ..results.record import Record\nfrom .. import __version__"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path, path, line):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(line)

    assert violations(tmp_path) == []


def loaded_after(code):
    """Top-level names in sys.modules of a fresh interpreter that ran ``code``."""
    code += "\nimport json, sys\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_plugin_costs_next_to_nothing():
    loaded = loaded_after("import trnbench, trnbench.bench.plugin")

    assert "trnbench" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("room", ["specs", "results", "models/costs"])
def test_these_modules_load_without_torch(room):
    names = [
        "trnbench." + path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert names

    loaded = loaded_after("\n".join(f"import {name}" for name in names))

    assert "trnbench" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("command", ["list --json", "doctor --json", "--help"])
def test_commands_that_do_not_measure_load_no_torch(command):
    loaded = loaded_after(
        "import contextlib, io, sys\n"
        f"sys.argv = ['trnbench', *{command.split()!r}]\n"
        "from trnbench.bench.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    main()\n"
        "assert out.getvalue().strip(), 'nothing was printed'"
    )

    assert "trnbench" in loaded
    assert "torch" not in loaded


#: Names of devices and stacks: a workload that knows one isn't the same work everywhere.
DEVICES = ("cpu", "cuda", "hip", "mps", "neuron", "xla", "xpu", "is_cpu", "is_cuda", "is_mps")
#: Results are compared on the host; and torch's AdamW refuses there what other devices need.
#: What a user's module holds may lie anywhere: a program starts on the host.
MAY_ASK = {
    "models/accuracy.py": {"cpu"},
    "models/foreign.py": {"cpu"},
    "models/training.py": {"cpu", "is_cpu", "is_mps"},
}


def named_devices(tree):
    """Names of devices that a module uses: as a text, an attribute or an imported module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from {node.value.partition(":")[0]} & {*DEVICES}
        elif isinstance(node, ast.Attribute):
            yield from {node.attr} & {*DEVICES}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None) or ""
            yield from {part for name in (module, *names) for part in name.split(".")} & {*DEVICES}


def test_no_workload_names_a_device():
    workloads = {path: tree for path, tree in modules(ROOT).items() if path.startswith("models/")}
    found = {path: set(named_devices(tree)) for path, tree in workloads.items()}

    assert len(workloads) > 30
    assert {path: names for path, names in found.items() if names} == MAY_ASK


@pytest.mark.parametrize(
    "code",
    [
        "x.to('cuda')",
        "x.cuda()",
        "x.to('cuda:0')",
        "import torch_xla.core, torch.cuda",
        "x.is_cuda",
    ],
)
def test_a_device_that_is_named_is_found(code):
    assert set(named_devices(ast.parse(code)))
