"""Units of silicon: how many chips a core, a device, an instance or a dollar an hour is.

A figure of one level becomes that of another by its chips: see :func:`convert`. What one torch
device is in each mode (a logical core of a NeuronCore chip, LNC=1 or LNC=2) is worked out in
:mod:`silicon`, what chips are sold and built in stands in ``instances.toml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .chip import Chip
from .figure import Provenance
from .prices import find_price
from .silicon import device_share
from .systems import System, load_systems

Level = Literal[
    "core", "device", "stack", "chip", "instance", "ultraserver", "cluster", "dollar-hour"
]
LEVELS: tuple[Level, ...] = get_args(Level)
_WHY_NONE = {
    "core": "the catalog has no count of cores",
    "device": "the catalog doesn't say how many torch devices it shows",
    "stack": "the catalog has no count of memory stacks",
    "dollar-hour": "the catalog has no such price; give --price",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """``chips`` of a kind in one unit of ``level``. ``name`` is a mode, a system's id, an
    instance that is rented, or empty; ``detail`` says the same for a person. ``origins`` are
    those of the count, none where it is 1 by definition."""

    level: Level
    chips: float
    name: str = ""
    detail: str = ""
    origins: tuple[Provenance, ...] = ()
    system: System | None = None

    @property
    def unconfirmed(self) -> bool:
        """Whether no page of the vendor's stands behind the count."""
        return any(one.unconfirmed for one in self.origins)


@dataclass(frozen=True, slots=True)
class Market:
    """Which price a dollar-hour goes by: ``usd_per_chip_hour`` as somebody gave it, else the
    catalog's of ``instance``, in ``region`` and bought as ``purchase``, where these are named."""

    usd_per_chip_hour: float | None = None
    region: str | None = None
    purchase: str | None = None
    instance: str | None = None


def convert(figure: float, of_chips: float, to_chips: float) -> float:
    """A figure that adds up over chips, of a unit that is ``of_chips``, for one that is
    ``to_chips``. Both as :class:`Amount` has them; a share of a chip is an amount below one."""
    return figure / of_chips * to_chips


def equivalent(count: float, of_chips: float, to_chips: float) -> float:
    """``count`` units (or seconds of them) that are ``of_chips`` each, in units of ``to_chips``:
    6 s of a quarter of a chip are 1.5 s of a chip."""
    return count * of_chips / to_chips


def amounts(
    chip: Chip,
    level: Level,
    systems: Sequence[System] | None = None,
    market: Market | None = None,
) -> tuple[Amount, ...]:
    """Every unit of ``level`` that the catalog knows of ``chip``: the mode that torch uses if
    nobody chooses first, the largest system first. Empty where it knows none: ``why_none``."""
    if level == "chip":
        return (Amount("chip", 1.0),)
    if level == "device":
        return _devices(chip)
    if level == "dollar-hour":
        return _dollar_hours(chip, market or Market())
    if level in ("core", "stack"):
        section, name = ("cores", "physical") if level == "core" else ("memory", "stacks")
        count = chip.figure(section, name)
        return () if count is None else (Amount(level, 1 / count.si, origins=(count.origin,)),)
    known = load_systems() if systems is None else systems
    own = [one for one in known if one.chip == chip.id and one.level == level]
    return tuple(
        Amount(
            level,
            float(one.chips),
            one.id,
            f"{one.id}, {one.chips:,} chip{'s' if one.chips > 1 else ''}",
            (one.origin,),
            one,
        )
        for one in sorted(own, key=lambda one: -one.chips)
    )


def first_amount(chip: Chip, level: Level, market: Market | None = None) -> Amount | None:
    """The first of :func:`amounts`, which stands for the level where one figure is wanted."""
    return next(iter(amounts(chip, level, market=market)), None)


def why_none(level: Level) -> str:
    """Why a chip has no amount of ``level``."""
    return _WHY_NONE.get(level, f"the catalog knows no {level} of it")


def _devices(chip: Chip) -> tuple[Amount, ...]:
    modes = sorted(chip.devices, key=lambda one: not one.default)
    return tuple(
        Amount("device", device_share(chip, one.mode).share, one.mode, one.mode, (one.origin,))
        for one in modes
    )


def _dollar_hours(chip: Chip, market: Market) -> tuple[Amount, ...]:
    given = market.usd_per_chip_hour
    if given is not None:
        return (Amount("dollar-hour", 1 / given, "", f"{given:g} USD, as given"),)
    price = find_price(chip.id, market.instance, market.region, market.purchase)
    if price is None:
        return ()
    origin = Provenance(price.source, price.date, price.status)
    usd = price.usd_per_chip_hour
    return (Amount("dollar-hour", 1 / usd, price.instance, price.words, (origin,)),)
