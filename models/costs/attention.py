"""Scaled dot product attention: configurations and cost.

B batch, H query heads, G key and value heads, Q queries, K keys, D width of a head.
"""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import FLOPS, element_bytes, integer, text

OPERATIONS = ("full", "causal", "decode")

CONVENTION = (
    "A multiply-add is two. Two products, Q times K transposed and weights times V, each "
    "2*B*H*Q*K*D; causal attention needs the lower triangle with its diagonal, Q*(Q+1)/2 of "
    "the Q*K pairs, and flops counts those; flops_counted is in full, as FlopCounterMode "
    "counts the math kernel. A pair needs, for the softmax and the scaling, 5 operations of "
    "the vector engine and one exponential. Bytes: queries, keys, values read once and the "
    "result written once, as if one kernel did it: no pair leaves the chip. Decode also reads "
    "and writes one new key and value a head. Items are tokens: the queries."
)
SOURCE = (
    "Counted from the definition softmax(Q*Kt/sqrt D)*V, Vaswani et al., arXiv 1706.03762; the "
    "traffic of a fused kernel as in Dao et al., arXiv 2205.14135; shared heads, Ainslie et "
    "al., arXiv 2305.13245."
)


def cost(params: Params, dtype: str) -> Cost:
    operation = text(params, "op", OPERATIONS)
    batch, heads, kv_heads, queries, keys, width = (
        integer(params, name) for name in ("batch", "heads", "kv_heads", "queries", "keys", "width")
    )
    full_pairs = batch * heads * queries * keys
    pairs = batch * heads * queries * (queries + 1) // 2 if operation == "causal" else full_pairs
    operands = 2 * batch * heads * queries * width + 2 * batch * kv_heads * keys * width
    # A new key and value: read as they come, and written to their place in the cache.
    appended = 2 * batch * kv_heads * width if operation == "decode" else 0
    size = element_bytes(dtype)
    moved = size * (operands + 2 * appended)
    return Cost(
        flops=4 * pairs * width,
        flops_counted=4 * full_pairs * width,
        vector_flops=5 * pairs,
        scalar_flops=pairs,
        bytes_moved=moved,
        bytes_useful=moved,
        working_set_bytes=size * (operands + appended),
        items=batch * queries,
        item_unit="tokens",
        headline=FLOPS,
        convention=CONVENTION,
        source=SOURCE,
    )


def _configuration(
    name: str,
    operation: str,
    sizes: tuple[int, int, int, int, int, int],
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = ("fp32", "bf16"),
) -> Configuration:
    names = ("batch", "heads", "kv_heads", "queries", "keys", "width")
    params: Params = {"op": operation, **dict(zip(names, sizes, strict=True))}
    return Configuration(name, params, ("fp32", "bf16", "fp16"), quick, standard)


FAMILY = Family(
    name="attention",
    summary="scaled dot product attention: prefill, decode with a KV cache, shared KV heads",
    phase="forward",
    configurations=(
        _configuration("prefill-512", "full", (1, 8, 8, 512, 512, 64), ("fp32",)),
        _configuration("causal-512", "causal", (1, 8, 8, 512, 512, 64), ("fp32", "bf16")),
        _configuration(
            "causal-2048",
            "causal",
            (1, 16, 16, 2048, 2048, 64),
            standard=("fp32", "bf16", "bf16:compiled"),
        ),
        _configuration("gqa-causal-512", "causal", (1, 16, 4, 512, 512, 64), ("bf16",)),
        _configuration("decode-1024", "decode", (4, 8, 8, 1, 1024, 64), ("fp32", "bf16")),
        _configuration("gqa-decode-4096", "decode", (4, 16, 4, 1, 4096, 128)),
    ),
    program="trnbench.models.attention:make_program",
    cost=cost,
    # The softmax weights are rounded too before they meet V.
    error_bound={"bf16": 1.2e-2},
)
