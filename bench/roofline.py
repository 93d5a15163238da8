"""``trnbench roofline``: the cases of stored runs under their roofs, in the terminal or as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command_options import AsJson, Out, note, print_json
from .errors import UsageError
from .options import DEFAULT_OUT

if TYPE_CHECKING:
    from ..results.rooflines import Point, Roofline


def roofline(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs: a file, id or label, a folder (newest), or FILE.csv#CHIP.",
        ),
    ],
    svg: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE.svg", help="The chart as a picture; a file a device."
        ),
    ] = None,
    as_json: AsJson = False,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Cases of the table.")] = 60,
    out: Out = DEFAULT_OUT,
) -> None:
    """Each device's cases under its roofs: what binds each, how much is left, the ridge points."""
    from ..results.origin import refuse_mixture
    from ..results.rooflines import find_rooflines
    from .published import read_any

    if svg is not None and (svg.suffix != ".svg" or svg.is_dir() or not svg.parent.is_dir()):
        raise UsageError(f"-o {svg}: wanted a file FILE.svg in a folder that exists")
    if svg is not None and as_json:
        raise UsageError("-o and --json given; wanted one form")
    stored = [read_any(run, out) for run in runs]
    for one in stored:
        note(one.notices)
    records = [record for one in stored for record in one.records]
    refuse_mixture(*(one.records for one in stored))
    found = find_rooflines(records)
    if not any(one.points for one in found):
        raise UsageError(
            f"no case of {', '.join(runs)} has a place on a roofline: wanted a result, a stated "
            "cost, and arithmetic"
        )
    if svg is not None:
        for path in _write(found, svg):
            print(f"chart: {path}")
    elif as_json:
        print_json([_as_dict(one) for one in found])
    else:
        from rich.console import Console

        from ..results.roofline_table import print_rooflines

        print_rooflines(found, Console(highlight=False), rows)


def _write(found: Sequence[Roofline], target: Path) -> list[Path]:
    """A file for each device: FILE.svg, FILE-2.svg and so on."""
    from ..results.lines import StoreError
    from ..results.page import require_extra
    from ..results.page.roofline import chart_file

    require_extra()
    written = []
    for number, one in enumerate((one for one in found if one.points), start=1):
        path = target if number == 1 else target.with_stem(f"{target.stem}-{number}")
        try:
            path.write_text(chart_file(one), encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"can't write {path}: {error.strerror}; give another file with -o"
            ) from error
        written.append(path)
    return written


def _as_dict(one: Roofline) -> dict[str, Any]:
    return {
        "device": one.device,
        "cases": [_case(point) for point in one.points],
        "roofs": one.ceilings,
        "ridges": one.ridges,
        "absent": one.absent,
    }


def _case(point: Point) -> dict[str, Any]:
    from ..results.rates import call_time
    from ..results.roof_words import with_rates
    from ..results.rooflines import binding_roof, level_without_rate

    time, roof = call_time(point.record), binding_roof(point.record)
    return {
        **point.record.case.model_dump(mode="json"),
        "run": point.record.run,
        "origin": point.record.origin,
        "time_s": None if time is None else time.value,
        "intensity": point.intensity,
        "flops_per_s": point.flops_per_s,
        "ceiling": roof and roof.ceiling,
        "bound": roof and roof.bound,
        "level": roof.level if roof else level_without_rate(point.record),
        "fraction": roof and roof.fraction,
        "floor_s": roof and roof.floor_s,
        "held": [with_rates(roof).model_dump(mode="json") for roof in point.record.roofs],
    }
