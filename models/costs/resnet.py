"""Residual networks for images: configurations and cost.

N images, C channels, R results of a convolution, k kernel, V classes.
"""

from __future__ import annotations

from ...specs.cost import Cost, Footprint
from ..family import Configuration, Family, Params, Phase, Value
from . import tally, training
from .resnet_memory import inference_footprint, training_footprint
from .resnet_sizes import ConvolutionSizes, ResNetCall
from .sizes import INDEX_BYTES, ITEMS, element_bytes
from .tally import Tally
from .training import TrainingOptions

CONVENTION = (
    tally.CONVENTION
    + "A convolution is 2*N*(pixels of the result)*C*R*k*k, taps on the padding included, as "
    "FlopCounterMode counts them; the images need no gradient. Batch norm stays an operator of "
    "its own in inference too. bytes_useful: inference reads images, weights and running "
    "statistics and writes the logits; training reads images, weights, statistics and labels, "
    "writes gradients and statistics and makes the optimizer's pass. Items are samples: images. "
)
SOURCE = (
    "Counted from the published sizes and definitions: He et al., arXiv 1512.03385, with the "
    "stride in the 3x3 convolution (v1.5: Goyal et al., arXiv 1706.02677, section 5); batch norm, "
    "Ioffe and Szegedy, arXiv 1502.03167. " + training.SOURCE
)


def cost(params: Params, dtype: str) -> Cost:
    call = ResNetCall.of(params)
    sizes, size = call.sizes, element_bytes(dtype)
    work = Tally(dtype)
    work.add(_part(call, dtype), call.micro_batches)
    images = size * call.batch * 3 * call.side**2
    flops = work.flops
    if call.phase == "training":
        options = TrainingOptions.of(params)
        update = Tally(dtype)
        training.add_update(update, options, sizes.parameters, dtype)
        work.add(update)
        weight = element_bytes(options.weights_dtype(dtype))
        kept = 2 * weight * (sizes.parameters + sizes.statistics)
        least = images + kept + update.moved + INDEX_BYTES * call.batch
    else:
        read = sizes.parameters + sizes.statistics
        least = images + size * (read + call.batch * sizes.classes)
    return Cost(
        flops=flops,
        flops_counted=work.flops_counted,
        vector_flops=work.vector,
        scalar_flops=work.scalar,
        bytes_moved=work.moved,
        bytes_useful=least,
        working_set_bytes=footprint(params, dtype).peak,
        items=call.batch,
        item_unit="samples",
        headline=ITEMS,
        convention=CONVENTION + (training.CONVENTION if call.phase == "training" else ""),
        source=SOURCE,
    )


def _part(call: ResNetCall, dtype: str) -> Tally:
    """Stem, blocks, head and loss of a micro batch; without an optimizer."""
    sizes, images = call.sizes, call.images
    total = Tally(dtype, call.phase == "training")

    def convolve(convolution: ConvolutionSizes, *, activated: bool, first: bool = False) -> None:
        pixels = images * convolution.result_pixels
        total.convolution(
            images * convolution.pixels,
            pixels,
            convolution.channels,
            convolution.results,
            convolution.kernel,
            input_gradient=not first,
        )
        total.batch_norm(pixels, convolution.results)
        if activated:
            total.relu(pixels * convolution.results)

    stem, blocks = sizes.stem_at(call.side), sizes.blocks_at(call.side)
    convolve(stem, activated=True, first=True)
    total.max_pool(
        images * stem.result_pixels * sizes.stem,
        images * blocks[0].reduce.pixels * sizes.stem,
        window=9,
    )
    for block in blocks:
        convolve(block.reduce, activated=True)
        convolve(block.middle, activated=True)
        convolve(block.expand, activated=False)
        if block.shortcut is not None:
            convolve(block.shortcut, activated=False)
        results = images * block.expand.result_pixels * block.expand.results
        total.addition(results)
        total.relu(results)
    total.mean_pool(images * blocks[-1].expand.result_pixels, sizes.features, images)
    total.linear(images, sizes.features, sizes.classes, bias=True)
    if total.training:
        total.cross_entropy(images, sizes.classes)
    return total


def footprint(params: Params, dtype: str) -> Footprint:
    call = ResNetCall.of(params)
    if call.phase == "training":
        return training_footprint(call, TrainingOptions.of(params), dtype)
    return inference_footprint(call, dtype)


# -------------------------------------------------------------------------- configurations


def configuration(
    model: str,
    phase: Phase,
    batch: int,
    side: int,
    *,
    layout: str = "channels-first",
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = ("fp32", "bf16"),
    checked: Params | None = None,
    suffix: str = "",
    **options: Value,
) -> Configuration:
    """One configuration of a named model, for ``batch`` images of ``side`` squared.

    ``checked``: what differs in the program that numerics are checked on. ``options``: those of
    ``TrainingOptions``.
    """
    params: dict[str, Value] = {
        "model": model,
        "phase": phase,
        "batch": batch,
        "side": side,
        "layout": layout,
        **options,
    }
    last = "-channels-last" if layout == "channels-last" else ""
    return Configuration(
        f"{model}-{phase}-{batch}x{side}{last}{suffix}",
        params,
        dtypes,
        quick,
        standard,
        phase=phase,
        checked=None if checked is None else {**params, **checked},
    )


#: What stands for a large network where all gradients of a step are compared: of its millions of
#: activations, a few come to lie on the other side of zero in fp32, too, and each of them shows.
_FEW_ACTIVATIONS: Params = {"model": "resnet-tiny", "batch": 8, "side": 32}

#: The rate of a batch of 256 in the paper, for one of 32 (linear scaling, Goyal et al.).
_RATE_OF_32 = 0.0125

#: Moves a bf16 weight of a normalisation (up to 1.5, spacing 2^-7) by half a spacing a step.
_RATE_OF_ADAMW = 5e-3

_BOTH = ("fp32", "bf16")

FAMILY = Family(
    name="resnet",
    summary="residual network: classifying images, training on their classes",
    phase="forward",
    configurations=(
        configuration("resnet-tiny", "forward", 8, 32, quick=("fp32",), standard=_BOTH),
        configuration(
            "resnet-tiny", "training", 8, 32, standard=_BOTH, learning_rate=_RATE_OF_ADAMW
        ),
        configuration(
            "resnet-tiny", "training", 8, 32, layout="channels-last", learning_rate=_RATE_OF_ADAMW
        ),
        configuration("resnet50", "forward", 1, 224, standard=_BOTH),
        configuration("resnet50", "forward", 1, 224, layout="channels-last", standard=_BOTH),
        configuration("resnet50", "forward", 32, 224, checked={"batch": 2}),
        configuration("resnet50", "forward", 32, 224, layout="channels-last", checked={"batch": 2}),
        configuration("resnet101", "forward", 1, 224),
        configuration(
            "resnet50",
            "training",
            32,
            224,
            dtypes=("fp32",),
            checked=_FEW_ACTIVATIONS,
            optimizer="sgd",
            learning_rate=_RATE_OF_32,
        ),
        configuration(
            "resnet50",
            "training",
            32,
            224,
            layout="channels-last",
            dtypes=("bf16",),
            checked={"batch": 2},
            suffix="-autocast",
            precision="autocast",
            optimizer="sgd",
            learning_rate=_RATE_OF_32,
        ),
    ),
    program="trnbench.models.resnet:make_program",
    cost=cost,
    footprint=footprint,
    # fp32: a step's gradients, 3e-6 seen with 200 seeds but two (one activation beyond zero
    # each); as much room as conv2d has for a Winograd kernel. bf16: the norm of the gradients,
    # 2.7e-2 seen with 40 seeds; logits 8e-3, statistics 1e-2, loss 2e-3.
    error_bound={"fp32": 4e-5, "bf16": 6e-2},
)
