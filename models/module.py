"""A model by its name, ``package.module:object``: somebody else's code, imported where it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from .costs.module import PHASES
from .costs.sizes import text
from .family import Params
from .foreign import forward_program, training_program
from .input_spec import InputSpec, read_inputs
from .program import Program


def make_program(params: Params, dtype: str, seed: int) -> Program:
    target = str(params["target"])
    specs = read_inputs(str(params["inputs"]).split())
    # Weights come from torch's own generator, in the module as it is imported too.
    torch.manual_seed(seed)
    found = _find(target)
    torch.manual_seed(seed)
    model = _make(found, target, specs)
    make = training_program if text(params, "phase", PHASES) == "training" else forward_program
    return make(model, specs, dtype, seed)


def _find(target: str) -> Any:
    module, _, path = target.partition(":")
    found: Any = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _make(found: Any, target: str, specs: Sequence[InputSpec]) -> Callable[..., Any]:
    """The model that a target stands for: itself where it is a module or takes the inputs, else
    what it returns when it is called. ``TypeError`` for what is neither."""
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise TypeError(
            f"{target} is {type(found).__name__}; wanted an nn.Module, a class of one, a function "
            "that returns one, or a function of tensors"
        )
    try:
        signature = inspect.signature(found)
    except ValueError:  # written in C, as torch.relu is
        signature = None
    if isinstance(found, type) or (signature is not None and _takes_nothing(signature)):
        made = found()
        if not callable(made) or isinstance(made, Tensor):
            raise TypeError(
                f"{target}() returned {type(made).__name__}; wanted an nn.Module. A function of "
                "tensors has an argument without a default for each --input"
            )
        return made  # type: ignore[no-any-return]
    if signature is not None:
        _require_inputs(signature, target, specs)
    return found  # type: ignore[no-any-return]


def _takes_nothing(signature: inspect.Signature) -> bool:
    """Whether a call without arguments is meant: any number of them is meant for tensors."""
    return all(
        parameter.kind is parameter.VAR_KEYWORD or parameter.default is not parameter.empty
        for parameter in signature.parameters.values()
    )


def _require_inputs(signature: inspect.Signature, target: str, specs: Sequence[InputSpec]) -> None:
    unnamed = [None for spec in specs if spec.name is None]
    named = {spec.name: None for spec in specs if spec.name is not None}
    try:
        signature.bind(*unnamed, **named)
    except TypeError as error:
        raise TypeError(
            f"{target}{signature} can't take the {len(specs)} --input given ({error}); give one "
            "for each tensor, or name a function without arguments that returns the model"
        ) from error
