"""The time of a piece of work on a NeuronCore from its ceilings alone, and what binds it.

Nothing is fitted: rates come from the catalog and from ``measured.toml``. Two paths lead to the
hardware, and they differ in one thing. A kernel written by hand (NKI) loads the next tile while
it computes, so that the slower of engine and DMA decides. A graph of XLA loads what it needs
before it computes with it, so that both add up; attention in it isn't fused, and its scores go
to memory and come back in fp32. What its operators hand on from one to the next stays on the chip as
long as it fits SBUF; what doesn't goes to memory and comes back, at each of them.

Left out: traffic that a kernel's tiling causes, layout changes, vector and scalar work, waiting
for other cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .catalog import load_catalog
from .figure import CatalogError
from .measured import measured

Path = Literal["nki", "xla"]
Clock = Literal["steady", "pass", "replay", "capture"]
_SCORE_BYTES = 4
#: Written after the first product, read by the softmax.
_SCORE_PASSES = 2
#: Integers that the compiler widens to 32 bits run at the rate of fp32: four passes of bf16.
_WIDENED = {"int8": 4.0}


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done once, on ``cores`` cores together.

    ``stream_bytes``: the size of what a model's operators hand on (tokens x width), and
    ``stream_passes`` how often all of them read or write as much.
    ``scores``: elements of attention's score matrices of all layers, in rows of ``score_row``;
    ``row_bytes``: how long the rows are that DMA moves, None for long ones. ``streams_weights``:
    every token reads the weights anew. ``duty``: the part of the time that it runs. ``clock``
    says what the time includes: "steady" nothing else, "pass" the start of a pass, "replay" the
    host's dispatch, "capture" the profiler's start.
    """

    path: Path
    dtype: str
    flops: float = 0.0
    bytes_moved: float = 0.0
    cores: int = 1
    stream_bytes: float = 0.0
    stream_passes: float = 0.0
    scores: float = 0.0
    score_row: int = 0
    row_bytes: float | None = None
    streams_weights: bool = False
    duty: float = 1.0
    clock: Clock = "steady"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds, the part that takes longest, and the seconds of each part."""

    seconds: float
    bound: str
    parts: dict[str, float]


def predict(work: Work, chip_id: str) -> Prediction:
    """The time of ``work`` on a chip with NeuronCores of version 2.

    Raises ``CatalogError`` for a chip of which a ceiling wasn't measured.
    """
    parts = {
        "tensor": work.flops / _tensor_flops_per_s(work, chip_id),
        "DMA": work.bytes_moved / _dma_bytes_per_s(work, chip_id, work.row_bytes),
    }
    if work.scores:
        moved = work.scores * _SCORE_BYTES * _SCORE_PASSES
        rate = _dma_bytes_per_s(work, chip_id, float(work.score_row * _SCORE_BYTES))
        parts["scores"] = moved / rate
    if work.stream_bytes > _sbuf_bytes(work, chip_id):
        moved = work.stream_bytes * work.stream_passes
        parts["activations"] = moved / _dma_bytes_per_s(work, chip_id, None)
    parts = {name: seconds for name, seconds in parts.items() if seconds}
    together = sum(parts.values()) if work.path == "xla" else max(parts.values(), default=0.0)
    if work.streams_weights:
        # One row of activations: the engine is done long before the weights are there.
        together = max(parts.values())
    together /= work.duty
    if work.clock != "steady":
        name = {"pass": "pass_start", "replay": "dispatch", "capture": "capture_start"}[work.clock]
        parts[name] = measured(chip_id, name).si  # type: ignore[arg-type]  # names of facts
        together += parts[name]
    if not parts:
        raise CatalogError("no work given: neither FLOPs nor bytes")
    return Prediction(together, max(parts, key=lambda name: parts[name]), parts)


def _tensor_flops_per_s(work: Work, chip_id: str) -> float:
    rate = measured(chip_id, "tensor_per_core").si * measured(chip_id, "tensor_limit").si
    slower = _WIDENED.get(work.dtype, 1.0) if work.path == "xla" else 1.0
    return rate * work.cores / slower


def _sbuf_bytes(work: Work, chip_id: str) -> float:
    figure = load_catalog().chip(chip_id).figure("onchip", "sbuf_per_core")
    if figure is None:
        raise CatalogError(f"the catalog has no size of SBUF for '{chip_id}'")
    return figure.si * work.cores


def _dma_bytes_per_s(work: Work, chip_id: str, row_bytes: float | None) -> float:
    rate = measured(chip_id, "dma_per_core").si
    if row_bytes is not None:
        rate = min(rate, row_bytes / measured(chip_id, "dma_row").si)
    if work.streams_weights:
        rate *= measured(chip_id, "weights_fraction").si
    return rate * work.cores
