"""Models of other people as programs: their inputs, what of their output is checked, and a
training step around them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from .costs.module import TRAINING_ERROR_BOUND
from .costs.training import TrainingOptions
from .counting import cloned, on_meta
from .input_spec import BOOL, INTEGERS, InputSpec
from .inputs import Draw
from .program import TORCH_DTYPES, Program
from .training import TrainingProgram, TrainingStep

#: Keys of an output that hold what a model is called for, in this order.
MAIN_OUTPUTS = ("logits", "last_hidden_state")


class ForeignProgram(Program):
    """A model or function of somebody else, checked by every tensor that it returns."""

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        return tensors_of(output)


class ForeignTraining(TrainingProgram):
    """A training step of somebody else's model.

    Parameters that the loss doesn't reach have no gradient and stay. Of the gradients their
    norms are compared, against the largest one: entries near a kink of relu change by as much
    as the largest is where a rounding moves a value across it, and some gradients are zero but
    for rounding (the bias of keys in attention).
    """

    error_bound = TRAINING_ERROR_BOUND

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        found = [p.grad for p in self.step.parameters() if p.grad is not None]
        if not found:
            raise RuntimeError("no parameter has a gradient: the loss depends on none of them")
        wide = torch.promote_types(found[0].dtype, torch.float32)
        norms = [torch.linalg.vector_norm(gradient, dtype=wide) for gradient in found]
        return (output, torch.stack(norms))

    def moved_parameters(self) -> bool:
        """Whether any parameter tensor differs from what it was made with: a step may be smaller
        than the spacing of a dtype."""
        now = (parameter.detach() for parameter in self.step.parameters())
        return any(
            not torch.equal(before.double(), after.cpu().double())
            for before, after in zip(self.initial, now, strict=True)
        )


class Named(nn.Module):
    """A function whose last arguments are handed over by name."""

    def __init__(self, function: Callable[..., Any], names: Sequence[str]) -> None:
        super().__init__()
        self.function = function
        self.names = tuple(names)

    def forward(self, *inputs: Tensor) -> Any:
        first = len(inputs) - len(self.names)
        named = dict(zip(self.names, inputs[first:], strict=True))
        return self.function(*inputs[:first], **named)


class MeanLoss(nn.Module):
    """What a step of somebody else's model minimises: its own loss where it has one (``.loss``),
    else its first output (``.logits``, ``.last_hidden_state``, the first element). What isn't
    one number becomes the mean of its squared distances from fixed random numbers, the last
    tensor of the batch: a plain mean of what is normalised is constant, and has no gradient. In
    fp32 at least.
    """

    def __init__(self, model: nn.Module, *, reduced: bool) -> None:
        super().__init__()
        self.model = model
        self.reduced = reduced

    def forward(self, *batch: Tensor) -> Tensor:
        inputs = batch[:-1] if self.reduced else batch
        output = loss_of(self.model(*inputs))
        wide = torch.promote_types(output.dtype, torch.float32)
        if self.reduced:
            return functional.mse_loss(output.to(wide), batch[-1].to(wide))
        return output.to(wide).mean()


def forward_program(
    function: Callable[..., Any], specs: Sequence[InputSpec], dtype: str, seed: int
) -> Program:
    """Inference: a module in eval mode, its weights in ``dtype`` on the CPU, without gradients."""
    if isinstance(function, nn.Module):
        function = _own(function, dtype)
        function.requires_grad_(requires_grad=False)
        function.eval()
    return ForeignProgram(with_names(function, specs), draw_inputs(specs, Draw(dtype, seed)))


def training_program(
    model: Callable[..., Any], specs: Sequence[InputSpec], dtype: str, seed: int
) -> Program:
    """Forward, loss, backward and AdamW, weights and state in ``dtype``. The module is in
    training mode with its dropout off: what is random can't be compared with a reference.

    Raises ``TypeError`` for what has nothing to train, and for an output without a gradient.
    """
    if not isinstance(model, nn.Module):
        raise TypeError("--phase training wants an nn.Module, and this is a function")
    own = _own(model, dtype)
    if not any(parameter.requires_grad for parameter in own.parameters()):
        raise TypeError("--phase training wants parameters to train, and this module has none")
    _switch_off_dropout(own.train())
    named: nn.Module = with_names(own, specs)
    draw = Draw(dtype, seed)
    inputs = draw_inputs(specs, draw)
    shape = _shape_of_loss(named, inputs)
    reduced = shape.numel() != 1
    if reduced:
        inputs = (*inputs, draw.normal(*shape))
    return ForeignTraining(
        TrainingStep(MeanLoss(named, reduced=reduced), TrainingOptions()), inputs
    )


def with_names(function: Callable[..., Any], specs: Sequence[InputSpec]) -> Any:
    """The function taking its inputs in their order, those with a name too."""
    names = [spec.name for spec in specs if spec.name is not None]
    return Named(function, names) if names else function


def draw_inputs(specs: Sequence[InputSpec], draw: Draw) -> tuple[Tensor, ...]:
    """Normal values, integers below their bounds, fair coins."""
    return tuple(_draw_input(spec, draw) for spec in specs)


def _draw_input(spec: InputSpec, draw: Draw) -> Tensor:
    if spec.dtype == BOOL:
        return draw.integers(*spec.shape, limit=2).bool()
    if spec.dtype in INTEGERS:
        bound = spec.bound or 1
        kind: torch.dtype = getattr(torch, spec.dtype)
        return draw.integers(*spec.shape, limit=bound).to(kind)
    values = draw.normal(*spec.shape)
    return values if spec.dtype is None else values.to(TORCH_DTYPES[spec.dtype])


def tensors_of(output: Any) -> tuple[Tensor, ...]:
    """The tensors in what a model returned, in their order: nested, named, or in a dataclass.
    ``TypeError`` where there is none."""
    if is_dataclass(output) and not isinstance(output, Mapping | type):
        output = [getattr(output, field.name) for field in fields(output)]
    found = tuple(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
    if not found:
        raise TypeError(f"the model returned {type(output).__name__}; wanted tensors")
    return found


def main_output(output: Any) -> Tensor:
    """Logits, the last hidden state, or the first tensor of what a model returned."""
    for name in MAIN_OUTPUTS:
        value = _part(output, name)
        if isinstance(value, Tensor):
            return value
    return tensors_of(output)[0]


def loss_of(output: Any) -> Tensor:
    """The model's own loss, or its main output."""
    loss = _part(output, "loss")
    return loss if isinstance(loss, Tensor) else main_output(output)


def _part(output: Any, name: str) -> Any:
    if isinstance(output, Tensor):
        return None
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def _own(model: nn.Module, dtype: str) -> nn.Module:
    """A copy: an object that a module holds is there for the next case too."""
    return copy.deepcopy(model).to("cpu").to(TORCH_DTYPES[dtype])


def _switch_off_dropout(model: nn.Module) -> None:
    """Layers of dropout or stochastic depth, and numbers that modules hand to a function of it."""
    for part in model.modules():
        kind = type(part).__name__
        is_dropout = "Drop" in kind or kind == "StochasticDepth"
        if is_dropout:
            part.training = False
        for name, value in vars(part).items():
            if ("drop" in name or (is_dropout and name == "p")) and isinstance(value, float):
                setattr(part, name, 0.0)


def _shape_of_loss(model: nn.Module, inputs: tuple[Tensor, ...]) -> torch.Size:
    """The shape of what the model is trained by, from a call that changes nothing of it."""
    program = Program(model, inputs)
    with torch.no_grad():
        try:
            output = loss_of(on_meta(program)())
        except Exception:  # noqa: BLE001 - whatever can't run there runs on the CPU
            output = loss_of(program.moved(cloned)())
    if not output.is_floating_point():
        raise TypeError(f"--phase training: the model returned {output.dtype}, without a gradient")
    return output.shape
