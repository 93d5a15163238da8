"""Diffusion transformers: their sizes, named models, and what one call does.

C channels, E numbers in a patch, T tokens, D width, H heads, F hidden width, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..family import Params
from .sizes import integer, text
from .training import TrainingOptions
from .transformer import AttentionSizes

PHASES = ("forward", "training")

EPSILON = 1e-6
#: Steps of the diffusion that the model is trained on.
STEPS = 1000
#: Cosines and sines of a step's number.
TIME_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class DitSizes:
    """A model as its authors published it, for latents of ``side`` squared: images are eight
    times as wide and high."""

    layers: int
    width: int
    heads: int
    patch: int = 2
    side: int = 32
    channels: int = 4
    classes: int = 1000

    @property
    def hidden(self) -> int:
        return 4 * self.width

    @property
    def attention(self) -> AttentionSizes:
        head_width = self.width // self.heads
        return AttentionSizes(
            self.heads, self.heads, head_width, bias=True, output_bias=True, causal=False
        )

    @property
    def tokens(self) -> int:
        return (self.side // self.patch) ** 2

    @property
    def patch_numbers(self) -> int:
        return self.channels * self.patch**2

    @property
    def latent_numbers(self) -> int:
        return self.channels * self.side**2

    @property
    def class_parameters(self) -> int:
        """The table's last row is that of no class."""
        return (self.classes + 1) * self.width

    @property
    def condition_parameters(self) -> int:
        return self.class_parameters + (TIME_NUMBERS + 1 + self.width + 1) * self.width

    @property
    def block_parameters(self) -> int:
        mlp = (self.width + 1) * self.hidden + (self.hidden + 1) * self.width
        modulation = (self.width + 1) * 6 * self.width
        return self.attention.parameters(self.width) + mlp + modulation

    @property
    def head_parameters(self) -> int:
        return (self.width + 1) * (2 * self.width + 2 * self.patch_numbers)

    @property
    def embedding_parameters(self) -> int:
        return (self.patch_numbers + 1) * self.width + self.condition_parameters

    def parameters(self, layers: int) -> int:
        return self.embedding_parameters + layers * self.block_parameters + self.head_parameters

    @property
    def table_numbers(self) -> int:
        """Positions, and cosines and sines of the steps."""
        return self.tokens * self.width + STEPS * TIME_NUMBERS


#: By name. Sizes: the paper's table 1, patches of 2; the tiny one is ours.
MODELS: Mapping[str, DitSizes] = {
    "dit-tiny": DitSizes(2, 128, 4, side=16, classes=100),
    "dit-b-2": DitSizes(12, 768, 12),
    "dit-xl-2": DitSizes(28, 1152, 16),
}


@dataclass(frozen=True, slots=True)
class DitCall:
    """What one call does. ``micro_batches``: parts of the batch that run one after the other."""

    model: str
    phase: str
    layers: int
    batch: int
    micro_batches: int = 1

    @property
    def sizes(self) -> DitSizes:
        return MODELS[self.model]

    @property
    def samples(self) -> int:
        """Those that run together."""
        return self.batch // self.micro_batches

    @classmethod
    def of(cls, params: Params) -> DitCall:
        """That of a configuration; ``ValueError`` for one that can't be."""
        model, phase = text(params, "model", tuple(MODELS)), text(params, "phase", PHASES)
        layers, batch = integer(params, "layers"), integer(params, "batch")
        sizes, parts = MODELS[model], 1
        # Steps and classes of a batch are distinct.
        limits = (("layers", layers, sizes.layers), ("batch", batch, min(STEPS, sizes.classes)))
        for name, given, most in limits:
            if given > most:
                raise ValueError(f"parameter '{name}' must be at most {most}, not {given}")
        if phase == "training":
            parts = TrainingOptions.of(params).micro_batches
        if batch % parts:
            raise ValueError(f"parameter 'micro_batches' must divide {batch}, not be {parts}")
        return cls(model, phase, layers, batch, parts)
