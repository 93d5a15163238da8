"""The history of stored runs: which case changed at which run, what else did, and how it reads."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.results.case_history import moments
from trnbench.results.frame import frame_of
from trnbench.results.history import HistoryRules, find_history
from trnbench.results.history_table import headline, print_history, sparkline, unjudged
from trnbench.results.lines import StoreError
from trnbench.results.origin import OriginError
from trnbench.results.page import PageRun, render_page
from trnbench.results.record import Status

RUNS = 40


def run_name(number):
    return f"{moment(number):%Y%m%dT%H%M%SZ}-{number:06x}"


def moment(number):
    return datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=12 * number)


def a_run(make, number, cases, **changes):
    """A run of ``{configuration: seconds or status}``; quiet noise, the same whenever made."""
    random = np.random.default_rng(number)
    torch = "2.13.0" if number < 20 else "2.14.0"
    environment = changes.pop("environment", {})
    facts = {
        "run": run_name(number),
        "time": f"{moment(number):%Y-%m-%dT%H:%M:%SZ}",
        "environment": make.environment(
            **{"versions": {"torch": torch}, "git": {"commit": f"{number:07x}"}} | environment
        ),
    }
    records = []
    for name, value in cases.items():
        failed = isinstance(value, Status)
        mood = float(np.exp(random.normal(0, 0.002)))
        times = (1e-3,) if failed else tuple(value * mood * part for part in (1.0, 1.001, 0.999))
        records.append(
            make.record(
                make.case(configuration=name, params={"name": name}),
                medians=times,
                status=value if failed else Status.OK,
                **facts | changes,
            )
        )
    return records


def a_history(make, values, runs=RUNS, **changes):
    """``values(number)`` gives the cases of a run."""
    return [record for n in range(runs) for record in a_run(make, n, values(n), **changes)]


def upgraded(number):
    """One case 8 % slower from run 20 on, one that stays, one that fails from run 30 on."""
    return {
        "slow": 1e-3 * (1.08 if number >= 20 else 1.0),
        "same": 2e-3,
        "failing": 3e-3 if number < 30 else Status.COMPILE_ERROR,
    }


def found(records, **rules):
    histories = find_history(frame_of(records), HistoryRules(**rules))
    return {one.configuration: one for one in histories}


def test_a_slowdown_has_its_run_its_size_and_its_cause(make):
    histories = found(a_history(make, upgraded))
    (turn,) = histories["slow"].changes

    assert (turn.verdict, turn.regime, turn.standing) == ("SLOWER", "sustained", True)
    assert (turn.run_before, turn.run) == (run_name(19), run_name(20))
    assert (turn.commit_before, turn.commit) == ("0000013", "0000014")
    assert turn.ratio == pytest.approx(1.08, rel=2e-3)
    assert turn.low < turn.ratio < turn.high
    # The stack's version goes before the commit, which differs too.
    assert turn.cause == "torch: 2.13.0 -> 2.14.0"
    assert "commit: 0000013 -> 0000014" in turn.environment
    assert histories["same"].changes == ()


def test_a_case_that_stops_working_has_the_run_and_the_status(make):
    (turn,) = found(a_history(make, upgraded))["failing"].changes

    assert (turn.verdict, turn.status, turn.run) == (
        "NEWLY_FAILING",
        "COMPILE_ERROR",
        run_name(30),
    )
    assert "COMPILE_ERROR in process 0" in turn.failure
    assert turn.ratio is None


def test_what_was_not_tried_says_nothing_of_the_stack(make):
    def values(number):
        return {"x": Status.SKIPPED if number % 3 else 1e-3}

    assert found(a_history(make, values))["x"].changes == ()


def test_what_works_now_and_then_is_unsteady_and_told_once(make):
    def values(number):
        return {"x": Status.RUNTIME_ERROR if number % 2 else 1e-3}

    history = found(a_history(make, values))["x"]

    assert history.unsteady
    (turn,) = history.changes
    assert (turn.verdict, turn.run) == ("NEWLY_FAILING", run_name(RUNS - 1))
    assert "in 1 case the status comes and goes" in headline([history])


def test_an_episode_has_two_turns_of_which_the_last_stands(make):
    def values(number):
        return {"x": 1e-3 * (1.2 if 12 <= number < 25 else 1.0)}

    first, second = found(a_history(make, values))["x"].changes

    assert (first.verdict, first.standing) == ("SLOWER", False)
    assert (second.verdict, second.standing) == ("FASTER", True)


@pytest.mark.parametrize(
    ("levels", "standing"),
    [
        ((1.0, 2.0, 1.9), [True, True]),
        ((1.0, 1.5, 2.0), [True, True]),
        ((1.0, 0.5, 0.6), [True, True]),
        ((1.0, 2.0, 1.004), [False, True]),
        ((1.0, 2.0, 0.8), [False, True]),
        # Back once is back, whatever came then.
        ((1.0, 2.0, 1.0, 2.0), [False, False, True]),
    ],
)
def test_a_change_stands_until_a_later_level_is_back(make, levels, standing):
    histories = found(
        a_history(make, lambda number: {"x": 1e-3 * levels[number // 20]}, runs=20 * len(levels))
    )

    assert [turn.standing for turn in histories["x"].changes] == standing


@pytest.mark.parametrize("backwards", [False, True])
def test_what_changed_is_looked_up_on_the_machine_of_the_case(make, backwards):
    """A run of two devices, of which one got another driver and a slower case."""
    records = []
    for number in range(24):
        driver = "550.1" if number < 12 else "570.9"
        gpu = make.device(name="A GPU", chip="h100_sxm", share=1.0, driver=driver)
        own = {"environment": {"versions": {"torch": "2.13.0"}, "git": {}}}
        run = [
            *a_run(make, number, {"cpu": 1e-3}, **own),
            *a_run(make, number, {"gpu": 1e-3 * (1.3 if number >= 12 else 1)}, device=gpu, **own),
        ]
        records += run[::-1] if backwards else run

    histories = found(records)

    assert histories["cpu"].changes == ()
    (turn,) = histories["gpu"].changes
    assert turn.cause == "driver: 550.1 -> 570.9"


def test_a_case_that_failed_before_a_device_answered_is_in_its_series(make):
    records = a_history(make, lambda number: {"x": 1e-3 if number < 30 else Status.CRASHED})
    silent = [
        record.model_copy(update={"device": None}) if record.status == Status.CRASHED else record
        for record in records
    ]

    (turn,) = found(silent)["x"].changes

    assert (turn.verdict, turn.run) == ("NEWLY_FAILING", run_name(30))
    assert not any("device" in change for change in turn.environment)


def test_only_isolated_calls_that_grew_are_told_of_those(make):
    records = []
    for record in a_history(make, lambda _: {"x": 1e-3}):
        if record.run >= run_name(15):
            summary = record.summary
            grown = summary.isolated.model_copy(update={"value": summary.isolated.value * 1.5})
            summary = summary.model_copy(update={"isolated": grown})
            record = record.model_copy(update={"summary": summary})  # noqa: PLW2901
        records.append(record)

    (turn,) = found(records)["x"].changes

    assert (turn.regime, turn.run) == ("isolated", run_name(15))
    assert turn.ratio == pytest.approx(1.5, rel=0.01)


def test_isolated_calls_that_stay_slow_are_told_where_the_sustained_time_came_back(make):
    records = []
    for record in a_history(make, lambda n: {"x": 1e-3 * (2 if 15 <= n < 30 else 1)}, runs=45):
        if record.run >= run_name(30):
            summary = record.summary
            still = summary.isolated.model_copy(update={"value": summary.isolated.value * 2})
            summary = summary.model_copy(update={"isolated": still})
            record = record.model_copy(update={"summary": summary})  # noqa: PLW2901
        records.append(record)

    changes = found(records)["x"].changes

    assert [(turn.verdict, turn.regime, turn.run) for turn in changes if turn.standing] == [
        ("SLOWER", "isolated", run_name(15)),
        ("FASTER", "sustained", run_name(30)),
    ]


def test_each_kind_of_machine_is_judged_by_itself(make):
    """A change of machine is no change of the code."""
    here = a_history(make, lambda _: {"x": 1e-3}, runs=20)
    there = [
        record
        for number in range(20, 40)
        for record in a_run(make, number, {"x": 5e-3}, device=make.device(name="Another"))
    ]
    histories = find_history(frame_of(here + there))

    assert {one.machine["device"]: len(one.runs) for one in histories} == {
        "Some Processor 9000": 20,
        "Another": 20,
    }
    assert all(one.changes == () for one in histories)


def test_other_work_of_the_same_name_is_another_series(make):
    less = make.cost(flops=make.cost().flops // 2)
    records = a_history(make, lambda _: {"x": 1e-3}, runs=15)
    for number in range(15, 30):
        records += a_run(make, number, {"x": 5e-4}, cost=less)

    histories = find_history(frame_of(records))

    assert [len(one.runs) for one in histories] == [15, 15]
    assert all(one.changes == () for one in histories)


def test_order_is_of_time_and_a_repeated_record_counts_once(make):
    records = a_history(make, upgraded)
    mixed = records[60:] + records[:60] + records[:9]

    assert found(mixed)["slow"].changes == found(records)["slow"].changes
    assert len(found(mixed)["slow"].runs) == RUNS


def test_the_newest_runs_can_be_looked_at_alone(make):
    records = a_history(make, upgraded)

    assert found(records, last=15)["slow"].changes == ()
    assert len(found(records, last=15)["slow"].runs) == 15


def test_too_few_runs_are_said(make):
    histories = list(found(a_history(make, upgraded, runs=9)).values())

    assert not any(one.judged for one in histories)
    assert "3 cases of 3 with fewer than 10 results" in unjudged(histories, HistoryRules())
    assert "no change of level" in headline(histories)


def test_simulated_runs_have_no_place_among_measured_ones(make):
    records = a_history(make, upgraded, runs=2)
    records += a_run(make, 3, upgraded(3), origin="simulated")

    with pytest.raises(OriginError):
        find_history(frame_of(records))


def test_cases_that_turn_together_are_one_moment_newest_first(make):
    def values(number):
        return {"a": 1e-3 * (1.1 if number >= 20 else 1), "b": 1e-3 * (1.3 if number >= 20 else 1)}

    records = a_history(make, lambda n: values(n) | {"c": 1e-3 * (0.8 if n >= 28 else 1)})
    newest, older = moments(list(found(records).values()))

    assert (newest.run, older.run) == (run_name(28), run_name(20))
    assert [history.configuration for history, _ in older.turns] == ["b", "a"]


def test_a_sparkline_shows_the_step_and_where_there_is_no_result():
    assert sparkline([1.0] * 4 + [2.0] * 4) == "▁▁▁▁████"
    assert sparkline([1.0, None, 2.0]) == "▁×█"
    assert sparkline([None, None]) == "××"
    assert len(sparkline([1.0] * 300)) == 32
    # One part in a thousand is no mountain.
    assert set(sparkline([1.0, 1.001, 1.0])) <= set("▄▅")


@pytest.mark.parametrize("width", [60, 100])
def test_the_table_names_run_case_size_and_cause(make, width):
    histories = list(found(a_history(make, upgraded)).values())
    console = Console(width=width, record=True, file=io.StringIO())
    print_history(histories, HistoryRules(), console)
    text = " ".join(console.export_text().split())

    assert f"run {run_name(20)}" in text
    assert "torch: 2.13.0 -> 2.14.0" in text
    assert "1.08" in text
    assert "1 change of level in 1 of them, 1 slower and 0 faster" in text
    assert "1 case stopped working" in text


@pytest.fixture
def folder(make, tmp_path):
    for number in range(RUNS):
        lines = [one.model_dump_json() for one in a_run(make, number, upgraded(number))]
        (tmp_path / f"{run_name(number)}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def typed(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_json_has_one_object_a_case_with_all_times(folder):
    result = typed("history", folder, "--json")
    rows = {row["configuration"]: row for row in json.loads(result.stdout)}

    assert result.exit_code == 0
    assert set(rows) == {"slow", "same", "failing"}
    row = rows["slow"]
    assert len(row["runs"]) == len(row["sustained_s"]) == len(row["times"]) == RUNS
    assert (row["workload"], row["dtype"], row["params"]) == ("matmul", "fp32", {"name": "slow"})
    assert [turn["run"] for turn in row["changes"]] == [run_name(20)]
    assert rows["failing"]["sustained_s"][-1] is None


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("slower",), 13),
        (("slower", "failing"), 10),
        (("slower", "--since", "20260912"), 0),
        (("slower", "--since", "2026-09-11"), 13),
        (("slower", "--since", run_name(20)), 13),
        (("failing", "--since", "2027"), 0),
        # No run is of this day.
        (("slower", "--since", "20260831"), 13),
        (("slower", "--since", "20260831T1200"), 13),
        (("slower", "--since", f"{moment(20):%Y%m%dT%H%M%SZ}"), 13),
        (("slower", "--since", f"{moment(21):%Y-%m-%dT%H:%M}"), 0),
    ],
)
def test_a_gate_of_a_history(folder, options, code):
    classes, rest = [one for one in options if one in ("slower", "failing")], []
    if "--since" in options:
        rest = list(options[options.index("--since") :])
    result = typed("history", folder, "--fail-on", ",".join(classes), *rest)

    assert result.exit_code == code
    assert ("since run" in result.stderr) == bool(code)


@pytest.mark.parametrize("since", ["yesterday", "20260911T000000Z-ffffff", "2026-13-01", "\x1b[2J"])
def test_a_since_that_means_no_time_is_a_mistake(folder, since):
    result = typed("history", folder, "--fail-on", "slower", "--since", since)

    assert isinstance(result.exception, StoreError)
    message = str(result.exception)
    assert "wanted the beginning of the id of one of these runs, or a UTC date" in message
    assert "\x1b" not in message


def test_a_case_that_the_named_run_lacks_is_gated_from_there_on(make, tmp_path):
    for number in range(12):
        cases = {"x": 1e-3 if number < 6 else Status.CRASHED, "y": 1e-3}
        if number == 6:
            del cases["x"]
        lines = [one.model_dump_json() for one in a_run(make, number, cases)]
        (tmp_path / f"{run_name(number)}.jsonl").write_text("\n".join(lines) + "\n")

    result = typed("history", tmp_path, "--fail-on", "failing", "--since", run_name(6))

    assert result.exit_code == 10


@pytest.mark.parametrize("since", ["20260906", "2026-09-06"])
def test_a_day_begins_before_its_first_run(make, tmp_path, since):
    """A run of the evening before measures the case after midnight."""
    for number in range(21):
        records = a_run(make, number, {"x": 1e-3 * (1.5 if number >= 10 else 1)})
        if number == 10:
            late = {"run": "20260905T235500Z-aaaaaa", "time": "2026-09-06T00:05:00Z"}
            records = [record.model_copy(update=late) for record in records]
        lines = [one.model_dump_json() for one in records]
        (tmp_path / f"{records[0].run}.jsonl").write_text("\n".join(lines) + "\n")

    result = typed("history", tmp_path, "--fail-on", "slower", "--since", since)

    assert result.exit_code == 13


def test_a_parquet_file_has_the_same_history(folder):
    pytest.importorskip("pyarrow")
    from trnbench.results.frame import load_files
    from trnbench.results.parquet import write_parquet

    data = folder / "data"
    data.mkdir()
    files = sorted(folder.glob("*.jsonl"))
    for part, chosen in enumerate((files[:25], files[25:])):
        write_parquet(load_files(chosen), data / f"part-{part}.parquet")

    assert typed("history", data, "--json").stdout == typed("history", folder, "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fail-on", "undecided"), "wanted one of failing, slower"),
        (("nowhere",), "nowhere"),
    ],
)
def test_what_can_t_be_meant_is_one_message(folder, arguments, said):
    result = typed("history", *arguments, "--out", folder)

    assert said in str(result.exception)


def test_the_page_draws_levels_and_tells_the_changes(make):
    for needed in ("altair", "jinja2", "vl_convert"):
        pytest.importorskip(needed)
    records = a_history(make, upgraded)
    histories = list(found(records).values())
    page = render_page([PageRun("x.jsonl", records[-3:])], (), histories, version="0")

    assert "Since when" in page
    assert "slower" in page
    assert run_name(20) in page
    assert "torch: 2.13.0 -&gt; 2.14.0" in page
    assert page.count("<svg") >= 1


def test_a_stranger_s_names_are_text_in_the_page_s_history(make):
    for needed in ("altair", "jinja2", "vl_convert"):
        pytest.importorskip(needed)
    hostile = "</title><script>alert(1)</script>"

    def values(number):
        return {hostile: 1e-3 * (1.08 if number >= 20 else 1.0)}

    records = a_history(make, values, device=make.device(name=hostile))
    page = render_page(
        [PageRun("x.jsonl", records[-1:])], (), find_history(frame_of(records)), version="0"
    )

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
