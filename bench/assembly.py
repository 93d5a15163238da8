"""From the outcomes of a case's processes to its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from ..backends import registry as backends
from ..models.registry import family as family_named
from ..results.fold import Folded, fold
from ..results.record import (
    CaseKey,
    CostData,
    Device,
    Failure,
    FootprintData,
    Record,
    RoofData,
    Status,
)
from ..results.store import case_id
from ..specs.attained import AttainedCeiling
from .ceiling_store import explain_absence, find_ceiling, load_ceiling
from .options import RunOptions
from .reference import counted_cost
from .roofs import Held, attained_roof, catalog_roofs, cpu_roofs
from .session import Session
from .telemetry import merge


class Assembly:
    """Makes records. ``external_costs`` are those of cases which no family of ours describes."""

    def __init__(
        self,
        session: Session,
        options: RunOptions,
        external_costs: Mapping[str, CostData | None],
    ) -> None:
        self.session = session
        self.options = options
        self.external_costs = external_costs
        #: Where the run's references lie, and beside them what was counted for want of a formula.
        self.references: Path | None = None
        self.catalog_version = session.catalog.version
        self._ceilings: dict[str, tuple[AttainedCeiling | None, str]] = {}
        # A broken file must be named before anything is measured, not half way through.
        for path in options.out.glob(f"ceiling-*-{session.environment.machine}*.json"):
            load_ceiling(path)

    def record(self, key: CaseKey) -> Record:
        """The record of a case whose processes are all done."""
        outcomes = self.session.outcomes(key)
        device = self.session.device(key.backend)
        cost, footprint, broken = self._by_formula(key)
        folded = fold(key, outcomes, cost, device.cores_used if device else None)
        ceiling, absence = self._ceiling(device, key.backend) if device else (None, "")
        held = self._hold(key, folded, cost, device, ceiling, absence)
        status, failure = folded.status, folded.failure
        if broken is not None and status is Status.OK:
            status, failure = Status.BUILD_ERROR, broken
        if held.above and status is Status.OK:
            status = Status.ABOVE_ROOF
            failure = Failure(
                message=held.above,
                mend="look for work that isn't done, or a missing synchronisation, first",
                kind="physics",
            )
        return Record(
            run=self.session.run,
            label=self.session.label,
            origin="simulated" if device is not None and device.simulated else "measured",
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            status=status,
            status_counts=folded.status_counts,
            failure=failure,
            case=key,
            summary=folded.summary,
            cost=cost,
            footprint=footprint,
            roofs=held.roofs,
            numeric=folded.numeric,
            compile_s=folded.compile_s,
            flags=sorted({*folded.flags, *_doubts(cost, held)}),
            processes=outcomes,
            device=device,
            environment=self.session.environment,
            catalog_version=self.catalog_version,
            telemetry=merge([outcome.telemetry for outcome in outcomes]),
            ceiling_id=ceiling.id if ceiling else None,
        )

    def _by_formula(
        self, key: CaseKey
    ) -> tuple[CostData | None, FootprintData | None, Failure | None]:
        """Cost and memory of a call; or none, and what a formula raised: it may be of somebody
        else's, and what was measured is kept."""
        try:
            return self._cost(key), self._footprint(key), None
        except Exception as error:  # noqa: BLE001 - whatever a formula raises is its failure
            failure = Failure(
                message=f"the cost formula of '{key.workload}' raised "
                f"{type(error).__name__}: {error}",
                mend="mend the workload's cost, and measure again",
                kind="formula",
            )
            return None, None, failure

    def _cost(self, key: CaseKey) -> CostData | None:
        if case_id(key) in self.external_costs:
            return self.external_costs[case_id(key)]
        formula = family_named(key.workload).cost
        if formula is None:
            counted = None if self.references is None else counted_cost(self.references, key)
            return None if counted is None else CostData(**asdict(counted))
        cost = formula(key.params, key.dtype)
        copied = 0 if backends.create(key.backend).writes_in_place else cost.bytes_copied
        moved = replace(
            cost,
            bytes_moved=cost.bytes_moved + copied,
            working_set_bytes=cost.working_set_bytes + copied,
            bytes_copied=copied,
        )
        return CostData(**asdict(moved))

    def _footprint(self, key: CaseKey) -> FootprintData | None:
        """The memory that a call needs by formula, where the family has one."""
        if case_id(key) in self.external_costs:
            return None
        formula = family_named(key.workload).footprint
        return None if formula is None else FootprintData(**asdict(formula(key.params, key.dtype)))

    def _ceiling(self, device: Device, backend: str) -> tuple[AttainedCeiling | None, str]:
        """The stored ceiling that applies to the device; or ``None`` and why there is none."""
        if backend not in self._ceilings:
            here, threads = self.session.environment, device.facts.get("threads")
            wanted = (
                self.options.out,
                here.machine,
                backend,
                None if threads is None else int(threads),
                here.versions.get("torch", ""),
            )
            self._ceilings[backend] = find_ceiling(*wanted), explain_absence(*wanted)
        return self._ceilings[backend]

    def _hold(
        self,
        key: CaseKey,
        folded: Folded,
        cost: CostData | None,
        device: Device | None,
        ceiling: AttainedCeiling | None,
        absence: str,
    ) -> Held:
        """The case against every ceiling that it has, in the regime that hides the least."""
        summary = folded.summary
        if summary is None or summary.sustained is None or cost is None or device is None:
            return Held([])
        dtype = next(
            (o.executed_dtype for o in self.session.outcomes(key) if o.executed_dtype), key.dtype
        )
        call_s = summary.sustained.value
        # A compiler may keep what passes between operators on the chip.
        fused = key.mode != "eager"
        if key.backend == "cpu":
            clock_hz = self.session.clock_hz(key.backend)
            physical = cpu_roofs(cost, device, dtype, call_s, clock_hz, fused=fused)
        else:
            physical = catalog_roofs(cost, device, dtype, call_s, self.session.catalog, fused=fused)
        attained = attained_roof(cost, dtype, call_s, ceiling, absence, fused=fused)
        roofs: list[RoofData] = [*physical.roofs, *attained.roofs]
        return Held(roofs, physical.above, attained.stale)


def _doubts(cost: CostData | None, held: Held) -> list[str]:
    estimated = ["ESTIMATED_COST"] if cost is not None and cost.estimated else []
    return [*estimated, *(["CEILING_STALE"] if held.stale else [])]
