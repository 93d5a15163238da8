"""Memory of a decoder's call: which results of its operators are alive together.

As eager PyTorch runs the program: an operator's result lives until its last reader has run, and
what the backward pass reads is kept. An RMS norm counts as what PyTorch makes of it where a stack
has no kernel for it: it computes in fp32, and keeps its input and the normalised input in fp32. A
compiler, or a kernel of a vendor's, needs less.

D width, Q and G numbers of all query and all key heads of a token, F hidden width, V vocabulary.
"""

from __future__ import annotations

from ...specs.cost import Footprint
from . import training
from .decoder_sizes import DecoderCall, DecoderSizes
from .sizes import INDEX_BYTES, element_bytes
from .training import TrainingOptions

#: Norms compute, and losses are made, in fp32.
WIDE = 4


def inference_footprint(call: DecoderCall, dtype: str) -> Footprint:
    """Prefill or decode."""
    sizes, size, rows = call.sizes, element_bytes(dtype), call.rows
    weights = size * (sizes.parameters(call.layers) + rotary_numbers(call))
    inputs = INDEX_BYTES * rows
    if call.phase == "decode":
        weights += INDEX_BYTES * call.places  # the places' numbers, for the mask
        inputs += INDEX_BYTES
    cache = size * call.cached(call.places)
    logits = size * (rows * sizes.width + call.batch * sizes.vocabulary)
    activations = max(rows * alive_in_block(sizes, size), logits)
    return Footprint(
        weights=weights,
        inputs=inputs,
        activations=activations,
        cache=cache,
        peak=weights + inputs + cache + activations,
    )


def alive_in_block(sizes: DecoderSizes, size: int) -> int:
    """Bytes a token within a block, at the most."""
    d, f = sizes.width, sizes.hidden
    q, g = head_numbers(sizes)
    # The residual and what was normalised of it.
    projected = 2 * d + q + 2 * g
    normed = turned = 0
    if sizes.attention.head_norm_epsilon is not None:
        normed = q + g
    if sizes.rotary_base is not None:
        turned = q + g
    steps = [
        size * d + _norm(sizes, size, d),
        size * projected + (_norm(sizes, size, q) if normed else 0),
        # A head's swapped halves, its product with the cosines, and the result.
        size * (projected + normed + max(3 * q, q + 3 * g)) if turned else 0,
        size * (projected + (turned or normed) + q + d),
        # From here on the block has a residual of its own, and its caller still the last one.
        size * 2 * d + _norm(sizes, size, d),
        size * (3 * d + (3 if sizes.activation == "swiglu" else 2) * f),
    ]
    return max(steps)


def _norm(sizes: DecoderSizes, size: int, width: int) -> int:
    """Bytes a token that a norm makes: the result, and what it takes on the way."""
    if sizes.norm == "layer":
        return size * width
    return (2 if size == WIDE else 3) * WIDE * width


def head_numbers(sizes: DecoderSizes) -> tuple[int, int]:
    heads = sizes.attention
    return heads.heads * heads.head_width, heads.kv_heads * heads.head_width


def rotary_numbers(call: DecoderCall) -> int:
    """Cosines and sines of every place: how many numbers."""
    return (
        0 if call.sizes.rotary_base is None else 2 * call.places * call.sizes.attention.head_width
    )


# ------------------------------------------------------------------------------- training


def training_footprint(call: DecoderCall, options: TrainingOptions, dtype: str) -> Footprint:
    sizes, rows = call.sizes, call.rows
    # What runs between blocks has the dtype of the weights.
    size, residual = element_bytes(dtype), element_bytes(options.weights_dtype(dtype))
    parameters, table = sizes.parameters(call.layers), sizes.embedding_parameters
    # Autocast keeps a copy of each product's weight until its backward pass has read it.
    cast = size if options.precision == "autocast" else 0
    return training.footprint(
        options,
        dtype,
        parameters=parameters,
        buffers=residual * rotary_numbers(call),
        inputs=2 * INDEX_BYTES * call.batch * call.tokens,
        blocks=call.layers,
        block_parameters=sizes.block_parameters,
        block_input=residual * rows * sizes.width,
        block_kept=rows * kept_by_block(sizes, size, residual) + cast * sizes.block_parameters,
        block_gradients=_block_gradients(sizes, rows, size, residual),
        kept_elsewhere=rows * kept_by_norm(sizes, size, residual, sizes.width) + cast * table,
        loss=3 * WIDE * rows * sizes.vocabulary,
        head_parameters=table,
        embedding_parameters=table,
        tied=sizes.tied,
    )


def _block_gradients(sizes: DecoderSizes, rows: int, size: int, residual: int) -> int:
    """Bytes of gradients while a block's hidden rows get theirs, less what is freed by then: of
    the residual, of hidden rows, and of the weight behind them."""
    hidden = (2 if sizes.activation == "swiglu" else 1) * sizes.hidden
    weight = residual * sizes.hidden * sizes.width
    return rows * (2 * residual * sizes.width + size * hidden) + weight


def kept_by_block(sizes: DecoderSizes, size: int, residual: int) -> int:
    """Bytes a token that a block keeps for its backward pass: ``size`` a number in products,
    ``residual`` a number between blocks."""
    mlp = (4 if sizes.activation == "swiglu" else 2) * sizes.hidden
    norms = 2 * kept_by_norm(sizes, size, residual, sizes.width)
    return norms + kept_by_attention(sizes, size) + size * mlp


def kept_by_attention(sizes: DecoderSizes, size: int) -> int:
    """Bytes a token, without the norm before: projected heads, turned ones, the result, and the
    logarithm of each head's sum of weights."""
    q, g = head_numbers(sizes)
    kept = size * (q + 2 * g + q) + WIDE * sizes.attention.heads
    if sizes.rotary_base is not None:
        kept += size * (q + g)
    if sizes.attention.head_norm_epsilon is not None:
        heads = sizes.attention.heads + sizes.attention.kv_heads
        # The projected heads are kept as they are; what is normalised in fp32 is a copy of them.
        kept += (1 if size == WIDE else 2) * WIDE * (q + g) + WIDE * heads
        if sizes.rotary_base is None:
            kept += size * (q + g)
    return kept


def kept_by_norm(sizes: DecoderSizes, size: int, residual: int, width: int) -> int:
    """Bytes a token: input and result, and what lies between."""
    if sizes.norm == "layer":
        return (residual + size) * width + 2 * WIDE
    return (2 * WIDE + size) * width + WIDE
