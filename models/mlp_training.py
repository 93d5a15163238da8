"""Training step of a SwiGLU block: forward, mean squared error, backward, AdamW.

Shapes: T tokens, D width, F hidden width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .mlp import SwiGLU
from .program import Program


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


class TrainingStep(nn.Module):
    """One call is one step and returns the loss before it.

    Gradients are cleared at the start of a step, so those of the last one can be read. The
    optimizer is made by the first call, where the parameters lie by then.
    """

    def __init__(self, loss: BlockLoss, learning_rate: float) -> None:
        super().__init__()
        self.loss = loss
        self.learning_rate = learning_rate
        self.optimizer: torch.optim.AdamW | None = None
        self.compiled_loss: Callable[[Tensor, Tensor], Tensor] | None = None

    def forward(self, x_TD: Tensor, target_TD: Tensor) -> Tensor:
        if self.optimizer is None:
            self.optimizer = self._make_optimizer()
        self.optimizer.zero_grad(set_to_none=True)
        loss_of = self.loss if self.compiled_loss is None else self.compiled_loss
        loss = loss_of(x_TD, target_TD)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _make_optimizer(self) -> torch.optim.AdamW:
        parameters = list(self.parameters())
        first = parameters[0]
        # "Capturable" keeps the step count in a tensor on the device. Without it, a stack that
        # records graphs bakes the count into each graph and compiles anew at every step.
        # AdamW refuses it where there is nothing to capture.
        capturable = not (first.is_cpu or first.is_meta or first.is_mps)
        return torch.optim.AdamW(parameters, lr=self.learning_rate, capturable=capturable)


class TrainingProgram(Program):
    """A training step, checked by its loss and gradients and by the movement of its weights.

    :meth:`checked` compares the first step: later ones start from moved weights.
    """

    def __init__(self, step: TrainingStep, inputs: tuple[Tensor, ...]) -> None:
        super().__init__(step, inputs)
        self.initial = tuple(parameter.detach().clone() for parameter in step.parameters())

    @property
    def step(self) -> TrainingStep:
        return cast("TrainingStep", self.function)

    def compiled_with(self, compiler: Callable[[Any], Any]) -> Program:
        """Forward and loss compiled, and through them the backward pass; the optimizer isn't,
        as in most training loops."""
        step = copy.copy(self.step)
        compiled_loss = compiler(self.step.loss)
        # Past nn.Module's registration: a second name for the same parameters isn't wanted.
        object.__setattr__(step, "compiled_loss", compiled_loss)
        compiled = copy.copy(self)
        compiled.function = step
        return compiled

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        """The loss, then the gradient of each parameter; ``RuntimeError`` before a call."""
        gradients = [parameter.grad for parameter in self.step.parameters()]
        present = tuple(gradient for gradient in gradients if gradient is not None)
        if len(present) != len(gradients):
            raise RuntimeError(
                f"{len(gradients) - len(present)} of {len(gradients)} parameters have no "
                "gradient: call the program before checking it"
            )
        return (output, *present)

    def moved_parameters(self) -> bool:
        """Whether every parameter tensor differs from what it was made with."""
        now = (parameter.detach() for parameter in self.step.parameters())
        return all(
            not torch.equal(before.double(), after.cpu().double())
            for before, after in zip(self.initial, now, strict=True)
        )


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, width, hidden = (integer(params, name) for name in ("tokens", "width", "hidden"))
    learning_rate = params.get("learning_rate")
    if isinstance(learning_rate, (bool, str)) or learning_rate is None or learning_rate < 0:
        raise ValueError(
            f"parameter 'learning_rate' must be a number from 0 up, not {learning_rate!r}"
        )
    draw = Draw(dtype, seed)
    step = TrainingStep(BlockLoss(SwiGLU(width, hidden, draw)), float(learning_rate))
    return TrainingProgram(step, (draw.normal(tokens, width), draw.normal(tokens, width)))
