"""What `pytest --benchmark` collects and reports: the real pytest, records that are made up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

FP32 = "trnbench::matmul[square-512-fp32-eager-cpu]"
BF16 = "trnbench::matmul[square-512-bf16-eager-cpu]"
SKINNY = "trnbench::matmul[skinny-m1-fp32-eager-cpu]"


def name_of(node):
    return node.removeprefix("trnbench::")


def test_node_ids_are_listed_and_can_be_pasted_back(made_up):
    listed = made_up.listed()
    assert len(listed) == len(set(listed)) > 40
    assert {FP32, BF16, SKINNY} <= set(listed)
    assert made_up.asked is None

    result = made_up("--benchmark", SKINNY, FP32, FP32)

    result.assert_outcomes(passed=2)
    assert made_up.asked == [name_of(SKINNY), name_of(FP32)]
    assert result.ret == 0


def test_a_family_can_be_named(made_up):
    listed = made_up.listed()
    family = made_up.listed("trnbench::matmul")
    assert family == [node for node in listed if node.startswith("trnbench::matmul[")]
    assert len(family) > 3
    assert made_up.listed("trnbench::") == listed


def test_a_pasted_case_is_found_in_a_larger_preset(made_up):
    quick = made_up.listed("trnbench::matmul")
    full = made_up.listed("--bench-preset=full", "trnbench::matmul")
    beyond = [node for node in full if node not in quick]
    assert beyond

    made_up("--benchmark", beyond[0]).assert_outcomes(passed=1)

    assert made_up.asked == [name_of(beyond[0])]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("matmull", "matmul"),
        ("matmul[square-512-fp32-eager-cpuu]", "matmul[square-512-fp32-eager-cpu]"),
    ],
)
def test_an_unknown_case_is_a_usage_error_that_names_close_ones(made_up, name, near):
    result = made_up("--benchmark", f"trnbench::{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [error] = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert f"'trnbench::{name}'" in error
    assert near in error.split("Close to it:")[1]
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_case_without_benchmark_says_what_to_add(made_up):
    result = made_up(FP32)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *is a benchmark*add --benchmark"])


def test_outcomes_come_from_the_records(made_up):
    statuses = {BF16: "TIMEOUT", SKINNY: "UNSUPPORTED"}
    result = made_up("--benchmark", FP32, BF16, SKINNY, "-rs", statuses=statuses)
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "TIMEOUT: made up TIMEOUT; mend the test",
            "SKIPPED * trnbench: UNSUPPORTED: made up UNSUPPORTED; mend the test",
        ]
    )
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    "status",
    ["CRASHED", "OUT_OF_MEMORY", "NUMERIC_MISMATCH", "NOT_STEADY", "BUILD_ERROR", "ABOVE_ROOF"],
)
def test_every_other_status_is_a_failed_item(made_up, status):
    result = made_up("--benchmark", BF16, statuses={BF16: status})
    result.assert_outcomes(failed=1)
    assert result.ret == 1


def test_k_selects(made_up):
    others = len(made_up.listed()) - 2
    result = made_up("--benchmark", "-k", "matmul and square-512 and not int8")
    result.assert_outcomes(passed=2, deselected=others)
    assert made_up.asked == [name_of(FP32), name_of(BF16)]


def test_m_selects(made_up):
    result = made_up("--benchmark", "-m", "matmul and bf16", "--strict-markers")
    assert result.ret == 0
    assert len(made_up.asked) > 1
    assert all(re.match(r"matmul\[.*-bf16-", name) for name in made_up.asked)
    made_up("--benchmark", "-m", "training")
    assert made_up.asked
    assert {name.partition("[")[0] for name in made_up.asked} == {"decoder", "mlp_training"}
    result = made_up("--benchmark", "-m", "not trnbench")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_first_failure_stops_the_reports(made_up):
    result = made_up("--benchmark", FP32, BF16, SKINNY, "-x", statuses={BF16: "CRASHED"})
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    assert result.ret == 1


def test_last_failed_runs_what_failed(made_up):
    others = len(made_up.listed()) - 2
    made_up("--benchmark", statuses={BF16: "CRASHED", SKINNY: "TIMEOUT"})
    made_up("--benchmark", "--lf").assert_outcomes(passed=2, deselected=others)
    assert set(made_up.asked) == {name_of(BF16), name_of(SKINNY)}


def test_last_failed_keeps_cases_beside_a_failed_file(made_up):
    """Pytest passes over files in which nothing failed; our collector is none of them."""
    made_up.pytester.makepyfile(test_broken="def test_broken(): assert False")
    made_up("--benchmark", "--bench-with-tests", "-k", "broken or 512", statuses={BF16: "CRASHED"})
    made_up("--benchmark", "--bench-with-tests", "--lf").assert_outcomes(
        passed=1, failed=1, deselected=len(made_up.listed()) - 1
    )


def test_deselect(made_up):
    made_up("--benchmark", "trnbench::matmul", f"--deselect={FP32}")
    assert name_of(FP32) not in made_up.asked
    assert name_of(BF16) in made_up.asked


def test_junit_and_durations_hold_the_measured_time(made_up):
    result = made_up("--benchmark", FP32, BF16, "--junit-xml=junit.xml", "--durations=1")
    result.stdout.fnmatch_lines(["21.00s call *trnbench::matmul*"])
    cases = list(ET.parse(made_up.pytester.path / "junit.xml").iter("testcase"))
    assert [case.get("name") for case in cases] == [name_of(FP32), name_of(BF16)]
    for case in cases:
        assert float(case.get("time")) == pytest.approx(21.0, abs=1.0)


def test_interrupt_ends_as_pytest_users_expect(made_up):
    result = made_up("--benchmark", FP32, statuses={FP32: "interrupt"})
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_the_summary_stands_before_the_closing_line(made_up):
    lines = made_up("--benchmark", FP32).outlines
    summary = next(i for i, line in enumerate(lines) if re.fullmatch(r"=+ trnbench =+", line))
    assert any(line.endswith("results/runs/made-up.jsonl") for line in lines[summary:])
    assert re.fullmatch(r"=+ 1 passed in .*=+", lines[-1])


def test_progress_is_drawn_as_loud_as_pytest_is(made_up):
    def progress(*arguments):
        lines = made_up("--benchmark", FP32, BF16, *arguments).outlines
        return [line for line in lines if line.startswith("trnbench: ") and "preset" not in line]

    assert progress("-q") == []
    assert progress() == [
        "trnbench: measuring 2 cases in 3 processes",
        f"trnbench: [6/6], now at {name_of(BF16)}",
    ]
    assert len(progress("-v")) == 7


# -------------------------------------------------------------------- beside a user's own tests


@pytest.fixture
def own_project(made_up):
    """A user's project with rooms that are named like ours, and a conftest of its own."""
    pytester = made_up.pytester
    for room in ("models", "bench", "results", "backends", "specs"):
        folder = pytester.mkpydir(room)
        (folder / "net.py").write_text(f"ROOM = {room!r}\n", encoding="utf-8")
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers --strict-config\ntestpaths = checks\n"
        "pythonpath = .\nfilterwarnings = error\n"
    )
    pytester.makeconftest(
        "import pytest\n"
        "@pytest.fixture(autouse=True)\n"
        "def own(request):\n"
        "    assert request.module.__name__\n"
    )
    checks = pytester.mkdir("checks")
    (checks / "test_own.py").write_text(
        "import bench.net, models.net, results.net, backends.net, specs.net\n"
        "def test_own_rooms():\n"
        "    assert models.net.ROOM == 'models' and bench.net.ROOM == 'bench'\n",
        encoding="utf-8",
    )
    return made_up


def test_plain_pytest_runs_no_benchmark(own_project):
    result = own_project()
    result.assert_outcomes(passed=1)
    assert "trnbench:" not in result.stdout.str()
    assert own_project.asked is None
    assert not (own_project.pytester.path / "results" / "runs").exists()


def test_benchmark_leaves_the_users_tests_out(own_project):
    cases = len(own_project.listed())
    assert cases > 40
    own_project("--benchmark").assert_outcomes(passed=cases, deselected=1)
    own_project("--benchmark", FP32).assert_outcomes(passed=1)


def test_with_tests_keeps_them(own_project):
    cases = len(own_project.listed())
    own_project("--benchmark", "--bench-with-tests").assert_outcomes(passed=cases + 1)


def test_paths_leave_the_built_in_cases_out(own_project):
    result = own_project("--benchmark", "checks")
    result.assert_outcomes(deselected=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert own_project.asked is None
    own_project("--benchmark", "--bench-with-tests", "checks", FP32).assert_outcomes(passed=2)


def test_a_collection_error_is_not_measured_over(own_project):
    broken = own_project.pytester.path / "checks" / "test_broken.py"
    broken.write_text("import nothing_of_that_name\n", encoding="utf-8")
    result = own_project("--benchmark")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert own_project.asked is None


def test_a_foreign_fixture_of_the_same_name_is_left_alone(own_project):
    theirs = own_project.pytester.path / "checks" / "test_own.py"
    theirs.write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def bench(): return 3\n"
        "def test_theirs(bench): assert bench == 3\n",
        encoding="utf-8",
    )
    own_project("--benchmark", "checks").assert_outcomes(deselected=1)
    own_project("checks").assert_outcomes(passed=1)


def test_a_registered_workload_is_a_case(made_up):
    made_up.pytester.makepyfile(
        own_workloads="""
        from trnbench import bench_case

        @bench_case(params=[{"rows": 4}, {"rows": 8}], dtypes=("fp32", "bf16"))
        def doubling(params, dtype, seed):
            import torch
            return torch.mul, (torch.ones(params["rows"]), torch.tensor(2.0))
        """
    )
    # In a process of its own: a registered family stays registered.
    result = made_up.pytester.runpytest_subprocess(
        "--benchmark", "--bench-backend=cpu", "--co", "-q", "--bench-load=own_workloads",
        "trnbench::doubling",
    )  # fmt: skip
    assert [line for line in result.outlines if "::" in line] == [
        f"trnbench::doubling[rows{rows}-{dtype}-eager-cpu]"
        for rows in (4, 8)
        for dtype in ("fp32", "bf16")
    ]


def test_in_a_checkout_the_project_s_own_tests_are_left_alone(tmp_path):
    """They want packages that a measurement doesn't, and would end the collection."""
    (tmp_path / "yaml.py").write_text("raise ModuleNotFoundError('not installed')")
    arguments = ("--benchmark", "--collect-only", "-q", "-p", "no:cacheprovider")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    names = [line for line in done.stdout.splitlines() if "::" in line]
    assert done.returncode == 0, done.stdout + done.stderr
    assert names
    assert all(name.startswith("trnbench::") for name in names)
