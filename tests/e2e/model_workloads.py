"""Models of a user's own, registered as families: with a memory model, and with smaller programs
that stand for large ones."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trnbench.models.costs.training import TrainingOptions
from trnbench.models.family import Configuration, Family
from trnbench.models.program import Program
from trnbench.models.registry import register
from trnbench.models.training import TrainingProgram, TrainingStep
from trnbench.specs.cost import Footprint

WIDTH = 16


class Stack(nn.Module):
    """As many layers as are asked for; ``fault`` says what is wrong with which of them."""

    def __init__(self, layers: int, fault: str, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList(
            torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5 for _ in range(layers)
        )
        self.fault = fault

    def forward(self, x):
        for weight in self.weights:
            x = functional.linear(x, weight)
        if x.dtype == torch.float64:
            return x
        if self.fault == "wrong":
            x = 1.5 * x
        if self.fault == "spoils-many" and len(self.weights) > 1:
            x = x * float("nan")
        return x


class Loss(nn.Module):
    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, x, target):
        return functional.mse_loss(self.stack(x), target)


def make_program(params, dtype, seed):
    del dtype
    stack = Stack(params["layers"], params["fault"], seed)
    generator = torch.Generator().manual_seed(seed + 1)
    x, target = torch.randn(2, 8, WIDTH, generator=generator)
    if params["fault"] == "trains":
        return TrainingProgram(TrainingStep(Loss(stack), TrainingOptions()), (x, target))
    return Program(stack.requires_grad_(requires_grad=False), (x,))


def footprint(params, dtype):
    del dtype
    # The memory of the giant is stated, and never asked for.
    weights = 10**15 if params["fault"] == "giant" else 4 * WIDTH * WIDTH * params["layers"]
    return Footprint(weights=weights, inputs=512, activations=1024, peak=weights + 1536)


def configuration(name, *, layers=3, checked_layers=None, phase="forward"):
    params = {"fault": name, "layers": layers}
    checked = None if checked_layers is None else {**params, "layers": checked_layers}
    return Configuration(
        name, params, ("fp32",), ("fp32",), ("fp32",), phase=phase, checked=checked
    )


def miscount(params, dtype):
    raise KeyError(f"no size of {params['fault']} in {dtype}")


register(
    Family(
        name="miscounted",
        summary="its cost can't be worked out",
        phase="forward",
        configurations=(configuration("by-its-author"),),
        program="model_workloads:make_program",
        cost=miscount,
    )
)
register(
    Family(
        name="stack",
        summary="linear layers in a row",
        phase="forward",
        configurations=(
            configuration("right", checked_layers=1),
            configuration("wrong", checked_layers=1),
            configuration("spoils-many", checked_layers=1),
            configuration("giant"),
            configuration("trains", phase="training"),
        ),
        program="model_workloads:make_program",
        cost=None,
        footprint=footprint,
    )
)
