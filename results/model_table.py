"""What a table of operators doesn't say of a model: latency by its name, items per chip and
dollar, MFU, padding, memory, and where a training step's time goes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from .columns import Column, fitted_table, say
from .quantity import (
    UNKNOWN,
    format_bytes,
    format_count,
    format_fraction,
    format_rate,
    format_seconds,
)
from .rates import Rates, find_rates
from .record import Record, RoofData

#: MFU is a published figure: against the datasheet where there is one, and never against what
#: this machine was seen to reach unless nothing else is known.
MFU_CEILINGS = ("datasheet", "derived", "engine", "attained")
PARTS = ("forward", "backward", "clip", "optimizer")
_DROPPED_FIRST = ("peak seen", "per chip", "split", "padding", "HFU", "memory", "mode")

Row = tuple[Record, Rates]


def is_model(record: Record) -> bool:
    """Whether a case is of a model, or of a training step: what has a memory model or a phase,
    and what somebody brought without a cost."""
    estimated = record.cost is not None and record.cost.estimated
    return record.footprint is not None or record.case.phase != "forward" or estimated


def print_models(records: Sequence[Record], console: Console) -> None:
    """The table of the models among ``records``, and what its columns are of; nothing where
    there is none."""
    rows = [
        (record, rates)
        for record in records
        if is_model(record) and (rates := find_rates(record)) is not None
    ]
    if not rows:
        return
    ceiling = choose_ceiling([record for record, _ in rows])
    columns = _columns(rows, ceiling)
    table = fitted_table(columns, rows, console.width, _DROPPED_FIRST, ("mode",))
    shown = {str(column.header).replace("\n", " ") for column in table.columns}
    left_out = {column.name for column in columns} - shown
    console.print()
    console.print(table)
    for line in explanations(rows, ceiling):
        if line.partition(":")[0] not in left_out:
            say(console, line, "dim")


def choose_ceiling(records: Sequence[Record]) -> str | None:
    """The ceiling that MFU is of: the one that most cases know, the first of equals."""
    known = {c: sum(_mfu(record, c) is not None for record in records) for c in MFU_CEILINGS}
    # "attained" is the last resort, however many cases know it.
    candidates = [name for name in MFU_CEILINGS[:-1] if known[name]] or ["attained"]
    best = max(candidates, key=lambda name: known[name])
    return best if known[best] else None


def explanations(rows: Sequence[Row], ceiling: str | None) -> list[str]:
    """What MFU is divided by, what a dollar buys, and what memory is."""
    said = {
        "TTFT": "time to the first token of a batch, calls queued back to back",
        "TPOT": "time of one more token of each, calls queued back to back",
    }
    used = dict.fromkeys(rates.latency for _, rates in rows)
    lines = [f"{name}: {said[name]}" for name in used if name in said]
    if any(split_shares(record) for record, _ in rows):
        lines.append(f"split: percent of a step for {' / '.join(PARTS)}, synchronised between")
    if ceiling is not None:
        rates_said = dict.fromkeys(
            f"{roof.mfu_denominator} ({record.case.dtype})"
            for record, _ in rows
            if (roof := _roof(record, ceiling)) is not None and roof.mfu is not None
        )
        lines.append(f"MFU: model FLOPs over the {ceiling} rate of {'; '.join(rates_said)}")
    if any(record.cost and record.cost.flops_recomputed for record, _ in rows):
        lines.append("HFU: with the work that is done twice to save memory, as it is counted")
    prices = dict.fromkeys(rates.price for _, rates in rows if rates.price is not None)
    lines += [f"per USD: {price.words} ({price.status})" for price in prices]
    if any(rates.per_chip is not None for _, rates in rows):
        lines.append("per chip: as if every device of the chip did as this one")
    if any(record.footprint for record, _ in rows):
        lines.append("memory: of tensors, by formula; libraries and allocators take more")
    return lines


def _columns(rows: Sequence[Row], ceiling: str | None) -> list[Column[Row]]:
    columns: list[Column[Row]] = [
        Column("model", "left", lambda r: f"{r[0].case.workload} {r[0].case.configuration}", True),
        Column("dtype", "left", lambda r: r[0].case.dtype),
    ]
    if len({record.case.mode for record, _ in rows}) > 1:
        columns.append(Column("mode", "left", lambda r: r[0].case.mode))
    columns += [
        Column("latency", "right", lambda r: f"{format_seconds(r[1].call_s)} {r[1].latency}"),
        Column("per device", "right", lambda r: format_rate(r[1].per_device, f"{r[1].unit}/s")),
    ]
    if any(rates.per_chip is not None for _, rates in rows):
        columns.append(
            Column("per chip", "right", lambda r: format_rate(r[1].per_chip, f"{r[1].unit}/s"))
        )
    if any(rates.per_usd is not None for _, rates in rows):
        columns.append(Column("per USD", "right", lambda r: format_count(r[1].per_usd)))
    if ceiling is not None:
        columns.append(Column("MFU", "right", partial(_mfu_text, ceiling=ceiling)))
        if any((roof := _roof(r, ceiling)) and roof.hfu is not None for r, _ in rows):
            columns.append(Column("HFU", "right", partial(_hfu_text, ceiling=ceiling)))
    if any(rates.padding for _, rates in rows):
        columns.append(Column("padding", "right", lambda r: format_fraction(r[1].padding)))
    columns.append(Column("memory", "right", lambda r: _memory(r[0])))
    if any(_peak_seen(record) for record, _ in rows):
        columns.append(Column("peak seen", "right", lambda r: format_bytes(_peak_seen(r[0]))))
    if any(split_shares(record) for record, _ in rows):
        columns.append(Column("split", "right", lambda r: _split(r[0])))
    return columns


def split_shares(record: Record) -> dict[str, float]:
    """The share of each part of a training step in the sum of them, of the medians of each
    process, over all processes; nothing where no step was taken apart."""
    medians: dict[str, list[float]] = {}
    for outcome in record.processes:
        for part in PARTS:
            if outcome.split_ns.get(part):
                medians.setdefault(part, []).append(statistics.median(outcome.split_ns[part]))
    total = sum(statistics.fmean(values) for values in medians.values())
    return {part: statistics.fmean(values) / total for part, values in medians.items()}


def _split(record: Record) -> str:
    shares = split_shares(record)
    return "/".join(f"{100 * shares.get(part, 0):.0f}" for part in PARTS) if shares else UNKNOWN


def _memory(record: Record) -> str:
    return format_bytes(record.footprint.peak) if record.footprint else UNKNOWN


def _peak_seen(record: Record) -> int | None:
    """What the device's allocator saw; on a host that is the size of a whole process, and says
    nothing of a model."""
    if record.case.backend == "cpu":
        return None
    seen = [o.peak_memory_bytes for o in record.processes if o.peak_memory_bytes is not None]
    return max(seen, default=None)


def _roof(record: Record, ceiling: str) -> RoofData | None:
    return next((roof for roof in record.roofs if roof.ceiling == ceiling), None)


def _mfu(record: Record, ceiling: str) -> float | None:
    roof = _roof(record, ceiling)
    return roof.mfu if roof else None


def _mfu_text(row: Row, ceiling: str) -> str:
    return format_fraction(_mfu(row[0], ceiling))


def _hfu_text(row: Row, ceiling: str) -> str:
    roof = _roof(row[0], ceiling)
    return format_fraction(roof.hfu if roof else None)
