"""What the parent and the workers of ``trnbench ceiling`` say to one another: JSON lines, typed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..results.record import Device
from ..specs.attained import CacheSize
from .messages import SettingsData

Traffic = Literal["read", "copy", "triad"]
TRAFFICS: tuple[Traffic, ...] = ("read", "copy", "triad")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Effort(_Data):
    """How long a worker looks: what ``--quick`` changes.

    ``glance_s`` and ``look_s``: measuring time of one matmul candidate in the first and in the
    second round (the best few only). One whose call takes longer than ``max_call_s`` is left
    out, and so are the largest ones once the first round of a dtype has taken ``dtype_s``.
    ``transfer_s``: measuring time of one operator on one working set, and ``set_s`` of all of
    them together. ``near``: the ratio of two working sets that are taken for one.
    """

    processes: int = Field(ge=1)
    glance_s: float = Field(gt=0)
    look_s: float = Field(gt=0)
    max_call_s: float = Field(gt=0)
    dtype_s: float = Field(gt=0)
    transfer_s: float = Field(gt=0)
    set_s: float = Field(gt=0)
    near: float = Field(gt=1)


QUICK = Effort(
    processes=2,
    glance_s=0.01,
    look_s=0.05,
    max_call_s=0.1,
    dtype_s=0.8,
    transfer_s=0.01,
    set_s=0.8,
    near=1.3,
)
THOROUGH = Effort(
    processes=3,
    glance_s=0.03,
    look_s=0.15,
    max_call_s=0.5,
    dtype_s=3.0,
    transfer_s=0.03,
    set_s=2.0,
    near=1.15,
)


class SweepJob(_Data):
    """What a worker is started with, on its standard input.

    ``shapes`` are (m, k, n) of the products to try, and ``working_sets`` bytes; ``None`` leaves
    the choice to the worker, which knows the device. ``also`` are working sets to have in any
    case.
    """

    backend: str
    settings: SettingsData
    effort: Effort
    dtypes: list[str] = []
    shapes: list[tuple[int, int, int]] | None = None
    working_sets: list[int] | None = None
    also: list[int] = []


class MatmulTiming(_Data):
    """The best time of one product (m, k) @ (k, n), of 2 m k n operations."""

    dtype: str
    operator: str
    shape: tuple[int, int, int]
    best_s: float = Field(gt=0)

    @property
    def flops_per_s(self) -> float:
        m, k, n = self.shape
        return 2 * m * k * n / self.best_s


class TransferTiming(_Data):
    """The best time of one operator that moves ``moved_bytes`` over a working set.

    ``empty_s`` is the best time of the same operator on a few elements, sampled in turn with
    it: dispatch, which is no business of the memory's.
    """

    traffic: Traffic
    operator: str
    working_set_bytes: int = Field(gt=0)
    moved_bytes: int = Field(gt=0)
    best_s: float = Field(gt=0)
    empty_s: float = Field(gt=0)


class Identity(_Data):
    """The device that answered; ``threads`` of torch's operators on a CPU, ``None`` elsewhere."""

    device: Device
    threads: int | None


class Sweep(_Data):
    """All that one worker process measured."""

    identity: Identity
    caches: list[CacheSize]
    matmuls: list[MatmulTiming]
    transfers: list[TransferTiming]
    dispatch_s: float = Field(gt=0)
    clock_hz: float | None
    clock_note: str
    skipped: list[str]
    """What was not measured, and why."""


class Told(BaseModel):
    """One line of a worker's pipe: the device that answered with the threads it uses, how far
    the search is, or all that was measured."""

    identity: Identity | None = None
    progress: str | None = None
    sweep: Sweep | None = None
