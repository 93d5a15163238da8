"""Layer norm and RMS norm over the last dimension, with weights."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .costs.norm import OPERATIONS
from .costs.sizes import integer, text
from .family import Params
from .inputs import Draw
from .program import Program

EPSILON = 1e-5


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.layer_norm(x, weight.shape, weight, bias, EPSILON)


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(x, weight.shape, weight, EPSILON)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    operation = text(params, "op", OPERATIONS)
    rows, width = integer(params, "rows"), integer(params, "width")
    draw = Draw(dtype, seed)
    x, weight = draw.normal(rows, width), draw.uniform(width, low=0.5, high=1.5)
    if operation == "layer":
        # A mean that isn't zero: subtracting it is part of the work.
        return Program(layer_norm, (x + 1.0, weight, draw.normal(width)))
    return Program(rms_norm, (x, weight))
