"""A figure of the catalog with where it comes from, and the reading of one from TOML."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .units import UNITS, Dimension, dimension, to_si

Status = Literal["official", "press", "projected", "derived", "measured"]
STATUSES: tuple[str, ...] = get_args(Status)


class CatalogError(Exception):
    """A fault in the catalog's data, or a question it can't answer.

    The message names file, chip and field, what was given and what was wanted; a fault that
    :meth:`Place.fault` made carries them apart too.
    """

    def __init__(
        self, message: str, place: Place | None = None, given: str = "", wanted: str = ""
    ) -> None:
        super().__init__(message)
        self.place = place
        self.given = given
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who says so, and when.

    ``relayed``: a vendor's figure that was read in a third party's copy. ``basis`` is the
    status of the figures that a derived one was computed from; ``derivation`` shows how.
    """

    source: str
    date: str
    status: Status
    basis: str = ""
    derivation: str = ""
    relayed: bool = False
    note: str = ""

    @property
    def unconfirmed(self) -> bool:
        """No page of the vendor's own stands behind it: press, or arithmetic on such."""
        return "press" in (self.status, self.basis)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as its source prints it. :attr:`si` is the same in SI base units.

    ``kind`` names the technology ("HBM3"), ``direction`` what a link's figure counts,
    ``links`` over how many links.
    """

    value: float
    unit: str
    origin: Provenance
    kind: str = ""
    direction: str = ""
    links: int | None = None

    @property
    def si(self) -> float:
        """FLOP/s (or OP/s), B/s, bytes, Hz, s, W or a count, by the unit."""
        return to_si(self.value, self.unit)

    @property
    def dimension(self) -> Dimension:
        return dimension(self.unit)

    @property
    def words(self) -> str:
        """``667 TFLOP/s``."""
        return f"{self.value:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A fact that is no number: a process node, a topology."""

    text: str
    origin: Provenance


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the catalog something stands, for messages."""

    file: str
    chip: str
    field: str

    def at(self, field: str) -> Place:
        return Place(self.file, self.chip, f"{self.field}.{field}" if self.field else field)

    def fault(self, given: str, wanted: str) -> CatalogError:
        return CatalogError(
            f"{self.file}: chip '{self.chip}', field '{self.field}': {given}; wanted {wanted}",
            self,
            given,
            wanted,
        )


#: No figure of silicon is beyond, in whatever unit; quotients of two are still numbers.
_LEAST, _MOST = 1e-30, 1e30
_MOST_COUNTED = 10**9
_PROVENANCE = {"source", "date", "status", "basis", "derivation", "relayed", "note"}
_FIGURE = {"value", "unit", "kind", "direction", "links"} | _PROVENANCE
_STATEMENT = {"text"} | _PROVENANCE


def read_text(table: Mapping[str, Any], key: str, place: Place, *, required: bool = True) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise place.at(key).fault(f"{value!r}", "text")
    if required and not value.strip():
        raise place.at(key).fault("nothing" if key not in table else "empty text", "text")
    return value


def read_count(table: Mapping[str, Any], key: str, place: Place) -> int:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_COUNTED:
        raise place.at(key).fault(
            f"{value!r:.60}" if key in table else "nothing",
            f"a whole number of 1 or more, and at most {_MOST_COUNTED}",
        )
    return value


def read_tables(table: Mapping[str, Any], key: str, place: Place) -> list[Mapping[str, Any]]:
    """The tables of a list such as ``[[device]]``; none where it isn't there."""
    tables = table.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(one, Mapping) for one in tables):
        raise place.at(key).fault(f"{tables!r:.60}", f"a list of tables, as [[{key}]]")
    return tables


def refuse_unknown(table: Mapping[str, Any], known: Collection[str], place: Place) -> None:
    for key in table:
        if key not in known:
            raise place.at(key).fault("an unknown key", f"one of {', '.join(sorted(known))}")


def read_provenance(table: Mapping[str, Any], sources: Collection[str], place: Place) -> Provenance:
    source = read_text(table, "source", place)
    if source not in sources:
        raise place.at("source").fault(f"'{source}'", "a source that sources.toml lists")
    status = read_text(table, "status", place)
    if status not in STATUSES:
        raise place.at("status").fault(f"'{status}'", f"one of {', '.join(STATUSES)}")
    basis = read_text(table, "basis", place, required=False)
    derivation = read_text(table, "derivation", place, required=False)
    if status == "derived" and not derivation:
        raise place.at("derivation").fault("nothing", "the arithmetic of a derived figure")
    if (status == "derived") != bool(basis) or (basis and basis not in STATUSES):
        raise place.at("basis").fault(
            f"'{basis}' with status '{status}'",
            f"one of {', '.join(STATUSES)} where the status is derived, and nothing elsewhere",
        )
    relayed = table.get("relayed", False)
    if not isinstance(relayed, bool):
        raise place.at("relayed").fault(f"{relayed!r}", "true or false")
    return Provenance(
        source=source,
        date=read_text(table, "date", place),
        status=status,  # type: ignore[arg-type]  # checked against STATUSES above
        basis=basis,
        derivation=derivation,
        relayed=relayed,
        note=read_text(table, "note", place, required=False),
    )


def read_number(table: Mapping[str, Any], place: Place) -> tuple[float, str]:
    """``value`` and ``unit`` of a table, checked."""
    value = table.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.at("value").fault(f"{value!r}" if "value" in table else "nothing", "a number")
    if not _LEAST <= value <= _MOST:
        raise place.at("value").fault(
            f"{value!r:.60}", f"a number above 0, from {_LEAST:g} to {_MOST:g}"
        )
    unit = read_text(table, "unit", place)
    if unit not in UNITS:
        raise place.at("unit").fault(f"'{unit}'", f"one of {', '.join(UNITS)}")
    return value, unit


def read_fact(table: object, sources: Collection[str], place: Place) -> Figure | Statement:
    """A figure (``value``, ``unit``) or a statement (``text``), each with its provenance."""
    if not isinstance(table, Mapping):
        raise place.fault(f"{table!r}", "a table with value, unit, source, date and status")
    if "text" in table:
        refuse_unknown(table, _STATEMENT, place)
        return Statement(read_text(table, "text", place), read_provenance(table, sources, place))
    refuse_unknown(table, _FIGURE, place)
    value, unit = read_number(table, place)
    return Figure(
        value=value,
        unit=unit,
        origin=read_provenance(table, sources, place),
        kind=read_text(table, "kind", place, required=False),
        direction=read_text(table, "direction", place, required=False),
        links=read_count(table, "links", place) if "links" in table else None,
    )
