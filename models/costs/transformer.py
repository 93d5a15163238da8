"""Sizes of attention layers, and what one costs. No torch.

D width, H query heads, G key and value heads, K width of a head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .tally import Tally

#: Statistics of norms and of attention's weights are kept in fp32, and losses are made in it.
WIDE = 4


@dataclass(frozen=True, slots=True)
class RotaryScaling:
    """Llama 3's way to longer contexts (``rope_scaling`` of its configurations), or ``yarn``.

    Pairs of numbers that turn round less than ``low`` times within ``original_places`` turn
    ``factor`` times slower; those that turn more than ``high`` times, as before. Between these
    Llama 3 blends by the number of rounds, YaRN by its logarithm. YaRN also enlarges the heads.
    """

    factor: float
    low: float
    high: float
    original_places: int
    yarn: bool = False

    @property
    def magnitude(self) -> float:
        """What turned heads are multiplied with: attention is sharper in a longer context."""
        return 0.1 * math.log(self.factor) + 1.0 if self.yarn else 1.0


@dataclass(frozen=True, slots=True)
class AttentionSizes:
    """``head_norm_epsilon``: queries and keys are normalised head by head (Qwen3), or not.

    ``window``: a token sees itself and those before it, so many in all. ``sinks``: each head may
    look at nothing, with a weight that is learned (gpt-oss).
    """

    heads: int
    kv_heads: int
    head_width: int
    bias: bool = False
    output_bias: bool = False
    head_norm_epsilon: float | None = None
    causal: bool = True
    window: int | None = None
    sinks: bool = False

    def parameters(self, width: int) -> int:
        projected = (self.heads + 2 * self.kv_heads) * self.head_width
        mixed = self.heads * self.head_width
        biases = (projected if self.bias else 0) + (width if self.output_bias else 0)
        norms = 0 if self.head_norm_epsilon is None else 2 * self.head_width
        sinks = self.heads if self.sinks else 0
        return width * (projected + mixed) + biases + norms + sinks

    def cache_places(self, places: int) -> int:
        """Places that a cache of this layer has for a context of ``places`` tokens."""
        return places if self.window is None else min(places, self.window)

    def needed_pairs(self, tokens: int) -> int:
        """Pairs of a query with the keys that it sees, one head's, of ``tokens`` in a row."""
        seen = self.cache_places(tokens)
        return seen * (seen + 1) // 2 + (tokens - seen) * seen

    def cache_elements(self, batch: int, places: int) -> int:
        """Keys and values of one layer."""
        return 2 * batch * self.kv_heads * places * self.head_width

    def add_projections(self, tally: Tally, rows: int, width: int, *, rotary: bool) -> None:
        """Everything but the attention of queries with keys, for ``rows`` tokens."""
        heads = self.heads + self.kv_heads
        projected = (heads + self.kv_heads) * self.head_width
        tally.linear(rows, width, projected, bias=self.bias)
        if self.head_norm_epsilon is not None:
            tally.rms_norm(rows * heads, self.head_width)
        if rotary:
            tally.rotation(rows * heads, self.head_width)
        tally.linear(rows, self.heads * self.head_width, width, bias=self.output_bias)


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """A block whose tokens see each other both ways, as in BERT and ViT: attention with biases,
    a hidden layer with gelu, two layer norms. Where the norms stand costs nothing."""

    width: int
    heads: int
    hidden: int

    @property
    def attention(self) -> AttentionSizes:
        return AttentionSizes(
            self.heads,
            self.heads,
            self.width // self.heads,
            bias=True,
            output_bias=True,
            causal=False,
        )

    @property
    def parameters(self) -> int:
        mlp = 2 * self.width * self.hidden + self.hidden + self.width
        return self.attention.parameters(self.width) + mlp + 4 * self.width

    def add_to(self, tally: Tally, lengths: Sequence[int]) -> None:
        """One block's work for sequences of these lengths."""
        rows = sum(lengths)
        self.attention.add_projections(tally, rows, self.width, rotary=False)
        for length in lengths:
            head_width = self.width // self.heads
            tally.attention(1, self.heads, self.heads, length, length, head_width)
        tally.linear(rows, self.width, self.hidden, bias=True)
        tally.gelu(rows * self.hidden)
        tally.linear(rows, self.hidden, self.width, bias=True)
        for _ in range(2):
            tally.layer_norm(rows, self.width)
            tally.addition(rows * self.width)

    def alive_bytes(self, size: int, *, norm_first: bool) -> int:
        """Bytes a token within a block in inference, at the most: what the block was given, and
        projected heads with the result before and after its projection; or the residual between
        its two parts (``norm_first``: what was normalised of it too), and hidden rows before and
        after gelu."""
        in_attention = 6 + norm_first
        in_mlp = 2 + norm_first
        return size * max(in_attention * self.width, in_mlp * self.width + 2 * self.hidden)

    def kept_bytes(self, size: int, residual: int) -> int:
        """Bytes a token that a block keeps for its backward pass: ``size`` a number in products
        (their inputs, projected heads, hidden rows before and after gelu), ``residual`` a number
        between blocks (what is normalised), statistics of both norms and of each head."""
        products = size * (6 * self.width + 2 * self.hidden)
        return products + 2 * residual * self.width + WIDE * (4 + self.heads)

    def gradient_bytes(self, rows: int, size: int, residual: int) -> int:
        """Bytes of gradients while a block's hidden rows get theirs, less what is freed by then: of
        the residual, of hidden rows, and of the weight behind them."""
        weight = residual * self.hidden * self.width
        return rows * (2 * residual * self.width + size * self.hidden) + weight
