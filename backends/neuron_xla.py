"""AWS Neuron behind PyTorch/XLA: torch-neuronx up to 2.9, the only way on Trainium1 and Inferentia2.

Written from the Neuron SDK's documentation (2.31 and 2.32) and reports of runs on trn1 and inf2
(read 2026-11-23); what it shares with ``xla`` is tried on XLA's CPU device, the rest on
stand-ins. What only hardware can confirm:

- that ``xm.xla_device_kind`` says NC_v2, NC_v3 or NC_v3d (documented, torch-neuronx 2.8);
- whether this PJRT device gives memory statistics;
- that a program of ``torch_neuronx.trace`` finds a core beside the XLA device of one process.
"""

from __future__ import annotations

import os
import pwd
import shlex
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from . import neuron_environment, neuron_errors, neuron_setup
from .installation import find_version
from .neuron_setup import NeuronSetup
from .protocol import (
    Availability,
    Call,
    DeviceIdentity,
    Fact,
    KnownFailure,
    Refusal,
    Settings,
    Stamp,
)
from .ruled_out import find_ruled_out
from .threads import set_thread_variables
from .timing import run_back_to_back, time_loop
from .xla import XlaBackend, XlaStack, import_stack
from .xla_environment import RULED_OUT

#: What ``xla_device_kind`` says -> (mode of the chip in the catalog, physical cores in one device).
#: NC_v2: Trainium1 and Inferentia2; NC_v3 and NC_v3d: Trainium2 with LNC=1 and LNC=2.
_KINDS = {"NC_v2": ("core", 1), "NC_v3": ("LNC=1", 1), "NC_v3d": ("LNC=2", 2)}
_NC_V2_CHIPS = ("Trainium1", "Inferentia2")
_DEFAULT_CACHE = "/var/tmp/neuron-compile-cache"  # noqa: S108 - the stack's choice, and only read


def import_trace() -> Callable[..., Any]:
    trace: Callable[..., Any] = import_module("torch_neuronx").trace
    return trace


class TracedCall:
    """A function compiled by ``torch_neuronx.trace`` at its first call, with the inputs of that
    call: it takes and gives tensors on the host, and moves them itself."""

    def __init__(self, function: Callable[..., Any], trace: Callable[..., Any]) -> None:
        self.function = function
        self.trace = trace
        self.traced: Callable[..., Any] | None = None

    def __call__(self, *inputs: Any) -> Any:
        if self.traced is None:
            self.traced = self.trace(self.function, inputs)
        return self.traced(*inputs)


class NeuronXlaBackend(XlaBackend):
    """``load_trace`` and ``find_setup`` stand in for the real ones in tests."""

    name: ClassVar[str] = "neuron-xla"
    claims_cores: ClassVar[bool] = True
    #: A process holds its cores until it ends, and what ran before slows what comes after.
    cases_per_process: ClassVar[int | None] = 1
    #: torch-neuronx documents torch.compile as unsupported on this stack.
    modes: ClassVar[tuple[str, ...]] = ("lazy",)
    modes_on_request: ClassVar[tuple[str, ...]] = ("traced",)
    compile_allowance_s: ClassVar[float] = 1800.0

    def __init__(
        self,
        load_stack: Callable[[], XlaStack] = import_stack,
        load_trace: Callable[[], Callable[..., Any]] = import_trace,
        find_setup: Callable[[], NeuronSetup] = neuron_setup.find_setup,
    ) -> None:
        super().__init__(load_stack)
        self._load_trace = load_trace
        self._find_setup = find_setup
        self._mode = self.modes[0]
        self._traces = 0
        self._trace_ns = 0
        self._variables_before: dict[str, str] = {}

    def availability(self) -> Availability:
        return neuron_setup.check(self._find_setup(), self.name)

    def prepare_environment(self, environment: dict[str, str], settings: Settings) -> None:
        ruled_out = find_ruled_out(environment, settings, RULED_OUT)
        if ruled_out is not None:
            raise ValueError(ruled_out)
        if environment.get("PJRT_DEVICE", "NEURON") != "NEURON":
            raise ValueError(
                f"PJRT_DEVICE={environment['PJRT_DEVICE']} is set, and {self.name} needs NEURON: "
                "unset it, or measure with the backend xla"
            )
        set_thread_variables(environment, settings)
        environment["PJRT_DEVICE"] = "NEURON"
        environment["NEURON_RT_VISIBLE_CORES"] = neuron_setup.visible_cores(settings, environment)
        environment.setdefault("NEURON_PROCESS_TAG", neuron_environment.PROCESS_TAG)
        # A crash says where, and with that which known one it is.
        environment.setdefault("PYTHONFAULTHANDLER", "1")
        neuron_environment.set_path(environment)
        _set_home(environment)
        _set_compiler(environment, settings)

    def busy(self, settings: Settings) -> Refusal | None:
        return neuron_setup.find_owners(self._find_setup(), settings)

    def explain(self, text: str) -> KnownFailure | None:
        return neuron_errors.explain(text)

    # ------------------------------------------------------------------ in the worker

    def start(self, settings: Settings) -> None:
        self._variables_before = dict(os.environ)
        stated = os.environ.get("PJRT_DEVICE", "")
        if stated != "NEURON":
            raise RuntimeError(
                f"{self.name} was asked for, and PJRT_DEVICE is {stated or 'not set'}: set it to "
                "NEURON before torch is imported"
            )
        super().start(settings)

    def _require_device(self, asked: str, settings: Settings) -> None:
        kind, chip = self._kind, self._find_setup().device_name
        if self._hardware != asked or kind not in _KINDS:
            raise RuntimeError(
                f"the XLA device that answers is {self._hardware} ({kind}), and {self.name} needs "
                f"NEURON of a kind in {', '.join(_KINDS)}: see what is here with: trnbench doctor"
            )
        if chip is not None and (chip in _NC_V2_CHIPS) != (kind == "NC_v2"):
            raise RuntimeError(
                f"the XLA device is of the kind {kind}, and the driver says {chip}: only "
                f"{' and '.join(_NC_V2_CHIPS)} have NC_v2 cores; see: trnbench doctor"
            )
        mode, _ = _KINDS[kind]
        if settings.lnc is not None and mode != f"LNC={settings.lnc}":
            raise RuntimeError(
                f"LNC={settings.lnc} was asked for, and the device that answers is {kind} "
                f"({mode}): ask for what the machine is set to, or for none"
            )

    def identity(self) -> DeviceIdentity:
        setup, kind = self._find_setup(), self._kind
        mode, cores = _KINDS[kind]
        facts: dict[str, Fact] = {
            **neuron_setup.identity_facts(setup),
            "mode": mode,
            "pjrt_device": self._hardware,
            "device_kind": kind,
            "torch_xla": find_version("torch-xla"),
            "torch_neuronx": find_version("torch-neuronx"),
            **neuron_environment.describe(self._variables_before, os.environ),
        }
        return DeviceIdentity(
            name=setup.device_name or kind,
            chip=None,
            chip_reason="the catalog knows devices by their names",
            share=None,
            index=self._index,
            cores_used=cores,
            memory_bytes=_memory_part(setup, cores),
            driver=setup.driver,
            facts=facts,
        )

    def executed_dtype(self, dtype: str) -> str:
        """fp32 becomes what the compiler was told to cast it to (its matmuls at least); int8 is
        widened to int32 (seen on trn1 with neuronx-cc 2.23: a quarter of the speed of uint8)."""
        if dtype == "int8":
            return "int32"
        return neuron_environment.auto_cast(os.environ) or dtype if dtype == "fp32" else dtype

    def use_mode(self, mode: str) -> None:
        """The mode of the case that is placed next: what is traced lives on the host."""
        self._mode = mode

    def place(self, value: Any) -> Any:
        return value if self._mode == "traced" else super().place(value)

    def compiler(self, *, fullgraph: bool = True) -> Callable[[Any], Any]:
        del fullgraph  # what is traced is one graph
        trace = self._load_trace()

        def traced(function: Any, inputs: tuple[Any, ...]) -> Any:
            begin = time.perf_counter_ns()
            program = trace(function, inputs)
            self._trace_ns += time.perf_counter_ns() - begin
            self._traces += 1
            return program

        return lambda function: TracedCall(function, traced)

    def time_sustained(self, call: Call, calls: int) -> Stamp:
        if self._mode == "traced":  # a call returns with its result on the host
            return time_loop(call, calls, run_back_to_back)
        return super().time_sustained(call, calls)

    def time_isolated(self, call: Call, calls: int) -> Stamp:
        if self._mode == "traced":
            return time_loop(call, calls, run_back_to_back)
        return super().time_isolated(call, calls)

    def split(self, call: Call) -> Mapping[str, int]:
        return {} if self._mode == "traced" else super().split(call)

    def counters(self) -> Mapping[str, int]:
        counts = dict(super().counters())
        return counts | {"graphs_compiled": counts["graphs_compiled"] + self._traces}

    def compile_time_ns(self) -> int | None:
        return (super().compile_time_ns() or 0) + self._trace_ns

    def cache_files(self) -> int | None:
        """Files in the compiler's own cache, which programs of ``torch_neuronx.trace`` don't use;
        ``None`` for one in S3."""
        folder = _find_cache(os.environ)
        if self._mode == "traced" or folder is None:
            return None
        return sum(path.is_file() for path in folder.rglob("*"))


def _memory_part(setup: NeuronSetup, cores: int) -> int | None:
    """Of the memory of a chip, which its cores share alike, the part of so many of them; ``None``
    where neuron-ls can't be asked."""
    if setup.memory_bytes is None or not setup.physical_cores or not setup.devices:
        return None
    return setup.memory_bytes * len(setup.devices) * cores // setup.physical_cores


def _set_home(environment: dict[str, str]) -> None:
    home = environment.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    if not Path(home).is_dir():
        raise ValueError(
            "HOME names no folder, and the Neuron stack needs one: set HOME to a folder of yours"
        )
    environment["HOME"] = home


def _set_compiler(environment: dict[str, str], settings: Settings) -> None:
    """The options of neuronx-cc that the user left open, and the cache folder of the run."""
    flags = neuron_environment.read_compiler_flags(environment)
    words = neuron_environment.split_compiler_flags(environment)
    if "auto-cast" not in flags:
        # Its documentation is of two minds about the default.
        words.append("--auto-cast=none")
    if settings.lnc is not None:
        wanted = str(settings.lnc)
        stated = flags.get("logical-nc-config", flags.get("lnc"))
        if stated is not None and stated != wanted:
            raise ValueError(
                f"NEURON_CC_FLAGS compiles for LNC={stated}, and LNC={wanted} was asked for: "
                "take it out of NEURON_CC_FLAGS"
            )
        environment["NEURON_LOGICAL_NC_CONFIG"] = wanted
        if stated is None:
            words.append(f"--logical-nc-config={wanted}")
    if settings.cache is not None:
        if "no_cache" in flags:
            raise ValueError(
                "NEURON_CC_FLAGS holds --no_cache, and caches of the run's own were asked for: "
                "nothing that a process compiles could be found by the next; take --no_cache out, "
                "or leave --bench-cache fresh out"
            )
        # The option wins over the variable, and the run's own folder over both.
        folder = str(Path(settings.cache, "neuronx_cc"))
        environment["NEURON_COMPILE_CACHE_URL"] = folder
        if "cache_dir" in flags:
            words = [*_without(words, "--cache_dir"), f"--cache_dir={folder}"]
    environment["NEURON_CC_FLAGS"] = shlex.join(words)


def _without(words: list[str], option: str) -> list[str]:
    """The words of a command line less one option, given as ``--a=b`` or as ``--a b``."""
    kept = []
    takes_next = False
    for word in words:
        if word != option and not word.startswith(f"{option}=") and not takes_next:
            kept.append(word)
        takes_next = word == option
    return kept


def _find_cache(environment: Mapping[str, str]) -> Path | None:
    """The folder of the compile cache that is in force; ``None`` where it is none on this disk."""
    flags = neuron_environment.read_compiler_flags(environment)
    if "no_cache" in flags:
        return None
    place = flags.get("cache_dir") or environment.get("NEURON_COMPILE_CACHE_URL")
    if place is not None and "://" in place:
        return None
    return Path(place or _DEFAULT_CACHE)
