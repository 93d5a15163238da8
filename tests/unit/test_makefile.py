"""What the Makefile hands on: where torch comes from, to each of its environments and to no run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEX = "https://example.invalid/wheels"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(*arguments, **variables):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("by", ["the command line", "the environment"])
def test_torch_of_the_xla_environment_comes_from_the_index_too(tmp_path, by):
    told = {"TORCH_INDEX": INDEX} if by == "the environment" else {}
    line = () if told else (f"TORCH_INDEX={INDEX}",)

    commands = make("-n", "test-xla", f"XLA_VENV={tmp_path / 'none'}", *line, **told)

    assert f"--index-url {INDEX}" in commands


@pytest.mark.parametrize("by", ["the command line", "the environment"])
def test_the_index_is_no_variable_of_a_run(tmp_path, by):
    told = {"TORCH_INDEX": INDEX} if by == "the environment" else {}
    line = () if told else (f"TORCH_INDEX={INDEX}",)
    (tmp_path / "more.mk").write_text(f"include {ROOT / 'Makefile'}\nvariables:\n\t@env\n")

    printed = make("-s", "-f", tmp_path / "more.mk", "variables", *line, **told)

    assert not any(one.startswith("TORCH_INDEX=") for one in printed.splitlines())
