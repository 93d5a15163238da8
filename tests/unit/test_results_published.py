"""Published measurements as records, and against a run of our own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.models.costs.matmul import FAMILY
from trnbench.results.compare import compare
from trnbench.results.frame import frame_of
from trnbench.results.lines import RecordError, StoreError
from trnbench.results.published import CHIPS, COLUMNS, read_published
from trnbench.results.record import Status

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "published"

needs_tables = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the tables of published measurements aren't here"
)


def write(path, *rows):
    base = dict.fromkeys(COLUMNS, "")
    base |= {
        "id": "some-gemm",
        "source_repo_or_doc": "who/what",
        "source_path": "page.md",
        "source_date": "2026-09",
        "chip": "Trainium1",
        "n_devices": "1",
        "instance_type": "trn1.2xlarge",
        "workload": "some gemm",
        "phase": "op",
        "model_params_or_shape": '{"op": "gemm", "m": 128, "n": 256, "k": 512}',
        "dtype": "bf16",
        "parallelism": "cores=1",
        "metric": "throughput",
        "value": "10",
        "unit": "TFLOP/s",
        "flops": "3.35544e+07",
        "bytes": "459000",
        "time_s": "3.35544e-06",
    }
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(base | row for row in rows)
    return path


def test_a_product_becomes_the_family_s_own_case(tmp_path):
    (record,) = read_published(write(tmp_path / "t.csv", {}))

    assert record.origin == "published"
    assert record.status is Status.OK
    assert record.case.workload == "matmul"
    assert record.case.params == {"op": "mm", "m": 128, "n": 256, "k": 512}
    assert (record.case.phase, record.case.dtype) == ("forward", "bf16")
    assert record.cost.flops == 2 * 128 * 256 * 512
    assert record.summary.sustained.value == 3.35544e-06
    assert (record.summary.sustained.low, record.summary.isolated) == (None, None)
    assert record.summary.throughput == pytest.approx(10e12, rel=1e-4)
    assert "who/what" in record.source
    assert "some-gemm" in record.source


def test_the_parameters_are_those_of_the_family_in_models(tmp_path):
    configuration = FAMILY.configurations[0]
    (record,) = read_published(write(tmp_path / "t.csv", {}))

    assert record.case.phase == FAMILY.phase
    assert record.case.params.keys() == configuration.params.keys()
    cost = FAMILY.cost(record.case.params, "bf16")
    assert cost.flops == record.cost.flops


@pytest.mark.parametrize(
    ("change", "workload"),
    [
        ({"op": "gemm", "duty": 0.5}, "some gemm"),
        ({"op": "gemm", "chain": "2 gemm"}, "some gemm"),
        ({"op": "gemm", "n_cores": 2}, "some gemm"),
        ({"op": "read"}, "some gemm"),
        ({"op": "gemm", "ta": False, "tb": True}, "matmul"),
    ],
)
def test_only_a_plain_product_on_one_core_is_one(tmp_path, change, workload):
    import json

    shape = json.dumps({"m": 1, "n": 2, "k": 3} | change)
    (record,) = read_published(write(tmp_path / "t.csv", {"model_params_or_shape": shape}))

    assert record.case.workload == workload


@pytest.mark.parametrize(
    ("row", "chip", "share", "devices"),
    [
        ({}, "trainium1", 0.5, 1),
        ({"parallelism": "cores=2"}, "trainium1", 1.0, 1),
        ({"parallelism": "cores=6", "n_devices": "4"}, "trainium1", 0.75, 4),
        ({"chip": "Trainium2"}, "trainium2", 0.125, 1),
        ({"chip": "H100-SXM", "parallelism": ""}, "h100_sxm", 1.0, 1),
        ({"chip": "H100-SXM", "parallelism": "", "n_devices": "8"}, "h100_sxm", 1.0, 8),
        ({"chip": "Trainium (generation unstated)"}, None, None, 1),
    ],
)
def test_chip_share_and_devices(tmp_path, row, chip, share, devices):
    (record,) = read_published(write(tmp_path / "t.csv", row))

    assert (record.device.chip, record.device.share) == (chip, share)
    assert record.case.devices == devices
    assert bool(record.device.chip_reason) is (chip is None)


@pytest.mark.parametrize(
    ("chips", "found"),
    [
        ("", ["Trainium1", "Inferentia2", "B200"]),
        ("trn1", ["Trainium1"]),
        ("Trainium1", ["Trainium1"]),
        ("inferentia2, TRAINIUM1", ["Trainium1", "Inferentia2"]),
        ("b200_sxm", ["B200"]),
        ("nothing", []),
    ],
)
def test_chips_are_chosen_by_id_label_or_instance(tmp_path, chips, found):
    path = write(
        tmp_path / "t.csv",
        {},
        {"chip": "Inferentia2", "instance_type": "inf2.xlarge"},
        {"chip": "B200", "instance_type": ""},
    )

    assert [record.device.name for record in read_published(path, chips)] == found


def test_a_row_without_a_time_is_skipped_and_says_so(tmp_path):
    path = write(tmp_path / "t.csv", {"time_s": "", "value": "39.9", "metric": "throughput"})
    asked = []

    (record,) = read_published(path, roofs=lambda record: asked.append(record) or [])

    assert record.status is Status.SKIPPED
    assert "39.9 TFLOP/s" in record.failure.message
    assert record.summary is None
    assert asked == []


def test_flags_of_the_table_are_carried_over(tmp_path):
    (record,) = read_published(write(tmp_path / "t.csv", {"flags": "SUSPICIOUS;under1%"}))

    assert record.flags == ["PUBLISHED: SUSPICIOUS", "PUBLISHED: under1%"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"time_s": "fast"}, "column 'time_s' is 'fast'"),
        ({"flops": "-1"}, "column 'flops' is -1"),
        ({"time_s": "nan"}, "column 'time_s' is nan"),
        ({"model_params_or_shape": "{"}, "no JSON"),
        ({"model_params_or_shape": "[1]"}, "wanted an object"),
        ({"model_params_or_shape": '{"n_cores": [2]}', "parallelism": ""}, r"\[2\] cores"),
        ({"model_params_or_shape": '{"eps": NaN}'}, "'eps' is NaN"),
        ({"model_params_or_shape": '{"seed": 9223372036854775808}'}, "64 bits"),
        (
            {"model_params_or_shape": '{"op": "gemm", "m": 9999999, "n": 9999999, "k": 999999}'},
            "FLOPs",
        ),
        ({"time_s": "0"}, "column 'time_s' is 0"),
        ({"time_s": "1e-300"}, "column 'time_s' is 1e-300"),
        ({"bytes": "1e19"}, "column 'bytes' is 1e[+]19"),
        ({"n_devices": "0"}, "column 'n_devices' is '0'"),
        ({"n_devices": "1.5"}, "column 'n_devices' is '1.5'"),
        ({"parallelism": "cores=4"}, "4 cores of 1 Trainium1, which has 2"),
        ({"parallelism": "cores=0"}, "0 cores"),
    ],
)
def test_a_malformed_row_is_named_by_line_and_column(tmp_path, row, said):
    path = write(tmp_path / "t.csv", {}, row)

    with pytest.raises(RecordError, match=said) as caught:
        read_published(path)
    assert "line 3: row 'some-gemm'" in str(caught.value)


def test_a_file_that_is_no_such_table_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")

    with pytest.raises(StoreError, match="no column id"):
        read_published(tmp_path / "t.csv")
    with pytest.raises(StoreError, match="can't read"):
        read_published(tmp_path / "absent.csv")


@pytest.mark.parametrize("m", ["null", '"x"', "1.5", "true", "0", "[1]"])
def test_a_product_of_no_shape_keeps_the_name_that_its_source_gave_it(tmp_path, m):
    shape = f'{{"op": "gemm", "m": {m}, "n": 256, "k": 512}}'

    (record,) = read_published(write(tmp_path / "t.csv", {"model_params_or_shape": shape}))

    assert record.case.workload == "some gemm"
    assert record.cost.flops == 33554400


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{head}\nsome-gemm,who\n", "line 2: more or fewer"), (b"{head}\n\xff\n", "no CSV in UTF-8")],
)
def test_a_file_that_was_cut_or_is_no_text_is_refused(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content.replace(b"{head}", ",".join(COLUMNS).encode()))

    with pytest.raises(StoreError, match=said):
        read_published(path)


def test_rows_of_several_chips_are_held_against_a_run(tmp_path, make):
    dated = {"id": "many", "n_devices": "16", "source_date": "unknown"}
    table = write(tmp_path / "t.csv", {"id": "one"}, dated)
    shape = {"op": "mm", "m": 128, "n": 256, "k": 512}
    run = tmp_path / "run.jsonl"
    records = [make.record(make.case(params=shape, devices=n, dtype="bf16")) for n in (1, 16)]
    run.write_text("".join(f"{record.model_dump_json()}\n" for record in records))

    said = CliRunner().invoke(app, ["diff", str(table), str(run), "--json"])

    fractions = {row["a"]["devices"]: row["a"]["fractions"] for row in json.loads(said.stdout)}
    assert fractions.keys() == {1, 16}
    assert "datasheet" in fractions[1]
    assert fractions[16] == {}


@needs_tables
def test_every_row_of_the_neuron_table_is_read():
    records = read_published(PUBLISHED / "neuron_core_v2.csv")

    assert len(records) == 115
    assert {record.device.chip for record in records} == {"trainium1", "inferentia2"}
    assert {record.device.share for record in records} == {0.5, 1.0}
    with_time = [record for record in records if record.summary is not None]
    assert 80 < len(with_time) < 115
    assert all(record.status is Status.OK for record in with_time)
    plain = [record for record in records if record.case.workload == "matmul"]
    assert len(plain) == 26
    # 91.75 TFLOP/s is what one core can do by its clock: more would be a misread row.
    assert all(10e12 < record.summary.throughput < 91.75e12 for record in plain)


@needs_tables
def test_every_row_of_the_large_table_is_read():
    records = read_published(PUBLISHED / "published.csv")

    assert len(records) == 815
    known = {record.device.chip for record in records} - {None}
    assert len(known) > 8
    assert known <= set(CHIPS.values())


@needs_tables
def test_a_run_of_our_own_aligns_with_trn1_and_inf2(make):
    ours = [
        make.record(
            make.case(
                configuration=f"square-{n}",
                params={"op": "mm", "m": n, "n": n, "k": n},
                dtype="bf16",
            ),
            medians=[n**3 * 1e-11 * factor for factor in (1, 1.01, 1.02)],
            roofs=[make.roof("derived", 2 * n**3 / 400e9, 0.5)],
        )
        for n in (512, 2048, 4096, 8192)
    ]

    def roofs(record):
        return [make.roof("datasheet", record.cost.flops / 95e12, 0.7)] if record.cost else []

    theirs = read_published(PUBLISHED / "neuron_core_v2.csv", "trn1,inf2", roofs)
    rows = [row for row in compare(frame_of(ours), frame_of(theirs)).rows() if row.a and row.b]

    assert {row.configuration for row in rows} == {"square-2048", "square-4096", "square-8192"}
    for size in (2048, 4096, 8192):
        chips = {row.b.chip for row in rows if row.configuration == f"square-{size}"}
        assert chips == {"trainium1", "inferentia2"}
    for row in rows:
        assert row.expected_ratio == pytest.approx(400e9 / 95e12)
        assert 1e-4 < row.ratio < 1e-1
        assert row.b.origin == "published"
