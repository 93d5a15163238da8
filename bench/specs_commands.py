"""``trnbench specs``: what the catalog says of a chip, how chips compare, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .command_options import AsJson, Exit, Prices, print_json
from .errors import UsageError, unknown

if TYPE_CHECKING:
    from ..specs.catalog import Catalog

app = typer.Typer(
    name="specs",
    help="The catalog of chips: figures with source, date and status, and what follows from them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ChipFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--chip-file",
        metavar="FILE",
        help="A chip of your own: a TOML file of the catalog's form; once for each.",
    ),
]

Region = Annotated[str | None, typer.Option("--region", help="Only prices there, as us-east-1.")]
Purchase = Annotated[
    str | None,
    typer.Option(
        "--purchase", help="Only prices of on_demand, listed_as_on_demand or capacity_block."
    ),
]


@app.command()
def lint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="Chips of your own, beside the catalog's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Faults that relations within the data give away; exits with 1 where there is one."""
    from ..specs.catalog import load_catalog
    from ..specs.lint import lint as find_faults

    for file in files or ():
        if not file.exists() or file.is_dir():
            raise UsageError(f"no file '{file}'; wanted chips of your own, each a TOML file")
    found = find_faults(extra=files or ())
    if as_json:
        print_json(found)
    else:
        for finding in found:
            print(finding.words)
        count = len(load_catalog().chip_ids) + len(files or ())
        many = "s" if len(found) > 1 else ""
        print(f"{count} chips: " + (f"{len(found)} finding{many}" if found else "nothing found"))
    raise typer.Exit(Exit.FAILED if found else Exit.OK)


@app.command("list")
def list_chips(chip_file: ChipFile = None, as_json: AsJson = False) -> None:
    """The chips of the catalog: how many figures, unconfirmed, disputed, missing."""
    from ..specs.catalog import load_catalog
    from ..specs.sheet import chip_lines

    lines = chip_lines(load_catalog(extra=chip_file or ()))
    if as_json:
        print_json(lines)
        return
    from .specs_tables import print_chips

    print_chips(lines)


@app.command()
def show(
    chip: Annotated[str, typer.Argument(metavar="CHIP", help="A chip's id, as trainium2.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD...]", help="Only these, as memory or peak_dense.bf16."),
    ] = None,
    chip_file: ChipFile = None,
    as_json: AsJson = False,
) -> None:
    """Every figure of a chip, with source, date, status, and what other sources print."""
    from ..specs.catalog import load_catalog
    from ..specs.sheet import sheet_of

    catalog = load_catalog(extra=chip_file or ())
    sheet = sheet_of(catalog.chip(chip), catalog, fields or ())
    if as_json:
        print_json(sheet)
        return
    from .specs_tables import print_sheet

    print_sheet(sheet, whole=not fields)


@app.command()
def units(
    chip: Annotated[str, typer.Argument(metavar="CHIP", help="A chip's id, as trainium2.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD...]", help="These figures, as peak_dense.mxfp8."),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option("--given", metavar="AMOUNT", help="A figure of yours: '83.2 PFLOP/s'."),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="UNIT", help="What it is of: ultraserver, trn2.48xlarge ..."),
    ] = None,
    price: Prices = None,
    region: Region = None,
    purchase: Purchase = None,
    chip_file: ChipFile = None,
    as_json: AsJson = False,
) -> None:
    """A figure for a core, a torch device, a chip, an instance, an UltraServer, a dollar an hour."""
    from ..specs.catalog import load_catalog
    from ..specs.levels import Market
    from ..specs.unit_table import Given, unit_table

    if (given is None) != (of is None):
        one, other = ("--of", "--given") if given is None else ("--given", "--of")
        raise UsageError(
            f"{one} given without {other}; wanted both, as --given '1 PFLOP/s' --of chip"
        )
    _check_market(region, purchase)
    catalog = load_catalog(extra=chip_file or ())
    prices = _read_prices(price, catalog)
    for name in prices:
        if name != chip:
            raise UsageError(f"--price of '{name}' given; wanted one of {chip}, which is shown")
    table = unit_table(
        catalog.chip(chip),
        fields or (),
        None if given is None or of is None else Given(given, of),
        Market(prices.get(chip), region, purchase),
    )
    if as_json:
        print_json(table)
        return
    from .specs_tables import print_units

    print_units(table)


@app.command()
def roofline(
    chip: Annotated[str, typer.Argument(metavar="CHIP", help="A chip's id, as trainium2.")],
    dtype: Annotated[
        list[str] | None,
        typer.Option("--dtype", help="Only these dtypes (commas, or repeat); default: all."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option("--mode", help="How torch sees the chip, as LNC=1; default: the chip's own."),
    ] = None,
    chip_file: ChipFile = None,
    as_json: AsJson = False,
) -> None:
    """The roofs of one torch device, engines and memories apart, and where they meet."""
    from ..specs.catalog import load_catalog
    from ..specs.roof_table import roof_table
    from .option_values import split_names

    catalog = load_catalog(extra=chip_file or ())
    table = roof_table(catalog.chip(chip), split_names(dtype or ()), mode)
    if as_json:
        print_json(table)
        return
    from .specs_tables import print_roofs

    print_roofs(table)


@app.command()
def compare(
    chips: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...", help="Ids of chips, or of instances, UltraServers and clusters."
        ),
    ],
    chip_file: ChipFile = None,
    per: Annotated[
        list[str] | None,
        typer.Option(
            "--per",
            metavar="UNIT",
            help="Only per core, device, chip, instance, ultraserver or dollar-hour "
            "(commas, or repeat).",
        ),
    ] = None,
    price: Prices = None,
    region: Region = None,
    purchase: Purchase = None,
    as_json: AsJson = False,
) -> None:
    """Ratios to the first chip: each quantity per core, device, chip, instance, UltraServer, dollar."""
    from ..specs.catalog import load_catalog
    from ..specs.chip_comparison import COMPARED, compare_chips, find_subjects
    from .option_values import split_names

    units = split_names(per or ())
    for unit in units:
        if unit not in COMPARED:
            raise unknown("unit of silicon", unit, COMPARED)
    _check_market(region, purchase)
    if len(chips) < 2:
        raise UsageError(f"one given ('{chips[0]}'); wanted two or more chips or systems")
    catalog = load_catalog(extra=chip_file or ())
    prices = _read_prices(price, catalog)
    rows = compare_chips(find_subjects(chips, catalog), prices, region, purchase)
    rows = [row for row in rows if not units or row.unit in units]
    if not rows:
        raise UsageError(
            f"nothing of {', '.join(chips)} is known per {' or '.join(units)}; wanted another --per, "
            "or a --price"
        )
    if as_json:
        print_json(rows)
        return
    from .specs_tables import print_comparison

    print_comparison(rows)


def _read_prices(texts: Sequence[str] | None, catalog: Catalog) -> dict[str, float]:
    from .difference import read_prices

    prices = read_prices(texts or ())
    for name in prices:
        catalog.chip(name)
    return prices


def _check_market(region: str | None, purchase: str | None) -> None:
    from ..specs.prices import KINDS, load_prices

    if purchase is not None and purchase not in KINDS:
        raise unknown("way of buying", purchase, KINDS)
    regions = dict.fromkeys(price.region for price in load_prices())
    if region is not None and region not in regions:
        raise unknown("region", region, tuple(regions))
