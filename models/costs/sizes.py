"""Bytes of one element, per dtype name."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...specs.cost import Headline
from ..family import Params

ELEMENT_BYTES: Mapping[str, int] = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}

#: Indices and class labels are int64, PyTorch's own index type.
INDEX_BYTES = 8

FLOPS: Headline = "flops"
BYTES: Headline = "bytes"
ITEMS: Headline = "items"


def element_bytes(dtype: str) -> int:
    """Bytes of one element of ``dtype``; ``ValueError`` for a dtype that isn't known."""
    if dtype not in ELEMENT_BYTES:
        known = ", ".join(ELEMENT_BYTES)
        raise ValueError(f"unknown dtype '{dtype}'; known: {known}")
    return ELEMENT_BYTES[dtype]


def integer(params: Params, name: str) -> int:
    """The parameter ``name`` as a positive integer, or a ``ValueError`` that says which."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"parameter '{name}' must be a positive integer, not {value!r}")
    return value


def text(params: Params, name: str, known: tuple[str, ...]) -> str:
    """The parameter ``name`` as one of ``known``, or a ``ValueError`` that lists them."""
    value = params.get(name)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"parameter '{name}' must be one of {', '.join(known)}, not {value!r}")
    return value


def elements(*shape: int) -> int:
    """How many elements a tensor of ``shape`` has."""
    return math.prod(shape)
