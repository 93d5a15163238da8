"""``.ci/run`` stops where a step fails, and where none is, it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "run"


def record(status, kind=""):
    failure = {"message": f"said {kind}", "mend": "", "kind": kind} if kind else None
    return {"status": status, "failure": failure, "case": {"workload": "matmul"}}


OK = [record("OK")]
NOT_STEADY = record("NOT_STEADY", "not_steady")
TOO_SLOW = record("SKIPPED", "budget")


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

    def run(failing_target="none", slow=0, smoke=OK, smoke_code=0):
        (tmp_path / "smoke.jsonl").write_text("".join(json.dumps(one) + "\n" for one in smoke))
        write(stubs / "chromium", "exit 0")
        write(
            stubs / "make",
            f"""case "$*" in
            *{failing_target}*) exit 7;;
            bench*) mkdir -p results/runs; cp smoke.jsonl results/runs/; exit {smoke_code};;
            esac""",
        )
        write(tmp_path / ".venv" / "bin" / "pytest", f"exit {slow}")
        write(tmp_path / ".venv" / "bin" / "python", f'exec "{sys.executable}" "$@"')
        done = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")],
            env={**os.environ, "PATH": f"{stubs}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

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


@pytest.mark.parametrize(
    ("smoke", "code"), [(OK, 0), ([*OK, TOO_SLOW], 0), ([*OK, NOT_STEADY, TOO_SLOW], 1)]
)
def test_what_the_machine_cannot_do_does_not_fail_the_smoke_run(ci, smoke, code):
    ended, told = ci(smoke=smoke, smoke_code=code)

    assert ended == 0
    assert "=== done" in told


@pytest.mark.parametrize(
    ("smoke", "code", "said"),
    [
        ([*OK, record("NUMERIC_MISMATCH", "numeric")], 1, "matmul: {'message': 'said numeric'"),
        ([*OK, record("SKIPPED", "memory")], 0, "said memory"),
        ([*OK, record("ERROR")], 1, "matmul: None"),
        ([TOO_SLOW], 0, "at least one record with status OK"),
        ([], 0, "at least one record with status OK"),
        (OK, 1, "the exit code doesn't agree"),
        ([*OK, NOT_STEADY], 0, "the exit code doesn't agree"),
    ],
)
def test_a_smoke_run_that_fails_ends_it(ci, smoke, code, said):
    ended, told = ci(smoke=smoke, smoke_code=code)

    assert ended != 0
    assert said in told
    assert "=== done" not in told
