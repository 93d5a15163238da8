"""Rates of roofs that were stored in words alone.

A record may say "2 cores x 64 FLOP/cycle x 3.31 GHz = 424 GFLOP/s" and have no number beside it:
it is from before there were such fields. Here, and nowhere else, the words are read.
"""

from __future__ import annotations

import re

from ..specs.roofline import ENGINES
from .record import RoofData

#: "419.8 GFLOP/s", "989 TOP/s", "820 GiB/s", as ``specs.units`` writes them and sources print them.
_RATE = re.compile(
    r"(\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,2})?) ([kKMGTPE]?i?)(FLOP/s|OP/s|B/s)(?!\w)"
)
_FACTORS = {
    "": 1.0,
    **{prefix: 1000.0**n for n, prefix in enumerate("kMGTPE", start=1)},
    **{f"{prefix}i": 1024.0**n for n, prefix in enumerate("KMGTPE", start=1)},
}
#: What a roof may be bound by that has no rate in the plane.
_ELSEWHERE = frozenset({"fabric", "dispatch"})


def with_rates(roof: RoofData) -> RoofData:
    """The roof with the rates that its words name, where it has no numbers of its own."""
    found: dict[str, object] = {}
    if roof.flops_per_s is None and roof.mfu_denominator:
        found["flops_per_s"] = read_rate(roof.mfu_denominator, "FLOP/s")
    if roof.bound_per_s is None and roof.bound and roof.bound not in _ELSEWHERE:
        unit = "FLOP/s" if roof.bound in ENGINES else "B/s"
        found["bound_per_s"] = read_rate(roof.denominator, unit)
        if roof.level is None and unit == "B/s":
            # A level was stored only where it was what bound the case.
            found |= {
                "level": roof.bound,
                "level_bytes_per_s": found["bound_per_s"],
                "level_denominator": roof.denominator,
            }
    return roof.model_copy(update=found) if found else roof


def read_rate(words: str, unit: str) -> float | None:
    """The last rate in that unit which the words name: what a sum comes to stands at its end,
    unless it was reached by something, which is said after it. OP/s count as FLOP/s."""
    rates = [
        float(match[1]) * _FACTORS[match[2]]
        for match in _RATE.finditer(words)
        if match[3].removeprefix("FL") == unit.removeprefix("FL") and match[2] in _FACTORS
    ]
    return rates[-1] if rates and rates[-1] > 0 else None
