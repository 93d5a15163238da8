"""Elementwise arithmetic.

Shapes: B batch, H heads, S sequence, D width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .costs.elementwise import OPERATIONS
from .costs.sizes import integer, text
from .family import Params
from .inputs import Draw
from .program import TORCH_DTYPES, Program

#: Wavelengths grow from 2 pi to this many times 2 pi: arXiv 2104.09864, section 3.2.2.
ROTARY_BASE = 10000.0


def silu_mul(gate: Tensor, up: Tensor) -> Tensor:
    return functional.silu(gate) * up


def rotary(x_BHSD: Tensor, cosine_SD: Tensor, sine_SD: Tensor) -> Tensor:
    """Turns each pair (x[i], x[i + D/2]) by the angle of its position and frequency."""
    first, second = x_BHSD.chunk(2, dim=-1)
    return x_BHSD * cosine_SD + torch.cat((-second, first), dim=-1) * sine_SD


def rotary_tables(sequence: int, width: int, dtype: str) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (sequence, width), the two halves of a row alike."""
    half = torch.arange(width // 2, dtype=torch.float64)
    frequencies = ROTARY_BASE ** (-2.0 * half / width)
    angles = torch.outer(torch.arange(sequence, dtype=torch.float64), frequencies)
    angles_SD = torch.cat((angles, angles), dim=-1)
    return angles_SD.cos().to(TORCH_DTYPES[dtype]), angles_SD.sin().to(TORCH_DTYPES[dtype])


def make_program(params: Params, dtype: str, seed: int) -> Program:
    operation = text(params, "op", OPERATIONS)
    draw = Draw(dtype, seed)
    if operation == "rotary":
        batch, heads, sequence, width = (
            integer(params, name) for name in ("batch", "heads", "sequence", "width")
        )
        x_BHSD = draw.normal(batch, heads, sequence, width)
        return Program(rotary, (x_BHSD, *rotary_tables(sequence, width, dtype)))
    rows, columns = integer(params, "rows"), integer(params, "columns")
    x = draw.normal(rows, columns)
    if operation == "gelu":
        return Program(functional.gelu, (x,))
    other = draw.normal(rows, columns)
    return Program(torch.add if operation == "add" else silu_mul, (x, other))
