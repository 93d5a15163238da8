"""SwiGLU block, forward: configurations and cost.

T tokens, D width, F hidden width: y = (silu(x*Wg) * (x*Wu)) * Wd.
"""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import FLOPS, element_bytes, integer

CONVENTION = (
    "A multiply-add is two; three products of 2*T*D*F each. A hidden element costs 4 "
    "operations of the vector engine and one exponential (silu, times the gate). bytes_moved: "
    "operands and result of each of the five operators (3 products, silu, mul). bytes_useful "
    "and the working set: input, weights and result once. Items are tokens."
)
SOURCE = "Counted from the definition, Shazeer, arXiv 2002.05202."


def cost(params: Params, dtype: str) -> Cost:
    tokens, width, hidden = (integer(params, name) for name in ("tokens", "width", "hidden"))
    weights = 3 * width * hidden
    products = weights + 3 * tokens * (width + hidden)
    activation = (2 + 3) * tokens * hidden
    useful = weights + 2 * tokens * width
    size = element_bytes(dtype)
    return Cost(
        flops=2 * tokens * weights,
        flops_counted=2 * tokens * weights,
        vector_flops=4 * tokens * hidden,
        scalar_flops=tokens * hidden,
        bytes_moved=size * (products + activation),
        bytes_useful=size * useful,
        working_set_bytes=size * useful,
        items=tokens,
        item_unit="tokens",
        headline=FLOPS,
        convention=CONVENTION,
        source=SOURCE,
    )


def _configuration(
    tokens: int, width: int, hidden: int, quick: tuple[str, ...], standard: tuple[str, ...]
) -> Configuration:
    params = {"tokens": tokens, "width": width, "hidden": hidden}
    name = f"{tokens}x{width}x{hidden}"
    return Configuration(name, params, ("fp32", "bf16", "fp16"), quick, standard)


FAMILY = Family(
    name="mlp",
    summary="SwiGLU block of a decoder, forward",
    phase="forward",
    configurations=(
        _configuration(
            128,
            512,
            1536,
            ("fp32", "bf16", "fp32:compiled"),
            ("fp32", "fp32:compiled", "bf16", "bf16:compiled"),
        ),
        _configuration(512, 1024, 2816, (), ("fp32", "fp32:compiled", "bf16", "bf16:compiled")),
        _configuration(1, 2048, 5632, (), ("fp32", "bf16")),
    ),
    program="trnbench.models.mlp:make_program",
    cost=cost,
    # Four roundings in a row: gate, silu, product, result.
    error_bound={"fp32": 2e-5, "bf16": 2e-2, "fp16": 4e-3},
)
