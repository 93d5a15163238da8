"""A table of published measurements: see ``trnbench.results.published``."""

from __future__ import annotations

import csv
import io

from ..published import COLUMNS, read_published
from ..record import Record
from .given import Given

PROGRAM = "a table of published measurements"


def is_published_table(given: Given) -> bool:
    heading = given.text.lstrip().partition("\n")[0].strip().split(",")
    return {"source_repo_or_doc", "model_params_or_shape"} <= set(heading)


def read_published_table(given: Given) -> list[Record]:
    """A record for each row. Raises ``ValueError`` for a row that is cut, and what
    ``read_published`` raises."""
    reader = csv.DictReader(io.StringIO(given.text, newline=""))
    for row in reader:
        # The reader of published tables trusts each row to have every column.
        if None in row or any(row.get(name) is None for name in COLUMNS):
            raise ValueError(
                f"line {reader.line_num}: more or fewer columns than the heading has: was it cut?"
            )
    try:
        records = read_published(given.path)
    except (ArithmeticError, AttributeError, KeyError, TypeError) as error:
        # It trusts the values too: a time of 0, a list in place of a number.
        raise ValueError(f"a row holds what no measurement has: {error}") from error
    return [record.model_copy(update={"run": given.run}) for record in records]
