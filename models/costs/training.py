"""What a training step does beside its forward and backward pass: options, cost and memory.

P is the number of parameters, counted once each.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...specs.cost import Footprint
from ..family import Params
from .sizes import element_bytes, integer, text
from .tally import Tally

OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("plain", "master", "autocast")

CONVENTION = (
    "Optimizer in one pass. A parameter costs with AdamW 13 operations and a root (decay 1, "
    "first moment 3, second moment 4, denominator 2, update 3) and 7 accesses (all but the "
    "gradient read and written); with SGD and momentum 4 (momentum 2, update 2) and 5. Clipping: "
    "3 and 3 (norm, scale). Precision 'master' adds two casts (gradient to fp32, weight back), "
    "'autocast' two a micro batch (weight to the dtype of products, gradient to fp32); its casts "
    "of activations aren't counted. Micro batches read the weights once each. "
)
SOURCE = (
    "AdamW, Loshchilov and Hutter, arXiv 1711.05101; fp32 copies of the weights, Micikevicius et "
    "al., arXiv 1710.03740; recomputation, Chen et al., arXiv 1604.06174."
)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a step is made.

    - ``optimizer``: "adamw", or "sgd" with a momentum of 0.9.
    - ``clip_norm``: gradients are scaled so that their norm is at most this; 0 leaves them.
    - ``micro_batches``: parts of the batch whose gradients are added up before the update.
    - ``precision``: "plain" (everything in the case's dtype), "master" (the optimizer keeps fp32
      copies of weights in the case's dtype, and its state in fp32), "autocast" (weights and
      state in fp32, products in the case's dtype).
    - ``recompute``: blocks keep their inputs only, and run their forward pass again in the
      backward pass.
    """

    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    clip_norm: float = 0.0
    micro_batches: int = 1
    precision: str = "plain"
    recompute: bool = False

    @classmethod
    def of(cls, params: Params) -> TrainingOptions:
        """Those of a configuration; what it leaves out is as above. ``ValueError`` for a value
        that can't be."""
        given = {name: params[name] for name in cls.__slots__ if name in params}
        for name, known in (("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            if name in given:
                text(params, name, known)
        if "micro_batches" in given:
            integer(params, "micro_batches")
        for name in ("learning_rate", "clip_norm"):
            value = given.get(name, 0.0)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"parameter '{name}' must be a number from 0 up, not {value!r}")
        recompute = given.get("recompute", False)
        if recompute is not True and recompute is not False:
            raise ValueError(f"parameter 'recompute' must be true or false, not {recompute!r}")
        return cls(**given)  # type: ignore[arg-type]

    def weights_dtype(self, dtype: str) -> str:
        """The dtype that the weights of the model are kept in."""
        return "fp32" if self.precision == "autocast" else dtype

    def state_dtype(self, dtype: str) -> str:
        """The dtype of the optimizer's state."""
        return "fp32" if self.precision == "master" else self.weights_dtype(dtype)


def add_update(tally: Tally, options: TrainingOptions, parameters: int, dtype: str) -> None:
    """Clipping and the optimizer's pass over P parameters."""
    weights, state = (
        element_bytes(options.weights_dtype(dtype)),
        element_bytes(options.state_dtype(dtype)),
    )
    if options.clip_norm:
        tally.vector += 3 * parameters
        tally.moved += 3 * state * parameters
    if options.optimizer == "adamw":
        tally.vector += 13 * parameters
        tally.scalar += parameters
        tally.moved += 7 * state * parameters
    else:
        tally.vector += 4 * parameters
        tally.moved += 5 * state * parameters
    if options.precision == "master":
        # The gradient becomes fp32, and the new weight the model's dtype.
        tally.moved += 2 * (weights + state) * parameters
    elif options.precision == "autocast":
        # For each part, the weight becomes the products' dtype, and its gradient fp32.
        casts = 2 * options.micro_batches
        tally.moved += casts * (weights + element_bytes(dtype)) * parameters
    if options.micro_batches > 1:
        # Gradients of the later parts are added to those of the earlier.
        tally.vector += (options.micro_batches - 1) * parameters
        tally.moved += 3 * (options.micro_batches - 1) * weights * parameters


def state_bytes(options: TrainingOptions, parameters: int, dtype: str) -> tuple[int, int]:
    """Bytes of the gradients, and of what the optimizer keeps from step to step."""
    weights, state = (
        element_bytes(options.weights_dtype(dtype)),
        element_bytes(options.state_dtype(dtype)),
    )
    moments = 2 if options.optimizer == "adamw" else 1
    gradients, kept = weights * parameters, moments * state * parameters
    if options.precision == "master":
        # The fp32 weights beside those of the model; gradients in both dtypes.
        kept += state * parameters
        gradients += (state if state != weights else 0) * parameters
    return gradients, kept


def footprint(
    options: TrainingOptions,
    dtype: str,
    *,
    parameters: int,
    inputs: int,
    blocks: int,
    block_parameters: int,
    block_input: int,
    block_kept: int,
    block_gradients: int,
    kept_elsewhere: int,
    loss: int,
    buffers: int = 0,
    head_parameters: int = 0,
    embedding_parameters: int = 0,
    tied: bool = False,
) -> Footprint:
    """Memory of a step on a stack of blocks that are alike.

    Numbers of parameters; all else in bytes, and of one micro batch but for ``inputs``.
    ``block_kept``: what the backward pass of a block reads, of which ``block_input`` is the
    input; ``block_gradients``: what comes on top where a block's backward pass is widest.
    ``loss``: what the loss makes beside, at the most. ``head_parameters``: those whose
    gradients come before the blocks', ``embedding_parameters`` after; ``tied``: they are the
    same, and their gradients wait for each other. An optimizer that isn't fused makes copies
    besides, of one parameter at a time or of all.
    """
    weight = element_bytes(options.weights_dtype(dtype))
    gradients, optimizer = state_bytes(options, parameters, dtype)
    made = weight * parameters
    head, embedding = weight * head_parameters, weight * embedding_parameters
    # Gradients of the micro batches before; those of this one are added to them one by one.
    earlier = made if options.micro_batches > 1 else 0
    kept = blocks * (block_input if options.recompute else block_kept) + kept_elsewhere
    again = block_kept if options.recompute else 0
    before_block = earlier or made - weight * block_parameters - (0 if tied else embedding)
    before_embedding = made if earlier or tied else made - embedding
    # Two gradients of a tied table give a third, their sum; of casts, it replaces one.
    sums = (1 if options.precision == "autocast" else 2) * embedding if tied else 0
    moments = (
        earlier + kept + loss,
        earlier + kept + again + head + block_gradients,
        before_block + block_kept + block_gradients,
        before_embedding + sums + (0 if tied and not earlier else embedding) + block_input,
        gradients,
    )
    weights = made + buffers
    return Footprint(
        weights=weights,
        inputs=inputs,
        activations=max(kept + max(again, loss), max(moments) - gradients),
        gradients=gradients,
        optimizer=optimizer,
        peak=weights + inputs + optimizer + max(moments),
    )
