"""Whole runs on real torch_xla: what is compiled, what falls back, what is recompiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: Whether a case ends OK or NOT_STEADY is the machine's doing; both are measured to the end, with
#: counters that stood still while they were timed: RECOMPILED comes before either.
MEASURED = {"OK", "NOT_STEADY"}
#: What XLA's CPU device can't do, or not as exactly as is asked for, of the preset quick.
TYPED = {
    "reduction[sum-1024x1024-bf16]": "NUMERIC_MISMATCH",
    "softmax[512x1024-bf16]": "NUMERIC_MISMATCH",
}
#: A fifth of a second a call on XLA's CPU device: these get a budget of their own.
LONG = ("matmul[skinny-m1-fp32]", "matmul[skinny-m1-bf16]")


#: The host computes it, and one without AVX-512 takes as long.
INTEGERS = "matmul[square-512-int8]"


def run(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "trnbench", "run", *arguments, "--backend", "xla"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    (stored,) = (folder / "results" / "runs").glob("*.jsonl")
    return [json.loads(line) for line in stored.read_text().splitlines()]


def name(record):
    case = record["case"]
    return f"{case['workload']}[{case['configuration']}-{case['dtype']}]"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return run(tmp_path_factory.mktemp("quick"), "--processes", "1", "--budget", "0.2")


def test_the_preset_quick_is_measured_and_what_is_not_is_typed(quick):
    found = {name(record): record["status"] for record in quick if record["case"]["mode"] == "lazy"}

    assert len(found) > 40
    assert {case: found[case] for case in TYPED} == TYPED
    assert {found[case] for case in LONG} <= {*MEASURED, "SKIPPED"}
    assert found[INTEGERS] in ("FALLBACK_TO_CPU", "SKIPPED")
    known = (*TYPED, *LONG, INTEGERS)
    others = {case: status for case, status in found.items() if case not in known}
    assert {case: status for case, status in others.items() if status not in MEASURED} == {}
    assert {f"mlp_training[64x256x768-{dtype}]" for dtype in ("fp32", "bf16")} <= set(others)


def test_what_takes_long_is_measured_with_a_longer_budget(tmp_path):
    found = run(tmp_path, "matmul[skinny-m1", "--processes", "1", "--budget", "1")

    assert {name(record) for record in found} == set(LONG)
    assert {record["status"] for record in found} <= MEASURED


def test_compiled_mode_is_measured_too(quick):
    found = {name(r): r["status"] for r in quick if r["case"]["mode"] == "compiled"}

    assert len(found) == 4
    assert set(found.values()) <= MEASURED


def test_every_measured_case_tells_its_parts_and_its_compilation(quick):
    measured = [record for record in quick if record["status"] in MEASURED]
    assert len(measured) > 40
    for record in measured:
        (process,) = record["processes"]
        assert list(process["split_ns"]) == ["trace", "dispatch", "device"]
        assert process["graphs_compiled"] is not None
        assert process["stack_compile_ns"] >= 0
        assert process["fallbacks"] == []
        assert process["peak_memory_bytes"] is None
        assert "UNIMPLEMENTED" in process["peak_memory_note"]
        assert record["device"]["facts"]["pjrt_device"] == "CPU"
    # Most of these graphs are met for the first time.
    compiled = [r for r in measured if r["processes"][0]["graphs_compiled"] >= 1]
    assert len(compiled) > 30


def test_the_operator_that_has_no_kernel_is_named(tmp_path):
    options = ("--dtype", "int8", "--processes", "1", "--budget", "2")
    (record,) = run(tmp_path, "matmul[square-512", *options)

    assert record["status"] == "FALLBACK_TO_CPU"
    assert "aten::_int_mm" in record["failure"]["message"]
    assert record["processes"][0]["fallbacks"] == ["aten::_int_mm"]


@pytest.fixture
def folder(tmp_path):
    shutil.copy(HERE / "odd_workloads.py", tmp_path)
    return tmp_path


def run_odd(folder, case, *arguments):
    (record,) = run(
        folder, f"{case}[", "--load", "odd_workloads", "--processes", "1", "--dtype", "fp32", *arguments
    )  # fmt: skip
    return record


def test_a_shape_that_changes_in_the_timed_part_is_recompiled(folder):
    record = run_odd(folder, "growing", "--budget", "3")

    assert record["status"] == "RECOMPILED"
    assert "graphs_compiled" in record["failure"]["message"]


def test_an_operator_on_the_host_is_a_fallback(folder):
    record = run_odd(folder, "eigenvalues", "--budget", "0.1")

    assert record["status"] == "FALLBACK_TO_CPU"
    assert "aten::linalg_eig" in record["failure"]["message"]


def test_the_first_call_compiles_once_and_the_same_program_again_not_at_all(folder):
    record = run_odd(folder, "plain", "--budget", "0.1", "--cache", "fresh")

    (process,) = record["processes"]
    assert record["status"] in MEASURED
    assert process["graphs_compiled"] == 1
    assert process["cache_state"] == "cold"
    assert 0 < process["stack_compile_ns"] <= process["first_call_ns"]
    assert 0 < process["compile_ns"] <= process["first_call_ns"]
    assert 0 < process["in_process_ns"] < process["first_call_ns"]
    # XLA's CPU client can't read compiled graphs back: there is no cache on disk to count.
    assert process["cache_files_before"] is process["cache_files_after"] is None
