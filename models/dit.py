"""Diffusion transformers: what a latent image's noise is, given the step and a class (DiT).

Two programs of one model: forward (one call of a sampling loop, which predicts noise and
variance), and training (noise is added to a latent and predicted; mean squared error of the
noise, while the variance, which has a loss of its own in the paper, goes untrained).

Each block scales, shifts and gates by numbers that it makes from step and class (adaLN-Zero).
The paper starts those at zero, and with them every block as the identity. Here they are drawn like
all other weights: at zero, a block could be left out and no output would tell, and no weight
behind a gate would have a gradient.

Shapes: B batch, C channels, Y height and X width of a latent, P height and width of a patch,
E numbers in one (C P P), T tokens, D width, S steps of the diffusion, U sines and cosines of a
step, V classes and, last, none of them.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .costs.dit_sizes import EPSILON, STEPS, TIME_NUMBERS, DitCall, DitSizes
from .costs.training import TrainingOptions
from .family import Params
from .inputs import Draw
from .program import Program
from .training import Autocast, TrainingProgram, TrainingStep
from .transformer import Attention, GeluMlp, Linear, Places

FIRST_BETA, LAST_BETA = 1e-4, 0.02


class Block(nn.Module):
    def __init__(self, sizes: DitSizes, draw: Draw) -> None:
        super().__init__()
        self.modulation = Linear(sizes.width, 6 * sizes.width, draw, bias=True)
        self.attention = Attention(sizes.width, sizes.attention, draw)
        self.mlp = GeluMlp(sizes.width, sizes.hidden, draw)

    def forward(self, x_BTD: Tensor, condition_BD: Tensor) -> Tensor:
        modulations_B1D = self.modulation(condition_BD)[:, None].chunk(6, -1)
        shift_B1D, scale_B1D, gate_B1D = modulations_B1D[:3]
        modulated_BTD = modulate(x_BTD, shift_B1D, scale_B1D)
        x_BTD = torch.addcmul(x_BTD, gate_B1D, self.attention(modulated_BTD, Places(None)))
        shift_B1D, scale_B1D, gate_B1D = modulations_B1D[3:]
        modulated_BTD = modulate(x_BTD, shift_B1D, scale_B1D)
        return torch.addcmul(x_BTD, gate_B1D, self.mlp(modulated_BTD))


class Condition(nn.Module):
    """Step and class as one vector. The steps are integers: their sines and cosines are a table,
    worked out once in float64, since in fp32 those of a thousand radians lose three digits."""

    def __init__(self, sizes: DitSizes, draw: Draw) -> None:
        super().__init__()
        angles = angles_of(torch.arange(STEPS), TIME_NUMBERS // 2)
        table = torch.cat((angles.cos(), angles.sin()), -1)
        self.register_buffer("steps_SU", table.to(draw.dtype))
        self.steps_SU: Tensor
        self.first = Linear(TIME_NUMBERS, sizes.width, draw, bias=True)
        self.second = Linear(sizes.width, sizes.width, draw, bias=True)
        self.classes_VD = nn.Parameter(draw.normal(sizes.classes + 1, sizes.width, scale=0.5))

    def forward(self, step_B: Tensor, class_B: Tensor) -> Tensor:
        time_BD = self.first(functional.embedding(step_B, self.steps_SU))
        time_BD = self.second(functional.silu(time_BD))
        return cast("Tensor", time_BD + functional.embedding(class_B, self.classes_VD))


class DiT(nn.Module):
    """``layers`` of a model's blocks between patches of a latent and those of its noise, of C
    channels, and of the noise's variance, of as many."""

    def __init__(
        self, sizes: DitSizes, layers: int, draw: Draw, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.side = sizes.patch
        self.recompute = recompute
        self.patches = Linear(sizes.patch_numbers, sizes.width, draw, bias=True)
        positions_TD = positions(sizes.side // sizes.patch, sizes.width)
        self.register_buffer("positions_TD", positions_TD.to(draw.dtype))
        self.positions_TD: Tensor
        self.condition = Condition(sizes, draw)
        self.blocks = nn.ModuleList(Block(sizes, draw) for _ in range(layers))
        self.modulation = Linear(sizes.width, 2 * sizes.width, draw, bias=True)
        self.head = Linear(sizes.width, 2 * sizes.patch_numbers, draw, bias=True)

    def forward(self, latent_BCYX: Tensor, step_B: Tensor, class_B: Tensor) -> Tensor:
        x_BTD = self.patches(patches_of(latent_BCYX, self.side)) + self.positions_TD
        condition_BD = functional.silu(self.condition(step_B, class_B))
        for block in self.blocks:
            if self.recompute:
                x_BTD = checkpoint(
                    block, x_BTD, condition_BD, use_reentrant=False, preserve_rng_state=False
                )
            else:
                x_BTD = block(x_BTD, condition_BD)
        shift_B1D, scale_B1D = self.modulation(condition_BD)[:, None].chunk(2, -1)
        out_BTE = self.head(modulate(x_BTD, shift_B1D, scale_B1D))
        return latent_of(out_BTE, self.side, latent_BCYX.shape[-1])


class NoiseLoss(nn.Module):
    """Mean squared error of the noise that was added to latents, in fp32 at least. The later the
    step, the more there is of it: its part in the variance grows by a linear schedule."""

    def __init__(self, dit: DiT, draw: Draw) -> None:
        super().__init__()
        self.dit = dit
        betas = torch.linspace(FIRST_BETA, LAST_BETA, STEPS, dtype=torch.float64)
        left = (1 - betas).cumprod(0)
        self.register_buffer("signal_S111", left.sqrt()[:, None, None, None].to(draw.dtype))
        self.register_buffer("noise_S111", (1 - left).sqrt()[:, None, None, None].to(draw.dtype))
        self.signal_S111: Tensor
        self.noise_S111: Tensor

    def forward(
        self, latent_BCYX: Tensor, noise_BCYX: Tensor, step_B: Tensor, class_B: Tensor
    ) -> Tensor:
        signal_B111 = self.signal_S111.index_select(0, step_B)
        scaled_BCYX = noise_BCYX * self.noise_S111.index_select(0, step_B)
        noised_BCYX = torch.addcmul(scaled_BCYX, latent_BCYX, signal_B111)
        out = self.dit(noised_BCYX, step_B, class_B)[:, : noise_BCYX.shape[1]]
        wide = torch.promote_types(out.dtype, torch.float32)
        return functional.mse_loss(out.to(wide), noise_BCYX.to(wide))


def patches_of(latent_BCYX: Tensor, side: int) -> Tensor:
    """Row by row. One product embeds them, as a convolution does whose stride is its kernel's
    size."""
    batch, channels, height, width = latent_BCYX.shape
    cut = latent_BCYX.reshape(batch, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def latent_of(out_BTE: Tensor, side: int, width: int) -> Tensor:
    """Of patches whose numbers are in the order of rows, columns, channels."""
    out = out_BTE.reshape(len(out_BTE), -1, width // side, side, side, out_BTE.shape[-1] // side**2)
    return out.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def modulate(x_BTD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
    """A layer norm with a weight and a bias for each sample."""
    normed_BTD = functional.layer_norm(x_BTD, x_BTD.shape[-1:], eps=EPSILON)
    return torch.addcmul(shift_B1D, normed_BTD, 1 + scale_B1D)


def angles_of(places: Tensor, count: int) -> Tensor:
    """A place's angles, from a turn of one radian a place to almost a ten-thousandth of that."""
    turns = 10_000.0 ** (-torch.arange(count, dtype=torch.float64) / count)
    return places.double()[:, None] * turns


def positions(side: int, width: int) -> Tensor:
    """Sines and cosines of a token's column, then those of its row."""
    place = torch.arange(side)
    angles = angles_of(torch.cat((place.repeat(side), place.repeat_interleave(side))), width // 4)
    column_TK, row_TK = torch.cat((angles.sin(), angles.cos()), -1).chunk(2)
    return torch.cat((column_TK, row_TK), -1)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    call = DitCall.of(params)
    sizes, training = call.sizes, call.phase == "training"
    options = TrainingOptions.of(params) if training else TrainingOptions()
    draw = Draw(dtype, seed)
    weights = Draw(options.weights_dtype(dtype), seed)
    weights.generator = draw.generator
    dit = DiT(sizes, call.layers, weights, recompute=options.recompute)
    shape_BCYX = (call.batch, sizes.channels, sizes.side, sizes.side)
    latent_BCYX = draw.normal(*shape_BCYX)
    step_B = draw.indices(call.batch, STEPS)
    class_B = draw.indices(call.batch, sizes.classes + 1)
    if not training:
        # Inference: nothing is recorded for a backward pass, whatever context the call runs in.
        dit.requires_grad_(requires_grad=False)
        return Program(dit.eval(), (latent_BCYX, step_B, class_B))
    loss: nn.Module = NoiseLoss(dit, draw)
    if options.precision == "autocast":
        loss = Autocast(loss, draw.dtype)
    inputs = (latent_BCYX, draw.normal(*shape_BCYX), step_B, class_B)
    return TrainingProgram(TrainingStep(loss, options), inputs)
