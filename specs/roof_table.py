"""Every roof of one torch device of a chip, and where they meet: what ``trnbench specs roofline``
prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .chip import Chip
from .figure import CatalogError, Figure
from .levels import convert
from .roofline import ENGINES, Ceiling, Roof, ridge_points
from .roofs import roof_of_chip, roof_of_measured
from .silicon import device_share
from .units import Work, unit_of_work, words_of_cores, words_of_rate, words_of_size

#: What a NeuronCore has on it, and how the catalog calls its size and its bandwidth.
_SCRATCH = (("SBUF", "sbuf_per_core"), ("PSUM", "psum_per_core"))
_FILLED = (
    "each call fills it anew: it saves traffic between the operators of one graph, and holds no "
    "working set from call to call"
)


@dataclass(frozen=True, slots=True)
class RoofLine:
    """One roof. ``rate`` is in ``unit``, None with ``reason``; ``capacity_bytes`` None: without
    limit, or of an engine. ``words`` say how the rate comes about, ``source`` is of the figure
    behind it, with its date."""

    ceiling: Ceiling
    kind: Literal["arithmetic", "memory", "on chip"]
    name: str
    dtype: str
    rate: float | None
    unit: Work | Literal["B/s"]
    capacity_bytes: float | None
    words: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class RidgeLine:
    """FLOP a byte at which ``engine`` in ``dtype`` and ``level`` meet under ``ceiling``."""

    ceiling: Ceiling
    engine: str
    dtype: str
    level: str
    flops_per_byte: float


@dataclass(frozen=True, slots=True)
class RoofTable:
    """The roofs of one torch device, which is ``share`` of the chip."""

    chip: str
    name: str
    mode: str
    share: float
    announced: bool
    roofs: list[RoofLine]
    ridges: list[RidgeLine]


def roof_table(chip: Chip, dtypes: Sequence[str] = (), mode: str | None = None) -> RoofTable:
    """The roofs in ``dtypes``, in all that the chip has a peak for where none is named.

    ``CatalogError`` for a dtype without a peak, an unknown mode, and a chip of which the catalog
    doesn't say how many devices it shows.
    """
    for dtype in dtypes:
        if dtype not in chip.peak_dense:
            known = ", ".join(chip.peak_dense) or "none"
            raise CatalogError(f"chip '{chip.id}' has no dense peak in '{dtype}'; known: {known}")
    share = device_share(chip, mode)
    roofs = [
        (dtype, roof)
        for dtype in dtypes or tuple(chip.peak_dense)
        for roof in _roofs(chip, share.share, dtype)
    ]
    lines = [line for dtype, roof in roofs for line in _lines(roof, dtype)]
    ridges = [
        RidgeLine(roof.ceiling, one.engine, dtype, one.level, one.flops_per_byte)
        for dtype, roof in roofs
        for one in ridge_points(roof)
    ]
    return RoofTable(
        chip=chip.id,
        name=chip.name,
        mode=share.mode,
        share=share.share,
        announced=chip.announced,
        roofs=[*dict.fromkeys(lines), *_scratch(chip, share.cores)],
        ridges=list(dict.fromkeys(ridges)),
    )


def _roofs(chip: Chip, share: float, dtype: str) -> Iterator[Roof]:
    found = (
        roof_of_chip(chip, share, dtype, "datasheet"),
        roof_of_chip(chip, share, dtype, "engine"),
        roof_of_measured(chip, share, dtype),
    )
    yield from (roof for roof in found if roof is not None)


def _lines(roof: Roof, dtype: str) -> Iterator[RoofLine]:
    for engine in ENGINES:
        rate = roof.engines[engine]
        # Under each ceiling the tensor engine alone has a rate of its own.
        if engine != "tensor" and roof.ceiling != "datasheet":
            continue
        yield RoofLine(
            roof.ceiling,
            "arithmetic",
            engine,
            dtype,
            rate.flops_per_s,
            unit_of_work(dtype),
            None,
            rate.words,
            rate.reason,
            rate.source,
        )
    for level in roof.memory:
        yield RoofLine(
            roof.ceiling,
            "memory",
            level.name,
            "",
            level.bytes_per_s,
            "B/s",
            level.capacity_bytes,
            level.words,
            level.reason,
            level.source,
        )


def _scratch(chip: Chip, cores: int | None) -> Iterator[RoofLine]:
    """The memories on a NeuronCore: no roof of a call, and a size that its graph has to fit."""
    for name, field in _SCRATCH:
        size = chip.figure("onchip", field)
        if size is None or cores is None:
            continue
        bandwidth = chip.figure("onchip", field.replace("_per_core", "_bandwidth_per_core"))
        yield RoofLine(
            "engine",
            "on chip",
            name,
            "",
            None if bandwidth is None else convert(bandwidth.si, 1, cores),
            "B/s",
            convert(size.si, 1, cores),
            _scratch_words(size, bandwidth, cores),
            _FILLED,
            f"{size.origin.source}, {size.origin.date}",
        )


def _scratch_words(size: Figure, bandwidth: Figure | None, cores: int) -> str:
    held = words_of_size(int(convert(size.si, 1, cores)))
    words = f"{size.words} a core x {words_of_cores(cores)} = {held}"
    if bandwidth is None:
        return words
    note = f" ({bandwidth.origin.note})" if bandwidth.origin.note else ""
    total = words_of_rate(convert(bandwidth.si, 1, cores), "B/s")
    return f"{words}; {bandwidth.words} a core{note}, {total} in all"
