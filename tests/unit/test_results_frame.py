"""Records as a data frame."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from trnbench import results
from trnbench.results.compare import describe_run
from trnbench.results.lines import RecordError, StoreError
from trnbench.results.record import NumericError, Status


def write(path, records):
    path.write_text("".join(record.model_dump_json() + "\n" for record in records))
    return path


@pytest.fixture
def frame(tmp_path, make):
    records = [
        make.record(
            roofs=[
                make.roof("derived", None, None, None, "unknown peak"),
                make.roof("attained", 1e-4, 0.1, "DRAM"),
            ],
            numeric=NumericError(error=1e-6, bound=1e-3, reference="float64"),
            compile_s=1.5,
            flags=["DRIFT", "PREEMPTED"],
            label="base",
        ),
        make.record(
            make.case(workload="softmax", configuration="rows", params={"rows": 8, "scale": 0.5}),
            roofs=[make.roof("derived", 2e-4, 0.2, "vector")],
        ),
        make.record(
            make.case(workload="softmax", configuration="big", params={"rows": 9, "scale": 1}),
            status=Status.TIMEOUT,
        ),
    ]
    return results.load(write(tmp_path / "run.jsonl", records))


def test_one_row_a_case_in_order(frame):
    assert list(frame["configuration"]) == ["square-512", "rows", "big"]
    assert list(frame["status"]) == ["OK", "OK", "TIMEOUT"]


def test_columns_are_typed(frame):
    kinds = {
        "workload": "category",
        "status": "category",
        "chip": "category",
        "param.m": "Int64",
        "param.rows": "Int64",
        "param.scale": "float64",
        "flops": "Int64",
        "devices": "Int64",
        "threads": "Int64",
        "isolated_s": "float64",
        "sustained_low_s": "float64",
        "throughput": "float64",
        "fraction_attained": "float64",
        "fraction_datasheet": "float64",
        "numeric_error": "float64",
        "share": "float64",
        "flags": "str",
        "version.torch": "category",
    }

    assert {name: str(frame[name].dtype) for name in kinds} == kinds
    assert isinstance(frame["time"].dtype, pd.DatetimeTZDtype)
    assert len(set(frame.columns)) == len(frame.columns)


def test_values_are_those_of_the_records(frame):
    first, second, third = (frame.iloc[n] for n in range(3))

    assert first["sustained_s"] == pytest.approx(1e-3, rel=1e-3)
    assert first["sustained_low_s"] < first["sustained_s"] < first["sustained_high_s"]
    assert first["isolated_s"] == pytest.approx(1.2e-3, rel=1e-3)
    assert first["throughput"] == pytest.approx(2 * 512**3 / first["sustained_s"])
    assert first["throughput_unit"] == "FLOP/s"
    assert (first["fraction_attained"], first["floor_attained_s"]) == (0.1, 1e-4)
    assert first["bound"] == "DRAM"
    assert second["bound"] == "vector"
    assert (first["numeric_error"], first["numeric_bound"]) == (1e-6, 1e-3)
    assert (first["compile_s"], first["flags"], first["label"]) == (1.5, "DRIFT PREEMPTED", "base")
    assert (first["param.m"], first["flops"], first["processes"]) == (512, 2 * 512**3, 3)
    assert (first["origin"], first["run"]) == ("measured", "20261122T021733Z-4f2a9c")
    assert (first["version.torch"], first["threads"]) == ("2.13.0", 2)
    assert third["failure"] == "TIMEOUT in process 0"


def test_items_are_of_a_device_a_chip_and_a_dollar(tmp_path, make):
    half = make.device(chip="trainium1", share=0.5, facts={"instance_type": "trn1.2xlarge"})
    roof = make.roof("datasheet").model_copy(update={"mfu": 0.25, "hfu": 0.3})
    cost = make.cost(items=100, items_padded=28, flops_recomputed=9)
    known = make.record(cost=cost, device=half, roofs=[roof], medians=(1e-3,) * 3)
    frame = results.load(write(tmp_path / "run.jsonl", [known, make.record()]))
    first, second = frame.iloc[0], frame.iloc[1]

    assert first["items_per_s"] == pytest.approx(100_000)
    assert first["items_per_chip_s"] == pytest.approx(200_000)
    assert first["items_per_usd"] == pytest.approx(200_000 * 3600 / 1.3438)
    assert (first["mfu_datasheet"], first["hfu_datasheet"]) == (0.25, 0.3)
    assert (first["items_padded"], first["flops_recomputed"]) == (28, 9)
    assert second["items_per_s"] == pytest.approx(512e3, rel=0.01)
    assert pd.isna(second["items_per_chip_s"])
    assert pd.isna(second["mfu_datasheet"])


def test_unknown_is_missing_and_never_zero(frame):
    assert pd.isna(frame["fraction_derived"][0])
    assert pd.isna(frame["param.rows"][0])
    assert pd.isna(frame["sustained_s"][2])
    assert pd.isna(frame["chip"][0])


def test_an_empty_run_has_all_the_columns(tmp_path):
    frame = results.load(write(tmp_path / "run.jsonl", []))

    assert len(frame) == 0
    assert {"workload", "sustained_s", "fraction_attained", "status"} <= set(frame.columns)


def test_a_torn_line_is_left_out_with_a_notice(tmp_path, make):
    path = write(tmp_path / "run.jsonl", [make.record()])
    with path.open("a") as stream:
        stream.write('{"case":')

    frame = results.load(path)

    assert len(frame) == 1
    assert "line 2 is torn" in frame.attrs["notices"][0]


def test_a_line_that_is_no_record_is_named(tmp_path, make):
    path = write(tmp_path / "run.jsonl", [make.record()])
    with path.open("a") as stream:
        stream.write('{"status": "OK"}\n')

    with pytest.raises(RecordError, match="line 2: no record: Object missing required field"):
        results.load(path)
    with pytest.raises(StoreError, match="label 'absent'"):
        results.load("absent", tmp_path)


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("case", {"devices": 0}, "`int` >= 1 - at `$.case.devices`"),
        ("case", {"devices": -2}, "`int` >= 1 - at `$.case.devices`"),
        ("summary", {"sustained": {"value": 0}}, "`float` > 0.0 - at `$.summary.sustained.value`"),
        ("summary", {"isolated": {"value": -1.0}}, "> 0.0 - at `$.summary.isolated.value`"),
        ("summary", {"isolated": {"value": 1, "low": 0.0}}, "> 0.0 - at `$.summary.isolated.low`"),
    ],
)
def test_no_devices_and_no_time_are_no_record(tmp_path, make, part, changes, said):
    row = json.loads(make.record().model_dump_json())
    row[part].update(changes)
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(row) + "\n")

    with pytest.raises(RecordError, match="line 1: no record: ") as caught:
        results.load(path)
    assert said in str(caught.value)


def test_the_intercept_of_a_queue_may_lie_below_zero(tmp_path, make):
    row = json.loads(make.record().model_dump_json())
    row["summary"]["fixed_cost"] = {"value": -1e-6, "low": -2e-6, "high": 0.0}
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(row) + "\n")

    assert list(results.load(path)["fixed_cost_s"]) == [-1e-6]


@pytest.mark.parametrize("share", [0.0, -1.0])
def test_a_share_that_is_none_leaves_the_chip_s_rate_unknown(tmp_path, make, share):
    device = make.device(chip="trainium2", share=share)

    frame = results.load(write(tmp_path / "run.jsonl", [make.record(device=device)]))

    assert frame["items_per_s"].notna().all()
    assert frame["items_per_chip_s"].isna().all()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11", "2026-11-01T00:00:00Z"),
        ("2026-W48-1", "2026-11-23T00:00:00Z"),
        ("20261122T021733+01", "2026-11-22T01:17:33Z"),
    ],
)
def test_a_time_is_whatever_iso_8601_has(tmp_path, make, text, moment):
    frame = results.load(write(tmp_path / "run.jsonl", [make.record(time=text)]))

    assert list(frame["time"]) == [pd.Timestamp(moment)]


@pytest.mark.parametrize("text", ["NaT", "soon", "2026-02-30", "0001-01-01T00:00:00+14:00", ""])
def test_a_time_that_is_none_is_refused(tmp_path, make, text):
    path = write(tmp_path / "run.jsonl", [make.record(), make.record(time=text)])

    with pytest.raises(RecordError, match=f"field 'time': '{re.escape(text)}' is no time"):
        results.load(path)


def test_a_time_that_a_publisher_didn_t_know_is_unknown(tmp_path, make):
    known = make.record(origin="published", source="x", time="2026-11")
    record = known.model_copy(update={"time": "unknown"})

    frame = results.load(write(tmp_path / "run.jsonl", [known, record]))

    assert list(frame["time"].isna()) == [False, True]
    assert "time unknown" in describe_run(frame[1:])
    assert "2026-11-01" in describe_run(frame)


def test_a_run_is_loaded_by_folder_and_by_id(tmp_path, make):
    write(tmp_path / "20261122T021733Z-4f2a9c.jsonl", [make.record()])

    assert len(results.load(tmp_path)) == 1
    assert len(results.load("20261122", tmp_path)) == 1


def test_importing_results_imports_no_pandas():
    code = (
        "import sys, trnbench.results, trnbench.results.store, trnbench.results.statistics;"
        "print([m for m in ('pandas', 'scipy', 'torch', 'rich') if m in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
