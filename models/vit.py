"""Vision transformer: an image is cut into patches, each a token of an encoder, and classified.

Two programs of one model: forward (the logits of the classes), and training (their mean cross
entropy). Blocks are normalised before each of their parts, and there is no dropout. Query, key and
value are one projection: a bias of the keys alone would have a gradient of zero, which no relative
error can judge.

Shapes: B batch, C channels, Y height and X width of an image, P height and width of a patch,
N patches, E numbers in one (C P P), T tokens (N + 1), D width, R classes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.training import TrainingOptions
from .costs.vit_sizes import VitCall, VitSizes
from .family import Params
from .inputs import Draw
from .program import Program
from .training import Autocast, TrainingProgram, TrainingStep
from .transformer import Attention, GeluMlp, LayerNorm, Linear, Places, run_block


class Block(nn.Module):
    def __init__(self, sizes: VitSizes, draw: Draw) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(sizes.width, sizes.epsilon, draw)
        self.attention = Attention(sizes.width, sizes.attention, draw)
        self.mlp_norm = LayerNorm(sizes.width, sizes.epsilon, draw)
        self.mlp = GeluMlp(sizes.width, sizes.hidden, draw, exact=True)

    def forward(self, x_BTD: Tensor, places: Places) -> Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), places)
        return cast("Tensor", x_BTD + self.mlp(self.mlp_norm(x_BTD)))


class PatchEmbedding(nn.Module):
    """A convolution whose stride is its kernel's size. No patch overlaps another, so that it is
    one product, which every stack does well: CPUs are up to twice as fast as with a convolution
    in fp32, and four times in bf16."""

    def __init__(self, sizes: VitSizes, draw: Draw) -> None:
        super().__init__()
        self.side = sizes.patch
        self.projection = Linear(sizes.patch_numbers, sizes.width, draw, bias=True)

    def forward(self, image_BCYX: Tensor) -> Tensor:
        batch, channels, height, width = image_BCYX.shape
        side, rows, columns = self.side, height // self.side, width // self.side
        cut = image_BCYX.reshape(batch, channels, rows, side, columns, side)
        patches_BNE = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)
        return cast("Tensor", self.projection(patches_BNE))


class VisionTransformer(nn.Module):
    """``layers`` of a model's blocks between its patches and its head, which reads the class
    token's output."""

    def __init__(
        self, sizes: VitSizes, layers: int, draw: Draw, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.patches = PatchEmbedding(sizes, draw)
        self.class_D = nn.Parameter(draw.normal(sizes.width))
        self.positions_TD = nn.Parameter(draw.normal(sizes.tokens, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes, draw) for _ in range(layers))
        self.norm = LayerNorm(sizes.width, sizes.epsilon, draw)
        self.head = Linear(sizes.width, sizes.classes, draw, bias=True)

    def forward(self, image_BCYX: Tensor) -> Tensor:
        class_B1D = self.class_D.expand(len(image_BCYX), 1, -1)
        x_BTD = torch.cat((class_B1D, self.patches(image_BCYX)), 1) + self.positions_TD
        places = Places(rotation=None)
        for block in self.blocks:
            x_BTD = run_block(block, x_BTD, places, recompute=self.recompute)
        return cast("Tensor", self.head(self.norm(x_BTD[:, 0])))


class ClassLoss(nn.Module):
    """Mean cross entropy of the images' classes, in fp32 at least."""

    def __init__(self, model: VisionTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, image_BCYX: Tensor, class_B: Tensor) -> Tensor:
        logits_BR = self.model(image_BCYX)
        wide = torch.promote_types(logits_BR.dtype, torch.float32)
        return functional.cross_entropy(logits_BR.to(wide), class_B)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    call = VitCall.of(params)
    sizes = call.sizes
    draw = Draw(dtype, seed)
    training = call.phase == "training"
    options = TrainingOptions.of(params) if training else TrainingOptions()
    weights = Draw(options.weights_dtype(dtype) if training else dtype, seed)
    weights.generator = draw.generator
    model = VisionTransformer(sizes, call.layers, weights, recompute=options.recompute)
    image_BCYX = draw.normal(call.batch, sizes.channels, sizes.image, sizes.image)
    if not training:
        # Inference: nothing is recorded for a backward pass, whatever context the call runs in.
        model.requires_grad_(requires_grad=False)
        return Program(model.eval(), (image_BCYX,))
    loss: nn.Module = ClassLoss(model)
    if options.precision == "autocast":
        loss = Autocast(loss, draw.dtype)
    inputs = (image_BCYX, draw.indices(call.batch, sizes.classes))
    return TrainingProgram(TrainingStep(loss, options), inputs)
