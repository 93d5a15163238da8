"""What compiling costs, what proves a hit, and when the dearer of two ways has paid."""

from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from trnbench.bench.break_even import run_break_even_command
from trnbench.results.break_even import NO_INTERVAL, break_even, within
from trnbench.results.break_even_table import print_break_even, print_economics
from trnbench.results.economics import economics, prove_hit
from trnbench.results.origin import OriginError
from trnbench.results.record import Status

#: Three processes whose medians give a narrow interval around the first.
STEADY = (1.0, 1.001, 0.999)


def record(make, call_s, *, first_s=1.0, compile_s=(), states=("cold", "warm", "warm"), **case):
    """Three processes; ``compile_s`` is of each, and empty for a case that nothing compiles."""
    origin = case.pop("origin", "measured")
    counted = case.pop("counted", {})
    outcomes = []
    for number, factor in enumerate(STEADY):
        facts = {"first_call_ns": round(first_s * 1e9)}
        if compile_s:
            facts |= {"compile_ns": round(compile_s[number] * 1e9), "cache_state": states[number]}
            facts |= counted.get(states[number], {})
        outcomes.append(make.outcome(number, call_s * factor, **facts))
    whole = make.record(make.case(**case), medians=[call_s * factor for factor in STEADY])
    return whole.model_copy(update={"processes": outcomes, "origin": origin})


def eager(make, call_s, first_s=1.0, **case):
    return record(make, call_s, first_s=first_s, mode="eager", **case)


def compiled(make, call_s, compile_s=(10.0, 0.5, 0.7), **case):
    return record(make, call_s, compile_s=compile_s, mode="compiled", **case)


def printed(print_it, *arguments, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_it(*arguments, console)
    return console.file.getvalue()


# ---------------------------------------------------------------------- one run


def test_cold_is_the_longest_and_warm_the_median(make):
    found = economics(
        compiled(
            make,
            1e-3,
            (10.0, 0.5, 0.7),
            counted={
                "cold": {"graphs_compiled": 2, "cache_files_before": 0, "cache_files_after": 3},
                "warm": {"cache_hits": 2, "cache_files_before": 3, "cache_files_after": 3},
            },
        )
    )

    assert found.compiles
    assert (found.cold_s, found.warm_s, found.compile_s) == (10.0, pytest.approx(0.6), 10.0)
    assert (found.upfront, found.upfront_s) == ("cold", 10.0)
    assert (found.graphs, found.files_before, found.files_after) == (2, 0, 3)
    assert found.hit == "proven"
    assert found.call_s == pytest.approx(1e-3)
    assert found.call_low_s < 1e-3 < found.call_high_s


def test_of_several_cold_processes_the_longest_is_what_a_user_pays(make):
    found = economics(compiled(make, 1e-3, (2.0, 9.0, 3.0), states=("cold",) * 3))

    assert (found.cold_s, found.warm_s) == (9.0, None)


def test_without_a_cold_process_the_warm_one_stands_for_it(make):
    found = economics(compiled(make, 1e-3, (0.9, 0.5, 0.7), states=("warm",) * 3))

    assert (found.cold_s, found.warm_s, found.upfront, found.upfront_s) == (None, 0.7, "warm", 0.7)
    assert found.compile_s == 0.7


def test_a_cache_of_which_nobody_knows_is_called_so(make):
    found = economics(compiled(make, 1e-3, (2.0, 3.0, 1.0), states=(None,) * 3))

    assert (found.cold_s, found.warm_s) == (None, None)
    assert (found.upfront, found.upfront_s) == ("unknown cache", 3.0)


def test_an_eager_case_compiles_nothing_and_pays_its_first_call(make):
    found = economics(eager(make, 0.25, first_s=2.0))

    assert not found.compiles
    assert found.compile_s == 0.0
    assert found.upfront == "first call"
    assert found.upfront_s == pytest.approx(2.0 - 0.25, rel=1e-3)
    assert economics(eager(make, 0.25, first_s=0.1)).upfront_s == 0.0


def test_in_process_and_stack_seconds_are_told(make):
    whole = compiled(make, 1e-3)
    outcomes = [
        p.model_copy(update={"in_process_ns": 3_000_000_000 + p.process, "stack_compile_ns": 10**9})
        for p in whole.processes
    ]
    found = economics(whole.model_copy(update={"processes": outcomes}))

    assert found.in_process_s == pytest.approx(3.0)
    assert found.stack_compile_s == 1.0


def test_a_check_has_no_figures_and_says_so(make):
    process = make.outcome(0, None, first_call_ns=5 * 10**9, cache_state="cold")
    check = make.record(make.case(mode="compiled"), processes=[process], summary=None)
    found = economics(check)

    assert found.compiles
    assert found.first_call_s == 5.0
    assert {found.cold_s, found.compile_s, found.upfront, found.upfront_s, found.call_s} == {None}
    (row,) = break_even([check], [check])
    assert row.verdict == "unknown"
    assert row.notes == [
        "A: no time per call, nothing was timed",
        "B: no time per call, nothing was timed",
    ]


def ended(whole, status):
    """The same, with the same samples, ended so."""
    return whole.model_copy(update={"status": status})


#: All that keep their samples and a summary, and all the others.
NO_RESULT = [status for status in Status if status not in (Status.OK, Status.NOT_STEADY)]


def test_every_status_but_two_is_no_result():
    assert {"ABOVE_ROOF", "FALLBACK_TO_CPU", "RECOMPILED", "NUMERIC_MISMATCH"} <= set(NO_RESULT)
    assert len(NO_RESULT) == len(Status) - 2


@pytest.mark.parametrize("status", NO_RESULT)
@pytest.mark.parametrize("make_one", [eager, compiled])
def test_a_case_that_is_no_result_has_no_price(make, make_one, status):
    found = economics(ended(make_one(make, 1e-3), status))

    assert found.status == status
    assert found.compiles == (make_one is compiled)
    names = [name for name in found.__slots__ if name.endswith("_s") or name == "upfront"]
    assert len(names) > 10
    assert {name: getattr(found, name) for name in names} == dict.fromkeys(names)


def in_memory(make, call_s, **case):
    """Three processes that compiled nothing: another case had left the code in their memory."""
    return compiled(make, call_s, (0.3, 0.1, 0.2), states=("memory",) * 3, **case)


def test_code_found_in_memory_is_neither_cold_nor_warm_nor_of_an_unknown_cache(make):
    found = economics(in_memory(make, 1e-3))

    assert found.compiles
    assert (found.cold_s, found.warm_s, found.memory_s) == (None, None, 0.2)
    assert (found.upfront, found.upfront_s, found.compile_s) == ("memory", 0.2, 0.2)
    assert economics(compiled(make, 1e-3)).memory_s is None


@pytest.mark.parametrize("state", ["cold", "warm", None])
def test_a_real_compilation_comes_before_code_found_in_memory(make, state):
    mixed = compiled(make, 1e-3, (5.0, 0.1, 0.2), states=(state, "memory", "memory"))
    mixed.processes[1].__dict__["first_call_ns"] = 9 * 10**9
    found = economics(mixed)

    assert (found.upfront, found.upfront_s) == (state or "unknown cache", 5.0)
    assert found.memory_s == pytest.approx(0.15)
    # Of the process that compiled, too.
    assert found.first_call_s == 1.0


@pytest.mark.parametrize(
    ("hits", "before", "after", "hit", "proof"),
    [
        (2, 5, 5, "proven", "2 hits, no new file beside 5"),
        (1, None, None, "proven", "1 hit by the stack's counter, files not countable"),
        (1, 5, 8, "partial", "1 hit, and 3 new files"),
        (0, 5, 5, "by files", "no new file beside 5, no hit counted"),
        (None, 5, 5, "by files", "no new file beside 5, no hit counted"),
        (0, 0, 0, "none", "no hit counted, 0 new files"),
        (0, 0, 3, "none", "no hit counted, 3 new files"),
        (None, None, None, "none", "no hit counted"),
    ],
)
def test_what_proves_a_hit(make, hits, before, after, hit, proof):
    outcome = make.outcome(0, cache_hits=hits, cache_files_before=before, cache_files_after=after)
    assert prove_hit(outcome) == (hit, proof)


def test_the_best_proof_of_the_warm_processes_counts(make):
    files = {"cache_files_before": 4, "cache_files_after": 4}
    whole = compiled(make, 1e-3, counted={"warm": files})
    third = whole.processes[2].model_copy(update={"cache_hits": 1})
    found = economics(whole.model_copy(update={"processes": [*whole.processes[:2], third]}))

    assert (found.hit, found.proof) == ("proven", "1 hit, no new file beside 4")


# ---------------------------------------------------------------------- when it has paid


def test_the_faster_one_pays_after_so_many_calls(make):
    a, b = eager(make, 3e-3, first_s=1.003), compiled(make, 1e-3)
    (row,) = break_even([a], [b])

    # 10 s of compiling less the 1 s that the first call takes beyond a later one, over 2 ms.
    assert (row.verdict, row.winner) == ("after", "B")
    assert row.calls == pytest.approx(4500, rel=1e-3)
    assert row.low < row.calls < row.high
    assert row.total_s == pytest.approx(10.0 + 4500 * 1e-3, rel=1e-3)
    assert row.notes == []


def test_the_interval_follows_from_both_calls_at_their_ends(make):
    (row,) = break_even([eager(make, 3e-3)], [compiled(make, 1e-3)])
    extra_s = row.b.upfront_s - row.a.upfront_s

    assert row.low == pytest.approx(extra_s / (row.a.call_high_s - row.b.call_low_s))
    assert row.high == pytest.approx(extra_s / (row.a.call_low_s - row.b.call_high_s))


def test_it_is_told_which_side_pays(make):
    (row,) = break_even([compiled(make, 1e-3)], [compiled(make, 3e-3, (2.0, 1.0, 1.0))])

    assert (row.verdict, row.winner) == ("after", "A")
    assert row.calls == pytest.approx(8.0 / 2e-3, rel=1e-2)
    assert 0 < row.low < row.calls < row.high


@pytest.mark.parametrize(
    ("call_b", "compile_b", "verdict", "winner"),
    [
        (1e-3, 5.0, "at once", "B"),
        (1e-3, 10.0, "at once", "B"),
        (3e-3, 20.0, "never", "A"),
        (2e-3, 20.0, "undecided", None),
        (2.002e-3, 5.0, "undecided", None),
    ],
)
def test_when_there_is_no_number_of_calls(make, call_b, compile_b, verdict, winner):
    b = compiled(make, call_b, (compile_b, 0.5, 0.5))
    (row,) = break_even([compiled(make, 2e-3)], [b])

    assert (row.verdict, row.winner) == (verdict, winner)
    assert (row.calls, row.low, row.high, row.total_s) == (None, None, None, None)


def single(whole):
    """The same with one process, and so without an interval."""
    estimate = whole.summary.sustained.model_copy(update={"low": None, "high": None})
    return whole.model_copy(
        update={"summary": whole.summary.model_copy(update={"sustained": estimate})}
    )


def test_one_process_gives_a_figure_without_an_interval(make):
    (row,) = break_even([eager(make, 3e-3)], [single(compiled(make, 1e-3))])

    assert row.verdict == "after"
    assert (row.low, row.high) == (None, None)
    assert row.calls > 0
    assert row.notes == [NO_INTERVAL]
    same = single(eager(make, 3e-3))
    assert break_even([same], [same])[0].verdict == "undecided"


@pytest.mark.parametrize("status", NO_RESULT)
def test_what_is_no_result_is_never_weighed(make, status):
    fast = ended(compiled(make, 1e-6), status)

    (row,) = break_even([eager(make, 3e-3)], [fast])
    assert (row.verdict, row.winner, row.calls) == ("unknown", None, None)
    assert row.notes == [f"B: its status is {status}"]
    (row,) = break_even([fast], [compiled(make, 1e-3)])
    assert (row.verdict, row.notes) == ("unknown", [f"A: its status is {status}"])
    (row,) = within([eager(make, 3e-3), fast])
    assert (row.verdict, row.notes) == ("unknown", [f"B: its status is {status}"])


def test_an_unsteady_case_is_weighed_with_a_note(make):
    unsteady = ended(compiled(make, 1e-3), Status.NOT_STEADY)
    (row,) = break_even([eager(make, 3e-3)], [unsteady])

    assert (row.verdict, row.winner) == ("after", "B")
    assert row.notes == ["B: its status is NOT_STEADY"]


def test_code_found_in_memory_is_no_price_to_win_back(make):
    (row,) = break_even([eager(make, 3e-3)], [in_memory(make, 1e-3)])

    assert (row.verdict, row.calls) == ("unknown", None)
    assert row.notes == ["B: its code was in the process's memory already: no compilation was seen"]


def test_both_are_taken_warm_where_only_one_is_known_cold(make):
    a = compiled(make, 3e-3, (0.25, 0.25, 0.25), states=("warm",) * 3)
    (row,) = break_even([a], [compiled(make, 1e-3, (10.0, 0.5, 0.7))])

    assert (row.a.upfront, row.b.upfront) == ("warm", "warm")
    assert row.calls == pytest.approx((0.6 - 0.25) / 2e-3, rel=1e-2)
    only_cold = compiled(make, 1e-3, (10.0,) * 3, states=("cold",) * 3)
    (row,) = break_even([a], [only_cold])
    assert row.notes == ["not compiled alike: A warm, B cold"]
    assert row.calls == pytest.approx((10.0 - 0.25) / 2e-3, rel=1e-2)


def test_cases_are_aligned_as_in_a_diff_and_then_across_modes(make):
    a = [
        eager(make, 3e-3, params={"m": 1}),
        eager(make, 3e-3, params={"m": 2}),
        eager(make, 3e-3, params={"m": 3}),
    ]
    b = [
        compiled(make, 1e-3, params={"m": 2}, backend="neuron"),
        eager(make, 2e-3, params={"m": 1}, configuration="renamed"),
        compiled(make, 1e-3, params={"m": 1}),
    ]
    rows = break_even(a, b)

    assert [(r.a.case.params["m"], r.b.case.mode, r.b.case.backend) for r in rows] == [
        (1, "eager", "cpu"),
        (2, "compiled", "neuron"),
    ]


def test_a_stand_in_is_never_weighed_against_a_device(make):
    with pytest.raises(OriginError, match="simulated"):
        break_even([eager(make, 1e-3)], [eager(make, 1e-3, origin="simulated")])


def test_within_a_run_compiled_is_weighed_against_uncompiled(make):
    records = [
        compiled(make, 1e-3),
        eager(make, 3e-3),
        compiled(make, 1e-3, dtype="bf16"),
        compiled(make, 1e-3, backend="cuda"),
        eager(make, 3e-3, params={"m": 7}),
    ]
    (row,) = within(records)

    assert (row.a.case.mode, row.b.case.mode, row.a.case.backend) == ("eager", "compiled", "cpu")
    assert row.calls == pytest.approx((10.0 - (1.0 - 3e-3)) / 2e-3, rel=1e-2)


# ---------------------------------------------------------------------- printed


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_tables_fit_and_say_what_came_out(make, width):
    run_a = [eager(make, 3e-3, first_s=1.003), eager(make, 3e-3, params={"m": 2})]
    run_b = [compiled(make, 1e-3), compiled(make, 4e-3, params={"m": 2})]
    rows = break_even(run_a, run_b)
    text = printed(print_break_even, rows, run_a, run_b, width=width)
    flat = " ".join(text.split())

    assert "B never" in flat
    assert "B 4501 calls" in flat
    assert "2 common cases: 1 after, 1 never" in flat
    assert max(cell_len(line) for line in text.splitlines()) <= width
    both = [*run_a, *run_b]
    found = [economics(one) for one in both]
    text = printed(print_economics, found, within(both), both, width=width)
    assert "10.0 s" in text
    assert "600 ms" in text
    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("status", ["ABOVE_ROOF", "NUMERIC_MISMATCH", "NOT_STEADY"])
def test_the_tables_name_a_status_that_isn_t_ok(make, width, status):
    run_a, run_b = [eager(make, 3e-3)], [ended(compiled(make, 1e-6), Status(status))]
    both = [*run_a, *run_b]
    found = [economics(one) for one in both]

    pair = printed(print_break_even, break_even(run_a, run_b), run_a, run_b, width=width)
    one = printed(print_economics, found, within(both), both, width=width)

    for text in (pair, one):
        table = text.partition("───")[2].partition(": ")[0]
        assert status in "".join(table.split())
        assert "no result" in " ".join(text.split())
        assert ("10.0 s" in text) == (status == "NOT_STEADY")
        assert status == "NOT_STEADY" or "1.00 µs" not in text
        assert max(cell_len(line) for line in text.splitlines()) <= width
    assert f"B: its status is {status}" in " ".join(pair.split())
    fine = printed(print_break_even, break_even(run_a, run_a), run_a, run_a, width=width)
    assert "status" not in fine


@pytest.mark.parametrize("width", [80, 200])
def test_the_tables_say_what_was_found_in_memory(make, width):
    run = [eager(make, 3e-3), in_memory(make, 1e-3)]

    one = printed(print_economics, [economics(r) for r in run], within(run), run, width=width)
    assert "200 ms" in one
    assert "had the code in their memory already" in " ".join(one.split())
    pair = printed(print_break_even, break_even(run[:1], run[1:]), run, run, width=width)
    assert "200 ms m" in " ".join(pair.split())
    assert "m with the code in the process's memory already" in " ".join(pair.split())
    without = printed(print_economics, [economics(run[0])], [], run[:1], width=width)
    assert "memory" not in without


def test_simulated_tables_say_so(make):
    run = [eager(make, 3e-3, origin="simulated")]

    assert "SIMULATED" in printed(print_break_even, break_even(run, run), run, run)
    assert "SIMULATED" in printed(print_economics, [economics(run[0])], [], run)


def write_run(folder, name, records):
    (folder / f"{name}.jsonl").write_text(
        "".join(record.model_dump_json() + "\n" for record in records), encoding="utf-8"
    )


def test_the_command_reads_two_runs_or_one(make, tmp_path, capsys):
    write_run(tmp_path, "plain", [eager(make, 3e-3)])
    write_run(tmp_path, "fast", [compiled(make, 1e-3), eager(make, 1.5e-3, first_s=0.5)])

    assert run_break_even_command("plain", "fast", tmp_path, as_json=True) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["b"]["case"]["mode"] == "eager"
    assert row["verdict"] == "at once"
    assert run_break_even_command("fast", None, tmp_path, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [case["cold_s"] for case in shown["cases"]] == [10.0, None]
    assert shown["against_uncompiled"][0]["winner"] == "B"
    assert run_break_even_command("fast", None, tmp_path, as_json=False) == 0
    assert "calls after which" in " ".join(capsys.readouterr().out.split())


def test_one_run_of_a_device_and_a_stand_in_gives_two_tables(make, tmp_path, capsys):
    both = [eager(make, 3e-3), eager(make, 2e-3, backend="neuron", origin="simulated")]
    write_run(tmp_path, "both", both)

    run_break_even_command("both", None, tmp_path, as_json=False)
    before, _, after = capsys.readouterr().out.partition("SIMULATED")
    assert "3.00 ms" in before
    assert "2.00 ms" not in before
    assert "2.00 ms" in after
