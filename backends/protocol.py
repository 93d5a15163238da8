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
class KnownFailure:
    """A failure that a stack's own words give away.

    ``name`` is the stack's own word for it ("NCC_EOOM001"); ``status`` is one of the statuses
    of a record, such as "OUT_OF_MEMORY"; ``cause`` and ``mend`` are ours; ``line`` is the line
    of the text that gave it away.
    """

    name: str
    status: str
    cause: str
    mend: str
    line: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked of a device: read by backends in the parent and the worker.

    ``threads``: CPU threads of torch's operators; ``None`` leaves torch its own default.
    ``allow_tf32``: let fp32 matmuls use TF32 on devices that have it (off by default).
    ``cores``: cores that a worker may claim, as "0" or "0-3"; ``None`` is one core (Neuron).
    ``lnc``: physical cores that make a logical one, 1 or 2; ``None`` is the chip's own default.
    ``cache``: folder for the stack's compile caches; ``None`` leaves them where they are.
    ``compile_only``: nothing will be timed or recorded, so an environment that rules measuring
    out (a stack that only collects graphs) is no reason to refuse.
    """

    threads: int | None = None
    device_index: int = 0
    allow_tf32: bool = False
    cores: str | None = None
    lnc: int | None = None
    cache: str | None = None
    compile_only: bool = False


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """The device that answered.

    ``chip`` is its id in the catalog, or ``None`` with ``chip_reason``. ``share`` is the
    part of that chip which one torch device is (Trainium2 at LNC=2: 0.25).
    ``cores_used`` counts what the measurement occupies, not what is present. A ``simulated``
    device stands in for hardware: nothing measured on it says anything about that hardware.
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
    simulated: bool = False


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
    #: ``Settings.cores`` and ``Settings.lnc`` mean something to it.
    claims_cores: ClassVar[bool] = False
    #: Calls return before the device has finished.
    asynchronous: ClassVar[bool]
    #: The uncompiled mode first: "eager" or "lazy"; then "compiled" where there is one.
    modes: ClassVar[tuple[str, ...]]
    #: Modes that are measured only where somebody asks for them by name ("traced").
    modes_on_request: ClassVar[tuple[str, ...]] = ()
    #: Operators that are queued one by one can be fused: the sustained regime of the mode
    #: "eager" is another program than the isolated one then.
    may_fuse: ClassVar[bool] = False
    #: A write to a part of a tensor moves that part only; XLA makes a new tensor.
    writes_in_place: ClassVar[bool] = True
    #: Seconds that a case may take on top of its limit, for a compiler that takes minutes.
    compile_allowance_s: ClassVar[float] = 0.0
    #: The least warm-up, in seconds, before a steady state is looked for.
    warmup_seconds: ClassVar[float]
    #: Least warm-up calls whatever their duration (XLA: 3, for its second graph).
    warmup_calls: ClassVar[int] = 1
    #: State of the caches before each call of the isolated regime.
    isolated_cache: ClassVar[Literal["warm", "flushed"]] = "warm"

    @abstractmethod
    def availability(self) -> Availability: ...

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        """Set the variables that a worker must have before it imports torch. Raises
        ``ValueError`` where the environment or the settings rule measuring out."""

    def busy(self, settings: Settings) -> Refusal | None:
        """Who holds the device right now, so that a figure would be wrong; asked before every
        worker starts. ``None`` where nobody does, or nobody can tell."""
        del settings
        return None

    def explain(self, text: str) -> KnownFailure | None:
        """What an exception's text or a worker's last words give away; here or in the worker."""
        del text
        return None

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

    def use_mode(self, mode: str) -> None:
        """Told before each case is placed: in some modes it lives elsewhere."""

    @abstractmethod
    def place(self, value: Any) -> Any:
        """Move a tensor or a module to the device."""

    @abstractmethod
    def compiler(self, *, fullgraph: bool = True) -> Callable[[Any], Any]:
        """What the mode "compiled" wraps a function or module with. Without ``fullgraph`` what
        can't be compiled runs between several graphs, where the stack has them; with it, it is
        an error."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return only when all work handed to the device is done."""

    @abstractmethod
    def time_sustained(self, call: Call, calls: int) -> Stamp:
        """``calls`` calls queued back to back, one synchronisation at the end."""

    @abstractmethod
    def time_isolated(self, call: Call, calls: int) -> Stamp:
        """``calls`` calls, each synchronised before the next starts."""

    def split(self, call: Call) -> Mapping[str, int]:
        """One call, synchronised before and after, in nanoseconds of wall time by part (lazy:
        "trace", "dispatch", "device"); empty where a call has no parts that the host can see."""
        del call
        return {}

    def counters(self) -> Mapping[str, int]:
        """Counts since the process began that must stand still while timing. The names
        "graphs_compiled", "cache_hits" and "cache_misses" mean the same everywhere."""
        return {}

    def compile_time_ns(self) -> int | None:
        """Time spent compiling since the process began, by the stack's own timer; ``None``
        where it keeps none."""
        return None

    def cache_files(self) -> int | None:
        """Files in the stack's compile cache on disk now; ``None`` where there is no such
        folder to count in."""
        return None

    def clear_fallbacks(self) -> None:
        """Forget the operators that ran on the host so far."""

    def fallbacks(self) -> tuple[str, ...]:
        """Operators that ran on the host instead of the device since they were last cleared, by
        name, in alphabetical order."""
        return ()

    def reset_peak_memory(self) -> None:
        """Start a new high-water mark, where the device has one."""

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        """High-water mark of device memory since the reset, or ``None``; and how it was read
        or why it is not known."""
        return None, "this backend has no allocator statistics"

    def device_memory_bytes(self) -> tuple[int | None, str]:
        """Memory in use on the whole device now, code and scratch space included, or ``None``;
        and how it was read or why it is not known."""
        return None, "this backend has no view of the whole device"

    def health(self) -> Mapping[str, Fact]:
        """Clocks, throttle reasons and temperature now, as far as they can be read."""
        return {}

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)
