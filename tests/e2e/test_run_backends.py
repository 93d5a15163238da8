"""What a run makes of devices that aren't as quiet, as free or as real as the CPU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIMITS = ("--threads", "1", "--budget", "0.05", "--processes", "2")


@pytest.fixture
def folder(tmp_path):
    shutil.copy(HERE / "odd_backends.py", tmp_path)
    return tmp_path


def run(folder, backend, *patterns, options=LIMITS):
    command = [sys.executable, "-m", "trnbench", "run", *(patterns or ("square[",))]
    done = subprocess.run(
        [*command, "--load", "odd_backends", "--backend", backend, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (stored,) = (folder / "results" / "runs").glob("*.jsonl")
    return done, [json.loads(line) for line in stored.read_text().splitlines()]


def test_a_held_device_is_busy_and_nothing_is_measured(folder):
    done, (record,) = run(folder, "occupied")

    assert record["status"] == "BUSY_DEVICE"
    assert record["failure"]["message"] == "process 4242 holds core 0"
    assert record["status_counts"] == {"BUSY_DEVICE": 2}
    assert record["summary"] is None
    assert done.returncode == 1


def test_a_stand_in_is_simulated_and_held_against_nothing(folder):
    done, (record,) = run(folder, "stand-in")

    assert record["origin"] == "simulated"
    assert record["device"]["simulated"] is True
    assert not [roof for roof in record["roofs"] if roof["fraction"] is not None]
    assert "SIMULATED" in done.stdout


def test_a_chip_of_ones_own_is_recognised_and_its_cases_are_held_against_it(folder):
    chip = HERE.parents[1] / "docs" / "examples" / "my_chip.toml"
    options = (*LIMITS, "--budget", "0.3", "--chip-file", str(chip))
    _, (record,) = run(folder, "acme", "matmul[skinny-m1-bf16-eager", options=options)
    datasheet = record["roofs"][0]

    assert (record["device"]["chip"], record["device"]["share"]) == ("acme_one", 1.0)
    assert datasheet["ceiling"] == "datasheet"
    assert datasheet["flops_per_s"] == 800e12
    assert "800 TFLOP/s dense bf16" in datasheet["mfu_denominator"]
    assert 0 < datasheet["fraction"] < 1


def test_without_its_file_the_same_device_has_no_roof_and_says_so(folder):
    options = (*LIMITS, "--budget", "0.3")
    _, (record,) = run(folder, "acme", "matmul[skinny-m1-bf16-eager", options=options)

    assert record["device"]["chip"] is None
    assert record["roofs"][0]["reason"] == "no chip of the catalog reports itself as 'Acme One'"


def test_a_fallback_keeps_its_samples_and_is_no_result(folder):
    done, (record,) = run(folder, "falling")

    assert record["status"] == "FALLBACK_TO_CPU"
    assert "aten::square" in record["failure"]["message"]
    assert all(p["fallbacks"] == ["aten::square"] for p in record["processes"])
    assert all(len(p["sustained"]["wall_ns"]) >= 3 for p in record["processes"])
    assert done.returncode == 1


def test_a_compilation_while_timing_keeps_its_samples_and_is_no_result(folder):
    done, (record,) = run(folder, "restless", options=("--budget", "2", "--processes", "1"))

    assert record["status"] == "RECOMPILED"
    assert "graphs_compiled" in record["failure"]["message"]
    assert len(record["processes"][0]["sustained"]["wall_ns"]) >= 3
    assert done.returncode == 1


@pytest.mark.parametrize("workload", ["speaking[", "dying[", "printing["])
def test_a_stack_s_own_words_say_what_happened(folder, workload):
    """Said by an exception, by the last words of a worker that ended, and by a compiler of its
    own process on the standard error."""
    _, (record,) = run(folder, "explaining", workload)

    assert record["status"] == "OUT_OF_MEMORY"
    assert record["failure"]["kind"] == "E-42"
    assert record["failure"]["message"].startswith("the lanterns are full (E-42): ")
    assert record["failure"]["mend"] == "bring fewer"


@pytest.mark.parametrize(
    ("workload", "status"), [("speaking[", "RUNTIME_ERROR"), ("dying[", "CRASHED")]
)
def test_the_same_words_say_nothing_of_another_stack(folder, workload, status):
    _, (record,) = run(folder, "alone", workload)

    assert record["status"] == status


def test_a_fallback_of_the_first_call_counts(folder):
    _, (record,) = run(folder, "once")

    assert record["status"] == "FALLBACK_TO_CPU"
    assert record["processes"][0]["fallbacks"] == ["aten::square"]


def test_what_is_measured_is_kept_where_its_program_can_not_be_made_again(folder):
    options = (*LIMITS, "--cache", "fresh")
    _, (record,) = run(folder, "making", "made_once[", options=options)

    assert record["status"] in {"OK", "NOT_STEADY"}
    assert "NOT_MADE_ANEW" in record["flags"]
    assert all(p["in_process_ns"] is None for p in record["processes"])
    assert all(len(p["sustained"]["wall_ns"]) >= 3 for p in record["processes"])
    assert not list((folder / "results" / "runs").glob("*.cache"))


@pytest.mark.slow
def test_one_case_a_process_costs_a_start_each_and_says_so(folder):
    done, records = run(folder, "alone", "square[", "matmul[square-512-fp32")

    starts = [p["start_s"] for record in records for p in record["processes"]]
    assert len(starts) == 4
    assert all(start > 0 for start in starts)
    assert "4 workers started" in done.stdout


def test_many_cases_in_a_process_pay_for_one_start(folder):
    done, records = run(folder, "stand-in", "square[", "matmul[square-512-fp32")

    starts = [p["start_s"] for record in records for p in record["processes"]]
    assert len([start for start in starts if start is not None]) == 2
    assert "2 workers started" in done.stdout


SHORT = ("--threads", "1", "--budget", "4", "--processes", "1", "--timeout", "6")


@pytest.mark.slow
def test_a_compiler_may_take_longer_than_a_case(folder):
    # Seven seconds of compiling and four of warm-up are not held against the limit of six.
    options = ("--threads", "1", "--budget", "0.2", "--processes", "1", "--timeout", "6")
    _, (record,) = run(folder, "compiling", "slow[steady", options=options)

    assert record["status"] in {"OK", "NOT_STEADY"}
    assert record["processes"][0]["first_call_ns"] > 6e9


@pytest.mark.slow
def test_what_hangs_after_the_warm_up_has_the_case_s_own_limit(folder):
    _, (record,) = run(folder, "compiling", "slow[stuck", options=SHORT)

    assert record["status"] == "TIMEOUT"
    assert "in phase 'sampling'" in record["failure"]["message"]
    assert "limit 6 s" in record["failure"]["message"]


@pytest.mark.slow
def test_simulated_and_measured_runs_are_not_compared(folder):
    run(folder, "stand-in", options=(*LIMITS, "--label", "pretended"))
    again = [sys.executable, "-m", "trnbench", "run", "square[", "--load", "odd_backends"]
    subprocess.run(
        [*again, "--backend", "cpu", *LIMITS, "--label", "real"],
        cwd=folder,
        capture_output=True,
        timeout=300,
        check=True,
    )

    done = subprocess.run(
        [sys.executable, "-m", "trnbench", "diff", "real", "pretended"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 4
    assert "simulated" in done.stderr
    assert done.stdout == ""
