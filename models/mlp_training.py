"""Training step of a SwiGLU block: forward, mean squared error, backward, AdamW.

Shapes: T tokens, D width, F hidden width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.sizes import integer
from .costs.training import TrainingOptions
from .family import Params
from .inputs import Draw
from .mlp import SwiGLU
from .program import Program
from .training import TrainingProgram, TrainingStep


class BlockLoss(nn.Module):
    """The part of a step that is compiled: the block's forward and its loss."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x_TD: Tensor, target_TD: Tensor) -> Tensor:
        # A mean of thousands of terms in fp32 at least, as trainings do: some stacks add bf16 in
        # bf16, where the sum stops growing after a few hundred.
        out_TD = self.block(x_TD)
        wide = torch.promote_types(out_TD.dtype, torch.float32)
        return functional.mse_loss(out_TD.to(wide), target_TD.to(wide))


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, width, hidden = (integer(params, name) for name in ("tokens", "width", "hidden"))
    draw = Draw(dtype, seed)
    step = TrainingStep(BlockLoss(SwiGLU(width, hidden, draw)), TrainingOptions.of(params))
    return TrainingProgram(step, (draw.normal(tokens, width), draw.normal(tokens, width)))
