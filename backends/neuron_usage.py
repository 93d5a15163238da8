"""What the driver says of the device that a worker measures on: memory in use, and power.

Read only: writing to the driver's files clears counters and resets devices. Source: AWS, Neuron
sysfs user guide (SDK 2.32, read 2026-11-23): below ``memory_usage/device_mem`` of a physical core
``total`` is what is in use now, ``peak`` the most. Driver 2.31 moved several files, and its
paths weren't to be read: they are looked for by their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .neuron_cores import CHIPS
from .neuron_counters import parse_power
from .neuron_sysfs import DEVICES
from .protocol import Fact

_CORE = re.compile(r"neuron_core(\d+)")


@dataclass(frozen=True, slots=True)
class CorePlace:
    """A logical core: the device that it is on, and its physical cores counted on that device."""

    device: int
    cores: tuple[int, ...]


def place_core(logical: int, lnc: int | None, device_name: str | None) -> CorePlace | None:
    """Where the logical core of this number is, counted over all devices; ``None`` where the
    chip or its LNC isn't known."""
    if lnc is None or device_name not in CHIPS:
        return None
    physical_cores, _ = CHIPS[device_name]
    device, first = divmod(logical * lnc, physical_cores)
    return CorePlace(device, tuple(range(first, first + lnc)))


def read_memory_bytes(root: Path, place: CorePlace | None) -> tuple[int | None, str]:
    """Bytes in use by everything on the core (tensors, programs, scratch space, the runtime),
    or ``None``; and how they were read, or why not."""
    if place is None:
        return None, "which of the driver's cores this is can't be told"
    folder = root / DEVICES / f"neuron{place.device}"
    files = {
        int(core[1]): path
        for path in folder.rglob("device_mem/total")
        for core in map(_CORE.fullmatch, path.parts)
        if core is not None
    }
    missing = [core for core in place.cores if core not in files]
    if missing:
        return None, f"the driver shows no memory of the device's core {missing[0]} in sysfs"
    try:
        in_use = sum(int(files[core].read_text(encoding="ascii")) for core in place.cores)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "one holds no number"
        return None, f"the driver's files of device memory can't be read: {why}"
    return in_use, (
        f"device_mem in sysfs of {len(place.cores)} physical core(s): tensors, programs, scratch "
        "space and the runtime's own"
    )


def read_power(root: Path, place: CorePlace | None) -> dict[str, Fact]:
    """Power of the whole device in percent of its maximum over the driver's last whole minute;
    it tells no watts, temperature or clock. Empty where it isn't known."""
    if place is None:
        return {}
    folder = root / DEVICES / f"neuron{place.device}" / "stats"
    for path in folder.rglob("power/utilization"):
        try:
            _, least, most, mean = parse_power(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            return {"power_unknown": f"the driver's power file: {why}"}
        return {
            "power_mean_percent_of_maximum": mean,
            "power_least_percent_of_maximum": least,
            "power_most_percent_of_maximum": most,
        }
    return {}
