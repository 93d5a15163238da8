"""What one call of a workload costs, by formula. Plain data: no torch, no device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Headline = Literal["flops", "bytes", "items"]


@dataclass(frozen=True, slots=True)
class Cost:
    """The work in one call, counted by a formula and never measured.

    A multiply-add is two floating point operations. Integer operations count alike.

    - ``flops``: algorithmic work for the matrix engine (matmul, convolution); causal
      attention counts the half that is needed. Prediction and MFU use this one.
    - ``flops_counted``: the same work as ``torch.utils.flop_counter.FlopCounterMode``
      counts it (causal attention in full). ``None`` where that mode can't count it, and
      then ``uncounted_reason`` says why.
    - ``vector_flops``, ``scalar_flops``: elementwise and reduction arithmetic, and
      transcendental function evaluations (one each), which other engines do.
    - ``bytes_moved``: bytes that main memory must carry if nothing stays on the chip
      between operators: each operand read once and each result written once, per operator.
      ``bytes_useful``: the part of it that the caller asked for.
    - ``bytes_copied``: what a stack that can't write in place moves besides: each tensor of
      which a part is written is read and written whole.
    - ``working_set_bytes``: distinct bytes touched by one call. A level of memory that is
      as large holds it, and then that level's bandwidth is the roof.
    - ``items`` and ``item_unit``: the workload's own unit of work (tokens, samples, rows).
    - ``headline``: which of the three a person wants to read as throughput.
    - ``convention`` and ``source``: what the formulas include and leave out, and where they
      come from.
    """

    flops: int
    flops_counted: int | None
    bytes_moved: int
    bytes_useful: int
    working_set_bytes: int
    items: int
    item_unit: str
    headline: Headline
    convention: str
    source: str
    vector_flops: int = 0
    scalar_flops: int = 0
    collective_bytes: int = 0
    bytes_copied: int = 0
    uncounted_reason: str | None = None
