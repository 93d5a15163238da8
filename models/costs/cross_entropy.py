"""Cross entropy over a vocabulary: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, INDEX_BYTES, element_bytes, integer

CONVENTION = (
    "A row of v logits: v-1 comparisons for the maximum, v subtractions, v-1 additions and 2 "
    "for the loss itself on the vector engine; v exponentials and a logarithm on the scalar "
    "engine. Bytes: logits and labels (int64) read once, one loss a token written once; the "
    "log-probabilities in between aren't counted, since a fused kernel keeps them. "
    "Items are tokens."
)
SOURCE = "Counted from the definition log sum exp(x - max x) + max x - x[label]."


def cost(params: Params, dtype: str) -> Cost:
    tokens, vocabulary = integer(params, "tokens"), integer(params, "vocabulary")
    size = element_bytes(dtype)
    moved = size * tokens * vocabulary + (INDEX_BYTES + size) * tokens
    return Cost(
        flops=0,
        flops_counted=0,
        vector_flops=3 * tokens * vocabulary,
        scalar_flops=tokens * (vocabulary + 1),
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
    tokens: int, vocabulary: int, quick: tuple[str, ...], standard: tuple[str, ...]
) -> Configuration:
    params = {"tokens": tokens, "vocabulary": vocabulary}
    name = f"{tokens}x{vocabulary}"
    return Configuration(name, params, ("fp32", "bf16", "fp16"), quick, standard)


FAMILY = Family(
    name="cross_entropy",
    summary="cross entropy of logits over a vocabulary, one loss a token",
    phase="forward",
    configurations=(
        _configuration(64, 32000, ("fp32", "bf16"), ("fp32", "bf16")),
        _configuration(1024, 32000, (), ("fp32", "fp32:compiled", "bf16")),
    ),
    program="trnbench.models.cross_entropy:make_program",
    cost=cost,
    # The log-probability is rounded before it is picked: two roundings.
    error_bound={"bf16": 1.2e-2},
)
