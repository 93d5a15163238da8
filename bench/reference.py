"""The reference output of a case: computed once a run, in float64 on the CPU.

It is computed in a process of its own, since a workload that crashes or never ends must not
take the parent with it; the workers then read it from a file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.family import Family
from ..results.record import CaseKey, NumericError

if TYPE_CHECKING:
    from ..models.program import Program

#: Inputs and weights are made from this seed in every process.
SEED = 20261122


def reference_name(key: CaseKey) -> str:
    """File name of the reference: equal for the modes and backends of one workload."""
    identity = json.dumps([key.workload, key.configuration, key.params, key.dtype], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:24] + ".pt"


def compute_reference(program: Program, path: Path) -> None:
    """Run the program once in float64 and keep what is compared of its output."""
    import torch

    wide = program.in_float64()
    tensors = tuple(t.detach().clone() for t in wide.checked(wide()))
    partial = path.with_suffix(".partial")
    torch.save(tensors, partial)
    partial.rename(path)


def compare_with_reference(
    program: Program, output: Any, family: Family, dtype: str, path: Path
) -> NumericError:
    """The error of one output, on the CPU, against the stored reference."""
    import torch

    from ..models.accuracy import bound, relative_error

    limit = bound(family, dtype)
    stored: tuple[torch.Tensor, ...] = torch.load(path, weights_only=True)
    if not all(bool(torch.isfinite(t).all()) for t in stored if t.is_floating_point()):
        return NumericError(
            error=None,
            bound=limit,
            reference="float64 on the CPU",
            note="the reference itself holds NaN or infinity, so nothing can be checked",
        )
    outputs = tuple(t.detach().to("cpu") for t in program.checked(output))
    error, note = relative_error(outputs, stored)
    return NumericError(error=error, bound=limit, reference="float64 on the CPU", note=note)
