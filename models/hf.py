"""A model of the transformers library from its configuration, with random weights.

Nothing is looked up or downloaded: the configuration is a parameter of the case.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .costs.module import PHASES
from .costs.sizes import text
from .family import Params
from .foreign import ForeignProgram, forward_program, main_output, training_program
from .input_spec import read_inputs
from .program import Program


class MainFirst(nn.Module):
    """A model whose output is a plain tuple: what it is called for, then its other tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor, **named: Tensor) -> tuple[Tensor, ...]:
        output = self.model(*inputs, **named)
        main = main_output(output)
        others = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        return (main, *(other for other in others if other is not main))


class HfProgram(ForeignProgram):
    """Checked by its logits, its last hidden state, or its first tensor."""

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        return (output[0],)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    specs = read_inputs(str(params["inputs"]).split())
    model = _make_model(json.loads(str(params["config"])), seed)
    if text(params, "phase", PHASES) == "training":
        return training_program(model, specs, dtype, seed)
    made = forward_program(MainFirst(model), specs, dtype, seed)
    return HfProgram(made.function, made.inputs)


def _make_model(config: dict[str, Any], seed: int) -> nn.Module:
    """The first of the architectures that the configuration names, or its base model."""
    # Read when the library is imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers: Any = import_module("transformers")
    made = transformers.AutoConfig.for_model(**config)
    for part in (made, made.get_text_config()):
        # Returned keys and values would be an output that nobody asked for.
        part.use_cache = False
    names = config.get("architectures") or []
    torch.manual_seed(seed)
    if not names:
        base: nn.Module = transformers.AutoModel.from_config(made)
        return base
    model_class = getattr(transformers, names[0], None)
    if model_class is None:
        raise ValueError(
            f"transformers {transformers.__version__} has no '{names[0]}', the first of the "
            "configuration's architectures: install a release that has it, or take the entry out "
            "for the base model"
        )
    model: nn.Module = model_class(made)
    return model
