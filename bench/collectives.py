"""``trnbench collectives``: what nccom-test measured, in bytes per second."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..results.nccom import Collectives, read_collectives
from ..results.quantity import UNKNOWN, format_bytes, format_rate, format_seconds
from .errors import UsageError


def run_collectives_command(
    file: Path, operation: str | None, ranks: int | None, *, as_json: bool
) -> int:
    """Print the rows of a file; returns 0. Raises ``UsageError`` for a file that holds none."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
        found = read_collectives(text, operation, ranks)
    except OSError as error:
        raise UsageError(f"can't read '{file}': {error.strerror}; name another file") from error
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from error
    if as_json:
        print(json.dumps(asdict(found), indent=1))
    else:
        _print_collectives(found)
    return 0


def _print_collectives(found: Collectives) -> None:
    from rich.console import Console
    from rich.text import Text

    from ..results.columns import empty_table

    console = Console()
    console.print(Text(_describe(found)))
    statistics = [name for name in found.rows[0].times_s if name != "avg"]
    table = empty_table()
    for heading in ("size", "type", "time", *statistics, "size/time", "bus"):
        table.add_column(heading, justify="left" if heading == "type" else "right", no_wrap=True)
    if found.rows[0].algorithm:
        table.add_column("algorithm")
    for row in found.rows:
        cells = [
            f"{row.size_bytes} B",
            row.dtype,
            format_seconds(row.time_s),
            *(format_seconds(row.times_s.get(name)) for name in statistics),
            format_rate(row.bytes_per_s, "B/s"),
            format_rate(row.bus_bytes_per_s, "B/s"),
            *([row.algorithm] if row.algorithm else []),
        ]
        table.add_row(*map(Text, cells))
    console.print(table)
    average = found.average_bus_bytes_per_s
    mean = UNKNOWN if average is None else f"{format_bytes(average)}/s"
    console.print(Text(f"mean bus bandwidth {mean} (1 GB is 10^9 bytes)", style="bold"))
    for note in found.notes:
        console.print(Text(f"note: {note}"))


def _describe(found: Collectives) -> str:
    """What the file is of, and what its figures meant."""
    what = found.operation or "operation unstated (--operation)"
    over = f"over {found.ranks} ranks" if found.ranks else "ranks unstated (--ranks)"
    parts = [f"nccom-test: {what}, {over}"]
    if found.printed_unit == "GiB/s":
        parts.append("its GB/s are 2^30 bytes/s")
    elif found.printed_unit == "GB/s":
        parts.append("its GB/s are 10^9 bytes/s")
    if found.expected_bus_factor is not None:
        parts.append(f"bus factor {found.expected_bus_factor:.3g}, as printed")
    elif found.bus_factor is not None:
        parts.append(f"bus factor {found.bus_factor:.3g} as printed, not checked")
    return "; ".join(parts)
