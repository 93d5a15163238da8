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
    - ``items_padded``: items that are computed only to fill a bucket of static shape, and of
      use to nobody. ``items`` and ``flops`` leave them out; ``flops_counted`` and the bytes
      hold them, since the device works on them too.
    - ``flops_recomputed``: work that is done a second time on purpose (activation
      checkpointing). ``flops`` and MFU leave it out; HFU is of both.
    - ``estimated``: nobody stated a formula. FLOPs are as torch counted them, bytes as its
      operators touched them in one call: no ground for calling a time impossible.
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
    items_padded: int = 0
    flops_recomputed: int = 0
    estimated: bool = False
    uncounted_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory that one call of a workload needs on its device, by formula.

    All in bytes as tensors hold them: an allocator rounds up, a library wants scratch space and
    an interpreter memory of its own.

    - ``weights``: parameters, and buffers such as tables of rotary positions.
    - ``gradients``, ``optimizer``: training only; moments and fp32 copies of the weights.
    - ``cache``: keys and values of all places.
    - ``inputs``: what else the call is handed.
    - ``activations``: the largest sum of intermediate results that are alive at one time,
      outputs included; in training those that the backward pass reads.
    - ``peak``: the largest sum of everything that is alive at one time: less than the sum of
      the rest where a gradient takes the place of an activation.
    """

    weights: int
    inputs: int
    activations: int
    peak: int
    gradients: int = 0
    optimizer: int = 0
    cache: int = 0
