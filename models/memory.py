"""Copy, triad, fill and transpose, into buffers that exist before the call."""

from __future__ import annotations

import torch
from torch import Tensor

from .costs.memory import TENSORS, shape
from .costs.sizes import text
from .family import Params
from .inputs import Draw
from .program import Program

#: Both have few significant bits: exact in every dtype.
SCALAR = 3.0
FILLED = 0.75


def triad(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Out = a + 3*b"""
    return torch.add(a, b, alpha=SCALAR, out=out)


def fill(out: Tensor) -> Tensor:
    return out.fill_(FILLED)


def transpose(out: Tensor, source: Tensor) -> Tensor:
    """``out`` (columns, rows) is ``source`` (rows, columns) transposed."""
    return out.copy_(source.t())


def make_program(params: Params, dtype: str, seed: int) -> Program:
    operation = text(params, "op", tuple(TENSORS))
    rows, columns = shape(params, dtype)
    draw = Draw(dtype, seed)
    out = draw.unset(rows, columns)
    if operation == "copy":
        return Program(Tensor.copy_, (out, draw.normal(rows, columns)))
    if operation == "triad":
        return Program(triad, (out, draw.normal(rows, columns), draw.normal(rows, columns)))
    if operation == "fill":
        return Program(fill, (out,))
    return Program(transpose, (draw.unset(columns, rows), draw.normal(rows, columns)))
