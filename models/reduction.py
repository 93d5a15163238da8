"""Sum and argmax over the last dimension."""

from __future__ import annotations

from torch import Tensor

from .costs.reduction import OPERATIONS
from .costs.sizes import integer, text
from .family import Params
from .inputs import Draw
from .program import Program

#: Far above the largest of any number of normal values, and exact in every dtype.
MAXIMUM = 16.0


def row_sum(x: Tensor) -> Tensor:
    return x.sum(-1)


def row_argmax(x: Tensor) -> Tensor:
    return x.argmax(-1)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    operation = text(params, "op", OPERATIONS)
    rows, columns = integer(params, "rows"), integer(params, "columns")
    draw = Draw(dtype, seed)
    if operation == "argmax":
        # One maximum a row that stays the only one after rounding to any dtype.
        x = draw.normal(rows, columns).clamp_(-8.0, 8.0)
        places = draw.indices(rows, columns) if rows <= columns else _places(draw, rows, columns)
        x.scatter_(1, places.unsqueeze(1), MAXIMUM)
        return Program(row_argmax, (x,))
    # Positive, so that nothing cancels; each row on a scale of its own, so that sums differ by
    # more than a rounding.
    x = draw.uniform(rows, columns) * draw.uniform(rows, 1, low=0.5, high=2.0)
    return Program(row_sum, (x,))


def _places(draw: Draw, rows: int, columns: int) -> Tensor:
    """More rows than columns: each row's column, all columns as often as possible alike."""
    return draw.indices(rows, rows) % columns
