"""Coverage runs through the real command line: every fault is a typed cell, and two are compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Workloads that work, unless their name is in the variable BROKEN.
WORKLOADS = """
import ctypes
import os
import time

import torch

from trnbench import bench_case

BROKEN = os.environ.get("BROKEN", "").split(",")


def _matrix(seed):
    return torch.randn(16, 16, generator=torch.Generator().manual_seed(seed))


class _Work:
    def __init__(self, fault):
        self.fault = fault if fault in BROKEN else ""

    def __call__(self, x):
        if x.dtype == torch.float64 or not self.fault:
            return x + 1
        if self.fault == "crash":
            ctypes.string_at(0)
        if self.fault == "hang":
            time.sleep(3600)
        if self.fault == "wrong":
            return x + 1.1
        raise ValueError(f"no such operator on purpose, at {time.time()}")


@bench_case(name="odd", params={n: {"op": n} for n in ("good", "crash", "hang", "wrong", "raise")})
def odd(params, dtype, seed):
    return _Work(params["op"]), (_matrix(seed),)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "odd_workloads.py").write_text(WORKLOADS)
    return tmp_path


def coverage(folder: Path, *arguments: str, broken: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trnbench", "coverage", *arguments],
        cwd=folder,
        env=os.environ | {"BROKEN": broken},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_odd(folder: Path, label: str, *, broken: str) -> subprocess.CompletedProcess[str]:
    arguments = ("odd[", "--load", "odd_workloads", "--mode", "eager", "--label", label)
    return coverage(folder, *arguments, "--backend", "cpu", "--timeout", "10", broken=broken)


@pytest.mark.slow
def test_two_runs_show_what_newly_works_and_what_no_longer_does(folder):
    old = run_odd(folder, "old", broken="crash,hang,raise")
    new = run_odd(folder, "new", broken="wrong,raise")

    assert (old.returncode, new.returncode) == (1, 1), old.stderr + new.stderr
    for sign in ("✓ OK", "✗ crashed", "✗ timeout", "✗ runtime error"):
        assert sign in old.stdout
    assert "5 cases: 2 work, 3 fail" in " ".join(old.stdout.split())
    assert "✗ numeric mismatch" in new.stdout

    done = coverage(folder, "--compare", "old", "new", "--json")
    assert done.returncode == 1, done.stderr
    found = {row["b"]["operator"]: row["change"] for row in json.loads(done.stdout)}
    assert found == {
        "odd good": "still works",
        "odd crash": "newly works",
        "odd hang": "newly works",
        "odd wrong": "no longer works",
        "odd raise": "still doesn't",
    }
    same = coverage(folder, "--compare", "new", "new")
    assert same.returncode == 0
    assert "no longer works" not in same.stdout


def test_a_coverage_run_is_stored_without_samples(folder):
    done = coverage(
        folder, "matmul[square", "softmax", "--backend", "cpu", "--dtype", "fp32,int8", "--json"
    )

    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    cases = {(c["operator"], c["dtype"], c["mode"]): c for c in shown["cases"]}
    assert set(cases) == {
        (operator, dtype, mode)
        for operator, dtype in (("matmul mm", "fp32"), ("matmul mm", "int8"), ("softmax", "fp32"))
        for mode in ("eager", "compiled")
    }
    assert all(case["works"] for case in cases.values())
    assert all(case["numeric_error"] <= case["numeric_bound"] for case in cases.values())
    compiled = cases["softmax", "fp32", "compiled"]
    assert compiled["first_call_s"] > 0
    assert compiled["graphs_compiled"] == 1
    (stored,) = (folder / "results" / "runs").glob("*.jsonl")
    records = [json.loads(line) for line in stored.read_text().splitlines()]
    assert len(records) == len(cases)
    assert {record["summary"] for record in records} == {None}
    assert not [p for record in records for p in record["processes"] if p["sustained"]]
    assert not list((folder / "results" / "runs").glob("*.partial"))
    # What a coverage run stored is read as any other run is.
    assert coverage(folder, "--compare", str(stored), str(stored)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--compare", "old", "new"), 4, "no runs in"),
        (("no-such-case",), 5, "trnbench list"),
        (("--mode", "lazy", "--backend", "cpu"), 4, "has the mode 'lazy'"),
    ],
)
def test_a_wrong_option_gets_one_clear_message(folder, arguments, code, words):
    done = coverage(folder, *arguments)

    assert done.returncode == code
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
