"""Claims in GitHub's Markdown: a page to send to somebody who believes one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .escapes import escape_markdown

if TYPE_CHECKING:
    from ...specs.claims import Judgement
    from ..claim_evidence import Evidence

_LONGEST = 2000


def claims_markdown(
    judged: Sequence[tuple[str, Sequence[Judgement]]], measured: Mapping[str, Evidence]
) -> str:
    """A section for each ``(title, judgements)``, a claim a paragraph; texts are escaped."""
    return "\n".join(line for title, own in judged for line in _section(title, own, measured))


def _section(
    title: str, own: Sequence[Judgement], measured: Mapping[str, Evidence]
) -> Iterator[str]:
    yield f"## {_text(title)}\n"
    for one in own:
        document = f" ({_text(one.document)})" if one.document else ""
        yield f"**{_text(one.statement)}**{document} `{one.id if _plain(one.id) else '?'}`\n"
        yield f"- {_text(one.arithmetic)}"
        for conflict in one.conflicts:
            yield f"- not beside {_text(conflict.id)}: {_text(conflict.why)}"
        evidence = measured.get(one.id)
        if evidence is not None:
            yield f"- measured, {_text(evidence.finding.replace('_', ' '))}: {_text(evidence.why)}"
        elif one.measure and one.verdict != "consistent":
            devices, work = " and on ".join(one.measure_on), ", ".join(one.measure)
            yield f"- to measure on {_text(devices)}: {_text(work)}"
        yield ""


def _plain(name: str) -> bool:
    return all(letter.isalnum() or letter in "-_." for letter in name)


def _text(text: str) -> str:
    return escape_markdown(text, _LONGEST)
