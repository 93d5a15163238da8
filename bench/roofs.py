"""A case held against its ceilings: datasheet and engine, derived, attained; and the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..results.record import CostData, Device, Record, RoofData
from ..results.rooflines import ABOVE
from ..specs.attained import AttainedCeiling
from ..specs.catalog import Catalog, load_catalog
from ..specs.cost import Cost
from ..specs.microarchitecture import CpuFacts
from ..specs.processor import cpu_peaks
from ..specs.roofline import Roof, bytes_to_move, floor, level_of
from ..specs.roofs import roof_of_attained, roof_of_chip, roof_of_cpu, roof_of_measured
from ..specs.silicon import device_share


@dataclass(frozen=True, slots=True)
class Held:
    """A case's roofs; ``above`` says which physical ceiling it passes, ``stale`` whether it
    passes the attained one."""

    roofs: list[RoofData]
    above: str | None = None
    stale: bool = False


def identified(device: Device, catalog: Catalog) -> Device:
    """The device with its chip in ``catalog`` and its share of that chip, where its backend
    left that to the catalog: by the device's whole name and its memory, never guessed."""
    is_cpu = device.facts.get("architecture") is not None
    if device.chip is not None or is_cpu or device.simulated:
        return device
    chip, reason = catalog.match_device(device.name, device.memory_bytes)
    if chip is None:
        return device.model_copy(update={"chip_reason": reason})
    mode = device.facts.get("mode")
    share = device_share(catalog.chip(chip), None if mode is None else str(mode)).share
    return device.model_copy(update={"chip": chip, "chip_reason": "", "share": share})


def catalog_roofs(
    cost: CostData,
    device: Device,
    dtype: str,
    call_s: float,
    catalog: Catalog,
    *,
    fused: bool = False,
) -> Held:
    """Datasheet and engine ceilings of a chip in the catalog, and what others measured of it."""
    if device.chip is None or device.share is None:
        return Held([_unknown("datasheet", device.chip_reason)])
    if device.chip not in catalog.chip_ids:
        reason = f"'{device.chip}' isn't in the catalog; give its file with --bench-chip-file"
        return Held([_unknown("datasheet", reason)])
    chip = catalog.chip(device.chip)
    roofs = [
        roof_of_chip(chip, device.share, dtype, "datasheet"),
        roof_of_chip(chip, device.share, dtype, "engine"),
        roof_of_measured(chip, device.share, dtype),
    ]
    return _hold(cost, [roof for roof in roofs if roof is not None], call_s, fused=fused)


def published_roofs(record: Record) -> list[RoofData]:
    """What the datasheet and the engines promise for a record of somebody else's, where it says
    its time, its work and its chip; no roof where it doesn't."""
    summary, device = record.summary, record.device
    time = None if summary is None else summary.sustained or summary.isolated
    if time is None or record.cost is None or device is None:
        return []
    if record.case.devices > 1:
        # What part of the work was whose, and what the links took, isn't said.
        reason = f"published for {record.case.devices} devices together; a roof here is of one"
        return [_unknown("datasheet", reason)]
    catalog = load_catalog()
    return catalog_roofs(record.cost, device, record.case.dtype, time.value, catalog).roofs


def cpu_roofs(
    cost: CostData,
    device: Device,
    dtype: str,
    call_s: float,
    clock_hz: float | None,
    *,
    fused: bool = False,
) -> Held:
    """The ceiling that a CPU's own facts and its measured clock give."""
    if device.cores_used is None:
        return Held([_unknown("derived", "this system doesn't say how many cores it has")])
    peaks = cpu_peaks(CpuFacts.from_facts(device.facts), device.cores_used, clock_hz)
    return _hold(cost, [roof_of_cpu(peaks, dtype)], call_s, fused=fused)


def attained_roof(
    cost: CostData,
    dtype: str,
    call_s: float,
    ceiling: AttainedCeiling | None,
    absence: str = "",
    *,
    fused: bool = False,
) -> Held:
    """What this machine attained when it was asked to; never a gate. ``absence`` says why there
    is no ceiling."""
    if ceiling is None:
        return Held([_unknown("attained", absence)])
    held = _hold(cost, [roof_of_attained(ceiling, dtype)], call_s, fused=fused)
    fraction = held.roofs[0].fraction
    return Held(held.roofs, stale=fraction is not None and fraction > ABOVE)


def _hold(cost: CostData, roofs: list[Roof], call_s: float, *, fused: bool) -> Held:
    work = Cost(**cost.model_dump())
    held, above = [], None
    for roof in roofs:
        found = floor(work, roof, fused=fused)
        held.append(
            RoofData(
                ceiling=roof.ceiling,
                floor_s=found.seconds,
                bound=found.bound,
                fraction=None if found.seconds is None else found.seconds / call_s,
                denominator=found.denominator,
                bound_per_s=found.rate,
                # A ceiling that is no limit says nothing; one that is may know of none.
                gate_s=(found.gate_seconds or 0.0) if roof.gates else None,
                reason=found.reason,
                **_utilisation(cost, roof, call_s),
                **_memory(work, roof, fused=fused),
            )
        )
        gate_s = found.gate_seconds
        if roof.gates and gate_s is not None and gate_s > ABOVE * call_s:
            above = (
                f"{gate_s / call_s:.2f} times the {roof.ceiling} ceiling: a call took "
                f"{call_s:.3g} s, and {found.gate_denominator} allows no less than {gate_s:.3g} s"
            )
    return Held(held, above)


def _utilisation(cost: CostData, roof: Roof, call_s: float) -> dict[str, Any]:
    """MFU and HFU against the roof's matrix rate, where there is matrix work and it is known."""
    rate = roof.engines["tensor"]
    if not cost.flops or not rate.flops_per_s:
        return {}
    found: dict[str, Any] = {
        "mfu": cost.flops / call_s / rate.flops_per_s,
        "mfu_denominator": rate.words,
        "flops_per_s": rate.flops_per_s,
    }
    if cost.flops_recomputed:
        found["hfu"] = (cost.flops + cost.flops_recomputed) / call_s / rate.flops_per_s
    return found


def _memory(work: Cost, roof: Roof, *, fused: bool) -> dict[str, Any]:
    """The memory level that the call is held against, whatever binds it."""
    moved = bytes_to_move(work, fused=fused)
    if moved <= 0:
        return {}
    level = level_of(roof, work.working_set_bytes)
    return {
        "level": level.name,
        "level_bytes_per_s": level.bytes_per_s,
        "level_denominator": level.words,
        "level_bytes": moved,
    }


def _unknown(ceiling: str, reason: str) -> RoofData:
    return RoofData.model_validate(
        {
            "ceiling": ceiling,
            "floor_s": None,
            "bound": None,
            "fraction": None,
            "denominator": "unknown",
            "reason": reason,
        }
    )
