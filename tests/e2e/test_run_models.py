"""Whole models through the real command line: memory that isn't there, smaller programs that
stand for large ones, training steps taken apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MEASURED = {"OK", "NOT_STEADY"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(Path(__file__).with_name("model_workloads.py"), folder)
    ran = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "trnbench",
                "run",
                "stack[",
                "miscounted[",
                "--load",
                "model_workloads",
            ),
            *("--processes", "1", "--budget", "0.05", "--backend", "cpu"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (path,) = (folder / "results" / "runs").glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(records) == 6
    return ran, {record["case"]["configuration"]: record for record in records}


def test_a_smaller_program_is_checked_in_place_of_a_large_one(done):
    record = done[1]["right"]
    (outcome,) = record["processes"]

    assert record["status"] in MEASURED
    assert record["case"]["params"]["layers"] == 3
    assert 0 < record["numeric"]["error"] <= record["numeric"]["bound"]
    assert record["numeric"]["note"] == "layers=1"
    assert "CHECKED_SMALLER" in record["flags"]
    assert len(outcome["sustained"]["wall_ns"]) >= 3


def test_a_smaller_program_that_is_wrong_is_a_mismatch(done):
    record = done[1]["wrong"]

    assert record["status"] == "NUMERIC_MISMATCH"
    assert record["numeric"]["error"] == pytest.approx(0.5, rel=1e-3)
    assert "layers=1" in record["failure"]["message"]
    assert record["processes"][0]["sustained"] is None


def test_a_large_program_must_give_finite_numbers_all_the_same(done):
    record = done[1]["spoils-many"]

    assert record["status"] == "NUMERIC_MISMATCH"
    assert record["numeric"]["error"] is None
    assert (
        "NaN or infinity in the whole program; right with layers=1"
        in (record["failure"]["message"])
    )


def test_what_needs_more_memory_than_there_is_is_not_begun(done):
    ran, records = done
    record = records["giant"]

    assert record["status"] == "SKIPPED"
    assert (
        "GB of the host's memory" in record["failure"]["message"]
        or "PB" in (record["failure"]["message"])
    )
    assert "fewer layers" in record["failure"]["mend"]
    assert record["processes"][0]["duration_s"] < 60
    assert record["footprint"]["weights"] == 10**15
    assert ran.returncode == 1  # for the mismatches, not for this


def test_a_formula_that_raises_ends_its_case_alone(done):
    record = done[1]["by-its-author"]

    assert record["status"] == "BUILD_ERROR"
    assert record["failure"]["message"] == (
        "the cost formula of 'miscounted' raised KeyError: 'no size of by-its-author in fp32'"
    )
    assert record["cost"] is None
    assert len(record["processes"][0]["sustained"]["wall_ns"]) >= 3  # kept all the same


def test_a_formula_that_raises_is_named_by_the_list():
    listed = subprocess.run(
        [sys.executable, "-m", "trnbench", "list", "--load", "model_workloads"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert listed.returncode == 4
    assert "the cost formula of 'miscounted[by-its-author]' raised KeyError" in listed.stderr


def test_a_training_step_is_taken_apart(done):
    record = done[1]["trains"]
    (outcome,) = record["processes"]

    assert record["status"] in MEASURED
    assert record["case"]["phase"] == "training"
    assert set(outcome["split_ns"]) == {"forward", "backward", "clip", "optimizer"}
    assert all(len(times) == 5 and min(times) > 0 for times in outcome["split_ns"].values())
    assert record["footprint"]["peak"] == 4 * 16 * 16 * 3 + 1536
