"""Which cases a coverage run tries, the matrix of what came of them, and two such runs."""

from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from trnbench.bench import coverage as command
from trnbench.bench.coverage import compare_coverage_command, coverage_cases
from trnbench.bench.errors import UsageError
from trnbench.bench.option_values import OptionTexts, read_options
from trnbench.models.registry import families, family
from trnbench.results.coverage import (
    CHANGES,
    MatrixColumn,
    arrange,
    compare_coverage,
    describe_outcome,
    is_working,
    name_operator,
)
from trnbench.results.coverage_table import MEANINGS, print_coverage, print_coverage_changes
from trnbench.results.origin import OriginError
from trnbench.results.record import Failure, Status


def options(tmp_path, **changes):
    given = {"backend": ["cpu"], "processes": "1", "out": str(tmp_path)}
    return read_options(OptionTexts(**given | changes), "--", tmp_path)


def outcome(make, status=Status.OK, op="mm", failure=None, origin="measured", **columns):
    """A record as a check leaves it: no samples."""
    case = make.case(**{"params": {"op": op, "m": 8}, "configuration": f"{op}-8"} | columns)
    said = None
    if status is not Status.OK:
        said = failure or Failure(message=f"it was {status}", mend=f"mend {op}", kind="made up")
    process = make.outcome(0, None, status, failure=said, first_call_ns=2_000_000_000)
    return make.record(case, status=status, failure=said, origin=origin, processes=[process])


def printed(print_it, *arguments, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_it(*arguments, console)
    return console.file.getvalue()


# ---------------------------------------------------------------------- what is tried


def test_every_operator_is_tried_once_in_each_dtype_and_mode(tmp_path):
    cases = coverage_cases(options(tmp_path))

    assert cases
    tried = [(name_operator(case.key()), case.dtype, case.mode) for case in cases]
    wanted = {
        (f"{f.name} {c.params['op']}" if "op" in c.params else f.name, dtype, mode)
        for f in families()
        for c in f.configurations
        for dtype in c.dtypes
        for mode in ("eager", "compiled")
    }
    assert len(tried) == len(set(tried))
    assert wanted <= set(tried)


def test_the_smallest_configuration_is_tried(tmp_path):
    cases = coverage_cases(options(tmp_path, mode=["eager"]))

    assert ("matmul", "int8", "square-512") in {
        (c.workload, c.dtype, c.configuration) for c in cases
    }
    for case in cases:
        one = family(case.workload)
        moved = {
            c.name: one.cost(c.params, c.dtypes[0]).bytes_moved
            for c in one.configurations
            if c.params.get("op") == case.params.get("op") and case.dtype in c.dtypes
        }
        assert moved[case.configuration] == min(moved.values())


def test_dtype_and_mode_keep_only_what_they_name(tmp_path):
    cases = coverage_cases(options(tmp_path, dtype=["bf16,int8"], mode=["compiled"]))

    assert {case.dtype for case in cases} == {"bf16", "int8"}
    assert {case.mode for case in cases} == {"compiled"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backend": ["cpuu"]}, "Did you mean 'cpu'"),
        ({"dtype": ["fp31"]}, "unknown dtype 'fp31'"),
        ({"mode": ["lazily"]}, "unknown mode 'lazily'"),
        ({"mode": ["lazy"]}, "no chosen backend has the mode 'lazy'"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, changes, words):
    with pytest.raises(UsageError) as refusal:
        coverage_cases(options(tmp_path, **changes))
    assert words in str(refusal.value)


def test_nothing_selected_says_so(tmp_path, capsys):
    assert command.run_coverage_command(options(tmp_path), ["no-such-case"], as_json=False) == 5
    assert "trnbench list" in capsys.readouterr().err


# ---------------------------------------------------------------------- the matrix


def test_operators_and_dtypes_go_down_and_modes_across_uncompiled_first(make):
    records = [
        outcome(make, mode="compiled"),
        outcome(make),
        outcome(make, Status.UNSUPPORTED, dtype="bf16"),
        outcome(make, op="bmm", backend="neuron-xla", mode="lazy"),
        outcome(make, op="bmm", backend="neuron-xla", mode="compiled"),
    ]
    matrix = arrange(records)

    assert matrix.columns == [
        MatrixColumn("cpu", "eager"),
        MatrixColumn("cpu", "compiled"),
        MatrixColumn("neuron-xla", "lazy"),
        MatrixColumn("neuron-xla", "compiled"),
    ]
    assert [(row.operator, row.dtype) for row in matrix.rows] == [
        ("matmul mm", "fp32"),
        ("matmul mm", "bf16"),
        ("matmul bmm", "fp32"),
    ]
    assert matrix.rows[1].cells == {MatrixColumn("cpu", "eager"): records[2]}


def test_dtypes_stand_in_one_order_whatever_that_of_the_records(make):
    tried = [("mm", "fp32"), ("mm", "bf16"), ("bmm", "bf16"), ("bmm", "fp32"), ("mm", "int8")]
    matrix = arrange([outcome(make, op=op, dtype=dtype) for op, dtype in tried])

    assert [row.dtype for row in matrix.rows] == ["fp32", "bf16", "int8", "fp32", "bf16"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_configurations_the_worst_stands_in_the_cell(make, order):
    records = [
        outcome(make, configuration="small"),
        outcome(make, Status.CRASHED, configuration="large", params={"op": "mm", "m": 9}),
    ]
    (row,) = arrange(records[::order]).rows

    assert row.cells[MatrixColumn("cpu", "eager")].status is Status.CRASHED


def test_what_works_what_does_not_and_what_says_nothing():
    assert is_working(Status.OK)
    assert is_working(Status.NOT_STEADY)
    assert is_working(Status.BUSY_DEVICE) is None
    fails = {status for status in Status if is_working(status) is False}
    assert fails == {
        Status.UNSUPPORTED,
        Status.FALLBACK_TO_CPU,
        Status.NUMERIC_MISMATCH,
        Status.BUILD_ERROR,
        Status.COMPILE_ERROR,
        Status.RUNTIME_ERROR,
        Status.OUT_OF_MEMORY,
        Status.TIMEOUT,
        Status.CRASHED,
    }
    assert set(MEANINGS) == set(Status)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_printed_matrix_has_signs_words_counts_and_mends(make, tmp_path, width):
    records = [
        outcome(make),
        outcome(make, mode="compiled"),
        outcome(make, Status.COMPILE_ERROR, op="bmm", mode="compiled"),
        outcome(make, Status.UNSUPPORTED, op="bmm"),
        outcome(make, Status.FALLBACK_TO_CPU, op="linear"),
    ]
    text = printed(print_coverage, records, tmp_path / "run.jsonl", width=width)
    flat = " ".join(text.split())

    assert "✓ OK: 2, ran on the device" in flat
    assert "✗ compile error: 1, the compiler" in flat
    assert "- unsupported: 1, the stack has no such" in flat
    assert "✗ fallback to cpu: 1, a part of it ran on the host" in flat
    assert "·: no such case in this run" in flat
    assert "it was COMPILE_ERROR; mend bmm" in flat
    assert "5 cases: 2 work, 1 unsupported, 2 fail" in flat
    assert "run.jsonl" in text
    table = [line for line in text.splitlines() if not line.startswith("records:")]
    assert max(cell_len(line) for line in table) <= width


def test_a_stand_in_has_a_matrix_of_its_own_that_says_so(make, tmp_path):
    records = [outcome(make), outcome(make, op="bmm", backend="neuron", origin="simulated")]
    text = printed(print_coverage, records, tmp_path / "run.jsonl")

    before, _, after = text.partition("SIMULATED")
    assert "matmul mm" in before
    assert "bmm" not in before
    assert "matmul bmm" in after
    assert "matmul mm" not in after


def test_an_outcome_in_json_has_what_the_check_found(make):
    record = outcome(make, Status.COMPILE_ERROR, mode="compiled")
    row = json.loads(json.dumps(describe_outcome(record)))

    assert row["operator"] == "matmul mm"
    assert (row["status"], row["works"]) == ("COMPILE_ERROR", False)
    assert row["failure"]["mend"] == "mend mm"
    assert row["first_call_s"] == 2.0
    assert row["compile_s"] is None
    assert row["fallbacks"] == []


# ---------------------------------------------------------------------- two runs

OK, NO, GONE = Status.OK, Status.UNSUPPORTED, Status.COMPILE_ERROR


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (OK, OK, "still works"),
        (OK, Status.NOT_STEADY, "still works"),
        (NO, OK, "newly works"),
        (Status.CRASHED, OK, "newly works"),
        (OK, GONE, "no longer works"),
        (OK, Status.FALLBACK_TO_CPU, "no longer works"),
        (NO, NO, "still doesn't"),
        (NO, GONE, "changed reason"),
        (OK, Status.BUSY_DEVICE, "can't tell"),
        (Status.SKIPPED, OK, "can't tell"),
    ],
)
def test_what_became_of_a_case(make, before, now, change):
    (found,) = compare_coverage([outcome(make, before)], [outcome(make, now)])

    assert found.change == change
    assert found.a.status is before
    assert found.b.status is now


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ("error 0.123, bound 0.01", "error 4.5e-2, bound 0.01", "still doesn't"),
        ("at 0x7f3a (file.py:12)", "at 0x55bc (file.py:40)", "still doesn't"),
        ("no graph a862954368fdd3c2", "no graph 00ff54368fdd3c2c", "still doesn't"),
        ("no kernel for Half", "no kernel for BFloat", "changed reason"),
        ("no kernel for float16", "no kernel for float8", "changed reason"),
    ],
)
def test_a_reason_changes_with_its_words_and_not_with_its_numbers(make, before, now, change):
    a, b = (
        outcome(make, GONE, failure=Failure(message=message, kind="E")) for message in (before, now)
    )
    (found,) = compare_coverage([a], [b])

    assert found.change == change


def test_changes_come_in_the_order_in_which_a_reader_wants_them(make):
    a = [
        outcome(make),
        outcome(make, NO, op="bmm"),
        outcome(make, op="linear"),
        outcome(make, op="old"),
    ]
    b = [
        outcome(make),
        outcome(make, op="bmm"),
        outcome(make, GONE, op="linear"),
        outcome(make, op="new"),
    ]
    found = [change.change for change in compare_coverage(a, b)]

    assert found == ["no longer works", "newly works", "only in A", "only in B", "still works"]
    assert found == sorted(found, key=CHANGES.index)


def test_another_stack_of_the_same_work_is_compared(make):
    (found,) = compare_coverage(
        [outcome(make, NO, backend="neuron-xla", mode="lazy")],
        [outcome(make, backend="neuron", mode="eager")],
    )
    assert found.change == "newly works"


@pytest.mark.parametrize("side", [0, 1])
def test_a_stand_in_is_never_compared_with_a_device(make, side):
    runs = [[outcome(make)], [outcome(make, origin="simulated")]]

    with pytest.raises(OriginError, match="simulated"):
        compare_coverage(runs[side], runs[1 - side])
    assert compare_coverage(runs[1], runs[1])[0].change == "still works"


def test_what_differs_around_two_runs_stands_above_the_table(make):
    versions = {"torch": "2.13.0", "torch-neuronx": "2.13.1"}
    a = [outcome(make)]
    b = [outcome(make, GONE, op="mm")]
    b = [b[0].model_copy(update={"environment": make.environment(versions=versions)})]
    text = printed(print_coverage_changes, compare_coverage(a, b), a, b)

    above, _, below = text.partition("no longer works")
    assert "torch-neuronx: none -> 2.13.1" in above
    assert "matmul[mm-8-fp32-eager-cpu]" in below
    assert "it was COMPILE_ERROR; mend mm" in below
    assert "1 no longer works" in below


def test_cases_of_one_run_alone_are_named_below_the_table(make):
    a = [outcome(make, op=f"op{number}") for number in range(9)]
    text = printed(print_coverage_changes, compare_coverage(a, a[:1]), a, a[:1])

    assert "only in A: matmul[op1-8-fp32-eager-cpu], " in text
    assert "and 3 more" in " ".join(text.split())
    assert "8 only in A, 1 still works" in " ".join(text.split())


def write_run(folder, name, records):
    (folder / f"{name}.jsonl").write_text(
        "".join(record.model_dump_json() + "\n" for record in records), encoding="utf-8"
    )


def test_the_command_fails_only_where_something_no_longer_works(make, tmp_path, capsys):
    write_run(tmp_path, "old", [outcome(make, NO), outcome(make, GONE, op="bmm")])
    write_run(tmp_path, "new", [outcome(make), outcome(make, GONE, op="bmm")])

    assert compare_coverage_command("old", "new", tmp_path, as_json=False) == 0
    assert "1 newly works" in capsys.readouterr().out
    assert compare_coverage_command("new", "old", tmp_path, as_json=True) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["change"] for row in rows] == ["no longer works", "still doesn't"]
    assert rows[0]["a"]["status"] == "OK"
    assert rows[0]["b"]["failure"]["mend"] == "mend mm"


def test_the_run_command_checks_and_prints(make, tmp_path, capsys, monkeypatch):
    asked = {}

    def measure(cases, options, listener, *, check):
        asked.update(cases=cases, options=options, check=check)
        records = tuple(outcome(make, GONE, op="mm") for _ in cases[:1])
        return type("Result", (), {"records": records, "path": tmp_path / "run.jsonl"})

    monkeypatch.setattr(command, "measure", measure)

    code = command.run_coverage_command(options(tmp_path), ["matmul[square"], as_json=True)
    assert code == 1
    assert asked["check"] is True
    assert asked["options"].processes == 1
    assert {case.workload for case in asked["cases"]} == {"matmul"}
    shown = json.loads(capsys.readouterr().out)
    assert shown["cases"][0]["status"] == "COMPILE_ERROR"
    assert shown["records"].endswith("run.jsonl")
