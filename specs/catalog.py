"""The catalog of chips: published figures with their sources, read from TOML on demand.

``chips/<id>.toml`` holds one chip; ``sources.toml`` the sources, the conventions and the
catalog's version. A chip's file is read and checked when it is first asked for.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .figure import (
    CatalogError,
    Figure,
    Place,
    Provenance,
    Statement,
    read_count,
    read_fact,
    read_provenance,
    read_text,
    refuse_unknown,
)

#: Section -> the dimension that all of its figures must have (None: several).
SECTIONS: Mapping[str, str | None] = MappingProxyType(
    {
        "cores": "count",
        "peak_dense": "rate",
        "peak_sparse": "rate",
        "tensor_engine_per_core": "rate",
        "tensor_engine_sparse_per_core": "rate",
        "engines": None,
        "memory": None,
        "onchip": None,
        "dma": None,
        "interconnect": "bandwidth",
        "network": "bandwidth",
        "host": "bandwidth",
        "rack": None,
        "power": "power",
        "facts": None,
    }
)
_HEAD = {"id", "name", "vendor", "core", "missing", "conflicts", "match", "device"}
#: Software reports a little less (ECC, reserve) or more (an "80 GB" part has 80 GiB) than the
#: data sheet; a slice of a chip reports far less.
_MEMORY_RANGE = (0.90, 1.10)
_EMPTY: Mapping[str, Figure] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DeviceMode:
    """How torch sees the chip in one mode: ``per_chip`` equal devices."""

    mode: str
    default: bool
    per_chip: int
    origin: Provenance


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. ``figures`` and ``statements`` map section to name to fact.

    ``missing`` lists what no source gave; ``conflicts`` where sources disagree.
    """

    id: str
    name: str
    vendor: str
    core: str
    missing: tuple[str, ...]
    conflicts: tuple[str, ...]
    names: tuple[str, ...]
    devices: tuple[DeviceMode, ...]
    figures: Mapping[str, Mapping[str, Figure]]
    statements: Mapping[str, Mapping[str, Statement]]

    def figure(self, section: str, name: str) -> Figure | None:
        """The figure, or None where no source gave it. Raises ``KeyError`` for an unknown
        section, so that a slip of the pen isn't an unknown figure."""
        if section not in SECTIONS:
            raise KeyError(f"unknown section '{section}'; known: {', '.join(SECTIONS)}")
        return self.figures.get(section, _EMPTY).get(name)

    @property
    def peak_dense(self) -> Mapping[str, Figure]:
        """Dense peak of the whole chip by dtype."""
        return self.figures.get("peak_dense", _EMPTY)

    @property
    def tensor_engine_per_core(self) -> Mapping[str, Figure]:
        """Dense peak of one physical core's tensor engine by dtype; empty if not published."""
        return self.figures.get("tensor_engine_per_core", _EMPTY)


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from."""

    where: str
    date: str
    kind: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All chips that are known, each read when first asked for."""

    directory: Path
    version: str
    sources: Mapping[str, Source]
    chip_ids: tuple[str, ...]
    _read: dict[str, Chip] = field(default_factory=dict, repr=False, compare=False)

    def chip(self, chip_id: str) -> Chip:
        """The chip of that id. Raises ``CatalogError`` for an unknown id, or a faulty file."""
        if chip_id not in self.chip_ids:
            import difflib  # every run loads the catalog; few mistype a chip

            close = difflib.get_close_matches(chip_id, self.chip_ids, n=1, cutoff=0.5)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise CatalogError(
                f"unknown chip '{chip_id}'; known: {', '.join(self.chip_ids)}.{hint}"
            )
        if chip_id not in self._read:
            path = self.directory / "chips" / f"{chip_id}.toml"
            self._read[chip_id] = _read_chip(path, self.sources)
        return self._read[chip_id]

    @property
    def chips(self) -> Mapping[str, Chip]:
        """Every chip by id; reads and checks all files."""
        return MappingProxyType({chip_id: self.chip(chip_id) for chip_id in self.chip_ids})

    def match_device(self, name: str, memory_bytes: int | None) -> tuple[str | None, str]:
        """The id of the chip that reports itself as ``name``, and how it was recognised; or
        None and why not.

        A name is matched as a whole and nothing is guessed: a MIG slice, another form factor
        or a memory size that differs from the chip's by over a tenth is another device.
        """
        name = name.strip()
        if not name:
            return None, "the device gave no name"
        if "MIG " in name:
            return None, f"'{name}' is a MIG slice: its share of the chip isn't in the catalog"
        found = [
            chip
            for chip in self.chips.values()
            if any(re.search(pattern, name, re.IGNORECASE) for pattern in chip.names)
        ]
        if not found:
            return None, f"no chip of the catalog reports itself as '{name}'"
        if len(found) > 1:
            ids = ", ".join(chip.id for chip in found)
            return None, f"'{name}' could be any of {ids}"
        chip = found[0]
        capacity = chip.figure("memory", "capacity")
        # Only where torch shows the chip as one device is its memory the device's.
        whole = len(chip.devices) == 1 and chip.devices[0].per_chip == 1
        if memory_bytes is not None and capacity is not None and whole:
            ratio = memory_bytes / capacity.si
            if not _MEMORY_RANGE[0] <= ratio <= _MEMORY_RANGE[1]:
                return None, (
                    f"'{name}' names {chip.id}, which has {capacity.words}, but the device "
                    f"reports {memory_bytes / 1e9:.1f} GB: another variant or a slice"
                )
        return chip.id, f"'{name}' is how {chip.id} reports itself"


@functools.lru_cache(maxsize=1)
def _default_catalog() -> Catalog:
    return _read_catalog(Path(__file__).parent)


def load_catalog(directory: Path | None = None) -> Catalog:
    """The catalog in ``directory`` (with ``sources.toml`` and ``chips/``); by default the one
    that is part of this package, cached. Raises ``CatalogError``."""
    return _default_catalog() if directory is None else _read_catalog(directory)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content; ``CatalogError`` with the file's name where it can't be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CatalogError(f"{path.name}: no such file in {path.parent.name}/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path.name}: not valid TOML: {error}") from error


def _read_catalog(directory: Path) -> Catalog:
    data = read_toml(directory / "sources.toml")
    place = Place("sources.toml", "-", "")
    sources = {}
    for source_id, table in data.get("source", {}).items():
        at = place.at(f"source.{source_id}")
        if not isinstance(table, Mapping):
            raise at.fault(f"{table!r}", "a table with where, date and kind")
        refuse_unknown(table, {"where", "date", "kind"}, at)
        sources[source_id] = Source(
            *(read_text(table, key, at) for key in ("where", "date", "kind"))
        )
    chip_ids = tuple(sorted(path.stem for path in (directory / "chips").glob("*.toml")))
    if not chip_ids:
        raise CatalogError("chips/: no chip's file; wanted at least one <chip id>.toml")
    return Catalog(
        directory, read_text(data, "version", place), MappingProxyType(sources), chip_ids
    )


def _read_chip(path: Path, sources: Mapping[str, Source]) -> Chip:
    data = read_toml(path)
    place = Place(path.name, path.stem, "")
    refuse_unknown(data, _HEAD | SECTIONS.keys(), place)
    if read_text(data, "id", place) != path.stem:
        raise place.at("id").fault(f"'{data['id']}'", f"the file's own name, '{path.stem}'")
    figures: dict[str, Mapping[str, Figure]] = {}
    statements: dict[str, Mapping[str, Statement]] = {}
    for section, wanted in SECTIONS.items():
        if section not in data:
            continue
        at = place.at(section)
        if not isinstance(data[section], Mapping) or not data[section]:
            raise at.fault(f"{data[section]!r}", "a table of figures")
        facts = {
            name: read_fact(table, sources, at.at(name)) for name, table in data[section].items()
        }
        numbers = {name: fact for name, fact in facts.items() if isinstance(fact, Figure)}
        for name, number in numbers.items():
            if wanted is not None and number.dimension != wanted:
                raise at.at(name).at("unit").fault(f"'{number.unit}'", f"a unit of {wanted}")
        figures[section] = MappingProxyType(numbers)
        statements[section] = MappingProxyType(
            {name: fact for name, fact in facts.items() if isinstance(fact, Statement)}
        )
    _check_memory(figures, place)
    cores = figures.get("cores", _EMPTY).get("physical")
    return Chip(
        id=path.stem,
        name=read_text(data, "name", place),
        vendor=read_text(data, "vendor", place),
        core=read_text(data, "core", place, required=False),
        missing=_read_texts(data, "missing", place),
        conflicts=_read_texts(data, "conflicts", place),
        names=_read_patterns(data, place),
        devices=_read_devices(data, None if cores is None else int(cores.si), sources, place),
        figures=MappingProxyType(figures),
        statements=MappingProxyType(statements),
    )


def _check_memory(figures: Mapping[str, Mapping[str, Figure]], place: Place) -> None:
    for name, wanted in (("capacity", "size"), ("bandwidth", "bandwidth")):
        figure = figures.get("memory", _EMPTY).get(name)
        at = place.at("memory").at(name)
        if figure is None:
            raise at.fault("nothing", f"a figure of {wanted}")
        if figure.dimension != wanted:
            raise at.at("unit").fault(f"'{figure.unit}'", f"a unit of {wanted}")


def _read_texts(data: Mapping[str, Any], key: str, place: Place) -> tuple[str, ...]:
    values = data.get(key)
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise place.at(key).fault(
            f"{values!r}" if key in data else "nothing", "a list of texts, empty if there is none"
        )
    return tuple(values)


def _read_patterns(data: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    table = data.get("match")
    at = place.at("match")
    if not isinstance(table, Mapping):
        raise at.fault(f"{table!r}", "a table with names")
    refuse_unknown(table, {"names"}, at)
    patterns = _read_texts(table, "names", at)
    for pattern in patterns:
        if not (pattern.startswith("^") and pattern.endswith("$")):
            raise at.at("names").fault(f"'{pattern}'", "a pattern of the whole name, ^...$")
        try:
            re.compile(pattern)
        except re.error as error:
            raise at.at("names").fault(f"'{pattern}'", f"a regular expression: {error}") from error
    return patterns


def _read_devices(
    data: Mapping[str, Any], cores: int | None, sources: Mapping[str, Source], place: Place
) -> tuple[DeviceMode, ...]:
    tables = data.get("device", [])
    at = place.at("device")
    if not isinstance(tables, list):
        raise at.fault(f"{tables!r}", "[[device]] tables")
    modes = []
    for table in tables:
        refuse_unknown(
            table, {"mode", "default", "per_chip", "source", "date", "status", "note"}, at
        )
        default = table.get("default")
        if not isinstance(default, bool):
            raise at.at("default").fault(f"{default!r}", "true or false")
        per_chip = read_count(table, "per_chip", at)
        if cores is not None and cores % per_chip:
            raise at.at("per_chip").fault(f"{per_chip}", f"a divisor of the {cores} cores")
        mode = read_text(table, "mode", at)
        modes.append(DeviceMode(mode, default, per_chip, read_provenance(table, sources, at)))
    if modes and sum(mode.default for mode in modes) != 1:
        raise at.at("default").fault(
            f"{sum(mode.default for mode in modes)} modes with default = true", "exactly one"
        )
    if len({mode.mode for mode in modes}) != len(modes):
        raise at.at("mode").fault("the same mode twice", "each mode once")
    return tuple(modes)
