"""Defaults of a run's options, apart from their type: every run of pytest reads them for its
help, and making a dataclass costs ten times as much as this module."""

from __future__ import annotations

from pathlib import Path

DEFAULT_OUT = Path("results") / "runs"
DEFAULT_PRESET = "quick"
DEFAULT_PROCESSES = 3
DEFAULT_BUDGET_S = 0.2
DEFAULT_TIMEOUT_S = 60.0
