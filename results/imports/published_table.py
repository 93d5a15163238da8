"""A table of published measurements: see ``trnbench.results.published``."""

from __future__ import annotations

from ..published import read_published
from ..record import Record
from .given import Given

PROGRAM = "a table of published measurements"


def is_published_table(given: Given) -> bool:
    heading = given.text.lstrip().partition("\n")[0].strip().split(",")
    return {"source_repo_or_doc", "model_params_or_shape"} <= set(heading)


def read_published_table(given: Given) -> list[Record]:
    """A record for each row. Raises what ``read_published`` raises."""
    records = read_published(given.path)
    return [record.model_copy(update={"run": given.run}) for record in records]
