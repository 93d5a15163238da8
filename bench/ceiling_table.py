"""What a person reads of a ceiling: the best matmul a dtype, bandwidth a level, dispatch."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..specs.attained import AttainedBandwidth, AttainedCeiling
from ..specs.units import words_of_rate, words_of_size
from .ceiling_levels import level_of

CONVENTION = (
    "Bandwidth: operands read once and results written once (copy two, triad three); the line "
    "that a cache fetches before it is written isn't counted, so updating in place attains the "
    "most. Dispatch is taken off. Best of several operators and processes."
)


def print_ceiling(ceiling: AttainedCeiling, path: Path, console: Console | None = None) -> None:
    """Tables, clock and dispatch, and where the file is."""
    console = console or Console()
    plural = "" if ceiling.threads == 1 else "s"
    threads = "" if ceiling.threads is None else f", {ceiling.threads} thread{plural}"
    console.print(
        Text(f"\n{ceiling.backend}: {ceiling.device}{threads}, torch {ceiling.torch}", style="bold")
    )
    console.print(matmul_table(ceiling))
    console.print(bandwidth_table(ceiling))
    console.print(Text(CONVENTION, style="dim"))
    facts = []
    if ceiling.dispatch_s is not None:
        facts.append(f"dispatch of the smallest addition {ceiling.dispatch_s * 1e6:.3g} us")
    if ceiling.clock_hz is not None:
        facts.append(f"measured clock {ceiling.clock_hz / 1e9:.3g} GHz")
    console.print(Text("; ".join(facts)))
    console.print(Text(f"stored: {path}"))


def matmul_table(ceiling: AttainedCeiling) -> Table:
    table = Table("dtype", "best matmul", "m x n x k", "operator")
    table.columns[1].justify = "right"
    for dtype, best in ceiling.matmul.items():
        shape = " x ".join(map(str, best.shape))
        table.add_row(dtype, words_of_rate(best.flops_per_s, "FLOP/s"), shape, best.operator)
    return table


def bandwidth_table(ceiling: AttainedCeiling) -> Table:
    """One row a working set, under the name of the smallest level that holds it."""
    table = Table("level", "working set", "read", "copy", "triad", "reached by")
    for column in table.columns[1:5]:
        column.justify = "right"
    before = ""
    for point in ceiling.bandwidth:
        level = level_of(point.working_set_bytes, ceiling.caches, ceiling.memory)
        table.add_row(
            "" if level == before else level,
            words_of_size(point.working_set_bytes),
            *(_words(rate) for rate in _rates(point)),
            ", ".join(point.operators.get(name, "-") for name in ("read", "copy", "triad")),
        )
        before = level
    return table


def _rates(point: AttainedBandwidth) -> tuple[float | None, float | None, float | None]:
    return point.read_bytes_per_s, point.copy_bytes_per_s, point.triad_bytes_per_s


def _words(bytes_per_s: float | None) -> str:
    return "-" if bytes_per_s is None else words_of_rate(bytes_per_s, "B/s")
