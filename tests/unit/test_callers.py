"""Every function of the package is called, or named, somewhere in the package."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("backends", "bench", "models", "results", "specs")

#: Functions that only users or tests call, and why they are there all the same.
CALLED_FROM_OUTSIDE = {
    "results.statistics.paired_ratio": "judges interleaved pairs, which a stored run doesn't have; "
    "tests/experiments/bare_loop.py measures some",
    "results.page.blocks.Cell.prose": "templates/blocks.html.j2 asks each cell",
}
#: Methods that a library calls on a class derived from one of its own.
METHODS_OF_LIBRARIES = {"forward", "parse_args", "reportinfo", "repr_failure", "runtest"}
#: What these decorate is called by the library that the decorator belongs to.
CALLED_BY_A_LIBRARY = {
    "callback",
    "command",
    "field_serializer",
    "field_validator",
    "fixture",
    "hookimpl",
    "model_serializer",
    "model_validator",
}


def decorators(node):
    """The last name of each decorator: ``@app.command("x")`` is "command"."""
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        yield called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def defined(path, tree):
    """(qualified name, node) of each function, method and class that somebody must call."""
    module = ".".join(Path(path).with_suffix("").parts)

    def inside(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}.{child.name}"
                derived = isinstance(node, ast.ClassDef) and node.bases
                if not (
                    child.name.startswith(("__", "pytest_"))
                    or CALLED_BY_A_LIBRARY.intersection(decorators(child))
                    or (derived and child.name in METHODS_OF_LIBRARIES)
                ):
                    yield name, child
                yield from inside(child, name)
            else:
                yield from inside(child, prefix)

    yield from inside(tree, module)


def named(tree):
    """Names that a tree mentions. An import alone is no use of what it imports, unless it gives
    it another name. Text counts in ``__all__``, as "package.module:function", and as the name
    of a class that is loaded late."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.alias(name=name, asname=str(other)) if other != name:
                yield name
            case ast.Constant(value=str(text)):
                name = text.rpartition(":")[2]
                if name.isidentifier() and (name != text or name[0].isupper()):
                    yield name
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                yield from (element.value for element in value.elts)


def uncalled(root):
    trees = {
        path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for folder in (*ROOMS, ".")
        for path in sorted((root / folder).glob("**/*.py" if folder in ROOMS else "*.py"))
    }
    mentions = Counter(name for tree in trees.values() for name in named(tree))
    found = []
    for path, tree in trees.items():
        for qualified, node in defined(path, tree):
            # A function that only calls itself has no caller.
            own = sum(name == node.name for name in named(node))
            if mentions[node.name] <= own:
                found.append(qualified.replace(".__init__", ""))
    return found


@pytest.fixture(scope="module")
def without_caller():
    return set(uncalled(ROOT))


def test_every_function_has_a_caller(without_caller):
    assert sorted(without_caller - CALLED_FROM_OUTSIDE.keys()) == []


def test_the_list_of_exceptions_is_not_longer_than_it_must_be(without_caller):
    assert sorted(CALLED_FROM_OUTSIDE.keys() - without_caller) == []


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("def lonely(): ...", {"bench.planted.lonely"}),
        ("def lonely(): return lonely()", {"bench.planted.lonely"}),
        ("class Lonely:\n    def used(self): ...\n    x = used", {"bench.planted.Lonely"}),
        ("class C:\n    def lonely(self): ...\nC()", {"bench.planted.C.lonely"}),
        ("from x import lonely\ndef lonely(): ...", {"bench.planted.lonely"}),
        ("class C:\n    def forward(self): ...\nC()", {"bench.planted.C.forward"}),
        ("def lonely(): ...\nkey = 'lonely'", {"bench.planted.lonely"}),
        ("def called(): ...\ncalled()", set()),
        ("from .x import called as other\ndef called(): ...\nother()", set()),
        ("class C(Module):\n    def forward(self): ...\nC()", set()),
        ("class Late: ...\nlate = ('.planted', 'Late')", set()),
        ("def reached(): ...\nprogram = 'trnbench.bench.planted:reached'", set()),
        ("@app.command('x')\ndef command(): ...", set()),
        ("def pytest_configure(): ...", set()),
        ("def public(): ...\n__all__ = ['public']", set()),
    ],
)
def test_a_planted_function_without_a_caller_is_found(tmp_path, code, wanted):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "planted.py").write_text(code)

    assert set(uncalled(tmp_path)) == wanted
