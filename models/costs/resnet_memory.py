"""Memory of a residual network's call: which results of its operators are alive together.

As eager PyTorch runs the program: a result lives until its last reader has run, and what the
backward pass reads is kept. A library's copies in layouts of its own are left out, and so are
the statistics that a normalisation keeps of each channel. The pool's places are int64.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...specs.cost import Footprint
from .resnet_sizes import BlockSizes, ConvolutionSizes, ResNetCall
from .sizes import INDEX_BYTES, element_bytes
from .training import TrainingOptions, state_bytes

#: The loss is made in fp32.
WIDE = 4


def inference_footprint(call: ResNetCall, dtype: str) -> Footprint:
    sizes, size = call.sizes, element_bytes(dtype)
    weights = size * (sizes.parameters + sizes.statistics)
    inputs = size * call.batch * 3 * call.side**2
    blocks = sizes.blocks_at(call.side)
    # Of the stem, a result and what is made of it; then the pooled result and its places.
    stem = _result(sizes.stem_at(call.side), size)
    pooled = _given(blocks[0].reduce, size)
    alive = [2 * stem, stem + pooled + pooled // size * INDEX_BYTES]
    for block in blocks:
        given, result = _given(block.reduce, size), _result(block.expand, size)
        # What the block was given, the ends of both branches, their sum, and what is left of it.
        alive.append(given + (3 if block.shortcut is None else 4) * result)
    activations = call.batch * max(alive)
    return Footprint(
        weights=weights,
        inputs=inputs,
        activations=activations,
        peak=weights + inputs + activations,
    )


@dataclass(slots=True)
class _Backward:
    """What is alive as operators run backward: ``now`` of results and their gradients, ``made``
    of the parameters' gradients, where those stay. Bytes."""

    now: int
    weight: int
    made: int = 0
    most: int = 0
    most_together: int = 0

    def run(self, makes: int, frees: int, parameters: int = 0) -> None:
        """An operator, after which ``frees`` isn't needed any more."""
        self.now += makes
        self.made += self.weight * parameters
        self.most = max(self.most, self.now)
        self.most_together = max(self.most_together, self.now + self.made)
        self.now -= frees


def training_footprint(call: ResNetCall, options: TrainingOptions, dtype: str) -> Footprint:
    sizes = call.sizes
    size, weight = element_bytes(dtype), element_bytes(options.weights_dtype(dtype))
    rows = call.images
    parameters = sizes.parameters
    blocks = sizes.blocks_at(call.side)
    stem = rows * _result(sizes.stem_at(call.side), size)
    pooled = rows * _given(blocks[0].reduce, size)
    places = pooled // size * INDEX_BYTES
    kept = 2 * stem + pooled + places + rows * sum(_kept(block, size) for block in blocks)
    if options.precision == "autocast":
        # Copies of the weights of all products, which the backward pass reads.
        kept += size * (sizes.convolution_weights + sizes.head_parameters)
    last = rows * _result(blocks[-1].expand, size)
    loss = 3 * WIDE * rows * sizes.classes
    # Gradients of the micro batches before; those of this one are added to them one by one.
    earlier = weight * parameters if options.micro_batches > 1 else 0
    backward = _Backward(kept + loss, 0 if earlier else weight)
    backward.run(3 * last, 3 * last)  # the last block's branches and their sum, running forward
    backward.run(last, loss, sizes.head_parameters)
    for block in reversed(blocks):
        _run_block(backward, block, rows, size)
    norm = 2 * sizes.stem
    backward.run(stem, pooled + pooled + places)
    backward.run(stem, 2 * stem)
    backward.run(stem, 2 * stem, norm)
    backward.run(0, stem, sizes.stem_at(call.side).weights)
    gradients, optimizer = state_bytes(options, parameters, dtype)
    weights = weight * (parameters + sizes.statistics)
    inputs = call.batch * (size * 3 * call.side**2 + INDEX_BYTES)
    return Footprint(
        weights=weights,
        inputs=inputs,
        activations=backward.most,
        gradients=gradients,
        optimizer=optimizer,
        peak=weights + inputs + optimizer + max(earlier + backward.most_together, gradients),
    )


def _kept(block: BlockSizes, size: int) -> int:
    """Bytes an image: the results of the convolutions, for the normalisations, and those of the
    activations."""
    results = sum(_result(convolution, size) for convolution in block.convolutions)
    activated = (block.reduce, block.middle, block.expand)
    return results + sum(_result(convolution, size) for convolution in activated)


def _run_block(backward: _Backward, block: BlockSizes, rows: int, size: int) -> None:
    """Handed the gradient of the block's result, leaves that of what the block was given."""
    given, result = rows * _given(block.reduce, size), rows * _result(block.expand, size)
    backward.run(result, 2 * result)
    # The gradient of the sum is that of both branches; the shortcut's runs first.
    if block.shortcut is not None:
        backward.run(result, result, 2 * block.shortcut.results)
        backward.run(given, result, block.shortcut.weights)
    backward.run(result, result if block.shortcut is None else 2 * result, 2 * block.expand.results)
    gradient = result
    for behind, convolution in (
        (block.expand, block.middle),
        (block.middle, block.reduce),
    ):
        inner = rows * _result(convolution, size)
        backward.run(inner, gradient, behind.weights)
        backward.run(inner, 2 * inner)
        backward.run(inner, 2 * inner, 2 * convolution.results)
        gradient = inner
    # Both branches' gradients of what the block was given: one is added to the other.
    backward.run(given, gradient + given, block.reduce.weights)


def _given(convolution: ConvolutionSizes, size: int) -> int:
    return size * convolution.channels * convolution.pixels


def _result(convolution: ConvolutionSizes, size: int) -> int:
    return size * convolution.results * convolution.result_pixels
