"""A Hugging Face configuration with random weights: a family without configurations of its own.
Its parameters are ``target`` ("hf:NAME"), ``config`` (the configuration as JSON, so that a record
is complete and no worker looks for a file), ``inputs`` and ``phase``, as in ``module``.
"""

from __future__ import annotations

from ..family import Family
from .module import ERROR_BOUND

FAMILY = Family(
    name="hf",
    summary="a Hugging Face configuration, random weights: trnbench run hf:NAME_OR_PATH",
    phase="forward",
    configurations=(),
    program="trnbench.models.hf:make_program",
    cost=None,
    error_bound=ERROR_BOUND,
)
