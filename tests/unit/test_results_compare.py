"""Which cases of two runs belong together, what became of each, and what it is laid to."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from trnbench.results.compare import MEASURE_AGAIN, TRUSTED, compare
from trnbench.results.difference_table import explain, print_comparison
from trnbench.results.frame import frame_of
from trnbench.results.gate import Gate, findings
from trnbench.results.record import Status
from trnbench.results.silicon_cost import priced_names
from trnbench.results.statistics import ratio
from trnbench.results.verdict import Rules

A_MEDIANS = (1e-3, 1.1e-3, 0.95e-3)
B_MEDIANS = (2e-3, 2.4e-3, 2.1e-3)
#: Narrow intervals, so that what decides is the rule and not the noise.
QUIET = (1e-3, 1.001e-3, 0.999e-3)
OTHER_RUN = "20261123T101010Z-aaaaaa"
RULES = Rules()


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


def later(make, *names, medians=A_MEDIANS, **changes):
    return a_run(make, *names, medians=medians, run=OTHER_RUN, **changes)


def times(medians, factor):
    return tuple(median * factor for median in medians)


def held(a, b, rules=RULES, **options):
    return compare(frame_of(a), frame_of(b), rules, **options)


def rows_of(a, b, rules=RULES, **options):
    return held(a, b, rules, **options).rows()


def only(a, b, rules=RULES, **options):
    (row,) = rows_of(a, b, rules, **options)
    return row


def test_common_missing_and_new_cases(make):
    a = a_run(make, "one", "two", "three")
    b = [*a_run(make, "one", "two")[::-1], make.record(make.case(dtype="bf16"))]

    rows = rows_of(a, b)

    assert {(row.configuration, row.dtype, row.verdict) for row in rows} == {
        ("one", "fp32", "UNDECIDED"),
        ("two", "fp32", "UNDECIDED"),
        ("three", "fp32", "MISSING"),
        ("square-512", "bf16", "NEW"),
    }
    missing = next(row for row in rows if row.verdict == "MISSING")
    new = next(row for row in rows if row.verdict == "NEW")
    assert (missing.b, missing.ratio, new.a) == (None, None, None)


def test_the_ratio_is_of_times_with_its_interval_from_process_medians(make):
    row = only(a_run(make, "x"), a_run(make, "x", medians=B_MEDIANS))
    expected = ratio(A_MEDIANS, B_MEDIANS)

    assert row.regime == "sustained"
    assert (row.ratio, row.low, row.high) == pytest.approx(tuple(expected), rel=1e-5)
    assert row.a.time_s == pytest.approx(math.prod(A_MEDIANS) ** (1 / 3), rel=1e-5)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "SAME"), (1.003, "SAME"), (1.12, "UNPAIRED"), (0.8, "UNPAIRED"), (7.0, "SLOWER")],
)
def test_two_stored_runs_of_one_machine_decide_only_what_is_beyond_the_factor(
    make, factor, verdict
):
    comparison = held(
        a_run(make, "x", medians=QUIET), later(make, "x", medians=times(QUIET, factor))
    )
    (row,) = comparison.rows()

    assert row.verdict == verdict
    assert comparison.warnings == [MEASURE_AGAIN.format(factor=2.0)]
    if verdict == "UNPAIRED":
        assert "stored runs" in row.why
        assert "measure both again" in row.why


def test_they_decide_where_somebody_trusts_them(make):
    a, b = a_run(make, "x", medians=QUIET), later(make, "x", medians=times(QUIET, 1.12))
    comparison = held(a, b, Rules(between_runs=1))

    assert comparison.rows()[0].verdict == "SLOWER"
    assert comparison.warnings == [TRUSTED]


def test_cases_of_one_run_are_interleaved_and_decide(make):
    a = a_run(make, "x", medians=QUIET)
    b = a_run(make, "x", medians=times(QUIET, 1.12), mode="compiled")
    comparison = held(a, b, leave_out=("mode",))

    assert comparison.rows()[0].verdict == "SLOWER"
    assert comparison.warnings == []


def test_other_hardware_decides(make):
    there = make.device(name="Another Processor")
    comparison = held(
        a_run(make, "x", medians=QUIET),
        later(make, "x", medians=times(QUIET, 0.9), device=there),
    )

    assert comparison.rows()[0].verdict == "FASTER"
    assert comparison.warnings == []


def test_several_runs_of_each_side_decide_by_their_own_spread(make):
    def runs(factors, day):
        return [
            record
            for number, factor in enumerate(factors)
            for record in a_run(
                make, "x", medians=times(QUIET, factor), run=f"202611{day}T00000{number}Z-aaaaaa"
            )
        ]

    a = runs((1.0, 1.01, 0.99), 10)
    slower = only(a, runs((1.12, 1.13, 1.11), 11))
    noisy = only(a, runs((1.4, 0.9, 1.1), 11))

    assert slower.verdict == "SLOWER"
    assert (slower.a.runs, slower.b.runs) == (3, 3)
    assert slower.ratio == pytest.approx(1.12, rel=1e-3)
    # The mean differs as much, and each run's own interval is as narrow.
    assert noisy.verdict == "UNDECIDED"


def test_one_run_beside_several_is_as_far_off_as_any_of_them(make):
    a = [
        record
        for number, factor in enumerate((1.0, 1.05, 0.95))
        for record in a_run(
            make, "x", medians=times(QUIET, factor), run=f"20261110T00000{number}Z-aaaaaa"
        )
    ]
    row = only(a, later(make, "x", medians=QUIET))
    logs = np.log([1.0, 1.05, 0.95])
    half = 4.302652729749464 * logs.std(ddof=1) * math.sqrt(1 + 1 / 3)

    assert row.high / row.ratio == pytest.approx(math.exp(half), rel=1e-3)


def test_a_difference_below_the_floor_is_none(make):
    a, b = a_run(make, "x", medians=QUIET), a_run(make, "x", medians=times(QUIET, 1.008))

    assert only(a, b).verdict == "SAME"
    assert only(a, b, Rules(floor=0.001)).verdict == "SLOWER"


def test_one_process_can_t_decide_and_says_so(make):
    row = only(a_run(make, "x", medians=(1e-3,)), a_run(make, "x", medians=(2e-3,)))

    assert (row.verdict, row.low, row.high) == ("UNDECIDED", None, None)
    assert "no interval: A and B has one figure" in row.why


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_cases_without_a_change_flag_none(make, seed):
    # Frames are made of one record each, and their columns of figures drawn anew.
    frame = frame_of(a_run(make, "x", medians=QUIET))
    rng = np.random.default_rng(seed)
    frames = []
    for run in ("first", "second"):
        many = frame.loc[np.zeros(10_000, dtype=int)].reset_index(drop=True)
        many["params"] = [json.dumps({"m": n}) for n in range(10_000)]
        logs = rng.normal(math.log(1e-3), 0.02, (10_000, 5))
        half = 2.7764451051977987 * logs.std(axis=1, ddof=1) / math.sqrt(5)
        for name, values in (("", 0.0), ("low_", -half), ("high_", half)):
            many[f"sustained_{name}s"] = np.exp(logs.mean(axis=1) + values)
        many["processes"] = 5
        many["run"] = run
        frames.append(many)
    for name in ("s", "low_s", "high_s"):
        for many in frames:
            many[f"isolated_{name}"] = np.nan

    trusted = compare(*frames, Rules(between_runs=1))

    assert trusted.counts.keys() <= {"SAME", "UNDECIDED"}
    # The same test finds what is there: one case in a hundred takes 30 % longer.
    frames[1].loc[:99, ["sustained_s", "sustained_low_s", "sustained_high_s"]] *= 1.3
    assert compare(*frames, Rules(between_runs=1)).counts["SLOWER"] >= 99


def test_what_stopped_working_and_what_began_to(make):
    def run(**status):
        return [
            make.record(make.case(configuration=name, params={"n": n}), status=Status(value))
            for n, (name, value) in enumerate(status.items())
        ]

    comparison = held(
        run(a="OK", b="TIMEOUT", c="UNSUPPORTED", d="OK", e="OK", f="SKIPPED", g="TIMEOUT"),
        run(a="CRASHED", b="OK", c="UNSUPPORTED", d="SKIPPED", e="NOT_STEADY", f="OK", g="CRASHED"),
    )
    rows = {row.configuration: row for row in comparison.rows()}

    assert {name: row.verdict for name, row in rows.items()} == {
        "a": "NEWLY_FAILING",
        "b": "NEWLY_WORKING",
        "c": "UNSUPPORTED",
        "d": "MISSING",
        "e": "NOT_COMPARABLE",
        "f": "NEW",
        "g": "CRASHED",
    }
    assert comparison.rows()[0].configuration == "a"
    assert rows["a"].why.startswith("OK -> CRASHED: ")
    assert "B is NOT_STEADY" in rows["e"].why
    assert all(row.ratio is None for row in rows.values())


def test_other_work_under_the_same_name_is_not_compared(make):
    row = only(a_run(make, "x"), a_run(make, "x", cost=make.cost(flops=10**9, flops_counted=10**9)))

    assert row.verdict == "NOT_COMPARABLE"
    assert row.why == f"not the same work: flops {2 * 512**3} -> {10**9}"


def test_rows_go_through_json(make):
    rows = rows_of(a_run(make, "x", "gone"), later(make, "x", medians=B_MEDIANS))
    back = json.loads(json.dumps([row.to_dict() for row in rows]))

    assert back[0].keys() >= {
        *("workload", "configuration", "params", "phase", "dtype", "mode", "backend", "devices"),
        *("verdict", "ratio", "low", "high", "expected_ratio", "cause"),
    }
    assert back[0]["params"] == {"op": "mm", "m": 0}
    assert back[0]["ratio"] == pytest.approx(rows[0].ratio)
    assert back[0]["b"]["status"] == "OK"
    assert back[1]["b"] is None


def test_one_value_in_three_types_is_three_cases(make):
    a = [make.record(make.case(params={"p": value})) for value in (1, True, 1.0)]

    assert held(a, a).pairing.in_a.size == 3


def test_a_renamed_configuration_is_the_same_work(make):
    row = only(a_run(make, "old"), a_run(make, "new"))

    assert (row.a.configuration, row.b.configuration) == ("old", "new")


def test_configurations_without_parameters_are_told_apart_by_name(make):
    def run(*names):
        return [make.record(make.case(configuration=n, params={})) for n in names]

    rows = rows_of(run("test_a", "test_b"), run("test_b", "test_a"))

    assert {(row.a.configuration, row.b.configuration) for row in rows} == {
        ("test_a", "test_a"),
        ("test_b", "test_b"),
    }


def test_other_hardware_is_aligned_across_backends_and_uncompiled_modes(make):
    a = a_run(make, "x", backend="cpu") + a_run(make, "x", backend="cpu", mode="compiled")
    b = a_run(make, "x", backend="neuron-xla", mode="lazy")

    rows = {row.mode: row for row in rows_of(a, b)}

    assert (rows["eager"].a.backend, rows["eager"].b.backend) == ("cpu", "neuron-xla")
    assert rows["compiled"].verdict == "MISSING"


def test_a_backend_that_both_runs_have_is_compared_with_itself(make):
    a = a_run(make, "x", backend="cpu") + a_run(make, "x", backend="cuda")
    b = a_run(make, "x", backend="cuda") + a_run(make, "x", backend="cpu")

    pairs = [(row.a.backend, row.b.backend) for row in rows_of(a, b)]

    assert sorted(pairs) == [("cpu", "cpu"), ("cuda", "cuda")]


def test_another_dtype_or_phase_is_another_case(make):
    a = [make.record(), make.record(make.case(phase="training"))]
    b = [make.record(make.case(dtype="bf16"))]

    assert {row.verdict for row in rows_of(a, b)} == {"MISSING", "NEW"}


def test_an_axis_may_be_left_out(make):
    a, b = [make.record()], [make.record(make.case(dtype="bf16"))]

    assert only(a, b, leave_out=("dtype",)).b is not None


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
    comparison = held(a, b)
    rows = comparison.rows()

    assert {row.b.configuration for row in rows} == {"row-1", "row-2"}
    assert rows[0].ratio == pytest.approx(5e-4 / a[0].summary.sustained.value)
    assert (rows[0].low, rows[0].high, rows[0].verdict) == (None, None, "UNDECIDED")
    assert any("measured" in said and "published" in said for said in comparison.warnings)


def test_the_expected_ratio_is_of_the_floors_of_the_specification(make):
    a = a_run(make, "x", roofs=[make.roof("derived", 1e-3), make.roof("attained", 1.5e-3)])
    b = a_run(make, "x", roofs=[make.roof("datasheet", 1e-5), make.roof("engine", 2e-5)])

    row = only(a, b)

    assert row.expected_ratio == pytest.approx(0.01)
    assert row.expected == {"specification": pytest.approx(0.01)}
    assert row.expected_reason == ""
    assert only(b, b).expected == {"specification": 1, "engine": 1}


def test_an_expected_ratio_that_isn_t_known_has_its_reason(make):
    unknown = make.roof("derived", None, None, None, "DRAM's peak isn't known")
    a = a_run(make, "x", roofs=[unknown, make.roof("attained", 2e-3)])
    b = a_run(make, "x", roofs=[make.roof("attained", 1e-3)])

    row = only(a, b)

    assert row.expected_ratio is None
    assert row.expected_reason == "A: DRAM's peak isn't known; B: no roof of its specification"
    assert row.expected == {"attained": pytest.approx(0.5)}


def test_what_a_call_costs_in_each_unit_of_silicon(make):
    whole = make.device(name="Trainium1", chip="trainium1", share=1.0)
    half = make.device(
        name="Trainium1 core",
        chip="trainium1",
        share=0.5,
        facts={"instance_type": "trn1.32xlarge"},
    )
    row = only(
        a_run(make, "x", medians=QUIET, device=whole),
        later(make, "x", medians=times(QUIET, 1.5), device=half),
        prices={"trainium1": 2.0},
    )

    assert row.units == {
        "device": pytest.approx(1.5),
        "chip": pytest.approx(0.75),
        "usd": pytest.approx(0.75),
    }
    cpu = only(a_run(make, "x"), later(make, "x"), prices={"Some Processor 9000": 0.4})
    assert cpu.units.keys() == {"device", "usd"}


@pytest.mark.parametrize(
    ("name", "usd_per_chip_hour"),
    [
        ("trn1.32xlarge", 21.5 / 16),
        ("trainium1", 21.5),
        # One torch device of it is half a chip.
        ("Trainium1 core", 2 * 21.5),
        ("trn1.2xlarge", 1.3438),
    ],
)
def test_a_price_is_of_what_has_its_name(make, name, usd_per_chip_hour):
    device = make.device(
        name="Trainium1 core",
        chip="trainium1",
        share=0.5,
        facts={"instance_type": "trn1.32xlarge"},
    )
    row = only(
        a_run(make, "x", device=make.device(name="Some GPU")),
        later(make, "x", device=device),
        prices={name: 21.5, "Some GPU": 1.0},
    )
    half = row.b.time_s * 0.5

    assert row.units["usd"] == pytest.approx(half * usd_per_chip_hour / row.a.time_s)


def test_what_can_be_priced_is_what_the_records_name(make):
    devices = [
        make.device(name="Trainium1", chip="trainium1", share=0.5, facts={"instance_type": name})
        for name in ("trn1.32xlarge", "trn9.huge")
    ]
    of_no_part = make.device(name="Some GPU", chip="h100_sxm", share=None)
    records = [make.record(device=device) for device in (*devices, of_no_part)]

    assert priced_names(frame_of(records)) == [
        "Some GPU",
        "Trainium1",
        "trainium1",
        "trn1.32xlarge",
    ]


def test_the_geometric_mean_is_over_cases(make):
    def with_sizes(factors, run):
        return [
            make.record(
                make.case(configuration=str(n), params={"n": n}, workload=workload),
                medians=times(QUIET, factor),
                run=run,
                roofs=[make.roof("derived", 5e-4)],
            )
            for n, (workload, factor) in enumerate(factors)
        ]

    one = [("matmul", 1.0), ("matmul", 1.0), ("norm", 1.0)]
    two = [("matmul", 2.0), ("matmul", 8.0), ("norm", 0.5)]
    means = held(with_sizes(one, "a"), with_sizes(two, "b")).geometric_means

    assert [(mean.name, mean.cases) for mean in means] == [
        ("all", 3),
        ("matmul fp32", 2),
        ("norm fp32", 1),
    ]
    assert means[0].ratio == pytest.approx(2.0, rel=1e-6)
    assert means[1].ratio == pytest.approx(4.0, rel=1e-6)
    assert means[1].low < 4 < means[1].high
    assert means[2].low is None
    assert means[0].expected == pytest.approx(1)


def test_what_changed_in_the_environment_is_listed_and_what_moves_a_time_comes_first(make):
    environment = make.environment(
        threads=1,
        python="3.12.1",
        versions={"torch": "2.14.0", "nki": "1", "pandas": "3"},
        variables={"NEURON_CC_FLAGS": "-O3"},
    )
    a = a_run(make, "x")

    assert held(a, later(make, "x", environment=environment)).environment_changes == [
        "nki: none -> 1",
        "torch: 2.13.0 -> 2.14.0",
        "NEURON_CC_FLAGS: none -> -O3",
        "threads: 2 -> 1",
        "python: 3.11.2 -> 3.12.1",
        "pandas: none -> 3",
    ]
    assert held(a, later(make, "x", environment=None)).environment_changes == []


def test_what_matters_comes_first(make):
    names = ("same", "small", "large", "broken", "gone")
    a = a_run(make, *names, medians=QUIET)
    b = later(make, *names[:4], medians=QUIET)
    factors = {"same": 1.0, "small": 3.0, "large": 9.0}
    b = [
        record
        if record.case.configuration == "broken"
        else make.record(
            record.case, medians=times(QUIET, factors[record.case.configuration]), run=OTHER_RUN
        )
        for record in b
    ]
    b[3] = make.record(b[3].case, status=Status.CRASHED, run=OTHER_RUN)

    order = [row.configuration for row in rows_of(a, b)]

    assert order == ["broken", "large", "small", "gone", "same"]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_holds_ratios_expectations_and_the_rest(make, width):
    roofs = [make.roof("derived", 1e-3, 0.5)]
    a = a_run(make, "a-long-name-of-a-configuration", "gone", roofs=roofs)
    refused = make.case(configuration="refused")
    a.append(make.record(refused, status=Status.UNSUPPORTED))
    b = later(
        make,
        "a-long-name-of-a-configuration",
        medians=B_MEDIANS,
        roofs=[make.roof("datasheet", 2.5e-4, 0.25)],
    )
    b.append(make.record(refused, status=Status.UNSUPPORTED))
    b.append(make.record(make.case(dtype="int8")))
    comparison = held(a, b)
    stream = io.StringIO()

    print_comparison(comparison, Console(file=stream, width=width, force_terminal=False))
    text = stream.getvalue()

    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    (line,) = [line for line in text.splitlines() if "ms" in line and line.startswith("unpaired")]
    # The narrowest terminal has no room for the roofs.
    roofs_shown = ("50 % s", "25 % s") if width > 80 else ()
    for figure in ("1.01 ms", "2.16 ms", "2.13", "0.250", *roofs_shown):
        assert figure in line
    flat = " ".join(text.split())
    assert "only measured in A: matmul[gone-fp32-eager-cpu]" in flat
    assert "only measured in B: matmul[square-512-int8-eager-cpu]" in flat
    assert "2 common cases: 1 that two stored runs can't decide" in flat
    assert "1 without a result in either; 1 only measured in A; 1 only measured in B" in flat
    assert MEASURE_AGAIN.format(factor=2.0) in flat


def test_runs_without_a_common_case_still_print(make):
    a, b = a_run(make, "x"), [make.record(make.case(dtype="int8"))]
    stream = io.StringIO()

    print_comparison(held(a, b), Console(file=stream, width=80))
    print_comparison(held([], b), Console(file=stream, width=80))

    assert "0 common cases" in stream.getvalue()


def test_a_line_says_what_became_of_a_case(make):
    row = only(a_run(make, "x", medians=QUIET), later(make, "x", medians=times(QUIET, 7)))

    assert explain(row) == (
        "SLOWER matmul[x-fp32-eager-cpu]: 7.00 times the time (B/A 6.98 to 7.02); "
        "time of a call 1.00 ms -> 7.00 ms"
    )


def test_notes_are_cut_where_each_row_has_its_own(make):
    def runs(make_run, memory):
        records = make_run(make, *(f"c{n}" for n in range(20)), medians=QUIET)
        return [
            record.model_copy(
                update={
                    "processes": [
                        one.model_copy(update={"peak_memory_bytes": memory + n * 10**7})
                        for one in record.processes
                    ]
                }
            )
            for n, record in enumerate(records)
        ]

    console = Console(width=80, record=True, file=io.StringIO())
    print_comparison(held(runs(a_run, 10**9), runs(later, 2 * 10**9)), console)
    text = console.export_text()

    assert "16 memory: " in text
    assert "17 memory: " not in text
    assert "and 4 notes more: --json has each row's" in text


def both_regimes(make, sustained, isolated):
    """A quiet case with so many seconds a call, queued and alone."""
    (record,) = a_run(make, "x", medians=times(QUIET, sustained / 1e-3))
    (alone,) = a_run(make, "x", medians=times(QUIET, isolated / 1e-3))
    summary = record.summary.model_copy(update={"isolated": alone.summary.sustained})
    return [record.model_copy(update={"summary": summary})]


@pytest.mark.parametrize(
    ("sustained", "between_runs", "said"),
    [
        (1.00e-3, 2.0, None),
        (1.02e-3, 2.0, "; sustained calls: 2.0 % more time, UNPAIRED"),
        (1.02e-3, 1.0, "; isolated calls: 5.00 times the time, SLOWER"),
        (0.97e-3, 1.0, "; isolated calls: 5.00 times the time, SLOWER"),
    ],
)
def test_a_small_change_of_one_regime_hides_no_large_one_of_the_other(
    make, sustained, between_runs, said
):
    a = both_regimes(make, 1e-3, 1.2e-3)
    b = [
        record.model_copy(update={"run": OTHER_RUN})
        for record in both_regimes(make, sustained, 6e-3)
    ]

    comparison = held(a, b, Rules(between_runs=between_runs))
    (row,) = comparison.rows()

    if between_runs == 1 and sustained != 1e-3:
        # Queued calls are what a user's loop is made of, whatever single ones do.
        assert row.verdict == ("SLOWER" if sustained > 1e-3 else "FASTER")
        assert (row.regime, row.ratio) == ("sustained", pytest.approx(sustained / 1e-3, rel=1e-3))
    else:
        assert (row.verdict, row.regime) == ("SLOWER", "isolated")
        assert row.ratio == pytest.approx(5.0, rel=1e-3)
    assert row.why.endswith(said or ")")
    # A gate sees both.
    (closed,) = findings(Gate(("slower",)), comparison, frame_of(b))
    assert "5.00 times the time" in closed.message


def test_a_faster_loop_is_faster_though_single_calls_are_slower(make):
    a, b = both_regimes(make, 1e-3, 1.20e-3), both_regimes(make, 0.5e-3, 1.25e-3)
    there = make.device(name="Trainium2", chip="trainium2", share=0.25)
    b = [record.model_copy(update={"run": OTHER_RUN, "device": there}) for record in b]

    comparison = held(a, b)
    back = held(b, a)

    assert [row.verdict for row in comparison.rows()] == ["FASTER"]
    assert comparison.geometric_means[0].ratio == pytest.approx(0.5, rel=1e-3)
    assert back.geometric_means[0].ratio == pytest.approx(2.0, rel=1e-3)


def devices(make, count, factor, run):
    case = make.case(backend="cuda", devices=count)
    there = make.device(name="A GPU", chip="h100_sxm", share=1.0)
    return make.record(case, medians=times(QUIET, factor), run=run, device=there)


def test_one_device_isn_t_held_against_four_of_the_same(make):
    first, second = "20261120T101010Z-aaaaaa", OTHER_RUN
    a = [devices(make, 1, 1, first), devices(make, 2, 0.5, first)]
    b = [devices(make, 2, 0.5, second), devices(make, 4, 0.25, second)]

    rows = rows_of(a, b, Rules(between_runs=1))

    assert {(row.verdict, row.devices) for row in rows} == {
        ("SAME", 2),
        ("MISSING", 1),
        ("NEW", 4),
    }


def test_one_device_is_held_against_four_of_another_kind_and_it_is_said(make):
    row = only([make.record(make.case())], [devices(make, 4, 0.25, OTHER_RUN)])

    assert (row.a.devices, row.b.devices) == (1, 4)
    assert "devices 1 -> 4" in row.notes


def test_devices_are_an_axis_where_they_are_asked_for(make):
    a, b = (devices(make, count, 1 / count, "20261120T101010Z-aaaaaa") for count in (1, 4))

    row = only([a], [b], leave_out=("devices",))

    assert (row.verdict, row.ratio) == ("FASTER", pytest.approx(0.25, rel=1e-3))


def test_modes_of_the_same_name_belong_together_across_origins_too(make):
    def both(run, **changes):
        return [
            make.record(make.case(mode=mode), run=run, medians=times(QUIET, factor), **changes)
            for mode, factor in (("eager", 1.0), ("compiled", 0.5))
        ]

    a = both("20261120T101010Z-aaaaaa")
    rows = rows_of(a, both(OTHER_RUN, origin="published", source="somebody"))

    assert {(row.a.mode, row.b.mode): round(row.ratio, 3) for row in rows} == {
        ("eager", "eager"): 1.0,
        ("compiled", "compiled"): 1.0,
    }
    # A mode that only one of them has is held against all of the other's.
    kernel = [make.record(make.case(mode="kernel"), origin="published", source="somebody")]
    assert {row.a.mode for row in rows_of(a, kernel)} == {"eager", "compiled"}
