"""The CPU: synchronous, so the sustained and the isolated regime are one loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from .graphs import count_cache_files, count_compilations, named_cache, set_cache_variables
from .installation import check_torch, find_version
from .processor import read_cpu
from .protocol import Availability, Backend, Call, DeviceIdentity, Fact, Refusal, Settings, Stamp
from .threads import set_thread_variables, set_threads, usable_cpus
from .timing import run_back_to_back, time_loop
from .toolchain import refuse_to_compile

_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")


class CpuBackend(Backend):
    """PyTorch on the host's processor."""

    name: ClassVar[str] = "cpu"
    asynchronous: ClassVar[bool] = False
    modes: ClassVar[tuple[str, ...]] = ("eager", "compiled")
    warmup_seconds: ClassVar[float] = 0.02

    _cache: str | None = None

    def availability(self) -> Availability:
        unavailable = check_torch()
        if unavailable is not None:
            return unavailable
        cpu = read_cpu()
        facts: dict[str, Fact] = {
            "cpu": _name(cpu["model_name"], cpu["vendor"], cpu["architecture"]),
            "physical_cores": cpu["physical_cores"],
            "virtual": cpu["virtual"],
        }
        refusal = refuse_to_compile()
        facts["compiled_mode"] = refusal is None
        if refusal is None:
            return Availability(True, "torch is installed", facts=facts)
        return Availability(
            True, f"torch is installed; no compiled mode: {refusal.reason}", refusal.mend, facts
        )

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        set_thread_variables(environment, settings)
        set_cache_variables(environment, settings)

    def start(self, settings: Settings) -> None:
        import torch

        self._cache = named_cache()
        set_threads(torch, settings)

    def identity(self) -> DeviceIdentity:
        import psutil
        import torch

        cpu = read_cpu()
        threads, physical = torch.get_num_threads(), cpu["physical_cores"]
        facts: dict[str, Fact] = {
            key: value for key, value in cpu.items() if isinstance(value, str | int | bool | None)
        }
        return DeviceIdentity(
            name=_name(cpu["model_name"], cpu["vendor"], cpu["architecture"]),
            chip=None,
            chip_reason="a CPU's peak is derived from its own facts, not from a catalog",
            share=None,
            index=0,
            cores_used=None if physical is None else min(threads, physical),
            memory_bytes=psutil.virtual_memory().total,
            driver=None,
            facts=facts
            | {
                "flags": " ".join(cpu["flags"]),
                "threads": threads,
                "usable_cpus": usable_cpus(),
                "amx_fp16": _amx_fp16(),
                "torch_capability": torch.backends.cpu.get_cpu_capability(),
                "torch": find_version("torch"),
            },
        )

    def refusal(self, dtype: str, mode: str) -> Refusal | None:
        del dtype  # torch has a kernel, fast or slow, for each of them on a CPU
        if mode not in self.modes:
            return Refusal(
                f"the cpu backend has no mode '{mode}'", f"use one of: {', '.join(self.modes)}"
            )
        return refuse_to_compile() if mode == "compiled" else None

    def place(self, value: Any) -> Any:
        return value.to("cpu")

    def compiler(self, *, fullgraph: bool = True) -> Callable[[Any], Any]:
        import torch

        # What was compiled before must not count against this function's limit of graphs.
        torch.compiler.reset()
        return lambda function: torch.compile(function, fullgraph=fullgraph, dynamic=False)

    def synchronize(self) -> None:
        """Nothing is pending: an operator returns when it is done."""

    def time_sustained(self, call: Call, calls: int) -> Stamp:
        return time_loop(call, calls, run_back_to_back)

    def time_isolated(self, call: Call, calls: int) -> Stamp:
        return time_loop(call, calls, run_back_to_back)

    def counters(self) -> Mapping[str, int]:
        return count_compilations()

    def cache_files(self) -> int | None:
        return count_cache_files(self._cache)

    def reset_peak_memory(self) -> None:
        """Linux: 5 written to ``clear_refs`` sets the high-water mark to the present size
        (proc(5)). Elsewhere there is no mark, and :meth:`peak_memory_bytes` says so."""
        self._mark_reset = False
        clear_refs = Path("/proc/self/clear_refs")
        if os.access(clear_refs, os.W_OK):
            clear_refs.write_text("5", encoding="ascii")
            self._mark_reset = True

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        if not getattr(self, "_mark_reset", False):
            return None, "this system can't reset a process's high-water mark"
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, (
                    "resident size of the whole worker process, interpreter and torch included"
                )
        return None, "/proc/self/status has no VmHWM line"

    def health(self) -> Mapping[str, Fact]:
        import psutil

        times = psutil.cpu_times()
        return {
            "load_average_1min": os.getloadavg()[0],
            "steal_s_since_boot": getattr(times, "steal", None),
        }

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Torch's CPU allocator raises a plain ``RuntimeError``, known by its text only."""
        return isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
        )


def _name(model_name: str | None, vendor: str | None, architecture: str) -> str:
    return model_name or f"{architecture} processor of implementer {vendor or 'unknown'}"


def _amx_fp16() -> bool | None:
    """Whether the core multiplies fp16 tiles, which Linux doesn't list among its flags; None
    where this torch can't tell."""
    import torch

    ask = getattr(torch.cpu, "_is_amx_fp16_supported", None)
    return None if ask is None else bool(ask())
