"""Tests that use the fixture `bench`, on devices that aren't as free or as plain as the CPU, and
under options that reach into its processes: real runs, each in a pytest of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from trnbench.results.record import Record

ODD = Path(__file__).parent / "odd_backends.py"
INTERNAL_ERROR = 3
USAGE_ERROR = 4


@pytest.fixture
def benchmark_of(pytester):
    """Run one file of tests with two processes each; pytest's result and the records by test."""

    def run(body, *arguments, backend="cpu", out="out"):
        pytester.makepyfile(test_own=body)
        shutil.copy(ODD, pytester.path)
        result = pytester.runpytest_subprocess(
            "--benchmark", "--bench-load=odd_backends", f"--bench-backend={backend}",
            "--bench-processes=2", "--bench-budget=0.05", "--bench-out", out, "test_own.py",
            *arguments,
        )  # fmt: skip
        assert result.ret != INTERNAL_ERROR, result.stdout.str()
        lines = [
            line
            for path in (pytester.path / out).glob("*.jsonl")
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        records = map(Record.model_validate_json, lines)
        return result, {r.case.workload.partition("::")[2]: r for r in records}

    return run


ADD = "import torch\ndef test_add(bench): bench(torch.add, torch.ones(9), torch.ones(9))"


@pytest.mark.slow
def test_a_device_that_is_busy_at_first_leaves_the_whole_case_unmeasured(benchmark_of):
    """Free in the second process: but the case is registered by then, as nobody knows what."""
    result, records = benchmark_of(ADD, backend="once-busy")
    result.assert_outcomes(failed=1)
    record = records["test_add"]
    assert record.status_counts == {"BUSY_DEVICE": 2}
    assert [outcome.process for outcome in record.processes] == [0, 1]
    assert record.failure.message == "process 4242 holds core 0"
    assert (record.case.dtype, record.summary) == ("unknown", None)


@pytest.mark.slow
def test_a_device_that_is_free_a_moment_later_is_measured(benchmark_of):
    _, records = benchmark_of(ADD, backend="once-listed")
    assert records["test_add"].case.dtype == "fp32"
    assert set(records["test_add"].status_counts) <= {"OK", "NOT_STEADY"}


@pytest.mark.slow
def test_what_differs_from_process_to_process_has_no_record_of_its_speed(benchmark_of):
    _, records = benchmark_of(
        """
        import pathlib, torch

        def test_changing(bench):
            seen = pathlib.Path("seen")
            dtype = torch.float64 if seen.exists() else torch.float32
            seen.touch()
            bench(torch.neg, torch.ones(9, dtype=dtype))
        """
    )
    record = records["test_changing"]
    assert record.case.dtype == "fp32"
    assert record.status == "RUNTIME_ERROR"
    assert "measured float64, eager, cpu in this process, and fp32" in record.failure.message


WORDS = """
import os, sys
import pytest
import torch

def speak(x):
    raise RuntimeError("lights out " * 100 + "\\nE-42 no lanterns left")

def die(x):
    print("the device says: E-42 no lanterns left", file=sys.stderr, flush=True)
    os._exit(3)

def print_and_raise(x):
    print("noise\\nE-42 no lanterns left\\nmore noise", file=sys.stderr, flush=True)
    raise RuntimeError("the compiler left with exit code 70")

@pytest.mark.parametrize("end", [speak, die, print_and_raise], ids=["speak", "die", "print"])
def test_end(bench, end):
    bench(end, torch.ones(4))
"""


@pytest.mark.parametrize("end", ["speak", "die", "print"])
@pytest.mark.slow
def test_a_stack_s_own_words_say_what_happened(benchmark_of, end):
    """Far down in an exception, last before death, and beside an exception."""
    _, records = benchmark_of(WORDS, "-k", end, backend="explaining")
    record = records["test_end"]
    assert record.case.configuration == end
    assert record.status == "OUT_OF_MEMORY"
    assert record.failure.kind == "E-42"
    assert record.failure.message.startswith("the lanterns are full (E-42): ")
    assert record.failure.mend == "bring fewer"


@pytest.mark.parametrize(("end", "status"), [("speak", "RUNTIME_ERROR"), ("die", "CRASHED")])
@pytest.mark.slow
def test_the_same_words_say_nothing_of_another_stack(benchmark_of, end, status):
    _, records = benchmark_of(WORDS, "-k", end)
    assert records["test_end"].status == status
    assert records["test_end"].failure.kind != "E-42"


def test_a_device_that_can_t_be_claimed_is_explained_too(benchmark_of):
    _, records = benchmark_of(ADD, backend="unlit")
    assert records["test_add"].status == "OUT_OF_MEMORY"
    assert records["test_add"].failure.kind == "E-42"


@pytest.mark.slow
def test_a_failing_assert_isn_t_hidden_by_how_the_call_was_measured(benchmark_of):
    """After a fallback, and after a call too long for its budget, which is no failure alone."""
    result, records = benchmark_of(
        """
        import time, torch

        def test_fell_back(bench):
            bench(torch.square, torch.ones(9))

        def test_fell_back_and_wrong(bench):
            assert bench(torch.square, torch.ones(9))[0] == 2

        def test_too_long(bench):
            bench(time.sleep, 0.7, dtype="fp32")

        def test_too_long_and_wrong(bench):
            assert bench(time.sleep, 0.7, dtype="fp32") == 2
        """,
        backend="falling",
    )
    assert {name: record.status for name, record in records.items()} == {
        "test_fell_back": "FALLBACK_TO_CPU",
        "test_fell_back_and_wrong": "RUNTIME_ERROR",
        "test_too_long": "SKIPPED",
        "test_too_long_and_wrong": "RUNTIME_ERROR",
    }
    wrong = records["test_fell_back_and_wrong"]
    assert wrong.failure.kind == "test"
    assert wrong.processes[0].fallbacks == ["aten::square"]
    result.assert_outcomes(failed=3, skipped=1)


def test_a_refused_test_may_fail_as_it_likes(benchmark_of):
    _, records = benchmark_of(
        "def test_other(bench): assert bench(int, dtype='bf16') == 1", "--bench-dtype=fp32"
    )
    assert records["test_other"].status == "SKIPPED"
    assert records["test_other"].failure.kind == "selection"


@pytest.mark.slow
def test_fresh_caches_are_cold_once_warm_then_and_gone_after(benchmark_of, pytester):
    _, records = benchmark_of(
        """
        import os, torch

        def test_compiled(bench):
            with open("folders.log", "a") as log:
                print(os.environ.get("TORCHINDUCTOR_CACHE_DIR"), file=log)
            bench(lambda x: torch.sin(x) * 3, torch.ones(99), mode="compiled")
        """,
        "--bench-cache=fresh",
    )
    folders = (pytester.path / "folders.log").read_text(encoding="utf-8").split()
    assert len(folders) == 2
    assert len(set(folders)) == 1
    assert Path(folders[0]).parent.name.startswith("trnbench-cache-")
    assert not Path(folders[0]).parent.exists()
    outcomes = records["test_compiled"].processes
    assert [outcome.cache_state for outcome in outcomes] == ["cold", "warm"]


def test_a_variable_that_rules_measuring_out_is_one_message(benchmark_of, monkeypatch):
    monkeypatch.setenv("XLA_USE_BF16", "1")
    result, records = benchmark_of(ADD, backend="xla")
    assert result.ret == USAGE_ERROR
    assert records == {}
    errors = [line for line in result.outlines + result.errlines if "ERROR" in line]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: backend 'xla' can't measure here: XLA_USE_BF16=1 computes")


def test_a_backend_that_nobody_gave_is_one_message(benchmark_of):
    result, _ = benchmark_of(ADD, backend="abacus")
    assert result.ret == USAGE_ERROR
    assert "ERROR: unknown backend 'abacus'" in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("own", [(), ("--rootdir=..",)], ids=["none", "own"])
@pytest.mark.slow
def test_a_folder_for_results_elsewhere_leaves_tests_their_names(benchmark_of, tmp_path, own):
    """It exists from the second process on, and pytest counts it among what it is to test."""
    out = tmp_path / "elsewhere"
    _, records = benchmark_of(ADD, *own, out=str(out))
    assert set(records["test_add"].status_counts) <= {"OK", "NOT_STEADY"}
    assert len(records["test_add"].processes) == 2
