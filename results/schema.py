"""The record's schema as a page for people, made from the record's own types.

``python -m trnbench.results.schema > docs/records.md`` writes the page; a test compares.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from types import ModuleType

from pydantic import BaseModel

from . import record
from .record import ACCEPTED, SCHEMA_VERSION, SEVERITY, Record

INTRODUCTION = """\
# Records

*This page is made from `results/record.py` by `make docs`.*

A run is one file, `results/runs/RUN.jsonl`. Each line is one JSON object: the record of one
case. Lines are only ever added. While a run goes on, what each worker process has measured
stands in `RUN.partial` beside it; that file goes away when every case has its record.

    from trnbench.results import load

    frame = load("results/runs/RUN.jsonl")  # pandas, one row a case, typed columns

Schema version {version}. NaN and infinity are refused on writing and on reading; a field that
isn't listed here is refused on writing, and left out with a notice on reading: a newer trnbench
may have written it. `trnbench validate FILE` names every mistake with its line and field. A field that was not measured is null and says why in the field beside it.

## Status

Every record ends in one of these, the mildest first. The worst of a case's processes is the
record's, but that NOT_STEADY takes more than half of those that measured; `status_counts` holds
how many ended how. A run fails for any but {accepted}.

{statuses}
"""


def schema_page() -> str:
    """Markdown: a section for each type that a record is made of, outermost first."""
    classes = _class_definitions(record)
    introduction = INTRODUCTION.format(
        version=SCHEMA_VERSION,
        accepted=", ".join(f"`{status}`" for status in SEVERITY if status in ACCEPTED),
        statuses=", ".join(f"`{status}`" for status in SEVERITY),
    )
    aliases = _aliases(record)
    sections = [_section(model, classes[model.__name__], aliases) for model in _models(Record)]
    return "\n".join([introduction, *sections])


def _class_definitions(module: ModuleType) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _aliases(module: ModuleType) -> dict[str, str]:
    """The types that only say how they are read, by name: what stands first in ``Annotated``."""
    found = {}
    for node in ast.parse(inspect.getsource(module)).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Subscript(
                    value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[own, *_])
                ),
            ):
                found[name] = ast.unparse(own)
    return found


def _models(outermost: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and those that its fields hold, each once, in the order of first mention."""
    found = [outermost]
    for model in found:  # grows while it is walked
        for field in model.model_fields.values():
            found += [inner for inner in _mentioned(field.annotation) if inner not in found]
    return found


def _mentioned(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    arguments = getattr(annotation, "__args__", ())
    return [model for argument in arguments for model in _mentioned(argument)]


def _section(model: type[BaseModel], definition: ast.ClassDef, aliases: Mapping[str, str]) -> str:
    rows = [
        _row(name, _plainly(annotation, aliases), default, note)
        for name, (annotation, default, note) in _field_notes(definition).items()
    ]
    return "\n".join(
        [
            f"## {model.__name__}",
            "",
            _markdown(ast.get_docstring(definition) or ""),
            "",
            "| field | type | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _field_notes(definition: ast.ClassDef) -> dict[str, tuple[str, str, str]]:
    """Field name -> its type, its default ("" where it must be given), and the text below it."""
    notes: dict[str, tuple[str, str, str]] = {}
    for node, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = ast.unparse(node.value) if node.value else ""
            notes[node.target.id] = (ast.unparse(node.annotation), default, _text(following))
    return notes


def _plainly(annotation: str, aliases: Mapping[str, str]) -> str:
    for name, meant in aliases.items():
        annotation = annotation.replace(name, meant)
    return annotation


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value))
    return ""


def _row(name: str, annotation: str, default: str, note: str) -> str:
    meaning = " ".join(_markdown(note).split())
    code = f"`{default}`" if default else "must be given"
    return " | ".join([f"| `{name}`", *(_cell(t) for t in (annotation, code, meaning))]) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown(text: str) -> str:
    return text.replace("``", "`")


if __name__ == "__main__":
    print(schema_page(), end="")
