"""A training step around any loss: forward, backward, gradient clip, optimizer.

A loss is a module that takes the tensors of a batch and returns a mean over its rows.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from .costs.training import TrainingOptions
from .program import Part, Program

SGD_MOMENTUM = 0.9


class Autocast(nn.Module):
    """A loss whose products are made in ``dtype`` while its weights stay as they are."""

    def __init__(self, loss: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        if dtype.itemsize != 2:
            raise ValueError(f"precision 'autocast' is for products in bf16 or fp16, not {dtype}")
        self.loss = loss
        self.dtype = dtype

    def forward(self, *batch: Tensor) -> Tensor:
        weight = next(self.parameters())
        if weight.is_meta:  # there is nothing to compute, and no autocast
            return cast("Tensor", self.loss(*batch))
        with torch.autocast(weight.device.type, self.dtype):
            return cast("Tensor", self.loss(*batch))


class TrainingStep(nn.Module):
    """One call is one step and returns the loss before it.

    Gradients are cleared at the start of a step, so those of the last one can be read. The
    optimizer is made by the first call, where the parameters lie by then. Without ``updates`` a
    step ends with its gradients, and costs no memory for an optimizer's state.
    """

    def __init__(self, loss: nn.Module, options: TrainingOptions) -> None:
        super().__init__()
        self.loss = loss
        self.options = options
        self.updates = True
        self.optimizer: torch.optim.Optimizer | None = None
        self.masters: list[Tensor] | None = None
        self.compiled_loss: Callable[..., Tensor] | None = None

    def forward(self, *batch: Tensor) -> Tensor:
        self.clear()
        losses = []
        for part in self.micro_batches(batch):
            loss = self.loss_of(part)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
        self.clip()
        self.update()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def micro_batches(self, batch: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
        """Equal parts of the batch, so that the mean of their losses is the batch's."""
        rows, count = len(batch[0]), self.options.micro_batches
        if rows % count:
            raise ValueError(f"a batch of {rows} can't be cut into {count} equal micro batches")
        if count == 1:
            # Not a view of the whole: torch_xla 2.9 aborts where one is an index.
            return iter((batch,))
        return zip(*(tensor.chunk(count) for tensor in batch), strict=True)

    def loss_of(self, part: tuple[Tensor, ...]) -> Tensor:
        """The part's share of the batch's mean loss."""
        loss_of = self.loss if self.compiled_loss is None else self.compiled_loss
        loss: Tensor = loss_of(*part)
        return loss if self.options.micro_batches == 1 else loss / self.options.micro_batches

    def clear(self) -> None:
        for tensor in (*self.parameters(), *(self.masters or ())):
            tensor.grad = None

    def optimized(self) -> list[Tensor]:
        """The weights that the optimizer updates, which have the gradients that it uses."""
        return list(self.parameters()) if self.masters is None else self.masters

    def clip(self) -> None:
        """Hand the gradients to what is optimized, and scale them where that is asked for."""
        if self.optimizer is None and self.updates:
            self._make_optimizer()
        if self.masters is not None:
            for master, parameter in zip(self.masters, self.parameters(), strict=True):
                gradient = cast("Tensor", parameter.grad)
                master.grad = gradient.to(master.dtype)
        if self.options.clip_norm:
            nn.utils.clip_grad_norm_(self.optimized(), self.options.clip_norm)

    def update(self) -> None:
        if self.optimizer is None:
            return
        self.optimizer.step()
        if self.masters is not None:
            with torch.no_grad():
                for master, parameter in zip(self.masters, self.parameters(), strict=True):
                    parameter.copy_(master)

    def _make_optimizer(self) -> None:
        if self.options.precision == "master":
            self.masters = [
                weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)
                for weight in self.parameters()
            ]
        optimized, rate = self.optimized(), self.options.learning_rate
        first = optimized[0]
        # One kernel for the whole pass. Elsewhere PyTorch's own choice stands, since a stack may
        # list fused optimizers that it has no kernel for.
        fused = True if first.is_cpu else None
        if self.options.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(optimized, lr=rate, momentum=SGD_MOMENTUM, fused=fused)
            return
        # "Capturable" keeps the step count in a tensor on the device. Without it, a stack that
        # records graphs bakes the count into each graph and compiles anew at every step.
        # AdamW refuses it where there is nothing to capture.
        capturable = not (first.is_cpu or first.is_meta or first.is_mps)
        self.optimizer = torch.optim.AdamW(optimized, lr=rate, fused=fused, capturable=capturable)


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

    def in_float64(self) -> Program:
        """The reference makes loss and gradients, which are all that is compared with it."""
        reference = super().in_float64()
        step = cast("TrainingStep", reference.function)
        step.updates, step.optimizer, step.masters = False, None, None
        return reference

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
        """The loss, then the gradient of each parameter as the optimizer used it;
        ``RuntimeError`` before a call."""
        gradients = [weight.grad for weight in self.step.optimized()]
        present = tuple(gradient for gradient in gradients if gradient is not None)
        if len(present) != len(gradients):
            raise RuntimeError(
                f"{len(gradients) - len(present)} of {len(gradients)} parameters have no "
                "gradient: call the program before checking it"
            )
        return (output, *present)

    def moved_parameters(self) -> bool:
        """Whether every tensor that the optimizer updates differs from what it was made with,
        and the model has the same value, in its own dtype."""
        weights = zip(self.initial, self.step.optimized(), self.step.parameters(), strict=True)
        return all(
            not torch.equal(before.double(), after.detach().cpu().double())
            and torch.equal(after.to(parameter.dtype), parameter)
            for before, after, parameter in weights
        )

    def parts(self) -> tuple[Part, ...]:
        """The step taken apart: "forward" with the loss, "backward", "clip", "optimizer"."""
        step = self.step
        losses: list[Tensor] = []

        def run_forward(batch: tuple[Tensor, ...]) -> None:
            losses.append(step.loss_of(batch))

        def run_backward() -> None:
            torch.autograd.backward(losses.pop())

        parts = [Part("optimizer", step.clear)]
        for batch in step.micro_batches(self.inputs):
            parts += [
                Part("forward", functools.partial(run_forward, batch)),
                Part("backward", run_backward),
            ]
        return (*parts, Part("clip", step.clip), Part("optimizer", step.update))
