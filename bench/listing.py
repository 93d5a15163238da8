"""What there is to measure: every workload with what it exercises, its cost and its presets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ..models.family import DTYPES, PRESETS, Configuration, Family, Params
from ..models.registry import families
from ..results.quantity import format_bytes, format_count
from ..results.record import Record
from ..specs.cost import Cost, Footprint
from .errors import UsageError, unknown
from .registration import load_registered
from .selection import entries

#: Longer names are folded.
NAME_WIDTH = 28


def describe_workloads(preset: str, load: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row a configuration of the preset, in the order in which runs measure them.

    ``presets`` maps each preset to its entries, ``"bf16"`` or ``"bf16:compiled"``; ``cost``
    maps each dtype to the cost of one call, and is None where the author stated none; so does
    ``footprint`` to the memory of one call by formula. ``checked`` are the parameters of the
    smaller program on which numerics are checked, or None.
    """
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    load_registered(load)
    return [
        _describe(family, configuration)
        for family in families()
        for configuration in family.configurations
        if entries(configuration, preset)
    ]


def in_order(records: Sequence[Record]) -> list[Record]:
    """Records in the order in which workloads are listed: a run's file holds them in the order
    in which they were done, which is random. Those of unknown workloads come last, by name."""
    places = {
        (family.name, configuration.name): (i, j)
        for i, family in enumerate(families())
        for j, configuration in enumerate(family.configurations)
    }
    last = (len(places), 0)

    def place(record: Record) -> tuple[tuple[int, int], str, str, int, str]:
        case = record.case
        known = places.get((case.workload, case.configuration), last)
        dtype = DTYPES.index(case.dtype) if case.dtype in DTYPES else len(DTYPES)
        return known, case.workload, case.configuration, dtype, case.mode

    return sorted(records, key=place)


def _describe(family: Family, configuration: Configuration) -> dict[str, Any]:
    cost, footprint = family.cost, family.footprint
    return {
        "workload": family.name,
        "configuration": configuration.name,
        "exercises": family.summary,
        "phase": family.phase_of(configuration),
        "params": dict(configuration.params),
        "dtypes": list(configuration.dtypes),
        "presets": {
            name: [f"{d}:compiled" if c else d for d, c in entries(configuration, name)]
            for name in PRESETS
        },
        "cost": _by_dtype(cost, family, configuration),
        "footprint": _by_dtype(footprint, family, configuration),
        "checked": None if configuration.checked is None else dict(configuration.checked),
    }


def _by_dtype(
    formula: Callable[[Params, str], Cost | Footprint] | None,
    family: Family,
    configuration: Configuration,
) -> dict[str, Any] | None:
    if formula is None:
        return None
    try:
        return {d: asdict(formula(configuration.params, d)) for d in configuration.dtypes}
    except Exception as error:
        raise UsageError(
            f"the cost formula of '{family.name}[{configuration.name}]' raised "
            f"{type(error).__name__}: {error}; mend it in the module that registers the workload"
        ) from error


def print_workloads(rows: list[dict[str, Any]]) -> None:
    """A table for a person, that fits 80 columns; the costs are those of the first dtype."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    width = min(NAME_WIDTH, max(len(row["configuration"]) for row in rows))
    for name in dict.fromkeys(row["workload"] for row in rows):
        own = [row for row in rows if row["workload"] == name]
        console.print(Text(f"{name}: {own[0]['exercises']}", style="bold"))
        # Equal widths make one table of all families, whatever each holds.
        table = Table(
            box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=name == rows[0]["workload"]
        )
        table.add_column("configuration", width=width, overflow="fold")
        table.add_column("FLOP", min_width=7, justify="right")
        table.add_column("bytes", min_width=8, justify="right")
        table.add_column("memory", min_width=8, justify="right")
        table.add_column("dtypes", min_width=14)
        table.add_column("preset", min_width=8)
        for row in own:
            cost, need = (
                next(iter(row[name].values())) if row[name] else None
                for name in ("cost", "footprint")
            )
            table.add_row(
                row["configuration"],
                format_count(cost["flops"]) if cost else "unstated",
                format_bytes(cost["bytes_moved"]) if cost else "unstated",
                format_bytes(need["peak"]) if need else "",
                " ".join(row["dtypes"]),
                next((preset for preset, entries in row["presets"].items() if entries), ""),
            )
        console.print(table)
    console.print(f"{len(rows)} configurations; costs are of one call in the first dtype.")
