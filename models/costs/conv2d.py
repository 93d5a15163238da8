"""Two-dimensional convolution: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import FLOPS, element_bytes, integer

CONVENTION = (
    "A multiply-add is two; 2*N*C_out*H*W*(C_in/groups)*kernel*kernel, with stride 1 and as "
    "much padding as keeps H and W; taps that fall on the padding count, as FlopCounterMode "
    "counts them. Bytes: input and weights read once, result written once. Items are samples."
)
SOURCE = "Counted from the definition of a direct convolution; Winograd and FFT need fewer."


def cost(params: Params, dtype: str) -> Cost:
    samples, channels, results, height, width, kernel, groups = (
        integer(params, name)
        for name in ("samples", "channels", "results", "height", "width", "kernel", "groups")
    )
    pixels = samples * height * width
    weights = results * (channels // groups) * kernel * kernel
    flops = 2 * pixels * weights
    moved = element_bytes(dtype) * (pixels * (channels + results) + weights)
    return Cost(
        flops=flops,
        flops_counted=flops,
        bytes_moved=moved,
        bytes_useful=moved,
        working_set_bytes=moved,
        items=samples,
        item_unit="samples",
        headline=FLOPS,
        convention=CONVENTION,
        source=SOURCE,
    )


def _configuration(
    name: str,
    sizes: tuple[int, int, int, int, int, int],
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = ("fp32", "bf16"),
) -> Configuration:
    """``sizes``: samples, channels, results, height and width, kernel, groups."""
    samples, channels, results, side, kernel, groups = sizes
    params = {
        "samples": samples,
        "channels": channels,
        "results": results,
        "height": side,
        "width": side,
        "kernel": kernel,
        "groups": groups,
    }
    return Configuration(name, params, ("fp32", "bf16", "fp16"), quick, standard)


FAMILY = Family(
    name="conv2d",
    summary="convolution: 1x1, 3x3 and depthwise",
    phase="forward",
    configurations=(
        _configuration("1x1-64x256", (1, 64, 256, 56, 1, 1), ("fp32",)),
        _configuration("3x3-64x64", (1, 64, 64, 56, 3, 1), ("fp32", "bf16")),
        _configuration("depthwise-3x3-128", (1, 128, 128, 56, 3, 128), ("fp32",)),
        _configuration("1x1-64x256-n8", (8, 64, 256, 56, 1, 1)),
        _configuration(
            "3x3-128x128-n8", (8, 128, 128, 28, 3, 1), standard=("fp32", "fp32:compiled", "bf16")
        ),
        _configuration("depthwise-3x3-128-n8", (8, 128, 128, 56, 3, 128)),
    ),
    program="trnbench.models.conv2d:make_program",
    cost=cost,
    # A Winograd kernel of 3x3 transforms its operands, which costs about two bits.
    error_bound={"fp32": 4e-5},
)
