"""From neuron-monitor's stream to readings: how it is started, and what a record says at a
moment. Nothing here starts or waits for a process.

The tool takes whole seconds only, as "1s": of "0.5s" or "1.0s" it silently makes 5 s (seen on
inf2 and trn1). So a reading's period is the one that its section states.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .neuron_monitor import Executions, MonitorError, MonitorRecord, read_record
from .sensors import NEURON_MONITOR, Reading, level

INSTALLED = "opt/aws/neuron/bin/neuron-monitor"
RUNTIME_SECTIONS = ("neuroncore_counters", "memory_used", "execution_stats")
#: A line longer than this is no record: 64 runtimes that list 64 cores each make 2 MB.
LONGEST_LINE = 2**24
NAMES = frozenset(kind.name for kind in NEURON_MONITOR)


def find_monitor(root: Path, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The program, or ``None`` and why there is none."""
    installed = root / INSTALLED
    found = shutil.which(installed) or shutil.which(
        "neuron-monitor", path=environment.get("PATH", "")
    )
    if found:
        return found, ""
    if installed.exists():
        return None, "neuron-monitor is there, but this user may not run it"
    return None, "neuron-monitor isn't installed (package aws-neuronx-tools)"


def monitor_config(period_s: float, tag: str | None) -> dict[str, Any]:
    """What goes into the file of its option -c. ``tag``: the NEURON_PROCESS_TAG of the
    processes to watch; ``None``: all of them."""
    metrics = [{"type": name} for name in RUNTIME_SECTIONS]
    tag_filter = f"^{re.escape(tag)}$" if tag else ".*"
    return {
        "period": f"{max(1, round(period_s))}s",
        "neuron_runtimes": [{"tag_filter": tag_filter, "metrics": metrics}],
        "system_metrics": [{"type": "neuron_hw_counters"}],
    }


class MonitorFeed:
    """Turns the bytes of the stream into readings; a line that is no record is counted and the
    stream goes on. ``last_s`` is when the last record came."""

    def __init__(self, period_s: float) -> None:
        self.last_s: float | None = None
        self.refused = 0
        self._last_refusal = ""
        self._end = ""
        self._least_period_s = 0.5 * period_s
        self._seen: set[str] = set()
        self._rest = b""

    @property
    def absent(self) -> dict[str, str]:
        """Sensor -> why no record has given a figure for it."""
        reason = (
            "neuron-monitor has printed no record yet"
            if self.last_s is None
            else "no record of neuron-monitor holds a figure for this"
        )
        if self.refused:
            reason += f"; {self.refused} lines are no records, the last one: {self._last_refusal}"
        return {name: reason + self._end for name in NAMES if name not in self._seen}

    def take(self, data: bytes, now_s: float) -> list[Reading]:
        """Readings of the records that ``data`` completes, which ended at ``now_s``."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            self._refuse(f"more than {LONGEST_LINE} bytes long")
            self._rest = b""
        readings: list[Reading] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                readings += self._read(read_record(line), now_s)
            except MonitorError as error:
                self._refuse(str(error))
        return readings

    def end(self, status: int) -> None:
        """The stream is at its end: the program left with this exit status."""
        if self._rest.strip():
            self._refuse("cut off")
        self._end = f"; neuron-monitor ended with exit status {status}"

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        self._last_refusal = reason

    def _read(self, record: MonitorRecord, now_s: float) -> list[Reading]:
        gap_s = None if self.last_s is None else now_s - self.last_s
        self.last_s = now_s
        readings = [
            level(name, now_s - period_s, now_s, value)
            for name, period_s, value in _figures(record, gap_s)
            # The first record is of no time at all.
            if period_s >= self._least_period_s
        ]
        self._seen |= {reading.name for reading in readings}
        return readings


def _figures(record: MonitorRecord, gap_s: float | None) -> list[tuple[str, float, float]]:
    """(sensor, seconds that it is of, value). ``gap_s``, the time since the record before,
    stands in where a section states no period; without either there is no figure.

    Cores: the most over runtimes, since each runtime lists all of them; then the busiest core,
    and the sum of the cores' FLOP/s. Executions and memory: sums over runtimes.
    """
    found: list[tuple[str, float | None, float | None]] = []
    runtimes = record.runtimes
    if runtimes is not None and not runtimes:
        # Nothing uses Neuron: that is a reading too.
        found = [(name, gap_s, 0.0) for name in ("neuron.utilization", "neuron.flops")]
        found.append(("neuron.executions", gap_s, 0.0))
    elif runtimes:
        counters = [runtime.counters for runtime in runtimes if runtime.counters]
        period_s = _longest([section.period_s for section in counters], gap_s)
        busy: dict[int, float] = {}
        flops: dict[int, float] = {}
        for core in (core for section in counters for core in section.cores):
            if core.busy_percent is not None:
                busy[core.index] = max(busy.get(core.index, 0.0), core.busy_percent)
            if core.flops_per_s is not None:
                flops[core.index] = max(flops.get(core.index, 0.0), core.flops_per_s)
        found.append(("neuron.utilization", period_s, max(busy.values(), default=None)))
        found.append(("neuron.flops", period_s, sum(flops.values()) if flops else None))
        found += _execution_figures([r.executions for r in runtimes if r.executions], gap_s)
        memory = [runtime.memory for runtime in runtimes if runtime.memory]
        used = [section.device_bytes for section in memory if section.device_bytes is not None]
        period_s = _longest([section.period_s for section in memory], gap_s)
        found.append(("neuron.device_memory", period_s, float(sum(used)) if used else None))
    if record.ecc is not None:
        events = [e for d in record.ecc.devices for e in (d.mem_uncorrected, d.sram_uncorrected)]
        known = [event for event in events if event is not None]
        period_s = _longest([record.ecc.period_s], gap_s)
        found.append(("neuron.ecc_uncorrected", period_s, float(sum(known)) if known else None))
    return [(name, s, value) for name, s, value in found if s is not None and value is not None]


def _execution_figures(
    sections: list[Executions], gap_s: float | None
) -> list[tuple[str, float | None, float | None]]:
    """The rate, from the tallies of the period, and the latency of the busiest runtime: medians
    of several can't be joined to one."""
    period_s = _longest([section.period_s for section in sections], gap_s)
    counted = [(s.completed, s) for s in sections if s.completed is not None]
    rate = sum(count for count, _ in counted) / period_s if counted and period_s else None
    busiest = max(counted, key=lambda one: one[0])[1] if counted else None
    latency_s = busiest.device_latency_p50_s if busiest else None
    return [
        ("neuron.executions", period_s, rate),
        ("neuron.device_latency_p50", period_s, latency_s),
    ]


def _longest(periods: list[float | None], gap_s: float | None) -> float | None:
    known = [period_s for period_s in periods if period_s is not None]
    return max(known) if known else gap_s
