"""Ceilings that somebody measured: facts of status "measured" beside those of a chip's pages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from .catalog import load_catalog, read_toml
from .figure import CatalogError, Figure, Place, Provenance, read_number, read_text, refuse_unknown

Fact = Literal[
    "tensor_per_core",
    "tensor_limit",
    "dma_per_core",
    "dma_row",
    "weights_fraction",
    "dispatch",
    "pass_start",
    "capture_start",
]
FACTS: tuple[Fact, ...] = get_args(Fact)
_FILE = Path(__file__).with_name("measured.toml")
_KEYS = ("chip", "name", "value", "unit", "source", "date", "note")


@functools.cache
def load_measured(path: Path = _FILE) -> Mapping[str, Mapping[str, Figure]]:
    """By chip and name:

    - ``tensor_per_core``: a core's tensor engine in bf16; ``tensor_limit``: the part of that rate
      which sustained work may use;
    - ``dma_per_core``: what one core's DMA engines carry; ``dma_row``: the least time of a row;
    - ``weights_fraction``: the part of it that weights reach which are read for each token;
    - ``dispatch``, ``pass_start``, ``capture_start``: what a call costs beside its work, where
      the host replays a graph, where passes follow one another, under the profiler.

    ``CatalogError`` names the entry and the field at fault.
    """
    catalog = load_catalog()
    found: dict[str, dict[str, Figure]] = {}
    for number, entry in enumerate(read_toml(path).get("fact", ()), 1):
        place = Place(path.name, str(entry.get("chip", "-")), f"fact {number}")
        refuse_unknown(entry, _KEYS, place)
        chip, name = (read_text(entry, key, place) for key in ("chip", "name"))
        if chip not in catalog.chip_ids:
            raise place.at("chip").fault(f"'{chip}'", "the id of a chip of the catalog")
        if name not in FACTS:
            raise place.at("name").fault(f"'{name}'", f"one of {', '.join(FACTS)}")
        source = read_text(entry, "source", place)
        if source not in catalog.sources:
            raise place.at("source").fault(f"'{source}'", "a source that sources.toml lists")
        value, unit = read_number(entry, place)
        origin = Provenance(
            source,
            read_text(entry, "date", place),
            "measured",
            note=read_text(entry, "note", place),
        )
        own = found.setdefault(chip, {})
        if name in own:
            raise place.at("name").fault(f"'{name}' again", "each fact of a chip once")
        own[name] = Figure(value, unit, origin)
    return MappingProxyType({chip: MappingProxyType(own) for chip, own in found.items()})


def measured(chip: str, name: Fact) -> Figure:
    """A fact of a chip. Raises ``CatalogError`` where nobody measured it."""
    figure = load_measured().get(chip, {}).get(name)
    if figure is None:
        known = ", ".join(chip for chip, own in load_measured().items() if name in own)
        raise CatalogError(f"nobody measured {name} of '{chip}'; measured of: {known}")
    return figure
