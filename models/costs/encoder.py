"""Encoders for text (BERT): named models, configurations, cost and memory of forward and training.

B batch, T tokens of a sequence, M masked ones of them, D width, H heads, F hidden width,
V vocabulary, S places, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...specs.cost import Cost, Footprint
from ..family import Configuration, Family, Params, Phase, Value
from . import tally, training
from .encoder_sizes import MODELS, PHASES, EncoderCall, EncoderSizes
from .layered import layered_configuration
from .sizes import INDEX_BYTES, ITEMS, element_bytes
from .tally import Tally
from .training import TrainingOptions
from .transformer import WIDE

__all__ = [
    "FAMILY",
    "MODELS",
    "PHASES",
    "EncoderCall",
    "EncoderSizes",
    "configuration",
    "cost",
    "footprint",
]

CONVENTION = (
    tally.CONVENTION
    + "Forward makes the logits of every token, training of the masked ones; an embedding is a "
    "gather and no product. Padding is in flops_counted and the bytes, not in flops and items. "
    "bytes_useful: forward reads each weight once (of the learned positions, those of the "
    "sequence) and writes the logits; training reads the weights, writes gradients and makes the "
    "optimizer's pass. Items are tokens. "
)
SOURCE = (
    "Counted from the published sizes and definitions: BERT, Devlin et al., arXiv 1810.04805; "
    "gelu, Hendrycks and Gimpel, arXiv 1606.08415. " + training.SOURCE
)


def cost(params: Params, dtype: str) -> Cost:
    call = EncoderCall.of(params)
    sizes, size = call.sizes, element_bytes(dtype)
    rows = call.batch * call.sequence
    work = _work(call, dtype, [call.sequence] * call.batch)
    useful = _work(call, dtype, call.lengths)
    parameters = sizes.parameters(call.layers)
    recomputed = 0
    if call.phase == "training":
        options = TrainingOptions.of(params)
        update = Tally(dtype)
        training.add_update(update, options, parameters, dtype)
        work.add(update)
        useful.add(update)
        if options.recompute:
            again = Tally(dtype)
            sizes.block.add_to(again, [call.sequence] * call.batch)
            recomputed = call.layers * again.flops_counted
        weights = element_bytes(options.weights_dtype(dtype)) * parameters
        least = 2 * weights + update.moved + _input_bytes(call)
    else:
        read = parameters - (sizes.positions - call.sequence) * sizes.width
        least = size * (read + rows * sizes.vocabulary) + _input_bytes(call)
    return Cost(
        flops=useful.flops,
        flops_counted=work.flops_counted + recomputed,
        vector_flops=useful.vector,
        scalar_flops=useful.scalar,
        bytes_moved=work.moved,
        bytes_useful=least,
        working_set_bytes=footprint(params, dtype).peak,
        items=sum(call.lengths),
        items_padded=rows - sum(call.lengths),
        flops_recomputed=recomputed,
        item_unit="tokens",
        headline=ITEMS,
        convention=CONVENTION + (training.CONVENTION if call.phase == "training" else ""),
        source=SOURCE,
    )


def _work(call: EncoderCall, dtype: str, lengths: Sequence[int]) -> Tally:
    """Embedding, blocks, head and loss for sequences of these lengths, a micro batch after the
    other; without an optimizer."""
    total = Tally(dtype)
    sequences = call.batch // call.micro_batches
    for first in range(0, call.batch, sequences):
        total.add(_part(call, dtype, lengths[first : first + sequences]))
    return total


def _part(call: EncoderCall, dtype: str, lengths: Sequence[int]) -> Tally:
    sizes, in_training = call.sizes, call.phase == "training"
    rows, width = sum(lengths), sizes.width
    part = Tally(dtype, in_training)
    part.gather(rows, width, sizes.vocabulary)
    part.gather(rows, width, 2)
    for _ in range(2):
        part.addition(rows * width)
    part.layer_norm(rows, width)
    block = Tally(dtype, in_training)
    sizes.block.add_to(block, lengths)
    part.add(block, call.layers)
    if in_training:
        masked = len(lengths) * call.masked
        part.gather(masked, width, rows)
        rows = masked
    part.linear(rows, width, width, bias=True)
    part.gelu(rows * width)
    part.layer_norm(rows, width)
    part.linear(rows, width, sizes.vocabulary, bias=True)
    if in_training:
        part.cross_entropy(rows, sizes.vocabulary)
    return part


def _input_bytes(call: EncoderCall) -> int:
    """Tokens and their types, the masked places and their labels; a byte of mask a token."""
    rows = call.batch * call.sequence
    mask = rows if call.padded else 0
    return 2 * INDEX_BYTES * (rows + call.batch * call.masked) + mask


def footprint(params: Params, dtype: str) -> Footprint:
    """As eager PyTorch runs the program: an operator's result lives until its last reader has
    run, and what the backward pass reads is kept."""
    call = EncoderCall.of(params)
    sizes, size, inputs = call.sizes, element_bytes(dtype), _input_bytes(call)
    rows, width = call.batch // call.micro_batches * call.sequence, sizes.width
    if call.phase == "training":
        return _training_footprint(call, TrainingOptions.of(params), dtype)
    weights = size * sizes.parameters(call.layers)
    alive = max(sizes.block.alive_bytes(size, norm_first=False), size * (width + sizes.vocabulary))
    activations = rows * alive
    return Footprint(weights, inputs, activations, peak=weights + inputs + activations)


def _training_footprint(call: EncoderCall, options: TrainingOptions, dtype: str) -> Footprint:
    sizes, block, width = call.sizes, call.sizes.block, call.sizes.width
    size, residual = element_bytes(dtype), element_bytes(options.weights_dtype(dtype))
    sequences = call.batch // call.micro_batches
    rows, masked = sequences * call.sequence, sequences * call.masked
    # Autocast keeps a copy of each product's weight until its backward pass has read it.
    cast = size if options.precision == "autocast" else 0
    head = sizes.embedding_parameters + sizes.head_parameters
    # What the embedding's norm reads; of the masked tokens, what the head reads and makes.
    kept = residual * rows * width + (residual + 3 * size) * masked * width
    return training.footprint(
        options,
        dtype,
        parameters=sizes.parameters(call.layers),
        inputs=_input_bytes(call),
        blocks=call.layers,
        block_parameters=block.parameters,
        block_input=residual * rows * width,
        block_kept=rows * block.kept_bytes(size, residual) + cast * block.parameters,
        block_gradients=block.gradient_bytes(rows, size, residual),
        kept_elsewhere=kept + cast * head,
        loss=3 * WIDE * masked * sizes.vocabulary,
        head_parameters=head,
        embedding_parameters=sizes.embedding_parameters,
        tied=True,
    )


# -------------------------------------------------------------------------- configurations

_DTYPES = ("fp32", "bf16")


def configuration(
    model: str,
    phase: Phase,
    batch: int,
    sequence: int,
    *,
    layers: int | None = None,
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = _DTYPES,
    checked_layers: int | None = None,
    suffix: str = "",
    **options: Value,
) -> Configuration:
    """One configuration of a named model.

    ``layers``: of so many of the model's layers; the cost is of those alone. ``checked_layers``:
    numerics are checked on so many. ``options``: ``useful``, ``masked`` (training), or those of
    ``TrainingOptions``.
    """
    return layered_configuration(
        model,
        MODELS[model].layers,
        phase,
        f"{batch}x{sequence}",
        {"batch": batch, "sequence": sequence, **options},
        layers=layers,
        checked=None if checked_layers is None else {"layers": checked_layers},
        dtypes=dtypes,
        quick=quick,
        standard=standard,
        suffix=suffix,
    )


FAMILY = Family(
    name="encoder",
    summary="text encoder: forward of whole sequences, training on masked tokens",
    phase="forward",
    configurations=(
        configuration("bert-tiny", "forward", 4, 128, standard=_DTYPES),
        configuration(
            "bert-tiny",
            "forward",
            4,
            128,
            suffix="-padded",
            quick=("fp32",),
            standard=("fp32", "fp32:compiled", "bf16"),
            useful=96,
        ),
        configuration(
            "bert-tiny", "training", 4, 128, dtypes=("fp32",), standard=("fp32",), masked=20
        ),
        configuration(
            "bert-tiny",
            "training",
            4,
            128,
            suffix="-autocast-padded",
            dtypes=("bf16",),
            standard=("bf16",),
            masked=8,
            useful=96,
            precision="autocast",
        ),
        configuration("bert-base", "forward", 1, 128, layers=2, standard=_DTYPES),
        configuration("bert-base", "forward", 1, 128),
        configuration("bert-base", "forward", 8, 128),
        configuration("bert-base", "forward", 8, 128, suffix="-padded", useful=96),
        configuration(
            "bert-base", "training", 8, 128, dtypes=("fp32",), checked_layers=2, masked=20
        ),
        configuration(
            "bert-base",
            "training",
            8,
            128,
            suffix="-autocast",
            dtypes=("bf16",),
            checked_layers=2,
            masked=20,
            precision="autocast",
        ),
        configuration("bert-large", "forward", 1, 512, checked_layers=2),
        configuration(
            "bert-large",
            "training",
            8,
            512,
            suffix="-autocast-recompute",
            dtypes=("bf16",),
            checked_layers=1,
            masked=80,
            precision="autocast",
            recompute=True,
            clip_norm=1.0,
        ),
    ),
    program="trnbench.models.encoder:make_program",
    cost=cost,
    footprint=footprint,
    # Rounded after each operator: up to 1.9e-2 was seen over forty seeds, in gradients (logits:
    # 1.3e-2 behind twelve layers). fp32 keeps the default; up to 1.5e-6 was seen.
    error_bound={"bf16": 3e-2},
)
