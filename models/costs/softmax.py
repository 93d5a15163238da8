"""Softmax over the last dimension: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, element_bytes, integer

CONVENTION = (
    "A row of c: c-1 comparisons for the maximum, c subtractions, c-1 additions and c "
    "divisions on the vector engine, c exponentials on the scalar engine. Bytes: the operand "
    "read once and the result written once. Items are rows."
)
SOURCE = "Counted from the definition exp(x - max x) / sum exp(x - max x)."


def cost(params: Params, dtype: str) -> Cost:
    rows, columns = integer(params, "rows"), integer(params, "columns")
    moved = 2 * element_bytes(dtype) * rows * columns
    return Cost(
        flops=0,
        flops_counted=0,
        vector_flops=rows * (4 * columns - 2),
        scalar_flops=rows * columns,
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
    rows: int, columns: int, quick: tuple[str, ...], standard: tuple[str, ...]
) -> Configuration:
    params = {"rows": rows, "columns": columns}
    return Configuration(f"{rows}x{columns}", params, ("fp32", "bf16", "fp16"), quick, standard)


FAMILY = Family(
    name="softmax",
    summary="softmax over the last dimension",
    phase="forward",
    configurations=(
        _configuration(512, 1024, ("fp32", "bf16"), ("fp32", "fp32:compiled", "bf16")),
        _configuration(4096, 2048, (), ("fp32", "bf16")),
        _configuration(256, 32000, (), ("fp32", "bf16", "bf16:compiled")),
    ),
    program="trnbench.models.softmax:make_program",
    cost=cost,
)
