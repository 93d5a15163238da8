"""Appending to a static key or value cache, as decoding does once a token.

Shapes: H heads, S context (positions of the cache), T new tokens, D width of a head.
"""

from __future__ import annotations

from torch import Tensor

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


def append(cache_HSD: Tensor, position_T: Tensor, new_HTD: Tensor) -> Tensor:
    # The whole cache is the output: what writes to it must not be dropped as dead code.
    return cache_HSD.index_copy_(1, position_T, new_HTD)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, context, heads, width = (
        integer(params, name) for name in ("tokens", "context", "heads", "head_dim")
    )
    draw = Draw(dtype, seed)
    cache_HSD = draw.normal(heads, context, width)
    position_T = draw.indices(tokens, context)
    return Program(append, (cache_HSD, position_T, draw.normal(heads, tokens, width)))
