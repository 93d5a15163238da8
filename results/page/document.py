"""The page as one file: sections in their order, templates, style and script, and its policy.

The file asks for nothing: what it may load is named by hash in its own security policy, and
texts of records are escaped where they stand.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ..lines import StoreError
from ..origin import SIMULATED_NOTICE
from .runs import PageRun, titles
from .text import clean, name, one_line

if TYPE_CHECKING:
    from ..case_history import CaseHistory
    from ..compare import Comparison

_NEEDED = ("jinja2", "altair", "vl_convert")


class MissingExtraError(StoreError):
    """The packages that draw the page aren't installed."""


def render_page(
    runs: Sequence[PageRun],
    comparisons: Sequence[Comparison] = (),
    histories: Sequence[CaseHistory] = (),
    *,
    version: str,
) -> str:
    """The HTML of one page about these runs.

    ``comparisons`` are those of the first run with each of the others, in their order;
    ``histories`` what is known of older runs; ``version`` is that of this program. Raises
    ``MissingExtraError`` where a package is missing.
    """
    require_extra()
    from markupsafe import Markup

    from .cases import cases_section, failures_section
    from .compiling import compiling_section
    from .cost import cost_section
    from .differences import differences_section
    from .environment import environment_section, reproduction_section
    from .history import history_section
    from .matrix import matrix_section
    from .roofline import roofline_section
    from .summary import summarise

    named = titles(runs)
    compared = [
        (named[0], other, comparison)
        for other, comparison in zip(named[1:], comparisons, strict=True)
    ]
    changes = [
        f"{other}: {change}" if len(compared) > 1 else change
        for _, other, comparison in compared
        for change in comparison.environment_changes
    ]
    sections = [
        differences_section(compared),
        history_section(histories),
        roofline_section(runs),
        cases_section(runs),
        failures_section(runs),
        compiling_section(runs),
        matrix_section(runs),
        cost_section(runs),
        environment_section(runs, changes),
        reproduction_section(runs),
    ]
    style, script = _part("palette.css") + _part("style.css"), _part("table.js")
    template = _environment().get_template("page.html.j2")
    page: str = template.render(
        title=" against ".join([*named[1:], named[0]]) if len(named) > 1 else named[0],
        runs=[*zip(named, runs, strict=True)],
        notices=_notices(runs, compared),
        summary=summarise(runs, compared),
        sections=[section for section in sections if section is not None],
        policy=security_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        version=version,
    )
    return page


def _notices(runs: Sequence[PageRun], compared: Sequence[tuple[str, str, Comparison]]) -> list[str]:
    """What to know before believing a figure: of each file, and of each comparison."""
    notices = [one_line(notice) for run in runs for notice in run.notices]
    for a, b, comparison in compared:
        notices += [f"{b} against {a}: {one_line(warning)}" for warning in comparison.warnings]
    # Simulated figures have a banner of their own.
    return [notice for notice in notices if SIMULATED_NOTICE not in notice]


def require_extra() -> None:
    """Raises ``MissingExtraError`` that names what is missing and how to get it."""
    from importlib.util import find_spec

    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"a page needs {', '.join(missing)}, not installed here; install it with: "
            'pip install "trnbench[report]"'
        )


def security_policy(style: str, script: str) -> str:
    """What a browser may do with the page: run this script and use this style, and nothing else.
    No request of any kind, no frame, no form, no base address."""
    return (
        "default-src 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _part(file: str) -> str:
    content = files(__package__).joinpath(file).read_text(encoding="utf-8")
    if "</" in content:
        raise ValueError(f"{file} holds '</', which would end its element in the page")
    return content


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__ or "trnbench.results.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["name"] = name
    return environment


def _visible(value: Any) -> Any:
    """What a template writes: texts without hidden characters, with a figure's per cent on its
    line; markup of our own as it is."""
    from markupsafe import Markup

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return clean(value).replace(" %", "\N{NO-BREAK SPACE}%")
