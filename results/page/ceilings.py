"""The roofs of a device's roofline, as its records state them: a rate, in words, for each case."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..record import Record, RoofData

#: "419.8 GFLOP/s" and "50.39 GB/s" as ``specs.units.words_of_rate`` writes them.
_RATE = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?) ([kMGTPE]?)(FLOP/s|B/s)(?!\w)")
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
ENGINES = frozenset({"tensor", "vector", "scalar"})


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One roof: of arithmetic in FLOP/s (``name`` is the dtype) or of a memory level in B/s.

    ``words`` is the denominator that the records give, with how the rate comes about.
    """

    kind: Literal["arithmetic", "memory"]
    name: str
    ceiling: str
    rate: float
    words: str


def find_ceilings(records: Iterable[Record]) -> list[Ceiling]:
    """Each roof that the records name, the fastest figure of each: a cache level has a rate for
    every working set that was measured in it. Without those whose words hold no rate."""
    found: dict[tuple[str, str, str], Ceiling] = {}
    for record in records:
        for roof in record.roofs:
            for one in _ceilings_of(record, roof):
                key = one.kind, one.name, one.ceiling
                if key not in found or one.rate > found[key].rate:
                    found[key] = one
    return sorted(found.values(), key=lambda one: (one.kind, -one.rate))


def read_rate(words: str, unit: str) -> float | None:
    """The last rate in that unit which the words name: what a sum comes to stands at its end,
    unless it was reached by something, which is said after it."""
    rates = [
        float(match[1]) * _FACTORS[match[2]] for match in _RATE.finditer(words) if match[3] == unit
    ]
    return rates[-1] if rates and rates[-1] > 0 else None


def _ceilings_of(record: Record, roof: RoofData) -> Iterable[Ceiling]:
    rate = read_rate(roof.mfu_denominator, "FLOP/s")
    if rate is not None:
        yield Ceiling("arithmetic", record.case.dtype, roof.ceiling, rate, roof.mfu_denominator)
    if roof.bound is None or roof.bound in ENGINES or roof.bound in ("fabric", "dispatch"):
        return
    rate = read_rate(roof.denominator, "B/s")
    if rate is not None:
        yield Ceiling("memory", roof.bound, roof.ceiling, rate, roof.denominator)
