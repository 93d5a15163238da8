"""What a run and the child process that measures one of its fixture tests say to each other."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ..results.record import CaseKey, CostData, Device, ProcessOutcome
from .messages import SettingsData


class FixtureJob(BaseModel):
    """One test, in one process. ``node`` is its id, with an absolute path; ``answer`` is the
    file that the child keeps a ``FixtureAnswer`` in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str
    nodeid: str
    configuration: str
    params: dict[str, int | float | bool | str]
    answer: str
    process: int
    position: int
    budget_s: float
    settings: SettingsData
    load: list[str]
    backends: list[str]
    dtypes: list[str]
    modes: list[str]
    parent: int


class FixtureAnswer(BaseModel):
    """What the child knows so far; it is written when the test's set-up begins, and at each
    phase from then on."""

    model_config = ConfigDict(extra="forbid")

    key: CaseKey | None = None
    cost: CostData | None = None
    device: Device | None = None
    outcome: ProcessOutcome | None = None
    returned: bool = False
    """Whether the test was given the value of a measured call: if it fails then, or skips, that
    is its own doing, and not what the outcome says already."""
    said: tuple[int, int] = (0, 0)
    """Where the child's output stood when ``bench`` was called, and when that came to its end."""
    phase: str = "start"
    failed: str = ""
    """The exception of the test, in one line."""
    skipped: str = ""
    finished: bool = False
