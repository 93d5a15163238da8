"""A model of the user's, named on the command line, as cases: ``package.module:object`` with the
inputs that it takes, or ``hf:NAME``, a configuration of the transformers library.

Imports neither torch nor the model: that is what workers do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..models.costs.module import PHASES
from ..models.family import Phase
from ..models.hf_config import default_inputs, find_config
from ..models.input_spec import EXAMPLES, FLOATING, InputSpec, read_inputs
from ..models.registry import family
from .case import Case
from .errors import UsageError, unknown
from .options import RunOptions
from .registration import find_from_here, is_importable
from .selection import chosen_backends, modes_of

HF = "hf:"
_TARGET = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_DEFAULT_DTYPES = ("fp32",)


@dataclass(frozen=True, slots=True)
class OwnModel:
    """What the command line says of a model: its name, its inputs, and what is done with it."""

    target: str
    inputs: Sequence[str] = ()
    phase: str = "forward"


def is_target(given: str) -> bool:
    """Whether a word names a model. No case has a colon in its name."""
    return ":" in given


def select_own(options: RunOptions, model: OwnModel) -> list[Case]:
    """The model in the dtypes asked for (fp32 by default), in every mode of every chosen backend.

    Raises ``UsageError`` for a name, an input, a phase or a dtype that can't be.
    """
    backends = chosen_backends(options)
    if model.phase not in PHASES:
        raise unknown("phase", model.phase, PHASES)
    for dtype in options.dtypes:
        if dtype not in FLOATING:
            raise UsageError(
                f"dtype '{dtype}' is for built-in workloads; a model of your own is measured in "
                f"{', '.join(FLOATING)}"
            )
    phase: Phase = "training" if model.phase == "training" else "forward"
    try:
        specs = read_inputs(model.inputs)
        made = _hf if model.target.startswith(HF) else _module
        workload, name, params = made(model.target, specs, phase)
    except ValueError as error:
        raise UsageError(f"{model.target}: {error}") from error
    return [
        Case(
            workload=workload,
            configuration=name if phase == "forward" else f"{name}-training",
            params=params,
            phase=phase,
            dtype=dtype,
            mode=mode,
            backend=backend.name,
        )
        for backend in backends
        for dtype in options.dtypes or _DEFAULT_DTYPES
        for compiled in (False, True)
        for mode in modes_of(family(workload).phase, backend, options, compiled=compiled)
        if mode != "traced" or phase == "forward"
    ]


def _module(
    target: str, specs: tuple[InputSpec, ...], phase: Phase
) -> tuple[str, str, dict[str, str]]:
    if not _TARGET.fullmatch(target):
        raise ValueError("wanted package.module:object, or hf: and a configuration")
    find_from_here()
    module, _, name = target.partition(":")
    if Path(module).is_file():
        raise ValueError(
            f"'{module}' is a file; name its module: {module.removesuffix('.py')}:{name}"
        )
    if not is_importable(module):
        raise ValueError(
            f"no module '{module.partition('.')[0]}' is installed or lies in the working folder; "
            "run from the folder that holds it, or install it"
        )
    if not specs:
        raise ValueError(
            f"say what the model takes, an --input for each tensor; such as {EXAMPLES}"
        )
    shapes = "-".join("x".join(map(str, spec.shape)) for spec in specs)
    return "module", f"{target}-{shapes}", _params(target, specs, phase)


def _hf(target: str, given: tuple[InputSpec, ...], phase: Phase) -> tuple[str, str, dict[str, str]]:
    if find_spec("transformers") is None:
        raise ValueError(
            "a Hugging Face configuration wants the transformers library: pip install "
            '"trnbench[hf]"'
        )
    if target == HF:
        raise ValueError("name a folder, a file, or a model in the local cache after it")
    name, config = find_config(target.removeprefix(HF))
    specs = default_inputs(config, given, phase)
    shape = "x".join(map(str, specs[0].shape))
    params = _params(f"{HF}{name}", specs, phase)
    params["config"] = json.dumps(config, sort_keys=True)
    return "hf", f"{name}-{shape}", params


def _params(target: str, specs: tuple[InputSpec, ...], phase: Phase) -> dict[str, str]:
    return {"target": target, "inputs": " ".join(map(str, specs)), "phase": phase}
