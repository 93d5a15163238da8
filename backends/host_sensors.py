"""Sensors of the host: processors, memory, and the energy counters of the packages (RAPL).

The figures are of the whole machine. Sources: proc(5); the kernel's documents
admin-guide/pm/cpufreq and power/powercap (read 2026-11-23).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .sensors import Reading, level

#: A guest's time is in that of its user already.
COUNTED_TWICE = ("guest", "guest_nice")
IDLE = ("idle", "iowait")


class HostSensors:
    """``root`` is where ``sys`` is looked for."""

    def __init__(self, root: Path, now_s: float) -> None:
        self.absent: dict[str, str] = {}
        self._read_s = now_s
        self._cpu = _CpuTimes(now_s)
        self._clocks = sorted(
            root.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq"), key=str
        )
        if not self._clocks:
            self.absent["cpu.frequency"] = (
                "the kernel tells no clock (no cpufreq), as is usual on a virtual machine"
            )
        self._packages: list[_Package] = []
        try:
            self._packages = [_Package(folder, now_s) for folder in _package_folders(root)]
        except PermissionError:
            self.absent["package.power"] = (
                "the energy counters (RAPL) can be read by root alone since CVE-2020-8694"
            )
        except (OSError, ValueError) as error:
            self.absent["package.power"] = _unreadable("the energy counters (RAPL)", error)
        else:
            if not self._packages:
                self.absent["package.power"] = (
                    "the kernel offers no energy counter (no RAPL), as is usual on a virtual machine"
                )

    def read(self, now_s: float) -> list[Reading]:
        import psutil

        begin_s, self._read_s = self._read_s, now_s
        readings = self._cpu.read(now_s, self.absent)
        readings.append(level("cpu.load", begin_s, now_s, os.getloadavg()[0]))
        readings.append(
            level("memory.available", begin_s, now_s, psutil.virtual_memory().available)
        )
        try:
            readings += self._read_clocks(begin_s, now_s)
        except (OSError, ValueError) as error:
            self.absent["cpu.frequency"] = _unreadable("the clocks", error)
        try:
            readings += self._read_power(now_s)
        except (OSError, ValueError) as error:
            self.absent["package.power"] = _unreadable("the energy counters (RAPL)", error)
        return readings

    def _read_clocks(self, begin_s: float, now_s: float) -> list[Reading]:
        clocks = [int(path.read_text(encoding="ascii")) * 1000.0 for path in self._clocks]
        if not clocks:
            return []
        mean = sum(clocks) / len(clocks)
        return [Reading("cpu.frequency", begin_s, now_s, mean, min(clocks), max(clocks))]

    def _read_power(self, now_s: float) -> list[Reading]:
        """The packages' powers added up; all have the same period."""
        if not self._packages:
            return []
        begin_s = self._packages[0].read_s
        if now_s <= begin_s:
            return []
        watts = sum(package.watts(now_s) for package in self._packages)
        return [level("package.power", begin_s, now_s, watts)]


class _CpuTimes:
    """Shares of the processors' time since the last reading. The kernel counts in ticks of
    10 ms: a period in which no tick was counted is joined to the next."""

    def __init__(self, now_s: float) -> None:
        self._before = _cpu_times()
        self._read_s = now_s

    def read(self, now_s: float, absent: dict[str, str]) -> list[Reading]:
        times = _cpu_times()
        passed = {name: times[name] - self._before[name] for name in times}
        total = sum(passed.values())
        if total <= 0:
            return []
        begin_s, self._read_s, self._before = self._read_s, now_s, times
        idle = sum(passed.get(name, 0.0) for name in IDLE)
        busy = [level("cpu.busy", begin_s, now_s, _percent(total - idle, total))]
        if "steal" not in passed:
            absent["cpu.steal"] = "this system doesn't count stolen time"
            return busy
        return [*busy, level("cpu.steal", begin_s, now_s, _percent(passed["steal"], total))]


class _Package:
    """The energy counter of one processor package, which starts again at its maximum."""

    def __init__(self, folder: Path, now_s: float) -> None:
        self._counter = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
        self._before_uj = int(self._counter.read_text(encoding="ascii"))
        self.read_s = now_s

    def watts(self, now_s: float) -> float:
        """Mean power since the last reading."""
        energy_uj = int(self._counter.read_text(encoding="ascii"))
        used_uj = energy_uj - self._before_uj
        if used_uj < 0:
            used_uj += self._range_uj
        period_s = now_s - self.read_s
        self._before_uj, self.read_s = energy_uj, now_s
        return used_uj * 1e-6 / period_s


def _package_folders(root: Path) -> list[Path]:
    """One for each package: the zones beside and below it (core, DRAM, the whole platform, the
    same counter once more by MMIO) would count the same energy twice."""
    zones = sorted(root.glob("sys/class/powercap/intel-rapl:*"), key=str)
    return [z for z in zones if (z / "name").read_text(encoding="ascii").startswith("package")]


def _cpu_times() -> dict[str, float]:
    import psutil

    times: Any = psutil.cpu_times()
    return {name: getattr(times, name) for name in times._fields if name not in COUNTED_TWICE}


def _percent(part: float, total: float) -> float:
    """Between 0 and 100: idle time can run backwards by a tick."""
    return min(max(100.0 * part / total, 0.0), 100.0)


def _unreadable(what: str, error: Exception) -> str:
    """An ``OSError`` without the path in its text."""
    reason = error.strerror if isinstance(error, OSError) else "what they hold is no number"
    return f"{what} can't be read: {reason}"
