"""Training step of a SwiGLU block: configurations and cost.

T tokens, D width, F hidden width, P = 3*D*F parameters.
"""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import FLOPS, element_bytes, integer
from .tally import Tally
from .training import TrainingOptions, add_update

CONVENTION = (
    "A multiply-add is two. Forward 3 products of 2*T*D*F; backward 2 for the down projection "
    "and 1 each for gate and up, since the input needs no gradient: 7 in all, 14*T*D*F. On "
    "the vector engine: 4 a hidden element forward and 10 backward (of them 8 for silu), 5 an "
    "element of the output for the loss and its gradient, 13 a parameter for AdamW (decay 1, "
    "first moment 3, second moment 4, denominator 2, update 3); on the scalar engine 2 "
    "exponentials a hidden element and a root a parameter. "
    "bytes_moved: operands and results of the forward and backward operators once each, and "
    "AdamW in one pass, which reads parameter, gradient and both moments and writes all but "
    "the gradient (7 a parameter; an optimizer that isn't fused passes over them more often). "
    "bytes_useful: input and target read once, gradients written once, that pass of 7, the "
    "loss. Working set: input, target, parameters, gradients, both moments. All in the dtype but "
    "the loss, which is of fp32; casts of its two operands aren't counted. Items are tokens."
)
SOURCE = (
    "Counted from the definitions: SwiGLU, Shazeer, arXiv 2002.05202; AdamW, Loshchilov and "
    "Hutter, arXiv 1711.05101; loss, mean squared error."
)


def cost(params: Params, dtype: str) -> Cost:
    tokens, width, hidden = (integer(params, name) for name in ("tokens", "width", "hidden"))
    weight = width * hidden
    parameters = 3 * weight
    inner, outer = tokens * hidden, tokens * width
    product = weight + inner + outer  # each of the seven products touches these three
    # Forward silu 2 and mul 3; loss 2; backward: loss 3, mul 3+3, silu 3.
    elementwise = (5 + 9) * inner + (2 + 3) * outer
    update = Tally(dtype)
    add_update(update, TrainingOptions.of(params), parameters, dtype)
    flops = 14 * tokens * weight
    size = element_bytes(dtype)
    return Cost(
        flops=flops,
        flops_counted=flops,
        vector_flops=14 * inner + 5 * outer + update.vector,
        scalar_flops=2 * inner + update.scalar,
        bytes_moved=size * (7 * product + elementwise) + update.moved,
        bytes_useful=size * (2 * outer + parameters) + update.moved + element_bytes("fp32"),
        working_set_bytes=size * (2 * outer + 4 * parameters),
        items=tokens,
        item_unit="tokens",
        headline=FLOPS,
        convention=CONVENTION,
        source=SOURCE,
    )


# No fp16: without loss scaling its gradients and second moments underflow to zero.
_DTYPES = ("fp32", "bf16")


def _configuration(
    tokens: int, width: int, hidden: int, quick: tuple[str, ...], standard: tuple[str, ...]
) -> Configuration:
    params = {
        "tokens": tokens,
        "width": width,
        "hidden": hidden,
        # Moves a bf16 weight of 0.06 (spacing 2^-12) by four spacings a step.
        "learning_rate": 1e-3,
    }
    return Configuration(f"{tokens}x{width}x{hidden}", params, _DTYPES, quick, standard)


FAMILY = Family(
    name="mlp_training",
    summary="training step of a SwiGLU block: forward, loss, backward, AdamW",
    phase="training",
    configurations=(
        _configuration(64, 256, 768, ("fp32", "bf16"), ("fp32", "fp32:compiled", "bf16")),
        _configuration(256, 1024, 2816, (), ("fp32", "fp32:compiled", "bf16", "bf16:compiled")),
    ),
    program="trnbench.models.mlp_training:make_program",
    cost=cost,
    # Forward and backward are eight roundings in a row.
    error_bound={"fp32": 4e-5, "bf16": 3e-2},
)
