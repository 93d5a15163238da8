"""Sizes of text encoders (BERT) by name, and what one call does. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..family import Params
from .sizes import integer, text
from .training import TrainingOptions
from .transformer import AttentionSizes, BlockSizes

PHASES = ("forward", "training")


@dataclass(frozen=True, slots=True)
class EncoderSizes:
    """A model as its authors published it. There are two types of tokens."""

    layers: int
    block: BlockSizes
    vocabulary: int = 30_522
    positions: int = 512
    epsilon: float = 1e-12

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
    def embedding_parameters(self) -> int:
        """The table of tokens, which is the head's too."""
        return self.vocabulary * self.width

    @property
    def head_parameters(self) -> int:
        """Those of the head alone: a projection, a norm and a bias."""
        return self.width**2 + 3 * self.width + self.vocabulary

    def parameters(self, layers: int) -> int:
        # Places, two types, a norm.
        tables = self.embedding_parameters + (self.positions + 2 + 2) * self.width
        return tables + layers * self.block.parameters + self.head_parameters


#: By name. Sizes: the configuration files that the authors publish with the weights (read
#: 2026-11), uncased; the tiny one is ours.
MODELS: Mapping[str, EncoderSizes] = {
    "bert-tiny": EncoderSizes(2, BlockSizes(128, 4, 512), vocabulary=1024, positions=128),
    "bert-base": EncoderSizes(12, BlockSizes(768, 12, 3072)),
    "bert-large": EncoderSizes(24, BlockSizes(1024, 16, 4096)),
}


@dataclass(frozen=True, slots=True)
class EncoderCall:
    """What one call does: ``sequence`` tokens of which ``useful`` aren't padding, as a mean over
    the batch; in training ``masked`` of them are to be found again. ``micro_batches``: parts of
    the batch that run one after the other."""

    model: str
    phase: str
    layers: int
    batch: int
    sequence: int
    useful: int
    masked: int
    micro_batches: int = 1

    @property
    def sizes(self) -> EncoderSizes:
        return MODELS[self.model]

    @property
    def padded(self) -> bool:
        return self.useful < self.sequence

    @property
    def lengths(self) -> list[int]:
        """Useful tokens of each sequence: spread evenly about the mean, as far to both sides as
        the bucket reaches, so that a mask that is moved to another row is seen."""
        reach = min(self.sequence - self.useful, self.useful - 1)
        steps = max(1, self.batch - 1)
        above = [reach * (steps - 2 * index) // steps for index in range(self.batch // 2)]
        middle = [0] * (self.batch % 2)
        return [self.useful + by for by in (*above, *middle, *(-by for by in reversed(above)))]

    @classmethod
    def of(cls, params: Params) -> EncoderCall:
        """That of a configuration; ``ValueError`` for one that can't be."""
        model, phase = text(params, "model", tuple(MODELS)), text(params, "phase", PHASES)
        sizes = MODELS[model]
        layers, batch, sequence = (
            integer(params, name) for name in ("layers", "batch", "sequence")
        )
        useful = integer(params, "useful") if "useful" in params else sequence
        masked, parts = 0, 1
        if phase == "training":
            masked = integer(params, "masked")
            parts = TrainingOptions.of(params).micro_batches
        call = cls(model, phase, layers, batch, sequence, useful, masked, parts)
        for name, given, most in (
            ("layers", layers, sizes.layers),
            ("sequence", sequence, sizes.positions),
            ("useful", useful, sequence),
            ("masked", masked, min(call.lengths)),
        ):
            if given > most:
                raise ValueError(f"parameter '{name}' must be at most {most}, not {given}")
        if batch % parts:
            raise ValueError(f"parameter 'micro_batches' must divide {batch}, not be {parts}")
        return call
