"""Where runs were made, and how to make them again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

from ..record import Record
from ..table import describe_device
from .blocks import Block, Commands, Facts, Notes, Section
from .runs import PageRun, format_time, titles
from .text import name, one_line

#: Names of cases in a command; more are summed up by workload.
_NAMED_CASES = 12
_MOST_VARIABLES = 40
_MOST_SOURCES = 6


def environment_section(runs: Sequence[PageRun], changes: Sequence[str]) -> Section | None:
    """The facts of each run, and what differs between them, those that matter first."""
    blocks: list[Block] = []
    if changes:
        blocks.append(Notes([one_line(line) for line in changes], "Changed from the baseline"))
    for title, run in zip(titles(runs), runs, strict=True):
        if run.records:
            blocks.append(Facts(_facts(run), title))
    return Section("environment", "Where it ran", "", blocks) if blocks else None


def _facts(run: PageRun) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = [
        ("run", _all(record.run for record in run.records)),
        ("origin", _all(f"{record.origin}" for record in run.records)),
        ("time", _span([record.time for record in run.records])),
        ("device", _all(describe_device(record) for record in run.records)),
    ]
    environments = [record.environment for record in run.records if record.environment]
    if environments:
        rows += [
            ("system", _all(e.system for e in environments)),
            ("CPU", _all(f"{e.cpu}, {e.cpus_logical} logical" for e in environments)),
            (
                "threads",
                _all("torch's own" if e.threads is None else str(e.threads) for e in environments),
            ),
            ("python", _all(e.python for e in environments)),
            ("versions", _all(f"{k} {v}" for e in environments for k, v in e.versions.items())),
            ("commit", _all(_commit(e.git) for e in environments)),
            ("machine, boot", _all(f"{e.machine}, {e.boot}" for e in environments)),
        ]
        variables = dict.fromkeys(
            f"{key}={value}" for e in environments for key, value in e.variables.items()
        )
        rows += [("variables", ", ".join(map(name, list(variables)[:_MOST_VARIABLES])))]
    rows += [
        ("catalog", _all(record.catalog_version for record in run.records)),
        ("attained ceiling", _all(record.ceiling_id or "" for record in run.records)),
        ("source", _all((record.source for record in run.records), limit=_MOST_SOURCES)),
        ("file", name(run.file)),
    ]
    return [(label, value) for label, value in rows if value]


def _commit(git: object) -> str:
    facts = git if isinstance(git, dict) else {}
    commit = facts.get("commit")
    return f"{commit}{' with changes' if facts.get('dirty') else ''}" if commit else ""


def _span(times: Sequence[str]) -> str:
    first, last = min(times), max(times)
    first, last = format_time(first), format_time(last)
    return first if first == last else f"{first} to {last}"


def _all(values: Iterable[object], limit: int = 20) -> str:
    """Each value once, in the order of first appearance."""
    known = list(dict.fromkeys(name(str(v)) for v in values if v))
    more = len(known) - limit
    return "; ".join(known[:limit]) + (f"; and {more} more" if more > 0 else "")


def reproduction_section(runs: Sequence[PageRun]) -> Section | None:
    """Commands that install what each run had, measure the same cases again, and make this page."""
    blocks: list[Block] = [
        Commands(title, _commands(run))
        for title, run in zip(titles(runs), runs, strict=True)
        if any(record.origin == "measured" for record in run.records)
    ]
    stored = " ".join(shlex.quote(name(run.file)) for run in runs)
    blocks.append(Commands("this page", [f"trnbench report {stored} -o report.html"]))
    return Section(
        "reproduction",
        "How to reproduce",
        "A run's records hold its versions, variables, threads, processes and cases, but not the "
        "seconds that were given to each case: these commands take the default. Options stand as "
        "trnbench takes them today.",
        blocks,
    )


def _commands(run: PageRun) -> list[str]:
    measured = [record for record in run.records if record.origin == "measured"]
    lines = []
    environment = next((r.environment for r in measured if r.environment), None)
    if environment is not None:
        commit = environment.git.get("commit")
        if commit:
            lines.append(f"git checkout {_quote(str(commit))}")
        packages = [
            _quote(f"{package}=={environment.versions[package]}")
            for package in ("torch", "torch-neuronx", "neuronx-cc", "torch-xla", "numpy")
            if package in environment.versions
        ]
        if packages:
            lines.append(f"pip install {' '.join(packages)} .")
        lines += [
            f"export {key}={_quote(value)}"
            for key, value in list(environment.variables.items())[:_MOST_VARIABLES]
            # What isn't the name of a variable in a shell would be something else to it.
            if key.isidentifier() and key.isascii()
        ]
    lines.append(_run_command(measured, None if environment is None else environment.threads))
    return lines


def _run_command(records: Sequence[Record], threads: int | None) -> str:
    words = ["trnbench", "run"]
    for option, attribute in (("--backend", "backend"), ("--dtype", "dtype"), ("--mode", "mode")):
        values = list(dict.fromkeys(getattr(record.case, attribute) for record in records))
        words += [option, _quote(",".join(values))]
    processes = Counter(len(r.processes) for r in records if r.processes).most_common(1)
    words += ["--processes", str(processes[0][0])] if processes else []
    words += ["--threads", str(threads)] if threads is not None else []
    label = records[0].label
    words += ["--label", _quote(label)] if label else []
    names = list(dict.fromkeys(f"{r.case.workload}[{r.case.configuration}-" for r in records))
    if len(names) > _NAMED_CASES:
        words += ["--preset", "full"]
        names = list(dict.fromkeys(f"{record.case.workload}[" for record in records))
    # An option can't be mistaken for a case, nor a case for an option, after the two dashes.
    return " ".join([*words, "--", *map(_quote, names)])


def _quote(text: str) -> str:
    """As one word of a shell, whatever is in it; a line stays one line."""
    return shlex.quote(one_line(text))
