"""Reader of what neuron-monitor prints: one JSON document a period, as frozen data.

Every section may be absent or null, which reads as ``None``; whatever else isn't of the form
documented is a ``MonitorError``, one line at a time. What identifies an instance or its user is
never taken over: instance_info, tags, commands, names of models, and the tool's own error
texts, which hold paths. Tallies (completed, failed) are of their period alone. Each runtime,
that is each process, lists every core, with zeros for those that it doesn't use.

Sources: AWS, Neuron monitor user guide (SDK 2.32, read 2026-11-23); for what it doesn't say
(effective_flops, null sections, tallies a period) outputs of trn1, inf2 and inf1 instances.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

#: What no counter of 64 bits holds is a fault of the line.
LARGEST = 2**64
FAILURES = (
    "completed_with_err",
    "completed_with_num_err",
    "timed_out",
    "incorrect_input",
    "failed_to_queue",
)


class MonitorError(ValueError):
    """A line that is no record of neuron-monitor: where, what it holds, what was wanted."""


@dataclass(frozen=True, slots=True)
class Core:
    """One (logical) core over a period. ``physical_percent`` are the cores that it is made of,
    by name ("nc_v3.0"), where two physical cores make one."""

    index: int
    busy_percent: float | None
    flops_per_s: float | None
    physical_percent: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Counters:
    period_s: float | None
    cores: tuple[Core, ...]


@dataclass(frozen=True, slots=True)
class Executions:
    """Tallies of this period alone. ``device_latency_p50_s`` is ``None`` where nothing ran."""

    period_s: float | None
    completed: int | None
    failed: int | None
    device_latency_p50_s: float | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use by one runtime now."""

    period_s: float | None
    device_bytes: int | None
    host_bytes: int | None


@dataclass(frozen=True, slots=True)
class Runtime:
    """One process that uses Neuron; ``None`` for a section that isn't there, or is in error."""

    pid: int | None
    counters: Counters | None
    executions: Executions | None
    memory: Memory | None


@dataclass(frozen=True, slots=True)
class DeviceEcc:
    """Error counts of one device's memory. Whether they are totals or of the period is nowhere
    said: only a rise says something."""

    index: int | None
    mem_corrected: int | None
    mem_uncorrected: int | None
    sram_corrected: int | None
    sram_uncorrected: int | None


@dataclass(frozen=True, slots=True)
class Ecc:
    period_s: float | None
    devices: tuple[DeviceEcc, ...]


@dataclass(frozen=True, slots=True)
class Hardware:
    device_type: str | None
    core_version: str | None
    device_count: int | None
    device_memory_bytes: int | None
    cores_per_device: int | None
    physical_cores_per_core: int | None


@dataclass(frozen=True, slots=True)
class MonitorRecord:
    """One line. ``runtimes`` is ``None`` where the line doesn't speak of them, and empty where
    nothing uses Neuron."""

    runtimes: tuple[Runtime, ...] | None
    ecc: Ecc | None
    hardware: Hardware | None


def read_record(line: str | bytes) -> MonitorRecord:
    """Raises ``MonitorError``."""
    try:
        document = json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise MonitorError(f"no JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        # Bytes that are no text, a number of thousands of digits, brackets without end.
        raise MonitorError(f"no JSON that can be read: {type(error).__name__}") from None
    root = _Section.of(document, "the line")
    if root is None or not root.fields.keys() & {"neuron_runtime_data", "system_data"}:
        raise MonitorError(
            "the line has neither neuron_runtime_data nor system_data; wanted a record of "
            "neuron-monitor"
        )
    runtimes = root.sections("neuron_runtime_data")
    system = root.section("system_data")
    return MonitorRecord(
        runtimes=None if runtimes is None else tuple(map(_read_runtime, runtimes)),
        ecc=_read_ecc(system.measured("neuron_hw_counters")) if system else None,
        hardware=_read_hardware(root.measured("neuron_hardware_info")),
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """A JSON object and where it stands. Errors name types, never values: those can identify
    somebody."""

    fields: Mapping[str, Any]
    where: str

    @staticmethod
    def of(value: Any, where: str) -> _Section | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            _refuse(where, value, "an object")
        return _Section(value, where)

    def section(self, key: str) -> _Section | None:
        return self.of(self.fields.get(key), self._place(key))

    def measured(self, key: str) -> _Section | None:
        """A section, or ``None`` where the tool says that collecting it failed: it fills such a
        section with zeros."""
        section = self.section(key)
        return None if section is None or section.text("error") else section

    def sections(self, key: str) -> list[_Section] | None:
        """An array of objects; a null among them is an empty one."""
        value = self.fields.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            _refuse(self._place(key), value, "an array")
        places = [(entry, f"{self._place(key)}[{i}]") for i, entry in enumerate(value)]
        return [self.of(entry, place) or _Section({}, place) for entry, place in places]

    def number(self, key: str) -> float | None:
        """A finite number, zero or more."""
        value = self.fields.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse(self._place(key), value, "a number")
        if not 0 <= value < LARGEST:
            _refuse(self._place(key), value, f"a number from 0 to {LARGEST:.0e}")
        return float(value)

    def count(self, key: str) -> int | None:
        value = self.number(key)
        if value is not None and value != math.floor(value):
            _refuse(self._place(key), value, "a whole number")
        return None if value is None else int(self.fields[key])

    def text(self, key: str) -> str | None:
        value = self.fields.get(key)
        if value is not None and not isinstance(value, str):
            _refuse(self._place(key), value, "a string")
        return value

    def _place(self, key: str) -> str:
        return key if self.where == "the line" else f"{self.where}.{key}"


def _read_runtime(section: _Section) -> Runtime:
    report = section.section("report") or _Section({}, f"{section.where}.report")
    return Runtime(
        pid=section.count("pid"),
        counters=_read_counters(report.measured("neuroncore_counters")),
        executions=_read_executions(report.measured("execution_stats")),
        memory=_read_memory(report.measured("memory_used")),
    )


def _read_counters(section: _Section | None) -> Counters | None:
    cores = section.section("neuroncores_in_use") if section else None
    if section is None or cores is None:
        return None
    read = []
    for key in cores.fields:
        if not key.isdecimal():
            raise MonitorError(f"{cores.where} has a key that is no core's number")
        core = cores.section(key)
        if core is not None:
            read.append(_read_core(int(key), core))
    return Counters(section.number("period"), tuple(sorted(read, key=lambda core: core.index)))


def _read_core(index: int, core: _Section) -> Core:
    # "flops" in the guide, "effective_flops" in what the tool prints.
    flops = core.number("effective_flops")
    parts = core.section("v3d")
    physical = {key: parts.section(key) for key in parts.fields} if parts else {}
    return Core(
        index=index,
        busy_percent=core.number("neuroncore_utilization"),
        flops_per_s=core.number("flops") if flops is None else flops,
        physical_percent={
            key: part.number("neuroncore_utilization") if part else None
            for key, part in physical.items()
        },
    )


def _read_executions(section: _Section | None) -> Executions | None:
    if section is None:
        return None
    summary = section.section("execution_summary")
    latencies = section.section("latency_stats")
    latency = latencies.section("device_latency") if latencies else None
    failures = [summary.count(key) for key in FAILURES] if summary else []
    known = [count for count in failures if count is not None]
    return Executions(
        period_s=section.number("period"),
        completed=summary.count("completed") if summary else None,
        failed=sum(known) if known else None,
        device_latency_p50_s=latency.number("p50") if latency else None,
    )


def _read_memory(section: _Section | None) -> Memory | None:
    used = section.section("neuron_runtime_used_bytes") if section else None
    if section is None or used is None:
        return None
    return Memory(
        period_s=section.number("period"),
        device_bytes=used.count("neuron_device"),
        host_bytes=used.count("host"),
    )


def _read_ecc(section: _Section | None) -> Ecc | None:
    devices: Sequence[_Section] | None = section.sections("neuron_devices") if section else None
    if section is None or devices is None:
        return None
    return Ecc(
        period_s=section.number("period"),
        devices=tuple(
            DeviceEcc(
                index=device.count("neuron_device_index"),
                mem_corrected=device.count("mem_ecc_corrected"),
                mem_uncorrected=device.count("mem_ecc_uncorrected"),
                sram_corrected=device.count("sram_ecc_corrected"),
                sram_uncorrected=device.count("sram_ecc_uncorrected"),
            )
            for device in devices
        ),
    )


def _read_hardware(section: _Section | None) -> Hardware | None:
    if section is None:
        return None
    return Hardware(
        device_type=section.text("neuron_device_type"),
        core_version=section.text("neuroncore_version"),
        device_count=section.count("neuron_device_count"),
        device_memory_bytes=section.count("neuron_device_memory_size"),
        cores_per_device=section.count("neuroncore_per_device_count"),
        physical_cores_per_core=section.count("logical_neuroncore_config"),
    )


def _refuse(where: str, value: Any, wanted: str) -> NoReturn:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value"}
    given = names.get(type(value), "a number out of range")
    raise MonitorError(f"{where} is {given}; wanted {wanted}")


def _refuse_constant(_: str) -> NoReturn:
    raise MonitorError("a number is NaN or infinite; wanted finite ones")
