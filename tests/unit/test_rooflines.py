"""Rooflines: where cases stand, which roofs there are and where they meet, and how it is drawn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.bench.roofs import catalog_roofs, cpu_roofs
from trnbench.results.record import Device, Status
from trnbench.results.roofline_chart import NARROWEST, draw_chart, signs_of
from trnbench.results.roofline_frame import cut, fit
from trnbench.results.rooflines import (
    LIMITS,
    Ceiling,
    above_limits,
    binding_roof,
    find_rooflines,
    locate,
)
from trnbench.specs.catalog import load_catalog
from trnbench.specs.figure import CatalogError
from trnbench.specs.roof_table import roof_table
from trnbench.specs.roofline import Level, Rate, Roof, ridge_points

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "roofline.jsonl"


def chip_device(make, chip, share):
    return make.device(name=f"one of {chip}", chip=chip, share=share)


@pytest.fixture
def cases(make):
    """Records of matmul on a chip of the catalog, held as a run holds them."""

    def build(chip="trainium2", share=0.25, dtype="bf16", mode="eager", seconds=1e-3, n=2048):
        device = chip_device(make, chip, share)
        cost = make.cost(
            flops=2 * n**3,
            bytes_moved=4 * n * n * 2,
            bytes_useful=3 * n * n * 2,
            working_set_bytes=3 * n * n * 2,
        )
        held = catalog_roofs(cost, device, dtype, seconds, load_catalog(), fused=mode != "eager")
        return make.record(
            make.case(
                configuration=f"square-{n}",
                params={"n": n},
                dtype=dtype,
                mode=mode,
                backend="neuron",
            ),
            medians=(seconds,) * 3,
            cost=cost,
            device=device,
            roofs=held.roofs,
        )

    return build


# ------------------------------------------------------------------ rates in a record


def test_a_record_has_the_rates_of_its_roofs_as_numbers(cases):
    datasheet, engine = cases().roofs

    assert (datasheet.ceiling, engine.ceiling) == ("datasheet", "engine")
    assert datasheet.flops_per_s == pytest.approx(667e12 / 4)
    assert datasheet.level == "HBM"
    assert datasheet.level_bytes_per_s == pytest.approx(2.9e12 / 4)
    assert "2.9 TB/s HBM" in datasheet.level_denominator
    assert engine.flops_per_s == 2 * 79e12


def test_the_level_stands_there_whatever_binds(cases):
    roof = cases(n=8192).roofs[0]

    assert roof.bound == "tensor"
    assert roof.level == "HBM"
    assert roof.level_bytes == 4 * 8192**2 * 2


def test_compiled_operators_count_the_bytes_that_must_move(cases):
    eager, compiled = locate(cases()), locate(cases(mode="compiled"))

    assert compiled.intensity == pytest.approx(eager.intensity * 4 / 3)
    assert compiled.record.roofs[0].level_bytes == 3 * 2048**2 * 2


def test_what_others_measured_of_the_chip_is_a_ceiling_and_no_limit(cases):
    record = cases("trainium1", 0.5, seconds=2 * 2048**3 / 91e12)
    measured = record.roofs[-1]

    assert measured.ceiling == "measured"
    assert measured.flops_per_s == pytest.approx(91.7504e12 * 0.875)
    assert measured.level_bytes_per_s == 272e9
    assert "pantheonneuron" in measured.mfu_denominator
    assert measured.fraction > 1.05
    assert not above_limits([locate(record)])


def test_a_time_beyond_the_throttle_is_no_error_and_one_beyond_the_engine_is(make):
    cost = make.cost(flops=2 * 4096**3, bytes_moved=1, bytes_useful=1, working_set_bytes=1)
    device = chip_device(make, "trainium1", 0.5)
    beside = catalog_roofs(cost, device, "bf16", 2 * 4096**3 / 90e12, load_catalog())
    beyond = catalog_roofs(cost, device, "bf16", 2 * 4096**3 / 101e12, load_catalog())

    assert beside.above is None
    assert "engine ceiling" in beyond.above or "datasheet ceiling" in beyond.above


def test_cuda_cores_have_the_rate_of_fp32_and_none_in_bf16(make):
    cost = make.cost(flops=0, vector_flops=10**12, bytes_moved=8, working_set_bytes=2**30)
    device = chip_device(make, "h100_sxm", 1.0)

    (fp32,) = catalog_roofs(cost, device, "fp32", 1.0, load_catalog()).roofs
    (bf16,) = catalog_roofs(cost, device, "bf16", 1.0, load_catalog()).roofs

    assert (fp32.bound, fp32.floor_s) == ("vector", pytest.approx(1 / 67))
    assert "67 TFLOP/s (unconfirmed) fp32 CUDA cores" in fp32.denominator
    assert bf16.bound == "HBM"
    assert "h100_sxm's CUDA cores in fp32 only" in bf16.reason


def test_a_cpus_unknown_memory_is_named_and_has_no_rate(make):
    facts = {"architecture": "x86_64", "vendor": "AuthenticAMD", "family": 25, "model": 17}
    device = Device(
        name="a processor", chip=None, chip_reason="", share=None, index=0, cores_used=1,
        memory_bytes=None, driver=None, facts=facts,
    )  # fmt: skip
    (roof,) = cpu_roofs(make.cost(), device, "fp32", 1.0, 3e9).roofs

    assert (roof.level, roof.level_bytes_per_s) == ("DRAM", None)
    assert "DRAM unknown" in roof.reason


# ------------------------------------------------------------------ ridges and bounds


def test_a_ridge_is_where_an_engine_meets_a_memory():
    roof = Roof(
        "datasheet",
        {"tensor": Rate(100e12), "vector": Rate(1e12), "scalar": Rate(None, reason="?")},
        (Level("L2", 1e6, 10e12), Level("HBM", None, 1e12), Level("far", None, None)),
    )
    found = {(one.engine, one.level): one.flops_per_byte for one in ridge_points(roof)}

    assert found == {
        ("tensor", "L2"): 10,
        ("tensor", "HBM"): 100,
        ("vector", "L2"): 0.1,
        ("vector", "HBM"): 1,
    }


def test_a_roofline_has_its_devices_roofs_and_ridges(cases):
    records = [cases(), cases(n=512, seconds=1e-4), cases("trainium1", 0.5, seconds=2e-3)]
    first, second = find_rooflines(records)

    assert (first.device, len(first.points), first.absent) == ("one of trainium2", 2, 0)
    datasheet = {r.level: r.flops_per_byte for r in first.ridges if r.ceiling == "datasheet"}
    assert datasheet == {"HBM": pytest.approx(667 / 2.9)}
    assert {c.ceiling for c in second.ceilings} == {"datasheet", "engine", "measured"}
    assert all(ridge.ceiling in {c.ceiling for c in first.ceilings} for ridge in first.ridges)


def test_another_share_of_a_chip_is_another_device(make, cases):
    """One core and both cores of a Trainium1 under one name, as a table of others' has them."""
    one, both = cases("trainium1", 0.5), cases("trainium1", 1.0)
    first, second = find_rooflines([one, both])

    assert (first.device, second.device) == (
        "one of trainium1, 0.5 of trainium1",
        "one of trainium1, 1 of trainium1",
    )
    for found in (first, second):
        ridges = {ridge.ceiling: ridge.flops_per_byte for ridge in found.ridges}
        assert ridges["datasheet"] == pytest.approx(190 / 0.88)
        assert ridges["engine"] == pytest.approx(92e12 / 272e9)
        assert ridges["measured"] == pytest.approx(91.7504e12 * 0.875 / 272e9)


@pytest.mark.parametrize("rate", [-1.0, 0.0, 5e-324, 1e308])
def test_a_rate_that_is_no_devices_is_no_roof(cases, tmp_path, rate):
    record = cases()
    roofs = [
        roof.model_copy(update={"flops_per_s": rate, "level_bytes_per_s": rate})
        for roof in record.roofs
    ]
    run = stored(tmp_path, [record.model_copy(update={"roofs": roofs})])
    (found,) = find_rooflines([record.model_copy(update={"roofs": roofs})])
    told = CliRunner().invoke(app, ["roofline", run])

    assert found.ceilings == []
    assert told.exit_code == 0
    assert "no roof is drawn" in told.stdout


def test_a_place_beyond_any_axis_is_none(make):
    far = make.record(cost=make.cost(flops=10**18, bytes_moved=10**9), medians=(1e-8,) * 3)
    assert locate(far) is None


def test_the_fastest_figure_of_a_level_is_drawn(make):
    roofs = [
        make.roof("attained").model_copy(update={"level": "L3", "level_bytes_per_s": rate})
        for rate in (1e9, 3e9, 2e9)
    ]
    records = [make.record(roofs=[roof]) for roof in roofs]
    (found,) = find_rooflines(records)

    assert [one.rate for one in found.ceilings] == [3e9]


@pytest.mark.parametrize(
    "change",
    [{"status": Status.CRASHED}, {"cost": None}, {"flops": 0}, {"bytes": 0}],
)
def test_what_has_no_place_is_counted(make, change):
    if "flops" in change:
        record = make.record(cost=make.cost(flops=0))
    elif "bytes" in change:
        record = make.record(cost=make.cost(bytes_moved=0))
    else:
        record = make.record(**change)
    (found,) = find_rooflines([record])

    assert not found.points
    assert found.absent == (0 if "status" in change else 1)


def test_the_roof_to_speak_of_is_the_one_that_allows_the_least(make):
    record = make.record(
        roofs=[make.roof("derived", 1e-4, 0.1), make.roof("attained", 5e-4, 0.5, "L3")]
    )
    assert binding_roof(record).ceiling == "attained"
    assert binding_roof(make.record(roofs=[])) is None


def test_a_point_above_a_limit_is_told(make):
    ok = make.record(roofs=[make.roof("attained", 2e-3, 2.0), make.roof("derived", 1e-3, 1.04)])
    wrong = make.record(roofs=[make.roof("derived", 1.2e-3, 1.2)])

    assert [point.record for point in above_limits([locate(ok), locate(wrong)])] == [wrong]


# ------------------------------------------------------------------ drawing


@pytest.mark.parametrize("width", [20, 40, 80, 110, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_a_chart_fits_and_has_its_marks(cases, width, unicode):
    records = [cases(), cases(n=512, seconds=1e-4), cases(dtype="fp8", n=8192, seconds=8e-3)]
    (found,) = find_rooflines(records)
    lines = draw_chart(found.points, found.ceilings, width, unicode=unicode)
    text = "\n".join(lines)

    assert max(map(len, lines)) <= max(width, NARROWEST)
    assert lines[0].endswith("o bf16, x fp8")
    assert sum(line.count("o") for line in lines[1:-1] if "|" in line) >= 2
    assert unicode or text.isascii()
    assert ("." in text) is not unicode or unicode


def test_a_slower_point_stands_lower_and_one_of_more_flops_a_byte_to_the_right(cases):
    records = [cases(), cases(dtype="fp8", seconds=1e-1), cases(dtype="tf32", n=128, seconds=1e-6)]
    (whole,) = find_rooflines(records)
    rows = [line.partition("|")[2] for line in draw_chart(whole.points, (), 100) if "|" in line]
    place = {
        letter: (column, number)
        for number, row in enumerate(rows)
        for column, letter in enumerate(row)
        if letter in "ox+"
    }

    assert place["x"][0] == place["o"][0], "of as many FLOP a byte"
    assert place["x"][1] > place["o"][1] + 3, "a hundred times slower"
    assert place["+"][0] < place["o"][0] - 10, "a sixteenth of the FLOP a byte"


def test_no_roof_is_drawn_where_it_limits_nothing():
    ceilings = [
        Ceiling("arithmetic", "bf16", "datasheet", 1e12, ""),
        Ceiling("memory", "HBM", "datasheet", 1e10, ""),
    ]
    segments = {s.ceiling.kind: s for s in cut(ceilings, fit([(1.0, 1e9)], ceilings))}

    corner = pytest.approx(2.0)  # 100 FLOP/B
    assert segments["arithmetic"].x == corner
    assert segments["memory"].x_end == corner
    assert segments["memory"].y_end == pytest.approx(12.0)


def test_each_dtype_has_a_sign_and_further_ones_share_the_last(cases):
    dtypes = ("fp32", "tf32", "bf16", "fp16", "fp8")
    records = [cases(dtype=dtype) for dtype in dtypes]
    records += [r.model_copy(update={"case": r.case.model_copy(update={"dtype": d})})
                for r, d in zip(records, ("int8", "int4", "a", "b", "c"), strict=True)]  # fmt: skip
    (found,) = find_rooflines(records)

    signs = signs_of(found.points)
    assert len(set(signs.values())) == 6
    assert signs["a"] == signs["c"] == "@"


# ------------------------------------------------------------------ the command


def stored(tmp_path, records):
    run = tmp_path / "run.jsonl"
    run.write_text("".join(f"{r.model_dump_json()}\n" for r in records), encoding="utf-8")
    return str(run)


def test_every_point_of_a_stored_run_lies_under_its_limits():
    """A run that was made on a real machine: by its own figures, and by its place in the plane."""
    (device,) = json.loads(CliRunner().invoke(app, ["roofline", str(EXAMPLE), "--json"]).stdout)
    checked = 0
    for case in device["cases"]:
        for roof in case["held"]:
            if roof["ceiling"] not in LIMITS or roof["fraction"] is None:
                continue
            tops = [roof["flops_per_s"], (roof["level_bytes_per_s"] or 1e30) * case["intensity"]]
            assert roof["fraction"] <= 1.05
            assert case["flops_per_s"] <= 1.05 * min(top for top in tops if top)
            checked += 1
    assert checked >= 5
    assert len(device["cases"]) == 10
    assert all(case["bound"] and case["ceiling"] for case in device["cases"])
    assert {roof["kind"] for roof in device["roofs"]} == {"arithmetic", "memory"}


def test_a_terminal_of_ascii_gets_letters_that_it_has():
    done = subprocess.run(
        [sys.executable, "-m", "trnbench", "roofline", str(EXAMPLE)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "120"},
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b" us " in done.stdout, "microseconds"


def test_the_table_names_what_binds_each_case():
    told = CliRunner().invoke(app, ["roofline", str(EXAMPLE)], env={"COLUMNS": "120"}).stdout

    assert re.search(r"matmul skinny-m1 fp32 eager .* DRAM, attained", told)
    assert re.search(r"matmul square-1024 fp32 eager .* tensor, attained", told)
    assert re.search(r"softmax 512x1024 fp32 eager .* L3, attained", told)
    assert "fp32 and DRAM" in told
    assert "DRAM unknown: the peak of a machine's DRAM can't be read" in " ".join(told.split())


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_the_case_is_the_last_to_go_in_a_narrow_terminal(width):
    told = CliRunner().invoke(app, ["roofline", str(EXAMPLE)], env={"COLUMNS": str(width)}).stdout

    assert "softmax" in told
    assert "bound" in told


def test_a_picture_stands_alone(cases, tmp_path):
    run = stored(tmp_path, [cases(), cases(dtype="fp8"), cases("trainium1", 0.5, seconds=3e-3)])
    target = tmp_path / "chart.svg"
    done = CliRunner().invoke(app, ["roofline", run, "-o", str(target)])

    assert done.exit_code == 0, done.output
    assert done.stdout.split() == ["chart:", str(target), "chart:", str(tmp_path / "chart-2.svg")]
    for path in (target, tmp_path / "chart-2.svg"):
        text = path.read_text(encoding="utf-8")
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "script" not in text
        assert re.findall(r"https?://[^\"']+", text) == ["http://www.w3.org/2000/svg"]
        assert "prefers-color-scheme: dark" in text
        marks = [e for e in root.iter() if "mark" in e.get("class", "").split()]
        assert len(marks) == (2 if path == target else 1)


def test_markup_in_a_name_is_text(cases, tmp_path):
    hostile = cases()
    device = hostile.device.model_copy(update={"name": "<script>alert(1)</script>\x1b[31m"})
    run = stored(tmp_path, [hostile.model_copy(update={"device": device})])
    target = tmp_path / "chart.svg"
    told = CliRunner().invoke(app, ["roofline", run]).stdout
    CliRunner().invoke(app, ["roofline", run, "-o", str(target)])

    assert "\x1b" not in told
    assert "<script" not in target.read_text(encoding="utf-8")


def test_ten_thousand_cases_are_drawn_and_counted(cases, tmp_path):
    records = [cases()] * 70
    told = CliRunner().invoke(app, ["roofline", stored(tmp_path, records), "--rows", "10"]).stdout

    assert "60 cases more: --rows" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "chart.png"], "wanted a file FILE.svg"),
        (["-o", "no/such/chart.svg"], "in a folder that exists"),
        (["-o", "chart.svg", "--json"], "-o and --json given"),
    ],
)
def test_a_mistake_is_told(arguments, message):
    assert message in str(CliRunner().invoke(app, ["roofline", str(EXAMPLE), *arguments]).exception)


def test_a_column_that_has_no_room_is_named():
    told = CliRunner().invoke(app, ["roofline", str(EXAMPLE)], env={"COLUMNS": "60"}).stdout
    assert "no room for: " in told
    wide = CliRunner().invoke(app, ["roofline", str(EXAMPLE)], env={"COLUMNS": "160"}).stdout
    assert "no room for: " not in wide


def test_a_run_without_a_place_is_refused(make, tmp_path):
    run = stored(tmp_path, [make.record(cost=make.cost(flops=0))])
    done = CliRunner().invoke(app, ["roofline", run])

    assert "no case of" in str(done.exception)
    assert "a stated cost, and arithmetic" in str(done.exception)


def test_simulated_cases_share_no_chart_with_real_ones(cases, tmp_path):
    real, simulated = tmp_path / "a", tmp_path / "b"
    real.mkdir()
    simulated.mkdir()
    a = stored(real, [cases()])
    b = stored(simulated, [cases().model_copy(update={"origin": "simulated"})])

    assert "simulated" in str(CliRunner().invoke(app, ["roofline", a, b]).exception)


# ------------------------------------------------------------------ a chip's roofs


def test_a_chips_roofs_are_those_of_one_device(cases):
    table = roof_table(load_catalog().chip("trainium1"), ["bf16"])
    rates = {(line.name, line.ceiling): line.rate for line in table.roofs}

    assert (table.mode, table.share) == ("core", 0.5)
    assert rates["tensor", "datasheet"] == 95e12
    assert rates["tensor", "engine"] == 92e12
    assert rates["tensor", "measured"] == pytest.approx(80.28e12, rel=1e-3)
    assert rates["HBM", "engine"] == 272e9
    ridges = {one.ceiling: one.flops_per_byte for one in table.ridges}
    assert ridges["datasheet"] == pytest.approx(95e12 / 440e9)
    assert ridges["engine"] == pytest.approx(92e12 / 272e9)


def test_a_mode_halves_the_device(cases):
    chip = load_catalog().chip("trainium2")
    two, one = (roof_table(chip, ["bf16"], mode) for mode in ("LNC=2", "LNC=1"))

    pairs = list(zip(two.roofs, one.roofs, strict=True))
    assert [a.rate / b.rate for a, b in pairs if a.rate] == [2.0] * 6
    assert [a.name for a, b in pairs if a.rate is b.rate is None] == ["vector", "scalar"]
    assert two.ridges == one.ridges


def test_each_line_says_how_it_comes_about_or_why_it_isnt_known():
    for chip in load_catalog().chips.values():
        if not chip.devices:
            continue
        table = roof_table(chip)
        assert all(line.words or line.reason for line in table.roofs), chip.id
        assert all(line.rate is None or line.words for line in table.roofs), chip.id
        assert all(one.flops_per_byte > 0 for one in table.ridges), chip.id


@pytest.mark.parametrize(
    ("chip", "dtypes", "mode", "message"),
    [
        ("trainium2", ["int3"], None, "no dense peak in 'int3'; known: fp32, tf32, bf16"),
        ("trainium2", [], "LNC=9", "unknown mode 'LNC=9'; known: LNC=2, LNC=1"),
        ("trainium4", [], None, "doesn't say how many torch devices"),
    ],
)
def test_what_a_chip_doesnt_have_is_named(chip, dtypes, mode, message):
    with pytest.raises(CatalogError, match=re.escape(message)):
        roof_table(load_catalog().chip(chip), dtypes, mode)
