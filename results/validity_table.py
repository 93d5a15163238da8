"""What is wrong with a file of records, in a terminal: a line for each mistake."""

from __future__ import annotations

from rich.console import Console

from .columns import say
from .validate import Problem, Report

_STYLES = {"error": "red", "warning": "yellow"}


def print_validity(report: Report, console: Console) -> None:
    """``FILE: line 3: field 'status': ...`` for each problem, and a sentence about the file."""
    for problem in report.problems:
        say(console, f"{report.path}: {_describe(problem)}", _STYLES[problem.severity])
    more = report.errors + report.warnings - len(report.problems)
    if more:
        say(console, f"{report.path}: and {more} more", "dim")
    verdict = "valid" if report.valid else f"not valid, {report.errors} errors"
    warnings = f", {report.warnings} warnings" if report.warnings else ""
    what = "outcomes of an unfinished run" if report.kind == "journal" else "records"
    say(console, f"{report.path}: {report.records} {what}, {verdict}{warnings}", "bold")


def _describe(problem: Problem) -> str:
    line = f"line {problem.line}: " if problem.line else ""
    field = f"field '{problem.field}': " if problem.field else ""
    warning = "warning: " if problem.severity == "warning" else ""
    return f"{line}{field}{warning}{problem.message}"
