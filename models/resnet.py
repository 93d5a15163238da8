"""Residual networks for images, ResNet v1.5: inference, and training as a classifier.

Shapes: N images, C channels, R results of a convolution, H height, W width, k kernel, V classes.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.resnet_sizes import (
    EPSILON,
    MOMENTUM,
    BlockSizes,
    ConvolutionSizes,
    ResNetCall,
    ResNetSizes,
)
from .costs.training import TrainingOptions
from .family import Params
from .inputs import Draw
from .program import Program
from .training import Autocast, TrainingProgram, TrainingStep
from .transformer import Linear


class BatchNorm(nn.Module):
    """With the statistics of the batch in training, of which the running ones keep an average
    (of the unbiased variance); with the running ones otherwise. ``scale`` is that of the weights'
    values, which are drawn around it."""

    def __init__(self, channels: int, draw: Draw, *, scale: float = 1.0) -> None:
        super().__init__()
        self.weight_C = nn.Parameter(draw.uniform(channels, low=scale / 2, high=scale * 3 / 2))
        self.bias_C = nn.Parameter(draw.normal(channels, scale=0.1))
        self.register_buffer("mean_C", draw.normal(channels, scale=0.1))
        self.register_buffer("variance_C", draw.uniform(channels, low=0.5, high=1.5))
        self.mean_C: Tensor
        self.variance_C: Tensor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return functional.batch_norm(
            x_NCHW,
            self.mean_C,
            self.variance_C,
            self.weight_C,
            self.bias_C,
            training=self.training,
            momentum=MOMENTUM,
            eps=EPSILON,
        )


class Convolution(nn.Module):
    """Without a bias, since the normalisation behind it has one. Padded so that a stride of 1
    keeps height and width."""

    def __init__(self, sizes: ConvolutionSizes, draw: Draw, *, scale: float = 1.0) -> None:
        super().__init__()
        channels, results, kernel = sizes.channels, sizes.results, sizes.kernel
        spread = (2 / (channels * kernel * kernel)) ** 0.5
        weight_RCkk = draw.normal(results, channels, kernel, kernel, scale=spread)
        self.weight_RCkk = nn.Parameter(weight_RCkk)
        self.norm = BatchNorm(results, draw, scale=scale)
        self.stride, self.padding = sizes.stride, kernel // 2

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NRHW = functional.conv2d(
            x_NCHW, self.weight_RCkk, stride=self.stride, padding=self.padding
        )
        return cast("Tensor", self.norm(x_NRHW))


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut, which is a convolution itself where channels or sides
    change. The stride is in the middle (v1.5), not in the first convolution as in the paper."""

    def __init__(self, sizes: BlockSizes, draw: Draw) -> None:
        super().__init__()
        self.reduce = Convolution(sizes.reduce, draw)
        self.middle = Convolution(sizes.middle, draw)
        # Small, as in networks whose blocks start at zero: by fixed statistics nothing else holds
        # back what each block adds. Not zero, which would leave no gradient to compare.
        self.expand = Convolution(sizes.expand, draw, scale=0.2)
        self.shortcut: Convolution | None = None
        if sizes.shortcut is not None:
            self.shortcut = Convolution(sizes.shortcut, draw)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = functional.relu(self.reduce(x_NCHW))
        y_NCHW = functional.relu(self.middle(y_NCHW))
        y_NCHW = self.expand(y_NCHW)
        if self.shortcut is not None:
            x_NCHW = self.shortcut(x_NCHW)
        return functional.relu(y_NCHW + x_NCHW)


class ResNet(nn.Module):
    """Logits of the classes."""

    def __init__(self, sizes: ResNetSizes, side: int, draw: Draw) -> None:
        super().__init__()
        self.stem = Convolution(sizes.stem_at(side), draw)
        self.blocks = nn.ModuleList(Bottleneck(block, draw) for block in sizes.blocks_at(side))
        self.head = Linear(sizes.features, sizes.classes, draw, bias=True)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = functional.relu(self.stem(x_NCHW))
        x_NCHW = functional.max_pool2d(x_NCHW, 3, stride=2, padding=1)
        for block in self.blocks:
            x_NCHW = block(x_NCHW)
        return cast("Tensor", self.head(x_NCHW.mean((2, 3))))


class ClassLoss(nn.Module):
    """Mean cross entropy of the images' classes, in fp32 at least."""

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, x_NCHW: Tensor, class_N: Tensor) -> Tensor:
        logits_NV = self.resnet(x_NCHW)
        wide = torch.promote_types(logits_NV.dtype, torch.float32)
        return functional.cross_entropy(logits_NV.to(wide), class_N)


class ResNetTraining(TrainingProgram):
    """A step that also leaves running statistics, which are checked with the rest.

    ``narrow``: of the gradients their norm is checked. Rounded to few bits, numbers near zero
    come to lie on the other side of it, where relu has another slope; three in a thousand do in
    bf16, and move entries of a gradient by as much as its largest is.
    """

    def __init__(self, step: TrainingStep, inputs: tuple[Tensor, ...], *, narrow: bool) -> None:
        super().__init__(step, inputs)
        self.narrow = narrow

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        loss, *gradients = super().checked(output)
        if self.narrow:
            wide = torch.promote_types(gradients[0].dtype, torch.float32)
            norms = [torch.linalg.vector_norm(each, dtype=wide) for each in gradients]
            gradients = [torch.linalg.vector_norm(torch.stack(norms))]
        return (loss, *gradients, *self.step.buffers())


def make_program(params: Params, dtype: str, seed: int) -> Program:
    call = ResNetCall.of(params)
    sizes, training = call.sizes, call.phase == "training"
    options = TrainingOptions.of(params) if training else TrainingOptions()
    draw = Draw(dtype, seed)
    weights = Draw(options.weights_dtype(dtype), seed)
    weights.generator = draw.generator
    resnet = ResNet(sizes, call.side, weights)
    # Noise alone looks alike once it is averaged over an image: each has a colour of its own.
    x_NCHW = draw.normal(call.batch, 3, call.side, call.side)
    x_NCHW = x_NCHW + draw.normal(call.batch, 3, 1, 1)
    if call.layout == "channels-last":
        # The stubs of torch don't know that a module takes a layout, too.
        resnet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
    if not training:
        # Inference: nothing is recorded for a backward pass, whatever context the call runs in.
        resnet.requires_grad_(requires_grad=False)
        return Program(resnet.eval(), (x_NCHW,))
    loss: nn.Module = ClassLoss(resnet)
    if options.precision == "autocast":
        loss = Autocast(loss, draw.dtype)
    step = TrainingStep(loss, options)
    inputs = (x_NCHW, draw.indices(call.batch, sizes.classes))
    return ResNetTraining(step, inputs, narrow=draw.dtype.itemsize < 4)
