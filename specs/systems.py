"""What chips are sold and built in: instances, UltraServers and clusters, with their aggregates
as the sources print them.

``instances.toml`` says at its head what an entry holds. An aggregate is checked against chip
times count by :mod:`lint`; nothing here is computed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from .catalog import Source, load_catalog, read_toml
from .figure import (
    Figure,
    Place,
    Provenance,
    read_count,
    read_fact,
    read_provenance,
    read_text,
    refuse_unknown,
)

Level = Literal["instance", "ultraserver", "cluster"]
LEVELS: tuple[Level, ...] = get_args(Level)
_FILE = Path(__file__).with_name("instances.toml")
_PROVENANCE = ("source", "date", "status", "note", "relayed")
_KEYS = {
    "type",
    "id",
    "chip",
    "chips",
    "servers",
    "instance",
    "instances",
    "network",
    "network_source",
    "figures",
    *_PROVENANCE,
}


@dataclass(frozen=True, slots=True)
class System:
    """So many chips of one kind, sold or built as one.

    ``figures`` are of the whole, but those whose name ends in ``_per_chip``. ``servers`` is None
    for an instance and for a cluster; ``instance`` the type of each server, empty where it isn't
    sold under a name; ``network`` as the source prints it.
    """

    id: str
    level: Level
    chip: str
    chips: int
    servers: int | None
    instance: str
    network: str
    figures: Mapping[str, Figure]
    origin: Provenance


def load_systems(path: Path | None = None) -> tuple[System, ...]:
    """Every instance, UltraServer and cluster of the catalog, or of the file ``path`` (beside a
    ``sources.toml``). ``CatalogError`` names the entry and the field at fault."""
    return (
        _own_systems() if path is None else _read_systems(path, load_catalog(path.parent).sources)
    )


def systems_of(chip: str, level: Level | None = None) -> tuple[System, ...]:
    """The systems that hold ``chip``, those with most chips first."""
    own = [s for s in load_systems() if s.chip == chip and level in (None, s.level)]
    return tuple(sorted(own, key=lambda system: -system.chips))


@functools.cache
def _own_systems() -> tuple[System, ...]:
    return _read_systems(_FILE, load_catalog().sources)


def _read_systems(path: Path, sources: Mapping[str, Source]) -> tuple[System, ...]:
    data = read_toml(path)
    return tuple(
        _read(entry, level, sources, path) for level in LEVELS for entry in data.get(level, ())
    )


def _read(
    entry: Mapping[str, Any], level: Level, sources: Mapping[str, Source], path: Path
) -> System:
    name_key = "type" if level == "instance" else "id"
    place = Place(path.name, str(entry.get("chip", "-")), level)
    name = read_text(entry, name_key, place)
    place = Place(path.name, place.chip, f"{level}.{name}")
    refuse_unknown(entry, _KEYS, place)
    shared = {key: entry[key] for key in _PROVENANCE if key in entry}
    figures = {}
    for key, table in entry.get("figures", {}).items():
        fact = read_fact({**shared, **table}, sources, place.at(key))
        if not isinstance(fact, Figure):
            raise place.at(key).fault("a text", "a figure, with value and unit")
        figures[key] = fact
    return System(
        id=name,
        level=level,
        chip=read_text(entry, "chip", place),
        chips=read_count(entry, "chips", place),
        servers=read_count(entry, "servers", place) if "servers" in entry else None,
        instance=read_text(entry, "instance", place, required=False),
        network=read_text(entry, "network", place, required=False),
        figures=MappingProxyType(figures),
        origin=read_provenance(shared, sources, place),
    )
