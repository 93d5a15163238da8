"""Matrix multiplication: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import FLOPS, element_bytes, integer, text

OPERATIONS = ("mm", "bmm", "linear", "linear-bias")

CONVENTION = (
    "A multiply-add is two; 2*batch*m*n*k. The bias is n*m additions of the vector engine. "
    "Bytes: both operands (and the bias) read once and the result written once, in the dtype; "
    "the result of int8 is int32, four bytes. Items are rows of the left operand."
)
SOURCE = "Counted from the definition C[i,j] = sum over p of A[i,p]*B[p,j]."


def cost(params: Params, dtype: str) -> Cost:
    operation = text(params, "op", OPERATIONS)
    m, n, k = (integer(params, name) for name in ("m", "n", "k"))
    batch = integer(params, "batch") if operation == "bmm" else 1
    bias = n if operation == "linear-bias" else 0
    size = element_bytes(dtype)
    result_size = 4 if dtype == "int8" else size
    moved = size * (batch * (m * k + k * n) + bias) + result_size * batch * m * n
    flops = 2 * batch * m * n * k
    reason = "FlopCounterMode has no formula for torch._int_mm and counts 0"
    return Cost(
        flops=flops,
        flops_counted=None if dtype == "int8" else flops,
        uncounted_reason=reason if dtype == "int8" else None,
        vector_flops=m * n if bias else 0,
        bytes_moved=moved,
        bytes_useful=moved,
        working_set_bytes=moved,
        items=batch * m,
        item_unit="rows",
        headline=FLOPS,
        convention=CONVENTION,
        source=SOURCE,
    )


def _square(
    n: int, quick: tuple[str, ...], standard: tuple[str, ...] = ("fp32", "bf16", "int8")
) -> Configuration:
    return Configuration(
        f"square-{n}",
        {"op": "mm", "m": n, "n": n, "k": n},
        dtypes=("fp32", "bf16", "fp16", "int8"),
        quick=quick,
        standard=standard,
    )


def _decode(m: int, quick: tuple[str, ...]) -> Configuration:
    """One layer of a decoder while it generates: m tokens at once, weights stored (n, k)."""
    return Configuration(
        f"skinny-m{m}",
        {"op": "linear", "m": m, "n": 4096, "k": 4096},
        dtypes=("fp32", "bf16", "fp16"),
        quick=quick,
    )


FAMILY = Family(
    name="matmul",
    summary="matrix product: square, skinny as in decode, batched, linear with bias, int8",
    phase="forward",
    configurations=(
        _square(512, ("fp32", "bf16", "int8"), ("fp32", "fp32:compiled", "bf16", "int8")),
        _square(1024, ("fp32", "bf16")),
        _square(2048, ()),
        # Sizes that vendors and others publish; only in the preset full.
        _square(4096, (), ()),
        _square(8192, (), ()),
        _decode(1, ("fp32", "bf16")),
        _decode(8, ()),
        Configuration(
            "batched-16x256",
            {"op": "bmm", "batch": 16, "m": 256, "n": 256, "k": 256},
            dtypes=("fp32", "bf16", "fp16"),
            quick=("fp32",),
        ),
        Configuration(
            "linear-256x1024",
            {"op": "linear-bias", "m": 256, "n": 1024, "k": 1024},
            dtypes=("fp32", "bf16", "fp16"),
            quick=("fp32",),
            standard=("fp32", "fp32:compiled", "bf16", "bf16:compiled"),
        ),
    ),
    program="trnbench.models.matmul:make_program",
    cost=cost,
)
