"""There and back through the real programs: pytest-benchmark and torch.utils.benchmark."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from trnbench.bench.export import run_export_command
from trnbench.bench.import_results import run_import_command
from trnbench.results.fold import fold
from trnbench.results.record import CaseKey, ProcessOutcome, Record, Samples, Status
from trnbench.results.store import read_records

THEIR_TESTS = """\
import pytest

@pytest.mark.parametrize("count", [10, 1000])
def test_sum(benchmark, count):
    benchmark.extra_info["count"] = count
    benchmark(sum, range(count))

@pytest.mark.benchmark(group="named")
def test_sort(benchmark):
    benchmark.pedantic(sorted, args=([3, 1, 2] * 100,), rounds=30, iterations=5)
"""
#: Everything that the comparison can print.
COLUMNS = "min,max,mean,stddev,median,iqr,ops,outliers,rounds,iterations"


def run_python(folder, *arguments):
    environment = os.environ | {"PYTEST_ADDOPTS": "", "COLUMNS": "500"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compared(folder, *names):
    """What ``pytest-benchmark compare`` prints of each file: test -> its figures as text.

    Relative scores stand in brackets behind the figures, and are left out.
    """
    code = "import sys; from pytest_benchmark.cli import main; sys.exit(main())"
    arguments = ("compare", *names, f"--columns={COLUMNS}", "--sort=fullname", "--time-unit=ns")
    printed = run_python(folder, "-c", code, *arguments)
    rows = {}
    for line in printed.splitlines():
        match = re.match(r"(\S+)\s+\((\w+)\)\s+(.+)", line)
        if match:
            test, file, figures = match.groups()
            rows[file, test] = re.sub(r"\([^)]*\)", "", figures).split()
    return rows


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A folder with ``theirs.json``, which the real pytest-benchmark made."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "test_theirs.py").write_text(THEIR_TESTS)
    options = ("--benchmark-json=theirs.json", "--benchmark-max-time=0.05")
    run_python(
        folder, "-m", "pytest", "-q", "-p", "no:trnbench", "-p", "no:cacheprovider", *options
    )
    return folder


def bring_and_send(folder, given, back):
    run_import_command(folder / given, None, folder / f"{back}.jsonl", folder)
    run_export_command(
        [str(folder / f"{back}.jsonl")], "pytest-benchmark", folder / f"{back}.json", folder
    )


def test_theirs_comes_back_with_every_statistic(theirs):
    bring_and_send(theirs, "theirs.json", "back")

    rows = compared(theirs, "theirs.json", "back.json")

    tests = {test for _, test in rows}
    assert tests == {"test_sum[10]", "test_sum[1000]", "test_sort"}
    for test in tests:
        assert rows["back", test] == rows["theirs", test], test
        assert len(rows["back", test]) == len(COLUMNS.split(","))


def test_theirs_comes_back_entry_for_entry(theirs):
    bring_and_send(theirs, "theirs.json", "again")

    before, after = (
        {
            entry["fullname"]: entry
            for entry in json.loads((theirs / name).read_text())["benchmarks"]
        }
        for name in ("theirs.json", "again.json")
    )

    assert before.keys() == after.keys()
    for name, entry in before.items():
        # Times are whole nanoseconds a round here.
        rounds, ours = entry["stats"].pop("data"), after[name]["stats"].pop("data")
        calls = entry["stats"]["iterations"]
        assert ours == pytest.approx(rounds, abs=0.51e-9 / calls, rel=1e-12)
        assert after[name] == entry


def test_a_file_saved_without_rounds_comes_back_too(theirs):
    content = json.loads((theirs / "theirs.json").read_text())
    for entry in content["benchmarks"]:
        del entry["stats"]["data"]
    (theirs / "saved.json").write_text(json.dumps(content))

    bring_and_send(theirs, "saved.json", "returned")
    rows = compared(theirs, "saved.json", "returned.json")

    assert rows["returned", "test_sort"] == rows["saved", "test_sort"]


def a_run(folder, run, scale=1.0):
    """A run of two cases and two processes, one of which failed, as a file."""
    lines = []
    for configuration, status in (("a", Status.OK), ("b", Status.OK), ("c", Status.CRASHED)):
        case = CaseKey(
            workload="matmul",
            configuration=configuration,
            params={"m": 8},
            phase="forward",
            dtype="fp32",
            mode="eager",
            backend="cpu",
        )
        outcomes = [
            ProcessOutcome(
                process=number,
                position=0,
                status=status,
                duration_s=1.0,
                isolated=_samples(scale, number) if status is Status.OK else None,
                sustained=_samples(scale, number) if status is Status.OK else None,
            )
            for number in range(2)
        ]
        folded = fold(case, outcomes)
        record = Record(
            run=run,
            origin="measured",
            time="2026-11-22T02:17:33+00:00",
            status=folded.status,
            status_counts=folded.status_counts,
            case=case,
            summary=folded.summary,
            processes=outcomes,
        )
        lines.append(record.model_dump_json() + "\n")
    path = folder / f"{run}.jsonl"
    path.write_text("".join(lines))
    return path


def _samples(scale, process):
    walls = [round(scale * (1_000_000 + 1000 * n + 500 * process)) for n in range(10)]
    return Samples(calls=2, wall_ns=walls, cpu_ns=walls, involuntary_switches=[0] * 10)


def test_pytest_benchmark_compares_two_runs_of_ours(tmp_path):
    for run, scale in (("one", 1.0), ("two", 2.0)):
        path = a_run(tmp_path, run, scale)
        run_export_command([str(path)], "pytest-benchmark", tmp_path / f"{run}.json", tmp_path)

    rows = compared(tmp_path, "one.json", "two.json")

    names = {f"matmul[{configuration}-fp32-eager-cpu]" for configuration in "ab"}
    assert {test for _, test in rows} == names
    first = rows["one", "matmul[a-fp32-eager-cpu]"]
    second = rows["two", "matmul[a-fp32-eager-cpu]"]
    minimum, rounds = (float(first[0].replace(",", "")), int(first[-2]))
    assert (minimum, rounds) == (pytest.approx(500_000), 20)
    assert float(second[0].replace(",", "")) == pytest.approx(1_000_000)


def test_ours_comes_back_as_the_same_cases(tmp_path):
    path = a_run(tmp_path, "one")
    run_export_command([str(path)], "pytest-benchmark", tmp_path / "out.json", tmp_path)
    run_import_command(tmp_path / "out.json", None, tmp_path / "in.jsonl", tmp_path)

    before = {r.case.configuration: r for r in read_records(path).records if r.status == "OK"}
    after = {r.case.configuration: r for r in read_records(tmp_path / "in.jsonl").records}

    assert before.keys() == after.keys()
    for name, record in after.items():
        assert record.case == before[name].case
        own = [wall for p in before[name].processes for wall in p.isolated.wall_ns]
        (process,) = record.processes
        assert process.isolated.wall_ns == [round(wall / 2) for wall in own]


def test_what_the_page_tells_users_of_torch_works(tmp_path):
    """The lines of docs/exchange.md that write Measurements as JSON, run as they stand there."""
    page = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "snippet.py").write_text(snippet)

    run_python(tmp_path, "snippet.py")
    run_import_command(tmp_path / "measurements.json", None, tmp_path / "in.jsonl", tmp_path)

    records = read_records(tmp_path / "in.jsonl").records
    assert records
    assert all(record.status == "OK" and record.summary.sustained.value > 0 for record in records)


def test_torch_s_own_objects_are_what_is_read(tmp_path):
    benchmark = pytest.importorskip("torch.utils.benchmark")
    measured = benchmark.Timer("sum(range(100))", label="sum").timeit(50)
    (tmp_path / "x.json").write_text(json.dumps([asdict(measured)]))

    run_import_command(tmp_path / "x.json", None, tmp_path / "in.jsonl", tmp_path)

    (record,) = read_records(tmp_path / "in.jsonl").records
    assert record.summary.sustained.value == pytest.approx(measured.median, rel=1e-3)
