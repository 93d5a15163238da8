"""AWS Trainium behind the native stack: the device "neuron" of torch-neuronx 2.10 and later.

Written from the Neuron SDK's documentation (2.32, and 2.33 as far as it could be read) and the
sources of torch-neuronx 2.10 (read 2026-11-23), and tested on a device that stands in for the
real one. What only hardware can confirm:

- that the names of ``torch_neuronx`` are still these (``missing_names`` in the identity's facts
  tells which are not), and what switching its metrics on costs;
- that the counters of its compile cache see every program of both modes;
- how far adaptive eager fuses operators that are queued: in the mode "eager" the sustained and
  the isolated regime may be different programs.

No event timers: ``torch.neuron.Event`` stamps on the host when an event is recorded, not on the
device when it is reached. No device time from nrtpy: it runs a NEFF, and which NEFF belongs to a
program, with what inputs, the stack doesn't tell.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar

from . import neuron_environment, neuron_errors, neuron_setup, neuron_usage
from .accelerator import AcceleratorBackend, import_torch
from .neuron_cores import VISIBLE_CORES, parse_cores
from .neuron_metrics import NeuronMetrics
from .neuron_setup import NeuronSetup, Surroundings
from .neuron_usage import CorePlace
from .protocol import Availability, DeviceIdentity, Fact, KnownFailure, Refusal, Settings
from .ruled_out import find_ruled_out
from .threads import set_threads

#: How a device that stands in for hardware begins its name.
_STAND_IN = "simulated"


def import_stack() -> Any:
    stack = import_module("torch_neuronx")
    # An attribute of the package only once somebody has imported it.
    with contextlib.suppress(ModuleNotFoundError):
        import_module("torch_neuronx.metrics")
    return stack


class NeuronBackend(AcceleratorBackend):
    """``load_torch``, ``load_stack`` and ``find_setup`` stand in for the real ones in tests."""

    name: ClassVar[str] = "neuron"
    claims_cores: ClassVar[bool] = True
    #: A process holds its cores until it ends, and what ran before slows what comes after.
    cases_per_process: ClassVar[int | None] = 1
    may_fuse: ClassVar[bool] = True
    compile_allowance_s: ClassVar[float] = 1800.0
    warmup_calls: ClassVar[int] = 3

    def __init__(
        self,
        load_torch: Callable[[], Any] = import_torch,
        load_stack: Callable[[], Any] = import_stack,
        find_setup: Callable[[], NeuronSetup] = neuron_setup.find_setup,
    ) -> None:
        super().__init__(load_torch)
        self._load_stack = load_stack
        self._find_setup = find_setup
        self._variables_before: dict[str, str] = {}
        # Found once in a worker: neuron-ls is a process of its own, and cores don't change.
        self._setup: NeuronSetup
        self._metrics: NeuronMetrics

    def availability(self) -> Availability:
        return neuron_setup.check(self._find_setup(), self.name)

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        cores = neuron_setup.visible_cores(settings, environment)
        neuron_environment.prepare(environment, settings, cores)

    def busy(self, settings: Settings) -> Refusal | None:
        return neuron_setup.find_owners(self._find_setup(), settings)

    def explain(self, text: str) -> KnownFailure | None:
        return neuron_errors.explain(text)

    # ------------------------------------------------------------------ in the worker

    def start(self, settings: Settings) -> None:
        self._variables_before = dict(os.environ)
        ruled_out = find_ruled_out(os.environ, settings, neuron_environment.RULED_OUT)
        if ruled_out is not None:
            raise RuntimeError(ruled_out)
        self._torch = torch = self._load_torch()
        set_threads(torch, settings)
        try:
            stack = self._load_stack()
        except ImportError as error:
            raise RuntimeError(
                f"torch_neuronx can't be imported: {error}; install the native stack "
                f"(torch-neuronx 2.13 or 2.14, from {neuron_setup.INDEX_URL})"
            ) from error
        # Another torch.neuron came with torch-neuron for Inf1, which can't be waited for.
        if not hasattr(getattr(torch, "neuron", None), "synchronize"):
            raise RuntimeError(
                "torch has no torch.neuron.synchronize: what is installed isn't the native stack; "
                "see what is with: trnbench doctor"
            )
        self._require_device()
        self._index = settings.device_index
        self.require_index(torch.neuron.device_count())
        torch.neuron.set_device(self._index)
        self._metrics = NeuronMetrics(stack)
        self._setup = self._find_setup()
        self.synchronize()

    def _require_device(self) -> None:
        torch = self._torch
        if not torch.neuron.is_available():
            # It says no more than that; the runtime's own start says why.
            start_runtime = getattr(torch.neuron, "init", None)
            if start_runtime is not None:
                start_runtime()
            raise RuntimeError(
                "no NeuronCore answers: torch.neuron.is_available() is False, and the runtime "
                "gives no reason; see who holds the cores with: neuron-ls"
            )
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None or accelerator.type != self.name:
            answered = "none" if accelerator is None else accelerator.type
            raise RuntimeError(
                f"the accelerator that answers is {answered}, and {self.name} was asked for"
            )

    def identity(self) -> DeviceIdentity:
        setup = self._setup
        properties = self._torch.neuron.get_device_properties(self._index)
        own_name = str(properties.name)
        simulated = own_name.startswith(_STAND_IN)
        return DeviceIdentity(
            name=own_name if simulated else setup.device_name or own_name,
            chip=None,
            chip_reason="a stand-in for hardware" if simulated else "known to the catalog by name",
            share=None,
            index=self._index,
            # One device of torch is one logical core, whatever else the chip has.
            cores_used=setup.lnc,
            memory_bytes=int(properties.total_memory) or None,
            driver=setup.driver,
            facts={
                **neuron_setup.identity_facts(setup),
                "mode": None if setup.lnc is None else f"LNC={setup.lnc}",
                "missing_names": " ".join(self._metrics.missing()),
                **neuron_environment.describe(self._variables_before, os.environ),
            },
            simulated=simulated,
        )

    def executed_dtype(self, dtype: str) -> str:
        """Of fp32: what the compiler was told to cast it to. Nothing has fp64: it becomes fp32."""
        if dtype == "fp64":
            return "fp32"
        return neuron_environment.auto_cast(os.environ) or dtype if dtype == "fp32" else dtype

    def compiler(self, *, fullgraph: bool = True) -> Callable[[Any], Any]:
        torch = self._torch
        # What was compiled before must not count against this function's limit of graphs.
        torch.compiler.reset()
        return lambda function: torch.compile(
            function, backend="neuron", fullgraph=fullgraph, dynamic=False
        )

    def synchronize(self) -> None:
        self._torch.neuron.synchronize()

    def counters(self) -> Mapping[str, int]:
        self.synchronize()
        return self._metrics.counters()

    def compile_time_ns(self) -> int | None:
        self.synchronize()
        return self._metrics.compile_time_ns()

    def cache_files(self) -> int | None:
        return neuron_environment.count_cache_files(os.environ)

    def clear_fallbacks(self) -> None:
        self.synchronize()
        self._metrics.clear_fallbacks()

    def fallbacks(self) -> tuple[str, ...]:
        self.synchronize()
        return self._metrics.fallbacks()

    def reset_peak_memory(self) -> None:
        self.synchronize()
        self._torch.neuron.reset_peak_memory_stats()

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        self.synchronize()  # the allocator runs behind the host
        return int(self._torch.neuron.max_memory_allocated()), (
            "torch.neuron.max_memory_allocated: tensors only, without programs and scratch space"
        )

    def device_memory_bytes(self) -> tuple[int | None, str]:
        self.synchronize()
        return neuron_usage.read_memory_bytes(Surroundings.here().root, self._place())

    def health(self) -> Mapping[str, Fact]:
        """Power, and what the allocator met since the process began."""
        read = getattr(self._torch.neuron, "memory_stats", None)
        stats = read() if read else {}
        return {
            **neuron_usage.read_power(Surroundings.here().root, self._place()),
            "allocations_out_of_memory": stats.get("num_ooms"),
            "allocations_retried": stats.get("num_alloc_retries"),
        }

    def _place(self) -> CorePlace | None:
        visible = parse_cores(os.environ.get(VISIBLE_CORES, "0"))
        if self._index >= len(visible):
            return None
        core = visible[self._index]
        return neuron_usage.place_core(core, self._setup.lnc, self._setup.device_name)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Which class the runtime raises isn't documented: its words tell."""
        known = self.explain(str(error)) if isinstance(error, RuntimeError) else None
        return super().is_out_of_memory(error) or (
            known is not None and known.status == "OUT_OF_MEMORY"
        )
