"""Cross entropy of logits, one loss a token: a mean over tokens would hide permuted rows.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .costs.sizes import integer
from .family import Params
from .inputs import Draw
from .program import Program


def token_losses(logits_TV: Tensor, labels_T: Tensor) -> Tensor:
    return functional.cross_entropy(logits_TV, labels_T, reduction="none")


def make_program(params: Params, dtype: str, seed: int) -> Program:
    tokens, vocabulary = integer(params, "tokens"), integer(params, "vocabulary")
    draw = Draw(dtype, seed)
    logits_TV = draw.normal(tokens, vocabulary)
    return Program(token_losses, (logits_TV, draw.indices(tokens, vocabulary)))
