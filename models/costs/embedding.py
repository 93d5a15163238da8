"""Embedding lookup, a gather of rows: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, INDEX_BYTES, element_bytes, integer

CONVENTION = (
    "No arithmetic. Bytes: the indices (int64) and the rows that they name read once, the "
    "result written once; the rest of the table isn't touched. The indices are distinct, so "
    "no row is read twice. Items are tokens."
)
SOURCE = "Counted from the definition y[i] = table[index[i]]."


def cost(params: Params, dtype: str) -> Cost:
    tokens, rows, width = (integer(params, name) for name in ("tokens", "vocabulary", "width"))
    if tokens > rows:
        raise ValueError(f"parameter 'tokens' must be at most 'vocabulary' ({rows}), not {tokens}")
    moved = INDEX_BYTES * tokens + 2 * element_bytes(dtype) * tokens * width
    return Cost(
        flops=0,
        flops_counted=0,
        bytes_moved=moved,
        bytes_useful=moved,
        working_set_bytes=moved,
        items=tokens,
        item_unit="tokens",
        headline=BYTES,
        convention=CONVENTION,
        source=SOURCE,
    )


def _configuration(
    tokens: int, vocabulary: int, width: int, quick: tuple[str, ...] = ()
) -> Configuration:
    params = {"tokens": tokens, "vocabulary": vocabulary, "width": width}
    name = f"{tokens}-of-{vocabulary}x{width}"
    return Configuration(name, params, ("fp32", "bf16", "fp16"), quick)


FAMILY = Family(
    name="embedding",
    summary="embedding lookup: rows of a table gathered by index",
    phase="forward",
    configurations=(
        _configuration(1024, 32000, 512, ("fp32", "bf16")),
        _configuration(8192, 32000, 1024),
    ),
    program="trnbench.models.embedding:make_program",
    cost=cost,
    # Rows are copied, never computed with.
    error_bound={"fp32": 0.0, "bf16": 0.0, "fp16": 0.0},
)
