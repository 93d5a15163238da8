"""The forms by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..lines import StoreError
from ..parquet import write_parquet
from . import github_action, junit, markdown, otava, pytest_benchmark, spreadsheet
from .exported import Exported

if TYPE_CHECKING:
    import pandas as pd

Render = Callable[["pd.DataFrame"], Exported]


@dataclass(frozen=True, slots=True)
class Format:
    """A form: how its text is made of a frame, or of the files where it wants raw samples; none
    of both where it is no text."""

    name: str
    about: str
    render: Render | None = None
    render_samples: Callable[[Sequence[Path]], Exported] | None = None

    @property
    def is_text(self) -> bool:
        return self.render is not None or self.render_samples is not None

    def export(self, paths: Sequence[Path]) -> Exported:
        """The text of these files of records. Raises ``StoreError`` for a form that is none."""
        if self.render_samples is not None:
            return self.render_samples(paths)
        if self.render is None:
            raise StoreError(f"'{self.name}' is no text; give a file to write with -o")
        frame = _load(paths)
        exported = self.render(frame)
        return Exported(exported.text, (*frame.attrs.get("notices", ()), *exported.notices))

    def write(self, paths: Sequence[Path], target: Path) -> tuple[str, ...]:
        """Write the form to a file, over what is there; returns notices."""
        if not self.is_text:
            frame = _load(paths)
            notices = tuple(frame.attrs.pop("notices", ()))
            write_parquet(frame, target)
            return notices
        exported = self.export(paths)
        try:
            target.write_text(exported.text, encoding="utf-8", newline="")
        except OSError as error:
            raise StoreError(f"can't write {target}: {error.strerror}") from error
        return exported.notices


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("csv", "a table for spreadsheets, one row a case", spreadsheet.csv_text),
        Format("parquet", "every column, typed; what trnbench reads back (wants pyarrow)"),
        Format("markdown", "a table for $GITHUB_STEP_SUMMARY", markdown.run_markdown),
        Format("junit", "test results in XML, for CI", junit.junit_xml),
        Format(
            "pytest-benchmark",
            "what --benchmark-json writes, for pytest-benchmark compare",
            render_samples=pytest_benchmark.pytest_benchmark_json,
        ),
        Format(
            "github-action-benchmark",
            "times, for its tool customSmallerIsBetter",
            github_action.smaller_is_better,
        ),
        Format(
            "github-action-benchmark-bigger",
            "throughputs, for its tool customBiggerIsBetter",
            github_action.bigger_is_better,
        ),
        Format("otava-csv", "a series of runs, for Apache Otava", otava.otava_csv),
        Format("otava-config", "the tests of an otava.yaml for that series", otava.otava_config),
    )
}


def find_format(name: str) -> Format:
    """The form of this name. Raises ``StoreError`` that lists them."""
    if name in FORMATS:
        return FORMATS[name]
    close = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise StoreError(f"unknown format '{name}'; known: {', '.join(FORMATS)}.{hint}")


def _load(paths: Sequence[Path]) -> pd.DataFrame:
    from ..frame import load_files

    return load_files(paths)
