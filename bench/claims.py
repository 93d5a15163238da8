"""``trnbench claims``: what is claimed of chips, held against the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .command_options import AsJson, print_json
from .errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ..specs.claims import Judgement, LevelReading

_ORDER = ("contradicted", "consistent_at_other_level", "consistent", "unverifiable")
_STYLES = {"contradicted": "bold red", "consistent_at_other_level": "bold yellow"}
_SAID = {
    "contradicted": "no level of silicon gives it",
    "consistent_at_other_level": "true of something else than is claimed",
    "consistent": "as claimed, in the reading that is named",
    "unverifiable": "no specification settles it",
}


def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Only these claims, or those that begin so."),
    ] = None,
    as_json: AsJson = False,
    file: Annotated[
        Path | None,
        typer.Option("--claims", metavar="FILE", help="Claims of your own: a TOML file."),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog", metavar="DIR", help="Hold them against a copy of the folder specs/."
        ),
    ] = None,
) -> None:
    """What is claimed of chips, worked out from the catalog: at the level that is claimed, at
    every other, and with the arithmetic; and which claims can't be true together."""
    from ..specs.claim import load_claims
    from ..specs.claim_quantities import World
    from ..specs.claims import judge_claims

    judged = judge_claims(load_claims(file), World.load(catalog))
    for name in names or ():
        if not any(one.id.startswith(name) for one in judged):
            raise UsageError(
                f"no claim '{name}'; there are {', '.join(one.id for one in judged[:10])} ..."
            )
    chosen = [one for one in judged if not names or one.id.startswith(tuple(names))]
    if as_json:
        print_json([one.to_dict() for one in chosen])
    else:
        from rich.console import Console

        _print(chosen, Console(highlight=False))


def _print(judged: Sequence[Judgement], console: Console) -> None:
    for verdict in _ORDER:
        own = [one for one in judged if one.verdict == verdict]
        if not own:
            continue
        title = f"{verdict.replace('_', ' ')}: {len(own)} of {len(judged)}"
        console.print(f"{title}, {_SAID[verdict]}", style=_STYLES.get(verdict, "bold"))
        for one in own:
            _print_one(one, console)
        console.print()


def _print_one(one: Judgement, console: Console) -> None:
    document = f" ({one.document})" if one.document else ""
    _say(console, f"{one.id}{document}: {one.statement}", 2)
    _say(console, one.arithmetic, 4)
    shown = [level for level in one.levels if level.of not in one.arithmetic]
    if shown and one.verdict != "unverifiable":
        said = ", ".join(f"{level.level} {_format(level, one.unit)}" for level in shown)
        _say(console, f"elsewhere: {said}", 4, "dim")
    for conflict in one.conflicts:
        _say(console, f"not beside {conflict.id}: {conflict.why}", 4, "dim")
    if one.measure and one.verdict != "consistent":
        _say(console, f"to measure on both: {', '.join(one.measure)}", 4, "dim")


def _say(console: Console, text: str, indent: int, style: str = "") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from ..results.printable import printable

    console.print(Padding(Text(printable(text), style=style), (0, 0, 0, indent), expand=False))


def _format(level: LevelReading, unit: str) -> str:
    value = level.computed
    return value if isinstance(value, str) else f"{value:,.3g} {unit}".rstrip()
