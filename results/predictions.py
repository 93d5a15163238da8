"""Published rows beside what the chip's ceilings say they should take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..specs.figure import CatalogError
from ..specs.measured import load_measured
from ..specs.prediction import Clock, Prediction, Work, predict
from .imports.given import parse_json
from .lines import RecordError
from .printable import printable
from .published import CHIPS, published_rows

#: What the rows of a class are held to: part of the measured time. The rest isn't predicted
#: from ceilings, and says why.
TARGETS = {"gemm": 0.12, "memory": 0.12, "decode": 0.12, "attention": 0.30, "block": 0.30}
TARGETS["encoder"] = 0.30
_BF16 = 2
#: Rows whose time is of something that these ceilings say nothing of, by a part of their name.
_REASONS = {
    "kernel variant": "the traffic of a kernel's own tiling isn't published",
    "omni": "vector, scalar and cumulative sums in between aren't modelled",
    "kv_cache": "what a compiler copies to write in place isn't modelled",
    "moe": "sorting and gathering aren't modelled",
    "serving": "a mix, without FLOPs or bytes",
    "hbm_to_hbm": "a transfer within memory, which neither reads nor writes alone",
    "pcie": "a transfer between host and device",
    "nccom": "a transfer between cores",
    "train_step": "what the backward pass and the optimizer move isn't modelled",
}
_MOST = 2.0**63
#: A pulse of a millionth of the time is no work any more.
_LEAST_DUTY = 1e-6


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """``measured_s`` and, where ``reason`` doesn't say why not, ``prediction`` of one row."""

    id: str
    chip: str
    kind: str
    measured_s: float | None
    prediction: Prediction | None
    reason: str

    @property
    def error(self) -> float | None:
        """Predicted over measured, less 1: below zero, too fast."""
        if self.prediction is None or self.measured_s is None:
            return None
        return self.prediction.seconds / self.measured_s - 1

    @property
    def within(self) -> bool | None:
        """Whether the error is within its class's target; None where there is none of either."""
        target = TARGETS.get(self.kind)
        return None if self.error is None or target is None else abs(self.error) <= target


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of one class: the median and largest size, and how many rows are within target."""

    kind: str
    rows: int
    within: int
    target: float | None
    median: float
    largest: float


def predict_rows(path: Path, chip: str = "") -> list[PredictedRow]:
    """Every row of a table of published measurements, or those of one chip by its label or id.

    Raises ``StoreError`` for a file that is no such table, and ``RecordError`` with line and key
    for a configuration that can't be computed with.
    """
    rows = []
    for number, row in published_rows(path):
        if chip not in ("", row["chip"], CHIPS.get(row["chip"])):
            continue
        try:
            rows.append(_predict(row))
        except ValueError as error:
            said = f"{path}: line {number}: row '{row['id']:.60}': {error}"
            raise RecordError(printable(said)) from error
    return rows


def scores(rows: Sequence[PredictedRow]) -> list[Score]:
    """A line for each class that has a prediction, those with a target first."""
    return list(_scores(rows))


def _scores(rows: Sequence[PredictedRow]) -> Iterator[Score]:
    kinds = dict.fromkeys((*TARGETS, *(row.kind for row in rows)))
    for kind in kinds:
        own = [row for row in rows if row.kind == kind and row.error is not None]
        errors = [abs(row.error) for row in own if row.error is not None]
        if errors:
            within = sum(row.within is True for row in own)
            target = TARGETS.get(kind)
            yield Score(kind, len(own), within, target, median(errors), max(errors))


def _predict(row: dict[str, str]) -> PredictedRow:
    chip = CHIPS.get(row["chip"], "")
    shape = _shape(row)
    kind = _kind(row, shape)
    reason = next((why for name, why in _REASONS.items() if name in row["workload"]), "")
    if not reason and chip not in load_measured():
        reason = f"nobody measured the ceilings of {row['chip'] or 'no chip'}"
    work = None if reason else _work(row, shape, kind)
    measured_s = _measured_s(row, work)
    if not reason and (work is None or measured_s is None):
        reason = "neither FLOPs nor bytes, or no time"
    prediction = None
    if work is not None and measured_s is not None:
        try:
            prediction = predict(work, chip)
        except CatalogError as error:
            reason = str(error)
    return PredictedRow(row["id"], chip, kind, measured_s, prediction, reason)


def _kind(row: dict[str, str], shape: dict[str, Any]) -> str:
    if row["phase"] in ("host", "copy", "collective", "mixed", "decode", "train"):
        return row["phase"]
    if row["workload"] in ("memory_read", "memory_write") or shape.get("op") in ("read", "write"):
        return "memory"
    if "attention" in row["workload"]:
        return "attention"
    if "encoder" in row["workload"] or "embedding" in row["workload"]:
        return "encoder"
    if shape.get("op") == "gemm":
        return "gemm"
    return "block" if shape.get("layers") and row["phase"] != "op" else "other"


def _work(row: dict[str, str], shape: dict[str, Any], kind: str) -> Work | None:
    flops, moved = _number(row["flops"]), _number(row["bytes"])
    if kind == "gemm" and not moved:
        moved = _product_bytes(row["dtype"], shape)
    if not flops and not moved:
        return None
    scores, score_row = _scores_of(shape, kind)
    stream, passes = _stream_of(shape, kind)
    elements = _count(shape, "store_free_elements")
    return Work(
        path="nki" if _is_by_hand(row, kind) else "xla",
        dtype=row["dtype"].partition("->")[0],
        flops=flops if kind != "decode" else 0.0,
        bytes_moved=moved,
        cores=2 if row["parallelism"] == "cores=2" else 1,
        stream_bytes=stream,
        stream_passes=passes,
        scores=scores,
        score_row=score_row,
        row_bytes=None if elements is None else float(elements * _BF16),
        streams_weights=kind == "decode",
        duty=_duty(shape),
        clock=_clock(row),
    )


def _is_by_hand(row: dict[str, str], kind: str) -> bool:
    """Whether a kernel was written for it: what torch.matmul and whole models run isn't."""
    by_hand = ("_virus", "profile GEMM")
    return kind == "memory" or (kind == "gemm" and any(w in row["workload"] for w in by_hand))


def _clock(row: dict[str, str]) -> Clock:
    if "replay" in row["workload"]:
        return "replay"
    if "capture" in row["workload"]:
        return "capture"
    return "pass" if row["unit"] == "ms" else "steady"


def _scores_of(shape: dict[str, Any], kind: str) -> tuple[float, int]:
    """Elements of all score matrices, and how long their rows are; a hidden size of 128 a head
    where the heads aren't said."""
    length = _length(shape)
    if kind not in ("attention", "block", "encoder", "train") or length is None:
        return 0.0, 0
    heads = _count(shape, "heads") or (_count(shape, "hidden") or 0) // 128
    count = (_count(shape, "batch") or 1) * heads * (_count(shape, "layers") or 1)
    return float(count * length * length), length


def _stream_of(shape: dict[str, Any], kind: str) -> tuple[float, float]:
    """Bytes of the residual stream, and how often the operators of all layers read or write as
    much: each reads its operands and writes its result once.

    Of a layer with two norms, and a feed-forward part ``r`` times as wide as the stream: norms 2
    and 2; query, key and value 4; attention 4, beside its scores; its projection 2; up 1 + r;
    activation 2 r; down r + 1; both sums 3 each: 22 + 4 r.
    """
    length = _length(shape)
    if kind not in ("block", "encoder") or length is None:
        return 0.0, 0.0
    width, inner, layers = (_count(shape, name) for name in ("hidden", "ffn", "layers"))
    if width is None or inner is None or layers is None:
        return 0.0, 0.0
    passes = layers * (22 + 4 * inner / width)
    return float((_count(shape, "batch") or 1) * length * width * _BF16), float(passes)


def _length(shape: dict[str, Any]) -> int | None:
    """Tokens of a sequence, or patches of a picture."""
    return _count(shape, "seq") or _count(shape, "prompt") or _count(shape, "patches")


def _count(shape: dict[str, Any], name: str) -> int | None:
    """A count of the configuration; None where it isn't said. Raises ``ValueError`` for what is
    none."""
    value = shape.get(name)
    if name in shape and not (type(value) is int and 0 < value < _MOST):
        raise ValueError(_said(name, value, "a whole number above 0 that 64 bits hold"))
    return value


def _duty(shape: dict[str, Any]) -> float:
    """The part of the time that it runs, all of it where nothing else is said. Raises
    ``ValueError`` for what is no part."""
    value = shape.get("duty", 1.0)
    if type(value) not in (int, float) or not _LEAST_DUTY <= value <= 1:
        raise ValueError(_said("duty", value, f"a number from {_LEAST_DUTY:g} to 1"))
    return float(value)


def _said(name: str, value: object, wanted: str) -> str:
    return f"column 'model_params_or_shape': '{name}' is {value!r:.60}; wanted {wanted}"


def _product_bytes(dtype: str, shape: dict[str, Any]) -> float:
    """Both factors read and the product written, once each; 0 where a side isn't said."""
    read, _, written = dtype.partition("->")
    sizes = {"bf16": 2, "int32": 4, "fp32": 4}
    size, out = sizes.get(read, 1), sizes.get(written or read, 1)
    m, n, k = (_count(shape, name) for name in ("m", "n", "k"))
    if m is None or n is None or k is None:
        return 0.0
    return float(size * (m * k + k * n) + out * m * n)


def _measured_s(row: dict[str, str], work: Work | None) -> float | None:
    given = _number(row["time_s"])
    if given:
        return given
    rate = _number(row["value"])
    if work is not None and rate and row["unit"] in ("TFLOP/s", "TOP/s") and work.flops:
        return work.flops / (rate * 1e12)
    return None


def _number(text: str) -> float:
    """A figure of the table; 0 where there is none that can be one."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and 0 < value < _MOST else 0.0


def _shape(row: dict[str, str]) -> dict[str, Any]:
    try:
        shape = parse_json(row["model_params_or_shape"] or "{}")
    except ValueError:
        return {}
    return shape if isinstance(shape, dict) else {}
