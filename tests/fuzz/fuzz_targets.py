"""What reads bytes from strangers, and what then uses what was read: one function a target.

A target takes a file and does with it what the commands do. Whatever the file holds, it ends
well or with an error that is documented: ``StoreError`` and its kinds (``trnbench.results.lines``),
``CatalogError`` of a chip's or a claim's file, or ``UsageError`` of a command.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from trnbench.backends import neuron_ls, neuron_monitor
from trnbench.bench import specs_commands
from trnbench.bench.break_even import run_break_even_command
from trnbench.bench.ceiling_store import load_ceiling
from trnbench.bench.claims import claims
from trnbench.bench.collectives import run_collectives_command
from trnbench.bench.command_options import print_json
from trnbench.bench.coverage import compare_coverage_command
from trnbench.bench.difference import baseline, diff
from trnbench.bench.errors import UsageError
from trnbench.bench.export import run_export_command
from trnbench.bench.import_results import run_import_command
from trnbench.bench.option_values import read_chip_files
from trnbench.bench.predict import predict
from trnbench.bench.report import run_report_command
from trnbench.bench.roofline import roofline
from trnbench.bench.run_check import Expectation, print_check
from trnbench.bench.stored_commands import show
from trnbench.results.archive import find_all_records, read_run
from trnbench.results.axes import axis_column, split_by
from trnbench.results.compare import compare
from trnbench.results.coverage_table import print_coverage
from trnbench.results.difference_table import print_comparison
from trnbench.results.exports.formats import FORMATS as EXPORTS
from trnbench.results.exports.markdown import difference_markdown
from trnbench.results.frame import join, load_files
from trnbench.results.gate import Gate, findings
from trnbench.results.imports.formats import FORMATS as IMPORTS
from trnbench.results.limits import parse_limit
from trnbench.results.lines import StoreError
from trnbench.results.merge import merge
from trnbench.results.store import read_journal, read_records
from trnbench.results.validate import validate
from trnbench.results.verdict import Rules
from trnbench.specs.figure import CatalogError

#: What a caller is told to expect; ``typer.Exit`` is how a command ends with an exit code.
DOCUMENTED = (StoreError, CatalogError, UsageError, typer.Exit)
#: The classes of ``trnbench diff --fail-on`` that need nothing else.
_GATE = (
    *("failing", "numeric", "above-roof", "slower", "missing", "not-comparable", "unpaired"),
    "undecided",
)

_LIMITED = Gate(limits=(parse_limit("latency_ms < 20"), parse_limit("mfu > 0.4")))


@dataclass(frozen=True, slots=True)
class Target:
    """``use`` gets a file that ends in ``suffix`` and is called ``stem``, alone in its folder but
    for ``known.jsonl``, a run that is in order."""

    name: str
    use: Callable[[Path], object]
    suffix: str
    stem: str = "input"


def check(target: Target, content: bytes, folder: Path) -> None:
    """Give ``content`` to a target. Raises what isn't documented, warnings of numpy included: on
    a terminal they are a line of our own source."""
    path = folder / f"{target.stem}{target.suffix}"
    path.write_bytes(content)
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("error", RuntimeWarning)
        with contextlib.suppress(*DOCUMENTED):
            target.use(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """As a terminal is: what it can't encode is an error."""
    streams = sys.stdout, sys.stderr
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _attempt(*uses: Callable[[], object]) -> None:
    """Each of them, whether or not one before was refused."""
    for use in uses:
        with contextlib.suppress(*DOCUMENTED):
            use()


def _refuses(read: Callable[[Any], object], given: object) -> bool:
    try:
        read(given)
    except StoreError:
        return True
    return False


def _read_records(path: Path) -> None:
    """Every reader of records. What ``trnbench validate`` calls valid, all of them take."""
    report = validate(path)
    taken = []
    for read in (read_records, lambda path: load_files([path])):
        try:
            read(path)
        except StoreError as error:
            taken.append(error)
    if report.valid and report.records and taken:
        raise AssertionError(f"valid says validate; refused: {taken[0]}")
    _attempt(
        lambda: merge([path, path], path.with_name("merged.jsonl"), force=True),
        lambda: find_all_records("no such label", path.parent),
        lambda: read_run("input", path.parent),
    )


def _read_journal(path: Path) -> None:
    _attempt(lambda: read_journal(path), lambda: validate(path))


def _compare(path: Path) -> None:
    """What ``trnbench diff`` does with it: against itself, on either side of another run, and
    by an axis."""
    own, known = load_files([path]), load_files([path.with_name("known.jsonl")])
    if not len(own):
        return
    console = Console(width=100)
    for a, b in ((own, own), (known, own), (own, known)):
        found = compare(a, b, Rules(between_runs=1.0 if a is b else 2.0))
        print_json([row.to_dict() for row in found.rows()])
        print(difference_markdown(found))
        print_comparison(found, console, 40)
        findings(Gate(_GATE), found, b)
        _attempt(lambda found=found, b=b: findings(_LIMITED, found, b))
    whole = join([own, known])
    for axis in ("dtype", "chip"):
        for a_name, b_name, a, b, leave_out in split_by(whole, axis_column(whole, axis), None):
            compare(a, b, leave_out=leave_out, names=(a_name, b_name)).rows()


def _show(path: Path) -> None:
    """Tables, exports and what else is made of one run."""
    folder, name = path.parent, str(path)
    if _refuses(read_run, path) and _refuses(load_files, [path]):
        return
    _attempt(
        lambda: show(name, out=folder),
        lambda: show(name, as_json=True, out=folder),
        lambda: baseline(name, folder / "baseline.jsonl", out=folder),
        lambda: run_break_even_command(name, None, folder, as_json=False),
        lambda: run_break_even_command(name, name, folder, as_json=False),
        lambda: run_break_even_command(name, name, folder, as_json=True),
        lambda: compare_coverage_command(name, "known", folder, as_json=False),
        lambda: print_coverage(read_run(path).records, path),
        lambda: print_check(name, Expectation("cpu", 1, None, True, True), folder),
        *(
            lambda form=form: run_export_command(
                [name], form, None if EXPORTS[form].is_text else folder / "x.parquet", folder
            )
            for form in EXPORTS
        ),
        lambda: load_files([folder / "x.parquet"]),
    )


def _report(path: Path) -> None:
    page = path.with_name("page.html")
    known = str(path.with_name("known.jsonl"))
    _attempt(
        lambda: run_report_command([str(path)], path.parent, page),
        lambda: run_report_command([known, str(path)], path.parent, page),
    )


def _import(path: Path) -> None:
    """As every program's, and as the one that it looks like; then as a run of its own."""
    made = path.with_name("made.jsonl")
    for form in (*IMPORTS, None):
        made.unlink(missing_ok=True)
        _attempt(lambda form=form: run_import_command(path, form, made, path.parent))
        if made.exists():
            try:
                load_files([made])
                read_records(made)
            except StoreError as error:
                raise AssertionError(f"an import wrote what no loader takes: {error}") from error
            if not validate(made).valid:
                raise AssertionError("an import wrote what validate refuses")


def _published(path: Path) -> None:
    known = str(path.with_name("known.jsonl"))
    name = str(path)
    _attempt(
        lambda: diff([name, known], out=path.parent),
        lambda: diff([name, name], as_json=True, out=path.parent),
        lambda: diff([f"{name}#trn1", known], markdown=True, out=path.parent),
        lambda: predict(name),
        lambda: predict(name, as_json=True),
        lambda: baseline(name, path.with_name("baseline.jsonl"), out=path.parent),
    )


def _collectives(path: Path) -> None:
    _attempt(
        lambda: run_collectives_command(path, None, None, as_json=False),
        lambda: run_collectives_command(path, "all_reduce", 2, as_json=True),
    )


def _parquet(path: Path) -> None:
    known = str(path.with_name("known.jsonl"))
    _attempt(
        lambda: load_files([path]),
        lambda: diff([str(path), known], as_json=True, out=path.parent),
        lambda: run_export_command([str(path)], "csv", None, path.parent),
        lambda: run_export_command([str(path)], "markdown", None, path.parent),
    )


def _ceiling(path: Path) -> None:
    load_ceiling(path)


def _neuron_tools(path: Path) -> None:
    """What the tools of a Neuron driver print: ``ValueError`` is their documented error."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    for parse in (neuron_ls.parse_json, neuron_ls.parse_table, neuron_monitor.read_record):
        with contextlib.suppress(ValueError):
            parse(text)


def _roofline(path: Path) -> None:
    name, folder = str(path), path.parent
    _attempt(
        lambda: roofline([name], out=folder),
        lambda: roofline([name], as_json=True, out=folder),
        lambda: roofline([name, "known"], svg=path.with_name("chart.svg"), out=folder),
    )


def _claims(path: Path) -> None:
    """Claims from a file, alone and beside records; then the catalog's own beside the file."""
    known, folder = str(path.with_name("known.jsonl")), path.parent
    _attempt(
        lambda: claims(file=path),
        lambda: claims(file=path, as_json=True, runs=[known], price=["h100_sxm=2"], out=folder),
    )


def _chip(path: Path) -> None:
    """A chip's file wherever one may be given."""
    ids = re.findall(rb"^id = \"([a-z0-9_]{1,40})\"", path.read_bytes(), re.MULTILINE)
    chip = ids[0].decode() if ids else "input"
    _attempt(
        lambda: specs_commands.lint([path]),
        lambda: specs_commands.list_chips([path]),
        lambda: specs_commands.show(chip, chip_file=[path]),
        lambda: specs_commands.units(chip, chip_file=[path]),
        lambda: specs_commands.roofline(chip, chip_file=[path]),
        lambda: specs_commands.compare(["trainium2", chip], chip_file=[path]),
        lambda: read_chip_files("--chip-file", [str(path)], path.parent),
    )


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("records", _read_records, ".jsonl"),
        Target("journal", _read_journal, ".partial"),
        Target("compare", _compare, ".jsonl"),
        Target("show", _show, ".jsonl"),
        Target("page", _report, ".jsonl"),
        Target("import", _import, ".txt"),
        Target("published", _published, ".csv"),
        Target("collectives", _collectives, ".txt"),
        Target("parquet", _parquet, ".parquet"),
        Target("ceiling", _ceiling, ".json"),
        Target("neuron-tools", _neuron_tools, ".txt"),
        Target("roofline", _roofline, ".jsonl"),
        Target("claims", _claims, ".toml"),
        Target("chip", _chip, ".toml"),
    )
}
