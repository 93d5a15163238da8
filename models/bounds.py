"""How far from the float64 reference an output may be, per dtype, and why.

An error is ``max|output - reference| / max|reference|`` over one tensor: see
``trnbench.models.accuracy``. Half a unit in the last place, relative to a value, is at most
2^-24 in fp32, 2^-11 in fp16 and 2^-8 in bf16 (which rounds 8 significant bits); against the
largest value of the tensor it is at most that, and usually half.
"""

from __future__ import annotations

from collections.abc import Mapping

from .family import Family

DEFAULT_BOUNDS: Mapping[str, float] = {
    # Sums of up to 4096 products, in any order: sqrt(4096) roundings of 2^-24 is 3.8e-6, and
    # max|reference| lies well above the terms that are rounded. Wrong by one product in 4096
    # shows; TF32 (2^-11 an operand) does too.
    "fp32": 1e-5,
    # What a device computes that was allowed TF32: operands rounded to 11 significant bits.
    "tf32": 2e-3,
    # Accumulated in fp32 and rounded once to 8 bits is at most 2^-8 = 0.0039; room for a
    # backend that rounds one partial sum more.
    "bf16": 7.8e-3,
    # The same with 11 bits is at most 2^-11 = 0.0005; the room is for half precision
    # accumulation of partial sums, which CPUs and older GPUs do.
    "fp16": 2e-3,
    # int32 accumulation of int8 products is exact.
    "int8": 0.0,
}


def bound(family: Family, dtype: str) -> float:
    """The largest error allowed for ``family`` in ``dtype``: its own, or the default.

    ``ValueError`` for a dtype that neither knows."""
    if dtype in family.error_bound:
        return family.error_bound[dtype]
    if dtype not in DEFAULT_BOUNDS:
        known = ", ".join(DEFAULT_BOUNDS)
        raise ValueError(
            f"workload '{family.name}' has no error bound for dtype '{dtype}'; known: {known}. "
            "State one in the family's error_bound."
        )
    return DEFAULT_BOUNDS[dtype]
