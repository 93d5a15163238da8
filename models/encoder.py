"""Encoder for text: BERT, with its head for masked language modelling.

Two programs of one model: forward (the logits of every token), and training (the mean loss of the
tokens that are masked). Blocks are normalised after each addition, and there is no dropout. Query,
key and value are one projection: a bias of the keys alone would have a gradient of zero, which no
relative error can judge.

Shapes: B batch, T tokens of a sequence, M masked ones of them, S places, D width, V vocabulary.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.encoder_sizes import EncoderCall, EncoderSizes
from .costs.training import TrainingOptions
from .family import Params
from .inputs import Draw
from .program import Program
from .training import Autocast, TrainingProgram, TrainingStep
from .transformer import Attention, GeluMlp, LayerNorm, Linear, Places, run_block


class Block(nn.Module):
    def __init__(self, sizes: EncoderSizes, draw: Draw) -> None:
        super().__init__()
        self.attention = Attention(sizes.width, sizes.attention, draw)
        self.attention_norm = LayerNorm(sizes.width, sizes.epsilon, draw)
        self.mlp = GeluMlp(sizes.width, sizes.hidden, draw, exact=True)
        self.mlp_norm = LayerNorm(sizes.width, sizes.epsilon, draw)

    def forward(self, x_BTD: Tensor, places: Places) -> Tensor:
        x_BTD = self.attention_norm(x_BTD + self.attention(x_BTD, places))
        return cast("Tensor", self.mlp_norm(x_BTD + self.mlp(x_BTD)))


class Encoder(nn.Module):
    """``layers`` of a model's blocks behind its embedding of tokens, their types and places."""

    def __init__(
        self, sizes: EncoderSizes, layers: int, draw: Draw, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.recompute = recompute
        width = sizes.width
        # The head's table is this one: its logits shall be of order one.
        scale = width**-0.5
        self.embedding_VD = nn.Parameter(draw.normal(sizes.vocabulary, width, scale=scale))
        self.types_2D = nn.Parameter(draw.normal(2, width, scale=scale))
        self.positions_SD = nn.Parameter(draw.normal(sizes.positions, width, scale=scale))
        self.norm = LayerNorm(width, sizes.epsilon, draw)
        self.blocks = nn.ModuleList(Block(sizes, draw) for _ in range(layers))

    def forward(self, tokens_BT: Tensor, types_BT: Tensor, mask_BT: Tensor | None) -> Tensor:
        """The last block's output. ``mask_BT`` is true where a token is of use; None: all are."""
        x_BTD = functional.embedding(tokens_BT, self.embedding_VD)
        x_BTD = x_BTD + functional.embedding(types_BT, self.types_2D)
        x_BTD = self.norm(x_BTD + self.positions_SD[: tokens_BT.shape[1]])
        mask_B11T = None if mask_BT is None else mask_BT[:, None, None]
        places = Places(rotation=None, mask_TS=mask_B11T)
        for block in self.blocks:
            x_BTD = run_block(block, x_BTD, places, recompute=self.recompute)
        return x_BTD


class MaskedModel(nn.Module):
    """An encoder and its head: what may stand at a place, from what stands around it."""

    def __init__(self, encoder: Encoder, sizes: EncoderSizes, draw: Draw) -> None:
        super().__init__()
        self.encoder = encoder
        self.transform = Linear(sizes.width, sizes.width, draw, bias=True)
        self.norm = LayerNorm(sizes.width, sizes.epsilon, draw)
        self.bias_V = nn.Parameter(draw.normal(sizes.vocabulary, scale=0.1))

    def logits(self, x_BTD: Tensor) -> Tensor:
        x_BTD = functional.gelu(self.transform(x_BTD))
        # Under autocast this is what CUDA does; a CPU would sum the norm's gradients in bf16.
        x_BTD = self.norm(x_BTD.to(self.norm.weight_D.dtype))
        return functional.linear(x_BTD, self.encoder.embedding_VD, self.bias_V)

    def forward(self, tokens_BT: Tensor, types_BT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        return self.logits(self.encoder(tokens_BT, types_BT, mask_BT))


class MaskedLoss(nn.Module):
    """Mean cross entropy of the masked tokens' predictions, in fp32 at least. The head works on
    these alone, which are as many in every sequence."""

    def __init__(self, model: MaskedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens_BT: Tensor,
        types_BT: Tensor,
        masked_BM: Tensor,
        labels_BM: Tensor,
        mask_BT: Tensor | None = None,
    ) -> Tensor:
        x_BTD = self.model.encoder(tokens_BT, types_BT, mask_BT)
        masked_BMD = masked_BM[..., None].expand(-1, -1, x_BTD.shape[-1])
        logits_BMV = self.model.logits(x_BTD.gather(1, masked_BMD))
        wide = torch.promote_types(logits_BMV.dtype, torch.float32)
        return functional.cross_entropy(logits_BMV.flatten(0, 1).to(wide), labels_BM.flatten())


def make_program(params: Params, dtype: str, seed: int) -> Program:
    call = EncoderCall.of(params)
    sizes, batch, sequence = call.sizes, call.batch, call.sequence
    draw = Draw(dtype, seed)
    training = call.phase == "training"
    options = TrainingOptions.of(params) if training else TrainingOptions()
    weights = Draw(options.weights_dtype(dtype) if training else dtype, seed)
    weights.generator = draw.generator
    encoder = Encoder(sizes, call.layers, weights, recompute=options.recompute)
    model = MaskedModel(encoder, sizes, weights)
    tokens_BT = draw.integers(batch, sequence, limit=sizes.vocabulary)
    types_BT = draw.integers(batch, sequence, limit=2)
    mask: tuple[Tensor, ...] = ()
    if call.padded:
        # What stands at the padded places is drawn too: it must not matter.
        mask = (torch.arange(sequence) < torch.tensor(call.lengths)[:, None],)
    if not training:
        # Inference: nothing is recorded for a backward pass, whatever context the call runs in.
        model.requires_grad_(requires_grad=False)
        return Program(model.eval(), (tokens_BT, types_BT, *mask))
    masked_BM = torch.stack([draw.indices(call.masked, length) for length in call.lengths])
    labels_BM = draw.integers(batch, call.masked, limit=sizes.vocabulary)
    loss: nn.Module = MaskedLoss(model)
    if options.precision == "autocast":
        loss = Autocast(loss, draw.dtype)
    inputs = (tokens_BT, types_BT, masked_BM.sort().values, labels_BM, *mask)
    return TrainingProgram(TrainingStep(loss, options), inputs)
