"""Faults within one chip's figures, and in the names under which chips are recognised."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from .catalog import Catalog
from .chip import Chip
from .figure import Figure, Statement
from .finding import Finding, provenance_fault
from .systems import System
from .units import words_of_rate

#: Structured sparsity skips two of four, or three of four: a sparse peak is 2 or 4 times the
#: dense one, less what engines that don't skip contribute.
_SPARSE_TIMES = (1.7, 4.3)
#: Half the bits, twice the rate; beyond that the figure is another format's or a sparse one.
_NARROWER_TIMES = 2.1
_PAIRS = (("bf16", "fp8"), ("bf16", "int8"), ("fp16", "int8"), ("tf32", "bf16"), ("fp8", "fp4"))
#: Seconds to read the whole memory once: 16 ms on HBM, 160 ms on the DRAM of an Inferentia1.
_SWEEP_S = (0.005, 0.5)
#: FLOP per byte at which compute and memory take equally long, of the narrowest peak.
_RIDGE = (10.0, 5000.0)
_TDP_W = (20.0, 5000.0)
_MX = "mx"


def check_chip(chip: Chip, catalog: Catalog, last_day: dt.date) -> Iterator[Finding]:
    """Faults that the chip's own file shows."""
    file = catalog.files[chip.id].name

    def finding(field: str, rule: str, given: str, wanted: str) -> Finding:
        return Finding(file, chip.id, field, rule, given, wanted)

    for field, fact in _facts_of(chip):
        by_vendor = catalog.sources[fact.origin.source].is_vendors
        fault = provenance_fault(fact.origin, by_vendor=by_vendor, last_day=last_day)
        if fault is not None:
            yield finding(field, *fault)
        if chip.announced and fact.origin.status != "projected":
            yield finding(
                field,
                "projected",
                f"status {fact.origin.status} of a chip that is only announced",
                "status projected",
            )
    for rule in (
        _peaks,
        _sparsity,
        _memory,
        _onchip,
        _links,
        _power,
        _modes,
        _alternatives,
    ):
        for field, given, wanted in rule(chip):
            yield finding(field, rule.__name__.strip("_"), given, wanted)


def check_names(
    chips: Mapping[str, Chip], catalog: Catalog, systems: Sequence[System]
) -> Iterator[Finding]:
    """Two chips of one name, and a device's name that two chips would answer to."""
    samples = {system.id: system.chip for system in systems if system.level == "instance"}
    for one, other in combinations(chips.values(), 2):
        file = catalog.files[other.id].name
        if one.name == other.name:
            yield Finding(
                file, other.id, "name", "names", f"'{other.name}'",
                f"a name of its own: chip '{one.id}' has it",
            )  # fmt: skip
        both = [*map(_sample_of, (*one.names, *other.names)), one.name, other.name, *samples]
        for name in both:
            if _answers(one, name) and _answers(other, name):
                yield Finding(
                    file, other.id, "match.names", "names", f"patterns that match '{name}'",
                    f"patterns that don't: chip '{one.id}' answers to it",
                )  # fmt: skip
                break


def _facts_of(chip: Chip) -> Iterator[tuple[str, Figure | Statement]]:
    for section, name, fact in chip.facts:
        yield f"{section}.{name}", fact
    for disagreement in chip.disagreements:
        for number, other in enumerate(disagreement.alternatives, 1):
            yield f"disagreement.{disagreement.field}.{number}", other


Fault = tuple[str, str, str]


def _peaks(chip: Chip) -> Iterator[Fault]:
    """A peak in another format's field: TF32's as fp32, MXFP8's as fp8, one beyond twice."""
    for section in ("peak_dense", "tensor_engine_per_core"):
        peaks = chip.figures.get(section, {})
        for dtype, figure in peaks.items():
            block = peaks.get(_MX + dtype)
            wider = peaks.get("bf16")
            if block and wider and figure.si > _NARROWER_TIMES * wider.si:
                yield (
                    f"{section}.{dtype}",
                    f"{figure.words}, {figure.si / wider.si:.3g} times bf16",
                    f"the peak of plain {dtype}: {block.words} is {_MX}{dtype}'s, a format of its own",
                )
        if "fp32" in peaks and "tf32" in peaks and peaks["fp32"].si > 0.9 * peaks["tf32"].si:
            yield (
                f"{section}.fp32",
                f"{peaks['fp32'].words}, as much as tf32",
                f"the peak of full fp32; {peaks['tf32'].words} is TF32's",
            )
        for wide, narrow in _PAIRS:
            if wide in peaks and narrow in peaks:
                times = peaks[narrow].si / peaks[wide].si
                if times > _NARROWER_TIMES and not _is_sparse(chip, section, narrow):
                    yield (
                        f"{section}.{narrow}",
                        f"{peaks[narrow].words}, {times:.3g} times {wide}",
                        f"at most {_NARROWER_TIMES} times {wide}'s {peaks[wide].words}",
                    )


def _is_sparse(chip: Chip, section: str, dtype: str) -> bool:
    """Whether a dense figure is too near the sparse one to be dense: another rule's finding."""
    sparse = chip.figures.get(section.replace("dense", "sparse"), {}).get(dtype)
    dense = chip.figures[section][dtype]
    return section == "peak_dense" and sparse is not None and sparse.si < 1.5 * dense.si


def _sparsity(chip: Chip) -> Iterator[Fault]:
    """A sparse peak in a dense field, or the other way round."""
    least, most = _SPARSE_TIMES
    for dtype, dense in chip.peak_dense.items():
        sparse = chip.figure("peak_sparse", dtype)
        if sparse is not None and not least <= sparse.si / dense.si <= most:
            yield (
                f"peak_dense.{dtype}",
                f"{dense.words}; with sparsity {sparse.words}, {sparse.si / dense.si:.3g} times",
                f"a dense peak, which the sparse one is {least} to {most} times",
            )


def _memory(chip: Chip) -> Iterator[Fault]:
    """A bandwidth that is off by an order of magnitude, by two relations."""
    capacity, bandwidth = chip.figures["memory"]["capacity"], chip.figures["memory"]["bandwidth"]
    sweep_s = capacity.si / bandwidth.si
    if not _SWEEP_S[0] <= sweep_s <= _SWEEP_S[1]:
        yield (
            "memory.bandwidth",
            f"{bandwidth.words}: reading all {capacity.words} takes {sweep_s:.3g} s",
            f"a bandwidth that reads it in {_SWEEP_S[0]:g} to {_SWEEP_S[1]:g} s",
        )
        return
    peak = max((figure.si for figure in chip.peak_dense.values()), default=None)
    if peak is not None and not _RIDGE[0] <= peak / bandwidth.si <= _RIDGE[1]:
        yield (
            "peak_dense",
            (
                f"{words_of_rate(peak, 'FLOP/s')} at {bandwidth.words}: "
                f"{peak / bandwidth.si:.3g} FLOP per byte"
            ),
            f"{_RIDGE[0]:g} to {_RIDGE[1]:g} FLOP per byte",
        )


def _onchip(chip: Chip) -> Iterator[Fault]:
    """Caches of the size of a memory: MiB that became GB."""
    capacity = chip.figures["memory"]["capacity"]
    for name, figure in chip.figures.get("onchip", {}).items():
        if figure.dimension == "size" and figure.si > capacity.si / 40:
            yield (
                f"onchip.{name}",
                f"{figure.words} beside {capacity.words} of memory",
                "a size in MiB or MB: a cache is less than a fortieth of the memory",
            )


def _links(chip: Chip) -> Iterator[Fault]:
    """Both directions as one, one as both, and links without a direction."""
    links = chip.figures.get("interconnect", {})
    for name, figure in links.items():
        if not figure.direction:
            yield (
                f"interconnect.{name}",
                f"{figure.words} without direction",
                "direction: uni, bidirectional or not stated",
            )
        twin = links.get(name.removesuffix("_bidirectional") + "_unidirectional")
        if name.endswith("_bidirectional") and twin is not None:
            times = figure.si / twin.si
            if not 1.98 <= times <= 2.02:
                yield (
                    f"interconnect.{name}",
                    f"{figure.words}, {times:.3g} times the {twin.words} of one direction",
                    "twice one direction",
                )


def _power(chip: Chip) -> Iterator[Fault]:
    """No power and no word about it, or one that no chip takes."""
    powers = chip.figures.get("power", {})
    said = any(re.search(r"\bTDP\b|every absolute figure", text) for text in chip.missing)
    if not powers and not said:
        yield "power.tdp", "nothing", "a figure, or TDP in the list of what is missing"
    for name, figure in powers.items():
        if not _TDP_W[0] <= figure.si <= _TDP_W[1]:
            yield f"power.{name}", figure.words, f"{_TDP_W[0]:g} to {_TDP_W[1]:g} W"


def _modes(chip: Chip) -> Iterator[Fault]:
    """A mode LNC=n in which n cores don't make a device."""
    cores = chip.figure("cores", "physical")
    for device in chip.devices:
        logical = re.fullmatch(r"LNC=(\d+)", device.mode)
        if logical and cores is not None and device.per_chip * int(logical[1]) != cores.si:
            yield (
                f"device.{device.mode}.per_chip",
                f"{device.per_chip} devices of {logical[1]} cores",
                f"{cores.si / int(logical[1]):g}: the chip has {cores.si:g} cores",
            )


def _alternatives(chip: Chip) -> Iterator[Fault]:
    """A disagreement in which nobody disagrees."""
    for disagreement in chip.disagreements:
        section, _, name = disagreement.field.partition(".")
        chosen = chip.figures[section][name]
        for number, other in enumerate(disagreement.alternatives, 1):
            if other.si == chosen.si:
                yield (
                    f"disagreement.{disagreement.field}.{number}",
                    f"{other.words}, the chosen figure itself",
                    "a figure that differs from it",
                )


def _answers(chip: Chip, name: str) -> bool:
    return any(re.search(pattern, name, re.IGNORECASE) for pattern in chip.names)


def _sample_of(pattern: str) -> str:
    """A name that ``pattern`` matches, where it is as simple as the catalog's are."""
    text = re.sub(r"\(([^()|]*)(?:\|[^()]*)?\)\??", r"\1", pattern.strip("^$"))
    text = re.sub(r"\[[^]]*\][*?]", "", text)
    text = re.sub(r"\[([^]])[^]]*\]\+?", r"\1", text)
    return re.sub(r"\\(.)", r"\1", re.sub(r"\w\?", "", text))
