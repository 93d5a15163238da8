"""Layer norm and RMS norm: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, element_bytes, integer, text

OPERATIONS = ("layer", "rms")

CONVENTION = (
    "A row of d. Layer norm: mean d, subtract d, square d, variance d, add epsilon 1, multiply "
    "by the inverse root d, scale d, shift d: 7d+1 on the vector engine and one inverse root "
    "on the scalar engine. RMS norm: square d, mean d, add epsilon 1, multiply d, scale d: "
    "4d+1 and one. Bytes: the operand and the weights read once, the result written once; the "
    "call is one operator, whatever a backend splits it into. Items are rows (tokens)."
)
SOURCE = (
    "Counted from the definitions: Ba et al., arXiv 1607.06450; Zhang and Sennrich, 1910.07467."
)


def cost(params: Params, dtype: str) -> Cost:
    layer = text(params, "op", OPERATIONS) == "layer"
    rows, width = integer(params, "rows"), integer(params, "width")
    weights = 2 * width if layer else width
    moved = element_bytes(dtype) * (2 * rows * width + weights)
    return Cost(
        flops=0,
        flops_counted=0,
        vector_flops=rows * ((7 if layer else 4) * width + 1),
        scalar_flops=rows,
        bytes_moved=moved,
        bytes_useful=moved,
        working_set_bytes=moved,
        items=rows,
        item_unit="rows",
        headline=BYTES,
        convention=CONVENTION,
        source=SOURCE,
    )


def _configuration(
    operation: str, rows: int, width: int, quick: tuple[str, ...], standard: tuple[str, ...]
) -> Configuration:
    return Configuration(
        f"{operation}-{rows}x{width}",
        {"op": operation, "rows": rows, "width": width},
        dtypes=("fp32", "bf16", "fp16"),
        quick=quick,
        standard=standard,
    )


_BOTH_COMPILED = ("fp32", "fp32:compiled", "bf16", "bf16:compiled")

FAMILY = Family(
    name="norm",
    summary="layer norm and RMS norm",
    phase="forward",
    configurations=(
        _configuration("layer", 512, 1024, ("fp32",), ("fp32", "fp32:compiled", "bf16")),
        _configuration("layer", 2048, 4096, (), ("fp32", "bf16")),
        _configuration("rms", 512, 1024, ("fp32", "bf16", "fp32:compiled"), _BOTH_COMPILED),
        _configuration("rms", 2048, 4096, (), _BOTH_COMPILED),
    ),
    program="trnbench.models.norm:make_program",
    cost=cost,
    # Rounded once after the normalisation and once after the weights.
    error_bound={"bf16": 1.2e-2},
)
