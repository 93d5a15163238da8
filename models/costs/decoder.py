"""Decoders for text: named models, configurations, cost and memory of prefill, decode, training.

B batch, T tokens of a call, S places of the cache, D width, H query heads, G key and value heads,
K width of a head, F hidden width, V vocabulary, L layers.
"""

from __future__ import annotations

from typing import Any

from ...specs.cost import Cost, Footprint
from ..family import Configuration, Family, Params, Phase, Value
from . import tally, training
from .decoder_memory import inference_footprint, training_footprint
from .decoder_sizes import MODELS, PHASES, DecoderCall, DecoderSizes
from .layered import layered_configuration
from .sizes import INDEX_BYTES, ITEMS, element_bytes
from .tally import Tally
from .training import TrainingOptions

__all__ = ["FAMILY", "MODELS", "PHASES", "DecoderCall", "DecoderSizes", "configuration", "cost"]

CONVENTION = (
    tally.CONVENTION
    + "Prefill makes the logits of each prompt's last token only, decode of its one token, training "
    "of all; an embedding is a gather and no product. Padding behind a prompt is in flops_counted "
    "and the bytes, not in flops and items. "
    "bytes_useful: inference reads weights (of the embedding, the rows named) and the cache of "
    "the tokens before once, writes what is new in the cache and the logits; training reads the "
    "weights, writes gradients and makes the optimizer's pass. The working set is the peak of the "
    "memory model. Of a model cut to fewer layers, embedding and head are whole: the whole model "
    "costs so many layers more, and not a multiple. Items are tokens. "
)
SOURCE = (
    "Counted from the published sizes and definitions: Llama 3, Dubey et al., arXiv 2407.21783; "
    "Qwen3, Yang et al., arXiv 2505.09388; GPT-2, Radford et al. (2019); shared heads, Ainslie "
    "et al., arXiv 2305.13245; rotary positions, Su et al., arXiv 2104.09864. " + training.SOURCE
)


def cost(params: Params, dtype: str) -> Cost:
    call = DecoderCall.of(params)
    sizes, size = call.sizes, element_bytes(dtype)
    tokens = call.batch * call.tokens
    work, useful = Tally(dtype), Tally(dtype)
    work.add(_work(call, dtype, call.tokens), call.micro_batches)
    useful.add(_work(call, dtype, call.useful_tokens), call.micro_batches)
    parameters = sizes.parameters(call.layers)
    recomputed = copied = 0
    if call.phase == "training":
        options = TrainingOptions.of(params)
        update = Tally(dtype)
        training.add_update(update, options, parameters, dtype)
        work.add(update)
        useful.add(update)
        recomputed = _recomputed(call, dtype) if options.recompute else 0
        weights = element_bytes(options.weights_dtype(dtype)) * parameters
        least = 2 * weights + update.moved + 2 * INDEX_BYTES * tokens
    else:
        cached, new = call.cached(call.places), call.cached(call.tokens)
        before = cached - new if call.phase == "decode" else 0
        # Of tables that are gathered from, the rows that are named.
        gathered = sizes.table_parameters + (0 if sizes.tied else sizes.embedding_parameters)
        rows = (call.tokens if sizes.table_parameters else 0) + (0 if sizes.tied else tokens)
        read = parameters - gathered + rows * sizes.width
        logits = call.batch * sizes.vocabulary
        least = size * (read + before + new + logits) + INDEX_BYTES * tokens
        copied = 2 * size * cached
    return Cost(
        flops=useful.flops,
        flops_counted=work.flops_counted + recomputed,
        vector_flops=useful.vector,
        scalar_flops=useful.scalar,
        bytes_moved=work.moved,
        bytes_useful=least,
        bytes_copied=copied,
        working_set_bytes=footprint(params, dtype).peak,
        items=call.batch * call.useful_tokens,
        items_padded=call.batch * (call.tokens - call.useful_tokens),
        flops_recomputed=recomputed,
        item_unit="tokens",
        headline=ITEMS,
        convention=CONVENTION + (training.CONVENTION if call.phase == "training" else ""),
        source=SOURCE,
    )


def _work(call: DecoderCall, dtype: str, tokens: int) -> Tally:
    """Embedding, blocks, head and loss for ``tokens`` of each sequence of a micro batch; without
    an optimizer."""
    sizes, in_training = call.sizes, call.phase == "training"
    batch = call.batch // call.micro_batches
    rows = batch * tokens
    total = Tally(dtype, in_training)
    total.gather(rows, sizes.width, sizes.vocabulary)
    if sizes.rotary_base is None:
        total.addition(rows * sizes.width)
    total.add(_block(call, dtype, tokens), call.layers)
    _add_norm(total, sizes, rows)
    total.linear(rows if in_training else batch, sizes.width, sizes.vocabulary)
    if in_training:
        total.cross_entropy(rows, sizes.vocabulary)
    return total


def _block(call: DecoderCall, dtype: str, tokens: int, *, in_training: bool | None = None) -> Tally:
    sizes, attention = call.sizes, call.sizes.attention
    batch = call.batch // call.micro_batches
    rows = batch * tokens
    block = Tally(dtype, call.phase == "training" if in_training is None else in_training)
    _add_norm(block, sizes, rows)
    attention.add_projections(block, rows, sizes.width, rotary=sizes.rotary_base is not None)
    if call.phase != "training":
        block.copy(attention.cache_elements(batch, tokens))
    keys = call.places if call.phase == "decode" else tokens
    shape = attention.heads, attention.kv_heads, tokens, keys, attention.head_width
    block.attention(batch, *shape, causal=True)
    block.addition(rows * sizes.width)
    _add_norm(block, sizes, rows)
    if sizes.activation == "swiglu":
        block.linear(rows, sizes.width, sizes.hidden)
        block.linear(rows, sizes.width, sizes.hidden)
        block.gated_silu(rows * sizes.hidden)
        block.linear(rows, sizes.hidden, sizes.width)
    else:
        block.linear(rows, sizes.width, sizes.hidden, bias=True)
        block.gelu(rows * sizes.hidden)
        block.linear(rows, sizes.hidden, sizes.width, bias=True)
    block.addition(rows * sizes.width)
    return block


def _add_norm(tally_: Tally, sizes: DecoderSizes, rows: int) -> None:
    add = tally_.rms_norm if sizes.norm == "rms" else tally_.layer_norm
    add(rows, sizes.width)


def _recomputed(call: DecoderCall, dtype: str) -> int:
    """The blocks' products once more, but the last of each, whose result the backward pass
    doesn't need."""
    again = _block(call, dtype, call.tokens, in_training=False)
    last = 2 * call.rows * call.sizes.hidden * call.sizes.width
    return call.micro_batches * call.layers * (again.flops_counted - last)


def footprint(params: Params, dtype: str) -> Footprint:
    call = DecoderCall.of(params)
    if call.phase == "training":
        return training_footprint(call, TrainingOptions.of(params), dtype)
    return inference_footprint(call, dtype)


# -------------------------------------------------------------------------- configurations

_DTYPES = ("fp32", "bf16")

#: Where weights are bf16 and nothing else is kept of them, a step must move the largest, about
#: one, by half their spacing of 2^-7: a smaller one is rounded away.
PLAIN_RATE = 0.01


def configuration(
    model: str,
    phase: Phase,
    batch: int,
    tokens: int,
    *,
    layers: int | None = None,
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = _DTYPES,
    checked_layers: int | None = None,
    checked_tokens: int | None = None,
    suffix: str = "",
    **options: Value,
) -> Configuration:
    """One configuration of a named model: ``tokens`` is the sequence, in decode the context.

    ``layers``: of so many of the model's layers; the cost is of those alone. ``checked_layers``
    and ``checked_tokens``: numerics are checked on so many. ``options``: ``prompt`` (prefill), or
    those of ``TrainingOptions``.
    """
    length = "context" if phase == "decode" else "sequence"
    smaller = {"layers": checked_layers, length: checked_tokens}
    return layered_configuration(
        model,
        MODELS[model].layers,
        phase,
        f"{batch}x{tokens}",
        {"batch": batch, length: tokens, **options},
        layers=layers,
        checked={name: value for name, value in smaller.items() if value is not None},
        dtypes=dtypes,
        quick=quick,
        standard=standard,
        suffix=suffix,
    )


def _tiny() -> tuple[Configuration, ...]:
    """Every phase and option, on models that run in milliseconds anywhere."""
    both = ("fp32", "bf16")
    rate: dict[str, Any] = {"learning_rate": PLAIN_RATE}
    step: tuple[str, Phase, int, int] = ("llama-tiny", "training", 2, 64)
    return (
        configuration("llama-tiny", "prefill", 2, 128, quick=("fp32",), standard=both),
        configuration("llama-tiny", "prefill", 2, 128, prompt=100, suffix="-padded"),
        configuration(
            "llama-tiny",
            "decode",
            4,
            256,
            quick=("fp32", "fp32:compiled"),
            standard=("fp32", "fp32:compiled", "bf16"),
        ),
        configuration(*step, quick=("fp32",), standard=("fp32", "fp32:compiled", "bf16"), **rate),
        configuration(*step, suffix="-clip", clip_norm=0.5, **rate),
        configuration(*step, suffix="-sgd", optimizer="sgd", learning_rate=0.1, dtypes=("fp32",)),
        configuration(*step, suffix="-recompute", recompute=True, **rate),
        configuration("llama-tiny", "training", 4, 64, suffix="-4micro", micro_batches=4, **rate),
        configuration(*step, suffix="-master", precision="master", dtypes=("bf16",)),
        configuration(*step, suffix="-autocast", precision="autocast", dtypes=("bf16",)),
        configuration("gpt2-tiny", "prefill", 2, 128),
        configuration("gpt2-tiny", "decode", 2, 128),
        configuration("gpt2-tiny", "training", 2, 64, **rate),
        configuration("qwen3-tiny", "prefill", 2, 128),
        configuration("qwen3-tiny", "decode", 2, 128),
        configuration("qwen3-tiny", "training", 2, 64, **rate),
    )


def _published() -> tuple[Configuration, ...]:
    """Models that people run. Those of the preset standard take about 0.1 s a call on a core."""
    both, bf16 = ("fp32", "bf16"), ("bf16",)
    few: dict[str, Any] = {"checked_layers": 1, "checked_tokens": 128}
    # Loss and gradients of every token: its float64 reference is the longest.
    fewer: dict[str, Any] = {"checked_layers": 1, "checked_tokens": 32}
    rate: dict[str, Any] = {"learning_rate": PLAIN_RATE}
    mixed: dict[str, Any] = {"precision": "master", "clip_norm": 1.0}
    return (
        configuration("gpt2", "decode", 1, 512, standard=both),
        configuration("gpt2", "prefill", 1, 128, layers=2, standard=both),
        configuration("llama-3.2-1b", "decode", 1, 512, layers=1, dtypes=bf16, standard=bf16),
        configuration("gpt2", "prefill", 1, 1024, **few),
        configuration("gpt2", "decode", 8, 1024),
        configuration(
            "gpt2",
            "training",
            8,
            1024,
            **fewer,
            dtypes=bf16,
            precision="autocast",
            clip_norm=1.0,
        ),
        configuration("llama-3.2-1b", "prefill", 1, 2048, dtypes=bf16, **few),
        configuration("llama-3.2-1b", "decode", 8, 2048, dtypes=bf16, **few),
        configuration("llama-3.2-1b", "training", 2, 2048, dtypes=bf16, **fewer, **mixed),
        configuration("qwen3-0.6b", "prefill", 1, 2048, dtypes=bf16, **few),
        configuration("qwen3-0.6b", "decode", 8, 2048, dtypes=bf16, **few),
        configuration("qwen3-0.6b", "training", 2, 2048, dtypes=bf16, **fewer, **mixed),
        configuration("llama-3.1-8b", "prefill", 1, 2048, dtypes=bf16, **few),
        configuration("llama-3.1-8b", "decode", 1, 4096, dtypes=bf16, **few),
        configuration("llama-3.1-8b", "decode", 16, 4096, dtypes=bf16, **few),
        configuration(
            "llama-3.1-8b",
            "training",
            1,
            4096,
            dtypes=bf16,
            **fewer,
            recompute=True,
            **rate,
        ),
        configuration("qwen3-8b", "prefill", 1, 2048, dtypes=bf16, **few),
        configuration("qwen3-8b", "decode", 16, 4096, dtypes=bf16, **few),
        configuration("llama-3.1-70b", "prefill", 1, 2048, dtypes=bf16, **few),
        configuration("llama-3.1-70b", "decode", 8, 4096, dtypes=bf16, **few),
        configuration("llama-3.1-70b", "prefill", 1, 2048, layers=1, dtypes=bf16, **few),
        configuration("llama-3.1-70b", "decode", 8, 4096, layers=1, dtypes=bf16, **few),
        configuration("llama-3.1-70b", "training", 1, 2048, layers=1, dtypes=bf16, **fewer, **rate),
    )


FAMILY = Family(
    name="decoder",
    summary="text decoder: prefill into a KV cache, decode with it, training",
    phase="prefill",
    configurations=(*_tiny(), *_published()),
    program="trnbench.models.decoder:make_program",
    cost=cost,
    footprint=footprint,
    # Seen over eight seeds of the tiny models in every phase, and over two of gpt2 and of the
    # first layers of llama-3.2-1b. fp32: up to 3.2e-6, in gradients. bf16: up to 0.02 in logits
    # and caches, where each block rounds what it adds to the residual and the norms pass it on;
    # up to 0.041 in gradients, which are rounded forward and backward.
    error_bound={"fp32": 1e-5, "bf16": 8e-2},
)
