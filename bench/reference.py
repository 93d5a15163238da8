"""The reference output of a case: computed once a run, in float64 on the CPU.

It is computed in a process of its own, since a workload that crashes or never ends must not
take the parent with it; the workers then read it from a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.family import Family
from ..models.registry import OPEN_NAMES
from ..results.record import CaseKey, NumericError
from ..specs.cost import Cost

if TYPE_CHECKING:
    from ..models.program import Program

#: Inputs and weights are made from this seed in every process.
SEED = 20261122
COST_SUFFIX = ".cost.json"
#: torch's words for operands of two dtypes, or for one that an operator doesn't take.
_WANTS_NARROW = re.compile(r"same dtype|scalar type|should be the same|\bDouble\b", re.IGNORECASE)


def reference_name(key: CaseKey) -> str:
    """File name of the reference: equal for the modes and backends of one workload."""
    identity = json.dumps([key.workload, key.configuration, key.params, key.dtype], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:24] + ".pt"


def compute_reference(program: Program, path: Path) -> None:
    """Run the program once in float64 and keep what is compared of its output.

    Code that insists on a narrower dtype somewhere can't run in float64: it is run as it is, on
    the CPU, and the file says so.
    """
    import torch

    from ..models.counting import cloned

    reference = "float64 on the CPU"
    try:
        wide = program.in_float64()
        tensors = wide.checked(wide())
    except RuntimeError as error:
        if not _WANTS_NARROW.search(str(error)):
            raise
        reference = f"the case's dtype on the CPU: in float64 {str(error).splitlines()[0][:200]}"
        own = program.moved(cloned)
        tensors = own.checked(own())
    kept = {"reference": reference, "tensors": tuple(t.detach().clone() for t in tensors)}
    partial = path.with_suffix(".partial")
    torch.save(kept, partial)
    partial.rename(path)


def keep_counted_cost(program: Program, family: Family, path: Path) -> None:
    """Count what one call of a program costs that nobody described, and keep it beside its
    reference; nothing where it can't be counted. Whole models are read by their items."""
    from ..models.counting import count_cost

    try:
        cost = count_cost(program, "items" if family.name in OPEN_NAMES else None)
        if cost is not None:
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(cost)), encoding="utf-8")
            partial.rename(path.with_suffix(COST_SUFFIX))
    except Exception:  # noqa: BLE001 - then the case has no cost, as before it was counted
        return


def counted_cost(references: Path, key: CaseKey) -> Cost | None:
    """What ``keep_counted_cost`` kept for the case."""
    path = (references / reference_name(key)).with_suffix(COST_SUFFIX)
    return Cost(**json.loads(path.read_bytes())) if path.exists() else None


def compare_with_reference(
    program: Program, output: Any, family: Family, dtype: str, path: Path
) -> NumericError:
    """The error of one output, on the CPU, against the stored reference."""
    import torch

    from ..models.accuracy import bound, relative_error

    limit = program.error_bound.get(dtype) or bound(family, dtype)
    kept: dict[str, Any] = torch.load(path, weights_only=True)
    stored, reference = kept["tensors"], kept["reference"]
    if not all(bool(torch.isfinite(t).all()) for t in stored if t.is_floating_point()):
        return NumericError(
            error=None,
            bound=limit,
            reference=reference,
            note="the reference itself holds NaN or infinity, so nothing can be checked",
        )
    outputs = tuple(t.detach().to("cpu") for t in program.checked(output))
    error, note = relative_error(outputs, stored)
    return NumericError(error=error, bound=limit, reference=reference, note=note)
