"""What the parent and its worker processes say to one another: JSON lines, typed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..results.record import CaseKey, Device, ProcessOutcome


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SettingsData(_Message):
    """See ``trnbench.backends.protocol.Settings``."""

    threads: int | None
    device_index: int
    allow_tf32: bool
    cores: str | None = None
    lnc: int | None = None
    cache: str | None = None
    compile_only: bool = False


class Job(_Message):
    """What a worker is started with, on its standard input.

    ``role`` is "measure"; "check": only whether each case runs and is right; "compile": only
    fill the stack's compile caches; or "reference": compute each case's float64 reference on
    the CPU into ``references`` and measure nothing.
    ``path`` are folders to import user modules from; ``memory_bytes`` is the resident size at
    which the parent ends the worker. ``economics``: also time the first call of
    the same program made anew in the same process.
    """

    role: Literal["measure", "check", "compile", "reference"]
    backend: str
    settings: SettingsData
    cases: list[CaseKey]
    process: int
    first_position: int
    budget_s: float
    load: list[str]
    path: list[str]
    references: str
    parent: int
    memory_bytes: int
    economics: bool = False


class Started(_Message):
    """The worker's device answered."""

    kind: Literal["started"] = "started"
    device: Device


class Phase(_Message):
    """The worker goes on to another phase of the case at ``index`` in its job."""

    kind: Literal["phase"] = "phase"
    index: int
    phase: str


class Measured(_Message):
    """The case at ``index`` is measured, and something else is tried that may end the worker:
    ``outcome`` holds then."""

    kind: Literal["measured"] = "measured"
    index: int
    outcome: ProcessOutcome


class Outcome(_Message):
    """The case at ``index`` is done."""

    kind: Literal["outcome"] = "outcome"
    index: int
    outcome: ProcessOutcome


class Line(BaseModel):
    """One line of the worker's pipe."""

    message: Started | Phase | Measured | Outcome
