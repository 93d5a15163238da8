"""The catalog of chips: published figures with their sources, read from TOML on demand.

``chips/<id>.toml`` holds one chip; ``sources.toml`` the sources, the conventions and the
catalog's version. A chip's file is read and checked when it is first asked for. A chip of one's
own is a file of the same form anywhere, which may define its sources itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .chip import SECTIONS, Chip, DeviceMode, Disagreement, Source, read_chip, read_toml
from .figure import CatalogError, Place, read_text, refuse_unknown

__all__ = [
    "SECTIONS",
    "Catalog",
    "Chip",
    "DeviceMode",
    "Disagreement",
    "Source",
    "load_catalog",
    "read_toml",
]

#: Software reports a little less (ECC, reserve) or more (an "80 GB" part has 80 GiB) than the
#: data sheet; a slice of a chip reports far less.
_ID = re.compile(r"[a-z0-9_]{1,60}")
_MEMORY_RANGE = (0.90, 1.10)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All chips that are known, each read when first asked for."""

    version: str
    sources: Mapping[str, Source]
    files: Mapping[str, Path]
    _read: dict[str, Chip] = field(default_factory=dict, repr=False, compare=False)

    @property
    def chip_ids(self) -> tuple[str, ...]:
        return tuple(self.files)

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
            self._read[chip_id] = read_chip(self.files[chip_id], chip_id, self.sources)
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


def load_catalog(directory: Path | None = None, extra: Iterable[Path] = ()) -> Catalog:
    """The catalog in ``directory`` (with ``sources.toml`` and ``chips/``); by default the one
    that is part of this package, cached. ``extra`` are files of chips of one's own, which may
    bring ``[source.NAME]`` tables. Raises ``CatalogError``, also for a chip's or a source's id
    that is taken."""
    catalog = _default_catalog() if directory is None else _read_catalog(directory)
    files, sources = dict(catalog.files), dict(catalog.sources)
    for path in extra:
        data = read_toml(path)
        place = Place(path.name, path.stem, "")
        chip_id = read_text(data, "id", place)
        if not _ID.fullmatch(chip_id):
            raise place.at("id").fault(f"'{chip_id}'", "small letters, digits and _, as acme_one")
        if chip_id in files:
            raise place.at("id").fault(f"'{chip_id}'", "an id that no other chip has")
        for source_id, source in _read_sources(data, place).items():
            if source_id in sources:
                raise place.at(f"source.{source_id}").fault(
                    "a source that is there already", "a name that no other source has"
                )
            sources[source_id] = source
        files[chip_id] = path
    if files == catalog.files:
        return catalog
    return Catalog(catalog.version, MappingProxyType(sources), MappingProxyType(files))


def _read_catalog(directory: Path) -> Catalog:
    data = read_toml(directory / "sources.toml")
    place = Place("sources.toml", "-", "")
    files = {path.stem: path for path in sorted((directory / "chips").glob("*.toml"))}
    if not files:
        raise CatalogError("chips/: no chip's file; wanted at least one <chip id>.toml")
    return Catalog(
        read_text(data, "version", place),
        MappingProxyType(_read_sources(data, place)),
        MappingProxyType(files),
    )


def _read_sources(data: Mapping[str, Any], place: Place) -> dict[str, Source]:
    sources = {}
    tables = data.get("source", {})
    if not isinstance(tables, Mapping):
        raise place.at("source").fault(f"{tables!r:.60}", "tables [source.NAME]")
    for source_id, table in tables.items():
        at = place.at(f"source.{source_id}")
        if not isinstance(table, Mapping):
            raise at.fault(f"{table!r}", "a table with where, date and kind")
        refuse_unknown(table, {"where", "date", "kind"}, at)
        sources[source_id] = Source(
            *(read_text(table, key, at) for key in ("where", "date", "kind"))
        )
    return sources
