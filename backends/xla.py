"""PyTorch/XLA: operators are recorded, and a graph of them runs when a step is cut.

``xla`` is any PJRT device except AWS Neuron's, by default the CPU. Tried with torch 2.9.1 and
torch-xla 2.9.0 on a CPU (2026-11-23):

- ``torch_xla.sync()`` and ``torch_xla.sync(wait=True)`` both return before the device is done
  (0.2 to 4 ms of 600 ms); only ``xm.wait_device_ops()`` waits for it.
- A graph holds what is alive when it is cut. A result that was dropped before is never computed:
  so the output of a timed call lives until after the cut, in the warm-up as in the samples.
- ``UncachedCompile`` counts graphs that were compiled, ``CachedCompile`` those that this process
  had already: it moves with every step, so it is none of the counters that must stand still.
- The device must answer before the first backward pass of a process, on whatever device: torch
  sets up its threads for the devices that there are by then.
- A training step is two graphs: the second one once the optimizer has a state.
- XLA's own CPU client can write compiled graphs to disk and not read them back ("Deserializing
  serialized executable not supported"): there is no cache between processes there.
- ``NPROC`` sets the threads of XLA's CPU device; ``XLA_USE_BF16=1`` still computes fp32 in bf16.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

from .installation import check_torch, find_version
from .processor import read_cpu
from .protocol import Availability, Backend, Call, DeviceIdentity, Fact, Refusal, Settings, Stamp
from .ruled_out import find_ruled_out
from .threads import set_thread_variables, set_threads
from .timing import time_loop
from .xla_environment import RULED_OUT, check_versions
from .xla_metrics import CACHE, XlaMetrics

_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory")


@dataclass(frozen=True, slots=True)
class XlaStack:
    """The modules of torch-xla that are used: ``model`` is ``torch_xla.core.xla_model``,
    ``metrics`` is ``torch_xla.debug.metrics``."""

    torch: Any
    torch_xla: Any
    model: Any
    metrics: Any


def import_stack() -> XlaStack:
    return XlaStack(
        *(
            import_module(name)
            for name in (
                "torch",
                "torch_xla",
                "torch_xla.core.xla_model",
                "torch_xla.debug.metrics",
            )
        )
    )


class XlaBackend(Backend):
    """``load_stack`` and ``dev`` stand in for torch-xla and the machine's devices in tests."""

    name: ClassVar[str] = "xla"
    asynchronous: ClassVar[bool] = True
    modes: ClassVar[tuple[str, ...]] = ("lazy", "compiled")
    warmup_seconds: ClassVar[float] = 0.2
    warmup_calls: ClassVar[int] = 3

    def __init__(
        self, load_stack: Callable[[], XlaStack] = import_stack, dev: Path = Path("/dev")
    ) -> None:
        self._load_stack = load_stack
        self._dev = dev
        self._stack: XlaStack
        self._device: Any = None
        self._index = 0
        self._metrics: XlaMetrics
        self._peak_before_bytes: int | None = None

    def availability(self) -> Availability:
        unavailable = check_torch() or check_versions(find_version("torch"), self._version())
        if unavailable is not None:
            return unavailable
        asked = os.environ.get("PJRT_DEVICE", "")
        if asked.startswith("NEURON") or (not asked and any(self._dev.glob("neuron[0-9]*"))):
            return Availability(
                available=False,
                reason="the device is AWS Neuron's, which is the backend neuron-xla",
                mend="use neuron-xla; PJRT_DEVICE=CPU measures torch-xla on the processor",
            )
        stated = f"PJRT_DEVICE={asked}" if asked else "PJRT_DEVICE=CPU (none is set)"
        return Availability(
            available=True,
            reason=f"torch-xla {self._version()} is installed, with {stated}",
            facts={"torch_xla": self._version(), "pjrt_device": asked or "CPU"},
        )

    def _version(self) -> str | None:
        return find_version("torch-xla")

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        ruled_out = find_ruled_out(environment, settings, RULED_OUT)
        if ruled_out is not None:
            raise ValueError(ruled_out)
        set_thread_variables(environment, settings)
        device = environment.setdefault("PJRT_DEVICE", "CPU")
        if device != "CPU" and settings.cache is not None:
            environment[CACHE] = str(Path(settings.cache, "xla"))
        if device == "CPU" and settings.threads is not None:
            environment["NPROC"] = str(settings.threads)

    # ------------------------------------------------------------------ in the worker

    def start(self, settings: Settings) -> None:
        ruled_out = find_ruled_out(os.environ, settings, RULED_OUT)
        if ruled_out is not None:
            raise RuntimeError(ruled_out)
        asked = os.environ.get("PJRT_DEVICE", "")
        if not asked:
            raise RuntimeError(
                "PJRT_DEVICE isn't set, and torch-xla would take any device: set it, to CPU for one"
            )
        try:
            self._stack = stack = self._load_stack()
        except ImportError as error:
            raise RuntimeError(
                f"torch-xla can't be imported: {error}; install the release made for this torch"
            ) from error
        self._metrics = XlaMetrics(stack.metrics)
        set_threads(stack.torch, settings)
        self._index = settings.device_index
        count = len(stack.torch_xla.devices())
        if not 0 <= self._index < count:
            raise RuntimeError(
                f"device {self._index} was asked for, and there are {count} XLA devices, counted "
                "from 0"
            )
        self._device = stack.torch_xla.device(self._index)
        self._require_device(asked.partition("_")[0], settings)
        self.synchronize()

    def _require_device(self, asked: str, settings: Settings) -> None:
        """Raises ``RuntimeError`` where another device answers than the one asked for."""
        del settings
        if self._hardware != asked or self._hardware == "NEURON":
            raise RuntimeError(
                f"the XLA device that answers is {self._hardware} ({self._kind}), and {asked} was "
                f"asked for from the backend {self.name}: set PJRT_DEVICE to the device wanted "
                "(AWS Neuron: use the backend neuron-xla)"
            )

    @property
    def _hardware(self) -> str:
        return str(self._stack.model.xla_device_hw(self._device))

    @property
    def _kind(self) -> str:
        return str(self._stack.model.xla_device_kind(self._device))

    def identity(self) -> DeviceIdentity:
        facts: dict[str, Fact] = {
            "pjrt_device": self._hardware,
            "device_kind": self._kind,
            "torch_xla": self._version(),
            "torch": find_version("torch"),
            "xla_flags": os.environ.get("XLA_FLAGS"),
        }
        if self._hardware == "CPU":
            return self._identify_processor(facts)
        limit_bytes, _ = self._memory("bytes_limit")
        return DeviceIdentity(
            name=self._kind,
            chip=None,
            chip_reason="the catalog knows devices by their names",
            share=None,
            index=self._index,
            cores_used=None,
            memory_bytes=limit_bytes,
            driver=None,
            facts=facts,
        )

    def _identify_processor(self, facts: dict[str, Fact]) -> DeviceIdentity:
        import psutil

        cpu = read_cpu()
        stated, physical = os.environ.get("NPROC", ""), cpu["physical_cores"]
        threads = int(stated) if stated.isdigit() else cpu["logical_cores"]
        return DeviceIdentity(
            name=f"{cpu['model_name'] or cpu['architecture']} (XLA's CPU device)",
            chip=None,
            chip_reason="XLA's CPU device isn't in the catalog",
            share=None,
            index=self._index,
            cores_used=None if threads is None or physical is None else min(threads, physical),
            memory_bytes=psutil.virtual_memory().total,
            driver=None,
            facts=facts | {"threads": threads},
        )

    def refusal(self, dtype: str, mode: str) -> Refusal | None:
        del dtype  # what a device can't do shows as an error or as a fallback, and is recorded
        modes = (*self.modes, *self.modes_on_request)
        if mode in modes:
            return None
        return Refusal(
            f"the {self.name} backend has no mode '{mode}'", f"use one of: {', '.join(modes)}"
        )

    def place(self, value: Any) -> Any:
        return value.to(self._device)

    def compiler(self, *, fullgraph: bool = True) -> Callable[[Any], Any]:
        torch = self._stack.torch
        # What was compiled before must not count against this function's limit of graphs.
        torch.compiler.reset()
        return lambda function: torch.compile(
            function, backend="openxla", fullgraph=fullgraph, dynamic=False
        )

    def synchronize(self) -> None:
        """Cut what is pending, if anything is, and wait: a cut alone returns before the end."""
        self._stack.torch_xla.sync()
        self._stack.model.wait_device_ops()

    def time_sustained(self, call: Call, calls: int) -> Stamp:
        cut = self._stack.torch_xla.sync

        def loop(call: Call, calls: int) -> None:
            for _ in repeat(None, calls):
                output = call()
                cut()  # with the output alive: a graph holds nothing else of the call
                del output
            self.synchronize()

        self.synchronize()
        return time_loop(call, calls, loop)

    def time_isolated(self, call: Call, calls: int) -> Stamp:
        def loop(call: Call, calls: int) -> None:
            for _ in repeat(None, calls):
                output = call()
                self.synchronize()
                del output

        self.synchronize()
        return time_loop(call, calls, loop)

    def split(self, call: Call) -> Mapping[str, int]:
        """Recording the operators; handing the graph to the device; waiting for its end."""
        self.synchronize()
        begin = time.perf_counter_ns()
        output = call()
        traced = time.perf_counter_ns()
        self._stack.torch_xla.sync()
        dispatched = time.perf_counter_ns()
        self._stack.model.wait_device_ops()
        done = time.perf_counter_ns()
        del output
        return {
            "trace": traced - begin,
            "dispatch": dispatched - traced,
            "device": done - dispatched,
        }

    def counters(self) -> Mapping[str, int]:
        return self._metrics.counters()

    def compile_time_ns(self) -> int | None:
        return self._metrics.compile_time_ns()

    def cache_files(self) -> int | None:
        folder = os.environ.get(CACHE)
        if folder is None:
            return None
        return sum(path.is_file() for path in Path(folder).rglob("*"))

    def clear_fallbacks(self) -> None:
        self._metrics.clear_fallbacks()

    def fallbacks(self) -> tuple[str, ...]:
        return self._metrics.fallbacks()

    def reset_peak_memory(self) -> None:
        self.synchronize()
        self._peak_before_bytes, _ = self._memory("peak_bytes_used")

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        """The device's mark is of the whole process and can't be set back: what lies below the
        mark at the reset isn't known."""
        self.synchronize()
        peak_bytes, note = self._memory("peak_bytes_used")
        if peak_bytes is not None and peak_bytes == self._peak_before_bytes:
            return None, "less than what the process had used before, and the mark can't be reset"
        return peak_bytes, note

    def _memory(self, key: str) -> tuple[int | None, str]:
        try:
            value = self._stack.model.get_memory_info(self._device).get(key)
        except RuntimeError as error:
            first, *_ = str(error).splitlines() or [""]
            return None, f"this PJRT device gives no memory statistics: {first[:200]}"
        if value is None:
            return None, f"this PJRT device's memory statistics have no {key}"
        return int(value), f"torch_xla.core.xla_model.get_memory_info, {key}"

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
        )
