"""The part of the plane of a roofline that is drawn, and the parts of the roofs in it.

Everything is in powers of ten: FLOP a byte to the right, FLOP a second upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..specs.units import unit_of_work
from .printable import printable
from .quantity import format_rate
from .rooflines import Ceiling

INTENSITY = "arithmetic intensity, FLOP/B"
_KINDS = ("arithmetic", "memory")


@dataclass(frozen=True, slots=True)
class Frame:
    """Powers of ten at the four sides."""

    left: float
    right: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a roof inside the frame, by the logarithms of its ends, left one first."""

    x: float
    y: float
    x_end: float
    y_end: float
    ceiling: Ceiling

    @property
    def level(self) -> bool:
        """Whether it is one of arithmetic; a memory's is slanted."""
        return self.ceiling.kind == "arithmetic"

    @property
    def dashed(self) -> bool:
        """Whether it is no limit: what others measured, what this machine attained."""
        return self.ceiling.ceiling in ("measured", "attained")

    @property
    def label(self) -> str:
        """``bf16 667 TFLOP/s, datasheet``."""
        return f"{label_of(self.ceiling)}, {self.ceiling.ceiling}"


def label_of(one: Ceiling) -> str:
    """``bf16 667 TFLOP/s``, ``HBM 2.9 TB/s``."""
    unit = unit_of_work(one.name) if one.kind == "arithmetic" else "B/s"
    return f"{name_of(one)} {format_rate(one.rate, unit)}"


def name_of(one: Ceiling) -> str:
    """``bf16``, ``HBM``: no longer than a name is."""
    return printable(one.name)[:_LONGEST]


#: Letters of a level's or a dtype's name, which a stranger's file may have made long.
_LONGEST = 40


def decades(low: float, high: float) -> list[float]:
    """The powers of ten between two logarithms."""
    return [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]


def fit(
    points: Sequence[tuple[float, float]], ceilings: Sequence[Ceiling], labels: float = 0.0
) -> Frame:
    """A frame with all points (FLOP/B, FLOP/s) and roofs, and air around them. ``labels``: the
    part of its width, at the right, which no point may reach where a level roof has its name."""
    arithmetic = [c.rate for c in ceilings if c.kind == "arithmetic"]
    memory = [c.rate for c in ceilings if c.kind == "memory"]
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    # The corners, where the roofs meet, belong into the picture.
    xs += [max(arithmetic) / min(memory) * 2] if arithmetic and memory else []
    ys += arithmetic
    left, right = math.log10(min(xs)) - 0.25, math.log10(max(xs)) + 0.25
    low, high = math.log10(min(ys)) - 0.25, math.log10(max(ys)) + 0.3
    right = max(right, left + 1)
    if arithmetic:
        right = max(right, (math.log10(max(x for x, _ in points)) - labels * left) / (1 - labels))
    return Frame(left, right, low, max(high, low + 1))


def cut(ceilings: Sequence[Ceiling], frame: Frame) -> list[Segment]:
    """The roofs that show in the frame. A memory's ends at the highest arithmetic, and an
    arithmetic starts at the fastest memory: beyond, neither is a limit of anything."""
    rates = {kind: [math.log10(c.rate) for c in ceilings if c.kind == kind] for kind in _KINDS}
    fastest = max(rates["memory"], default=math.inf)
    top = max(rates["arithmetic"], default=frame.high)
    segments = []
    for one in ceilings:
        rate = math.log10(one.rate)
        if one.kind == "arithmetic":
            segments.append(Segment(max(frame.left, rate - fastest), rate, frame.right, rate, one))
        else:
            start, stop = max(frame.left, frame.low - rate), min(frame.right, top - rate)
            segments.append(Segment(start, start + rate, stop, stop + rate, one))
    return [segment for segment in segments if segment.x_end > segment.x]
