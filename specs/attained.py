"""The attained ceiling: what one device really reached, as plain data that can be stored."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AttainedMatmul:
    """The best matrix multiplication of a dtype, the shape (m, n, k) that reached it, and the
    operator by name."""

    flops_per_s: float
    shape: tuple[int, ...]
    operator: str = ""


@dataclass(frozen=True, slots=True)
class AttainedBandwidth:
    """Bandwidth over a working set of that size, counted as a cost counts bytes: each operand
    read once, each result written once. None: not measured. ``operators``: what reached each."""

    working_set_bytes: int
    read_bytes_per_s: float | None
    copy_bytes_per_s: float | None
    triad_bytes_per_s: float | None
    operators: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> tuple[float, str] | None:
        """The highest of the three and its name."""
        rates = {
            "read": self.read_bytes_per_s,
            "copy": self.copy_bytes_per_s,
            "triad": self.triad_bytes_per_s,
        }
        known = [(rate, name) for name, rate in rates.items() if rate is not None]
        return max(known) if known else None


@dataclass(frozen=True, slots=True)
class CacheSize:
    """A cache by its name ("L1", "L2", "L3"), and what the threads used have of it together
    (two threads with 2 MiB each: 4 MiB)."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class AttainedCeiling:
    """One measurement of a device's ceiling.

    ``matmul`` maps dtype to the best found. ``bandwidth`` runs from small to large working
    sets. ``dispatch_s`` is the time of a call that does next to nothing. ``caches`` are those
    between the device's cores and its main memory, ``memory`` the name of that ("DRAM",
    "HBM"). ``machine`` is the salted id that records carry.
    """

    id: str
    time: str
    backend: str
    device: str
    threads: int | None
    torch: str
    matmul: Mapping[str, AttainedMatmul]
    bandwidth: tuple[AttainedBandwidth, ...]
    dispatch_s: float | None
    clock_hz: float | None
    machine: str
    caches: tuple[CacheSize, ...] = ()
    memory: str = "DRAM"

    def to_json(self) -> str:
        """One JSON object; :meth:`from_json` reads it back unchanged."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> AttainedCeiling:
        """Raises ``ValueError`` that names the field where something is missing, unknown or
        impossible."""
        data = json.loads(text)
        fields = set(data) if isinstance(data, dict) else set()
        if not fields:
            raise ValueError(f"attained ceiling is {text[:40]!r}; wanted a JSON object")
        unknown = fields - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"attained ceiling has unknown fields: {', '.join(sorted(unknown))}")
        missing = set(cls.__dataclass_fields__) - {"caches", "memory"} - fields
        if missing:
            raise ValueError(f"attained ceiling lacks fields: {', '.join(sorted(missing))}")
        return cls(
            id=str(data["id"]),
            time=str(data["time"]),
            backend=str(data["backend"]),
            device=str(data["device"]),
            threads=None if data["threads"] is None else int(data["threads"]),
            torch=str(data["torch"]),
            matmul={
                dtype: AttainedMatmul(
                    _rate(entry.get("flops_per_s"), f"matmul.{dtype}.flops_per_s"),
                    tuple(int(size) for size in entry.get("shape", ())),
                    str(entry.get("operator", "")),
                )
                for dtype, entry in data["matmul"].items()
            },
            bandwidth=tuple(
                sorted(
                    (_read_bandwidth(entry) for entry in data["bandwidth"]),
                    key=lambda point: point.working_set_bytes,
                )
            ),
            dispatch_s=_optional(data["dispatch_s"], "dispatch_s"),
            clock_hz=_optional(data["clock_hz"], "clock_hz"),
            machine=str(data["machine"]),
            caches=tuple(
                CacheSize(str(entry["name"]), int(entry["bytes"]))
                for entry in data.get("caches", ())
            ),
            memory=str(data.get("memory", "DRAM")),
        )


def _rate(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # An integer may be larger than any float.
    if not is_number or not 0 < value <= sys.float_info.max:
        raise ValueError(f"attained ceiling, {name}: {value!r:.60}; wanted a finite number above 0")
    return float(value)


def _optional(value: Any, name: str) -> float | None:
    return None if value is None else _rate(value, name)


def _read_bandwidth(entry: Mapping[str, Any]) -> AttainedBandwidth:
    size = int(_rate(entry.get("working_set_bytes"), "bandwidth.working_set_bytes"))
    read, copy, triad = (
        _optional(entry.get(f"{name}_bytes_per_s"), f"bandwidth[{size}].{name}_bytes_per_s")
        for name in ("read", "copy", "triad")
    )
    return AttainedBandwidth(size, read, copy, triad, dict(entry.get("operators", {})))
