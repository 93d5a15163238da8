"""What one call costs in each unit that somebody may buy: device, chip, instance, US dollars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..specs.levels import equivalent
from ..specs.prices import chips_of, find_price
from .rates import SECONDS_PER_HOUR

if TYPE_CHECKING:
    import pandas as pd

UNITS = ("device", "chip", "instance", "usd")
#: What may have a price of its own; an instance's goes before that of its chips.
_PRICED = ("instance", "chip", "device")


def cost_of_call(
    figures: Mapping[str, Any], regime: str, prices: Mapping[str, float]
) -> dict[str, float]:
    """Device seconds, chip seconds, instance seconds and US dollars of one call, those known.

    The whole device, or its share of a chip, or that of an instance is taken to be busy with as
    many calls as it has devices. ``prices``: US dollars an hour by the name of an instance with
    all its chips, of a chip or of a device, before those of the catalog.
    """
    time_s, devices = figures[f"{regime}_s"], figures["devices"]
    if figures["status"] != "OK" or time_s is None or not time_s > 0:
        return {}
    found = {"device": time_s * devices}
    share, instance = figures["share"], figures["instance"]
    if share is not None:
        found["chip"] = equivalent(found["device"], share, 1)
        chips = chips_of(instance) if instance else None
        if chips:
            found["instance"] = equivalent(found["chip"], 1, chips)
    usd = _usd(found, figures, prices)
    return found if usd is None else {**found, "usd": usd}


def _usd(
    seconds: Mapping[str, float], figures: Mapping[str, Any], prices: Mapping[str, float]
) -> float | None:
    """US dollars of the seconds of each unit: by the price that was given of one, or else the
    catalog's of the chip."""
    for unit in _PRICED:
        if unit in seconds and figures[unit] in prices:
            return seconds[unit] * prices[figures[unit]] / SECONDS_PER_HOUR
    chip = figures["chip"]
    price = None if chip is None else find_price(chip, figures["instance"])
    if price is None or "chip" not in seconds:
        return None
    return seconds["chip"] * price.usd_per_chip_hour / SECONDS_PER_HOUR


def priced_names(frame: pd.DataFrame) -> list[str]:
    """What the records of a frame may be priced by: their chips and devices, and the instances
    of which the catalog counts the chips."""
    known = frame[frame["share"].notna()]
    instances = [name for name in known["instance"].dropna().unique() if chips_of(name)]
    chips = known["chip"].dropna().unique()
    return sorted({*instances, *chips, *frame["device"].dropna().unique()})
