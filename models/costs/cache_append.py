"""Appending to a static key or value cache, a write to a few rows: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, INDEX_BYTES, element_bytes, integer

CONVENTION = (
    "No arithmetic. Bytes useful: the positions (int64) and the new rows read once, these rows "
    "of the cache written once. Bytes copied: a stack that can't write in place reads the whole "
    "cache and writes a new one. Items are tokens appended."
)
SOURCE = (
    "Counted from the definition of index_copy. The copy was measured with torch-neuronx 2.8 on "
    "trn1: 516 MB moved to append 16.8 MB (pantheonneuron, docs/xla_has_no_in_place_write.md, "
    "read 2026-11-21)."
)


def cost(params: Params, dtype: str) -> Cost:
    tokens, context, heads, width = (
        integer(params, name) for name in ("tokens", "context", "heads", "head_dim")
    )
    if tokens > context:
        raise ValueError(f"parameter 'tokens' must be at most 'context' ({context}), not {tokens}")
    row = element_bytes(dtype) * heads * width
    moved = INDEX_BYTES * tokens + 2 * row * tokens
    return Cost(
        flops=0,
        flops_counted=0,
        bytes_moved=moved,
        bytes_useful=moved,
        bytes_copied=2 * row * context,
        working_set_bytes=moved,
        items=tokens,
        item_unit="tokens",
        headline=BYTES,
        convention=CONVENTION,
        source=SOURCE,
    )


def _configuration(
    tokens: int, context: int, heads: int, head_dim: int, quick: tuple[str, ...] = ()
) -> Configuration:
    params = {"tokens": tokens, "context": context, "heads": heads, "head_dim": head_dim}
    name = f"{tokens}-to-{context}x{heads}x{head_dim}"
    return Configuration(name, params, ("fp32", "bf16", "fp16"), quick)


FAMILY = Family(
    name="cache_append",
    summary="new rows written into a static key or value cache",
    phase="forward",
    configurations=(
        _configuration(64, 4096, 8, 128, ("bf16",)),
        _configuration(1, 8192, 8, 128),
    ),
    program="trnbench.models.cache_append:make_program",
    cost=cost,
    # Rows are copied, never computed with.
    error_bound={"fp32": 0.0, "bf16": 0.0, "fp16": 0.0},
)
