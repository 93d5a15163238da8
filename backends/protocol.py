"""What a device stack must be able to do, and the plain types it answers with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Call = Callable[[], Any]
Fact = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend can run on this machine; if not, why, and what to do about it."""

    available: bool
    reason: str
    mend: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a dtype, a mode or both can't be measured on this backend, and the mend."""

    reason: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked of a device: read by backends in the parent and the worker.

    ``threads``: CPU threads of torch's operators; ``None`` leaves torch its own default.
    ``allow_tf32``: let fp32 matmuls use TF32 on devices that have it (off by default).
    """

    threads: int | None = None
    device_index: int = 0
    allow_tf32: bool = False


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """The device that answered.

    ``chip`` is its id in the catalog, or ``None`` with ``chip_reason``. ``share`` is the
    part of that chip which one torch device is (Trainium2 at LNC=2: 0.25).
    ``cores_used`` counts what the measurement occupies, not what is present.
    """

    name: str
    chip: str | None
    chip_reason: str
    share: float | None
    index: int
    cores_used: int | None
    memory_bytes: int | None
    driver: str | None
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stamp:
    """One timed sample of ``calls`` calls; all figures are totals over them.

    ``device_ns`` is the device's own clock, ``None`` where there is none.
    ``cpu_ns`` is CPU time of this process over the sample.
    """

    calls: int
    wall_ns: int
    cpu_ns: int
    device_ns: float | None
    involuntary_switches: int


class Backend(ABC):
    """One device stack. Methods above the line run in the parent and must not import torch
    or touch the device; those below run in a worker process, after :meth:`start`."""

    name: ClassVar[str]
    #: Cases that one worker process may measure; ``None``: the whole selection.
    cases_per_process: ClassVar[int | None] = None
    #: Calls return before the device has finished.
    asynchronous: ClassVar[bool]
    #: The uncompiled mode first: "eager" or "lazy"; then "compiled" where there is one.
    modes: ClassVar[tuple[str, ...]]
    #: The least warm-up, in seconds, before a steady state is looked for.
    warmup_seconds: ClassVar[float]
    #: Least warm-up calls whatever their duration (XLA: 3, for its second graph).
    warmup_calls: ClassVar[int] = 1
    #: State of the caches before each call of the isolated regime.
    isolated_cache: ClassVar[Literal["warm", "flushed"]] = "warm"

    @abstractmethod
    def availability(self) -> Availability: ...

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        """Set the variables that a worker must have before it imports torch."""

    # ------------------------------------------------------------------ in the worker

    @abstractmethod
    def start(self, settings: Settings) -> None:
        """Import torch, claim the device, apply the settings. Raises ``RuntimeError`` when
        the device that answers isn't the one asked for."""

    @abstractmethod
    def identity(self) -> DeviceIdentity: ...

    @abstractmethod
    def refusal(self, dtype: str, mode: str) -> Refusal | None:
        """Why this dtype in this mode can't run here; ``None`` when it can be tried."""

    def executed_dtype(self, dtype: str) -> str:
        """The dtype the device really computes in when asked for ``dtype`` (TF32, auto-cast)."""
        return dtype

    @abstractmethod
    def place(self, value: Any) -> Any:
        """Move a tensor or a module to the device."""

    @abstractmethod
    def compiler(self) -> Callable[[Any], Any]:
        """What the mode "compiled" wraps a function or module with."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return only when all work handed to the device is done."""

    @abstractmethod
    def time_sustained(self, call: Call, calls: int) -> Stamp:
        """``calls`` calls queued back to back, one synchronisation at the end."""

    @abstractmethod
    def time_isolated(self, call: Call, calls: int) -> Stamp:
        """``calls`` calls, each synchronised before the next starts."""

    def counters(self) -> Mapping[str, int]:
        """Counts that must stand still while timing: compilations, fallbacks to the CPU."""
        return {}

    def reset_peak_memory(self) -> None:
        """Start a new high-water mark, where the device has one."""

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        """High-water mark of device memory since the reset, or ``None``; and how it was read
        or why it is not known."""
        return None, "this backend has no allocator statistics"

    def health(self) -> Mapping[str, Fact]:
        """Clocks, throttle reasons and temperature now, as far as they can be read."""
        return {}

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)
