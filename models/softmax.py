"""Softmax over the last dimension."""

from __future__ import annotations

from torch import Tensor

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


def row_softmax(x: Tensor) -> Tensor:
    return x.softmax(-1)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    x = Draw(dtype, seed).normal(integer(params, "rows"), integer(params, "columns"))
    return Program(row_softmax, (x,))
