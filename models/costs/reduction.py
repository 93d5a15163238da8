"""Reductions over the last dimension: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, INDEX_BYTES, element_bytes, integer, text

OPERATIONS = ("sum", "argmax")

CONVENTION = (
    "columns-1 additions or comparisons a row, on the vector engine. Bytes: the operand read "
    "once, one result a row written once; an index is int64. Items are rows."
)
SOURCE = "Counted from the definitions."


def cost(params: Params, dtype: str) -> Cost:
    operation = text(params, "op", OPERATIONS)
    rows, columns = integer(params, "rows"), integer(params, "columns")
    size = element_bytes(dtype)
    moved = size * rows * columns + rows * (INDEX_BYTES if operation == "argmax" else size)
    return Cost(
        flops=0,
        flops_counted=0,
        vector_flops=rows * (columns - 1),
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
    operation: str,
    rows: int,
    columns: int,
    quick: tuple[str, ...],
    standard: tuple[str, ...] = ("fp32", "bf16"),
) -> Configuration:
    return Configuration(
        f"{operation}-{rows}x{columns}",
        {"op": operation, "rows": rows, "columns": columns},
        dtypes=("fp32", "bf16", "fp16"),
        quick=quick,
        standard=standard,
    )


FAMILY = Family(
    name="reduction",
    summary="sum and argmax over the last dimension",
    phase="forward",
    configurations=(
        _configuration("sum", 1024, 1024, ("fp32", "bf16")),
        _configuration("sum", 4096, 4096, (), ("fp32", "fp32:compiled", "bf16")),
        _configuration("argmax", 256, 1024, ("fp32",)),
        _configuration("argmax", 256, 32000, ()),
    ),
    program="trnbench.models.reduction:make_program",
    cost=cost,
)
