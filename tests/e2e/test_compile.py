"""``trnbench compile``: caches are filled, and nothing is measured or recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def trnbench(folder, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "trnbench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | variables,
    )


@pytest.fixture
def cache(tmp_path):
    return {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}


@pytest.mark.slow
def test_what_was_compiled_is_found_by_the_run_that_follows(tmp_path, cache):
    case = "elementwise[gelu-512x1024-fp32-compiled"
    first = trnbench(tmp_path, "compile", case, "--backend", "cpu", **cache)
    assert first.returncode == 0, first.stderr
    assert not (tmp_path / "results").exists()
    assert "cold" in first.stdout
    assert "elementwise[gelu-512x1024-fp32-compiled-cpu]" in first.stdout
    assert "1 of 1 cases compiled" in first.stdout

    again = trnbench(tmp_path, "compile", case, "--backend", "cpu", **cache)
    assert "warm" in again.stdout

    trnbench(tmp_path, "run", case, "--processes", "1", "--backend", "cpu", **cache)
    (stored,) = (tmp_path / "results" / "runs").glob("*.jsonl")
    (outcome,) = json.loads(stored.read_text())["processes"]
    assert outcome["cache_state"] == "warm"
    assert outcome["cache_hits"] == 1
    assert outcome["cache_files_before"] == outcome["cache_files_after"] == 1


@pytest.mark.slow
def test_a_run_with_fresh_caches_is_cold_once_and_warm_afterwards(tmp_path):
    case = "elementwise[gelu-512x1024-fp32-compiled"
    trnbench(
        tmp_path, "run", case, "--backend", "cpu", "--cache", "fresh", "--processes", "2",
        "--budget", "0.05",
    )  # fmt: skip

    (stored,) = (tmp_path / "results" / "runs").glob("*.jsonl")
    cold, warm = json.loads(stored.read_text())["processes"]
    assert (cold["cache_state"], cold["cache_files_before"], cold["cache_hits"]) == ("cold", 0, 0)
    assert (warm["cache_state"], warm["cache_hits"]) == ("warm", 1)
    assert warm["cache_files_before"] == warm["cache_files_after"] == cold["cache_files_after"] > 0
    # Compiling twice in one process finds everything in memory or on disk.
    assert 0 < cold["in_process_ns"] < cold["first_call_ns"]


def test_a_case_that_fails_is_named(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from trnbench import bench_case\n"
        "import torch\n"
        "def fail(x):\n"
        "    raise ValueError('no such luck')\n"
        "@bench_case(name='unlucky', params={'one': {}})\n"
        "def unlucky(params, dtype, seed):\n"
        "    return fail, (torch.ones(2),)\n"
    )

    done = trnbench(tmp_path, "compile", "unlucky[", "--load", "mine", "--backend", "cpu")

    assert done.returncode == 1
    assert "no such luck" in done.stdout
    assert "0 of 1 cases compiled" in done.stdout
