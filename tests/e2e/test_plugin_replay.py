"""pytest-benchmark as a reader of our samples: its files, its comparison, its table."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

FP32 = "trnbench::matmul[square-512-fp32-eager-cpu]"
BF16 = "trnbench::matmul[square-512-bf16-eager-cpu]"
PROCESSES, SAMPLES = 3, 10


@pytest.fixture
def report(made_up):
    """The JSON that pytest-benchmark writes of a run of two cases, one of which failed."""

    def make(*arguments):
        made_up(
            "--benchmark", FP32, BF16, "--benchmark-json=x.json", *arguments,
            statuses={BF16: "CRASHED"},
        )  # fmt: skip
        return json.loads((made_up.pytester.path / "x.json").read_text(encoding="utf-8"))

    return make


def test_json_holds_the_samples_and_the_case(report):
    [benchmark] = report()["benchmarks"]
    assert benchmark["fullname"] == FP32
    assert benchmark["group"] == "matmul"
    data = benchmark["stats"]["data"]
    assert len(data) == PROCESSES * SAMPLES
    # Two calls of 2 ms a sample, in steps of 100 ns a sample and 1000 ns a process.
    expected = [2e-3 + (p * 1000 + i * 100) / 2 * 1e-9 for p in range(3) for i in range(10)]
    assert data == pytest.approx(expected, rel=1e-9)
    assert benchmark["stats"]["rounds"] == PROCESSES * SAMPLES
    assert benchmark["stats"]["min"] == pytest.approx(2e-3, rel=1e-9)
    assert benchmark["stats"]["max"] == pytest.approx(2.00145e-3, rel=1e-9)
    extra = benchmark["extra_info"]
    assert {k: extra[k] for k in ("workload", "configuration", "dtype", "mode", "backend")} == {
        "workload": "matmul",
        "configuration": "square-512",
        "dtype": "fp32",
        "mode": "eager",
        "backend": "cpu",
    }
    assert extra["run"] == "made-up"
    assert extra["status"] == "OK"
    assert extra["unit"] == "seconds per call"


def test_no_host_name_in_the_file(report, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "host-of-a-person")
    machine = report()["machine_info"]
    assert machine["machine"] == platform.machine()
    assert "node" not in machine
    assert "host-of-a-person" not in json.dumps(machine)


def test_compare_reads_the_file(report, made_up):
    report()
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "x.json", "--columns=median,rounds"],
        cwd=made_up.pytester.path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    [row] = [line for line in done.stdout.splitlines() if "square-512" in line]
    assert "fp32" in row
    assert str(PROCESSES * SAMPLES) in row.split()


def test_autosave_and_save_data(made_up):
    made_up("--benchmark", FP32, "--benchmark-autosave", "--benchmark-save-data")
    [saved] = (made_up.pytester.path / ".benchmarks").rglob("*.json")
    [benchmark] = json.loads(saved.read_text(encoding="utf-8"))["benchmarks"]
    assert len(benchmark["stats"]["data"]) == PROCESSES * SAMPLES


def has_their_table(result):
    return any("Name (time in" in line for line in result.outlines)


def test_their_table_is_off_unless_asked_for(made_up):
    assert not has_their_table(made_up("--benchmark", FP32))
    assert has_their_table(made_up("--benchmark", FP32, "--benchmark-sort=name"))
    grouped = made_up("--benchmark", FP32, BF16, "--benchmark-group-by=param:dtype")
    assert has_their_table(grouped)
    assert [line for line in grouped.outlines if "dtype=bf16" in line]


def test_their_own_benchmarks_keep_their_table(made_up):
    made_up.pytester.makepyfile("def test_theirs(benchmark): benchmark(len, 'ab')")
    result = made_up("--benchmark", "--bench-with-tests", "-k", "theirs or square-512-fp32")
    result.assert_outcomes(passed=2, deselected=len(made_up.listed()) - 1)
    rows = [line for line in result.outlines if line.startswith(("test_theirs ", "matmul["))]
    assert len(rows) == 1
    assert rows[0].startswith("test_theirs")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "no:benchmark"),
        ("--benchmark-disable",),
        ("--benchmark-skip",),
        ("--benchmark-only",),
    ],
)
def test_our_cases_run_whatever_theirs_is_told(made_up, arguments):
    result = made_up("--benchmark", FP32, *arguments)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
