"""Runs by name: a stored one, or published measurements held against the same catalog."""

from __future__ import annotations

from pathlib import Path

from ..results.archive import read_run
from ..results.published import read_published
from ..results.store import StoredRun
from .errors import UsageError
from .roofs import published_roofs


def is_published(name: str) -> bool:
    """Whether a name is one of others' measurements, and not of a run of ours."""
    return name.partition("#")[0].endswith(".csv")


def read_any(name: str, out: Path) -> StoredRun:
    """The run that a person named: a file, folder, id or label of our own; or
    ``FILE.csv`` or ``FILE.csv#CHIP``, measurements that others published."""
    file, _, chip = name.partition("#")
    if not is_published(name):
        return read_run(name, out)
    if not Path(file).is_file():
        raise UsageError(f"no file '{file}'; wanted a CSV file of published measurements")
    records = read_published(Path(file), chip, roofs=published_roofs)
    if not records:
        raise UsageError(f"no row of '{file}' is of chip '{chip}'")
    return StoredRun(Path(file), tuple(records))
