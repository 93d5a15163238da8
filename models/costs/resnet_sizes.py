"""Residual networks for images: their sizes, named models, and what one call does.

C channels, R results of a convolution, k kernel, P pixels of one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..family import Params
from .sizes import integer, text
from .training import TrainingOptions

PHASES = ("forward", "training")
LAYOUTS = ("channels-first", "channels-last")

EPSILON = 1e-5
#: The part of a batch's statistics in the running ones.
MOMENTUM = 0.1


class ConvolutionSizes(NamedTuple):
    """A convolution and the normalisation behind it, on images of ``side`` by ``side``."""

    channels: int
    results: int
    kernel: int
    stride: int
    side: int

    @property
    def pixels(self) -> int:
        return self.side**2

    @property
    def result_pixels(self) -> int:
        return halved(self.side) ** 2 if self.stride == 2 else self.pixels

    @property
    def weights(self) -> int:
        return self.channels * self.results * self.kernel**2


class BlockSizes(NamedTuple):
    reduce: ConvolutionSizes
    middle: ConvolutionSizes
    expand: ConvolutionSizes
    shortcut: ConvolutionSizes | None

    @property
    def convolutions(self) -> tuple[ConvolutionSizes, ...]:
        return tuple(convolution for convolution in self if convolution is not None)


@dataclass(frozen=True, slots=True)
class ResNetSizes:
    """A model as its authors published it. A stage of ``depths[i]`` blocks has ``widths[i]``
    results and a quarter as many channels inside; all stages but the first halve the sides."""

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    stem: int = 64
    classes: int = 1000

    @property
    def features(self) -> int:
        return self.widths[-1]

    def stem_at(self, side: int) -> ConvolutionSizes:
        return ConvolutionSizes(3, self.stem, 7, 2, side)

    def blocks_at(self, side: int) -> tuple[BlockSizes, ...]:
        """For images of ``side``, which the stem and the pool behind it halve twice."""
        found, channels, side = [], self.stem, halved(halved(side))
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                found.append(_block(channels, width, stride, side))
                channels, side = width, halved(side) if stride == 2 else side
        return tuple(found)

    @property
    def convolution_weights(self) -> int:
        return sum(convolution.weights for convolution in self._convolutions)

    @property
    def norm_channels(self) -> int:
        """Each has a scale, a bias, and a running mean and variance."""
        return sum(convolution.results for convolution in self._convolutions)

    @property
    def head_parameters(self) -> int:
        return (self.features + 1) * self.classes

    @property
    def parameters(self) -> int:
        return self.convolution_weights + 2 * self.norm_channels + self.head_parameters

    @property
    def statistics(self) -> int:
        return 2 * self.norm_channels

    @property
    def _convolutions(self) -> tuple[ConvolutionSizes, ...]:
        blocks = self.blocks_at(1)
        return (self.stem_at(1), *(each for block in blocks for each in block.convolutions))


def halved(side: int) -> int:
    """By a stride of 2 with a padding that keeps the side at a stride of 1."""
    return (side + 1) // 2


def _block(channels: int, width: int, stride: int, side: int) -> BlockSizes:
    inner = width // 4
    after = halved(side) if stride == 2 else side
    projected = channels != width or stride != 1
    return BlockSizes(
        ConvolutionSizes(channels, inner, 1, 1, side),
        ConvolutionSizes(inner, inner, 3, stride, side),
        ConvolutionSizes(inner, width, 1, 1, after),
        ConvolutionSizes(channels, width, 1, stride, side) if projected else None,
    )


#: By name. Sizes: the paper's table 1; the tiny one is ours, with every part of its namesakes.
MODELS: Mapping[str, ResNetSizes] = {
    "resnet-tiny": ResNetSizes((2, 1, 1), (32, 64, 128), stem=16, classes=64),
    "resnet50": ResNetSizes((3, 4, 6, 3)),
    "resnet101": ResNetSizes((3, 4, 23, 3)),
}


@dataclass(frozen=True, slots=True)
class ResNetCall:
    """What one call does, to ``batch`` images of ``side`` by ``side`` pixels. ``micro_batches``:
    parts of the batch that run one after the other, each with statistics of its own."""

    model: str
    phase: str
    batch: int
    side: int
    layout: str
    micro_batches: int = 1

    @property
    def sizes(self) -> ResNetSizes:
        return MODELS[self.model]

    @property
    def images(self) -> int:
        """Those that run together."""
        return self.batch // self.micro_batches

    @classmethod
    def of(cls, params: Params) -> ResNetCall:
        """That of a configuration; ``ValueError`` for one that can't be."""
        model, phase = text(params, "model", tuple(MODELS)), text(params, "phase", PHASES)
        batch, side = integer(params, "batch"), integer(params, "side")
        layout = text(params, "layout", LAYOUTS) if "layout" in params else LAYOUTS[0]
        if phase == "forward":
            return cls(model, phase, batch, side, layout)
        options, classes = TrainingOptions.of(params), MODELS[model].classes
        if options.recompute:
            raise ValueError(
                "parameter 'recompute' must be false: a block that ran twice would update its "
                "running statistics twice"
            )
        if batch > classes:  # the classes of a batch are distinct
            raise ValueError(f"parameter 'batch' must be at most {classes}, not {batch}")
        if batch % options.micro_batches:
            raise ValueError(
                f"parameter 'micro_batches' must divide {batch}, not be {options.micro_batches}"
            )
        return cls(model, phase, batch, side, layout, options.micro_batches)
