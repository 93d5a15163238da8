"""A claim as somebody made it, in typed columns, so that a new one is judged without new code.

``claims.toml`` says at its head what each column holds. A verdict, an arithmetic or a reason in a
file of claims is refused: they are worked out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

from .figure import CatalogError
from .levels import LEVELS as SILICON
from .levels import Level
from .units import SPOKEN, UNITS, to_si

Comparator = Literal["equal", "at_least", "up_to"]
Kind = Literal["ratio", "absolute"]
#: Of what a claim can be. What a dollar buys is a quantity: peak_per_dollar.
LEVELS: tuple[Level, ...] = tuple(one for one in SILICON if one != "dollar-hour")
Quantity = Literal[
    "peak",
    "sparse_peak",
    "sparsity",
    "peak_per_watt",
    "peak_per_dollar",
    "memory",
    "memory_bandwidth",
    "memory_stacks",
    "chips",
    "ultraservers",
    "parameters",
    "engine_types",
    "core_generation",
    "generations",
    "process_node",
    "available",
    "chip_of_instance",
    "percent_of_factor",
    "years_since",
]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
#: What two measured times say: how many times as fast, as fast for a dollar, as dear, or as
#: far with a joule.
Metric = Literal["speed", "performance_per_dollar", "cost", "efficiency", "energy"]
_METRICS: dict[Quantity, Metric] = {
    "peak": "speed",
    "memory_bandwidth": "speed",
    "peak_per_dollar": "performance_per_dollar",
    "peak_per_watt": "efficiency",
}
_FILE = Path(__file__).with_name("claims.toml")
_OF_RATIOS = ("", "x", "%")
#: What a figure of it is measured in.
_DIMENSIONS: dict[Quantity, str] = {
    "peak": "rate",
    "sparse_peak": "rate",
    "memory": "size",
    "memory_bandwidth": "bandwidth",
}
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
#: Of a system, or arithmetic.
_WITHOUT_CHIPS: tuple[Quantity, ...] = ("chip_of_instance", "percent_of_factor", "years_since")
_PLAIN = ("", "x", "%", "chips", "date", "nm")
#: As many as a double has, and the last that a date may be of.
_MOST_DIGITS, _LAST_YEAR = 17, 9999
_KEYS = {
    *("id", "document", "statement", "subject", "baseline", "level", "kind", "quantity"),
    *("chips", "baseline_chips", "systems", "dtypes", "value", "high", "text", "unit", "digits"),
    *("comparator", "per", "factor", "since", "needs", "measure", "metric"),
}
_REFUSED = ("verdict", "reason", "arithmetic", "spec_arithmetic", "official_value")


@dataclass(frozen=True, slots=True)
class Claim:
    """``value`` (to ``high`` where a range is claimed) in ``unit``, to ``digits`` significant
    digits; ``text`` for what is no number. ``chips`` and ``baseline_chips`` are ids of the
    catalog, ``systems`` instances, UltraServers or clusters that are meant, all where empty.
    ``per`` is the level that the value is of, where it isn't ``level``. ``needs`` says what would
    settle a claim that no specification can, ``measure`` which workloads, and ``metric`` what of
    them: None where nothing of two times is claimed."""

    id: str
    document: str
    statement: str
    subject: str
    baseline: str
    level: Level
    kind: Kind
    quantities: tuple[Quantity, ...]
    chips: tuple[str, ...]
    baseline_chips: tuple[str, ...]
    systems: tuple[str, ...]
    dtypes: tuple[str, ...]
    value: float | None
    high: float | None
    text: str
    unit: str
    digits: int
    comparator: Comparator
    per: Level
    factor: float | None
    since: int | None
    needs: str
    measure: tuple[str, ...]
    metric: Metric | None

    @property
    def si(self) -> tuple[float, float] | None:
        """What is claimed in the SI base unit, least and most, by the rounding of its own
        digits; "at least" isn't rounded. None where no number is claimed."""
        if self.value is None:
            return None
        low, high = self.value, self.value if self.high is None else self.high
        if self.high is None and self.comparator != "at_least":
            half = 0.5 * 10.0 ** (_exponent(self.value) - self.digits + 1)
            low, high = low - half, high + half
        return self.scale(low), self.scale(high)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """What a figure in SI has to lie between: "at least" and "up to" are open to one side,
        to the lower one where a decrease is claimed ("at least 40 % less")."""
        span = self.si
        if span is None or self.comparator == "equal":
            return span
        upwards = (self.comparator == "at_least") is not self.decreases
        return (span[0], math.inf) if upwards else (0.0, span[1])

    @property
    def decreases(self) -> bool:
        """Whether less than before is claimed, in per cent."""
        return self.kind == "ratio" and self.unit == "%" and (self.value or 0.0) < 0

    def scale(self, value: float) -> float:
        """A figure in the claim's unit in the SI base unit; per cent of change become a ratio."""
        if self.unit == "%" and self.kind == "ratio":
            return 1 + value / 100
        return value if self.unit in _PLAIN else to_si(value, SPOKEN.get(self.unit, self.unit))

    @property
    def claimed(self) -> float | str | list[float]:
        """As it was claimed, in its unit."""
        if self.value is None:
            return self.text
        return self.value if self.high is None else [self.value, self.high]

    @property
    def words(self) -> str:
        """``at least 4 x``, ``83.2 PFLOPS``."""
        if self.value is None:
            return self.text
        said = f"{self.value:,.6g}" + ("" if self.high is None else f" to {self.high:,.6g}")
        before = {"equal": "", "at_least": "at least ", "up_to": "up to "}[self.comparator]
        return f"{before}{said} {self.unit}".strip()


def load_claims(path: Path | None = None) -> tuple[Claim, ...]:
    """The claims of a file, or the catalog's own. ``CatalogError`` names file, claim and field."""
    from .chip import read_toml

    file = path or _FILE
    data = read_toml(file)
    for key in data:
        if key != "claim":
            raise CatalogError(f"{file.name}: '{key}' given; wanted tables [[claim]] and no other")
    entries = data.get("claim")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise CatalogError(f"{file.name}: no claims; wanted tables [[claim]]")
    claims = tuple(_Reader(file.name, number, one).read() for number, one in enumerate(entries, 1))
    ids = [claim.id for claim in claims]
    for claim_id in ids:
        if ids.count(claim_id) > 1:
            raise CatalogError(f"{file.name}: claim '{claim_id}' stands there twice; wanted one")
    return claims


class _Reader:
    def __init__(self, file: str, number: int, entry: Mapping[str, Any]) -> None:
        self._entry = entry
        name = entry.get("id")
        self._place = f"{file}: claim '{name if isinstance(name, str) else f'number {number}'}'"

    def read(self) -> Claim:
        for key in self._entry:
            if key in _REFUSED:
                raise self._fault(key, "given", "no such field: it is worked out")
            if key not in _KEYS:
                raise self._fault(key, "given", f"one of {', '.join(sorted(_KEYS))}")
        quantities = self._texts("quantity", QUANTITIES)
        level = self._choice("level", LEVELS, "chip")
        needs = self._text("needs")
        if not quantities and not needs:
            raise self._fault("quantity", "nothing", "a quantity, or needs: what would settle it")
        value, text = self._number("value"), self._text("text")
        if value is None and not text:
            raise self._fault("value", "nothing", "a number, or a text in 'text'")
        unit = self._text("unit")
        if unit not in (*_PLAIN, *SPOKEN, *UNITS):
            known = ", ".join((*_PLAIN[1:], *SPOKEN, *UNITS))
            raise self._fault("unit", f"'{unit}'", f"one of {known}")
        kind = self._choice("kind", get_args(Kind), "absolute")
        if kind == "ratio" and unit not in _OF_RATIOS:
            raise self._fault("unit", f"'{unit}' of a ratio", f"one of {', '.join(_OF_RATIOS[1:])}")
        chips = self._texts("chips")
        if quantities and not chips and not set(quantities) & set(_WITHOUT_CHIPS):
            raise self._fault("chips", "nothing", "the chips that it is about")
        is_of_two = kind == "ratio" and quantities and "sparsity" not in quantities
        if is_of_two and "baseline_chips" not in self._entry:
            raise self._fault("baseline_chips", "nothing", "the chips of the baseline")
        factor, since = self._factor_and_since(quantities)
        high = self._number("high")
        self._check_value(kind, quantities, unit, value, high)
        self._check_text(quantities, text)
        by_quantity = next((_METRICS[one] for one in quantities if one in _METRICS), None)
        return Claim(
            id=self._text("id", required=True),
            document=self._text("document"),
            statement=self._text("statement", required=True),
            subject=self._text("subject", required=True),
            baseline=self._text("baseline"),
            level=level,
            kind=kind,
            quantities=quantities,
            chips=chips,
            baseline_chips=self._texts("baseline_chips"),
            systems=self._texts("systems"),
            dtypes=self._texts("dtypes"),
            value=value,
            high=high,
            text=text,
            unit=unit,
            digits=self._count("digits", _MOST_DIGITS) or _digits(value),
            comparator=self._choice("comparator", get_args(Comparator), "equal"),
            per=self._choice("per", LEVELS, level),
            factor=factor,
            since=since,
            needs=needs,
            measure=self._texts("measure"),
            metric=self._choice("metric", get_args(Metric), by_quantity),
        )

    def _factor_and_since(
        self, quantities: tuple[Quantity, ...]
    ) -> tuple[float | None, int | None]:
        factor, since = self._number("factor"), self._count("since", _LAST_YEAR)
        if "percent_of_factor" in quantities and factor is None:
            raise self._fault("factor", "nothing", "a number, for percent_of_factor")
        if "years_since" in quantities and since is None:
            raise self._fault("since", "nothing", "a year, for years_since")
        return factor, since

    def _check_value(
        self,
        kind: str,
        quantities: tuple[Quantity, ...],
        unit: str,
        value: float | None,
        high: float | None,
    ) -> None:
        """A figure above 0, a range from below, and a unit of what is claimed."""
        if value is not None and value <= 0 and not (kind == "ratio" and unit == "%"):
            raise self._fault("value", f"{value:g}", "more than 0")
        if kind == "ratio" and unit == "%" and value is not None and value <= -100:
            raise self._fault("value", f"{value:g} %", "more than -100: less than nothing is left")
        if high is not None and (value is None or high <= value):
            raise self._fault("high", f"{high:g}", "more than value")
        wanted = {_DIMENSIONS[one] for one in quantities if one in _DIMENSIONS}
        spoken = SPOKEN.get(unit, unit)
        given = UNITS[spoken][1] if spoken in UNITS else "plain number"
        if kind == "absolute" and wanted and given not in wanted:
            raise self._fault("unit", f"'{unit}', a {given}", f"a unit of {' or '.join(wanted)}")

    def _check_text(self, quantities: tuple[Quantity, ...], text: str) -> None:
        if "available" not in quantities:
            return
        for date in text.split(".."):
            if not _DATE.fullmatch(date):
                raise self._fault("text", f"'{text}'", "a date as 2025-12, or 2026-04..2026-06")

    def _text(self, key: str, *, required: bool = False) -> str:
        value = self._entry.get(key, "")
        if not isinstance(value, str) or (required and not value.strip()):
            raise self._fault(key, f"{value!r}" if key in self._entry else "nothing", "a text")
        return value

    def _texts(self, key: str, known: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        value = self._entry.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise self._fault(key, f"{value!r}", "a text, or a list of texts")
        for one in values:
            if known and one not in known:
                raise self._fault(key, f"'{one}'", f"one of {', '.join(known)}")
        return tuple(values)

    def _choice(self, key: str, known: tuple[Any, ...], default: Any) -> Any:
        value = self._entry.get(key, default)
        if value not in known and key in self._entry:
            raise self._fault(key, f"{value!r}", f"one of {', '.join(known)}")
        return value

    def _number(self, key: str) -> float | None:
        value = self._entry.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
            raise self._fault(key, f"{value!r}", "a number")
        return float(value)

    def _count(self, key: str, most: int) -> int | None:
        value = self._entry.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self._fault(key, f"{value!r:.60}", f"a whole number from 1 to {most}")
        return value

    def _fault(self, key: str, given: str, wanted: str) -> CatalogError:
        return CatalogError(f"{self._place}, field '{key}': {given}; wanted {wanted}")


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _digits(value: float | None) -> int:
    """The digits that a number is written with: 83.2 has three, 4.0 and 1000 one."""
    if value is None or value == 0:
        return 1
    return len(Decimal(repr(value)).normalize().as_tuple().digits)
