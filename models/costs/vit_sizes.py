"""Sizes of vision transformers by name, and what one call does. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..family import Params
from .sizes import integer, text
from .training import TrainingOptions
from .transformer import AttentionSizes, BlockSizes

PHASES = ("forward", "training")


@dataclass(frozen=True, slots=True)
class VitSizes:
    """A model as its authors published it, for images of ``image`` squared."""

    layers: int
    block: BlockSizes
    image: int = 224
    patch: int = 16
    classes: int = 1000
    channels: int = 3
    epsilon: float = 1e-6

    @property
    def width(self) -> int:
        return self.block.width

    @property
    def hidden(self) -> int:
        return self.block.hidden

    @property
    def attention(self) -> AttentionSizes:
        return self.block.attention

    @property
    def patches(self) -> int:
        return (self.image // self.patch) ** 2

    @property
    def tokens(self) -> int:
        """The patches, and the class token."""
        return self.patches + 1

    @property
    def patch_numbers(self) -> int:
        return self.channels * self.patch**2

    @property
    def image_numbers(self) -> int:
        return self.channels * self.image**2

    @property
    def embedding_parameters(self) -> int:
        """The patches' projection, the class token, the places."""
        return (self.patch_numbers + 1 + 1 + self.tokens) * self.width

    @property
    def head_parameters(self) -> int:
        """A norm and a projection."""
        return 2 * self.width + (self.width + 1) * self.classes

    def parameters(self, layers: int) -> int:
        return self.embedding_parameters + layers * self.block.parameters + self.head_parameters


#: By name. Sizes: the paper's table 1, classes of ImageNet's 1000; the tiny one is ours.
MODELS: Mapping[str, VitSizes] = {
    "vit-tiny": VitSizes(2, BlockSizes(128, 4, 512), image=32, patch=4, classes=128),
    "vit-b16": VitSizes(12, BlockSizes(768, 12, 3072)),
    "vit-l16": VitSizes(24, BlockSizes(1024, 16, 4096)),
}


@dataclass(frozen=True, slots=True)
class VitCall:
    """What one call does. ``micro_batches``: parts of the batch that run one after the other."""

    model: str
    phase: str
    layers: int
    batch: int
    micro_batches: int = 1

    @property
    def sizes(self) -> VitSizes:
        return MODELS[self.model]

    @classmethod
    def of(cls, params: Params) -> VitCall:
        """That of a configuration; ``ValueError`` for one that can't be."""
        model, phase = text(params, "model", tuple(MODELS)), text(params, "phase", PHASES)
        layers, batch = integer(params, "layers"), integer(params, "batch")
        sizes, parts = MODELS[model], 1
        limits = [("layers", layers, sizes.layers)]
        if phase == "training":
            parts = TrainingOptions.of(params).micro_batches
            # The classes of a batch are distinct.
            limits.append(("batch", batch, sizes.classes))
        for name, given, most in limits:
            if given > most:
                raise ValueError(f"parameter '{name}' must be at most {most}, not {given}")
        if batch % parts:
            raise ValueError(f"parameter 'micro_batches' must divide {batch}, not be {parts}")
        return cls(model, phase, layers, batch, parts)
