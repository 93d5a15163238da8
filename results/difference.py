"""One case of two runs, as a person or a program reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .case_names import name_parameters

Regime = Literal["sustained", "isolated"]


@dataclass(frozen=True, slots=True)
class Side:
    """One run's part in a row: the case as it was run there, and what came of it. Times are in
    seconds a call; ``fractions`` are of each ceiling that is known; ``runs`` says of how many
    runs the figures are."""

    run: str
    label: str
    origin: str
    configuration: str
    mode: str
    backend: str
    devices: int
    status: str
    failure: str
    time_s: float | None
    low_s: float | None
    high_s: float | None
    throughput: float | None
    throughput_unit: str | None
    fractions: dict[str, float]
    bound: str | None
    device: str | None
    chip: str | None
    share: float | None
    threads: int | None
    source: str
    runs: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """What a call, its preparation or its memory consists of, in both runs, in ``unit`` ("s" or
    "B"); None where a run doesn't know."""

    name: str
    unit: str
    a: float | None
    b: float | None


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One case in A, in B or in both.

    ``ratio`` is the time per call in B over that in A (below 1: B is faster) in ``regime``, with
    its 95 % interval; ``q_value`` is the test's, after Benjamini-Hochberg over the comparison.
    ``verdict`` is a ``Verdict``, or the status in which both sides ended without a result;
    ``why`` says in a sentence what it rests on, and ``cause`` what the time went to.
    ``expected_ratio`` is the ratio of the floors by specification, None with
    ``expected_reason``; ``expected`` has it for each kind of ceiling that both sides know.
    ``units`` holds B over A of what one call costs: "device", "chip" and "instance" seconds, and
    "usd", those that are known.
    """

    workload: str
    configuration: str
    params: dict[str, Any]
    phase: str
    dtype: str
    mode: str
    backend: str
    devices: int
    verdict: str
    why: str
    cause: str
    a: Side | None
    b: Side | None
    regime: Regime | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    q_value: float | None = None
    expected_ratio: float | None = None
    expected_reason: str = ""
    expected: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """``matmul[square-512-bf16-compiled-cuda]``: one device goes without saying."""
        parameters = name_parameters(
            self.configuration, self.dtype, self.mode, self.backend, self.devices
        )
        return f"{self.workload}[{parameters}]"

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON would hold it."""
        return asdict(self)
