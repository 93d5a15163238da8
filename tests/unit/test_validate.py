"""Every mistake in a file of records, with its line and field."""

from __future__ import annotations

import json

import pytest

from trnbench.results.baseline import write_baseline
from trnbench.results.lines import MAX_LINE_BYTES, StoreError
from trnbench.results.store import RunFile, RunHeader, create_run
from trnbench.results.validate import validate


def written(tmp_path, *lines, name="file.jsonl"):
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def consistent(make, *case, **changes):
    """The fraction of a made-up roof would be one of a mean that isn't round."""
    return make.record(*case, roofs=[], **changes)


def spoilt(record, change):
    row = json.loads(record.model_dump_json())
    change(row)
    return json.dumps(row)


def found(path):
    return [(p.severity, p.line, p.field) for p in validate(path).problems]


def test_a_run_and_a_baseline_are_valid(make, tmp_path):
    records = [consistent(make, make.case(dtype=dtype)) for dtype in ("fp32", "bf16")]
    run = written(tmp_path, *(record.model_dump_json() for record in records))
    slim = tmp_path / "baseline.jsonl"
    write_baseline(records, slim)

    for path in (run, slim):
        report = validate(path)
        assert (report.valid, report.records, report.problems) == (True, 2, [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda row: row.update(status="FINE"), "status"),
        (lambda row: row["case"].pop("configuration"), "case.configuration"),
        (lambda row: row["case"].update(devices="two"), "case.devices"),
        (lambda row: row["case"].update(devices="1"), "case.devices"),
        (lambda row: row["case"].update(devices=1.0), "case.devices"),
        (lambda row: row["case"].update(devices=0), "case.devices"),
        (lambda row: row["case"].update(devices=-2), "case.devices"),
        (lambda row: row["summary"]["sustained"].update(high="1e5"), "summary.sustained.high"),
        (lambda row: row["summary"]["sustained"].update(value=0), "summary.sustained"),
        (lambda row: row["summary"]["isolated"].update(low=-1.0), "summary.isolated"),
        (lambda row: row["summary"].update(min_s=0.0), "summary.min_s"),
        (lambda row: row["cost"].update(estimated="no"), "cost.estimated"),
        (lambda row: row["summary"]["sustained"].update(value=9.0), "summary.sustained"),
        (lambda row: row["summary"].update(processes=7), "summary.processes"),
        (lambda row: row["processes"][1]["sustained"]["cpu_ns"].pop(), None),
        (lambda row: row.update(time="yesterday"), "time"),
        (lambda row: row.update(time="2026-11"), "time"),
        (lambda row: row["device"].update(share=0.0), "device.share"),
        (lambda row: row["device"].update(share=8.0), "device.share"),
        (lambda row: row.update(run="../../etc/passwd"), "run"),
        (lambda row: row.update(schema_version=99), "schema_version"),
    ],
)
def test_a_mistake_is_named_by_line_and_field(make, tmp_path, change, field):
    good = consistent(make, make.case(dtype="bf16"), run="file").model_dump_json()
    report = validate(written(tmp_path, good, spoilt(consistent(make, run="file"), change)))

    assert not report.valid
    assert {problem.line for problem in report.problems} == {2}
    names = {problem.field for problem in report.problems}
    wanted = field or "processes.1.sustained.cpu_ns"
    assert any(name.startswith(wanted) for name in names), names


def test_figures_too_large_to_be_summed_are_a_mistake_and_no_warning_of_numpy(make, tmp_path):
    def spoil(row):
        for process, sign in zip(row["processes"], (1, -1, 1), strict=True):
            fit = {"calls": [1, 2], "wall_ns": [1, 2], "slope_ns": 1.0}
            process["fit"] = fit | {"fixed_cost_ns": sign * 1e300}

    report = validate(written(tmp_path, spoilt(consistent(make, run="file"), spoil)))

    assert "processes" in {problem.field for problem in report.problems}


def test_reading_goes_on_after_a_mistake_and_all_are_counted(make, tmp_path):
    bad = spoilt(consistent(make), lambda row: row.update(status="FINE"))
    path = written(tmp_path, *[bad] * 7, "{")
    report = validate(path, limit=3)

    assert (report.errors, len(report.problems)) == (8, 3)


def test_what_loaders_leave_out_is_a_warning(make, tmp_path):
    unknown = spoilt(consistent(make), lambda row: row.update(surprise=1))
    twice = consistent(make, make.case(dtype="bf16")).model_dump_json()
    twice = f'{{"label":"x",{twice[1:]}'
    path = written(tmp_path, unknown, twice)

    assert found(path) == [("warning", 1, "surprise"), ("warning", 2, "label")]
    assert validate(path).valid


def test_a_case_that_is_there_twice_and_origins_that_don_t_mix(make, tmp_path):
    record = consistent(make)
    simulated = consistent(make, make.case(dtype="bf16"), origin="simulated")
    lines = [one.model_dump_json() for one in (record, record, simulated)]

    assert {one[1:] for one in found(written(tmp_path, *lines))} >= {(2, "case"), (0, "origin")}


def test_a_journal_is_checked_too(make, tmp_path):
    case = make.case()
    header = RunHeader(time="2026-11-22T02:17:33Z", cases=[case])
    file = RunFile("20261122T021733Z-4f2a9c", tmp_path)
    with create_run(tmp_path, file.run, header) as writer:
        writer.journal(case, make.outcome(), make.device())
        report = validate(file.journal_path)
        assert (report.kind, report.records, report.problems) == ("journal", 1, [])

    other = make.case(dtype="int8")
    with file.journal_path.open("a") as stream:
        row = {"case": other.model_dump(), "outcome": make.outcome().model_dump(mode="json")}
        stream.write(json.dumps(row) + "\n")
    assert found(file.journal_path) == [("error", 3, "case")]


def test_what_is_no_file_of_records_is_said_at_once(tmp_path):
    with pytest.raises(StoreError, match="a folder given"):
        validate(tmp_path)
    with pytest.raises(StoreError, match="No such file"):
        validate(tmp_path / "gone.jsonl")
    (tmp_path / "other.jsonl").write_bytes(b"PAR1....")
    with pytest.raises(StoreError, match="Parquet"):
        validate(tmp_path / "other.jsonl")


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path):
    path = tmp_path / "long.jsonl"
    with path.open("wb") as stream:
        stream.truncate(MAX_LINE_BYTES + 2)

    (problem,) = validate(path).problems
    assert "longer than 64 MiB" in problem.message


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"a":' * 100_000, "NaN", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_nesting_and_odd_bytes_end_in_an_error_and_in_nothing_else(tmp_path, line):
    path = tmp_path / "odd.jsonl"
    path.write_bytes((line if isinstance(line, bytes) else line.encode()) + b"\n{}\n")

    assert {severity for severity, *_ in found(path)} == {"error"}
