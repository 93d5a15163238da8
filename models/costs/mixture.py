"""Mixtures of experts: configurations, cost and memory of prefill, decode and training.

B batch, T tokens of a call, S places of the cache, D width, E experts, X experts of a token, F
hidden width of an expert, V vocabulary, L layers.
"""

from __future__ import annotations

from typing import Any

from ...specs.cost import Cost, Footprint
from ..family import Configuration, Family, Params, Phase, Value
from . import tally, training
from .decoder import PLAIN_RATE
from .layered import layered_configuration
from .mixture_memory import inference_footprint, training_footprint
from .mixture_sizes import DISPATCHES, MODELS, MixtureCall, MixtureSizes, dispatch_of
from .sizes import INDEX_BYTES, ITEMS, element_bytes
from .tally import Tally
from .training import TrainingOptions
from .transformer import AttentionSizes

__all__ = ["DISPATCHES", "FAMILY", "MODELS", "MixtureCall", "MixtureSizes", "configuration", "cost"]

CONVENTION = (
    tally.CONVENTION
    + "Prefill makes the logits of each prompt's last token only, decode of its one token, training "
    "of all; an embedding is a gather and no product. Padding behind a prompt is in flops_counted "
    "and the bytes, not in flops and items. "
    "flops is the work of the X of E experts that a token is given; flops_counted what runs, with "
    "dispatch 'dense' that of all E. A window counts the pairs within; sinks and sorting count as "
    "nothing. "
    "bytes_useful: inference reads weights (of the embedding, the rows named; of experts, those "
    "that some token is given, E (1 - (1 - X / E) ** tokens) expected) and what is seen of the "
    "cache once, writes what is new in the cache and the logits; training reads the weights, "
    "writes gradients and makes the optimizer's pass. bytes_moved: 'dense' reads every expert and "
    "moves its hidden rows for every token, 'grouped' reads the experts that are used, and moves "
    "tokens to them and back. Tokens are given experts at random, evenly: a trained router's loads "
    "are less even. The working set is the peak of the memory model. Of a model cut to fewer "
    "layers, embedding and head are whole. Items are tokens. "
)
SOURCE = (
    "Counted from the published sizes and definitions: Mixtral, Jiang et al., arXiv 2401.04088; "
    "Qwen3, Yang et al., arXiv 2505.09388; gpt-oss, OpenAI, arXiv 2508.10925; experts and "
    "routers, Shazeer et al., arXiv 1701.06538; longer contexts, Peng et al., arXiv 2309.00071. "
    + training.SOURCE
)
UNCOUNTED = "FlopCounterMode has no formula for the grouped products of dispatch 'grouped'"


def cost(params: Params, dtype: str) -> Cost:
    call, dispatch = MixtureCall.of(params), dispatch_of(params)
    sizes, size = call.sizes, element_bytes(dtype)
    tokens = call.batch * call.tokens
    work, useful = Tally(dtype), Tally(dtype)
    work.add(_work(call, dispatch, dtype, call.tokens), call.micro_batches)
    useful.add(_work(call, "grouped", dtype, call.useful_tokens), call.micro_batches)
    parameters = sizes.parameters(call.layers)
    recomputed = copied = 0
    if call.phase == "training":
        options = TrainingOptions.of(params)
        update = Tally(dtype)
        training.add_update(update, options, parameters, dtype)
        work.add(update)
        useful.add(update)
        recomputed = _recomputed(call, dispatch, dtype) if options.recompute else 0
        weights = element_bytes(options.weights_dtype(dtype)) * parameters
        least = 2 * weights + update.moved + 2 * INDEX_BYTES * tokens
    else:
        cached, new = call.cached(call.places), call.cached(call.tokens)
        before = cached - new if call.phase == "decode" else 0
        used = sizes.used_experts(call.batch * call.useful_tokens)
        unused = call.layers * (sizes.experts - used) * sizes.expert_parameters
        read = parameters - unused - sizes.embedding_parameters + tokens * sizes.width
        logits = call.batch * sizes.vocabulary
        least = size * (read + before + new + logits) + INDEX_BYTES * tokens
        copied = 2 * size * cached
    dense = dispatch == "dense"
    return Cost(
        flops=useful.flops,
        flops_counted=work.flops_counted + recomputed if dense else None,
        uncounted_reason=None if dense else UNCOUNTED,
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


def _work(call: MixtureCall, dispatch: str, dtype: str, tokens: int) -> Tally:
    """Embedding, blocks, head and loss for ``tokens`` of each sequence of a micro batch; without
    an optimizer. That of "grouped" is what is needed."""
    sizes, in_training = call.sizes, call.phase == "training"
    batch = call.batch // call.micro_batches
    rows = batch * tokens
    total = Tally(dtype, in_training)
    total.gather(rows, sizes.width, sizes.vocabulary)
    for attention in call.attentions:
        block = Tally(dtype, in_training)
        _add_block(block, call, attention, dispatch, tokens)
        total.add(block)
    total.rms_norm(rows, sizes.width)
    total.linear(rows if in_training else batch, sizes.width, sizes.vocabulary)
    if in_training:
        total.cross_entropy(rows, sizes.vocabulary)
    return total


def _add_block(
    block: Tally, call: MixtureCall, attention: AttentionSizes, dispatch: str, tokens: int
) -> None:
    width, batch = call.sizes.width, call.batch // call.micro_batches
    rows = batch * tokens
    block.rms_norm(rows, width)
    attention.add_projections(block, rows, width, rotary=True)
    if call.phase != "training":
        block.copy(attention.cache_elements(batch, attention.cache_places(tokens)))
    keys, pairs = tokens, attention.needed_pairs(tokens)
    if call.phase == "decode":
        keys = pairs = attention.cache_places(call.places)
    shape = attention.heads, attention.kv_heads, tokens, keys, attention.head_width
    block.attention(batch, *shape, needed_pairs=pairs)
    block.addition(rows * width)
    block.rms_norm(rows, width)
    _add_experts(block, call.sizes, dispatch, rows)
    block.addition(rows * width)


def _add_experts(block: Tally, sizes: MixtureSizes, dispatch: str, rows: int) -> None:
    """A router and what it leads to. The biases of the experts' results are a product with the
    router's weights, which has a place for each expert."""
    experts, chosen, width, hidden = sizes.experts, sizes.chosen, sizes.width, sizes.hidden
    block.linear(rows, width, experts, bias=sizes.gpt_oss)
    # A comparison for each expert that is taken; then maximum, subtraction, sum and division.
    block.elementwise(rows * experts, vector=chosen + 4, scalar=1, backward_vector=4)
    made = rows * (experts if dispatch == "dense" else chosen)
    used = sizes.used_experts(rows)
    if dispatch == "dense":
        block.linear(rows, width, 2 * experts * hidden, bias=sizes.gpt_oss)
    else:
        block.gather(made, width, rows)
        block.grouped_linear(made, width, 2 * hidden, experts, used)
        if sizes.gpt_oss:
            block.addition(2 * made * hidden)
    gate = block.clamped_gate if sizes.gpt_oss else block.gated_silu
    gate(made * hidden)
    block.elementwise(made * hidden, vector=1, backward_vector=3)
    if dispatch == "dense":
        block.linear(rows, experts * hidden, width)
    else:
        block.grouped_linear(made, hidden, width, experts, used)
        block.gathered_sum(rows, chosen, width)
    if sizes.gpt_oss:
        block.linear(rows, experts, width)
        block.addition(rows * width)


def _recomputed(call: MixtureCall, dispatch: str, dtype: str) -> int:
    """The blocks' products once more; of dense ones all but the last, whose result the backward
    pass doesn't need."""
    sizes, again = call.sizes, Tally(dtype)
    for attention in call.attentions:
        _add_block(again, call, attention, dispatch, call.tokens)
    last = 2 * call.rows * sizes.experts * sizes.hidden * sizes.width if dispatch == "dense" else 0
    return call.micro_batches * (again.flops_counted - call.layers * last)


def footprint(params: Params, dtype: str) -> Footprint:
    call, dispatch = MixtureCall.of(params), dispatch_of(params)
    if call.phase == "training":
        return training_footprint(call, dispatch, TrainingOptions.of(params), dtype)
    return inference_footprint(call, dispatch, dtype)


# -------------------------------------------------------------------------- configurations


def configuration(
    model: str,
    dispatch: str,
    phase: Phase,
    batch: int,
    tokens: int,
    *,
    layers: int | None = None,
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = ("fp32", "bf16"),
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
        {"dispatch": dispatch, "batch": batch, length: tokens, **options},
        kind=f"-{dispatch}",
        layers=layers,
        checked={name: value for name, value in smaller.items() if value is not None},
        dtypes=dtypes,
        quick=quick,
        standard=standard,
        suffix=suffix,
    )


def _tiny() -> tuple[Configuration, ...]:
    """Every model and phase in the dispatch that every stack has, in milliseconds anywhere."""
    both = ("fp32", "bf16")
    rate: dict[str, Any] = {"learning_rate": PLAIN_RATE}
    step: tuple[str, str, Phase, int, int] = "mixtral-tiny", "dense", "training", 2, 64
    return (
        configuration("mixtral-tiny", "dense", "prefill", 2, 128, quick=("fp32",), standard=both),
        configuration("mixtral-tiny", "dense", "prefill", 2, 128, prompt=100, suffix="-padded"),
        configuration("mixtral-tiny", "dense", "decode", 4, 512, standard=both),
        configuration(*step, standard=both, **rate),
        configuration(*step, suffix="-recompute", recompute=True, **rate),
        configuration(*step, suffix="-autocast", precision="autocast", dtypes=("bf16",)),
        configuration("qwen3-moe-tiny", "dense", "prefill", 2, 128),
        configuration("qwen3-moe-tiny", "dense", "decode", 4, 512),
        configuration("qwen3-moe-tiny", "dense", "training", 2, 64, **rate),
        configuration("gpt-oss-tiny", "dense", "prefill", 2, 128),
        configuration("gpt-oss-tiny", "dense", "decode", 4, 512),
        configuration("gpt-oss-tiny", "dense", "training", 2, 64, **rate),
    )


def _larger() -> tuple[Configuration, ...]:
    """Both dispatches side by side at a size that a core runs in some 0.05 s, then models that
    people run. PyTorch describes grouped products, and other stacks have them, in bf16 alone."""
    bf16 = ("bf16",)
    few: dict[str, Any] = {"checked_layers": 1, "checked_tokens": 128}
    # Loss and gradients of every token: its float64 reference is the longest.
    fewer: dict[str, Any] = {"checked_layers": 1, "checked_tokens": 32}
    mixed: dict[str, Any] = {"precision": "master", "clip_norm": 1.0}
    made = []
    for dispatch in DISPATCHES:
        made += [
            configuration(
                "mixtral-eighth", dispatch, "prefill", 1, 128, dtypes=bf16, standard=bf16
            ),
            configuration("mixtral-eighth", dispatch, "decode", 1, 512, dtypes=bf16, standard=bf16),
            configuration("mixtral-eighth", dispatch, "training", 1, 128, dtypes=bf16, **mixed),
        ]
        for model in ("mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-20b"):
            # Of gpt-oss a layer with a window, and one without.
            layers = 2 if model == "gpt-oss-20b" else 1
            cut: dict[str, Any] = {"layers": layers, "dtypes": bf16, **few}
            made += [
                configuration(model, dispatch, "prefill", 1, 1024, **cut),
                configuration(model, dispatch, "decode", 1, 1024, **cut),
                configuration(model, dispatch, "decode", 16, 1024, **cut),
            ]
    for model in ("mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-20b"):
        made += [
            configuration(model, "grouped", "prefill", 1, 2048, dtypes=bf16, **few),
            configuration(model, "grouped", "decode", 16, 2048, dtypes=bf16, **few),
            configuration(model, "grouped", "training", 1, 2048, dtypes=bf16, **fewer, **mixed),
        ]
    return tuple(made)


FAMILY = Family(
    name="mixture",
    summary="text decoder with a mixture of experts: prefill, decode, training",
    phase="prefill",
    configurations=(*_tiny(), *_larger()),
    program="trnbench.models.mixture:make_program",
    cost=cost,
    footprint=footprint,
    # Seen over 26 seeds of the tiny models in every phase and both dispatches, and over two of
    # mixtral-eighth. fp32: up to 4.0e-6, in gradients. bf16: up to 0.03 in logits and caches; up to
    # 0.05 in gradients of a router and of norms of heads, which are sums that nearly cancel. One
    # token that went to another expert would show as 0.2 or more.
    error_bound={"fp32": 1e-5, "bf16": 1e-1},
)
