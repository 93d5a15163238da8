"""Whether each backend can run here and now; if not, why, and what to do about it."""

from __future__ import annotations

import json
import platform
from typing import Any

from ..backends import registry
from ..backends.installation import find_version
from ..backends.protocol import Availability, Fact, Settings
from ..backends.toolchain import find_cpp_compiler, find_python_header, read_compiler_version


def diagnose() -> list[dict[str, Any]]:
    """One entry a backend: ``name``, ``available``, ``reason``, ``mend`` (what to do, or "")
    and ``facts``. Imports no torch and touches no device.

    A device that others hold right now isn't available: nothing could be measured on it.
    """
    return [
        {
            "name": name,
            "available": found.available,
            "reason": found.reason,
            "mend": found.mend,
            "facts": dict(found.facts),
        }
        for name, available in registry.availabilities().items()
        for found in [_ask_whether_busy(name, available)]
    ]


def read_tool_versions() -> dict[str, Fact]:
    """Versions of what every backend needs; ``None`` for what is absent."""
    compiler = find_cpp_compiler()
    return {
        "trnbench": find_version("trnbench"),
        "python": platform.python_version(),
        "torch": find_version("torch"),
        "c++": read_compiler_version(compiler) if compiler else None,
        "python_headers": find_python_header() is not None,
    }


def print_doctor(*, as_json: bool) -> None:
    """The diagnosis on standard output: a table and what to do, or one JSON object with
    ``versions`` and ``backends`` (see :func:`diagnose`) and nothing else."""
    versions, entries = read_tool_versions(), diagnose()
    if as_json:
        print(json.dumps({"versions": versions, "backends": entries}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("backend", "can run", "why"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        can_run = Text("yes", "green") if entry["available"] else Text("no", "yellow")
        table.add_row(entry["name"], can_run, Text(entry["reason"]))
    console = Console()
    console.print(Text(", ".join(f"{name} {_show(value)}" for name, value in versions.items())))
    console.print()
    console.print(table)
    # Below the table and unwrapped: there are commands in it, to be copied.
    mends = [entry for entry in entries if entry["mend"]]
    if mends:
        console.print("\nwhat to do", style="bold")
    for entry in mends:
        console.print(Text(f"{entry['name']}: {entry['mend']}"), soft_wrap=True)


def _show(version: Fact) -> str:
    if isinstance(version, bool):
        return "present" if version else "missing"
    return str(version or "missing")


def _ask_whether_busy(name: str, found: Availability) -> Availability:
    busy = registry.create(name).busy(Settings()) if found.available else None
    if busy is None:
        return found
    # Which processes they are is for whoever sits here: what a run stores doesn't hold it.
    held = found.facts.get("held")
    reason = f"{busy.reason}: {held}" if held else busy.reason
    return Availability(available=False, reason=reason, mend=busy.mend, facts=found.facts)
