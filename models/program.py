"""A workload made ready to run: a function of tensors and its inputs, on the CPU."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

TORCH_DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.int8,
}


class Part(NamedTuple):
    """A part of a call, and what runs it. Several may have one name."""

    name: str
    run: Callable[[], Any]


class Program:
    """A function (or module) of tensors and the inputs of one call.

    Built on the CPU from a seed. A backend moves it with :meth:`to`, may wrap it with
    :meth:`compiled_with`, and then times calls of the object itself. The object never
    names a device.

    ``error_bound``: largest error allowed by dtype, where it isn't that of the family.
    """

    error_bound: Mapping[str, float] = MappingProxyType({})

    def __init__(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
        self.function = function
        self.inputs = inputs

    def __call__(self) -> Any:
        return self.function(*self.inputs)

    def bound_call(self) -> Callable[[], Any]:
        """The call with the least overhead: what the timed loop runs."""
        # A partial object is bound in C: it adds less to a call than a closure does.
        return functools.partial(self.function, *self.inputs)

    def moved(self, place: Callable[[Any], Any]) -> Program:
        """The same program with module and inputs placed by ``place`` (a backend's)."""
        function = self.function
        if isinstance(function, nn.Module):
            function = place(copy.deepcopy(function))
        placed = copy.copy(self)
        placed.function = function
        placed.inputs = tuple(place(tensor) for tensor in self.inputs)
        return placed

    def compiled_with(self, compiler: Callable[[Any], Any]) -> Program:
        """The same program with its function handed to a backend's compiler."""
        compiled = copy.copy(self)
        compiled.function = compiler(self.function)
        return compiled

    def in_float64(self) -> Program:
        """The reference program: the same values, computed in float64 on the CPU."""

        def widen(value: Any) -> Any:
            if isinstance(value, nn.Module):
                return value.double()
            return value.double() if value.is_floating_point() else value

        return self.moved(widen)

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        """The tensors of a call that are compared with the reference; by default its output."""
        return (output,) if isinstance(output, Tensor) else tuple(output)

    def moved_parameters(self) -> bool | None:
        """Whether training has moved every parameter since the program was made; ``None``
        for a program that trains nothing."""
        return None

    def parts(self) -> tuple[Part, ...]:
        """The parts that make one call when they run in this order; none where a call can't be
        taken apart from outside."""
        return ()
