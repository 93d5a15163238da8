"""What is installed, read from metadata and files: torch is never imported."""

from __future__ import annotations

import ast
from importlib import metadata, util
from pathlib import Path

from .protocol import Availability


def find_version(distribution: str) -> str | None:
    """Version of an installed distribution, or ``None``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def read_torch_build() -> dict[str, str | bool | None]:
    """What torch was built with: the constants of its ``version.py``, by name.

    Empty where torch isn't installed or has no such file. ``cuda``, ``hip`` and ``xpu`` are
    version strings, or ``None`` for a build without.
    """
    spec = util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return {}
    path = Path(spec.submodule_search_locations[0]) / "version.py"
    if not path.is_file():
        return {}
    return read_constants(path.read_text(encoding="utf-8"))


def read_constants(source: str) -> dict[str, str | bool | None]:
    """Top-level assignments of plain constants in a Python file, without running it."""
    found: dict[str, str | bool | None] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        value = statement.value
        if isinstance(value, ast.Constant) and (
            value.value is None or isinstance(value.value, str | bool)
        ):
            found |= {target.id: value.value for target in targets if isinstance(target, ast.Name)}
    return found


def check_torch() -> Availability | None:
    """Why nothing at all can run here; ``None`` when torch is installed."""
    if util.find_spec("torch") is None:
        return Availability(
            available=False,
            reason="torch is not installed",
            mend="pip install torch (https://pytorch.org/get-started/locally)",
        )
    return None
