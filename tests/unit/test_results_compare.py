"""Which cases of two runs belong together, and what their ratio says."""

from __future__ import annotations

import io
import json
import math

import pytest
from rich.cells import cell_len
from rich.console import Console

from trnbench.results.compare import SAME_MACHINE, diff, environment_changes, warnings_about
from trnbench.results.difference_table import print_diff
from trnbench.results.record import Status
from trnbench.results.statistics import ratio

A_MEDIANS = (1e-3, 1.1e-3, 0.95e-3)
B_MEDIANS = (2e-3, 2.4e-3, 2.1e-3)


def a_run(make, *names, medians=A_MEDIANS, **changes):
    columns = {k: changes.pop(k) for k in ("mode", "backend", "dtype") if k in changes}
    return [
        make.record(
            make.case(configuration=name, params={"op": "mm", "m": size}, **columns),
            medians=medians,
            **changes,
        )
        for size, name in enumerate(names)
    ]


def test_common_missing_and_new_cases(make):
    a = a_run(make, "one", "two", "three")
    b = [*a_run(make, "one", "two", medians=B_MEDIANS)[::-1], make.record(make.case(dtype="bf16"))]

    rows = diff(a, b)

    assert [(row.configuration, row.dtype, row.presence) for row in rows] == [
        ("one", "fp32", "both"),
        ("two", "fp32", "both"),
        ("three", "fp32", "missing"),
        ("square-512", "bf16", "new"),
    ]
    assert rows[2].b is None
    assert rows[3].a is None
    assert rows[2].ratio is None


def test_the_ratio_is_of_times_with_its_interval_from_process_medians(make):
    (row,) = diff(a_run(make, "x"), a_run(make, "x", medians=B_MEDIANS))
    expected = ratio(A_MEDIANS, B_MEDIANS)

    assert row.regime == "sustained"
    assert (row.ratio, row.low, row.high) == pytest.approx(tuple(expected), rel=1e-5)
    assert row.a.time_s == pytest.approx(math.prod(A_MEDIANS) ** (1 / 3), rel=1e-5)
    assert row.overlap is False
    (same,) = diff(a_run(make, "x"), a_run(make, "x"))
    assert same.ratio == pytest.approx(1)
    assert same.overlap is True


def test_there_is_no_verdict(make):
    (row,) = diff(a_run(make, "x"), a_run(make, "x", medians=B_MEDIANS))

    assert "verdict" not in row.to_dict()


def test_rows_go_through_json(make):
    rows = diff(a_run(make, "x", "gone"), a_run(make, "x", medians=B_MEDIANS))
    back = json.loads(json.dumps([row.to_dict() for row in rows]))

    assert back[0]["params"] == {"op": "mm", "m": 0}
    assert back[0]["workload"] == "matmul"
    assert back[0]["ratio"] == pytest.approx(rows[0].ratio)
    assert back[0]["b"]["status"] == "OK"
    assert back[1]["b"] is None


def test_one_value_in_three_types_is_three_cases(make):
    a = [make.record(make.case(params={"p": value})) for value in (1, True, 1.0)]

    rows = diff(a, a)

    assert [row.presence for row in rows] == ["both"] * 3


def test_a_renamed_configuration_is_the_same_work(make):
    (row,) = diff(a_run(make, "old"), a_run(make, "new"))

    assert row.presence == "both"
    assert (row.a.configuration, row.b.configuration) == ("old", "new")


def test_configurations_without_parameters_are_told_apart_by_name(make):
    def run(*names):
        return [make.record(make.case(configuration=n, params={})) for n in names]

    rows = diff(run("test_a", "test_b"), run("test_b", "test_a"))

    assert [(row.a.configuration, row.b.configuration) for row in rows] == [
        ("test_a", "test_a"),
        ("test_b", "test_b"),
    ]


def test_other_hardware_is_aligned_across_backends_and_uncompiled_modes(make):
    a = a_run(make, "x", backend="cpu") + a_run(make, "x", backend="cpu", mode="compiled")
    b = a_run(make, "x", backend="neuron-xla", mode="lazy")

    rows = diff(a, b)

    assert [(row.presence, row.mode) for row in rows] == [
        ("both", "eager"),
        ("missing", "compiled"),
    ]
    assert (rows[0].a.backend, rows[0].b.backend) == ("cpu", "neuron-xla")


def test_a_backend_that_both_runs_have_is_compared_with_itself(make):
    a = a_run(make, "x", backend="cpu") + a_run(make, "x", backend="cuda")
    b = a_run(make, "x", backend="cuda") + a_run(make, "x", backend="cpu")

    rows = diff(a, b)

    assert [(row.a.backend, row.b.backend) for row in rows] == [("cpu", "cpu"), ("cuda", "cuda")]


def test_another_dtype_or_phase_is_another_case(make):
    a = [make.record(), make.record(make.case(phase="training"))]
    b = [make.record(make.case(dtype="bf16"))]

    assert {row.presence for row in diff(a, b)} == {"missing", "new"}


def test_a_published_case_has_a_row_for_each_counterpart(make):
    a = [make.record()]
    b = [
        make.record(
            make.case(configuration=name, mode=mode, backend="published"),
            medians=(5e-4,),
            origin="published",
        ).model_copy(update={"processes": []})
        for name, mode in (("row-1", "kernel"), ("row-2", "lazy"))
    ]

    rows = diff(a, b)

    assert [row.b.configuration for row in rows] == ["row-1", "row-2"]
    assert rows[0].ratio == pytest.approx(5e-4 / a[0].summary.sustained.value)
    assert (rows[0].low, rows[0].high) == (None, None)
    assert any("measured" in said and "published" in said for said in warnings_about(a, b))


def test_the_expected_ratio_is_of_the_floors_of_the_specification(make):
    a = a_run(make, "x", roofs=[make.roof("derived", 1e-3), make.roof("attained", 1.5e-3)])
    b = a_run(make, "x", roofs=[make.roof("datasheet", 1e-5), make.roof("engine", 2e-5)])

    (row,) = diff(a, b)

    assert row.expected_ratio == pytest.approx(0.01)
    assert row.expected == {"specification": pytest.approx(0.01)}
    assert row.expected_reason == ""
    (same,) = diff(b, b)
    assert same.expected == {"specification": 1, "engine": 1}


def test_an_expected_ratio_that_isn_t_known_has_its_reason(make):
    unknown = make.roof("derived", None, None, None, "DRAM's peak isn't known")
    a = a_run(make, "x", roofs=[unknown, make.roof("attained", 2e-3)])
    b = a_run(make, "x", roofs=[make.roof("attained", 1e-3)])

    (row,) = diff(a, b)

    assert row.expected_ratio is None
    assert row.expected_reason == "A: DRAM's peak isn't known; B: no roof of its specification"
    assert row.expected == {"attained": pytest.approx(0.5)}


def test_a_change_of_status_is_noted_and_has_no_ratio(make):
    a = a_run(make, "x", flags=[])
    b = a_run(make, "x", status=Status.TIMEOUT, flags=[])

    (row,) = diff(a, b)

    assert row.ratio is None
    assert row.notes == ["status: OK -> TIMEOUT"]
    assert row.b.status == "TIMEOUT"


def test_two_runs_of_one_machine_are_no_gate(make):
    here, there = a_run(make, "x"), a_run(make, "x", environment=make.environment(machine="other"))

    assert warnings_about(here, here) == [SAME_MACHINE]
    assert warnings_about(here, there) == []


def test_what_changed_in_the_environment_is_listed(make):
    b = a_run(
        make,
        "x",
        environment=make.environment(threads=1, versions={"torch": "2.14.0", "nki": "1"}),
    )

    assert environment_changes(a_run(make, "x"), b) == [
        "nki: none -> 1",
        "threads: 2 -> 1",
        "torch: 2.13.0 -> 2.14.0",
    ]
    assert environment_changes(b, a_run(make, "x", environment=None)) == []


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_holds_ratios_expectations_and_the_rest(make, width):
    roofs = [make.roof("derived", 1e-3, 0.5)]
    a = a_run(make, "a-long-name-of-a-configuration", "gone", roofs=roofs)
    refused = make.case(configuration="refused")
    a.append(make.record(refused, status=Status.UNSUPPORTED))
    b = a_run(
        make,
        "a-long-name-of-a-configuration",
        medians=B_MEDIANS,
        roofs=[make.roof("datasheet", 2.5e-4, 0.25)],
    )
    b.append(make.record(refused, status=Status.UNSUPPORTED))
    b.append(make.record(make.case(dtype="int8")))
    rows = diff(a, b)
    stream = io.StringIO()

    print_diff(rows, a, b, Console(file=stream, width=width, force_terminal=False))
    text = stream.getvalue()

    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    (line,) = [line for line in text.splitlines() if "ms" in line and line.startswith("matmul")]
    for figure in ("1.01 ms", "2.16 ms", "2.13", "0.250", "50 % s", "25 % s"):
        assert figure in line
    assert "only in A: matmul[gone-fp32-eager-cpu]" in text
    assert "only in B: matmul[square-512-int8-eager-cpu]" in text
    flat = " ".join(text.split())
    assert "2 common cases, 1 only in A, 1 only in B; 1 without a result in either" in flat
    assert SAME_MACHINE in flat


def test_runs_without_a_common_case_still_print(make):
    a, b = a_run(make, "x"), [make.record(make.case(dtype="int8"))]
    stream = io.StringIO()

    print_diff(diff(a, b), a, b, Console(file=stream, width=80))
    print_diff(diff([], b), [], b, Console(file=stream, width=80))

    assert "0 common cases" in stream.getvalue()
