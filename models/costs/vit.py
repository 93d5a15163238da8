"""Vision transformers: named models, configurations, cost and memory of forward and training.

B batch, C channels, N patches, E numbers in one, T tokens (N + 1), D width, H heads, F hidden
width, R classes, L layers.
"""

from __future__ import annotations

from ...specs.cost import Cost, Footprint
from ..family import Configuration, Family, Params, Phase, Value
from . import tally, training
from .layered import layered_configuration
from .sizes import INDEX_BYTES, ITEMS, element_bytes
from .tally import Tally
from .training import TrainingOptions
from .transformer import WIDE
from .vit_sizes import MODELS, PHASES, VitCall, VitSizes

__all__ = [
    "FAMILY",
    "MODELS",
    "PHASES",
    "VitCall",
    "VitSizes",
    "configuration",
    "cost",
    "footprint",
]

CONVENTION = (
    tally.CONVENTION
    + "The embedding of patches is a product whose input needs no gradient; the head works on the "
    "class token alone. bytes_useful: forward reads images and weights and writes the logits; "
    "training reads images and weights, writes gradients and makes the optimizer's pass. Items "
    "are samples: images. "
)
SOURCE = (
    "Counted from the published sizes and definitions: Vision Transformer, Dosovitskiy et al., "
    "arXiv 2010.11929; gelu, Hendrycks and Gimpel, arXiv 1606.08415. " + training.SOURCE
)


def cost(params: Params, dtype: str) -> Cost:
    call = VitCall.of(params)
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
        least = size * (parameters + call.batch * sizes.classes) + _input_bytes(call, dtype)
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


def _part(call: VitCall, dtype: str) -> Tally:
    """Patches, blocks, head and loss of a micro batch; without an optimizer."""
    sizes, in_training = call.sizes, call.phase == "training"
    images, width = call.batch // call.micro_batches, sizes.width
    rows = images * sizes.tokens
    part = Tally(dtype, in_training)
    # The patches are put in order, and the class token before them.
    part.copy(images * sizes.image_numbers)
    patches = images * sizes.patches
    part.linear(patches, sizes.patch_numbers, width, bias=True, input_gradient=False)
    part.copy(rows * width)
    part.addition(rows * width)
    block = Tally(dtype, in_training)
    sizes.block.add_to(block, [sizes.tokens] * images)
    part.add(block, call.layers)
    part.layer_norm(images, width)
    part.linear(images, width, sizes.classes, bias=True)
    if in_training:
        part.cross_entropy(images, sizes.classes)
    return part


def _recomputed(call: VitCall, dtype: str) -> int:
    """The blocks' products once more, but the last of each, whose result the backward pass
    doesn't need."""
    again = Tally(dtype)
    sizes, rows = call.sizes, call.batch * call.sizes.tokens
    sizes.block.add_to(again, [sizes.tokens] * call.batch)
    return call.layers * (again.flops_counted - 2 * rows * sizes.hidden * sizes.width)


def _input_bytes(call: VitCall, dtype: str) -> int:
    """Images, and the index of each one's class."""
    classes = INDEX_BYTES * call.batch if call.phase == "training" else 0
    return element_bytes(dtype) * call.batch * call.sizes.image_numbers + classes


def footprint(params: Params, dtype: str) -> Footprint:
    """As eager PyTorch runs the program: an operator's result lives until its last reader has
    run, and what the backward pass reads is kept."""
    call = VitCall.of(params)
    if call.phase == "training":
        return _training_footprint(call, TrainingOptions.of(params), dtype)
    sizes, size, inputs = call.sizes, element_bytes(dtype), _input_bytes(call, dtype)
    weights = size * sizes.parameters(call.layers)
    in_block = sizes.tokens * sizes.block.alive_bytes(size, norm_first=True)
    # The patches in order, and their projections.
    at_first = size * (sizes.image_numbers + sizes.patches * sizes.width)
    activations = call.batch * max(in_block, at_first)
    return Footprint(weights, inputs, activations, peak=weights + inputs + activations)


def _training_footprint(call: VitCall, options: TrainingOptions, dtype: str) -> Footprint:
    sizes, block, width = call.sizes, call.sizes.block, call.sizes.width
    size, residual = element_bytes(dtype), element_bytes(options.weights_dtype(dtype))
    images = call.batch // call.micro_batches
    rows = images * sizes.tokens
    # Autocast keeps a copy of each product's weight until its backward pass has read it.
    cast = size if options.precision == "autocast" else 0
    # The patches in order; of each class token, what the norm and the head read.
    kept = images * (size * sizes.image_numbers + (residual + size) * width)
    return training.footprint(
        options,
        dtype,
        parameters=sizes.parameters(call.layers),
        inputs=_input_bytes(call, dtype),
        blocks=call.layers,
        block_parameters=block.parameters,
        block_input=residual * rows * width,
        block_kept=rows * block.kept_bytes(size, residual) + cast * block.parameters,
        block_gradients=block.gradient_bytes(rows, size, residual),
        kept_elsewhere=kept + cast * (sizes.head_parameters + sizes.embedding_parameters),
        loss=3 * WIDE * images * sizes.classes,
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
    checked_layers: int | None = None,
    suffix: str = "",
    **options: Value,
) -> Configuration:
    """One configuration of a named model, for ``batch`` images.

    ``layers``: of so many of the model's layers; the cost is of those alone. ``checked_layers``:
    numerics are checked on so many. ``options``: those of ``TrainingOptions``.
    """
    return layered_configuration(
        model,
        MODELS[model].layers,
        phase,
        str(batch),
        {"batch": batch, **options},
        layers=layers,
        checked=None if checked_layers is None else {"layers": checked_layers},
        dtypes=dtypes,
        quick=quick,
        standard=standard,
        suffix=suffix,
    )


FAMILY = Family(
    name="vit",
    summary="vision transformer: classifying images, training on their classes",
    phase="forward",
    configurations=(
        configuration(
            "vit-tiny", "forward", 8, quick=("fp32",), standard=("fp32", "fp32:compiled", "bf16")
        ),
        configuration("vit-tiny", "training", 8, dtypes=("fp32",), standard=("fp32",)),
        configuration(
            "vit-tiny",
            "training",
            8,
            suffix="-autocast",
            dtypes=("bf16",),
            standard=("bf16",),
            precision="autocast",
        ),
        configuration("vit-b16", "forward", 1, layers=2, standard=_DTYPES),
        configuration("vit-b16", "forward", 1),
        configuration("vit-b16", "forward", 8),
        configuration("vit-b16", "training", 8, dtypes=("fp32",), checked_layers=2),
        configuration(
            "vit-b16",
            "training",
            8,
            suffix="-autocast",
            dtypes=("bf16",),
            checked_layers=2,
            precision="autocast",
        ),
        configuration("vit-l16", "forward", 8, checked_layers=2),
        configuration(
            "vit-l16",
            "training",
            16,
            suffix="-autocast-recompute",
            dtypes=("bf16",),
            checked_layers=1,
            precision="autocast",
            recompute=True,
            clip_norm=1.0,
        ),
    ),
    program="trnbench.models.vit:make_program",
    cost=cost,
    footprint=footprint,
    # Rounded after each operator: up to 1.8e-2 was seen over forty seeds, in gradients (logits:
    # 1.1e-2 behind twelve layers); 5.4e-2 where a stack adds up in bf16 too, as XLA does on a
    # CPU. fp32 keeps the default; up to 1.7e-6 was seen.
    error_bound={"bf16": 8e-2},
)
