"""The fixture `bench` in a user's own tests: plain runs, and children that really measure."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil
import pytest

from trnbench.bench import fixture_cases
from trnbench.bench.fixture_cases import FixtureCase
from trnbench.bench.options import RunOptions
from trnbench.results.record import Record

OWN_TESTS = """
import os
import pytest
import torch

ORDINARY = {"calls": 0}

@pytest.fixture
def factor():
    with open("fixtures.log", "a") as log:
        print(os.getpid(), file=log)
    return 2.0

@pytest.mark.parametrize("size", [64])
def test_product(bench, factor, size):
    def product(left, right):
        return torch.mm(left, right) * factor
    ones = torch.ones(size, size)
    result = bench(product, ones, ones, cost={"flops": 2 * size**3, "bytes_moved": 12 * size**2})
    assert result[0, 0].item() == 2 * size

def test_wrong(bench):
    assert bench(lambda: torch.zeros(1)).item() == 1

def test_crashing(bench):
    bench(lambda: os.abort())

def test_ordinary():
    assert True

@pytest.mark.skip(reason="not today")
def test_skipped(bench):
    bench(int)
"""


def records_of(folder):
    [path] = (folder / "results" / "runs").glob("*.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    return {r.case.workload.partition("::")[2] or r.case.workload: r for r in map(parse, lines)}


def parse(line):
    return Record.model_validate_json(line)


def test_without_benchmark_it_is_called_once_and_its_value_returned(pytester):
    pytester.makepyfile(
        """
        calls = []

        def test_value(bench):
            assert bench(lambda x, y: calls.append(x) or x + y, 1, 2, cost={"flops": 1}) == 3
            assert calls == [1]

        def test_class(bench):
            class Module:
                def __call__(self, x):
                    return x
            assert bench(Module(), 5, dtype="bf16", mode="compiled", backend="cuda") == 5
        """
    )
    pytester.runpytest_inprocess("--assert=plain").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("bench(int); bench(int)", "bench was called twice in *::test_bad"),
        ("bench(3)", "bench was given int, a function or module wanted*lambda"),
    ],
)
def test_wrong_use_fails_in_plain_runs_too(pytester, body, words):
    pytester.makepyfile(f"def test_bad(bench): {body}")
    result = pytester.runpytest_inprocess("--assert=plain")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*UsageError: {words}*"])


def test_children_measure_and_every_end_is_typed(made_up):
    pytester = made_up.pytester
    pytester.makepyfile(test_own=OWN_TESTS)
    result = made_up(
        "--benchmark", "test_own.py", "--bench-processes=1", "--bench-budget=0.05",
        "--junit-xml=junit.xml", "--basetemp=own-temp",
    )  # fmt: skip
    records = records_of(pytester.path)
    assert set(records) == {"test_product", "test_wrong", "test_crashing"}

    product = records["test_product"]
    assert product.case.params == {"size": 64}
    assert product.case.configuration == "64"
    assert (product.case.dtype, product.case.mode, product.case.backend) == ("fp32", "eager", "cpu")
    assert product.cost is not None
    assert (product.cost.flops, product.cost.bytes_moved) == (2 * 64**3, 12 * 64**2)
    assert "SINGLE_PROCESS" in product.flags
    [outcome] = product.processes
    assert outcome.status in ("OK", "NOT_STEADY")
    assert len(outcome.isolated.wall_ns) == len(outcome.sustained.wall_ns) >= 3
    # A product of 64 by 64 takes microseconds, and no call takes a second.
    assert 1e2 < outcome.isolated.wall_ns[0] / outcome.isolated.calls < 1e9

    assert records["test_wrong"].status == "RUNTIME_ERROR"
    assert records["test_wrong"].failure.message == "AssertionError (test_own.py:22)"
    assert records["test_wrong"].case.dtype == "fp32"
    assert records["test_crashing"].status == "CRASHED"
    assert records["test_crashing"].failure.kind == "SIGABRT"

    failed = 2 + (product.status != "OK")
    result.assert_outcomes(passed=3 - failed, failed=failed, skipped=1, deselected=1)
    assert result.ret == 1
    # The children's output is shown with the failure; the user's file is the parent's own.
    result.stdout.fnmatch_lines(["*bench, process 0*", "*test_wrong*"])
    junit = (pytester.path / "junit.xml").read_text(encoding="utf-8")
    assert junit.count("<testcase") == 4
    # The fixtures of the test ran in its one child, and nowhere else.
    assert len((pytester.path / "fixtures.log").read_text(encoding="utf-8").split()) == 1


def test_a_test_for_another_selection_is_skipped(made_up):
    made_up.pytester.makepyfile("def test_mine(bench): assert bench(int, dtype='bf16') == 0")
    result = made_up("--benchmark", "--bench-dtype=fp32", "--bench-processes=1", ".", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*for dtype 'bf16'; this run is for fp32*"])
    assert result.ret == 0


def test_a_test_that_never_ends_is_ended(made_up):
    made_up.pytester.makepyfile(
        "import time\ndef test_asleep(bench): bench(time.sleep, 1000, dtype='fp32')"
    )
    result = made_up("--benchmark", "--bench-timeout=1", "--bench-processes=1", ".")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["TIMEOUT: no end after * in phase 'first call'; limit 1 s*"])


@pytest.mark.slow
def test_a_real_run_stores_cases_and_tests_in_one_file(pytester):
    """Nothing is made up here: an empty folder but for one test, and one built-in case."""
    pytester.makepyfile(
        test_own="import torch\ndef test_add(bench): bench(torch.add, torch.ones(9), torch.ones(9))"
    )
    case = "trnbench::elementwise[add-512x1024-fp32-eager-cpu]"
    result = pytester.runpytest_subprocess(
        "--benchmark", "--bench-backend=cpu", "--bench-processes=2", "--bench-budget=0.05",
        "--benchmark-json=x.json", "--bench-label=real", "test_own.py", case,
    )  # fmt: skip
    records = records_of(pytester.path)
    assert set(records) == {"test_add", "elementwise"}
    assert all(len(record.processes) == 2 for record in records.values())
    assert {record.label for record in records.values()} == {"real"}
    assert {record.status for record in records.values()} <= {"OK", "NOT_STEADY"}
    passed = [record for record in records.values() if record.status == "OK"]
    assert result.ret == (0 if len(passed) == 2 else 1)
    outcomes = result.parseoutcomes()
    assert outcomes.get("passed", 0) == len(passed)
    if passed:
        report = json.loads((pytester.path / "x.json").read_text(encoding="utf-8"))
        assert len(report["benchmarks"]) == len(passed)


def test_a_set_up_that_never_ends_is_ended(made_up, monkeypatch):
    # Were the set-up part of the start, this would be its limit.
    monkeypatch.setattr(fixture_cases, "START_TIMEOUT_S", 30.0)
    made_up.pytester.makepyfile("import time\ndef test_asleep(bench): time.sleep(1000)")
    result = made_up("--benchmark", "--bench-timeout=1", "--bench-processes=1", ".")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["TIMEOUT: no end after * in phase 'set-up'; limit 1 s*"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_run_takes_its_children_with_it(pytester):
    pytester.makepyfile(
        """
        import os, pathlib, time

        def test_asleep(bench):
            pathlib.Path("pid.partial").write_text(str(os.getpid()))
            os.rename("pid.partial", "pid")
            time.sleep(300)
        """
    )
    run = pytester.popen(
        [sys.executable, "-m", "pytest", "--benchmark", "--bench-backend=cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pid = pytester.path / "pid"
    try:
        for _ in range(600):
            if pid.exists():
                break
            time.sleep(0.1)
        child = psutil.Process(int(pid.read_text(encoding="utf-8")))
    finally:
        run.kill()
        run.communicate()
    # Whoever inherits the child may leave it a zombie, which runs no more.
    for _ in range(100):
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    child.kill()
    pytest.fail("the child outlived its run")


def test_memory_of_what_a_test_starts_counts(made_up):
    made_up.pytester.makepyfile(
        """
        import subprocess, sys

        HOLD = "import time; held = b'x' * (1 << 30); time.sleep(300)"

        def test_large(bench):
            bench(lambda: subprocess.run([sys.executable, "-c", HOLD]), dtype="fp32")
        """
    )
    result = made_up(
        "--benchmark", "--bench-memory-limit=0.9", "--bench-timeout=30", "--bench-processes=1", "."
    )  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["OUT_OF_MEMORY: resident size reached * limit 0.9 GiB*"])


PRIVATE = """
import pytest

@pytest.mark.parametrize("path", ["/home/anna/model.pt", "/home/bert/model.pt", "plain"])
@pytest.mark.parametrize("limit", [float("inf"), float("nan"), 0.5])
def test_file(bench, path, limit):
    assert bench(int, dtype="fp32", cost={"flops": 1, "source": "/home/anna/notes.md"}) == 0
"""


def test_a_key_holds_what_json_can_and_no_path_of_anybody(pytester):
    options = RunOptions(backends=("cpu",))
    keys = [FixtureCase(item, options).key for item in pytester.getitems(PRIVATE)]
    assert len(keys) == 9
    assert all(
        "anna" not in k.model_dump_json() and "bert" not in k.model_dump_json() for k in keys
    )
    assert [key.params["limit"] for key in keys] == ["inf"] * 3 + ["nan"] * 3 + [0.5] * 3
    assert [key.params["path"] for key in keys[:3]] == [
        "<path>/model.pt #0",
        "<path>/model.pt #1",
        "plain",
    ]
    assert keys[8].configuration == "0.5-plain"
    # What was told apart by its path still is: by parameters, and by name.
    assert len({str(key.params) for key in keys}) == 9
    assert len({key.configuration for key in keys}) == 9


def test_a_test_known_by_a_path_can_be_asked_for_and_its_record_has_none(made_up):
    made_up.pytester.makepyfile(test_own=PRIVATE)
    node = "test_own.py::test_file[inf-/home/anna/model.pt]"
    result = made_up("--benchmark", "--bench-processes=1", "--bench-budget=0.02", node)
    record = records_of(made_up.pytester.path)["test_file"]
    assert record.case.params == {"limit": "inf", "path": "<path>/model.pt #0"}
    assert record.cost.source == "<path>/notes.md"
    assert record.status in ("OK", "NOT_STEADY"), record.failure
    assert "anna" not in record.model_dump_json()
    assert sum(result.parseoutcomes().values()) == 1
