"""Errors that a person caused and can mend: one message each, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """Says what was given, what was wanted, and what to do."""


def unknown(kind: str, given: str, known: Iterable[str]) -> UsageError:
    """``unknown backend 'cudaa'; known: cpu, cuda. Did you mean 'cuda'?``"""
    names = sorted(known)
    message = f"unknown {kind} '{given}'; known: {', '.join(names) or 'none'}."
    close = difflib.get_close_matches(given, names, n=1)
    return UsageError(message + (f" Did you mean '{close[0]}'?" if close else ""))
