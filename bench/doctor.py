"""Whether each backend can run here; if not, why, and what to do about it."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from typing import Any

from ..backends import registry
from ..backends.installation import find_version
from ..backends.neuron_stacks import NeuronSetup, explain, find_neuron_setup
from ..backends.protocol import Fact
from ..backends.toolchain import find_cpp_compiler, find_python_header, read_compiler_version

NEURON_SETUPS = ("neuron", "neuron-xla")


def diagnose() -> list[dict[str, Any]]:
    """One entry a backend: ``name``, ``available``, ``reason``, ``mend`` (what to do, or "")
    and ``facts``. Imports no torch and touches no device.

    Known set-ups that have no backend in this release are listed after the backends.
    """
    entries = [
        {
            "name": name,
            "available": found.available,
            "reason": found.reason,
            "mend": found.mend,
            "facts": dict(found.facts),
        }
        for name, found in registry.availabilities().items()
    ]
    known = registry.names()
    return entries + list(_diagnose_neuron(find_neuron_setup(), known))


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


def _diagnose_neuron(setup: NeuronSetup, known: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for name in NEURON_SETUPS:
        if name in known:
            continue
        reason, mend = explain(setup, name)
        yield {
            "name": name,
            "available": False,
            "reason": f"{reason}; " * bool(reason) + "this release has no such backend yet",
            "mend": mend,
            "facts": setup.facts,
        }
