"""SwiGLU block of a decoder, forward.

Shapes: T tokens, D width, F hidden width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


class SwiGLU(nn.Module):
    """y = (silu(x Wg) * (x Wu)) Wd, with weights drawn from the program's seed."""

    def __init__(self, width: int, hidden: int, draw: Draw) -> None:
        super().__init__()
        self.gate_FD = nn.Parameter(draw.normal(hidden, width, scale=width**-0.5))
        self.up_FD = nn.Parameter(draw.normal(hidden, width, scale=width**-0.5))
        self.down_DF = nn.Parameter(draw.normal(width, hidden, scale=hidden**-0.5))

    def forward(self, x_TD: Tensor) -> Tensor:
        gate_TF = functional.silu(functional.linear(x_TD, self.gate_FD))
        return functional.linear(gate_TF * functional.linear(x_TD, self.up_FD), self.down_DF)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, width, hidden = (integer(params, name) for name in ("tokens", "width", "hidden"))
    draw = Draw(dtype, seed)
    block = SwiGLU(width, hidden, draw)
    # Inference: nothing is recorded for a backward pass, whatever context the call runs in.
    block.requires_grad_(requires_grad=False)
    return Program(block.eval(), (draw.normal(tokens, width),))
