"""Devices behind ``torch.accelerator``: what is common to all of them, and Intel and Apple GPUs.

Written from the documentation of torch 2.13. Its logic is tested on a stand-in for torch;
that an XPU or an Apple GPU really behaves so can be confirmed only on one.
"""

from __future__ import annotations

import os
import platform
from abc import abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from .graphs import count_cache_files, count_compilations, named_cache, set_cache_variables
from .installation import check_torch, read_torch_build
from .protocol import Availability, Backend, Call, DeviceIdentity, Fact, Refusal, Settings, Stamp
from .threads import set_thread_variables, set_threads
from .timing import run_queued, run_synchronized, time_loop


def import_torch() -> Any:
    return import_module("torch")


class AcceleratorBackend(Backend):
    """A device of its own beside the host: calls return before it has finished.

    ``load_torch`` stands in for torch in tests; torch is not imported before :meth:`start`.
    """

    asynchronous: ClassVar[bool] = True
    modes: ClassVar[tuple[str, ...]] = ("eager", "compiled")
    warmup_seconds: ClassVar[float] = 0.2

    def __init__(self, load_torch: Callable[[], Any] = import_torch) -> None:
        self._load_torch = load_torch
        self._torch: Any = None
        self._index = 0
        self._cache: str | None = None

    @property
    def device(self) -> str:
        return f"{self.name}:{self._index}"

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        set_thread_variables(environment, settings)
        set_cache_variables(environment, settings)

    def start(self, settings: Settings) -> None:
        self._torch = torch = self._load_torch()
        self._cache = named_cache()
        set_threads(torch, settings)
        self._index = settings.device_index
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None or accelerator.type != self.name:
            answered = "none" if accelerator is None else accelerator.type
            raise RuntimeError(
                f"the accelerator that answers is {answered}, and {self.name} was asked for"
            )
        self.require_index(torch.accelerator.device_count())
        torch.accelerator.set_device_index(self._index)

    def require_index(self, count: int) -> None:
        if not 0 <= self._index < count:
            raise RuntimeError(
                f"device {self._index} was asked for, and there are {count} {self.name} devices, "
                "counted from 0"
            )

    @abstractmethod
    def identity(self) -> DeviceIdentity: ...

    def refusal(self, dtype: str, mode: str) -> Refusal | None:
        del dtype  # what a device can't do it says itself, with an error that is recorded
        if mode not in self.modes:
            return Refusal(
                f"the {self.name} backend has no mode '{mode}'",
                f"use one of: {', '.join(self.modes)}",
            )
        return None

    def place(self, value: Any) -> Any:
        return value.to(self.device)

    def compiler(self, *, fullgraph: bool = True) -> Callable[[Any], Any]:
        torch = self._torch
        # What was compiled before must not count against this function's limit of graphs.
        torch.compiler.reset()
        return lambda function: torch.compile(function, fullgraph=fullgraph, dynamic=False)

    def synchronize(self) -> None:
        self._torch.accelerator.synchronize()

    def time_sustained(self, call: Call, calls: int) -> Stamp:
        self.synchronize()
        return time_loop(call, calls, run_queued(self.synchronize))

    def time_isolated(self, call: Call, calls: int) -> Stamp:
        self.synchronize()
        return time_loop(call, calls, run_synchronized(self.synchronize))

    def counters(self) -> Mapping[str, int]:
        return count_compilations()

    def cache_files(self) -> int | None:
        return count_cache_files(self._cache)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError | self._torch.OutOfMemoryError)


class XpuBackend(AcceleratorBackend):
    """An Intel GPU."""

    name: ClassVar[str] = "xpu"

    def availability(self) -> Availability:
        unavailable = check_torch()
        if unavailable is not None:
            return unavailable
        build = read_torch_build()
        if not build.get("xpu"):
            return Availability(
                available=False,
                reason=f"torch {build.get('__version__')} is built without XPU",
                mend="pip install torch --index-url https://download.pytorch.org/whl/xpu",
                facts={"torch": build.get("__version__")},
            )
        # Intel's kernel drivers show GPUs as render nodes, as every vendor's do: their
        # absence proves that there is none, their presence only that there may be one.
        nodes = _render_nodes()
        if not nodes:
            return Availability(
                available=False,
                reason="there is no GPU: no /dev/dri/renderD*",
                mend="install Intel's GPU driver, or pass /dev/dri to the container",
                facts={"torch_xpu": build["xpu"]},
            )
        return Availability(
            available=True,
            reason="torch is built with XPU, and there is a GPU",
            facts={"torch_xpu": build["xpu"], "render_nodes": len(nodes)},
        )

    def identity(self) -> DeviceIdentity:
        properties = self._torch.xpu.get_device_properties(self._index)
        return DeviceIdentity(
            name=str(properties.name),
            chip=None,
            chip_reason="no Intel GPU is in the catalog",
            share=None,
            index=self._index,
            cores_used=int(properties.max_compute_units),
            memory_bytes=int(properties.total_memory),
            driver=str(properties.driver_version),
            facts={"platform": str(properties.platform_name)},
        )

    def reset_peak_memory(self) -> None:
        self._torch.accelerator.reset_peak_memory_stats(self._index)

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        return int(self._torch.accelerator.max_memory_allocated(self._index)), (
            "torch.accelerator.max_memory_allocated"
        )


class MpsBackend(AcceleratorBackend):
    """The GPU of Apple silicon."""

    name: ClassVar[str] = "mps"

    def availability(self) -> Availability:
        if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
            return Availability(
                available=False,
                reason=f"this is {platform.system()} on {platform.machine()}; "
                "mps needs macOS on Apple silicon",
            )
        return check_torch() or Availability(
            available=True, reason="this is Apple silicon, and torch is installed"
        )

    def start(self, settings: Settings) -> None:
        if os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK") == "1":
            raise RuntimeError(
                "PYTORCH_ENABLE_MPS_FALLBACK=1 lets operators run on the CPU unseen: unset it"
            )
        super().start(settings)

    def identity(self) -> DeviceIdentity:
        facts: dict[str, Fact] = {"macos": platform.mac_ver()[0]}
        return DeviceIdentity(
            name=str(self._torch.backends.mps.get_name()),
            chip=None,
            chip_reason="no Apple GPU is in the catalog",
            share=None,
            index=self._index,
            cores_used=int(self._torch.backends.mps.get_core_count()),
            memory_bytes=int(self._torch.mps.recommended_max_memory()),
            driver=None,
            facts=facts,
        )


def _render_nodes(dev: Path = Path("/dev")) -> list[Path]:
    return sorted((dev / "dri").glob("renderD*"))
