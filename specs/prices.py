"""What an hour of a chip costs, by the catalog's dated prices of instances.

An instance is sold as a whole: the price of a chip is its part of it, and nobody can rent one
chip of sixteen.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalog import read_toml
from .figure import STATUSES, CatalogError, Place, Status

#: How an instance is bought, the most usual way first.
KINDS = ("on_demand", "listed_as_on_demand", "capacity_block")
_FILE = Path(__file__).with_name("instances.toml")
_TEXTS = ("instance", "kind", "region", "source", "date", "status")


@dataclass(frozen=True, slots=True)
class Price:
    """One price of an instance, and of one of its chips, in US dollars an hour. ``chip`` is None
    where the catalog doesn't describe the instance."""

    instance: str
    chip: str | None
    usd_per_hour: float
    usd_per_chip_hour: float
    kind: str
    region: str
    source: str
    date: str
    status: Status

    @property
    def words(self) -> str:
        """``2.235 USD a chip hour: trn2.48xlarge, listed as on demand, us-east-2, 2026-01-21``."""
        return (
            f"{self.usd_per_chip_hour:.4g} USD a chip hour: {self.instance}, "
            f"{self.kind.replace('_', ' ')}, {self.region}, {self.date}"
        )


@functools.cache
def load_prices(path: Path = _FILE) -> tuple[Price, ...]:
    """Every price in the catalog. ``CatalogError`` names the entry and the field at fault."""
    data = read_toml(path)
    chips = {one["type"]: one["chip"] for one in data.get("instance", ())}
    return tuple(_read(entry, number, chips, path) for number, entry in enumerate(data["price"], 1))


def find_price(
    chip: str, instance: str | None = None, region: str | None = None, kind: str | None = None
) -> Price | None:
    """The price of ``chip`` in ``instance``; where that isn't known, in the instance in which it
    costs least of those that are bought in the most usual way. With ``region`` and ``kind`` (of
    :data:`KINDS`) only the prices there and of that way of buying count. None where the catalog
    has no such price: that of another instance is another price."""
    if instance is None:
        sold = [price for price in load_prices() if price.chip == chip]
    else:
        own = [price for price in load_prices() if price.instance == instance]
        sold = [price for price in own if price.chip in (chip, None)]
    sold = [p for p in sold if region in (None, p.region) and kind in (None, p.kind)]
    return min(sold, key=lambda p: (KINDS.index(p.kind), p.usd_per_chip_hour), default=None)


def chips_of(instance: str) -> int | None:
    """How many chips an instance has; None where the catalog doesn't describe it."""
    return _instances().get(instance)


@functools.cache
def _instances(path: Path = _FILE) -> dict[str, int]:
    return {one["type"]: int(one["chips"]) for one in read_toml(path).get("instance", ())}


def _read(entry: Mapping[str, Any], number: int, chips: Mapping[str, str], path: Path) -> Price:
    def fault(name: str, given: str, wanted: str) -> CatalogError:
        place = Place(
            path.name, chips.get(entry.get("instance", ""), "-"), f"price.{number}.{name}"
        )
        message = f"{path.name}: price {number}, field '{name}': {given}; wanted {wanted}"
        return CatalogError(message, place, given, wanted)

    for name in _TEXTS:
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise fault(name, repr(entry.get(name)), "text")
    for name in ("usd_per_hour", "usd_per_chip_hour"):
        value = entry.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e5:
            raise fault(name, repr(value), "US dollars above 0")
    if entry["status"] not in STATUSES:
        raise fault("status", f"'{entry['status']}'", f"one of {', '.join(STATUSES)}")
    if entry["kind"] not in KINDS:
        raise fault("kind", f"'{entry['kind']}'", f"one of {', '.join(KINDS)}")
    texts = {name: entry[name] for name in _TEXTS}
    return Price(
        chip=chips.get(entry["instance"]),
        usd_per_hour=float(entry["usd_per_hour"]),
        usd_per_chip_hour=float(entry["usd_per_chip_hour"]),
        **texts,
    )
