"""What closes a gate, with which exit code; limits that cases must keep."""

from __future__ import annotations

import pytest

from trnbench.results.compare import compare
from trnbench.results.frame import frame_of
from trnbench.results.gate import CONDITIONS, LIMIT_EXIT_CODE, Gate, findings
from trnbench.results.limits import LimitError, breaches, parse_limit
from trnbench.results.lines import StoreError
from trnbench.results.record import Status

QUIET = (1e-3, 1.001e-3, 0.999e-3)


def run_of(make, run, **cases):
    """A run of cases by name: a factor on the time, or a status."""
    records = []
    for number, (name, what) in enumerate(cases.items()):
        case = make.case(configuration=name, params={"n": number})
        if isinstance(what, Status):
            records.append(make.record(case, status=what, run=run))
        else:
            medians = tuple(median * what for median in QUIET)
            records.append(make.record(case, medians=medians, run=run))
    return records


def closed(a, b, *fail_on, limits=()):
    frame = frame_of(b)
    gate = Gate(fail_on, tuple(map(parse_limit, limits)))
    return findings(gate, compare(frame_of(a), frame), frame)


#: Condition -> how the case ends in B; it is OK in A.
ENDINGS = {
    "failing": Status.CRASHED,
    "numeric": Status.NUMERIC_MISMATCH,
    "above-roof": Status.ABOVE_ROOF,
    "slower": 5.0,
    "not-comparable": Status.NOT_STEADY,
    "unpaired": 1.3,
}


@pytest.mark.parametrize(("condition", "ending"), ENDINGS.items())
def test_each_class_of_findings_has_its_exit_code(make, condition, ending):
    a, b = run_of(make, "a", x=1.0, y=1.0), run_of(make, "b", x=ending, y=1.0)
    codes = {one.name: one.exit_code for one in CONDITIONS}

    (finding,) = closed(a, b, condition)

    assert (finding.condition, finding.exit_code) == (condition, codes[condition])
    assert "matmul[x-fp32-eager-cpu]" in finding.message
    assert closed(a, a, condition) == []
    others = [name for name in codes if name not in (condition, "failing", "not-comparable")]
    assert closed(a, b, *others) == []


def test_what_is_missing_or_undecided(make):
    a = run_of(make, "a", x=1.0, y=1.0)
    wide = [make.record(a[0].case, medians=(1e-3, 2e-3, 3e-3), run="b")]

    assert [f.condition for f in closed(a, wide, "missing", "undecided")] == [
        "missing",
        "undecided",
    ]


def test_codes_are_distinct_and_none_of_pytest_s():
    codes = [one.exit_code for one in CONDITIONS] + [LIMIT_EXIT_CODE]

    assert len(set(codes)) == len(codes)
    assert min(codes) >= 10


def test_the_weightiest_finding_comes_first(make):
    a = run_of(make, "a", x=1.0, y=1.0)
    b = run_of(make, "b", x=5.0, y=Status.CRASHED)

    found = closed(a, b, "slower", "failing", limits=["latency_ms < 2"])

    assert [finding.exit_code for finding in found] == [10, 13, 14]


def test_an_unknown_class_is_named_with_those_that_there_are():
    with pytest.raises(StoreError, match="'slow' given; wanted one of failing"):
        Gate(("slow",))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("latency_ms < 2", ["slow"]),
        ("latency_ms<=5", []),
        ("slow: latency_ms < 2", ["slow"]),
        ("quick: latency_ms < 2", []),
        ("latency_us > 2000", ["quick"]),
        ("fraction > 0.4", ["slow"]),
        ("throughput >= 1", []),
        ("sustained_s < 1e-9", ["slow", "quick"]),
    ],
)
def test_limits(make, text, broken):
    records = [
        make.record(
            make.case(configuration=name, params={"n": number}),
            medians=tuple(median * factor for median in QUIET),
            roofs=[make.roof("derived", 5e-4, 0.5 / factor)],
        )
        for number, (name, factor) in enumerate((("quick", 1.0), ("slow", 4.0)))
    ]

    found = breaches(frame_of(records), parse_limit(text))

    assert [one.case for one in found] == [f"matmul[{name}-fp32-eager-cpu]" for name in broken]


def test_a_breach_says_what_was_found_and_wanted(make):
    (breach,) = breaches(frame_of([make.record()]), parse_limit("latency_ms < 0.5"))

    assert str(breach) == (
        "matmul[square-512-fp32-eager-cpu]: latency_ms is 1; wanted latency_ms < 0.5"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency_ms", "wanted \\[PATTERN:\\] METRIC < BOUND"),
        ("latency_ms < fast", "wanted \\[PATTERN:\\] METRIC < BOUND"),
        ("latency_ms < 1e", "'1e' is no figure"),
        ("latency_mss < 2", "did you mean latency_ms"),
        ("latency_ms == 2", "wanted"),
    ],
)
def test_a_limit_that_can_t_be_read(text, said):
    with pytest.raises(LimitError, match=said):
        parse_limit(text)


@pytest.mark.parametrize("text", ["mfu > 0.4", "nothing: latency_ms < 2"])
def test_a_limit_that_nothing_is_held_against_is_no_limit_kept(make, text):
    with pytest.raises(LimitError, match="nothing was held against it"):
        breaches(frame_of([make.record()]), parse_limit(text))
