"""Matrix multiplication.

Shapes: M rows, K inner, N columns, B batch.
"""

from __future__ import annotations

import copy

import torch
from torch.nn import functional

from .costs.matmul import OPERATIONS
from .costs.sizes import integer, text
from .family import Params
from .inputs import Draw
from .program import Program


class IntegerProduct(Program):
    """int8 times int8 accumulated in int32. Its reference is the product in float64, which
    holds these integers exactly."""

    def in_float64(self) -> Program:
        reference = copy.copy(self)
        reference.function = torch.mm
        reference.inputs = tuple(tensor.double() for tensor in self.inputs)
        return reference


def make_program(params: Params, dtype: str, seed: int) -> Program:
    operation = text(params, "op", OPERATIONS)
    m, n, k = (integer(params, name) for name in ("m", "n", "k"))
    draw = Draw(dtype, seed)
    if dtype == "int8":
        if operation != "mm":
            raise ValueError(f"matmul in int8 exists for op 'mm' only, not '{operation}'")
        # PyTorch's only int8 product with int32 accumulation has no public name.
        product = torch._int_mm  # noqa: SLF001
        return IntegerProduct(product, (draw.int8(m, k), draw.int8(k, n)))
    if operation == "mm":
        return Program(torch.mm, (draw.normal(m, k), draw.normal(k, n)))
    if operation == "bmm":
        batch = integer(params, "batch")
        return Program(torch.bmm, (draw.normal(batch, m, k), draw.normal(batch, k, n)))
    x_MK, weight_NK = draw.normal(m, k), draw.normal(n, k)
    if operation == "linear":
        return Program(functional.linear, (x_MK, weight_NK))
    return Program(functional.linear, (x_MK, weight_NK, draw.normal(n)))
