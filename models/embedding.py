"""Embedding lookup: rows of a table gathered by index.

Shapes: T tokens, V vocabulary, D width.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


def look_up(ids_T: Tensor, table_VD: Tensor) -> Tensor:
    # A function of our own: torch 2.9 leaves a bare function of torch uncompiled, and says nothing.
    return functional.embedding(ids_T, table_VD)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, vocabulary, width = (
        integer(params, name) for name in ("tokens", "vocabulary", "width")
    )
    draw = Draw(dtype, seed)
    table_VD = draw.normal(vocabulary, width)
    return Program(look_up, (draw.indices(tokens, vocabulary), table_VD))
