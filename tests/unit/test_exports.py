"""Stored runs in other programs' forms: nothing is lost, invented, or obeyed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from trnbench.bench.errors import UsageError
from trnbench.bench.export import run_export_command
from trnbench.results.compare import compare
from trnbench.results.difference import DiffRow, Side
from trnbench.results.exports.escapes import escape_markdown, guard_formula, one_line
from trnbench.results.exports.formats import FORMATS, find_format
from trnbench.results.exports.markdown import difference_markdown
from trnbench.results.exports.page import LONGEST_BYTES
from trnbench.results.frame import load, load_files
from trnbench.results.geometric_means import GeometricMean
from trnbench.results.history import find_history
from trnbench.results.lines import RecordError, StoreError
from trnbench.results.origin import OriginError
from trnbench.results.printable import printable
from trnbench.results.record import Failure, Status

RUN = "20261122T021733Z-4f2a9c"
HOSTILE = "a|b`c`<img src=x onerror=1>\n## @team [x](http://x) \x1b[2J\u202e*e*"
#: The documented form: a list of objects with name, unit and value, and range and extra as texts.
ACTION_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "unit": {"type": "string", "minLength": 1},
            "value": {"type": "number"},
            "range": {"type": "string"},
            "extra": {"type": "string"},
        },
        "additionalProperties": False,
    },
}


@pytest.fixture
def stored(tmp_path):
    """Writes records as a run's file; its path."""

    def write(*records, name=RUN):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
        return path

    return write


def exported(form, *paths):
    return find_format(form).export(paths)


def refuse_constant(token):
    raise AssertionError(token)


# CSV


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_csv_has_a_row_a_case_and_numbers_that_read_back(stored, make):
    path = stored(make.record(), make.record(make.case(configuration="b"), (3e-7, 3.1e-7)))

    table = pd.read_csv(io.StringIO(exported("csv", path).text))

    frame = load(path)
    assert list(table.columns) == list(frame.columns)
    for name in ("sustained_s", "sustained_low_s", "throughput", "flops", "param.m"):
        assert table[name].tolist() == frame[name].tolist()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\n", "\x1b[31m="])
def test_no_text_of_a_csv_is_a_formula(stored, make, sign):
    text = f"{sign}HYPERLINK(1)"
    record = make.record(
        make.case(configuration=text, params={"op": text, "n": -1}), label=text, source=text
    )

    (row,) = csv_rows(exported("csv", stored(record)).text)

    for name in ("configuration", "label", "source", "param.op"):
        assert row[name].startswith("'"), name
    assert row["param.n"] == "-1"


def test_a_negative_number_stays_a_number(stored, make):
    record = make.record()
    cost = record.summary.sustained.model_copy(update={"value": -2e-7, "low": None, "high": None})
    summary = record.summary.model_copy(update={"fixed_cost": cost})

    (row,) = csv_rows(exported("csv", stored(record.model_copy(update={"summary": summary}))).text)

    assert float(row["fixed_cost_s"]) == -2e-7


def test_names_that_become_equal_when_guarded_are_kept(stored, make):
    records = [make.record(label=label) for label in ("=1", "'=1")]

    rows = csv_rows(exported("csv", stored(*records)).text)

    assert [row["label"] for row in rows] == ["'=1", "'=1"]


def test_a_carriage_return_is_guarded_too():
    # Loaders show it as a picture; a frame may come from elsewhere.
    assert guard_formula("\r=1").startswith("'")


@given(st.text())
def test_a_guarded_cell_begins_with_no_sign_of_a_formula(text):
    assert not guard_formula(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


# Parquet


def test_parquet_reads_back_with_every_type(stored, make, tmp_path):
    path = stored(
        make.record(),
        make.record(
            make.case(workload="b", params={"x": 1.5, "causal": True}), status=Status.TIMEOUT
        ),
    )
    target = tmp_path / "run.parquet"

    find_format("parquet").write([path], target)

    before, after = load(path), load(target)
    before.attrs.clear()
    after.attrs.clear()
    # A column of names without any says nothing of the type of names.
    pd.testing.assert_frame_equal(after, before, check_categorical=False)
    assert str(after["devices"].dtype) == "Int64"
    assert str(after["status"].dtype) == "category"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns="status"), "no column status"),
        (lambda frame: frame.assign(status="FINE"), "'FINE' given"),
        (lambda frame: frame.assign(origin=None).astype({"origin": "str"}), None),
        (lambda frame: frame.assign(dtype=[["fp32"]]), "'dtype' holds something else than texts"),
        (lambda frame: frame.assign(workload=3), "'workload' holds something else than texts"),
        (lambda frame: frame.assign(devices=1.5), "'?devices'?|integer|equivalent"),
        (lambda frame: frame.assign(sustained_s="x"), "x"),
        (lambda frame: frame.assign(sustained_s=float("inf")), "'sustained_s' holds infinity"),
        (lambda frame: frame.assign(devices=0), "'devices' holds 0; wanted more than 0"),
        (lambda frame: frame.assign(isolated_s=-1.5), "'isolated_s' holds -1.5; wanted more"),
        (lambda frame: frame.assign(sustained_low_s=0.0), "'sustained_low_s' holds 0; wanted"),
        (lambda frame: frame.assign(min_s=0.0), None),
        (lambda frame: frame.assign(fixed_cost_s=-1.0, min_s=float("nan")), None),
        (lambda frame: frame.assign(time="2026-11-22"), "'time' holds something else"),
        (lambda frame: frame.assign(time=pd.NaT), "'time' holds something else"),
        (lambda frame: frame.assign(**{"param.m": [[1]]}), "'param.m' holds something else"),
        (lambda frame: frame.assign(**{"version.x": 1}), "'version.x' holds something else"),
        (lambda frame: frame.assign(stranger=1), None),
    ],
)
def test_a_parquet_file_of_somebody_else_is_read_or_refused(stored, make, tmp_path, change, said):
    pytest.importorskip("pyarrow")
    frame = load_files([stored(make.record())])
    frame.attrs.clear()
    path = tmp_path / "theirs.parquet"
    change(frame).to_parquet(path)

    if said is None:
        assert list(load_files([path]).columns) == list(frame.columns)
        return
    with pytest.raises(RecordError, match=said):
        load_files([path])


@pytest.mark.parametrize("params", ["{", "[1]", "", '{"m": NaN}'])
def test_parameters_of_somebody_else_that_are_no_object_are_named(stored, make, tmp_path, params):
    pytest.importorskip("pyarrow")
    path = tmp_path / "theirs.parquet"
    frame = load_files([stored(make.record())])
    frame.attrs.clear()
    frame.assign(params=params).to_parquet(path)
    theirs = load_files([path])

    with pytest.raises(StoreError, match=r"column 'params' holds .* wanted a JSON object"):
        compare(theirs, theirs).rows()
    with pytest.raises(StoreError, match=r"column 'params' holds .* wanted a JSON object"):
        find_history(theirs)


def test_parquet_is_no_text(stored, make):
    with pytest.raises(StoreError, match="is no text; give a file to write with -o"):
        exported("parquet", stored(make.record()))


def test_without_pyarrow_parquet_names_the_extra(stored, make, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(StoreError, match=r'pip install "trnbench\[parquet\]"'):
        find_format("parquet").write([stored(make.record())], tmp_path / "x.parquet")


# pytest-benchmark


def test_pytest_benchmark_has_a_round_a_sample(stored, make):
    record = make.record()

    content = json.loads(
        exported("pytest-benchmark", stored(record)).text, parse_constant=refuse_constant
    )

    (entry,) = content["benchmarks"]
    assert entry["fullname"] == "trnbench::matmul[square-512-fp32-eager-cpu]"
    assert entry["stats"]["rounds"] == 60
    assert entry["stats"]["median"] == pytest.approx(1.2e-3, rel=0.02)
    assert entry["extra_info"]["regime"] == "isolated"
    assert content["machine_info"]["node"] == ""


def test_pytest_benchmark_leaves_out_what_has_no_samples_and_says_so(stored, make):
    path = stored(make.record(), make.record(make.case(configuration="b"), status=Status.CRASHED))

    found = exported("pytest-benchmark", path)

    assert len(json.loads(found.text)["benchmarks"]) == 1
    assert found.notices == ("1 of 2 cases left out: not OK, or no samples",)


def test_pytest_benchmark_holds_no_time_of_a_wrong_result(stored, make):
    wrong = make.record(make.case(configuration="b"))
    wrong = wrong.model_copy(update={"status": Status.NUMERIC_MISMATCH})

    found = exported("pytest-benchmark", stored(make.record(), wrong))

    (entry,) = json.loads(found.text)["benchmarks"]
    assert entry["name"] == "matmul[square-512-fp32-eager-cpu]"
    assert found.notices == ("1 of 2 cases left out: not OK, or no samples",)


def test_pytest_benchmark_tells_one_device_from_two(stored, make):
    records = [make.record(make.case(devices=count)) for count in (1, 2)]

    entries = json.loads(exported("pytest-benchmark", stored(*records)).text)["benchmarks"]

    assert [entry["fullname"] for entry in entries] == [
        "trnbench::matmul[square-512-fp32-eager-cpu]",
        "trnbench::matmul[square-512-fp32-eager-cpu-x2]",
    ]


def test_pytest_benchmark_refuses_what_it_can_not_hold(stored, make, tmp_path):
    failed = stored(make.record(status=Status.CRASHED))
    with pytest.raises(StoreError, match="none of the 1 cases is OK and has samples"):
        exported("pytest-benchmark", failed)

    one, other = stored(make.record()), stored(make.record(run="other"), name="other")
    with pytest.raises(StoreError, match="2 runs given"):
        exported("pytest-benchmark", one, other)

    table = tmp_path / "run.parquet"
    find_format("parquet").write([one], table)
    with pytest.raises(RecordError, match="a Parquet file has no samples"):
        exported("pytest-benchmark", table)


# github-action-benchmark


@pytest.mark.parametrize("form", ["github-action-benchmark", "github-action-benchmark-bigger"])
def test_the_action_s_file_has_the_documented_form(stored, make, form):
    path = stored(make.record(), make.record(make.case(configuration=HOSTILE, mode="compiled")))

    entries = json.loads(exported(form, path).text, parse_constant=refuse_constant)

    jsonschema.validate(entries, ACTION_SCHEMA)
    assert len({entry["name"] for entry in entries}) == 2


def test_the_action_gets_microseconds_and_half_of_the_interval(stored, make):
    record = make.record()
    sustained = record.summary.sustained

    (entry,) = json.loads(exported("github-action-benchmark", stored(record)).text)

    assert entry["name"] == "matmul[square-512-fp32-eager-cpu] sustained"
    assert entry["unit"] == "µs"
    assert entry["value"] == pytest.approx(1e6 * sustained.value)
    half = (sustained.high - sustained.low) / 2
    assert float(entry["range"].removeprefix("± ")) == pytest.approx(1e6 * half, rel=1e-2)


def test_throughputs_stand_apart_since_more_of_them_is_better(stored, make):
    record = make.record()

    (entry,) = json.loads(exported("github-action-benchmark-bigger", stored(record)).text)

    assert (entry["unit"], entry["value"]) == ("FLOP/s", record.summary.throughput)


def test_cases_that_share_a_name_are_told_apart(stored, make):
    one = make.record(make.case(params={"m": 1}))
    two = make.record(make.case(params={"m": 2}))

    entries = json.loads(exported("github-action-benchmark", stored(one, two)).text)

    assert [entry["name"].split(" ")[1] for entry in entries] == ['{"m":1}', '{"m":2}']


def test_what_is_not_ok_is_no_point_of_a_chart(stored, make):
    slow = make.record(make.case(configuration="b"), status=Status.CRASHED)
    found = exported("github-action-benchmark", stored(make.record(), slow))

    assert len(json.loads(found.text)) == 1
    assert found.notices == ("1 of 2 cases left out: not OK, or without this figure",)
    with pytest.raises(StoreError, match="none of the 1 cases is OK"):
        exported("github-action-benchmark", stored(slow))


@pytest.mark.parametrize("form", ["github-action-benchmark", "junit", "markdown", "otava-csv"])
def test_simulated_figures_share_no_file_with_others(stored, make, form):
    simulated = make.record(make.case(configuration="b"), origin="simulated")

    with pytest.raises(OriginError, match="1 records are simulated and 1 are not"):
        exported(form, stored(make.record(), simulated))


# Otava


def a_series(stored, make):
    """Two runs, the newer first; the older lacks a case."""
    b = make.case(configuration="b")
    late = [
        make.record(
            case,
            run="late",
            time="2026-11-25T00:00:00Z",
            environment=make.environment(git={"commit": "f00"}),
        )
        for case in (make.case(), b)
    ]
    early = make.record(run="early", time="2026-11-24T00:00:00Z")
    return stored(*late, name="late"), stored(early, name="early")


def test_a_series_is_a_row_a_run_oldest_first(stored, make):
    late, early = a_series(stored, make)

    rows = csv_rows(exported("otava-csv", late, early).text)

    assert [row["run"] for row in rows] == ["early", "late"]
    assert [row["commit"] for row in rows] == ["", "f00"]
    assert rows[0]["time"] == "2026-11-24 00:00:00 +0000"
    metrics = [name for name in rows[0] if name not in ("time", "commit", "run")]
    assert len(metrics) == 2
    assert [rows[0][name] for name in metrics if "[b-" in name] == ["nan"]
    assert all(float(rows[1][name]) == pytest.approx(1e-3, rel=0.02) for name in metrics)


def test_the_configuration_has_the_columns_of_the_series(stored, make):
    paths = a_series(stored, make)

    table = csv_rows(exported("otava-csv", *paths).text)
    test = yaml.safe_load(exported("otava-config", *paths).text)["tests"]["trnbench"]

    columns = {metric["column"] for metric in test["metrics"].values()}
    assert columns == set(table[0]) - {"time", "commit", "run"}
    assert {metric["direction"] for metric in test["metrics"].values()} == {-1}
    assert test["time_column"] in table[0]
    assert set(test["attributes"]) <= set(table[0])


def test_a_column_is_of_one_regime(stored, make):
    both = make.record(run="both")
    summary = both.summary.model_copy(update={"sustained": None})
    alone = both.model_copy(update={"run": "alone", "summary": summary})

    rows = csv_rows(
        exported("otava-csv", stored(both, name="both"), stored(alone, name="alone")).text
    )

    (metric,) = set(rows[0]) - {"time", "commit", "run"}
    assert metric.endswith(" isolated")
    assert rows[0][metric] == rows[1][metric]


def test_a_run_without_a_time_is_in_no_series(stored, make):
    undated = make.record(
        run="undated", time="unknown", origin="published", source="x", processes=[]
    )

    with pytest.raises(StoreError, match="1 of 2 runs have no time, the first 'undated'"):
        exported("otava-csv", stored(make.record()), stored(undated, name="undated"))


def test_a_series_is_of_one_machine(stored, make):
    other = make.record(run="other", environment=make.environment(machine="fedcba987654"))

    with pytest.raises(StoreError, match="runs of 2 machines given"):
        exported("otava-csv", stored(make.record()), stored(other, name="other"))


# JUnit


def test_junit_counts_what_failed_and_what_was_skipped(stored, make):
    cases = [make.case(configuration=name) for name in "abcd"]
    statuses = (Status.OK, Status.UNSUPPORTED, Status.CRASHED, Status.SKIPPED)
    records = [make.record(c, status=s) for c, s in zip(cases, statuses, strict=True)]

    root = ET.fromstring(exported("junit", stored(*records)).text)

    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    expected = {"tests": "4", "failures": "1", "skipped": "2", "errors": "0"}
    assert {name: suite.get(name) for name in expected} == expected
    kinds = [[child.tag for child in case if child.tag != "system-out"] for case in suite]
    assert kinds == [[], ["skipped"], ["failure"], ["skipped"]]
    failure = suite.find("testcase/failure")
    assert failure.get("type") == "CRASHED"
    assert failure.get("message") == "CRASHED in process 0"


@given(text=st.text(st.characters(codec=None)))
def test_no_text_breaks_the_xml(text):
    element = ET.Element("testcase", {"name": printable(text)})
    element.text = printable(text)

    again = ET.fromstring(ET.tostring(element, encoding="unicode"))

    assert again.tag == "testcase"


def test_a_hostile_failure_is_text_in_the_xml(stored, make):
    failure = Failure(message="</failure><evil/>\x00\x1b[2J]]>\ufffe")
    record = make.record(status=Status.CRASHED, failure=failure)

    root = ET.fromstring(exported("junit", stored(record)).text)

    assert not list(root.iter("evil"))
    assert "</failure><evil/>" in root.find("testsuite/testcase/failure").text


# Markdown


class Page(HTMLParser):
    """Which tags a page has, and the texts of its cells."""

    def __init__(self, markdown):
        super().__init__()
        self.tags, self.cells, self._cell = Counter(), [], None
        self.feed(MarkdownIt("commonmark").enable("table").render(markdown))

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        if tag == "td":
            self._cell = []

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag):
        if tag == "td":
            self.cells.append("".join(self._cell))
            self._cell = None


def seen(text):
    """What a reader sees of an escaped text."""
    return text.replace("\u200b", "")


def test_a_summary_has_a_row_a_case_and_failures_first(stored, make):
    crashed = make.record(make.case(configuration="b"), status=Status.CRASHED)

    text = exported("markdown", stored(make.record(), crashed)).text
    page = Page(text)

    assert page.tags["table"] == 1
    assert page.cells[0] == "matmul[b-fp32-eager-cpu]"
    assert page.cells[5] == "CRASHED: CRASHED in process 0"
    assert page.cells[6:8] == ["matmul[square-512-fp32-eager-cpu]", "1.00 ms"]
    assert page.cells[10] == "90 % of attained (tensor)"
    assert "2 cases (1 CRASHED, 1 OK)" in text


def test_a_summary_is_short(stored, make):
    records = [make.record(make.case(configuration=f"c{n}")) for n in range(100)]

    text = exported("markdown", stored(*records)).text

    assert text.count("\n| ") == 41
    assert text.endswith("and 60 more cases\n")


def test_a_stand_in_s_summary_says_so(stored, make):
    text = exported("markdown", stored(make.record(origin="simulated"))).text

    assert "SIMULATED: a stand-in" in text


def test_a_hostile_name_is_one_cell_of_text(stored, make):
    harmless = Page(exported("markdown", stored(make.record())).text)
    record = make.record(
        make.case(configuration=HOSTILE, workload=HOSTILE),
        flags=[HOSTILE],
        device=make.device(name=HOSTILE),
        label=HOSTILE,
    )

    page = Page(exported("markdown", stored(record)).text)

    assert page.tags == harmless.tags
    assert len(page.cells) == 6
    assert "<img src=x onerror=1>" in page.cells[0]


@given(st.text())
def test_an_escaped_text_means_itself(text):
    page = Page(f"| head |\n|---|\n| {escape_markdown(text)} |\n")

    assert set(page.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert [seen(cell) for cell in page.cells] == [seen(one_line(text))]


@pytest.mark.parametrize(
    "text", ["# a", "- a", "1. a", "> a", "```", "    a", "=== ", "a\n---", "+ a"]
)
def test_an_escaped_text_at_the_start_of_a_line_is_a_paragraph(text):
    assert set(Page(escape_markdown(text)).tags) <= {"p"}


@pytest.mark.parametrize(
    "text", ["@team", "#12", "http://a.example", "www.a.example", "me@a.example", ":tada:"]
)
def test_nobody_is_mentioned_and_nothing_linked(text):
    escaped = escape_markdown(text)

    assert text not in escaped
    # The sign and what it would call stand apart even after the references are read.
    assert "\u200b" in escaped


# A difference


class FakeComparison:
    """As ``results.compare.Comparison``: what the page reads of it."""

    a, b = "20261122T021733Z-4f2a9c", "20261123T021733Z-5a3b0d"
    headline = "3 common cases: 1 slower"

    def __init__(self, rows, warnings=(), changes=(), means=()):
        self._rows = rows
        self.warnings, self.environment_changes = list(warnings), list(changes)
        self.geometric_means = list(means)

    @property
    def counts(self):
        return Counter(row.verdict for row in self._rows)

    def rows(self, most=None):
        return self._rows[:most]


def a_side(**changes):
    facts = {
        "run": RUN,
        "label": "",
        "origin": "measured",
        "configuration": "square-512",
        "mode": "eager",
        "backend": "cpu",
        "devices": 1,
        "status": "OK",
        "failure": "",
        "time_s": 1e-3,
        "low_s": 0.9e-3,
        "high_s": 1.1e-3,
        "throughput": None,
        "throughput_unit": None,
        "fractions": {},
        "bound": None,
        "device": None,
        "chip": None,
        "share": None,
        "threads": None,
        "source": "",
    }
    return Side(**facts | changes)


def a_row(verdict="SLOWER", **changes):
    facts = {
        "workload": "matmul",
        "configuration": "square-512",
        "params": {},
        "phase": "forward",
        "dtype": "fp32",
        "mode": "eager",
        "backend": "cpu",
        "devices": 1,
        "verdict": verdict,
        "why": "differs by more than both intervals",
        "cause": "launch gap 13.0 µs -> 180 µs",
        "a": a_side(),
        "b": a_side(time_s=2e-3),
        "ratio": 2.0,
        "low": 1.9,
        "high": 2.1,
        "expected_ratio": 1.0,
    }
    return DiffRow(**facts | changes)


def test_a_comment_says_what_matters_first():
    rows = [a_row(), a_row("UNPAIRED"), a_row("SAME", ratio=1.0)]
    means = [GeometricMean("all", 3, 1.26, 1.1, 1.4, 1.0)]

    text = difference_markdown(FakeComparison(rows, ["beware"], ["torch: 2.9 -> 2.13"], means))

    assert text.startswith("### 3 common cases: 1 slower\n")
    page = Page(text)
    assert page.cells[:6] == [
        "SLOWER",
        "matmul[square-512-fp32-eager-cpu]",
        "1.00 ms",
        "2.00 ms",
        "2.00 (1.90 to 2.10)",
        "1.00",
    ]
    assert page.cells[6].startswith("launch gap 13.0 µs -> 180 µs; differs")
    assert page.cells[7] == "UNPAIRED"
    assert page.cells[14:19] == ["all", "3", "1.26", "1.10 to 1.40", "1.00"]
    assert "- beware" in text
    assert "torch: 2.9 -&#62; 2.13" in text
    assert "made at different times" in text
    assert "<details><summary>1 more cases</summary>" in text


def test_without_stored_runs_no_note_on_them():
    assert "different times" not in difference_markdown(FakeComparison([a_row()]))


def test_a_failing_case_shows_its_status_in_place_of_a_time():
    row = a_row("NEWLY_FAILING", b=a_side(status="CRASHED", time_s=None), ratio=None, low=None)

    page = Page(difference_markdown(FakeComparison([row, a_row("MISSING", b=None)])))

    assert page.cells[2:5] == ["1.00 ms", "CRASHED", "-"]
    assert page.cells[10] == "-"


def test_the_table_in_sight_has_at_most_twenty_rows():
    text = difference_markdown(FakeComparison([a_row() for _ in range(50)]))

    before, after = text.split("<details>")
    assert before.count("| SLOWER |") == 20
    assert after.count("| SLOWER |") == 30


@pytest.mark.parametrize("unit", ["x", HOSTILE, "\U0001f600"])
@pytest.mark.parametrize("count", [1, 20, 400, 3000])
def test_a_comment_always_fits(unit, count):
    long = unit * 2000
    row = a_row(workload=long, configuration=long, why=long, cause=long, mode=long)
    comparison = FakeComparison(
        [row] * count,
        [long] * 50,
        [long] * 500,
        [GeometricMean(long, 1, 1.0, 1.0, 1.0, None)] * 800,
    )
    comparison.headline = comparison.a = comparison.b = long

    text = difference_markdown(comparison)

    assert len(text.encode()) <= LONGEST_BYTES
    assert text.count("<details>") == text.count("</details>")


def test_what_does_not_fit_is_counted():
    text = difference_markdown(FakeComparison([a_row("SAME", why="y" * 200)] * 3000))

    shown = text.count("| SAME |")
    assert 0 < shown < 3000
    assert f"{3000 - shown} of these 3000 don't fit a comment" in text


def test_a_real_comparison_becomes_a_comment(stored, make):
    from trnbench.results.compare import compare

    b = make.case(configuration="b")
    before = load_files([stored(make.record(), make.record(b))])
    after = load_files(
        [
            stored(
                make.record(medians=(5e-3, 5.01e-3, 4.99e-3), run="after"),
                make.record(b, status=Status.CRASHED, run="after"),
                name="after",
            )
        ]
    )

    page = Page(difference_markdown(compare(before, after)))

    verdicts = page.cells[0], page.cells[7]
    assert verdicts[0] == "NEWLY_FAILING"
    assert page.cells[3] == "CRASHED"
    assert page.cells[11].startswith("5.0")


# The command


def test_every_form_is_written_over_what_is_there(stored, make, tmp_path, capsys):
    path = stored(make.record())

    for name in FORMATS:
        target = tmp_path / f"made.{name}"
        target.write_text("old " * 100_000)
        assert run_export_command([str(path)], name, target, tmp_path) == 0
        assert b"old old" not in target.read_bytes()


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.is_text])
def test_what_is_printed_is_what_is_written(stored, make, tmp_path, capfdbinary, name):
    path, target = stored(make.record()), tmp_path / "made"

    run_export_command([str(path)], name, target, tmp_path)
    run_export_command([RUN[:8]], name, None, tmp_path)

    assert capfdbinary.readouterr().out == target.read_bytes()


def test_an_export_never_takes_a_run_s_place(stored, make, tmp_path):
    path = stored(make.record())
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)

    for target in (path, tmp_path / "new.jsonl", tmp_path / "link"):
        with pytest.raises(UsageError, match="a run's file"):
            run_export_command([str(path)], "csv", target, tmp_path)

    assert path.read_bytes() == before


def test_a_wrong_format_lists_the_right_ones(stored, make, tmp_path):
    with pytest.raises(
        StoreError, match=r"unknown format 'juint'; known: csv, .*Did you mean 'junit'"
    ):
        run_export_command([str(stored(make.record()))], "juint", None, tmp_path)


def test_a_folder_that_is_not_there_is_said(stored, make, tmp_path):
    with pytest.raises(StoreError, match="can't write"):
        run_export_command([str(stored(make.record()))], "csv", tmp_path / "no" / "x.csv", tmp_path)


# The workflow that posts a difference


EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "pull_request.yml"


def test_the_example_is_a_workflow():
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]

    done = subprocess.run(
        [*checker, "vendor.github-workflows", EXAMPLE], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_job_that_runs_a_stranger_s_code_may_write_nothing():
    text = EXAMPLE.read_text()
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]

    # YAML 1.1 takes the key "on" for true. With pull_request_target a fork's code would run
    # beside the base's secrets.
    assert list(workflow[True]) == ["pull_request"]
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["measure"]
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"])
    # What a stranger chose, such as a branch's name, is no part of a script.
    scripts = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert not any("${{" in script for script in scripts)
