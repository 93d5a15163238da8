"""One chip of the catalog and its file: what a chip's TOML may hold, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .control import CONTROL
from .figure import (
    CatalogError,
    Figure,
    Place,
    Provenance,
    Statement,
    read_count,
    read_fact,
    read_provenance,
    read_tables,
    read_text,
    refuse_unknown,
)

#: Section -> the dimension that all of its figures must have (None: several, see ``_BY_NAME``).
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
        "neighbours": "count",
        "latency": "time",
        "network": "bandwidth",
        "host": "bandwidth",
        "rack": None,
        "power": "power",
        "facts": None,
    }
)
#: Section -> what a figure's name says of its dimension: the first pattern that it matches.
_BY_NAME: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "engines": ((".*clock", "clock"), (".*_fp32_per_core", "rate")),
        "memory": (("capacity", "size"), ("bandwidth", "bandwidth"), ("stacks", "count")),
        "onchip": ((".*bandwidth.*", "bandwidth"), (".*", "size")),
        "dma": (("per_core|per_chip|.*bandwidth.*", "bandwidth"),),
        "rack": (("gpus", "count"), ("memory", "size"), ("nvlink", "bandwidth")),
    }
)
_HEAD = {
    *("id", "name", "vendor", "core", "announced", "missing", "conflicts"),
    *("match", "device", "disagreement", "source"),
}
_MOST_CORES = 10**6
_EMPTY: Mapping[str, Figure] = MappingProxyType({})


def peak_dtype(dtype: str) -> str:
    """What a data sheet calls the dtype: both formats of eight bits have one peak, fp8."""
    return "fp8" if dtype in ("fp8_e4m3", "fp8_e5m2") else dtype


@dataclass(frozen=True, slots=True)
class DeviceMode:
    """How torch sees the chip in one mode: ``per_chip`` equal devices."""

    mode: str
    default: bool
    per_chip: int
    origin: Provenance


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A figure that good sources give differently: what the others print, and why the one that
    stands in ``field`` (section.name) was chosen."""

    field: str
    because: str
    alternatives: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. ``figures`` and ``statements`` map section to name to fact.

    ``announced``: not sold yet, so that every figure is projected. ``missing`` lists what no
    source gave, ``disagreements`` the fields that sources give differently, ``conflicts`` what
    else they disagree in.
    """

    id: str
    name: str
    vendor: str
    core: str
    announced: bool
    missing: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]
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
    def facts(self) -> Iterator[tuple[str, str, Figure | Statement]]:
        """Section, name and fact of everything that the file states."""
        for section in dict.fromkeys((*self.figures, *self.statements)):
            for name, figure in self.figures.get(section, _EMPTY).items():
                yield section, name, figure
            for name, statement in self.statements.get(section, {}).items():
                yield section, name, statement

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

    @property
    def is_vendors(self) -> bool:
        """The vendor's own page, and not a copy of it, a scrape, an encyclopedia or the press."""
        return self.kind.startswith("vendor")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content; ``CatalogError`` with the file's name where it can't be read, or
    holds what a terminal obeys."""
    try:
        # An editor of another system may have begun it with a mark of byte order.
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise CatalogError(f"{path.name}: no such file in {path.parent}") from error
    except OSError as error:
        raise CatalogError(f"{path}: {error.strerror}; wanted a TOML file") from error
    except (ValueError, RecursionError) as error:
        # Beside what isn't TOML: a number of thousands of digits, or too many brackets.
        raise CatalogError(f"{path.name}: not valid TOML: {error!s:.200}") from error
    for field, text in _texts_in(data):
        found = CONTROL.search(text)
        if found is not None:
            raise CatalogError(
                f"{path.name}: field '{field}': {text!r:.60} with the control character "
                f"U+{ord(found.group()):04X}; wanted a text that a terminal shows as it is"
            )
    return data


def _texts_in(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every key and every text, however deep, with the field that holds it. By a list of what is
    left: many brackets would exhaust a recursion."""
    left: list[tuple[str, Any]] = [("", data)]
    while left:
        field, value = left.pop()
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, dict):
            left += [(f"{field}.{key}".lstrip("."), inner) for key, inner in value.items()]
            left += [(field, key) for key in value]
        elif isinstance(value, list):
            left += [(field, inner) for inner in value]


def read_chip(path: Path, chip_id: str, sources: Mapping[str, Source]) -> Chip:
    data = read_toml(path)
    place = Place(path.name, chip_id, "")
    refuse_unknown(data, _HEAD | SECTIONS.keys(), place)
    if read_text(data, "id", place) != chip_id:
        raise place.at("id").fault(f"'{data['id']}'", f"the file's own name, '{chip_id}'")
    announced = data.get("announced", False)
    if not isinstance(announced, bool):
        raise place.at("announced").fault(f"{announced!r}", "true or false")
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
            dimension = wanted or _dimension_by_name(section, name)
            if dimension is not None and number.dimension != dimension:
                raise at.at(name).at("unit").fault(f"'{number.unit}'", f"a unit of {dimension}")
        figures[section] = MappingProxyType(numbers)
        statements[section] = MappingProxyType(
            {name: fact for name, fact in facts.items() if isinstance(fact, Statement)}
        )
    _check_memory(figures, place)
    cores = figures.get("cores", _EMPTY).get("physical")
    if cores is not None and not (cores.si.is_integer() and 1 <= cores.si <= _MOST_CORES):
        given = f"{cores.si:g}"
        raise place.at("cores.physical").fault(given, f"a whole number from 1 to {_MOST_CORES}")
    return Chip(
        id=chip_id,
        name=read_text(data, "name", place),
        vendor=read_text(data, "vendor", place),
        core=read_text(data, "core", place, required=False),
        announced=announced,
        missing=_read_texts(data, "missing", place),
        disagreements=_read_disagreements(data, figures, sources, place),
        conflicts=_read_texts(data, "conflicts", place),
        names=_read_patterns(data, place),
        devices=_read_devices(data, None if cores is None else int(cores.si), sources, place),
        figures=MappingProxyType(figures),
        statements=MappingProxyType(statements),
    )


def _dimension_by_name(section: str, name: str) -> str | None:
    """The dimension that a figure of this name has; None where the name doesn't say it."""
    known = _BY_NAME.get(section, ())
    return next((wanted for pattern, wanted in known if re.fullmatch(pattern, name)), None)


def _read_disagreements(
    data: Mapping[str, Any],
    figures: Mapping[str, Mapping[str, Figure]],
    sources: Mapping[str, Source],
    place: Place,
) -> tuple[Disagreement, ...]:
    found = []
    for table in read_tables(data, "disagreement", place):
        at = place.at("disagreement")
        refuse_unknown(table, {"field", "because", "alternatives"}, at)
        field = read_text(table, "field", at)
        section, _, name = field.partition(".")
        chosen = figures.get(section, _EMPTY).get(name)
        at = at.at(field)
        if chosen is None:
            raise at.fault("a field without a figure", "section.name of a figure of this chip")
        alternatives = []
        for entry in read_tables(table, "alternatives", at):
            fact = read_fact(entry, sources, at.at("alternatives"))
            if not isinstance(fact, Figure) or fact.dimension != chosen.dimension:
                raise at.at("alternatives").fault(
                    f"{entry!r}", f"a figure of {chosen.dimension}, as the chosen one is"
                )
            alternatives.append(fact)
        if not alternatives:
            raise at.at("alternatives").fault("nothing", "at least one other source's figure")
        found.append(Disagreement(field, read_text(table, "because", at), tuple(alternatives)))
    return tuple(found)


def _check_memory(figures: Mapping[str, Mapping[str, Figure]], place: Place) -> None:
    for name in ("capacity", "bandwidth"):
        if name not in figures.get("memory", _EMPTY):
            wanted = _dimension_by_name("memory", name)
            raise place.at("memory").at(name).fault("nothing", f"a figure of {wanted}")


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
    at = place.at("device")
    modes = []
    for table in read_tables(data, "device", place):
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
