"""Diffusion transformers: configurations, cost and memory of forward and training.

B batch, C channels, E numbers in a patch, T tokens, D width, H heads, F hidden width, L layers.
"""

from __future__ import annotations

from ...specs.cost import Cost, Footprint
from ..family import Configuration, Family, Params, Phase, Value
from . import tally, training
from .dit_sizes import MODELS, STEPS, TIME_NUMBERS, DitCall
from .layered import layered_configuration
from .sizes import INDEX_BYTES, ITEMS, element_bytes
from .tally import Tally
from .training import TrainingOptions

#: The loss is made in fp32.
WIDE = 4

CONVENTION = (
    tally.CONVENTION
    + "Forward is one call of the network, of the many that sample an image. The embedding of "
    "patches is a product whose input needs no gradient, and so is the first one of the step's. A "
    "norm with the scale and shift of its sample is one operator; these few numbers stay on the "
    "chip. bytes_useful: forward reads latents, weights (of the classes and steps, the rows "
    "named) and positions and writes noise and variance; training reads latents, noise and "
    "weights, writes gradients and makes the optimizer's pass. Items are samples: latents. "
)
SOURCE = (
    "Counted from the published sizes and definitions: DiT, Peebles and Xie, arXiv 2212.09748; "
    "steps and schedule, Ho et al., arXiv 2006.11239, and Dhariwal and Nichol, arXiv 2105.05233. "
    + training.SOURCE
)


def cost(params: Params, dtype: str) -> Cost:
    call = DitCall.of(params)
    sizes, size = call.sizes, element_bytes(dtype)
    work = Tally(dtype)
    work.add(_part(call, dtype), call.micro_batches)
    parameters = sizes.parameters(call.layers)
    recomputed = 0
    if call.phase == "training":
        options = TrainingOptions.of(params)
        update = Tally(dtype)
        training.add_update(update, options, parameters, dtype)
        work.add(update)
        recomputed = _recomputed(call, dtype) if options.recompute else 0
        weights = element_bytes(options.weights_dtype(dtype)) * parameters
        least = 2 * weights + update.moved + _input_bytes(call, dtype)
    else:
        read = parameters - sizes.class_parameters + sizes.tokens * sizes.width
        rows = call.batch * (sizes.width + TIME_NUMBERS)
        written = 2 * call.batch * sizes.latent_numbers
        least = size * (read + rows + written) + _input_bytes(call, dtype)
    return Cost(
        flops=work.flops,
        flops_counted=work.flops_counted + recomputed,
        vector_flops=work.vector,
        scalar_flops=work.scalar,
        bytes_moved=work.moved,
        bytes_useful=least,
        working_set_bytes=footprint(params, dtype).peak,
        items=call.batch,
        flops_recomputed=recomputed,
        item_unit="samples",
        headline=ITEMS,
        convention=CONVENTION + (training.CONVENTION if call.phase == "training" else ""),
        source=SOURCE,
    )


def _part(call: DitCall, dtype: str) -> Tally:
    """Everything for a micro batch, without an optimizer."""
    sizes, width, samples = call.sizes, call.sizes.width, call.samples
    rows, numbers = samples * sizes.tokens, samples * sizes.latent_numbers
    part = Tally(dtype, call.phase == "training")
    if part.training:
        noising = Tally(dtype)
        noising.elementwise(numbers, vector=1)
        noising.elementwise(numbers, reads=2, vector=2)
        part.add(noising)
    part.copy(numbers)
    part.linear(rows, sizes.patch_numbers, width, bias=True, input_gradient=False)
    part.addition(rows * width)
    part.copy(samples * TIME_NUMBERS)
    part.linear(samples, TIME_NUMBERS, width, bias=True, input_gradient=False)
    part.silu(samples * width)
    part.linear(samples, width, width, bias=True)
    part.gather(samples, width, sizes.classes + 1)
    part.addition(samples * width)
    part.silu(samples * width)
    part.add(_block(call, dtype, in_training=part.training), call.layers)
    part.linear(samples, width, 2 * width, bias=True)
    part.layer_norm(rows, width)
    part.linear(rows, width, 2 * sizes.patch_numbers, bias=True)
    part.copy(2 * numbers)
    if part.training:
        part.mean_squared_error(numbers)
    return part


def _block(call: DitCall, dtype: str, *, in_training: bool) -> Tally:
    sizes, width, samples = call.sizes, call.sizes.width, call.samples
    rows, attention = samples * sizes.tokens, sizes.attention
    block = Tally(dtype, in_training)
    block.linear(samples, width, 6 * width, bias=True)
    block.layer_norm(rows, width)
    attention.add_projections(block, rows, width, rotary=False)
    heads = attention.heads, attention.kv_heads
    block.attention(samples, *heads, sizes.tokens, sizes.tokens, attention.head_width)
    block.gated_addition(rows * width)
    block.layer_norm(rows, width)
    block.linear(rows, width, sizes.hidden, bias=True)
    block.gelu(rows * sizes.hidden)
    block.linear(rows, sizes.hidden, width, bias=True)
    block.gated_addition(rows * width)
    return block


def _recomputed(call: DitCall, dtype: str) -> int:
    """The blocks' products once more: the gradient of a gate needs even the last one."""
    again = _block(call, dtype, in_training=False)
    return call.micro_batches * call.layers * again.flops_counted


def _input_bytes(call: DitCall, dtype: str) -> int:
    """Latents and in training their noise; the indices of steps and classes."""
    tensors = 2 if call.phase == "training" else 1
    numbers = tensors * call.sizes.latent_numbers
    return call.batch * (element_bytes(dtype) * numbers + 2 * INDEX_BYTES)


def footprint(params: Params, dtype: str) -> Footprint:
    """As eager PyTorch runs the program: an operator's result lives until its last reader has
    run, and what the backward pass reads is kept."""
    call = DitCall.of(params)
    if call.phase == "training":
        return _training_footprint(call, TrainingOptions.of(params), dtype)
    sizes, size, inputs = call.sizes, element_bytes(dtype), _input_bytes(call, dtype)
    weights = size * (sizes.parameters(call.layers) + sizes.table_numbers)
    # What the block was given, and its modulated norm with projected heads, their result and its
    # projection; or the residual and its modulated norm with hidden rows before and after gelu.
    in_block = max(7 * sizes.width, 3 * sizes.width + 2 * sizes.hidden)
    # A block's modulations, and what they are made from.
    modulations = 7 * sizes.width
    activations = size * call.batch * (sizes.tokens * in_block + modulations)
    return Footprint(weights, inputs, activations, peak=weights + inputs + activations)


def _training_footprint(call: DitCall, options: TrainingOptions, dtype: str) -> Footprint:
    sizes, width, samples = call.sizes, call.sizes.width, call.samples
    # What runs between products has the dtype of the weights.
    size, residual = element_bytes(dtype), element_bytes(options.weights_dtype(dtype))
    rows = samples * sizes.tokens
    # Autocast keeps a copy of each product's weight until its backward pass has read it.
    cast = size if options.precision == "autocast" else 0
    # What is normalised, before and after; the inputs of products, projected heads, hidden rows
    # before and after gelu, what is gated; statistics of both norms and of each head.
    kept = residual * 4 * width + size * (8 * width + 2 * sizes.hidden)
    kept += WIDE * (4 + sizes.heads)
    modulations = samples * size * 8 * width
    # Of the last norm and its product, and of the loss: freed before the blocks' turn.
    last = rows * (2 * residual + size) * width
    numbers = samples * sizes.latent_numbers
    tables = element_bytes(dtype) * 2 * STEPS  # of the noise, in the inputs' dtype
    gathered = sizes.class_parameters
    return training.footprint(
        options,
        dtype,
        parameters=sizes.parameters(call.layers),
        buffers=residual * sizes.table_numbers + tables,
        inputs=_input_bytes(call, dtype),
        blocks=call.layers,
        block_parameters=sizes.block_parameters,
        block_input=residual * rows * width,
        block_kept=rows * kept + modulations + cast * sizes.block_parameters,
        # Of the residual and of hidden rows, and of the weight behind them.
        block_gradients=rows * (residual * width + size * sizes.hidden)
        + residual * sizes.hidden * width,
        kept_elsewhere=size * numbers
        + cast * (sizes.head_parameters + sizes.embedding_parameters - gathered),
        loss=last + (2 * size + WIDE) * numbers,
        head_parameters=sizes.head_parameters,
        embedding_parameters=sizes.embedding_parameters,
    )


# -------------------------------------------------------------------------- configurations

_DTYPES = ("fp32", "bf16")


def configuration(
    model: str,
    phase: Phase,
    batch: int,
    *,
    layers: int | None = None,
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = _DTYPES,
    checked: Params | None = None,
    suffix: str = "",
    **options: Value,
) -> Configuration:
    """One configuration of a named model, for ``batch`` latents.

    ``layers``: of so many of the model's layers; the cost is of those alone. ``checked``: what
    differs in the program that numerics are checked on. ``options``: those of
    ``TrainingOptions``.
    """
    return layered_configuration(
        model,
        MODELS[model].layers,
        phase,
        str(batch),
        {"batch": batch, **options},
        layers=layers,
        checked=checked,
        dtypes=dtypes,
        quick=quick,
        standard=standard,
        suffix=suffix,
    )


_FEW: Params = {"layers": 2, "batch": 2}

FAMILY = Family(
    name="dit",
    summary="diffusion transformer: predicting noise, training on it",
    phase="forward",
    configurations=(
        configuration("dit-tiny", "forward", 4, quick=("fp32",), standard=_DTYPES),
        configuration("dit-tiny", "training", 4, standard=_DTYPES),
        configuration("dit-b-2", "forward", 1, layers=2, standard=_DTYPES),
        configuration("dit-xl-2", "forward", 1, layers=1, standard=_DTYPES),
        configuration("dit-b-2", "forward", 1),
        configuration("dit-xl-2", "forward", 1, checked={"layers": 2}),
        configuration("dit-xl-2", "forward", 8, checked=_FEW),
        configuration("dit-b-2", "training", 8, dtypes=("fp32",), checked=_FEW),
        configuration(
            "dit-b-2",
            "training",
            8,
            dtypes=("bf16",),
            checked=_FEW,
            suffix="-autocast",
            precision="autocast",
        ),
        configuration(
            "dit-xl-2",
            "training",
            16,
            dtypes=("bf16",),
            checked=_FEW,
            suffix="-autocast-recompute",
            precision="autocast",
            recompute=True,
        ),
    ),
    program="trnbench.models.dit:make_program",
    cost=cost,
    footprint=footprint,
    # fp32: 1.1e-6 seen with 20 seeds, and no more with 12 layers. bf16: gradients 2.4e-2 seen with
    # 20 seeds, plain and with autocast; noise and variance 1.3e-2 with 12 layers.
    error_bound={"fp32": 3e-6, "bf16": 5e-2},
)
