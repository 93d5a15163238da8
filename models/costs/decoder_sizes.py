"""Text decoders by name, and what one call of one does.

D width, H query heads, G key and value heads, K width of a head, F hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from ..family import Params
from .sizes import integer, text
from .training import TrainingOptions
from .transformer import AttentionSizes, RotaryScaling

PHASES = ("prefill", "decode", "training")


@dataclass(frozen=True, slots=True)
class DecoderSizes:
    """A model as its authors published it.

    ``rotary_base`` None: positions are learned, and there are ``positions`` of them. ``tied``: the
    head is the embedding's table.
    """

    layers: int
    width: int
    attention: AttentionSizes
    hidden: int
    vocabulary: int
    positions: int
    tied: bool
    norm: Literal["rms", "layer"] = "rms"
    activation: Literal["swiglu", "gelu"] = "swiglu"
    epsilon: float = 1e-5
    rotary_base: float | None = 500_000.0
    rotary_scaling: RotaryScaling | None = None

    @property
    def block_parameters(self) -> int:
        norms = 2 * self.norm_parameters
        if self.activation == "swiglu":
            mlp = 3 * self.width * self.hidden
        else:
            mlp = 2 * self.width * self.hidden + self.hidden + self.width
        return self.attention.parameters(self.width) + mlp + norms

    @property
    def norm_parameters(self) -> int:
        return self.width * (1 if self.norm == "rms" else 2)

    @property
    def embedding_parameters(self) -> int:
        return self.vocabulary * self.width

    @property
    def table_parameters(self) -> int:
        """Learned positions; none where positions are rotary."""
        return 0 if self.rotary_base is not None else self.positions * self.width

    def parameters(self, layers: int) -> int:
        tables = self.embedding_parameters * (1 if self.tied else 2) + self.table_parameters
        return tables + layers * self.block_parameters + self.norm_parameters


def _llama(
    layers: int,
    width: int,
    heads: int,
    kv_heads: int,
    hidden: int,
    *,
    tied: bool = False,
    factor: float = 8.0,
) -> DecoderSizes:
    return DecoderSizes(
        layers,
        width,
        AttentionSizes(heads, kv_heads, width // heads),
        hidden,
        vocabulary=128_256,
        positions=131_072,
        tied=tied,
        rotary_scaling=RotaryScaling(factor, 1.0, 4.0, 8192),
    )


def _qwen3(layers: int, width: int, heads: int, hidden: int, *, tied: bool = False) -> DecoderSizes:
    return DecoderSizes(
        layers,
        width,
        AttentionSizes(heads, 8, 128, head_norm_epsilon=1e-6),
        hidden,
        vocabulary=151_936,
        positions=40_960,
        tied=tied,
        epsilon=1e-6,
        rotary_base=1_000_000.0,
    )


def _gpt2(layers: int, width: int, heads: int, vocabulary: int, positions: int) -> DecoderSizes:
    return DecoderSizes(
        layers,
        width,
        AttentionSizes(heads, heads, width // heads, bias=True, output_bias=True),
        4 * width,
        vocabulary,
        positions,
        tied=True,
        norm="layer",
        activation="gelu",
        rotary_base=None,
    )


#: By name. Sizes: the configuration files that the authors publish with the weights (read
#: 2026-11); the tiny ones are ours, with every part of their namesakes.
MODELS: Mapping[str, DecoderSizes] = {
    "llama-tiny": DecoderSizes(
        2,
        128,
        AttentionSizes(4, 2, 32),
        352,
        vocabulary=1024,
        positions=1024,
        tied=False,
        rotary_scaling=RotaryScaling(8.0, 1.0, 4.0, 64),
    ),
    "llama-3.2-1b": _llama(16, 2048, 32, 8, 8192, tied=True, factor=32.0),
    "llama-3.1-8b": _llama(32, 4096, 32, 8, 14_336),
    "llama-3.1-70b": _llama(80, 8192, 64, 8, 28_672),
    "qwen3-tiny": DecoderSizes(
        2,
        128,
        AttentionSizes(4, 2, 64, head_norm_epsilon=1e-6),
        352,
        vocabulary=1024,
        positions=1024,
        tied=True,
        epsilon=1e-6,
        rotary_base=1_000_000.0,
    ),
    "qwen3-0.6b": _qwen3(28, 1024, 16, 3072, tied=True),
    "qwen3-8b": _qwen3(36, 4096, 32, 12_288),
    "gpt2-tiny": _gpt2(2, 128, 4, 1024, 256),
    "gpt2": _gpt2(12, 768, 12, 50_257, 1024),
}


@dataclass(frozen=True, slots=True)
class DecoderCall:
    """What one call does.

    ``tokens`` a sequence (1 in decode); ``prompt`` of them are of use in prefill; ``places`` in
    the cache (prefill: as many as tokens; training has none). ``micro_batches``: parts of the
    batch that run one after the other.
    """

    model: str
    phase: str
    layers: int
    batch: int
    tokens: int
    prompt: int
    places: int
    micro_batches: int = 1

    models: ClassVar[Mapping[str, DecoderSizes]] = MODELS

    @property
    def sizes(self) -> DecoderSizes:
        return self.models[self.model]

    @property
    def cache_places(self) -> Sequence[int]:
        """Places in the cache of each layer."""
        return [self.places] * self.layers

    @property
    def useful_tokens(self) -> int:
        """Tokens of a sequence that somebody wants; the rest fill a bucket."""
        return self.prompt if self.phase == "prefill" else self.tokens

    @property
    def rows(self) -> int:
        """Tokens that run at a time."""
        return self.batch // self.micro_batches * self.tokens

    def cached(self, places: int) -> int:
        """Keys and values of ``places`` tokens a sequence, in all layers: how many numbers."""
        return self.layers * self.sizes.attention.cache_elements(self.batch, places)

    @classmethod
    def of(cls, params: Params) -> Self:
        """That of a configuration; ``ValueError`` for one that can't be."""
        model, phase = text(params, "model", tuple(cls.models)), text(params, "phase", PHASES)
        sizes = cls.models[model]
        layers, batch = integer(params, "layers"), integer(params, "batch")
        places = integer(params, "context" if phase == "decode" else "sequence")
        prompt = integer(params, "prompt") if "prompt" in params else places
        for name, given, most in (
            ("layers", layers, sizes.layers),
            ("context" if phase == "decode" else "sequence", places, sizes.positions),
            ("prompt", prompt, places),
        ):
            if given > most:
                raise ValueError(f"parameter '{name}' must be at most {most}, not {given}")
        tokens = 1 if phase == "decode" else places
        parts = TrainingOptions.of(params).micro_batches if phase == "training" else 1
        if batch % parts:
            raise ValueError(f"parameter 'micro_batches' must divide {batch}, not be {parts}")
        return cls(model, phase, layers, batch, tokens, prompt, places, parts)
