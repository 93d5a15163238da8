"""These tests run where torch_xla is installed: ``make test-xla``. With ``--contract-backend xla``
its absence is an error, which the conftest above raises."""

from __future__ import annotations

from importlib import util

collect_ignore_glob = [] if util.find_spec("torch_xla") else ["test_*.py"]
