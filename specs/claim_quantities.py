"""What the catalog gives for the quantity of a claim, at every level at which it is defined.

An aggregate is a chip's figure times the count of chips. The one that a source prints counts
beside it as long as the two agree within 1 %: sources round them each in their own way.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .catalog import Catalog, load_catalog
from .chip import Chip
from .claim import LEVELS, Claim, Quantity
from .figure import CatalogError, Figure, Provenance
from .levels import Amount, Level, amounts, convert
from .prices import find_price
from .systems import System, load_systems

_AGREE = 0.01
#: A vendor's own pairing: each chip's fastest format of eight bits.
_EIGHT_BITS = ("mxfp8", "fp8", "int8")
_FOUR_BITS = ("fp4", "mxfp4")
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"))
_SI_UNITS = {
    "peak": "FLOP/s",
    "sparse_peak": "FLOP/s",
    "memory": "B",
    "memory_bandwidth": "B/s",
    "peak_per_watt": "FLOP/s/W",
    "peak_per_dollar": "FLOP/s per USD an hour",
}


@dataclass(frozen=True, slots=True)
class World:
    """The catalog that claims are held against."""

    catalog: Catalog
    systems: tuple[System, ...]

    @classmethod
    def load(cls, folder: Path | None = None) -> World:
        """Of the catalog, or of a copy of it in ``folder``."""
        if folder is None:
            return cls(load_catalog(), load_systems())
        return cls(load_catalog(folder), load_systems(folder / "instances.toml"))


@dataclass(frozen=True, slots=True)
class Value:
    """A figure in SI base units: of what, how it reads, and from where. ``per_chip`` and
    ``chips`` are its factors where it is an aggregate."""

    si: float
    of: str
    words: str
    origins: tuple[Provenance, ...]
    per_chip: float | None = None
    chips: float | None = None

    @property
    def projected(self) -> bool:
        """Whether it is of what isn't sold yet."""
        return any(one.status == "projected" for one in self.origins)

    @property
    def unconfirmed(self) -> bool:
        """Whether no page of the vendor's stands behind a part of it."""
        return any(one.unconfirmed for one in self.origins)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reading of a claim: ``value`` at ``level`` for this ``pairing`` (a dtype, or two), with
    the arithmetic. ``sides`` are what it was computed from."""

    level: Level
    of: str
    pairing: str
    value: float
    arithmetic: str
    sides: tuple[Value, ...]
    quantity: Quantity
    text: str = ""
    unit: str = field(default="")

    @property
    def projected(self) -> bool:
        return any(side.projected for side in self.sides)

    @property
    def unconfirmed(self) -> bool:
        return any(side.unconfirmed for side in self.sides)


def candidates(claim: Claim, world: World) -> list[Candidate]:
    """Every reading of a claim that the catalog has figures for. Raises ``CatalogError`` for a
    chip or a system that it doesn't know."""
    for name in claim.systems:
        if name not in {system.id for system in world.systems}:
            known = ", ".join(system.id for system in world.systems)
            raise CatalogError(f"claim '{claim.id}', field 'systems': '{name}'; known: {known}")
    known_dtypes = dict.fromkeys(
        dtype for chip in world.catalog.chips.values() for dtype in chip.peak_dense
    )
    for dtype in claim.dtypes:
        if dtype not in known_dtypes:
            known = ", ".join(known_dtypes)
            raise CatalogError(f"claim '{claim.id}', field 'dtypes': '{dtype}'; known: {known}")
    found: list[Candidate] = []
    for quantity in claim.quantities:
        if quantity in _SI_UNITS:
            found += _of_figures(claim, quantity, world)
        else:
            found += _COUNTED[quantity](claim, world)
    return found


def _of_figures(claim: Claim, quantity: Quantity, world: World) -> Iterator[Candidate]:
    """Peaks, memory and what they are divided by: absolute, or of one chip against another."""
    for level in LEVELS:
        # A cluster is as large as somebody made it: only a claim about one is held against it.
        if level == "cluster" and claim.level != "cluster":
            continue
        subjects = list(_values(claim, quantity, claim.chips, level, world))
        if claim.kind == "absolute":
            for dtype, value in subjects:
                yield Candidate(
                    level,
                    value.of,
                    dtype,
                    value.si,
                    value.words,
                    (value,),
                    quantity,
                    unit=_SI_UNITS[quantity],
                )
            continue
        bases = list(_values(claim, quantity, claim.baseline_chips, level, world, base=True))
        for dtype, value in subjects:
            for base_dtype, base in bases:
                if base.si and pairs(dtype, base_dtype, {name for name, _ in bases}):
                    yield _ratio(level, quantity, (dtype, value), (base_dtype, base))


def pairs(dtype: str, base: str, known: Collection[str]) -> bool:
    """Whether a figure in ``dtype`` may stand against one in ``base``: the same, or formats of as
    many bits where the baseline, which has ``known`` ones, lacks the subject's own."""
    if dtype == base:
        return True
    for formats in (_EIGHT_BITS, _FOUR_BITS):
        if dtype in formats and base in formats and dtype not in known:
            return base == next(one for one in formats if one in known)
    return False


def _ratio(
    level: Level, quantity: Quantity, subject: tuple[str, Value], base: tuple[str, Value]
) -> Candidate:
    (dtype, value), (base_dtype, of) = subject, base
    pairing = dtype if dtype == base_dtype else f"{dtype} against {base_dtype}"
    ratio = value.si / of.si
    arithmetic = f"{value.words} / {of.words} = {ratio:.3g}"
    if (
        value.per_chip is not None
        and value.chips is not None
        and of.per_chip is not None
        and of.chips is not None
        and level not in ("chip", "stack")
    ):
        arithmetic += f" ({value.chips / of.chips:.3g} x as many chips"
        arithmetic += f", {value.per_chip / of.per_chip:.3g} x each)"
    of_both = value.of if value.of == of.of else f"{value.of} against {of.of}"
    return Candidate(level, of_both, pairing, ratio, arithmetic, (value, of), quantity)


def _values(
    claim: Claim,
    quantity: Quantity,
    chips: Sequence[str],
    level: Level,
    world: World,
    *,
    base: bool = False,
) -> Iterator[tuple[str, Value]]:
    for chip_id in chips:
        chip = world.catalog.chip(chip_id)
        for dtype, figure in _chip_figures(chip, quantity):
            if (
                claim.dtypes
                and dtype
                and dtype not in claim.dtypes
                and not _stands_in(dtype, claim)
            ):
                continue
            for value in _at_level(chip, dtype, figure, quantity, level, world):
                named = {s.id for s in world.systems if s.id in claim.systems and s.chip == chip_id}
                of_system = level in ("instance", "ultraserver", "cluster")
                if of_system and named and not base and value.of.partition(",")[0] not in named:
                    same_level = {s.id for s in world.systems if s.level == level}
                    if named & same_level:
                        continue
                yield dtype, value


def _stands_in(dtype: str, claim: Claim) -> bool:
    """Whether a format of as many bits is meant by those that a claim names."""
    return any(
        dtype in formats and set(claim.dtypes) & set(formats)
        for formats in (_EIGHT_BITS[:2], _FOUR_BITS)
    )


def _chip_figures(chip: Chip, quantity: Quantity) -> Iterator[tuple[str, Figure]]:
    if quantity in ("peak", "peak_per_watt", "peak_per_dollar"):
        yield from chip.peak_dense.items()
    elif quantity == "sparse_peak":
        yield from chip.figures.get("peak_sparse", {}).items()
    else:
        name = "capacity" if quantity == "memory" else "bandwidth"
        figure = chip.figure("memory", name)
        if figure is not None:
            yield "", figure


def _at_level(
    chip: Chip, dtype: str, figure: Figure, quantity: Quantity, level: Level, world: World
) -> Iterator[Value]:
    if quantity in ("peak_per_watt", "peak_per_dollar"):
        if level == "chip":
            yield from _per_cost(chip, figure, quantity)
        return
    for amount in _counted(chip, quantity, level, world):
        count, system, of = amount.chips, amount.system, _words_of(amount, chip)
        si = convert(figure.si, 1, count)
        origins = (figure.origin, *([system.origin] if system else []))
        words = figure.words if count == 1 else _scaled(si, figure, convert(figure.value, 1, count))
        yield Value(si, of, words, origins, figure.si, count)
        printed = system.figures.get(_aggregate_name(quantity, dtype)) if system else None
        if printed is not None and abs(printed.si / si - 1) <= _AGREE:
            each = convert(printed.si, count, 1)
            yield Value(printed.si, of, printed.words, (printed.origin,), each, count)


def _scaled(si: float, figure: Figure, value: float) -> str:
    """``362.4 PFLOP/s``; memory stays in the unit that its page has."""
    unit = {"rate": "FLOP/s", "bandwidth": "B/s"}.get(figure.dimension)
    if unit is None:
        return f"{value:,.5g} {figure.unit}"
    factor, prefix = next((one for one in _PREFIXES if si >= one[0]), (1.0, ""))
    return f"{si / factor:.4g} {prefix}{unit}"


def _aggregate_name(quantity: Quantity, dtype: str) -> str:
    return {"peak": dtype, "sparse_peak": "sparse"}.get(quantity, quantity)


def _counted(chip: Chip, quantity: Quantity, level: Level, world: World) -> tuple[Amount, ...]:
    """The units of a level that a claim may mean: the mode that torch uses if nobody chooses,
    the largest instance, each UltraServer and cluster; a stack of what lies in it only."""
    if level == "stack" and quantity not in ("memory", "memory_bandwidth"):
        return ()
    found = amounts(chip, level, world.systems)
    return found[:1] if level in ("device", "instance") else found


def _words_of(amount: Amount, chip: Chip) -> str:
    if amount.system is not None:
        return amount.detail
    kind = {"stack": "memory stack of "}.get(amount.level, f"{amount.level} of ")
    mode = f", {amount.detail}" if amount.detail else ""
    return chip.id if amount.level == "chip" else f"{kind}{chip.id}{mode}"


def _per_cost(chip: Chip, figure: Figure, quantity: Quantity) -> Iterator[Value]:
    if quantity == "peak_per_watt":
        power = chip.figure("power", "tdp") or chip.figure("power", "tbp")
        if power is not None:
            words = f"({figure.words} / {power.words})"
            yield Value(figure.si / power.si, chip.id, words, (figure.origin, power.origin))
        return
    price = find_price(chip.id)
    if price is not None:
        origin = Provenance(price.source, price.date, "press")
        words = f"({figure.words} / {price.usd_per_chip_hour:.4g} USD an hour)"
        yield Value(figure.si / price.usd_per_chip_hour, chip.id, words, (figure.origin, origin))


def _sparsity(claim: Claim, world: World) -> Iterator[Candidate]:
    """The sparse peak over the dense one of the same chip, for each dtype."""
    for chip_id in claim.chips:
        chip = world.catalog.chip(chip_id)
        for dtype, sparse in chip.figures.get("peak_sparse", {}).items():
            dense = chip.peak_dense.get(dtype)
            if dense is None or (claim.dtypes and dtype not in claim.dtypes):
                continue
            sides = tuple(
                Value(one.si, chip_id, one.words, (one.origin,)) for one in (sparse, dense)
            )
            ratio = sparse.si / dense.si
            said = f"{sparse.words} sparse / {dense.words} dense = {ratio:.3g}"
            yield Candidate("chip", chip_id, dtype, ratio, said, sides, "sparsity")


def _chips(claim: Claim, world: World) -> Iterator[Candidate]:
    """How many chips a system holds; of one chip's over those of another's for a ratio."""
    for level in ("instance", "ultraserver", "cluster"):
        own = list(_systems(claim, claim.chips, level, world, named=True))
        if claim.kind == "absolute":
            for system in own:
                value = _count_value(system)
                yield Candidate(
                    system.level, system.id, "", value.si, value.words, (value,), "chips"
                )
            continue
        for system in own:
            for base in _systems(claim, claim.baseline_chips, level, world):
                sides = _count_value(system), _count_value(base)
                ratio = system.chips / base.chips
                said = f"{system.chips:,} of {system.id} / {base.chips:,} of {base.id}"
                yield Candidate(
                    system.level,
                    f"{system.id} against {base.id}",
                    "",
                    ratio,
                    f"{said} = {ratio:.3g}",
                    sides,
                    "chips",
                )


def _systems(
    claim: Claim, chips: Sequence[str], level: str, world: World, *, named: bool = False
) -> list[System]:
    own = [s for s in world.systems if s.chip in chips and s.level == level]
    chosen = [s for s in own if s.id in claim.systems] if named else []
    largest = sorted(own, key=lambda system: -system.chips)
    return chosen or (largest[:1] if level == "instance" else largest)


def _count_value(system: System) -> Value:
    return Value(
        float(system.chips), system.id, f"{system.id} has {system.chips:,} chips", (system.origin,)
    )


def _ultraservers(claim: Claim, world: World) -> Iterator[Candidate]:
    """How many UltraServers a cluster's chips fill."""
    for cluster in _systems(claim, claim.chips, "cluster", world):
        for one in _systems(claim, claim.chips, "ultraserver", world):
            value = cluster.chips / one.chips
            said = f"{cluster.chips:,} chips of {cluster.id} / {one.chips} of {one.id}"
            yield Candidate(
                "cluster",
                f"{cluster.id} of {one.id}",
                "",
                value,
                f"{said} = {value:,.4g}",
                (_count_value(cluster), _count_value(one)),
                "ultraservers",
            )


def _parameters(claim: Claim, world: World) -> Iterator[Candidate]:
    """Parameters of two bytes (bf16) that fit a memory, with nothing else in it."""
    for level in LEVELS:
        for _, value in _values(claim, "memory", claim.chips, level, world):
            fits = value.si / 2
            said = f"{value.words} of {value.of} / 2 B = {fits:.3g} parameters in bf16"
            yield Candidate(level, value.of, "", fits, said, (value,), "parameters")


def _engine_types(claim: Claim, world: World) -> Iterator[Candidate]:
    """Engines with a clock of their own, and the cores for collectives beside them."""
    for chip_id in claim.chips:
        chip = world.catalog.chip(chip_id)
        engines = {
            name.removesuffix("_clock"): figure
            for name, figure in chip.figures.get("engines", {}).items()
            if name.endswith("_clock")
        }
        collective = chip.figure("cores", "cc_cores")
        names = [*engines, *(["collective"] if collective is not None else [])]
        if names:
            origins = tuple(one.origin for one in (*engines.values(), collective) if one)
            said = f"{', '.join(names)}: {len(names)}"
            value = Value(float(len(names)), chip_id, said, origins)
            yield Candidate("chip", chip_id, "", value.si, said, (value,), "engine_types")


def _core_generation(claim: Claim, world: World) -> Iterator[Candidate]:
    """The number at the end of what a chip's cores are called: NeuronCore-v4."""
    for chip_id in claim.chips:
        chip = world.catalog.chip(chip_id)
        number = re.search(r"v(\d+)", chip.core)
        cores = chip.figure("cores", "physical")
        if number and cores is not None:
            value = Value(float(number[1]), chip_id, f"its core is {chip.core}", (cores.origin,))
            yield Candidate("chip", chip_id, "", value.si, value.words, (value,), "core_generation")


def _generations(claim: Claim, world: World) -> Iterator[Candidate]:
    """How many of the named chips are sold."""
    sold = [one for one in claim.chips if not world.catalog.chip(one).announced]
    said = f"sold: {', '.join(sold)}, {len(sold)} in all"
    sides = tuple(
        Value(1.0, one, one, (figure.origin,))
        for one in sold
        if (figure := world.catalog.chip(one).figure("cores", "physical")) is not None
    )
    yield Candidate("chip", "the catalog", "", float(len(sold)), said, sides, "generations")


def _memory_stacks(claim: Claim, world: World) -> Iterator[Candidate]:
    for chip_id in claim.chips:
        chip = world.catalog.chip(chip_id)
        stacks, memory = chip.figure("memory", "stacks"), chip.figure("memory", "capacity")
        if stacks is not None and memory is not None:
            said = f"{stacks.value:g} stacks, {memory.words} / {stacks.value:g} = "
            said += f"{memory.value / stacks.value:g} {memory.unit} each"
            value = Value(stacks.si, chip_id, said, (stacks.origin, memory.origin))
            yield Candidate("chip", chip_id, "", stacks.si, said, (value,), "memory_stacks")


def _process_node(claim: Claim, world: World) -> Iterator[Candidate]:
    for chip_id in claim.chips:
        statement = world.catalog.chip(chip_id).statements.get("facts", {}).get("process_node")
        number = re.search(r"([\d.]+) ?nm", statement.text) if statement else None
        if statement and number:
            value = Value(float(number[1]), chip_id, statement.text, (statement.origin,))
            yield Candidate("chip", chip_id, "", value.si, statement.text, (value,), "process_node")


def _available(claim: Claim, world: World) -> Iterator[Candidate]:
    """Whether the day from which on a chip was to be had lies in the time that is claimed."""
    for chip_id in claim.chips:
        statement = world.catalog.chip(chip_id).statements.get("facts", {}).get("available")
        if statement is not None:
            value = Value(0.0, chip_id, statement.text, (statement.origin,))
            yield Candidate(
                "chip",
                chip_id,
                "",
                0.0,
                f"{chip_id} was to be had from {statement.text}",
                (value,),
                "available",
                text=statement.text,
            )


def _chip_of_instance(claim: Claim, world: World) -> Iterator[Candidate]:
    for system in world.systems:
        if system.id in claim.systems:
            value = Value(0.0, system.id, system.chip, (system.origin,))
            said = f"{system.id} has {system.chips} of {system.chip}"
            yield Candidate(
                system.level,
                system.id,
                "",
                0.0,
                said,
                (value,),
                "chip_of_instance",
                text=system.chip,
            )


def _percent_of_factor(claim: Claim, world: World) -> Iterator[Candidate]:
    """What a factor is as an increase in per cent."""
    del world
    if claim.factor is not None:
        increase = (claim.factor - 1) * 100
        said = f"a factor of {claim.factor:g} is an increase of {increase:g} %"
        yield Candidate(claim.level, "arithmetic", "", increase, said, (), "percent_of_factor")


def _years_since(claim: Claim, world: World) -> Iterator[Candidate]:
    year = int(world.catalog.version[:4])
    if claim.since is not None:
        said = f"{year} - {claim.since} = {year - claim.since}"
        years = float(year - claim.since)
        yield Candidate(claim.level, "arithmetic", "", years, said, (), "years_since")


_COUNTED = {
    "sparsity": _sparsity,
    "memory_stacks": _memory_stacks,
    "chips": _chips,
    "ultraservers": _ultraservers,
    "parameters": _parameters,
    "engine_types": _engine_types,
    "core_generation": _core_generation,
    "generations": _generations,
    "process_node": _process_node,
    "available": _available,
    "chip_of_instance": _chip_of_instance,
    "percent_of_factor": _percent_of_factor,
    "years_since": _years_since,
}
