"""The types of a workload that need no torch: its family, its configurations, its presets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..specs.cost import Cost, Footprint

Value = int | float | str | bool
Params = Mapping[str, Value]
Phase = Literal["forward", "prefill", "decode", "training"]

PRESETS = ("quick", "standard", "full")
DTYPES = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One set of parameters of a family, and the presets that hold it.

    ``dtypes`` are those in which the configuration makes sense. ``quick`` and ``standard``
    list the entries of those presets as ``"bf16"`` (eager, or lazy on a backend that is
    lazy) or ``"bf16:compiled"``; the preset full is every dtype, uncompiled and compiled.

    ``phase`` is the family's where it is None. ``checked`` are the parameters of a smaller
    program of the same code, for a configuration whose float64 reference would take minutes or
    not fit the host: numerics are checked on that one, and the record says so.
    """

    name: str
    params: Params
    dtypes: tuple[str, ...] = ("fp32", "bf16")
    quick: tuple[str, ...] = ()
    standard: tuple[str, ...] = ("fp32", "bf16")
    phase: Phase | None = None
    checked: Params | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """A named family of workloads.

    ``program`` is ``"package.module:function"``; the function takes
    ``(params, dtype, seed)`` and returns a ``trnbench.models.program.Program``. It is
    imported only where the workload is built, so that a family can be listed, and its cost
    worked out, without torch.

    ``cost`` takes ``(params, dtype)`` and returns a ``Cost``; ``None`` for a workload whose
    cost its author didn't state.

    ``footprint`` takes the same and returns a ``Footprint``; ``None`` where the memory that a
    call needs isn't modelled.

    ``error_bound`` maps dtype to the largest error allowed against the float64 reference,
    relative to the largest reference value; families override the defaults with a reason.
    """

    name: str
    summary: str
    phase: Phase
    configurations: tuple[Configuration, ...]
    program: str
    cost: Callable[[Params, str], Cost] | None
    error_bound: Mapping[str, float] = field(default_factory=dict)
    footprint: Callable[[Params, str], Footprint] | None = None

    def phase_of(self, configuration: Configuration) -> Phase:
        return configuration.phase or self.phase

    def configuration(self, name: str) -> Configuration:
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        known = ", ".join(c.name for c in self.configurations)
        raise KeyError(f"workload '{self.name}' has no configuration '{name}'; known: {known}")
