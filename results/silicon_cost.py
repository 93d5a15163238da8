"""What one call costs in each unit that somebody may buy: device, chip, instance, US dollars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..specs.levels import equivalent
from ..specs.prices import chips_of, find_price
from .rates import SECONDS_PER_HOUR

UNITS = ("device", "chip", "instance", "usd")


def cost_of_call(
    figures: Mapping[str, Any], regime: str, prices: Mapping[str, float]
) -> dict[str, float]:
    """Device seconds, chip seconds, instance seconds and US dollars of one call, those known.

    The whole device, or its share of a chip, or that of an instance is taken to be busy with as
    many calls as it has devices. ``prices``: US dollars an hour of a chip, by chip or instance,
    before those of the catalog.
    """
    time_s, devices = figures[f"{regime}_s"], figures["devices"]
    if figures["status"] != "OK" or time_s is None or not time_s > 0:
        return {}
    found = {"device": time_s * devices}
    chip, share, instance = figures["chip"], figures["share"], figures["instance"]
    if share is not None:
        found["chip"] = equivalent(found["device"], share, 1)
        chips = chips_of(instance) if instance else None
        if chips:
            found["instance"] = equivalent(found["chip"], 1, chips)
    usd = _usd_per_chip_hour(chip, instance, figures["device"], prices)
    if usd is None:
        return found
    # A device that is no part of a chip in the catalog, such as a CPU, has its own price.
    seconds = found.get("chip", found["device"])
    return {**found, "usd": equivalent(seconds, 1, 1 / usd) / SECONDS_PER_HOUR}


def _usd_per_chip_hour(
    chip: str | None, instance: str | None, device: str | None, prices: Mapping[str, float]
) -> float | None:
    for name in (instance, chip, device):
        if name is not None and name in prices:
            return prices[name]
    price = None if chip is None else find_price(chip, instance)
    return None if price is None else price.usd_per_chip_hour
