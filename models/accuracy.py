"""How far an output is from its reference."""

from __future__ import annotations

import torch
from torch import Tensor

from .bounds import bound

__all__ = ["bound", "relative_error"]


def relative_error(
    outputs: tuple[Tensor, ...], reference: tuple[Tensor, ...]
) -> tuple[float | None, str]:
    """The largest error over the tensors of a call, and a note on where and what it is.

    Floating point tensors: ``max|output - reference| / max|reference|``, worked out in
    float64; where the reference is zero throughout, the largest absolute difference. Places
    where both hold the same infinity, or both NaN, agree; ``None`` where else the output isn't
    finite, or the reference isn't.

    Integer tensors (indices, int32 sums) must be exact: the error is the number of entries
    that differ, so that a single one exceeds any bound below 1.

    ``ValueError`` for another number of tensors or another shape.
    """
    if len(outputs) != len(reference):
        raise ValueError(
            f"the output has {len(outputs)} tensors and the reference {len(reference)}"
        )
    if not outputs:
        raise ValueError("the output has no tensor to compare")
    worst, note = 0.0, ""
    for position, (output, wanted) in enumerate(zip(outputs, reference, strict=True)):
        if output.shape != wanted.shape:
            raise ValueError(
                f"output {position} has shape {tuple(output.shape)} and its reference "
                f"{tuple(wanted.shape)}"
            )
        error, words = _error(output.detach().cpu(), wanted.detach().cpu())
        where = f"output {position}: {words}" if len(outputs) > 1 and words else words
        if error is None:
            return None, where
        if error > worst or not note:
            worst, note = max(worst, error), where
    return worst, note


def _error(output: Tensor, wanted: Tensor) -> tuple[float | None, str]:
    if output.numel() == 0:
        return 0.0, "empty"
    if not output.is_floating_point():
        differing = int((output.double() != wanted.double()).sum())
        return float(differing), f"{differing} of {output.numel()} integers differ"
    given, truth = output.double(), wanted.double()
    finite = given.isfinite() & truth.isfinite()
    same = (given == truth) | (given.isnan() & truth.isnan())
    broken = int((~(finite | same)).sum())
    if broken:
        return None, f"{broken} of {given.numel()} values are NaN or infinite, unlike the reference"
    if not bool(finite.any()):
        return 0.0, "no finite value; all agree with the reference"
    zero = torch.zeros((), dtype=torch.float64)
    difference = float(torch.where(finite, given - truth, zero).abs().max())
    largest = float(torch.where(finite, truth, zero).abs().max())
    if largest == 0.0:
        return difference, "absolute: the reference is zero throughout"
    return difference / largest, ""
