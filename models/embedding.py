"""Embedding lookup: rows of a table gathered by index.

Shapes: T tokens, V vocabulary, D width.
"""

from __future__ import annotations

from torch.nn import functional

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, vocabulary, width = (
        integer(params, name) for name in ("tokens", "vocabulary", "width")
    )
    draw = Draw(dtype, seed)
    table_VD = draw.normal(vocabulary, width)
    return Program(functional.embedding, (draw.indices(tokens, vocabulary), table_VD))
