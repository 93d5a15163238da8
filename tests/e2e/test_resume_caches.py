"""A run with caches of its own that is killed and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

CASE = "elementwise[gelu-512x1024-fp32-compiled"
RUN = ("run", CASE, "--backend", "cpu", "--cache", "fresh", "--processes", "3", "--budget", "0.05")


def command(*arguments):
    return [sys.executable, "-m", "trnbench", *arguments]


@pytest.fixture
def killed(tmp_path):
    """The folder of a run that was killed after its first process."""
    with subprocess.Popen(
        command(*RUN), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        runs = tmp_path / "results" / "runs"
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            lines = [n for p in runs.glob("*.partial") for n in p.read_text().splitlines()]
            if len(lines) > 1:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    return tmp_path


def test_the_first_process_was_the_cold_one_and_its_cache_goes_with_the_run(killed):
    runs = killed / "results" / "runs"
    assert len(list(runs.glob("*.cache"))) == 1

    done = subprocess.run(
        command(*RUN, "--resume", ""), cwd=killed, capture_output=True, text=True, check=False
    )

    assert done.returncode in (0, 1), done.stderr
    (stored,) = runs.glob("*.jsonl")
    states = [p["cache_state"] for p in json.loads(stored.read_text())["processes"]]
    assert states == ["cold", "warm", "warm"]
    assert not list(runs.glob("*.cache"))


def test_a_coverage_run_doesn_t_take_up_a_measuring_one(killed):
    done = subprocess.run(
        command("coverage", CASE, "--backend", "cpu", "--resume"),
        cwd=killed,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4
    assert "no unfinished run" in done.stderr
    assert "Traceback" not in done.stderr
