"""``.ci/run`` stops where a step fails, and where none is, it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "run"


@pytest.fixture
def ci(tmp_path):
    """Runs the script in a folder where ``make`` and ``pytest`` do as they are told."""
    if not SCRIPT.exists() or shutil.which("bash") is None:
        pytest.skip("needs bash, and the script of a checkout")
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)

    def write(path, text):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(failing_target="none", slow=0):
        write(stubs / "chromium", "exit 0")
        write(stubs / "make", f'case "$*" in *{failing_target}*) exit 7;; esac')
        write(tmp_path / ".venv" / "bin" / "pytest", f"exit {slow}")
        # What the smoke run left isn't looked at here.
        write(tmp_path / ".venv" / "bin" / "python", "exit 0")
        done = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")],
            env={**os.environ, "PATH": f"{stubs}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    return run


@pytest.mark.parametrize(("slow", "said"), [(0, "done"), (5, "no test is marked slow")])
def test_it_ends_well_where_every_step_does(ci, slow, said):
    code, told = ci(slow=slow)

    assert code == 0
    assert said in told
    assert "=== done" in told


@pytest.mark.parametrize("slow", [1, 2, 3, 4])
def test_a_slow_test_that_fails_ends_it(ci, slow):
    code, told = ci(slow=slow)

    assert code == slow
    assert "make test-xla" not in told


@pytest.mark.parametrize(("target", "after"), [("test-xla", "make lint"), ("lint", "smoke run")])
def test_a_step_that_fails_ends_it(ci, target, after):
    code, told = ci(failing_target=target)

    assert code == 7
    assert after not in told
