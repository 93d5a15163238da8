"""What transformers are made of: projections, norms, rotary positions, attention with a cache.

Shapes: B batch, T tokens of a call, S places of the cache, D width, H query heads, G key and value
heads, K width of a head, F hidden width, N any number of outputs, C any number of channels.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .costs.transformer import AttentionSizes, RotaryScaling
from .inputs import Draw


class Linear(nn.Module):
    """y = x W^T + b."""

    def __init__(self, inputs: int, outputs: int, draw: Draw, *, bias: bool = False) -> None:
        super().__init__()
        self.weight_NC = nn.Parameter(draw.normal(outputs, inputs, scale=inputs**-0.5))
        self.bias_N = nn.Parameter(draw.normal(outputs, scale=0.1)) if bias else None

    def forward(self, x_BTC: Tensor) -> Tensor:
        return functional.linear(x_BTC, self.weight_NC, self.bias_N)


class RMSNorm(nn.Module):
    def __init__(self, width: int, epsilon: float, draw: Draw) -> None:
        super().__init__()
        self.weight_D = nn.Parameter(draw.uniform(width, low=0.5, high=1.5))
        self.epsilon = epsilon

    def forward(self, x_BTD: Tensor) -> Tensor:
        # Autocast hands over results of products: they are normalised in the weights' dtype.
        x_BTD = x_BTD.to(self.weight_D.dtype)
        return functional.rms_norm(x_BTD, self.weight_D.shape, self.weight_D, self.epsilon)


class LayerNorm(nn.Module):
    def __init__(self, width: int, epsilon: float, draw: Draw) -> None:
        super().__init__()
        self.weight_D = nn.Parameter(draw.uniform(width, low=0.5, high=1.5))
        self.bias_D = nn.Parameter(draw.normal(width, scale=0.1))
        self.epsilon = epsilon

    def forward(self, x_BTD: Tensor) -> Tensor:
        return functional.layer_norm(
            x_BTD, self.weight_D.shape, self.weight_D, self.bias_D, self.epsilon
        )


class GeluMlp(nn.Module):
    """y = gelu(x W + b) W + b, gelu by hyperbolic tangent (GPT-2) or, where ``exact``, by error
    function (BERT, ViT)."""

    def __init__(self, width: int, hidden: int, draw: Draw, *, exact: bool = False) -> None:
        super().__init__()
        self.up = Linear(width, hidden, draw, bias=True)
        self.down = Linear(hidden, width, draw, bias=True)
        self.approximate = "none" if exact else "tanh"

    def forward(self, x_BTD: Tensor) -> Tensor:
        hidden_BTF = functional.gelu(self.up(x_BTD), approximate=self.approximate)
        return cast("Tensor", self.down(hidden_BTF))


class Rotation(NamedTuple):
    """Cosines and sines of the angles by which the heads of some places are turned. The first
    half of ``sin`` has its sign changed: turned is x cos + swap(x) sin, where swap exchanges the
    halves of a head."""

    cos_T1K: Tensor
    sin_T1K: Tensor

    def turn(self, x_BTHK: Tensor) -> Tensor:
        swapped_BTHK = x_BTHK.roll(x_BTHK.shape[-1] // 2, -1)
        return torch.addcmul(x_BTHK * self.cos_T1K, swapped_BTHK, self.sin_T1K)


class RotaryTable(nn.Module):
    """The rotations of the places 0 to S-1, worked out once in float64."""

    def __init__(
        self, places: int, width: int, base: float, scaling: RotaryScaling | None, draw: Draw
    ) -> None:
        super().__init__()
        # A turn a place, from the fastest pair of numbers to the slowest.
        turns = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        magnitude = 1.0
        if scaling is not None:
            turns, magnitude = scale_turns(turns, scaling), scaling.magnitude
        angles = torch.arange(places, dtype=torch.float64)[:, None] * turns
        cos, sin = magnitude * angles.cos(), magnitude * angles.sin()
        self.register_buffer("cos_S1K", torch.cat((cos, cos), -1)[:, None].to(draw.dtype))
        self.register_buffer("sin_S1K", torch.cat((-sin, sin), -1)[:, None].to(draw.dtype))
        self.cos_S1K: Tensor
        self.sin_S1K: Tensor

    def first(self, tokens: int) -> Rotation:
        return Rotation(self.cos_S1K[:tokens], self.sin_S1K[:tokens])

    def at(self, places_T: Tensor) -> Rotation:
        return Rotation(
            self.cos_S1K.index_select(0, places_T), self.sin_S1K.index_select(0, places_T)
        )


def scale_turns(turns: Tensor, scaling: RotaryScaling) -> Tensor:
    """Longer contexts: slow pairs turn ``factor`` times slower, fast ones as before, and those
    between are blended. Sources: Llama 3.1 reference code, as its parameters say; YaRN, Peng et
    al., arXiv 2309.00071, with limits that aren't rounded to whole pairs (gpt-oss)."""
    rounds = scaling.original_places * turns / (2 * math.pi)
    if scaling.yarn:
        blend = (rounds / scaling.low).log() / math.log(scaling.high / scaling.low)
    else:
        blend = (rounds - scaling.low) / (scaling.high - scaling.low)
    blend = blend.clamp(0.0, 1.0)
    return (1 - blend) * turns / scaling.factor + blend * turns


class Cache(NamedTuple):
    """Keys and values of one layer, with a place for each token that there can be; where
    attention has a window, for each in it: token t has place t modulo the number of places."""

    keys_BGSK: Tensor
    values_BGSK: Tensor

    def fill(self, k_BGTK: Tensor, v_BGTK: Tensor) -> None:
        """Keep T tokens from the first on: as many of the last as there are places."""
        for kept_BGSK, x_BGTK in zip(self, (k_BGTK, v_BGTK), strict=True):
            places, tokens = kept_BGSK.shape[2], x_BGTK.shape[2]
            if tokens <= places:
                kept_BGSK[:, :, :tokens].copy_(x_BGTK)
                continue
            first = tokens % places
            kept_BGSK[:, :, first:].copy_(x_BGTK[:, :, tokens - places : tokens - first])
            if first:
                kept_BGSK[:, :, :first].copy_(x_BGTK[:, :, tokens - first :])


class Places(NamedTuple):
    """Where the tokens of a call stand.

    ``index_T`` None: at the first T places; each sees itself and those before it, or all of them
    that ``mask_TS`` shows where attention isn't causal. Otherwise at these places of the cache,
    of which ``mask_TS`` says what each token sees.
    """

    rotation: Rotation | None
    index_T: Tensor | None = None
    mask_TS: Tensor | None = None


class Attention(nn.Module):
    """Self-attention with H query heads that share G heads of keys and values."""

    def __init__(self, width: int, sizes: AttentionSizes, draw: Draw) -> None:
        super().__init__()
        heads, kv_heads, head_width = sizes.heads, sizes.kv_heads, sizes.head_width
        self.sizes = sizes
        self.projection = Linear(width, (heads + 2 * kv_heads) * head_width, draw, bias=sizes.bias)
        self.output = Linear(heads * head_width, width, draw, bias=sizes.output_bias)
        self.query_norm = self.key_norm = None
        if sizes.head_norm_epsilon is not None:
            self.query_norm = RMSNorm(head_width, sizes.head_norm_epsilon, draw)
            self.key_norm = RMSNorm(head_width, sizes.head_norm_epsilon, draw)
        self.sinks_H = nn.Parameter(draw.normal(heads)) if sizes.sinks else None

    def forward(self, x_BTD: Tensor, places: Places, cache: Cache | None = None) -> Tensor:
        sizes = self.sizes
        heads, kv_heads = sizes.heads, sizes.kv_heads
        qkv_BTXK = self.projection(x_BTD).unflatten(-1, (heads + 2 * kv_heads, sizes.head_width))
        q_BTHK, k_BTGK, v_BTGK = qkv_BTXK.split((heads, kv_heads, kv_heads), dim=2)
        if self.query_norm is not None and self.key_norm is not None:
            q_BTHK, k_BTGK = self.query_norm(q_BTHK), self.key_norm(k_BTGK)
        if places.rotation is not None:
            q_BTHK, k_BTGK = places.rotation.turn(q_BTHK), places.rotation.turn(k_BTGK)
        # Tables and norms of a wider dtype widen what they touch, where a stack's autocast doesn't
        # bring attention's operands to one dtype by itself.
        kind = v_BTGK.dtype
        q_BHTK, k_BGTK, v_BGTK = (x.to(kind).transpose(1, 2) for x in (q_BTHK, k_BTGK, v_BTGK))
        mask_TS = places.mask_TS
        if places.index_T is None:
            if cache is not None:
                cache.fill(k_BGTK, v_BGTK)
            if sizes.window is not None or self.sinks_H is not None:
                mask_TS = causal_mask(x_BTD, sizes.window)
        elif cache is not None:
            index_T, kept = places.index_T, cache.keys_BGSK.shape[2]
            if sizes.window is not None and mask_TS is not None:
                index_T, mask_TS = index_T % kept, mask_TS[:, :kept]
            k_BGTK = cache.keys_BGSK.index_copy_(2, index_T, k_BGTK)
            v_BGTK = cache.values_BGSK.index_copy_(2, index_T, v_BGTK)
        if self.sinks_H is not None and mask_TS is not None:
            out_BHTK = attend_with_sinks(q_BHTK, k_BGTK, v_BGTK, mask_TS, self.sinks_H)
        else:
            out_BHTK = functional.scaled_dot_product_attention(
                q_BHTK,
                k_BGTK,
                v_BGTK,
                attn_mask=mask_TS,
                is_causal=sizes.causal and mask_TS is None,
                enable_gqa=heads != kv_heads,
            )
        return cast("Tensor", self.output(out_BHTK.transpose(1, 2).flatten(2)))


def causal_mask(x_BTD: Tensor, window: int | None) -> Tensor:
    """What each of T tokens sees: itself and those before it, ``window`` in all."""
    tokens = x_BTD.shape[1]
    mask_TT = torch.ones(tokens, tokens, dtype=torch.bool, device=x_BTD.device).tril()
    return mask_TT if window is None else mask_TT.triu(1 - window)


def attend_with_sinks(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask_TS: Tensor, sinks_H: Tensor
) -> Tensor:
    """Attention in which each head has one more score to choose from, and no value behind it.

    PyTorch's own attention has no such score, so that the scores are made and kept. Queries that
    share a key are rows of one product (X heads a key, C = X T rows). Source: the model card of
    gpt-oss, arXiv 2508.10925.
    """
    batch, groups, keys, width = k_BGSK.shape
    tokens = q_BHTK.shape[2]
    q_BGCK = (q_BHTK * width**-0.5).reshape(batch, groups, -1, width)
    scores_BGXTS = (q_BGCK @ k_BGSK.mT).view(batch, groups, -1, tokens, keys)
    scores_BGXTS = scores_BGXTS.masked_fill(~mask_TS, -torch.inf)
    sinks_BGXT1 = sinks_H.view(groups, -1, 1, 1).expand_as(scores_BGXTS[..., :1])
    weights_BGXTS = torch.cat((scores_BGXTS, sinks_BGXT1), -1).softmax(-1)[..., :-1]
    return (weights_BGXTS.flatten(2, 3) @ v_BGSK).view_as(q_BHTK)


def run_block(block: nn.Module, x_BTD: Tensor, places: Places, *, recompute: bool) -> Tensor:
    """A block's output. ``recompute``: it keeps its input only, and runs again in the backward
    pass."""
    if not recompute:
        return cast("Tensor", block(x_BTD, places))
    # Bound, not passed: torch asks for a module that is named after the device of what it is handed,
    # and not every stack has one.
    run = functools.partial(block, x_BTD, places)
    kept = checkpoint(run, use_reentrant=False, preserve_rng_state=False)
    return cast("Tensor", kept)
