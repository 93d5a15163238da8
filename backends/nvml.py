"""NVIDIA's management library, where nvidia-ml-py is installed and a driver answers.

Written from NVIDIA's NVML API reference (read 2026-11-22). Only hardware can confirm which of
the readings a given GPU supports; one that it doesn't is ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .protocol import Fact

#: Bits of nvmlDeviceGetCurrentClocksEventReasons that mean the clock is held down.
THROTTLE_REASONS: Mapping[int, str] = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x200: "board limit",
    0x400: "reliability",
}
#: Bits that are normal: nothing is running, or the user or a display chose the clock.
NORMAL_REASONS: Mapping[int, str] = {
    0x1: "idle",
    0x2: "application clocks",
    0x100: "display clocks",
}


class Nvml:
    """An open session with the library. ``library`` is the module ``pynvml``."""

    def __init__(self, library: Any) -> None:
        self._library = library
        #: What a call raises where the driver or the GPU doesn't answer.
        self.error: type[Exception] = library.NVMLError
        library.nvmlInit()

    def driver_version(self) -> str:
        return _as_text(self._library.nvmlSystemGetDriverVersion())

    def cuda_major(self) -> int:
        """Newest major CUDA version that the driver serves."""
        return int(self._library.nvmlSystemGetCudaDriverVersion()) // 1000

    def names(self) -> tuple[str, ...]:
        library = self._library
        return tuple(
            _as_text(library.nvmlDeviceGetName(library.nvmlDeviceGetHandleByIndex(index)))
            for index in range(library.nvmlDeviceGetCount())
        )

    def uuids(self) -> tuple[str, ...]:
        """In the order of :meth:`names`."""
        library = self._library
        return tuple(
            _as_text(library.nvmlDeviceGetUUID(library.nvmlDeviceGetHandleByIndex(index)))
            for index in range(library.nvmlDeviceGetCount())
        )

    def utilization_percent(self, uuid: str) -> float | None:
        """Share of the library's last sampling period (up to a second) in which a kernel ran on
        the GPU with this UUID; ``None`` where the GPU doesn't count it."""
        library = self._library
        handle = library.nvmlDeviceGetHandleByUUID(uuid)
        try:
            return float(library.nvmlDeviceGetUtilizationRates(handle).gpu)
        except library.NVMLError:
            return None

    def read_health(self, uuid: str) -> dict[str, Fact]:
        """Clocks, temperature, power and throttle reasons of the GPU with this UUID, now.

        By UUID, since torch's indices follow CUDA_VISIBLE_DEVICES and the library's don't.
        A reading that the GPU has not is ``None``.
        """
        library = self._library
        handle = library.nvmlDeviceGetHandleByUUID(uuid)

        def read(ask: Callable[[], Any]) -> Any:
            try:
                return ask()
            except library.NVMLError:
                return None

        sm_mhz = read(lambda: library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM))
        memory_mhz = read(lambda: library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_MEM))
        celsius = read(
            lambda: library.nvmlDeviceGetTemperature(handle, library.NVML_TEMPERATURE_GPU)
        )
        milliwatts = read(lambda: library.nvmlDeviceGetPowerUsage(handle))
        # The older name of the same call, for drivers before 535.
        ask_reasons = getattr(
            library,
            "nvmlDeviceGetCurrentClocksEventReasons",
            getattr(library, "nvmlDeviceGetCurrentClocksThrottleReasons", None),
        )
        reasons = read(lambda: ask_reasons(handle)) if ask_reasons else None
        return {
            "sm_clock_hz": None if sm_mhz is None else sm_mhz * 10**6,
            "memory_clock_hz": None if memory_mhz is None else memory_mhz * 10**6,
            "temperature_celsius": celsius,
            "power_watts": None if milliwatts is None else milliwatts / 1000,
            "throttled": None if reasons is None else bool(name_throttle_reasons(reasons)),
            "throttle_reasons": (
                None if reasons is None else ", ".join(name_throttle_reasons(reasons))
            ),
        }


def name_throttle_reasons(bits: int) -> tuple[str, ...]:
    """The reasons in a bit mask that hold the clock down; unknown bits by their number."""
    named = tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)
    rest = bits & ~sum(THROTTLE_REASONS) & ~sum(NORMAL_REASONS)
    return (*named, f"unknown bits {rest:#x}") if rest else named


def open_nvml(load: Callable[[], Any] = lambda: import_module("pynvml")) -> tuple[Nvml | None, str]:
    """A session and "", or ``None`` and why there is none."""
    try:
        library = load()
    except ImportError:
        return None, "nvidia-ml-py is not installed"
    try:
        return Nvml(library), ""
    except library.NVMLError as error:
        return None, f"NVML doesn't answer: {error}"


def read_driver_version() -> str | None:
    """The NVIDIA driver's version, where NVML is there to ask."""
    nvml, _ = open_nvml()
    return nvml.driver_version() if nvml else None


def _as_text(value: str | bytes) -> str:
    """Older nvidia-ml-py answers in bytes."""
    return value.decode() if isinstance(value, bytes) else value
