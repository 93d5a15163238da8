"""Faults between a chip and what it is sold in: aggregates, networks, prices."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .catalog import Catalog
from .chip import Chip
from .figure import Figure
from .finding import Finding, date_fault, provenance_fault
from .prices import Price
from .systems import System

#: A printed aggregate is rounded: 42.8 PFLOP/s for 64 x 667.
_TOLERANCE = 0.01
#: Of a chip's peak, the part that its cores' tensor engines make: 0.92 to 1 in what is known.
_ENGINE_PART = 0.85
#: (ratio of what is given to what was wanted, its tolerance, rule, what it looks like)
_RATIOS = (
    (1e9 / 2**30, 0.002, "binary-unit", "GB where the other figure has GiB"),
    (2**30 / 1e9, 0.002, "binary-unit", "GiB where the other figure has GB"),
    (1e6 / 2**20, 0.002, "binary-unit", "MB where the other figure has MiB"),
    (2**20 / 1e6, 0.002, "binary-unit", "MiB where the other figure has MB"),
    (8.0, 0.01, "bits", "bits where the other figure has bytes"),
    (1 / 8, 0.01, "bits", "bytes where the other figure has bits"),
    (2.0, 0.03, "package", "two of them: a package or a superchip for one GPU"),
)


@dataclass(frozen=True, slots=True)
class _Witness:
    """What another figure says one of the chip's must be: between ``low`` and ``high``."""

    file: str
    field: str
    figure: Figure
    low: float
    high: float
    times: int
    words: str

    def agrees(self, si: float) -> bool:
        return self.low <= si <= self.high


def check_aggregates(
    chip: Chip,
    systems: Sequence[System],
    chips: Mapping[str, Chip],
    file: str,
    faulty: Collection[str],
) -> Iterator[Finding]:
    """Chip times count against what is printed for the whole.

    Where one aggregate disagrees and another agrees, the aggregate is at fault; where all of
    two or more disagree, the chip's figure is. The fields in ``faulty`` are known to be wrong:
    nothing is reckoned from them.
    """
    for field, figure in _figures_of(chip):
        if field in faulty:
            continue
        witnesses = [*_engine(chip, field, file), *_printed(field, systems)]
        against = [one for one in witnesses if not one.agrees(figure.si)]
        if len(against) > 1 and len(against) == len(witnesses):
            rule, like = _explain(figure.si / _middle(against[0]))
            other = next((c.id for c in chips.values() if _has(c, field, figure, chip)), None)
            if rule == "aggregate" and other is not None:
                rule, like = "wrong-chip", f"what '{other}' has"
            yield Finding(
                file, chip.id, field, rule, f"{figure.words}{f' ({like})' if like else ''}",
                "; ".join(one.words for one in against),
            )  # fmt: skip
            continue
        for one in against:
            alone = len(witnesses) == 1 and one.file == file
            rule, like = _explain(_middle(one) / figure.si)
            yield Finding(
                one.file, chip.id, one.field, rule,
                f"{one.figure.words}{f' ({like})' if like else ''}",
                f"{one.times} x {figure.words} within {'15' if alone else '1'} %",
            )  # fmt: skip
    yield from _within(chip, file)


def check_systems(
    systems: Sequence[System], catalog: Catalog, last_day: dt.date
) -> Iterator[Finding]:
    """Chips that the catalog lacks, names that stand twice, dates and statuses."""
    seen: set[str] = set()
    for system in systems:
        at = f"{system.level}.{system.id}"
        if system.chip not in catalog.files:
            yield Finding(
                "instances.toml", system.chip, f"{at}.chip", "systems", f"'{system.chip}'",
                "a chip of the catalog",
            )  # fmt: skip
        if system.id in seen:
            yield Finding(
                "instances.toml", system.chip, at, "systems", "the same name twice", "each once"
            )
        seen.add(system.id)
        by_vendor = catalog.sources[system.origin.source].is_vendors
        fault = provenance_fault(system.origin, by_vendor=by_vendor, last_day=last_day)
        if fault is not None:
            yield Finding("instances.toml", system.chip, at, *fault)
        servers = system.servers
        if servers is not None and system.chips % servers:
            yield Finding(
                "instances.toml", system.chip, f"{at}.servers", "systems",
                f"{servers} servers of {system.chips} chips", "a divisor of the chips",
            )  # fmt: skip


def check_prices(
    prices: Sequence[Price], systems: Sequence[System], catalog: Catalog, last_day: dt.date
) -> Iterator[Finding]:
    """Prices of an unknown source or day, and those of a chip that don't make the instance's."""
    chips = {system.id: system.chips for system in systems}
    for number, price in enumerate(prices, 1):
        at = f"price.{number}.{price.instance}"

        def finding(
            field: str, given: str, wanted: str, at: str = at, of: Price = price
        ) -> Finding:
            return Finding(
                "instances.toml", of.chip or "-", f"{at}.{field}", "price", given, wanted
            )

        if price.source not in catalog.sources:
            yield finding("source", f"'{price.source}'", "a source that sources.toml lists")
        fault = date_fault(price.date, last_day)
        if fault is not None:
            yield finding("date", *fault)
        count = chips.get(price.instance)
        if count is not None and not math.isclose(
            price.usd_per_chip_hour * count, price.usd_per_hour, rel_tol=_TOLERANCE
        ):
            yield finding(
                "usd_per_chip_hour",
                f"{price.usd_per_chip_hour:g}",
                f"{price.usd_per_hour / count:.4f}: {price.usd_per_hour:g} over {count} chips",
            )


def _figures_of(chip: Chip) -> Iterator[tuple[str, Figure]]:
    for section in ("peak_dense", "memory", "network"):
        for name, figure in chip.figures.get(section, {}).items():
            yield f"{section}.{name}", figure


#: Field of a chip -> the figure of a system that is the same times its chips.
_PRINTED = {
    "memory.capacity": "memory",
    "memory.bandwidth": "memory_bandwidth",
    "network.efa_per_chip": "efa",
}


def _printed(field: str, systems: Sequence[System]) -> Iterator[_Witness]:
    section, _, dtype = field.partition(".")
    name = dtype if section == "peak_dense" else _PRINTED.get(field)
    for system in systems:
        figure = system.figures.get(name or "")
        if figure is None:
            continue
        share = figure.si / system.chips
        yield _Witness(
            "instances.toml", f"{system.level}.{system.id}.{name}", figure,
            share * (1 - _TOLERANCE), share * (1 + _TOLERANCE), system.chips,
            f"{figure.words} of {system.id} over {system.chips} chips",
        )  # fmt: skip


def _engine(chip: Chip, field: str, file: str) -> Iterator[_Witness]:
    section, _, dtype = field.partition(".")
    cores, engine = chip.figure("cores", "physical"), chip.tensor_engine_per_core.get(dtype)
    if section == "peak_dense" and cores is not None and engine is not None:
        whole = engine.si * cores.si
        yield _Witness(
            file, f"tensor_engine_per_core.{dtype}", engine, whole * (1 - _TOLERANCE),
            whole / _ENGINE_PART, int(cores.si),
            f"{cores.si:g} cores x {engine.words}, and up to {1 / _ENGINE_PART - 1:.0%} more",
        )  # fmt: skip


def _within(chip: Chip, file: str) -> Iterator[Finding]:
    """Figures of a core times the cores, parts of a link, and the GPUs of a rack."""
    cores = chip.figure("cores", "physical")
    core, whole = chip.figure("onchip", "sbuf_per_core"), chip.figure("onchip", "sbuf_per_chip")
    if cores is not None and core is not None and whole is not None:
        times = core.si * cores.si / whole.si
        if not math.isclose(times, 1, rel_tol=_TOLERANCE):
            rule, like = _explain(times)
            yield Finding(
                file, chip.id, "onchip.sbuf_per_core", rule,
                f"{core.words}{f' ({like})' if like else ''}",
                f"{whole.words} over {cores.si:g} cores",
            )  # fmt: skip
    rack = chip.figures.get("rack", {})
    for section, name, total in (
        ("memory", "capacity", "memory"),
        ("peak_sparse", "fp8", "fp8_sparse"),
    ):
        gpu = chip.figure(section, name)
        if gpu is None or not {"gpus", total} <= rack.keys():
            continue
        times = gpu.si * rack["gpus"].si / rack[total].si
        if not math.isclose(times, 1, rel_tol=_TOLERANCE):
            rule, like = _explain(times)
            yield Finding(
                file, chip.id, f"{section}.{name}", rule,
                f"{gpu.words}{f' ({like})' if like else ''}",
                f"{rack[total].words} of the rack over {rack['gpus'].si:g} GPUs",
            )  # fmt: skip


def _middle(one: _Witness) -> float:
    return (one.low + one.high) / 2


def _explain(ratio: float) -> tuple[str, str]:
    """The rule, and what a figure looks like that is ``ratio`` times what was wanted."""
    for known, tolerance, rule, like in _RATIOS:
        if math.isclose(ratio, known, rel_tol=tolerance):
            return rule, like
    return "aggregate", ""


def _has(other: Chip, field: str, figure: Figure, chip: Chip) -> bool:
    section, _, name = field.partition(".")
    theirs = other.figures.get(section, {}).get(name)
    return other.id != chip.id and theirs is not None and theirs.si == figure.si
