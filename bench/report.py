"""``trnbench report``: stored runs as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..results.lines import StoreError
from ..results.page import PageRun, render_page, require_extra
from .errors import UsageError

if TYPE_CHECKING:
    from ..results.case_history import CaseHistory
    from ..results.compare import Comparison
    from ..results.store import StoredRun

DEFAULT_PAGE = Path("report.html")


def run_report_command(
    names: Sequence[str], out: Path, page: Path = DEFAULT_PAGE, history: str | None = None
) -> Path:
    """Write a page about the runs that a person named, the first of them the baseline; its path.

    ``names`` are as for ``trnbench show``, or ``FILE.csv#CHIP``; ``history`` is as for ``trnbench history``. Raises ``UsageError`` and
    ``StoreError``, which say what to do.
    """
    from .. import __version__

    if not names:
        raise UsageError("no run given; wanted at least one: its file, id or label, or a folder")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"-o {page}: a page is HTML; give a name that ends in .html")
    if page.is_dir() or not page.parent.is_dir():
        raise UsageError(f"-o {page}: wanted a file in a folder that exists")
    require_extra()
    runs = [_read(name, out) for name in names]
    histories = [] if history is None else _read_history(history, out)
    html = render_page(runs, _compare(runs), histories, version=__version__)
    try:
        # Whole or not at all: a page that was there stays until the new one is written.
        unfinished = page.with_name(f"{page.name}.part")
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(page)
    except OSError as error:
        raise StoreError(
            f"can't write {page}: {error.strerror}; give another file with -o"
        ) from error
    return page


def _compare(runs: Sequence[PageRun]) -> list[Comparison]:
    """Each further run held against the first."""
    if len(runs) == 1:
        return []
    from ..results.compare import compare
    from ..results.frame import frame_of

    baseline, *others = [frame_of(run.records) for run in runs]
    return [compare(baseline, other) for other in others]


def _read_history(name: str, out: Path) -> list[CaseHistory]:
    from ..results.archive import find_history_files
    from ..results.frame import load_files
    from ..results.history import find_history

    return find_history(load_files(find_history_files(name, out)))


def _read(name: str, out: Path) -> PageRun:
    from .listing import in_order
    from .published import read_any

    stored: StoredRun = read_any(name, out)
    # Of published figures a person may have named one chip's: the page says which.
    chip = name.partition("#")[2] if stored.path.suffix == ".csv" else ""
    file = f"{stored.path.name}#{chip}" if chip else stored.path.name
    return PageRun(file, in_order(stored.records), stored.notices)
