"""The sensors that a run can read, and the plain types that their readings travel in.

A source of readings has ``absent`` (sensor -> why it gives no figure) and ``read(now_s)``.
Times are of ``time.monotonic()``, which every process of a machine shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fold(StrEnum):
    """How the readings of a window become the one figure of that window."""

    AVERAGE = "average"
    """Mean over the readings, weighted by how much of the window each covers."""
    STEADY = "steady"
    """Mean over the interior of the longest busy run: its first and last reading are of
    periods that the work filled only in part."""
    RISE = "rise"
    """What a counter rose by."""
    WHOLE = "whole"
    """Mean over the readings whose whole period lies in the window."""


@dataclass(frozen=True, slots=True)
class SensorKind:
    """``stuck_at``: a value at which some drivers leave the counter whatever happens, so that
    standing there says nothing."""

    name: str
    unit: str
    fold: Fold = Fold.AVERAGE
    stuck_at: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one sensor said of the period from ``begin_s`` to ``end_s``; for a counter its
    value at ``end_s``. ``least`` and ``most`` are over the period, or over its processors."""

    name: str
    begin_s: float
    end_s: float
    mean: float
    least: float
    most: float


#: Of the whole machine, all processors together.
HOST = (
    SensorKind("cpu.busy", "percent"),
    SensorKind("cpu.steal", "percent"),
    SensorKind("cpu.load", "tasks"),
    SensorKind("cpu.frequency", "Hz"),
    SensorKind("memory.available", "B"),
    SensorKind("package.power", "W"),
)
GPU = (
    SensorKind("gpu.power", "W"),
    SensorKind("gpu.temperature", "degC"),
    SensorKind("gpu.sm_clock", "Hz"),
    SensorKind("gpu.memory_clock", "Hz"),
    SensorKind("gpu.utilization", "percent"),
)
NEURON_SYSFS = (
    # AWS gives no watts anywhere, and none can be made of this without a maximum.
    SensorKind("neuron.power", "percent of the maximum", Fold.WHOLE),
    # Stood at 0 through 88,154 executions on inf2 and trn1 with driver 2.26.
    SensorKind("neuron.model_loads", "loads", Fold.RISE, stuck_at=0),
)
NEURON_MONITOR = (
    SensorKind("neuron.utilization", "percent", Fold.STEADY),
    SensorKind("neuron.flops", "FLOP/s", Fold.STEADY),
    SensorKind("neuron.executions", "executions/s"),
    SensorKind("neuron.device_latency_p50", "s"),
    SensorKind("neuron.device_memory", "B"),
    SensorKind("neuron.ecc_uncorrected", "events", Fold.RISE),
)
NEURON_BACKENDS = frozenset({"neuron", "neuron-xla"})


def has_gpu(backends: Sequence[str]) -> bool:
    return "cuda" in backends


def has_neuron(backends: Sequence[str]) -> bool:
    return not NEURON_BACKENDS.isdisjoint(backends)


def kinds_of(backends: Sequence[str]) -> tuple[SensorKind, ...]:
    """Every sensor that a run on these backends is owed a figure or a reason of."""
    return (
        *HOST,
        *(GPU if has_gpu(backends) else ()),
        *((*NEURON_SYSFS, *NEURON_MONITOR) if has_neuron(backends) else ()),
    )


def level(name: str, begin_s: float, end_s: float, value: float) -> Reading:
    """A reading of one value."""
    return Reading(name, begin_s, end_s, value, value, value)
