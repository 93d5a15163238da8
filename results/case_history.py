"""The history of a case, as a person or a program reads it, and what changed in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

from .case_names import name_parameters
from .series import REGIMES


@dataclass(frozen=True, slots=True)
class Turn:
    """From ``run`` on a case is otherwise than up to ``run_before``.

    ``verdict`` is SLOWER or FASTER, of ``regime`` and with the ``ratio`` of the times after to
    those before and its 95 % interval, or NEWLY_FAILING or NEWLY_WORKING with the ``status`` that
    came. ``environment`` has what was recorded to differ between the two runs, ``cause`` the
    part of it that a time goes by. ``standing``: no later level came back to the one before it
    by the floor; of a status, no later turn came.
    """

    verdict: str
    run: str
    run_before: str
    time: str
    commit: str | None
    commit_before: str | None
    cause: str
    environment: tuple[str, ...]
    standing: bool
    regime: str | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    q_value: float | None = None
    status: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class CaseHistory:
    """One case on one kind of machine: an entry a run in ``runs``, ``times`` (UTC),
    ``commits``, ``statuses``, ``sustained_s`` and ``isolated_s`` (seconds a call; None where a
    run has no result), oldest first. ``judged``: there were runs enough to find a change of
    level. ``unsteady``: its status changed too often for each change to be told."""

    workload: str
    configuration: str
    params: dict[str, Any]
    phase: str
    dtype: str
    mode: str
    backend: str
    devices: int
    machine: dict[str, Any]
    runs: tuple[str, ...]
    times: tuple[str, ...]
    commits: tuple[str | None, ...]
    statuses: tuple[str, ...]
    sustained_s: tuple[float | None, ...]
    isolated_s: tuple[float | None, ...]
    judged: bool
    unsteady: bool = False
    changes: tuple[Turn, ...] = ()

    @property
    def name(self) -> str:
        """``matmul[square-512-bf16-compiled-cuda]``."""
        parameters = name_parameters(
            self.configuration, self.dtype, self.mode, self.backend, self.devices
        )
        return f"{self.workload}[{parameters}]"

    @property
    def machine_name(self) -> str:
        """What a person calls the kind of machine: ``trn1.2xlarge, AWS Trainium1``."""
        known = self.machine
        named = [known.get("instance"), known.get("device") or known.get("chip") or "no device"]
        if known.get("threads") is not None:
            named.append(f"{known['threads']} threads")
        if known.get("lnc") is not None:
            named.append(f"LNC {known['lnc']}")
        return ", ".join(str(one) for one in named if one)

    def times_s(self, regime: str) -> tuple[float | None, ...]:
        """Seconds a call in a regime, an entry a run."""
        return self.sustained_s if regime == "sustained" else self.isolated_s

    @property
    def regime(self) -> str:
        """The regime of the times that stand for the case: sustained where it has any."""
        return REGIMES[0] if any(time is not None for time in self.sustained_s) else REGIMES[1]

    def to_dict(self) -> dict[str, Any]:
        """The history as JSON would hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Moment:
    """What changed at one run of one kind of machine."""

    machine: str
    run: str
    time: str
    environment: tuple[str, ...]
    cause: str
    turns: tuple[tuple[CaseHistory, Turn], ...]


def moments(histories: Sequence[CaseHistory]) -> list[Moment]:
    """The turns by the run at which they came, the newest first; within one, the largest
    first. Cases that turn together were mostly turned by one thing."""
    groups: dict[tuple[str, str], list[tuple[CaseHistory, Turn]]] = {}
    for history in histories:
        for turn in history.changes:
            groups.setdefault((history.machine_name, turn.run), []).append((history, turn))
    found = []
    for (machine, run), turns in groups.items():
        turns.sort(key=lambda one: (one[1].ratio is not None, -_size(one[1])))
        first = turns[0][1]
        found.append(Moment(machine, run, first.time, first.environment, first.cause, tuple(turns)))
    return sorted(found, key=lambda moment: (moment.time, moment.run), reverse=True)


def _size(turn: Turn) -> float:
    return 0.0 if turn.ratio is None else abs(log(turn.ratio))


def standing_turns(
    histories: Sequence[CaseHistory], verdicts: Sequence[str], since: str = ""
) -> Iterator[tuple[CaseHistory, Turn]]:
    """The turns with one of these verdicts that stand, at ``since`` (a UTC time as in
    ``CaseHistory.times``) or later."""
    for history in histories:
        for turn in history.changes:
            if turn.standing and turn.verdict in verdicts and (turn.time or "") >= since:
                yield history, turn
