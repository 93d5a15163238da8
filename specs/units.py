"""Units as sources print them, and the one place where they become SI base units."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Dimension = Literal["rate", "bandwidth", "size", "clock", "time", "power", "count", "fraction"]

GB = 10**9
GIB = 2**30

#: Unit -> (factor to the SI base unit, what it measures). Base units: FLOP/s (and integer
#: OP/s), B/s, bytes, Hz, s, W. Bits become bytes: 8 Gbit/s are 1e9 B/s.
UNITS: Mapping[str, tuple[float, Dimension]] = MappingProxyType(
    {
        "GFLOP/s": (1e9, "rate"),
        "TFLOP/s": (1e12, "rate"),
        "PFLOP/s": (1e15, "rate"),
        "EFLOP/s": (1e18, "rate"),
        "TOP/s": (1e12, "rate"),
        "GB/s": (1e9, "bandwidth"),
        "TB/s": (1e12, "bandwidth"),
        "GiB/s": (float(2**30), "bandwidth"),
        "TiB/s": (float(2**40), "bandwidth"),
        "Gbit/s": (1e9 / 8, "bandwidth"),
        "MB": (1e6, "size"),
        "GB": (1e9, "size"),
        "TB": (1e12, "size"),
        "KiB": (float(2**10), "size"),
        "MiB": (float(2**20), "size"),
        "GiB": (float(2**30), "size"),
        "GHz": (1e9, "clock"),
        "ns": (1e-9, "time"),
        "us": (1e-6, "time"),
        "W": (1.0, "power"),
        "count": (1.0, "count"),
        "fraction": (1.0, "fraction"),
    }
)

#: As people write it who say a rate of FLOP.
SPOKEN: Mapping[str, str] = MappingProxyType(
    {f"{prefix}FLOPS": f"{prefix}FLOP/s" for prefix in "GTPE"}
)


def to_si(value: float, unit: str) -> float:
    """``value`` in the SI base unit of ``unit``: 820 GiB/s is 8.805e11 (B/s).

    Raises ``ValueError`` for a unit that isn't in :data:`UNITS`.
    """
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
    # Whole numbers of bytes stay exact: a factor below one would round, a product doesn't.
    return value * UNITS[unit][0]


def dimension(unit: str) -> Dimension:
    """What ``unit`` measures; raises ``ValueError`` for an unknown one."""
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
    return UNITS[unit][1]


Work = Literal["FLOP/s", "OP/s"]


def unit_of_work(dtype: str) -> Work:
    """Operations on integers are OP/s."""
    return "OP/s" if dtype.startswith(("int", "uint")) else "FLOP/s"


def words_of_rate(per_s: float, unit: Literal["FLOP/s", "OP/s", "B/s"]) -> str:
    """For a person, in decimal steps: ``424 GFLOP/s``, ``3.35 TB/s``."""
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if per_s >= factor:
            return f"{per_s / factor:.4g} {prefix}{unit}"
    return f"{per_s:.4g} {unit}"


def words_of_size(size_bytes: int) -> str:
    """For a person, in binary steps: ``50 MiB``."""
    for factor, prefix in ((2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki")):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.4g} {prefix}B"
    return f"{size_bytes} B"


def words_of_cores(count: int) -> str:
    """For a person: ``1 core``, ``8 cores``."""
    return "1 core" if count == 1 else f"{count} cores"
