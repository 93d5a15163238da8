"""Power and model loads of Neuron devices from the driver's files in sysfs. Read only: writing
to a counter clears it, and writing to ``reset`` resets the device.

Source: AWS, Neuron sysfs user guide (SDK 2.32, read 2026-11-23): ``power/utilization`` is
``STATUS,timestamp,min,max,avg``, in percent of the maximum power over the minute before the
timestamp (seconds since 1970), renewed every minute. Driver 2.31 moved several files, and its
paths weren't to be read: a file that isn't at its old place is looked for by its name.
"""

from __future__ import annotations

import os
from pathlib import Path

from .sensors import Reading, level

DEVICES = "sys/devices/virtual/neuron_device"
POWER_S = 60.0
DEPTH = 7


class NeuronCounters:
    """``wall_s`` is ``time.time()`` at the monotonic ``now_s``: the driver stamps in it."""

    def __init__(self, root: Path, now_s: float, wall_s: float) -> None:
        self._wall_offset_s = wall_s - now_s
        self._read_s = now_s
        self._told: tuple[Path, int] | None = None
        devices = sorted((root / DEVICES).glob("neuron[0-9]*"), key=str)
        self._power = [p for d in devices for p in _find(d, "power", "utilization")]
        self._loads = [p for d in devices for p in _find(d, "model_load_count", "total")]
        missing = (
            "the driver's files don't have it (driver 2.31 moved several)"
            if devices
            else "no Neuron device: the driver has no files in sysfs"
        )
        self.absent: dict[str, str] = {}
        if not self._power:
            self.absent["neuron.power"] = missing
        if not self._loads:
            self.absent["neuron.model_loads"] = missing

    def read(self, now_s: float) -> list[Reading]:
        begin_s, self._read_s = self._read_s, now_s
        readings = self._read_power()
        if self._loads:
            try:
                loads = sum(int(_text(path)) for path in self._loads)
                readings.append(level("neuron.model_loads", begin_s, now_s, loads))
            except (OSError, ValueError) as error:
                self.absent["neuron.model_loads"] = (
                    f"the driver's counters of loads can't be used: {_say(error)}"
                )
        return readings

    def _read_power(self) -> list[Reading]:
        """The minute of the device with the highest mean, where it wasn't told before: a mean
        with the idle devices of the instance would say nothing of the one that works."""
        minutes = {}
        for path in self._power:
            try:
                minutes[path] = parse_power(_text(path))
            except (OSError, ValueError) as error:
                self.absent["neuron.power"] = (
                    f"the driver's power file can't be used: {_say(error)}"
                )
        if not minutes:
            return []
        self.absent.pop("neuron.power", None)
        path, (stamp_s, least, most, mean) = max(minutes.items(), key=lambda one: one[1][3])
        if self._told == (path, stamp_s):
            return []
        self._told = path, stamp_s
        end_s = stamp_s - self._wall_offset_s
        return [Reading("neuron.power", end_s - POWER_S, end_s, mean, least, most)]


def parse_power(text: str) -> tuple[int, float, float, float]:
    """(timestamp, least, most, mean) of ``STATUS,timestamp,min,max,avg``; the rest in percent of
    the maximum. Raises ``ValueError`` for another form, and where the driver has no sample."""
    fields = text.split(",")
    if fields[0] == "POWER_STATUS_NO_DATA":
        raise ValueError("it says that there are no samples")
    if fields[0] == "POWER_STATUS_INVALID":
        raise ValueError("it says that sampling failed")
    if fields[0] != "POWER_STATUS_VALID" or len(fields) != 5:
        raise ValueError(f"{len(fields)} fields; wanted POWER_STATUS_VALID,timestamp,min,max,avg")
    try:
        stamp_s, (least, most, mean) = int(fields[1]), map(float, fields[2:])
    except ValueError:
        raise ValueError("a field is no number; wanted timestamp,min,max,avg") from None
    if not 0 <= least <= mean <= most <= 100:
        raise ValueError(
            f"min {least:g}, avg {mean:g}, max {most:g}; wanted 0 <= min <= avg <= max <= 100"
        )
    return stamp_s, least, most, mean


def _find(device: Path, folder: str, name: str) -> list[Path]:
    """Files ``folder/name`` below a device's ``stats`` or those of its cores. The ``power`` right
    below the device is Linux's own power management."""
    found = []
    for where, folders, files in os.walk(device):
        here = Path(where)
        parts = here.relative_to(device).parts
        if len(parts) > DEPTH:
            folders.clear()
        elif here.name == folder and name in files and len(parts) > 1:
            found.append(here / name)
    return sorted(found, key=str)


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _say(error: Exception) -> str:
    """Without the path that an ``OSError`` names."""
    return error.strerror or "" if isinstance(error, OSError) else str(error)
