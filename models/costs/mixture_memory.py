"""Memory of a mixture's call: which results of its operators are alive together.

As ``decoder_memory`` says, on eager PyTorch. With dispatch "dense" a token has hidden rows in all E
experts, with "grouped" in X, and is itself copied X times.

D width, F hidden width of an expert, E experts, X experts of a token, Q and G numbers of all query
and all key heads of a token.
"""

from __future__ import annotations

from dataclasses import replace

from ...specs.cost import Footprint
from . import training
from .decoder_memory import (
    WIDE,
    alive_in_block,
    head_numbers,
    kept_by_attention,
    kept_by_norm,
    rotary_numbers,
)
from .mixture_sizes import MixtureCall, MixtureSizes
from .sizes import INDEX_BYTES, element_bytes
from .training import TrainingOptions


def inference_footprint(call: MixtureCall, dispatch: str, dtype: str) -> Footprint:
    """Prefill or decode."""
    sizes, size, rows = call.sizes, element_bytes(dtype), call.rows
    weights = size * (sizes.parameters(call.layers) + rotary_numbers(call))
    inputs = INDEX_BYTES * rows
    if call.phase == "decode":
        weights += INDEX_BYTES * call.places  # the places' numbers, for the mask
        inputs += INDEX_BYTES
    cache = size * call.cached(call.places)
    activations = max(
        rows * alive_in_block(replace(sizes, hidden=0), size),
        _alive_in_attention(call, size),
        _alive_in_experts(sizes, dispatch, rows, size),
        size * (rows * sizes.width + call.batch * sizes.vocabulary),
    )
    return Footprint(
        weights=weights,
        inputs=inputs,
        activations=activations,
        cache=cache,
        peak=weights + inputs + cache + activations,
    )


def _alive_in_attention(call: MixtureCall, size: int) -> int:
    """Where there are sinks: scores, the same with sinks, and weights, beside what they are made
    of."""
    sizes = call.sizes
    if not sizes.attention.sinks:
        return 0
    q, g = head_numbers(sizes)
    keys = call.places if call.phase == "decode" else call.tokens
    made = 2 * sizes.width + 3 * q + 3 * g
    scores = sizes.attention.heads * (3 * keys + 2)
    return size * call.rows * (made + scores)


def _alive_in_experts(sizes: MixtureSizes, dispatch: str, rows: int, size: int) -> int:
    """The residual, the block's own and what was normalised of it; hidden rows before, in and
    after the gate."""
    hidden = (7 if sizes.gpt_oss else 4) * sizes.hidden
    weights = sizes.experts * size + sizes.chosen * INDEX_BYTES
    outside = 3 * sizes.width * size + weights
    if dispatch == "dense":
        return rows * (outside + size * sizes.experts * hidden)
    copied = max(sizes.width + hidden, 3 * sizes.width + 3 * sizes.hidden)
    return rows * (outside + sizes.chosen * (size * copied + 4 * INDEX_BYTES))


# ------------------------------------------------------------------------------- training


def training_footprint(
    call: MixtureCall, dispatch: str, options: TrainingOptions, dtype: str
) -> Footprint:
    sizes, rows = call.sizes, call.rows
    # What runs between blocks has the dtype of the weights.
    size, residual = element_bytes(dtype), element_bytes(options.weights_dtype(dtype))
    parameters, table = sizes.parameters(call.layers), sizes.embedding_parameters
    # Autocast keeps a copy of each product's weight until its backward pass has read it.
    cast = size if options.precision == "autocast" else 0
    norms = rows * kept_by_norm(sizes, size, residual, sizes.width)
    kept = (
        2 * norms + _kept_by_attention(call, size) + rows * _kept_by_experts(sizes, dispatch, size)
    )
    made = sizes.chosen if dispatch == "grouped" else sizes.experts
    down = residual * sizes.experts * sizes.hidden * sizes.width
    hidden = rows * (2 * residual * sizes.width + 2 * size * made * sizes.hidden)
    return training.footprint(
        options,
        dtype,
        parameters=parameters,
        buffers=residual * rotary_numbers(call),
        inputs=2 * INDEX_BYTES * call.batch * call.tokens,
        blocks=call.layers,
        block_parameters=sizes.block_parameters,
        block_input=residual * rows * sizes.width,
        block_kept=kept + cast * sizes.block_parameters,
        block_gradients=hidden + down,
        kept_elsewhere=norms + cast * table,
        loss=3 * WIDE * rows * sizes.vocabulary,
        head_parameters=table,
        embedding_parameters=table,
    )


def _kept_by_attention(call: MixtureCall, size: int) -> int:
    """Bytes of a block. Where there are sinks: queries and keys as they are multiplied, values,
    the weights with those of the sinks, the result, and the mask."""
    sizes = call.sizes
    if not sizes.attention.sinks:
        return call.rows * kept_by_attention(sizes, size)
    q, g = head_numbers(sizes)
    weights = sizes.attention.heads * (call.tokens + 1)
    return call.rows * size * (2 * q + 2 * g + weights) + call.tokens**2


def _kept_by_experts(sizes: MixtureSizes, dispatch: str, size: int) -> int:
    """Bytes a token: hidden rows before, in and after the gate, and as they are weighted; the
    router's weights, and which are none."""
    hidden = (8 if sizes.gpt_oss else 5) * sizes.hidden
    router = (size + 1) * sizes.experts
    if dispatch == "dense":
        return router + size * sizes.experts * hidden
    return router + sizes.chosen * (size * (sizes.width + hidden) + 4 * INDEX_BYTES)
