"""What an export gives: a text, and what of the run isn't in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exported:
    """``notices``: sentences about cases that the form has no place for."""

    text: str
    notices: tuple[str, ...] = ()
