"""Mixtures of experts by name, and what one call of one does.

D width, F hidden width of an expert, E experts, X experts that a token is given, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ..family import Params
from .decoder_sizes import DecoderCall, DecoderSizes
from .sizes import text
from .training import TrainingOptions
from .transformer import AttentionSizes, RotaryScaling

#: How tokens and experts come together. "dense": every expert works on every token, and counts for
#: nothing where it wasn't chosen. "grouped": each works on the tokens that chose it.
DISPATCHES = ("dense", "grouped")


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureSizes(DecoderSizes):
    """A model as its authors published it. ``hidden`` is that of one expert.

    ``chosen`` of ``experts`` work on a token. ``window``: of layers 0, 2, 4 and so on; the others
    see all. ``gpt_oss``: router and experts have biases, and the gate is clamped.
    """

    experts: int
    chosen: int
    window: int | None = None
    gpt_oss: bool = False

    @property
    def router_parameters(self) -> int:
        return self.experts * (self.width + (1 if self.gpt_oss else 0))

    @property
    def expert_parameters(self) -> int:
        """Those of one."""
        biases = 2 * self.hidden + self.width if self.gpt_oss else 0
        return 3 * self.hidden * self.width + biases

    @property
    def block_parameters(self) -> int:
        mixture = self.router_parameters + self.experts * self.expert_parameters
        return self.attention.parameters(self.width) + mixture + 2 * self.norm_parameters

    def attention_of(self, layer: int) -> AttentionSizes:
        return self.attention if layer % 2 else replace(self.attention, window=self.window)

    def used_experts(self, tokens: int) -> int:
        """How many experts some of ``tokens`` chose, as expected where each token chooses at
        random and by itself: E (1 - (1 - X / E) ** tokens)."""
        return round(self.experts * (1 - (1 - self.chosen / self.experts) ** tokens))


def _mixtral(
    layers: int, width: int, heads: int, hidden: int, experts: int, vocabulary: int
) -> MixtureSizes:
    return MixtureSizes(
        layers=layers,
        width=width,
        attention=AttentionSizes(heads, heads // 4, width // heads),
        hidden=hidden,
        experts=experts,
        chosen=2,
        vocabulary=vocabulary,
        positions=32_768,
        tied=False,
        rotary_base=1_000_000.0,
    )


def _qwen3(
    layers: int,
    width: int,
    attention: AttentionSizes,
    hidden: int,
    experts: int,
    chosen: int,
    vocabulary: int,
) -> MixtureSizes:
    return MixtureSizes(
        layers=layers,
        width=width,
        attention=replace(attention, head_norm_epsilon=1e-6),
        hidden=hidden,
        experts=experts,
        chosen=chosen,
        vocabulary=vocabulary,
        positions=40_960,
        tied=False,
        epsilon=1e-6,
        rotary_base=1_000_000.0,
    )


def _gpt_oss(
    layers: int,
    width: int,
    attention: AttentionSizes,
    hidden: int,
    experts: int,
    vocabulary: int,
    window: int,
    scaling: RotaryScaling,
) -> MixtureSizes:
    return MixtureSizes(
        layers=layers,
        width=width,
        attention=replace(attention, bias=True, output_bias=True, sinks=True),
        hidden=hidden,
        experts=experts,
        chosen=4,
        vocabulary=vocabulary,
        positions=round(scaling.factor) * scaling.original_places,
        tied=False,
        rotary_base=150_000.0,
        rotary_scaling=scaling,
        window=window,
        gpt_oss=True,
    )


#: By name. Sizes: the configuration files that the authors publish with the weights (read
#: 2026-11). gpt-oss is published with experts in a format of 4 bits: here they are as wide as all
#: else. Ours are the tiny ones, with every part of their namesakes, and an eighth of Mixtral:
#: that of its widths, layers and vocabulary.
MODELS: Mapping[str, MixtureSizes] = {
    "mixtral-tiny": _mixtral(2, 128, 4, 224, 4, 1024),
    "mixtral-eighth": _mixtral(4, 512, 8, 1792, 8, 4000),
    "mixtral-8x7b": _mixtral(32, 4096, 32, 14_336, 8, 32_000),
    "qwen3-moe-tiny": _qwen3(2, 128, AttentionSizes(4, 2, 64), 96, 8, 4, 1024),
    "qwen3-30b-a3b": _qwen3(48, 2048, AttentionSizes(32, 4, 128), 768, 128, 8, 151_936),
    "gpt-oss-tiny": _gpt_oss(
        *(2, 128, AttentionSizes(8, 2, 32), 96, 8, 1024),
        window=32,
        scaling=RotaryScaling(4.0, 1.0, 32.0, 256, yarn=True),
    ),
    "gpt-oss-20b": _gpt_oss(
        *(24, 2880, AttentionSizes(64, 8, 64), 2880, 32, 201_088),
        window=128,
        scaling=RotaryScaling(32.0, 1.0, 32.0, 4096, yarn=True),
    ),
}


@dataclass(frozen=True, slots=True)
class MixtureCall(DecoderCall):
    """What one call does, whatever the dispatch is."""

    models: ClassVar[Mapping[str, MixtureSizes]] = MODELS

    @property
    def sizes(self) -> MixtureSizes:
        return self.models[self.model]

    @property
    def attentions(self) -> Sequence[AttentionSizes]:
        """Those of each layer."""
        return [self.sizes.attention_of(layer) for layer in range(self.layers)]

    @property
    def cache_places(self) -> Sequence[int]:
        return [attention.cache_places(self.places) for attention in self.attentions]

    def cached(self, places: int) -> int:
        return sum(
            attention.cache_elements(self.batch, attention.cache_places(places))
            for attention in self.attentions
        )


def dispatch_of(params: Params) -> str:
    """That of a configuration; ``ValueError`` for one that can't be, or where nothing could run
    it."""
    dispatch = text(params, "dispatch", DISPATCHES)
    call = MixtureCall.of(params)
    if "prompt" in params and call.sizes.window is not None:
        raise ValueError("parameter 'prompt' isn't for models with a window: the cache of padding")
    if dispatch == "grouped" and TrainingOptions.of(params).precision == "autocast":
        raise ValueError("dispatch 'grouped' has no autocast: use precision 'plain' or 'master'")
    return dispatch
