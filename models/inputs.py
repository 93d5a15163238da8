"""Inputs of the workloads: on the CPU, from a seed, in the dtype of the case.

All values come from one generator a program, so that a seed gives the same program anywhere.
They are drawn in fp32 and rounded to the dtype: the reference sees the rounded values. Rows
differ, so that a permuted or repeated tile changes the output.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .program import TORCH_DTYPES


class Draw:
    """Draws tensors of one dtype from one seed, in the order of the calls."""

    def __init__(self, dtype: str, seed: int) -> None:
        if dtype not in TORCH_DTYPES:
            known = ", ".join(TORCH_DTYPES)
            raise ValueError(f"unknown dtype '{dtype}'; known: {known}")
        self.dtype = TORCH_DTYPES[dtype]
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal values of mean 0 and standard deviation ``scale``."""
        return (torch.randn(shape, generator=self.generator) * scale).to(self.dtype)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        values = torch.rand(shape, generator=self.generator)
        return (low + (high - low) * values).to(self.dtype)

    def int8(self, *shape: int) -> Tensor:
        """Every value of int8, equally likely."""
        return torch.randint(-128, 128, shape, generator=self.generator, dtype=torch.int8)

    def integers(self, *shape: int, limit: int) -> Tensor:
        """Integers below ``limit``, equally likely: token ids, labels."""
        return torch.randint(limit, shape, generator=self.generator)

    def indices(self, count: int, limit: int) -> Tensor:
        """``count`` distinct indices below ``limit``, in random order."""
        return torch.randperm(limit, generator=self.generator)[:count]

    def unset(self, *shape: int) -> Tensor:
        """What an output buffer holds before the call: a value that no result has."""
        return torch.full(shape, -1000.0, dtype=self.dtype)
