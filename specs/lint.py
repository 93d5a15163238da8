"""Faults of the catalog that relations within the data give away.

Nothing here knows a figure: a fault is where two figures that belong together can't both be
right, or where a figure lacks what makes it one (a source, a date, a status that fits). Each
:class:`Finding` names file, chip and field, what is given and what was wanted. One field has at
most one finding: the rules stand in the order in which their explanations are worth having.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import lint_chips, lint_systems
from .catalog import load_catalog
from .claim import load_claims
from .claim_quantities import World
from .figure import CatalogError
from .finding import Finding
from .prices import Price, load_prices
from .systems import System, load_systems


def lint(
    directory: Path | None = None, extra: Sequence[Path] = (), today: dt.date | None = None
) -> list[Finding]:
    """Every finding in the catalog of ``directory`` (by default the one of this package) and in
    the ``extra`` files of chips; none is a catalog that holds together. A file that can't be
    read is one finding."""
    found: list[Finding] = []
    folder = Path(__file__).parent if directory is None else directory
    try:
        catalog = load_catalog(directory, extra)
    except CatalogError as error:
        return [Finding.of_error(error)]
    chips = {}
    for chip_id, path in catalog.files.items():
        try:
            chips[chip_id] = catalog.chip(chip_id)
        except CatalogError as error:
            found.append(Finding.of_error(error, path.name, chip_id))
    systems: tuple[System, ...] = ()
    prices: list[Price] = []
    try:
        systems = load_systems(folder / "instances.toml")
        prices = list(load_prices(folder / "instances.toml"))
    except CatalogError as error:
        found.append(Finding.of_error(error, "instances.toml"))
    # A clock that is behind mustn't find faults in what was written before.
    version = dt.date.fromisoformat(catalog.version)
    last_day = max(today or dt.datetime.now(tz=dt.UTC).date(), version)
    for chip in chips.values():
        own = [system for system in systems if system.chip == chip.id]
        faults = list(lint_chips.check_chip(chip, catalog, last_day))
        found += _without_consequences(faults)
        faulty = {finding.field for finding in faults}
        file = catalog.files[chip.id].name
        found += lint_systems.check_aggregates(chip, own, chips, file, faulty)
    found += lint_chips.check_names(chips, catalog, systems)
    found += lint_systems.check_systems(systems, catalog, last_day)
    found += lint_systems.check_prices(prices, systems, catalog, last_day)
    found += _check_claims(folder / "claims.toml", World(catalog, systems))
    return list(_first_of_each_field(found))


def _check_claims(path: Path, world: World) -> Iterator[Finding]:
    """What the file of claims holds, and the chips and systems that it names."""
    if not path.exists():
        return
    try:
        claims = load_claims(path)
    except CatalogError as error:
        yield Finding.of_error(error, path.name)
        return
    for claim in claims:
        for field, names, known in (
            ("chips", claim.chips, world.catalog.chip_ids),
            ("baseline_chips", claim.baseline_chips, world.catalog.chip_ids),
            ("systems", claim.systems, tuple(system.id for system in world.systems)),
        ):
            unknown = [name for name in names if name not in known]
            if unknown:
                given, wanted = f"'{unknown[0]}'", f"one of {', '.join(known)}"
                yield Finding(path.name, "-", f"{claim.id}.{field}", "claim", given, wanted)


def _without_consequences(faults: Sequence[Finding]) -> Iterator[Finding]:
    """Without what is said of a field's alternatives where the field itself is at fault."""
    fields = {finding.field for finding in faults}
    for finding in faults:
        about = finding.field.removeprefix("disagreement.").rpartition(".")[0]
        if finding.rule != "alternatives" or about not in fields:
            yield finding


def _first_of_each_field(found: Sequence[Finding]) -> Iterator[Finding]:
    seen = set()
    for finding in found:
        key = (finding.file, finding.chip, finding.field)
        if key not in seen:
            seen.add(key)
            yield finding
