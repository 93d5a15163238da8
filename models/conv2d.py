"""Convolution of images, stride 1, padded so that height and width stay.

Shapes: N samples, C channels, R results, H height, W width, k kernel, g groups.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


def pointwise(x_NCHW: Tensor, weight_RC11: Tensor) -> Tensor:
    return functional.conv2d(x_NCHW, weight_RC11)


def same(x_NCHW: Tensor, weight_RCkk: Tensor) -> Tensor:
    return functional.conv2d(x_NCHW, weight_RCkk, padding=weight_RCkk.shape[-1] // 2)


def depthwise(x_NCHW: Tensor, weight_R1kk: Tensor) -> Tensor:
    padding, groups = weight_R1kk.shape[-1] // 2, weight_R1kk.shape[0]
    return functional.conv2d(x_NCHW, weight_R1kk, padding=padding, groups=groups)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    samples, channels, results, height, width, kernel, groups = (
        integer(params, name)
        for name in ("samples", "channels", "results", "height", "width", "kernel", "groups")
    )
    if kernel % 2 == 0:
        raise ValueError(f"parameter 'kernel' must be odd to keep height and width, not {kernel}")
    if groups not in (1, channels) or (groups > 1 and results != channels):
        raise ValueError(
            "parameter 'groups' must be 1, or the channels with as many results; "
            f"not {groups} for {channels} channels and {results} results"
        )
    draw = Draw(dtype, seed)
    x_NCHW = draw.normal(samples, channels, height, width)
    weight = draw.normal(results, channels // groups, kernel, kernel)
    function = depthwise if groups > 1 else pointwise if kernel == 1 else same
    return Program(function, (x_NCHW, weight))
