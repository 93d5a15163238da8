"""``trnbench claims``: what is claimed of chips, held against the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .command_options import AsJson, Out, PricesOfRuns, print_json
from .errors import UsageError
from .options import DEFAULT_OUT

if TYPE_CHECKING:
    from rich.console import Console

    from ..results.claim_evidence import Evidence
    from ..specs.claim import Claim
    from ..specs.claims import Judgement, LevelReading

_ORDER = ("contradicted", "consistent_at_other_level", "consistent", "unverifiable")
_STYLES = {"contradicted": "bold red", "consistent_at_other_level": "bold yellow"}
_SAID = {
    "contradicted": "no level of silicon gives it",
    "consistent_at_other_level": "true of something else than is claimed",
    "consistent": "as claimed, in the reading that is named",
    "unverifiable": "no specification settles it",
}
_FOUND = {
    "borne_out": "it is so",
    "not_borne_out": "it is not so",
    "undecided": "undecided",
    "no_records": "no records",
}
_EVIDENCE_STYLES = {"not_borne_out": "red", "no_records": "dim"}


def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Only these claims, or those that begin so."),
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown: a page to send to somebody.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("--claims", metavar="FILE", help="Claims of your own: a TOML file."),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--runs",
            metavar="RUN",
            help="What these records say of it: a folder, file, id or label, or FILE.csv of "
            "published measurements; once for each.",
        ),
    ] = None,
    price: PricesOfRuns = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            "--catalog", metavar="DIR", help="Hold them against a copy of the folder specs/."
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """What is claimed of chips, worked out from the catalog: at the level that is claimed, at
    every other, and with the arithmetic; and which claims can't be true together."""
    from ..specs.claim import load_claims
    from ..specs.claim_quantities import World
    from ..specs.claims import judge_claims

    if as_json and markdown:
        raise UsageError("--json and --markdown given; wanted one form")
    known = load_claims(file)
    judged = judge_claims(known, World.load(catalog))
    for name in names or ():
        if not any(one.id.startswith(name) for one in judged):
            raise UsageError(
                f"no claim '{name}'; there are {', '.join(one.id for one in judged[:10])} ..."
            )
    chosen = [one for one in judged if not names or one.id.startswith(tuple(names))]
    if price and not runs:
        raise UsageError("--price given without --runs; records have times that cost something")
    measured = _weigh([one for one in known if one.id in {c.id for c in chosen}], runs, price, out)
    if as_json:
        print_json([{**one.to_dict(), "measured": measured.get(one.id)} for one in chosen])
    elif markdown:
        from ..results.exports.claims_markdown import claims_markdown

        print(claims_markdown(_by_verdict(chosen), measured))
    else:
        from rich.console import Console

        _print(chosen, measured, Console(highlight=False))


def _weigh(
    chosen: Sequence[Claim], runs: Sequence[str] | None, price: Sequence[str] | None, out: Path
) -> dict[str, Evidence]:
    if not runs:
        return {}
    from ..results.claim_evidence import weigh
    from ..results.frame import join
    from .difference import check_prices, read_prices
    from .published import read_frames

    prices = read_prices(price or ())
    frames = read_frames(runs, out, all_runs=True)
    check_prices(prices, frames)
    return weigh(chosen, join(frames), prices)


def _by_verdict(judged: Sequence[Judgement]) -> list[tuple[str, list[Judgement]]]:
    """Those of each verdict under what it means, the contradicted first."""
    sections = []
    for verdict in _ORDER:
        own = [one for one in judged if one.verdict == verdict]
        title = f"{verdict.replace('_', ' ')}: {len(own)} of {len(judged)}, {_SAID[verdict]}"
        sections += [(title, own)] if own else []
    return sections


def _print(judged: Sequence[Judgement], measured: Mapping[str, Evidence], console: Console) -> None:
    for title, own in _by_verdict(judged):
        console.print(title, style=_STYLES.get(own[0].verdict, "bold"))
        for one in own:
            _print_one(one, measured.get(one.id), console)
        console.print()


def _print_one(one: Judgement, evidence: Evidence | None, console: Console) -> None:
    document = f" ({one.document})" if one.document else ""
    _say(console, f"{one.id}{document}: {one.statement}", 2)
    _say(console, one.arithmetic, 4)
    shown = [level for level in one.levels if level.of not in one.arithmetic]
    if shown and one.verdict != "unverifiable":
        said = ", ".join(f"{level.level} {_format(level, one.unit)}" for level in shown)
        _say(console, f"elsewhere: {said}", 4, "dim")
    for conflict in one.conflicts:
        _say(console, f"not beside {conflict.id}: {conflict.why}", 4, "dim")
    if evidence is not None:
        style = _EVIDENCE_STYLES.get(evidence.finding, "")
        _say(console, f"measured, {_FOUND[evidence.finding]}: {evidence.why}", 4, style)
    elif one.measure and one.verdict != "consistent":
        _say(
            console,
            f"to measure on {' and on '.join(one.measure_on)}: {', '.join(one.measure)}",
            4,
            "dim",
        )


def _say(console: Console, text: str, indent: int, style: str = "") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from ..results.printable import printable

    console.print(Padding(Text(printable(text), style=style), (0, 0, 0, indent), expand=False))


def _format(level: LevelReading, unit: str) -> str:
    value = level.computed
    return value if isinstance(value, str) else f"{value:,.3g} {unit}".rstrip()
