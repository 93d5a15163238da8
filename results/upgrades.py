"""Records of every schema, read as the present one has them.

A field that is new and has a default that means "not said" needs no new version: an older
program leaves such a field out and says so, a newer one reads its absence. What takes away,
renames, or gives another meaning to a field raises ``SCHEMA_VERSION``, and adds the function to
``UPGRADES`` that makes a record of the version before into one of the new. Nothing stored is
ever rewritten: a file keeps the versions that its lines were written with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .lines import RecordError, describe
from .printable import printable
from .record import SCHEMA_VERSION

Row = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)

#: By version: from a record of that version to one of the next. They take a row as it was
#: parsed, which needn't be a valid record, and may raise what such a row makes them raise.
UPGRADES: dict[int, Callable[[Row], Row]] = {}

#: What the first writers meant who didn't say.
_FIRST_VERSION = 1
#: A row with more of them is no record of a newer trnbench.
_MAX_UNKNOWN = 1000


def upgraded(row: Row, path: Path, line: int) -> Row:
    """A record's row as the present schema has it.

    Raises ``RecordError`` for a version that is newer, or none.
    """
    version = row.get("schema_version", _FIRST_VERSION)
    if version == SCHEMA_VERSION and not isinstance(version, bool):
        return row
    where = f"{path}: line {line}: "
    if not isinstance(version, int) or isinstance(version, bool):
        raise RecordError(
            printable(f"{where}field 'schema_version': {version!r:.60} given; wanted an integer")
        )
    if version > SCHEMA_VERSION:
        raise RecordError(
            printable(
                f"{where}schema_version {version} given; this trnbench reads up to "
                f"{SCHEMA_VERSION}: install a newer one"
            )
        )
    while version != SCHEMA_VERSION:
        if version not in UPGRADES:
            known = ", ".join(map(str, [*sorted(UPGRADES), SCHEMA_VERSION]))
            raise RecordError(
                printable(f"{where}schema_version {version} given; there are {known}")
            )
        try:
            row = UPGRADES[version](row)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise RecordError(
                printable(
                    f"{where}no record of schema_version {version}: {type(error).__name__} {error}"
                )
            ) from error
        version += 1
    return {**row, "schema_version": SCHEMA_VERSION}


def validated(
    model: type[Model], row: object, path: Path, line: int, unknown: Counter[str]
) -> Model:
    """The row as ``model`` has it, every value of its type: "1" is no number. Fields that it doesn't know are left out and counted in
    ``unknown``: a newer trnbench may have written them.

    Raises ``RecordError``, naming file, line and field, for anything else that isn't as it has
    to be.
    """
    try:
        return model.model_validate(row, strict=True)
    except ValidationError as error:
        extra = unknown_fields(error)
        if not extra or not isinstance(row, dict):
            raise RecordError(describe(path, line, error)) from error
    for place in extra:
        row = _without(row, place)
        unknown[printable(".".join(part for part in place if isinstance(part, str)))] += 1
    try:
        return model.model_validate(row, strict=True)
    except ValidationError as error:
        raise RecordError(describe(path, line, error)) from error


def unknown_fields(error: ValidationError) -> list[tuple[int | str, ...]]:
    """The places of the fields that the schema doesn't know; none where they are too many to be
    a newer program's."""
    if error.error_count() > _MAX_UNKNOWN:
        return []
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]


def tell_unknown(path: Path, unknown: Counter[str]) -> list[str]:
    """A sentence about the fields that were left out, if there were any."""
    if not unknown:
        return []
    names = sorted(unknown)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [
        printable(
            f"{path}: left out what this trnbench doesn't know: {', '.join(names[:5])}{more}; "
            "written by a newer one, or misspelt"
        )
    ]


def _without(value: Any, place: tuple[int | str, ...]) -> Any:
    """A copy of the value without what stands at this place."""
    first, rest = place[0], place[1:]
    if isinstance(value, dict):
        if not rest:
            return {key: inner for key, inner in value.items() if key != first}
        return {k: _without(inner, rest) if k == first else inner for k, inner in value.items()}
    if isinstance(value, list) and rest:
        return [_without(inner, rest) if n == first else inner for n, inner in enumerate(value)]
    return value
