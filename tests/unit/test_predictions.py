"""Times from ceilings alone: the rule on made-up work, and published rows held to their targets."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.results.lines import RecordError
from trnbench.results.predictions import predict_rows, scores
from trnbench.results.published import COLUMNS
from trnbench.specs.figure import CatalogError
from trnbench.specs.measured import load_measured, measured
from trnbench.specs.prediction import Work, predict

TABLE = Path(__file__).parents[2].parent / "shared" / "published" / "neuron_core_v2.csv"
needs_table = pytest.mark.skipif(
    not TABLE.is_file(), reason="the published table isn't beside this checkout"
)
TRN1, INF2 = "trainium1", "inferentia2"
#: 0.875 and 0.625 of 91.7504 TFLOP/s.
LIMITED = {TRN1: 80.2816e12, INF2: 57.344e12}
DMA = 272e9


def test_a_kernel_by_hand_is_bound_by_the_slower_of_engine_and_dma():
    work = Work("nki", "bf16", flops=8e12, bytes_moved=272e6)
    for chip, rate in LIMITED.items():
        found = predict(work, chip)
        assert found.seconds == pytest.approx(8e12 / rate)
        assert found.bound == "tensor"

    moved = predict(Work("nki", "bf16", flops=1e9, bytes_moved=272e6), TRN1)
    assert (moved.seconds, moved.bound) == (pytest.approx(1e-3), "DMA")


def test_a_graph_loads_before_it_computes():
    found = predict(Work("xla", "bf16", flops=LIMITED[TRN1], bytes_moved=DMA), TRN1)

    assert found.seconds == pytest.approx(2.0)
    assert found.parts == {"tensor": pytest.approx(1.0), "DMA": pytest.approx(1.0)}


def test_two_cores_are_twice_as_fast():
    one = predict(Work("nki", "bf16", bytes_moved=DMA), TRN1).seconds
    assert predict(Work("nki", "bf16", bytes_moved=DMA, cores=2), TRN1).seconds == one / 2


def test_integers_are_widened_by_the_compiler_and_not_by_hand():
    by = {path: predict(Work(path, "int8", flops=1e12), TRN1).seconds for path in ("nki", "xla")}
    assert by["xla"] == pytest.approx(4 * by["nki"])


def test_scores_go_to_memory_and_come_back_at_the_rate_of_their_rows():
    long = predict(Work("xla", "bf16", scores=1e9, score_row=2048), TRN1)
    short = predict(Work("xla", "bf16", scores=1e9, score_row=128), TRN1)

    assert long.seconds == pytest.approx(8e9 / DMA)
    # A row takes 14.8 ns however short it is.
    assert short.seconds == pytest.approx(2 * 1e9 / 128 * 14.8e-9)


def test_what_fits_the_chip_between_operators_isnt_moved():
    sbuf = 24 * 2**20
    fits = Work("xla", "bf16", flops=1e12, stream_bytes=sbuf, stream_passes=38)
    beyond = replace(fits, stream_bytes=sbuf + 1)
    shared = replace(beyond, cores=2)

    assert "activations" not in predict(fits, TRN1).parts
    assert predict(beyond, TRN1).parts["activations"] == pytest.approx(38 * (sbuf + 1) / DMA)
    assert "activations" not in predict(shared, TRN1).parts, "two cores have two SBUFs"


def test_weights_that_are_streamed_reach_nine_tenths():
    found = predict(Work("xla", "bf16", bytes_moved=DMA, streams_weights=True), TRN1)
    assert found.seconds == pytest.approx(1 / 0.9)


@pytest.mark.parametrize(
    ("clock", "more_s"), [("steady", 0), ("pass", 80e-6), ("replay", 60e-6), ("capture", 2.08e-3)]
)
def test_what_the_clock_includes_is_added(clock, more_s):
    found = predict(Work("nki", "bf16", bytes_moved=DMA, clock=clock), TRN1)
    assert found.seconds == pytest.approx(1 + more_s)


def test_a_chip_that_nobody_measured_has_no_prediction():
    with pytest.raises(CatalogError, match="nobody measured tensor_per_core of 'trainium2'"):
        predict(Work("nki", "bf16", flops=1e12), "trainium2")


def test_every_fact_has_its_source_and_says_what_was_measured():
    facts = [figure for own in load_measured().values() for figure in own.values()]

    assert len(facts) == 15
    assert all(figure.origin.status == "measured" and figure.origin.note for figure in facts)
    assert measured(INF2, "tensor_limit").value == 0.625


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('chip = "trainium9"', "field 'fact 1.chip': 'trainium9'; wanted the id"),
        ('name = "speed"', "field 'fact 1.name': 'speed'; wanted one of tensor_per_core"),
        ('source = "hearsay"', "'hearsay'; wanted a source"),
        ("value = -1", "a number above 0"),
    ],
)
def test_a_faulty_fact_is_one_message(tmp_path, line, said):
    entry = {
        "chip": '"trainium1"',
        "name": '"dispatch"',
        "value": "60",
        "unit": '"us"',
        "source": '"pantheonneuron"',
        "date": '"2026-09"',
        "note": '"x"',
    }
    key, _, value = line.partition(" = ")
    text = "".join(f"{name} = {one}\n" for name, one in (entry | {key: value}).items())
    file = tmp_path / "measured.toml"
    file.write_text(f"[[fact]]\n{text}")

    with pytest.raises(CatalogError) as raised:
        load_measured(file)
    assert said in str(raised.value)


@needs_table
def test_published_rows_are_within_their_targets():
    """Errors of each class, with nothing fitted to them. What isn't within is named."""
    rows = predict_rows(TABLE)
    found = {one.kind: (one.rows, one.within) for one in scores(rows)}

    assert len(rows) == 115
    assert found == {
        "gemm": (21, 21),
        "memory": (23, 23),
        "decode": (4, 4),
        "attention": (2, 2),
        "block": (4, 4),
        "encoder": (4, 4),
    }
    # What operators hand on doesn't fit SBUF in two of them, and does in all the others.
    assert {r.id for r in rows if r.prediction and "activations" in r.prediction.parts} == {
        "pantheon-vit-trn1",
        "pantheon-vit-inf2",
    }
    assert all(row.reason or row.prediction for row in rows)
    # Of seven kernels that differ in their tiling alone nothing is claimed.
    assert sum("tiling" in row.reason for row in rows) == 7


@needs_table
def test_the_levels_that_bind_are_those_that_were_found_on_the_hardware():
    bound = {row.id: row.prediction.bound for row in predict_rows(TABLE) if row.prediction}

    assert bound["pantheon-gemm-nki-bf16-trn1"] == "tensor"
    assert bound["pantheon-memread-1core-inf2"] == "DMA"
    assert bound["pantheon-decode-trn1"] == "DMA"
    assert bound["pantheon-attn-trn1"] == "scores"


def write(path, **changes):
    row = dict.fromkeys(COLUMNS, "") | {
        "id": "mine",
        "chip": "Trainium1",
        "n_devices": "1",
        "workload": "torch.matmul",
        "phase": "op",
        "model_params_or_shape": '{"op": "gemm", "m": 4096, "n": 4096, "k": 4096}',
        "dtype": "bf16",
        "flops": "1.37439e+11",
        "time_s": "0.002",
    }
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerow(row | changes)
    return path


def test_the_command_prints_rows_classes_and_what_is_left_out(tmp_path):
    file = write(tmp_path / "t.csv")
    text = CliRunner().invoke(app, ["predict", str(file)]).stdout
    data = json.loads(CliRunner().invoke(app, ["predict", str(file), "--json"]).stdout)

    (row,) = data["rows"]
    assert row["predicted_s"] == pytest.approx(2.08e-3, rel=0.01)
    assert (row["class"], row["bound"], row["within"]) == ("gemm", "tensor", True)
    assert data["classes"][0]["within"] == 1
    assert "1 of 1" in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chip": "H100-SXM"}, "nobody measured the ceilings of H100-SXM"),
        ({"chip": "Nobody's"}, "nobody measured the ceilings of Nobody's"),
        ({"time_s": ""}, "neither FLOPs nor bytes, or no time"),
        ({"flops": "many", "model_params_or_shape": "{"}, "neither FLOPs nor bytes, or no time"),
        ({"workload": "moe_router"}, "sorting and gathering aren't modelled"),
    ],
)
def test_a_row_that_is_not_predicted_says_why(tmp_path, changes, reason):
    (row,) = predict_rows(write(tmp_path / "t.csv", **changes))

    assert (row.prediction, row.reason) == (None, reason)


PRODUCT = {"op": "gemm", "m": 4096, "n": 4096, "k": 4096}
LAYERS = {"seq": 128, "hidden": 768, "ffn": 3072, "layers": 12, "heads": 12, "batch": 2}


@pytest.mark.parametrize(
    ("workload", "shape", "said"),
    [
        ("torch.matmul", PRODUCT | {"duty": "x"}, "'duty' is 'x'; wanted a number from 1e-06 to 1"),
        ("torch.matmul", PRODUCT | {"duty": None}, "'duty' is None; wanted a number"),
        ("torch.matmul", PRODUCT | {"duty": 0}, "'duty' is 0; wanted a number"),
        ("torch.matmul", PRODUCT | {"duty": 1.5}, "'duty' is 1.5; wanted a number"),
        ("torch.matmul", PRODUCT | {"duty": True}, "'duty' is True; wanted a number"),
        ("torch.matmul", PRODUCT | {"m": "8"}, "'m' is '8'; wanted a whole number above 0"),
        ("torch.matmul", PRODUCT | {"n": True}, "'n' is True; wanted a whole number above 0"),
        ("torch.matmul", PRODUCT | {"k": -8}, "'k' is -8; wanted a whole number above 0"),
        ("memory_read", {"store_free_elements": 0}, "'store_free_elements' is 0; wanted a whole"),
        ("attention", LAYERS | {"seq": 2**63}, "'seq' is 9223372036854775808; wanted a whole"),
        ("attention", LAYERS | {"heads": "x"}, "'heads' is 'x'; wanted a whole number above 0"),
        ("attention", {"prompt": 8, "hidden": "768"}, "'hidden' is '768'; wanted a whole number"),
        ("encoder", LAYERS | {"batch": "a"}, "'batch' is 'a'; wanted a whole number above 0"),
        ("encoder", LAYERS | {"ffn": [1]}, "'ffn' is [1]; wanted a whole number above 0"),
        ("encoder", LAYERS | {"layers": 0}, "'layers' is 0; wanted a whole number above 0"),
    ],
)
def test_a_configuration_that_cant_be_computed_with_is_named(tmp_path, workload, shape, said):
    file = write(
        tmp_path / "t.csv", workload=workload, phase="fwd", model_params_or_shape=json.dumps(shape)
    )

    with pytest.raises(RecordError) as caught:
        predict_rows(file)

    start = f"{file}: line 2: row 'mine': column 'model_params_or_shape': "
    assert str(caught.value).startswith(start + said)


def test_a_configuration_of_a_row_that_isnt_predicted_may_hold_anything(tmp_path):
    (row,) = predict_rows(
        write(tmp_path / "t.csv", chip="H100-SXM", model_params_or_shape='{"batch": null}')
    )

    assert row.reason == "nobody measured the ceilings of H100-SXM"


def test_a_missing_file_and_chip_are_one_message(tmp_path):
    file = write(tmp_path / "t.csv")
    missing = CliRunner().invoke(app, ["predict", "nowhere.csv"])
    other = CliRunner().invoke(app, ["predict", f"{file}#Trainium3"])

    assert "no file 'nowhere.csv'" in str(missing.exception)
    assert "is of chip 'Trainium3'" in str(other.exception)
