"""A fault that was found in the catalog."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from .figure import CatalogError, Provenance

_ISO_DATE = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")
UNDATED = "undated"


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is a short name of the kind of fault; ``field`` as in ``peak_dense.bf16``."""

    file: str
    chip: str
    field: str
    rule: str
    given: str
    wanted: str

    @property
    def words(self) -> str:
        """``l4.toml: chip 'l4', field 'power.tdp' [power]: 7 W; wanted ...``."""
        return (
            f"{self.file}: chip '{self.chip}', field '{self.field}' [{self.rule}]: "
            f"{self.given}; wanted {self.wanted}"
        )

    @classmethod
    def of_error(cls, error: CatalogError, file: str = "", chip: str = "-") -> Finding:
        """What the loader refused."""
        if error.place is not None:
            place = error.place
            return cls(place.file, place.chip, place.field, "form", error.given, error.wanted)
        text, _, wanted = str(error).partition("; wanted ")
        at, _, given = text.partition(": ")
        return cls(
            file or at, chip, "-", "form", given or text, wanted or "a file that can be read"
        )


def date_fault(date: str, last_day: dt.date) -> tuple[str, str] | None:
    """What is given and wanted where ``date`` isn't a year, a year and month or a day (ISO 8601)
    that has begun by ``last_day``, nor ``undated``; None where it is."""
    if date == UNDATED:
        return None
    match = _ISO_DATE.fullmatch(date)
    wanted = f"a date as 2026, 2026-11 or 2026-11-27, or {UNDATED}"
    if match is None:
        return f"'{date}'", wanted
    year, month, day = (int(part) if part else 1 for part in match.groups())
    try:
        begun = dt.date(year, month, day)
    except ValueError:
        return f"'{date}'", wanted
    if begun > last_day:
        return f"'{date}'", f"a date that isn't in the future ({last_day.isoformat()})"
    return None


def provenance_fault(
    origin: Provenance, *, by_vendor: bool, last_day: dt.date
) -> tuple[str, str, str] | None:
    """Rule, given and wanted where a figure's source, date and status don't fit together."""
    fault = date_fault(origin.date, last_day)
    if fault is not None:
        return ("date", *fault)
    official = "official" in (origin.status, origin.basis)
    if official and (origin.relayed or not by_vendor):
        return (
            "secondhand",
            f"status official from '{origin.source}', which isn't the vendor's own page",
            "status press, or the vendor's page as the source",
        )
    return None
