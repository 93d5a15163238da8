"""A case's work per unit of silicon: per torch device, per chip and per US dollar.

Per chip is per device over the share of a chip that one device is: what the chip would do if all
its devices did as this one, each with its own copy of the model. It is arithmetic and no
measurement of several devices at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..specs.levels import convert
from ..specs.prices import Price, find_price
from .record import Estimate, Record, Status

SECONDS_PER_HOUR = 3600.0

#: What one call's time is called, by phase; "call" elsewhere.
LATENCY = {"prefill": "TTFT", "decode": "TPOT", "training": "step"}


@dataclass(frozen=True, slots=True)
class Rates:
    """Items (tokens, samples) per second and unit; None where a unit isn't known.

    ``padding`` is the part of all computed items that only filled a bucket. ``latency`` says
    what ``call_s`` is: "TTFT", the time to the first token of a batch of prompts; "TPOT", the
    time of one more token of every sequence; of a "step"; of a "call".
    """

    unit: str
    call_s: float
    latency: str
    per_device: float
    per_chip: float | None
    per_usd: float | None
    price: Price | None
    padding: float


class BySilicon(NamedTuple):
    """A rate of one device, of a whole chip and for a dollar; None where that isn't known."""

    per_chip: float | None
    per_usd: float | None
    price: Price | None


def by_silicon(
    per_device: float, chip: str | None, share: float | None, instance: object
) -> BySilicon:
    """``share``: the part of ``chip`` that one device is; ``instance``: its type, where it is
    known. A share that is no part of a chip, which a stranger's file may state, is unknown."""
    if chip is None or share is None or share <= 0:
        return BySilicon(None, None, None)
    per_chip = convert(per_device, share, 1)
    price = find_price(chip, None if instance is None else str(instance))
    if price is None:
        return BySilicon(per_chip, None, None)
    per_usd_hour = convert(per_device, share, 1 / price.usd_per_chip_hour)
    return BySilicon(per_chip, per_usd_hour * SECONDS_PER_HOUR, price)


def find_rates(record: Record) -> Rates | None:
    """Those of the sustained regime of a case with a result and a stated cost; None elsewhere."""
    time, cost = call_time(record), record.cost
    if record.status is not Status.OK or time is None or cost is None:
        return None
    device = record.device
    per_device = cost.items / record.case.devices / time.value
    found = by_silicon(
        per_device,
        device.chip if device else None,
        device.share if device else None,
        device.facts.get("instance_type") if device else None,
    )
    computed = cost.items + cost.items_padded
    return Rates(
        unit=cost.item_unit,
        call_s=time.value,
        latency=LATENCY.get(record.case.phase, "call"),
        per_device=per_device,
        per_chip=found.per_chip,
        per_usd=found.per_usd,
        price=found.price,
        padding=cost.items_padded / computed if computed else 0.0,
    )


def call_time(record: Record) -> Estimate | None:
    """The sustained time of a call; isolated where only that was measured."""
    summary = record.summary
    return None if summary is None else summary.sustained or summary.isolated
