"""Sensors of the GPU that is measured, through NVIDIA's management library.

What only hardware can confirm: which readings a given GPU supports, and that the library's
order of GPUs is CUDA's where all are of one kind. Sources: NVIDIA's NVML API reference; CUDA
programming guide, environment variables (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .nvml import Nvml
from .sensors import GPU, Reading, level

#: What the health reading calls a sensor.
HEALTH_KEYS: Mapping[str, str] = {
    "gpu.power": "power_watts",
    "gpu.temperature": "temperature_celsius",
    "gpu.sm_clock": "sm_clock_hz",
    "gpu.memory_clock": "memory_clock_hz",
}


class GpuSensors:
    """``nvml`` with ``reason`` as :func:`trnbench.backends.nvml.open_nvml` gives them."""

    def __init__(
        self, nvml: Nvml | None, reason: str, environment: Mapping[str, str], now_s: float
    ) -> None:
        self._nvml = nvml
        self._read_s = now_s
        self._uuid: str | None = None
        if nvml is not None:
            try:
                self._uuid, reason = choose_gpu(nvml.names(), nvml.uuids(), environment)
            except nvml.error as error:
                reason = f"NVML doesn't answer: {error}"
        self.absent = {} if self._uuid else {kind.name: reason for kind in GPU}

    def read(self, now_s: float) -> list[Reading]:
        if self._nvml is None or self._uuid is None:
            return []
        begin_s, self._read_s = self._read_s, now_s
        try:
            health = self._nvml.read_health(self._uuid)
            values = {name: health[key] for name, key in HEALTH_KEYS.items()}
            values["gpu.utilization"] = self._nvml.utilization_percent(self._uuid)
        except self._nvml.error as error:
            self.absent = {kind.name: f"NVML doesn't answer: {error}" for kind in GPU}
            return []
        readings = []
        for name, value in values.items():
            if value is None:
                self.absent[name] = "NVML doesn't give this reading of this GPU"
            else:
                readings.append(level(name, begin_s, now_s, float(value)))
        return readings


def choose_gpu(
    names: Sequence[str], uuids: Sequence[str], environment: Mapping[str, str]
) -> tuple[str | None, str]:
    """The UUID of CUDA's device 0, or ``None`` and why it isn't known.

    The library lists every GPU by its place on the bus. CUDA lists those that
    CUDA_VISIBLE_DEVICES names, in its order, and puts the fastest first.
    """
    first = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.startswith("MIG-"):
        return None, "CUDA_VISIBLE_DEVICES names a part of a GPU (MIG): sensors are of the whole"
    if first.startswith("GPU-"):
        found = [uuid for uuid in uuids if uuid.startswith(first)]
        if len(found) == 1:
            return found[0], ""
        return None, f"CUDA_VISIBLE_DEVICES names a UUID that fits {len(found)} of NVML's GPUs"
    if not first.isdigit() or int(first) >= len(uuids):
        return None, f"CUDA_VISIBLE_DEVICES names none of NVML's {len(uuids)} GPUs"
    by_bus = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if len(set(names)) > 1 and not by_bus:
        return None, (
            f"{len(names)} GPUs of different kinds: set CUDA_DEVICE_ORDER=PCI_BUS_ID, so that "
            "CUDA counts them as NVML does"
        )
    return uuids[int(first)], ""
