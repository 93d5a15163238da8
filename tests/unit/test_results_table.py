"""A run as text, at several widths."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from trnbench.results.record import Failure, Status
from trnbench.results.table import print_run, summary_line

WIDTHS = (80, 100, 120, 140, 200)


def printed(records, width, notices=()):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    print_run(records, Path("results/runs/some.jsonl"), console, notices)
    return stream.getvalue()


@pytest.fixture
def records(make):
    unknown = make.roof("derived", None, None, None, "DRAM's peak isn't known here")
    found = []
    for workload, configuration, headline, roofs in (
        ("matmul", "square-512", "flops", [make.roof("derived", fraction=0.81)]),
        ("memory", "triad-64MiB", "bytes", [unknown]),
        ("decoder", "a-long-name-of-a-configuration", "items", [unknown]),
    ):
        for number, mode in enumerate(("eager", "compiled")):
            attained = make.roof("attained", fraction=0.9 - number / 4, bound="dispatch")
            found.append(
                make.record(
                    make.case(workload=workload, configuration=configuration, mode=mode),
                    medians=[12.34e-6, 12.35e-6, 12.36e-6],
                    cost=make.cost(headline=headline, flops=10**7, bytes_moved=10**6, items=5),
                    roofs=[*roofs, attained],
                )
            )
    found[1] = found[1].model_copy(update={"flags": ["DRIFT", "PROCESS_SPREAD"]})
    found[4] = found[4].model_copy(update={"flags": ["PROCESS_SPREAD"]})
    return found


@pytest.fixture
def failed(make):
    def one(configuration, status, message, mend=""):
        record = make.record(make.case(configuration=configuration), status=status)
        return record.model_copy(update={"failure": Failure(message=message, mend=mend)})

    refusals = [one(f"refused-{n}", Status.UNSUPPORTED, "no [g++]", "install it") for n in range(5)]
    failures = [
        one("slow", Status.TIMEOUT, "over the limit\nof 60 s", "raise it"),
        one("slower", Status.TIMEOUT, "over the limit\nof 60 s", "raise it"),
    ]
    return [*refusals, *failures]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(records, failed, width):
    text = printed([*records, *failed], width)

    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_no_figure_is_cut_at_any_width(records, width):
    text = printed(records, width)

    assert "…" not in text
    for figure in ("12.3 µs", "GFLOP/s", "81.0 GB/s", "405 k rows/s", "90 %", "65 %", "dispatch"):
        assert figure in text


def test_a_terminal_that_is_too_narrow_for_anything_still_shows_whole_figures(records):
    lines = printed(records, 52).splitlines()
    row = next(line for line in lines if line.startswith("matmul"))

    for figure in ("fp32", "12.3 µs", "90 %"):
        assert figure in row


def test_a_wide_table_has_every_column(records):
    text = printed(records, 140)
    head = re.sub(r"\s+", " ", text[: text.index("───")])

    columns = [
        "case",
        "dtype",
        "mode",
        "time",
        "±",
        "throughput",
        "attained",
        "derived",
        "bound",
        "flags",
    ]
    assert head.split()[-len(columns) :] == columns
    row = next(line for line in text.splitlines() if line.startswith("matmul square-512"))
    assert re.split(r"\s{2,}", row.strip()) == [
        "matmul square-512",
        "fp32",
        "eager",
        "12.3 µs",
        "0.2 %",
        "810 GFLOP/s",
        "90 %",
        "81 %",
        "dispatch",
    ]
    assert "DRIFT, PROCESS_SPREAD" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_that_differ_by_mode_only_don_t_read_alike(records, width):
    lines = printed(records, width).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("matmul"))

    assert "compiled" in " ".join(lines[start : start + 4])


def test_a_column_that_all_cases_share_is_left_out(records):
    eager = [record for record in records if record.case.mode == "eager"]
    text = printed(eager, 140)

    assert "mode" not in text.split("───")[0].split()
    assert "backend" not in text.split("───")[0].split()


@pytest.mark.parametrize("width", [80, 100])
def test_narrow_tables_number_their_flags_and_explain_each(records, width):
    lines = printed(records, width).splitlines()
    legend = [line for line in lines if re.match(r"\d [A-Z_]+:", line)]

    assert [line.split(":")[0] for line in legend] == ["1 DRIFT", "2 PROCESS_SPREAD"]
    flagged = [line for line in lines if re.search(r"(dispatch|%|-) +(1 2|2)\s*$", line)]
    assert len(flagged) == 2


def test_an_unknown_ceiling_is_a_dash_with_its_reason_and_count(records):
    text = printed(records, 140)

    assert "4 of the cases): DRAM's peak isn't known here" in text
    row = next(line for line in text.splitlines() if line.startswith("memory"))
    assert re.search(r"90 % +- +dispatch", row)


def test_failures_have_a_row_each_and_refusals_of_one_reason_share_one(records, failed):
    text = printed([*records, *failed], 200)
    below = text[text.index("no result") :]

    for name in ("slow", "slower"):
        assert f"matmul[{name}-fp32-eager-cpu]" in below
    assert below.count("over the limit of 60 s; raise it") == 2
    assert below.count("no [g++]; install it") == 1
    assert "refused-0" in below
    assert "refused-2" in below
    assert "and 2 more" in below
    assert below.index("TIMEOUT") < below.index("UNSUPPORTED")


def test_a_failed_case_isn_t_among_the_results(records, failed):
    text = printed([*records, *failed], 140)

    assert "slow" not in text[: text.index("no result")]


def test_a_run_in_which_nothing_succeeded_still_prints(failed):
    text = printed(failed, 80)

    assert "0 of 7 cases OK" in text
    assert "throughput" not in text


def test_the_sum_names_best_and_worst_and_its_scope(records, failed):
    unranked = records[0].model_copy(update={"roofs": []})
    line = summary_line([*records, unranked, *failed])

    assert "best: matmul[square-512-fp32-eager-cpu] at 90 % of the attained peak" in line
    assert "worst: matmul[square-512-fp32-compiled-cpu] at 65 %, bound by dispatch" in line
    assert "7 of 14 cases OK" in line
    assert "5 UNSUPPORTED, 2 TIMEOUT" in line
    assert line in printed([*records, unranked, *failed], 300)
    assert "1 without a known attained ceiling" in line


def test_a_result_that_isn_t_ok_is_never_the_best(make, records):
    impossible = make.record(make.case(configuration="impossible"), roofs=[make.roof(fraction=3.0)])
    impossible = impossible.model_copy(update={"status": Status.ABOVE_ROOF})

    assert "impossible" not in summary_line([*records, impossible])


def test_the_head_names_run_device_software_and_origin(records, make):
    published = make.record(make.case(configuration="other"), origin="published")
    text = printed([*records, published], 140)

    assert "run 20261122T021733Z-4f2a9c" in text
    assert "6 measured, 1 published: not the same kind" in text
    assert "Some Processor 9000, 2 cores used" in text
    assert "2 threads, torch 2.13.0" in text


def test_path_and_notices_are_printed_whole(records):
    text = printed(records, 80, ["a note"])

    assert "results/runs/some.jsonl" in text.splitlines()[-1]
    assert "note: a note" in text
