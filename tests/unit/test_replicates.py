"""Several runs of a side: which of them a row is made of, and what is said of the others."""

from __future__ import annotations

import math

import pytest

from trnbench.results.axes import split_by
from trnbench.results.compare import LEFT_ASIDE, compare
from trnbench.results.frame import frame_of
from trnbench.results.record import Status
from trnbench.results.replicates import fold_runs
from trnbench.results.verdict import Rules

QUIET = (1e-3, 1.001e-3, 0.999e-3)
NOISY = (1e-3, 1.2e-3, 0.8e-3)


def run_id(number, day=10):
    return f"202611{day:02d}T0000{number:02d}Z-aaaaaa"


@pytest.fixture
def record(make):
    def build(number=0, factor=1.0, medians=QUIET, day=10, case=None, **changes):
        return make.record(
            case or make.case(),
            run=run_id(number, day),
            time=f"2026-11-{day:02d}T00:00:{number:02d}Z",
            medians=tuple(factor * median for median in medians),
            **changes,
        )

    return build


def failed(record, *arguments, status=Status.NUMERIC_MISMATCH, **changes):
    return record(*arguments, **changes).model_copy(update={"status": status})


def rows_of(a, b, **options):
    return compare(frame_of(a), frame_of(b), **options).rows()


def test_a_run_in_two_files_is_one_run(record):
    a, b = [record(0, medians=NOISY)] * 2, [record(0, 1.05, medians=NOISY, day=11)] * 2

    (row,) = rows_of(a, b, rules=Rules(between_runs=1))
    (once,) = rows_of(a[:1], b[:1], rules=Rules(between_runs=1))

    assert (row.a.runs, row.b.runs) == (1, 1)
    assert row == once
    assert row.verdict == "UNDECIDED"


def test_runs_of_two_chips_are_two_rows(record, make):
    chips = {
        chip: make.device(name=chip, chip=chip, share=0.5) for chip in ("trainium1", "trainium2")
    }
    a = [
        record(0, device=chips["trainium1"]),
        record(1, 0.25, device=chips["trainium2"]),
        record(2, 1.01, device=chips["trainium1"]),
    ]

    folded = fold_runs(frame_of(a))
    b = [record(0, 0.25, day=11, device=chips["trainium2"])]
    comparison = compare(frame_of(a), frame_of(b))

    assert list(folded["chip"]) == ["trainium1", "trainium2"]
    assert list(folded["runs"]) == [2, 1]
    assert folded["sustained_s"][0] == pytest.approx(1e-3 * math.sqrt(1.01), rel=1e-5)
    # Each chip is held against itself. What only A has is no missing case, and isn't hidden.
    assert [(row.verdict, row.a.chip) for row in comparison.rows()] == [("SAME", "trainium2")]
    assert comparison.rows()[0].ratio == pytest.approx(1.0)
    assert not any("of the" in note for note in comparison.rows()[0].notes)
    assert LEFT_ASIDE.format(1, 0) in comparison.warnings


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_case_that_failed_in_one_of_three_runs_has_failed(record, order):
    runs = [failed(record, 0, day=11), record(1, day=11), record(2, day=11)]

    (row,) = rows_of([record(n) for n in range(3)], [runs[place] for place in order])

    assert row.verdict == "NEWLY_FAILING"
    assert row.b.status == Status.NUMERIC_MISMATCH
    assert "1 of 3 runs of B didn't end OK, at worst NUMERIC_MISMATCH" in row.notes


@pytest.mark.parametrize("status", [Status.NOT_STEADY, Status.SKIPPED])
def test_a_run_without_a_time_leaves_those_of_the_others(record, status):
    runs = [record(0, day=11), record(1, 1.01, day=11), failed(record, 2, day=11, status=status)]

    (row,) = rows_of([record(0), record(1, 1.01)], runs)

    assert (row.verdict, row.b.status, row.b.runs) == ("UNDECIDED", "OK", 2)
    assert "1 of 3 runs of B didn't end OK" in row.notes


def test_the_worst_of_several_failures_stands(record):
    b = [
        failed(record, 0, day=11, status=Status.CRASHED),
        failed(record, 1, day=11),
        record(2, day=11),
    ]

    (row,) = rows_of([record()], b)

    assert row.b.status == Status.CRASHED
    assert "2 of 3 runs of B didn't end OK, at worst CRASHED" in row.notes


def test_a_case_that_only_some_runs_have_is_told(record, make):
    other = make.case(configuration="other", params={"op": "mm", "m": 7})
    b = [record(0, day=11), record(0, day=11, case=other), record(1, day=11), record(2, day=11)]

    rows = rows_of([record(), record(case=other)], b)

    notes = {row.configuration: row.notes for row in rows}
    assert "1 of the 3 runs of B has it" in notes["other"]
    assert not any("has it" in note or "have it" in note for note in notes["square-512"])


def test_a_case_that_failed_before_a_device_answered_is_of_its_run_s_device(record, make):
    there = make.device(name="Trainium2", chip="trainium2", share=0.25)
    b = [
        record(0, day=11, device=there),
        failed(record, 1, day=11, status=Status.CRASHED, device=None),
    ]

    (row,) = rows_of([record(device=there)], b)

    assert (row.verdict, row.b.chip) == ("NEWLY_FAILING", "trainium2")


def test_a_device_that_two_may_be_stays_unknown(record, make):
    devices = [make.device(name=name, chip=name, share=1.0) for name in ("trainium1", "trainium2")]
    frame = frame_of(
        [
            record(0, device=devices[0]),
            record(1, device=devices[1]),
            failed(record, 2, status=Status.CRASHED, device=None),
        ]
    )

    folded = fold_runs(frame)

    assert len(folded) == 3
    assert folded["device"].isna().sum() == 1


def test_one_bad_run_of_the_side_to_judge_by_is_no_reason_to_expect_nothing(record):
    a = [failed(record, 0, status=Status.CRASHED), record(1), record(2), record(3)]
    crashed = [failed(record, n, day=11, status=Status.CRASHED) for n in range(3)]
    slower = [record(n, 2.0, day=11) for n in range(3)]

    (failing,) = rows_of(a, crashed)
    (slow,) = rows_of(a, slower)
    (healed,) = rows_of(crashed, a[1:])

    assert failing.verdict == "NEWLY_FAILING"
    assert (slow.verdict, slow.ratio) == ("SLOWER", pytest.approx(2.0, rel=1e-3))
    assert "1 of 4 runs of A didn't end OK" in slow.notes
    assert healed.verdict == "NEWLY_WORKING"


def test_hosts_of_one_device_are_one_machine(record, make):
    """A GPU in three hosts, and a chip in three: three cases, and three runs of each side."""
    sides = []
    for day, factor, chip in ((10, 1.0, "h100_sxm"), (11, 0.5, "trainium2")):
        there = make.device(name=chip, chip=chip, share=1.0)
        sides.append(
            [
                record(
                    host,
                    factor,
                    day=day,
                    device=there,
                    environment=make.environment(cpu=f"Processor {host}"),
                    case=make.case(configuration=name, params={"name": name}),
                )
                for host in range(3)
                for name in "abc"
            ]
        )

    rows = rows_of(*sides)

    assert [row.verdict for row in rows] == ["FASTER"] * 3
    assert {(row.a.runs, row.b.runs) for row in rows} == {(3, 3)}


def test_an_axis_is_held_against_itself_on_each_device(record, make):
    """Two processors of which each gains as much by four threads."""
    runs = [
        record(
            number,
            speed / gain,
            device=make.device(name=name),
            environment=make.environment(cpu=name, threads=threads),
        )
        for number, (name, speed, threads, gain) in enumerate(
            (name, speed, threads, gain)
            for name, speed in (("Xeon", 2.0), ("EPYC", 1.0))
            for threads, gain in ((1, 1.0), (4, 4.0))
        )
    ]

    ((_, _, a, b, leave_out),) = split_by(frame_of(runs), "threads")
    rows = compare(a, b, leave_out=leave_out).rows()

    assert [row.ratio for row in rows] == [pytest.approx(0.25, rel=1e-3)] * 2
    assert {(row.a.device, row.b.device) for row in rows} == {("Xeon", "Xeon"), ("EPYC", "EPYC")}
