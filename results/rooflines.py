"""The roofline of each device: where its cases stand, and the roofs that their records name.

S. Williams, A. Waterman, D. Patterson, Roofline: an insightful visual performance model for
multicore architectures, Communications of the ACM 52 (4), 2009.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from ..specs.roofline import ENGINES
from .rates import call_time
from .record import Record, RoofData, Status
from .roof_words import with_rates

#: A result this far over a ceiling that physics gives is wrong, whatever else it is.
ABOVE = 1.05
#: Of FLOP a byte, FLOP/s and B/s: what lies beyond is no device's.
_LEAST, MOST = 1e-9, 1e24
#: What nothing can pass; others' best and this machine's own can be passed by a better day.
LIMITS = ("datasheet", "engine", "derived")


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One roof: of arithmetic in FLOP/s (``name`` is the dtype, with the engine where it isn't
    the one for matrices) or of a memory level in B/s.

    ``words`` is the figure as the records have it, with how it comes about.
    """

    kind: Literal["arithmetic", "memory"]
    name: str
    ceiling: str
    rate: float
    words: str


@dataclass(frozen=True, slots=True)
class Ridge:
    """FLOP a byte at which arithmetic in ``dtype`` and ``level`` meet under ``ceiling``."""

    ceiling: str
    dtype: str
    level: str
    flops_per_byte: float


@dataclass(frozen=True, slots=True)
class Point:
    """A case in the plane: FLOP per byte, and FLOP per second of one device."""

    record: Record
    intensity: float
    flops_per_s: float


@dataclass(frozen=True, slots=True)
class Roofline:
    """A device with its points under its roofs. ``absent`` counts cases with a result and no
    place: a copy does no arithmetic, and a workload may state no cost."""

    device: str
    points: list[Point]
    ceilings: list[Ceiling]
    ridges: list[Ridge]
    absent: int


def find_rooflines(records: Sequence[Record]) -> list[Roofline]:
    """One for each device that a record names, in their order, whether it has points or not.
    What is another share of a chip has other roofs, and so is another device."""
    own: dict[tuple[str, float | None], list[Record]] = {}
    for record in records:
        if record.device:
            own.setdefault((record.device.name, record.device.share), []).append(record)
    names = Counter(name for name, _ in own)
    return [
        _roofline(name if names[name] == 1 else f"{name}, {_part(some[0])}", some)
        for (name, _), some in own.items()
    ]


def _part(record: Record) -> str:
    """``0.5 of trainium1``."""
    device = record.device
    if device is None or device.share is None:
        return "an unknown part of a chip"
    return f"{device.share:g} of {device.chip or 'a chip'}"


def _roofline(device: str, own: Sequence[Record]) -> Roofline:
    points = [point for record in own if (point := locate(record)) is not None]
    ok = sum(record.status is Status.OK for record in own)
    ceilings = find_ceilings(own)
    return Roofline(device, points, ceilings, find_ridges(ceilings), ok - len(points))


def locate(record: Record) -> Point | None:
    """Where a case stands, or None: it has no result, no stated cost, does no arithmetic, or has
    figures that no machine could have.

    FLOP are of all engines, matrix, vector and scalar; bytes are those that its roofs count: all
    that operators move, or where they are compiled together what needn't stay between them.
    """
    cost, time = record.cost, call_time(record)
    if record.status is not Status.OK or cost is None or time is None:
        return None
    flops = cost.flops + cost.vector_flops + cost.scalar_flops
    counted = (roof.level_bytes for roof in record.roofs if roof.level_bytes is not None)
    moved = next(counted, cost.bytes_moved)
    if not (0 < flops <= MOST and 0 < moved <= MOST):
        return None
    intensity, rate = flops / moved, flops / time.value / record.case.devices
    return Point(record, intensity, rate) if _is_drawn(intensity) and _is_drawn(rate) else None


def find_ceilings(records: Iterable[Record]) -> list[Ceiling]:
    """Each roof that the records name, the fastest figure of each: a cache level has a rate for
    every working set that was measured in it."""
    found: dict[tuple[str, str, str], Ceiling] = {}
    for record in records:
        for roof in record.roofs:
            for one in _ceilings_of(record, roof):
                key = one.kind, one.name, one.ceiling
                if key not in found or one.rate > found[key].rate:
                    found[key] = one
    return sorted(found.values(), key=lambda one: (one.kind, -one.rate))


def find_ridges(ceilings: Sequence[Ceiling]) -> list[Ridge]:
    """Where each arithmetic meets each memory of the same ceiling; the least first."""
    ridges = [
        Ridge(top.ceiling, top.name, side.name, top.rate / side.rate)
        for top in ceilings
        for side in ceilings
        if top.kind == "arithmetic" and side.kind == "memory" and top.ceiling == side.ceiling
    ]
    return sorted(ridges, key=lambda one: one.flops_per_byte)


def _ceilings_of(record: Record, stored: RoofData) -> Iterator[Ceiling]:
    roof, dtype = with_rates(stored), record.case.dtype
    if _is_drawn(roof.flops_per_s):
        yield Ceiling("arithmetic", dtype, roof.ceiling, roof.flops_per_s, roof.mfu_denominator)
    if roof.bound in ("vector", "scalar") and _is_drawn(roof.bound_per_s):
        # Of the engines beside the one for matrices only what binds a case is stored.
        name = f"{dtype} {roof.bound}"
        yield Ceiling("arithmetic", name, roof.ceiling, roof.bound_per_s, roof.denominator)
    if roof.level and _is_drawn(roof.level_bytes_per_s):
        yield Ceiling(
            "memory", roof.level, roof.ceiling, roof.level_bytes_per_s, roof.level_denominator
        )


def _is_drawn(value: float | None) -> TypeGuard[float]:
    """Whether there is a figure, and one that an axis can have: a file may be a stranger's."""
    return value is not None and _LEAST <= value <= MOST


def binding_roof(record: Record) -> RoofData | None:
    """The roof that allows the least speed, which is the one to speak of; None where the case is
    held against none whose floor is known."""
    known = [roof for roof in record.roofs if roof.floor_s is not None]
    return max(known, key=lambda roof: roof.floor_s or 0.0, default=None)


def level_without_rate(record: Record) -> str | None:
    """The memory level that holds the working set, where nobody knows what it carries."""
    levels = (r.level for r in record.roofs if r.level and r.level_bytes_per_s is None)
    return next(levels, None)


def excess(record: Record, roof: RoofData) -> float | None:
    """How many times the speed that the roof allows at most was reached; None where it is no
    limit, or nothing is proved of it.

    A floor counts bytes that fusion or a cache may have saved, and proves nothing; the gate
    leaves them out. In a record without it the two are the same where an engine binds.
    """
    time = call_time(record)
    if roof.ceiling not in LIMITS or time is None:
        return None
    if roof.gate_s is not None:
        return roof.gate_s / time.value
    estimated = record.cost is not None and record.cost.estimated
    return roof.fraction if roof.bound in ENGINES and not estimated else None


def above_limits(points: Iterable[Point]) -> list[Point]:
    """The points that lie above a roof which nothing can pass."""
    return [
        point
        for point in points
        if any((excess(point.record, roof) or 0.0) > ABOVE for roof in point.record.roofs)
    ]
