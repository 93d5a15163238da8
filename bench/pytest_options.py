"""From pytest's options to the one object that a run reads."""

from __future__ import annotations

from dataclasses import fields

import pytest

from .errors import UsageError
from .option_values import OptionTexts, read_options
from .options import RunOptions


def run_options(config: pytest.Config) -> RunOptions:
    """What the command line asks for. Raises ``pytest.UsageError`` for a value that can't be
    meant: what was given, what was wanted, what to do."""
    given = {field.name: config.getoption(f"bench_{field.name}") for field in fields(OptionTexts)}
    try:
        return read_options(OptionTexts(**given), "--bench-", config.invocation_params.dir)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
