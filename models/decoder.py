"""Decoders for text: the families of Llama 3, Qwen3 and GPT-2.

Three programs of one model: prefill (a prompt at once, into a cache), decode (one token more),
and training (next token, whole sequence).

Shapes: B batch, T tokens of a call, S places of the cache, D width, G key and value heads, K width
of a head, F hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.decoder import DecoderCall, DecoderSizes
from .costs.training import TrainingOptions
from .family import Params
from .inputs import Draw
from .mlp import SwiGLU
from .program import Program
from .training import Autocast, TrainingProgram, TrainingStep
from .transformer import (
    Attention,
    Cache,
    GeluMlp,
    LayerNorm,
    Places,
    RMSNorm,
    RotaryTable,
    run_block,
)


class Block(nn.Module):
    def __init__(self, sizes: DecoderSizes, draw: Draw) -> None:
        super().__init__()
        norm = RMSNorm if sizes.norm == "rms" else LayerNorm
        mlp = SwiGLU if sizes.activation == "swiglu" else GeluMlp
        self.attention_norm = norm(sizes.width, sizes.epsilon, draw)
        self.attention = Attention(sizes.width, sizes.attention, draw)
        self.mlp_norm = norm(sizes.width, sizes.epsilon, draw)
        self.mlp = mlp(sizes.width, sizes.hidden, draw)

    def forward(self, x_BTD: Tensor, places: Places, cache: Cache | None = None) -> Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), places, cache)
        return cast("Tensor", x_BTD + self.mlp(self.mlp_norm(x_BTD)))


class Decoder(nn.Module):
    """``layers`` of a model's blocks between its embedding and its head, with places for
    ``places`` tokens."""

    def __init__(
        self,
        sizes: DecoderSizes,
        layers: int,
        places: int,
        draw: Draw,
        *,
        recompute: bool = False,
        make_block: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        width = sizes.width
        # The head of a tied model is this table: its logits shall be of order one.
        self.embedding_VD = nn.Parameter(draw.normal(sizes.vocabulary, width, scale=width**-0.5))
        self.rotary = self.positions_SD = None
        if sizes.rotary_base is None:
            scale = width**-0.5
            self.positions_SD = nn.Parameter(draw.normal(sizes.positions, width, scale=scale))
        else:
            table = places, sizes.attention.head_width, sizes.rotary_base, sizes.rotary_scaling
            self.rotary = RotaryTable(*table, draw)
        self.blocks = nn.ModuleList(
            Block(sizes, draw) if make_block is None else make_block(layer)
            for layer in range(layers)
        )
        norm = RMSNorm if sizes.norm == "rms" else LayerNorm
        self.norm = norm(width, sizes.epsilon, draw)
        self.head_VD = None
        if not sizes.tied:
            self.head_VD = nn.Parameter(draw.normal(sizes.vocabulary, width, scale=width**-0.5))

    def forward(
        self,
        tokens_BT: Tensor,
        index_T: Tensor | None = None,
        mask_TS: Tensor | None = None,
        caches: Sequence[Cache] = (),
    ) -> Tensor:
        """The last block's output, normalised. Places as in ``transformer.Places``."""
        x_BTD = functional.embedding(tokens_BT, self.embedding_VD)
        if self.positions_SD is not None:
            first_TD = self.positions_SD[: tokens_BT.shape[1]]
            x_BTD = x_BTD + (first_TD if index_T is None else self.positions_SD[index_T])
        rotation = None
        if self.rotary is not None:
            count = tokens_BT.shape[1]
            rotation = self.rotary.first(count) if index_T is None else self.rotary.at(index_T)
        places = Places(rotation, index_T, mask_TS)
        for layer, block in enumerate(self.blocks):
            if caches:
                x_BTD = block(x_BTD, places, caches[layer])
            else:
                x_BTD = run_block(block, x_BTD, places, recompute=self.recompute)
        return cast("Tensor", self.norm(x_BTD))

    def logits(self, x_BTD: Tensor) -> Tensor:
        head_VD = self.embedding_VD if self.head_VD is None else self.head_VD
        return functional.linear(x_BTD, head_VD)


class Prefill(nn.Module):
    """Reads prompts into the cache; the logits of the token that follows each.

    ``prompt`` tokens are of use; those behind them fill a bucket.
    """

    def __init__(self, decoder: Decoder, prompt: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.prompt = prompt

    def forward(self, tokens_BT: Tensor, *caches_BGSK: Tensor) -> Tensor:
        x_BTD = self.decoder(tokens_BT, caches=paired(caches_BGSK))
        return self.decoder.logits(x_BTD[:, self.prompt - 1])


class Decode(nn.Module):
    """One token more a sequence: its key and value go to the cache, and the logits come out."""

    def __init__(self, decoder: Decoder, places: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("places_S", torch.arange(places))
        self.places_S: Tensor

    def forward(self, tokens_B1: Tensor, index_1: Tensor, *caches_BGSK: Tensor) -> Tensor:
        mask_1S = self.places_S <= index_1[:, None]
        x_B1D = self.decoder(tokens_B1, index_1, mask_1S, paired(caches_BGSK))
        return self.decoder.logits(x_B1D[:, 0])


class NextTokenLoss(nn.Module):
    """Mean cross entropy of each token's prediction, in fp32 at least."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens_BT: Tensor, next_BT: Tensor) -> Tensor:
        logits_BTV = self.decoder.logits(self.decoder(tokens_BT))
        wide = torch.promote_types(logits_BTV.dtype, torch.float32)
        return functional.cross_entropy(logits_BTV.flatten(0, 1).to(wide), next_BT.flatten())


class CachedProgram(Program):
    """A program whose last inputs are caches, and which is checked by its output and by the last
    layer's."""

    def checked(self, output: Any) -> tuple[Tensor, ...]:
        return (output, *self.inputs[-2:])


def paired(caches_BGSK: Sequence[Tensor]) -> list[Cache]:
    """Keys and values in turn, as the layers' caches."""
    return [Cache(*pair) for pair in zip(caches_BGSK[::2], caches_BGSK[1::2], strict=True)]


def make_program(params: Params, dtype: str, seed: int) -> Program:
    return program_of(DecoderCall.of(params), params, dtype, seed)


def program_of(
    call: DecoderCall,
    params: Params,
    dtype: str,
    seed: int,
    make_decoder: Callable[..., Decoder] = Decoder,
) -> Program:
    """The program of a call. ``make_decoder`` takes what ``Decoder`` takes."""
    sizes, batch, tokens = call.sizes, call.batch, call.tokens
    draw = Draw(dtype, seed)
    if call.phase == "training":
        options = TrainingOptions.of(params)
        weights = Draw(options.weights_dtype(dtype), seed)
        draw.generator = weights.generator
        decoder = make_decoder(sizes, call.layers, tokens, weights, recompute=options.recompute)
        loss: nn.Module = NextTokenLoss(decoder)
        if options.precision == "autocast":
            loss = Autocast(loss, draw.dtype)
        text_BT = draw.integers(batch, tokens + 1, limit=sizes.vocabulary)
        step = TrainingStep(loss, options)
        return TrainingProgram(step, (text_BT[:, :-1].contiguous(), text_BT[:, 1:].contiguous()))
    decoder = make_decoder(sizes, call.layers, call.places, draw)
    groups, head_width = sizes.attention.kv_heads, sizes.attention.head_width
    shapes_BGSK = [
        (batch, groups, places, head_width) for places in call.cache_places for _ in range(2)
    ]
    tokens_BT = draw.integers(batch, tokens, limit=sizes.vocabulary)
    if call.phase == "prefill":
        caches = [draw.unset(*shape_BGSK) for shape_BGSK in shapes_BGSK]
        function: nn.Module = Prefill(decoder, call.prompt)
        inputs = (tokens_BT, *caches)
    else:
        caches = [draw.normal(*shape_BGSK) for shape_BGSK in shapes_BGSK]
        for cache_BGSK in caches:
            # What a step must overwrite: left in place, it would spoil the result.
            cache_BGSK[:, :, (call.places - 1) % cache_BGSK.shape[2]] = -1000.0
        function = Decode(decoder, call.places)
        inputs = (tokens_BT, torch.tensor([call.places - 1]), *caches)
    # Inference: nothing is recorded for a backward pass, whatever context the call runs in.
    function.requires_grad_(requires_grad=False)
    return CachedProgram(function.eval(), inputs)
